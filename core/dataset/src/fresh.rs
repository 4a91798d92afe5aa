//! The rows of a small load, kept in memory to take the places of the rows that they update.

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;

use crate::Error;
use crate::sorter::Position;

/// The rows of a load by their place in its files, as long as there are few.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    batches: Vec<(Position, RecordBatch)>,
    /// The memory that they may still take.
    spare_bytes: usize,
    is_too_much: bool,
}

/// A row of an existing file, and that of the load which takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Update {
    pub(crate) row: Position,
    pub(crate) by: Position,
}

impl Fresh {
    pub(crate) fn new(most_bytes: usize) -> Self {
        Self {
            spare_bytes: most_bytes,
            ..Self::default()
        }
    }

    /// Takes in rows that begin at this place, in order.
    pub(crate) fn push(&mut self, position: Position, batch: RecordBatch) {
        let bytes = batch.get_array_memory_size() + batch.num_rows() * size_of::<Update>();
        self.is_too_much |= bytes > self.spare_bytes;
        if self.is_too_much {
            self.batches = Vec::new();
        } else if batch.num_rows() > 0 {
            self.spare_bytes -= bytes;
            self.batches.push((position, batch));
        }
    }

    /// Whether it has all rows of the load.
    pub(crate) fn is_whole(&self) -> bool {
        !self.is_too_much
    }

    /// Where these columns are among those of the rows.
    pub(crate) fn columns(&self, names: &[&str]) -> Vec<usize> {
        let schema = self.batches.first().map(|(_, batch)| batch.schema_ref());
        let fields = schema.into_iter().flat_map(|schema| schema.fields());
        let fields = fields.enumerate();
        fields
            .filter(|(_, field)| names.contains(&field.name().as_str()))
            .map(|(index, _)| index)
            .collect()
    }

    /// The rows that take the places of others, in the order of these; all columns or some.
    pub(crate) fn rows(
        &self,
        updates: &[Update],
        columns: Option<&[usize]>,
    ) -> Result<RecordBatch, Error> {
        let mut batches: Vec<&RecordBatch> = Vec::new();
        let mut places = Vec::with_capacity(updates.len());
        let mut indices = vec![None; self.batches.len()];
        for update in updates {
            let end = self
                .batches
                .partition_point(|(first, _)| *first <= update.by);
            let batch = end.checked_sub(1).and_then(|index| self.batches.get(index));
            let (Some((first, batch)), Some(index)) = (batch, indices.get_mut(end.wrapping_sub(1)))
            else {
                return Err(Error::new(
                    crate::ErrorKind::Internal,
                    "a row of the load is not where it was",
                ));
            };
            let number = *index.get_or_insert_with(|| {
                batches.push(batch);
                batches.len() - 1
            });
            places.push((number, (update.by.row() - first.row()) as usize));
        }
        let batches = batches.into_iter().map(|batch| match columns {
            Some(columns) => batch.project(columns),
            None => Ok(batch.clone()),
        });
        let batches: Vec<RecordBatch> = batches.collect::<Result<_, _>>().map_err(Error::arrow)?;
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        interleave_record_batch(&batches, &places).map_err(Error::arrow)
    }
}

/// The updates of one file; all of them are in order.
pub(crate) fn of_file(updates: &[Update], file: usize) -> &[Update] {
    let start = updates.partition_point(|update| update.row.file() < file);
    let end = updates.partition_point(|update| update.row.file() <= file);
    updates.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn some_columns_of_rows_are_found_by_their_places() {
        let batch = |first: i64| {
            let column = |by: i64| -> ArrayRef {
                Arc::new(Int64Array::from_iter_values(
                    (first..first + 3).map(|row| row * by),
                ))
            };
            let columns = ["a", "b", "c"].into_iter().zip([1, 10, 100].map(column));
            RecordBatch::try_from_iter(columns).unwrap()
        };
        let mut fresh = Fresh::new(1 << 20);
        assert_eq!(fresh.columns(&["a"]), [0; 0]);
        let at = |row| Position::new(0, row).unwrap();
        fresh.push(at(0), batch(0));
        fresh.push(at(3), batch(3));
        let updates = [4, 0, 2].map(|row| Update {
            row: at(9),
            by: at(row),
        });
        let columns = fresh.columns(&["c", "a", "none"]);
        assert_eq!(columns, [0, 2]);
        let found = fresh.rows(&updates, Some(&columns)).unwrap();
        let values = |index: usize| found.column(index).as_primitive::<Int64Type>().values();
        assert_eq!(found.num_columns(), 2);
        assert_eq!(values(0), &[4, 0, 2]);
        assert_eq!(values(1), &[400, 0, 200]);
        assert_eq!(fresh.rows(&updates, None).unwrap().num_columns(), 3);
    }
}
