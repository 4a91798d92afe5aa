//! Values of Arrow columns as text and as JSON.

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;

use crate::record::{Cell, Date, Decimal, FromCell, Timestamp};
use crate::{Json, Result};

/// One value as JSON; instants, dates and decimals are texts, JSON columns are themselves.
///
/// # Errors
/// When the column has a type that no dataset has.
pub(crate) fn to_json(array: &dyn Array, index: usize, is_json: bool) -> Result<Json> {
    if array.is_null(index) {
        return Ok(Json::Null);
    }
    let cell = Cell::new(array, index);
    Ok(match array.data_type() {
        DataType::Boolean => Json::from(bool::from_cell(cell)?),
        DataType::Int64 => Json::from(i64::from_cell(cell)?),
        DataType::Float64 => Json::from(f64::from_cell(cell)?),
        DataType::Date32 => Json::from(Date::from_cell(cell)?.to_string()),
        DataType::Decimal128(..) => Json::from(Decimal::from_cell(cell)?.to_string()),
        DataType::Timestamp(..) => {
            let instant = Timestamp::from_cell(cell)?;
            Json::from(instant.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let mut object = serde_json::Map::new();
            for (field, column) in fields.iter().zip(columns) {
                object.insert(field.name().clone(), to_json(column, index, false)?);
            }
            Json::Object(object)
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(index);
            (0..items.len())
                .map(|item| to_json(items.as_ref(), item, false))
                .collect::<Result<_>>()?
        }
        _ if is_json => Json::from_cell(cell)?,
        _ => Json::from(String::from_cell(cell)?),
    })
}

/// One value as a table shows it: at most 40 characters on one line.
pub(crate) fn to_text(value: &Json) -> String {
    let text = match value {
        Json::Null => "∅".to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
