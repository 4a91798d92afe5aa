//! Contracts: what a run leaves of records that drift away from their schema, and come back.

use serde_json::{Value, json};

use crate::relations::rows;
use crate::strategies::{Api, connector};

const FIELDS: &str = "id: integer, size: integer, tags: {type: array, items: string}, \
                      owner: {type: object, fields: {login: string}}";
const COLUMNS: [&str; 8] = [
    "id", "size", "tags", "owner", "colour", "labels", "site", "_rescued",
];
const MERGE: &str = "primary_key: id\n  write_disposition: merge\n  ";

fn with(mode: &str) -> Api {
    Api::new(&format!("{MERGE}schema_contract: {mode}"), FIELDS)
}

/// The rows that are not null in these columns, without their nulls.
fn found(api: &Api, columns: &[&str]) -> Vec<Value> {
    let mut rows = rows(&api.workspace, "items").united(columns);
    for row in &mut rows {
        if let Value::Object(row) = row {
            row.retain(|_, value| !value.is_null());
        }
    }
    rows
}

fn v1() -> Value {
    json!([
        {"id": 1, "size": 1, "tags": ["a"], "owner": {"login": "x"}},
        {"id": 2, "size": 2, "tags": null, "owner": null},
    ])
}

/// What a record that drifts comes to.
enum Outcome {
    /// A row, with so many values dropped.
    Row(Value, u64),
    /// Its record is dropped.
    Dropped,
    /// The run stops.
    Refused,
}

use Outcome::{Dropped, Refused, Row};

/// The API goes from version 1 to a version with this record, and back.
#[track_caller]
fn check(mode: &str, drifted: &Value, outcome: Outcome) {
    let api = with(mode);
    let first = api.run(&v1(), &[], 0);
    assert!(first.get("discarded_values").is_none() && first.get("discarded_rows").is_none());
    let before = api.workspace.files();
    let v2 = json!([{"id": 2, "size": 20}, drifted]);
    let code = if matches!(outcome, Refused) { 6 } else { 0 };
    let record = api.run(&v2, &[], code);
    let sum = |key: &str| {
        let fields = record[key].as_array().into_iter().flatten();
        fields
            .map(|field| field["values"].as_u64().unwrap())
            .sum::<u64>()
    };
    let (values, dropped) = match &outcome {
        Row(_, values) => (*values, 0),
        Dropped => (0, 1),
        Refused => (0, 0),
    };
    assert_eq!(
        (sum("discarded_values"), sum("discarded_rows")),
        (values, dropped),
        "{record}"
    );
    let mut expect = vec![
        json!({"id": 1, "size": 1, "tags": ["a"], "owner": {"login": "x"}}),
        json!({"id": 2, "size": 20}),
    ];
    match outcome {
        Refused => {
            assert_eq!(api.workspace.files().parquet(), before.parquet());
            let message = record["error"]["message"].as_str().unwrap();
            assert!(message.contains("`$[1]."), "{message}");
            assert!(
                message.contains("record 2 of the page: expected"),
                "{message}"
            );
            expect[1] = json!({"id": 2, "size": 2});
        }
        Dropped => {}
        Row(row, _) => {
            if row["owner"].get("nick").is_some() {
                expect[0]["owner"] = json!({"login": "x", "nick": null});
            }
            if row["size"].is_f64() {
                expect[0]["size"] = json!(1.0);
                expect[1]["size"] = json!(20.0);
            }
            expect.push(row);
        }
    }
    let sorted = |mut rows: Vec<Value>| {
        rows.sort_by_key(|row| row["id"].as_u64());
        rows
    };
    let is_old_nick = |row: &Value| row["owner"]["nick"].is_null();
    let strip = |mut rows: Vec<Value>| {
        // Files from before a member was there do not have it.
        for row in rows.iter_mut().filter(|row| is_old_nick(row)) {
            if let Some(owner) = row.get_mut("owner").and_then(Value::as_object_mut) {
                owner.remove("nick");
            }
        }
        sorted(rows)
    };
    assert_eq!(
        strip(found(&api, &COLUMNS)),
        strip(expect.clone()),
        "{mode} {drifted}"
    );
    // Back to version 1: what was read stays, and nothing is lost.
    api.run(&v1(), &[], 0);
    let float = expect[1]["size"].is_f64();
    expect[1]["size"] = if float { json!(2.0) } else { json!(2) };
    assert_eq!(
        strip(found(&api, &COLUMNS)),
        strip(expect),
        "{mode} {drifted}"
    );
    assert_eq!(api.workspace.files().unfinished(), [""; 0]);
}

/// Records that drift: a new member, another type, a fraction, nothing but null, empty lists, nested
/// members, another element.
fn drifts() -> [Value; 7] {
    [
        json!({"id": 3, "size": 3, "colour": "red"}),
        json!({"id": 3, "size": "big"}),
        json!({"id": 3, "size": 2.5}),
        json!({"id": 3, "size": null, "colour": null}),
        json!({"id": 3, "tags": [], "labels": []}),
        json!({"id": 3, "owner": {"login": "y", "nick": "z"},
               "site": {"town": "Ulm", "pins": [1, 2]}}),
        json!({"id": 3, "tags": ["a", 5]}),
    ]
}

/// What rescuing makes of them.
fn rescued() -> [Value; 7] {
    [
        json!({"id": 3, "size": 3, "_rescued": r#"{"colour":"red"}"#}),
        json!({"id": 3, "_rescued": r#"{"size":"big"}"#}),
        json!({"id": 3, "_rescued": r#"{"size":2.5}"#}),
        json!({"id": 3, "_rescued": r#"{"colour":null}"#}),
        json!({"id": 3, "tags": [], "_rescued": r#"{"labels":[]}"#}),
        json!({"id": 3, "owner": {"login": "y"},
               "_rescued": r#"{"owner.nick":"z","site":{"pins":[1,2],"town":"Ulm"}}"#}),
        json!({"id": 3, "tags": ["a", null], "_rescued": r#"{"tags[1]":5}"#}),
    ]
}

#[track_caller]
fn check_all(mode: &str, outcome: impl Fn(usize) -> Outcome) {
    // What is only missing is no drift.
    let plain = json!({"id": 3});
    check(mode, &plain, Row(plain.clone(), 0));
    for (number, drifted) in drifts().iter().enumerate() {
        check(mode, drifted, outcome(number));
    }
}

#[test]
fn rescue_keeps_what_does_not_fit() {
    check_all("rescue", |number| Row(rescued()[number].clone(), 0));
}

#[test]
fn evolve_lets_the_columns_follow() {
    check_all("evolve", |number| match number {
        0 | 2 | 5 => Row(drifts()[number].clone(), 0),
        _ => Row(rescued()[number].clone(), 0),
    });
}

#[test]
fn freeze_stops_and_publishes_nothing() {
    check_all("freeze", |_| Refused);
}

#[test]
fn discard_value_drops_and_counts_values() {
    check_all("discard_value", |number| {
        let mut row = rescued()[number].clone();
        row.as_object_mut().unwrap().remove("_rescued");
        Row(row, if number == 5 { 2 } else { 1 })
    });
}

#[test]
fn discard_row_drops_and_counts_records() {
    check_all("discard_row", |_| Dropped);
}

/// The columns of all files, in their order, without `_rescued`.
fn columns(api: &Api) -> Vec<String> {
    let columns = rows(&api.workspace, "items").columns().into_iter();
    let columns = columns.filter(|(name, _)| name != "_rescued");
    columns
        .map(|(name, data_type)| format!("{name} {data_type}"))
        .collect()
}

#[test]
fn new_columns_come_at_the_end_and_stay() {
    let mut api = Api::new("schema_contract: evolve", "id: integer, day: date");
    let run = |api: &Api, records: &Value, code: u8| api.run(records, &[], code);
    run(&api, &json!([{"id": 1, "day": "2026-01-31"}]), 0);
    let first = api.workspace.files().parquet();
    let record = run(
        &api,
        &json!([{"id": 2, "b": 1, "a": {"x": null}}, {"id": 3, "b": 2}]),
        0,
    );
    assert_eq!(record["rescued"][0]["path"], "a", "{record}");
    assert_eq!(
        record["load"]["schema_changes"],
        json!([{"column": "b", "change": "added"}])
    );
    // Rows that are there are not written again.
    let second = api.workspace.files();
    assert!(
        first
            .names()
            .all(|name| second.names().any(|other| other == name))
    );
    let record = run(
        &api,
        &json!([{"id": 4, "a": {"x": true}, "b": null, "c": [0.5]}]),
        0,
    );
    assert_eq!(record["rescued"], json!([]), "{record}");
    run(&api, &json!([{"id": 5, "b": 7}]), 0);
    let expect = |day: &str| {
        vec![
            "id Int64".to_owned(),
            format!("day {day}"),
            "b Int64".to_owned(),
            "a Struct(\"x\": Boolean, metadata: {\"PARQUET:field_id\": \"7\"})".to_owned(),
            "c List(Float64, field: 'element', metadata: {\"PARQUET:field_id\": \"8\"})".to_owned(),
        ]
    };
    assert_eq!(columns(&api), expect("Date32"));
    let all = ["id", "day", "b", "a", "c", "_rescued"];
    let rows = [
        json!({"id": 1, "day": 20484}),
        json!({"id": 2, "b": 1, "_rescued": r#"{"a":{"x":null}}"#}),
        json!({"id": 3, "b": 2}),
        json!({"id": 4, "a": {"x": true}, "c": [0.5]}),
        json!({"id": 5, "b": 7}),
    ];
    let mut sorted = found(&api, &all);
    sorted.sort_by_key(|row| row["id"].as_u64());
    assert_eq!(sorted, rows);
    // Another mode knows the columns that are there, and nothing else.
    api.connector = connector("schema_contract: freeze", "id: integer, day: date");
    run(&api, &json!([{"id": 6, "b": 8, "c": []}]), 0);
    let record = run(&api, &json!([{"id": 7, "d": 1}]), 6);
    let message = record["error"]["message"].as_str().unwrap();
    assert!(message.contains("`$[0].d`"), "{message}");
    run(&api, &json!([{"id": 7, "b": 1.5}]), 6);
    api.connector = connector("schema_contract: evolve", "id: integer, day: date");
    run(&api, &json!([{"id": 7, "b": 1.5, "day": "soon"}]), 0);
    let mut sorted = found(&api, &all);
    sorted.sort_by_key(|row| row["id"].as_u64());
    assert_eq!(sorted[0]["day"], "2026-01-31");
    assert_eq!(sorted[6], json!({"id": 7, "b": 1.5, "day": "soon"}));
    // A full refresh begins with what is declared.
    api.run(&json!([{"id": 1, "e": "x"}]), &["--full-refresh"], 0);
    assert_eq!(columns(&api), ["id Int64", "day Date32", "e Utf8"]);
}

#[test]
fn integers_become_numbers_only_where_that_is_exact() {
    let wide = 9_007_199_254_740_993_i64;
    for (first, second) in [
        (
            json!([{"id": 1, "size": wide}]),
            json!([{"id": 2, "size": 0.5}]),
        ),
        (
            json!([{"id": 1, "size": 1}]),
            json!([{"id": 2, "size": 0.5}, {"id": 1, "size": wide}]),
        ),
    ] {
        let api = with("evolve");
        api.run(&first, &[], 0);
        let record = api.run(&second, &[], 0);
        assert_eq!(record["rescued"][0]["path"], "size");
        assert_eq!(record["rescued"][0]["first_at"], "$[0].size");
        let mut rows = found(&api, &["id", "size", "_rescued"]);
        rows.sort_by_key(|row| row["id"].as_u64());
        assert_eq!(rows[0], json!({"id": 1, "size": wide}));
        assert_eq!(rows[1], json!({"id": 2, "_rescued": r#"{"size":0.5}"#}));
    }
}

#[test]
fn replaced_datasets_remember_their_columns() {
    let keys = "write_disposition: replace\n  schema_contract: evolve";
    let api = Api::new(keys, "id: integer");
    api.run(&json!([{"id": 1, "b": 1}]), &[], 0);
    api.run(&json!([{"id": 1, "a": 1}]), &[], 0);
    api.run(&json!([{"id": 1, "c": null}]), &[], 0);
    assert_eq!(columns(&api), ["id Int64", "b Int64", "a Int64"]);
    assert_eq!(
        found(&api, &["id", "_rescued"]),
        [json!({"id": 1, "_rescued": r#"{"c":null}"#})]
    );
}

#[test]
fn fields_have_contracts_of_their_own() {
    let fields = "id: integer, size: {type: integer, schema_contract: discard_value}, \
                  owner: {type: object, fields: {login: string}, schema_contract: {columns: evolve}}";
    let keys = "primary_key: id\n  schema_contract: {tables: freeze, columns: discard_value, data_type: discard_row}";
    let api = Api::new(keys, fields);
    let record = api.run(
        &json!([{"id": 1, "size": "x", "new": 1, "owner": {"login": "a", "nick": "b"}},
                {"id": 2, "owner": {"login": 5}}, {"id": "three"}, {"size": 4}]),
        &[],
        0,
    );
    assert_eq!(
        found(&api, &["id", "size", "owner", "_rescued"]),
        [json!({"id": 1, "owner": {"login": "a", "nick": "b"}})]
    );
    assert_eq!(
        record["discarded_values"],
        json!([{"path": "new", "values": 1, "first_at": "$[0].new"},
               {"path": "size", "values": 1, "first_at": "$[0].size"}])
    );
    assert_eq!(
        record["discarded_rows"],
        json!([{"path": "owner.login", "values": 1, "first_at": "$[1].owner.login"},
               {"path": "id", "values": 2, "first_at": "$[2].id"}])
    );
    assert_eq!(record["rescued"], json!([]));
}

#[test]
fn histories_and_wider_specs_keep_every_value() {
    let keys = "primary_key: id\n  write_disposition: {disposition: merge, strategy: scd2}\n  schema_contract: evolve";
    let mut api = Api::new(keys, "id: integer, size: integer");
    api.run(&json!([{"id": 1, "size": 1}, {"id": 2, "size": 2}]), &[], 0);
    let record = api.run(
        &json!([{"id": 1, "size": 1, "colour": "red", "_valid_from": 7}, {"id": 2, "size": 2}]),
        &[],
        0,
    );
    assert_eq!(record["load"]["updated"], 1, "{record}");
    assert_eq!(record["load"]["retired"], 1);
    assert_eq!(record["rescued"][0]["path"], "_valid_from");
    // The same record makes no version once its value has a column, and none when that is wider.
    let keys = "primary_key: id\n  write_disposition: {disposition: merge, strategy: scd2}";
    api.connector = connector(keys, "id: integer, size: number, colour: string");
    let record = api.run(
        &json!([{"id": 1, "size": 1, "colour": "red", "_valid_from": 7}, {"id": 2, "size": 2}]),
        &[],
        0,
    );
    assert_eq!(record["load"]["updated"], 0, "{record}");
    assert_eq!(record["load"]["unchanged"], 2);
    assert_eq!(
        record["load"]["schema_changes"],
        json!([{"column": "size", "change": "widened"}])
    );
}

#[test]
fn a_wider_type_in_the_spec_converts_what_is_there() {
    for disposition in [
        "write_disposition: append",
        "primary_key: id\n  write_disposition: merge",
    ] {
        let narrow = "id: integer, a: integer, b: date, c: integer, d: {type: decimal, precision: 5, scale: 2}, \
                      e: integer, o: {type: object, fields: {n: integer}}, l: {type: array, items: integer}";
        let wide = "id: integer, a: number, b: string, c: string, d: {type: decimal, precision: 9, scale: 3}, \
                    e: {type: decimal, precision: 30, scale: 2}, o: {type: object, fields: {n: number, m: string}}, \
                    l: {type: array, items: number}, z: integer";
        let mut api = Api::new(disposition, narrow);
        let old = json!([{"id": 1, "a": 7, "b": "2026-01-31", "c": -3, "e": 5, "o": {"n": 1}, "l": [1, null]}]);
        api.run(&old, &[], 0);
        api.connector = connector(disposition, wide);
        api.run(
            &json!([{"id": 2, "a": 0.5, "b": "soon", "c": "x", "o": {"n": 0.5, "m": "q"}, "l": [0.5], "z": 9}]),
            &[],
            0,
        );
        let mut rows = found(&api, &["id", "a", "b", "c", "o", "l", "z"]);
        rows.sort_by_key(|row| row["id"].as_u64());
        assert_eq!(
            rows,
            [
                json!({"id": 1, "a": 7.0, "b": "2026-01-31", "c": "-3", "o": {"n": 1.0, "m": null}, "l": [1.0, null]}),
                json!({"id": 2, "a": 0.5, "b": "soon", "c": "x", "o": {"n": 0.5, "m": "q"}, "l": [0.5], "z": 9}),
            ]
        );
        let types = columns(&api);
        assert!(
            types.contains(&"d Decimal128(9, 3)".to_owned()),
            "{types:?}"
        );
        assert!(
            types.contains(&"e Decimal128(30, 2)".to_owned()),
            "{types:?}"
        );
        // The way back is none, and nothing is touched.
        let before = api.workspace.files().parquet();
        api.connector = connector(disposition, narrow);
        let record = api.run(&old, &[], 6);
        let message = record["error"]["message"].as_str().unwrap();
        assert!(
            message.contains("Float64") && message.contains("`a`"),
            "{message}"
        );
        assert_eq!(api.workspace.files().parquet(), before);
    }
}
