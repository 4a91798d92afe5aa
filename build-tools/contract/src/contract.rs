//! What holds for every connector.

use std::process::{Command, Stdio};

use connector_plan::sandbox::Fault;
use connector_plan::{Field, Plan, Resource, SettingRole, WriteDisposition};
use connector_sandbox::{Options, Sandbox};
use serde_json::Value;
use tempfile::TempDir;

use crate::dataset::{Files, Rows};
use crate::truth::{columns, flattened, rows as rows_of, with_json};

/// Some pages of the usual hundred records, the last of them not full.
const RECORDS: u64 = 230;

/// A connector, seen from outside.
#[derive(Clone, Copy, Debug)]
pub struct Contract {
    /// Its name, such as `storage`.
    pub name: &'static str,
    /// Its plan as JSON.
    pub plan: &'static str,
    /// The path of its binary.
    pub binary: &'static str,
}

/// The files of a run, gone when dropped.
#[derive(Debug)]
struct Run {
    folder: TempDir,
}

impl Contract {
    fn plan(&self) -> Plan {
        Plan::from_json(self.plan).expect("the embedded plan can be read")
    }

    /// The plan survives being written and read, and is the one of this connector.
    pub fn plan_reads_back(&self) {
        let plan = self.plan();
        assert_eq!(plan.name, self.name);
        assert!(!plan.resources.is_empty(), "it has no resources");
        let text = plan.to_json().expect("the plan can be written");
        let again = Plan::from_json(&text).expect("what has been written can be read");
        assert_eq!(again, plan);
    }

    /// One run writes every selected resource, with exactly the records of the API.
    pub fn every_resource_is_written_whole(&self) {
        let (server, run) = (self.server(&[]), Run::new());
        self.run(&server, &run);
        self.compare(&server, &run);
    }

    /// A second run over unchanged records leaves as many rows with the same values.
    pub fn a_second_run_changes_nothing(&self) {
        let (server, run) = (self.server(&[]), Run::new());
        self.run(&server, &run);
        let appended = |resource: &Resource| resource.write_disposition == WriteDisposition::Append;
        let counts = |run: &Run| -> Vec<(String, usize)> {
            let resources = self.selected().into_iter();
            resources
                .filter(|resource| !appended(resource))
                .map(|resource| {
                    let rows = self.rows(run, &resource.name);
                    (resource.name, rows.count())
                })
                .collect()
        };
        let before = counts(&run);
        self.run(&server, &run);
        assert_eq!(counts(&run), before, "rows before and after a second run");
        if !self.selected().iter().any(appended) {
            self.compare(&server, &run);
        }
    }

    /// Answers that ask for patience, fail, or break off in the middle cost no record.
    pub fn faults_lose_nothing(&self) {
        let plan = self.plan();
        let retried = |status: u16| {
            let own = plan.resources.iter().map(|r| r.endpoint.retry.as_ref());
            own.map(|own| own.unwrap_or(&plan.client.retry))
                .all(|retry| retry.max_retries > 0 && retry.statuses.contains(&status))
        };
        for (fault, is_retried) in [
            ("429:3", retried(429)),
            ("503:3", retried(503)),
            ("cut:3", plan.client.retry.max_retries > 0),
        ] {
            if !is_retried {
                continue;
            }
            let (server, run) = (self.server(&[fault]), Run::new());
            self.run(&server, &run);
            self.compare(&server, &run);
            let counters = server.counters();
            assert!(
                counters.faults > 0 || counters.requests < 4,
                "`{fault}` did not happen in {} requests",
                counters.requests
            );
        }
    }

    /// With nothing configured it reads sample data from its own sandbox.
    pub fn runs_without_settings(&self) {
        let run = Run::new();
        let (stdout, stderr) = execute(self.command(&run).args(["--limit", "5"]));
        assert!(stderr.contains("SAMPLE DATA"), "{stdout}{stderr}");
        for resource in self.selected() {
            assert!(
                self.rows(&run, &resource.name).count() > 0,
                "{}",
                resource.name
            );
        }
    }

    fn selected(&self) -> Vec<Resource> {
        let mut resources = self.plan().resources;
        resources.retain(|resource| resource.selected);
        resources
    }

    fn server(&self, faults: &[&str]) -> Sandbox {
        let fault = |text: &&str| text.parse::<Fault>().expect("a fault");
        let options = Options {
            records: RECORDS,
            faults: faults.iter().map(fault).collect(),
            ..Options::default()
        };
        Sandbox::start(&self.plan(), options).expect("the sandbox serves the plan")
    }

    fn command(&self, run: &Run) -> Command {
        let mut command = Command::new(self.binary);
        command
            .current_dir(run.folder.path())
            .env_clear()
            .stdin(Stdio::null())
            .args(["--progress", "none", "--max-wait", "0.01"]);
        command
    }

    /// Runs to a good end and searches everything that came of it for secrets.
    fn run(&self, server: &Sandbox, run: &Run) {
        let plan = self.plan();
        let mut command = self.command(run);
        command.args(["-v", "--report", "report.json"]);
        let mut secrets = Vec::new();
        for (name, value) in server.settings() {
            let setting = plan.setting(name).expect("a setting of the plan");
            command.env(&setting.environment, value);
            if setting.secret {
                secrets.push(value.clone());
            }
        }
        for setting in &plan.settings {
            if setting.role == SettingRole::BaseUrl {
                command.env(&setting.environment, server.base_url());
            }
        }
        let (stdout, stderr) = execute(&mut command);
        for request in server.data_requests() {
            let credentials = request.header("authorization").map(str::to_owned);
            let token = credentials.as_deref().and_then(|text| text.split_once(' '));
            secrets.extend(token.map(|(_, token)| token.to_owned()));
        }
        secrets.sort();
        secrets.dedup();
        for (index, secret) in secrets.iter().enumerate() {
            for (what, text) in [("standard output", &stdout), ("standard error", &stderr)] {
                assert!(!text.contains(secret), "secret {index} is in {what}");
            }
            if let Some(file) = Files::containing(run.folder.path(), secret) {
                panic!("secret {index} is in `{}`", file.display());
            }
        }
    }

    fn rows(&self, run: &Run, resource: &str) -> Rows {
        let data = run.folder.path().join("data");
        Rows::read(&data.join(self.name).join(resource))
    }

    /// Compares every dataset with the records of the server.
    fn compare(&self, server: &Sandbox, run: &Run) {
        for resource in self.selected() {
            let name = &resource.name;
            let truth = server.truth(name);
            assert!(!truth.is_empty(), "the sandbox has no `{name}`");
            let rows = self.rows(run, name);
            assert_eq!(rows.count(), truth.len(), "rows of `{name}`");
            let (columns, truth) = flattened(&resource, &columns(&resource), truth);
            let columns: Vec<&Field> = columns.iter().collect();
            assert!(!columns.is_empty(), "columns of `{name}`");
            let names: Vec<&str> = columns.iter().map(|field| field.name.as_str()).collect();
            let found = with_json(rows.objects(&names), &columns);
            let expected = rows_of(&truth, &columns);
            // All of them would be pages of text.
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found, expected, "values of `{name}`");
            }
            let rescued = rows.column("_rescued");
            assert!(rescued.iter().all(Value::is_null), "rescued of `{name}`");
        }
        let files = Files::below(&run.folder.path().join("data"));
        let unfinished = files.unfinished();
        assert!(unfinished.is_empty(), "unfinished: {unfinished:?}");
    }
}

impl Run {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }
}

/// The output of a command that succeeds.
fn execute(command: &mut Command) -> (String, String) {
    let output = command.output().expect("the connector starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success(),
        "{}\n{stdout}\n{stderr}",
        output.status
    );
    (stdout, stderr)
}
