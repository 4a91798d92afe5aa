//! `cargo connector new`: a connector that builds and runs at once.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, ValueHint, value_parser};
use connector_codegen::{LowerOptions, Source, lower};
use connector_plan::Plan;
use heck::{ToKebabCase as _, ToShoutySnakeCase as _};

use crate::workspace::{self, Workspace};
use crate::{Error, ErrorKind, Streams, spec_file};

/// What `connector-<name>` already means in the workspace.
const TAKEN: &[&str] = &[
    "bench",
    "build-tools",
    "codegen",
    "contract",
    "core",
    "dataset",
    "decode",
    "plan",
    "sandbox",
    "tests",
];

/// The longest name: it is part of file names, environment variables and type names.
const MAXIMUM_LENGTH: usize = 48;

/// The files of a connector and their templates.
const FILES: &[(&str, &str)] = &[
    (
        "Cargo.toml",
        include_str!("../template/Cargo.toml.template"),
    ),
    ("README.md", include_str!("../template/README.md.template")),
    ("build.rs", include_str!("../template/build.rs.template")),
    ("src/lib.rs", include_str!("../template/lib.rs.template")),
    ("src/main.rs", include_str!("../template/main.rs.template")),
    (
        "tests/contract.rs",
        include_str!("../template/contract.rs.template"),
    ),
];

const SPEC: &str = include_str!("../template/spec.yaml.template");

pub(crate) fn command() -> Command {
    Command::new("new")
        .about("Makes a connector that builds and runs at once")
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .required(true)
                .help("Its name, such as my-api: the folder below connectors/"),
        )
        .arg(
            Arg::new("spec")
                .long("spec")
                .value_name("FILE")
                .value_hint(ValueHint::FilePath)
                .value_parser(value_parser!(PathBuf))
                .help("Start with this spec instead of one that explains itself"),
        )
        .arg(workspace::argument())
}

pub(crate) fn run(matches: &ArgMatches, streams: &mut Streams<'_>) -> Result<(), Error> {
    let name = matches.get_one::<String>("name").map_or("", String::as_str);
    check_name(name)?;
    let workspace = Workspace::of(matches)?;
    let folder = workspace.connector(name);
    let source = match matches.get_one::<PathBuf>("spec") {
        Some(path) => Source::read(path),
        None => Ok(Source::new(
            folder.join("spec.yaml").display().to_string(),
            fill(
                SPEC,
                &[("name", name), ("prefix", &name.to_shouty_snake_case())],
            ),
        )),
    };
    let lowered = source.and_then(|source| {
        let (ir, warnings) = lower(&source, &LowerOptions::new(name))?;
        Ok((source, ir, warnings))
    });
    let (source, ir, warnings) = lowered.map_err(|diagnostics| {
        Error::new(ErrorKind::Spec, diagnostics.render(streams.coloured()))
    })?;
    spec_file::tell(&warnings, &source, streams);
    let files = files(name, &ir.plan, &source.text);
    create(&folder, &files)?;
    streams.result(&format!("{}\n", folder.display()))?;
    streams.tell(&format!(
        "created `{}`; run it with `cargo run -p connector-{name}`, then edit its `spec.yaml`",
        folder.display()
    ));
    Ok(())
}

fn check_name(name: &str) -> Result<(), Error> {
    let kebab = name
        .strip_prefix("connector-")
        .unwrap_or(name)
        .to_kebab_case();
    let hint = if is_name(&kebab) {
        format!("such as `{kebab}`")
    } else {
        "such as `my-api`".to_owned()
    };
    if name.starts_with("connector-") {
        Err(Error::usage("the name goes without `connector-`, which is put before it").hint(hint))
    } else if name.len() > MAXIMUM_LENGTH {
        Err(Error::usage(format!(
            "the name has {} bytes, at most {MAXIMUM_LENGTH} are possible",
            name.len()
        )))
    } else if !is_kebab(name) {
        let message = format!(
            "`{}` is not the name of a connector: expected lower-case letters, digits and single `-` between them, with a letter first",
            name.escape_debug()
        );
        Err(Error::usage(message).hint(hint))
    } else if TAKEN.contains(&name) {
        Err(Error::usage(format!(
            "the package `connector-{name}` is a part of the workspace itself"
        ))
        .hint(format!("such as `{name}-api`")))
    } else {
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    is_kebab(name) && !TAKEN.contains(&name) && name.len() <= MAXIMUM_LENGTH
}

fn is_kebab(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.split('-').all(|word| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        })
}

/// The files with their texts.
fn files(name: &str, plan: &Plan, spec: &str) -> Vec<(&'static str, String)> {
    let crate_name = format!("connector_{}", name.replace('-', "_"));
    let resource = plan
        .resources
        .first()
        .map_or("", |resource| resource.name.as_str());
    let settings = settings(plan);
    let values = [
        ("name", name),
        ("crate", &crate_name),
        ("resource", resource),
        ("settings", &settings),
    ];
    let mut files: Vec<(&'static str, String)> = FILES
        .iter()
        .map(|(path, template)| (*path, fill(template, &values)))
        .collect();
    files.push(("spec.yaml", spec.to_owned()));
    files
}

/// The required settings, or the one that every connector has, as a Markdown list.
fn settings(plan: &Plan) -> String {
    let any = plan.settings.iter().any(|setting| setting.required);
    let lines: Vec<String> = plan
        .settings
        .iter()
        .filter(|setting| setting.required || !any)
        .map(|setting| format!("- `{}`", setting.environment))
        .collect();
    lines.join("\n")
}

fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values
        .iter()
        .fold(template.to_owned(), |text, (name, value)| {
            text.replace(&format!("@{name}@"), value)
        })
}

/// Writes all files into a new folder, or leaves nothing behind.
fn create(folder: &Path, files: &[(&str, String)]) -> Result<(), Error> {
    std::fs::create_dir(folder).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            Error::usage(format!("`{}` exists already", folder.display()))
                .hint("choose another name, or edit its `spec.yaml`")
        } else {
            cannot_write(folder, error)
        }
    })?;
    let written = files.iter().try_for_each(|(path, text)| {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|error| cannot_write(&path, error))
    });
    if written.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_dir_all(folder);
    }
    written
}

fn cannot_write(path: &Path, error: io::Error) -> Error {
    Error::new(
        ErrorKind::Output,
        format!("cannot write `{}`", path.display()),
    )
    .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        #[track_caller]
        fn check(name: &str, expect: Option<&str>) {
            let report = check_name(name).err().map(|error| error.report());
            match (&report, expect) {
                (None, None) => {}
                (Some(report), Some(expect)) => assert!(report.contains(expect), "{report}"),
                _ => panic!("{name}: {report:?}"),
            }
        }
        check("storage", None);
        check("my-api-2", None);
        check("My API", Some("hint: such as `my-api`"));
        check("my_api", Some("hint: such as `my-api`"));
        check("connector-shop", Some("hint: such as `shop`"));
        check("2fast", Some("`2fast` is not the name of a connector"));
        check("../x", Some("`../x` is not the name of a connector"));
        check("a--b", Some("single `-`"));
        check("", Some("`` is not the name of a connector"));
        check("-a", Some("is not the name"));
        check("a\n", Some("`a\\n` is not the name"));
        check("core", Some("hint: such as `core-api`"));
        check("sandbox", Some("part of the workspace itself"));
        check(&"x".repeat(49), Some("49 bytes"));
    }

    #[test]
    fn the_storage_connector_is_made_of_the_same_files() {
        // One connector explains all others only as long as they look the same.
        let values = [("name", "storage"), ("crate", "connector_storage")];
        let storage = Path::new(env!("CARGO_MANIFEST_DIR")).join("../connectors/storage");
        for (path, template) in FILES {
            if path.ends_with(".rs") {
                let found = std::fs::read_to_string(storage.join(path)).unwrap();
                assert_eq!(found, fill(template, &values), "{path}");
            }
        }
    }
}
