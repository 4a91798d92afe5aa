//! `runs`: what earlier runs did.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::json;

use super::context::Context;
use super::summary;
use super::table::{self, Align, bytes, count, duration, many};
use crate::run::{History, ResourceRecord, RunRecord, Status};
use crate::{Json, Result};

/// The characters of a run's name that are its time: they tell runs apart.
const SHORT: usize = 13;

/// What is to be shown.
#[derive(Clone, Debug)]
pub(crate) struct RunsAction {
    run: Option<String>,
    limit: u64,
    json: bool,
}

pub(crate) fn command() -> Command {
    Command::new("runs")
        .about("List earlier runs, or show what one of them did")
        .arg(
            Arg::new("run")
                .value_name("RUN")
                .value_parser(NonEmptyStringValueParser::new())
                .help("Show this run: its name, the beginning of its name, or `last`"),
        )
        .arg(
            Arg::new("most")
                .long("limit")
                .value_name("RUNS")
                .default_value("20")
                .value_parser(value_parser!(u64).range(1..))
                .help("List so many runs, the newest"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Print JSON; of one run, its whole record"),
        )
}

/// What the arguments of `runs` ask for.
pub(crate) fn action(matches: &ArgMatches) -> RunsAction {
    RunsAction {
        run: matches.get_one::<String>("run").cloned(),
        limit: matches.get_one::<u64>("most").copied().unwrap_or(20),
        json: matches.get_flag("json"),
    }
}

pub(crate) fn run(context: &Context<'_>, action: &RunsAction) -> Result<ExitCode> {
    let configured = context.configured()?;
    let out = context.out(&configured);
    let name = &context.plan.name;
    if let Some(prefix) = &action.run {
        let record = History::find(&out, name, prefix)?;
        let text = match action.json {
            true => format!("{:#}\n", record.to_json()?),
            false => show(&record),
        };
        context.console.result(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let limit = usize::try_from(action.limit).unwrap_or(usize::MAX);
    let history = History::read(&out, name, limit)?;
    if action.json {
        let list: Vec<Json> = history.records.iter().map(to_json).collect();
        context
            .console
            .result(&format!("{:#}\n", Json::Array(list)))?;
    } else if history.records.is_empty() && history.unreadable.is_empty() {
        context.console.note(&format!(
            "No runs: `{}` holds no record of a run of `{name}` yet.",
            out.display()
        ));
    } else {
        context.console.result(&list(&history.records))?;
        if history.older > 0 {
            context.console.note(&format!(
                "{}; --limit lists more",
                many(history.older as u64, "older run")
            ));
        }
    }
    for run in &history.unreadable {
        context
            .console
            .note(&format!("note: the record of the run {run} cannot be read"));
    }
    Ok(ExitCode::SUCCESS)
}

fn list(records: &[RunRecord]) -> String {
    let header = [
        ("run", Align::Left),
        ("started", Align::Left),
        ("duration", Align::Right),
        ("status", Align::Left),
        ("published", Align::Right),
        ("read", Align::Right),
        ("new", Align::Right),
        ("updated", Align::Right),
        ("received", Align::Right),
        ("written", Align::Right),
        ("retries", Align::Right),
        ("exit", Align::Right),
    ];
    let length = distinct(records);
    let rows: Vec<Vec<String>> = records
        .iter()
        .map(|record| {
            let published = published(record);
            let loaded = |of: fn(&connector_dataset::LoadReport) -> u64| {
                count(record.total(|entry| entry.loaded(of)))
            };
            vec![
                record.run.chars().take(length).collect(),
                started(record.started_at),
                record.seconds().map_or_else(|| "-".to_owned(), duration),
                record.status.as_str().to_owned(),
                format!("{published}/{}", wanted(record)),
                count(record.total(|entry| entry.rows_read)),
                loaded(|load| load.inserted),
                loaded(|load| load.updated),
                bytes(record.total(|entry| entry.reading.bytes_read)),
                bytes(record.total(|entry| entry.loaded(|load| load.bytes_added))),
                count(record.total(|entry| entry.reading.retries)),
                record
                    .exit_code
                    .map_or_else(|| "-".to_owned(), |code| code.to_string()),
            ]
        })
        .collect();
    table::render(&header, &rows)
}

/// The resources that were published.
pub(crate) fn published(record: &RunRecord) -> u64 {
    record.total(|entry| u64::from(entry.status == Status::Published))
}

/// The resources that were to be published.
pub(crate) fn wanted(record: &RunRecord) -> u64 {
    record.total(|entry| u64::from(entry.status != Status::Read))
}

/// How many characters of the names tell these runs apart.
fn distinct(records: &[RunRecord]) -> usize {
    let repeated = |length: usize| {
        let mut starts = records
            .iter()
            .map(|record| record.run.get(..length).unwrap_or(&record.run));
        let mut last = starts.next();
        starts.any(|start| last.replace(start) == Some(start))
    };
    (SHORT..36).find(|length| !repeated(*length)).unwrap_or(36)
}

fn started(instant: Option<DateTime<Utc>>) -> String {
    instant.map_or_else(
        || "-".to_owned(),
        |instant| instant.format("%Y-%m-%d %H:%M:%SZ").to_string(),
    )
}

/// One run in a list.
fn to_json(record: &RunRecord) -> Json {
    json!({
        "run": record.run,
        "status": record.status,
        "exit_code": record.exit_code,
        "started_at": record.started_at.map(RunRecord::instant),
        "finished_at": record.finished_at.map(RunRecord::instant),
        "seconds": record.seconds(),
        "resources": wanted(record),
        "published": published(record),
        "rows_read": record.total(|entry| entry.rows_read),
        "inserted": record.total(|entry| entry.loaded(|load| load.inserted)),
        "updated": record.total(|entry| entry.loaded(|load| load.updated)),
        "deleted": record.total(|entry| entry.loaded(|load| load.deleted)),
        "bytes_read": record.total(|entry| entry.reading.bytes_read),
        "bytes_written": record.total(|entry| entry.loaded(|load| load.bytes_added)),
        "requests": record.total(|entry| entry.reading.requests),
        "retries": record.total(|entry| entry.reading.retries),
    })
}

/// One run in words and tables.
fn show(record: &RunRecord) -> String {
    let mut text = format!("run       {}\n", record.run);
    let mut line = |name: &str, value: &str| text.push_str(&format!("{name:8}  {value}\n"));
    let version = &record.connector_version;
    line("by", &format!("connector-{} {version}", record.connector));
    if let Some(source) = &record.source {
        line("source", &source.to_string().replace('`', ""));
    }
    line("started", &started(record.started_at));
    if let Some(seconds) = record.seconds() {
        line("duration", &duration(seconds));
    }
    let code = record.exit_code;
    let code = code.map_or_else(String::new, |code| format!(", exit code {code}"));
    line("status", &format!("{}{code}", record.status.as_str()));
    let asked = asked(record);
    if !asked.is_empty() {
        line("asked", &asked);
    }
    if let Some(error) = &record.error {
        line("error", &error.to_string());
    }
    for warning in &record.warnings {
        line("note", warning);
    }
    if record.resources.is_empty() {
        return text;
    }
    text.push('\n');
    text.push_str(&summary::table(record));
    text.push('\n');
    text.push_str(&stages(record));
    let mut told = String::new();
    for entry in &record.resources {
        for what in told_of(entry) {
            told.push_str(&format!("{}: {what}\n", entry.name));
        }
    }
    if !told.is_empty() {
        text.push('\n');
        text.push_str(&told);
    }
    text
}

/// The flags that chose what the run did.
fn asked(record: &RunRecord) -> String {
    let mut flags = Vec::new();
    flags.extend(record.full_refresh.then(|| "--full-refresh".to_owned()));
    flags.extend(record.limit.map(|limit| format!("--limit {limit}")));
    flags.extend(record.since.iter().map(|since| format!("--since {since}")));
    flags.extend(record.until.iter().map(|until| format!("--until {until}")));
    if !record.only.is_empty() {
        flags.push(format!("--resource {}", record.only.join(",")));
    }
    flags.join(" ")
}

/// Where the time went.
fn stages(record: &RunRecord) -> String {
    let header = [
        ("seconds of", Align::Left),
        ("fetch", Align::Right),
        ("decode", Align::Right),
        ("encode", Align::Right),
        ("publish", Align::Right),
        ("waits", Align::Right),
        ("requests", Align::Right),
        ("received", Align::Right),
        ("written", Align::Right),
    ];
    let seconds = |seconds: f64| format!("{seconds:.2}");
    let rows: Vec<Vec<String>> = record
        .resources
        .iter()
        .map(|entry| {
            vec![
                entry.name.clone(),
                seconds(entry.stages.fetch),
                seconds(entry.stages.decode),
                seconds(entry.stages.encode),
                seconds(entry.stages.publish),
                seconds(entry.reading.waited_seconds),
                count(entry.reading.requests),
                bytes(entry.reading.bytes_read),
                bytes(entry.loaded(|load| load.bytes_added)),
            ]
        })
        .collect();
    table::render(&header, &rows)
}

/// What else is to be told of a resource.
fn told_of(entry: &ResourceRecord) -> Vec<String> {
    let mut told = Vec::new();
    if let Some(error) = &entry.error {
        told.push(format!("{}: {error}", entry.status.as_str()));
        told.extend(
            error
                .causes
                .iter()
                .map(|cause| format!("  caused by: {cause}")),
        );
        told.extend(error.hints.iter().map(|hint| format!("  hint: {hint}")));
    }
    told.extend(entry.cursor.iter().map(summary::range_of));
    told.extend(entry.warnings.iter().cloned());
    for wait in &entry.reading.waits {
        told.push(format!(
            "waited {}, {} in all: {}",
            many(wait.waits, "time"),
            duration(wait.seconds),
            wait.reason
        ));
    }
    if let Some(load) = &entry.load {
        for change in &load.schema_changes {
            told.push(format!(
                "column `{}`: {}",
                change.column,
                change.change.describe()
            ));
        }
        for file in &load.files_added {
            told.push(format!(
                "{}  {}  {}  sha256 {}",
                file.name,
                many(file.rows, "row"),
                bytes(file.bytes),
                file.sha256
            ));
        }
    }
    told
}
