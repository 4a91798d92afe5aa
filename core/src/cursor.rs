//! Incremental reading: what a run asks for, and where the next one goes on.
//!
//! [`Cursors`] holds the cursors of one resource in one run, one for each of its partitions. A
//! partition's start is fixed when its reading begins; its new cursor is the largest of the records
//! that were handed over, and counts only when the partition has been read to its end. The new
//! state is committed together with the data.

mod edit;
mod interval;
mod reading;
mod value;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use connector_plan::{Field, FieldType, Incremental, Resource, Template, WriteDisposition};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub(crate) use self::edit::{CursorChange, CursorEditor, WHOLE, damaged, read as read_cursors};
pub(crate) use self::interval::Interval;
use self::interval::Range;
pub(crate) use self::reading::CursorReading;
use self::value::{Codec, CursorValue, Extent};
use crate::client::Inner;
use crate::lock::lock;
use crate::partition::Partition;
use crate::record::{Date, Decimal, Timestamp};
use crate::template::{Scope, render};
use crate::{Error, ErrorKind, Json, Result};

/// The hashes of records at the cursor that a state keeps, for each partition.
const MAX_BOUNDARY: usize = 100_000;

/// A value to begin or to end at: an instant, a date, a number or a text, as the cursor has it.
#[derive(Clone, Debug, PartialEq)]
pub struct CursorInput(Json);

impl From<Timestamp> for CursorInput {
    fn from(value: Timestamp) -> Self {
        Self(
            value
                .to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
                .into(),
        )
    }
}

impl From<Date> for CursorInput {
    fn from(value: Date) -> Self {
        Self(value.to_string().into())
    }
}

impl From<Decimal> for CursorInput {
    fn from(value: Decimal) -> Self {
        Self(value.to_string().into())
    }
}

impl From<i64> for CursorInput {
    fn from(value: i64) -> Self {
        Self(value.into())
    }
}

impl From<&str> for CursorInput {
    fn from(value: &str) -> Self {
        Self(value.into())
    }
}

impl From<String> for CursorInput {
    fn from(value: String) -> Self {
        Self(value.into())
    }
}

/// The part of a resource that one run was asked for, in place of what is new.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub since: Option<CursorInput>,
    pub until: Option<CursorInput>,
}

impl Asked {
    pub(crate) fn is_all(&self) -> bool {
        self.since.is_none() && self.until.is_none()
    }
}

/// What earlier runs left behind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Before<'a> {
    /// The cursor part of the state.
    pub state: Option<&'a Json>,
    /// The rows of the dataset that this run adds to.
    pub rows: u64,
    /// Whether the children of the resource need all of its records.
    pub whole: bool,
    /// Whether the reading may end before all has been read.
    pub limited: bool,
    /// Whether the records become part of a dataset.
    pub published: bool,
    /// When the reading began, if that was in an earlier run.
    pub began: Option<DateTime<Utc>>,
}

/// The cursors of one resource in one run.
#[derive(Debug)]
pub(crate) struct Cursors {
    plan: Incremental,
    codec: Codec,
    /// The cursor's path, for people and for the state.
    path: String,
    /// What gives the state its meaning beside the path.
    identity: String,
    since: Option<CursorValue>,
    /// Whether records outside of the range are dropped.
    filters: bool,
    range: Range,
    lag: Option<Extent>,
    whole: bool,
    /// Whether records at the start are told from those that the dataset has.
    remembers: bool,
    /// The columns that tell records apart.
    key: Vec<String>,
    before: BTreeMap<String, Saved>,
    after: Mutex<After>,
    redactor: crate::secret::Redactor,
}

/// Where a partition goes on.
#[derive(Clone, Debug, PartialEq)]
struct Saved {
    value: CursorValue,
    /// The records at exactly this cursor that the dataset has.
    boundary: Vec<u128>,
}

/// What has come of the readings so far.
#[derive(Debug, Default)]
struct After {
    saved: BTreeMap<String, Saved>,
    /// The names that earlier runs gave to partitions whose values are secret now.
    renamed: BTreeMap<String, String>,
    counts: Counts,
    /// The smallest start and the largest cursor.
    from: Option<CursorValue>,
    to: Option<CursorValue>,
    /// Whether some partition has been read from its beginning.
    from_beginning: bool,
    /// The partitions whose cursor stays, since a part before the range has not been read.
    gaps: u64,
}

/// Records that were not handed over, or have no cursor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    outside: u64,
    repeated: u64,
    excluded: u64,
    included: u64,
}

/// The cursor of a resource in the record of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CursorRecord {
    /// The path of the cursor in a record.
    pub field: String,
    /// The smallest start of all partitions; null from the beginning.
    pub from: Option<Json>,
    /// The largest cursor of the records read; null without records.
    pub to: Option<Json>,
    /// Whether the next run goes on behind this one.
    pub advanced: bool,
    /// Partitions whose cursor stays, since what lies before `--since` has not been read.
    pub gaps: u64,
    /// Records dropped because their cursor is outside of the range.
    pub rows_outside: u64,
    /// Records at the start that the dataset had already.
    pub rows_repeated: u64,
    /// Records dropped because they have no cursor.
    pub rows_without_cursor_dropped: u64,
    /// Records kept though they have no cursor.
    pub rows_without_cursor_kept: u64,
    /// Where the run was to go on; null when it began at the beginning.
    pub before: Option<CursorSpan>,
    /// Where the next run goes on; null when it begins at the beginning.
    pub after: Option<CursorSpan>,
}

/// The cursors of all partitions of a resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CursorSpan {
    /// How many partitions have one; 1 for a resource that is read by itself.
    pub partitions: u64,
    /// The smallest of them.
    pub lowest: Json,
    /// The largest of them.
    pub highest: Json,
}

impl Cursors {
    /// The cursors of a resource; none when it has no cursor. When the dataset begins `anew`, the
    /// range that is asked for is its beginning.
    ///
    /// # Errors
    /// When the state belongs to another cursor, an end of the range is no value of the cursor, or
    /// the range would write records twice or leave a dataset with fewer.
    pub(crate) fn new(
        resource: &Resource,
        client: &Inner,
        asked: &Asked,
        anew: bool,
        before: Before<'_>,
    ) -> Result<Option<Self>> {
        let Some(plan) = &resource.incremental else {
            return if asked.is_all() {
                Ok(None)
            } else {
                Err(no_cursor(&resource.name))
            };
        };
        let now = before.began.unwrap_or_else(Utc::now);
        let codec = Codec::new(plan)?;
        let path = edit::cursor_path(plan);
        let evaluate = |template: &Option<Template>| -> Result<Option<Json>> {
            let scope = Scope {
                settings: Some(&client.settings),
                ..Scope::default()
            };
            let value = template.as_ref().map(|template| render(template, scope));
            Ok(value.transpose()?.map(|rendered| rendered.value))
        };
        let moment = |name: &str, value: Option<Json>| match value {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) if text.is_empty() => Ok(None),
            Some(value) => match codec.parse(&value) {
                Some(value) => Ok(Some(value)),
                None => Err(no_value(name, &value, &path)),
            },
        };
        let extent = |name: &str, template: &Option<Template>| -> Result<Option<Extent>> {
            match evaluate(template)? {
                None | Some(Json::Null) => Ok(None),
                Some(value) => match codec.extent(&value) {
                    Some(extent) if extent.is_zero() => Ok(None),
                    Some(extent) => Ok(Some(extent)),
                    None => Err(no_value(name, &value, &path)),
                },
            }
        };
        let initial = moment("initial_value", evaluate(&plan.initial)?)?;
        let end = moment("end_value", evaluate(&plan.end)?)?;
        let since = moment("start", asked.since.clone().map(|input| input.0))?;
        let until = moment("end", asked.until.clone().map(|input| input.0))?;
        let initial = if anew {
            since.clone().or(initial)
        } else {
            initial
        };
        let own = |name: &&str| {
            !resource
                .relations
                .included()
                .any(|include| include.column == *name)
        };
        let key: Vec<String> = if resource.primary_key.is_empty() {
            let names = resource.fields.iter().map(|field| field.name.as_str());
            names.filter(own).map(str::to_owned).collect()
        } else {
            resource.primary_key.clone()
        };
        let identity = identity(resource, plan, &binding_names(resource));
        let mut cursors = Self {
            range: Range {
                start: None,
                start_open: plan.start_open,
                end: until.or(end),
                end_closed: plan.end_closed,
                step: extent("step", &plan.step)?,
                granularity: extent("granularity", &plan.granularity)?,
                initial,
                now,
            },
            lag: extent("lag", &plan.lag)?,
            codec,
            path,
            identity,
            since,
            filters: plan.client_side || !asked.is_all(),
            whole: before.whole,
            remembers: resource.write_disposition == WriteDisposition::Append && !plan.start_open,
            key,
            before: BTreeMap::new(),
            after: Mutex::default(),
            redactor: client.redactor.clone(),
            plan: plan.clone(),
        };
        if resource.write_disposition != WriteDisposition::Replace
            && let Some(state) = before.state
        {
            cursors.before = cursors.restore(state)?;
        }
        cursors.check(resource, before)?;
        Ok(Some(cursors))
    }

    /// The cursors of a resource whose records become part of no dataset.
    ///
    /// # Errors
    /// When an end of the range is no value of the cursor.
    pub(crate) fn by_itself(
        resource: &Resource,
        client: &Inner,
        asked: &Asked,
    ) -> Result<Option<Arc<Self>>> {
        Self::new(resource, client, asked, false, Before::default())
            .map(|cursors| cursors.map(Arc::new))
            .map_err(|error| error.with("resource", &resource.name))
    }

    /// Checks that the range fits to what the dataset holds.
    fn check(&self, resource: &Resource, before: Before<'_>) -> Result<()> {
        let is_part = self.since.is_some();
        match resource.write_disposition {
            WriteDisposition::Merge => Ok(()),
            WriteDisposition::Replace if is_part && before.rows > 0 => Err(refused(format!(
                "`--since` would replace the {} records of the dataset by fewer",
                before.rows
            ))
            .hint("write them elsewhere with `--out`, or begin anew with `--full-refresh`")),
            WriteDisposition::Replace => Ok(()),
            WriteDisposition::Append if self.before.is_empty() && before.rows > 0 => {
                Err(refused(format!(
                    "the dataset has {} records and no cursor: it cannot be told which of them come again",
                    before.rows
                ))
                .hint("begin anew with `--full-refresh`; a sample (`--limit`) or a run without `incremental` has written them"))
            }
            WriteDisposition::Append if before.limited && !self.before.is_empty() => {
                Err(refused(
                    "with `--limit` the cursor stays, and the next run would append the same records again",
                )
                .hint("write the sample elsewhere with `--out`, or look at it with `preview`"))
            }
            // What becomes part of no dataset is in none twice.
            WriteDisposition::Append if before.rows == 0 && !before.published => Ok(()),
            WriteDisposition::Append if is_part && before.rows == 0 && self.before.is_empty() => {
                if self.reaches(None) || before.limited {
                    return Ok(());
                }
                Err(refused(
                    "`--since` is behind the start of this resource: what lies between would be missing, and the next run would append the same records again",
                )
                .hint("begin there with `--full-refresh --since …`"))
            }
            WriteDisposition::Append if is_part => Err(refused(
                "`--since` would append records that the dataset has already",
            )
            .hint("declare `write_disposition: merge` with a `primary_key`, or begin anew with `--full-refresh`")),
            WriteDisposition::Append => Ok(()),
        }
    }

    /// Whether the range begins where the runs before it came to, or earlier.
    fn reaches(&self, before: Option<&CursorValue>) -> bool {
        let frontier = before.or(self.range.initial.as_ref());
        match (&self.since, frontier) {
            (None, _) => true,
            (Some(since), Some(frontier)) => since <= frontier,
            (Some(_), None) => false,
        }
    }

    /// Begins to read a partition.
    pub(crate) fn begin(&self, partition: &Partition) -> CursorReading<'_> {
        let (key, before) = self.known(&partition.values);
        let value = before.map(|saved| &saved.value);
        let start = match (&self.since, value) {
            (Some(since), _) => Some(since.clone()),
            (None, Some(value)) if !self.whole => {
                let lagged = self
                    .lag
                    .and_then(|lag| value.shift(lag, -1))
                    .unwrap_or_else(|| value.clone());
                // The start of the first run is the earliest there is, unless the state is earlier.
                let earliest = self
                    .range
                    .initial
                    .as_ref()
                    .filter(|initial| *initial <= value);
                Some(match earliest {
                    Some(initial) => lagged.max(initial.clone()),
                    None => lagged,
                })
            }
            _ => self.range.initial.clone(),
        };
        let range = Range {
            // The first record of all belongs to the range, whatever runs leave out at their start.
            start_open: self.range.start_open && (self.since.is_some() || before.is_some()),
            start,
            ..self.range.clone()
        };
        CursorReading::new(self, key, range, before.cloned(), self.reaches(value))
    }

    /// Notes that a partition has been read to its end.
    fn end(&self, key: &str, reading: reading::Ended) {
        let mut after = lock(&self.after);
        let counts = &mut after.counts;
        counts.outside += reading.counts.outside;
        counts.repeated += reading.counts.repeated;
        counts.excluded += reading.counts.excluded;
        counts.included += reading.counts.included;
        match reading.start {
            None => after.from_beginning = true,
            Some(start) => {
                let smaller = after.from.as_ref().is_none_or(|from| start < *from);
                if smaller {
                    after.from = Some(start);
                }
            }
        }
        if let Some(highest) = reading.highest
            && after.to.as_ref().is_none_or(|to| highest > *to)
        {
            after.to = Some(highest);
        }
        if reading.gap {
            after.gaps += 1;
        } else if let Some(saved) = reading.saved {
            after.saved.insert(key.to_owned(), saved);
        }
    }

    /// The state after the run: the new cursors of the partitions read, the old ones of all others.
    pub(crate) fn state(&self) -> Option<Json> {
        let mut all = self.before.clone();
        {
            let after = lock(&self.after);
            let names = after.saved.keys();
            for plain in names.filter_map(|name| after.renamed.get(name)) {
                all.remove(plain);
            }
            all.extend(after.saved.clone());
        }
        if all.is_empty() {
            return None;
        }
        let partitions: serde_json::Map<String, Json> = all
            .into_iter()
            .map(|(key, saved)| {
                let mut entry = json!({ "value": self.codec.state(&saved.value) });
                if !saved.boundary.is_empty() {
                    let hashes = saved.boundary.iter().map(|hash| format!("{hash:032x}"));
                    entry["boundary"] = hashes.collect();
                }
                (key, entry)
            })
            .collect();
        Some(json!({
            "cursor": self.path,
            "identity": self.identity,
            "partitions": partitions,
        }))
    }

    /// The state that earlier runs left.
    fn restore(&self, state: &Json) -> Result<BTreeMap<String, Saved>> {
        let text = |name: &str| state.get(name).and_then(Json::as_str).unwrap_or_default();
        if (text("cursor"), text("identity")) != (self.path.as_str(), self.identity.as_str()) {
            return Err(refused(format!(
                "the state belongs to the cursor `{}` ({}), the spec has `{}` ({})",
                text("cursor"),
                text("identity"),
                self.path,
                self.identity
            ))
            .hint("read the resource again with `--full-refresh`"));
        }
        let damaged = || {
            refused("the cursors in the state cannot be read").hint(
                "restore the state from a backup, or read the resource again with `--full-refresh`",
            )
        };
        let partitions = state.get("partitions").and_then(Json::as_object);
        let mut saved = BTreeMap::new();
        for (key, entry) in partitions.ok_or_else(damaged)? {
            let value = entry
                .get("value")
                .and_then(|value| self.codec.read_state(value));
            let hashes = entry.get("boundary").and_then(Json::as_array);
            let boundary = hashes
                .into_iter()
                .flatten()
                .map(|hash| u128::from_str_radix(hash.as_str()?, 16).ok())
                .collect::<Option<Vec<u128>>>();
            let entry = Saved {
                value: value.ok_or_else(damaged)?,
                boundary: boundary.ok_or_else(damaged)?,
            };
            saved.insert(key.clone(), entry);
        }
        Ok(saved)
    }

    /// What the state calls a partition, and where it goes on: its values as JSON, in the order of
    /// their names, or a hash of that where something in it is secret.
    ///
    /// What is secret is not the same in every run: a state is found under either name.
    fn known(&self, values: &Json) -> (String, Option<&Saved>) {
        let mut members: Vec<(&String, &Json)> = values.as_object().into_iter().flatten().collect();
        members.sort_unstable_by_key(|(name, _)| *name);
        let members: Vec<String> = members
            .into_iter()
            .map(|(name, value)| format!("{}:{value}", Json::from(name.as_str())))
            .collect();
        let plain = format!("{{{}}}", members.join(","));
        let hash = twox_hash::XxHash3_128::oneshot(plain.as_bytes());
        let hashed = format!("#{hash:032x}");
        if let Some(before) = self.before.get(&hashed) {
            return (hashed, Some(before));
        }
        let before = self.before.get(&plain);
        // A state is shown and copied: what is secret has no place in it.
        if self.redactor.redact(&plain) == plain {
            return (plain, before);
        }
        if before.is_some() {
            let mut after = lock(&self.after);
            after.renamed.insert(hashed.clone(), plain);
        }
        (hashed, before)
    }

    /// What the run did with the cursor.
    ///
    /// `state` is what is kept for the next run.
    pub(crate) fn record(&self, advanced: bool, state: Option<&Json>) -> CursorRecord {
        let kept = state.and_then(|state| self.restore(state).ok());
        let after = lock(&self.after);
        let show =
            |value: &Option<CursorValue>| value.as_ref().map(|value| self.codec.state(value));
        CursorRecord {
            field: self.path.clone(),
            from: if after.from_beginning {
                None
            } else {
                show(&after.from)
            },
            to: show(&after.to),
            advanced: advanced && after.gaps == 0,
            gaps: after.gaps,
            rows_outside: after.counts.outside,
            rows_repeated: after.counts.repeated,
            rows_without_cursor_dropped: after.counts.excluded,
            rows_without_cursor_kept: after.counts.included,
            before: self.span(&self.before),
            after: kept.and_then(|kept| self.span(&kept)),
        }
    }

    fn span(&self, saved: &BTreeMap<String, Saved>) -> Option<CursorSpan> {
        let values = || saved.values().map(|saved| &saved.value);
        Some(CursorSpan {
            partitions: saved.len() as u64,
            lowest: self.codec.state(values().min()?),
            highest: self.codec.state(values().max()?),
        })
    }
}

/// The names of the values that tell a resource's partitions apart, sorted.
fn binding_names(resource: &Resource) -> Vec<&str> {
    let mut names: Vec<&str> = resource
        .relations
        .parents
        .iter()
        .flat_map(|parent| parent.bindings.iter().map(|binding| binding.name.as_str()))
        .chain(
            resource
                .relations
                .partitions
                .first()
                .into_iter()
                .flat_map(|partition| partition.keys().map(String::as_str)),
        )
        .collect();
    names.sort_unstable();
    names
}

/// What must not change between two runs, in words.
fn identity(resource: &Resource, plan: &Incremental, names: &[&str]) -> String {
    let mut formats = plan.record_formats.clone();
    if formats.is_empty()
        && let Some(field) = Field::at(&resource.fields, &plan.cursor)
        && let FieldType::Timestamp { formats: own } = &field.field_type
    {
        formats.clone_from(own);
    }
    let kind = match plan.kind {
        connector_plan::CursorKind::Timestamp => format!("timestamp as {}", formats.join(" or ")),
        connector_plan::CursorKind::Date => "date".to_owned(),
        connector_plan::CursorKind::Integer => "integer".to_owned(),
        connector_plan::CursorKind::Decimal(scale) => format!("decimal of scale {scale}"),
        connector_plan::CursorKind::String => "string".to_owned(),
    };
    if names.is_empty() {
        kind
    } else {
        format!("{kind}, for each {}", names.join(", "))
    }
}

/// A range was asked for of something that has none.
pub(crate) fn no_cursor(resource: &str) -> Error {
    Error::new(
        ErrorKind::Configuration,
        format!(
            "`{resource}` has no incremental cursor, so it cannot be read from a start to an end"
        ),
    )
    .hint("declare `incremental: {cursor_path: …}` in the spec, or read all of it")
}

fn no_value(name: &str, value: &Json, path: &str) -> Error {
    refused(format!(
        "`{name}` is `{}`, which is no value for the cursor `{path}`",
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    ))
    .hint(
        "an instant is written `2024-01-31T00:00:00Z` or `2024-01-31`, a length `P1D` or `7 days`",
    )
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Configuration, message)
}

#[cfg(test)]
mod tests {
    use connector_plan::{CursorKind, MissingCursor};

    use super::*;

    /// The cursor `at` of this kind, with nothing beside it.
    pub(super) fn plan(kind: CursorKind) -> Incremental {
        Incremental {
            cursor: vec![connector_plan::Step::Key("at".to_owned())],
            kind,
            record_formats: Vec::new(),
            format: "rfc3339".to_owned(),
            value_formats: Vec::new(),
            initial: None,
            end: None,
            start_target: None,
            end_target: None,
            start_open: false,
            end_closed: false,
            step: None,
            granularity: None,
            lag: None,
            client_side: true,
            row_order: None,
            missing: MissingCursor::Raise,
            names: ["start_time".to_owned(), "end_time".to_owned()],
        }
    }
}
