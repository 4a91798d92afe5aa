//! Specs without compiling: `cargo connector run` and `cargo connector try`.

use std::fs;

use connector_sandbox::{Answer, Options, Sandbox, Scripted};
use connector_tests::{Outcome, Rows, Run, Workspace};
use serde_json::Value;

const STORAGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../connectors/storage/spec.yaml"
);

/// A parent that few children are needed of, and a grandparent.
const TREE: &str = "
client: {base_url: https://tree.example.com/api, concurrency: 4}
resource_defaults:
  primary_key: id
  write_disposition: merge
  endpoint: {data_selector: items, paginator: {type: offset, limit: 10}}
resources:
  - name: orgs
    selected: false
    endpoint: {path: /orgs}
    schema: {fields: {id: integer, name: string}}
  - name: accounts
    selected: false
    parent: {resource: orgs, field: id, as: org_id}
    endpoint: {path: '/orgs/{org_id}/accounts'}
    schema: {fields: {id: string, name: string}}
  - name: ads
    parent: {resource: accounts, field: id, as: account_id}
    endpoint: {path: '/accounts/{account_id}/ads'}
    schema: {fields: {id: string, size: integer}}
  - name: labels
    parent: {resource: accounts, field: id, as: account_id}
    endpoint: {path: '/accounts/{account_id}/labels'}
    schema: {fields: {id: string, text: string}}
";

fn write(workspace: &Workspace, name: &str, spec: &str) -> String {
    let path = workspace.path(format!("{name}.yaml"));
    fs::write(&path, spec).unwrap();
    path.to_str().unwrap().to_owned()
}

fn serve(name: &str, spec: &str, options: Options) -> Sandbox {
    let plan = connector_tests::plan(name, spec);
    Sandbox::start(&plan, options).unwrap()
}

fn paths(server: &Sandbox) -> Vec<String> {
    let requests = server.data_requests();
    requests.into_iter().map(|request| request.path).collect()
}

fn compiled_or_not(workspace: &Workspace, compiled: bool) -> Run {
    if compiled {
        workspace.storage()
    } else {
        let run = workspace.cargo_connector("storage");
        run.args(["connector", "run", STORAGE])
    }
}

#[test]
fn run_takes_the_command_line_of_the_compiled_connector() {
    for arguments in [
        &["resources", "--json"][..],
        &["schema"],
        &["--dry-run"],
        &["--help"],
        &["sandbox", "--help"],
        &["--resource", "nothing"],
        &["--limit", "0"],
        &["completions", "bash"],
    ] {
        let outcome = |compiled| {
            let workspace = Workspace::new();
            let run = compiled_or_not(&workspace, compiled).args(arguments);
            let Outcome {
                code,
                stdout,
                stderr,
            } = run.run();
            (code, stdout, stderr)
        };
        assert_eq!(outcome(true), outcome(false), "{arguments:?}");
    }
}

#[test]
fn run_writes_what_the_compiled_connector_writes() {
    let server = crate::server(Options::default());
    let read = |compiled| {
        let workspace = Workspace::new();
        let run = compiled_or_not(&workspace, compiled).against(&server);
        let outcome = run.run().expect(0);
        crate::expect_truth(&workspace, &server);
        (
            workspace.rows(crate::RESOURCE).objects(&crate::COLUMNS),
            outcome.stdout.lines().count(),
        )
    };
    assert_eq!(read(true), read(false));
    // Without anything configured it is the sandbox that is read, and either goes on with it.
    let workspace = Workspace::new();
    for compiled in [false, true, false] {
        let outcome = compiled_or_not(&workspace, compiled).run().expect(0);
        let _ = outcome.says(&["SAMPLE DATA"]);
        assert_eq!(workspace.rows(crate::RESOURCE).count(), 1_250);
    }
}

#[test]
fn a_wrong_spec_is_shown_and_nothing_runs() {
    let workspace = Workspace::new();
    let spec = write(&workspace, "shop", "clinet: 1\nresources: []\n");
    for subcommand in ["run", "try"] {
        let run = workspace.cargo_connector("shop");
        let outcome = run.args([subcommand, &spec, "--limit", "3"]).run();
        let _ = outcome
            .expect(2)
            .says(&["unknown key `clinet`", "shop.yaml:1:1"]);
    }
    let run = workspace.cargo_connector("shop").args(["try"]).run();
    let _ = run.expect(2).says(&["<SPEC>"]);
    let missing = workspace.cargo_connector("shop");
    let _ = missing
        .args(["run", "nowhere.yaml"])
        .run()
        .expect(2)
        .says(&["nowhere.yaml"]);
}

#[test]
fn try_shows_records_and_requests_without_secrets_and_writes_nothing() {
    let server = crate::server(Options::default());
    let workspace = Workspace::new();
    let run = workspace.cargo_connector("storage").args(["try", STORAGE]);
    let outcome = run.against(&server).args(["--json"]).run().expect(0);
    let shown = outcome.json();
    assert_eq!(shown["resource"], crate::RESOURCE);
    let truth = server.truth(crate::RESOURCE);
    let records = shown["records"].as_array().unwrap();
    assert_eq!(records.len(), 5);
    for (record, truth) in records.iter().zip(&truth) {
        assert_eq!(record["file_id"], truth["file_id"]);
    }
    let requests = shown["requests"].as_array().unwrap();
    let of = |key: &str| -> Vec<&Value> { requests.iter().map(|request| &request[key]).collect() };
    assert_eq!(of("method"), ["POST", "GET"]);
    assert_eq!(of("status"), [200, 200]);
    assert_eq!(of("records"), [&Value::Null, &Value::from(100)]);
    assert_eq!(shown["stopped"], true);
    assert!(!workspace.path("data").exists());

    let text = workspace.cargo_connector("storage").args(["try", STORAGE]);
    let text = text.against(&server).args(["-n", "2"]).run().expect(0);
    for part in [
        "file_name",
        "GET http",
        "status",
        "more records than these 2",
    ] {
        assert!(text.stdout.contains(part), "{part}:\n{}", text.stdout);
    }
}

#[test]
fn try_shows_what_was_rescued_and_filtered() {
    let spec = "
client: {base_url: https://shop.example.com}
resources:
  - name: orders
    endpoint: {path: /orders}
    record_filter: \"{{ record.id > 1 }}\"
    schema: {fields: {id: integer, size: integer}}
  - name: gone
    endpoint: {path: /gone}
    schema: {fields: {id: integer}}
";
    let body = r#"[{"id": 1}, {"id": 2, "size": "large", "more": [1]}, {"id": 3, "size": 4}]"#;
    let scripted = Scripted::always("/orders", Answer::json(200, body));
    let options = Options {
        script: vec![scripted, Scripted::always("/gone", Answer::json(404, "{}"))],
        ..Options::default()
    };
    let server = serve("shop", spec, options);
    let workspace = Workspace::new();
    let path = write(&workspace, "shop", spec);
    let run = workspace.cargo_connector("shop").args(["try", &path]);
    // The other resource is shown even so.
    let outcome = run.against(&server).run().expect(7).says(&["404"]);
    for part in [
        "{\"more\":[1],\"size\":\"large\"}",
        "filtered: 1, by the filter",
        "rescued: `more`, 1 times, first at $[1].more",
        "rescued: `size`, 1 times",
        "gone\n\ncould not be read",
    ] {
        assert!(outcome.stdout.contains(part), "{part}:\n{}", outcome.stdout);
    }
}

#[test]
fn a_limit_reads_parents_only_as_far_as_their_children_need() {
    let options = || Options {
        records: 40,
        nulls: false,
        ..Options::default()
    };
    let workspace = Workspace::new();
    let spec = write(&workspace, "tree", TREE);
    let all = "/api/orgs";
    let check = |arguments: &[&str], rows: usize, most: usize| {
        let server = serve("tree", TREE, options());
        let run = workspace.cargo_connector("tree").args(arguments);
        let outcome = run.against(&server).run().expect(0);
        let paths = paths(&server);
        // One page of organisations, one of accounts, and the children of few accounts.
        let pages = paths.iter().filter(|path| *path == all).count();
        assert_eq!(pages, rows, "{paths:?}\n{}", outcome.stdout);
        assert!(paths.len() <= most, "{paths:?}");
        outcome
    };
    let shown = check(&["try", &spec, "-r", "ads", "-n", "1"], 1, 4).stdout;
    assert!(shown.contains("more records than these 1"), "{shown}");
    check(&["run", &spec, "preview", "labels", "-n", "1"], 1, 4);
    // Each is read by itself.
    check(&["run", &spec, "check"], 2, 8);
    // In a run both children share what is read of their parents.
    let report = workspace.path("report.json");
    let report = report.to_str().unwrap();
    check(&["run", &spec, "--limit", "3", "--report", report], 1, 10);
    let rows = |resource| Rows::read(&workspace.path("data").join("tree").join(resource)).count();
    assert_eq!((rows("ads"), rows("labels"), rows("accounts")), (3, 3, 0));
    let record: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let entries = record["resources"].as_array().unwrap();
    for name in ["orgs", "accounts"] {
        let entry = entries.iter().find(|entry| entry["name"] == name).unwrap();
        assert_eq!(
            (&entry["status"], &entry["stopped_at_limit"]),
            (&Value::from("read"), &Value::from(true)),
            "{entry}"
        );
    }
}

#[test]
fn a_limit_that_nothing_reaches_reads_all_of_the_parents() {
    let options = Options {
        records: 11,
        nulls: false,
        ..Options::default()
    };
    let server = serve("tree", TREE, options);
    let workspace = Workspace::new();
    let spec = write(&workspace, "tree", TREE);
    let run = workspace.cargo_connector("tree");
    let run = run.args(["run", &spec, "--limit", "1000000"]);
    let _ = run.against(&server).run().expect(0);
    for resource in ["ads", "labels"] {
        let found = Rows::read(&workspace.path("data").join("tree").join(resource));
        assert_eq!(found.count(), server.truth(resource).len(), "{resource}");
    }
    // Each listing once, whoever needs it: 11 organisations are two pages.
    let orgs = paths(&server)
        .iter()
        .filter(|path| *path == "/api/orgs")
        .count();
    assert_eq!(orgs, 2);
}
