//! `schema --diff`: what the spec will do to the datasets that are there, before it does it.

use std::process::ExitCode;

use connector_dataset::{
    ColumnDiff, DataFile, DiffKind, ResourceState, SourceId, State, Store, schema_diff,
};
use connector_plan::{PartitionColumn, Resource, WriteDisposition};
use serde::Serialize;
use serde_json::json;

use super::context::Context;
use super::inspect;
use super::table::bytes;
use crate::run::{load_options, with_evolved};
use crate::{Error, ErrorKind, Result, convert};

/// What becomes of one dataset.
#[derive(Debug, Serialize)]
struct DatasetDiff {
    resource: String,
    outcome: Outcome,
    /// What gives the rows their meaning, and has changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    meaning: Vec<Meaning>,
    columns: Vec<ColumnDiff>,
    /// The data files that are written again.
    rewrites: Vec<String>,
    rewritten_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// There is no dataset yet.
    New,
    Unchanged,
    /// The columns change, and all rows stay.
    Changed,
    /// All rows go, and those of the next run come.
    Replaced,
    /// The next run refuses to write.
    Refused,
    /// There is no schema: the columns follow the records.
    Inferred,
}

#[derive(Debug, Serialize)]
struct Meaning {
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}

pub(super) fn run(context: &Context<'_>, name: Option<&str>, json: bool) -> Result<ExitCode> {
    let resources = inspect::named(context, name)?;
    let configured = context.configured()?;
    let out = context.out(&configured);
    let connector = &context.plan.name;
    let state = Store::read_state(&out, connector).map_err(convert::dataset_error)?;
    let mut diffs = Vec::new();
    for resource in resources {
        let known = state
            .as_ref()
            .and_then(|state| state.resource(&resource.name));
        let Some(known) = known else {
            diffs.push(DatasetDiff::new(resource, Outcome::New));
            continue;
        };
        // Nothing of sample data stays beside data of the API.
        let anew =
            context.arguments.full_refresh || (configured.any && known.source == SourceId::Sandbox);
        let evolved = if anew { &[][..] } else { &known.evolved };
        let fields = with_evolved(resource, evolved);
        let options = load_options(&fields, &resource.fields, anew);
        let replaced = anew || resource.write_disposition == WriteDisposition::Replace;
        let columns = if resource.inferred {
            Vec::new()
        } else {
            schema_diff(&out, connector, known, &options)
                .map_err(convert::dataset_error)
                .map_err(|error: Error| error.with("resource", &resource.name))?
        };
        let mut meaning = meaning(resource, known);
        if options.flattens_otherwise(known.flatten.as_ref()) {
            meaning.push(Meaning {
                what: "flattening of objects",
                from: None,
                to: None,
            });
        }
        diffs.push(DatasetDiff::of(resource, known, meaning, columns, replaced));
    }
    let gone = gone(context, state.as_ref(), name);
    let refused = diffs.iter().any(|diff| diff.outcome == Outcome::Refused);
    let text = if json {
        let value = json!({ "refused": refused, "datasets": diffs, "undeclared": gone });
        format!("{value:#}\n")
    } else {
        let mut text = String::new();
        for diff in &diffs {
            diff.write(&mut text);
        }
        for name in &gone {
            text.push_str(&format!(
                "{name}: no longer in the spec; its dataset stays as it is\n"
            ));
        }
        if refused {
            text.push_str(
                "\nThe next run refuses to write what is marked `!`: take the change back, read the \
                 resource again with `--full-refresh`, or choose another `--out`.\n",
            );
        }
        text
    };
    context.console.result(&text)?;
    Ok(match refused {
        true => ExitCode::from(ErrorKind::SchemaContract.exit_code()),
        false => ExitCode::SUCCESS,
    })
}

/// The datasets that no resource of the spec fills any more.
fn gone(context: &Context<'_>, state: Option<&State>, name: Option<&str>) -> Vec<String> {
    let known = state.into_iter().flat_map(|state| state.resources.keys());
    let gone = known.filter(|known| name.is_none() && context.plan.resource(known).is_none());
    gone.cloned().collect()
}

impl DatasetDiff {
    fn new(resource: &Resource, outcome: Outcome) -> Self {
        Self {
            resource: resource.name.clone(),
            outcome,
            meaning: Vec::new(),
            columns: Vec::new(),
            rewrites: Vec::new(),
            rewritten_bytes: 0,
        }
    }

    fn of(
        resource: &Resource,
        known: &ResourceState,
        mut meaning: Vec<Meaning>,
        columns: Vec<ColumnDiff>,
        replaced: bool,
    ) -> Self {
        let partition_by = &resource.layout.partition_by;
        if known.partition_by != *partition_by {
            meaning.push(Meaning {
                what: "partitioning",
                from: Some(PartitionColumn::describe(&known.partition_by)),
                to: Some(PartitionColumn::describe(partition_by)),
            });
        }
        let has = |kind| columns.iter().any(|column| column.change == kind);
        let outcome = if replaced {
            Outcome::Replaced
        } else if !meaning.is_empty() || has(DiffKind::Refused) {
            Outcome::Refused
        } else if resource.inferred {
            Outcome::Inferred
        } else if columns.is_empty() {
            Outcome::Unchanged
        } else {
            Outcome::Changed
        };
        let rewrites: &[DataFile] = match outcome {
            Outcome::Changed if has(DiffKind::Widened) => &known.files,
            _ => &[],
        };
        Self {
            rewritten_bytes: rewrites.iter().map(|file| file.bytes).sum(),
            rewrites: rewrites.iter().map(|file| file.name.clone()).collect(),
            meaning,
            columns,
            ..Self::new(resource, outcome)
        }
    }

    fn write(&self, text: &mut String) {
        let name = &self.resource;
        let summary = match self.outcome {
            Outcome::New => "no dataset yet",
            Outcome::Unchanged => "unchanged",
            Outcome::Changed => "the columns change, all rows stay",
            Outcome::Replaced => "all rows are replaced by those of the next run",
            Outcome::Refused => "REFUSED",
            Outcome::Inferred => "without a schema: its columns follow its records",
        };
        text.push_str(&format!("{name}: {summary}\n"));
        for change in &self.meaning {
            let (mark, what) = match self.outcome {
                Outcome::Replaced => ('~', change.what),
                _ => ('!', change.what),
            };
            match (&change.from, &change.to) {
                (Some(from), Some(to)) => {
                    text.push_str(&format!("  {mark} the {what} changes: {from} -> {to}\n"));
                }
                _ => text.push_str(&format!("  {mark} the {what} has changed\n")),
            }
        }
        let width = self
            .columns
            .iter()
            .map(|column| column.column.chars().count());
        let width = width.max().unwrap_or(0);
        for column in &self.columns {
            self.write_column(column, width, text);
        }
        if !self.rewrites.is_empty() {
            text.push_str(&format!(
                "  {} files are written again ({})\n",
                self.rewrites.len(),
                bytes(self.rewritten_bytes)
            ));
        }
    }

    fn write_column(&self, column: &ColumnDiff, width: usize, text: &mut String) {
        let types = match (&column.from, &column.to) {
            (Some(from), Some(to)) => format!("{from} -> {to}"),
            (Some(one), None) | (None, Some(one)) => one.clone(),
            (None, None) => String::new(),
        };
        let replaced = self.outcome == Outcome::Replaced;
        let (mark, what) = match column.change {
            DiffKind::Added if replaced => ('+', "new"),
            DiffKind::Added => ('+', "new; null in the rows that are there"),
            DiffKind::Absent if replaced => ('-', "gone"),
            DiffKind::Absent => ('-', "not declared any more; null in new rows"),
            DiffKind::Nullable => ('~', "may be null"),
            DiffKind::Widened | DiffKind::Refused if replaced => ('~', "another type"),
            DiffKind::Widened => ('~', "wider; the rows that are there are converted"),
            DiffKind::Refused => ('!', "the values that are there cannot be converted"),
        };
        let types = if types.is_empty() {
            types
        } else {
            format!("{types}  ")
        };
        text.push_str(&format!(
            "  {mark} {:width$}  {types}{what}\n",
            column.column
        ));
    }
}

/// What gives the rows their meaning, and is not what it was.
fn meaning(resource: &Resource, known: &ResourceState) -> Vec<Meaning> {
    if known.identity == resource.identity {
        return Vec::new();
    }
    let mut changes = Vec::new();
    let mut note = |what, from: String, to: String| {
        if from != to {
            changes.push(Meaning {
                what,
                from: Some(from),
                to: Some(to),
            });
        }
    };
    let key = |names: &[String]| match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    note(
        "primary key",
        key(&known.primary_key),
        key(&resource.primary_key),
    );
    note(
        "write disposition",
        known.write_disposition.as_str().to_owned(),
        resource.write_disposition.as_str().to_owned(),
    );
    if changes.is_empty() {
        changes.push(Meaning {
            what: "request, its selector, filter or steps, or the type of a key",
            from: None,
            to: None,
        });
    }
    changes
}
