//! `state show`, `set` and `reset`, and state files that cannot be used.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use connector_sandbox::{Answer, Options, RequestRecord, Sandbox};
use connector_tests::{Outcome, Workspace};
use serde_json::{Value, json};

const SPEC: &str = "
config: {passphrase: {secret: true}}
client: {base_url: https://desk.example.com, auth: {type: bearer, token: '{{ secrets.passphrase }}'}}
resource_defaults:
  primary_key: id
  write_disposition: merge
  endpoint: {data_selector: items, paginator: single_page}
resources:
  - name: tickets
    incremental: {cursor_path: at, start_param: from, initial_value: '2024-01-01'}
    schema: {fields: {id: integer, at: timestamp}}
  - name: notes
    parent: {resource: tickets, field: id, as: ticket}
    endpoint: {path: '/tickets/{ticket}/notes'}
    incremental: {cursor_path: number, start_param: above}
    schema: {fields: {id: integer, number: integer}}
  - name: logs
    write_disposition: append
    incremental: {cursor_path: at, start_param: from}
    schema: {fields: {id: integer, at: timestamp}}
  - name: tags
    write_disposition: replace
    schema: {fields: {id: integer}}
";

fn answer(request: &RequestRecord) -> Option<Answer> {
    let items = match request.path.as_str() {
        "/tickets" => {
            json!([{"id": 7, "at": "2024-03-01T00:00:00Z"}, {"id": 8, "at": "2024-02-01T00:00:00Z"}])
        }
        "/tickets/7/notes" => json!([{"id": 1, "number": 41}]),
        "/tickets/8/notes" => json!([{"id": 2, "number": 42}]),
        "/logs" => json!([{"id": 1, "at": "2024-03-01T00:00:00Z"}]),
        "/tags" => json!([{"id": 1}]),
        _ => return None,
    };
    Some(Answer::json(200, json!({ "items": items }).to_string()))
}

/// A connector, its API and a folder in which it has run.
struct Desk {
    workspace: Workspace,
    server: Sandbox,
    spec: String,
}

impl Desk {
    fn new() -> Self {
        let desk = Self::without_data();
        let _ = desk.run(&[]).expect(0);
        desk
    }

    fn without_data() -> Self {
        let plan = connector_tests::plan("desk", SPEC);
        let options = Options {
            responder: Some(Arc::new(|request, _| answer(request))),
            ..Options::default()
        };
        let server = Sandbox::start(&plan, options).unwrap();
        let workspace = Workspace::new();
        let spec = workspace.path("desk.yaml");
        fs::write(&spec, SPEC).unwrap();
        Self {
            workspace,
            server,
            spec: spec.to_str().unwrap().to_owned(),
        }
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let run = self.workspace.cargo_connector("desk");
        let run = run.args(["run", self.spec.as_str()]).args(arguments);
        run.against(&self.server).run()
    }

    /// `state …`, which needs no settings.
    fn state(&self, arguments: &[&str]) -> Outcome {
        let run = self.workspace.cargo_connector("desk");
        run.args(["run", self.spec.as_str(), "state"])
            .args(arguments)
            .run()
    }

    fn file(&self) -> PathBuf {
        self.workspace.path("data/desk/_connector/state.json")
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&fs::read(self.file()).unwrap()).unwrap()
    }

    /// The queries that a run sends to this path.
    fn asks(&self, resource: &str) -> Vec<String> {
        let before = self.server.data_requests().len();
        let _ = self.run(&["--resource", resource]).expect(0);
        let requests = self.server.data_requests().into_iter().skip(before);
        let mut asked: Vec<String> = requests
            .map(|request| {
                let query: Vec<String> = request
                    .query
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                format!("{}?{}", request.path, query.join("&"))
            })
            .collect();
        asked.sort();
        asked
    }
}

#[test]
fn show_is_a_table_or_the_whole_state() {
    let desk = Desk::new();
    let run = desk.json()["resources"]["tickets"]["run"].clone();
    for arguments in [&[][..], &["show"]] {
        let shown = desk.state(arguments).expect(0).stdout;
        let lines: Vec<Vec<&str>> = shown
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let run = run.as_str().unwrap();
        let source = desk.server.base_url();
        let row = |name, cursor| vec![name, source, run, "1", "1", cursor];
        assert_eq!(
            lines[0].join(" "),
            "resource source last run rows files cursor"
        );
        assert_eq!(lines[2], row("logs", "2024-03-01T00:00:00Z"));
        assert_eq!(lines[3][..4], ["notes", source, run, "2"]);
        assert_eq!(lines[3][5..], ["2", "partitions"]);
        assert_eq!(lines[4], row("tags", "none"));
        assert_eq!(lines[5][3..], ["2", "1", "2024-03-01T00:00:00Z"]);
        assert_eq!(
            lines[11..],
            [[r#"{"ticket":7}"#, "41"], [r#"{"ticket":8}"#, "42"]]
        );
    }
    assert_eq!(
        desk.state(&["show", "--json"]).expect(0).json(),
        desk.json()
    );
    let one = desk.state(&["show", "notes", "--json"]).expect(0).json();
    assert_eq!(one, desk.json()["resources"]["notes"]);
    let _ = desk
        .state(&["show", "note"])
        .expect(2)
        .says(&["unknown resource `note`", "did you mean `notes`"]);
    assert_eq!(desk.json()["version"], 1);
    assert!(desk.json()["resources"]["logs"]["spec_hash"].is_string());
}

#[test]
fn a_cursor_that_is_set_is_where_the_next_run_begins() {
    let desk = Desk::new();
    let said = desk.state(&["set", "tickets", "2024-02-15"]).expect(0);
    assert_eq!(
        said.stdout,
        "tickets: 2024-03-01T00:00:00Z -> 2024-02-15T00:00:00Z\n"
    );
    assert_eq!(desk.asks("tickets"), ["/tickets?from=2024-02-15T00:00:00Z"]);
    // The run went on from there.
    let cursor = &desk.json()["resources"]["tickets"]["cursor"]["partitions"]["{}"]["value"];
    assert_eq!(cursor, "2024-03-01T00:00:00Z");
    // One partition by its value, or as the state names it, or all of them.
    let set = |arguments: &[&str]| {
        let outcome = desk.state(&[&["set", "notes"], arguments].concat());
        outcome.expect(0).stdout
    };
    assert_eq!(
        set(&["5", "--partition", "ticket=8"]),
        "notes {\"ticket\":8}: 42 -> 5\n"
    );
    set(&["-6", "--partition", r#"{"ticket":7}"#]);
    let asked = desk.asks("notes");
    assert_eq!(asked[0], "/tickets/7/notes?above=-6");
    assert_eq!(asked[1], "/tickets/8/notes?above=5");
    let all = desk
        .state(&["set", "notes", "9", "--json"])
        .expect(0)
        .json();
    assert_eq!(
        all["set"][1],
        json!({"partition": "{\"ticket\":8}", "before": 42, "after": 9})
    );
    assert_eq!(all["set"].as_array().unwrap().len(), 2);
}

#[test]
fn what_cannot_be_a_cursor_is_refused_and_changes_nothing() {
    let desk = Desk::new();
    let before = desk.json();
    #[track_caller]
    fn check(desk: &Desk, arguments: &[&str], says: &[&str]) {
        let _ = desk.state(arguments).expect(2).says(says);
    }
    check(
        &desk,
        &["set", "tickets", "soon"],
        &["`soon`", "cursor `at`", "2024-01-31"],
    );
    check(&desk, &["set", "notes", "1.5"], &["`1.5`", "`number`"]);
    check(
        &desk,
        &["set", "tags", "1"],
        &["`tags` has no incremental cursor"],
    );
    check(&desk, &["set", "ticket", "1"], &["did you mean `tickets`"]);
    check(
        &desk,
        &["set", "tickets", "2024-01-01", "--partition", "a=1"],
        &["no partitions"],
    );
    check(
        &desk,
        &["set", "notes", "1", "--partition", "ticket=9"],
        &[
            "no cursor for ticket=9",
            r#"{"ticket":7}"#,
            "state show notes",
        ],
    );
    check(
        &desk,
        &["set", "notes", "1", "--partition", "id=7"],
        &["for each ticket", "names id"],
    );
    check(
        &desk,
        &["set", "notes", "1", "--partition", "7"],
        &["NAME=VALUE"],
    );
    // Records cannot be taken back out of what they were appended to.
    check(
        &desk,
        &["set", "logs", "2024-02-01"],
        &["`logs` appends", "--full-refresh"],
    );
    check(
        &desk,
        &["reset", "logs"],
        &["`logs` appends", "--full-refresh"],
    );
    check(&desk, &["reset"], &["`logs` appends", "nothing was reset"]);
    check(
        &desk,
        &["reset", "tickets", "lags"],
        &["did you mean `logs`"],
    );
    assert_eq!(desk.json(), before);
    // Forward there is nothing that the dataset has.
    let _ = desk.state(&["set", "logs", "2024-04-01"]).expect(0);
    assert_eq!(desk.asks("logs"), ["/logs?from=2024-04-01T00:00:00Z"]);
}

#[test]
fn a_reset_reads_from_the_beginning_and_keeps_the_rows() {
    let desk = Desk::new();
    let said = desk.state(&["reset", "tickets", "tags", "notes"]).expect(0);
    assert_eq!(
        said.stdout,
        "notes: cursor removed, the next run reads from the beginning; the 2 rows stay\n\
         tags: had no cursor\n\
         tickets: cursor removed, the next run reads from the beginning; the 2 rows stay\n"
    );
    let state = desk.json();
    assert_eq!(state["resources"]["notes"]["cursor"], Value::Null);
    assert_eq!(state["resources"]["notes"]["rows"], 2);
    assert_ne!(state["resources"]["logs"]["cursor"], Value::Null);
    assert_eq!(desk.asks("tickets"), ["/tickets?from=2024-01-01T00:00:00Z"]);
    assert_eq!(
        desk.asks("notes")[..2],
        ["/tickets/7/notes?", "/tickets/8/notes?"]
    );
    // What has no cursor yet cannot tell its partitions.
    let _ = desk.state(&["reset", "notes"]).expect(0);
    let _ = desk
        .state(&["set", "notes", "3"])
        .expect(2)
        .says(&["for each ticket", "none is known yet"]);
}

#[test]
fn a_state_that_cannot_be_trusted_is_refused_with_advice() {
    #[track_caller]
    fn check(change: impl Fn(&str) -> String, says: &[&str]) {
        let desk = Desk::new();
        let text = change(&fs::read_to_string(desk.file()).unwrap());
        fs::write(desk.file(), &text).unwrap();
        let rows = desk.workspace.files().parquet();
        for outcome in [
            desk.run(&[]),
            desk.state(&[]),
            desk.state(&["set", "tickets", "2024-01-01"]),
            desk.state(&["reset", "tickets"]),
        ] {
            let _ = outcome.expect(2).says(says);
        }
        assert_eq!(fs::read_to_string(desk.file()).unwrap(), text);
        assert_eq!(desk.workspace.files().parquet(), rows);
    }
    check(
        |text| text[..text.len() / 2].to_owned(),
        &["is damaged", "--full-refresh"],
    );
    check(|_| String::new(), &["is damaged", "backup"]);
    check(
        |text| text.replace("\"rows\"", "\"raws\""),
        &["is damaged", "raws"],
    );
    check(
        |text| text.replace("\"version\": 1", "\"version\": 2"),
        &["version 2", "newer program"],
    );
    check(
        |text| text.replace("\"connector\": \"desk\"", "\"connector\": \"disk\""),
        &["belongs to the connector `disk`", "--out"],
    );
}

#[test]
fn a_state_of_another_spec_or_server_is_refused_with_advice() {
    #[track_caller]
    fn check(from: &str, to: &str, says: &[&str]) {
        let desk = Desk::new();
        let before = fs::read_to_string(desk.file()).unwrap();
        assert!(SPEC.contains(from));
        fs::write(&desk.spec, SPEC.replace(from, to)).unwrap();
        let _ = desk.run(&["--resource", "notes"]).expect(2).says(says);
        assert_eq!(fs::read_to_string(desk.file()).unwrap(), before);
    }
    check(
        "cursor_path: number",
        "cursor_path: id",
        &["belongs to the cursor `number`", "--full-refresh"],
    );
    check(
        "schema: {fields: {id: integer, number: integer}}",
        "schema: {fields: {id: integer, number: integer}}\n    primary_key: number",
        &["another specification", "--full-refresh"],
    );
    // Another description is no other specification.
    let desk = Desk::new();
    let other = SPEC.replace("{id: integer}", "{id: {type: integer, description: New.}}");
    fs::write(&desk.spec, other).unwrap();
    let _ = desk.run(&["--resource", "tickets"]).expect(0);
    // A cursor that the spec has no more is neither set nor taken over.
    let other = SPEC.replace("cursor_path: number", "cursor_path: id");
    fs::write(&desk.spec, other).unwrap();
    let _ = desk
        .state(&["set", "notes", "1"])
        .expect(2)
        .says(&["belongs to the cursor `number`", "state reset notes"]);
    // Another server.
    let text = fs::read_to_string(desk.file()).unwrap();
    let moved = text.replace(desk.server.base_url(), "https://other.example.com");
    fs::write(desk.file(), moved).unwrap();
    let _ = desk
        .run(&[])
        .expect(2)
        .says(&["`https://other.example.com`", "--full-refresh"]);
}

#[test]
fn without_a_state_there_is_nothing_to_change() {
    let desk = Desk::without_data();
    let _ = desk.state(&["show"]).expect(0).says(&["No state"]);
    let _ = desk.state(&["reset"]).expect(2).says(&["holds no dataset"]);
    let _ = desk
        .state(&["set", "tickets", "2024-01-01"])
        .expect(2)
        .says(&["holds no dataset", "--out"]);
    assert!(!desk.workspace.path("data").exists());
    // A folder that another run holds is not written to.
    let desk = Desk::new();
    let lock = fs::File::options()
        .write(true)
        .open(desk.workspace.path("data/desk/_connector/lock"))
        .unwrap();
    lock.lock().unwrap();
    let _ = desk.state(&["show"]).expect(0);
    for arguments in [&["reset", "tickets"][..], &["set", "tickets", "2024-01-01"]] {
        let outcome = desk.state(arguments).expect(2);
        let _ = outcome.says(&["another run is writing"]);
    }
}
