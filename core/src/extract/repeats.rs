//! Records that come at the end of a page and again at the beginning of the next: the source has
//! grown in between, and pages that are counted have moved.

use arrow::array::{Array, ArrayRef, RecordBatch};
use connector_plan::{Paginator, Resource};

/// So many records at the end of a page are compared with the first of the next: as many may have
/// been put in front of it meanwhile.
const LOOKED_AT: usize = 16;

/// Looks for them, in batches of several pages.
#[derive(Debug)]
pub(super) struct Repeats<'a> {
    key: &'a [String],
    /// Where pages begin in the batch to come.
    begins: Vec<usize>,
    /// The keys at the end of the last batch.
    before: Vec<ArrayRef>,
    told: bool,
}

impl<'a> Repeats<'a> {
    /// Nothing where pages are not counted, or records have no key.
    pub(super) fn new(resource: &'a Resource) -> Option<Self> {
        let counted = matches!(
            resource.endpoint.paginator,
            Paginator::Offset(_) | Paginator::PageNumber(_)
        );
        (counted && !resource.primary_key.is_empty() && !resource.inferred).then(|| Self {
            key: &resource.primary_key,
            begins: Vec::new(),
            before: Vec::new(),
            told: false,
        })
    }

    /// A page begins behind so many rows of the batch to come.
    pub(super) fn page(&mut self, rows: usize) {
        self.begins.push(rows);
    }

    /// Looks at a batch; gives what a person should know, once.
    pub(super) fn batch(&mut self, batch: &RecordBatch) -> Option<String> {
        let begins = std::mem::take(&mut self.begins);
        let column = |name: &String| batch.column_by_name(name).cloned();
        let keys: Option<Vec<ArrayRef>> = self.key.iter().map(column).collect();
        let keys = keys.filter(|_| !self.told && batch.num_rows() > 0)?;
        let repeats = begins.iter().any(|begin| match begin {
            0 => repeats(
                &self.before,
                self.before.first().map_or(0, Array::len),
                &keys,
                0,
            ),
            begin => repeats(&keys, *begin, &keys, *begin),
        });
        let rows = batch.num_rows();
        let end = rows.saturating_sub(LOOKED_AT);
        self.before = keys.iter().map(|key| key.slice(end, rows - end)).collect();
        self.told = repeats;
        repeats.then(|| {
            "the source changed while it was read: a record at the end of a page came again at the \
             beginning of the next one; others may be missing or have come twice"
                .to_owned()
        })
    }
}

/// Whether one of the rows before `end` has the key of `row`.
fn repeats(before: &[ArrayRef], end: usize, keys: &[ArrayRef], row: usize) -> bool {
    let is_same = |at: usize| {
        before.iter().zip(keys).all(|(before, key)| {
            row < key.len() && !key.is_null(row) && before.slice(at, 1) == key.slice(row, 1)
        })
    };
    (end.saturating_sub(LOOKED_AT)..end).any(is_same)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    /// Batches of pages with these keys; which of them tells of a repetition.
    #[track_caller]
    fn check(batches: &[&[&[i64]]], expect: &[bool]) {
        let key = ["id".to_owned(), "kind".to_owned()];
        let mut repeats = Repeats {
            key: &key,
            begins: Vec::new(),
            before: Vec::new(),
            told: false,
        };
        let mut told = Vec::new();
        for pages in batches {
            let mut ids = Vec::new();
            for page in *pages {
                repeats.page(ids.len());
                ids.extend_from_slice(page);
            }
            let kinds: Vec<String> = ids.iter().map(|id| format!("kind {}", id % 2)).collect();
            let columns: [(&str, ArrayRef); 2] = [
                ("id", Arc::new(Int64Array::from(ids))),
                ("kind", Arc::new(StringArray::from(kinds))),
            ];
            let batch = RecordBatch::try_from_iter(columns).unwrap();
            told.push(repeats.batch(&batch).is_some());
        }
        assert_eq!(told, expect);
    }

    #[test]
    fn a_record_that_comes_again_behind_a_page_is_told_once() {
        check(&[&[&[1, 2, 3], &[4, 5]], &[&[6, 7]]], &[false, false]);
        check(
            &[&[&[1, 2, 3], &[3, 4], &[4, 5]], &[&[5, 6]]],
            &[true, false],
        );
        // Three were put in front.
        check(&[&[&[1, 2, 3, 4], &[2, 3, 4, 5]]], &[true]);
        check(
            &[&[&[1, 2, 3]], &[&[2, 3, 4]], &[&[4, 5]]],
            &[false, true, false],
        );
        // An API may give a record twice in a page.
        check(&[&[&[1, 1, 2, 3]], &[&[4, 4]]], &[false, false]);
        check(&[&[&[]], &[&[1]]], &[false, false]);
    }
}
