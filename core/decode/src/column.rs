//! A column under construction: what any type of field does with a value.

mod boolean;
mod list;
mod object;
mod primitive;
mod text;
mod validity;

use arrow::array::ArrayRef;
use connector_plan::{Contract, FieldType};

pub(crate) use object::ObjectColumn;
pub(crate) use text::TextColumn;

use crate::error::Error;
use crate::place::Place;
use crate::rescue::Rescue;
use crate::tokens::Tokens;
use boolean::BooleanColumn;
use list::ListColumn;
use primitive::{DateColumn, DecimalColumn, IntegerColumn, NumberColumn, TimestampColumn};

/// A column under construction.
#[derive(Debug)]
pub(crate) enum Column {
    Boolean(BooleanColumn),
    Integer(IntegerColumn),
    Number(NumberColumn),
    Text(TextColumn),
    Timestamp(TimestampColumn),
    Date(DateColumn),
    Decimal(DecimalColumn),
    Json(TextColumn),
    Object(Box<ObjectColumn>),
    List(Box<ListColumn>),
}

impl Column {
    /// An empty column, below which at most `levels` of objects and lists may be.
    pub(crate) fn new(
        field_type: &FieldType,
        modes: &Contract,
        levels: usize,
    ) -> Result<Self, Error> {
        Ok(match field_type {
            FieldType::Boolean => Self::Boolean(BooleanColumn::default()),
            FieldType::Integer => Self::Integer(IntegerColumn::default()),
            FieldType::Number => Self::Number(NumberColumn::default()),
            FieldType::String => Self::Text(TextColumn::default()),
            FieldType::Timestamp { formats } => Self::Timestamp(TimestampColumn::new(formats)?),
            FieldType::Date => Self::Date(DateColumn::default()),
            FieldType::Decimal { precision, scale } => {
                Self::Decimal(DecimalColumn::new(*precision, *scale)?)
            }
            FieldType::Json => Self::Json(TextColumn::default()),
            FieldType::Object(fields) => {
                Self::Object(Box::new(ObjectColumn::new(fields, modes, levels)?))
            }
            FieldType::List(item) => Self::List(Box::new(ListColumn::new(item, modes, levels)?)),
        })
    }

    /// Takes a value other than null and appends it. False when it does not fit: nothing has been
    /// appended then, and `tokens` is somewhere in the value.
    #[inline]
    pub(crate) fn read(
        &mut self,
        tokens: &mut Tokens<'_>,
        rescue: &mut Rescue,
        place: &Place<'_>,
    ) -> Result<bool, Error> {
        match self {
            Self::Boolean(column) => column.read(tokens),
            Self::Integer(column) => column.read(tokens),
            Self::Number(column) => column.read(tokens),
            Self::Text(column) => column.read(tokens),
            Self::Timestamp(column) => column.read(tokens),
            Self::Date(column) => column.read(tokens),
            Self::Decimal(column) => column.read(tokens),
            Self::Json(column) => column.read_json(tokens),
            Self::Object(column) => {
                if tokens.peek() != b'{' {
                    return Ok(false);
                }
                column.read(tokens, rescue, place)?;
                Ok(true)
            }
            Self::List(column) => column.read(tokens, rescue, place),
        }
    }

    pub(crate) fn append_null(&mut self) {
        match self {
            Self::Boolean(column) => column.append_null(),
            Self::Integer(column) => column.append_null(),
            Self::Number(column) => column.append_null(),
            Self::Text(column) | Self::Json(column) => column.append_null(),
            Self::Timestamp(column) => column.append_null(),
            Self::Date(column) => column.append_null(),
            Self::Decimal(column) => column.append_null(),
            Self::Object(column) => column.append_null(),
            Self::List(column) => column.append_null(),
        }
    }

    /// Takes back all values but the first `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        match self {
            Self::Boolean(column) => column.truncate(len),
            Self::Integer(column) => column.truncate(len),
            Self::Number(column) => column.truncate(len),
            Self::Text(column) | Self::Json(column) => column.truncate(len),
            Self::Timestamp(column) => column.truncate(len),
            Self::Date(column) => column.truncate(len),
            Self::Decimal(column) => column.truncate(len),
            Self::Object(column) => column.truncate(len),
            Self::List(column) => column.truncate(len),
        }
    }

    /// The memory it holds.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Boolean(column) => column.bytes(),
            Self::Integer(column) => column.bytes(),
            Self::Number(column) => column.bytes(),
            Self::Text(column) | Self::Json(column) => column.bytes(),
            Self::Timestamp(column) => column.bytes(),
            Self::Date(column) => column.bytes(),
            Self::Decimal(column) => column.bytes(),
            Self::Object(column) => column.bytes(),
            Self::List(column) => column.bytes(),
        }
    }

    /// Its values as an array; it is empty afterwards.
    pub(crate) fn take(&mut self) -> Result<ArrayRef, Error> {
        match self {
            Self::Boolean(column) => Ok(column.take()),
            Self::Integer(column) => column.take(),
            Self::Number(column) => column.take(),
            Self::Text(column) | Self::Json(column) => column.take(),
            Self::Timestamp(column) => column.take(),
            Self::Date(column) => column.take(),
            Self::Decimal(column) => column.take(),
            Self::Object(column) => column.take(),
            Self::List(column) => column.take(),
        }
    }
}

/// An empty vector for as many values as the last batch had and some more.
fn renewed<T>(values: &mut Vec<T>) -> Vec<T> {
    let next = Vec::with_capacity(values.len() + values.len() / 8);
    std::mem::replace(values, next)
}
