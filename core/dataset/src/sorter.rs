//! Sorts in bounded memory, spilling sorted runs to one file: key hashes with their positions, and
//! whole rows.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::disk::{Disk, NewFile};
use crate::key::KeyHash;
use crate::memory::Sorting;

/// A key and where its row is. Orders by key, then by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) key: KeyHash,
    pub(crate) position: Position,
}

/// A row of a list of files. Later rows of later files are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(u64);

impl Position {
    const ROW_BITS: u32 = 40;

    /// # Errors
    /// Beyond 16 million files or a million million rows of one.
    pub(crate) fn new(file: usize, row: u64) -> Result<Self, Error> {
        if file as u64 >= 1 << (u64::BITS - Self::ROW_BITS) || row >= 1 << Self::ROW_BITS {
            return Err(Error::configuration(
                "the dataset has too many files or rows to merge",
            ));
        }
        Ok(Self((file as u64) << Self::ROW_BITS | row))
    }

    pub(crate) fn file(self) -> usize {
        (self.0 >> Self::ROW_BITS) as usize
    }

    pub(crate) fn row(self) -> u64 {
        self.0 & ((1 << Self::ROW_BITS) - 1)
    }
}

/// What can be sorted.
pub(crate) trait Spill: Ord + Sized {
    /// The memory that it holds beside its own size.
    fn heap_bytes(&self) -> usize;
    fn encode(&self, bytes: &mut Vec<u8>);
    /// Takes an item from the front; `None`, and nothing taken, when there is no whole one.
    fn decode(bytes: &mut &[u8]) -> Option<Self>;
}

/// A key and what belongs to it: orders by key first, by position last.
pub(crate) trait Item: Spill {
    /// `rank` decides between rows of one key before their position does; `version` tells rows of
    /// one key with different values apart. Items without them leave them out.
    fn new(key: KeyHash, rank: Vec<u8>, version: u64, position: Position) -> Self;
    fn key(&self) -> KeyHash;
    fn position(&self) -> Position;
    fn version(&self) -> u64;
}

pub(crate) fn take_word(bytes: &mut &[u8]) -> Option<u64> {
    let (word, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*word))
}

impl Item for Entry {
    fn new(key: KeyHash, _: Vec<u8>, _: u64, position: Position) -> Self {
        Self { key, position }
    }

    fn key(&self) -> KeyHash {
        self.key
    }

    fn position(&self) -> Position {
        self.position
    }

    fn version(&self) -> u64 {
        0
    }
}

impl Spill for Entry {
    fn heap_bytes(&self) -> usize {
        0
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        for word in [self.key.0, self.key.1, self.position.0] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let mut rest = *bytes;
        let key = (take_word(&mut rest)?, take_word(&mut rest)?);
        let position = Position(take_word(&mut rest)?);
        *bytes = rest;
        Some(Self { key, position })
    }
}

/// A key with what decides between its rows, and where its row is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ranked {
    key: KeyHash,
    rank: Vec<u8>,
    position: Position,
    version: u64,
}

impl Item for Ranked {
    fn new(key: KeyHash, rank: Vec<u8>, version: u64, position: Position) -> Self {
        Self {
            key,
            rank,
            position,
            version,
        }
    }

    fn key(&self) -> KeyHash {
        self.key
    }

    fn position(&self) -> Position {
        self.position
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Spill for Ranked {
    fn heap_bytes(&self) -> usize {
        self.rank.capacity()
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let length = self.rank.len() as u64;
        for word in [
            self.key.0,
            self.key.1,
            self.position.0,
            self.version,
            length,
        ] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&self.rank);
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let mut rest = *bytes;
        let key = (take_word(&mut rest)?, take_word(&mut rest)?);
        let position = Position(take_word(&mut rest)?);
        let version = take_word(&mut rest)?;
        let length = usize::try_from(take_word(&mut rest)?).ok()?;
        let (rank, rest) = rest.split_at_checked(length)?;
        *bytes = rest;
        Some(Self {
            key,
            rank: rank.to_vec(),
            position,
            version,
        })
    }
}

/// Bytes of a run that are read at a time where there is memory for it.
const READ_BYTES: usize = 96 << 10;
/// Runs that are merged at once even where memory is scarce, unless items are long.
const FEW_RUNS: usize = 16;
/// Bytes that are written at a time.
const WRITE_BYTES: usize = 64 << 10;

/// Collects items.
#[derive(Debug)]
pub(crate) struct Sorter<T> {
    disk: Disk,
    path: PathBuf,
    memory: Sorting,
    items: Vec<T>,
    bytes: usize,
    spilled: Option<Spilled>,
}

impl<T: Spill> Sorter<T> {
    /// `path` is a file that does not exist yet; it is created when memory does not suffice.
    pub(crate) fn new(disk: Disk, path: PathBuf, memory: Sorting) -> Self {
        Self {
            disk,
            path,
            memory,
            items: Vec::new(),
            bytes: 0,
            spilled: None,
        }
    }

    pub(crate) fn push(&mut self, item: T) -> Result<(), Error> {
        let bytes = size_of::<T>() + item.heap_bytes();
        if self.bytes + bytes > self.memory.items && !self.items.is_empty() {
            self.spill()?;
        }
        self.bytes += bytes;
        self.items.push(item);
        Ok(())
    }

    fn spill(&mut self) -> Result<(), Error> {
        self.items.sort_unstable();
        let spilled = match &mut self.spilled {
            Some(spilled) => spilled,
            None => self.spilled.insert(Spilled::new(&self.disk, &self.path)?),
        };
        let mut items = self.items.iter();
        let encode = |bytes: &mut Vec<u8>| Ok(items.next().map(|item| item.encode(bytes)));
        spilled.add(encode)?;
        self.items.clear();
        self.bytes = 0;
        Ok(())
    }

    /// All items in order.
    pub(crate) fn sorted(mut self) -> Result<Sorted<T>, Error> {
        self.items.sort_unstable();
        self.items.reverse();
        let mut sorted = match self.spilled {
            Some(mut spilled) => {
                let (at_once, buffer_bytes) = spilled.fan_in(self.memory.reading);
                // Each merge leaves one run fewer than it takes; the last one, of as many as there
                // may be, is what the caller reads.
                while spilled.runs.len() > at_once {
                    let count = at_once.min(spilled.runs.len() - at_once + 1);
                    spilled.merge::<T>(count, buffer_bytes)?;
                }
                let runs = spilled.runs.into();
                Sorted::new(spilled.file.into_file(), self.path, runs, buffer_bytes)
            }
            None => Sorted {
                file: None,
                path: self.path,
                buffer_bytes: 0,
                runs: Vec::new(),
                heap: BinaryHeap::new(),
            },
        };
        // The last run never left memory.
        sorted.runs.push(Run {
            bytes: 0..0,
            buffer: self.items,
        });
        sorted.begin()
    }
}

/// Sorted runs in a file.
#[derive(Debug)]
struct Spilled {
    file: NewFile,
    path: PathBuf,
    length: u64,
    /// Where they are.
    runs: VecDeque<Range<u64>>,
    /// The length in bytes of the longest item.
    longest: usize,
}

impl Spilled {
    fn new(disk: &Disk, path: &Path) -> Result<Self, Error> {
        if let Some(parent) = path.parent() {
            disk.create_directory(parent)?;
        }
        Ok(Self {
            file: disk.create_file(path)?.without_hash(),
            path: path.to_owned(),
            length: 0,
            runs: VecDeque::new(),
            longest: 0,
        })
    }

    /// Writes a run; `encode` gives its items in their order, one at a time, until there is none.
    fn add(
        &mut self,
        mut encode: impl FnMut(&mut Vec<u8>) -> Result<Option<()>, Error>,
    ) -> Result<(), Error> {
        let start = self.length;
        let mut bytes = Vec::new();
        loop {
            let before = bytes.len();
            let is_over = encode(&mut bytes)?.is_none();
            self.longest = self.longest.max(bytes.len() - before);
            if is_over || bytes.len() >= WRITE_BYTES {
                let written = self.file.write_all(&bytes);
                written.map_err(|source| Error::io("write", &self.path, source))?;
                self.length += bytes.len() as u64;
                bytes.clear();
            }
            if is_over {
                self.runs.push_back(start..self.length);
                return Ok(());
            }
        }
    }

    /// How many runs may be merged at once in so much memory, two at least, and how many bytes of
    /// each are read at a time: one item at least, beside the one that waits to be the next.
    fn fan_in(&self, memory: usize) -> (usize, usize) {
        let buffer_bytes = (memory / FEW_RUNS).min(READ_BYTES).max(self.longest);
        let at_once = memory / (buffer_bytes + self.longest).max(1);
        (at_once.max(2), buffer_bytes)
    }

    /// Makes one run of the first ones.
    fn merge<T: Spill>(&mut self, count: usize, buffer_bytes: usize) -> Result<(), Error> {
        // What is written goes to the end of the file, wherever is read.
        let file =
            File::open(&self.path).map_err(|source| Error::io("open", &self.path, source))?;
        let runs = self.runs.drain(..count).collect();
        let merged = Sorted::new(file, self.path.clone(), runs, buffer_bytes);
        let mut merged: Sorted<T> = merged.begin()?;
        self.add(|bytes| Ok(merged.next()?.map(|item| item.encode(bytes))))
    }
}

/// Items in order.
#[derive(Debug)]
pub(crate) struct Sorted<T: Ord> {
    file: Option<File>,
    path: PathBuf,
    buffer_bytes: usize,
    runs: Vec<Run<T>>,
    heap: BinaryHeap<Reverse<(T, usize)>>,
}

#[derive(Debug)]
struct Run<T> {
    /// What has not been read yet.
    bytes: Range<u64>,
    /// What has been read, last item first.
    buffer: Vec<T>,
}

impl<T: Spill> Sorted<T> {
    fn new(file: File, path: PathBuf, runs: Vec<Range<u64>>, buffer_bytes: usize) -> Self {
        let runs = runs.into_iter().map(|bytes| Run {
            bytes,
            buffer: Vec::new(),
        });
        Self {
            file: Some(file),
            path,
            buffer_bytes,
            runs: runs.collect(),
            heap: BinaryHeap::new(),
        }
    }

    /// Puts the first item of each run on the heap.
    fn begin(mut self) -> Result<Self, Error> {
        for index in 0..self.runs.len() {
            self.advance(index)?;
        }
        Ok(self)
    }

    pub(crate) fn next(&mut self) -> Result<Option<T>, Error> {
        let Some(Reverse((item, run))) = self.heap.pop() else {
            return Ok(None);
        };
        self.advance(run)?;
        Ok(Some(item))
    }

    /// Puts the next item of a run on the heap.
    fn advance(&mut self, index: usize) -> Result<(), Error> {
        let Some(run) = self.runs.get_mut(index) else {
            return Ok(());
        };
        if run.buffer.is_empty()
            && !run.bytes.is_empty()
            && let Some(file) = &mut self.file
        {
            run.fill(file, &self.path, self.buffer_bytes)?;
        }
        if let Some(item) = run.buffer.pop() {
            self.heap.push(Reverse((item, index)));
        }
        Ok(())
    }
}

impl<T: Spill> Run<T> {
    /// Reads so many bytes, which is one item at least.
    fn fill(&mut self, file: &mut File, path: &Path, bytes: usize) -> Result<(), Error> {
        let failed = |source| Error::io("read", path, source);
        let length = (self.bytes.end - self.bytes.start).min(bytes as u64);
        let mut read = vec![0; length as usize];
        file.seek(SeekFrom::Start(self.bytes.start))
            .and_then(|_| file.read_exact(&mut read))
            .map_err(failed)?;
        let mut rest = read.as_slice();
        while let Some(item) = T::decode(&mut rest) {
            self.buffer.push(item);
        }
        if self.buffer.is_empty() {
            return Err(failed(std::io::ErrorKind::InvalidData.into()));
        }
        self.buffer.reverse();
        self.bytes.start += length - rest.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    #[track_caller]
    fn check<T: Item + Clone + Debug>(count: u64, capacity: usize, item: impl Fn(u64) -> T) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spill").join("keys");
        let memory = Sorting {
            items: capacity * size_of::<T>(),
            reading: 8 << 20,
        };
        check_in(memory, &path, (0..count).map(item).collect());
    }

    /// Items come back in order, and no more of what was put aside is held than there is memory for;
    /// gives the length of the file.
    #[track_caller]
    fn check_in<T: Item + Clone + Debug>(memory: Sorting, path: &Path, mut expect: Vec<T>) -> u64 {
        let mut sorter = Sorter::new(Disk::new(None), path.to_owned(), memory);
        for entry in &expect {
            sorter.push(entry.clone()).unwrap();
        }
        expect.sort_unstable();
        let mut sorted = sorter.sorted().unwrap();
        let own = |items: &[T]| -> usize {
            let bytes = items.iter().map(|item| {
                let mut bytes = Vec::new();
                item.encode(&mut bytes);
                bytes.len()
            });
            bytes.sum()
        };
        let mut found = Vec::new();
        loop {
            let (_, runs) = sorted.runs.split_last().unwrap();
            // Looked at now and then: each run holds what it has read, and one item waits for it.
            if found.len() % 997 == 0 {
                let waiting = own(expect.get(..1).unwrap_or_default()) * runs.len();
                let held: usize = runs.iter().map(|run| own(&run.buffer)).sum();
                assert!(
                    held + waiting <= memory.reading,
                    "{} runs: {held}",
                    runs.len()
                );
            }
            match sorted.next().unwrap() {
                Some(entry) => found.push(entry),
                None => break,
            }
        }
        assert_eq!(found, expect);
        std::fs::metadata(path).map_or(0, |file| file.len())
    }

    #[test]
    fn many_runs_are_merged_in_passes_that_memory_suffices_for() {
        #[track_caller]
        fn check(count: u64, length: usize, memory: Sorting, most_copies: u64) {
            let folder = tempfile::tempdir().unwrap();
            let item = |number: u64| {
                let hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                let position = Position::new(0, number).unwrap();
                Ranked::new((hash, number), vec![number as u8; length], number, position)
            };
            let bytes = count * (40 + length as u64);
            let path = folder.path().join("keys");
            let written = check_in(memory, &path, (0..count).map(item).collect());
            assert!(written <= bytes * most_copies, "{written} of {bytes}");
        }
        let memory = |items, reading| Sorting { items, reading };
        // Some 800 runs of small items: 16 at once, so three passes at most.
        check(20_000, 100, memory(4_000, 64 << 10), 3);
        // Items longer than what would be read of a run: few at once.
        check(2_000, 10_000, memory(20_000, 256 << 10), 4);
        // Memory for hardly two of them.
        check(100, 10_000, memory(10_000, 41 << 10), 7);
        // One run more than are merged at once: only two of them are written again.
        let runs = 17 * 16;
        check(runs, 960, memory(17_000, 96 << 10), 2);
    }

    #[test]
    fn spilled_entries_come_back_in_order() {
        for (count, capacity, distinct) in [
            (0, 10, 1),
            (10, 10, 100),
            (11, 10, 100),
            (20_000, 9_000, 7),
            (10_000, 10, 100),
        ] {
            let key = |number: u64| {
                let hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % distinct;
                (hash, number % 3)
            };
            let position = |number| Position::new((number % 5) as usize, number).unwrap();
            check(count, capacity, |number| {
                Entry::new(key(number), Vec::new(), 0, position(number))
            });
            check(count, capacity, |number| {
                // One in a thousand is longer than a buffer.
                let length = if number % 1000 == 7 { 200_000 } else { 5 };
                let rank = vec![(number % 11) as u8; length];
                Ranked::new(key(number), rank, number, position(number))
            });
        }
    }

    #[test]
    fn positions_keep_file_and_row() {
        let position = Position::new(16_777_215, (1 << 40) - 1).unwrap();
        assert_eq!(
            (position.file(), position.row()),
            (16_777_215, (1 << 40) - 1)
        );
        assert!(Position::new(1 << 24, 0).is_err());
        assert!(Position::new(0, 1 << 40).is_err());
    }
}
