//! Lifts the members of objects to columns of their own, and puts them back.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StructArray, new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::nullif;
use arrow::datatypes::{DataType, FieldRef, Fields, Schema, SchemaRef};
use connector_plan::FlattenColumns;

use crate::Error;
use crate::load_options::LoadOptions;
use crate::schema::{self, Conversions};

/// The columns that a schema has when objects are lifted.
///
/// # Errors
/// When two columns would have one name.
pub(crate) fn flat_schema(schema: &Schema, options: &FlattenColumns) -> Result<SchemaRef, Error> {
    let mut lifted = Vec::new();
    lift_fields(schema.fields(), options, &mut lifted);
    let mut paths: HashMap<&str, &str> = HashMap::new();
    for column in &lifted {
        if let Some(other) = paths.insert(column.field.name(), &column.path) {
            return Err(Error::schema(format!(
                "`{other}` and `{}` would both be the column `{}` of flattened objects",
                column.path,
                column.field.name()
            ))
            .with_hint("choose another `separator` in `layout.flatten`, or rename one of them"));
        }
    }
    let fields: Fields = lifted.into_iter().map(|column| column.field).collect();
    Ok(Arc::new(Schema::new(fields)))
}

impl LoadOptions {
    /// The columns of the files.
    ///
    /// # Errors
    /// As [`flat_schema`].
    pub(crate) fn flat_schema(&self) -> Result<SchemaRef, Error> {
        match &self.writer.flatten {
            Some(options) => flat_schema(&self.schema, options)
                .map_err(|error| error.in_resource(&self.resource)),
            None => Ok(Arc::clone(&self.schema)),
        }
    }

    /// Whether files that were written with these options have other columns for the same members
    /// of objects.
    #[must_use]
    pub fn flattens_otherwise(&self, options: Option<&FlattenColumns>) -> bool {
        let names = |options: Option<&FlattenColumns>| {
            let mut lifted = Vec::new();
            let none = FlattenColumns {
                depth: 0,
                ..FlattenColumns::default()
            };
            lift_fields(self.schema.fields(), options.unwrap_or(&none), &mut lifted);
            let names = lifted.into_iter();
            names
                .map(|column| column.field.name().clone())
                .collect::<Vec<_>>()
        };
        names(options) != names(self.writer.flatten.as_ref())
    }
}

/// The rows with these columns; the members of an object that is null are null.
pub(crate) fn flatten(batch: &RecordBatch, options: &FlattenColumns) -> Result<RecordBatch, Error> {
    let schema = flat_schema(batch.schema_ref(), options)?;
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        lift_array(field, column, levels(field, options), None, &mut columns)?;
    }
    RecordBatch::try_new(schema, columns).map_err(Error::arrow)
}

/// Rows that were lifted, with the columns that they had; an object of nulls alone is null where it
/// may be.
pub(crate) fn nest(
    batch: &RecordBatch,
    nested: &Schema,
    options: &FlattenColumns,
) -> Result<RecordBatch, Error> {
    let nest_field =
        |field: &FieldRef| nest_array(batch, field, levels(field, options), field.name(), options);
    let columns = nested.fields().iter().map(nest_field);
    let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>()?;
    let schema = Schema::new(typed(nested.fields(), &columns));
    RecordBatch::try_new(Arc::new(schema), columns).map_err(Error::arrow)
}

/// Fields with the types of these values: what was kept may be wider than what was read.
fn typed(fields: &Fields, arrays: &[ArrayRef]) -> Fields {
    let typed = fields.iter().zip(arrays).map(|(field, array)| {
        let data_type = array.data_type().clone();
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    });
    typed.collect()
}

/// Conversions by the names that the columns have when they are lifted.
pub(crate) fn flat_conversions(
    conversions: &Conversions,
    schema: &Schema,
    options: &FlattenColumns,
) -> Conversions {
    let mut lifted = Vec::new();
    lift_fields(schema.fields(), options, &mut lifted);
    let rename = |path: &String| {
        lifted.iter().find_map(|column| {
            let rest = path.strip_prefix(column.path.as_str())?;
            let is_within = rest.is_empty() || rest.starts_with('.');
            is_within.then(|| format!("{}{rest}", column.field.name()))
        })
    };
    let renamed = conversions.iter();
    renamed
        .filter_map(|(path, conversion)| Some((rename(path)?, *conversion)))
        .collect()
}

/// A column and where its values come from, with dots.
struct Lifted {
    path: String,
    field: FieldRef,
}

/// How many levels of objects a column of the record loses.
fn levels(field: &FieldRef, options: &FlattenColumns) -> u32 {
    let is_meant = options.fields.is_empty() || options.fields.contains(field.name());
    if is_meant { options.depth } else { 0 }
}

/// The members of a field that are lifted.
fn members(field: &FieldRef, levels: u32) -> Option<&Fields> {
    match field.data_type() {
        DataType::Struct(members) if levels > 0 && !members.is_empty() => Some(members),
        _ => None,
    }
}

fn lift_fields(fields: &Fields, options: &FlattenColumns, lifted: &mut Vec<Lifted>) {
    for field in fields {
        lift_field(
            field,
            field.name(),
            field.name(),
            levels(field, options),
            options,
            lifted,
        );
    }
}

fn lift_field(
    field: &FieldRef,
    path: &str,
    name: &str,
    levels: u32,
    options: &FlattenColumns,
    lifted: &mut Vec<Lifted>,
) {
    let Some(members) = members(field, levels) else {
        let field = field.as_ref().clone().with_name(name);
        lifted.push(Lifted {
            path: path.to_owned(),
            field: Arc::new(field),
        });
        return;
    };
    for member in members {
        let nullable = field.is_nullable() || member.is_nullable();
        let own = Arc::new(member.as_ref().clone().with_nullable(nullable));
        let path = schema::join(path, member.name());
        let name = options.join(name, member.name());
        lift_field(&own, &path, &name, levels - 1, options, lifted);
    }
}

fn lift_array(
    field: &FieldRef,
    array: &ArrayRef,
    levels: u32,
    around: Option<&NullBuffer>,
    columns: &mut Vec<ArrayRef>,
) -> Result<(), Error> {
    let Some(members) = members(field, levels) else {
        columns.push(match around.filter(|nulls| nulls.null_count() > 0) {
            Some(nulls) => {
                let absent = BooleanArray::new(!nulls.inner(), None);
                nullif(array, &absent).map_err(Error::arrow)?
            }
            None => Arc::clone(array),
        });
        return Ok(());
    };
    let object = array.as_struct();
    let nulls = NullBuffer::union(around, object.nulls());
    for (member, array) in members.iter().zip(object.columns()) {
        lift_array(member, array, levels - 1, nulls.as_ref(), columns)?;
    }
    Ok(())
}

fn nest_array(
    batch: &RecordBatch,
    field: &FieldRef,
    levels: u32,
    name: &str,
    options: &FlattenColumns,
) -> Result<ArrayRef, Error> {
    let Some(members) = members(field, levels) else {
        let column = batch.column_by_name(name).cloned();
        let rows = batch.num_rows();
        return Ok(column.unwrap_or_else(|| new_null_array(field.data_type(), rows)));
    };
    let nest_member = |member: &FieldRef| {
        let name = options.join(name, member.name());
        nest_array(batch, member, levels - 1, &name, options)
    };
    let arrays: Vec<ArrayRef> = members.iter().map(nest_member).collect::<Result<_, _>>()?;
    let has_value = |row: usize| arrays.iter().any(|array| array.is_valid(row));
    let nulls = field
        .is_nullable()
        .then(|| (0..batch.num_rows()).map(has_value).collect::<NullBuffer>());
    let object = StructArray::try_new(typed(members, &arrays), arrays, nulls);
    Ok(Arc::new(object.map_err(Error::arrow)?))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::Field;

    use super::*;
    use crate::Conversion;

    fn options(depth: u32, fields: &[&str]) -> FlattenColumns {
        FlattenColumns {
            depth,
            fields: fields.iter().map(|name| (*name).to_owned()).collect(),
            ..FlattenColumns::default()
        }
    }

    /// `id`, and `owner` with `name` and `home` with `town`; the second owner is null, the third one's
    /// home.
    fn batch() -> RecordBatch {
        let town = Field::new("town", DataType::Utf8, false);
        let towns: ArrayRef = Arc::new(StringArray::from(vec!["x", "hidden", "hidden"]));
        let nulls = Some(vec![true, true, false].into());
        let home = StructArray::new(vec![town].into(), vec![towns], nulls);
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("hidden"), None]));
        let fields = vec![
            Field::new("name", DataType::Utf8, true),
            Field::new("home", home.data_type().clone(), true),
        ];
        let columns = vec![names, Arc::new(home) as ArrayRef];
        let nulls = Some(vec![true, false, true].into());
        let owner: ArrayRef = Arc::new(StructArray::new(fields.into(), columns, nulls));
        let id: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        RecordBatch::try_from_iter_with_nullable([("owner", owner, true), ("id", id, false)])
            .unwrap()
    }

    #[track_caller]
    fn check(options: &FlattenColumns, expect: &[&str]) {
        let batch = batch();
        let flat = flatten(&batch, options).unwrap();
        let schema = flat.schema();
        let names: Vec<&str> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        assert_eq!(names, expect);
        assert!(
            schema
                .fields()
                .iter()
                .all(|field| field.is_nullable() || field.name() == "id")
        );
        for sliced in [flat.clone(), flat.slice(1, 2)] {
            let nested = nest(&sliced, batch.schema_ref(), options).unwrap();
            let again = flatten(&nested, options).unwrap();
            assert_eq!(again, sliced);
        }
    }

    #[test]
    fn members_become_columns() {
        check(
            &options(9, &[]),
            &["owner__name", "owner__home__town", "id"],
        );
        check(&options(1, &[]), &["owner__name", "owner__home", "id"]);
        check(
            &options(9, &["owner"]),
            &["owner__name", "owner__home__town", "id"],
        );
        check(&options(9, &["id"]), &["owner", "id"]);
        let flat = flatten(&batch(), &options(9, &[])).unwrap();
        let towns = flat.column(1).as_string::<i32>().iter().collect::<Vec<_>>();
        assert_eq!(towns, [Some("x"), None, None]);
        let names = flat.column(0).as_string::<i32>().iter().collect::<Vec<_>>();
        assert_eq!(names, [Some("a"), None, None]);
        let slice = flatten(&batch().slice(1, 1), &options(9, &[])).unwrap();
        assert_eq!(slice.column(0).null_count(), 1);
    }

    #[test]
    fn two_columns_of_one_name_are_refused() {
        let member = Field::new("b", DataType::Utf8, true);
        let schema = Schema::new(vec![
            Field::new("a", DataType::Struct(vec![member].into()), true),
            Field::new("a__b", DataType::Utf8, true),
        ]);
        let error = flat_schema(&schema, &options(9, &[])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`a.b` and `a__b` would both be the column `a__b` of flattened objects"
        );
        let other = FlattenColumns {
            separator: "_".to_owned(),
            ..options(9, &[])
        };
        assert_eq!(flat_schema(&schema, &other).unwrap().field(0).name(), "a_b");
    }

    #[test]
    fn conversions_follow_their_columns() {
        let conversions = [
            ("owner.home.town", Conversion::ToText),
            ("id", Conversion::ToNumber),
        ];
        let conversions = conversions.map(|(path, conversion)| (path.to_owned(), conversion));
        let found = flat_conversions(&conversions.into(), batch().schema_ref(), &options(1, &[]));
        let paths: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(paths, ["id", "owner__home.town"]);
    }
}
