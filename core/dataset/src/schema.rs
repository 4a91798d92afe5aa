//! The columns of a dataset: which ones Parquet can hold, and how they grow from run to run.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions, StructArray,
    new_null_array,
};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use serde::{Deserialize, Serialize};

use crate::{Conversion, Error};

/// How the columns of a dataset differ from those it had before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaChange {
    /// The column, with its parents: `owner.name`.
    pub column: String,
    /// What happened to it.
    pub change: ColumnChange,
}

/// What happened to a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnChange {
    /// It is new; earlier rows have null there.
    Added,
    /// The load does not have it; its rows have null there.
    Absent,
    /// It held no nulls and now may.
    Nullable,
    /// It has a wider type, and the rows of the dataset have been converted.
    Widened,
}

impl ColumnChange {
    /// In words.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Added => "new; earlier rows have null there",
            Self::Absent => "no longer loaded; newer rows have null there",
            Self::Nullable => "may be null now",
            Self::Widened => "has a wider type now; earlier rows were converted",
        }
    }
}

/// The schema in the form in which this library writes it: no metadata, lists with the element name
/// that the Parquet format asks for.
///
/// # Errors
/// When a column's type cannot be written, or two columns have one name.
pub(crate) fn normalise(schema: &Schema) -> Result<Fields, Error> {
    if schema.fields().is_empty() {
        return Err(Error::schema("the resource has no columns")
            .with_hint("declare at least one field in the specification"));
    }
    normalise_fields(schema.fields(), "")
}

fn normalise_fields(fields: &Fields, parent: &str) -> Result<Fields, Error> {
    let mut names = HashSet::new();
    fields
        .iter()
        .map(|field| {
            let path = join(parent, field.name());
            if !names.insert(field.name()) {
                return Err(Error::schema(format!(
                    "the column `{path}` is declared twice"
                )));
            }
            let data_type = normalise_type(field.data_type(), &path)?;
            Ok(Arc::new(Field::new(
                field.name(),
                data_type,
                field.is_nullable(),
            )))
        })
        .collect()
}

fn normalise_type(data_type: &DataType, path: &str) -> Result<DataType, Error> {
    match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::Binary
        | DataType::Date32
        | DataType::Decimal128(..)
        | DataType::Timestamp(TimeUnit::Microsecond, None) => Ok(data_type.clone()),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone))
            if ["UTC", "+00:00", "Z"].contains(&zone.as_ref()) =>
        {
            Ok(DataType::Timestamp(
                TimeUnit::Microsecond,
                Some("UTC".into()),
            ))
        }
        DataType::Struct(fields) if fields.is_empty() => Err(Error::schema(format!(
            "the column `{path}` is an object without fields, which Parquet cannot hold"
        ))
        .with_hint(format!(
            "declare the fields of `{path}`, or give it the type `json` to keep its text"
        ))),
        DataType::Struct(fields) => Ok(DataType::Struct(normalise_fields(fields, path)?)),
        DataType::List(element) => {
            let data_type = normalise_type(element.data_type(), &join(path, "element"))?;
            Ok(list_of(data_type, element.is_nullable()))
        }
        other => Err(Error::schema(format!(
            "the column `{path}` has the type `{other}`, which datasets do not hold"
        ))),
    }
}

fn list_of(data_type: DataType, nullable: bool) -> DataType {
    DataType::List(Arc::new(Field::new("element", data_type, nullable)))
}

/// The columns that hold both what a dataset has and what a load brings: those of the dataset first
/// and in their order, new ones behind. Both sides are normalised.
///
/// # Errors
/// When a column has changed its type, and no conversion is meant for it.
pub(crate) fn unify(
    old: &Fields,
    new: &Fields,
    conversions: &Conversions,
    changes: &mut Vec<SchemaChange>,
) -> Result<Fields, Error> {
    unify_fields(old, new, "", conversions, changes)
}

/// What becomes of the values of wider columns, by column.
pub(crate) type Conversions = BTreeMap<String, Conversion>;

fn unify_fields(
    old: &Fields,
    new: &Fields,
    parent: &str,
    conversions: &Conversions,
    changes: &mut Vec<SchemaChange>,
) -> Result<Fields, Error> {
    let mut note = |column: String, change| changes.push(SchemaChange { column, change });
    let mut fields: Vec<FieldRef> = Vec::with_capacity(new.len());
    let mut nested = Vec::new();
    for field in old {
        let path = join(parent, field.name());
        let Some((_, counterpart)) = new.find(field.name()) else {
            note(path, ColumnChange::Absent);
            fields.push(Arc::new(field.as_ref().clone().with_nullable(true)));
            continue;
        };
        if counterpart.is_nullable() && !field.is_nullable() {
            note(path.clone(), ColumnChange::Nullable);
        }
        let nullable = field.is_nullable() || counterpart.is_nullable();
        let data_type = unify_type(
            field.data_type(),
            counterpart.data_type(),
            &path,
            conversions,
            &mut nested,
        )?;
        fields.push(Arc::new(
            Field::new(field.name(), data_type, nullable).with_metadata(field.metadata().clone()),
        ));
    }
    for field in new {
        if old.find(field.name()).is_none() {
            note(join(parent, field.name()), ColumnChange::Added);
            fields.push(Arc::new(field.as_ref().clone().with_nullable(true)));
        }
    }
    changes.append(&mut nested);
    Ok(fields.into())
}

fn unify_type(
    old: &DataType,
    new: &DataType,
    path: &str,
    conversions: &Conversions,
    changes: &mut Vec<SchemaChange>,
) -> Result<DataType, Error> {
    if conversions.contains_key(path) {
        let column = path.to_owned();
        let change = ColumnChange::Widened;
        changes.push(SchemaChange { column, change });
        return Ok(new.clone());
    }
    match (old, new) {
        (DataType::Struct(old), DataType::Struct(new)) => {
            let fields = unify_fields(old, new, path, conversions, changes)?;
            Ok(DataType::Struct(fields))
        }
        (DataType::List(old), DataType::List(new)) => {
            let path = join(path, "element");
            let (old_type, new_type) = (old.data_type(), new.data_type());
            let element = unify_type(old_type, new_type, &path, conversions, changes)?;
            let field = Field::new("element", element, old.is_nullable() || new.is_nullable())
                .with_metadata(old.metadata().clone());
            Ok(DataType::List(Arc::new(field)))
        }
        (old, new) if old == new => Ok(old.clone()),
        (old, new) => Err(Error::schema(format!(
            "the column `{path}` holds `{old}` in the existing dataset and `{new}` in this load"
        ))
        .with_hint("read the resource again with `--full-refresh`, or choose another `--out`")),
    }
}

/// Gives every column without a field id the next free one; ids already given stay.
pub(crate) fn with_ids(fields: &Fields) -> Fields {
    let mut next = highest_id(fields) + 1;
    number(fields, &mut next)
}

fn number(fields: &Fields, next: &mut i32) -> Fields {
    // Siblings first: the ids of a schema without objects are its column numbers.
    let own: Vec<String> = fields
        .iter()
        .map(|field| {
            field
                .metadata()
                .get(PARQUET_FIELD_ID_META_KEY)
                .cloned()
                .unwrap_or_else(|| {
                    *next += 1;
                    (*next - 1).to_string()
                })
        })
        .collect();
    fields
        .iter()
        .zip(own)
        .map(|(field, id)| {
            let data_type = match field.data_type() {
                DataType::Struct(children) => DataType::Struct(number(children, next)),
                DataType::List(element) => {
                    let element = number(&Fields::from(vec![Arc::clone(element)]), next);
                    DataType::List(Arc::clone(&element[0]))
                }
                other => other.clone(),
            };
            let metadata = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id)]);
            Field::new(field.name(), data_type, field.is_nullable()).with_metadata(metadata)
        })
        .collect()
}

fn highest_id(fields: &Fields) -> i32 {
    let own = |field: &FieldRef| {
        let id = field.metadata().get(PARQUET_FIELD_ID_META_KEY);
        id.and_then(|id| id.parse().ok()).unwrap_or(0)
    };
    let below = |field: &FieldRef| match field.data_type() {
        DataType::Struct(children) => highest_id(children),
        DataType::List(element) => highest_id(&Fields::from(vec![Arc::clone(element)])),
        _ => 0,
    };
    fields
        .iter()
        .map(|field| own(field).max(below(field)))
        .max()
        .unwrap_or(0)
}

/// The batch with the columns of `schema`: in its order, null where the batch has none.
///
/// # Errors
/// When a column that may not be null holds a null.
pub(crate) fn adapt(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Error> {
    adapt_converted(batch, schema, &Conversions::new())
}

/// Like [`adapt`], for rows of the dataset whose columns have become wider.
///
/// # Errors
/// As [`adapt`], and when a value has no counterpart in the wider type.
pub(crate) fn adapt_converted(
    batch: &RecordBatch,
    schema: &SchemaRef,
    conversions: &Conversions,
) -> Result<RecordBatch, Error> {
    check_known(batch.schema_ref().fields(), schema.fields(), "")?;
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) => adapt_array(column, field, field.name(), conversions),
            None if field.is_nullable() => Ok(new_null_array(field.data_type(), batch.num_rows())),
            None => Err(Error::schema(format!(
                "a batch has no column `{}`",
                field.name()
            ))),
        })
        .collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(Error::arrow)
}

/// No column of a batch is left out silently.
fn check_known(found: &Fields, known: &Fields, parent: &str) -> Result<(), Error> {
    match found
        .iter()
        .find(|field| known.find(field.name()).is_none())
    {
        None => Ok(()),
        Some(field) => Err(Error::schema(format!(
            "a batch has the column `{}`, which the schema does not declare",
            join(parent, field.name())
        ))),
    }
}

fn adapt_array(
    array: &ArrayRef,
    field: &Field,
    path: &str,
    conversions: &Conversions,
) -> Result<ArrayRef, Error> {
    if !field.is_nullable() && array.null_count() > 0 {
        return Err(Error::schema(format!(
            "the column `{path}` holds a null, but it is declared as never null"
        ))
        .with_hint("declare the field as nullable in the specification"));
    }
    if let Some(conversion) = conversions.get(path) {
        return conversion.apply(array, field.data_type(), path);
    }
    if array.data_type() == field.data_type() && conversions.is_empty() {
        return Ok(Arc::clone(array));
    }
    match (array.data_type(), field.data_type()) {
        (DataType::Struct(_), DataType::Struct(children)) => {
            let source = array.as_struct();
            check_known(source.fields(), children, path)?;
            let columns: Vec<ArrayRef> = children
                .iter()
                .map(|child| match source.column_by_name(child.name()) {
                    // A null object has null children, whatever they are declared to be.
                    Some(column) if source.null_count() > 0 => {
                        let child = child.as_ref().clone().with_nullable(true);
                        adapt_array(column, &child, &join(path, child.name()), conversions)
                    }
                    Some(column) => {
                        adapt_array(column, child, &join(path, child.name()), conversions)
                    }
                    None => Ok(new_null_array(child.data_type(), source.len())),
                })
                .collect::<Result<_, _>>()?;
            StructArray::try_new_with_length(
                children.clone(),
                columns,
                source.nulls().cloned(),
                source.len(),
            )
            .map(|array| Arc::new(array) as ArrayRef)
            .map_err(Error::arrow)
        }
        (DataType::List(_), DataType::List(element)) => {
            let source = array.as_list::<i32>();
            let path = join(path, "element");
            let values = adapt_array(source.values(), element, &path, conversions)?;
            ListArray::try_new(
                Arc::clone(element),
                source.offsets().clone(),
                values,
                source.nulls().cloned(),
            )
            .map(|array| Arc::new(array) as ArrayRef)
            .map_err(Error::arrow)
        }
        // The same instant under another name of UTC.
        (DataType::Timestamp(..), DataType::Timestamp(..)) => {
            let retyped = array
                .to_data()
                .into_builder()
                .data_type(field.data_type().clone());
            retyped
                .build()
                .map(arrow::array::make_array)
                .map_err(Error::arrow)
        }
        (found, expected) if found == expected => Ok(Arc::clone(array)),
        (found, expected) => Err(Error::schema(format!(
            "the column `{path}` holds `{found}`, but it is declared as `{expected}`"
        ))),
    }
}

pub(crate) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}
