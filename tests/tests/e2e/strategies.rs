//! Merge strategies, hard deletes and duplicates: what is on disk after runs of a changing API.

use std::sync::{Arc, Mutex};

use connector_core::Connector;
use connector_sandbox::{Answer, Options, Sandbox};
use connector_tests::Workspace;
use serde_json::{Value, json};

use crate::relations::{entry, expect_code, rows, run};

const FIELDS: &str = "id: integer, day: integer, size: integer, name: string";

/// A spec whose only resource has these keys more, and these fields.
pub(crate) fn spec(keys: &str, fields: &str) -> String {
    format!(
        "client: {{base_url: \"https://api.example.com\", concurrency: 1}}\n\
         resources:\n- name: items\n  endpoint: {{path: /items, paginator: single_page}}\n\
         \x20 {keys}\n  schema: {{fields: {{{fields}}}}}\n"
    )
}

/// Its connector.
pub(crate) fn connector(keys: &str, fields: &str) -> Connector {
    let spec = spec(keys, fields);
    connector_tests::connector("tree", spec)
}

/// An API that gives what it was told last.
pub(crate) struct Api {
    pub connector: Connector,
    records: Arc<Mutex<Value>>,
    server: Sandbox,
    pub workspace: Workspace,
}

impl Api {
    pub(crate) fn new(keys: &str, fields: &str) -> Self {
        let connector = connector(keys, fields);
        let records = Arc::new(Mutex::new(json!([])));
        let given = Arc::clone(&records);
        let options = Options {
            responder: Some(Arc::new(move |_, _| {
                let body = given.lock().unwrap().to_string();
                Some(Answer::new(200, "application/json", body))
            })),
            ..Options::default()
        };
        let server = Sandbox::start(&connector.plan().unwrap(), options).unwrap();
        Self {
            connector,
            records,
            server,
            workspace: Workspace::new(),
        }
    }

    /// A run over these records; gives its record.
    #[track_caller]
    pub(crate) fn run(&self, records: &Value, arguments: &[&str], code: u8) -> Value {
        self.records.lock().unwrap().clone_from(records);
        let (found, record) = run(&self.connector, &self.server, &self.workspace, arguments);
        expect_code(found, code);
        entry(&record, "items").clone()
    }

    /// A run over these records, and what it says it did: `inserted`, `updated`, `unchanged`,
    /// `deleted`, `retired`, `duplicates_in_load`.
    #[track_caller]
    fn check(&self, records: &Value, counts: [u64; 6], columns: &[&str], expect: &Value) {
        let record = self.run(records, &[], 0);
        let names = ["inserted", "updated", "unchanged", "deleted", "retired"];
        let names = names.iter().chain(&["duplicates_in_load"]);
        let found: Vec<&Value> = names.map(|name| &record["load"][*name]).collect();
        assert_eq!(json!(found), json!(counts), "{record}");
        let rows = rows(&self.workspace, "items").objects(columns);
        assert_eq!(Value::Array(rows), *expect);
    }
}

#[test]
fn insert_only_keeps_the_rows_that_exist() {
    let keys = "primary_key: id\n  write_disposition: {disposition: merge, strategy: insert-only}";
    let api = Api::new(keys, FIELDS);
    let columns = ["id", "size"];
    api.check(
        &json!([{"id": 1, "size": 1}, {"id": 2, "size": 1}, {"id": 2, "size": 2}]),
        [2, 0, 0, 0, 0, 1],
        &columns,
        &json!([{"id": 1, "size": 1}, {"id": 2, "size": 1}]),
    );
    api.check(
        &json!([{"id": 2, "size": 3}, {"id": 3, "size": 3}]),
        [1, 0, 1, 0, 0, 0],
        &columns,
        &json!([{"id": 1, "size": 1}, {"id": 2, "size": 1}, {"id": 3, "size": 3}]),
    );
}

#[test]
fn delete_insert_replaces_the_rows_of_a_merge_key() {
    for keys in [
        "merge_key: day\n  write_disposition: {disposition: merge, strategy: delete-insert}",
        // As in dlt, a merge key asks for this strategy.
        "merge_key: [day]\n  write_disposition: merge",
    ] {
        let api = Api::new(keys, FIELDS);
        let columns = ["id", "day"];
        api.check(
            &json!([{"id": 1, "day": 1}, {"id": 2, "day": 1}, {"id": 3, "day": 2}]),
            [3, 0, 0, 0, 0, 0],
            &columns,
            &json!([{"id": 1, "day": 1}, {"id": 2, "day": 1}, {"id": 3, "day": 2}]),
        );
        let record = api.run(&json!([]), &[], 0);
        assert_eq!(record["merge_strategy"], "delete-insert");
        api.check(
            &json!([{"id": 4, "day": 1}, {"id": 4, "day": 1}]),
            [2, 0, 0, 2, 0, 0],
            &columns,
            &json!([{"id": 4, "day": 1}, {"id": 4, "day": 1}, {"id": 3, "day": 2}]),
        );
        let record = api.run(&json!([{"id": 9, "day": 1}, {"id": 5}]), &[], 6);
        let error = record["error"].to_string();
        let expect = "record 2 has no value for the merge key `day`";
        assert!(error.contains(expect), "{error}");
        assert_eq!(rows(&api.workspace, "items").count(), 3);
    }
}

#[test]
fn marked_records_delete_their_rows_and_duplicates_are_decided_by_a_field() {
    let api = Api::new(
        "primary_key: id\n  write_disposition: merge",
        "id: integer, name: string, removed: {type: timestamp, hard_delete: true}, \
         size: {type: decimal, scale: 2, dedup_sort: desc}",
    );
    let columns = ["id", "name"];
    let at = "2026-01-01T00:00:00Z";
    api.check(
        &json!([
            {"id": 1, "name": "a", "size": 10.25},
            {"id": 1, "name": "b", "size": 9.75},
            {"id": 2, "name": "c", "size": 1},
            {"id": 3, "name": "d", "size": 1, "removed": at},
        ]),
        [2, 0, 0, 0, 0, 1],
        &columns,
        &json!([{"id": 1, "name": "a"}, {"id": 2, "name": "c"}]),
    );
    api.check(
        &json!([{"id": 2, "removed": at}, {"id": 1, "name": "e"}]),
        [0, 1, 0, 1, 0, 0],
        &columns,
        &json!([{"id": 1, "name": "e"}]),
    );
}

#[test]
fn scd2_keeps_the_versions_of_a_row() {
    let keys = "primary_key: id\n  write_disposition: {disposition: merge, strategy: scd2, \
                validity_column_names: [since, until], row_version_column_name: version, \
                active_record_timestamp: null}";
    let fields = "id: integer, of: {type: object, fields: {name: string, tags: {items: string}}}";
    let api = Api::new(keys, fields);
    let versions = |workspace: &Workspace| {
        let mut found = rows(workspace, "items").objects(&["id", "since", "until", "version"]);
        found.sort_by_key(|row| (row["id"].as_i64(), row["since"].as_i64()));
        found
    };
    let one = |tag: &str| json!({"id": 1, "of": {"name": "a", "tags": [tag]}});
    let two = json!({"of": {"tags": null, "name": "b"}, "id": 2});
    api.run(&json!([one("x"), two]), &[], 0);
    let first = versions(&api.workspace);
    assert_eq!(first.len(), 2);
    assert_eq!(first[0]["until"], Value::Null);
    // The same again, in another order and without the null.
    let files = api.workspace.files().parquet();
    let same = json!([{"id": 2, "of": {"name": "b"}}, one("x")]);
    let record = api.run(&same, &[], 0);
    assert_eq!(record["load"]["unchanged"], 2);
    assert_eq!(api.workspace.files().parquet(), files);

    let record = api.run(&json!([one("y")]), &[], 0);
    assert_eq!(
        (&record["load"]["updated"], &record["load"]["retired"]),
        (&json!(1), &json!(1))
    );
    let second = versions(&api.workspace);
    assert_eq!(second.len(), 3);
    assert_eq!(second[0]["until"], second[1]["since"]);
    assert_ne!(second[0]["version"], second[1]["version"]);
    assert_eq!(
        (&second[0]["version"], &second[0]["since"]),
        (&first[0]["version"], &first[0]["since"])
    );
    // What is absent stays active.
    assert_eq!(second[2], first[1]);

    api.run(&json!([one("x")]), &[], 0);
    let third = versions(&api.workspace);
    assert_eq!(third.len(), 4);
    assert_eq!(third[2]["version"], first[0]["version"]);
    assert_eq!(third[2]["until"], Value::Null);

    // A value that nobody declared is kept, so it makes a version too.
    api.run(&json!([{"id": 2, "of": {"name": "b"}, "new": 7}]), &[], 0);
    let fourth = versions(&api.workspace);
    assert_eq!(fourth.len(), 5);
    assert_eq!(fourth[3]["until"], fourth[4]["since"]);
    let rescued = rows(&api.workspace, "items").column("_rescued");
    let kept = rescued.iter().filter(|value| !value.is_null()).count();
    assert_eq!(kept, 1);
}

#[test]
fn scd2_ends_what_is_absent_only_when_it_is_asked_to_and_never_for_a_sample() {
    let keys = "write_disposition: {disposition: merge, strategy: scd2, retire_absent: true}";
    let api = Api::new(keys, FIELDS);
    let active = || {
        let rows = rows(&api.workspace, "items").objects(&["id", "_valid_to"]);
        let active = rows.iter().filter(|row| row["_valid_to"].is_null());
        active
            .map(|row| row["id"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    api.run(&json!([{"id": 1}, {"id": 2}]), &[], 0);
    assert_eq!(active(), [1, 2]);
    let record = api.run(&json!([{"id": 2}, {"id": 3}]), &["--limit", "1"], 2);
    assert!(
        record["error"].to_string().contains("would retire"),
        "{record}"
    );
    let record = api.run(&json!([{"id": 2}, {"id": 3}]), &[], 0);
    assert_eq!(record["load"]["retired"], 1);
    assert_eq!(active(), [2, 3]);
    assert_eq!(rows(&api.workspace, "items").count(), 3);
}

#[test]
fn scd2_ends_nothing_because_of_what_was_passed_over() {
    // Of the resource itself an answer is ignored; of its parent one, or one is skipped.
    for (levels, own, broken) in [
        (
            "",
            "response_actions: [{status_code: 404, action: ignore}]",
            "/orgs/2/items",
        ),
        (
            "response_actions: [{status_code: 404, action: ignore}]",
            "",
            "/teams/2/orgs",
        ),
        ("skip", "", "/teams/2/orgs"),
    ] {
        for schema in ["\n  schema: {fields: {id: integer}}", ""] {
            let (policy, actions) = match levels {
                "skip" => ("\n  on_parent_error: skip", ""),
                actions => ("", actions),
            };
            let spec = format!(
                "client: {{base_url: \"https://api.example.com\", retry: {{max_retries: 0}}}}\n\
                 resources:\n- name: teams\n  selected: false\n  endpoint: /teams\n\
                 \x20 schema: {{fields: {{id: integer}}}}\n\
                 - name: orgs\n  selected: false\n  parent: {{resource: teams, field: id, as: team}}{policy}\n\
                 \x20 endpoint: {{path: '/teams/{{team}}/orgs', paginator: single_page, {actions}}}\n\
                 \x20 schema: {{fields: {{id: integer}}}}\n\
                 - name: items\n  parent: {{resource: orgs, field: id, as: org}}\n\
                 \x20 primary_key: id\n\
                 \x20 write_disposition: {{disposition: merge, strategy: scd2, retire_absent: true}}\n\
                 \x20 endpoint: {{path: '/orgs/{{org}}/items', paginator: single_page, {own}}}{schema}\n"
            );
            let plan = connector_tests::plan("tree", spec);
            let mut api = Api::new("primary_key: id", FIELDS);
            api.connector.plan = plan.to_json().unwrap().leak();
            let given = Arc::clone(&api.records);
            let options = Options {
                responder: Some(Arc::new(move |request, _| {
                    let answer = &given.lock().unwrap()[&request.path];
                    Some(match answer {
                        Value::Null => Answer::json(404, "{}"),
                        records => Answer::json(200, records.to_string()),
                    })
                })),
                ..Options::default()
            };
            api.server = Sandbox::start(&plan, options).unwrap();
            let both = json!([{"id": 1}, {"id": 2}]);
            let whole = json!({
                "/teams": both, "/teams/1/orgs": [{"id": 1}], "/teams/2/orgs": [{"id": 2}],
                "/orgs/1/items": [{"id": 10}], "/orgs/2/items": [{"id": 20}],
            });
            let mut part = whole.clone();
            part[broken] = Value::Null;
            let mut fewer = whole.clone();
            fewer[broken] = json!([]);
            let active = || {
                let rows = rows(&api.workspace, "items").objects(&["id", "_valid_to"]);
                let active = rows.iter().filter(|row| row["_valid_to"].is_null());
                active.count()
            };
            // There is nothing yet that could be retired.
            api.run(&part, &[], 0);
            api.run(&whole, &[], 0);
            assert_eq!(active(), 2, "{broken}");
            let record = api.run(&part, &[], 4);
            let error = record["error"].to_string();
            for text in ["were skipped or ignored: `retire_absent`", "would retire"] {
                assert!(error.contains(text), "{error}");
            }
            assert_eq!(active(), 2, "{broken}");
            api.run(&fewer, &[], 0);
            assert_eq!(active(), 1, "{broken}");
        }
    }
}

#[test]
fn a_strategy_may_change_but_not_to_or_from_a_history() {
    let with =
        |keys: &str| format!("primary_key: id\n  write_disposition: {{disposition: merge{keys}}}");
    let mut api = Api::new(&with(""), FIELDS);
    api.run(&json!([{"id": 1, "day": 1}]), &[], 0);
    for keys in [
        ", strategy: insert-only",
        ", strategy: delete-insert",
        ", strategy: upsert",
    ] {
        api.connector = connector(&with(keys), FIELDS);
        api.run(&json!([{"id": 1, "day": 2}]), &[], 0);
    }
    assert_eq!(rows(&api.workspace, "items").column("day"), [2]);
    let says = |record: &Value| {
        let error = record["error"].to_string();
        assert!(error.contains("--full-refresh"), "{error}");
    };
    api.connector = connector(&with(", strategy: scd2"), FIELDS);
    says(&api.run(&json!([{"id": 1, "day": 3}]), &[], 2));
    assert_eq!(rows(&api.workspace, "items").column("day"), [2]);
    api.run(&json!([{"id": 1, "day": 3}]), &["--full-refresh"], 0);
    assert_eq!(
        rows(&api.workspace, "items").objects(&["day", "_valid_to"]),
        [json!({"day": 3, "_valid_to": null})]
    );
    api.connector = connector(&with(""), FIELDS);
    says(&api.run(&json!([{"id": 1, "day": 4}]), &[], 2));
    assert_eq!(rows(&api.workspace, "items").column("day"), [3]);
}

#[test]
fn every_strategy_runs_against_its_own_sandbox() {
    for (keys, fields) in [
        (
            "primary_key: id\n  write_disposition: {disposition: merge, strategy: insert-only}",
            FIELDS,
        ),
        ("merge_key: day\n  write_disposition: merge", FIELDS),
        (
            "primary_key: id\n  write_disposition: {disposition: merge, strategy: scd2}",
            FIELDS,
        ),
        (
            "primary_key: id\n  write_disposition: merge",
            "id: integer, size: {type: integer, dedup_sort: asc}, gone: {type: boolean, hard_delete: true}",
        ),
    ] {
        let connector = connector(keys, fields);
        let options = Options {
            records: 120,
            nulls: false,
            ..Options::default()
        };
        let server = Sandbox::start(&connector.plan().unwrap(), options).unwrap();
        let workspace = Workspace::new();
        for _ in 0..2 {
            let (code, _) = run(&connector, &server, &workspace, &[]);
            expect_code(code, 0);
            let columns = ["id", "size"];
            let truth = connector_tests::truth(&server.truth("items"), &columns);
            assert!(truth.len() > 20, "{keys}");
            assert_eq!(rows(&workspace, "items").objects(&columns), truth, "{keys}");
        }
    }
}
