//! Formats that have nothing but texts, and pages of lines.

use connector_decode::{Decoder, DecoderOptions, ErrorKind, RecordSchema, capture};
use connector_plan::{FieldType, Selector, Step};

use crate::cells::{Cell, field, key, rows};

/// The cells of a field `v` in a record whose value is this; the last one is what was rescued.
#[track_caller]
fn check(field_type: FieldType, value: &str, expect: Cell) {
    let options = DecoderOptions {
        texts: true,
        ..DecoderOptions::default()
    };
    let schema = RecordSchema::new(&[field("v", field_type)]);
    let mut decoder = Decoder::new(schema, options).unwrap();
    let page = format!("[{{\"v\": {value}}}]");
    decoder.decode_page(page.as_bytes()).unwrap();
    let batch = decoder.take_batch().unwrap();
    let found = rows(&batch).pop().unwrap();
    let rescued = match expect {
        Cell::Text(ref text) if text == RESCUED => Some(text),
        _ => None,
    };
    if rescued.is_some() {
        assert_eq!(found[0], Cell::Null, "{value}");
        assert_eq!(
            found[1],
            Cell::Text(format!("{{\"v\":{value}}}")),
            "{value}"
        );
    } else {
        assert_eq!(found, [expect, Cell::Null], "{value}");
    }
}

const RESCUED: &str = "(rescued)";

fn rescued() -> Cell {
    Cell::Text(RESCUED.to_owned())
}

#[test]
fn texts_become_values_exactly_or_are_rescued() {
    use FieldType::{Boolean, Date, Integer, List, Number, String};
    let number = |value: f64| Cell::Number(value.to_bits());
    check(Integer, r#""12""#, Cell::Integer(12));
    check(Integer, r#"" -12 ""#, Cell::Integer(-12));
    check(Integer, r#""+12""#, Cell::Integer(12));
    check(Integer, r#""1e3""#, Cell::Integer(1_000));
    check(Integer, r#""9223372036854775807""#, Cell::Integer(i64::MAX));
    check(Integer, "7", Cell::Integer(7));
    for unfit in [
        "9223372036854775808",
        "1.5",
        "1,000",
        "0x10",
        "007",
        "12a",
        "1 2",
        "-",
        "--1",
    ] {
        check(Integer, &format!("\"{unfit}\""), rescued());
    }
    check(Integer, r#""""#, Cell::Null);
    check(Integer, r#""  ""#, Cell::Null);
    check(Number, r#""1.25""#, number(1.25));
    check(Number, r#""-1e-2""#, number(-0.01));
    for unfit in ["NaN", "1.", ".5", "9007199254740993", "1e999"] {
        check(Number, &format!("\"{unfit}\""), rescued());
    }
    for (text, value) in [
        ("true", true),
        ("YES", true),
        ("1", true),
        ("f", false),
        ("No", false),
    ] {
        check(Boolean, &format!("\"{text}\""), Cell::Boolean(value));
    }
    check(Boolean, r#""maybe""#, rescued());
    check(Boolean, r#""""#, Cell::Null);
    check(String, r#""""#, Cell::Text(std::string::String::new()));
    check(Date, r#""1970-01-02""#, Cell::Days(1));
    check(Date, r#""""#, Cell::Null);
    let decimal = FieldType::Decimal {
        precision: 5,
        scale: 2,
    };
    check(decimal.clone(), r#""1.50""#, Cell::Decimal(150));
    check(decimal, r#""1.505""#, rescued());
    let list = || List(Box::new(Integer));
    let ones = Cell::List(vec![Cell::Integer(1)]);
    check(list(), r#""1""#, ones.clone());
    check(list(), r#"["1"]"#, ones);
    check(list(), "null", Cell::Null);
    check(list(), r#""x""#, rescued());
}

#[test]
fn a_key_goes_through_lists_where_one_and_many_look_the_same() {
    let steps = ["r", "g", "i"]
        .map(|key| Step::Key(key.to_owned()))
        .to_vec();
    let options = DecoderOptions {
        texts: true,
        selector: Selector {
            text: "r.g.i".to_owned(),
            steps,
            ..Selector::default()
        },
        ..DecoderOptions::default()
    };
    let schema = RecordSchema::new(&[key("id", FieldType::Integer)]);
    let mut decoder = Decoder::new(schema, options).unwrap();
    for (page, records) in [
        (r#"{"r": {"g": {"i": {"id": "1"}}}}"#, 1),
        (
            r#"{"r": {"g": [{"i": {"id": "1"}}, {"i": [{"id": "2"}, {"id": "3"}]}]}}"#,
            3,
        ),
        (r#"{"r": {"g": [null, {"i": []}]}}"#, 0),
        (r#"{"r": null}"#, 0),
    ] {
        let found = decoder.decode_page(page.as_bytes()).unwrap();
        assert_eq!(found.records, records, "{page}");
    }
}

#[test]
fn lines_are_documents_and_a_bad_one_takes_back_the_page() {
    let options = || DecoderOptions {
        lines: true,
        captures: vec![vec![Step::Key("next".to_owned())]],
        ..DecoderOptions::default()
    };
    let schema = || RecordSchema::new(&[key("id", FieldType::Integer)]);
    #[track_caller]
    fn refused(decoder: &mut Decoder, page: &str, kind: ErrorKind) {
        let error = decoder.decode_page(page.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), kind, "{page}: {error}");
        assert_eq!(decoder.rows(), 2, "{page}");
    }
    let mut decoder = Decoder::new(schema(), options()).unwrap();
    let page = "\n{\"id\": 1, \"next\": 5}\r\n\n {\"id\": 2}\n";
    let page = decoder.decode_page(page.as_bytes()).unwrap();
    assert_eq!((page.records, &page.captures[0]), (2, &Some(5.into())));
    assert_eq!(decoder.decode_page(b"").unwrap().records, 0);
    refused(
        &mut decoder,
        "{\"id\": 3}\n{\"id\": 4",
        ErrorKind::Malformed,
    );
    refused(
        &mut decoder,
        "{\"id\": 3} {\"id\": 4}\n",
        ErrorKind::Malformed,
    );
    refused(&mut decoder, "{\"id\": 3}\n{}\n", ErrorKind::SchemaContract);
    refused(&mut decoder, "{\"id\": 3}\n<p>\n", ErrorKind::Malformed);
    let selector = Selector {
        text: "a".to_owned(),
        steps: vec![Step::Key("a".to_owned())],
        ..Selector::default()
    };
    let within = DecoderOptions {
        selector,
        ..options()
    };
    let mut decoder = Decoder::new(schema(), within).unwrap();
    let page = "{\"a\": {\"id\": 1}}\n{\"a\": [{\"id\": 2}]}\n{\"a\": null}\n";
    assert_eq!(decoder.decode_page(page.as_bytes()).unwrap().records, 2);
    let page = "{\"a\": {\"id\": 3}}\n{\"b\": {\"id\": 4}}\n";
    refused(&mut decoder, page, ErrorKind::SelectorMatchesNothing);
}

#[test]
fn values_are_captured_without_records() {
    let path = |keys: &str| {
        keys.split('.')
            .map(|key| Step::Key(key.to_owned()))
            .collect()
    };
    let paths = [path("a.b"), path("c"), Vec::new()];
    let page = br#" {"a": {"b": [1]}} "#;
    let found = capture(page, &paths).unwrap();
    assert_eq!(found[0], Some(serde_json::json!([1])));
    assert_eq!(found[1], None);
    assert_eq!(found[2], Some(serde_json::json!({"a": {"b": [1]}})));
    for page in ["", "<p>", "{} x", "{\"a\""] {
        assert!(capture(page.as_bytes(), &paths).is_err(), "{page}");
    }
}
