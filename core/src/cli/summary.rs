//! The table at the end of a run, and what to do with the files.

use connector_dataset::is_address;
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
                Status::Failed => "FAILED",
                other => other.as_str(),
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

/// What a person should know of a resource, and a later look at the record, too.
pub(crate) fn warnings(resource: &ResourceRecord, selected: &[Resource]) -> Vec<String> {
    let mut warnings = Vec::new();
    for rescued in resource.rescued.iter().take(5) {
        warnings.push(format!(
            "{} values of `{}` did not fit a column and are in `_rescued`, first at {}",
            count(rescued.values),
            rescued.path,
            rescued.first_at
        ));
    }
    if resource.rescued.len() > 5 {
        warnings.push(format!(
            "{} more paths are in `_rescued`; the run record lists them",
            resource.rescued.len() - 5
        ));
    }
    warnings.extend(discard_warnings(resource));
    if resource.rows_filtered > 0 {
        warnings.push(format!(
            "{} records were dropped by the filters of the spec",
            count(resource.rows_filtered)
        ));
    }
    if let Some(cursor) = &resource.cursor {
        warnings.extend(cursor_warnings(cursor));
    }
    if resource.ignored_responses > 0 {
        warnings.push(format!(
            "{} answers were ignored, as the spec says; their partitions end there",
            count(resource.ignored_responses)
        ));
    }
    if let Some(first) = &resource.first_selector_miss {
        warnings.push(format!(
            "{} values on the way of `data_selector` lead to no records, the first because {first}",
            count(resource.selector_misses)
        ));
    }
    if let Some(reason) = &resource.skipped_because {
        warnings.push(format!(
            "{} of its partitions were skipped, the first because {reason}",
            count(resource.skipped_partitions)
        ));
    }
    if resource.stopped_at_limit {
        warnings.push("stopped at --limit; the API has more records".to_owned());
    }
    if let Some(load) = &resource.load {
        if load.duplicates_in_load > 0 {
            warnings.push(format!(
                "{} records came again with the same primary key; {} counts",
                count(load.duplicates_in_load),
                counting(selected, &resource.name)
            ));
        }
        if load.replaced_sample_data {
            warnings.push("the sample data of the sandbox has been replaced".to_owned());
        }
    }
    warnings
}

/// What a person should know beside the table.
pub(crate) fn notes(record: &RunRecord, selected: &[Resource], api: &Api, console: &Console) {
    for resource in &record.resources {
        let range = resource.cursor.iter().map(range_of);
        for note in range.chain(warnings(resource, selected)) {
            console.note(&format!("note: {}: {note}", resource.name));
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
    // Where paths have other separators, addresses have slashes all the same.
    let folder = match is_address(&api.out) {
        true => folder.display().to_string().replace('\\', "/"),
        false => folder.display().to_string(),
    };
    let glob = match resource.layout.partition_by.is_empty() {
        true => format!("{folder}/*.parquet"),
        false => format!("{folder}/**/*.parquet"),
    };
    console.note(&format!(
        "\nRead it:\n  duckdb -c \"SELECT * FROM '{glob}' LIMIT 5\"\n  \
         python -c \"import polars; print(polars.read_parquet('{glob}'))\""
    ));
}

/// What the contract dropped, and where it was first.
fn discard_warnings(resource: &ResourceRecord) -> Vec<String> {
    let mut warnings = Vec::new();
    let (values, rows) = resource.discarded();
    for (all, fields, what) in [
        (values, &resource.discarded_values, "values"),
        (rows, &resource.discarded_rows, "records"),
    ] {
        for field in fields.iter().take(5) {
            warnings.push(format!(
                "{} {what} were dropped because of `{}`, as `schema_contract` says, first at {}",
                count(field.values),
                field.path,
                field.first_at
            ));
        }
        if fields.len() > 5 {
            warnings.push(format!(
                "{} {what} were dropped in all; the run record lists the fields",
                count(all)
            ));
        }
    }
    warnings
}

/// The range of an incremental reading.
pub(crate) fn range_of(cursor: &CursorRecord) -> String {
    let text = |value: &Option<Json>, none: &str| match value {
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => none.to_owned(),
    };
    match &cursor.to {
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
    }
}

/// What was left out of an incremental reading.
fn cursor_warnings(cursor: &CursorRecord) -> Vec<String> {
    let mut warnings = Vec::new();
    if cursor.gaps > 0 {
        warnings.push(
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
            warnings.push(format!("{} records {what}", count(rows)));
        }
    }
    warnings
}
