//! The records of runs: which there are, what they hold, and which of them are too many.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::disk::{self, Disk};
use crate::layout::Layout;
use crate::lock::Lock;
use crate::state::json;
use crate::{Error, RunId, Store};

/// The records of the runs of one connector; reading them disturbs no run.
#[derive(Clone, Debug)]
pub struct RunRecords {
    disk: Disk,
    layout: Layout,
}

impl RunRecords {
    /// The records below the output folder `out`; there need not be any.
    ///
    /// # Errors
    /// `Configuration` for an unusable name.
    pub fn new(out: &Path, connector: &str) -> Result<Self, Error> {
        let (disk, layout) = disk::reach(out, connector)?;
        Ok(Self { disk, layout })
    }

    /// The folder that they are in.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.layout.runs()
    }

    /// The names of all runs that left a record, the newest first.
    ///
    /// # Errors
    /// `Destination` when the folder cannot be read.
    pub fn runs(&self) -> Result<Vec<RunId>, Error> {
        runs(&self.disk, &self.layout)
    }

    /// The record of a run as it was written; nothing when it has been deleted meanwhile.
    ///
    /// # Errors
    /// `Destination` when the file cannot be read.
    pub fn read(&self, run: RunId) -> Result<Option<Vec<u8>>, Error> {
        self.disk.read(&self.layout.run_record(run))
    }

    /// Whether a run holds the folder at this moment.
    ///
    /// # Errors
    /// `Destination` when the system cannot tell.
    pub fn is_held(&self) -> Result<bool, Error> {
        match self.disk.remote() {
            Some(remote) => remote.is_held(&self.layout.lease()),
            None => Lock::is_held(&self.layout.lock()),
        }
    }
}

impl Store {
    /// Writes what happened in this run to `_connector/runs/<run>.json`, in place of what was there.
    ///
    /// # Errors
    /// `Destination` when it cannot be written.
    pub fn write_run_record(&self, record: &impl Serialize) -> Result<(), Error> {
        self.amend_run_record(self.run(), record)
    }

    /// Writes the record of another run, which ended without having written it to its end.
    ///
    /// # Errors
    /// `Destination` when it cannot be written.
    pub fn amend_run_record(&self, run: RunId, record: &impl Serialize) -> Result<(), Error> {
        let (disk, layout) = self.place();
        disk.replace_file(
            &layout.run_record(run),
            &layout.run(self.run()).join("run.json"),
            &json(record)?,
        )
    }

    /// The newest record of another run, as it was written.
    ///
    /// # Errors
    /// `Destination` when it cannot be read.
    pub fn last_run_record(&self) -> Result<Option<(RunId, Vec<u8>)>, Error> {
        let (disk, layout) = self.place();
        for run in runs(disk, layout)? {
            if run != self.run()
                && let Some(record) = disk.read(&layout.run_record(run))?
            {
                return Ok(Some((run, record)));
            }
        }
        Ok(None)
    }

    /// Deletes all records of runs but the newest ones; returns how many it deleted.
    ///
    /// # Errors
    /// `Destination` when one cannot be deleted.
    pub fn prune_run_records(&self, keep: usize) -> Result<usize, Error> {
        let (disk, layout) = self.place();
        let mut deleted = 0;
        for run in runs(disk, layout)?.into_iter().skip(keep) {
            disk.remove_file(&layout.run_record(run))?;
            deleted += 1;
        }
        Ok(deleted)
    }
}

fn runs(disk: &Disk, layout: &Layout) -> Result<Vec<RunId>, Error> {
    let names = disk.list(&layout.runs())?;
    let run = |name: &std::ffi::OsString| name.to_str()?.strip_suffix(".json")?.parse().ok();
    let mut runs: Vec<RunId> = names.iter().filter_map(run).collect();
    runs.sort_unstable_by(|one, other| other.cmp(one));
    Ok(runs)
}
