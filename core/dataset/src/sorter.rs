//! Sorts in bounded memory, spilling sorted runs to one file: key hashes with their positions, and
//! whole rows.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
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

/// Collects items.
#[derive(Debug)]
pub(crate) struct Sorter<T> {
    disk: Disk,
    path: PathBuf,
    memory: Sorting,
    items: Vec<T>,
    bytes: usize,
    file: Option<NewFile>,
    /// The lengths in bytes of the runs in the file.
    runs: Vec<u64>,
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
            file: None,
            runs: Vec::new(),
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
        let failed = |source| Error::io("write", &self.path, source);
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                if let Some(parent) = self.path.parent() {
                    self.disk.create_directory(parent)?;
                }
                self.file
                    .insert(self.disk.create_file(&self.path)?.without_hash())
            }
        };
        let mut length = 0;
        let mut bytes = Vec::new();
        for chunk in self.items.chunks(4096) {
            bytes.clear();
            for item in chunk {
                item.encode(&mut bytes);
            }
            file.write_all(&bytes).map_err(failed)?;
            length += bytes.len() as u64;
        }
        self.runs.push(length);
        self.items.clear();
        self.bytes = 0;
        Ok(())
    }

    /// All items in order.
    pub(crate) fn sorted(mut self) -> Result<Sorted<T>, Error> {
        self.items.sort_unstable();
        let buffer_bytes = (self.memory.reading / self.runs.len().max(1)).clamp(1 << 11, 96 << 10);
        let mut offset = 0;
        let mut runs: Vec<Run<T>> = Vec::with_capacity(self.runs.len() + 1);
        for length in &self.runs {
            runs.push(Run {
                offset,
                left: *length,
                buffer: Vec::new(),
            });
            offset += length;
        }
        // The last run never left memory.
        self.items.reverse();
        runs.push(Run {
            offset,
            left: 0,
            buffer: self.items,
        });
        let mut sorted = Sorted {
            file: self.file.map(NewFile::into_file),
            path: self.path,
            buffer_bytes,
            runs,
            heap: BinaryHeap::new(),
        };
        for index in 0..sorted.runs.len() {
            sorted.advance(index)?;
        }
        Ok(sorted)
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
    offset: u64,
    /// Bytes not yet read.
    left: u64,
    /// What has been read, last item first.
    buffer: Vec<T>,
}

impl<T: Spill> Sorted<T> {
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
            && run.left > 0
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
    /// Reads about so many bytes, one item at least.
    fn fill(&mut self, file: &mut File, path: &Path, bytes: usize) -> Result<(), Error> {
        let failed = |source| Error::io("read", path, source);
        let mut bytes = bytes as u64;
        loop {
            let length = self.left.min(bytes);
            let mut read = vec![0; length as usize];
            file.seek(SeekFrom::Start(self.offset))
                .and_then(|_| file.read_exact(&mut read))
                .map_err(failed)?;
            let mut rest = read.as_slice();
            while let Some(item) = T::decode(&mut rest) {
                self.buffer.push(item);
            }
            let taken = length - rest.len() as u64;
            if taken > 0 {
                self.buffer.reverse();
                self.offset += taken;
                self.left -= taken;
                return Ok(());
            }
            if length == self.left {
                return Err(failed(std::io::ErrorKind::InvalidData.into()));
            }
            // An item longer than the buffer.
            bytes *= 4;
        }
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
        let mut sorter = Sorter::new(Disk::new(None), path, memory);
        let mut expect: Vec<T> = (0..count).map(item).collect();
        for entry in &expect {
            sorter.push(entry.clone()).unwrap();
        }
        expect.sort_unstable();
        let mut sorted = sorter.sorted().unwrap();
        let mut found = Vec::new();
        while let Some(entry) = sorted.next().unwrap() {
            found.push(entry);
        }
        assert_eq!(found, expect);
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
