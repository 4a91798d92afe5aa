//! Types of cursors, places of ranges, parents, orders and policies.

use super::*;

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
