//! A folder in which a connector runs, and what came of a run.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use connector_sandbox::Sandbox;
use serde_json::Value;
use tempfile::TempDir;

use crate::{Files, Rows, binary};

/// A folder in which a connector runs; it is gone when dropped.
#[derive(Debug)]
pub struct Workspace(TempDir);

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}

impl Workspace {
    /// An empty folder.
    ///
    /// # Panics
    /// When the system gives no temporary folder.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test that cannot start has failed")]
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    /// A run of `connector-storage` here, with an empty environment.
    #[must_use]
    pub fn storage(&self) -> Run {
        self.connector("storage")
    }

    /// A run of a connector here, with an empty environment.
    #[must_use]
    pub fn connector(&self, name: &str) -> Run {
        self.command(&format!("connector-{name}"), name)
    }

    /// A run of `cargo connector` here, with a spec whose connector has this name, and an empty
    /// environment.
    #[must_use]
    pub fn cargo_connector(&self, name: &str) -> Run {
        self.command("cargo-connector", name)
    }

    fn command(&self, program: &str, name: &str) -> Run {
        let mut command = Command::new(binary(program));
        command
            .current_dir(self.0.path())
            .env_clear()
            .stdin(Stdio::null());
        Run {
            command,
            prefix: name.to_uppercase().replace('-', "_"),
            secrets: Vec::new(),
            folder: self.0.path().to_owned(),
        }
    }

    /// The files below `data/`, by name, with a hash of their content.
    #[must_use]
    pub fn files(&self) -> Files {
        Files::below(&self.path("data"))
    }

    /// The files here whose content has this text.
    #[must_use]
    pub fn holding(&self, text: &str) -> Vec<PathBuf> {
        Files::all_containing(self.0.path(), text)
    }

    /// The rows of a dataset of `connector-storage`.
    #[must_use]
    pub fn rows(&self, resource: &str) -> Rows {
        Rows::read(&self.path("data").join("storage").join(resource))
    }
}

/// A run of a connector, not yet started.
#[derive(Debug)]
pub struct Run {
    command: Command,
    prefix: String,
    secrets: Vec<String>,
    folder: PathBuf,
}

impl Run {
    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    /// A value that must not appear in any output of the run.
    #[must_use]
    pub fn secret(mut self, value: &str) -> Self {
        self.secrets.push(value.to_owned());
        self
    }

    /// Points the connector at a server, with the credentials that it accepts and no long waits.
    #[must_use]
    pub fn against(mut self, sandbox: &Sandbox) -> Self {
        for (name, value) in sandbox.settings() {
            let variable = format!("{}_{}", self.prefix, name.to_uppercase());
            self = self.env(&variable, value.as_str());
            if !matches!(name.as_str(), "base_url" | "token_url") {
                self = self.secret(value);
            }
        }
        let base_url = format!("{}_BASE_URL", self.prefix);
        self.env(&base_url, sandbox.base_url())
            .args(["--max-wait", "0.01"])
    }

    /// The command, for tests that handle the process themselves.
    #[must_use]
    pub fn into_command(self) -> Command {
        self.command
    }

    /// Runs to the end and searches everything that came of it for secrets.
    ///
    /// # Panics
    /// When the process cannot be started or a secret appears.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test that cannot start has failed")]
    pub fn run(mut self) -> Outcome {
        let output = self.command.output().expect("the connector starts");
        let outcome = Outcome::new(&output);
        for secret in &self.secrets {
            for (what, text) in [("stdout", &outcome.stdout), ("stderr", &outcome.stderr)] {
                assert!(!text.contains(secret), "a secret is in {what}:\n{text}");
            }
            if let Some(file) = Files::containing(&self.folder, secret) {
                unreachable_secret(&file);
            }
        }
        outcome
    }
}

#[expect(clippy::panic, reason = "a leaked secret fails the test")]
fn unreachable_secret(file: &Path) {
    panic!("a secret is in {}", file.display());
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The exit code; -1 when a signal ended the process.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// What came of a process that has ended.
    #[must_use]
    pub fn new(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Checks the exit code.
    ///
    /// # Panics
    /// When it is another one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Checks that standard error has all of these texts.
    ///
    /// # Panics
    /// When one is missing.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(
                self.stderr.contains(text),
                "no {text:?} in:\n{}",
                self.stderr
            );
        }
        self
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    #[must_use]
    #[track_caller]
    #[expect(
        clippy::expect_used,
        reason = "a test that reads something else has failed"
    )]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).expect("standard output is JSON")
    }
}
