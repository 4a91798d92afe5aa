//! The records of the API, as datasets have them.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use connector_plan::{Field, FieldType, Resource};
use serde_json::Value;

use crate::dataset::sorted;

/// These columns of the server's records, as [`Rows::objects`](crate::Rows::objects) gives them.
#[must_use]
pub fn truth(records: &[Value], columns: &[&str]) -> Vec<Value> {
    let rows = records.iter().map(|record| {
        let members = columns
            .iter()
            .map(|name| ((*name).to_owned(), record[*name].clone()));
        Value::Object(members.collect())
    });
    sorted(rows.collect())
}

/// The columns of a resource that the API itself gives.
pub(crate) fn columns(resource: &Resource) -> Vec<&Field> {
    let included = |field: &Field| {
        let mut included = resource.relations.included();
        included.any(|include| include.column == field.name)
    };
    resource
        .fields
        .iter()
        .filter(|field| !included(field))
        .collect()
}

/// The columns of the files and the records with them, where `layout.flatten` lifts the members of
/// objects.
pub(crate) fn flattened(
    resource: &Resource,
    columns: &[&Field],
    records: Vec<Value>,
) -> (Vec<Field>, Vec<Value>) {
    let columns: Vec<Field> = columns.iter().map(|field| (*field).clone()).collect();
    let Some(flatten) = &resource.layout.flatten else {
        return (columns, records);
    };
    let columns = flatten.columns(&columns);
    let lift = |record: Value| {
        let members = columns.iter().map(|column| {
            let value = column.path.iter().fold(&record, |value, name| &value[name]);
            (column.field.name.clone(), value.clone())
        });
        Value::Object(members.collect())
    };
    let records = records.into_iter().map(lift).collect();
    let fields = columns.into_iter().map(|column| column.field);
    (fields.collect(), records)
}

/// Rows of a dataset whose columns of JSON text are what the text says: `0.50` is `0.5`.
pub(crate) fn with_json(rows: Vec<Value>, columns: &[&Field]) -> Vec<Value> {
    let rows = rows.into_iter().map(|row| {
        let members = columns.iter().map(|field| {
            (
                field.name.clone(),
                parsed(&field.field_type, &row[&field.name]),
            )
        });
        Value::Object(members.collect())
    });
    sorted(rows.collect())
}

fn parsed(kind: &FieldType, value: &Value) -> Value {
    match (kind, value) {
        (FieldType::Json, Value::String(text)) => {
            serde_json::from_str(text).expect("the column has JSON")
        }
        (FieldType::Object(fields), Value::Object(_)) => {
            let members = fields.iter().map(|field| {
                (
                    field.name.clone(),
                    parsed(&field.field_type, &value[&field.name]),
                )
            });
            Value::Object(members.collect())
        }
        (FieldType::List(inner), Value::Array(items)) => {
            items.iter().map(|item| parsed(inner, item)).collect()
        }
        _ => value.clone(),
    }
}

/// The records with these columns as a dataset has them: instants in microseconds, dates in days,
/// decimals with all their digits.
pub(crate) fn rows(records: &[Value], columns: &[&Field]) -> Vec<Value> {
    let rows = records.iter().map(|record| {
        let members = columns.iter().map(|field| {
            (
                field.name.clone(),
                stored(&field.field_type, &record[&field.name]),
            )
        });
        Value::Object(members.collect())
    });
    sorted(rows.collect())
}

fn stored(kind: &FieldType, value: &Value) -> Value {
    match (kind, value) {
        (_, Value::Null) => Value::Null,
        (FieldType::Number, _) => value.as_f64().into(),
        (FieldType::Timestamp { formats }, _) => instant(formats, value),
        (FieldType::Date, Value::String(text)) => days(text),
        (FieldType::Decimal { scale, .. }, _) => decimal(value, *scale),
        (FieldType::Object(fields), _) => {
            let members = fields.iter().map(|field| {
                (
                    field.name.clone(),
                    stored(&field.field_type, &value[&field.name]),
                )
            });
            Value::Object(members.collect())
        }
        (FieldType::List(inner), Value::Array(items)) => {
            items.iter().map(|item| stored(inner, item)).collect()
        }
        _ => value.clone(),
    }
}

/// Days since 1970-01-01.
fn days(text: &str) -> Value {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").expect("the API writes dates");
    let days = date.signed_duration_since(NaiveDate::default());
    days.num_days().into()
}

/// Microseconds since 1970-01-01T00:00:00Z, of an instant in one of these formats.
fn instant(formats: &[String], value: &Value) -> Value {
    let micros = formats
        .iter()
        .find_map(|format| match (format.as_str(), value) {
            ("epoch_seconds", _) => Some((value.as_f64()? * 1e6).round() as i64),
            ("epoch_milliseconds", _) => Some((value.as_f64()? * 1e3).round() as i64),
            (_, Value::String(text)) => text_instant(format, text),
            _ => None,
        });
    micros
        .expect("the API writes instants in one of the formats")
        .into()
}

fn text_instant(format: &str, text: &str) -> Option<i64> {
    if format == "rfc3339" {
        let zoned = DateTime::parse_from_rfc3339(text).ok();
        let local = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok();
        return zoned
            .map(|instant| instant.timestamp_micros())
            .or_else(|| Some(local()?.and_utc().timestamp_micros()));
    }
    let zoned = DateTime::parse_from_str(text, format).ok();
    let local = || NaiveDateTime::parse_from_str(text, format).ok();
    let date = || {
        Some(
            NaiveDate::parse_from_str(text, format)
                .ok()?
                .and_time(Default::default()),
        )
    };
    zoned
        .map(|instant| instant.timestamp_micros())
        .or_else(|| Some(local().or_else(date)?.and_utc().timestamp_micros()))
}

/// A decimal with as many digits behind the point as its column has.
fn decimal(value: &Value, scale: u8) -> Value {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let width = usize::from(scale);
    match width {
        0 => whole.into(),
        _ => format!("{whole}.{fraction:0<width$}").into(),
    }
}
