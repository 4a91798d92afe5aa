//! A hash of a row's values that is the same in every run and version of this program.
//!
//! It is the SHA-256 of the row's canonical form, cut to 128 bits: the columns by name without those
//! that are null, objects likewise, numbers by value whatever their type. So a new column without a
//! value changes no hash, and neither does a number whose type becomes wider.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int64Array,
    ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Fields, TimeUnit};
use sha2::{Digest as _, Sha256};

use crate::Error;

/// The hashes of a batch's rows, in lower-case hexadecimal.
///
/// The column of rescued values is part of them like any other: what an API changes beside the
/// declared fields makes a new version too, so that nothing it sent is lost.
pub(crate) fn row_hashes(batch: &RecordBatch) -> Result<StringArray, Error> {
    let columns = Columns::new(batch.schema_ref().fields(), batch.columns())?;
    let mut bytes = Vec::new();
    let mut hashes = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        bytes.clear();
        columns.append(row, &mut bytes);
        let digest = Sha256::digest(&bytes);
        let half = digest.iter().take(16);
        let text: String = half
            .flat_map(|byte| [byte >> 4, byte & 15])
            .filter_map(|digit| char::from_digit(digit.into(), 16))
            .collect();
        hashes.push(text);
    }
    Ok(StringArray::from(hashes))
}

/// Named columns, by name.
struct Columns(Vec<(String, Column)>);

impl Columns {
    fn new(fields: &Fields, arrays: &[ArrayRef]) -> Result<Self, Error> {
        let mut columns = Vec::with_capacity(fields.len());
        for (field, array) in fields.iter().zip(arrays) {
            columns.push((field.name().clone(), Column::new(array)?));
        }
        columns.sort_by(|one, two| one.0.cmp(&two.0));
        Ok(Self(columns))
    }

    fn append(&self, row: usize, bytes: &mut Vec<u8>) {
        for (name, column) in &self.0 {
            if !column.array.is_null(row) {
                sized(b'k', name.as_bytes(), bytes);
                column.append(row, bytes);
            }
        }
    }
}

struct Column {
    array: ArrayRef,
    values: Values,
}

enum Values {
    Boolean(BooleanArray),
    Integer(Int64Array),
    Wide(Decimal128Array),
    Float(Float64Array),
    Text(StringArray),
    Binary(BinaryArray),
    Date(Int64Array),
    Timestamp(TimestampMicrosecondArray),
    Object(Columns),
    List(ListArray, Box<Column>),
}

impl Column {
    fn new(array: &ArrayRef) -> Result<Self, Error> {
        let to = |data_type| cast(array, &data_type).map_err(Error::arrow);
        let values = match array.data_type() {
            DataType::Boolean => Values::Boolean(array.as_boolean().clone()),
            DataType::Utf8 => Values::Text(array.as_string().clone()),
            DataType::Binary => Values::Binary(array.as_binary().clone()),
            DataType::Decimal128(..) => Values::Wide(array.as_primitive().clone()),
            DataType::UInt64 => {
                Values::Wide(to(DataType::Decimal128(20, 0))?.as_primitive().clone())
            }
            DataType::Float32 | DataType::Float64 => {
                Values::Float(to(DataType::Float64)?.as_primitive().clone())
            }
            DataType::Date32 => {
                let days = to(DataType::Int32)?;
                let days = cast(&days, &DataType::Int64).map_err(Error::arrow)?;
                Values::Date(days.as_primitive().clone())
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Values::Timestamp(array.as_primitive().clone())
            }
            DataType::Struct(fields) => {
                Values::Object(Columns::new(fields, array.as_struct().columns())?)
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>().clone();
                let items = Self::new(list.values())?;
                Values::List(list, Box::new(items))
            }
            _ => Values::Integer(to(DataType::Int64)?.as_primitive().clone()),
        };
        Ok(Self {
            array: array.clone(),
            values,
        })
    }

    /// Each value says its kind, and its length or its end: different rows never run together.
    fn append(&self, row: usize, bytes: &mut Vec<u8>) {
        match &self.values {
            Values::Boolean(array) => bytes.extend_from_slice(&[b'b', u8::from(array.value(row))]),
            Values::Integer(array) => number(&array.value(row).to_string(), bytes),
            Values::Float(array) => number(&(array.value(row) + 0.0).to_string(), bytes),
            Values::Wide(array) => {
                let text = array.value_as_string(row);
                let shortest = match text.split_once('.') {
                    None => text.as_str(),
                    Some(_) => text.trim_end_matches('0').trim_end_matches('.'),
                };
                number(shortest, bytes);
            }
            Values::Text(array) => sized(b't', array.value(row).as_bytes(), bytes),
            Values::Binary(array) => sized(b'x', array.value(row), bytes),
            Values::Date(array) => {
                bytes.push(b'd');
                bytes.extend_from_slice(&array.value(row).to_le_bytes());
            }
            Values::Timestamp(array) => {
                bytes.push(b's');
                bytes.extend_from_slice(&array.value(row).to_le_bytes());
            }
            Values::Object(columns) => {
                bytes.push(b'{');
                columns.append(row, bytes);
                bytes.push(b'}');
            }
            Values::List(list, items) => {
                bytes.push(b'[');
                let offsets = list.value_offsets();
                let at = |index: usize| offsets.get(index).copied().unwrap_or(0);
                for item in at(row)..at(row + 1) {
                    let item = usize::try_from(item).unwrap_or(0);
                    if items.array.is_null(item) {
                        bytes.push(b'0');
                    } else {
                        items.append(item, bytes);
                    }
                }
                bytes.push(b']');
            }
        }
    }
}

fn number(text: &str, bytes: &mut Vec<u8>) {
    let text = if text == "-0" { "0" } else { text };
    sized(b'n', text.as_bytes(), bytes);
}

fn sized(kind: u8, value: &[u8], bytes: &mut Vec<u8>) {
    bytes.push(kind);
    bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    bytes.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, StructArray, new_null_array};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Field;

    use super::*;

    fn hash(columns: Vec<(&str, ArrayRef)>) -> String {
        let columns = columns.into_iter().map(|(name, array)| (name, array, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        row_hashes(&batch).unwrap().value(0).to_owned()
    }

    fn integer(value: i64) -> ArrayRef {
        Arc::new(Int64Array::from(vec![value]))
    }

    fn text(value: &str) -> ArrayRef {
        Arc::new(StringArray::from(vec![value]))
    }

    fn decimal(value: i128, scale: i8) -> ArrayRef {
        let array = Decimal128Array::from(vec![value]);
        Arc::new(array.with_precision_and_scale(20, scale).unwrap())
    }

    fn object(fields: Vec<(&str, ArrayRef)>) -> ArrayRef {
        let fields = fields.into_iter().map(|(name, array)| {
            let field = Field::new(name, array.data_type().clone(), true);
            (Arc::new(field), array)
        });
        Arc::new(StructArray::from(fields.collect::<Vec<_>>()))
    }

    fn list(items: ArrayRef) -> ArrayRef {
        let field = Arc::new(Field::new("element", items.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths([items.len()]);
        Arc::new(ListArray::try_new(field, offsets, items, None).unwrap())
    }

    #[test]
    fn the_hash_of_a_row_never_changes() {
        // Whoever changes these makes a new version of every row of everybody's datasets.
        assert_eq!(hash(vec![("id", integer(7)), ("name", text("a"))]), KNOWN);
        assert_eq!(
            hash(vec![
                ("tags", list(text("x"))),
                ("at", Arc::new(TimestampMicrosecondArray::from(vec![5]))),
                ("on", Arc::new(BooleanArray::from(vec![true]))),
                ("day", Arc::new(Date32Array::from(vec![3]))),
                ("of", object(vec![("b", decimal(150, 2))])),
                ("raw", Arc::new(BinaryArray::from(vec![b"y".as_slice()]))),
            ]),
            KNOWN_NESTED
        );
    }

    const KNOWN: &str = "3915d92c3ce4c67eb93c4cc85331adb2";
    const KNOWN_NESTED: &str = "6bf73bcc6f8d38a202f4dff255552bf7";

    #[test]
    fn equal_rows_have_equal_hashes() {
        #[track_caller]
        fn check(one: Vec<(&str, ArrayRef)>, two: Vec<(&str, ArrayRef)>) {
            assert_eq!(hash(one), hash(two));
        }
        let null = |data_type| new_null_array(&data_type, 1);
        check(
            vec![("a", integer(1)), ("b", text("x"))],
            vec![("b", text("x")), ("a", integer(1))],
        );
        check(
            vec![("a", integer(1))],
            vec![("a", integer(1)), ("b", null(DataType::Utf8))],
        );
        check(
            vec![("a", object(vec![("b", integer(1))]))],
            vec![(
                "a",
                object(vec![("c", null(DataType::Utf8)), ("b", integer(1))]),
            )],
        );
        check(
            vec![("a", integer(3))],
            vec![("a", Arc::new(Float64Array::from(vec![3.0])))],
        );
        check(vec![("a", integer(3))], vec![("a", decimal(300, 2))]);
        check(vec![("a", integer(0))], vec![("a", decimal(0, 2))]);
        check(
            vec![("a", integer(0))],
            vec![("a", Arc::new(Float64Array::from(vec![-0.0])))],
        );
        check(
            vec![("a", decimal(25, 1))],
            vec![("a", Arc::new(Float64Array::from(vec![2.5])))],
        );
    }

    #[test]
    fn different_rows_have_different_hashes() {
        let null = new_null_array(&DataType::Utf8, 1);
        let rows: Vec<Vec<(&str, ArrayRef)>> = vec![
            vec![("a", integer(1))],
            vec![("a", integer(10))],
            vec![("a", integer(100))],
            vec![("a", decimal(1, 1))],
            vec![("a", text("1"))],
            vec![("b", integer(1))],
            vec![("a", Arc::new(BooleanArray::from(vec![true])))],
            vec![("a", Arc::new(Date32Array::from(vec![1])))],
            vec![("a", Arc::new(TimestampMicrosecondArray::from(vec![1])))],
            vec![("a", list(integer(1)))],
            vec![("a", object(vec![("a", integer(1))]))],
            vec![("a", object(vec![("a", null.clone())]))],
            vec![("a", list(null.clone()))],
            vec![("a", integer(1)), ("_rescued", text("{}"))],
            vec![("a", integer(1)), ("_rescued", text(r#"{"b":1}"#))],
            vec![("a", list(null.slice(0, 0)))],
            vec![("a", null)],
            vec![("a", text("x")), ("b", text("y"))],
            vec![("a", text("xy")), ("b", text(""))],
            vec![("a", Arc::new(BinaryArray::from(vec![b"1".as_slice()])))],
        ];
        let count = rows.len();
        let hashes: std::collections::HashSet<String> = rows.into_iter().map(hash).collect();
        assert_eq!(hashes.len(), count);
    }
}
