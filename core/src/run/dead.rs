//! Runs that died: their record says that they are under way, which the next run sets right.

use connector_dataset::Store;
use serde_json::json;

use super::record::RunStatus;
use super::{ErrorRecord, RunRecord};
use crate::{Error, ErrorKind, Json, Result, convert};

/// Completes the record of the run before, if its process ended without a word. The folder is ours,
/// so that it is under way no more; those before it have been completed by their successors.
pub(super) fn settle(store: &Store) -> Result<()> {
    let Some((run, text)) = store.last_run_record().map_err(convert::dataset_error)? else {
        return Ok(());
    };
    let Ok(Json::Object(mut record)) = serde_json::from_slice::<Json>(&text) else {
        return Ok(());
    };
    if record.get("status") != Some(&json!(RunStatus::Running)) {
        return Ok(());
    }
    tracing::warn!(%run, "the run before this one died");
    record.insert("status".to_owned(), json!(RunStatus::Died));
    record.insert("error".to_owned(), json!(error()));
    let state = store.state();
    let published = state.resources.iter().filter(|(_, state)| state.run == run);
    let warnings: Vec<String> = published
        .map(|(name, state)| format!("`{name}` had been published, {} rows", state.rows))
        .collect();
    record.insert("warnings".to_owned(), json!(warnings));
    store
        .amend_run_record(run, &record)
        .map_err(convert::dataset_error)
}

/// A record as a reader has to take it: one that says that its run is under way speaks of one that
/// died, unless no later run has begun and the folder `is_held`.
pub(super) fn understand(
    record: &mut RunRecord,
    is_newest: bool,
    is_held: impl FnOnce() -> Result<bool>,
) -> Result<()> {
    if record.status == RunStatus::Running && !(is_newest && is_held()?) {
        record.status = RunStatus::Died;
        record.error = Some(error());
    }
    Ok(())
}

fn error() -> ErrorRecord {
    let error = Error::new(
        ErrorKind::Internal,
        "the process ended without a word: it was killed, or the machine went down",
    );
    ErrorRecord::new(&error.hint("what it had published is whole; run again to read the rest"))
}
