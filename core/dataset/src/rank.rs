//! Values as bytes that order as the values do.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, Schema};
use connector_plan::{DedupSort, SortOrder};

use crate::Error;

/// Decides between rows with the same key by the values of a column.
#[derive(Debug)]
pub(crate) struct Ranking {
    column: String,
    lowest_wins: bool,
    /// Whether the winner comes first in the order of the bytes, and not last.
    first_wins: bool,
}

impl Ranking {
    /// # Errors
    /// When there is no such column, or its values have no order.
    pub(crate) fn new(schema: &Schema, sort: &DedupSort, first_wins: bool) -> Result<Self, Error> {
        let column = &sort.column;
        let (_, field) = schema.column_with_name(column).ok_or_else(|| {
            Error::configuration(format!(
                "the `dedup_sort` `{column}` is not a column of the resource"
            ))
        })?;
        if field.data_type().is_nested() || *field.data_type() == DataType::Binary {
            return Err(Error::configuration(format!(
                "the `dedup_sort` `{column}` has values without an order"
            )));
        }
        Ok(Self {
            column: column.clone(),
            lowest_wins: sort.order == SortOrder::Asc,
            first_wins,
        })
    }

    /// The ranks of a batch.
    pub(crate) fn of(&self, batch: &RecordBatch) -> Result<Ranks<'_>, Error> {
        let array = batch.column_by_name(&self.column).ok_or_else(|| {
            Error::schema(format!(
                "the data has no column `{}`, which decides between duplicates",
                self.column
            ))
        })?;
        Ok(Ranks {
            ranking: self,
            values: Values::new(array)?,
            array: array.clone(),
        })
    }
}

/// The ranks of a batch's rows.
#[derive(Debug)]
pub(crate) struct Ranks<'a> {
    ranking: &'a Ranking,
    values: Values,
    array: ArrayRef,
}

impl Ranks<'_> {
    /// Of two rows of one key, the one with the greater bytes wins, or with the lesser where the
    /// first wins.
    pub(crate) fn get(&self, row: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(17);
        let is_null = self.array.is_null(row);
        // Null never wins over a value.
        bytes.push(u8::from(!is_null));
        if !is_null {
            self.values.append(row, &mut bytes);
            if self.ranking.lowest_wins {
                invert(bytes.get_mut(1..).unwrap_or_default());
            }
        }
        if self.ranking.first_wins {
            invert(&mut bytes);
        }
        bytes
    }
}

fn invert(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = !*byte;
    }
}

#[derive(Debug)]
enum Values {
    Integer(Int64Array),
    Wide(Decimal128Array),
    Float(Float64Array),
    Boolean(BooleanArray),
    Text(StringArray),
}

impl Values {
    fn new(array: &ArrayRef) -> Result<Self, Error> {
        let to = |data_type| cast(array, &data_type).map_err(Error::arrow);
        Ok(match array.data_type() {
            DataType::Utf8 => Self::Text(array.as_string().clone()),
            DataType::Boolean => Self::Boolean(array.as_boolean().clone()),
            DataType::Decimal128(..) => Self::Wide(array.as_primitive::<Decimal128Type>().clone()),
            DataType::UInt64 => {
                let wide = to(DataType::Decimal128(20, 0))?;
                Self::Wide(wide.as_primitive::<Decimal128Type>().clone())
            }
            DataType::Float32 | DataType::Float64 => {
                let doubles = to(DataType::Float64)?;
                Self::Float(doubles.as_primitive::<Float64Type>().clone())
            }
            DataType::Date32 => {
                let days = to(DataType::Int32)?;
                let days = cast(&days, &DataType::Int64).map_err(Error::arrow)?;
                Self::Integer(days.as_primitive::<Int64Type>().clone())
            }
            _ => Self::Integer(to(DataType::Int64)?.as_primitive::<Int64Type>().clone()),
        })
    }

    fn append(&self, row: usize, bytes: &mut Vec<u8>) {
        // Without its sign's meaning a number orders as its bytes do, the highest first.
        match self {
            Self::Integer(array) => {
                let value = (array.value(row) as u64) ^ (1 << 63);
                bytes.extend_from_slice(&value.to_be_bytes());
            }
            Self::Wide(array) => {
                let value = (array.value(row) as u128) ^ (1 << 127);
                bytes.extend_from_slice(&value.to_be_bytes());
            }
            Self::Float(array) => {
                // Both zeros are one value.
                let bits = (array.value(row) + 0.0).to_bits();
                let bits = if bits >> 63 == 1 {
                    !bits
                } else {
                    bits | 1 << 63
                };
                bytes.extend_from_slice(&bits.to_be_bytes());
            }
            Self::Boolean(array) => bytes.push(u8::from(array.value(row))),
            Self::Text(array) => {
                // With an end that is below all that may follow, the order also holds turned around.
                for byte in array.value(row).bytes() {
                    bytes.push(byte);
                    if byte == 0 {
                        bytes.push(0xFF);
                    }
                }
                bytes.extend_from_slice(&[0, 0]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, TimestampMicrosecondArray};

    use super::*;

    /// The values ascend from row to row, a null first.
    #[track_caller]
    fn check(array: ArrayRef) {
        assert!(array.is_null(0));
        let batch = RecordBatch::try_from_iter_with_nullable([("a", array, true)]).unwrap();
        for (order, first_wins) in [
            (SortOrder::Desc, false),
            (SortOrder::Asc, false),
            (SortOrder::Desc, true),
            (SortOrder::Asc, true),
        ] {
            let sort = DedupSort {
                column: "a".to_owned(),
                order,
            };
            let ranking = Ranking::new(&batch.schema(), &sort, first_wins).unwrap();
            let ranks = ranking.of(&batch).unwrap();
            let mut rows: Vec<usize> = (0..batch.num_rows()).collect();
            rows.sort_by_key(|row| ranks.get(*row));
            if first_wins {
                rows.reverse();
            }
            if order == SortOrder::Asc {
                rows[1..].reverse();
            }
            let expect: Vec<usize> = (0..batch.num_rows()).collect();
            assert_eq!(rows, expect, "{order:?} {first_wins}");
        }
    }

    #[test]
    fn bytes_order_as_values() {
        check(Arc::new(Int64Array::from(vec![
            None,
            Some(i64::MIN),
            Some(-1),
            Some(0),
            Some(256),
            Some(i64::MAX),
        ])));
        check(Arc::new(Float64Array::from(vec![
            None,
            Some(f64::NEG_INFINITY),
            Some(-1.5),
            Some(-1e-300),
            Some(0.0),
            Some(1e-300),
            Some(2.0),
            Some(1e300),
        ])));
        check(Arc::new(BooleanArray::from(vec![
            None,
            Some(false),
            Some(true),
        ])));
        check(Arc::new(StringArray::from(vec![
            None,
            Some(""),
            Some("\0"),
            Some("\0\0"),
            Some("\0a"),
            Some("a"),
            Some("a\0"),
            Some("aa"),
            Some("b"),
            Some("\u{10FFFF}"),
        ])));
        check(Arc::new(Date32Array::from(vec![None, Some(-2), Some(3)])));
        check(Arc::new(TimestampMicrosecondArray::from(vec![
            None,
            Some(-2),
            Some(3),
            Some(1 << 60),
        ])));
        let decimals = Decimal128Array::from(vec![
            None,
            Some(-(10_i128.pow(37))),
            Some(-1),
            Some(0),
            Some(10_i128.pow(37)),
        ]);
        check(Arc::new(decimals.with_precision_and_scale(38, 2).unwrap()));
    }
}
