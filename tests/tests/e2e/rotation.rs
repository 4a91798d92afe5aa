//! OAuth 2.0 refresh tokens that the API replaces: none is lost, none is sent twice.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use connector_core::arrow::array::RecordBatch;
use connector_core::{Client, Settings};
use connector_sandbox::{Answer, Options, RequestRecord, Sandbox, Scripted};
use connector_tests::{Outcome, Rows, Workspace};
use futures_util::TryStreamExt as _;

const SETTING: &str = "ANALYTICS_CLIENT_REFRESH_TOKEN";

/// A server that accepts every refresh token once.
fn server(options: Options) -> Sandbox {
    let plan = connector_analytics::CONNECTOR.plan().unwrap();
    let options = Options {
        records: 30,
        rotate_refresh_tokens: true,
        ..options
    };
    Sandbox::start(&plan, options).unwrap()
}

fn sent(request: &RequestRecord) -> String {
    let mut form = request.form();
    form.retain(|(name, _)| name == "refresh_token");
    assert_eq!(form.len(), 1, "one refresh token in {request:?}");
    form.remove(0).1
}

fn all_sent(server: &Sandbox) -> Vec<String> {
    server.token_requests().iter().map(sent).collect()
}

fn token_file(workspace: &Workspace) -> PathBuf {
    workspace.path("data/analytics/_connector/tokens.json")
}

/// The token that the file keeps.
fn kept(workspace: &Workspace) -> String {
    let text = fs::read_to_string(token_file(workspace)).unwrap();
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file["tokens"].as_array().unwrap().len(), 1);
    file["tokens"][0]["refresh_token"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn the_next_run_goes_on_with_the_token_that_the_last_one_was_given() {
    let workspace = Workspace::new();
    let server = server(Options::default());
    for _ in 0..3 {
        let args = ["--report", "report.json", "-v"];
        let outcome = workspace
            .connector("analytics")
            .against(&server)
            .args(args)
            .run()
            .expect(0);
        // What the API gave is as secret as what was configured.
        let token = kept(&workspace);
        for text in [&outcome.stdout, &outcome.stderr] {
            assert!(!text.contains(&token));
        }
        assert_eq!(workspace.holding(&token), [token_file(&workspace)]);
    }
    let sent = all_sent(&server);
    assert_eq!(sent.len(), 3);
    assert_eq!(
        sent.first().map(String::as_str),
        server.setting("client_refresh_token")
    );
    assert!(sent[0] != sent[1] && sent[1] != sent[2]);
    for resource in ["files", "connections", "workbooks"] {
        let rows = Rows::read(&workspace.path("data/analytics").join(resource));
        assert_eq!(rows.count(), server.truth(resource).len());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(token_file(&workspace))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_run_that_is_killed_behind_its_refresh_has_kept_the_new_token() {
    let workspace = Workspace::new();
    let (asked, first_page) = channel();
    let asked = Mutex::new(Some(asked));
    let server = server(Options {
        // The first page never comes: the run ends between its refresh and the first record.
        responder: Some(std::sync::Arc::new(move |request, _| {
            if request.path != "/v2/files" {
                return None;
            }
            let asked = asked.lock().unwrap().take()?;
            asked.send(()).unwrap();
            Some(Answer::json(200, "{}").delay(Duration::from_secs(600)))
        })),
        ..Options::default()
    });
    let mut child = workspace
        .connector("analytics")
        .against(&server)
        .into_command()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    first_page.recv_timeout(Duration::from_secs(60)).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let token = kept(&workspace);
    workspace
        .connector("analytics")
        .against(&server)
        .run()
        .expect(0);
    assert_eq!(all_sent(&server)[1..], [token]);
}

#[test]
fn runs_at_the_same_time_do_not_burn_the_token_that_they_share() {
    let workspace = Workspace::new();
    let server = server(Options::default());
    let children: Vec<_> = (0..6)
        .map(|_| {
            workspace
                .connector("analytics")
                .against(&server)
                .args(["preview", "files", "--rows", "3"])
                .into_command()
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        Outcome::new(&child.wait_with_output().unwrap()).expect(0);
    }
    let mut sent = all_sent(&server);
    assert_eq!(sent.len(), 6);
    sent.sort();
    sent.dedup();
    assert_eq!(sent.len(), 6, "a token has been sent twice");
}

#[test]
fn a_stored_token_that_is_refused_is_told_and_nothing_else_is_tried() {
    let workspace = Workspace::new();
    let refused = Answer::json(400, r#"{"error": "invalid_grant"}"#);
    let server = server(Options {
        script: vec![Scripted::post("/v2/auth/token", 2, refused)],
        ..Options::default()
    });
    let run = || workspace.connector("analytics").against(&server);
    run().run().expect(0);
    let token = kept(&workspace);
    run().run().expect(3).says(&[
        "the token endpoint refused the stored refresh token: `invalid_grant`",
        "log in again and set `ANALYTICS_CLIENT_REFRESH_TOKEN` to the new refresh token",
    ]);
    // Sending the configured one again would look like a thief to the API.
    assert_eq!(kept(&workspace), token);
    assert_eq!(all_sent(&server)[1..], [token]);
}

#[test]
fn a_token_that_somebody_else_has_used_is_refused() {
    let workspace = Workspace::new();
    let server = server(Options::default());
    let run = |out| {
        workspace
            .connector("analytics")
            .against(&server)
            .args(["--out", out])
            .run()
    };
    run("here").expect(0);
    run("there").expect(3).says(&[
        "the token endpoint refused the credentials: `invalid_grant`",
        "something else has used it",
    ]);
    run("here").expect(0);
}

#[test]
fn a_newly_configured_token_wins_over_the_stored_one() {
    let workspace = Workspace::new();
    let server = server(Options::default());
    let run = || workspace.connector("analytics").against(&server);
    run().run().expect(0);
    let token = kept(&workspace);
    run().env(SETTING, "a-new-login").run().expect(3);
    // What descends from the first one is still there for whoever configures that again.
    run().run().expect(0);
    assert_eq!(all_sent(&server)[1..], ["a-new-login".to_owned(), token]);
}

#[test]
fn the_sandbox_of_nobody_leaves_no_tokens() {
    let workspace = Workspace::new();
    workspace.connector("analytics").run().expect(0);
    assert!(!token_file(&workspace).exists());
}

#[test]
fn a_program_keeps_them_in_memory() {
    let server = server(Options::default());
    let settings = server
        .settings()
        .iter()
        .fold(Settings::new(), |settings, (name, value)| {
            settings.with(name, value.as_str())
        })
        .with("base_url", server.base_url());
    let client = Client::new(&connector_analytics::CONNECTOR, settings).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for _ in 0..3 {
            let batches = client
                .request::<connector_analytics::File>("files")
                .batches();
            let batches: Vec<_> = batches.try_collect().await.unwrap();
            let rows = batches.iter().map(RecordBatch::num_rows);
            assert_eq!(rows.sum::<usize>(), 30);
            server.expire_tokens();
        }
    });
    let mut sent = all_sent(&server);
    assert_eq!(sent.len(), 3);
    sent.dedup();
    assert_eq!(sent.len(), 3);
}
