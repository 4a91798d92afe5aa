//! Bloom filters: which columns get one, and which row groups they rule out.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, make_comparator};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use parquet::basic::{BoundaryOrder, Type};
use parquet::bloom_filter::Sbbf;
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::metadata::ParquetMetaData;

use crate::Error;
use crate::key::column;
use crate::part::Part;

/// The most keys of a load that bloom filters are asked for: with more, one of them is taken for
/// present in almost every row group, and the answer is of no use.
const MOST_KEYS: usize = 1000;
/// How often a bloom filter takes a key for present that is not there.
pub(crate) const FALSE_POSITIVES: f64 = 0.001;

/// The keys of a small load, as bloom filters know values.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    /// One entry per row: a value per column of the key, `None` where filters do not help.
    rows: Vec<Vec<Option<Value>>>,
    is_too_many: bool,
}

/// A value as Parquet stores it.
#[derive(Clone, Debug)]
enum Value {
    Int32(i32),
    Int64(i64),
    Bytes(ByteArray),
}

impl Value {
    fn physical_type(&self) -> Type {
        match self {
            Self::Int32(_) => Type::INT32,
            Self::Int64(_) => Type::INT64,
            Self::Bytes(_) => Type::BYTE_ARRAY,
        }
    }

    fn is_in(&self, filter: &Sbbf) -> bool {
        match self {
            Self::Int32(value) => filter.check(value),
            Self::Int64(value) => filter.check(value),
            Self::Bytes(value) => filter.check(value),
        }
    }
}

impl Probes {
    /// Takes in the keys of a batch.
    pub(crate) fn extend(
        &mut self,
        batch: &RecordBatch,
        names: &[String],
    ) -> std::result::Result<(), Error> {
        self.is_too_many |= self.rows.len() + batch.num_rows() > MOST_KEYS;
        if self.is_too_many {
            self.rows = Vec::new();
            return Ok(());
        }
        let mut rows = vec![Vec::with_capacity(names.len()); batch.num_rows()];
        for name in names {
            let values = values(column(batch, name)?);
            for (index, row) in rows.iter_mut().enumerate() {
                row.push(values.get(index).cloned().flatten());
            }
        }
        self.rows.append(&mut rows);
        Ok(())
    }

    /// Whether a row group may hold one of the keys, whose columns are those at `columns`.
    pub(crate) fn may_meet(
        &self,
        file: &Part,
        metadata: &ParquetMetaData,
        group: usize,
        columns: &[usize],
    ) -> Result<bool> {
        if self.is_too_many {
            return Ok(true);
        }
        let mut filters = Vec::with_capacity(columns.len());
        for column in columns {
            let chunk = metadata.row_group(group).column(*column);
            filters.push((
                Sbbf::read_from_column_chunk(chunk, file)?,
                chunk.column_type(),
            ));
        }
        let may_hold = |row: &Vec<Option<Value>>| {
            row.iter()
                .zip(&filters)
                .all(|(value, (filter, physical_type))| match (value, filter) {
                    (Some(value), Some(filter)) if value.physical_type() == *physical_type => {
                        value.is_in(filter)
                    }
                    _ => true,
                })
        };
        Ok(self.rows.iter().any(may_hold))
    }
}

/// The values of a column; empty for types that get no filter.
fn values(array: &ArrayRef) -> Vec<Option<Value>> {
    let narrow = |array: &ArrayRef| {
        let array = cast(array, &DataType::Int32).ok();
        let values = array.iter().flat_map(AsArray::as_primitive::<Int32Type>);
        values.map(|value| value.map(Value::Int32)).collect()
    };
    let wide = |array: &ArrayRef| {
        let array = cast(array, &DataType::Int64).ok();
        let values = array.iter().flat_map(AsArray::as_primitive::<Int64Type>);
        values.map(|value| value.map(Value::Int64)).collect()
    };
    let bytes = |value: &[u8]| Value::Bytes(ByteArray::from(value.to_vec()));
    match array.data_type() {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::UInt8
        | DataType::UInt16
        | DataType::Date32 => narrow(array),
        DataType::Int64 | DataType::Timestamp(..) => wide(array),
        DataType::Utf8 => {
            let values = array.as_string::<i32>().iter();
            values
                .map(|value| value.map(|text| bytes(text.as_bytes())))
                .collect()
        }
        DataType::Binary => {
            let values = array.as_binary::<i32>().iter();
            values.map(|value| value.map(bytes)).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a column of a key may get a filter.
pub(crate) fn is_useful_for(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::UInt8
            | DataType::UInt16
            | DataType::Date32
            | DataType::Int64
            | DataType::Timestamp(..)
            | DataType::Utf8
            | DataType::Binary
    )
}

/// Whether the rows come in no order of this column, so that statistics rule out little: one in
/// twenty is smaller, and one in twenty larger than the one before it.
pub(crate) fn is_unordered(arrays: &[ArrayRef]) -> bool {
    let (mut pairs, mut smaller, mut larger) = (0, 0, 0);
    for array in arrays {
        let Ok(compare) = make_comparator(array, array, SortOptions::default()) else {
            return false;
        };
        for row in 1..array.len() {
            let order = compare(row - 1, row);
            pairs += 1;
            smaller += usize::from(order.is_gt());
            larger += usize::from(order.is_lt());
        }
    }
    smaller.min(larger) * 20 > pairs
}

/// Whether the pages of a column are in no order; `None` when there are too few to tell.
pub(crate) fn has_unordered_pages(column: &ColumnCloseResult) -> Option<bool> {
    let pages = column.offset_index.as_ref()?.page_locations.len();
    let order = column.column_index.as_ref()?.get_boundary_order()?;
    (pages > 1).then_some(order == BoundaryOrder::UNORDERED)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn order_is_seen_in_a_sample() {
        #[track_caller]
        fn check(values: impl Iterator<Item = i64>, expect: bool) {
            let values: Vec<i64> = values.collect();
            let texts = values.iter().map(|value| format!("{value:020}"));
            let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
            let integers: ArrayRef = Arc::new(Int64Array::from(values));
            assert_eq!(is_unordered(&[integers]), expect);
            assert_eq!(is_unordered(&[texts]), expect);
        }
        check(0..1000, false);
        check((0..1000).rev(), false);
        check((0..1000).map(|n| n / 7), false);
        // A few stragglers.
        check((0..1000).map(|n| if n % 50 == 0 { 0 } else { n }), false);
        check((0..1000).map(|n| n * 7919 % 1009), true);
        check(0..1, false);
    }
}
