//! What the decoder should do, written plainly: over trees of `serde_json`, record by record.

use std::fmt;

use chrono::{NaiveDate, NaiveDateTime};
use connector_plan::{Field, FieldType, Step};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
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

/// The most arrays and objects that are open at once.
pub fn depth(bytes: &[u8]) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
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
    let (selected, lost) = selected(document, steps)?;
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

/// The values that steps lead to, and whether they led nowhere from some.
pub fn selected<'a>(document: &'a str, steps: &[Step]) -> Result<(Vec<&'a str>, bool), Refusal> {
    let document = document.strip_prefix('\u{FEFF}').unwrap_or(document);
    let root: &RawValue = serde_json::from_str(document).unwrap();
    let mut selected = Vec::new();
    let mut lost = false;
    select(root.get(), steps, &mut selected, &mut lost)?;
    Ok((selected, lost))
}

/// What a value is captured as, if it can be.
pub fn captured(value: &str) -> Option<Value> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let integer = digits.bytes().all(|byte| byte.is_ascii_digit());
    if integer && value.parse::<i64>().is_err() && value.parse::<u64>().is_err() {
        return Some(Value::from(value));
    }
    serde_json::from_str(value).ok()
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
            .filter(|text| is_shaped(text, "dddd-dd-dd"))
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
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let power = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if power.is_empty() || !power.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = all.trim_start_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    // Beyond this no column has its digits.
    let near = -1_000_000..=1_000_000_i64;
    let exponent = exponent.parse().ok().filter(|power| near.contains(power))?;
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

/// Whether a text is of this shape, in which `d` is a digit.
fn is_shaped(text: &str, shape: &str) -> bool {
    let mut pairs = text.bytes().zip(shape.bytes());
    text.len() == shape.len()
        && pairs.all(|(byte, wanted)| match wanted {
            b'd' => byte.is_ascii_digit(),
            wanted => byte == wanted,
        })
}

fn instant(text: &str) -> Option<i64> {
    let (seconds, rest) = text.split_at_checked(19)?;
    let seconds = seconds.replace(['t', ' '], "T");
    if !is_shaped(&seconds, "dddd-dd-ddTdd:dd:dd") {
        return None;
    }
    let time = NaiveDateTime::parse_from_str(&seconds, "%Y-%m-%dT%H:%M:%S").ok()?;
    // That is how chrono has a leap second.
    if time.and_utc().timestamp_subsec_nanos() != 0 {
        return None;
    }
    let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let fraction = &rest[..rest.len() - zone.len()];
    let micros = if fraction.is_empty() {
        0
    } else {
        let digits = fraction
            .strip_prefix('.')
            .filter(|digits| !digits.contains('.'))?;
        let digits = format!("{:0<6}", Some(digits).filter(|digits| !digits.is_empty())?);
        let (digits, more) = digits.split_at(6);
        more.trim_start_matches('0').is_empty().then_some(())?;
        digits.parse::<i64>().ok()?
    };
    // Without a zone it is UTC.
    let offset = if matches!(zone, "" | "Z" | "z") {
        0
    } else {
        let digits = zone.strip_prefix(['+', '-'])?;
        if !["dd", "dddd", "dd:dd"]
            .iter()
            .any(|shape| is_shaped(digits, shape))
        {
            return None;
        }
        let digits = format!("{:0<4}", digits.replace(':', ""));
        let (hours, minutes) = digits.split_at(2);
        let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
        if hours > 23 || minutes > 59 {
            return None;
        }
        let seconds = hours * 3_600 + minutes * 60;
        if zone.starts_with('-') {
            -seconds
        } else {
            seconds
        }
    };
    Some((time.and_utc().timestamp() - offset) * 1_000_000 + micros)
}
