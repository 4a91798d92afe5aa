//! Processing: a page's records, changed, as a page of their own.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::draft::Draft;
use crate::error::{Error, ErrorKind};

/// The most bytes that the records of one page may come to.
const MAX_BYTES: usize = 512 << 20;

/// Gives the records that one record becomes; returns how many it dropped.
type Process =
    dyn for<'p> Fn(Draft<'p>, &mut dyn FnMut(Draft<'p>)) -> Result<u64, String> + Send + Sync;

/// What is done to records before they go into the columns.
///
/// It comes after the filter and does not see what that dropped. The records that it gives are
/// decoded like those of a page.
#[derive(Clone)]
pub struct RecordProcessor {
    process: Arc<Process>,
}

impl RecordProcessor {
    /// A processor that hands on the records that a record becomes, none or several, and returns
    /// how many of them a condition dropped.
    ///
    /// The error of `process` is a sentence; it fails the page.
    pub fn new(
        process: impl for<'p> Fn(Draft<'p>, &mut dyn FnMut(Draft<'p>)) -> Result<u64, String>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            process: Arc::new(process),
        }
    }

    /// The records at these places of a page, each with its number, as a JSON list; also how many
    /// were dropped.
    pub(crate) fn run(
        &self,
        page: &[u8],
        records: &[(Range<usize>, u64)],
    ) -> Result<(Vec<u8>, u64), Error> {
        let mut out = vec![b'['];
        let mut dropped = 0;
        for (span, number) in records {
            let draft = Draft::new(page.get(span.clone()).unwrap_or_default());
            let mut full = false;
            let processed = (self.process)(draft, &mut |record| {
                full |= out.len() > MAX_BYTES;
                if full {
                    return;
                }
                if out.len() > 1 {
                    out.push(b',');
                }
                record.write(&mut out);
            });
            dropped += processed.map_err(|problem| {
                let message =
                    format!("the processing steps fail at record {number} of the page: {problem}");
                Error::new(ErrorKind::Processing, message)
                    .at(span.start)
                    .with_hint("correct `processing_steps` in the spec")
            })?;
            if full {
                let message = format!(
                    "the records of one page come to more than {MAX_BYTES} bytes behind the \
                     processing steps"
                );
                return Err(Error::new(ErrorKind::Limit, message).with_hint(
                    "remove what is not needed before `explode`, or ask for smaller pages",
                ));
            }
        }
        out.push(b']');
        Ok((out, dropped))
    }
}

impl fmt::Debug for RecordProcessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordProcessor").finish_non_exhaustive()
    }
}
