//! Bad input: what it says, its exit code, and that the dataset of the last good run is untouched.

use std::fs;

use connector_sandbox::{Answer, Options, Sandbox, Scripted};
use connector_tests::{Outcome, Run, Workspace};

use crate::{RESOURCE, expect_truth, server};

/// A good run, then a bad one: the dataset must be the same, byte for byte, and nothing half-written
/// be left.
#[track_caller]
fn check(bad: impl FnOnce(&Workspace, &Sandbox) -> Run, code: i32, says: &[&str]) -> Outcome {
    let workspace = Workspace::new();
    let good = server(Options {
        records: 250,
        ..Options::default()
    });
    workspace.storage().against(&good).run().expect(0);
    let before = workspace.files().parquet();
    let outcome = bad(&workspace, &good).run().expect(code).says(says);
    assert_eq!(
        workspace.files().parquet(),
        before,
        "the dataset has changed"
    );
    assert_eq!(workspace.files().unfinished(), [""; 0]);
    expect_truth(&workspace, &good);
    // The way back is open.
    workspace.storage().against(&good).run().expect(0);
    outcome
}

/// A bad answer to the second page.
#[track_caller]
fn check_answer(answer: Answer, code: i32, says: &[&str]) -> Outcome {
    let script = vec![Scripted {
        when: connector_sandbox::When::From(2),
        ..Scripted::get("/v1/files", 2, answer)
    }];
    let bad = server(Options {
        script,
        ..Options::default()
    });
    check(|workspace, _| workspace.storage().against(&bad), code, says)
}

#[test]
fn an_unreachable_host() {
    // Nobody listens on a port that has just been free.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}");
    check(
        |workspace, good| {
            workspace
                .storage()
                .against(good)
                .env("STORAGE_BASE_URL", url.clone())
        },
        4,
        &[
            &format!("error: cannot connect to `{url}`"),
            "attempts: 4",
            "resource: cloud_storage_files",
            "hint: check the network and the setting `base_url`",
        ],
    );
}

#[test]
fn wrong_credentials() {
    check(
        |workspace, good| {
            workspace
                .storage()
                .against(good)
                .env("STORAGE_CLIENT_SECRET", "wrong-canary")
                .secret("wrong-canary")
        },
        3,
        &[
            "error: the token endpoint refused the credentials: `invalid_client`",
            "/oauth/token",
            "hint: check `STORAGE_CLIENT_ID`, `STORAGE_CLIENT_SECRET`",
        ],
    );
}

#[test]
fn a_path_that_is_not_there() {
    let outcome = check_answer(
        Answer::json(404, r#"{"message": "no such thing"}"#),
        4,
        &[
            "error: the API answered 404 Not Found",
            "resource: cloud_storage_files",
            "GET http://127.0.0.1:",
            "/v1/files?offset=100&limit=100",
            r#"body: {"message": "no such thing"}"#,
            "hint: check the setting `base_url`",
        ],
    );
    assert!(
        !outcome.stderr.contains("attempts: 4"),
        "a 404 is not tried again"
    );
}

#[test]
fn html_instead_of_json() {
    check_answer(
        Answer::html(
            200,
            "<!DOCTYPE html><html><body>Please log in</body></html>",
        ),
        4,
        &["HTML", "GET http://127.0.0.1:", "cloud_storage_files"],
    );
}

#[test]
fn a_selector_that_matches_nothing() {
    check_answer(
        Answer::json(200, r#"{"items": [], "file": [], "count": 0}"#),
        4,
        &["`files`", "`file`", "cloud_storage_files"],
    );
}

#[test]
fn a_page_that_is_not_json() {
    check_answer(
        Answer::json(200, r#"{"files": [{"file_id": "x", "file_size": 01}]}"#),
        4,
        &["error: ", "cloud_storage_files", "GET http://127.0.0.1:"],
    );
}

#[test]
fn a_page_that_ends_in_the_middle_is_fetched_again_and_again_but_never_taken() {
    let answer = Answer::json(200, r#"{"files": [{"file_id": "x"}"#);
    let script = vec![Scripted {
        when: connector_sandbox::When::From(2),
        ..Scripted::get("/v1/files", 2, answer)
    }];
    let bad = server(Options {
        script,
        ..Options::default()
    });
    check(
        |workspace, _| {
            let run = workspace.storage().against(&bad);
            run.args(["--concurrency", "1"])
        },
        4,
        &["error: ", "cloud_storage_files"],
    );
    assert_eq!(bad.data_requests().len(), 1 + 4);
}

#[test]
fn a_primary_key_that_is_missing() {
    check_answer(
        Answer::json(
            200,
            r#"{"files": [{"file_id": "x"}, {"file_name": "no key"}]}"#,
        ),
        6,
        &["file_id", "$.files[1]", "cloud_storage_files"],
    );
}

#[test]
fn a_primary_key_of_the_wrong_type() {
    check_answer(
        Answer::json(200, r#"{"files": [{"file_id": 7}]}"#),
        6,
        &["$.files[0].file_id", "string", "cloud_storage_files"],
    );
}

#[test]
fn an_output_folder_that_cannot_be_written() {
    check(
        |workspace, good| {
            fs::write(workspace.path("occupied"), "a file").unwrap();
            workspace
                .storage()
                .against(good)
                .args(["--out", "occupied"])
        },
        5,
        &["error: ", "occupied", "hint: "],
    );
}

#[test]
fn an_unknown_resource() {
    for arguments in [
        &["--resource", "cloud_storage_file"][..],
        &["preview", "cloud_storage_file"],
    ] {
        check(
            |workspace, good| workspace.storage().against(good).args(arguments),
            2,
            &[
                "error: unknown resource `cloud_storage_file`",
                "hint: did you mean `cloud_storage_files`?",
            ],
        );
    }
}

#[test]
fn a_missing_setting() {
    check(
        |workspace, _| workspace.storage().env("STORAGE_CLIENT_ID", "an-id"),
        2,
        &[
            "error: missing setting `client_secret`",
            "hint: set `STORAGE_CLIENT_SECRET`",
            "STORAGE_CLIENT_SECRET_FILE",
        ],
    );
}

#[test]
fn a_setting_that_is_set_but_empty() {
    check(
        |workspace, _| workspace.storage().env("STORAGE_CLIENT_ID", ""),
        2,
        &[
            "error: setting `client_id` is set but empty",
            "STORAGE_CLIENT_ID",
        ],
    );
}

#[test]
fn an_unknown_flag() {
    check(
        |workspace, _| workspace.storage().args(["--full-refesh"]),
        2,
        &["--full-refesh", "--full-refresh"],
    );
}

/// A good run, a state file that somebody changed, and a run that refuses it; a full refresh mends
/// it unless the folder is not ours to touch.
#[track_caller]
fn check_state(change: impl FnOnce(String) -> String, mended: bool, says: &[&str]) {
    let workspace = Workspace::new();
    let good = server(Options {
        records: 250,
        ..Options::default()
    });
    workspace.storage().against(&good).run().expect(0);
    let state = workspace.path("data/storage/_connector/state.json");
    let changed = change(fs::read_to_string(&state).unwrap());
    fs::write(&state, &changed).unwrap();
    let before = workspace.files().parquet();
    let requests = good.data_requests().len();
    workspace
        .storage()
        .against(&good)
        .run()
        .expect(2)
        .says(says);
    assert_eq!(workspace.files().parquet(), before);
    assert_eq!(
        fs::read_to_string(&state).unwrap(),
        changed,
        "the state is left as it was found"
    );
    assert_eq!(
        good.data_requests().len(),
        requests,
        "nothing is read for nothing"
    );
    let refreshed = workspace
        .storage()
        .against(&good)
        .args(["--full-refresh"])
        .run();
    refreshed.expect(if mended { 0 } else { 2 });
    expect_truth(&workspace, &good);
}

#[test]
fn a_state_file_that_is_damaged() {
    check_state(
        |state| state[..state.len() / 2].to_owned(),
        true,
        &["damaged", "state.json", "hint: ", "--full-refresh"],
    );
}

#[test]
fn a_state_file_of_another_spec() {
    let identity = crate::plan().resource(RESOURCE).unwrap().identity.clone();
    let other = "0".repeat(64);
    check_state(
        |state| state.replace(&identity, &other),
        true,
        &["cloud_storage_files", "hint: ", "--full-refresh"],
    );
}

#[test]
fn a_state_file_of_a_newer_version() {
    check_state(
        |state| state.replacen("\"version\": 1", "\"version\": 99", 1),
        false,
        &["99", "state.json", "hint: "],
    );
}

#[test]
fn a_state_file_of_another_connector() {
    check_state(
        |state| state.replacen("\"storage\"", "\"others\"", 1),
        false,
        &["others", "state.json", "hint: "],
    );
}
