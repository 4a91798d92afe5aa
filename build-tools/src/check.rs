//! `cargo connector check`: everything that is wrong with specs.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, ValueHint, value_parser};
use connector_codegen::Source;
use serde_json::{Value, json};

use crate::{Error, ErrorKind, Streams, spec_file};

pub(crate) fn command() -> Command {
    Command::new("check")
        .about("Finds everything that is wrong with specs")
        .long_about(
            "Finds everything that is wrong with specs, without building anything.\n\n\
             The exit code is 0 when they are right, warnings or not, and 2 otherwise.",
        )
        .arg(
            Arg::new("spec")
                .value_name("SPEC")
                .value_hint(ValueHint::FilePath)
                .value_parser(value_parser!(PathBuf))
                .num_args(1..)
                .required(true)
                .help("The files, such as connectors/storage/spec.yaml"),
        )
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .value_parser(["text", "json"])
                .default_value("text")
                .help("How to write the findings: for people on stderr, or for tools on stdout"),
        )
}

pub(crate) fn run(matches: &ArgMatches, streams: &mut Streams<'_>) -> Result<(), Error> {
    let specs: Vec<&PathBuf> = matches.get_many("spec").into_iter().flatten().collect();
    let json = matches
        .get_one::<String>("format")
        .is_some_and(|format| format == "json");
    let mut reports = Vec::new();
    let mut wrong = 0;
    for spec in &specs {
        let name = spec_file::connector_name(spec);
        match spec_file::load(spec, &name) {
            Ok((source, ir, warnings)) if json => reports.push(report(
                &source,
                &warnings
                    .iter()
                    .map(|warning| warning.to_json(&source))
                    .collect(),
                Some(ir.plan.resources.len()),
            )),
            Ok((source, ir, warnings)) => {
                spec_file::tell(&warnings, &source, streams);
                let found = summary(ir.plan.resources.len(), warnings.len());
                streams.result(&format!("{}: {found}\n", spec.display()))?;
            }
            Err(diagnostics) => {
                wrong += 1;
                if json {
                    reports.push(report(diagnostics.source(), &diagnostics.to_json(), None));
                } else {
                    let text = diagnostics.render(streams.coloured());
                    streams.tell(&format!("{text}\n"));
                }
            }
        }
    }
    if json {
        streams.result(&format!("{:#}\n", Value::Array(reports)))?;
    }
    if wrong == 0 {
        Ok(())
    } else {
        let of = specs.len();
        Err(Error::new(
            ErrorKind::Spec,
            format!("error: {wrong} of {of} spec{} cannot be built", plural(of)),
        ))
    }
}

fn report(source: &Source, diagnostics: &Value, resources: Option<usize>) -> Value {
    json!({
        "path": source.path,
        "valid": resources.is_some(),
        "resources": resources,
        "diagnostics": diagnostics,
    })
}

fn summary(resources: usize, warnings: usize) -> String {
    let mut text = format!("{resources} resource{}", plural(resources));
    if warnings > 0 {
        text.push_str(&format!(", {warnings} warning{}", plural(warnings)));
    }
    text
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
