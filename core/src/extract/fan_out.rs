//! One reading per partition, several at once, their records in the order of the partitions.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;

use arrow::array::RecordBatch;
use connector_decode::Report;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;

use super::{Extract, Extracted};
use crate::client::Inner;
use crate::cursor::{Asked, Before, Cursors};
use crate::partition::{Family, Partition};
use crate::{Error, ErrorKind, Meter, Result};
use connector_plan::Resource;
use std::sync::Arc;

/// Paths of rescued values that are told apart; others are counted together.
const RESCUED_PATHS: usize = 1_000;

/// What is read of a resource by itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadOptions {
    /// Stop after this many records.
    pub limit: Option<u64>,
    /// The part that is asked for.
    pub asked: Asked,
}

/// Reads a resource by itself: its parents first, which are handed to nobody.
pub(crate) async fn read_alone(
    client: &Inner,
    resource: &Resource,
    options: ReadOptions,
    meter: &Arc<Meter>,
    batches: mpsc::Sender<RecordBatch>,
) -> Result<Extracted> {
    let family = Family::new(&client.plan, [resource.name.as_str()]);
    let cursors = |resource: &Resource, asked: &Asked| {
        Cursors::new(resource, client, asked, false, Before::default())
            .map_err(|error| error.with("resource", &resource.name))
    };
    let own = cursors(resource, &options.asked)?;
    for parent in family.order() {
        if parent.name != resource.name {
            let whole = cursors(parent, &Asked::default())?;
            let reading = Extract {
                client,
                resource: parent,
                family: &family,
                listing: None,
                limit: None,
                cursors: whole.as_ref(),
                meter: Arc::clone(meter),
            };
            reading.run_for_children().await?;
        }
    }
    let reading = Extract {
        client,
        resource,
        family: &family,
        listing: None,
        limit: options.limit,
        cursors: own.as_ref(),
        meter: Arc::clone(meter),
    };
    reading.run(batches).await
}

impl Extract<'_> {
    /// Reads a resource whose records only its children need.
    pub(crate) async fn run_for_children(&self) -> Result<Extracted> {
        let (sender, mut receiver) = mpsc::channel(1);
        let drain = async move { while receiver.recv().await.is_some() {} };
        let (extracted, ()) = tokio::join!(self.run(sender), drain);
        extracted
    }

    /// Reads every partition.
    ///
    /// At most `client.concurrency` are read at once. Each may be two batches ahead of the reader,
    /// and as many again that have ended may wait for their turn: memory is bounded by four times
    /// the concurrency in batches. Where failures are skipped, a partition under way is kept whole,
    /// since none of its records may be handed over before its end.
    pub(super) async fn partitions(&self, batches: mpsc::Sender<RecordBatch>) -> Result<Extracted> {
        let partitions = self.family.partitions(self.resource)?;
        let largest = AtomicU64::new(0);
        let mut total = Extracted {
            partitions: partitions.list.len() as u64,
            skipped: partitions.skipped,
            skip_reason: partitions.reason,
            ..Extracted::default()
        };
        if self.limit.is_some() {
            for partition in &partitions.list {
                let left = self.limit.map(|limit| limit.saturating_sub(total.rows));
                if left == Some(0) {
                    total.stopped = true;
                    break;
                }
                let one = self
                    .partition(partition, left, &largest, batches.clone())
                    .await?;
                let stopped = one.stopped;
                total.add(one);
                if stopped && batches.is_closed() {
                    break;
                }
            }
            return Ok(total);
        }
        let concurrency = usize::try_from(self.client.plan.client.concurrency).unwrap_or(1);
        let mut waiting = partitions.list.iter();
        let mut readings = FuturesUnordered::new();
        let mut turns: VecDeque<mpsc::Receiver<RecordBatch>> = VecDeque::new();
        loop {
            while readings.len() < concurrency
                && turns.len() < 2 * concurrency
                && let Some(partition) = waiting.next()
            {
                let (sender, receiver) = mpsc::channel(1);
                readings.push(self.partition(partition, None, &largest, sender));
                turns.push_back(receiver);
            }
            let Some(turn) = turns.front_mut() else {
                break;
            };
            tokio::select! {
                Some(ended) = readings.next() => total.add(ended?),
                batch = turn.recv() => match batch {
                    None => {
                        turns.pop_front();
                    }
                    Some(batch) => if batches.send(batch).await.is_err() {
                        total.stopped = true;
                        return Ok(total);
                    },
                },
            }
        }
        while let Some(ended) = readings.next().await {
            total.add(ended?);
        }
        Ok(total)
    }

    /// Reads one partition, or skips it.
    async fn partition(
        &self,
        partition: &Partition,
        limit: Option<u64>,
        largest: &AtomicU64,
        batches: mpsc::Sender<RecordBatch>,
    ) -> Result<Extracted> {
        let with_partition = |error: Error| error.with("partition", partition.describe());
        if !self.resource.relations.skip_failures {
            let pages = self.windows(partition, limit, largest, batches);
            return pages.await.map_err(with_partition);
        }
        let (sender, mut receiver) = mpsc::channel(1);
        let keep = async move {
            let mut kept = Vec::new();
            while let Some(batch) = receiver.recv().await {
                kept.push(batch);
            }
            kept
        };
        let (read, kept) = tokio::join!(self.windows(partition, limit, largest, sender), keep);
        let mut extracted = match read.map_err(with_partition) {
            Ok(extracted) => extracted,
            Err(error) if matches!(error.kind(), ErrorKind::Source | ErrorKind::SchemaContract) => {
                tracing::warn!(resource = self.resource.name, "{error}; skipped");
                return Ok(Extracted {
                    skipped: 1,
                    skip_reason: Some(error),
                    ..Extracted::default()
                });
            }
            Err(error) => return Err(error),
        };
        for batch in kept {
            if batches.send(batch).await.is_err() {
                extracted.stopped = true;
                break;
            }
        }
        Ok(extracted)
    }
}

impl Extracted {
    /// Adds what another partition, or another window of it, came to.
    pub(super) fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.filtered += other.filtered;
        self.stopped |= other.stopped;
        self.skipped += other.skipped;
        self.skip_reason = self.skip_reason.take().or(other.skip_reason);
        merge(&mut self.report, other.report);
    }
}

fn merge(all: &mut Report, one: Report) {
    all.rescued_other += one.rescued_other;
    all.duplicate_keys += one.duplicate_keys;
    for field in one.rescued {
        let known = all
            .rescued
            .iter_mut()
            .find(|known| known.path == field.path);
        if let Some(known) = known {
            known.count += field.count;
        } else if all.rescued.len() < RESCUED_PATHS {
            all.rescued.push(field);
        } else {
            all.rescued_other += field.count;
        }
    }
}
