//! The run record: what a run did, for reports and later runs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use connector_dataset::{LoadReport, RunId, SourceId};
use connector_decode::{Report, RescuedField};
use connector_plan::{Resource, WriteDisposition};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use super::instant;
use super::resume::ResumedRecord;
use crate::cli::console;
use crate::cli::context::Context;
use crate::cursor::CursorRecord;
use crate::extract::Extracted;
use crate::meter::Stage;
use crate::{Error, ErrorKind, Json, Meter, Result};

/// The version of the run record's format; it is raised when a member changes its meaning.
pub const RECORD_VERSION: u32 = 1;

/// What a run did: the content of `_connector/runs/<run>.json` and of the file of `--report`.
///
/// It is written when the run begins, with the status `running`, and again when it ends. Members
/// that a reader does not know are passed over, members that are missing are nothing or zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RunRecord {
    /// The format's version, [`RECORD_VERSION`].
    pub version: u32,
    /// The run's name, a UUID of version 7 (RFC 9562): names sort by time.
    pub run: String,
    /// The connector's name.
    pub connector: String,
    /// The connector's version.
    pub connector_version: String,
    /// The hash of the specification.
    pub spec_hash: String,
    /// Where the records came from: `"sandbox"`, or the `origin` of the API.
    #[serde(deserialize_with = "known")]
    pub source: Option<SourceId>,
    /// How the run ended.
    pub status: RunStatus,
    /// The exit code of the process; null while the run is under way, and when it died.
    pub exit_code: Option<u8>,
    /// When the run began, in UTC (RFC 3339, microseconds).
    #[serde(with = "instant")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended, likewise; null while it is under way, and when it died.
    #[serde(with = "instant")]
    pub finished_at: Option<DateTime<Utc>>,
    /// Whether everything was read again.
    pub full_refresh: bool,
    /// The most records of each resource, of `--limit`.
    pub limit: Option<u64>,
    /// Where incremental resources were to begin, of `--since`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Where they were to end, of `--until`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The resources of `--resource`; none when all that are selected were to be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Why the run as a whole did not end well; null when only its resources tell.
    pub error: Option<ErrorRecord>,
    /// What a person should know of the run as a whole.
    pub warnings: Vec<String>,
    /// The resources, in the order in which they were read.
    pub resources: Vec<ResourceRecord>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunStatus {
    /// It is under way.
    Running,
    /// Everything that was asked for was done.
    Succeeded,
    /// Some resources failed, others were published.
    Partial,
    /// It failed, and nothing was published.
    Failed,
    /// The user or the system asked it to end.
    Interrupted,
    /// Its process ended without a word: it was killed, or the machine went down.
    Died,
    /// Something that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// What a run did with one resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ResourceRecord {
    /// The resource's name.
    pub name: String,
    /// How it ended.
    pub status: Status,
    /// `append`, `replace` or `merge`.
    pub write_disposition: String,
    /// How, where records are merged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge_strategy: Option<String>,
    /// Records received from the API and handed to the dataset; of a resource that failed, those
    /// received until then.
    pub rows_read: u64,
    /// Records received that the resource's filter dropped.
    pub rows_filtered: u64,
    /// Answers that actions of the spec made pages without records.
    pub ignored_responses: u64,
    /// Whether `--limit` ended the reading before the API did.
    pub stopped_at_limit: bool,
    /// The values of parents and of the spec that it was read for, once each.
    pub partitions: u64,
    /// Those that could not be read and were passed over, as the spec says.
    pub skipped_partitions: u64,
    /// Why the first of them was.
    pub skipped_because: Option<String>,
    /// What an earlier run had read of it, which is not read again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed: Option<ResumedRecord>,
    /// What was read of a resource with an incremental cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<CursorRecord>,
    /// From the first request to the published dataset, in seconds.
    pub seconds: f64,
    /// Where that time went. The stages run beside each other, so that they add up to more.
    pub stages: StageSeconds,
    /// What went over the network.
    #[serde(flatten)]
    pub reading: ReadingRecord,
    /// What became of the dataset; null when nothing was published.
    pub load: Option<LoadReport>,
    /// Values that no declared column could hold, by path.
    pub rescued: Vec<RescuedRecord>,
    /// Values of further paths, beyond those listed.
    pub rescued_other: u64,
    /// Values that the contract dropped, by path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub discarded_values: Vec<RescuedRecord>,
    /// Values of further paths that it dropped.
    #[serde(skip_serializing_if = "is_zero")]
    pub discarded_values_other: u64,
    /// Records that the contract dropped, by the path of the first reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub discarded_rows: Vec<RescuedRecord>,
    /// Records that it dropped because of further paths.
    #[serde(skip_serializing_if = "is_zero")]
    pub discarded_rows_other: u64,
    /// Keys that came twice in one object; the last one counts.
    pub duplicate_keys: u64,
    /// Values on the way of `data_selector` that have nothing of what it asks for next, although
    /// others in the same page have.
    pub selector_misses: u64,
    /// The first of them, and what it does not have.
    pub first_selector_miss: Option<String>,
    /// What a person should know of the resource.
    pub warnings: Vec<String>,
    /// Why it failed.
    pub error: Option<ErrorRecord>,
}

/// What went over the network for one resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ReadingRecord {
    /// Pages decoded.
    pub pages: u64,
    /// Bytes of their bodies, decompressed.
    pub bytes_read: u64,
    /// Requests sent, token requests and retries included.
    pub requests: u64,
    /// Requests sent again after a failure.
    pub retries: u64,
    /// Pages that were requested ahead, and turned out not to be needed: most lie behind the end.
    #[serde(skip_serializing_if = "is_zero")]
    pub unneeded_pages: u64,
    /// Seconds of all waits before retries, those at the same time added up.
    pub waited_seconds: f64,
    /// The waits by their reason.
    pub waits: Vec<WaitRecord>,
}

/// The waits for one reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct WaitRecord {
    /// The failure that was waited out.
    pub reason: String,
    /// How many waits.
    pub waits: u64,
    /// Their seconds, those at the same time added up.
    pub seconds: f64,
}

/// Where the time of a resource went, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct StageSeconds {
    /// At least one request was under way; waits before retries are not in it.
    pub fetch: f64,
    /// Pages became columns.
    pub decode: f64,
    /// Columns became files aside.
    pub encode: f64,
    /// The files were compared with the dataset and published.
    pub publish: f64,
}

/// Values that no declared column could hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RescuedRecord {
    /// The path in a record.
    pub path: String,
    /// How many values.
    pub values: u64,
    /// Where the first of them is, as a JSON path into its page.
    pub first_at: String,
}

/// Why something failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ErrorRecord {
    /// Whose fault it is, as [`ErrorKind::as_str`] says it.
    pub kind: String,
    /// What went wrong.
    pub message: String,
    /// Where it happened.
    pub context: BTreeMap<String, String>,
    /// The causes, from the nearest on.
    pub causes: Vec<String>,
    /// What the user can do.
    pub hints: Vec<String>,
}

/// How a resource ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// Its dataset is up to date.
    Published,
    /// It failed, and its dataset is as it was.
    Failed,
    /// The run was interrupted while it was read, and its dataset is as it was.
    Interrupted,
    /// The run ended before it.
    NotRead,
    /// Read for its children, and not written.
    Read,
    /// Something that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Seconds to the microsecond: more digits tell nothing.
fn seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}

/// What this version knows of a value, if anything.
fn known<'de, D: Deserializer<'de>, T: DeserializeOwned>(input: D) -> Result<Option<T>, D::Error> {
    let value = Json::deserialize(input)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

impl RunRecord {
    pub(crate) fn start(context: &Context<'_>, source: &SourceId, run: RunId) -> Self {
        Self {
            version: RECORD_VERSION,
            run: run.to_string(),
            connector: context.plan.name.clone(),
            connector_version: context.connector.version.to_owned(),
            spec_hash: context.plan.spec_hash.clone(),
            source: Some(source.clone()),
            status: RunStatus::Running,
            started_at: Some(Utc::now()),
            full_refresh: context.arguments.full_refresh,
            limit: context.arguments.limit,
            since: context.arguments.since.clone(),
            until: context.arguments.until.clone(),
            only: context.arguments.resources.clone(),
            ..Self::default()
        }
    }

    /// Notes how the run ended: with the first error, if any, whose kind decides the exit code.
    pub(crate) fn finish(&mut self, error: Option<ErrorKind>) -> u8 {
        let mut entries = self.resources.iter();
        let published = entries.any(|entry| entry.status == Status::Published);
        let (status, code) = match error {
            None => (RunStatus::Succeeded, 0),
            Some(kind @ (ErrorKind::Interrupted | ErrorKind::Terminated)) => {
                (RunStatus::Interrupted, kind.exit_code())
            }
            Some(_) if published => (RunStatus::Partial, ErrorKind::Partial.exit_code()),
            Some(kind) => (RunStatus::Failed, kind.exit_code()),
        };
        self.status = status;
        self.exit_code = Some(code);
        self.finished_at = Some(Utc::now());
        code
    }

    pub(crate) fn to_json(&self) -> Result<Json> {
        serde_json::to_value(self).map_err(|error| {
            Error::new(ErrorKind::Internal, "the run record is not JSON").caused_by(error)
        })
    }

    /// An instant as the record has it.
    pub(crate) fn instant(instant: DateTime<Utc>) -> String {
        instant.to_rfc3339_opts(SecondsFormat::Micros, true)
    }

    /// From its beginning to its end, in seconds; nothing while it is under way, or when it died.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        let time = self.finished_at? - self.started_at?;
        Some(time.as_seconds_f64().max(0.0))
    }

    /// The sum of a number over all resources; zero for those that have nothing.
    #[must_use]
    pub fn total(&self, of: impl Fn(&ResourceRecord) -> u64) -> u64 {
        self.resources.iter().map(of).sum()
    }
}

impl RunStatus {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Died => "died",
            Self::Unknown => "unknown",
        }
    }
}

impl Status {
    /// The words for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::NotRead => "not read",
            Self::Read => "read",
            Self::Unknown => "unknown",
        }
    }
}

impl ResourceRecord {
    /// A resource that has not been read yet.
    pub(crate) fn new(resource: &Resource) -> Self {
        let merges = resource.write_disposition == WriteDisposition::Merge;
        Self {
            name: resource.name.clone(),
            status: Status::NotRead,
            write_disposition: resource.write_disposition.as_str().to_owned(),
            merge_strategy: merges.then(|| resource.merge.strategy.as_str().to_owned()),
            ..Self::default()
        }
    }

    pub(crate) fn finish(&mut self, meter: &Meter, elapsed: Duration) {
        let reading = meter.read();
        self.seconds = seconds(elapsed);
        self.stages = StageSeconds {
            fetch: seconds(meter.fetching()),
            decode: seconds(meter.spent(Stage::Decode)),
            encode: seconds(meter.spent(Stage::Encode)),
            publish: seconds(meter.spent(Stage::Publish)),
        };
        let waits = meter.waits().into_iter().map(|waits| WaitRecord {
            reason: waits.reason,
            waits: waits.waits,
            seconds: seconds(waits.time),
        });
        self.reading = ReadingRecord {
            pages: reading.pages,
            bytes_read: reading.bytes,
            requests: reading.requests,
            retries: reading.retries,
            unneeded_pages: reading.unneeded,
            waited_seconds: reading.waited_ms as f64 / 1e3,
            waits: waits.collect(),
        };
        self.warnings.extend(meter.warnings());
        if !matches!(self.status, Status::Published | Status::Read) {
            self.rows_read = reading.rows;
        }
    }

    pub(crate) fn fail(&mut self, error: &Error) {
        self.status = match error.kind() {
            ErrorKind::Interrupted | ErrorKind::Terminated => Status::Interrupted,
            _ => Status::Failed,
        };
        self.error = Some(ErrorRecord::new(error));
    }

    /// A resource that was read as far as its children needed it.
    pub(crate) fn supplied(&mut self, meter: &Meter, outcome: Option<Result<Extracted>>) {
        self.finish(meter, Duration::ZERO);
        self.status = Status::Read;
        match outcome {
            Some(Ok(extracted)) => self.read(extracted),
            Some(Err(error)) => self.fail(&error),
            None => self.stopped_at_limit = true,
        }
    }

    /// What the reading came to.
    pub(crate) fn read(&mut self, extracted: Extracted) {
        self.rows_read = extracted.rows;
        self.rows_filtered = extracted.filtered;
        self.ignored_responses = extracted.ignored;
        self.stopped_at_limit = extracted.stopped;
        self.partitions = extracted.partitions;
        self.skipped_partitions = extracted.skipped;
        self.skipped_because = extracted.skip_reason.as_ref().map(Error::to_string);
        self.rescued(extracted.report);
    }

    fn rescued(&mut self, report: Report) {
        self.rescued_other = report.rescued_other;
        self.duplicate_keys = report.duplicate_keys;
        self.selector_misses = report.selector_misses;
        self.first_selector_miss = report.first_selector_miss;
        self.discarded_values_other = report.discarded_values_other;
        self.discarded_rows_other = report.discarded_rows_other;
        self.rescued = by_path(report.rescued);
        self.discarded_values = by_path(report.discarded_values);
        self.discarded_rows = by_path(report.discarded_rows);
    }

    /// A number of what became of its dataset; zero when nothing did.
    #[must_use]
    pub fn loaded(&self, of: impl Fn(&LoadReport) -> u64) -> u64 {
        self.load.as_ref().map_or(0, of)
    }

    /// How many values no declared column could hold.
    #[must_use]
    pub fn rescued_values(&self) -> u64 {
        self.rescued
            .iter()
            .map(|rescued| rescued.values)
            .sum::<u64>()
            + self.rescued_other
    }

    /// How many values, and how many records, the contract dropped.
    pub(crate) fn discarded(&self) -> (u64, u64) {
        let sum = |fields: &[RescuedRecord]| fields.iter().map(|field| field.values).sum::<u64>();
        (
            sum(&self.discarded_values) + self.discarded_values_other,
            sum(&self.discarded_rows) + self.discarded_rows_other,
        )
    }
}

fn by_path(fields: Vec<RescuedField>) -> Vec<RescuedRecord> {
    let fields = fields.into_iter().map(|field| RescuedRecord {
        path: field.path,
        values: field.count,
        first_at: field.sample,
    });
    fields.collect()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde takes"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl fmt::Display for ErrorRecord {
    /// One line: what went wrong and where, without causes and hints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for (index, (key, value)) in self.context.iter().enumerate() {
            let open = if index == 0 { " (" } else { ", " };
            write!(f, "{open}{key}: {value}")?;
        }
        f.write_str(if self.context.is_empty() { "" } else { ")" })
    }
}

impl ErrorRecord {
    pub(crate) fn new(error: &Error) -> Self {
        let context = error.context();
        Self {
            kind: error.kind().as_str().to_owned(),
            message: error.message().to_owned(),
            context: context
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            causes: console::causes(error),
            hints: error.hints().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = RunRecord {
            version: RECORD_VERSION,
            run: "01a1fdb8-9456-7089-a928-2f4f87e71000".to_owned(),
            source: Some(SourceId::origin("https://api.example.com")),
            status: RunStatus::Partial,
            exit_code: Some(7),
            started_at: DateTime::from_timestamp_micros(1_800_000_000_000_000),
            finished_at: DateTime::from_timestamp_micros(1_800_000_001_250_001),
            resources: vec![ResourceRecord {
                name: "files".to_owned(),
                status: Status::Published,
                rows_read: 3,
                load: Some(LoadReport {
                    inserted: 3,
                    ..LoadReport::default()
                }),
                ..ResourceRecord::default()
            }],
            ..RunRecord::default()
        };
        let json = record.to_json().unwrap();
        assert_eq!(json["started_at"], "2027-01-15T08:00:00.000000Z");
        assert_eq!(json["finished_at"], "2027-01-15T08:00:01.250001Z");
        assert_eq!(record.seconds(), Some(1.250_001));
        let read: RunRecord = serde_json::from_value(json).unwrap();
        assert_eq!(read, record);
    }

    #[test]
    fn a_record_of_another_version_is_read_as_far_as_it_is_known() {
        let text = r#"{
            "version": 9, "status": "paused", "source": {"table": "x"}, "started_at": "soon",
            "future": {"a": [1]},
            "resources": [
                {
                    "name": "files", "status": "halved", "future": 1, "pages": 2,
                    "cursor": {"field": "at", "future": 1},
                    "load": {
                        "inserted": 4, "future": 1,
                        "files_added": [
                            {"name": "a", "rows": 4, "bytes": 9, "sha256": "0"},
                            {"link": "b"}
                        ],
                        "schema_changes": [{"column": "x", "change": "folded"}]
                    }
                },
                {}
            ]
        }"#;
        let record: RunRecord = serde_json::from_str(text).unwrap();
        assert_eq!(
            (
                record.version,
                record.status,
                &record.source,
                record.started_at
            ),
            (9, RunStatus::Unknown, &None, None)
        );
        let files = &record.resources[0];
        let load = files.load.as_ref().unwrap();
        assert_eq!((files.status, files.reading.pages), (Status::Unknown, 2));
        assert_eq!((load.inserted, load.files_added.len()), (4, 1));
        assert_eq!(load.schema_changes, []);
        assert_eq!(record.resources[1], ResourceRecord::default());
    }
}
