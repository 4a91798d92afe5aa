//! Incremental reading: what is asked for, what is kept, and where the next run goes on.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use connector_codegen::{LowerOptions, Source, lower};
use connector_core::{Client, Connector, Record, Result, Row, Settings};
use connector_sandbox::{Answer, Options, RequestRecord, Sandbox};
use connector_tests::{Rows, Workspace};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

/// A connector with the resources of this YAML; every request is for one page.
fn connector(resources: &str) -> &'static Connector {
    let spec = format!(
        "client:\n  base_url: https://news.example.com/api\n  concurrency: 1\n\
         resource_defaults:\n  primary_key: id\n  write_disposition: merge\n\
         \x20 endpoint: {{data_selector: items}}\nresources:\n{resources}"
    );
    let options = LowerOptions::new("news");
    let lowered = lower(&Source::new("spec.yaml", spec), &options);
    let (ir, _) = lowered.map_err(|found| found.render(false)).unwrap();
    Box::leak(Box::new(Connector {
        name: "news",
        version: "0.0.0",
        plan: ir.plan.to_json().unwrap().leak(),
    }))
}

/// An API under the test's control: records by path, and what was asked for.
#[derive(Clone, Default)]
struct World(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    records: BTreeMap<String, Vec<Value>>,
    /// The parameters by which the API filters, and the field that it compares.
    from: &'static str,
    to: &'static str,
    field: &'static str,
    /// Whether a path answers with an error.
    broken: Option<String>,
    asked: Vec<String>,
}

impl World {
    /// An API that filters `field` by the parameters `from`, inclusive, and `to`, exclusive.
    fn new(from: &'static str, to: &'static str, field: &'static str) -> Self {
        let world = Self::default();
        {
            let mut state = world.0.lock().unwrap();
            (state.from, state.to, state.field) = (from, to, field);
        }
        world
    }

    fn add(&self, path: &str, records: &[Value]) {
        let mut state = self.0.lock().unwrap();
        let known = state.records.entry(path.to_owned()).or_default();
        known.extend(records.iter().cloned());
    }

    fn break_down(&self, path: Option<&str>) {
        self.0.lock().unwrap().broken = path.map(str::to_owned);
    }

    /// The requests since the last look, as `path?query`.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    fn answer(&self, request: &RequestRecord) -> Option<Answer> {
        if request.path.starts_with("/_sandbox") {
            return None;
        }
        let mut state = self.0.lock().unwrap();
        let query: Vec<String> = request
            .query
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let path = request.path.trim_start_matches("/api").to_owned();
        state.asked.push(if query.is_empty() {
            path.clone()
        } else {
            format!("{path}?{}", query.join("&"))
        });
        if state.broken.as_deref() == Some(path.as_str()) {
            return Some(Answer::json(400, "{}"));
        }
        let (from, to) = (request.param(state.from), request.param(state.to));
        let all = state.records.get(&path).map_or(&[][..], Vec::as_slice);
        let items: Vec<&Value> = all
            .iter()
            .filter(|record| {
                let value = match &record[state.field] {
                    Value::String(text) => text.clone(),
                    Value::Null => return true,
                    other => format!("{other:0>20}"),
                };
                let wide = |text: &str| match text.parse::<i64>() {
                    Ok(number) => format!("{number:0>20}"),
                    Err(_) => text.to_owned(),
                };
                from.is_none_or(|from| value >= wide(from)) && to.is_none_or(|to| value < wide(to))
            })
            .collect();
        Some(Answer::json(200, json!({ "items": items }).to_string()))
    }

    fn serve(&self, connector: &Connector) -> Sandbox {
        let world = self.clone();
        let options = Options {
            responder: Some(Arc::new(move |request, _| world.answer(request))),
            ..Options::default()
        };
        Sandbox::start(&connector.plan().unwrap(), options).unwrap()
    }
}

/// A connector, its API and a folder.
struct Setting {
    connector: &'static Connector,
    world: World,
    server: Sandbox,
    workspace: Workspace,
}

impl Setting {
    fn new(world: World, resources: &str) -> Self {
        let connector = connector(resources);
        Self {
            connector,
            server: world.serve(connector),
            world,
            workspace: Workspace::new(),
        }
    }

    /// A run; gives the run record.
    #[track_caller]
    fn run(&self, arguments: &[&str], code: u8) -> Value {
        let report = self.workspace.path("report.json");
        let mut all: Vec<OsString> = vec!["news".into(), "--base-url".into()];
        all.push(self.server.base_url().into());
        all.extend(["--progress", "none", "--max-wait", "0.01", "--out"].map(OsString::from));
        all.push(self.workspace.path("data").into());
        all.extend(["--report".into(), report.clone().into()]);
        all.extend(arguments.iter().map(OsString::from));
        let found = connector_core::cli::main_with(self.connector, connector_sandbox::start, all);
        assert_eq!(format!("{found:?}"), format!("{:?}", ExitCode::from(code)));
        let record = std::fs::read(&report).unwrap_or_default();
        // A run that does not begin leaves no report.
        let _ = std::fs::remove_file(report);
        serde_json::from_slice(&record).unwrap_or_default()
    }

    /// A run that succeeds, and what it asked for.
    #[track_caller]
    fn asks(&self, arguments: &[&str], expect: &[&str]) -> Value {
        self.world.asked();
        let record = self.run(arguments, 0);
        assert_eq!(self.world.asked(), expect);
        record["resources"][0].clone()
    }

    #[track_caller]
    fn expect_ids(&self, resource: &str, expect: &[i64]) {
        let mut ids: Vec<i64> = self
            .rows(resource)
            .column("id")
            .iter()
            .map(|id| id.as_i64().unwrap())
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, expect, "{resource}");
    }

    fn rows(&self, resource: &str) -> Rows {
        Rows::read(&self.workspace.path("data").join("news").join(resource))
    }

    fn state(&self, resource: &str) -> Value {
        let text = std::fs::read(self.workspace.path("data/news/_connector/state.json")).unwrap();
        let state: Value = serde_json::from_slice(&text).unwrap();
        state["resources"][resource]["cursor"].clone()
    }
}

fn event(id: i64, at: &str) -> Value {
    json!({ "id": id, "at": at })
}

const EVENTS: &str = "
  - name: events
    incremental: {cursor_path: at, start_param: from, end_param: to, initial_value: '2024-01-01'}
    schema: {fields: {id: integer, at: timestamp}}
";

fn events() -> Setting {
    let world = World::new("from", "to", "at");
    world.add(
        "/events",
        &[
            event(1, "2023-12-31T23:59:59Z"),
            event(2, "2024-01-01T00:00:00Z"),
            event(3, "2024-01-02T10:00:00.000001Z"),
        ],
    );
    Setting::new(world, EVENTS)
}

#[test]
fn three_runs_read_what_is_new_and_the_boundary_again() {
    let setting = events();
    let first = setting.asks(&[], &["/events?from=2024-01-01T00:00:00Z"]);
    setting.expect_ids("events", &[2, 3]);
    assert_eq!(
        first["cursor"],
        json!({
            "field": "at", "from": "2024-01-01T00:00:00Z", "to": "2024-01-02T10:00:00.000001Z",
            "advanced": true, "gaps": 0, "rows_outside": 0, "rows_repeated": 0,
            "rows_without_cursor_dropped": 0, "rows_without_cursor_kept": 0,
        })
    );
    // As late as the last record, and later.
    setting.world.add(
        "/events",
        &[
            event(4, "2024-01-02T10:00:00.000001Z"),
            event(5, "2024-01-03T00:00:00Z"),
        ],
    );
    let second = setting.asks(&[], &["/events?from=2024-01-02T10:00:00.000001Z"]);
    setting.expect_ids("events", &[2, 3, 4, 5]);
    assert_eq!(second["rows_read"], 3);
    assert_eq!(second["load"]["inserted"], 2);
    let third = setting.asks(&[], &["/events?from=2024-01-03T00:00:00Z"]);
    assert_eq!(third["rows_read"], 1);
    assert_eq!(third["cursor"]["to"], "2024-01-03T00:00:00Z");
    setting.expect_ids("events", &[2, 3, 4, 5]);
    // Nothing new: the cursor stays.
    setting.world.0.lock().unwrap().records.clear();
    let none = setting.asks(&[], &["/events?from=2024-01-03T00:00:00Z"]);
    assert_eq!(none["cursor"]["to"], Value::Null);
    setting.asks(&[], &["/events?from=2024-01-03T00:00:00Z"]);
    setting.expect_ids("events", &[2, 3, 4, 5]);
}

#[test]
fn a_run_that_fails_leaves_the_cursor_where_it_was() {
    let setting = events();
    setting.run(&[], 0);
    let before = setting.state("events");
    setting
        .world
        .add("/events", &[event(9, "2024-02-01T00:00:00Z")]);
    setting.world.break_down(Some("/events"));
    setting.run(&[], 4);
    assert_eq!(setting.state("events"), before);
    // A record without a cursor comes behind one that is new.
    setting.world.break_down(None);
    setting.world.add("/events", &[json!({ "id": 10 })]);
    setting.run(&[], 4);
    assert_eq!(setting.state("events"), before);
    setting.expect_ids("events", &[2, 3]);
}

#[test]
fn a_full_refresh_forgets_the_cursor() {
    let setting = events();
    setting.run(&[], 0);
    setting.asks(&["--full-refresh"], &["/events?from=2024-01-01T00:00:00Z"]);
    setting.expect_ids("events", &[2, 3]);
    // It may begin elsewhere: there the dataset begins then.
    setting.asks(
        &["--full-refresh", "--since", "2024-01-02"],
        &["/events?from=2024-01-02T00:00:00Z"],
    );
    setting.expect_ids("events", &[3]);
    setting.asks(&[], &["/events?from=2024-01-02T10:00:00.000001Z"]);
}

#[test]
fn a_chosen_range_never_moves_the_cursor_back_nor_over_a_gap() {
    let setting = events();
    // An end: the next run goes on behind the last record before it.
    let entry = setting.asks(
        &["--until", "2024-01-02"],
        &["/events?from=2024-01-01T00:00:00Z&to=2024-01-02T00:00:00Z"],
    );
    assert_eq!(entry["cursor"]["to"], "2024-01-01T00:00:00Z");
    setting.expect_ids("events", &[2]);
    setting.asks(&[], &["/events?from=2024-01-01T00:00:00Z"]);
    setting.expect_ids("events", &[2, 3]);
    let after = setting.state("events");
    // From before the first run: read again, and nothing is forgotten.
    setting.asks(
        &["--since", "2023-12-01", "--until", "2024-01-01"],
        &["/events?from=2023-12-01T00:00:00Z&to=2024-01-01T00:00:00Z"],
    );
    setting.expect_ids("events", &[1, 2, 3]);
    assert_eq!(setting.state("events"), after);
    // Behind the cursor there is a gap.
    setting.world.add(
        "/events",
        &[
            event(4, "2024-01-10T00:00:00Z"),
            event(5, "2024-01-20T00:00:00Z"),
        ],
    );
    let entry = setting.asks(
        &["--since", "2024-01-15"],
        &["/events?from=2024-01-15T00:00:00Z"],
    );
    assert_eq!(entry["cursor"]["gaps"], 1);
    assert_eq!(entry["cursor"]["advanced"], false);
    assert_eq!(setting.state("events"), after);
    setting.expect_ids("events", &[1, 2, 3, 5]);
    setting.asks(&[], &["/events?from=2024-01-02T10:00:00.000001Z"]);
    setting.expect_ids("events", &[1, 2, 3, 4, 5]);
    // An end before the start asks for nothing.
    setting.asks(&["--until", "2024-01-01"], &[]);
    // What overlaps the cursor moves it on.
    setting
        .world
        .add("/events", &[event(6, "2024-01-21T00:00:00Z")]);
    setting.asks(
        &["--since", "2024-01-05"],
        &["/events?from=2024-01-05T00:00:00Z"],
    );
    setting.asks(&[], &["/events?from=2024-01-21T00:00:00Z"]);
    // What is no instant is refused before a request.
    setting.world.asked();
    setting.run(&["--since", "soon"], 2);
    assert_eq!(setting.world.asked(), [""; 0]);
}

#[test]
fn a_sample_leaves_the_cursor_where_it_was() {
    let setting = events();
    setting.run(&["--limit", "1"], 0);
    assert_eq!(setting.state("events"), Value::Null);
    setting.asks(&[], &["/events?from=2024-01-01T00:00:00Z"]);
    let before = setting.state("events");
    setting.world.add(
        "/events",
        &[
            event(4, "2024-01-03T00:00:00Z"),
            event(5, "2024-01-04T00:00:00Z"),
        ],
    );
    setting.run(&["--limit", "1"], 0);
    assert_eq!(setting.state("events"), before);
    setting.run(&[], 0);
    setting.expect_ids("events", &[2, 3, 4, 5]);
}

#[test]
fn append_has_every_record_once() {
    let world = World::new("from", "to", "at");
    world.add(
        "/log",
        &[
            event(1, "2024-01-01T00:00:00Z"),
            event(2, "2024-01-02T00:00:00Z"),
        ],
    );
    let setting = Setting::new(
        world,
        "
  - name: log
    primary_key: null
    write_disposition: append
    incremental: {cursor_path: at, start_param: from}
    schema: {fields: {id: integer, at: timestamp}}
",
    );
    setting.asks(&[], &["/log"]);
    for id in 3..6 {
        // At the boundary, records of before and new ones.
        setting
            .world
            .add("/log", &[event(id, "2024-01-02T00:00:00Z")]);
        let entry = setting.asks(&[], &["/log?from=2024-01-02T00:00:00Z"]);
        assert_eq!(entry["rows_read"], 1);
        assert_eq!(entry["cursor"]["rows_repeated"], id - 2);
    }
    setting.expect_ids("log", &[1, 2, 3, 4, 5]);
    setting
        .world
        .add("/log", &[event(6, "2024-01-03T00:00:00Z")]);
    setting.run(&[], 0);
    setting.run(&[], 0);
    setting.expect_ids("log", &[1, 2, 3, 4, 5, 6]);
    // What would write records twice is refused.
    let files = setting.workspace.files();
    setting.run(&["--since", "2024-01-01"], 2);
    setting.run(&["--limit", "1"], 2);
    assert_eq!(setting.workspace.files().parquet(), files.parquet());
    setting.run(&["--until", "2024-02-01"], 0);
    setting.expect_ids("log", &[1, 2, 3, 4, 5, 6]);
    // A sample cannot be told from what comes later.
    let setting = Setting {
        workspace: Workspace::new(),
        ..setting
    };
    setting.run(&["--limit", "2"], 0);
    setting.run(&[], 2);
    setting.run(&["--full-refresh"], 0);
    setting.expect_ids("log", &[1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_lag_reads_late_records_but_not_before_the_start() {
    let world = World::new("since", "to", "day");
    let at = |id: i64, day: &str| json!({ "id": id, "day": day });
    world.add("/days", &[at(1, "2024-01-02"), at(2, "2024-01-04")]);
    let setting = Setting::new(
        world,
        "
  - name: days
    endpoint:
      params: {since: {type: incremental, cursor_path: day, initial_value: '2024-01-01', lag: 2}}
    schema: {fields: {id: integer, day: date}}
",
    );
    setting.asks(&[], &["/days?since=2024-01-01"]);
    setting
        .world
        .add("/days", &[at(3, "2024-01-02"), at(4, "2024-01-03")]);
    setting.asks(&[], &["/days?since=2024-01-02"]);
    setting.expect_ids("days", &[1, 2, 3, 4]);
    setting.run(&["--full-refresh", "--until", "2024-01-02"], 0);
    setting.asks(&[], &["/days?since=2024-01-01"]);
}

#[test]
fn windows_are_read_one_after_another_and_nothing_is_lost_or_twice() {
    let world = World::new("from", "to", "at");
    let ids: Vec<i64> = (1..=40).collect();
    let records: Vec<Value> = ids
        .iter()
        .map(|id| {
            event(
                *id,
                &format!("2024-01-{:02}T{:02}:00:00Z", 1 + id / 4, id % 4 * 6),
            )
        })
        .collect();
    world.add("/log", &records);
    let setting = Setting::new(
        world,
        "
  - name: log
    primary_key: null
    write_disposition: append
    incremental:
      cursor_field: at
      start_datetime: {type: MinMaxDatetime, datetime: '2024-01-01', datetime_format: '%Y-%m-%d'}
      end_datetime: '2024-01-11T06:00:00Z'
      step: P3D
      start_time_option: {type: RequestOption, inject_into: request_parameter, field_name: from}
      end_time_option: {inject_into: request_parameter, field_name: to}
    schema: {fields: {id: integer, at: timestamp}}
",
    );
    setting.asks(
        &[],
        &[
            "/log?from=2024-01-01T00:00:00Z&to=2024-01-04T00:00:00Z",
            "/log?from=2024-01-04T00:00:00Z&to=2024-01-07T00:00:00Z",
            "/log?from=2024-01-07T00:00:00Z&to=2024-01-10T00:00:00Z",
            "/log?from=2024-01-10T00:00:00Z&to=2024-01-11T06:00:00Z",
        ],
    );
    setting.expect_ids("log", &ids);
    setting.asks(
        &[],
        &["/log?from=2024-01-11T00:00:00Z&to=2024-01-11T06:00:00Z"],
    );
    setting.expect_ids("log", &ids);
    // An API that ignores the window sends everything every time; each record is kept once.
    let ignoring = World::new("nothing", "nothing", "at");
    ignoring.add("/log", &records);
    let setting = Setting {
        server: ignoring.serve(setting.connector),
        world: ignoring,
        workspace: Workspace::new(),
        ..setting
    };
    let entry = setting.run(&[], 0)["resources"][0].clone();
    setting.expect_ids("log", &ids);
    assert_eq!(entry["cursor"]["rows_outside"], 3 * 40);
}

#[test]
fn windows_end_by_the_granularity_before_the_next_begins() {
    let world = World::new("nothing", "nothing", "n");
    let records: Vec<Value> = (1..=9)
        .map(|id| json!({ "id": id, "n": id * 10 }))
        .collect();
    world.add("/q/15-44", &records[1..4]);
    world.add("/q/45-74", &records[4..7]);
    world.add("/q/75-90", &records[7..]);
    let setting = Setting::new(
        world,
        "
  - name: counts
    endpoint: {path: \"/q/{{ stream_slice['lo'] }}-{{ stream_partition.get('hi') }}\"}
    incremental:
      cursor_path: n
      initial_value: 15
      end_value: 90
      range_end: closed
      step: 30
      cursor_granularity: 1
      partition_field_start: lo
      partition_field_end: hi
    schema: {fields: {id: integer, n: integer}}
",
    );
    setting.asks(&[], &["/q/15-44", "/q/45-74", "/q/75-90"]);
    setting.expect_ids("counts", &[2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(setting.state("counts")["partitions"]["{}"]["value"], 90);
}

#[test]
fn cursors_of_every_type_are_exact() {
    #[track_caller]
    fn check(kind: &str, incremental: &str, values: &[Value], first: &str, second: &str) {
        let world = World::new("nothing", "nothing", "c");
        let record = |(id, value): (usize, &Value)| json!({ "id": id, "c": value });
        let records: Vec<Value> = values.iter().enumerate().map(record).collect();
        world.add("/things", &records);
        let setting = Setting::new(
            world,
            &format!(
                "
  - name: things
    incremental: {{start_param: s, {incremental}}}
    schema: {{fields: {{id: integer, c: {kind}}}}}
"
            ),
        );
        setting.asks(&[], &[first]);
        let entry = setting.asks(&[], &[second]);
        // Of all that comes again, the largest alone is not older than the start.
        assert_eq!(entry["rows_read"], 1, "{second}");
    }
    let big = 9_007_199_254_740_993_i64;
    check(
        "integer",
        "cursor_path: c, initial_value: 5",
        &[json!(big - 1), json!(big), json!(7)],
        "/things?s=5",
        "/things?s=9007199254740993",
    );
    check(
        "string",
        "cursor_path: c, initial_value: ''",
        &[json!("a"), json!("Z"), json!("ä")],
        "/things",
        "/things?s=ä",
    );
    check(
        "{type: decimal, precision: 20, scale: 2}",
        "cursor_path: c, lag: null",
        &[json!(1.5), json!("10.25"), json!("9")],
        "/things",
        "/things?s=10.25",
    );
    check(
        "date",
        "cursor_path: c, initial_value: '2024-01-01'",
        &[json!("2024-02-01"), json!("2024-01-02")],
        "/things?s=2024-01-01",
        "/things?s=2024-02-01",
    );
    check(
        "timestamp",
        "cursor_path: c, format: epoch_milliseconds, initial_value: '1970-01-01'",
        &[json!("2024-01-01T01:00:00.5+01:00")],
        "/things?s=0",
        "/things?s=1704067200500",
    );
    check(
        "{type: timestamp, format: epoch_seconds}",
        "cursor_path: c, initial_value: 10",
        &[json!(1_704_067_200)],
        "/things?s=10",
        "/things?s=1704067200",
    );
    check(
        "string",
        "cursor_path: c, cursor_datetime_formats: ['%Y/%m/%d', '%s'], datetime_format: '%Y%m%d'",
        &[json!("2024/02/01"), json!("1704067200")],
        "/things",
        "/things?s=20240201",
    );
    check(
        "number",
        "cursor_path: c, cursor_formats: epoch_seconds",
        &[json!(1_704_067_200.25), json!(1.5)],
        "/things",
        "/things?s=1704067200",
    );
    check(
        "{type: object, fields: {x: integer}}",
        "cursor_path: c.x",
        &[json!({"x": 3}), json!({"x": 2})],
        "/things",
        "/things?s=3",
    );
}

#[test]
fn the_range_is_named_in_paths_parameters_headers_and_bodies() {
    let world = World::new("nothing", "nothing", "at");
    let setting = Setting::new(
        world,
        "
  - name: a
    endpoint: {path: '/a/{incremental.start_value}/x', headers: {X-From: '{incremental.initial_value}'}}
    incremental: {cursor_path: at, initial_value: '2024-01-01', format: '%Y-%m-%d'}
    schema: {fields: {id: integer, at: timestamp}}
  - name: b
    endpoint:
      method: POST
      json: {filter: \"at >= {{ stream_interval.start_time }}\", last: '{incremental.last_value}', to: '{incremental.end_value}'}
    incremental: {cursor_path: at, initial_value: 7, end_value: 9, start_body_path: range.from}
    schema: {fields: {id: integer, at: {type: timestamp, format: epoch_seconds}}}
  - name: c
    endpoint: {method: POST, data: {q: x}}
    incremental: {cursor_path: id, initial_value: 7, start_option: {inject_into: body_data, field_name: min}, end_value: 8, end_header: X-Max}
    schema: {fields: {id: integer}}
",
    );
    setting.run(&[], 0);
    let requests = setting.server.requests();
    let of = |path: &str| {
        requests
            .iter()
            .find(|request| request.path.starts_with(path))
            .unwrap()
    };
    assert_eq!(of("/api/a").path, "/api/a/2024-01-01/x");
    assert_eq!(of("/api/a").header("x-from"), Some("2024-01-01"));
    let body: Value = serde_json::from_slice(&of("/api/b").body).unwrap();
    assert_eq!(
        body,
        json!({ "filter": "at >= 7", "last": 7, "to": 9, "range": { "from": 7 } })
    );
    assert_eq!(
        of("/api/c").form(),
        [("q".into(), "x".into()), ("min".into(), "7".into())]
    );
    assert_eq!(of("/api/c").header("x-max"), Some("8"));
}

#[test]
fn every_parent_has_a_cursor_of_its_own() {
    let world = World::new("since", "to", "at");
    world.add("/boards", &[json!({ "id": 1 }), json!({ "id": 2 })]);
    world.add("/boards/1/notes", &[event(11, "2024-01-09T00:00:00Z")]);
    world.add("/boards/2/notes", &[event(21, "2024-01-02T00:00:00Z")]);
    let setting = Setting::new(
        world,
        "
  - name: boards
    schema: {fields: {id: integer}}
  - name: notes
    parent: {resource: boards, field: id, as: board}
    endpoint: {path: '/boards/{board}/notes', params: {since: '{incremental.start_value}'}}
    incremental: {cursor_path: at, initial_value: '2024-01-01'}
    schema: {fields: {id: integer, at: timestamp}}
",
    );
    setting.run(&[], 0);
    setting.world.asked();
    // Late for the other board, but not for its own; and a board that is new.
    setting
        .world
        .add("/boards/2/notes", &[event(22, "2024-01-05T00:00:00Z")]);
    setting.world.add("/boards", &[json!({ "id": 3 })]);
    setting
        .world
        .add("/boards/3/notes", &[event(31, "2024-01-01T00:00:00Z")]);
    setting.run(&[], 0);
    assert_eq!(
        setting.world.asked(),
        [
            "/boards",
            "/boards/1/notes?since=2024-01-09T00:00:00Z",
            "/boards/2/notes?since=2024-01-02T00:00:00Z",
            "/boards/3/notes?since=2024-01-01T00:00:00Z",
        ]
    );
    setting.expect_ids("notes", &[11, 21, 22, 31]);
    // A board that is gone keeps its cursor, for when it comes back.
    let boards = std::mem::take(
        &mut setting
            .world
            .0
            .lock()
            .unwrap()
            .records
            .get_mut("/boards")
            .unwrap()
            .clone(),
    );
    setting
        .world
        .0
        .lock()
        .unwrap()
        .records
        .insert("/boards".to_owned(), boards[..1].to_vec());
    setting.run(&[], 0);
    let state = setting.state("notes");
    assert_eq!(
        state["partitions"][r#"{"board":2}"#]["value"],
        "2024-01-05T00:00:00Z"
    );
    assert_eq!(state["partitions"].as_object().unwrap().len(), 3);
}

#[test]
fn incremental_parents_are_read_whole_for_their_children() {
    let world = World::new("since", "to", "at");
    world.add(
        "/boards",
        &[
            event(1, "2024-01-01T00:00:00Z"),
            event(2, "2024-01-02T00:00:00Z"),
        ],
    );
    let spec = |only: &str| {
        format!(
            "
  - name: boards
    incremental: {{cursor_path: at, start_param: since, initial_value: '2024-01-01'}}
    schema: {{fields: {{id: integer, at: timestamp}}}}
  - name: notes
    parent: {{resource: boards, field: id, as: board, {only}}}
    endpoint: '/notes/{{board}}'
    schema: {{fields: {{id: integer}}}}
"
        )
    };
    let setting = Setting::new(world, &spec("incremental_dependency: false"));
    let all = ["/boards?since=2024-01-01T00:00:00Z", "/notes/1", "/notes/2"];
    setting.asks(&[], &all);
    setting.asks(&[], &all);
    setting.asks(
        &["--resource", "boards"],
        &["/boards?since=2024-01-02T00:00:00Z"],
    );
    let world = setting.world.clone();
    let setting = Setting::new(world, &spec("new_only: true"));
    setting.asks(&[], &all);
    setting.asks(&[], &["/boards?since=2024-01-02T00:00:00Z", "/notes/2"]);
}

#[test]
fn an_order_stops_early_and_is_checked() {
    let pages = |order: &str| {
        format!(
            "
  - name: feed
    endpoint: {{paginator: {{type: page_number, page_param: page, start_from_page: 1}}}}
    incremental: {{cursor_path: n, initial_value: 0, row_order: {order}, end_value: 100}}
    schema: {{fields: {{id: integer, n: integer}}}}
"
        )
    };
    let serve = |pages: &'static [&'static [i64]]| {
        move |request: &RequestRecord| {
            let page: usize = request.param("page").unwrap().parse().unwrap();
            let numbers = pages.get(page - 1).copied().unwrap_or_default();
            let items: Vec<Value> = numbers.iter().map(|n| json!({ "id": n, "n": n })).collect();
            Some(Answer::json(200, json!({ "items": items }).to_string()))
        }
    };
    let run = |order: &str, numbers: &'static [&'static [i64]], code: u8, workspace: Workspace| {
        let connector = connector(&pages(order));
        let answer = serve(numbers);
        let options = Options {
            responder: Some(Arc::new(move |request, _| answer(request))),
            ..Options::default()
        };
        let setting = Setting {
            connector,
            world: World::default(),
            server: Sandbox::start(&connector.plan().unwrap(), options).unwrap(),
            workspace,
        };
        setting.run(&[], code);
        (setting.server.requests().len(), setting)
    };
    // Newest first: the second run stops at what it knows.
    let (requests, setting) = run("desc", &[&[9, 8], &[7, 6], &[5]], 0, Workspace::new());
    assert_eq!(requests, 3);
    let (requests, setting) = run(
        "desc",
        &[&[11, 10], &[9, 8], &[7, 6], &[5]],
        0,
        setting.workspace,
    );
    assert_eq!(requests, 2);
    setting.expect_ids("feed", &[5, 6, 7, 8, 9, 10, 11]);
    // Oldest first: what lies beyond the end ends it.
    let (requests, setting) = run("asc", &[&[1, 2], &[99, 100], &[101]], 0, Workspace::new());
    assert_eq!(requests, 2);
    setting.expect_ids("feed", &[1, 2, 99]);
    // A record out of order could hide others.
    run("desc", &[&[9, 8], &[8, 9], &[1]], 4, Workspace::new());
    run("asc", &[&[1, 3], &[2, 4]], 4, Workspace::new());
}

#[test]
fn records_without_a_cursor_follow_the_policy() {
    let run = |policy: &str, code| {
        let world = World::new("from", "to", "at");
        world.add(
            "/events",
            &[
                event(1, "2024-01-01T00:00:00Z"),
                json!({ "id": 2, "at": null }),
                json!({ "id": 3 }),
            ],
        );
        let setting = Setting::new(
            world,
            &EVENTS.replace(
                "cursor_path: at",
                &format!("cursor_path: at, on_cursor_value_missing: {policy}"),
            ),
        );
        let record = setting.run(&[], code);
        (record["resources"][0]["cursor"].clone(), setting)
    };
    run("raise", 4);
    let (cursor, setting) = run("include", 0);
    assert_eq!(cursor["rows_without_cursor_kept"], 2);
    setting.expect_ids("events", &[1, 2, 3]);
    let (cursor, setting) = run("exclude", 0);
    assert_eq!(cursor["rows_without_cursor_dropped"], 2);
    setting.expect_ids("events", &[1]);
}

#[test]
fn an_open_start_leaves_the_boundary_out() {
    let setting = Setting::new(
        events().world,
        &EVENTS.replace("cursor_path: at", "cursor_path: at, range_start: open"),
    );
    setting.run(&[], 0);
    // The first record of all belongs to the range even so.
    setting.expect_ids("events", &[2, 3]);
    setting.world.add(
        "/events",
        &[
            event(4, "2024-01-02T10:00:00.000001Z"),
            event(5, "2024-01-03T00:00:00Z"),
        ],
    );
    let record = setting.run(&[], 0);
    assert_eq!(record["resources"][0]["cursor"]["rows_outside"], 2);
    setting.expect_ids("events", &[2, 3, 5]);
}

#[test]
fn another_cursor_does_not_take_over_the_state() {
    let setting = events();
    setting.run(&[], 0);
    for (from, to) in [
        ("cursor_path: at", "cursor_path: id, lag: 1"),
        (
            "at: timestamp",
            "at: {type: timestamp, formats: [rfc3339, epoch_seconds]}",
        ),
    ] {
        let spec = EVENTS.replace(from, to).replace(
            "'2024-01-01'",
            if from.starts_with("at") {
                "'2024-01-01'"
            } else {
                "1"
            },
        );
        let other = connector(&spec);
        let changed = Setting {
            connector: other,
            server: setting.world.serve(other),
            world: setting.world.clone(),
            workspace: Workspace::new(),
        };
        copy(&setting.workspace, &changed.workspace);
        changed.run(&[], 2);
        changed.run(&["--full-refresh"], 0);
        changed.run(&[], 0);
    }
}

/// Copies the datasets and the state of one folder to another.
fn copy(from: &Workspace, to: &Workspace) {
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([from.path("data"), to.path("data")])
        .status()
        .unwrap();
    assert!(copied.success());
}

#[test]
fn ranges_are_for_resources_with_a_cursor() {
    let world = World::default();
    let setting = Setting::new(
        world,
        "\n  - name: files\n    schema: {fields: {id: integer}}\n",
    );
    setting.run(&["--since", "2024-01-01"], 2);
    assert_eq!(setting.world.asked(), [""; 0]);
}

#[test]
fn thousands_of_partitions_are_one_line_each() {
    let world = World::new("since", "to", "at");
    let boards: Vec<Value> = (0..3_000).map(|id| json!({ "id": id })).collect();
    world.add("/boards", &boards);
    for id in 0..3_000 {
        world.add(
            &format!("/notes/{id}"),
            &[event(id, "2024-01-01T00:00:00Z")],
        );
    }
    let setting = Setting::new(
        world,
        "
  - name: boards
    schema: {fields: {id: integer}}
  - name: notes
    parent: {resource: boards, field: id, as: board}
    endpoint: '/notes/{board}'
    incremental: {cursor_path: at, start_param: since}
    schema: {fields: {id: integer, at: timestamp}}
",
    );
    setting.run(&[], 0);
    let state = setting.state("notes");
    assert_eq!(state["partitions"].as_object().unwrap().len(), 3_000);
    let bytes = std::fs::metadata(setting.workspace.path("data/news/_connector/state.json"))
        .unwrap()
        .len();
    assert!(bytes < 3_000 * 150, "{bytes}");
    setting.world.asked();
    setting.run(&[], 0);
    assert_eq!(
        setting.world.asked()[1],
        "/notes/0?since=2024-01-01T00:00:00Z"
    );
    assert_eq!(setting.rows("notes").count(), 3_000);
}

struct Id(i64);

impl Record for Id {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self(row.get(0)?))
    }
}

#[tokio::test]
async fn programs_ask_for_a_range() -> Result<()> {
    let setting = events();
    let settings = Settings::new().with("base_url", setting.server.base_url());
    let client = Client::new(setting.connector, settings)?;
    let start = "2024-01-02T00:00:00Z"
        .parse::<connector_core::Timestamp>()
        .unwrap();
    let ids: Vec<Id> = client
        .request("events")
        .since(start)
        .stream()
        .try_collect()
        .await?;
    assert_eq!(ids.iter().map(|id| id.0).collect::<Vec<_>>(), [3]);
    let ids: Vec<Id> = client
        .request("events")
        .until("2024-01-02")
        .stream()
        .try_collect()
        .await?;
    assert_eq!(ids.iter().map(|id| id.0).collect::<Vec<_>>(), [2]);
    assert_eq!(
        setting.world.asked(),
        [
            "/events?from=2024-01-02T00:00:00Z",
            "/events?from=2024-01-01T00:00:00Z&to=2024-01-02T00:00:00Z"
        ]
    );
    let mut wrong = std::pin::pin!(
        client
            .request::<Id>("events")
            .since(true.to_string())
            .stream()
    );
    let error = wrong.next().await.unwrap().err().unwrap();
    assert!(
        error.to_string().contains("no value for the cursor `at`"),
        "{error}"
    );
    Ok(())
}

/// A sandbox of its own accord: it selects by the cursor, and knows what a run must hold.
#[test]
fn the_sandbox_speaks_it() {
    let spec = "
  - name: changes
    endpoint: {paginator: {type: offset, limit: 20}}
    incremental: {cursor_path: updated_at, start_param: since, initial_value: '2024-01-01T06:00:00Z', lag: PT1H}
    schema: {fields: {id: integer, updated_at: timestamp, name: string}}
  - name: log
    primary_key: null
    write_disposition: append
    endpoint:
      method: POST
      json: {from: '{incremental.start_value}'}
      paginator: {type: page_number, limit: 20, page_body_path: page, limit_body_path: size}
    incremental:
      cursor_path: meta.at
      initial_value: '2024-01-01'
      end_value: '2024-01-02'
      step: PT7H
      end_body_path: range.to
      format: '%Y-%m-%dT%H:%M:%S'
    schema: {fields: {id: integer, meta: {type: object, fields: {at: timestamp}}}}
  - name: feed
    endpoint: {paginator: {type: offset, limit: 10}}
    incremental: {cursor_path: at, row_order: desc, initial_value: 1704090000}
    schema: {fields: {id: integer, at: {type: timestamp, format: epoch_seconds}}}
  - name: notes
    parent: {resource: feed, field: id, as: feed_id}
    endpoint: {path: '/feed/{feed_id}/notes', paginator: {type: offset, limit: 5}}
    incremental: {cursor_path: day, start_param: from, end_param: to, end_value: '2024-01-02', range_end: closed}
    schema: {fields: {id: integer, day: {type: timestamp, format: '%Y-%m-%d'}}}
";
    let connector = connector(spec);
    let options = Options {
        records: 150,
        ..Options::default()
    };
    let setting = Setting {
        connector,
        world: World::default(),
        server: Sandbox::start(&connector.plan().unwrap(), options).unwrap(),
        workspace: Workspace::new(),
    };
    let expect_truth = |setting: &Setting| {
        for resource in ["changes", "log", "feed", "notes"] {
            let truth = connector_tests::truth(&setting.server.truth(resource), &["id"]);
            assert!(!truth.is_empty(), "{resource}");
            assert!(truth.len() < 150 || resource == "notes", "{resource}");
            assert_eq!(setting.rows(resource).objects(&["id"]), truth, "{resource}");
        }
    };
    setting.run(&[], 0);
    expect_truth(&setting);
    // The feed was asked for no further than to its first record that is too old.
    let feed = setting.server.requests();
    let feed = feed.iter().filter(|request| request.path == "/api/feed");
    assert!(feed.count() < 15);
    let record = setting.run(&[], 0);
    expect_truth(&setting);
    let rows = |name: &str| {
        let all = record["resources"].as_array().unwrap();
        let entry = all.iter().find(|entry| entry["name"] == name).unwrap();
        entry["rows_read"].as_u64().unwrap()
    };
    assert!(rows("changes") < 15 && rows("log") == 0);
}
