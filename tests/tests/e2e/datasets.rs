//! What is on disk after runs: the server's truth, merged by primary key.

use std::process::Stdio;

use connector_plan::sandbox::SandboxOptions;
use connector_sandbox::Options;
use connector_tests::Workspace;
use serde_json::json;

use crate::{RESOURCE, expect_truth, server};

#[test]
fn with_nothing_configured_sample_data_is_read_and_said_to_be_that() {
    let workspace = Workspace::new();
    workspace.storage().run().expect(0).says(&[
        "SAMPLE DATA",
        "STORAGE_CLIENT_ID, STORAGE_CLIENT_SECRET",
        "STORAGE_BASE_URL",
    ]);
    let sandbox = server(Options::from(&SandboxOptions::default()));
    expect_truth(&workspace, &sandbox);
}

#[test]
fn a_second_run_replaces_changed_rows_adds_new_ones_and_stays_the_same_size() {
    let workspace = Workspace::new();
    let server = server(Options::default());
    workspace.storage().against(&server).run().expect(0);
    expect_truth(&workspace, &server);
    let files = workspace.files().parquet().names().count();

    workspace.storage().against(&server).run().expect(0);
    expect_truth(&workspace, &server);
    assert_eq!(workspace.files().parquet().names().count(), files);

    assert_eq!(
        server.update_records(RESOURCE, |index| index % 10 == 3),
        125
    );
    server.add_records(RESOURCE, 77);
    workspace.storage().against(&server).run().expect(0);
    expect_truth(&workspace, &server);
}

#[test]
fn rows_that_the_api_no_longer_has_stay_until_a_full_refresh() {
    let workspace = Workspace::new();
    let server = server(Options {
        records: 300,
        ..Options::default()
    });
    workspace.storage().against(&server).run().expect(0);
    assert_eq!(server.delete_records(RESOURCE, |index| index < 100), 100);
    workspace.storage().against(&server).run().expect(0);
    assert_eq!(workspace.rows(RESOURCE).count(), 300);
    workspace
        .storage()
        .against(&server)
        .args(["--full-refresh"])
        .run()
        .expect(0);
    expect_truth(&workspace, &server);
}

#[test]
fn undeclared_fields_are_rescued_and_counted() {
    let workspace = Workspace::new();
    let server = server(Options {
        records: 100,
        undeclared_every: 10,
        ..Options::default()
    });
    let outcome = workspace.storage().against(&server).run().expect(0);
    let outcome = outcome.says(&["10 values of `"]);
    assert!(outcome.stderr.contains("_rescued"), "{}", outcome.stderr);
    let rescued = workspace.rows(RESOURCE).column("_rescued");
    assert_eq!(rescued.iter().filter(|value| !value.is_null()).count(), 10);
    expect_truth(&workspace, &server);
}

#[test]
fn values_of_the_wrong_type_are_rescued_byte_for_byte() {
    let workspace = Workspace::new();
    let server = server(Options {
        records: 3,
        ..Options::default()
    });
    let records = [
        r#"{"file_id":"a","file_name":7,"file_size":"12 kB","last_modified":"2026-02-30"}"#,
        r#"{"file_id":"b","file_name":"b","file_size":9223372036854775808,"last_modified":"2026-01-31T12:00:00.123456+05:30"}"#,
        r#"{"file_id":"c","file_size":-9223372036854775808,"new":{"x": 1.10}}"#,
    ];
    server.set_raw_records(
        RESOURCE,
        records.iter().map(|&record| record.to_owned()).collect(),
    );
    workspace.storage().against(&server).run().expect(0);
    let rows = workspace.rows(RESOURCE);
    assert_eq!(rows.column("file_id"), ["a", "b", "c"]);
    assert_eq!(
        rows.column("file_name"),
        [json!(null), json!("b"), json!(null)]
    );
    assert_eq!(
        rows.column("file_size"),
        [json!(null), json!(null), json!(i64::MIN)]
    );
    let instant = json!(1_769_841_000_123_456_i64);
    assert_eq!(
        rows.column("last_modified"),
        [json!(null), instant, json!(null)]
    );
    assert_eq!(
        rows.column("_rescued"),
        [
            r#"{"file_name":7,"file_size":"12 kB","last_modified":"2026-02-30"}"#,
            r#"{"file_size":9223372036854775808}"#,
            r#"{"new":{"x": 1.10}}"#,
        ]
    );
}

#[test]
fn a_record_that_comes_twice_is_kept_once_the_last_one() {
    let workspace = Workspace::new();
    let server = server(Options {
        records: 3,
        ..Options::default()
    });
    let records = [("a", 1), ("b", 2), ("a", 3)];
    let records = records.map(|(id, size)| format!(r#"{{"file_id":"{id}","file_size":{size}}}"#));
    server.set_raw_records(RESOURCE, records.to_vec());
    workspace
        .storage()
        .against(&server)
        .run()
        .expect(0)
        .says(&["1 records came again with the same primary key"]);
    let rows = workspace.rows(RESOURCE).objects(&["file_id", "file_size"]);
    assert_eq!(
        rows,
        [
            json!({"file_id": "a", "file_size": 3}),
            json!({"file_id": "b", "file_size": 2})
        ]
    );
}

#[test]
fn an_empty_resource_is_an_empty_dataset() {
    let workspace = Workspace::new();
    let server = server(Options {
        records: 0,
        ..Options::default()
    });
    workspace.storage().against(&server).run().expect(0);
    assert_eq!(workspace.rows(RESOURCE).count(), 0);
    assert_eq!(workspace.files().parquet().names().count(), 1);
}

#[test]
fn real_data_takes_the_place_of_sample_data_and_never_the_other_way_round() {
    let workspace = Workspace::new();
    workspace.storage().run().expect(0);
    let server = server(Options {
        records: 10,
        seed: 9,
        ..Options::default()
    });
    workspace
        .storage()
        .against(&server)
        .run()
        .expect(0)
        .says(&["the sample data of the sandbox has been replaced"]);
    expect_truth(&workspace, &server);
    let before = workspace.files().parquet();
    workspace
        .storage()
        .run()
        .expect(2)
        .says(&["error: ", "hint: ", "--out"]);
    assert_eq!(workspace.files().parquet(), before);
}

#[test]
fn a_limited_run_adds_what_it_read_and_says_so() {
    let workspace = Workspace::new();
    let server = server(Options::default());
    workspace
        .storage()
        .against(&server)
        .args(["--limit", "150"])
        .run()
        .expect(0)
        .says(&["stopped at --limit"]);
    assert_eq!(workspace.rows(RESOURCE).count(), 150);
    assert_eq!(server.data_requests().len(), 2);
    workspace.storage().against(&server).run().expect(0);
    expect_truth(&workspace, &server);
}

#[test]
fn a_run_that_is_killed_leaves_the_old_dataset_and_the_next_one_cleans_up() {
    let workspace = Workspace::new();
    let sandbox = server(Options {
        records: 500,
        ..Options::default()
    });
    workspace.storage().against(&sandbox).run().expect(0);
    let before = workspace.files().parquet();
    drop(sandbox);
    // The server never finishes the third page: the run is in the middle when it is killed.
    let stalled = connector_sandbox::Answer::json(200, "{\"files\": [")
        .ending(connector_sandbox::Ending::Stall);
    let slow = server(Options {
        records: 500,
        seed: 2,
        script: vec![connector_sandbox::Scripted::get("/v1/files", 3, stalled)],
        ..Options::default()
    });
    let mut child = workspace
        .storage()
        .against(&slow)
        .into_command()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while slow.data_requests().len() < 3 {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        workspace
            .files()
            .parquet()
            .names()
            .filter(|name| !name.contains("_connector"))
            .count(),
        1
    );
    assert!(
        before
            .names()
            .all(|name| workspace.path("data").join(name).exists())
    );
    assert_eq!(workspace.rows(RESOURCE).count(), 500);
    // The stalled answer was the third; the next run gets whole pages.
    workspace.storage().against(&slow).run().expect(0);
    assert_eq!(workspace.files().unfinished(), [""; 0]);
    assert_eq!(
        workspace.rows(RESOURCE).objects(&crate::COLUMNS),
        connector_tests::truth(&slow.truth(RESOURCE), &crate::COLUMNS)
    );
}

#[test]
fn two_runs_on_one_dataset_do_not_meet() {
    let workspace = Workspace::new();
    let stalled = connector_sandbox::Answer::json(200, "{\"files\": [")
        .ending(connector_sandbox::Ending::Stall);
    let server = server(Options {
        script: vec![connector_sandbox::Scripted::get("/v1/files", 1, stalled)],
        ..Options::default()
    });
    let mut first = workspace
        .storage()
        .against(&server)
        .into_command()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while server.data_requests().is_empty() {
        std::thread::yield_now();
    }
    let pid = first.id().to_string();
    workspace
        .storage()
        .against(&server)
        .run()
        .expect(2)
        .says(&["another run", &pid]);
    first.kill().unwrap();
    first.wait().unwrap();
    workspace.storage().against(&server).run().expect(0);
    expect_truth(&workspace, &server);
}
