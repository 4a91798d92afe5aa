//! What a load takes of the memory that it may have.

use std::path::PathBuf;

use crate::disk::Disk;
use crate::sorter::{Sorter, Spill};
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
    /// For keys, those of the load and those of the dataset each.
    pub(crate) keys: Sorting,
    /// For rows that are brought into an order, when nobody looks at keys any more.
    pub(crate) rows: Sorting,
    /// For telling most keys that are not in the load.
    pub(crate) filter: usize,
}

/// What is sorted in memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sorting {
    /// For items that wait to be sorted; with more they are sorted and put aside.
    pub(crate) items: usize,
    /// For reading back what was put aside.
    pub(crate) reading: usize,
}

impl Memory {
    /// From 160 MiB on, all that the options ask for.
    pub(crate) fn of(options: &WriterOptions) -> Self {
        let whole = options.memory_bytes.max(LEAST);
        Self {
            updates: options.update_bytes.min(whole / 2),
            row_group: options.row_group_bytes.min(whole / 8),
            keys: Sorting {
                items: (6 << 20).min(whole / 20),
                reading: (8 << 20).min(whole / 20),
            },
            rows: Sorting {
                items: (64 << 20).min(whole / 8),
                reading: (8 << 20).min(whole / 16),
            },
            filter: (4 << 20).min(whole / 32),
        }
    }
}

/// Where a load puts what its memory does not hold.
#[derive(Clone, Debug)]
pub(crate) struct Scratch {
    pub(crate) disk: Disk,
    /// Made when something goes there.
    pub(crate) folder: PathBuf,
    pub(crate) memory: Memory,
}

impl Scratch {
    /// A sorter of keys whose file has this name.
    pub(crate) fn keys<T: Spill>(&self, name: &str) -> Sorter<T> {
        Sorter::new(self.disk.clone(), self.folder.join(name), self.memory.keys)
    }

    /// A sorter of rows.
    pub(crate) fn rows<T: Spill>(&self) -> Sorter<T> {
        Sorter::new(
            self.disk.clone(),
            self.folder.join("rows"),
            self.memory.rows,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(memory_mib: usize, expect: [usize; 6]) {
        let options = WriterOptions {
            memory_bytes: memory_mib << 20,
            ..WriterOptions::default()
        };
        let memory = Memory::of(&options);
        let (keys, rows) = (memory.keys, memory.rows);
        let parts = [
            memory.updates,
            memory.row_group,
            keys.items,
            keys.reading,
            memory.filter,
            rows.items,
        ];
        assert_eq!(parts.map(|part| part >> 10), expect);
        let always = memory.updates + 2 * memory.row_group;
        let comparing = always + 2 * (keys.items + keys.reading) + memory.filter;
        let arranging = always + rows.items + rows.reading;
        assert!(comparing <= memory_mib << 20, "{comparing}");
        assert!(arranging <= memory_mib << 20, "{arranging}");
    }

    #[test]
    fn the_parts_are_no_more_than_the_whole() {
        let all = [64 << 10, 16 << 10, 6 << 10, 8 << 10, 4 << 10];
        check(512, [all[0], all[1], all[2], all[3], all[4], 64 << 10]);
        check(256, [all[0], all[1], all[2], all[3], all[4], 32 << 10]);
        check(32, [16 << 10, 4 << 10, 1638, 1638, 1 << 10, 4 << 10]);
        check(4, [2 << 10, 512, 204, 204, 128, 512]);
    }
}
