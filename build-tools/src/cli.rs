//! The command line: which subcommand, and what becomes of its error.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::{ArgMatches, Command};

use crate::streams::stderr_is_coloured;
use crate::{Error, Streams, bench, check, expand, live, new, schema};

/// A subcommand: its arguments, and what it does.
type Subcommand = (fn() -> Command, Action);

/// What a subcommand does.
#[derive(Clone, Copy)]
enum Action {
    /// Something about specs.
    Tool(fn(&ArgMatches, &mut Streams<'_>) -> Result<(), Error>),
    /// The command line of the connector that a spec makes, which has exit codes of its own and
    /// writes to the process's own streams.
    Connector(fn(&ArgMatches, &mut Streams<'_>) -> Result<ExitCode, Error>),
}

/// In the order in which people need them.
const SUBCOMMANDS: &[Subcommand] = &[
    (new::command, Action::Tool(new::run)),
    (check::command, Action::Tool(check::run)),
    (live::try_command, Action::Connector(live::try_it)),
    (live::infer_command, Action::Connector(live::infer)),
    (live::run_command, Action::Connector(live::run)),
    (expand::command, Action::Tool(expand::run)),
    (schema::command, Action::Tool(schema::run)),
    (bench::command, Action::Connector(bench::run)),
];

/// Runs the command line on the process's own streams and gives its exit code.
///
/// 0: done; 1: an output failed or a generated file is stale; 2: wrong arguments or a wrong spec;
/// those of the connector for `run` and `try`.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Not locked: a connector that runs writes from several threads.
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let mut streams = Streams::new(&mut out, &mut err, stderr_is_coloured());
    run(arguments, &mut streams)
}

/// Runs the command line on these streams and gives the exit code; the first argument is the
/// program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>, streams: &mut Streams<'_>) -> ExitCode {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    // Cargo runs `cargo-connector connector …` for `cargo connector …`.
    if arguments.get(1).is_some_and(|word| word == "connector") {
        arguments.remove(1);
    }
    live::hand_over(&mut arguments);
    let outcome = match command().try_get_matches_from(arguments) {
        Ok(matches) => dispatch(&matches, streams),
        Err(error) => return show(&error, streams),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            streams.tell(&error.report());
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn command() -> Command {
    Command::new("cargo-connector")
        .bin_name("cargo connector")
        .about("Makes, checks, tries and runs connectors")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(SUBCOMMANDS.iter().map(|(command, _)| command()))
}

fn dispatch(matches: &ArgMatches, streams: &mut Streams<'_>) -> Result<ExitCode, Error> {
    let (name, matches) = matches.subcommand().unwrap_or(("", matches));
    SUBCOMMANDS
        .iter()
        .find(|(command, _)| command().get_name() == name)
        .map_or_else(
            || Err(Error::usage("no subcommand").hint("see `cargo connector help`")),
            |(_, action)| match action {
                Action::Tool(run) => run(matches, streams).map(|()| ExitCode::SUCCESS),
                Action::Connector(run) => run(matches, streams),
            },
        )
}

/// Help and version are results, everything else is a mistake.
fn show(error: &clap::Error, streams: &mut Streams<'_>) -> ExitCode {
    let text = error.render();
    if !error.use_stderr() {
        return match streams.result(&text.to_string()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => ExitCode::from(error.kind().exit_code()),
        };
    }
    let text = if streams.coloured() {
        text.ansi().to_string()
    } else {
        text.to_string()
    };
    streams.tell(text.trim_end());
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(arguments: &[&str]) -> (ExitCode, String, String) {
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
        assert_eq!((code, err.as_str()), (ExitCode::SUCCESS, ""));
        assert!(out.contains("Usage: cargo connector <COMMAND>"), "{out}");
        let (code, out, err) = outcome(&["chek"]);
        assert_eq!((code, out.as_str()), (ExitCode::from(2), ""));
        assert!(err.contains("'check'"), "{err}");
        assert_eq!(outcome(&[]).0, ExitCode::from(2));
    }

    #[test]
    fn cargo_repeats_its_subcommand() {
        let plain = outcome(&["--version"]);
        assert_eq!(plain.0, ExitCode::SUCCESS);
        assert_eq!(outcome(&["connector", "--version"]), plain);
    }
}
