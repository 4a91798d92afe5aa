//! Typed records: views of Arrow rows by column index.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StructArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};

use crate::{Error, ErrorKind, Result};

/// An instant, exact to the microsecond.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
/// A calendar date.
pub type Date = chrono::NaiveDate;
/// Any JSON value.
pub type Json = serde_json::Value;

/// An exact decimal number: `unscaled × 10^-scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// All digits as one integer.
    pub unscaled: i128,
    /// The digits behind the point.
    pub scale: i8,
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scale = usize::try_from(self.scale).unwrap_or(0);
        let digits = format!(
            "{:0>width$}",
            self.unscaled.unsigned_abs(),
            width = scale + 1
        );
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let sign = if self.unscaled < 0 { "-" } else { "" };
        if scale == 0 {
            write!(f, "{sign}{whole}")
        } else {
            write!(f, "{sign}{whole}.{fraction}")
        }
    }
}

/// A record type that codegen made: it reads itself from a row by column index.
pub trait Record: Sized + Send + 'static {
    /// Reads the record.
    ///
    /// # Errors
    /// When the row's columns are not those of the spec that the type was generated from.
    fn from_row(row: &Row<'_>) -> Result<Self>;
}

/// One row of a batch, or one value of a struct column.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    columns: &'a [Arc<dyn Array>],
    index: usize,
}

impl<'a> Row<'a> {
    /// The row of a batch.
    #[must_use]
    pub fn new(batch: &'a RecordBatch, index: usize) -> Self {
        Self {
            columns: batch.columns(),
            index,
        }
    }

    fn of_struct(array: &'a StructArray, index: usize) -> Self {
        Self {
            columns: array.columns(),
            index,
        }
    }

    /// Reads the value of a column.
    ///
    /// # Errors
    /// When there is no such column, its type is another one, or it is null and `T` is not an
    /// `Option`.
    pub fn get<T: FromCell>(&self, column: usize) -> Result<T> {
        let array = self.columns.get(column).ok_or_else(|| {
            mismatch(format!(
                "the row has {} columns, not {}",
                self.columns.len(),
                column + 1
            ))
        })?;
        T::from_cell(Cell {
            array: array.as_ref(),
            index: self.index,
        })
        .map_err(|error| error.with("column", column))
    }
}

/// One value of a column.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    array: &'a dyn Array,
    index: usize,
}

/// A type that can be read from a column.
pub trait FromCell: Sized {
    /// Reads the value.
    ///
    /// # Errors
    /// When the column has another type, or the value is null and the type cannot be.
    fn from_cell(cell: Cell<'_>) -> Result<Self>;
}

impl<T: Record> FromCell for T {
    fn from_cell(cell: Cell<'_>) -> Result<Self> {
        let array = cell.require(cell.array.as_struct_opt(), "a struct")?;
        Self::from_row(&Row::of_struct(array, cell.index))
    }
}

impl<T: FromCell> FromCell for Option<T> {
    fn from_cell(cell: Cell<'_>) -> Result<Self> {
        if cell.array.is_null(cell.index) {
            Ok(None)
        } else {
            T::from_cell(cell).map(Some)
        }
    }
}

impl<T: FromCell> FromCell for Vec<T> {
    fn from_cell(cell: Cell<'_>) -> Result<Self> {
        let items = cell
            .require(cell.array.as_list_opt::<i32>(), "a list")?
            .value(cell.index);
        (0..items.len())
            .map(|index| {
                T::from_cell(Cell {
                    array: items.as_ref(),
                    index,
                })
            })
            .collect()
    }
}

impl FromCell for String {
    fn from_cell(cell: Cell<'_>) -> Result<Self> {
        Ok(cell
            .require(cell.array.as_string_opt::<i32>(), "text")?
            .value(cell.index)
            .to_owned())
    }
}

impl FromCell for i64 {
    fn from_cell(cell: Cell<'_>) -> Result<Self> {
        let array = cell.array.as_primitive_opt::<Int64Type>();
        Ok(cell.require(array, "a 64-bit integer")?.value(cell.index))
    }
}

impl FromCell for f64 {
    fn from_cell(cell: Cell<'_>) -> Result<Self> {
        let array = cell.array.as_primitive_opt::<Float64Type>();
        Ok(cell.require(array, "a double")?.value(cell.index))
    }
}

impl FromCell for bool {
    fn from_cell(cell: Cell<'_>) -> Result<Self> {
        Ok(cell
            .require(cell.array.as_boolean_opt(), "a boolean")?
            .value(cell.index))
    }
}

impl FromCell for Timestamp {
    fn from_cell(cell: Cell<'_>) -> Result<Self> {
        let array = match cell.array.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                cell.array.as_primitive_opt::<TimestampMicrosecondType>()
            }
            _ => None,
        };
        let micros = cell
            .require(array, "a timestamp in microseconds")?
            .value(cell.index);
        Self::from_timestamp_micros(micros)
            .ok_or_else(|| mismatch(format!("{micros} µs is no instant of the calendar")))
    }
}

impl FromCell for Date {
    fn from_cell(cell: Cell<'_>) -> Result<Self> {
        let days = cell
            .require(cell.array.as_primitive_opt::<Date32Type>(), "a date")?
            .value(cell.index);
        Self::from_epoch_days(days)
            .ok_or_else(|| mismatch(format!("{days} days is no date of the calendar")))
    }
}

impl FromCell for Decimal {
    fn from_cell(cell: Cell<'_>) -> Result<Self> {
        let array = cell.require(cell.array.as_primitive_opt::<Decimal128Type>(), "a decimal")?;
        Ok(Self {
            unscaled: array.value(cell.index),
            scale: array.scale(),
        })
    }
}

/// A record of a resource without a schema: its members by name, as the API sent them.
///
/// Numbers that neither 64-bit integers nor doubles hold exactly are the nearest doubles. A record
/// that is no object is the member `value`.
pub type JsonObject = serde_json::Map<String, Json>;

impl Record for JsonObject {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(match row.get::<Json>(0)? {
            Json::Object(members) => members,
            other => Self::from_iter([("value".to_owned(), other)]),
        })
    }
}

impl FromCell for Json {
    fn from_cell(cell: Cell<'_>) -> Result<Self> {
        let text = cell
            .require(cell.array.as_string_opt::<i32>(), "JSON text")?
            .value(cell.index);
        serde_json::from_str(text)
            .map_err(|error| mismatch("the text is not JSON").caused_by(error))
    }
}

impl<'a> Cell<'a> {
    pub(crate) fn new(array: &'a dyn Array, index: usize) -> Self {
        Self { array, index }
    }

    /// The downcast array, when the value in it is not null.
    fn require<A: ?Sized>(&self, array: Option<&'a A>, expected: &str) -> Result<&'a A> {
        let array = array.ok_or_else(|| {
            mismatch(format!(
                "expected {expected}, the column is {}",
                self.array.data_type()
            ))
        })?;
        if self.array.is_null(self.index) {
            return Err(mismatch(format!("expected {expected}, the value is null")));
        }
        Ok(array)
    }
}

fn mismatch(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Internal, message)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, ListArray, StringArray};
    use arrow::datatypes::{Field, Int64Type, Schema};

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Owner {
        name: Option<String>,
    }

    impl Record for Owner {
        fn from_row(row: &Row<'_>) -> Result<Self> {
            Ok(Self { name: row.get(0)? })
        }
    }

    fn batch() -> RecordBatch {
        let names: Arc<dyn Array> = Arc::new(StringArray::from(vec![Some("ada"), None]));
        let owner = StructArray::from(vec![(
            Arc::new(Field::new("name", DataType::Utf8, true)),
            Arc::clone(&names),
        )]);
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
            Some(vec![Some(1), None]),
            None,
        ]);
        let columns: Vec<(&str, Arc<dyn Array>)> = vec![
            ("id", Arc::new(Int64Array::from(vec![7, 8]))),
            ("owner", Arc::new(owner)),
            ("tags", Arc::new(list)),
            ("name", names),
        ];
        let schema = Schema::new(
            columns
                .iter()
                .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
                .collect::<Vec<_>>(),
        );
        RecordBatch::try_new(
            Arc::new(schema),
            columns.into_iter().map(|(_, array)| array).collect(),
        )
        .unwrap()
    }

    #[test]
    fn values_are_read_by_column_index() -> Result<()> {
        let batch = batch();
        let row = Row::new(&batch, 0);
        assert_eq!(row.get::<i64>(0)?, 7);
        assert_eq!(
            row.get::<Owner>(1)?,
            Owner {
                name: Some("ada".into())
            }
        );
        assert_eq!(row.get::<Vec<Option<i64>>>(2)?, [Some(1), None]);
        assert_eq!(
            Row::new(&batch, 1).get::<Option<Vec<Option<i64>>>>(2)?,
            None
        );
        assert_eq!(Row::new(&batch, 1).get::<Option<String>>(3)?, None);
        Ok(())
    }

    #[test]
    fn a_wrong_type_null_or_index_is_an_error() {
        let batch = batch();
        let row = Row::new(&batch, 1);
        let text = |error: Error| error.to_string();
        assert_eq!(
            text(row.get::<bool>(0).unwrap_err()),
            "expected a boolean, the column is Int64 (column: 0)"
        );
        assert_eq!(
            text(row.get::<String>(3).unwrap_err()),
            "expected text, the value is null (column: 3)"
        );
        assert_eq!(
            text(row.get::<i64>(9).unwrap_err()),
            "the row has 4 columns, not 10"
        );
    }

    #[test]
    fn decimals_print_exactly() {
        let text = |unscaled, scale| Decimal { unscaled, scale }.to_string();
        assert_eq!(text(-5, 2), "-0.05");
        assert_eq!(text(12_345, 2), "123.45");
        assert_eq!(text(7, 0), "7");
    }
}
