//! Pages of JSON, decoded: the shapes of `cargo connector bench`.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use connector_decode::{Decoder, DecoderOptions, RecordSchema};
use connector_plan::{Field, FieldType, RESCUED_COLUMN, Selector, Step};

use crate::sample::{Records, Shape};

/// Records per page.
pub const PAGE: u64 = 1000;

/// The fields of `build-tools/bench/spec.yaml`: a path and a type each.
const FLAT: &str = "\
id string
number integer
name string
owner string
status string
path string
size integer
score number
latitude number
shared boolean
created_at timestamp
updated_at timestamp";
const NESTED: &str = "\
id string
number integer
name string
status string
description string
created_at timestamp
updated_at timestamp
owner.id string
owner.name string
owner.email string
owner.active boolean
owner.joined_at timestamp
owner.address.street string
owner.address.city string
owner.address.postcode string
owner.address.country string
owner.address.place.latitude number
owner.address.place.longitude number
usage.views integer
usage.downloads integer
usage.bytes integer
usage.score number
usage.share number
plan.name string
plan.currency string
plan.amount number
plan.tax.rate number
plan.tax.included boolean
plan.period.start timestamp
plan.period.end timestamp
checksum string
parent string
revision integer
locked boolean
tags[] string
permissions[].user string
permissions[].role string
permissions[].granted_at timestamp";

/// The field table of a shape.
pub fn schema(shape: Shape) -> RecordSchema {
    let text = if shape == Shape::Nested { NESTED } else { FLAT };
    let mut fields = Vec::new();
    for line in text.lines() {
        let (path, kind) = line.split_once(' ').expect("a path and a type");
        let names: Vec<&str> = path.split('.').collect();
        add(&mut fields, &names, kind);
    }
    RecordSchema::new(&fields)
}

fn add(fields: &mut Vec<Field>, path: &[&str], kind: &str) {
    let (first, rest) = path.split_first().expect("a name");
    let name = first.trim_end_matches("[]");
    if fields.last().is_none_or(|last| last.name != name) {
        let leaf = match kind {
            "string" => FieldType::String,
            "integer" => FieldType::Integer,
            "number" => FieldType::Number,
            "boolean" => FieldType::Boolean,
            _ => FieldType::Timestamp {
                formats: vec!["rfc3339".to_owned()],
            },
        };
        let element = if rest.is_empty() {
            leaf
        } else {
            FieldType::Object(Vec::new())
        };
        fields.push(Field {
            name: name.to_owned(),
            field_type: if first.ends_with("[]") {
                FieldType::List(Box::new(element))
            } else {
                element
            },
            nullable: true,
            description: String::new(),
        });
    }
    let mut within = fields.last_mut().map(|field| &mut field.field_type);
    while let Some(FieldType::List(element)) = within {
        within = Some(element);
    }
    if let Some(FieldType::Object(children)) = within {
        add(children, rest, kind);
    }
}

/// The bodies of so many rows.
pub fn bodies(shape: Shape, rows: u64) -> impl Iterator<Item = Vec<u8>> {
    let records = Records::new(shape, rows);
    (0..rows).step_by(PAGE as usize).map(move |first| {
        let mut body = Vec::new();
        records.page(first..rows.min(first + PAGE), rows, &mut body);
        body
    })
}

/// A decoder of a shape.
pub fn decoder(shape: Shape) -> Decoder {
    let options = DecoderOptions {
        selector: Selector {
            text: "records".to_owned(),
            steps: vec![Step::Key("records".to_owned())],
            ..Selector::default()
        },
        ..DecoderOptions::default()
    };
    Decoder::new(schema(shape), options).expect("fields that are right")
}

/// So many rows as a connector hands them over, and their columns.
pub fn batches(shape: Shape, rows: u64) -> (SchemaRef, Vec<RecordBatch>) {
    let mut decoder = decoder(shape);
    let mut batches = Vec::new();
    for body in bodies(shape, rows) {
        decoder.decode_page(&body).expect("pages that are right");
        if decoder.rows() >= 32 * 1024 {
            batches.push(decoder.take_batch().expect("a batch"));
        }
    }
    batches.push(decoder.take_batch().expect("a batch"));
    for batch in &batches {
        let rescued = batch.column_by_name(RESCUED_COLUMN);
        let values = rescued.map_or(0, |column| column.len() - column.null_count());
        assert_eq!(values, 0, "the field table does not fit the records");
    }
    (Arc::clone(&schema(shape).arrow()), batches)
}
