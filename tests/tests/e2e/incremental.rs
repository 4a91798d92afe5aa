//! Incremental reading: what is asked for, what is kept, and where the next run goes on.

mod forms;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

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
    Box::leak(Box::new(connector_tests::connector("news", spec)))
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
            "before": null,
            "after": {
                "partitions": 1,
                "lowest": "2024-01-02T10:00:00.000001Z",
                "highest": "2024-01-02T10:00:00.000001Z",
            },
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
    assert_eq!(none["cursor"]["before"], third["cursor"]["after"]);
    assert_eq!(none["cursor"]["after"], none["cursor"]["before"]);
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
fn a_partition_is_found_again_when_its_name_becomes_secret() {
    let world = World::new("from", "to", "at");
    world.add("/north-west", &[event(1, "2024-01-01T00:00:00Z")]);
    let setting = Setting::new(
        world,
        "
  - name: events
    partitions: [{region: north-west}]
    endpoint: {path: '/{region}'}
    incremental: {cursor_path: at, start_param: from}
    schema: {fields: {id: integer, at: timestamp}}
config: {key: {type: string, secret: true}}
",
    );
    let name = |key: &str| {
        let file = setting.workspace.path("settings.yaml");
        std::fs::write(&file, format!("key: {key}\n")).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let partitions = || {
        let state = setting.state("events");
        let names = state["partitions"].as_object().unwrap().keys();
        names.cloned().collect::<Vec<_>>()
    };
    setting.asks(&["--config", &name("canary-key")], &["/north-west"]);
    assert_eq!(partitions(), [r#"{"region":"north-west"}"#]);
    let again = "/north-west?from=2024-01-01T00:00:00Z";
    // What is secret now leaves the state; what was secret once stays out of it.
    setting.asks(&["--config", &name("north-west")], &[again]);
    let hidden = partitions();
    assert!(
        hidden[0].starts_with('#') && hidden.len() == 1,
        "{hidden:?}"
    );
    setting.asks(&["--config", &name("canary-key")], &[again]);
    assert_eq!(partitions(), hidden);
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
