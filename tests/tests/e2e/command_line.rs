//! The command line: what goes to which stream, and where settings come from.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{ExitCode, Stdio};

use connector_codegen::{LowerOptions, Source, lower};
use connector_sandbox::Options;
use connector_tests::Workspace;
use serde_json::json;

use crate::{RESOURCE, expect_truth, server};

#[test]
fn help_lists_the_settings_with_their_environment_names() {
    let outcome = Workspace::new().storage().args(["--help"]).run().expect(0);
    for text in [
        "--resource",
        "--out",
        "--full-refresh",
        "--limit",
        "--config",
        "--dry-run",
        "--progress",
        "--log-format",
        "--report",
        "--base-url",
        "STORAGE_BASE_URL",
        "STORAGE_TOKEN_URL",
        "STORAGE_CLIENT_ID",
        "STORAGE_CLIENT_SECRET",
        "check",
        "resources",
        "schema",
        "preview",
        "state",
        "sandbox",
        "completions",
    ] {
        assert!(
            outcome.stdout.contains(text),
            "no {text} in\n{}",
            outcome.stdout
        );
    }
    assert!(
        !outcome.stdout.contains("--client-secret"),
        "no secret is a flag"
    );
    assert_eq!(outcome.stderr, "");
}

/// The long flags that a help text shows above the connector's own.
fn flags(help: &str) -> Vec<String> {
    let (flags, _) = help.split_once("Settings of this connector").unwrap();
    let words = flags.split_whitespace();
    let flags = words.filter_map(|word| word.trim_matches(['[', ']', ',', '.']).strip_prefix("--"));
    flags.map(|flag| flag.replace('-', "_")).collect()
}

/// An input has a flag of its name: it must be one that nothing else has.
#[test]
fn no_input_takes_the_flag_of_something_else() {
    let help = |words: &[&str]| {
        Workspace::new()
            .storage()
            .args(words)
            .run()
            .expect(0)
            .stdout
    };
    let spec = |name: &str| {
        format!(
            "config: {{{name}: {{type: string, default: a}}}}\n\
             client: {{base_url: \"https://api.example.com\"}}\nresources:\n- name: rows\n  \
             endpoint: {{path: /rows, params: {{x: '{{{{ config.{name} }}}}'}}}}\n  \
             schema: {{fields: {{id: integer}}}}\n"
        )
    };
    let lowered = |name: &str| {
        let source = Source::new("spec.yaml", spec(name));
        lower(&source, &LowerOptions::new("probe")).map_err(|found| found.render(false))
    };
    let (mut reserved, mut free) = (0, 0);
    for name in flags(&help(&["--help"])) {
        match lowered(&name) {
            Err(told) => {
                assert!(told.contains("reserved-name"), "{name}: {told}");
                reserved += 1;
            }
            Ok(_) => {
                assert!(["since", "until"].contains(&name.as_str()), "{name}");
                free += 1;
            }
        }
    }
    assert!(reserved > 15 && free == 2, "{reserved}, {free}");
    // Those of a command are its own, too.
    for command in [
        "check",
        "resources",
        "schema",
        "preview",
        "state",
        "runs",
        "sandbox",
    ] {
        for name in flags(&help(&[command, "--help"])) {
            if lowered(&name).is_err() {
                continue;
            }
            let connector = connector_tests::connector("probe", spec(&name));
            let words = ["probe", command, "--help"].map(Into::into);
            let code = connector_core::cli::main_with(&connector, connector_sandbox::start, words);
            assert_eq!(
                format!("{code:?}"),
                format!("{:?}", ExitCode::SUCCESS),
                "{name}"
            );
        }
    }
}

#[test]
fn a_bucket_needs_a_feature_and_an_address_is_never_a_folder() {
    #[track_caller]
    fn check(arguments: &[&str], says: &[&str]) {
        let workspace = Workspace::new();
        let run = workspace.storage().args(arguments).run();
        run.expect(2).says(says);
        assert_eq!(fs::read_dir(workspace.path(".")).unwrap().count(), 0);
    }
    let build = "cargo run --package connector-storage --features object-storage -- --out s3://b/p";
    for command in [&[][..], &["state"], &["runs"], &["report"]] {
        let arguments: Vec<&str> = command
            .iter()
            .copied()
            .chain(["--out", "s3://b/p"])
            .collect();
        check(&arguments, &["`s3://b/p` is in an object store", build]);
    }
    check(
        &["--out", "ftp://host/x"],
        &["`ftp://host/x` is neither a folder nor an address"],
    );
    check(
        &["--out", "s3://AKIA:secret@b/p"],
        &["the address `s3://…` cannot be used: credentials"],
    );
    check(
        &["--out", "s3://b/p?sig=secret"],
        &["the address `s3://b/p…` cannot be used: credentials"],
    );
}

#[test]
fn results_go_to_standard_output_and_the_rest_does_not() {
    let workspace = Workspace::new();
    let server = server(Options {
        records: 5,
        nulls: false,
        ..Options::default()
    });
    let outcome = workspace
        .storage()
        .against(&server)
        .args(["preview", RESOURCE, "--json", "-n", "3"])
        .run()
        .expect(0);
    let records: Vec<serde_json::Value> = outcome
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), 3);
    let truth = server.truth(RESOURCE);
    for (record, truth) in records.iter().zip(&truth) {
        assert_eq!(record["file_id"], truth["file_id"]);
        assert_eq!(record["file_size"], truth["file_size"]);
    }
    assert!(!workspace.path("data").exists(), "a preview writes nothing");

    let outcome = workspace
        .storage()
        .against(&server)
        .args(["--progress", "none"])
        .run()
        .expect(0);
    assert!(
        outcome.stdout.starts_with("resource "),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stdout.contains("published"));
    assert!(outcome.stderr.contains("Read it:"), "{}", outcome.stderr);
}

#[test]
fn resources_schema_and_state_are_json_on_request() {
    let workspace = Workspace::new();
    let resources = workspace
        .storage()
        .args(["resources", "--json"])
        .run()
        .expect(0)
        .json();
    assert_eq!(resources[0]["name"], RESOURCE);
    assert_eq!(resources[0]["primary_key"], json!(["file_id"]));
    assert_eq!(resources[0]["write_disposition"], "merge");
    let schema = workspace
        .storage()
        .args(["schema", "--json"])
        .run()
        .expect(0)
        .json();
    let types: Vec<&str> = schema[RESOURCE]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["string", "string", "integer", "timestamp", "json"]);
    workspace
        .storage()
        .args(["state"])
        .run()
        .expect(0)
        .says(&["No state"]);
    workspace.storage().run().expect(0);
    let state = workspace.storage().args(["state", "--json"]);
    let state = state.run().expect(0).json();
    assert_eq!(state["resources"][RESOURCE]["rows"], 1250);
}

#[test]
fn settings_come_from_flags_environment_and_file_in_this_order() {
    let workspace = Workspace::new();
    let server = server(Options {
        records: 7,
        ..Options::default()
    });
    fs::write(
        workspace.path("secret"),
        format!("{}\n", server.setting("client_secret").unwrap()),
    )
    .unwrap();
    let file = format!(
        "client_id: {}\nclient_secret_file: secret\nbase_url: http://127.0.0.1:1\nout: elsewhere\n",
        server.setting("client_id").unwrap()
    );
    fs::write(workspace.path("settings.yaml"), file).unwrap();
    workspace
        .storage()
        .args(["--config", "settings.yaml", "--base-url", server.base_url()])
        .env("STORAGE_BASE_URL", "http://127.0.0.1:2")
        .run()
        .expect(0);
    assert_eq!(server.data_requests().len(), 2);
    assert!(workspace.path("elsewhere/storage").join(RESOURCE).is_dir());
    assert!(!workspace.path("data").exists());
}

#[test]
fn a_dry_run_sends_and_writes_nothing() {
    let workspace = Workspace::new();
    let server = server(Options::default());
    let outcome = workspace
        .storage()
        .against(&server)
        .args(["--dry-run"])
        .run()
        .expect(0);
    assert!(
        outcome
            .stdout
            .contains("cloud_storage_files ─► data/storage/cloud_storage_files/ (merge)")
    );
    assert_eq!(server.requests().len(), 0);
    assert!(!workspace.path("data").exists());
}

#[test]
fn check_reads_one_page_and_writes_nothing() {
    let workspace = Workspace::new();
    let server = server(Options::default());
    let outcome = workspace
        .storage()
        .against(&server)
        .args(["check"])
        .run()
        .expect(0);
    assert!(outcome.stdout.contains("ok"), "{}", outcome.stdout);
    assert_eq!(server.data_requests().len(), 1);
    assert!(!workspace.path("data").exists());
    workspace
        .storage()
        .against(&server)
        .env("STORAGE_CLIENT_ID", "someone")
        .args(["check"])
        .run()
        .expect(3);
}

#[test]
fn progress_and_logs_are_json_on_request() {
    let workspace = Workspace::new();
    let server = server(Options::default());
    let outcome = workspace
        .storage()
        .against(&server)
        .args(["--progress", "json", "--log-format", "json", "-vv"])
        .run()
        .expect(0);
    let lines: Vec<serde_json::Value> = outcome
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let last = lines
        .iter()
        .rfind(|line| line["event"] == "progress")
        .unwrap();
    assert_eq!(
        (last["rows"].as_u64(), last["pages"].as_u64()),
        (Some(1250), Some(13))
    );
    assert!(
        lines
            .iter()
            .any(|line| line["fields"]["message"] == "request")
    );
    let outcome = workspace
        .storage()
        .env("STORAGE_CLIENT_ID", "x")
        .args(["--log-format", "json"])
        .run()
        .expect(2);
    let error: serde_json::Value =
        serde_json::from_str(outcome.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(error["kind"], "configuration");
    assert_eq!(error["message"], "missing setting `client_secret`");
}

#[test]
fn the_report_tells_what_the_run_did() {
    let workspace = Workspace::new();
    let server = server(Options::default());
    workspace
        .storage()
        .against(&server)
        .args(["--report", "report.json", "--concurrency", "1"])
        .run()
        .expect(0);
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(workspace.path("report.json")).unwrap()).unwrap();
    let resource = &report["resources"][0];
    assert_eq!(resource["status"], "published");
    assert_eq!(resource["rows_read"], 1250);
    assert_eq!(resource["requests"], 14);
    assert_eq!(resource["load"]["inserted"], 1250);
    let runs = workspace.path("data/storage/_connector/runs");
    let kept = fs::read_dir(runs).unwrap().next().unwrap().unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(kept.path()).unwrap()).unwrap();
    assert_eq!(kept, report);
}

#[test]
fn the_sandbox_serves_another_process() {
    let workspace = Workspace::new();
    let mut sandbox = workspace
        .storage()
        .args(["sandbox", "--records", "321"])
        .into_command()
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(sandbox.stdout.take().unwrap()).lines();
    let exports: Vec<(String, String)> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .map(|line| {
            let (name, value) = line
                .strip_prefix("export ")
                .unwrap()
                .split_once('=')
                .unwrap();
            (name.to_owned(), value.to_owned())
        })
        .collect();
    let mut run = workspace.storage();
    for (name, value) in &exports {
        run = run.env(name, value);
    }
    let outcome = run.run();
    sandbox.kill().unwrap();
    sandbox.wait().unwrap();
    outcome.expect(0);
    assert_eq!(workspace.rows(RESOURCE).count(), 321);
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let outcome = Workspace::new()
            .storage()
            .args(["completions", shell])
            .run()
            .expect(0);
        assert!(outcome.stdout.contains("full-refresh"), "{shell}");
    }
}

#[test]
fn no_colour_where_it_is_not_wanted() {
    let workspace = Workspace::new();
    let server = server(Options::default());
    let outcome = workspace
        .storage()
        .against(&server)
        .env("NO_COLOR", "1")
        .args(["-r", "nothing"])
        .run()
        .expect(2);
    assert!(!outcome.stderr.contains('\u{1b}'));
    workspace.storage().against(&server).run().expect(0);
    expect_truth(&workspace, &server);
}

#[test]
fn a_machine_without_certificates_runs_too() {
    let workspace = Workspace::new();
    workspace
        .storage()
        .env("SSL_CERT_FILE", "/dev/null")
        .env("SSL_CERT_DIR", workspace.path("nowhere"))
        .run()
        .expect(0);
    assert_eq!(workspace.rows(RESOURCE).count(), 1250);
}

#[test]
fn certificates_of_ones_own_must_be_certificates() {
    let workspace = Workspace::new();
    for (content, says) in [
        (None, "cannot be read"),
        (Some("no certificate"), "no CA certificates in PEM form"),
    ] {
        if let Some(content) = content {
            fs::write(workspace.path("ca.pem"), content).unwrap();
        }
        let run = workspace
            .storage()
            .env("STORAGE_CLIENT_ID", "x")
            .env("STORAGE_CLIENT_SECRET", "y");
        run.args(["--ca-file", "ca.pem"])
            .run()
            .expect(2)
            .says(&[says, "ca.pem"]);
    }
}
