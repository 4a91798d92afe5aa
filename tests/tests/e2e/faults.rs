//! What goes wrong on the way: retries, redirects, links to other places, signals.

use std::process::Stdio;

use connector_plan::sandbox::{Fault, FaultKind};
use connector_sandbox::{Answer, Ending, Options, Recorder, Scripted};
use connector_tests::{Outcome, Workspace};

use crate::{expect_truth, server};

#[test]
fn every_kind_of_fault_now_and_then_costs_time_but_no_record() {
    for kind in [
        FaultKind::RateLimited,
        FaultKind::Unavailable,
        FaultKind::Slow(20),
        FaultKind::CutBody,
    ] {
        let workspace = Workspace::new();
        let faults = vec![Fault { kind, every: 3 }];
        let server = server(Options {
            faults,
            ..Options::default()
        });
        let report = workspace.path("report.json");
        let report_argument = report.display().to_string();
        workspace
            .storage()
            .against(&server)
            .args(["--report", &report_argument, "--concurrency", "1"])
            .run()
            .expect(0);
        expect_truth(&workspace, &server);
        let report: serde_json::Value =
            serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
        let retries = report["resources"][0]["retries"].as_u64().unwrap();
        let slow = matches!(kind, FaultKind::Slow(_));
        assert_eq!(retries > 0, !slow, "{kind:?}: {retries} retries");
        assert_eq!(
            server.data_requests().len() as u64,
            13 + retries,
            "{kind:?}"
        );
    }
}

/// The answers to the second page, one after the other, then the page itself.
fn second_page(answers: Vec<Answer>) -> (Workspace, connector_sandbox::Sandbox, Outcome) {
    let workspace = Workspace::new();
    let script = (2..)
        .zip(answers)
        .map(|(nth, answer)| Scripted::get("/v1/files", nth, answer));
    let server = server(Options {
        records: 250,
        script: script.collect(),
        ..Options::default()
    });
    // The second request is the one for the second page.
    let run = workspace.storage().against(&server);
    let outcome = run.args(["--concurrency", "1"]).run();
    (workspace, server, outcome)
}

#[test]
fn three_retries_are_four_attempts() {
    let failure = || Answer::json(503, "{}");
    let (workspace, server, outcome) = second_page(vec![failure(), failure(), failure()]);
    outcome.expect(0);
    expect_truth(&workspace, &server);
    let (workspace, server, outcome) =
        second_page(vec![failure(), failure(), failure(), failure()]);
    outcome
        .expect(4)
        .says(&["503 Service Unavailable", "attempts: 4"]);
    assert_eq!(server.data_requests().len(), 5);
    assert_eq!(
        workspace.files().parquet().names().count(),
        0,
        "nothing is published"
    );
}

#[test]
fn only_the_listed_statuses_are_tried_again() {
    for (status, again) in [
        (429, true),
        (500, true),
        (502, true),
        (504, true),
        (400, false),
        (403, false),
        (418, false),
        (501, false),
    ] {
        let (_, server, outcome) = second_page(vec![Answer::json(status, "{}")]);
        outcome.expect(if again { 0 } else { 4 });
        assert_eq!(
            server.data_requests().len(),
            if again { 4 } else { 2 },
            "{status}"
        );
    }
}

#[test]
fn bodies_that_are_cut_are_fetched_again() {
    for ending in [Ending::CutLength, Ending::CutChunked, Ending::NoResponse] {
        let cut = Answer::json(200, r#"{"files": [{"file_id": "made up"}]}"#).ending(ending);
        let (workspace, server, outcome) = second_page(vec![cut]);
        outcome.expect(0);
        expect_truth(&workspace, &server);
        assert_eq!(server.data_requests().len(), 4, "{ending:?}");
    }
}

#[test]
fn redirects_on_the_same_origin_are_followed_with_credentials() {
    for status in [301, 302, 303, 307, 308] {
        let to = "/v1/files?offset=100&limit=100";
        let (workspace, server, outcome) = second_page(vec![Answer::redirect(status, to)]);
        outcome.expect(0);
        expect_truth(&workspace, &server);
        assert!(
            server
                .data_requests()
                .iter()
                .all(|request| request.header("authorization").is_some())
        );
    }
}

#[test]
fn redirects_to_another_origin_are_refused_before_anything_is_sent_there() {
    let foreign = Recorder::start().unwrap();
    let foreign_host = foreign.origin().to_owned();
    let without_scheme = foreign_host.trim_start_matches("http:").to_owned();
    for target in [
        format!("{foreign_host}/v1/files"),
        format!("{without_scheme}/v1/files"),
        foreign_host.replace("http://", "http://user:word@"),
        foreign_host.replace("127.0.0.1", "localhost"),
        foreign_host.replace('/', "\\"),
    ] {
        for status in [302, 307] {
            let (workspace, _, outcome) = second_page(vec![Answer::redirect(status, &target)]);
            let outcome = outcome
                .expect(4)
                .says(&["outside its own origin", "allowed_hosts"]);
            assert!(!outcome.stderr.contains("user:word"), "{}", outcome.stderr);
            assert_eq!(workspace.files().parquet().names().count(), 0);
        }
    }
    let (_, _, outcome) = second_page(vec![Answer::redirect(302, "file:///etc/passwd")]);
    outcome.expect(4).says(&["`file`, outside its own origin"]);
    assert_eq!(foreign.connections(), 0);
}

#[test]
fn redirects_that_never_end_do_end() {
    let workspace = Workspace::new();
    let to_itself = Answer::redirect(302, "/v1/files?offset=0&limit=100");
    let server = server(Options {
        script: vec![Scripted::always("/v1/files", to_itself)],
        ..Options::default()
    });
    workspace
        .storage()
        .against(&server)
        .run()
        .expect(4)
        .says(&["redirects more than 10 times"]);
    assert_eq!(server.data_requests().len(), 11);
}

#[test]
fn an_api_that_ignores_the_offset_is_found_out() {
    let page = r#"{"files": [{"file_id": "a"}, {"file_id": "b"}]}"#;
    let workspace = Workspace::new();
    let script = vec![Scripted::always("/v1/files", Answer::json(200, page))];
    let server = server(Options {
        script,
        ..Options::default()
    });
    workspace
        .storage()
        .against(&server)
        .run()
        .expect(4)
        .says(&["the same page again"]);
    assert_eq!(server.data_requests().len(), 2);
}

#[test]
fn a_server_that_caps_its_pages_leaves_no_gap() {
    let workspace = Workspace::new();
    let server = server(Options {
        records: 250,
        max_page_size: Some(40),
        ..Options::default()
    });
    let run = workspace.storage().against(&server);
    run.args(["--concurrency", "1"]).run().expect(0);
    expect_truth(&workspace, &server);
    let offsets: Vec<String> = server
        .data_requests()
        .iter()
        .map(|request| request.param("offset").unwrap().to_owned())
        .collect();
    assert_eq!(offsets, ["0", "40", "80", "120", "160", "200", "240"]);
}

#[test]
fn an_interrupted_run_ends_at_once_and_publishes_nothing() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let workspace = Workspace::new();
        let stalled = Answer::json(200, "{\"files\": [").ending(Ending::Stall);
        let server = server(Options {
            script: vec![Scripted::get("/v1/files", 3, stalled)],
            ..Options::default()
        });
        let child = workspace
            .storage()
            .against(&server)
            .into_command()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while server.data_requests().len() < 3 {
            std::thread::yield_now();
        }
        let id = child.id().to_string();
        let status = std::process::Command::new("kill")
            .args(["-s", signal, &id])
            .status()
            .unwrap();
        assert!(status.success());
        let outcome = Outcome::new(&child.wait_with_output().unwrap());
        outcome
            .expect(code)
            .says(&["nothing unfinished is published"]);
        assert_eq!(workspace.files().parquet().names().count(), 0);
        assert_eq!(workspace.files().unfinished(), [""; 0]);
        workspace.storage().against(&server).run().expect(0);
        expect_truth(&workspace, &server);
    }
}

#[test]
fn one_resource_that_fails_keeps_its_dataset_and_the_others_are_published() {
    let workspace = Workspace::new();
    let plan = connector_analytics::CONNECTOR.plan().unwrap();
    let start = |options| connector_sandbox::Sandbox::start(&plan, options).unwrap();
    let good = start(Options {
        records: 30,
        ..Options::default()
    });
    workspace
        .connector("analytics")
        .against(&good)
        .run()
        .expect(0);
    let before = workspace.files().parquet();
    let gone = Scripted::always("/v2/teams", Answer::json(404, "{}"));
    let bad = start(Options {
        records: 40,
        script: vec![gone],
        ..Options::default()
    });
    workspace
        .connector("analytics")
        .against(&bad)
        .run()
        .expect(7)
        .says(&["404 Not Found", "resource: teams"]);
    let after = workspace.files().parquet();
    for (resource, rows) in [("files", 40), ("teams", 30), ("workbooks", 40)] {
        let folder = workspace.path("data/analytics").join(resource);
        assert_eq!(
            connector_tests::Rows::read(&folder).count(),
            rows,
            "{resource}"
        );
        let is_its = |name: &&str| name.contains(&format!("/{resource}/"));
        let same = before
            .names()
            .filter(is_its)
            .eq(after.names().filter(is_its));
        assert_eq!(same, resource == "teams", "{resource}");
    }
    assert_eq!(workspace.files().unfinished(), [""; 0]);
}
