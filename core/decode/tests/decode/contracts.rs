//! What happens to what the fields do not say, by mode.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use connector_decode::{Decoder, DecoderOptions, ErrorKind, Page, RecordSchema, Report};
use connector_plan::{Contract, ContractMode, Field, FieldType, Selector, Step};

use crate::cells::{Cell, field, key, rows};

use ContractMode::{DiscardRow, DiscardValue, Evolve, Freeze, Rescue};

fn all(mode: ContractMode) -> Contract {
    Contract {
        columns: mode,
        data_type: mode,
        fields: BTreeMap::new(),
    }
}

fn fields() -> Vec<Field> {
    let inner = vec![
        field("login", FieldType::String),
        key("n", FieldType::Integer),
    ];
    vec![
        key("id", FieldType::Integer),
        field("size", FieldType::Integer),
        field("owner", FieldType::Object(inner)),
        field("tags", FieldType::List(Box::new(FieldType::String))),
    ]
}

fn decoder(schema: RecordSchema, contract: Contract) -> Decoder {
    let options = DecoderOptions {
        contract,
        selector: Selector {
            text: "v".to_owned(),
            steps: vec![Step::Key("v".to_owned())],
            ..Selector::default()
        },
        ..DecoderOptions::default()
    };
    Decoder::new(schema, options).unwrap()
}

/// What a page of these records comes to.
#[track_caller]
fn decode(contract: Contract, records: &str) -> (Page, RecordBatch, Report) {
    let mut decoder = decoder(RecordSchema::new(&fields()), contract);
    let page = format!("{{\"v\": [{records}]}}");
    let page = decoder.decode_page(page.as_bytes()).unwrap();
    let batch = decoder.take_batch().unwrap();
    (page, batch, decoder.report())
}

/// The identifiers of the rows, what was rescued, and what was counted: values and rows, by path.
#[track_caller]
fn check(
    contract: Contract,
    records: &str,
    ids: &[i64],
    rescued: &[&str],
    values: &[(&str, u64, &str)],
    dropped: &[(&str, u64, &str)],
) {
    let (page, batch, report) = decode(contract, records);
    let rows = rows(&batch);
    let found: Vec<Cell> = rows.iter().map(|row| row[0].clone()).collect();
    let expect: Vec<Cell> = ids.iter().copied().map(Cell::Integer).collect();
    assert_eq!(found, expect);
    let found: Vec<Cell> = rows.iter().map(|row| row[4].clone()).collect();
    let expect = rescued.iter().map(|text| match *text {
        "" => Cell::Null,
        text => Cell::Text(text.to_owned()),
    });
    assert_eq!(found, expect.collect::<Vec<_>>());
    let shown = |fields: &[connector_decode::RescuedField]| {
        let fields = fields.iter();
        let fields = fields.map(|f| (f.path.clone(), f.count, f.sample.clone()));
        fields.collect::<Vec<_>>()
    };
    let expected = |fields: &[(&str, u64, &str)]| {
        let fields = fields.iter();
        let fields = fields.map(|(path, count, at)| ((*path).to_owned(), *count, (*at).to_owned()));
        fields.collect::<Vec<_>>()
    };
    assert_eq!(shown(&report.discarded_values), expected(values));
    assert_eq!(shown(&report.discarded_rows), expected(dropped));
    let sum = |fields: &[(&str, u64, &str)]| fields.iter().map(|field| field.1).sum::<u64>();
    assert_eq!(page.discarded_values, sum(values));
    assert_eq!(page.discarded_rows, sum(dropped));
    assert_eq!(page.rows, ids.len() as u64);
    assert_eq!(page.records, page.rows + page.discarded_rows);
}

const DRIFT: &str = r#"{"id": 1, "size": 1}, {"id": 2, "size": "x", "new": 1},
    {"id": 3, "owner": {"login": 5, "n": 1, "nick": "q"}}, {"id": 4, "tags": ["a", 1, "b"]},
    {"id": 5, "new": null}, {"id": 6, "new": []}"#;

#[test]
fn values_are_rescued_unless_told_otherwise() {
    let rescued = [
        "",
        r#"{"size":"x","new":1}"#,
        r#"{"owner.login":5,"owner.nick":"q"}"#,
        r#"{"tags[1]":1}"#,
        r#"{"new":null}"#,
        r#"{"new":[]}"#,
    ];
    check(
        Contract::default(),
        DRIFT,
        &[1, 2, 3, 4, 5, 6],
        &rescued,
        &[],
        &[],
    );
    // Where nobody makes columns of it, what would become one is rescued.
    check(all(Evolve), DRIFT, &[1, 2, 3, 4, 5, 6], &rescued, &[], &[]);
}

#[test]
fn values_are_dropped_and_counted() {
    check(
        all(DiscardValue),
        DRIFT,
        &[1, 2, 3, 4, 5, 6],
        &[""; 6],
        &[
            ("size", 1, "$.v[1].size"),
            ("new", 3, "$.v[1].new"),
            ("owner.login", 1, "$.v[2].owner.login"),
            ("owner.nick", 1, "$.v[2].owner.nick"),
            ("tags[*]", 1, "$.v[3].tags[1]"),
        ],
        &[],
    );
}

#[test]
fn records_are_dropped_and_counted_once() {
    check(
        all(DiscardRow),
        DRIFT,
        &[1],
        &[""],
        &[],
        &[
            ("size", 1, "$.v[1].size"),
            ("new", 2, "$.v[4].new"),
            ("owner.login", 1, "$.v[2].owner.login"),
            ("tags[*]", 1, "$.v[3].tags[1]"),
        ],
    );
}

#[test]
fn columns_and_types_have_modes_of_their_own() {
    let contract = Contract {
        columns: DiscardValue,
        data_type: DiscardRow,
        fields: BTreeMap::new(),
    };
    check(
        contract,
        DRIFT,
        &[1, 5, 6],
        &[""; 3],
        &[("new", 2, "$.v[4].new")],
        &[
            ("size", 1, "$.v[1].size"),
            ("owner.login", 1, "$.v[2].owner.login"),
            ("tags[*]", 1, "$.v[3].tags[1]"),
        ],
    );
    let mut contract = all(Rescue);
    contract.fields.insert("size".to_owned(), all(DiscardValue));
    contract.fields.insert("owner".to_owned(), all(DiscardRow));
    check(
        contract,
        DRIFT,
        &[1, 2, 4, 5, 6],
        &[
            "",
            r#"{"new":1}"#,
            r#"{"tags[1]":1}"#,
            r#"{"new":null}"#,
            r#"{"new":[]}"#,
        ],
        &[("size", 1, "$.v[1].size")],
        &[("owner.login", 1, "$.v[2].owner.login")],
    );
}

#[test]
fn nulls_where_none_may_be_drop_the_record_or_stop() {
    let nulls = r#"{"id": 1}, {"id": null}, {}, {"id": 4, "owner": {"login": "a"}}, {"id": "x"},
        {"id": 6, "owner": {"n": "y"}}"#;
    check(
        all(DiscardRow),
        nulls,
        &[1],
        &[""],
        &[],
        &[("id", 3, "$.v[1].id"), ("owner.n", 2, "$.v[3].owner.n")],
    );
    for mode in [Rescue, Evolve, DiscardValue, Freeze] {
        for (record, message) in [
            (
                r#"{"id": null}"#,
                "`$.v[0].id` of record 1 of the page: expected an integer of 64 bits, found `null`",
            ),
            (
                "{}",
                "record 1 of the page has no `$.v[0].id`: expected an integer of 64 bits",
            ),
            (
                r#"{"id": "x"}"#,
                "`$.v[0].id` of record 1 of the page: expected an integer of 64 bits, found `\"x\"`",
            ),
        ] {
            refuse(all(mode), record, message);
        }
    }
}

#[track_caller]
fn refuse(contract: Contract, records: &str, message: &str) {
    let mut decoder = decoder(RecordSchema::new(&fields()), contract);
    let page = format!("{{\"v\": [{records}]}}");
    let error = decoder.decode_page(page.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaContract);
    assert_eq!(error.to_string(), message);
    assert!(error.hint().is_some());
    assert_eq!(decoder.rows(), 0);
    assert_eq!(decoder.report(), Report::default());
}

#[test]
fn a_frozen_contract_stops_at_the_first_difference() {
    let cases = [
        (
            r#"{"id": 1}, {"id": 2, "new": {"a": 1}}"#,
            "`$.v[1].new` of record 2 of the page: expected no such field, as the schema declares \
             none, found `{\"a\": 1}`",
        ),
        (
            r#"{"id": 1, "new": null}"#,
            "`$.v[0].new` of record 1 of the page: expected no such field, as the schema declares \
             none, found `null`",
        ),
        (
            r#"{"id": 1, "size": 1.5}"#,
            "`$.v[0].size` of record 1 of the page: expected an integer of 64 bits, found `1.5`",
        ),
        (
            r#"{"id": 1, "owner": {"n": 1, "nick": ""}}"#,
            "`$.v[0].owner.nick` of record 1 of the page: expected no such field, as the schema \
             declares none, found `\"\"`",
        ),
        (
            r#"{"id": 1, "tags": ["a", {}]}"#,
            "`$.v[0].tags[1]` of record 1 of the page: expected a string, found `{}`",
        ),
        (
            r#"{"id": 1, "tags": "a"}"#,
            "`$.v[0].tags` of record 1 of the page: expected an array, found `\"a\"`",
        ),
    ];
    for (records, message) in cases {
        refuse(all(Freeze), records, message);
    }
    // The last of equal keys counts, and with it what it breaks.
    check(
        all(Freeze),
        r#"{"id": 1, "size": "x", "size": 2}"#,
        &[1],
        &[""],
        &[],
        &[],
    );
}

#[test]
fn what_a_key_left_that_comes_again_does_not_count() {
    let records = r#"{"id": 1, "size": "x", "size": 2, "new": 1, "new": 2}"#;
    check(
        all(DiscardValue),
        records,
        &[1],
        &[""],
        &[("new", 1, "$.v[0].new")],
        &[],
    );
    check(
        all(DiscardRow),
        records,
        &[],
        &[],
        &[],
        &[("new", 1, "$.v[0].new")],
    );
    let healed = r#"{"id": "x", "id": 1, "owner": {}, "owner": null}"#;
    check(all(DiscardRow), healed, &[1], &[""], &[], &[]);
}

#[test]
fn a_page_that_fails_counts_nothing() {
    let mut decoder = decoder(RecordSchema::new(&fields()), all(DiscardRow));
    decoder
        .decode_page(br#"{"v": [{"id": 1}, {"id": 2, "new": 1}, {"id": 3]}"#)
        .unwrap_err();
    assert_eq!(decoder.report(), Report::default());
    let page = decoder.decode_page(br#"{"v": [{"id": 1}, {"id": 2, "new": 1}, {"id": 3}]}"#);
    assert_eq!(page.unwrap().discarded_rows, 1);
    assert_eq!(decoder.report().discarded_rows[0].record, 2);
    assert_eq!(decoder.rows(), 2);
}

#[test]
fn records_that_may_give_columns_are_kept_whole() {
    let contract = Contract {
        columns: Evolve,
        data_type: DiscardValue,
        fields: BTreeMap::new(),
    };
    let mut decoder = decoder(RecordSchema::evolving(&fields()), contract);
    let page = br#"{"v": [{"id": 1}, {"id": 2, "new": 1, "size": "x"}, {"id": 3, "size": "x"}]}"#;
    decoder.decode_page(page).unwrap();
    let batch = decoder.take_batch().unwrap();
    assert_eq!(batch.schema(), RecordSchema::evolving(&fields()).arrow());
    let rows = rows(&batch);
    let whole: Vec<Cell> = rows.iter().map(|row| row[5].clone()).collect();
    let text = |text: &str| Cell::Text(text.to_owned());
    let second = text(r#"{"id": 2, "new": 1, "size": "x"}"#);
    assert_eq!(whole, [Cell::Null, second, Cell::Null]);
    assert_eq!(rows[1][4], text(r#"{"new":1}"#));
    let report = decoder.report();
    // What becomes of it is known later.
    assert_eq!(report.rescued, []);
    assert_eq!(report.discarded_values[0].count, 2);
}

#[test]
fn a_key_that_comes_again_takes_back_only_the_samples_of_its_own_records() {
    let mut options = DecoderOptions {
        contract: all(Evolve),
        ..DecoderOptions::default()
    };
    let key = |name: &str| Step::Key(name.to_owned());
    options.selector.steps = vec![key("pages"), Step::Wildcard, key("items")];
    let mut decoder = Decoder::new(RecordSchema::evolving(&fields()), options).unwrap();
    let page = br#"{"pages": [
        {"items": [{"id": 1, "new": 1}]},
        {"items": [{"id": 2, "other": 1}], "items": [{"id": 3, "new": 2}]}
    ]}"#;
    decoder.decode_page(page).unwrap();
    assert_eq!(decoder.rows(), 2);
    let pending = decoder.report().pending;
    let pending: Vec<(&str, &str, u64)> = pending
        .iter()
        .map(|field| (field.path.as_str(), field.sample.as_str(), field.record))
        .collect();
    assert_eq!(pending, [("new", "$.pages[0].items[0].new", 1)]);
}
