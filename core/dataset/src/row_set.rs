//! Sets of rows.

use std::ops::Range;

use crate::sorter::Position;

/// Some rows of a file; one bit each.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowSet {
    words: Vec<u64>,
    count: u64,
}

impl RowSet {
    /// Puts a row in; true when it was not in it.
    fn insert(&mut self, row: u64) -> bool {
        let (word, bit) = ((row / 64) as usize, 1 << (row % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let Some(word) = self.words.get_mut(word) else {
            return false;
        };
        let is_new = *word & bit == 0;
        *word |= bit;
        self.count += u64::from(is_new);
        is_new
    }

    /// Takes a row out.
    fn remove(&mut self, row: u64) {
        let (index, bit) = ((row / 64) as usize, 1 << (row % 64));
        if let Some(word) = self.words.get_mut(index) {
            self.count -= u64::from(*word & bit != 0);
            *word &= !bit;
        }
    }

    pub(crate) fn contains(&self, row: u64) -> bool {
        let word = self.words.get((row / 64) as usize).copied().unwrap_or(0);
        word >> (row % 64) & 1 == 1
    }

    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// How many rows of a range are in it.
    pub(crate) fn count_in(&self, rows: Range<u64>) -> u64 {
        let (first, last) = (rows.start / 64, rows.end / 64);
        let words = (first..=last).map(|number| {
            let mut word = self.words.get(number as usize).copied().unwrap_or(0);
            if number == first {
                word &= u64::MAX << (rows.start % 64);
            }
            if number == last {
                word &= !(u64::MAX << (rows.end % 64));
            }
            u64::from(word.count_ones())
        });
        words.sum()
    }
}

/// Takes a row out of the set of its file.
pub(crate) fn remove(files: &mut [RowSet], position: Position) {
    if let Some(rows) = files.get_mut(position.file()) {
        rows.remove(position.row());
    }
}

/// Puts a row into the set of its file; true when it was not in it.
pub(crate) fn insert(files: &mut Vec<RowSet>, position: Position) -> bool {
    let file = position.file();
    if files.len() <= file {
        files.resize_with(file + 1, RowSet::default);
    }
    files
        .get_mut(file)
        .is_some_and(|rows| rows.insert(position.row()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_within_a_range() {
        #[track_caller]
        fn check(rows: &[u64], range: Range<u64>) {
            let mut set = RowSet::default();
            for row in rows {
                assert!(set.insert(*row) && !set.insert(*row) && set.contains(*row));
            }
            let expect = rows.iter().filter(|row| range.contains(row)).count();
            assert_eq!(set.count_in(range.clone()), expect as u64, "{range:?}");
            assert_eq!(set.len(), rows.len() as u64);
        }
        let rows = [0, 1, 62, 63, 64, 65, 127, 128, 200];
        for start in [0, 1, 2, 63, 64, 65, 128, 201] {
            for end in [start, start + 1, start + 63, start + 64, start + 65, 500] {
                check(&rows, start..end);
            }
        }
    }
}
