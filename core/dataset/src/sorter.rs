//! Sorts key hashes with their positions in bounded memory, spilling sorted runs to one file.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::disk::{Disk, NewFile};
use crate::key::KeyHash;

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

/// The bytes of an entry on disk.
const ENTRY_BYTES: usize = 24;
/// The entries kept in memory: 6 MiB.
const CAPACITY: usize = 256 * 1024;
/// The memory for reading spilled runs back, shared by all of them.
const READ_BYTES: usize = 8 << 20;

/// Collects entries.
#[derive(Debug)]
pub(crate) struct Sorter {
    disk: Disk,
    path: PathBuf,
    capacity: usize,
    entries: Vec<Entry>,
    file: Option<NewFile>,
    /// The lengths in entries of the runs in the file.
    runs: Vec<u64>,
}

impl Sorter {
    /// `path` is a file that does not exist yet; it is created when memory does not suffice.
    pub(crate) fn new(disk: Disk, path: PathBuf) -> Self {
        Self::with_capacity(disk, path, CAPACITY)
    }

    fn with_capacity(disk: Disk, path: PathBuf, capacity: usize) -> Self {
        Self {
            disk,
            path,
            capacity,
            entries: Vec::new(),
            file: None,
            runs: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, entry: Entry) -> Result<(), Error> {
        if self.entries.len() >= self.capacity {
            self.spill()?;
        }
        self.entries.push(entry);
        Ok(())
    }

    fn spill(&mut self) -> Result<(), Error> {
        self.entries.sort_unstable();
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
        let mut bytes = Vec::with_capacity(ENTRY_BYTES * 4096);
        for chunk in self.entries.chunks(4096) {
            bytes.clear();
            for entry in chunk {
                bytes.extend_from_slice(&entry.key.0.to_le_bytes());
                bytes.extend_from_slice(&entry.key.1.to_le_bytes());
                bytes.extend_from_slice(&entry.position.0.to_le_bytes());
            }
            file.write_all(&bytes).map_err(failed)?;
        }
        self.runs.push(self.entries.len() as u64);
        self.entries.clear();
        Ok(())
    }

    /// All entries in order.
    pub(crate) fn sorted(mut self) -> Result<Sorted, Error> {
        self.entries.sort_unstable();
        let buffer_entries = (READ_BYTES / ENTRY_BYTES / self.runs.len().max(1)).clamp(64, 4096);
        let mut offset = 0;
        let mut runs: Vec<Run> = Vec::with_capacity(self.runs.len() + 1);
        for length in &self.runs {
            runs.push(Run {
                offset,
                left: *length,
                buffer: Vec::new(),
            });
            offset += length * ENTRY_BYTES as u64;
        }
        // The last run never left memory.
        self.entries.reverse();
        runs.push(Run {
            offset,
            left: 0,
            buffer: self.entries,
        });
        let mut sorted = Sorted {
            file: self.file.map(NewFile::into_file),
            path: self.path,
            buffer_entries,
            runs,
            heap: BinaryHeap::new(),
        };
        for index in 0..sorted.runs.len() {
            sorted.advance(index)?;
        }
        Ok(sorted)
    }
}

/// Entries in order.
#[derive(Debug)]
pub(crate) struct Sorted {
    file: Option<File>,
    path: PathBuf,
    buffer_entries: usize,
    runs: Vec<Run>,
    heap: BinaryHeap<Reverse<(Entry, usize)>>,
}

#[derive(Debug)]
struct Run {
    offset: u64,
    left: u64,
    /// What has been read, last entry first.
    buffer: Vec<Entry>,
}

impl Sorted {
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Error> {
        let Some(Reverse((entry, run))) = self.heap.pop() else {
            return Ok(None);
        };
        self.advance(run)?;
        Ok(Some(entry))
    }

    /// Puts the next entry of a run on the heap.
    fn advance(&mut self, index: usize) -> Result<(), Error> {
        let Some(run) = self.runs.get_mut(index) else {
            return Ok(());
        };
        if run.buffer.is_empty()
            && run.left > 0
            && let Some(file) = &mut self.file
        {
            run.fill(file, &self.path, self.buffer_entries)?;
        }
        if let Some(entry) = run.buffer.pop() {
            self.heap.push(Reverse((entry, index)));
        }
        Ok(())
    }
}

impl Run {
    fn fill(&mut self, file: &mut File, path: &Path, entries: usize) -> Result<(), Error> {
        let count = self.left.min(entries as u64);
        let mut bytes = vec![0; count as usize * ENTRY_BYTES];
        file.seek(SeekFrom::Start(self.offset))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|source| Error::io("read", path, source))?;
        let (entries, _) = bytes.as_chunks::<ENTRY_BYTES>();
        self.buffer.extend(entries.iter().rev().map(|entry| {
            let (words, _) = entry.as_chunks::<8>();
            let word = |index: usize| words.get(index).copied().map_or(0, u64::from_le_bytes);
            Entry {
                key: (word(0), word(1)),
                position: Position(word(2)),
            }
        }));
        self.offset += bytes.len() as u64;
        self.left -= count;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spilled_entries_come_back_in_order() {
        #[track_caller]
        fn check(count: u64, capacity: usize, distinct: u64) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("spill").join("keys");
            let mut sorter = Sorter::with_capacity(Disk::new(None), path, capacity);
            let mut expect: Vec<Entry> = (0..count)
                .map(|number| Entry {
                    key: (
                        number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % distinct,
                        number % 3,
                    ),
                    position: Position::new((number % 5) as usize, number).unwrap(),
                })
                .collect();
            for entry in &expect {
                sorter.push(*entry).unwrap();
            }
            expect.sort_unstable();
            let mut sorted = sorter.sorted().unwrap();
            let mut found = Vec::new();
            while let Some(entry) = sorted.next().unwrap() {
                found.push(entry);
            }
            assert_eq!(found, expect);
        }
        check(0, 10, 1);
        check(10, 10, 100);
        check(11, 10, 100);
        check(20_000, 9_000, 7);
        check(10_000, 10, 100);
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
