//! The command line: which subcommand, and what becomes of its error.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::{ArgMatches, Command};

use crate::streams::stderr_is_coloured;
use crate::{Error, Streams, check, expand, new, schema};

/// A subcommand: its arguments, and what it does.
type Subcommand = (
    fn() -> Command,
    fn(&ArgMatches, &mut Streams<'_>) -> Result<(), Error>,
);

/// In the order in which people need them.
const SUBCOMMANDS: &[Subcommand] = &[
    (new::command, new::run),
    (check::command, check::run),
    (expand::command, expand::run),
    (schema::command, schema::run),
];

/// Runs the command line on the process's own streams and gives its exit code.
///
/// 0: done; 1: an output failed or a generated file is stale; 2: wrong arguments or a wrong spec.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let mut streams = Streams::new(&mut out, &mut err, stderr_is_coloured());
    ExitCode::from(run(arguments, &mut streams))
}

/// Runs the command line on these streams and gives the exit code; the first argument is the
/// program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>, streams: &mut Streams<'_>) -> u8 {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    // Cargo runs `cargo-connector connector …` for `cargo connector …`.
    if arguments.get(1).is_some_and(|word| word == "connector") {
        arguments.remove(1);
    }
    let outcome = match command().try_get_matches_from(arguments) {
        Ok(matches) => dispatch(&matches, streams),
        Err(error) => return show(&error, streams),
    };
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            streams.tell(&error.report());
            error.kind().exit_code()
        }
    }
}

fn command() -> Command {
    Command::new("cargo-connector")
        .bin_name("cargo connector")
        .about("Makes, checks and explains connectors")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(SUBCOMMANDS.iter().map(|(command, _)| command()))
}

fn dispatch(matches: &ArgMatches, streams: &mut Streams<'_>) -> Result<(), Error> {
    let (name, matches) = matches.subcommand().unwrap_or(("", matches));
    SUBCOMMANDS
        .iter()
        .find(|(command, _)| command().get_name() == name)
        .map_or_else(
            || Err(Error::usage("no subcommand").hint("see `cargo connector help`")),
            |(_, run)| run(matches, streams),
        )
}

/// Help and version are results, everything else is a mistake.
fn show(error: &clap::Error, streams: &mut Streams<'_>) -> u8 {
    let text = error.render();
    if !error.use_stderr() {
        return match streams.result(&text.to_string()) {
            Ok(()) => 0,
            Err(error) => error.kind().exit_code(),
        };
    }
    let text = if streams.coloured() {
        text.ansi().to_string()
    } else {
        text.to_string()
    };
    streams.tell(text.trim_end());
    2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(arguments: &[&str]) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let arguments = std::iter::once("cargo-connector").chain(arguments.iter().copied());
        let code = run(
            arguments.map(OsString::from),
            &mut Streams::new(&mut out, &mut err, false),
        );
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (code, text(out), text(err))
    }

    #[test]
    fn the_arguments_are_consistent() {
        command().debug_assert();
    }

    #[test]
    fn help_is_a_result_and_a_mistake_is_not() {
        let (code, out, err) = outcome(&["--help"]);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.contains("Usage: cargo connector <COMMAND>"), "{out}");
        let (code, out, err) = outcome(&["chek"]);
        assert_eq!((code, out.as_str()), (2, ""));
        assert!(err.contains("'check'"), "{err}");
        assert_eq!(outcome(&[]).0, 2);
    }

    #[test]
    fn cargo_repeats_its_subcommand() {
        let plain = outcome(&["--version"]);
        assert_eq!(plain.0, 0);
        assert_eq!(outcome(&["connector", "--version"]), plain);
    }
}
