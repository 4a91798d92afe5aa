//! Stages in processes of their own, so that each has its own CPU time and its own peak memory.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::Result;
use crate::options::Options;
use crate::sample::NAME;
use crate::usage::{Spent, peak_memory};

/// What a stage cost, and what can be checked of its work.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measurement {
    pub spent: Spent,
    pub peak_memory: u64,
    pub rows: u64,
    /// The bytes of pages that came in, or of the dataset that went out.
    pub bytes: u64,
}

const FILE: &str = "measurement.json";

impl Measurement {
    /// Leaves it for the process that started this one.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let value = json!({
            "cpu": self.spent.cpu,
            "wall": self.spent.wall,
            "peak_memory": peak_memory(),
            "rows": self.rows,
            "bytes": self.bytes,
        });
        Ok(std::fs::write(folder.join(FILE), value.to_string())?)
    }

    fn read(folder: &Path) -> Result<Self> {
        let value: Value = serde_json::from_slice(&std::fs::read(folder.join(FILE))?)?;
        let float = |name| value[name].as_f64().unwrap_or(f64::NAN);
        let integer = |name| value[name].as_u64().unwrap_or(0);
        Ok(Self {
            spent: Spent {
                cpu: float("cpu"),
                wall: float("wall"),
            },
            peak_memory: integer("peak_memory"),
            rows: integer("rows"),
            bytes: integer("bytes"),
        })
    }
}

/// This program again, doing one stage.
pub fn command(stage: &str, options: &Options) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["--stage", stage, "--url", &options.url])
        .args(["--rows", &options.rows.to_string()])
        .args(["--page", &options.page.to_string()])
        .arg("--folder")
        .arg(&options.folder);
    Ok(command)
}

/// Runs a stage to its end.
pub fn run(stage: &str, options: &Options) -> Result<Measurement> {
    let variable = |name: &str| format!("{}_{name}", NAME.to_uppercase());
    let output = command(stage, options)?
        .env(variable("BASE_URL"), &options.url)
        .env(variable("CLIENT_ID"), "bench-id")
        .env(variable("CLIENT_SECRET"), "bench-secret")
        .output()?;
    if !output.status.success() {
        let (status, reason) = (output.status, String::from_utf8_lossy(&output.stderr));
        return Err(format!("the stage `{stage}` ended with {status}: {reason}").into());
    }
    Measurement::read(&options.folder)
}
