//! `cargo connector schema`: the JSON Schema of the spec language, and its reference.

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
                .help(
                    "Only tell whether codegen/spec.schema.json and codegen/SPEC.md are up to date",
                ),
        )
        .arg(
            Arg::new("write")
                .long("write")
                .action(ArgAction::SetTrue)
                .conflicts_with("check")
                .help("Bring codegen/spec.schema.json and codegen/SPEC.md up to date"),
        )
        .arg(workspace::argument())
}

pub(crate) fn run(matches: &ArgMatches, streams: &mut Streams<'_>) -> Result<(), Error> {
    let schema = format!("{:#}\n", connector_codegen::json_schema());
    let (check, write) = (matches.get_flag("check"), matches.get_flag("write"));
    if !check && !write {
        return streams.result(&schema);
    }
    let workspace = Workspace::of(matches)?;
    let reference = connector_codegen::reference();
    for (path, text) in [
        (workspace.schema(), schema),
        (workspace.reference(), reference),
    ] {
        let failed = |what: &str, error| {
            Error::new(
                ErrorKind::Output,
                format!("cannot {what} `{}`", path.display()),
            )
            .caused_by(error)
        };
        if write {
            std::fs::write(&path, text).map_err(|error| failed("write", error))?;
            continue;
        }
        let hint = "write it with `cargo connector schema --write`";
        let found = std::fs::read(&path).map_err(|error| failed("read", error).hint(hint))?;
        if found != text.as_bytes() {
            let message = format!("`{}` is out of date", path.display());
            return Err(Error::new(ErrorKind::Stale, message)
                .hint("bring it up to date with `cargo connector schema --write`"));
        }
    }
    Ok(())
}
