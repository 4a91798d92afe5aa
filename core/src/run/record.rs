//! The run record: what a run did, for reports and later runs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use connector_dataset::{LoadReport, RunId, SourceId};
use connector_decode::{Report, RescuedField};
use connector_plan::{Resource, WriteDisposition};
use serde::Serialize;

use crate::cli::console;
use crate::cli::context::Context;
use crate::cursor::CursorRecord;
use crate::extract::Extracted;
use crate::{Error, ErrorKind, Json, Reading, Result};

/// The version of the run record's format.
const RECORD_VERSION: u32 = 1;

/// What a run did.
#[derive(Debug, Serialize)]
pub(crate) struct RunRecord {
    pub version: u32,
    pub run: String,
    pub connector: String,
    pub connector_version: String,
    pub spec_hash: String,
    pub source: SourceId,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub full_refresh: bool,
    pub limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    pub resources: Vec<ResourceRecord>,
}

/// What a run did with one resource.
#[derive(Debug, Serialize)]
pub(crate) struct ResourceRecord {
    pub name: String,
    pub status: Status,
    pub write_disposition: &'static str,
    /// How, where records are merged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge_strategy: Option<&'static str>,
    /// Records received from the API and handed to the dataset.
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
    pub skipped_because: Option<String>,
    /// What was read of a resource with an incremental cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<CursorRecord>,
    pub seconds: f64,
    #[serde(flatten)]
    pub reading: ReadingRecord,
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
    pub error: Option<Json>,
}

/// The meter's last reading, under the names of the run record.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ReadingRecord {
    pub pages: u64,
    pub bytes_read: u64,
    pub requests: u64,
    pub retries: u64,
    pub waited_seconds: f64,
}

/// Values that no declared column could hold.
#[derive(Debug, Serialize)]
pub(crate) struct RescuedRecord {
    pub path: String,
    pub values: u64,
    /// Where the first of them is, as a JSON path into its page.
    pub first_at: String,
}

/// How a resource ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Published,
    Failed,
    NotRead,
    /// Read for its children, and not written.
    Read,
}

impl RunRecord {
    pub(crate) fn start(context: &Context<'_>, source: &SourceId, run: RunId) -> Self {
        Self {
            version: RECORD_VERSION,
            run: run.to_string(),
            connector: context.plan.name.clone(),
            connector_version: context.connector.version.to_owned(),
            spec_hash: context.plan.spec_hash.clone(),
            source: source.clone(),
            started_at: Utc::now(),
            finished_at: None,
            full_refresh: context.arguments.full_refresh,
            limit: context.arguments.limit,
            since: context.arguments.since.clone(),
            until: context.arguments.until.clone(),
            resources: Vec::new(),
        }
    }

    pub(crate) fn finish(&mut self) {
        self.finished_at = Some(Utc::now());
    }

    pub(crate) fn to_json(&self) -> Result<Json> {
        serde_json::to_value(self).map_err(|error| {
            Error::new(ErrorKind::Internal, "the run record is not JSON").caused_by(error)
        })
    }
}

impl ResourceRecord {
    /// A resource that has not been read yet.
    pub(crate) fn new(resource: &Resource) -> Self {
        Self {
            name: resource.name.clone(),
            status: Status::NotRead,
            write_disposition: resource.write_disposition.as_str(),
            merge_strategy: (resource.write_disposition == WriteDisposition::Merge)
                .then(|| resource.merge.strategy.as_str()),
            rows_read: 0,
            rows_filtered: 0,
            ignored_responses: 0,
            stopped_at_limit: false,
            partitions: 0,
            skipped_partitions: 0,
            skipped_because: None,
            cursor: None,
            seconds: 0.0,
            reading: ReadingRecord::default(),
            load: None,
            rescued: Vec::new(),
            rescued_other: 0,
            discarded_values: Vec::new(),
            discarded_values_other: 0,
            discarded_rows: Vec::new(),
            discarded_rows_other: 0,
            duplicate_keys: 0,
            selector_misses: 0,
            first_selector_miss: None,
            error: None,
        }
    }

    pub(crate) fn finish(&mut self, reading: &Reading, elapsed: Duration) {
        self.seconds = elapsed.as_secs_f64();
        self.reading = ReadingRecord {
            pages: reading.pages,
            bytes_read: reading.bytes,
            requests: reading.requests,
            retries: reading.retries,
            waited_seconds: reading.waited_ms as f64 / 1e3,
        };
    }

    pub(crate) fn fail(&mut self, error: &Error) {
        self.status = Status::Failed;
        self.error = Some(console::to_json(error));
    }

    /// A resource that was read as far as its children needed it.
    pub(crate) fn supplied(&mut self, reading: &Reading, outcome: Option<Result<Extracted>>) {
        self.finish(reading, Duration::ZERO);
        self.status = Status::Read;
        match outcome {
            Some(Ok(extracted)) => self.read(extracted),
            Some(Err(error)) => self.fail(&error),
            None => {
                self.rows_read = reading.rows;
                self.stopped_at_limit = true;
            }
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

    /// How many values no declared column could hold.
    pub(crate) fn rescued_values(&self) -> u64 {
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
