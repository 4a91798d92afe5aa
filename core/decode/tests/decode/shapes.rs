//! Shapes are joins, and the fields made of them hold every value of the records.

use connector_decode::{Decoder, DecoderOptions, RecordSchema, Shape};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Values in which much comes again, so that they meet in the same places.
fn value() -> impl Strategy<Value = String> {
    let scalar = select(vec![
        "null",
        "true",
        "0",
        "-7",
        "9007199254740993",
        "9223372036854775808",
        "0.5",
        "1e3",
        "-0",
        "1e400",
        "0.123456789012345678",
        "\"\"",
        "\"text\"",
        "\"2026-01-31\"",
        "\"2026-02-30\"",
        "\"2026-01-31T10:00:00Z\"",
        "\"2026-01-31T10:00:00.123456789Z\"",
        "{}",
        "[]",
    ])
    .prop_map(str::to_owned);
    scalar.prop_recursive(3, 16, 3, |inner| {
        let member = (select(vec!["a", "b", "c d"]), inner.clone());
        prop_oneof![
            vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
            vec(member, 0..3).prop_map(|members| object(&members)),
        ]
    })
}

/// An object without a key that comes again.
fn object(members: &[(&str, String)]) -> String {
    let mut seen = Vec::new();
    let mut texts = Vec::new();
    for (name, value) in members {
        if !seen.contains(name) {
            seen.push(*name);
            texts.push(format!("\"{name}\": {value}"));
        }
    }
    format!("{{{}}}", texts.join(", "))
}

fn record() -> impl Strategy<Value = String> {
    let member = (select(vec!["id", "a", "b", "when"]), value());
    prop_oneof![
        9 => vec(member, 0..5).prop_map(|members| object(&members)),
        1 => value(),
    ]
}

fn shape(records: &[String]) -> Shape {
    let mut shape = Shape::default();
    for record in records {
        shape.add_record(record.as_bytes()).unwrap();
    }
    shape
}

fn joined(one: &Shape, other: &Shape) -> Shape {
    let mut shape = one.clone();
    shape.join(other);
    shape
}

proptest! {
    #[test]
    fn the_order_of_records_and_pages_does_not_matter(
        records in vec(record(), 0..12).prop_shuffle(),
        at in 0..12_usize,
        seed in any::<u64>(),
    ) {
        let whole = shape(&records);
        let (first, second) = records.split_at(at.min(records.len()));
        let (first, second) = (shape(first), shape(second));
        prop_assert_eq!(&joined(&first, &second), &whole);
        prop_assert_eq!(&joined(&second, &first), &whole);
        prop_assert_eq!(&joined(&whole, &first), &whole);
        let mut other = records.clone();
        other.sort_by_key(|record| record.len() as u64 ^ seed);
        prop_assert_eq!(&shape(&other), &whole);
        prop_assert_eq!(shape(&other).fields(&[]), whole.fields(&[]));
        prop_assert_eq!(Shape::from_json(&whole.to_json()), Some(whole));
    }

    #[test]
    fn the_fields_hold_every_value(records in vec(record(), 1..12)) {
        let fields = shape(&records).fields(&[]);
        let options = DecoderOptions::default();
        let mut decoder = Decoder::new(RecordSchema::new(&fields), options).unwrap();
        let page = decoder.decode_page(format!("[{}]", records.join(",")).as_bytes());
        let rescued = page.unwrap().rescued;
        prop_assert_eq!(rescued, 0, "{:?} {:?}", decoder.report(), records);
    }
}
