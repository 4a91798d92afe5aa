//! The table at the end of a run, and what to do with the files.

use connector_plan::{MergeStrategy, Resource, SortOrder};

use super::console::Console;
use super::context::Api;
use super::table::{self, Align, bytes, count};
use crate::Json;
use crate::cursor::CursorRecord;
use crate::run::{ResourceRecord, RunRecord, Status};

/// One line per resource.
pub(crate) fn table(record: &RunRecord) -> String {
    let loads = || {
        record
            .resources
            .iter()
            .filter_map(|entry| entry.load.as_ref())
    };
    let deletes = loads().any(|load| load.deleted > 0);
    let retires = loads().any(|load| load.retired > 0);
    let mut header = vec![
        ("resource", Align::Left),
        ("status", Align::Left),
        ("read", Align::Right),
        ("new", Align::Right),
        ("updated", Align::Right),
    ];
    // Most runs have neither.
    if deletes {
        header.push(("deleted", Align::Right));
    }
    if retires {
        header.push(("retired", Align::Right));
    }
    header.extend([
        ("rows now", Align::Right),
        ("rescued", Align::Right),
        ("pages", Align::Right),
        ("retries", Align::Right),
        ("size", Align::Right),
        ("seconds", Align::Right),
    ]);
    let rows: Vec<Vec<String>> = record
        .resources
        .iter()
        .map(|resource| {
            let status = match resource.status {
                Status::Published => "published",
                Status::Failed => "FAILED",
                Status::Read => "read",
                Status::NotRead => "not read",
            };
            let load = resource.load.as_ref();
            let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), count);
            let mut cells = vec![
                resource.name.clone(),
                status.to_owned(),
                number(load.map(|_| resource.rows_read)),
                number(load.map(|load| load.inserted)),
                number(load.map(|load| load.updated)),
            ];
            if deletes {
                cells.push(number(load.map(|load| load.deleted)));
            }
            if retires {
                cells.push(number(load.map(|load| load.retired)));
            }
            cells.extend([
                number(load.map(|load| load.rows_written)),
                number(load.map(|_| resource.rescued_values())),
                count(resource.reading.pages),
                count(resource.reading.retries),
                load.map_or_else(|| "-".to_owned(), |load| bytes(load.bytes)),
                format!("{:.2}", resource.seconds),
            ]);
            cells
        })
        .collect();
    table::render(&header, &rows)
}

/// Which of the records with one primary key counts.
fn counting(selected: &[Resource], name: &str) -> String {
    let resource = selected.iter().find(|resource| resource.name == name);
    let Some(merge) = resource.map(|resource| &resource.merge) else {
        return "the last one".to_owned();
    };
    match &merge.dedup_sort {
        Some(sort) => {
            let end = match sort.order {
                SortOrder::Asc => "lowest",
                SortOrder::Desc => "highest",
            };
            format!("the one with the {end} `{}`", sort.column)
        }
        None if merge.strategy == MergeStrategy::InsertOnly => "the first one".to_owned(),
        None => "the last one".to_owned(),
    }
}

/// What a person should know beside the table.
pub(crate) fn notes(record: &RunRecord, selected: &[Resource], api: &Api, console: &Console) {
    for resource in &record.resources {
        for rescued in resource.rescued.iter().take(5) {
            console.note(&format!(
                "note: {}: {} values of `{}` did not fit a column and are in `_rescued`, first at {}",
                resource.name,
                count(rescued.values),
                rescued.path,
                rescued.first_at
            ));
        }
        if resource.rescued.len() > 5 {
            console.note(&format!(
                "note: {}: {} more paths are in `_rescued`; the run record lists them",
                resource.name,
                resource.rescued.len() - 5
            ));
        }
        for note in discard_notes(resource) {
            console.note(&format!("note: {}: {note}", resource.name));
        }
        if resource.rows_filtered > 0 {
            console.note(&format!(
                "note: {}: {} records were dropped by the filters of the spec",
                resource.name,
                count(resource.rows_filtered)
            ));
        }
        if let Some(cursor) = &resource.cursor {
            for note in cursor_notes(cursor) {
                console.note(&format!("note: {}: {note}", resource.name));
            }
        }
        if resource.ignored_responses > 0 {
            console.note(&format!(
                "note: {}: {} answers were ignored, as the spec says; their partitions end there",
                resource.name,
                count(resource.ignored_responses)
            ));
        }
        if let Some(first) = &resource.first_selector_miss {
            console.note(&format!(
                "note: {}: {} values on the way of `data_selector` lead to no records, the first because {first}",
                resource.name,
                count(resource.selector_misses)
            ));
        }
        if let Some(reason) = &resource.skipped_because {
            console.note(&format!(
                "note: {}: {} of its partitions were skipped, the first because {reason}",
                resource.name,
                count(resource.skipped_partitions)
            ));
        }
        if resource.stopped_at_limit {
            console.note(&format!(
                "note: {}: stopped at --limit; the API has more records",
                resource.name
            ));
        }
        if let Some(load) = &resource.load {
            if load.duplicates_in_load > 0 {
                console.note(&format!(
                    "note: {}: {} records came again with the same primary key; {} counts",
                    resource.name,
                    count(load.duplicates_in_load),
                    counting(selected, &resource.name)
                ));
            }
            if load.replaced_sample_data {
                console.note(&format!(
                    "note: {}: the sample data of the sandbox has been replaced",
                    resource.name
                ));
            }
        }
    }
    let published = record
        .resources
        .iter()
        .find(|entry| entry.status == Status::Published);
    let Some(published) = published else { return };
    let Some(resource) = selected
        .iter()
        .find(|resource| resource.name == published.name)
    else {
        return;
    };
    let folder = api.out.join(&record.connector).join(&resource.name);
    let glob = format!("{}/*.parquet", folder.display());
    console.note(&format!(
        "\nRead it:\n  duckdb -c \"SELECT * FROM '{glob}' LIMIT 5\"\n  \
         python -c \"import polars; print(polars.read_parquet('{glob}'))\""
    ));
}

/// What the contract dropped, and where it was first.
fn discard_notes(resource: &ResourceRecord) -> Vec<String> {
    let mut notes = Vec::new();
    let (values, rows) = resource.discarded();
    for (all, fields, what) in [
        (values, &resource.discarded_values, "values"),
        (rows, &resource.discarded_rows, "records"),
    ] {
        for field in fields.iter().take(5) {
            notes.push(format!(
                "{} {what} were dropped because of `{}`, as `schema_contract` says, first at {}",
                count(field.values),
                field.path,
                field.first_at
            ));
        }
        if fields.len() > 5 {
            notes.push(format!(
                "{} {what} were dropped in all; the run record lists the fields",
                count(all)
            ));
        }
    }
    notes
}

/// What a person should know of an incremental reading: its range, and what was left out.
fn cursor_notes(cursor: &CursorRecord) -> Vec<String> {
    let text = |value: &Option<Json>, none: &str| match value {
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => none.to_owned(),
    };
    let mut notes = vec![match &cursor.to {
        None => format!(
            "`{}` from {}: nothing new",
            cursor.field,
            text(&cursor.from, "the beginning")
        ),
        to => format!(
            "`{}` from {} to {}",
            cursor.field,
            text(&cursor.from, "the beginning"),
            text(to, "")
        ),
    }];
    if cursor.gaps > 0 {
        notes.push(
            "the cursor stays where it was: what lies before --since has not been read".to_owned(),
        );
    }
    for (rows, what) in [
        (
            cursor.rows_outside,
            "are outside of the range and were dropped",
        ),
        (cursor.rows_repeated, "at the start were there already"),
        (
            cursor.rows_without_cursor_dropped,
            "have no cursor and were dropped",
        ),
        (
            cursor.rows_without_cursor_kept,
            "have no cursor and were kept",
        ),
    ] {
        if rows > 0 {
            notes.push(format!("{} records {what}", count(rows)));
        }
    }
    notes
}
