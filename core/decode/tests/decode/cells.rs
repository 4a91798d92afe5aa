//! Values of any type, to compare batches with what they should hold.

use arrow::array::{Array, AsArray as _, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use connector_plan::{Field, FieldType};

/// A value of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Boolean(bool),
    Integer(i64),
    /// The bits of a double: -0 is not 0.
    Number(u64),
    Text(String),
    Micros(i64),
    Days(i32),
    Decimal(i128),
    Object(Vec<Self>),
    List(Vec<Self>),
}

/// A record: the cells of its fields, and what was rescued, by path.
pub type Row = (Vec<Cell>, Vec<(String, String)>);

/// The rows of a batch.
pub fn rows(batch: &RecordBatch) -> Vec<Vec<Cell>> {
    (0..batch.num_rows())
        .map(|row| {
            let columns = batch.columns().iter();
            columns.map(|column| cell(column.as_ref(), row)).collect()
        })
        .collect()
}

fn cell(array: &dyn Array, row: usize) -> Cell {
    if array.is_null(row) {
        return Cell::Null;
    }
    match array.data_type() {
        DataType::Boolean => Cell::Boolean(array.as_boolean().value(row)),
        DataType::Int64 => Cell::Integer(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Cell::Number(array.as_primitive::<Float64Type>().value(row).to_bits()),
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::Timestamp(..) => {
            Cell::Micros(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Date32 => Cell::Days(array.as_primitive::<Date32Type>().value(row)),
        DataType::Decimal128(..) => {
            Cell::Decimal(array.as_primitive::<Decimal128Type>().value(row))
        }
        DataType::Struct(_) => {
            let columns = array.as_struct().columns().iter();
            Cell::Object(columns.map(|column| cell(column.as_ref(), row)).collect())
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let count = items.len();
            Cell::List((0..count).map(|item| cell(items.as_ref(), item)).collect())
        }
        other => panic!("no column has the type {other}"),
    }
}

/// A nullable field.
pub fn field(name: &str, field_type: FieldType) -> Field {
    Field {
        name: name.to_owned(),
        field_type,
        nullable: true,
        description: String::new(),
    }
}

/// A field that must have a value.
pub fn key(name: &str, field_type: FieldType) -> Field {
    Field {
        nullable: false,
        ..field(name, field_type)
    }
}
