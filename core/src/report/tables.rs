//! The tables of the report: resources, changes of columns, runs.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::chart::sparkline;
use super::html::{Element, element};
use super::{RUNS, Report, ago, badge};
use crate::cli::runs::{published, wanted};
use crate::cli::table::{bytes, count, duration};
use crate::run::{ResourceRecord, RunRecord, Status};
use crate::{Json, runs::CursorRecord};

/// The runs of a resource in its sparkline.
const SPARK: usize = 24;
/// Changes of columns that are listed.
const CHANGES: usize = 100;

/// A table in a box that can be scrolled, with the keyboard as well.
fn table(caption: &str, head: &[(&'static str, bool)], rows: Vec<Element>) -> Element {
    let head = head.iter().map(|(name, is_number)| {
        let cell = element("th").set("scope", "col").text(name);
        if *is_number {
            cell.set("class", "number")
        } else {
            cell
        }
    });
    let table = element("table")
        .child(element("caption").text(caption))
        .child(element("thead").child(element("tr").children(head)))
        .child(element("tbody").children(rows));
    element("div")
        .set("class", "card wide")
        .set("role", "region")
        .set("tabindex", "0")
        .set("aria-label", caption)
        .child(table)
}

fn cell(text: impl std::fmt::Display) -> Element {
    element("td").text(text)
}

fn number(text: impl std::fmt::Display) -> Element {
    cell(text).set("class", "number")
}

fn when(instant: Option<DateTime<Utc>>) -> Element {
    let Some(instant) = instant else {
        return cell("–");
    };
    let time = element("time")
        .set("datetime", RunRecord::instant(instant))
        .text(instant.format("%Y-%m-%d %H:%M"));
    element("td").set("class", "when").child(time)
}

/// One line for each resource: how it stands.
pub(super) fn resources(report: &Report<'_>) -> Element {
    let newest = || report.records.iter().rev();
    let mut names: Vec<&str> = Vec::new();
    let mut known = BTreeSet::new();
    let in_runs = newest()
        .flat_map(|run| &run.resources)
        .map(|entry| entry.name.as_str());
    let in_state = report.state.iter().flat_map(|state| state.resources.keys());
    for name in in_runs.chain(in_state.map(String::as_str)) {
        if known.insert(name) {
            names.push(name);
        }
    }
    let rows = names
        .into_iter()
        .map(|name| resource(report, name))
        .collect();
    let head = [
        ("resource", false),
        ("last time", false),
        ("fresh as of", false),
        ("rows now", true),
        ("size", true),
        ("new", true),
        ("updated", true),
        ("deleted", true),
        ("retired", true),
        ("rescued", true),
        ("rows read", false),
        ("cursor", false),
    ];
    element("section")
        .child(element("h2").text("Resources"))
        .child(table(
            "Each resource: how it was read last, when it was published last, what it has now",
            &head,
            rows,
        ))
}

fn resource(report: &Report<'_>, name: &str) -> Element {
    let entries = || {
        let newest = report.records.iter().rev();
        newest.filter_map(|run| {
            let entry = run.resources.iter().find(|entry| entry.name == name)?;
            Some((run, entry))
        })
    };
    let last = entries().next().map(|(_, entry)| entry);
    let loaded = entries().find(|(_, entry)| entry.load.is_some());
    let load = loaded.and_then(|(_, entry)| entry.load.as_ref());
    let fresh = loaded.and_then(|(run, _)| run.finished_at.or(run.started_at));
    let state = report.state.and_then(|state| state.resource(name));
    let rows = state
        .map(|state| state.rows)
        .or(load.map(|load| load.rows_written));
    let size = state.map(|state| state.files.iter().map(|file| file.bytes).sum());
    let size = size.or(load.map(|load| load.bytes));
    let or_none = |text: Option<String>| number(text.unwrap_or_else(|| "–".to_owned()));
    let mut read: Vec<f64> = entries()
        .take(SPARK)
        .map(|(_, entry)| entry.rows_read as f64)
        .collect();
    read.reverse();
    let told = format!(
        "rows read in the last {} runs: {}",
        read.len(),
        read.iter()
            .map(f64::to_string)
            .collect::<Vec<String>>()
            .join(", ")
    );
    let fresh = match fresh {
        Some(fresh) => when(Some(fresh)).child(
            element("div")
                .set("class", "soft")
                .text(ago(report.now, fresh)),
        ),
        None => cell("never"),
    };
    element("tr")
        .child(element("th").set("scope", "row").text(name))
        .child(status(last))
        .child(fresh)
        .child(or_none(rows.map(count)))
        .child(or_none(size.map(bytes)))
        .child(or_none(load.map(|load| count(load.inserted))))
        .child(or_none(load.map(|load| count(load.updated))))
        .child(or_none(load.map(|load| count(load.deleted))))
        .child(or_none(load.map(|load| count(load.retired))))
        .child(or_none(last.map(|entry| count(entry.rescued_values()))))
        .child(element("td").child(sparkline(&read, told)))
        .child(cursor(
            entries().find_map(|(_, entry)| entry.cursor.as_ref()),
        ))
}

fn status(entry: Option<&ResourceRecord>) -> Element {
    let Some(entry) = entry else {
        return cell("–");
    };
    let (class, sign) = match entry.status {
        Status::Published | Status::Read => ("good", "✓"),
        Status::Failed => ("bad", "✕"),
        Status::Interrupted => ("warn", "‖"),
        Status::NotRead => ("warn", "–"),
        Status::Unknown => ("", "?"),
    };
    element("td").child(
        element("span")
            .set("class", format!("badge {class}"))
            .text(format!("{sign} {}", entry.status.as_str())),
    )
}

fn cursor(record: Option<&CursorRecord>) -> Element {
    let Some(record) = record else {
        return cell("–");
    };
    let text = |value: &Json| match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let at = match &record.after {
        None => "at the beginning".to_owned(),
        Some(span) if span.partitions <= 1 => text(&span.highest),
        Some(span) => format!(
            "{} to {}, {} partitions",
            text(&span.lowest),
            text(&span.highest),
            count(span.partitions)
        ),
    };
    element("td")
        .child(element("code").text(&record.field))
        .text(" ")
        .text(at)
}

/// How columns have changed, the newest change first.
pub(super) fn schema_changes(records: &[RunRecord]) -> Element {
    let mut rows = Vec::new();
    let mut more = 0;
    for run in records.iter().rev() {
        for entry in &run.resources {
            for change in entry.load.iter().flat_map(|load| &load.schema_changes) {
                if rows.len() == CHANGES {
                    more += 1;
                    continue;
                }
                rows.push(
                    element("tr")
                        .child(when(run.started_at))
                        .child(cell(&entry.name))
                        .child(element("td").child(element("code").text(&change.column)))
                        .child(cell(change.change.describe())),
                );
            }
        }
    }
    let section = element("section").child(element("h2").text("Changes of columns"));
    if rows.is_empty() {
        let none = "No column has changed in these runs.";
        return section.child(element("p").set("class", "soft").text(none));
    }
    let caption = match more {
        0 => "The newest first".to_owned(),
        _ => format!("The newest first, {} more", count(more)),
    };
    let head = [
        ("when", false),
        ("resource", false),
        ("column", false),
        ("change", false),
    ];
    section.child(table(&caption, &head, rows))
}

/// The newest runs one by one.
pub(super) fn runs(records: &[RunRecord]) -> Element {
    let rows = records.iter().rev().take(RUNS).map(run).collect();
    let caption = match records.len() {
        0..=RUNS => "The newest first".to_owned(),
        all => format!("The newest {RUNS} of {}", count(all as u64)),
    };
    let head = [
        ("started", false),
        ("status", false),
        ("duration", true),
        ("published", true),
        ("read", true),
        ("new", true),
        ("updated", true),
        ("received", true),
        ("written", true),
        ("retries", true),
        ("exit", true),
    ];
    let title = element("h2").text("Runs");
    element("section")
        .child(title)
        .child(table(&caption, &head, rows))
}

fn run(record: &RunRecord) -> Element {
    let mut status = element("td").child(badge(record.status));
    let mut told: Vec<Element> = Vec::new();
    told.extend(record.error.iter().map(|error| element("li").text(error)));
    for entry in &record.resources {
        if let Some(error) = &entry.error {
            let name = element("b").text(&entry.name);
            told.push(element("li").child(name).text(": ").text(error));
        }
    }
    if !told.is_empty() {
        let list = element("ul").set("class", "told").children(told);
        let why = element("summary").text("why");
        status = status.child(element("details").child(why).child(list));
    }
    let loaded =
        |of: fn(&connector_dataset::LoadReport) -> u64| record.total(|entry| entry.loaded(of));
    let name = element("div")
        .set("class", "soft code")
        .text(record.run.get(..13).unwrap_or(&record.run));
    element("tr")
        .child(when(record.started_at).child(name))
        .child(status)
        .child(number(
            record.seconds().map_or_else(|| "–".to_owned(), duration),
        ))
        .child(number(format!("{}/{}", published(record), wanted(record))))
        .child(number(count(record.total(|entry| entry.rows_read))))
        .child(number(count(loaded(|load| load.inserted))))
        .child(number(count(loaded(|load| load.updated))))
        .child(number(bytes(
            record.total(|entry| entry.reading.bytes_read),
        )))
        .child(number(bytes(loaded(|load| load.bytes_added))))
        .child(number(count(record.total(|entry| entry.reading.retries))))
        .child(number(
            record
                .exit_code
                .map_or_else(|| "–".to_owned(), |code| code.to_string()),
        ))
}
