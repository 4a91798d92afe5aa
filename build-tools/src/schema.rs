//! `cargo connector schema`: the JSON Schema of the spec language.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::workspace::{self, Workspace};
use crate::{Error, ErrorKind, Streams};

pub(crate) fn command() -> Command {
    Command::new("schema")
        .about("Prints the JSON Schema that editors complete and check specs with")
        .arg(
            Arg::new("check")
                .long("check")
                .action(ArgAction::SetTrue)
                .help("Only tell whether codegen/spec.schema.json is up to date"),
        )
        .arg(
            Arg::new("write")
                .long("write")
                .action(ArgAction::SetTrue)
                .conflicts_with("check")
                .help("Bring codegen/spec.schema.json up to date"),
        )
        .arg(workspace::argument())
}

pub(crate) fn run(matches: &ArgMatches, streams: &mut Streams<'_>) -> Result<(), Error> {
    let schema = format!("{:#}\n", connector_codegen::json_schema());
    if matches.get_flag("write") {
        let path = Workspace::of(matches)?.schema();
        return std::fs::write(&path, schema).map_err(|error| {
            Error::new(
                ErrorKind::Output,
                format!("cannot write `{}`", path.display()),
            )
            .caused_by(error)
        });
    }
    if !matches.get_flag("check") {
        return streams.result(&schema);
    }
    let path = Workspace::of(matches)?.schema();
    let found = std::fs::read(&path).map_err(|error| {
        Error::new(
            ErrorKind::Output,
            format!("cannot read `{}`", path.display()),
        )
        .caused_by(error)
        .hint("write it with `cargo connector schema --write`")
    })?;
    if found == schema.as_bytes() {
        Ok(())
    } else {
        let message = format!("`{}` is out of date", path.display());
        Err(Error::new(ErrorKind::Stale, message)
            .hint("bring it up to date with `cargo connector schema --write`"))
    }
}
