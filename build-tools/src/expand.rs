//! `cargo connector expand`: what is generated from a spec.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};
use connector_codegen::{EmitOptions, emit};

use crate::workspace::{self, Workspace};
use crate::{Error, ErrorKind, Streams, spec_file};

pub(crate) fn command() -> Command {
    Command::new("expand")
        .about("Prints what is generated from a spec")
        .arg(
            Arg::new("connector")
                .value_name("NAME|SPEC")
                .required(true)
                .help("A connector of the workspace, or the path of a spec"),
        )
        .arg(
            Arg::new("part")
                .long("part")
                .value_name("PART")
                .value_parser(["code", "plan", "guide"])
                .default_value("code")
                .help("The Rust code, the plan that it embeds, or the crate's documentation"),
        )
        .arg(workspace::argument())
}

pub(crate) fn run(matches: &ArgMatches, streams: &mut Streams<'_>) -> Result<(), Error> {
    let wanted = matches
        .get_one::<String>("connector")
        .map_or("", String::as_str);
    let spec = find(wanted, matches)?;
    let name = spec_file::connector_name(&spec);
    let (source, ir, warnings) = spec_file::load(&spec, &name).map_err(|diagnostics| {
        Error::new(ErrorKind::Spec, diagnostics.render(streams.coloured()))
    })?;
    spec_file::tell(&warnings, &source, streams);
    // As the build script of the connector writes it, whose spec lies beside it.
    let options = EmitOptions {
        spec_path: "spec.yaml".to_owned(),
        package: format!("connector-{name}"),
    };
    match matches.get_one::<String>("part").map(String::as_str) {
        Some("plan") => {
            let plan = ir.plan.to_json().map_err(|error| {
                Error::new(ErrorKind::Output, "cannot write the plan").caused_by(error)
            })?;
            streams.result(&format!("{plan}\n"))
        }
        Some("guide") => streams.result(&emit(&ir, &options).guide),
        _ => streams.result(&emit(&ir, &options).code),
    }
}

fn find(wanted: &str, matches: &ArgMatches) -> Result<PathBuf, Error> {
    let path = PathBuf::from(wanted);
    let is_path = path.components().count() > 1 || path.extension().is_some();
    if is_path || path.is_file() {
        return Ok(path);
    }
    let workspace = Workspace::of(matches)?;
    let spec = workspace.connector(wanted).join("spec.yaml");
    if spec.is_file() {
        return Ok(spec);
    }
    let known = workspace.connectors();
    let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    Err(
        Error::usage(format!("there is no connector `{wanted}`")).hint(if names.is_empty() {
            "make one with `cargo connector new NAME`".to_owned()
        } else {
            format!("there is {}", names.join(", "))
        }),
    )
}
