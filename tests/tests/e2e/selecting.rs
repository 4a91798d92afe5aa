//! Which parts of a page are records, end to end: against a server and against the sandbox.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use connector_core::Connector;
use connector_sandbox::{Answer, Options, Sandbox};
use connector_tests::Workspace;
use serde_json::{Value, json};

/// The connector of one resource, `rows`, with these keys; its columns are `id` and `kind`.
fn connector(keys: &str) -> &'static Connector {
    let keys = keys.replace('\n', "\n  ");
    let spec = format!(
        "client: {{base_url: \"https://shape.example.com\"}}\n\
         resources:\n- name: rows\n  {keys}\n  schema: {{fields: {{id: integer, kind: string, exact: json}}}}\n"
    );
    Box::leak(Box::new(connector_tests::connector("shape", spec)))
}

/// Runs the command line against a server; gives the exit code and what the run record says.
fn run(connector: &Connector, server: &Sandbox, workspace: &Workspace) -> (ExitCode, Value) {
    let report = workspace.path("report.json");
    let mut arguments: Vec<OsString> = vec!["shape".into(), "--base-url".into()];
    arguments.push(server.base_url().into());
    arguments.extend(["--progress", "none", "--max-wait", "0.01", "--out"].map(OsString::from));
    arguments.push(workspace.path("data").into());
    arguments.extend(["--report".into(), report.clone().into()]);
    let code = connector_core::cli::main_with(connector, connector_sandbox::start, arguments);
    let record: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    (code, record["resources"][0].clone())
}

/// The rows that a page gives, or the error's message; and what the run record says.
#[track_caller]
fn read(selector: &str, page: &'static str) -> (Result<Vec<Value>, String>, Value) {
    let connector = connector(&format!(
        "endpoint: {{path: /rows, data_selector: {}}}",
        json!(selector)
    ));
    let options = Options {
        responder: Some(Arc::new(move |_, _| Some(Answer::json(200, page)))),
        ..Options::default()
    };
    let plain = self::connector("endpoint: /rows").plan().unwrap();
    let server = Sandbox::start(&plain, options).unwrap();
    let workspace = Workspace::new();
    let (code, record) = run(connector, &server, &workspace);
    let rows = if format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS) {
        let folder = workspace.path("data/shape/rows");
        Ok(connector_tests::Rows::read(&folder).objects(&["id", "kind", "exact"]))
    } else {
        Err(record["error"].to_string())
    };
    (rows, record)
}

const PAGE: &str = r#"{"data": {"items": [
    {"id": 1, "kind": "a", "exact": 12345678901234567890.10},
    {"id": 2, "kind": "b", "parts": [{"id": 3, "kind": "c"}]},
    {"id": 4, "kind": "a", "exact": [1e400]}]}}"#;

#[test]
fn any_json_path_selects_records_and_keeps_their_values() {
    #[track_caller]
    fn check(selector: &str, expect: &[(i64, &str, Option<&str>)]) {
        let (rows, _) = read(selector, PAGE);
        let expect: Vec<Value> = expect
            .iter()
            .map(|(id, kind, exact)| json!({"id": id, "kind": kind, "exact": exact}))
            .collect();
        assert_eq!(rows, Ok(expect), "{selector}");
    }
    let first = (1, "a", Some("12345678901234567890.10"));
    let last = (4, "a", Some("[1e400]"));
    check("$.data.items[?@.kind == 'a']", &[first, last]);
    check("data.items[?@.exact]", &[first, last]);
    check("$.data.items[0,1].parts", &[(3, "c", None)]);
    check("$..parts[*]", &[(3, "c", None)]);
    check("$['data']['items'][:-1]", &[first, (2, "b", None)]);
    check("$.data.items[?count(@.parts[*]) > 0]", &[(2, "b", None)]);
    check("$.data.items[?match(@.kind, '[bc]')]", &[(2, "b", None)]);
    check("$.data.items[?@.kind == 'z']", &[]);
}

#[test]
fn what_is_missed_is_an_error_or_told() {
    let (rows, _) = read("$..itms[?@.id]", PAGE);
    assert!(
        rows.clone().unwrap_err().contains("no member `itms`"),
        "{rows:?}"
    );
    let (rows, record) = read(
        "data.*.parts",
        r#"{"data": [{"parts": {"id": 1}}, {"prts": []}]}"#,
    );
    assert_eq!(rows.unwrap().len(), 1);
    assert_eq!(record["selector_misses"], 1);
    assert_eq!(
        record["first_selector_miss"],
        "`$.data[1]` has no member `parts`"
    );
    let (_, record) = read("data.items", PAGE);
    assert_eq!(record["selector_misses"], 0);
}

#[test]
fn the_sandbox_puts_records_where_the_selector_finds_them() {
    for selector in [
        "$.data[?@.kind == 'file' || @.kind == 'note']",
        "$..items[*]",
        "$['first','second'].rows",
        "data.*.items[?@.id > 1000]",
    ] {
        let connector = connector(&format!(
            "endpoint: {{path: /rows, data_selector: {}, paginator: {{type: offset, limit: 50}}}}",
            json!(selector)
        ));
        for object_wildcards in [false, true] {
            let options = Options {
                records: 170,
                object_wildcards,
                ..Options::default()
            };
            let server = Sandbox::start(&connector.plan().unwrap(), options).unwrap();
            let workspace = Workspace::new();
            let (code, record) = run(connector, &server, &workspace);
            assert_eq!(
                format!("{code:?}"),
                format!("{:?}", ExitCode::SUCCESS),
                "{record}"
            );
            let truth = server.truth("rows");
            assert!(truth.len() > 20, "{selector}: {}", truth.len());
            assert_eq!(record["rows_read"], truth.len(), "{selector}");
            let rows = connector_tests::Rows::read(&workspace.path("data/shape/rows"));
            let columns = ["id", "kind"];
            assert_eq!(
                rows.objects(&columns),
                connector_tests::truth(&truth, &columns),
                "{selector}"
            );
        }
    }
}
