//! `report`: all runs as one HTML page.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::Utc;
use clap::{Arg, ArgMatches, Command, value_parser};
use connector_dataset::Store;

use super::context::Context;
use crate::report::Report;
use crate::run::{History, RECORDS_KEPT};
use crate::{Error, ErrorKind, Result};

pub(crate) fn command() -> Command {
    Command::new("report")
        .about("Write all runs as one HTML page with charts")
        .long_about(
            "Write all runs as one HTML page: rows, bytes, time by stage, retries and changes of \
             columns as charts and tables. The page needs nothing but itself, and no network.",
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("The file to write, `-` for standard output [default: NAME-report.html]"),
        )
}

/// The file that the arguments of `report` name.
pub(crate) fn file(matches: &ArgMatches) -> Option<PathBuf> {
    matches.get_one::<PathBuf>("file").cloned()
}

pub(crate) fn run(context: &Context<'_>, file: Option<&Path>) -> Result<ExitCode> {
    let configured = context.configured()?;
    let out = context.out(&configured);
    let connector = &context.plan.name;
    let mut history = History::read(&out, connector, RECORDS_KEPT)?;
    if history.records.is_empty() {
        let message = format!(
            "there is nothing to report: `{}` holds no record of a run of `{connector}` yet",
            out.display()
        );
        return Err(Error::new(ErrorKind::Configuration, message)
            .hint("run the connector first, or name its folder with `--out`"));
    }
    history.records.reverse();
    // The runs are worth a page without the datasets, too.
    let state = Store::read_state(&out, connector).unwrap_or_else(|error| {
        context.console.note(&format!("note: {error}"));
        None
    });
    let page = Report {
        connector,
        records: &history.records,
        state: state.as_ref(),
        now: Utc::now(),
    }
    .page();
    for run in &history.unreadable {
        context
            .console
            .note(&format!("note: the record of the run {run} cannot be read"));
    }
    let default = PathBuf::from(format!("{connector}-report.html"));
    let file = file.unwrap_or(&default);
    if file == Path::new("-") {
        context.console.result(&page)?;
        return Ok(ExitCode::SUCCESS);
    }
    std::fs::write(file, page).map_err(|error| {
        Error::new(ErrorKind::Destination, "the page cannot be written")
            .with("file", file.display())
            .caused_by(error)
    })?;
    context.console.result(&format!("{}\n", file.display()))?;
    Ok(ExitCode::SUCCESS)
}
