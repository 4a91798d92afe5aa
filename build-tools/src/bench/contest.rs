//! Measures who does a workload, in processes of their own, and checks what came of it.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Result;
use super::parts::{SPEC, check_files};
use super::peers::{Peer, Peers};
use super::sample::{Shape, Total};
use super::server::Server;
use super::usage::{FILE, Measurement};
use super::workload::{Contestant, Part, Workload};

/// What a measurement needs.
#[derive(Debug)]
pub(crate) struct Contest {
    /// This program.
    pub(crate) program: PathBuf,
    /// Whether this program is the compiled connector; otherwise it runs the spec.
    pub(crate) is_compiled: bool,
    pub(crate) peers: Option<Peers>,
    pub(crate) server: Server,
    /// Where folders of measurements are made.
    pub(crate) folder: PathBuf,
}

/// One run of our connector.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    /// A spec that is run by this program, in place of the compiled connector.
    pub(crate) spec: Option<&'a str>,
    pub(crate) resources: &'a [String],
    pub(crate) url: &'a str,
    /// The most requests at once, where it is not the default.
    pub(crate) concurrency: Option<u32>,
}

impl Contest {
    /// Whether there is anyone to measure.
    pub(crate) fn takes(&self, contestant: Contestant) -> bool {
        !matches!(contestant, Contestant::Peer(_)) || self.peers.is_some()
    }

    /// Loads what a merge changes; the folder that it is copied from for each measurement.
    pub(crate) fn prepare(
        &self,
        workload: &Workload,
        contestant: Contestant,
    ) -> Result<Option<tempfile::TempDir>> {
        if !workload.is_merge() {
            return Ok(None);
        }
        let folder = tempfile::tempdir_in(&self.folder)?;
        let url = self.server.url(Shape::Flat, workload.rows, 0);
        self.contestant(workload, contestant, &url, folder.path())?;
        Ok(Some(folder))
    }

    /// Has the work done once, and checks its result.
    pub(crate) fn measure(
        &self,
        workload: &Workload,
        contestant: Contestant,
        prepared: Option<&Path>,
    ) -> Result<Measurement> {
        let folder = tempfile::tempdir_in(&self.folder)?;
        if let Some(prepared) = prepared {
            copy(prepared, folder.path())?;
        }
        let url = self
            .server
            .url(workload.shape, workload.read(), workload.delay);
        let mut measurement = self.contestant(workload, contestant, &url, folder.path())?;
        let expect = workload.expect();
        let bytes = match contestant {
            Contestant::Part(Part::Fetch | Part::Decode) => Ok(measurement.bytes),
            Contestant::Part(Part::Encode) => check_files(folder.path(), expect),
            Contestant::Ours | Contestant::OursAt(_) => {
                check_files(&folder.path().join("bench").join(workload.resource), expect)
            }
            Contestant::Peer(Peer::Airbyte) => check_messages(&folder.path().join(OUTPUT), expect),
            Contestant::Peer(Peer::Dlt) if workload.is_merge() => {
                self.check_delta(folder.path(), expect)
            }
            Contestant::Peer(Peer::Dlt) => {
                let files = folder.path().join("files/data");
                // With the tables that it made of lists.
                check_files(&files.join(workload.resource), expect)
                    .and_then(|_| Ok(bytes_below(&files)?))
            }
            Contestant::Peer(Peer::Expert) => check_files(folder.path(), expect),
        };
        measurement.bytes =
            bytes.map_err(|error| format!("{}, {}: {error}", workload.name, contestant.name()))?;
        Ok(measurement)
    }

    fn contestant(
        &self,
        workload: &Workload,
        contestant: Contestant,
        url: &str,
        folder: &Path,
    ) -> Result<Measurement> {
        let words: Vec<OsString> = match contestant {
            Contestant::Part(part) => return self.part(workload, part, url, folder),
            Contestant::Ours | Contestant::OursAt(_) => {
                let run = Run {
                    spec: None,
                    resources: &[workload.resource.to_owned()],
                    url,
                    concurrency: match contestant {
                        Contestant::OursAt(number) => Some(number),
                        _ => None,
                    },
                };
                return self.ours(run, folder);
            }
            Contestant::Peer(peer) => {
                let peers = self.peers.as_ref().ok_or("no peers")?;
                peers.command(peer, workload.resource, url, folder, workload.page)
            }
        };
        let measured = self.run(&words, url, folder);
        measured
            .map_err(|error| format!("{}, {}: {error}", workload.name, contestant.name()).into())
    }

    /// Runs our connector into a folder.
    pub(crate) fn ours(&self, run: Run<'_>, folder: &Path) -> Result<Measurement> {
        let mut words: Vec<OsString> = vec![self.program.clone().into()];
        if !self.is_compiled || run.spec.is_some() {
            let path = folder.join("bench.yaml");
            std::fs::write(&path, run.spec.unwrap_or(SPEC))?;
            words.extend(["run".into(), path.into()]);
        }
        words.extend(["--progress", "none"].map(OsString::from));
        for resource in run.resources {
            words.extend(["--resource", resource].map(OsString::from));
        }
        if let Some(number) = run.concurrency {
            words.extend(["--concurrency".into(), number.to_string().into()]);
        }
        words.extend(["--out".into(), folder.into()]);
        self.run(&words, run.url, folder)
    }

    fn part(
        &self,
        workload: &Workload,
        part: Part,
        url: &str,
        folder: &Path,
    ) -> Result<Measurement> {
        let mut command = self.stage(part.name(), folder);
        command.args(["--resource", workload.resource, "--url", url]);
        command.args(["--shape", &workload.shape.to_string()]);
        command.args(["--rows", &workload.rows.to_string()]);
        command.args(["--page", &workload.page.to_string()]);
        finish(&mut command, folder)
    }

    /// Runs a command in a process that measures it.
    fn run(&self, words: &[OsString], url: &str, folder: &Path) -> Result<Measurement> {
        let mut command = self.stage("measure", folder);
        command
            .arg("--")
            .args(words)
            .env("BENCH_BASE_URL", url)
            .env("RUNTIME__DLTHUB_TELEMETRY", "false")
            .env("DO_NOT_TRACK", "1");
        finish(&mut command, folder)
    }

    fn stage(&self, name: &str, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["bench", "--stage", name, "--folder"]);
        command.arg(folder);
        command
    }

    fn check_delta(&self, folder: &Path, expect: Total) -> Result<u64> {
        let peers = self.peers.as_ref().ok_or("no peers")?;
        let text = peers.check_delta(folder)?;
        let mut words = text.split_whitespace();
        let mut number = || words.next().and_then(|word| word.parse().ok());
        let (Some(rows), Some(sum)) = (number(), number()) else {
            return Err(format!("no Delta table: `{text}`").into());
        };
        let total = Total {
            rows: u64::try_from(rows)?,
            sum,
        };
        total.check(expect)?;
        // With the files that are no longer part of the table.
        Ok(bytes_below(&folder.join("files"))?)
    }
}

/// What a measured command wrote to its standard output.
pub(crate) const OUTPUT: &str = "output.txt";

fn finish(command: &mut Command, folder: &Path) -> Result<Measurement> {
    let errors = folder.join("errors.txt");
    let status = command
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(folder.join(OUTPUT))?)
        .stderr(std::fs::File::create(&errors)?)
        .status()?;
    if !status.success() {
        let text = std::fs::read_to_string(&errors).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(20)..];
        return Err(format!("it failed: {}", last.join("\n")).into());
    }
    let measurement = Measurement::read(folder)?;
    std::fs::remove_file(folder.join(FILE))?;
    Ok(measurement)
}

/// The records among Airbyte's messages; their bytes.
fn check_messages(path: &Path, expect: Total) -> Result<u64> {
    let (mut total, mut bytes) = (Total::default(), 0);
    for line in BufReader::new(std::fs::File::open(path)?).lines() {
        let line = line?;
        if !line.contains("\"RECORD\"") {
            continue;
        }
        let message: Value = serde_json::from_str(&line)?;
        if message["type"] == "RECORD" {
            let number = message["record"]["data"]["number"].as_i64();
            total.rows += 1;
            total.sum += i128::from(number.ok_or("a record without `number`")?);
            bytes += line.len() as u64 + 1;
        }
    }
    total.check(expect)?;
    Ok(bytes)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn bytes_below(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => bytes_below(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}
