//! The records of earlier runs, as they are read again.

use std::path::Path;

use connector_dataset::{RunId, RunRecords};

use super::{RunRecord, dead};
use crate::{Error, ErrorKind, Result, convert};

/// The records of earlier runs, the newest first.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub records: Vec<RunRecord>,
    /// How many older ones were not asked for.
    pub older: usize,
    /// Runs whose record cannot be read.
    pub unreadable: Vec<RunId>,
}

impl History {
    /// The newest `limit` records of a connector below `out`.
    pub(crate) fn read(out: &Path, connector: &str, limit: usize) -> Result<Self> {
        let files = RunRecords::new(out, connector).map_err(convert::dataset_error)?;
        let runs = files.runs().map_err(convert::dataset_error)?;
        let mut history = Self {
            older: runs.len().saturating_sub(limit),
            ..Self::default()
        };
        for (index, run) in runs.into_iter().take(limit).enumerate() {
            match Self::one(&files, run, index == 0)? {
                Read::Gone => {}
                Read::Unreadable => history.unreadable.push(run),
                Read::Record(record) => history.records.push(*record),
            }
        }
        Ok(history)
    }

    /// The record of the run whose name begins with `prefix`, or of the `last` one.
    pub(crate) fn find(out: &Path, connector: &str, prefix: &str) -> Result<RunRecord> {
        let files = RunRecords::new(out, connector).map_err(convert::dataset_error)?;
        let runs = files.runs().map_err(convert::dataset_error)?;
        let unknown = |message: String| {
            let error = Error::new(ErrorKind::Configuration, message);
            error.hint("`runs` lists the runs; the beginning of a name is enough, or `last`")
        };
        let prefix = prefix.to_ascii_lowercase();
        let mut found = runs
            .iter()
            .enumerate()
            .filter(|(_, run)| prefix == "last" || run.to_string().starts_with(&prefix));
        let Some((index, run)) = found.next() else {
            let folder = files.folder();
            return Err(unknown(format!("there is no record of a run `{prefix}`"))
                .with("folder", folder.display()));
        };
        if prefix != "last" && found.next().is_some() {
            return Err(unknown(format!(
                "the names of several runs begin with `{prefix}`"
            )));
        }
        match Self::one(&files, *run, index == 0)? {
            Read::Record(record) => Ok(*record),
            Read::Gone | Read::Unreadable => Err(unknown(format!(
                "the record of the run `{run}` cannot be read"
            ))),
        }
    }

    fn one(files: &RunRecords, run: RunId, is_newest: bool) -> Result<Read> {
        let Some(text) = files.read(run).map_err(convert::dataset_error)? else {
            return Ok(Read::Gone);
        };
        let Ok(mut record) = serde_json::from_slice::<RunRecord>(&text) else {
            return Ok(Read::Unreadable);
        };
        // Its name is what counts.
        record.run = run.to_string();
        let is_held = || files.is_held().map_err(convert::dataset_error);
        dead::understand(&mut record, is_newest, is_held)?;
        Ok(Read::Record(Box::new(record)))
    }
}

enum Read {
    Record(Box<RunRecord>),
    /// It has been deleted meanwhile.
    Gone,
    Unreadable,
}
