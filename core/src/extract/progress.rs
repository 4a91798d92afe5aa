//! How far a reading has come, as data: what a later run needs to go on with it.
//!
//! A reading that is tracked hands over, with every batch, what has changed since the batch before.
//! Who receives the batches puts the changes together to a [`Position`], which therefore always
//! says as much as has been received.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use connector_decode::Report;
use connector_plan::Target;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use url::Url;

use super::listing::Reader;
use super::{Extract, Extracted};
use crate::paging::{LoopGuard, Paginator, Seen, Turn};
use crate::partition::Partition;
use crate::secret::{Redactor, is_credential_name};
use crate::{Error, ErrorKind, Json, Result};

/// Records, and how far the reading has come with them.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub batch: Option<RecordBatch>,
    pub event: Option<Event>,
}

/// What has changed in the position of a reading.
#[derive(Debug)]
pub(crate) enum Event {
    /// Pages of a partition have come.
    At(Box<Front>),
    /// A partition has been read to its end.
    Ended {
        partition: String,
        tally: Box<Tally>,
        cursor: Option<Json>,
    },
}

/// Who is handed the records.
#[derive(Debug)]
pub(super) enum Outlet {
    Batches(mpsc::Sender<RecordBatch>),
    Deliveries(mpsc::Sender<Delivery>),
}

impl Outlet {
    /// False when nobody takes any more.
    pub(super) async fn send(&self, delivery: Delivery) -> bool {
        match self {
            Self::Deliveries(sender) => sender.send(delivery).await.is_ok(),
            Self::Batches(sender) => match delivery.batch {
                Some(batch) => sender.send(batch).await.is_ok(),
                None => true,
            },
        }
    }
}

/// A reading that is followed, so that another can go on with it.
#[derive(Debug)]
pub(crate) struct Tracking {
    /// How often records are handed over, however few they are.
    pub interval: Duration,
    /// Where an earlier run has come to.
    pub resume: Option<Position>,
    /// Whether the API does not go on where the earlier run has come to.
    rejected: AtomicBool,
}

impl Tracking {
    pub(crate) fn new(interval: Duration, resume: Option<Position>) -> Self {
        Self {
            interval,
            resume,
            rejected: AtomicBool::new(false),
        }
    }

    /// Whether the reading failed since the API does not go on where the earlier run has come to.
    pub(crate) fn is_rejected(&self) -> bool {
        self.rejected.load(Relaxed)
    }

    /// What came with the first request does not go on with what is there.
    pub(super) fn reject(&self) {
        self.rejected.store(true, Relaxed);
    }
}

impl Extract<'_> {
    /// The same, where the reading is followed.
    pub(super) fn reject(&self) {
        if let Some(tracking) = &self.tracking {
            tracking.reject();
        }
    }
}

/// How far a reading has come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    /// A hash of what was asked for: the settings, credentials too, the range, where the run before
    /// had come to.
    pub asked: String,
    /// What makes the hash tell nothing about the credentials in it.
    pub salt: String,
    /// When the reading began: the end of ranges that have none.
    pub began: DateTime<Utc>,
    /// The largest page that the API has shown.
    pub largest: u64,
    /// What was counted in the partitions that have ended.
    pub tally: Tally,
    /// The partitions that have ended, and what came of their cursors.
    pub ended: BTreeMap<String, Option<Json>>,
    /// The partition under way.
    pub front: Option<Front>,
}

/// How far the reading of one partition has come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Front {
    /// A hash of its values.
    pub partition: String,
    /// The window of its cursor, counted from 0.
    pub window: usize,
    /// A hash of what the requests have in common.
    pub request: String,
    /// The next request; nothing when the window has been read to its end.
    #[serde(with = "turn")]
    pub turn: Option<Turn>,
    /// What the paginator remembers, which may be null; nothing when it cannot say.
    pub paginator: Option<(Json,)>,
    /// The cursor, where there is one.
    pub reading: Option<Json>,
    #[serde(with = "seen")]
    pub seen: Seen,
    pub tally: Tally,
    /// The largest page so far.
    #[serde(skip)]
    pub largest: u64,
}

/// What has been counted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tally {
    pub pages: u64,
    pub rows: u64,
    filtered: u64,
    ignored: u64,
    pub(super) skipped: u64,
    skip_reason: Option<String>,
    report: Report,
}

impl Tally {
    pub(super) fn of(extracted: &Extracted) -> Self {
        Self {
            pages: extracted.pages,
            rows: extracted.rows,
            filtered: extracted.filtered,
            ignored: extracted.ignored,
            skipped: extracted.skipped,
            skip_reason: extracted.skip_reason.as_ref().map(Error::to_string),
            report: extracted.report.clone(),
        }
    }

    pub(super) fn restore(&self) -> Extracted {
        let reason = self.skip_reason.as_ref();
        Extracted {
            pages: self.pages,
            rows: self.rows,
            filtered: self.filtered,
            ignored: self.ignored,
            skipped: self.skipped,
            skip_reason: reason.map(|reason| Error::new(ErrorKind::Source, reason)),
            report: self.report.clone(),
            ..Extracted::default()
        }
    }

    fn add(&mut self, other: &Self) {
        let mut sum = self.restore();
        sum.add(other.restore());
        *self = Self::of(&sum);
    }
}

impl Position {
    /// Takes over a change.
    pub(crate) fn apply(&mut self, event: Event) {
        match event {
            Event::At(mut front) => {
                self.largest = self.largest.max(front.largest);
                if let Some(before) = &mut self.front
                    && (&before.partition, before.window) == (&front.partition, front.window)
                {
                    let new = std::mem::take(&mut front.seen);
                    front.seen = std::mem::take(&mut before.seen);
                    front.seen.tokens.extend(new.tokens);
                    front.seen.pages.extend(new.pages);
                }
                self.front = Some(*front);
            }
            Event::Ended {
                partition,
                tally,
                cursor,
            } => {
                self.tally.add(&tally);
                self.ended.insert(partition, cursor);
                self.front = None;
            }
        }
    }

    /// The pages and records read so far.
    pub(crate) fn read(&self) -> (u64, u64) {
        let front = self.front.as_ref().map(|front| &front.tally);
        let both = |of: fn(&Tally) -> u64| of(&self.tally) + front.map_or(0, of);
        (both(|tally| tally.pages), both(|tally| tally.rows))
    }

    /// The position as it may be written down; nothing when the next request cannot be described
    /// or holds what may be a secret.
    pub(crate) fn to_json(&self, redactor: &Redactor) -> Option<Json> {
        if let Some(front) = &self.front {
            front.paginator.as_ref()?;
            if let Some(link) = front.turn.as_ref().and_then(|turn| turn.link.as_ref()) {
                let is_secret = !link.username().is_empty()
                    || link.password().is_some()
                    || link
                        .query_pairs()
                        .any(|(name, _)| is_credential_name(&name));
                if is_secret {
                    return None;
                }
            }
        }
        let json = serde_json::to_value(self).ok()?;
        let text = json.to_string();
        (redactor.redact(&text) == text).then_some(json)
    }
}

/// Where the pages of a partition, or of a window of it, begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    pub(super) window: usize,
    /// What the windows before came to.
    pub(super) before: &'a Extracted,
    /// How far an earlier run has come with it.
    pub(super) front: Option<&'a Front>,
    /// The pages, when other resources are made from the same ones.
    pub(super) listing: Option<&'a Reader>,
}

/// Says how far the pages of one window have come.
#[derive(Debug)]
pub(super) struct Marker {
    partition: String,
    window: usize,
    request: String,
    before: Tally,
}

impl Marker {
    pub(super) fn new(partition: &Partition, at: At<'_>, request: String) -> Self {
        Self {
            partition: key_of(partition),
            window: at.window,
            request,
            before: Tally::of(at.before),
        }
    }

    /// The event of a batch: all before the next request has been handed over with it.
    pub(super) fn event(
        &self,
        (next, paginator): (Option<&Turn>, &dyn Paginator),
        guard: &mut LoopGuard,
        reading: Option<Json>,
        extracted: &Extracted,
        report: Report,
        largest: u64,
    ) -> Event {
        let mut tally = self.before.clone();
        tally.add(&Tally {
            report,
            ..Tally::of(extracted)
        });
        Event::At(Box::new(Front {
            partition: self.partition.clone(),
            window: self.window,
            request: self.request.clone(),
            turn: next.cloned(),
            paginator: paginator.position().map(|position| (position,)),
            reading,
            seen: guard.news(),
            tally,
            largest,
        }))
    }
}

/// What positions call a partition.
pub(super) fn key_of(partition: &Partition) -> String {
    format!("{:032x}", partition.key())
}

impl Extract<'_> {
    /// How far an earlier run has come with this partition.
    pub(super) fn front(&self, partition: &Partition) -> Option<&Front> {
        let front = self.tracking.as_ref()?.resume.as_ref()?.front.as_ref()?;
        (front.partition == key_of(partition)).then_some(front)
    }

    /// The guard and the first request of a sequence of pages.
    ///
    /// # Errors
    /// When they would not go on with those of the earlier run.
    pub(super) fn first_turn(
        &self,
        paginator: &mut dyn Paginator,
        front: Option<&Front>,
        request: &str,
    ) -> Result<(LoopGuard, Option<Turn>)> {
        let Some(tracking) = &self.tracking else {
            return Ok((LoopGuard::default(), Some(paginator.first())));
        };
        let Some(front) = front else {
            let guard = LoopGuard::tracked(&Seen::default(), None);
            return Ok((guard, Some(paginator.first())));
        };
        let resumes = front.request == request
            && front
                .paginator
                .as_ref()
                .is_some_and(|(position,)| paginator.resume(position));
        if !resumes {
            tracking.reject();
            return Err(Error::new(
                ErrorKind::Source,
                "its requests are no longer the same",
            ));
        }
        let guard = LoopGuard::tracked(&front.seen, front.turn.as_ref());
        Ok((guard, front.turn.clone()))
    }

    /// The largest page that an earlier run has seen.
    pub(super) fn largest_before(&self) -> u64 {
        let tracking = self.tracking.as_ref();
        let resume = tracking.and_then(|tracking| tracking.resume.as_ref());
        resume.map_or(0, |position| position.largest)
    }

    /// Whether records have been held back for longer than who follows the reading wants.
    pub(super) fn is_late(&self, handed_over: Instant) -> bool {
        let tracking = self.tracking.as_ref();
        tracking.is_some_and(|tracking| handed_over.elapsed() >= tracking.interval)
    }

    /// Looks at the first page of a resumed reading.
    ///
    /// # Errors
    /// When the API, which had promised another page, has none: it no longer knows the cursor.
    pub(super) fn check_first(&self, page: &Result<()>, records: u64, asked: &Turn) -> Result<()> {
        let Some(tracking) = &self.tracking else {
            return Ok(());
        };
        if page.is_err() {
            tracking.reject();
        } else if records == 0 && asked.token.is_some() {
            tracking.reject();
            return Err(Error::new(
                ErrorKind::Source,
                "the API has no page where the earlier run was told of one",
            ));
        }
        Ok(())
    }

    /// Notes that the first page of a resumed reading is none, when the API has said so itself.
    pub(super) fn judge(&self, error: Error) -> Error {
        let said = |status: u16| status < 500 && !matches!(status, 401 | 408 | 425 | 429);
        if let Some(tracking) = &self.tracking
            && error.kind() == ErrorKind::Source
            && error.answer().is_some_and(said)
        {
            tracking.reject();
        }
        error
    }
}

/// The next request as data.
mod turn {
    use serde::{Deserializer, Serializer, de};

    use super::{Deserialize, Json, Serialize, Target, Turn, Url};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Saved {
        values: Vec<(Target, Json)>,
        link: Option<String>,
        token: Option<String>,
    }

    pub(super) fn serialize<S: Serializer>(
        turn: &Option<Turn>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let saved = turn.as_ref().map(|turn| Saved {
            values: turn.values.clone(),
            link: turn.link.as_ref().map(Url::to_string),
            token: turn.token.clone(),
        });
        saved.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Turn>, D::Error> {
        let saved: Option<Saved> = Deserialize::deserialize(deserializer)?;
        saved
            .map(|saved| {
                let link = saved.link.map(|link| Url::parse(&link)).transpose();
                Ok(Turn {
                    values: saved.values,
                    link: link.map_err(de::Error::custom)?,
                    token: saved.token,
                })
            })
            .transpose()
    }
}

/// Hashes as Base64 of their bytes: there are as many as pages.
mod seen {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserializer, Serializer, de};

    use super::{Deserialize, Seen, Serialize};

    pub(super) fn serialize<S: Serializer>(seen: &Seen, serializer: S) -> Result<S::Ok, S::Error> {
        let encode = |hashes: &[u64]| {
            let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect();
            STANDARD.encode(bytes)
        };
        (encode(&seen.tokens), encode(&seen.pages)).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Seen, D::Error> {
        let (tokens, pages): (String, String) = Deserialize::deserialize(deserializer)?;
        let decode = |text: &str| -> Result<Vec<u64>, D::Error> {
            let bytes = STANDARD.decode(text).map_err(de::Error::custom)?;
            let (chunks, rest) = bytes.as_chunks::<8>();
            if rest.is_empty() {
                Ok(chunks
                    .iter()
                    .map(|hash| u64::from_le_bytes(*hash))
                    .collect())
            } else {
                Err(de::Error::custom("a hash is cut off"))
            }
        };
        Ok(Seen {
            tokens: decode(&tokens)?,
            pages: decode(&pages)?,
        })
    }
}
