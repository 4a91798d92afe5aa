//! Expressions of specs, in process: conditions that end paging, computed cursors, filters.

use std::ffi::OsString;
use std::sync::Arc;

use connector_core::{Client, Connector, Record, Row, Settings};
use connector_sandbox::{Answer, Options, Sandbox};
use connector_tests::Workspace;
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};

/// A record of any type: only its columns are looked at.
struct Any;

impl Record for Any {
    fn from_row(_: &Row<'_>) -> connector_core::Result<Self> {
        Ok(Self)
    }
}

/// The connector of a spec, as its crate would embed it.
#[track_caller]
fn connector(spec: &str) -> Connector {
    connector_tests::connector("expressions", spec)
}

/// A spec of one resource, `rows`, with these keys.
fn spec(keys: &str) -> String {
    let keys = keys.replace('\n', "\n  ");
    format!(
        "config: {{kind: {{type: string, default: a}}}}\nclient: {{base_url: \"https://api.example.com\", concurrency: 1}}\n\
         resources:\n- name: rows\n  {keys}\n  schema: {{fields: {{id: integer, kind: string}}}}\n"
    )
}

/// The identifiers that a client reads from a server, or its error.
fn read(connector: &Connector, server: &Sandbox) -> Result<Vec<i64>, String> {
    let mut settings = Settings::new().with("base_url", server.base_url());
    for (name, value) in server.settings() {
        settings = settings.with(name, value.as_str());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = Client::new(connector, settings).map_err(|error| error.to_string())?;
        let batches: Vec<_> = client
            .request::<Any>("rows")
            .batches()
            .try_collect()
            .await
            .map_err(|error| error.to_string())?;
        let mut ids = Vec::new();
        for batch in batches {
            let column = batch.column(0).as_any();
            let column = column.downcast_ref::<arrow::array::Int64Array>().unwrap();
            ids.extend(column.iter().flatten());
        }
        Ok(ids)
    })
}

/// A server that gives these pages to `/rows`, one after the other, whatever it is asked.
fn scripted(pages: &[Value]) -> Sandbox {
    let pages = pages.to_vec();
    let plain = connector(&spec("selected: true")).plan().unwrap();
    Sandbox::start(
        &plain,
        Options {
            responder: Some(Arc::new(move |_, nth| {
                let page = pages.get(usize::try_from(nth).unwrap() - 1);
                Some(match page {
                    Some(page) => Answer::json(200, page.to_string()),
                    None => Answer::json(404, "{}"),
                })
            })),
            ..Options::default()
        },
    )
    .unwrap()
}

fn queries(server: &Sandbox) -> Vec<String> {
    let requests = server.data_requests();
    requests
        .iter()
        .map(|request| {
            let mut url = url::Url::parse("http://a").unwrap();
            url.set_path(&request.path);
            if !request.query.is_empty() {
                url.query_pairs_mut().extend_pairs(&request.query);
            }
            url[url::Position::BeforePath..].to_owned()
        })
        .collect()
}

#[track_caller]
fn check(keys: &str, pages: &[Value], expect: Result<&[i64], &str>, requests: &[&str]) {
    let connector = connector(&spec(keys));
    let server = scripted(pages);
    let found = read(&connector, &server);
    match (&found, expect) {
        (Ok(ids), Ok(expect)) => assert_eq!(ids, expect, "{keys}"),
        (Err(error), Err(expect)) => assert!(error.contains(expect), "{keys}: {error}"),
        _ => assert_eq!(found.is_ok(), expect.is_ok(), "{keys}: {found:?}"),
    }
    assert_eq!(queries(&server), requests, "{keys}");
}

fn page(ids: &[i64], side: Value) -> Value {
    let mut page = side;
    page["entries"] = ids
        .iter()
        .map(|id| json!({"id": id, "kind": if id % 2 == 0 { "a" } else { "b" }}))
        .collect();
    page
}

#[test]
fn conditions_end_paging_before_the_cursor_does() {
    const EVENTS: &str = r#"endpoint:
  path: /rows
  data_selector: entries
  paginator:
    type: cursor
    limit: 100
    cursor_param: stream_position
    cursor_value: "{{ response.get('next_stream_position') }}"
    stop_condition: "{{ response.chunk_size == 0 }}""#;
    check(
        EVENTS,
        &[
            page(
                &[1, 2],
                json!({"chunk_size": 2, "next_stream_position": "p1"}),
            ),
            page(&[3], json!({"chunk_size": 1, "next_stream_position": "p2"})),
            page(&[], json!({"chunk_size": 0, "next_stream_position": "p2"})),
        ],
        Ok(&[1, 2, 3]),
        &[
            "/rows?limit=100",
            "/rows?stream_position=p1&limit=100",
            "/rows?stream_position=p2&limit=100",
        ],
    );
    // Without the member nothing stops it, and what repeats is an error.
    check(
        EVENTS,
        &[
            page(&[1], json!({"next_stream_position": "p1"})),
            page(&[2], json!({"next_stream_position": "p1"})),
        ],
        Err("paging would loop"),
        &["/rows?limit=100", "/rows?stream_position=p1&limit=100"],
    );
    // A position that is a number is sent as one.
    check(
        EVENTS,
        &[
            page(
                &[1],
                json!({"chunk_size": 1, "next_stream_position": 1_348_790_499_819_i64}),
            ),
            page(
                &[],
                json!({"chunk_size": 0, "next_stream_position": 1_348_790_499_819_i64}),
            ),
        ],
        Ok(&[1]),
        &[
            "/rows?limit=100",
            "/rows?stream_position=1348790499819&limit=100",
        ],
    );
    let admin = EVENTS
        .replace("path: /rows", "path: /rows?stream_type=admin_logs")
        .replace("'next_stream_position'", "'next_stream_position', ''");
    check(
        &admin,
        &[
            page(&[1], json!({"chunk_size": 1, "next_stream_position": "x"})),
            page(&[2], json!({"chunk_size": 1})),
        ],
        Ok(&[1, 2]),
        &[
            "/rows?stream_type=admin_logs&limit=100",
            "/rows?stream_type=admin_logs&stream_position=x&limit=100",
        ],
    );
    let marker = EVENTS.replace("stream_position", "marker").replace(
        "response.chunk_size == 0",
        "response.get('next_marker') is none",
    );
    for end in [
        json!({"next_marker": null}),
        json!({}),
        json!({"next_marker": ""}),
    ] {
        check(
            &marker,
            &[page(&[1], json!({"next_marker": "a b"})), page(&[2], end)],
            Ok(&[1, 2]),
            &["/rows?limit=100", "/rows?marker=a+b&limit=100"],
        );
    }
}

#[test]
fn a_cursor_that_is_a_link_is_followed() {
    const LINKS: &str = r#"endpoint:
  path: /rows
  data_selector: entries
  paginator:
    type: cursor
    cursor_value: "{{ response.get('paging', {}).get('next_link', {}) }}"
    stop_condition: "{{ not response.get('paging', {}).get('next_link', {}) }}""#;
    for end in [
        json!({}),
        json!({"paging": {}}),
        json!({"paging": null}),
        json!({"paging": {"next_link": null}}),
        json!({"paging": {"next_link": {}}}),
        json!({"paging": {"next_link": ""}}),
    ] {
        check(
            LINKS,
            &[
                page(&[1], json!({"paging": {"next_link": "/rows?cursor=x%20y"}})),
                page(&[2], json!({"paging": {"next_link": "?cursor=z"}})),
                page(&[3], end),
            ],
            Ok(&[1, 2, 3]),
            &["/rows", "/rows?cursor=x+y", "/rows?cursor=z"],
        );
    }
    // What is no link goes to the default parameter.
    check(
        LINKS,
        &[
            page(&[1], json!({"paging": {"next_link": "abc"}})),
            page(&[2], json!({})),
        ],
        Ok(&[1, 2]),
        &["/rows", "/rows?cursor=abc"],
    );
    // A link to another host is refused before anything is sent there.
    check(
        LINKS,
        &[page(
            &[1],
            json!({"paging": {"next_link": "https://evil.example.org/rows"}}),
        )],
        Err(""),
        &["/rows"],
    );
    // With a place of its own a value that looks like a link is a value.
    let explicit = LINKS.replace("type: cursor\n", "type: cursor\n    cursor_param: next\n");
    check(
        &explicit,
        &[
            page(&[1], json!({"paging": {"next_link": "/rows?c=1"}})),
            page(&[2], json!({})),
        ],
        Ok(&[1, 2]),
        &["/rows", "/rows?next=%2Frows%3Fc%3D1"],
    );
}

#[test]
fn cursors_are_computed() {
    #[track_caller]
    fn cursor(value: &str, pages: &[Value], ids: &[i64], requests: &[&str]) {
        let keys = format!(
            "endpoint:\n  path: /rows\n  data_selector: entries\n  paginator:\n    type: cursor\n    cursor_param: c\n    cursor_value: \"{{{{ {value} }}}}\""
        );
        check(&keys, pages, Ok(ids), requests);
    }
    let pages = [
        page(&[1, 5], json!({"meta": {"page": 1, "more": true}})),
        page(&[7], json!({"meta": {"page": 2, "more": false}})),
    ];
    cursor(
        "response.meta.page + 1 if response.meta.more",
        &pages,
        &[1, 5, 7],
        &["/rows", "/rows?c=2"],
    );
    cursor(
        "last_record['id'] if last_page_size == 2 else none",
        &pages,
        &[1, 5, 7],
        &["/rows", "/rows?c=5"],
    );
    cursor(
        "'p' ~ last_record.id ~ config.kind if last_page_size > 1",
        &pages,
        &[1, 5, 7],
        &["/rows", "/rows?c=p5a"],
    );
    cursor(
        "last_record['id']",
        &[page(&[1, 5], json!({})), page(&[], json!({}))],
        &[1, 5],
        &["/rows", "/rows?c=5"],
    );
    cursor(
        "headers['content-type'] | regex_search('j[a-z]+') if response.more",
        &[page(&[1], json!({"more": 1})), page(&[2], json!({}))],
        &[1, 2],
        &["/rows", "/rows?c=json"],
    );
}

#[test]
fn any_paginator_stops_by_a_condition() {
    #[track_caller]
    fn paginator(keys: &str, pages: &[Value], requests: &[&str]) {
        let keys =
            format!("endpoint:\n  path: /rows\n  data_selector: entries\n  paginator: {{{keys}}}");
        let ids: Vec<i64> = (1..=i64::try_from(requests.len()).unwrap()).collect();
        check(&keys, pages, Ok(&ids), requests);
    }
    paginator(
        "type: offset, limit: 1, stop_condition: \"{{ response.done }}\"",
        &[
            page(&[1], json!({"done": false})),
            page(&[2], json!({"done": true})),
        ],
        &["/rows?offset=0&limit=1", "/rows?offset=1&limit=1"],
    );
    paginator(
        "type: page_number, page: 1, limit: 2, stop_condition: \"{{ response.page >= response.pages }}\"",
        &[
            page(&[1], json!({"page": 1, "pages": 2})),
            page(&[2], json!({"page": 2, "pages": 2})),
        ],
        &["/rows?page=1&limit=2", "/rows?page=2&limit=2"],
    );
    paginator(
        "type: offset, limit: 5, stop_condition: \"{{ last_page_size < page_size }}\"",
        &[page(&[1], json!({}))],
        &["/rows?offset=0&limit=5"],
    );
    paginator(
        "type: json_link, stop_condition: \"{{ last_record.kind == config.kind }}\"",
        &[
            page(&[1], json!({"next": "?p=2"})),
            page(&[2], json!({"next": "?p=3"})),
        ],
        &["/rows", "/rows?p=2"],
    );
    paginator(
        "type: offset, limit: 1, stop_condition: \"{{ response.status | lower in ['done', 'end'] }}\"",
        &[
            page(&[1], json!({"status": "MORE"})),
            page(&[2], json!({"status": "End"})),
        ],
        &["/rows?offset=0&limit=1", "/rows?offset=1&limit=1"],
    );
}

#[test]
fn filters_choose_records_and_paging_counts_all_of_them() {
    #[track_caller]
    fn filter(filter: &str, expect: Result<&[i64], &str>) {
        let records = json!([
            {"id": 1, "kind": "a", "size": 10, "tags": ["x"], "o": {"p": true}},
            {"id": 2, "kind": "b", "size": 20, "o": {"p": false}},
            {"id": 3, "kind": "a", "size": null, "tags": []},
            {"id": 4, "size": 2.5, "kind": null, "kind2": "z", "o": null}
        ]);
        for place in [
            "record_filter: F\nendpoint: {path: /rows, data_selector: entries, P}",
            "endpoint: {path: /rows, data_selector: entries, record_filter: F, P}",
        ] {
            let keys = place
                .replace('F', &format!("\"{{{{ {filter} }}}}\""))
                .replace('P', "paginator: {type: offset, limit: 4}");
            let requests: &[&str] = match expect {
                Ok(_) => &["/rows?offset=0&limit=4", "/rows?offset=4&limit=4"],
                Err(_) => &["/rows?offset=0&limit=4"],
            };
            check(
                &keys,
                &[json!({"entries": records}), json!({"entries": []})],
                expect,
                requests,
            );
        }
    }
    filter("record['kind'] == 'a'", Ok(&[1, 3]));
    filter("record.kind != 'a'", Ok(&[2, 4]));
    filter("record.get('kind') == config.kind", Ok(&[1, 3]));
    filter("record.size", Ok(&[1, 2, 4]));
    filter("not record.size", Ok(&[3]));
    filter("record.size > 2.5", Ok(&[1, 2]));
    filter("record.size >= 2.5 and record.kind", Ok(&[1, 2]));
    filter("2 < record.size <= 10", Ok(&[1, 4]));
    filter("record.o.p", Ok(&[1]));
    filter("record.o.p == false", Ok(&[2]));
    filter("record.o is none", Ok(&[3, 4]));
    filter(
        "record.kind in ['b', 'c'] or record.kind2 == 'z'",
        Ok(&[2, 4]),
    );
    filter("record.kind not in ['b', 'c']", Ok(&[1, 3, 4]));
    filter("'x' in record.tags", Ok(&[1]));
    filter("record.get('kind2', 'none') == 'none'", Ok(&[1, 2, 3]));
    filter("record.gone == none", Ok(&[1, 2, 3, 4]));
    filter("record.gone == 'a'", Ok(&[]));
    filter("record.tags is defined", Ok(&[1, 3]));
    filter("record | length > 4", Ok(&[1, 4]));
    filter("(record.size or 0) * 2 == 20", Ok(&[1]));
    filter(
        "record.kind.startswith('a') if record.kind else false",
        Ok(&[1, 3]),
    );
    filter("record.id % 2 == 0", Ok(&[2, 4]));
    filter("record.size + 1 > 0", Err("the filter fails at record 3"));
}

const SEEDS: &str = r#"
client: {base_url: "https://api.example.com"}
resource_defaults:
  primary_key: id
  write_disposition: merge
  schema: {fields: {id: integer, name: string}}
resources:
- name: rows
  endpoint:
    path: /v1/events
    data_selector: entries
    paginator:
      type: cursor
      limit: 100
      cursor_param: stream_position
      cursor_value: "{{ response.get('next_stream_position') }}"
      stop_condition: "{{ response.chunk_size == 0 }}"
- name: markers
  endpoint:
    path: /v1/markers
    data_selector: entries
    paginator:
      type: cursor
      limit: 100
      cursor_param: marker
      cursor_value: "{{ response.get('next_marker') }}"
      stop_condition: "{{ response.get('next_marker') is none }}"
- name: links
  endpoint:
    path: /v1/links
    data_selector: organizations.*.organization
    paginator:
      type: cursor
      cursor_value: "{{ response.get('paging', {}).get('next_link', {}) }}"
      stop_condition: "{{ not response.get('paging', {}).get('next_link', {}) }}"
- name: files
  endpoint:
    path: /v1/folders/0/items
    data_selector: entries
    record_filter: "{{ record['type'] == 'file' }}"
    paginator: {type: offset, limit: 100, offset_param: offset}
- name: folders
  endpoint:
    path: /v1/folders/0/items
    data_selector: entries
    record_filter: "{{ record['type'] == 'folder' }}"
    paginator: {type: offset, limit: 100, offset_param: offset}
- name: since
  endpoint:
    path: /v1/since
    data_selector: entries
    params:
      since: "{{ (now_utc() - duration('P1D')).strftime('%Y-%m-%d') }}"
"#;

#[test]
fn the_sandbox_speaks_expressions_and_every_run_reads_its_truth() {
    let connector = connector(SEEDS);
    let workspace = Workspace::new();
    let server = Sandbox::start(&connector.plan().unwrap(), Options::default()).unwrap();
    let report = workspace.path("report.json");
    let arguments: Vec<OsString> = [
        "connector",
        "--out",
        workspace.path("data").to_str().unwrap(),
        "--base-url",
        server.base_url(),
        "--progress",
        "none",
        "--report",
        report.to_str().unwrap(),
    ]
    .map(OsString::from)
    .to_vec();
    let code = connector_core::cli::main_with(&connector, connector_sandbox::start, arguments);
    assert_eq!(
        format!("{code:?}"),
        format!("{:?}", std::process::ExitCode::SUCCESS)
    );
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let mut kept = Vec::new();
    for resource in report["resources"].as_array().unwrap() {
        let name = resource["name"].as_str().unwrap();
        let truth = server.truth(name).len() as u64;
        assert_eq!(resource["rows_read"], truth, "{name}");
        if matches!(name, "files" | "folders") {
            assert_eq!(resource["rows_filtered"], 1_250 - truth, "{name}");
            kept.push(truth);
        } else {
            assert_eq!(
                (truth, &resource["rows_filtered"]),
                (1_250, &json!(0)),
                "{name}"
            );
        }
    }
    assert!(
        kept.iter().all(|kept| (300..600).contains(kept)),
        "{kept:?}"
    );
    let requests = |path: &str| {
        let all = server.data_requests();
        all.iter().filter(|request| request.path == path).count()
    };
    // 13 pages and the one that ends them: of events by its count, of items by being short.
    assert_eq!(requests("/v1/events"), 14);
    assert_eq!(requests("/v1/markers"), 13);
    assert_eq!(requests("/v1/links"), 13);
    // Files and folders are made from one listing, which is read once.
    assert_eq!(requests("/v1/folders/0/items"), 13);
    let since = server.data_requests();
    let since = since
        .iter()
        .find_map(|request| request.param("since"))
        .unwrap();
    assert_eq!((since.len(), &since[4..5]), (10, "-"), "{since}");
}

/// Inputs are often called as what a run is told: their flags have a name of their own.
#[test]
fn an_input_may_be_called_as_a_flag_of_a_run() {
    let spec = spec("endpoint: {path: /rows, params: {from: '{{ config.since }}'}}").replace(
        "config: {",
        "config: {since: {type: string, required: false}, ",
    );
    let connector = connector(&spec);
    let responder = |_: &connector_sandbox::RequestRecord, _: u64| Some(Answer::json(200, "[]"));
    let options = Options {
        responder: Some(Arc::new(responder)),
        ..Options::default()
    };
    let server = Sandbox::start(&connector.plan().unwrap(), options).unwrap();
    let workspace = Workspace::new();
    let arguments = ["--config-since", "2026-01-02"];
    let (code, _) = crate::relations::run(&connector, &server, &workspace, &arguments);
    crate::relations::expect_code(code, 0);
    let requests = server.data_requests();
    assert_eq!(requests[0].param("from"), Some("2026-01-02"));
}
