//! One reading per partition, several at once, their records in the order of the partitions.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::AtomicU64;

use arrow::array::RecordBatch;
use connector_decode::{Report, RescuedField};
use futures_util::future;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use super::progress::{Delivery, Event, Tally, key_of};
use super::{Extract, Extracted, MEMORY_BYTES, Supply};
use crate::client::Inner;
use crate::cursor::{Asked, Cursors};
use crate::partition::{Family, Partition};
use crate::{Error, ErrorKind, Json, Meter, Result};
use connector_plan::Resource;
use std::sync::Arc;

/// Paths of rescued values that are told apart; others are counted together.
const RESCUED_PATHS: usize = 1_000;

/// What is read of a resource by itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadOptions {
    /// The values of its parents; all of them for those that are not here.
    pub values: serde_json::Map<String, Json>,
    /// Stop after this many records.
    pub limit: Option<u64>,
    /// The part of its cursor's range.
    pub asked: Asked,
}

/// Reads a resource by itself: its parents first, where they are needed, which are handed to
/// nobody.
pub(crate) async fn read_alone(
    client: &Inner,
    resource: &Resource,
    options: ReadOptions,
    meter: &Arc<Meter>,
    batches: mpsc::Sender<RecordBatch>,
) -> Result<Extracted> {
    let ReadOptions {
        values,
        limit,
        asked,
    } = options;
    let family = Family::new(&client.plan, [resource.name.as_str()]).asked(resource, values)?;
    let needs_parents = family.needs_parents(resource);
    // With a limit, parents are read as far as it needs; otherwise from end to end.
    let is_parent = |other: &Resource| other.name != resource.name;
    let supply = Supply::new(
        client,
        &family,
        |other| needs_parents && limit.is_some() && is_parent(other),
        || Arc::clone(meter),
    );
    let extract = |resource, limit, asked: &Asked| {
        Ok::<_, Error>(Extract {
            client,
            resource,
            family: &family,
            shared: None,
            limit,
            cursors: Cursors::by_itself(resource, client, asked)?,
            meter: Arc::clone(meter),
            lazy: supply.of(resource),
            tracking: None,
            keeps_whole: false,
            memory_bytes: MEMORY_BYTES,
        })
    };
    let own = extract(resource, limit, &asked)?;
    if needs_parents && limit.is_none() {
        for parent in family.order().iter().filter(|other| is_parent(other)) {
            let parent = extract(parent, None, &Asked::default())?;
            parent.run_for_children().await?;
        }
    }
    let read = own.run(batches).await;
    // A parent that failed is the cause, and its error says more.
    for supplied in supply.finish() {
        if let Some(Err(error)) = supplied.outcome {
            return Err(error);
        }
    }
    read
}

impl Extract<'_> {
    /// Reads a resource whose records only its children need.
    pub(crate) async fn run_for_children(&self) -> Result<Extracted> {
        let (sender, mut receiver) = mpsc::channel(1);
        let drain = async move { while receiver.recv().await.is_some() {} };
        let (extracted, ()) = future::join(self.run(sender), drain).await;
        extracted
    }

    /// Reads every partition.
    ///
    /// At most `client.concurrency` are read at once. Each may be two batches ahead of the reader,
    /// and as many again that have ended may wait for their turn: memory is bounded by four times
    /// the concurrency in batches. Where failures are skipped, a partition under way is kept whole,
    /// since none of its records may be handed over before its end.
    pub(super) async fn partitions(&self, batches: mpsc::Sender<Delivery>) -> Result<Extracted> {
        if let Some(limit) = self.limit {
            return self.first_partitions(limit, batches).await;
        }
        let tracking = self.tracking.as_ref();
        let mut partitions = match tracking.is_some_and(|tracking| tracking.resume.is_some()) {
            true => self.family.partitions_again(self.resource)?,
            false => self.family.partitions(self.resource)?,
        };
        let largest = AtomicU64::new(self.largest_before());
        let count = partitions.list.len() as u64;
        let before = self.skip_ended(&mut partitions.list)?;
        let mut total = Extracted {
            partitions: count,
            skipped: partitions.skipped,
            skip_reason: partitions.reason,
            ..Extracted::default()
        };
        total.add(before);
        let concurrency = self.client.limiter.maximum();
        let mut waiting = partitions.list.iter();
        let mut readings = FuturesUnordered::new();
        let mut turns: VecDeque<(&Partition, mpsc::Receiver<Delivery>)> = VecDeque::new();
        // What came of those that have ended, until their records have been handed over.
        let mut ended: HashMap<String, (Tally, Option<Json>)> = HashMap::new();
        loop {
            while readings.len() < concurrency
                && turns.len() < 2 * concurrency
                && let Some(partition) = waiting.next()
            {
                let (sender, receiver) = mpsc::channel(1);
                let reading = self.partition(partition, None, &largest, sender);
                readings.push(async move { (partition, reading.await) });
                turns.push_back((partition, receiver));
            }
            let Some((partition, turn)) = turns.front_mut() else {
                break;
            };
            tokio::select! {
                Some((of, result)) = readings.next() => match result {
                    Ok(mut extracted) => {
                        if self.tracking.is_some() {
                            let end = (Tally::of(&extracted), extracted.cursor.take());
                            ended.insert(key_of(of), end);
                        }
                        total.add(extracted);
                    }
                    Err(error) => {
                        // What has been handed over in its turn counts.
                        while let Some((partition, turn)) = turns.front_mut() {
                            let delivery = match turn.try_recv() {
                                Ok(delivery) => delivery,
                                Err(TryRecvError::Empty) => break,
                                Err(TryRecvError::Disconnected) => {
                                    let Some(event) = self.end_of(partition, &mut ended) else {
                                        break;
                                    };
                                    turns.pop_front();
                                    Delivery { batch: None, event: Some(event) }
                                }
                            };
                            if batches.send(delivery).await.is_err() {
                                break;
                            }
                        }
                        return Err(error);
                    }
                },
                delivery = turn.recv() => {
                    let delivery = match delivery {
                        Some(delivery) => delivery,
                        None => {
                            let event = self.end_of(partition, &mut ended);
                            turns.pop_front();
                            Delivery { batch: None, event }
                        }
                    };
                    if batches.send(delivery).await.is_err() {
                        total.stopped = true;
                        return Ok(total);
                    }
                },
            }
        }
        while let Some((_, result)) = readings.next().await {
            total.add(result?);
        }
        Ok(total)
    }

    /// Leaves out the partitions that an earlier run has read to their end, and puts the one that
    /// it was about to read in front; gives what they came to.
    fn skip_ended(&self, partitions: &mut Vec<Partition>) -> Result<Extracted> {
        let tracking = self.tracking.as_ref();
        let Some(position) = tracking.and_then(|tracking| tracking.resume.as_ref()) else {
            return Ok(Extracted::default());
        };
        partitions.retain(|partition| !position.ended.contains_key(&key_of(partition)));
        // A stable sort: the others keep their order.
        partitions.sort_by_key(|partition| self.front(partition).is_none());
        if let Some(cursors) = &self.cursors {
            for ended in position.ended.values().flatten() {
                cursors.resume_ended(ended)?;
            }
        }
        if let Some(front) = &position.front
            && !partitions
                .iter()
                .any(|partition| key_of(partition) == front.partition)
        {
            // What was read of it is a part, and nobody would read the rest.
            self.reject();
            return Err(Error::new(
                ErrorKind::Source,
                "the partition that the earlier run was reading is gone",
            ));
        }
        Ok(position.tally.restore())
    }

    /// What is told of a partition whose records have all been handed over.
    fn end_of(
        &self,
        partition: &Partition,
        ended: &mut HashMap<String, (Tally, Option<Json>)>,
    ) -> Option<Event> {
        self.tracking.as_ref()?;
        let partition = key_of(partition);
        let (tally, cursor) = ended.remove(&partition)?;
        // One that was skipped has no records in the files: another run tries it again.
        if tally.skipped > 0 {
            return None;
        }
        Some(Event::Ended {
            partition,
            tally: Box::new(tally),
            cursor,
        })
    }

    /// Reads one partition after the other, until there are as many records as asked for.
    async fn first_partitions(
        &self,
        limit: u64,
        batches: mpsc::Sender<Delivery>,
    ) -> Result<Extracted> {
        let largest = AtomicU64::new(0);
        let mut total = Extracted::default();
        let by_page = self.lazy.is_single(self.resource);
        // The combinations of several parents are known when all of them have been read.
        while !by_page && self.lazy.more(self.family).await {}
        let mut more = by_page;
        loop {
            if more {
                more = self.lazy.more(self.family).await;
            }
            let partitions = self.family.partitions_so_far(self.resource)?;
            total.partitions += partitions.list.len() as u64;
            total.skipped += partitions.skipped;
            total.skip_reason = total.skip_reason.take().or(partitions.reason);
            for partition in &partitions.list {
                let left = limit.saturating_sub(total.rows);
                if left == 0 {
                    total.stopped = true;
                    return Ok(total);
                }
                let one = self
                    .partition(partition, Some(left), &largest, batches.clone())
                    .await?;
                total.add(one);
                if batches.is_closed() {
                    return Ok(total);
                }
            }
            if !more {
                return Ok(total);
            }
            if total.rows >= limit {
                total.stopped = true;
                return Ok(total);
            }
        }
    }

    /// Reads one partition, or skips it.
    async fn partition(
        &self,
        partition: &Partition,
        limit: Option<u64>,
        largest: &AtomicU64,
        batches: mpsc::Sender<Delivery>,
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
        for delivery in kept {
            // Half of a partition is nothing to go on with: its end is told when all are there.
            let event = None;
            let delivery = Delivery { event, ..delivery };
            if batches.send(delivery).await.is_err() {
                extracted.stopped = true;
                break;
            }
        }
        Ok(extracted)
    }
}

impl Extracted {
    /// Adds what was found when records were decoded later.
    pub(crate) fn add_report(&mut self, report: Report) {
        merge(&mut self.report, report);
    }

    /// Adds what another partition, or another window of it, came to.
    pub(super) fn add(&mut self, other: Self) {
        self.pages += other.pages;
        self.rows += other.rows;
        self.filtered += other.filtered;
        self.ignored += other.ignored;
        self.stopped |= other.stopped;
        self.skipped += other.skipped;
        self.skip_reason = self.skip_reason.take().or(other.skip_reason);
        merge(&mut self.report, other.report);
    }
}

fn merge(all: &mut Report, one: Report) {
    all.duplicate_keys += one.duplicate_keys;
    all.selector_misses += one.selector_misses;
    all.first_selector_miss = all.first_selector_miss.take().or(one.first_selector_miss);
    merge_fields(&mut all.pending, one.pending);
    all.rescued_other += one.rescued_other;
    all.discarded_values_other += one.discarded_values_other;
    all.discarded_rows_other += one.discarded_rows_other;
    all.rescued_other += merge_fields(&mut all.rescued, one.rescued);
    all.discarded_values_other += merge_fields(&mut all.discarded_values, one.discarded_values);
    all.discarded_rows_other += merge_fields(&mut all.discarded_rows, one.discarded_rows);
}

/// Adds the counts by field; gives those that there is no room for.
fn merge_fields(all: &mut Vec<RescuedField>, one: Vec<RescuedField>) -> u64 {
    let mut other = 0;
    for field in one {
        let known = all.iter_mut().find(|known| known.path == field.path);
        if let Some(known) = known {
            known.count += field.count;
        } else if all.len() < RESCUED_PATHS {
            all.push(field);
        } else {
            other += field.count;
        }
    }
    other
}
