//! Where the keys of a load lie, as a bounded number of ranges: tells most row groups without any of
//! them by their statistics.

use arrow::array::RecordBatch;

use crate::Error;
use crate::key::{Bound, codes, column, extremes};

/// The most ranges kept of a column; with more, those next to each other become one.
const MOST_RANGES: usize = 1024;
/// Beyond so many rows the values of a batch are one range.
const SINGLE_ROWS: usize = 1 << 20;

/// The ranges of each column of a load's keys.
#[derive(Debug, Default)]
pub(crate) struct KeyRanges {
    columns: Vec<Ranges>,
    rows: usize,
}

impl KeyRanges {
    /// Takes in the keys of a batch.
    pub(crate) fn extend(&mut self, batch: &RecordBatch, names: &[String]) -> Result<(), Error> {
        self.columns.resize_with(names.len(), Ranges::default);
        self.rows += batch.num_rows();
        for (name, ranges) in names.iter().zip(&mut self.columns) {
            let array = column(batch, name)?;
            if array.null_count() == array.len() {
                continue;
            }
            if self.rows <= SINGLE_ROWS
                && let Some(codes) = codes(array)
            {
                codes.into_iter().for_each(|code| ranges.push(code, code));
            } else if let Some((low, high)) = extremes(array) {
                ranges.push(low.code(), high.code());
            } else {
                ranges.push(0, u128::MAX);
            }
        }
        Ok(())
    }

    /// Whether rows whose column at `index` of the key lies in `other` may have keys of the load.
    pub(crate) fn may_meet(&mut self, index: usize, other: Option<&(Bound, Bound)>) -> bool {
        match (self.columns.get_mut(index), other) {
            (Some(ranges), Some((low, high))) => ranges.may_meet(low.code(), high.code()),
            (None, _) => self.rows > 0,
            (Some(ranges), None) => !ranges.ranges.is_empty(),
        }
    }
}

/// Ranges of numbers, both ends included.
#[derive(Debug, Default)]
struct Ranges {
    ranges: Vec<(u128, u128)>,
    is_sorted: bool,
}

impl Ranges {
    fn push(&mut self, low: u128, high: u128) {
        if let Some((start, end)) = self.ranges.last_mut()
            && *start <= low
            && low <= end.saturating_add(1)
        {
            *end = high.max(*end);
            return;
        }
        self.is_sorted = false;
        self.ranges.push((low, high));
        if self.ranges.len() >= 16 * MOST_RANGES {
            self.settle();
        }
    }

    /// Sorts the ranges, and closes the smallest gaps between them.
    fn settle(&mut self) {
        self.ranges.sort_unstable();
        self.close_gaps(0);
        if self.ranges.len() > MOST_RANGES {
            let pairs = self.ranges.windows(2);
            let mut gaps: Vec<u128> = pairs
                .map(|pair| match pair {
                    [(_, end), (start, _)] => start - end,
                    _ => 0,
                })
                .collect();
            let rank = gaps.len() - (MOST_RANGES - 1);
            let (_, largest, _) = gaps.select_nth_unstable(rank.saturating_sub(1));
            let largest = *largest;
            self.close_gaps(largest);
        }
        self.is_sorted = true;
    }

    /// Makes one of sorted ranges that overlap, touch or are no further apart than this.
    fn close_gaps(&mut self, gap: u128) {
        self.ranges.dedup_by(|next, range| {
            let joins = next.0 <= range.1.saturating_add(gap.max(1));
            if joins {
                range.1 = range.1.max(next.1);
            }
            joins
        });
    }

    fn may_meet(&mut self, low: u128, high: u128) -> bool {
        if !self.is_sorted {
            self.settle();
        }
        let next = self.ranges.partition_point(|(_, end)| *end < low);
        self.ranges
            .get(next)
            .is_some_and(|(start, _)| *start <= high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_range() {
        #[track_caller]
        fn check(values: &[u128], most: usize) {
            let mut ranges = Ranges::default();
            values.iter().for_each(|value| ranges.push(*value, *value));
            for value in values {
                assert!(ranges.may_meet(*value, *value), "{value}");
                assert!(ranges.may_meet(0, u128::MAX));
            }
            assert!(ranges.ranges.len() <= most, "{}", ranges.ranges.len());
            assert!(ranges.ranges.is_sorted_by(|one, two| one.1 < two.0));
        }
        check(&[7, 5, 6, 5, 8], 1);
        check(&[7, u128::MAX, 0, u128::MAX - 1], 3);
        let scramble = |n: u128| n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        check(&(0..100_000).map(scramble).collect::<Vec<_>>(), MOST_RANGES);
        check(&(0..40_000).map(|n| n * 3).collect::<Vec<_>>(), MOST_RANGES);
        check(&(0..40_000).rev().collect::<Vec<_>>(), 1);
    }

    #[test]
    fn wide_gaps_stay_open() {
        let mut ranges = Ranges::default();
        for cluster in 0..10 {
            for n in 0..9000 {
                let value = (cluster << 64) + n * 2;
                ranges.push(value, value);
            }
        }
        assert!(!ranges.may_meet((3 << 64) + 20_000, (4 << 64) - 1));
        assert!(ranges.may_meet((3 << 64) + 20_000, 4 << 64));
        let mut none = Ranges::default();
        assert!(!none.may_meet(0, u128::MAX));
    }
}
