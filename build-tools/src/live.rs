//! `cargo connector run`, `try` and `infer`: the command line of a spec's connector, without building it.
//!
//! The spec is lowered here and its plan given to the runtime that compiled connectors have: there
//! is one interpreter and one command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, ValueHint, value_parser};
use connector_core::Connector;

use crate::{Error, ErrorKind, Streams, spec_file};

/// The subcommands whose arguments behind the spec belong to the connector.
const NAMES: [&str; 3] = ["run", "try", "infer"];

pub(crate) fn run_command() -> Command {
    arguments(Command::new("run"))
        .about("Runs the connector of a spec without building it")
        .long_about(
            "Runs the connector of a spec without building it: everything behind SPEC is the \
             command line of the compiled connector, `cargo connector run SPEC --help` lists it.\n\n\
             Settings come from the same environment variables, such as MY_API_BASE_URL for \
             my_api.yaml; with nothing configured it reads sample data from the sandbox.",
        )
}

pub(crate) fn try_command() -> Command {
    arguments(Command::new("try"))
        .about("Prints the first records of a spec's resources, and how they were read")
        .long_about(
            "Prints the first records of a spec's resources, the requests that were sent, and what \
             was rescued or filtered; nothing is written.\n\n\
             Everything behind SPEC is what `try` of the compiled connector takes: \
             `cargo connector try SPEC --help` lists it.",
        )
}

fn arguments(command: Command) -> Command {
    command
        .arg(
            Arg::new("spec")
                .value_name("SPEC")
                .value_hint(ValueHint::FilePath)
                .value_parser(value_parser!(PathBuf))
                .required(true)
                .help("The file, such as connectors/storage/spec.yaml"),
        )
        .arg(
            Arg::new("arguments")
                .value_name("ARGUMENTS")
                .value_parser(value_parser!(OsString))
                .num_args(0..)
                .last(true)
                .help("The command line of the connector; `--` in front of it can be left out"),
        )
}

/// Puts `--` behind the spec of `run` and `try`: what follows is not for us, `--help` included.
pub(crate) fn hand_over(arguments: &mut Vec<OsString>) {
    let is_ours = arguments
        .get(1)
        .is_some_and(|word| NAMES.iter().any(|name| word == name));
    let names_spec = arguments
        .get(2)
        .is_some_and(|spec| !spec.as_encoded_bytes().starts_with(b"-"));
    if is_ours && names_spec && arguments.get(3).is_some_and(|word| word != "--") {
        arguments.insert(3, "--".into());
    }
}

pub(crate) fn infer_command() -> Command {
    arguments(Command::new("infer"))
        .about("Prints a schema for the resources of a spec that have none")
        .long_about(
            "Prints a `schema` for the resources of a spec that have none, inferred from their \
             first 1000 records (`--rows` for more or fewer) and from what earlier runs have seen, \
             to be pasted into the spec: `try --schema` of the connector.",
        )
}

/// Runs the command line of the spec's connector.
pub(crate) fn run(matches: &ArgMatches, streams: &mut Streams<'_>) -> Result<ExitCode, Error> {
    start(matches, streams, &[])
}

/// Runs `try --schema` of the spec's connector.
pub(crate) fn infer(matches: &ArgMatches, streams: &mut Streams<'_>) -> Result<ExitCode, Error> {
    start(matches, streams, &["try", "--schema"])
}

/// Runs `try` of the spec's connector.
pub(crate) fn try_it(matches: &ArgMatches, streams: &mut Streams<'_>) -> Result<ExitCode, Error> {
    start(matches, streams, &["try"])
}

fn start(
    matches: &ArgMatches,
    streams: &mut Streams<'_>,
    subcommand: &[&str],
) -> Result<ExitCode, Error> {
    let spec = matches
        .get_one::<PathBuf>("spec")
        .ok_or_else(|| Error::usage("no spec"))?;
    let name = spec_file::connector_name(spec);
    let (source, ir, warnings) = spec_file::load(spec, &name).map_err(|diagnostics| {
        Error::new(ErrorKind::Spec, diagnostics.render(streams.coloured()))
    })?;
    spec_file::tell(&warnings, &source, streams);
    let plan = ir
        .plan
        .to_json()
        .map_err(|error| Error::new(ErrorKind::Output, "cannot write the plan").caused_by(error))?;
    // A connector lives as long as its process, and this process has one.
    let connector = Connector {
        name: name.leak(),
        version: env!("CARGO_PKG_VERSION"),
        plan: plan.leak(),
    };
    let program = OsString::from(format!("connector-{}", connector.name));
    let given = matches.get_many::<OsString>("arguments");
    Ok(connector_core::cli::main_with(
        &connector,
        connector_sandbox::start,
        std::iter::once(program)
            .chain(subcommand.iter().map(OsString::from))
            .chain(given.into_iter().flatten().cloned()),
    ))
}
