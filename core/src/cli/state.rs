//! `state show`, `set` and `reset`: what earlier runs left behind, and where the next one goes on.

use std::process::ExitCode;

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use connector_dataset::{ResourceState, SourceId, State, Store, StoreOptions};
use connector_plan::WriteDisposition;
use serde_json::json;

use super::context::Context;
use super::table::{self, Align};
use super::{cell, unknown_resource};
use crate::cursor::{self, CursorChange, CursorEditor};
use crate::{Error, ErrorKind, Json, Result, convert};

/// The partitions of a resource that are listed when nobody asked for this resource.
const MOST_PARTITIONS: usize = 20;

/// What is to be done with the state.
#[derive(Clone, Debug)]
pub(crate) enum StateAction {
    Show {
        resource: Option<String>,
    },
    Set {
        resource: String,
        cursor: String,
        partition: Vec<String>,
    },
    Reset {
        resources: Vec<String>,
    },
}

pub(crate) fn command() -> Command {
    let resource = Arg::new("name")
        .value_name("RESOURCE")
        .value_parser(NonEmptyStringValueParser::new());
    Command::new("state")
        .about("Show what earlier runs left behind; set or reset where the next one goes on")
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .global(true)
                .help("Print JSON"),
        )
        .subcommand(
            Command::new("show")
                .about("Print what is known of each dataset, and its cursors")
                .arg(
                    resource
                        .clone()
                        .help("Only this resource, with all its partitions"),
                ),
        )
        .subcommand(
            Command::new("set")
                .about("Let the next run of a resource begin here")
                .long_about(
                    "Let the next run of a resource begin here. The dataset stays as it is: what \
                     lies before the new cursor is not read again, and not missed.",
                )
                .arg(resource.clone().required(true).help("The resource"))
                .arg(
                    Arg::new("cursor")
                        .value_name("CURSOR")
                        .required(true)
                        .allow_negative_numbers(true)
                        .value_parser(NonEmptyStringValueParser::new())
                        .help("A value of its cursor, such as 2024-01-31 or 4711"),
                )
                .arg(
                    Arg::new("partition")
                        .long("partition")
                        .value_name("NAME=VALUE")
                        .action(ArgAction::Append)
                        .help(
                            "Only the cursor of this partition; repeat it where several values \
                             tell them apart [default: all that are known]",
                        ),
                ),
        )
        .subcommand(
            Command::new("reset")
                .about("Forget the cursors: the next run reads from the beginning")
                .long_about(
                    "Forget the cursors of these resources, or of all: the next run reads them \
                     from their initial value. The datasets stay as they are.",
                )
                .arg(resource.num_args(0..).help("The resources [default: all]")),
        )
}

/// What the arguments of `state` ask for.
pub(crate) fn action(matches: &ArgMatches) -> StateAction {
    let text = |matches: &ArgMatches, name: &str| matches.get_one::<String>(name).cloned();
    let texts = |matches: &ArgMatches, name: &str| {
        let values = matches.get_many::<String>(name);
        values.map_or_else(Vec::new, |values| values.cloned().collect())
    };
    match matches.subcommand() {
        Some(("set", matches)) => StateAction::Set {
            resource: text(matches, "name").unwrap_or_default(),
            cursor: text(matches, "cursor").unwrap_or_default(),
            partition: texts(matches, "partition"),
        },
        Some(("reset", matches)) => StateAction::Reset {
            resources: texts(matches, "name"),
        },
        Some((_, matches)) => StateAction::Show {
            resource: text(matches, "name"),
        },
        None => StateAction::Show { resource: None },
    }
}

pub(crate) fn run(context: &Context<'_>, action: &StateAction, json: bool) -> Result<ExitCode> {
    let configured = context.configured()?;
    let out = context.out(&configured);
    let name = &context.plan.name;
    // Read before anything is locked or made: a folder without a state stays as it is.
    let state = Store::read_state(&out, name).map_err(convert::dataset_error)?;
    let Some(state) = state else {
        let nothing = format!("`{}` holds no dataset of `{name}` yet", out.display());
        if !matches!(action, StateAction::Show { .. }) {
            return Err(Error::new(ErrorKind::Configuration, nothing)
                .hint("name the folder with `--out`; a first run makes the state"));
        }
        context.console.note(&format!("No state: {nothing}."));
        return Ok(ExitCode::SUCCESS);
    };
    // The server is never asked: that of the dataset is as good as any.
    let source = state.resources.values().next();
    let source = source.map_or(SourceId::Sandbox, |state| state.source.clone());
    let open = || {
        let mut options = StoreOptions::new(name, source, &context.plan.spec_hash);
        options.work.clone_from(&context.arguments.work_dir);
        Store::open(&out, options).map_err(convert::dataset_error)
    };
    let text = match action {
        StateAction::Show { resource } => show(&state, resource.as_deref(), json)?,
        StateAction::Set {
            resource,
            cursor,
            partition,
        } => set(context, &open()?, resource, cursor, partition, json)?,
        StateAction::Reset { resources } => reset(context, &open()?, resources, json)?,
    };
    context.console.result(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn known<'s>(state: &'s State, name: &str) -> Result<&'s ResourceState> {
    let names: Vec<&str> = state.resources.keys().map(String::as_str).collect();
    let missing = || match names.is_empty() {
        true => Error::new(
            ErrorKind::Configuration,
            format!("unknown resource `{name}`"),
        )
        .hint("nothing has been loaded yet"),
        false => unknown_resource(name, &names),
    };
    state.resource(name).ok_or_else(missing)
}

fn show(state: &State, only: Option<&str>, json: bool) -> Result<String> {
    let shown: Vec<(&String, &ResourceState)> = match only {
        None => state.resources.iter().collect(),
        Some(name) => {
            known(state, name)?;
            let resources = state.resources.iter();
            resources.filter(|(known, _)| *known == name).collect()
        }
    };
    if json {
        let value = match (only, shown.first()) {
            (Some(_), Some((_, resource))) => serde_json::to_value(resource),
            _ => serde_json::to_value(state),
        };
        let value = value.map_err(|error| {
            Error::new(ErrorKind::Internal, "the state is not JSON").caused_by(error)
        })?;
        return Ok(format!("{value:#}\n"));
    }
    let header = [
        ("resource", Align::Left),
        ("source", Align::Left),
        ("last run", Align::Left),
        ("rows", Align::Right),
        ("files", Align::Right),
        ("cursor", Align::Left),
    ];
    let mut rows = Vec::new();
    let mut details = String::new();
    for (name, resource) in shown {
        let mut cell = "none".to_owned();
        if let Some(cursor) = &resource.cursor {
            let partitions = cursor::read_cursors(cursor).ok_or_else(|| cursor::damaged(name))?;
            match partitions.get(cursor::WHOLE) {
                Some((value, _)) => cell = cell::to_text(value),
                None => {
                    cell = format!("{} partitions", table::count(partitions.len() as u64));
                    let most = only.map_or(MOST_PARTITIONS, |_| usize::MAX);
                    details.push_str(&partition_table(name, &partitions, most));
                }
            }
        }
        rows.push(vec![
            name.clone(),
            resource.source.to_string().replace('`', ""),
            resource.run.to_string(),
            table::count(resource.rows),
            table::count(resource.files.len() as u64),
            cell,
        ]);
    }
    Ok(table::render(&header, &rows) + &details)
}

/// The cursors of a resource that has one for each partition.
fn partition_table(
    name: &str,
    partitions: &std::collections::BTreeMap<String, (Json, usize)>,
    most: usize,
) -> String {
    let header = [("partition", Align::Left), ("cursor", Align::Left)];
    let listed = partitions.iter().take(most);
    let rows: Vec<Vec<String>> = listed
        .map(|(key, (value, _))| vec![key.clone(), cell::to_text(value)])
        .collect();
    let mut text = format!("\n{name}\n\n{}", table::render(&header, &rows));
    if partitions.len() > most {
        text.push_str(&format!(
            "… and {} more: `state show {name}` lists all\n",
            table::count((partitions.len() - most) as u64)
        ));
    }
    text
}

fn set(
    context: &Context<'_>,
    store: &Store,
    name: &str,
    cursor: &str,
    partition: &[String],
    json: bool,
) -> Result<String> {
    let state = store.state();
    let resources = &context.plan.resources;
    let names: Vec<&str> = resources.iter().map(|known| known.name.as_str()).collect();
    let resource = context.plan.resource(name);
    let resource = resource.ok_or_else(|| unknown_resource(name, &names))?;
    let known = known(&state, name)?;
    let with_resource = |error: Error| error.with("resource", name);
    let editor = CursorEditor::new(resource)?;
    let edited = editor.set(known.cursor.as_ref(), cursor, partition);
    let (after, changes) = edited.map_err(with_resource)?;
    store
        .set_cursor(name, Some(after))
        .map_err(convert::dataset_error)?;
    if json {
        let changes: Vec<Json> = changes
            .iter()
            .map(|change| {
                json!({
                    "partition": change.partition,
                    "before": change.before,
                    "after": change.after,
                })
            })
            .collect();
        return Ok(format!(
            "{:#}\n",
            json!({ "resource": name, "set": changes })
        ));
    }
    let mut text = String::new();
    for CursorChange {
        partition,
        before,
        after,
    } in &changes
    {
        let of = match partition.as_str() {
            cursor::WHOLE => name.to_owned(),
            partition => format!("{name} {partition}"),
        };
        let before = before.as_ref().map_or("none".to_owned(), cell::to_text);
        text.push_str(&format!("{of}: {before} -> {}\n", cell::to_text(after)));
    }
    if known.cursor.is_none()
        && known.rows > 0
        && resource.write_disposition == WriteDisposition::Append
    {
        context.console.note(&format!(
            "note: {name}: what the dataset has from this cursor on will be appended again"
        ));
    }
    Ok(text)
}

fn reset(context: &Context<'_>, store: &Store, names: &[String], json: bool) -> Result<String> {
    let state = store.state();
    for name in names {
        known(&state, name)?;
    }
    let is_meant = |name: &str| names.is_empty() || names.iter().any(|meant| meant == name);
    for (name, resource) in &state.resources {
        // Without its cursor nobody could go on with it, and what it was is lost.
        if is_meant(name)
            && resource.cursor.is_some()
            && resource.rows > 0
            && resource.write_disposition == WriteDisposition::Append
            && context.plan.resource(name).is_some_and(|now| {
                now.incremental.is_some() && now.write_disposition == WriteDisposition::Append
            })
        {
            return Err(Error::new(
                ErrorKind::Configuration,
                format!(
                    "`{name}` appends: without its cursor the next run would append its {} records again",
                    table::count(resource.rows)
                ),
            )
            .hint(format!(
                "begin anew with `--full-refresh --resource {name}`, or set the cursor with `state set {name} …`; nothing was reset"
            )));
        }
    }
    let meant: Vec<&str> = names.iter().map(String::as_str).collect();
    let reset = store.reset(&meant).map_err(convert::dataset_error)?;
    let all = state.resources.iter().filter(|(name, _)| is_meant(name));
    if json {
        return Ok(format!("{:#}\n", json!({ "reset": reset })));
    }
    let mut text = String::new();
    for (name, resource) in all {
        if reset.contains(name) {
            text.push_str(&format!(
                "{name}: cursor removed, the next run reads from the beginning; the {} rows stay\n",
                table::count(resource.rows)
            ));
        } else {
            text.push_str(&format!("{name}: had no cursor\n"));
        }
    }
    if text.is_empty() {
        text.push_str("nothing has been loaded yet\n");
    }
    Ok(text)
}
