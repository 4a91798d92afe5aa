//! What the decoder should do, written plainly: over trees of `serde_json`, record by record.

use std::fmt;

use chrono::{DateTime, NaiveDate};
use connector_plan::{Field, FieldType, Step};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::cells::{Cell, Row};

/// An object with all its members, in order.
pub struct Members<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Pairs).map(Members)
    }
}

/// Whether a text is one document of JSON.
pub fn is_json(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// Why a page is not decoded.
#[derive(Debug, PartialEq)]
pub enum Refusal {
    MatchesNothing,
    Contract,
    /// A key that `serde_json` cannot represent: what the decoder does is not compared.
    Unrepresentable,
}

/// What a page should give: the columns of its records, and what each of them should rescue.
pub type Rows = Vec<Row>;

pub fn page(document: &str, steps: &[Step], fields: &[Field]) -> Result<Rows, Refusal> {
    let document = document.strip_prefix('\u{FEFF}').unwrap_or(document);
    let root: &RawValue = serde_json::from_str(document).unwrap();
    let mut selected = Vec::new();
    let mut lost = false;
    select(root.get(), steps, &mut selected, &mut lost)?;
    if selected.is_empty() && lost {
        return Err(Refusal::MatchesNothing);
    }
    let mut rows = Vec::new();
    for value in selected {
        match value.as_bytes()[0] {
            b'n' => {}
            b'[' => {
                for element in elements(value) {
                    rows.push(record(element, fields)?);
                }
            }
            _ => rows.push(record(value, fields)?),
        }
    }
    Ok(rows)
}

fn select<'a>(
    value: &'a str,
    steps: &[Step],
    selected: &mut Vec<&'a str>,
    lost: &mut bool,
) -> Result<(), Refusal> {
    let Some((step, rest)) = steps.split_first() else {
        selected.push(value);
        return Ok(());
    };
    match (value.as_bytes()[0], step) {
        (b'n', _) => {}
        (b'{', Step::Wildcard) => {
            for (_, member) in members(value)? {
                select(member, rest, selected, lost)?;
            }
        }
        (b'{', Step::Key(key)) => {
            let members = members(value)?;
            match members.iter().rev().find(|(name, _)| name == key) {
                Some((_, member)) => select(member, rest, selected, lost)?,
                None => *lost = true,
            }
        }
        (b'[', Step::Wildcard) => {
            for element in elements(value) {
                select(element, rest, selected, lost)?;
            }
        }
        (b'[', Step::Index(index)) => {
            let elements = elements(value);
            let index = if *index < 0 {
                *index + i64::try_from(elements.len()).unwrap()
            } else {
                *index
            };
            match usize::try_from(index).ok().and_then(|i| elements.get(i)) {
                Some(element) => select(element, rest, selected, lost)?,
                None => *lost |= !elements.is_empty(),
            }
        }
        _ => *lost = true,
    }
    Ok(())
}

fn members(value: &str) -> Result<Vec<(String, &str)>, Refusal> {
    let Ok(Members(members)) = serde_json::from_str(value) else {
        return Err(Refusal::Unrepresentable);
    };
    Ok(members
        .into_iter()
        .map(|(key, value)| (key, value.get()))
        .collect())
}

fn elements(value: &str) -> Vec<&str> {
    let elements: Vec<&RawValue> = serde_json::from_str(value).unwrap();
    elements.into_iter().map(RawValue::get).collect()
}

fn record(value: &str, fields: &[Field]) -> Result<Row, Refusal> {
    let mut rescued = Vec::new();
    let members = if value.starts_with('{') {
        members(value)?
    } else if value == "null" && !fields.iter().any(|field| field.name == "value") {
        Vec::new()
    } else {
        vec![("value".to_owned(), value)]
    };
    let cells = object(&members, fields, None, &mut rescued)?;
    for (cell, field) in cells.iter().zip(fields) {
        if *cell == Cell::Null && !field.nullable {
            return Err(Refusal::Contract);
        }
    }
    Ok((cells, rescued))
}

fn object(
    members: &[(String, &str)],
    fields: &[Field],
    path: Option<&str>,
    rescued: &mut Vec<(String, String)>,
) -> Result<Vec<Cell>, Refusal> {
    let mut cells = vec![Cell::Null; fields.len()];
    for (index, (key, raw)) in members.iter().enumerate() {
        if members[index + 1..].iter().any(|(later, _)| later == key) {
            continue;
        }
        let path = path.map_or_else(|| key.clone(), |path| format!("{path}.{key}"));
        match fields.iter().position(|field| field.name == *key) {
            Some(field) => cells[field] = value(raw, &fields[field].field_type, &path, rescued)?,
            None => rescued.push((path, (*raw).to_owned())),
        }
    }
    Ok(cells)
}

fn value(
    raw: &str,
    field_type: &FieldType,
    path: &str,
    rescued: &mut Vec<(String, String)>,
) -> Result<Cell, Refusal> {
    if raw == "null" {
        return Ok(Cell::Null);
    }
    let first = raw.as_bytes()[0];
    let text: Option<String> = (first == b'"')
        .then(|| serde_json::from_str(raw).ok())
        .flatten();
    let number = (first == b'-' || first.is_ascii_digit()).then_some(raw);
    let cell = match field_type {
        FieldType::Boolean => raw.parse().ok().map(Cell::Boolean),
        FieldType::Integer => number
            .and_then(|number| decimal(number, 0))
            .and_then(|value| value.try_into().ok())
            .map(Cell::Integer),
        FieldType::Number => number
            .and_then(double)
            .map(|value| Cell::Number(value.to_bits())),
        FieldType::String => text.map(Cell::Text),
        FieldType::Json => Some(Cell::Text(raw.to_owned())),
        FieldType::Timestamp { .. } => text.as_deref().and_then(instant).map(Cell::Micros),
        FieldType::Date => text
            .filter(|text| text.len() == 10)
            .and_then(|text| NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok())
            .map(|date| Cell::Days(date.to_epoch_days())),
        FieldType::Decimal { precision, scale } => number
            .or(text.as_deref())
            .and_then(|text| decimal(text, i64::from(*scale)))
            .filter(|value| value.unsigned_abs() < 10_u128.pow(u32::from(*precision)))
            .map(Cell::Decimal),
        FieldType::Object(fields) if first == b'{' => Some(Cell::Object(object(
            &members(raw)?,
            fields,
            Some(path),
            rescued,
        )?)),
        FieldType::List(item) if first == b'[' => {
            let mut cells = Vec::new();
            for (index, element) in elements(raw).into_iter().enumerate() {
                cells.push(value(element, item, &format!("{path}[{index}]"), rescued)?);
            }
            Some(Cell::List(cells))
        }
        FieldType::Object(_) | FieldType::List(_) => None,
    };
    Ok(cell.unwrap_or_else(|| {
        rescued.push((path.to_owned(), raw.to_owned()));
        Cell::Null
    }))
}

fn double(number: &str) -> Option<f64> {
    let value: f64 = number.parse().ok()?;
    let integer = !number.contains(['.', 'e', 'E']);
    // The standard library writes a double with all its digits.
    let same = || format!("{value:.0}") == number.replace("-0", "0");
    (value.is_finite() && (!integer || value.abs() < 1e15 || same())).then_some(value)
}

/// The value of a decimal number in units of 10^-`scale`, by moving its digits about as text.
fn decimal(text: &str, scale: i64) -> Option<i128> {
    let (sign, digits) = match text.as_bytes() {
        [b'-', ..] => ("-", &text[1..]),
        [b'+', ..] => ("", &text[1..]),
        _ => ("", text),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
        None => (digits, 0_i64),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = all.trim_start_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let shift = exponent - i64::try_from(fraction.len()).unwrap() + scale;
    let moved = if shift >= 0 {
        let zeros = usize::try_from(shift).ok().filter(|zeros| *zeros < 60)?;
        format!("{significant}{}", "0".repeat(zeros))
    } else {
        let cut = usize::try_from(-shift).unwrap();
        let (kept, dropped) = significant.split_at_checked(significant.len().checked_sub(cut)?)?;
        if dropped.bytes().any(|byte| byte != b'0') {
            return None;
        }
        kept.to_owned()
    };
    if moved.len() > 38 {
        return None;
    }
    format!("{sign}{moved}").parse().ok()
}

fn instant(text: &str) -> Option<i64> {
    // Without a zone it is UTC.
    let time = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_rfc3339(&format!("{text}Z")))
        .ok()?
        .to_utc();
    let nanos = time.timestamp_subsec_nanos();
    (nanos < 1_000_000_000 && nanos % 1_000 == 0).then(|| time.timestamp_micros())
}
