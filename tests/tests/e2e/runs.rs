//! The record of a run: what it tells, however the run ends; and `runs` and `report`, which show it.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use connector_sandbox::{Answer, Ending, Options, Sandbox, Scripted};
use connector_tests::{Outcome, Workspace};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{RESOURCE, server};

/// The records that runs of a connector left, the oldest first.
fn records(workspace: &Workspace, connector: &str) -> Vec<Value> {
    let folder = workspace.path(format!("data/{connector}/_connector/runs"));
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let read = |path: &PathBuf| serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    paths.iter().map(read).collect()
}

fn last_record(workspace: &Workspace, connector: &str) -> Value {
    records(workspace, connector).pop().unwrap()
}

/// The first number, plus those of the sums, of all that a run spent time with.
fn seconds(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn a_record_tells_requests_waits_stages_and_files_with_their_checksums() {
    let workspace = Workspace::new();
    let unavailable = |nth| Scripted::get("/v1/files", nth, Answer::json(503, "{}"));
    let limited = Scripted::get("/v1/files", 4, Answer::json(429, "{}"));
    let server = server(Options {
        records: 250,
        script: vec![unavailable(2), unavailable(3), limited],
        ..Options::default()
    });
    let run = workspace.storage().against(&server);
    run.args(["--concurrency", "1"]).run().expect(0);
    let record = last_record(&workspace, "storage");
    assert_eq!(record["version"], 1);
    assert_eq!(
        (&record["status"], &record["exit_code"], &record["error"]),
        (&json!("succeeded"), &json!(0), &Value::Null)
    );
    for time in ["started_at", "finished_at"] {
        let time = record[time].as_str().unwrap();
        assert_eq!(
            (time.len(), &time[19..20], &time[26..]),
            (27, ".", "Z"),
            "{time}"
        );
    }
    assert!(record["started_at"].as_str() <= record["finished_at"].as_str());
    assert!(
        record["source"]["origin"]
            .as_str()
            .unwrap()
            .starts_with("http://127.0.0.1:")
    );

    let entry = &record["resources"][0];
    // A token, three pages and three failures.
    assert_eq!(
        (&entry["pages"], &entry["requests"]),
        (&json!(3), &json!(7))
    );
    assert_eq!(entry["retries"], 3);
    let waits: Vec<(&str, u64)> = entry["waits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wait| {
            (
                wait["reason"].as_str().unwrap(),
                wait["waits"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        waits,
        [
            ("the API answered 503 Service Unavailable", 2),
            ("the API answered 429 Too Many Requests", 1)
        ]
    );
    for stage in ["fetch", "decode", "encode", "publish"] {
        let time = seconds(&entry["stages"][stage]);
        assert!(
            time > 0.0 && time <= seconds(&entry["seconds"]),
            "{stage}: {time}"
        );
    }

    let load = &entry["load"];
    assert_eq!(
        (&load["rows_written"], &load["inserted"]),
        (&json!(250), &json!(250))
    );
    let mut bytes = 0;
    for file in load["files_added"].as_array().unwrap() {
        let name = file["name"].as_str().unwrap();
        let content = fs::read(workspace.path("data/storage").join(RESOURCE).join(name)).unwrap();
        let hash: String = Sha256::digest(&content)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            (&file["sha256"], &file["bytes"]),
            (&json!(hash), &json!(content.len()))
        );
        bytes += content.len();
    }
    assert_eq!(load["bytes_added"], bytes);
    assert!(bytes > 0);
}

#[test]
fn what_a_person_should_know_is_in_the_record() {
    let workspace = Workspace::new();
    let server = server(Options {
        records: 100,
        undeclared_every: 10,
        ..Options::default()
    });
    workspace.storage().against(&server).run().expect(0);
    let entry = &last_record(&workspace, "storage")["resources"][0];
    let warning = entry["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("10 values of `"), "{warning}");
    assert_eq!(entry["rescued"][0]["values"], 10);
    assert!(
        entry["rescued"][0]["first_at"]
            .as_str()
            .unwrap()
            .starts_with('$')
    );
}

#[test]
fn a_run_that_fails_leaves_its_record_with_the_reason_and_no_secret() {
    let workspace = Workspace::new();
    let setup = server(Options::default());
    let secret = setup
        .settings()
        .iter()
        .find(|(name, _)| name.as_str() == "client_secret");
    let (_, secret) = secret.unwrap();
    // The API tells the client's own secret back.
    let echo = Answer::json(400, format!("{{\"why\": \"bad {secret}\"}}"));
    let server = server(Options {
        script: vec![Scripted::get("/v1/files", 2, echo)],
        ..Options::default()
    });
    workspace
        .storage()
        .against(&server)
        .secret(secret)
        // Of many at once it would be sent again by itself.
        .args(["--concurrency", "1"])
        .run()
        .expect(4);
    let record = last_record(&workspace, "storage");
    assert_eq!(
        (&record["status"], &record["exit_code"]),
        (&json!("failed"), &json!(4))
    );
    let entry = &record["resources"][0];
    assert_eq!(
        (&entry["status"], &entry["load"]),
        (&json!("failed"), &Value::Null)
    );
    assert_eq!(
        (&entry["rows_read"], &entry["pages"]),
        (&json!(100), &json!(1))
    );
    let error = &entry["error"];
    assert_eq!(error["kind"], "source");
    assert_eq!(error["message"], "the API answered 400 Bad Request");
    assert_eq!(error["context"]["body"], "{\"why\": \"bad ***\"}");
    // Neither is it in what is made of the record.
    for args in [["runs", "last"], ["report", "report.html"]] {
        workspace
            .storage()
            .args(args)
            .secret(secret)
            .run()
            .expect(0);
    }
    let page = fs::read_to_string(workspace.path("report.html")).unwrap();
    assert!(page.contains("bad ***"));
}

#[test]
fn some_resources_that_fail_make_the_run_a_partial_one() {
    let workspace = Workspace::new();
    let gone = Scripted::always("/v2/teams", Answer::json(404, "{}"));
    let server = analytics(vec![gone]);
    workspace
        .connector("analytics")
        .against(&server)
        .run()
        .expect(7);
    let record = last_record(&workspace, "analytics");
    assert_eq!(
        (&record["status"], &record["exit_code"]),
        (&json!("partial"), &json!(7))
    );
}

#[test]
fn a_report_that_cannot_be_written_fails_the_run_in_its_record_too() {
    let workspace = Workspace::new();
    let server = server(Options::default());
    workspace
        .storage()
        .against(&server)
        .args(["--report", "no/such/folder/report.json"])
        .run()
        .expect(7)
        .says(&["the report cannot be written"]);
    let record = last_record(&workspace, "storage");
    assert_eq!(record["exit_code"], 7);
    assert_eq!(record["error"]["message"], "the report cannot be written");
    assert_eq!(record["resources"][0]["status"], "published");
}

fn analytics(script: Vec<Scripted>) -> Sandbox {
    let plan = connector_analytics::CONNECTOR.plan().unwrap();
    let options = Options {
        records: 30,
        script,
        ..Options::default()
    };
    Sandbox::start(&plan, options).unwrap()
}

/// A run of `connector-analytics` that hangs at its last resource, the others being published.
fn hanging(workspace: &Workspace) -> (Sandbox, Child) {
    let stalled = Answer::json(200, "{").ending(Ending::Stall);
    let server = analytics(vec![Scripted::get("/v2/workbooks", 1, stalled)]);
    let child = workspace
        .connector("analytics")
        .against(&server)
        .into_command()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let hangs = || {
        let requests = server.data_requests();
        requests
            .iter()
            .any(|request| request.path.contains("workbooks"))
    };
    while !hangs() {
        std::thread::yield_now();
    }
    (server, child)
}

fn signal(child: &Child, signal: &str) {
    let id = child.id().to_string();
    let status = std::process::Command::new("kill")
        .args(["-s", signal, &id])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn an_interrupted_run_leaves_a_record_of_what_it_published_and_what_not() {
    let workspace = Workspace::new();
    let (_server, child) = hanging(&workspace);
    let started = last_record(&workspace, "analytics");
    assert_eq!(
        (&started["status"], &started["exit_code"]),
        (&json!("running"), &Value::Null)
    );
    let under_way = runs(&workspace, "analytics", &["--json"]).json();
    assert_eq!(under_way[0]["status"], "running");
    signal(&child, "INT");
    let outcome = Outcome::new(&child.wait_with_output().unwrap()).expect(130);
    assert_eq!(
        outcome
            .stderr
            .matches("nothing unfinished is published")
            .count(),
        1
    );
    let record = last_record(&workspace, "analytics");
    assert_eq!(
        (&record["status"], &record["exit_code"]),
        (&json!("interrupted"), &json!(130))
    );
    assert!(record["finished_at"].is_string());
    let entries = record["resources"].as_array().unwrap();
    let (last, others) = entries.split_last().unwrap();
    assert_eq!(
        (&last["name"], &last["status"]),
        (&json!("workbooks"), &json!("interrupted"))
    );
    assert_eq!(last["error"]["kind"], "interrupted");
    assert!(others.iter().all(|entry| entry["status"] == "published"));
}

#[test]
fn a_killed_run_is_said_to_have_died_by_the_next_one() {
    let workspace = Workspace::new();
    let (server, child) = hanging(&workspace);
    signal(&child, "KILL");
    Outcome::new(&child.wait_with_output().unwrap()).expect(-1);
    let died = last_record(&workspace, "analytics");
    assert_eq!(died["status"], "running", "nobody is left to say more");
    // Whoever looks at it before the next run is told the truth, too.
    let shown = runs(&workspace, "analytics", &["last"]);
    assert!(
        shown.stdout.contains("status    died\n"),
        "{}",
        shown.stdout
    );
    assert!(shown.stdout.contains("the process ended without a word"));
    workspace
        .connector("analytics")
        .against(&server)
        .run()
        .expect(0)
        .says(&["the run before this one died"]);
    let records = records(&workspace, "analytics");
    assert_eq!(records.len(), 2);
    assert_eq!(records[0]["run"], died["run"]);
    assert_eq!(
        (&records[0]["status"], &records[0]["exit_code"]),
        (&json!("died"), &Value::Null)
    );
    assert_eq!(records[0]["finished_at"], Value::Null);
    let warnings = records[0]["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 7, "{warnings:?}");
    assert!(warnings.contains(&json!("`files` had been published, 30 rows")));
    assert_eq!(records[1]["status"], "succeeded");
}

fn runs(workspace: &Workspace, connector: &str, args: &[&str]) -> Outcome {
    let run = workspace.connector(connector).args(["runs"]);
    run.args(args).run().expect(0)
}

#[test]
fn runs_are_listed_newest_first_and_shown_by_the_beginning_of_their_names() {
    let workspace = Workspace::new();
    let server = server(Options {
        records: 120,
        ..Options::default()
    });
    workspace.storage().against(&server).run().expect(0);
    server.add_records(RESOURCE, 3);
    workspace.storage().against(&server).run().expect(0);
    let failing = workspace.storage().against(&server);
    failing
        .env("STORAGE_CLIENT_SECRET", "wrong")
        .run()
        .expect(3);

    let listed = runs(&workspace, "storage", &["--json"]).json();
    let numbers: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|run| {
            let number = |name: &str| run[name].as_i64().unwrap();
            let status = run["status"].as_str().unwrap().to_owned();
            let rows = [number("rows_read"), number("inserted")];
            (status, number("exit_code"), number("published"), rows)
        })
        .collect();
    assert_eq!(
        numbers,
        [
            ("failed".to_owned(), 3, 0, [0, 0]),
            ("succeeded".to_owned(), 0, 1, [123, 3]),
            ("succeeded".to_owned(), 0, 1, [120, 120]),
        ]
    );
    let table = runs(&workspace, "storage", &["--limit", "2"]);
    assert_eq!(table.stdout.lines().count(), 4, "{}", table.stdout);
    assert!(table.stderr.contains("1 older run;"), "{}", table.stderr);

    let name = listed[1]["run"].as_str().unwrap();
    let shown = runs(&workspace, "storage", &[&name[..13]]);
    for text in [
        name,
        "succeeded, exit code 0",
        "cloud_storage_files  published",
        "sha256 ",
    ] {
        assert!(
            shown.stdout.contains(text),
            "no {text:?} in:\n{}",
            shown.stdout
        );
    }
    let last = runs(&workspace, "storage", &["last", "--json"]).json();
    assert_eq!(last, last_record(&workspace, "storage"));
    for (name, message) in [
        ("ffff", "there is no record of a run `ffff`"),
        ("0", "the names of several runs begin with `0`"),
    ] {
        let asked = workspace.storage().args(["runs", name]);
        asked
            .run()
            .expect(2)
            .says(&[message, "`runs` lists the runs"]);
    }
}

#[test]
fn a_folder_without_runs_and_a_record_that_is_none_are_said_to_be_that() {
    let workspace = Workspace::new();
    let none = runs(&workspace, "storage", &[]);
    assert_eq!(none.stdout, "");
    assert!(none.stderr.contains("No runs: `data`"), "{}", none.stderr);
    assert_eq!(runs(&workspace, "storage", &["--json"]).json(), json!([]));
    assert!(!workspace.path("data").exists(), "looking makes nothing");

    let folder = workspace.path("data/storage/_connector/runs");
    fs::create_dir_all(&folder).unwrap();
    let name = "01a1fdb8-9456-7089-a928-2f4f87e71000";
    fs::write(folder.join(format!("{name}.json")), "{").unwrap();
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    let damaged = runs(&workspace, "storage", &[]);
    assert!(
        damaged
            .stderr
            .contains(&format!("the record of the run {name} cannot be read")),
        "{}",
        damaged.stderr
    );
}

#[test]
fn a_report_is_one_page_of_all_runs() {
    let workspace = Workspace::new();
    let none = workspace.storage().args(["report"]).run().expect(2);
    none.says(&[
        "there is nothing to report: `data`",
        "run the connector first",
    ]);
    assert!(!workspace.path("storage-report.html").exists());

    let hostile = "<svg onload=alert(1)>";
    let server = server(Options {
        records: 120,
        script: vec![
            Scripted::get("/v1/files", 2, Answer::json(503, "{}")),
            Scripted::get("/v1/files", 4, Answer::json(404, hostile)),
        ],
        ..Options::default()
    });
    for code in [0, 4] {
        let run = workspace.storage().against(&server);
        run.args(["--concurrency", "1"]).run().expect(code);
    }
    let written = workspace.storage().args(["report"]).run().expect(0);
    assert_eq!(written.stdout, "storage-report.html\n");
    let page = fs::read_to_string(workspace.path("storage-report.html")).unwrap();
    for text in [
        "<!DOCTYPE html>",
        "<title>Runs of storage</title>",
        "<h3>Rows read</h3>",
        "120 new, 0 updated in all",
        "1 of 6 requests were sent again",
        "the API answered 503 Service Unavailable: 1 time, ",
        "✕ failed",
        "body: &lt;svg onload=alert(1)&gt;",
        "1 file of 1 dataset",
    ] {
        assert!(page.contains(text), "no {text:?}");
    }
    assert!(!page.contains(hostile));
    let printed = workspace.storage().args(["report", "-"]).run().expect(0);
    assert!(printed.stdout.starts_with("<!DOCTYPE html>"));
    let nowhere = workspace
        .storage()
        .args(["report", "no/such/folder/x.html"]);
    nowhere
        .run()
        .expect(5)
        .says(&["the page cannot be written"]);
}
