//! The loop over a resource's pages: request, decode, hand over columns, ask for the next page.

mod ahead;
mod build;
mod fan_out;
mod listing;
mod progress;
mod repeats;
mod supply;
mod windows;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use ::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use arrow::array::RecordBatch;
use connector_decode::{Decoder, DecoderOptions, ErrorKind, Page, RecordSchema, Report};
use connector_plan::{BodyFormat, Resource};
use futures_util::future;
use tokio::sync::mpsc;

pub(crate) use self::ahead::Waiting;
use self::ahead::{Ahead, Fetching};
use self::build::RequestBuilder;
pub(crate) use self::fan_out::{ReadOptions, read_alone};
pub(crate) use self::listing::Member;
use self::listing::Reader;
use self::progress::{At, Marker, Outlet};
pub(crate) use self::progress::{Delivery, Position, Tracking};
use self::repeats::Repeats;
pub(crate) use self::supply::{Lazy, Supply};
use crate::body::{BodyReader, Document, Unreadable};
use crate::client::Inner;
use crate::cursor::{CursorReading, Cursors};
use crate::http::{Request, Response};
use crate::meter::Stage;
use crate::paging::{PageFacts, paginator};
use crate::partition::{Family, Partition};
use crate::{Error, Json, Meter, Result, convert, filter, processing};

/// One reading of a resource, from the first page to the last.
#[derive(Debug)]
pub(crate) struct Extract<'a> {
    pub client: &'a Inner,
    pub resource: &'a Resource,
    /// What is read together with it: where its partitions come from, and who needs its values.
    pub family: &'a Family<'a>,
    /// The pages, when other resources are made from the same ones.
    pub shared: Option<Member>,
    /// Stop after this many records.
    pub limit: Option<u64>,
    /// Where its partitions begin and what is kept of them, when it has a cursor.
    pub cursors: Option<Arc<Cursors>>,
    pub meter: Arc<Meter>,
    /// What of its parents is read only as far as it needs.
    pub lazy: Lazy<'a>,
    /// What follows the reading, so that another run can go on with it.
    pub tracking: Option<Tracking>,
    /// Whether records that may give new columns are kept as they are, too.
    pub keeps_whole: bool,
    /// The memory of all batches on their way, in bytes.
    pub memory_bytes: usize,
}

/// [`Extract::memory_bytes`] where nobody says otherwise.
pub(crate) const MEMORY_BYTES: usize = 256 << 20;

/// What a reading came to.
#[derive(Debug, Default)]
pub(crate) struct Extracted {
    /// The pages that they came in.
    pub pages: u64,
    /// The records handed over.
    pub rows: u64,
    /// The records that the filter dropped.
    pub filtered: u64,
    /// The answers that actions of the spec made pages without records.
    pub ignored: u64,
    /// Whether the limit, or a reader that had enough, ended it before the API did.
    pub stopped: bool,
    /// Values that no declared column could hold, by their path.
    pub report: Report,
    /// The partitions that were to be read; none for a resource that is read by itself.
    pub partitions: u64,
    /// The partitions that could not be read, and the records of parents without a value.
    pub skipped: u64,
    /// Why the first of them was skipped.
    pub skip_reason: Option<Error>,
    /// What came of the cursor of a partition, as data, where the reading is tracked.
    cursor: Option<Json>,
}

impl Extract<'_> {
    /// Reads every page and sends the records as batches.
    pub(crate) async fn run(&self, batches: mpsc::Sender<RecordBatch>) -> Result<Extracted> {
        self.read(Outlet::Batches(batches)).await
    }

    /// Like [`run`](Self::run), and tells with the records how far it has come.
    pub(crate) async fn run_tracked(
        &self,
        deliveries: mpsc::Sender<Delivery>,
    ) -> Result<Extracted> {
        self.read(Outlet::Deliveries(deliveries)).await
    }

    async fn read(&self, outlet: Outlet) -> Result<Extracted> {
        let (sender, mut receiver) = mpsc::channel(1);
        let read = async {
            if self.resource.relations.is_empty() {
                let largest = AtomicU64::new(self.largest_before());
                self.windows(&Partition::whole(), self.limit, &largest, sender)
                    .await
            } else {
                self.partitions(sender).await
            }
        };
        let hand_over = async move {
            while let Some(delivery) = receiver.recv().await {
                if let Some(batch) = &delivery.batch {
                    self.family.collect(&self.resource.name, batch);
                }
                if !outlet.send(delivery).await {
                    break;
                }
            }
        };
        // In this order: what has been read is handed over before anybody looks.
        let (extracted, ()) = future::join(read, hand_over).await;
        let name = &self.resource.name;
        let extracted = extracted.map_err(|error| error.with("resource", name))?;
        if extracted.skipped > 0 || extracted.ignored > 0 {
            self.family.pass_over(name);
        }
        Ok(extracted)
    }

    /// Reads the pages of one partition, or of one window of it.
    async fn pages(
        &self,
        partition: &Partition,
        mut cursor: Option<&mut CursorReading<'_>>,
        limit: Option<u64>,
        largest: &AtomicU64,
        deliveries: mpsc::Sender<Delivery>,
        at: At<'_>,
    ) -> Result<Extracted> {
        let mut paginator = match self.client.paginators.get(&self.resource.name) {
            Some(custom) => custom.start(),
            None => paginator(&self.resource.endpoint, &self.client.settings)?,
        };
        let captures = paginator.captures();
        let format = &self.resource.endpoint.response.format;
        let options = DecoderOptions {
            selector: self.resource.endpoint.data_selector.clone(),
            captures,
            last_record_captures: paginator.last_record_captures(),
            filter: filter::of(self.resource, &self.client.settings)?,
            processor: processing::of(self.resource, &self.client.settings, &partition.values)?,
            contract: self.resource.contract.clone(),
            lines: *format == BodyFormat::Jsonl,
            texts: matches!(format, BodyFormat::Csv(_) | BodyFormat::Xml),
            batch_bytes: self.batch_bytes(),
            ..DecoderOptions::default()
        };
        let schema = match self.resource.inferred {
            true => RecordSchema::raw(),
            false if self.keeps_whole => RecordSchema::evolving(&self.resource.fields),
            false => RecordSchema::new(&self.resource.fields),
        };
        let mut decoder =
            Decoder::new(schema, options).map_err(|error| self.decode_error(error))?;
        let window = cursor.as_ref().and_then(|cursor| cursor.window());
        let builder = RequestBuilder::new(self.client, self.resource, &partition.values, window)?;
        // What a cursor drops is no record that was asked for, and an order ends reading.
        let each_page = cursor
            .as_ref()
            .is_some_and(|cursor| limit.is_some() || cursor.is_ordered());
        let request = builder.fingerprint(&self.client.redactor);
        let (mut guard, mut turn) = self.first_turn(paginator.as_mut(), at.front, &request)?;
        let marker = self.tracking.as_ref();
        let marker = marker.map(|_| Marker::new(partition, at, request));
        // The first answer to a reading that goes on tells whether it can.
        let mut goes_on = at.front.is_some();
        let mut handed_over = Instant::now();
        let mut extracted = Extracted::default();
        // Who reads the same pages takes them one by one, and so does who reads for others.
        let allowed = at.listing.is_none() && !self.lazy.by_page();
        let session = self.client.session(&self.resource.name);
        let mut ahead = Ahead::new(session, &self.meter, &self.client.waiting, allowed);
        let mut page_rows = 1;
        let mut repeats = Repeats::new(self.resource);
        while let Some(current) = turn {
            guard.turn(&current)?;
            self.lazy.page().await;
            let request = builder.request(&current)?;
            let fetch = match (ahead.take(&request), at.listing) {
                // Another reader may have it.
                (None, Some(_)) => None,
                (None, None) => Some(Fetching::now(session, &self.meter, &request)),
                (guessed, _) => guessed,
            };
            let left = limit.map_or(u64::MAX, |limit| limit.saturating_sub(extracted.rows));
            let needed = left.div_ceil(page_rows).saturating_sub(1);
            ahead.fill(paginator.as_ref(), needed, |turn| builder.request(turn));
            let decoded = decoder.rows();
            let Fetched {
                records,
                filtered,
                rows,
                captures,
                last_record,
                document,
                response,
            } = match self
                .page(&request, fetch, &mut ahead, at.listing, &mut decoder)
                .await
            {
                Ok(fetched) => fetched,
                Err(error) if goes_on => return Err(self.judge(error)),
                Err(error) => {
                    // What has come before is as good as it was.
                    if let Some(marker) = &marker
                        && decoder.rows() > 0
                        && let Ok(batch) = decoder.take_batch()
                        && let Ok(batch) = partition.complete(batch)
                        && let Ok(batch) = match &mut cursor {
                            Some(cursor) => cursor.keep(batch).map(|kept| {
                                extracted.rows -= kept.dropped;
                                kept.batch
                            }),
                            None => Ok(batch),
                        }
                    {
                        let event = marker.event(
                            (Some(&current), paginator.as_ref()),
                            &mut guard,
                            cursor.as_ref().map(|cursor| cursor.position()),
                            &extracted,
                            decoder.report(),
                            largest.load(Relaxed),
                        );
                        // Whoever does not take it has failed, too.
                        let _ = deliveries
                            .send(Delivery {
                                batch: Some(batch),
                                event: Some(event),
                            })
                            .await;
                    }
                    return Err(error);
                }
            };
            self.meter.page(records, response.body.len());
            ahead.came(response.body.len());
            page_rows = rows.max(1);
            if let (Some(repeats), true) = (&mut repeats, rows > 0) {
                repeats.page(decoded);
            }
            session.transport.note_records(&response, records);
            let page = guard.page(records, fingerprint(&response.body));
            let is_first = goes_on;
            if goes_on {
                goes_on = false;
                self.check_first(&page, records, &current)?;
            }
            page?;
            let largest = largest.fetch_max(records, Relaxed).max(records);
            extracted.pages += 1;
            extracted.rows += rows;
            extracted.filtered += filtered;
            extracted.ignored += u64::from(response.ignored);
            turn = if response.ignored {
                None
            } else {
                let next = paginator.next(&PageFacts {
                    records,
                    largest,
                    captures: &captures,
                    last_record: &last_record,
                    headers: &response.headers,
                    url: &response.url,
                    body: document.bytes(&response),
                });
                if is_first && next.is_err() {
                    self.reject();
                }
                next?
            };
            paginator
                .warnings()
                .into_iter()
                .for_each(|one| self.warn(&one));
            if let (true, Some(cursor)) = (response.ignored, &mut cursor) {
                cursor.interrupt();
            }
            let mut over = limit.is_some_and(|limit| extracted.rows >= limit);
            let late = self.is_late(handed_over);
            let due = decoder.is_full() || over || late || each_page || self.lazy.by_page();
            if (due || turn.is_none()) && decoder.rows() > 0 {
                let batch = decoder
                    .take_batch()
                    .map_err(|error| self.decode_error(error))?;
                let mut batch = partition.complete(batch)?;
                if let Some(warning) = repeats.as_mut().and_then(|repeats| repeats.batch(&batch)) {
                    self.warn(&warning);
                }
                if let Some(cursor) = &mut cursor {
                    let kept = cursor.keep(batch)?;
                    batch = kept.batch;
                    extracted.rows -= kept.dropped;
                    over = limit.is_some_and(|limit| extracted.rows >= limit);
                    if kept.enough {
                        turn = None;
                    }
                }
                if over {
                    extracted.stopped = turn.is_some();
                    turn = None;
                }
                if let Some(limit) = limit.filter(|_| over) {
                    let excess = usize::try_from(extracted.rows - limit).unwrap_or(usize::MAX);
                    if excess > 0 {
                        extracted.stopped = true;
                        extracted.rows = limit;
                        batch = batch.slice(0, batch.num_rows().saturating_sub(excess));
                    }
                }
                let event = marker.as_ref().map(|marker| {
                    marker.event(
                        (turn.as_ref(), paginator.as_ref()),
                        &mut guard,
                        cursor.as_ref().map(|cursor| cursor.position()),
                        &extracted,
                        decoder.report(),
                        largest,
                    )
                });
                let batch = Some(batch).filter(|batch| batch.num_rows() > 0);
                if (batch.is_some() || event.is_some())
                    && deliveries.send(Delivery { batch, event }).await.is_err()
                {
                    extracted.stopped = true;
                    turn = None;
                }
                handed_over = Instant::now();
            }
        }
        extracted.report = decoder.report();
        Ok(extracted)
    }

    /// Tells a person what to know of the reading.
    fn warn(&self, warning: &str) {
        // Each partition and window may have it again.
        if self.meter.warn(warning) {
            tracing::warn!(resource = self.resource.name, "{warning}");
        }
    }

    /// Fetches one page and decodes it; a page that was cut off is fetched again.
    async fn page(
        &self,
        request: &Request,
        mut fetch: Option<Fetching>,
        ahead: &mut Ahead<'_>,
        listing: Option<&Reader>,
        decoder: &mut Decoder,
    ) -> Result<Fetched> {
        let session = self.client.session(&self.resource.name);
        let endpoint = &self.resource.endpoint;
        let reader = BodyReader::new(endpoint, &session.transport);
        let is_guess = fetch.as_ref().is_some_and(Fetching::is_guess);
        let mut was_busy = false;
        let mut retries = 0;
        loop {
            let fetch = ahead.answer(fetch.take(), request);
            let response = match listing {
                Some(listing) if retries == 0 => listing.next(request, fetch).await?,
                _ => Arc::new(fetch.await?),
            };
            if response.ignored || is_empty_page(&response) {
                return Ok(Fetched {
                    records: 0,
                    filtered: 0,
                    rows: 0,
                    captures: Vec::new(),
                    last_record: Vec::new(),
                    document: Document::Body { from: 0 },
                    response,
                });
            }
            let started = Instant::now();
            let decoded = match reader.read(&response) {
                Ok(document) => match decoder.decode_page(&document) {
                    Ok(page) => Ok((page, Document::of(document, &response))),
                    Err(error) => {
                        // A document that ends before its end was cut off on the way.
                        let cut = error.kind() == ErrorKind::Malformed
                            && error.offset().is_some_and(|at| at >= document.len());
                        Err((self.decode_error(error), cut))
                    }
                },
                Err(error) => Err(self.unreadable(&error, &response)),
            };
            self.meter.spend(Stage::Decode, started.elapsed());
            let (error, cut) = match decoded {
                Ok((page, document)) => {
                    let Page {
                        records,
                        filtered,
                        rows,
                        captures,
                        last_record_captures,
                        ..
                    } = page;
                    return Ok(Fetched {
                        records,
                        filtered,
                        rows,
                        captures,
                        last_record: last_record_captures,
                        document,
                        response,
                    });
                }
                // What an API says that is not to be asked for many pages at once.
                Err(_) if !was_busy && (is_guess || !ahead.is_alone()) => {
                    was_busy = true;
                    self.meter.unneeded(1);
                    ahead.alone(false).await;
                    continue;
                }
                Err(error) => error,
            };
            let error = error.answered(response.status.as_u16()).with(
                "request",
                session.transport.describe(&request.method, &request.url),
            );
            if !cut || retries == session.retry.max_retries() {
                return Err(error);
            }
            retries += 1;
            session
                .pause(retries, Some(&response.headers), &error, &self.meter)
                .await;
        }
    }

    /// A body that is no page, and whether it was cut off on the way.
    fn unreadable(&self, error: &Unreadable, response: &Response) -> (Error, bool) {
        let redactor = &self.client.redactor;
        let session = self.client.session(&self.resource.name);
        let mut converted = Error::new(crate::ErrorKind::Source, redactor.redact(&error.message));
        if response.body.iter().take(200).all(|byte| *byte >= b'\t') {
            let excerpt = session.transport.excerpt(&response.body);
            converted = converted.with("body", excerpt);
        }
        if let Some(hint) = &error.hint {
            converted = converted.hint(redactor.redact(hint));
        }
        (converted, error.cut)
    }

    /// What makes a batch. Six are on their way at once: one in each of the two channels to the
    /// writer and one before each, one being decoded and one being written; of partitions four for
    /// each that is read at the same time, see [`Self::partitions`].
    fn batch_bytes(&self) -> usize {
        let on_their_way = match self.resource.relations.is_empty() {
            true => 6,
            false => 4 * self.client.limiter.maximum(),
        };
        (self.memory_bytes / on_their_way).clamp(64 << 10, 512 << 10)
    }

    fn decode_error(&self, error: connector_decode::Error) -> Error {
        convert::decode_error(error, &self.client.redactor)
    }
}

/// A page that has been decoded, and the answer it came in.
struct Fetched {
    records: u64,
    filtered: u64,
    /// What they came to, in rows.
    rows: u64,
    captures: Vec<Option<Json>>,
    last_record: Vec<Option<Json>>,
    document: Document,
    response: Arc<Response>,
}

/// Whether an answer says that it has no content (RFC 9110, section 15.3.5), which is a page
/// without records. A body that merely ended before its first byte does not say so.
fn is_empty_page(response: &Response) -> bool {
    let says = |name, value: &str| {
        response
            .headers
            .get(name)
            .is_some_and(|found| found == value)
    };
    response.status == ::http::StatusCode::NO_CONTENT
        || (response.body.is_empty()
            && (says(CONTENT_LENGTH, "0") || says(TRANSFER_ENCODING, "chunked")))
}

/// A hash of a page's body, to recognise a page that comes again.
fn fingerprint(body: &[u8]) -> u64 {
    twox_hash::XxHash3_64::oneshot(body)
}
