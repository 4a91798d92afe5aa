//! The columns of the shape, as somebody who knows it would declare them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::Schema;

use crate::Result;

/// As many as there are fields.
pub const FIELDS: usize = 12;

/// The columns; the shape has no nulls.
#[derive(Default)]
pub struct Columns {
    pub id: Text,
    pub number: Vec<i64>,
    pub name: Text,
    pub owner: Text,
    pub status: Text,
    pub path: Text,
    pub size: Vec<i64>,
    pub score: Vec<f64>,
    pub latitude: Vec<f64>,
    pub shared: Vec<bool>,
    pub created_at: Vec<i64>,
    pub updated_at: Vec<i64>,
}

#[derive(Default)]
pub struct Text {
    pub values: Vec<u8>,
    ends: Vec<i32>,
}

impl Text {
    /// A text ends where the values end.
    #[inline]
    pub fn end(&mut self) {
        self.ends.push(self.values.len() as i32);
    }

    fn take(&mut self) -> Result<ArrayRef> {
        let (values, ends) = (renewed(&mut self.values), renewed(&mut self.ends));
        let offsets: Vec<i32> = std::iter::once(0).chain(ends).collect();
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Ok(Arc::new(StringArray::try_new(
            offsets,
            Buffer::from_vec(values),
            None,
        )?))
    }
}

impl Columns {
    pub fn rows(&self) -> usize {
        self.number.len()
    }

    pub fn take(&mut self, schema: &Schema) -> Result<RecordBatch> {
        let integers =
            |values: &mut Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(renewed(values))) };
        let numbers =
            |values: &mut Vec<f64>| -> ArrayRef { Arc::new(Float64Array::from(renewed(values))) };
        let instants = |values: &mut Vec<i64>| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from(renewed(values)).with_timezone("UTC"))
        };
        let columns: [ArrayRef; FIELDS] = [
            self.id.take()?,
            integers(&mut self.number),
            self.name.take()?,
            self.owner.take()?,
            self.status.take()?,
            self.path.take()?,
            integers(&mut self.size),
            numbers(&mut self.score),
            numbers(&mut self.latitude),
            Arc::new(BooleanArray::from(renewed(&mut self.shared))),
            instants(&mut self.created_at),
            instants(&mut self.updated_at),
        ];
        let schema = schema.project(&(0..FIELDS).collect::<Vec<_>>())?;
        Ok(RecordBatch::try_new(Arc::new(schema), columns.to_vec())?)
    }
}

/// An empty vector for as many values as the last batch had.
fn renewed<T>(values: &mut Vec<T>) -> Vec<T> {
    let next = Vec::with_capacity(values.len() + values.len() / 8);
    std::mem::replace(values, next)
}
