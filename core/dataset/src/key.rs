//! Keys as 128-bit hashes, and how the values of a key order.

use std::hash::{BuildHasher, Hasher, RandomState};

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Decimal128Array, Float32Array,
    Float64Array, RecordBatch, StringArray,
};
use arrow::compute::{cast, max, max_binary, max_string, min, min_binary, min_string};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, Schema};

use crate::Error;

/// A 128-bit hash of a key.
///
/// With 10^9 keys the chance that two different ones share a hash is below 10^-20; the hash is keyed
/// at random in every run, so nobody can prepare two that do.
pub(crate) type KeyHash = (u64, u64);

/// What a key is for, as people call it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    PrimaryKey,
    MergeKey,
}

impl Role {
    fn text(self) -> &'static str {
        match self {
            Self::PrimaryKey => "primary key",
            Self::MergeKey => "merge key",
        }
    }
}

/// Hashes the keys of batches.
#[derive(Debug)]
pub(crate) struct KeyHasher {
    role: Role,
    names: Vec<String>,
    states: [RandomState; 2],
}

impl KeyHasher {
    /// # Errors
    /// When a column of the key is missing or its type cannot identify a row.
    pub(crate) fn new(schema: &Schema, role: Role, names: &[String]) -> Result<Self, Error> {
        let what = role.text();
        for name in names {
            let Some((_, field)) = schema.column_with_name(name) else {
                return Err(Error::configuration(format!(
                    "the {what} `{name}` is not a column of the resource"
                ))
                .with_hint("declare it as a field in the specification"));
            };
            if field.data_type().is_nested() {
                return Err(Error::configuration(format!(
                    "the {what} `{name}` is an object or a list, which cannot identify a row"
                ))
                .with_hint("name a field that holds a single value"));
            }
        }
        Ok(Self {
            role,
            names: names.to_vec(),
            states: [RandomState::new(), RandomState::new()],
        })
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// # Errors
    /// When a key is null; `first_row` is the number of rows before the batch.
    pub(crate) fn check(&self, batch: &RecordBatch, first_row: u64) -> Result<(), Error> {
        for name in &self.names {
            let nulls = column(batch, name)?.nulls();
            if let Some(row) =
                nulls.and_then(|nulls| (0..nulls.len()).find(|row| nulls.is_null(*row)))
            {
                let what = self.role.text();
                let error = Error::schema(format!(
                    "record {} has no value for the {what} `{name}`",
                    first_row + row as u64 + 1
                ));
                return Err(match self.role {
                    Role::PrimaryKey => error.with_hint(
                        "every record needs its key: name another `primary_key`, or use the \
                         write disposition `append` or `replace`",
                    ),
                    Role::MergeKey => {
                        error.with_hint("every record needs its key: name another `merge_key`")
                    }
                });
            }
        }
        Ok(())
    }

    /// Calls `visit` with each row whose key has no null, and the hash of its key, in order.
    pub(crate) fn hash(
        &self,
        batch: &RecordBatch,
        mut visit: impl FnMut(usize, KeyHash) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut columns = Vec::with_capacity(self.names.len());
        for name in &self.names {
            let array = column(batch, name)?;
            columns.push((array.nulls(), KeyColumn::new(array)?));
        }
        let mut bytes = Vec::new();
        'rows: for row in 0..batch.num_rows() {
            bytes.clear();
            for (nulls, column) in &columns {
                if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                    continue 'rows;
                }
                column.append(row, &mut bytes);
            }
            let [one, two] = self.states.each_ref().map(|state| {
                let mut hasher = state.build_hasher();
                hasher.write(&bytes);
                hasher.finish()
            });
            visit(row, (one, two))?;
        }
        Ok(())
    }

    /// A hash that tells versions of one key apart.
    pub(crate) fn version(&self, text: &str) -> u64 {
        let [state, _] = &self.states;
        state.hash_one(text)
    }
}

pub(crate) fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, Error> {
    batch.column_by_name(name).ok_or_else(|| {
        Error::schema(format!(
            "the data has no column `{name}`, which is part of the key"
        ))
    })
}

/// A column of a key. Equal values of any width have equal bytes, different ones never: each value
/// carries its kind, and text its length.
enum KeyColumn {
    Integer(arrow::array::Int64Array),
    Wide(Decimal128Array),
    Boolean(BooleanArray),
    Float32(Float32Array),
    Float64(Float64Array),
    Text(StringArray),
    Binary(BinaryArray),
}

impl KeyColumn {
    fn new(array: &ArrayRef) -> Result<Self, Error> {
        Ok(match array.data_type() {
            DataType::Boolean => Self::Boolean(array.as_boolean().clone()),
            DataType::Float32 => Self::Float32(array.as_primitive().clone()),
            DataType::Float64 => Self::Float64(array.as_primitive().clone()),
            DataType::Utf8 => Self::Text(array.as_string().clone()),
            DataType::Binary => Self::Binary(array.as_binary().clone()),
            DataType::Decimal128(..) => Self::Wide(array.as_primitive().clone()),
            DataType::UInt64 => {
                let wide = cast(array, &DataType::Decimal128(20, 0)).map_err(Error::arrow)?;
                Self::Wide(wide.as_primitive().clone())
            }
            DataType::Date32 => {
                let days = cast(array, &DataType::Int32).map_err(Error::arrow)?;
                Self::integer(&days)?
            }
            _ => Self::integer(array)?,
        })
    }

    fn integer(array: &ArrayRef) -> Result<Self, Error> {
        let array = cast(array, &DataType::Int64).map_err(Error::arrow)?;
        Ok(Self::Integer(array.as_primitive::<Int64Type>().clone()))
    }

    fn append(&self, row: usize, bytes: &mut Vec<u8>) {
        let mut sized = |tag: u8, value: &[u8]| {
            bytes.push(tag);
            bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
            bytes.extend_from_slice(value);
        };
        match self {
            Self::Text(array) => sized(1, array.value(row).as_bytes()),
            Self::Binary(array) => sized(2, array.value(row)),
            Self::Integer(array) => {
                bytes.push(3);
                bytes.extend_from_slice(&array.value(row).to_le_bytes());
            }
            Self::Wide(array) => {
                bytes.push(4);
                bytes.extend_from_slice(&array.value(row).to_le_bytes());
            }
            Self::Boolean(array) => bytes.extend_from_slice(&[5, u8::from(array.value(row))]),
            Self::Float32(array) => float(f64::from(array.value(row)), bytes),
            Self::Float64(array) => float(array.value(row), bytes),
        }
    }
}

/// Both zeros are one key, and so are all that is not a number.
fn float(value: f64, bytes: &mut Vec<u8>) {
    let value = if value.is_nan() {
        f64::NAN
    } else {
        value + 0.0
    };
    bytes.push(6);
    bytes.extend_from_slice(&value.to_bits().to_le_bytes());
}

/// A value that orders as the statistics of Parquet files do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bound {
    Integer(i128),
    Bytes(Vec<u8>),
}

impl Bound {
    /// A number that orders as the values do; texts that begin alike have the same.
    pub(crate) fn code(&self) -> u128 {
        match self {
            Self::Integer(value) => integer_code(*value),
            Self::Bytes(bytes) => bytes_code(bytes),
        }
    }
}

fn integer_code(value: i128) -> u128 {
    (value as u128) ^ (1 << 127)
}

fn bytes_code(bytes: &[u8]) -> u128 {
    let mut prefix = [0; 16];
    for (byte, value) in prefix.iter_mut().zip(bytes) {
        *byte = *value;
    }
    u128::from_be_bytes(prefix)
}

/// The [`Bound::code`] of each value that is not null; `None` where [`extremes`] knows no order.
pub(crate) fn codes(array: &ArrayRef) -> Option<Vec<u128>> {
    let integers = |array: &ArrayRef| {
        let values = array.as_primitive::<Int64Type>().iter().flatten();
        values.map(|value| integer_code(value.into())).collect()
    };
    Some(match array.data_type() {
        DataType::Utf8 => {
            let values = array.as_string::<i32>().iter().flatten();
            values.map(|value| bytes_code(value.as_bytes())).collect()
        }
        DataType::Binary => {
            let values = array.as_binary::<i32>().iter().flatten();
            values.map(bytes_code).collect()
        }
        DataType::Decimal128(..) => {
            let values = array.as_primitive::<Decimal128Type>().iter().flatten();
            values.map(integer_code).collect()
        }
        DataType::UInt64 => codes(&cast(array, &DataType::Decimal128(20, 0)).ok()?)?,
        DataType::Date32 => {
            integers(&cast(&cast(array, &DataType::Int32).ok()?, &DataType::Int64).ok()?)
        }
        data_type if is_integer(data_type) => integers(&cast(array, &DataType::Int64).ok()?),
        _ => return None,
    })
}

/// Whether values are integers of up to 64 bits with a sign.
fn is_integer(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::Timestamp(..)
    )
}

/// The smallest and largest value of an array; `None` when it has no values or its type has no
/// order that statistics keep.
pub(crate) fn extremes(array: &ArrayRef) -> Option<(Bound, Bound)> {
    let integer = |array: &ArrayRef| -> Option<(Bound, Bound)> {
        let array = array.as_primitive::<Int64Type>();
        Some((
            Bound::Integer(min(array)?.into()),
            Bound::Integer(max(array)?.into()),
        ))
    };
    let bytes = |bytes: &[u8]| Bound::Bytes(bytes.to_vec());
    match array.data_type() {
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            Some((
                bytes(min_string(array)?.as_bytes()),
                bytes(max_string(array)?.as_bytes()),
            ))
        }
        DataType::Binary => {
            let array = array.as_binary::<i32>();
            Some((bytes(min_binary(array)?), bytes(max_binary(array)?)))
        }
        DataType::Decimal128(..) => {
            let array = array.as_primitive::<Decimal128Type>();
            Some((Bound::Integer(min(array)?), Bound::Integer(max(array)?)))
        }
        DataType::Date32 => {
            let days = cast(array, &DataType::Int32).ok()?;
            integer(&cast(&days, &DataType::Int64).ok()?)
        }
        DataType::UInt64 => extremes(&cast(array, &DataType::Decimal128(20, 0)).ok()?),
        data_type if is_integer(data_type) => integer(&cast(array, &DataType::Int64).ok()?),
        _ => None,
    }
}
