//! What a selector with a query, and processing steps, cost beside the plain path.
//!
//! `cargo bench -p connector-decode --bench select -- [RECORDS]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use connector_decode::{Decoder, DecoderOptions, Node, RecordProcessor, RecordSchema};
use connector_plan::{Field, FieldType, Segment, Selector, Step};

const ROUNDS: usize = 9;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let records: u64 = std::env::args()
        .skip(1)
        .find_map(|word| word.parse().ok())
        .unwrap_or(1_000);
    let page = page(records);
    println!(
        "{records} records of {} bytes, best of {ROUNDS} rounds",
        page.len() / usize::try_from(records)?
    );
    for (name, query, processor) in [
        ("items", None, None),
        ("$.items[?@.size >= 0]", Some("[?@.size >= 0]"), None),
        ("$..items[*]", Some("..items"), None),
        ("items, one member set", None, Some(set())),
        ("items, one member renamed", None, Some(rename())),
    ] {
        let best = measure(&page, records, query, processor)?;
        println!(
            "{name:28} {:6} ns per record",
            best.as_nanos() / u128::from(records)
        );
    }
    Ok(())
}

/// The shortest time that decoding the page takes.
fn measure(
    page: &[u8],
    records: u64,
    query: Option<&str>,
    processor: Option<RecordProcessor>,
) -> Result<Duration, Box<dyn std::error::Error>> {
    let descends = query.is_some_and(|query| query.starts_with(".."));
    let options = DecoderOptions {
        selector: Selector {
            text: "items".to_owned(),
            steps: if descends {
                Vec::new()
            } else {
                vec![Step::Key("items".to_owned())]
            },
            query: query
                .map(|text| Segment {
                    text: text.to_owned(),
                    names: Vec::new(),
                })
                .into_iter()
                .collect(),
        },
        processor,
        ..DecoderOptions::default()
    };
    let mut decoder = Decoder::new(schema(), options)?;
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let decoded = decoder.decode_page(black_box(page))?;
        best = best.min(start.elapsed());
        assert_eq!(decoded.rows, records);
        black_box(decoder.take_batch()?);
    }
    Ok(best)
}

fn set() -> RecordProcessor {
    RecordProcessor::new(|mut record, give| {
        record.set(&["note".to_owned()], Node::new(&"set".into()))?;
        give(record);
        Ok(0)
    })
}

fn rename() -> RecordProcessor {
    RecordProcessor::new(|mut record, give| {
        if let Some(node) = record.take(&["label".to_owned()]) {
            record.set(&["note".to_owned()], node)?;
        }
        give(record);
        Ok(0)
    })
}

fn schema() -> RecordSchema {
    let field = |name: &str, field_type| Field {
        name: name.to_owned(),
        field_type,
        nullable: true,
        description: String::new(),
    };
    RecordSchema::new(&[
        field("id", FieldType::String),
        field("name", FieldType::String),
        field("size", FieldType::Integer),
        field("share", FieldType::Number),
        field("shared", FieldType::Boolean),
        field(
            "created",
            FieldType::Timestamp {
                formats: vec!["rfc3339".to_owned()],
            },
        ),
        field("label", FieldType::String),
        field("note", FieldType::String),
    ])
}

fn page(records: u64) -> Vec<u8> {
    let items: Vec<String> = (0..records)
        .map(|number| {
            format!(
                r#"{{"id":"f-{number:08}","name":"Quarterly report number {number}.pdf","size":{},"share":0.{number},"shared":{},"created":"2026-01-{:02}T08:15:30.123Z","label":"label of the record with the number {number}"}}"#,
                number * 7919,
                number % 2 == 0,
                1 + number % 28,
            )
        })
        .collect();
    format!(r#"{{"total":{records},"items":[{}]}}"#, items.join(",")).into_bytes()
}
