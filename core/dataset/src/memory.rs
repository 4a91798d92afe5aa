//! What a load takes of the memory that it may have.

use std::path::PathBuf;

use crate::disk::Disk;
use crate::sorter::{Item, Sorter};
use crate::writer::WriterOptions;

/// The least that a load gets along with, in bytes: 4 MiB.
const LEAST: usize = 4 << 20;

/// The parts of a load's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// For rows that take the places of others.
    pub(crate) updates: usize,
    /// For an open row group, which may take twice as much.
    pub(crate) row_group: usize,
    /// For keys that wait to be sorted, those of the load and those of the dataset each.
    pub(crate) sorting: usize,
    /// For reading sorted keys back, again each.
    pub(crate) merging: usize,
    /// For telling most keys that are not in the load.
    pub(crate) filter: usize,
}

impl Memory {
    /// From 128 MiB on, all that the options ask for.
    pub(crate) fn of(options: &WriterOptions) -> Self {
        let whole = options.memory_bytes.max(LEAST);
        Self {
            updates: options.update_bytes.min(whole / 2),
            row_group: options.row_group_bytes.min(whole / 8),
            sorting: (6 << 20).min(whole / 16),
            merging: (8 << 20).min(whole / 16),
            filter: (4 << 20).min(whole / 32),
        }
    }
}

/// Where a load puts what its memory does not hold.
#[derive(Clone, Debug)]
pub(crate) struct Spill {
    pub(crate) disk: Disk,
    /// Made when something goes there.
    pub(crate) folder: PathBuf,
    pub(crate) memory: Memory,
}

impl Spill {
    /// A sorter whose file has this name.
    pub(crate) fn sorter<T: Item>(&self, name: &str) -> Sorter<T> {
        Sorter::new(self.disk.clone(), self.folder.join(name), self.memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(memory_mib: usize, expect: [usize; 5]) {
        let options = WriterOptions {
            memory_bytes: memory_mib << 20,
            ..WriterOptions::default()
        };
        let memory = Memory::of(&options);
        let parts = [
            memory.updates,
            memory.row_group,
            memory.sorting,
            memory.merging,
            memory.filter,
        ];
        assert_eq!(parts.map(|part| part >> 10), expect);
        let whole = memory.updates
            + 2 * (memory.row_group + memory.sorting + memory.merging)
            + memory.filter;
        assert!(whole <= memory_mib << 20, "{whole}");
    }

    #[test]
    fn the_parts_are_no_more_than_the_whole() {
        check(512, [64 << 10, 16 << 10, 6 << 10, 8 << 10, 4 << 10]);
        check(128, [64 << 10, 16 << 10, 6 << 10, 8 << 10, 4 << 10]);
        check(32, [16 << 10, 4 << 10, 2 << 10, 2 << 10, 1 << 10]);
        check(4, [2 << 10, 512, 256, 256, 128]);
    }
}
