//! Pages in other formats than JSON: JSON Lines, CSV and XML, packed as a file or not.

use std::io::Write as _;

use bytes::Bytes;
use connector_plan::{BodyFormat, Csv, ResponseBody};
use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

/// A page of records as the plan wants it, and its content type.
///
/// The columns are those of the resource; CSV has them in every page, whatever its records have.
pub(crate) fn encode(
    response: &ResponseBody,
    page: &[u8],
    columns: &[String],
) -> (&'static str, Bytes) {
    let document: Value = serde_json::from_slice(page).unwrap_or_default();
    let (content_type, body) = match &response.format {
        BodyFormat::Json => ("application/json", page.to_vec()),
        BodyFormat::Jsonl => ("application/x-ndjson", lines(&document)),
        BodyFormat::Csv(csv) => ("text/csv; charset=utf-8", rows(&document, csv, columns)),
        BodyFormat::Xml => ("application/xml", xml(&document)),
    };
    if !response.gzip {
        return (content_type, body.into());
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail; a body without its end would be noticed at once.
    let packed = encoder.write_all(&body).and_then(|()| encoder.finish());
    ("application/gzip", packed.unwrap_or_default().into())
}

/// A line per record or, where the records are deeper, one line that has all of them.
fn lines(document: &Value) -> Vec<u8> {
    let records = match document {
        Value::Array(records) => records.as_slice(),
        document => std::slice::from_ref(document),
    };
    let lines = records.iter().map(|record| format!("{record}\n"));
    lines.collect::<String>().into_bytes()
}

fn rows(document: &Value, csv: &Csv, columns: &[String]) -> Vec<u8> {
    let records = document.as_array().map_or(&[][..], Vec::as_slice);
    let mut columns = if csv.columns.is_empty() {
        columns.to_vec()
    } else {
        csv.columns.clone()
    };
    if csv.columns.is_empty() {
        let keys = records.iter().filter_map(Value::as_object).flatten();
        for (key, _) in keys {
            if !columns.contains(key) {
                columns.push(key.clone());
            }
        }
    }
    let mut out = String::new();
    if csv.header {
        let names: Vec<Value> = columns.iter().map(|name| name.as_str().into()).collect();
        push_row(&mut out, csv, names.iter().map(Some));
    }
    for record in records {
        push_row(&mut out, csv, columns.iter().map(|name| record.get(name)));
    }
    out.into_bytes()
}

fn push_row<'v>(out: &mut String, csv: &Csv, values: impl Iterator<Item = Option<&'v Value>>) {
    for (number, value) in values.enumerate() {
        if number > 0 {
            out.push(csv.delimiter);
        }
        let text = match value {
            None | Some(Value::Null) => {
                out.push_str(csv.nulls.first().map_or("", String::as_str));
                continue;
            }
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        };
        let Some(quote) = csv.quote else {
            out.push_str(&text.replace([csv.delimiter, '\n', '\r'], " "));
            continue;
        };
        if csv.nulls.contains(&text) || text.contains([csv.delimiter, quote, '\n', '\r']) {
            out.push(quote);
            out.push_str(&text.replace(quote, &format!("{quote}{quote}")));
            out.push(quote);
        } else {
            out.push_str(&text);
        }
    }
    out.push_str("\r\n");
}

fn xml(document: &Value) -> Vec<u8> {
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    for (name, value) in document.as_object().into_iter().flatten() {
        push_element(&mut out, name, value);
    }
    out.into_bytes()
}

/// A list is the same element again and again, null is none.
fn push_element(out: &mut String, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Array(items) => {
            for item in items {
                match item {
                    Value::Null => out.push_str(&format!("<{name}/>")),
                    item => push_element(out, name, item),
                }
            }
        }
        Value::Object(members) => {
            out.push_str(&format!("<{name}"));
            for (key, value) in members {
                if let (Some(attribute), false) = (key.strip_prefix('@'), value.is_null()) {
                    out.push_str(&format!(" {attribute}=\"{}\"", escaped(value)));
                }
            }
            out.push('>');
            for (key, value) in members {
                if key == "#text" {
                    out.push_str(&escaped(value));
                } else if !key.starts_with('@') {
                    push_element(out, key, value);
                }
            }
            out.push_str(&format!("</{name}>"));
        }
        value => out.push_str(&format!("<{name}>{}</{name}>", escaped(value))),
    }
}

fn escaped(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' | '\n' | '\t' => out.push_str(&format!("&#{};", u32::from(character))),
            character => out.push(character),
        }
    }
    out
}
