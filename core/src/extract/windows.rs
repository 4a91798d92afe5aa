//! The windows of a partition's cursor, read one after another.

use std::sync::atomic::AtomicU64;

use arrow::array::RecordBatch;
use tokio::sync::mpsc;

use super::{Extract, Extracted};
use crate::Result;
use crate::partition::Partition;

impl Extract<'_> {
    /// Reads a partition: its pages or, with a cursor, those of every window of its range.
    pub(super) async fn windows(
        &self,
        partition: &Partition,
        limit: Option<u64>,
        largest: &AtomicU64,
        batches: mpsc::Sender<RecordBatch>,
    ) -> Result<Extracted> {
        let listing = match &self.shared {
            Some(member) => Some(member.begin(partition).await),
            None => None,
        };
        let listing = listing.as_ref();
        let Some(cursors) = &self.cursors else {
            return self
                .pages(partition, listing, None, limit, largest, batches)
                .await;
        };
        let mut reading = cursors.begin(partition);
        let mut total = Extracted::default();
        while reading.advance()? {
            let left = limit.map(|limit| limit.saturating_sub(total.rows));
            if left == Some(0) {
                total.stopped = true;
                break;
            }
            let window = self
                .pages(
                    partition,
                    listing,
                    Some(&mut reading),
                    left,
                    largest,
                    batches.clone(),
                )
                .await?;
            let stopped = window.stopped;
            total.add(window);
            if stopped {
                break;
            }
        }
        // What has not been read to its end says nothing about where to go on.
        if !total.stopped {
            reading.finish()?;
        }
        Ok(total)
    }
}
