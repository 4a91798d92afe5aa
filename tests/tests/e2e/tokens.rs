//! OAuth 2.0 client credentials: how many tokens are asked for, when, and where they go.

use std::time::Duration;

use connector_sandbox::{Answer, ExpiresIn, Options, Scripted};
use connector_tests::Workspace;

use crate::{expect_truth, server};

#[test]
fn one_token_serves_the_whole_run() {
    let workspace = Workspace::new();
    let server = server(Options::default());
    let run = workspace.storage().against(&server);
    run.args(["--concurrency", "1"]).run().expect(0);
    let tokens = server.token_requests();
    assert_eq!(tokens.len(), 1);
    let form = tokens[0].form();
    let field = |name: &str| {
        form.iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(field("grant_type"), Some("client_credentials"));
    assert_eq!(field("client_id"), server.setting("client_id"));
    assert_eq!(field("client_secret"), server.setting("client_secret"));
    assert_eq!(
        tokens[0].header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(server.data_requests().len(), 13);
    for request in server.data_requests() {
        assert!(
            request
                .header("authorization")
                .unwrap()
                .starts_with("Bearer ")
        );
        assert!(request.header("referer").is_none());
    }
}

#[test]
fn a_token_that_the_api_refuses_is_renewed_once_and_the_request_sent_again() {
    let workspace = Workspace::new();
    let script = vec![Scripted::get("/v1/files", 5, Answer::json(401, "{}"))];
    let server = server(Options {
        script,
        ..Options::default()
    });
    let run = workspace.storage().against(&server);
    run.args(["--concurrency", "1"]).run().expect(0);
    expect_truth(&workspace, &server);
    assert_eq!(server.token_requests().len(), 2);
    assert_eq!(server.data_requests().len(), 14);
}

#[test]
fn a_second_refusal_is_an_error_of_authentication() {
    let workspace = Workspace::new();
    let script = vec![Scripted::always(
        "/v1/files",
        Answer::json(401, r#"{"error": "no"}"#),
    )];
    let server = server(Options {
        script,
        ..Options::default()
    });
    workspace
        .storage()
        .against(&server)
        .run()
        .expect(3)
        .says(&["401 Unauthorized", "hint: check the credentials"]);
    assert_eq!(server.token_requests().len(), 2);
    assert_eq!(server.data_requests().len(), 2);
}

#[test]
fn tokens_are_renewed_before_they_end() {
    let workspace = Workspace::new();
    // Ten seconds at a time pass at the server between two requests: a client that relied on
    // refusals would see them.
    let server = server(Options {
        token_lifetime: Duration::from_millis(40),
        records: 2_000,
        ..Options::default()
    });
    workspace.storage().against(&server).run().expect(0);
    expect_truth(&workspace, &server);
}

#[test]
fn lifetimes_are_understood_however_they_are_written() {
    for expires_in in [ExpiresIn::Number, ExpiresIn::Text, ExpiresIn::Missing] {
        let workspace = Workspace::new();
        let server = server(Options {
            expires_in,
            ..Options::default()
        });
        workspace.storage().against(&server).run().expect(0);
        assert_eq!(server.token_requests().len(), 1, "{expires_in:?}");
    }
}

#[test]
fn a_lifetime_of_zero_is_no_lifetime() {
    for mark in ["", "\u{feff}"] {
        let workspace = Workspace::new();
        let answer = format!(
            r#"{mark}{{"access_token": "not-known-here", "token_type": "bearer", "expires_in": 0}}"#
        );
        let server = server(Options {
            script: vec![Scripted::post("/oauth/token", 1, Answer::json(200, answer))],
            ..Options::default()
        });
        // The first token is not valid: the refusal brings a second one, which serves to the end.
        workspace
            .storage()
            .against(&server)
            .secret("not-known-here")
            .run()
            .expect(0);
        assert_eq!(server.token_requests().len(), 2);
        expect_truth(&workspace, &server);
    }
}

#[test]
fn nonsense_from_the_token_endpoint_is_told_without_its_text() {
    for (answer, says) in [
        (
            Answer::html(200, "<html>log in</html>"),
            "is not a JSON object",
        ),
        (Answer::json(200, "{}"), "has no `access_token`"),
        (
            Answer::json(200, r#"{"access_token": ""}"#),
            "has no `access_token`",
        ),
    ] {
        let workspace = Workspace::new();
        let server = server(Options {
            script: vec![Scripted::post("/oauth/token", 1, answer)],
            ..Options::default()
        });
        workspace
            .storage()
            .against(&server)
            .run()
            .expect(3)
            .says(&[says, "hint: check the setting `token_url`"]);
        assert_eq!(server.data_requests().len(), 0);
    }
}

#[test]
fn a_token_endpoint_that_fails_is_asked_again() {
    let workspace = Workspace::new();
    let script = (1..=3).map(|nth| Scripted::post("/oauth/token", nth, Answer::json(503, "{}")));
    let server = server(Options {
        script: script.collect(),
        ..Options::default()
    });
    workspace.storage().against(&server).run().expect(0);
    assert_eq!(server.token_requests().len(), 4);
}

#[test]
fn the_token_url_can_be_moved_alone() {
    let workspace = Workspace::new();
    let (tokens, data) = (server(Options::default()), server(Options::default()));
    let url = format!("{}/oauth/token", tokens.origin());
    // The token of one server is not known to the other: what counts is where it was asked for.
    workspace
        .storage()
        .against(&data)
        .env("STORAGE_TOKEN_URL", url)
        .run()
        .expect(3);
    assert_eq!(tokens.token_requests().len(), 2);
    assert_eq!(data.token_requests().len(), 0);
    assert_eq!(tokens.data_requests().len(), 0);
}
