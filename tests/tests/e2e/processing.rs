//! Processing steps, end to end: what they make of records, what they refuse, and what runs see.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use connector_core::Connector;
use connector_sandbox::{Answer, Options, Sandbox};
use connector_tests::{Rows, Workspace};
use serde_json::{Value, json};

/// The connector of these resources.
#[track_caller]
fn connector(resources: &str) -> &'static Connector {
    let spec = format!(
        "config: {{source: {{type: string, default: test}}}}\n\
         client: {{base_url: \"https://shape.example.com\", concurrency: 1}}\n\
         resources:\n{resources}"
    );
    Box::leak(Box::new(connector_tests::connector("shape", spec)))
}

/// One resource with these steps and fields.
fn rows(steps: &str, fields: &str, more: &str) -> String {
    let steps = steps.replace('\n', "\n    ");
    format!(
        "- name: rows\n  endpoint: {{path: /rows, data_selector: items}}\n  {more}\n  \
         processing_steps:\n    {steps}\n  schema: {{fields: {fields}}}\n"
    )
}

/// Runs the command line; gives the exit code and the run record.
fn run(connector: &Connector, server: &Sandbox, workspace: &Workspace) -> (ExitCode, Value) {
    let report = workspace.path("report.json");
    let mut arguments: Vec<OsString> = vec!["shape".into(), "--base-url".into()];
    arguments.push(server.base_url().into());
    arguments.extend(["--progress", "none", "--max-wait", "0.01", "--out"].map(OsString::from));
    arguments.push(workspace.path("data").into());
    arguments.extend(["--report".into(), report.clone().into()]);
    let code = connector_core::cli::main_with(connector, connector_sandbox::start, arguments);
    let record = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    (code, record)
}

/// What a page comes to: rows of `columns`, or the error; and the resource's part of the run record.
fn outcome(
    steps: &str,
    fields: &str,
    more: &str,
    page: &str,
    columns: &[&str],
) -> (Result<Vec<Value>, String>, Value) {
    let connector = connector(&rows(steps, fields, more));
    let page = page.to_owned();
    let options = Options {
        responder: Some(Arc::new(move |_, _| Some(Answer::json(200, page.clone())))),
        ..Options::default()
    };
    let plain = self::connector("- name: rows\n  schema: {fields: {id: integer}}\n");
    let server = Sandbox::start(&plain.plan().unwrap(), options).unwrap();
    let workspace = Workspace::new();
    let (code, record) = run(connector, &server, &workspace);
    let record = record["resources"][0].clone();
    let rows = if format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS) {
        Ok(Rows::read(&workspace.path("data/shape/rows")).objects(columns))
    } else {
        Err(record["error"].to_string())
    };
    (rows, record)
}

/// The rows of the columns `id` (integer) and `x` (JSON) that steps make of these records.
#[track_caller]
fn check(steps: &str, items: &str, expect: Value) {
    let page = format!("{{\"items\": {items}}}");
    let (rows, _) = outcome(steps, "{id: integer, x: json}", "", &page, &["id", "x"]);
    let rows = rows.map(|rows| {
        let pairs = rows.iter().map(|row| json!([row["id"], row["x"]]));
        Value::Array(pairs.collect())
    });
    assert_eq!(rows, Ok(expect), "{steps}");
}

#[track_caller]
fn check_error(steps: &str, items: &str, expect: &str) {
    let page = format!("{{\"items\": {items}}}");
    let (rows, _) = outcome(steps, "{id: integer, x: json}", "", &page, &["id"]);
    let error = rows.unwrap_err();
    assert!(error.contains(expect), "{steps}: {error}");
}

#[test]
fn set_keeps_types_and_the_text_of_numbers() {
    let one = r#"[{"id": 1, "n": 12345678901234567890123.450, "s": "a", "o": {"p": [1.0, 2]}, "z": null}]"#;
    for (value, x) in [
        (r#""{{ record.n }}""#, json!("12345678901234567890123.450")),
        (r#""{{ record.o }}""#, json!(r#"{"p": [1.0, 2]}"#)),
        (r#""{{ record.o.p[0] }}""#, json!("1.0")),
        (r#""{{ record.id + 1 }}""#, json!("2")),
        (r#""{{ record.id == 1 }}""#, json!("true")),
        (r#""{{ record.o.p | length }}""#, json!("2")),
        (r#""{{ record.s | upper }}""#, json!("\"A\"")),
        (r#""{{ record.s }}-{{ record.id }}""#, json!("\"a-1\"")),
        (r#""{{ record.s }}-{{ record.z }}""#, Value::Null),
        (r#""{{ record.z }}""#, Value::Null),
        (r#""{{ record.gone }}""#, Value::Null),
        (r#""{{ record.get('gone', 7) }}""#, json!("7")),
        (r#""{{ config.source }}""#, json!("\"test\"")),
        (r#""{{ config.source ~ record.id }}""#, json!("\"test1\"")),
        ("text", json!("\"text\"")),
        ("[1, {a: b}]", json!(r#"[1,{"a":"b"}]"#)),
        ("1.50", json!("1.5")),
        ("true", json!("true")),
        ("null", Value::Null),
    ] {
        check(&format!("- set: {{x: {value}}}"), one, json!([[1, x]]));
    }
    // What is not touched keeps its text, in the same object too.
    check(
        "- set: {x.b: 2}",
        r#"[{"id": 1, "x": {"a": 1.10, "\u0062": 0, "c": "\u00e9"}}]"#,
        json!([[1, r#"{"a":1.10,"\u0062":2,"c":"\u00e9"}"#]]),
    );
    // All values see the record as it was.
    check(
        "- set: {id: \"{{ record.x }}\", x: \"{{ record.id }}\"}",
        r#"[{"id": 1, "x": 2}]"#,
        json!([[2, "1"]]),
    );
    check_error(
        "- set: {x.b: 2}",
        r#"[{"id": 1, "x": [7]}]"#,
        "the processing steps fail at record 1 of the page: `set` of `x.b`: `[7]` is no object",
    );
}

#[test]
fn members_are_removed_and_renamed() {
    let (rows, record) = outcome(
        "- remove: [y, gone]",
        "{id: integer}",
        "",
        r#"{"items": [{"id": 1, "y": 2, "y": 3}]}"#,
        &["id", "_rescued"],
    );
    assert_eq!(
        rows,
        Ok(vec![json!({"id": 1, "_rescued": null})]),
        "{record}"
    );
    check(
        "- remove: [x.secret, x.list.*.secret, gone.further]",
        r#"[{"id": 1, "x": {"secret": 1, "list": [{"secret": 2, "a": 1e2}, 7]}}]"#,
        json!([[1, r#"{"list":[{"a":1e2},7]}"#]]),
    );
    check(
        "- rename: {ID: id, o.inner: x}",
        r#"[{"ID": 1, "o": {"inner": 1.0}}, {"ID": 2}]"#,
        json!([[1, "1.0"], [2, null]]),
    );
    check(
        "- rename: {id: x, x: id}",
        r#"[{"id": 1, "x": 2}]"#,
        json!([[2, "1"]]),
    );
    check(
        "- rename: {\"['a.b']\": x}",
        r#"[{"id": 1, "a.b": true}]"#,
        json!([[1, "true"]]),
    );
    check_error(
        "- rename: {old: x}",
        r#"[{"id": 1, "x": 2}, {"id": 1, "x": 2, "old": 3}]"#,
        "record 2 of the page: `rename to` of `x`: the record has such a member",
    );
}

#[test]
fn lists_are_exploded() {
    let items = r#"[{"id": 1, "x": [5.0, null]}, {"id": 2, "x": []}, {"id": 3, "x": null}, {"id": 4},
        {"id": 5, "x": {"a": 1}}]"#;
    check(
        "- explode: x",
        items,
        json!([
            [1, "5.0"],
            [1, null],
            [2, null],
            [3, null],
            [4, null],
            [5, r#"{"a": 1}"#]
        ]),
    );
    check(
        "- explode: {field: x, drop_empty: true}",
        items,
        json!([[1, "5.0"], [1, null], [5, r#"{"a": 1}"#]]),
    );
    // Nested lists, each by its own step; what comes later sees each element.
    check(
        "- explode: {field: o.list, as: part, index: id}\n- filter: \"{{ record.part.keep }}\"\n\
         - set: {x: \"{{ record.part.v }}\"}\n- remove: part",
        r#"[{"o": {"list": [{"keep": true, "v": "a"}, {"v": "b"}, {"keep": 1, "v": "c"}]}}]"#,
        json!([[0, "\"a\""], [2, "\"c\""]]),
    );
    check_error(
        "- explode: {field: list, as: x}",
        r#"[{"id": 1, "x": 2, "list": [1]}]"#,
        "`explode` of `x`: the record has such a member",
    );
}

#[test]
fn objects_are_flattened() {
    #[track_caller]
    fn lifted(step: &str, expect: &[(&str, Value)]) {
        let page = r#"{"items": [{"id": 1, "o": {"a": {"b": 1.00, "c": {}}, "d": [{"e": 1}], "n": null}, "p": {"q": 2}}]}"#;
        let fields = "{id: integer, a: json, d: json, o: json, p: json, o_a: json, o_a_b: json, o_d: json, p_q: json, o-a-b: json, x_a: json}";
        let names: Vec<&str> = expect.iter().map(|(name, _)| *name).collect();
        let (rows, record) = outcome(&format!("- flatten: {step}"), fields, "", page, &names);
        let row = expect
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        assert_eq!(rows, Ok(vec![Value::Object(row.collect())]), "{record}");
    }
    let list = json!(r#"[{"e": 1}]"#);
    let inner = json!(r#"{"b": 1.00, "c": {}}"#);
    lifted(
        "o",
        &[
            ("o_a_b", json!("1.00")),
            ("o_d", list.clone()),
            ("o", Value::Null),
            ("p", json!(r#"{"q": 2}"#)),
        ],
    );
    lifted(
        "{field: o, levels: 1}",
        &[("o_a", inner.clone()), ("o_d", list.clone())],
    );
    lifted(
        "{field: o, prefix: '', levels: 1}",
        &[("a", inner.clone()), ("d", list)],
    );
    lifted("{field: o, prefix: x, levels: 1}", &[("x_a", inner)]);
    lifted("{field: o, separator: '-'}", &[("o-a-b", json!("1.00"))]);
    lifted("{}", &[("o_a_b", json!("1.00")), ("p_q", json!("2"))]);
    lifted("missing", &[("p", json!(r#"{"q": 2}"#))]);
    check_error(
        "- flatten: {field: o, prefix: ''}",
        r#"[{"id": 1, "o": {"id": 2}}]"#,
        "`flatten` of `o`: two members are called `id`",
    );
    check(
        "- flatten: {field: x}",
        r#"[{"id": 1, "x": null}, {"id": 2, "x": 7}]"#,
        json!([[1, null], [2, "7"]]),
    );
}

#[test]
fn filters_count_what_they_drop_and_later_steps_do_not_see_it() {
    let steps = "- filter: \"{{ record.kind == 'a' }}\"\n- set: {x: \"{{ 10 / record.id }}\"}\n\
                 - filter: \"{{ record.x | int > 1 }}\"";
    let page = r#"{"items": [{"id": 0, "kind": "b"}, {"id": 1, "kind": "a"}, {"id": 2, "kind": "a"},
        {"id": 99, "kind": "a"}, {"id": 5, "kind": "a"}]}"#;
    let (rows, record) = outcome(
        steps,
        "{id: integer, x: json}",
        "record_filter: \"{{ record.id != 5 }}\"",
        page,
        &["id", "x"],
    );
    assert_eq!(
        rows,
        Ok(vec![
            json!({"id": 1, "x": "10.0"}),
            json!({"id": 2, "x": "5.0"})
        ])
    );
    assert_eq!(
        (&record["rows_read"], &record["rows_filtered"]),
        (&json!(2), &json!(3))
    );
    // A failing expression names the record among those received.
    let (rows, _) = outcome(
        "- set: {x: \"{{ 10 / record.id }}\"}",
        "{id: integer, x: json}",
        "",
        r#"{"items": [{"id": 1}, {"id": 0}]}"#,
        &["id"],
    );
    let error = rows.unwrap_err();
    assert!(
        error.contains("fail at record 2 of the page: the expression `10 / record.id` fails"),
        "{error}"
    );
}

#[test]
fn what_fits_no_column_and_breaks_the_schema_is_told_as_ever() {
    let (rows, record) = outcome(
        "- rename: {n: id}",
        "{id: integer}",
        "",
        r#"{"items": [{"n": 1, "n": 2, "more": 1.0}, {"n": "x"}, 5]}"#,
        &["id", "_rescued"],
    );
    assert_eq!(
        rows,
        Ok(vec![
            json!({"id": null, "_rescued": "{\"id\":\"x\"}"}),
            json!({"id": 2, "_rescued": "{\"more\":1.0}"}),
            json!({"id": null, "_rescued": "{\"value\":5}"}),
        ])
    );
    assert_eq!(record["rescued"][0]["values"], 1);
    let (rows, _) = outcome(
        "- rename: {n: id}",
        "{id: integer}",
        "primary_key: id\n  write_disposition: merge",
        r#"{"items": [{"n": 1}, {"m": 2}]}"#,
        &["id"],
    );
    let error = rows.unwrap_err();
    assert!(
        error.contains("behind the processing steps: record 2 of the page has no `$[1].id`"),
        "{error}"
    );
}

#[test]
fn paging_counts_what_was_received_and_children_see_what_was_made() {
    let connector = connector(
        "- name: orders
  endpoint: {path: /orders, data_selector: items, paginator: {type: offset, limit: 2}}
  primary_key: line_id
  write_disposition: merge
  processing_steps:
    - filter: \"{{ record.open }}\"
    - explode: {field: lines, as: line, drop_empty: true}
    - rename: {line.id: line_id}
    - set: {order: \"{{ record.id }}\"}
    - remove: [line, id, open]
  schema: {fields: {line_id: integer, order: integer}}
- name: details
  parent: {resource: orders, field: line_id}
  endpoint: {path: \"/lines/{line_id}\", data_selector: items}
  processing_steps:
    - set: {line: \"{{ stream_slice.line_id }}\", tag: \"line {{ stream_slice.line_id }} {{ record.id }}\"}
    - filter: \"{{ stream_slice.line_id != 12 }}\"
  schema: {fields: {id: integer, line: integer, tag: string}}
",
    );
    let options = Options {
        responder: Some(Arc::new(|request, _| {
            let page = match (
                request.path.as_str(),
                request.param("offset").unwrap_or("0"),
            ) {
                ("/orders", "0") => json!([{"id": 1, "open": false, "lines": [{"id": 99}]},
                    {"id": 2, "open": true, "lines": [{"id": 11}, {"id": 12}]}]),
                ("/orders", "2") => json!([{"id": 3, "open": true, "lines": []},
                    {"id": 4, "open": true, "lines": [{"id": 13}]}]),
                ("/orders", "4") => json!([]),
                ("/lines/11" | "/lines/12" | "/lines/13", _) => json!([{"id": 7}]),
                _ => return Some(Answer::json(404, "{}")),
            };
            Some(Answer::json(200, json!({ "items": page }).to_string()))
        })),
        ..Options::default()
    };
    let plain = self::connector("- name: rows\n  schema: {fields: {id: integer}}\n");
    let server = Sandbox::start(&plain.plan().unwrap(), options).unwrap();
    let workspace = Workspace::new();
    let (code, record) = run(connector, &server, &workspace);
    assert_eq!(
        format!("{code:?}"),
        format!("{:?}", ExitCode::SUCCESS),
        "{record}"
    );
    let read = |name: &str, columns: &[&str]| {
        Rows::read(&workspace.path("data/shape").join(name)).objects(columns)
    };
    assert_eq!(
        read("orders", &["line_id", "order"]),
        [
            json!({"line_id": 11, "order": 2}),
            json!({"line_id": 12, "order": 2}),
            json!({"line_id": 13, "order": 4})
        ]
    );
    assert_eq!(
        read("details", &["id", "line", "tag"]),
        [
            json!({"id": 7, "line": 11, "tag": "line 11 7"}),
            json!({"id": 7, "line": 13, "tag": "line 13 7"})
        ]
    );
    // Dropped: one that is not open, one without lines.
    assert_eq!(record["resources"][0]["rows_filtered"], 2);
    let paths: Vec<String> = server
        .data_requests()
        .iter()
        .map(|request| {
            let offset = request.param("offset").unwrap_or_default();
            format!("{} {offset}", request.path)
        })
        .collect();
    assert_eq!(
        paths,
        [
            "/orders 0",
            "/orders 2",
            "/orders 4",
            "/lines/11 ",
            "/lines/12 ",
            "/lines/13 "
        ]
    );
}

#[test]
fn the_sandbox_serves_what_the_steps_expect() {
    let connector = connector(
        "- name: orders
  endpoint: {path: /orders, data_selector: items, paginator: {type: offset, limit: 20}}
  primary_key: [id, line_id]
  write_disposition: merge
  record_filter: \"{{ record.State != 'draft' }}\"
  processing_steps:
    - rename: {ID: id, State: state}
    - filter: \"{{ record.state in ['open', 'closed'] }}\"
    - explode: {field: lines, as: line_id, index: line_number}
    - flatten: {field: customer, levels: 1}
    - set: {label: \"{{ record.state }}/{{ record.line_id }}\", source: api, copy: \"{{ record.id }}\", twice: \"{{ record.line_id * 2 }}\"}
    - remove: internal
  schema:
    fields:
      id: integer
      state: string
      line_id: integer
      line_number: integer
      customer_name: string
      customer_id: integer
      label: string
      source: string
      copy: integer
      twice: integer
- name: lines
  parent: {resource: orders, field: line_id}
  endpoint: {path: \"/lines/{line_id}\", data_selector: items}
  processing_steps:
    - rename: {name: title}
  schema: {fields: {id: integer, title: string}}
",
    );
    let options = Options {
        records: 130,
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
    let truth = server.truth("orders");
    assert!((20..130).contains(&truth.len()), "{}", truth.len());
    assert!(truth.iter().all(|record| record.get("twice").is_none()));
    let columns = [
        "id",
        "state",
        "line_id",
        "line_number",
        "customer_name",
        "customer_id",
        "label",
        "source",
        "copy",
    ];
    let orders = Rows::read(&workspace.path("data/shape/orders"));
    assert_eq!(
        orders.objects(&columns),
        connector_tests::truth(&truth, &columns)
    );
    for row in orders.objects(&["line_id", "twice"]) {
        assert_eq!(
            row["twice"].as_i64(),
            row["line_id"].as_i64().map(|id| 2 * id)
        );
    }
    let lines = Rows::read(&workspace.path("data/shape/lines"));
    let columns = ["id", "title"];
    let truth = server.truth("lines");
    assert!(truth.len() > 20, "{}", truth.len());
    assert_eq!(
        lines.objects(&columns),
        connector_tests::truth(&truth, &columns)
    );
}
