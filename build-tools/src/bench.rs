//! `cargo connector bench`: what a run costs beside its parts and beside other tools.

mod contest;
mod extras;
mod growth;
mod parts;
mod peers;
mod sample;
mod server;
mod table;
mod usage;
mod workload;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, ExitCode};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::workspace::{self, Workspace};
use crate::{Error, ErrorKind, Streams};
use contest::Contest;
use parts::Work;
use peers::Peers;
use server::Server;
use table::Medians;
use usage::{Measurement, load};
use workload::{Contestant, WORKLOADS, Workload};

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// By how much `--quick` divides all sizes.
const QUICK: u64 = 50;

pub(crate) fn command() -> Command {
    let number = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("NUMBER")
            .value_parser(value_parser!(u64).range(1..))
            .help(help)
    };
    let hidden = |name: &'static str| Arg::new(name).long(name).hide(true);
    Command::new("bench")
        .about("Measures a connector beside its parts and beside other tools")
        .long_about(
            "Measures a connector beside its parts and beside other tools: CPU seconds (user and \
             system), wall seconds and peak memory.\n\n\
             A server on loopback, in a process of its own, serves records that it renders \
             beforehand. Who reads them, takes turns in rounds; every result is checked against \
             what the server has. The tools are dlt, the Airbyte CDK and a script with orjson and \
             pyarrow, in virtual environments below the target folder.",
        )
        .arg(
            Arg::new("only")
                .long("only")
                .value_name("WORKLOAD")
                .action(ArgAction::Append)
                .value_parser(sections().collect::<Vec<_>>())
                .help("Measure only this; can be repeated"),
        )
        .arg(
            Arg::new("growth")
                .long("growth")
                .action(ArgAction::SetTrue)
                .conflicts_with("only")
                .help("Measure what a unit of work costs as there is more of it"),
        )
        .arg(number("rounds", "How often each of ours is measured").default_value("3"))
        .arg(number("peer-rounds", "How often each other tool is measured").default_value("1"))
        .arg(
            Arg::new("without-peers")
                .long("without-peers")
                .action(ArgAction::SetTrue)
                .help("Measure no other tools; needs no Python"),
        )
        .arg(
            number("scale", "Divide all sizes by this")
                .default_value("1")
                .conflicts_with("quick"),
        )
        .arg(
            Arg::new("quick")
                .long("quick")
                .action(ArgAction::SetTrue)
                .help(format!("Divide all sizes by {QUICK}")),
        )
        .arg(
            Arg::new("interpreted")
                .long("interpreted")
                .action(ArgAction::SetTrue)
                .help("Measure this build and the spec as it runs it; compile nothing"),
        )
        .arg(
            Arg::new("write")
                .long("write")
                .action(ArgAction::SetTrue)
                .help("Put the tables into BENCHMARKS.md"),
        )
        .arg(workspace::argument())
        .args(["stage", "url", "resource", "shape"].map(hidden))
        .arg(hidden("folder").value_parser(value_parser!(PathBuf)))
        .args(["rows", "page"].map(|name| hidden(name).value_parser(value_parser!(u64))))
        .arg(
            Arg::new("words")
                .value_parser(value_parser!(OsString))
                .num_args(0..)
                .last(true)
                .hide(true),
        )
}

pub(crate) fn run(matches: &ArgMatches, streams: &mut Streams<'_>) -> Result<ExitCode, Error> {
    let outcome = match matches.get_one::<String>("stage") {
        Some(stage) => do_stage(stage, matches, streams),
        None => {
            let workspace = Workspace::of(matches)?;
            let program = std::env::current_exe().unwrap_or_default();
            let is_connector = program.file_stem().is_some_and(|name| name == PROGRAM);
            if !is_connector && !matches.get_flag("interpreted") {
                return optimised(&workspace).map_err(failed);
            }
            compare(matches, &workspace, streams)
        }
    };
    outcome.map(|()| ExitCode::SUCCESS).map_err(failed)
}

fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::new(ErrorKind::Output, "cannot measure").caused_by(error)
}

/// Builds this program and the connector as they are measured, and goes on there.
fn optimised(workspace: &Workspace) -> Result<ExitCode> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Process::new(cargo)
        .args(["build", "--release", "--quiet", "--manifest-path"])
        .arg(workspace.manifest())
        .args(["--package", "connector-bench", "--features", "binary"])
        .status()?;
    if !status.success() {
        return Err(format!("the release build ended with {status}").into());
    }
    let program = target()?.join("release").join(PROGRAM);
    let program = program.with_extension(std::env::consts::EXE_EXTENSION);
    let status = Process::new(program)
        .args(std::env::args_os().skip(1))
        .status()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// The connector that is measured, with this tool in it.
const PROGRAM: &str = "connector-bench";

/// The target folder that this program is in.
fn target() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().and_then(Path::parent);
    Ok(folder
        .ok_or("this program is in no target folder")?
        .to_owned())
}

/// What one process does for another.
fn do_stage(stage: &str, matches: &ArgMatches, streams: &mut Streams<'_>) -> Result<()> {
    let text = |name: &str| {
        let value = matches.get_one::<String>(name).map(String::as_str);
        value.ok_or_else(|| format!("`--{name}` is missing"))
    };
    let number = |name: &str| {
        let value = matches.get_one::<u64>(name).copied();
        value.ok_or_else(|| format!("`--{name}` is missing"))
    };
    if stage == "server" {
        return server::serve(|address| streams.result(&format!("{address}\n")));
    }
    let folder: &PathBuf = matches.get_one("folder").ok_or("`--folder` is missing")?;
    if stage == "measure" {
        let mut words = matches.get_many::<OsString>("words").into_iter().flatten();
        let mut command = Process::new(words.next().ok_or("no command")?);
        return usage::run(command.args(words))?.write(folder);
    }
    let work = Work {
        resource: text("resource")?,
        shape: text("shape")?.parse()?,
        rows: number("rows")?,
        page: number("page")?,
    };
    let measurement = match stage {
        "fetch" => parts::fetch(work, text("url")?),
        "decode" => parts::decode(work),
        "encode" => parts::encode(work, folder),
        _ => Err(format!("no stage `{stage}`").into()),
    }?;
    measurement.write(folder)
}

/// Measures every workload and prints a table of each.
fn compare(matches: &ArgMatches, workspace: &Workspace, streams: &mut Streams<'_>) -> Result<()> {
    let folder = target()?.join("bench");
    std::fs::create_dir_all(&folder)?;
    let program = std::env::current_exe()?;
    let is_compiled = !matches.get_flag("interpreted");
    let only: Vec<&String> = matches.get_many("only").into_iter().flatten().collect();
    let wanted: Vec<&str> = match matches.get_flag("growth") {
        true => vec![GROWTH],
        false => sections()
            .filter(|section| only.is_empty() || only.iter().any(|name| name == section))
            .collect(),
    };
    let workload_of = |name: &str| WORKLOADS.iter().find(|workload| workload.name == name);
    let is_beside = wanted.iter().any(|name| workload_of(name).is_some());
    let peers = match is_beside && !matches.get_flag("without-peers") {
        true => Some(Peers::install(folder.join("peers"), streams)?),
        false => None,
    };
    let contest = Contest {
        server: Server::start(&program)?,
        program,
        is_compiled,
        peers,
        folder,
    };
    let number = |name: &str| matches.get_one::<u64>(name).copied().unwrap_or(1);
    let divisor = match matches.get_flag("quick") {
        true => QUICK,
        false => number("scale"),
    };
    for name in wanted {
        let under = load();
        let workload = workload_of(name);
        let (body, words) = if let Some(workload) = workload {
            let workload = workload.scaled(divisor);
            let (ours, peers) = (number("rounds"), number("peer-rounds"));
            let all = rounds(&contest, &workload, ours, peers, streams)?;
            let mut words = format!("--only {name} --rounds {ours}");
            match contest.peers {
                Some(_) => words.push_str(&format!(" --peer-rounds {peers}")),
                None => words.push_str(" --without-peers"),
            }
            (table::table(&workload, &all), words)
        } else {
            let body = match name {
                MEMORY => extras::memory(&contest, divisor, streams)?,
                START => extras::start(&contest)?,
                _ => growth::table(&contest, divisor, streams)?,
            };
            let words = match name {
                GROWTH => "--growth".to_owned(),
                _ => format!("--only {name}"),
            };
            (body, words)
        };
        let is_beside = workload.is_some() && contest.peers.is_some();
        let section = format!("{body}\n{}", origin(&words, divisor, is_beside, under));
        streams.result(&format!("{section}\n"))?;
        if matches.get_flag("write") {
            let document = workspace.benchmarks();
            let text = std::fs::read_to_string(&document)?;
            std::fs::write(&document, table::replace(&text, name, &section)?)?;
        }
    }
    Ok(())
}

const GROWTH: &str = "growth";
const MEMORY: &str = "memory";
const START: &str = "start";

/// What is measured unless something is chosen.
fn sections() -> impl Iterator<Item = &'static str> {
    let workloads = WORKLOADS.iter().map(|workload| workload.name);
    workloads.chain([MEMORY, START])
}

/// Has all contestants take turns.
fn rounds(
    contest: &Contest,
    workload: &Workload,
    ours: u64,
    peers: u64,
    streams: &mut Streams<'_>,
) -> Result<Vec<Medians>> {
    contest.server.prepare(workload.shape, workload.read())?;
    let contestants = workload.contestants.iter().copied();
    let contestants: Vec<Contestant> = contestants.filter(|it| contest.takes(*it)).collect();
    let mut prepared = Vec::new();
    for contestant in &contestants {
        prepared.push(contest.prepare(workload, *contestant)?);
    }
    let mut measured = vec![Vec::new(); contestants.len()];
    for round in 0..ours.max(peers) {
        for (index, contestant) in contestants.iter().enumerate() {
            let most = match contestant {
                Contestant::Peer(_) => peers,
                _ => ours,
            };
            if round >= most {
                continue;
            }
            let folder = prepared[index].as_ref().map(tempfile::TempDir::path);
            let measurement = contest.measure(workload, *contestant, folder)?;
            let Measurement { cpu, wall, .. } = measurement;
            let (name, round) = (contestant.name(), round + 1);
            streams.tell(&format!(
                "{} {round}: {name}: {cpu:.2} CPU s, {wall:.2} s",
                workload.name
            ));
            measured[index].push(measurement);
        }
    }
    let pairs = contestants.into_iter().zip(&measured);
    Ok(pairs
        .map(|(contestant, rounds)| Medians::new(contestant, rounds))
        .collect())
}

/// How a section came about.
fn origin(words: &str, divisor: u64, is_beside: bool, load: Option<f64>) -> String {
    let mut text = format!("`cargo connector bench {words}");
    if divisor > 1 {
        text.push_str(&format!(" --scale {divisor}"));
    }
    text.push_str(&format!(
        "`, {}, {} cores",
        chrono::Local::now().format("%Y-%m-%d"),
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    ));
    if let Some(load) = load {
        text.push_str(&format!(", load {load:.1} before"));
    }
    if is_beside {
        text.push_str(&format!("; {}", peers::versions()));
    }
    text.push_str(".\n");
    text
}
