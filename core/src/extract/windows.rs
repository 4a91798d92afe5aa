//! The windows of a partition's cursor, read one after another.

use std::sync::atomic::AtomicU64;

use tokio::sync::mpsc;

use super::progress::{At, Delivery};
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
        deliveries: mpsc::Sender<Delivery>,
    ) -> Result<Extracted> {
        let listing = match &self.shared {
            Some(member) => Some(member.begin(partition).await),
            None => None,
        };
        let listing = listing.as_ref();
        let mut front = self.front(partition);
        let mut total = front.map_or_else(Extracted::default, |front| front.tally.restore());
        let Some(cursors) = &self.cursors else {
            if front.is_none_or(|front| front.turn.is_some()) {
                let at = At {
                    window: 0,
                    before: &total,
                    front,
                    listing,
                };
                let pages = self.pages(partition, None, limit, largest, deliveries, at);
                let pages = pages.await?;
                total.add(pages);
            }
            return Ok(total);
        };
        let mut reading = cursors.begin(partition);
        let mut window = 0;
        if let Some(front) = front {
            window = front.window;
            if let Some(position) = &front.reading {
                reading.resume(position, window)?;
            }
        }
        loop {
            // A window that an earlier run has begun is at hand already.
            let resumed = front.take();
            if resumed.is_none() && !reading.advance()? {
                break;
            }
            let has_ended = resumed.is_some_and(|front| front.turn.is_none());
            if !has_ended {
                let left = limit.map(|limit| limit.saturating_sub(total.rows));
                if left == Some(0) {
                    total.stopped = true;
                    break;
                }
                let at = At {
                    window,
                    before: &total,
                    front: resumed,
                    listing,
                };
                let reading = Some(&mut reading);
                let pages = self.pages(partition, reading, left, largest, deliveries.clone(), at);
                let pages = pages.await?;
                let stopped = pages.stopped;
                total.add(pages);
                if stopped {
                    break;
                }
            }
            window += 1;
        }
        // What has not been read to its end says nothing about where to go on.
        if !total.stopped {
            total.cursor = reading.finish(self.tracking.is_some())?;
        }
        Ok(total)
    }
}
