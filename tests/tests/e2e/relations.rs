//! Parents and children: what is read, how often, and what becomes of failures.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;

use connector_core::{Client, Connector, Record, Result, Row, Settings};
use connector_sandbox::{Answer, Options, Sandbox, Scripted};
use connector_tests::{Rows, Workspace};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

/// The resources of a spec without authentication, whose requests come one after the other.
fn connector(resources: &str) -> &'static Connector {
    connector_of(1, resources)
}

/// The same, with as many requests at once.
fn connector_of(concurrency: u32, resources: &str) -> &'static Connector {
    let spec = format!(
        "client:\n  base_url: https://tree.example.com/api\n  concurrency: {concurrency}\n\
         resource_defaults:\n  primary_key: id\n  write_disposition: merge\n\
         \x20 endpoint: {{data_selector: items, paginator: {{type: offset, limit: 10}}}}\n\
         resources:\n{resources}"
    );
    Box::leak(Box::new(connector_tests::connector("tree", spec)))
}

const LEVELS: &str = "
  - name: orgs
    endpoint: {path: /orgs}
    schema: {fields: {id: integer, name: string}}
  - name: accounts
    parent: {resource: orgs, field: id, as: org_id}
    include_from_parent: [id, name]
    endpoint: {path: '/orgs/{org_id}/accounts'}
    schema: {fields: {id: string, owner: {type: object, fields: {code: integer}}}}
  - name: ads
    parent: {resource: accounts, field: id, as: account_id}
    endpoint: {path: \"/accounts/{{ stream_slice['account_id'] }}/ads\"}
    include_from_parent: _orgs_id
    schema: {fields: {id: string, size: integer}}
";

fn server(connector: &Connector, change: impl FnOnce(&mut Options)) -> Sandbox {
    let mut options = Options {
        records: 12,
        nulls: false,
        ..Options::default()
    };
    change(&mut options);
    Sandbox::start(&connector.plan().unwrap(), options).unwrap()
}

/// Runs the command line in this process; gives the exit code and the run record.
pub(crate) fn run(
    connector: &Connector,
    server: &Sandbox,
    workspace: &Workspace,
    arguments: &[&str],
) -> (ExitCode, Value) {
    let report = workspace.path("report.json");
    let mut all: Vec<OsString> = vec!["tree".into(), "--base-url".into()];
    all.push(server.base_url().into());
    all.extend(["--progress", "none", "--out"].map(OsString::from));
    all.push(workspace.path("data").into());
    all.extend(["--report".into(), report.clone().into()]);
    if !arguments.contains(&"--max-wait") {
        all.extend(["--max-wait", "0.01"].map(OsString::from));
    }
    all.extend(arguments.iter().map(OsString::from));
    let code = connector_core::cli::main_with(connector, connector_sandbox::start, all);
    let record = std::fs::read(report).unwrap_or_default();
    (code, serde_json::from_slice(&record).unwrap_or_default())
}

#[track_caller]
pub(crate) fn expect_code(found: ExitCode, expect: u8) {
    assert_eq!(
        format!("{found:?}"),
        format!("{:?}", ExitCode::from(expect))
    );
}

pub(crate) fn rows(workspace: &Workspace, resource: &str) -> Rows {
    Rows::read(&workspace.path("data").join("tree").join(resource))
}

/// Checks that a dataset has the server's records, all of them once.
#[track_caller]
fn expect_truth(workspace: &Workspace, server: &Sandbox, resource: &str) {
    let truth = connector_tests::truth(&server.truth(resource), &["id"]);
    assert_eq!(
        rows(workspace, resource).objects(&["id"]),
        truth,
        "{resource}"
    );
}

/// How many requests there were of each path.
fn requests(server: &Sandbox) -> BTreeMap<String, usize> {
    let mut paths = BTreeMap::new();
    for request in server.data_requests() {
        *paths.entry(request.path).or_default() += 1;
    }
    paths
}

pub(crate) fn entry<'r>(record: &'r Value, resource: &str) -> &'r Value {
    let entries = record["resources"].as_array().unwrap();
    let named = |entry: &&Value| entry["name"] == resource;
    entries.iter().find(named).unwrap()
}

#[test]
fn three_levels_are_read_in_one_run_and_every_listing_once() {
    let connector = connector(LEVELS);
    let server = server(connector, |_| {});
    let workspace = Workspace::new();
    let (code, record) = run(connector, &server, &workspace, &[]);
    expect_code(code, 0);
    for resource in ["orgs", "accounts", "ads"] {
        expect_truth(&workspace, &server, resource);
    }
    assert!(server.truth("ads").len() > 30, "there is something to read");
    // 12 organisations are two pages, whoever needs them.
    let requests = requests(&server);
    assert_eq!(requests["/api/orgs"], 2);
    assert_eq!(entry(&record, "accounts")["partitions"], 12);
    let accounts = server.truth("accounts").len();
    assert_eq!(entry(&record, "ads")["partitions"], accounts);
    let under = |prefix: &str| {
        requests
            .keys()
            .filter(|path| path.starts_with(prefix))
            .count()
    };
    assert_eq!(under("/api/orgs/"), 12);
    assert_eq!(under("/api/accounts/"), accounts);
    // What came from parents: every account names its organisation, every advertisement too.
    let names: BTreeMap<String, Value> = server
        .truth("orgs")
        .iter()
        .map(|org| (org["id"].to_string(), org["name"].clone()))
        .collect();
    let found = rows(&workspace, "accounts");
    let ids = found.column("_orgs_id");
    assert_eq!(ids.len(), accounts);
    for (id, name) in ids.iter().zip(found.column("_orgs_name")) {
        assert_eq!(names[&id.to_string()], name);
    }
    let ads = rows(&workspace, "ads").column("_accounts__orgs_id");
    assert!(ads.iter().all(|id| ids.contains(id)));
}

#[test]
fn a_child_alone_reads_its_parents_and_writes_none() {
    let connector = connector(LEVELS);
    let server = server(connector, |_| {});
    let workspace = Workspace::new();
    let (code, record) = run(connector, &server, &workspace, &["--resource", "ads"]);
    expect_code(code, 0);
    expect_truth(&workspace, &server, "ads");
    assert_eq!(requests(&server)["/api/orgs"], 2);
    assert_eq!(entry(&record, "orgs")["status"], "read");
    assert_eq!(rows(&workspace, "orgs").count(), 0);
    assert_eq!(rows(&workspace, "accounts").count(), 0);
    let (code, _) = run(connector, &server, &workspace, &["preview", "ads"]);
    expect_code(code, 0);
    let (code, _) = run(connector, &server, &workspace, &["check"]);
    expect_code(code, 0);
}

#[test]
fn partitions_at_once_give_the_same_rows_in_the_same_order() {
    let sequential = connector(LEVELS);
    let text = sequential
        .plan
        .replace("\"concurrency\": 1", "\"concurrency\": 8");
    assert_ne!(text, sequential.plan);
    let parallel = Connector {
        plan: text.leak(),
        ..*sequential
    };
    let server = server(sequential, |options| options.records = 40);
    let read = |connector: &Connector| {
        let workspace = Workspace::new();
        expect_code(run(connector, &server, &workspace, &[]).0, 0);
        let ads = rows(&workspace, "ads");
        (ads.column("id"), ads.column("_accounts__orgs_id"))
    };
    assert_eq!(read(sequential), read(&parallel));
}

#[test]
fn parents_that_are_not_selected_are_read_for_their_children_only() {
    let connector = connector(
        "
  - name: folders
    selected: false
    endpoint: {path: /folders}
    schema: {fields: {id: string, place: {type: object, fields: {shelf: {type: object, fields: {no: integer}}}}}}
  - name: shelves
    parent: {resource: folders, field: place.shelf.no, as: shelf}
    endpoint: {path: '/shelves/{shelf}/books'}
    schema: {fields: {id: string}}
  - name: items
    endpoint: {path: '/folders/{resources.folders.id}/items'}
    schema: {fields: {id: string}}
",
    );
    let server = server(connector, |_| {});
    let place = |shelf: u64| json!({"shelf": {"no": shelf}});
    let folders = (0..25).map(|id| json!({"id": format!("f/{id}?#"), "place": place(id % 3)}));
    server.set_raw_records(
        "folders",
        folders.map(|folder| folder.to_string()).collect(),
    );
    let workspace = Workspace::new();
    expect_code(run(connector, &server, &workspace, &[]).0, 0);
    assert_eq!(rows(&workspace, "folders").count(), 0);
    expect_truth(&workspace, &server, "items");
    expect_truth(&workspace, &server, "shelves");
    let requests = requests(&server);
    assert_eq!(
        requests["/api/folders"], 3,
        "both children share one reading"
    );
    let shelves = requests
        .keys()
        .filter(|path| path.starts_with("/api/shelves/"));
    assert_eq!(shelves.count(), 3, "equal values are requested once");
    assert!(requests.contains_key("/api/folders/f%2F7%3F%23/items"));
}

#[test]
fn several_parents_and_static_values_are_combined_and_go_everywhere() {
    let connector = connector(
        "
  - name: teams
    endpoint: {path: /teams}
    schema: {fields: {id: integer}}
  - name: metrics
    endpoint: {path: /metrics}
    schema: {fields: {id: string, exact: boolean}}
  - name: values
    parent:
      - {resource: teams, field: id, as: team}
      - {resource: metrics, field: id, as: metric}
      - {resource: metrics, field: exact}
    partitions: {region: [eu, us], level: [1, 2]}
    endpoint:
      path: /values/{region}
      method: POST
      params: {level: '{level}'}
      headers: {X-Metric: 'is {metric}'}
      json:
        team: '{team}'
        exact: '{exact}'
        text: 'team {team}'
        where: {any: [{team: '{team}', level: 1}, 'm {metric}'], all: []}
      paginator: {type: offset, limit: 10, offset_body_path: offset, limit_body_path: limit}
    schema: {fields: {id: string}}
  - name: forms
    endpoint:
      path: /forms/{team}
      method: POST
      params: {team: {type: resolve, resource: teams, field: id}}
      data: {metric: '{resources.metrics.id}'}
      paginator: single_page
    schema: {fields: {id: string}}
",
    );
    let server = server(connector, |options| options.records = 3);
    let workspace = Workspace::new();
    let (code, record) = run(connector, &server, &workspace, &[]);
    expect_code(code, 0);
    expect_truth(&workspace, &server, "values");
    expect_truth(&workspace, &server, "forms");
    assert_eq!(entry(&record, "values")["partitions"], 3 * 3 * 2 * 2);
    assert_eq!(entry(&record, "forms")["partitions"], 3 * 3);
    let requests = server.data_requests();
    let first = requests
        .iter()
        .find(|request| request.path == "/api/values/eu");
    let first = first.unwrap();
    let body: Value = serde_json::from_slice(&first.body).unwrap();
    let team = &server.truth("teams")[0]["id"];
    let any = json!([{"team": team, "level": 1}, format!("m {}", server.truth("metrics")[0]["id"].as_str().unwrap())]);
    assert_eq!(
        body["where"],
        json!({"any": any, "all": []}),
        "JSON types are kept at every depth"
    );
    let metric = &server.truth("metrics")[0];
    assert_eq!(first.param("level"), Some("1"));
    let text = format!("is {}", metric["id"].as_str().unwrap());
    assert_eq!(first.header("x-metric"), Some(text.as_str()));
    assert_eq!(body["team"], *team, "a number stays a number");
    assert_eq!(body["exact"], metric["exact"], "a boolean stays a boolean");
    assert_eq!(body["text"], format!("team {team}"));
}

#[test]
fn resources_of_one_listing_fetch_it_once() {
    let connector = connector(
        "
  - name: files
    endpoint: {path: /items}
    schema: {fields: {id: string, size: integer}}
  - name: folders
    endpoint: {path: /items}
    schema: {fields: {id: string, name: string}}
  - name: comments
    parent: {resource: files, field: id}
    endpoint: {path: '/files/{id}/comments'}
    schema: {fields: {id: string}}
  - name: shares
    parent: {resource: folders, field: id}
    endpoint: {path: '/folders/{id}/shares'}
    schema: {fields: {id: string}}
",
    );
    let server = server(connector, |options| options.records = 95);
    let workspace = Workspace::new();
    let (code, record) = run(connector, &server, &workspace, &[]);
    expect_code(code, 0);
    for resource in ["files", "folders", "comments", "shares"] {
        expect_truth(&workspace, &server, resource);
    }
    assert_eq!(requests(&server)["/api/items"], 10);
    let of = |name: &str| entry(&record, name)["requests"].as_u64().unwrap();
    assert_eq!(
        of("files") + of("folders"),
        10,
        "each request is counted once"
    );
}

#[test]
fn the_same_requests_below_one_parent_are_sent_once() {
    let resources = "
  - name: files
    endpoint: {path: /files}
    schema: {fields: {id: integer}}
  - name: notes
    parent: {resource: files, field: id, as: file_id}
    endpoint: {path: '/files/{file_id}/entries'}
    schema: {fields: {id: string, text: string}}
  - name: marks
    parent: {resource: files, field: id, as: file_id}
    include_from_parent: id
    endpoint: {path: '/files/{file_id}/entries'}
    schema: {fields: {id: string, size: integer}}
";
    // As many partitions at once as there are, or one after the other: nobody waits for ever.
    for concurrency in [1, 3, 64] {
        let connector = connector_of(concurrency, resources);
        let server = server(connector, |options| options.records = 95);
        let workspace = Workspace::new();
        let (code, _) = run(connector, &server, &workspace, &[]);
        expect_code(code, 0);
        for resource in ["files", "notes", "marks"] {
            expect_truth(&workspace, &server, resource);
        }
        let mut seen = BTreeMap::new();
        for request in server.data_requests() {
            *seen.entry((request.path, request.query)).or_default() += 1;
        }
        assert!(seen.len() > 95, "{} different requests", seen.len());
        let twice: Vec<_> = seen.iter().filter(|(_, times)| **times != 1).collect();
        assert_eq!(twice, Vec::<(&_, &i32)>::new());
    }
}

#[test]
fn one_of_two_that_share_requests_can_have_enough() {
    let connector = connector_of(
        4,
        "
  - name: files
    endpoint: {path: /files}
    schema: {fields: {id: integer}}
  - name: notes
    parent: {resource: files, field: id, as: file_id}
    endpoint: {path: '/files/{file_id}/entries'}
    schema: {fields: {id: string}}
  - name: marks
    parent: {resource: files, field: id, as: file_id}
    endpoint: {path: '/files/{file_id}/entries'}
    schema: {fields: {id: string, size: {type: integer, nullable: false}}}
",
    );
    // One entry in the middle lacks what one of the two requires.
    let server = server(connector, |options| {
        options.records = 200;
        let answer = Answer::json(200, r#"{"items": [{"id": "without size"}]}"#);
        options.script = vec![Scripted::get("/api/files/70/entries", 1, answer)];
    });
    let files = (0..200).map(|id| json!({"id": id}).to_string());
    server.set_raw_records("files", files.collect());
    let workspace = Workspace::new();
    let (code, record) = run(connector, &server, &workspace, &[]);
    expect_code(code, 7);
    expect_truth(&workspace, &server, "files");
    assert_eq!(entry(&record, "notes")["status"], "published");
    assert_eq!(entry(&record, "notes")["partitions"], 200);
    assert_eq!(entry(&record, "marks")["status"], "failed");
}

fn failing(policy: &str) -> &'static Connector {
    connector(&format!(
        "
  - name: files
    endpoint: {{path: /files}}
    schema: {{fields: {{id: integer, name: {{type: string}}}}}}
  - name: comments
    parent: {{resource: files, field: name, as: file}}
    on_parent_error: {policy}
    endpoint: {{path: '/files/{{file}}/comments'}}
    schema: {{fields: {{id: string}}}}
  - name: replies
    parent: {{resource: comments, field: id, as: comment}}
    endpoint: {{path: '/comments/{{comment}}/replies'}}
    schema: {{fields: {{id: string}}}}
"
    ))
}

#[test]
fn a_parent_value_that_fails_fails_the_child_or_is_skipped_and_counted() {
    let files = || (0..5).map(|id| json!({"id": id, "name": format!("n{id}")}).to_string());
    let gone = |options: &mut Options| {
        let answer = Answer::json(410, r#"{"error": "gone"}"#);
        options.script = vec![Scripted::get("/api/files/n1/comments", 2, answer)];
    };
    let connector = failing("fail");
    let failing_server = server(connector, gone);
    failing_server.set_raw_records("files", files().collect());
    let workspace = Workspace::new();
    let (code, record) = run(connector, &failing_server, &workspace, &[]);
    expect_code(code, 7);
    expect_truth(&workspace, &failing_server, "files");
    let error = &entry(&record, "comments")["error"];
    assert!(
        error["message"].as_str().unwrap().contains("410"),
        "{error}"
    );
    assert!(error.to_string().contains("file=n1"), "{error}");
    let error = &entry(&record, "replies")["error"];
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("its parent `comments` could not be read"),
        "{message}"
    );
    assert_eq!(rows(&workspace, "comments").count(), 0);

    let connector = failing("skip");
    let server = server(connector, gone);
    server.set_raw_records("files", files().collect());
    let workspace = Workspace::new();
    let (code, record) = run(connector, &server, &workspace, &[]);
    expect_code(code, 0);
    let comments = entry(&record, "comments");
    assert_eq!(comments["skipped_partitions"], 1);
    assert!(
        comments["skipped_because"]
            .as_str()
            .unwrap()
            .contains("410"),
        "{comments}"
    );
    // The second value has 25 records: none of its first page is there either.
    assert_eq!(
        rows(&workspace, "comments").count(),
        server.truth("comments").len() - 25
    );
    let replies = entry(&record, "replies")["partitions"].as_u64().unwrap();
    assert_eq!(replies as usize, rows(&workspace, "comments").count());
}

#[test]
fn a_record_without_the_value_is_an_error_that_names_it() {
    let files = || {
        let files = [
            json!({"id": 1, "name": "a"}),
            json!({"id": 2, "name": null}),
            json!({"id": 3}),
        ];
        files.iter().map(Value::to_string).collect::<Vec<_>>()
    };
    let connector = failing("fail");
    let first = server(connector, |_| {});
    first.set_raw_records("files", files());
    let workspace = Workspace::new();
    let (code, record) = run(connector, &first, &workspace, &[]);
    expect_code(code, 7);
    let error = entry(&record, "comments")["error"].to_string();
    for text in ["the parent `files` has no `name`", "id=2"] {
        assert!(error.contains(text), "{error}");
    }
    let connector = failing("skip");
    let second = server(connector, |_| {});
    second.set_raw_records("files", files());
    let workspace = Workspace::new();
    let (code, record) = run(connector, &second, &workspace, &[]);
    expect_code(code, 0);
    assert_eq!(entry(&record, "comments")["partitions"], 1);
    assert_eq!(entry(&record, "comments")["skipped_partitions"], 2);
}

#[test]
fn a_parent_that_fails_fails_all_below_it() {
    let connector = connector(LEVELS);
    let server = server(connector, |options| {
        options.script = vec![Scripted::get("/api/orgs", 2, Answer::json(404, "{}"))];
    });
    let workspace = Workspace::new();
    let (code, record) = run(connector, &server, &workspace, &[]);
    expect_code(code, 4);
    for (child, parent) in [("accounts", "orgs"), ("ads", "accounts")] {
        let error = entry(&record, child)["error"].to_string();
        let text = format!("its parent `{parent}` could not be read");
        assert!(error.contains(&text), "{error}");
    }
    assert_eq!(requests(&server).len(), 1, "nothing below was asked for");
}

/// A record of any resource of these tests, by the text of its first column.
struct Id(String);

impl Record for Id {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        row.get(0).map(Self)
    }
}

#[test]
fn the_typed_api_resolves_parents_by_itself() {
    let connector = connector(LEVELS);
    let server = server(connector, |_| {});
    let settings = Settings::new().with("base_url", server.base_url().to_owned());
    let client = Client::new(connector, settings).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let read = |limit: Option<u64>| {
        let request = client.request::<Id>("ads");
        let request = match limit {
            Some(limit) => request.limit(limit),
            None => request,
        };
        let ids = request.stream().map(|ad| ad.unwrap().0).collect::<Vec<_>>();
        runtime.block_on(ids)
    };
    let truth: Vec<String> = server
        .truth("ads")
        .iter()
        .map(|ad| ad["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(read(None), truth);
    assert_eq!(requests(&server)["/api/orgs"], 2);
    assert_eq!(read(Some(30)), truth[..30]);
    // A value may be given; columns of the parents still come from them.
    let account = server.truth("accounts")[1]["id"].clone();
    let request = client
        .request::<Id>("ads")
        .of("account_id", account.clone());
    let before = server.data_requests().len();
    let ids: Vec<String> = runtime.block_on(request.stream().map(|ad| ad.unwrap().0).collect());
    let path = format!("/api/accounts/{}/ads", account.as_str().unwrap());
    let asked = server.data_requests().split_off(before);
    let ads = asked
        .iter()
        .filter(|request| request.path.ends_with("/ads"));
    assert!(ads.clone().count() > 0 && ads.clone().all(|request| request.path == path));
    assert!(asked.iter().any(|request| request.path == "/api/orgs"));
    let start = truth.iter().position(|id| Some(id) == ids.first()).unwrap();
    assert_eq!(truth[start..start + ids.len()], ids);
}
