//! A filter: which records of a page go into the columns.

use std::fmt;
use std::sync::Arc;

use connector_plan::Path;
use serde_json::Value;

/// Judges a record by the values that its captures led to.
type Judge = dyn Fn(&[Option<Value>]) -> Result<bool, String> + Send + Sync;

/// Which records of a page go into the columns.
///
/// A record is read for its captures first, and only then, when it is kept, for its columns: what
/// is dropped leaves nothing behind, nor does it break the schema's contract.
#[derive(Clone)]
pub struct RecordFilter {
    pub(crate) captures: Vec<Path>,
    judge: Arc<Judge>,
}

impl RecordFilter {
    /// A filter that sees the values at these paths below each record; an empty path is the record
    /// itself. At most 64 paths, without wildcards.
    ///
    /// The error of `judge` is a sentence; it fails the page.
    pub fn new(
        captures: Vec<Path>,
        judge: impl Fn(&[Option<Value>]) -> Result<bool, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            captures,
            judge: Arc::new(judge),
        }
    }

    pub(crate) fn keeps(&self, values: &[Option<Value>]) -> Result<bool, String> {
        (self.judge)(values)
    }
}

impl fmt::Debug for RecordFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordFilter")
            .field("captures", &self.captures)
            .finish_non_exhaustive()
    }
}
