//! The other tools, in virtual environments that are made here.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Result;
use crate::Streams;

/// Another tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// dlt's REST source with its defaults, to Parquet.
    Dlt,
    /// The Airbyte CDK's declarative source, to JSON lines: it has no writer of its own.
    Airbyte,
    /// A script for the one API, with requests, orjson and pyarrow.
    Expert,
}

impl Peer {
    pub(crate) const ALL: [Self; 3] = [Self::Dlt, Self::Airbyte, Self::Expert];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dlt => "dlt",
            Self::Airbyte => "Airbyte CDK, to JSON lines",
            Self::Expert => "script: orjson and pyarrow",
        }
    }

    /// What its files are called.
    fn key(self) -> &'static str {
        match self {
            Self::Dlt => "dlt",
            Self::Airbyte => "airbyte",
            Self::Expert => "expert",
        }
    }

    /// The pinned versions.
    fn requirements(self) -> &'static str {
        match self {
            Self::Dlt => include_str!("../../bench/peers/dlt.txt"),
            Self::Airbyte => include_str!("../../bench/peers/airbyte.txt"),
            Self::Expert => include_str!("../../bench/peers/expert.txt"),
        }
    }

    fn script(self) -> &'static str {
        match self {
            Self::Dlt => include_str!("../../bench/peers/dlt_peer.py"),
            Self::Airbyte => include_str!("../../bench/peers/airbyte_peer.py"),
            Self::Expert => include_str!("../../bench/peers/expert_peer.py"),
        }
    }
}

/// The virtual environments of all peers.
#[derive(Debug)]
pub(crate) struct Peers {
    folder: PathBuf,
}

const CHECK: &str = include_str!("../../bench/peers/dlt_check.py");

impl Peers {
    /// Makes the environments that are missing or have other versions than they should.
    pub(crate) fn install(folder: PathBuf, streams: &mut Streams<'_>) -> Result<Self> {
        for peer in Peer::ALL {
            let environment = folder.join(peer.key());
            let marker = environment.join("requirements.txt");
            if !std::fs::read_to_string(&marker).is_ok_and(|text| text == peer.requirements()) {
                streams.tell(&format!("installing {} …", peer.name()));
                let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
                succeed(
                    Command::new(python)
                        .args(["-m", "venv", "--clear"])
                        .arg(&environment),
                )?;
                let wanted = environment.join("wanted.txt");
                std::fs::write(&wanted, peer.requirements())?;
                let mut install = Command::new(program(&environment));
                install.args(["-m", "pip", "install", "--quiet"]);
                install.arg("--disable-pip-version-check");
                succeed(install.arg("--requirement").arg(&wanted))?;
                // Compiled beforehand, as any second run finds it.
                succeed(
                    Command::new(program(&environment))
                        .args(["-m", "compileall", "-q"])
                        .arg(environment.join("lib")),
                )?;
                std::fs::rename(wanted, marker)?;
            }
            std::fs::write(environment.join("peer.py"), peer.script())?;
        }
        std::fs::write(folder.join("dlt").join("check.py"), CHECK)?;
        Ok(Self { folder })
    }

    /// The command line that reads all of `work` from `url` into `out`.
    pub(crate) fn command(
        &self,
        peer: Peer,
        work: &str,
        url: &str,
        out: &Path,
        page: u64,
    ) -> Vec<std::ffi::OsString> {
        let environment = self.folder.join(peer.key());
        vec![
            program(&environment).into(),
            environment.join("peer.py").into(),
            work.into(),
            url.into(),
            out.into(),
            page.to_string().into(),
        ]
    }

    /// The rows of a Delta table of dlt's and the sum of their numbers, as text.
    pub(crate) fn check_delta(&self, out: &Path) -> Result<String> {
        let environment = self.folder.join("dlt");
        let output = Command::new(program(&environment))
            .arg(environment.join("check.py"))
            .arg(out)
            .output()?;
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// The versions, for the report.
pub(crate) fn versions() -> String {
    let pins = Peer::ALL.map(|peer| peer.requirements().lines().collect::<Vec<_>>());
    let mut pins: Vec<&str> = pins.concat();
    pins.sort_unstable();
    pins.dedup();
    pins.join(", ").replace("==", " ")
}

fn program(environment: &Path) -> PathBuf {
    environment.join("bin").join("python")
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .map_err(|error| format!("`{}`: {error}", command.get_program().display()))?;
    if status.success() {
        return Ok(());
    }
    let program = command.get_program().display();
    Err(format!("`{program}` ended with {status}; `--without-peers` does without Python").into())
}
