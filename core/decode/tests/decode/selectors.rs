//! Plain selectors: through arrays and objects alike, and what they do not find.

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use connector_decode::{Decoder, DecoderOptions, ErrorKind, RecordSchema, capture, select};
use connector_plan::{FieldType, Selector, Step};
use serde_json::Value;

use crate::cells::{field, key};

/// `a.*.b` as a selector.
fn selector(text: &str) -> Selector {
    let steps = text.split('.').map(|step| match step {
        "*" => Step::Wildcard,
        step => match step.parse() {
            Ok(index) => Step::Index(index),
            Err(_) => Step::Key(step.to_owned()),
        },
    });
    Selector {
        text: text.to_owned(),
        steps: steps.collect(),
        ..Selector::default()
    }
}

fn decoder(text: &str) -> Decoder {
    let schema = RecordSchema::new(&[field("id", FieldType::Integer)]);
    let options = DecoderOptions {
        selector: selector(text),
        ..DecoderOptions::default()
    };
    Decoder::new(schema, options).unwrap()
}

/// The identifiers of the records, and what was missed: how often, and where first.
#[track_caller]
fn check(text: &str, page: &str, expect: &[i64], misses: u64, first: Option<&str>) {
    let mut decoder = decoder(text);
    let decoded = decoder.decode_page(page.as_bytes()).unwrap();
    assert_eq!(decoded.selector_misses, misses, "{text} {page}");
    let batch = decoder.take_batch().unwrap();
    let ids = batch.column(0).as_primitive::<Int64Type>();
    assert_eq!(ids.values(), expect, "{text} {page}");
    let report = decoder.report();
    assert_eq!(report.selector_misses, misses);
    assert_eq!(report.first_selector_miss.as_deref(), first);
    assert_eq!(report.records, expect.len() as u64);
}

#[test]
fn wildcards_go_through_arrays_and_objects_alike() {
    let deep = "a.*.b.c.*";
    for page in [
        r#"{"a": [{"b": {"c": [{"id": 1}, {"id": 2}]}}, {"b": {"c": [{"id": 3}]}}]}"#,
        r#"{"a": {"x": {"b": {"c": [{"id": 1}, {"id": 2}]}}, "y": {"b": {"c": [{"id": 3}]}}}}"#,
        r#"{"a": [{"b": {"c": {"p": {"id": 1}, "q": {"id": 2}}}}, {"b": {"c": {"p": {"id": 3}}}}]}"#,
        r#"{"a": {"x": {"b": {"c": {"p": {"id": 1}, "q": {"id": 2}}}}, "y": {"b": {"c": [{"id": 3}]}}}}"#,
        // The elements of what a wildcard leads to are records each.
        r#"{"a": [{"b": {"c": [[{"id": 1}, {"id": 2}], [], null, {"id": 3}]}}]}"#,
    ] {
        check(deep, page, &[1, 2, 3], 0, None);
    }
    check(deep, r#"{"a": []}"#, &[], 0, None);
    check(
        deep,
        r#"{"a": {"x": null, "y": {"b": null}}}"#,
        &[],
        0,
        None,
    );
}

#[test]
fn what_a_wildcard_misses_is_counted_and_told() {
    check(
        "entries.*.item",
        r#"{"entries": [{"item": {"id": 1}}, {"other": 2}, {"item": null}, 7, {"item": {"id": 3}}]}"#,
        &[1, 3],
        2,
        Some("`$.entries[1]` has no member `item`"),
    );
    check(
        "a.*.b.c.*",
        r#"{"a": {"x": {"b": {"c": [{"id": 1}]}}, "y": {"b": {}}, "z": {"b": {"c": 5}}}}"#,
        &[1],
        2,
        Some("`$.a.y.b` has no member `c`"),
    );
    check(
        "a.*.1",
        r#"{"a": [[0, {"id": 1}], [0], []]}"#,
        &[1],
        1,
        Some("`$.a[1]` has no element 1"),
    );
}

#[test]
fn a_page_that_has_nothing_of_it_is_an_error() {
    #[track_caller]
    fn check(text: &str, page: &str, expect: &str) {
        let mut decoder = decoder(text);
        let error = decoder.decode_page(page.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SelectorMatchesNothing);
        assert!(error.to_string().contains(expect), "{error}");
        assert_eq!(decoder.report().selector_misses, 0);
    }
    check(
        "entries.*.item",
        r#"{"entries": [{"itm": 1}, {"other": 2}]}"#,
        "`$.entries[0]` has no member `item`; its keys: `itm`",
    );
    check(
        "results.2",
        r#"{"results": [1, 2]}"#,
        "`$.results` has no element 2; it is an array",
    );
}

#[test]
fn values_can_be_had_as_they_stand_in_the_page() {
    let page = br#"{"a": [ [1.50, 2] , null, "\u0041"]}"#;
    let values = select(page, &selector("a.*")).unwrap();
    assert_eq!(values, [&b"[1.50, 2]"[..], b"null", b"\"\\u0041\""]);
    assert!(select(page, &selector("b")).unwrap().is_empty());
    assert!(select(b"{", &selector("b")).is_err());
}

#[test]
fn of_duplicate_keys_only_the_last_one_is_searched() {
    let last = r#"{"a": false, "a": {"x": {"id": 1}}}"#;
    check("a.x", last, &[1], 0, None);
    check("a.x", r#"{"a": false, "a": null}"#, &[], 0, None);
    check("a.x", r#"{"a": {"x": {"id": 1}}, "a": null}"#, &[], 0, None);
    // What was missed elsewhere stays missed.
    let page = r#"{"p": {}, "q": {"x": false, "x": {"id": 2}}, "r": {"x": 7, "x": {"id": 3}}}"#;
    check("*.x", page, &[2, 3], 1, Some("`$.p` has no member `x`"));
    let mut decoder = decoder("a.x");
    let page = br#"{"a": {"x": {"id": 1}}, "a": false}"#;
    let error = decoder.decode_page(page).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SelectorMatchesNothing);
    assert_eq!(decoder.rows(), 0);
}

#[test]
fn of_duplicate_keys_only_the_last_one_has_to_fit() {
    let options = DecoderOptions {
        selector: selector("a"),
        ..DecoderOptions::default()
    };
    let schema = RecordSchema::new(&[key("id", FieldType::Integer)]);
    let mut decoder = Decoder::new(schema, options).unwrap();
    let page = br#"{"a": [{"id": 1}, {"id": null}], "a": [{"id": 2}]}"#;
    assert_eq!(decoder.decode_page(page).unwrap().records, 1);
    let page = br#"{"a": [{"id": 3}], "a": [{"id": 4}, {"x": [{}]}, {}]}"#;
    let error = decoder.decode_page(page).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaContract);
    assert!(
        error.to_string().contains("record 2 of the page"),
        "{error}"
    );
    let batch = decoder.take_batch().unwrap();
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[2]);
}

#[test]
fn integers_are_captured_to_the_digit() {
    #[track_caller]
    fn check(text: &str, expect: Value) {
        let found = capture(text.as_bytes(), &[Vec::new()]).unwrap();
        assert_eq!(found, [Some(expect)], "{text}");
    }
    check("-9223372036854775808", i64::MIN.into());
    check("18446744073709551615", u64::MAX.into());
    check("18446744073709551616", "18446744073709551616".into());
    check("-9223372036854775809", "-9223372036854775809".into());
    check("-0", Value::from(-0.0));
}

#[test]
fn of_duplicate_keys_only_the_last_one_has_to_be_captured() {
    let path = [vec![Step::Key("a".to_owned())]];
    let values = capture(br#"{"a": 1e999, "a": 2}"#, &path).unwrap();
    assert_eq!(values, [Some(2.into())]);
    let error = capture(br#"{"a": 2, "a": 1e999}"#, &path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
}

#[test]
fn a_single_value_may_follow_a_byte_order_mark() {
    let path = vec![Step::Key("a".to_owned())];
    let values = capture("\u{feff}{\"a\": 1}".as_bytes(), &[path]).unwrap();
    assert_eq!(values, [Some(1.into())]);
}
