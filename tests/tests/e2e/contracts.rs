//! Contracts: what a run leaves of records that drift away from their schema, and come back.

use serde_json::{Value, json};

use crate::relations::rows;
use crate::strategies::Api;

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

#[test]
fn drift_is_met_as_the_mode_says() {
    let new = json!({"id": 3, "size": 3, "colour": "red"});
    let text = json!({"id": 3, "size": "big"});
    let fraction = json!({"id": 3, "size": 2.5});
    let null = json!({"id": 3, "size": null, "colour": null});
    let empty = json!({"id": 3, "tags": [], "labels": []});
    let nested = json!({"id": 3, "owner": {"login": "y", "nick": "z"},
                        "site": {"town": "Ulm", "pins": [1, 2]}});
    let element = json!({"id": 3, "tags": ["a", 5]});
    let plain = json!({"id": 3});
    let all = [&new, &text, &fraction, &null, &empty, &nested, &element];

    for mode in ["rescue", "evolve", "freeze", "discard_value", "discard_row"] {
        check(mode, &plain, Row(plain.clone(), 0));
    }
    for drifted in all {
        check("freeze", drifted, Refused);
        check("discard_row", drifted, Dropped);
    }
    let rescued = [
        json!({"id": 3, "size": 3, "_rescued": r#"{"colour":"red"}"#}),
        json!({"id": 3, "_rescued": r#"{"size":"big"}"#}),
        json!({"id": 3, "_rescued": r#"{"size":2.5}"#}),
        json!({"id": 3, "_rescued": r#"{"colour":null}"#}),
        json!({"id": 3, "tags": [], "_rescued": r#"{"labels":[]}"#}),
        json!({"id": 3, "owner": {"login": "y"},
               "_rescued": r#"{"owner.nick":"z","site":{"pins":[1,2],"town":"Ulm"}}"#}),
        json!({"id": 3, "tags": ["a", null], "_rescued": r#"{"tags[1]":5}"#}),
    ];
    for (drifted, expect) in all.into_iter().zip(&rescued) {
        check("rescue", drifted, Row(expect.clone(), 0));
        check("{columns: rescue}", drifted, Row(expect.clone(), 0));
        let mut dropped = expect.clone();
        let dropped_values = if drifted == &nested { 2 } else { 1 };
        dropped.as_object_mut().unwrap().remove("_rescued");
        check("discard_value", drifted, Row(dropped, dropped_values));
    }
    let evolved = [
        new.clone(),
        rescued[1].clone(),
        fraction.clone(),
        rescued[3].clone(),
        rescued[4].clone(),
        nested.clone(),
        rescued[6].clone(),
    ];
    for (drifted, expect) in all.into_iter().zip(evolved) {
        check("evolve", drifted, Row(expect, 0));
    }
}
