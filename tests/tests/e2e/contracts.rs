//! Contracts: what a run leaves of records that drift away from their schema, and come back.

use std::sync::Arc;

use connector_sandbox::{Answer, Options, Sandbox};
use connector_tests::Workspace;
use serde_json::{Value, json};

use crate::relations::{expect_code, rows, run};
use crate::strategies::{Api, connector, spec};

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

/// What `schema --diff` says of this spec.
#[track_caller]
fn diff(api: &Api, keys: &str, fields: &str, code: i32) -> String {
    let _ = ask(api, keys, fields, &["schema", "--diff", "--json"], code);
    ask(api, keys, fields, &["schema", "--diff"], code)
}

/// What the command line of this spec's connector answers.
#[track_caller]
pub(crate) fn ask(api: &Api, keys: &str, fields: &str, arguments: &[&str], code: i32) -> String {
    let path = api.workspace.path("tree.yaml");
    std::fs::write(&path, spec(keys, fields)).unwrap();
    let run = api.workspace.cargo_connector("tree");
    let run = run.args(["run", path.to_str().unwrap(), "--out", "data"]);
    run.args(arguments).run().expect(code).stdout
}

#[test]
fn a_change_of_the_spec_is_told_before_it_is_done() {
    let before = "id: integer, size: integer, name: {type: string, nullable: false}, \
                  owner: {type: object, fields: {login: string, age: integer}}, old: string";
    let after = "id: integer, size: number, name: string, \
                 owner: {type: object, fields: {login: string, age: integer, nick: string}}, \
                 tags: {type: array, items: string}";
    let mut api = Api::new(MERGE, before);
    assert_eq!(diff(&api, MERGE, before, 0), "items: no dataset yet\n");
    let records = json!([{"id": 1, "size": 5, "name": "a", "owner": {"login": "x", "age": 1}}]);
    api.run(&records, &[], 0);
    assert_eq!(diff(&api, MERGE, before, 0), "items: unchanged\n");
    let files = api.workspace.files();
    let text = diff(&api, MERGE, after, 0);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..lines.len() - 1],
        [
            "items: the columns change, all rows stay",
            "  ~ size        integer -> number  wider; the rows that are there are converted",
            "  ~ name        may be null",
            "  + owner.nick  string  new; null in the rows that are there",
            "  - old         string  not declared any more; null in new rows",
            "  + tags        [string]  new; null in the rows that are there",
        ]
    );
    assert!(
        lines[lines.len() - 1].starts_with("  1 files are written again ("),
        "{text}"
    );
    let json = ask(
        &api,
        MERGE,
        after,
        &["schema", "items", "--diff", "--json"],
        0,
    );
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["refused"], false);
    let dataset = &json["datasets"][0];
    assert_eq!(dataset["outcome"], "changed");
    assert_eq!(
        dataset["columns"][0],
        json!({"column": "size", "change": "widened", "from": "integer", "to": "number"})
    );
    assert_eq!(dataset["rewrites"].as_array().unwrap().len(), 1);
    // Looking changes nothing, and the run does what was told.
    assert_eq!(api.workspace.files(), files);
    api.connector = connector(MERGE, after);
    let record = api.run(&records, &[], 0);
    let shown = |changes: &Value| {
        let changes = changes.as_array().unwrap().iter();
        let mut changes: Vec<String> = changes
            .map(|change| format!("{} {}", change["change"], change["column"]))
            .collect();
        changes.sort_unstable();
        changes
    };
    assert_eq!(
        shown(&dataset["columns"]),
        shown(&record["load"]["schema_changes"])
    );
    let json: Value = serde_json::from_str(&record["load"]["files_removed"].to_string()).unwrap();
    assert_eq!(json[0]["name"], dataset["rewrites"][0]);
    assert_eq!(
        diff(&api, MERGE, after, 0),
        "items: the columns change, all rows stay\n  - old  string  not declared any more; null in new rows\n"
    );
}

#[test]
fn what_the_next_run_refuses_is_told_with_exit_code_6() {
    let fields = "id: integer, size: integer";
    let wide = 9_007_199_254_740_993_i64;
    let values = "the values that are there cannot be converted";
    for (keys, other, line, code) in [
        (
            MERGE,
            "id: integer, size: boolean",
            format!("  ! size  integer -> boolean  {values}"),
            6,
        ),
        (
            MERGE,
            "id: integer, size: number",
            format!("  ! size  integer -> number  {values}"),
            6,
        ),
        (
            "primary_key: id\n  write_disposition: append",
            fields,
            "  ! the write disposition changes: merge -> append".to_owned(),
            2,
        ),
        (
            "primary_key: size\n  write_disposition: merge",
            fields,
            "  ! the primary key changes: id -> size".to_owned(),
            2,
        ),
        (
            MERGE,
            "id: string, size: integer",
            "  ! the request, its selector, filter or steps, or the type of a key has changed"
                .to_owned(),
            2,
        ),
    ] {
        let mut api = Api::new(MERGE, fields);
        api.run(&json!([{"id": 1, "size": wide}]), &[], 0);
        let text = diff(&api, keys, other, 6);
        assert!(text.starts_with("items: REFUSED\n"), "{text}");
        assert!(text.lines().any(|found| found == line), "{text}");
        assert!(text.contains("--full-refresh"), "{text}");
        let text = ask(
            &api,
            keys,
            other,
            &["--full-refresh", "schema", "--diff"],
            0,
        );
        assert!(text.starts_with("items: all rows are replaced"), "{text}");
        // The run refuses, too.
        let before = api.workspace.files().parquet();
        api.connector = connector(keys, other);
        api.run(&json!([]), &[], code);
        assert_eq!(api.workspace.files().parquet(), before);
    }
}

#[test]
fn columns_that_are_there_anyway_are_no_difference() {
    let evolve = format!("{MERGE}schema_contract: evolve");
    let api = Api::new(&evolve, FIELDS);
    api.run(&json!([{"id": 1, "size": 0.5, "colour": "red"}]), &[], 0);
    assert_eq!(diff(&api, &evolve, FIELDS, 0), "items: unchanged\n");
    assert_eq!(diff(&api, MERGE, FIELDS, 0), "items: unchanged\n");
    let more = format!("{FIELDS}, colour: string");
    assert_eq!(diff(&api, MERGE, &more, 0), "items: unchanged\n");
    let history = "primary_key: id\n  write_disposition: {disposition: merge, strategy: scd2}";
    let text = diff(&api, history, FIELDS, 6);
    assert!(text.contains("has changed"), "{text}");
    let api = Api::new(history, FIELDS);
    api.run(&v1(), &[], 0);
    assert_eq!(diff(&api, history, FIELDS, 0), "items: unchanged\n");
    let replace = "write_disposition: replace";
    let text = diff(&api, replace, "id: integer, size: string", 0);
    assert!(text.starts_with("items: all rows are replaced"), "{text}");
    let _ = ask(&api, history, FIELDS, &["schema", "nothing", "--diff"], 2);
}

#[test]
fn the_columns_of_histories_are_printed_with_their_types() {
    let history = "primary_key: id\n  write_disposition: {disposition: merge, strategy: scd2}";
    let api = Api::new(
        history,
        "id: integer, at: {type: timestamp, description: When.}",
    );
    let text = ask(
        &api,
        history,
        "id: integer, at: {type: timestamp, description: When.}",
        &["schema", "--json"],
        0,
    );
    let columns: Value = serde_json::from_str(&text).unwrap();
    let columns = columns["items"].as_array().unwrap();
    let names: Vec<&Value> = columns.iter().map(|column| &column["name"]).collect();
    assert_eq!(
        names,
        [
            "id",
            "at",
            "_rescued",
            "_valid_from",
            "_valid_to",
            "_row_hash"
        ]
    );
    let at = json!({"name": "at", "type": "timestamp", "arrow": "Timestamp(µs, \"UTC\")",
                    "nullable": true, "description": "When."});
    assert_eq!(columns[1], at);
    api.run(&json!([{"id": 1}]), &[], 0);
    let written = rows(&api.workspace, "items").columns();
    let written: Vec<&str> = written.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, written);
}

const FAMILY: &str = "
client: {base_url: \"https://api.example.com\", concurrency: 2}
resource_defaults: {write_disposition: merge, primary_key: id, schema_contract: evolve}
resources:
- name: teams
  endpoint: {path: /teams, paginator: single_page}
  schema: {fields: {id: integer}}
- name: members
  endpoint: {path: '/teams/{team}/members', paginator: single_page}
  parent: {resource: teams, field: id, as: team}
  include_from_parent: id
  schema: {fields: {id: integer, at: timestamp}}
  incremental: {cursor_path: at}
- name: sheets
  endpoint: {path: /sheets, paginator: single_page, response: csv}
  schema: {fields: {id: integer, day: date}}
";

#[test]
fn columns_follow_behind_parents_cursors_and_tables() {
    let connector = connector_tests::connector("tree", FAMILY);
    let options = Options {
        responder: Some(Arc::new(|request, count| {
            let json = |value: Value| Answer::new(200, "application/json", value.to_string());
            let later = count > 1;
            Some(match request.path.as_str() {
                path if path.ends_with("/teams") => {
                    json(json!([{"id": 1, "name": "red"}, {"id": 2}]))
                }
                path if path.ends_with("/1/members") && later => json(json!([
                    {"id": 11, "at": "2026-01-02T00:00:00Z", "_teams_id": 9, "nick": "c"},
                ])),
                path if path.ends_with("/1/members") => json(json!([
                    {"id": 11, "at": "2026-01-01T00:00:00Z", "nick": "a"},
                    {"id": 12, "at": "2026-01-02T00:00:00Z"},
                ])),
                path if path.ends_with("/2/members") => json(json!([
                    {"id": 21, "at": "2026-01-01T00:00:00Z", "role": {"level": 3}},
                ])),
                _ => Answer::new(200, "text/csv", "id,day,note\n1,2026-01-31,x\n2,soon,\n"),
            })
        })),
        ..Options::default()
    };
    let server = Sandbox::start(&connector.plan().unwrap(), options).unwrap();
    let workspace = Workspace::new();
    for _ in 0..2 {
        let (code, record) = run(&connector, &server, &workspace, &[]);
        expect_code(code, 0);
        for entry in record["resources"].as_array().unwrap() {
            assert_eq!(entry["rescued"], json!([]), "{entry}");
        }
    }
    let found = |resource: &str, columns: &[&str]| rows(&workspace, resource).united(columns);
    assert_eq!(
        found("teams", &["id", "name", "_rescued"]),
        [
            json!({"id": 1, "name": "red", "_rescued": null}),
            json!({"id": 2, "name": null, "_rescued": null}),
        ]
    );
    assert_eq!(
        found("members", &["id", "_teams_id", "nick", "role", "_rescued"]),
        [
            json!({"id": 11, "_teams_id": 1, "nick": "c", "role": null, "_rescued": null}),
            json!({"id": 12, "_teams_id": 1, "nick": null, "role": null, "_rescued": null}),
            json!({"id": 21, "_teams_id": 2, "nick": null, "role": {"level": 3}, "_rescued": null}),
        ]
    );
    // Formats of nothing but texts give nothing but texts.
    assert_eq!(
        found("sheets", &["id", "day", "note"]),
        [
            json!({"id": 1, "day": "2026-01-31", "note": "x"}),
            json!({"id": 2, "day": "soon", "note": null}),
        ]
    );
}
