//! What must be done to a dataset's rows when its inferred columns become wider.

use std::collections::BTreeMap;

use connector_dataset::Conversion;
use connector_plan::{Field, FieldType, Resource};

use crate::{Error, ErrorKind, Result};

/// The conversions from the old to the new fields, by column (`owner.name`, `tags.element`).
///
/// # Errors
/// When the dataset's values cannot be told in the new type exactly as the API sent them.
pub(crate) fn conversions(
    resource: &Resource,
    old: &[Field],
    new: &[Field],
) -> Result<BTreeMap<String, Conversion>> {
    let mut found = BTreeMap::new();
    of_fields(old, new, "", &mut found).map_err(|column| refused(&column))?;
    let had_rows = |name: &str| {
        old.iter()
            .any(|field| field.name == name && field.field_type != FieldType::Json)
    };
    let keys = resource.primary_key.iter().chain(&resource.merge.merge_key);
    match keys
        .filter(|name| had_rows(name))
        .find(|name| found.contains_key(*name))
    {
        Some(name) => Err(refused(name)),
        None => Ok(found),
    }
}

fn refused(column: &str) -> Error {
    Error::new(
        ErrorKind::SchemaContract,
        format!(
            "the values of `{column}` no longer fit the type that its column has in the dataset, \
             and those that are there cannot be told exactly in another"
        ),
    )
    .hint(
        "read the resource again with `--full-refresh`, or declare the type of the field in a \
         `schema`: what does not fit goes to `_rescued`",
    )
}

fn of_fields(
    old: &[Field],
    new: &[Field],
    parent: &str,
    found: &mut BTreeMap<String, Conversion>,
) -> Result<(), String> {
    for field in old {
        if let Some(other) = new.iter().find(|other| other.name == field.name) {
            let path = join(parent, &field.name);
            of_type(&field.field_type, &other.field_type, path, found)?;
        }
    }
    Ok(())
}

fn of_type(
    old: &FieldType,
    new: &FieldType,
    path: String,
    found: &mut BTreeMap<String, Conversion>,
) -> Result<(), String> {
    use FieldType::{Boolean, Date, Integer, Json, List, Number, Object, String};
    let conversion = match (old, new) {
        (Object(old), Object(new)) => return of_fields(old, new, &path, found),
        (List(old), List(new)) => return of_type(old, new, join(&path, "element"), found),
        (old, new) if old == new => return Ok(()),
        (Json, _) => Conversion::FromNothing,
        (Integer, Number) => Conversion::ToNumber,
        (Date, String) => Conversion::ToText,
        (Boolean | Integer | Number | String | Date, Json) => Conversion::ToJson,
        _ => return Err(path),
    };
    found.insert(path, conversion);
    Ok(())
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}
