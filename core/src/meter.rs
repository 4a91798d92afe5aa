//! Counters of a resource under way, read by progress displays and reports.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::lock::lock;

/// Counters of a resource under way.
#[derive(Debug, Default)]
pub struct Meter {
    rows: AtomicU64,
    pages: AtomicU64,
    bytes: AtomicU64,
    requests: AtomicU64,
    retries: AtomicU64,
    unneeded: AtomicU64,
    waited: AtomicU64,
    waiting: Mutex<Option<String>>,
    waits: Mutex<Vec<Waits>>,
    fetching: Mutex<Fetching>,
    /// Nanoseconds, by [`Stage`].
    stages: [AtomicU64; 3],
    warnings: Mutex<Vec<String>>,
}

/// Reasons that are told apart; waits for further ones are counted together.
const REASONS: usize = 20;
/// Warnings that are kept.
const WARNINGS: usize = 20;

/// The waits for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waits {
    pub reason: String,
    pub waits: u64,
    pub time: Duration,
}

/// What a resource's records go through in this process.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// From the body of a page to columns.
    Decode,
    /// From columns to files aside.
    Encode,
    /// From files aside to the published dataset.
    Publish,
}

/// The time in which at least one request is under way.
#[derive(Debug, Default)]
struct Fetching {
    requests: u32,
    since: Option<Instant>,
    before: Duration,
}

/// A request under way, until it is dropped.
#[derive(Debug)]
#[must_use = "the request is under way as long as this lives"]
pub(crate) struct UnderWay<'a>(&'a Meter);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut fetching = lock(&self.0.fetching);
        fetching.requests = fetching.requests.saturating_sub(1);
        if fetching.requests == 0
            && let Some(since) = fetching.since.take()
        {
            fetching.before += since.elapsed();
        }
    }
}

/// What a meter showed at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Reading {
    /// Records received.
    pub rows: u64,
    /// Pages decoded.
    pub pages: u64,
    /// Bytes of page bodies, decompressed.
    pub bytes: u64,
    /// Requests sent, token requests and retries included.
    pub requests: u64,
    /// Requests sent again after a failure.
    pub retries: u64,
    /// Requests of reading ahead whose answers turned out not to be needed, or were asked for again.
    pub unneeded: u64,
    /// Milliseconds spent waiting before retries, and where the API asked for it.
    pub waited_ms: u64,
}

impl Meter {
    /// What the counters show now.
    #[must_use]
    pub fn read(&self) -> Reading {
        Reading {
            rows: self.rows.load(Relaxed),
            pages: self.pages.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            requests: self.requests.load(Relaxed),
            retries: self.retries.load(Relaxed),
            unneeded: self.unneeded.load(Relaxed),
            waited_ms: self.waited.load(Relaxed),
        }
    }

    /// Why the resource waits at the moment, if it does.
    #[must_use]
    pub fn waiting(&self) -> Option<String> {
        lock(&self.waiting).clone()
    }

    pub(crate) fn page(&self, rows: u64, bytes: usize) {
        self.pages.fetch_add(1, Relaxed);
        self.rows.fetch_add(rows, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts requests of reading ahead that were in vain.
    pub(crate) fn unneeded(&self, pages: u64) {
        self.unneeded.fetch_add(pages, Relaxed);
    }

    /// Counts a request that is sent now.
    pub(crate) fn request(&self) -> UnderWay<'_> {
        self.requests.fetch_add(1, Relaxed);
        let mut fetching = lock(&self.fetching);
        fetching.requests += 1;
        fetching.since.get_or_insert_with(Instant::now);
        UnderWay(self)
    }

    pub(crate) fn retry(&self, wait: Duration, reason: &str) {
        self.retries.fetch_add(1, Relaxed);
        self.wait(wait, reason);
    }

    /// Counts and shows a wait, which ends with [`resumed`](Self::resumed).
    pub(crate) fn wait(&self, wait: Duration, reason: &str) {
        self.waited
            .fetch_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), Relaxed);
        self.note_wait(wait, reason);
        *lock(&self.waiting) = Some(format!("{reason}; again in {:.1} s", wait.as_secs_f64()));
    }

    fn note_wait(&self, wait: Duration, reason: &str) {
        let mut waits = lock(&self.waits);
        let reason = match waits.len() < REASONS || waits.iter().any(|one| one.reason == reason) {
            true => reason,
            false => "other reasons",
        };
        let at = waits.iter().position(|one| one.reason == reason);
        let at = at.unwrap_or_else(|| {
            waits.push(Waits {
                reason: reason.to_owned(),
                waits: 0,
                time: Duration::ZERO,
            });
            waits.len() - 1
        });
        if let Some(one) = waits.get_mut(at) {
            one.waits += 1;
            one.time += wait;
        }
    }

    pub(crate) fn resumed(&self) {
        *lock(&self.waiting) = None;
    }

    /// Adds time that a stage took.
    pub(crate) fn spend(&self, stage: Stage, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.stages[stage as usize].fetch_add(nanoseconds, Relaxed);
    }

    /// The time that `stage` has taken so far.
    pub(crate) fn spent(&self, stage: Stage) -> Duration {
        Duration::from_nanos(self.stages[stage as usize].load(Relaxed))
    }

    /// The time so far in which at least one request was under way.
    pub(crate) fn fetching(&self) -> Duration {
        let fetching = lock(&self.fetching);
        fetching.before
            + fetching
                .since
                .map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The waits so far, by reason.
    pub(crate) fn waits(&self) -> Vec<Waits> {
        lock(&self.waits).clone()
    }

    /// Keeps what a person should know of the reading; whether it is new, and there is room for it.
    pub(crate) fn warn(&self, warning: &str) -> bool {
        let mut warnings = lock(&self.warnings);
        let is_new = warnings.len() < WARNINGS && warnings.iter().all(|known| known != warning);
        if is_new {
            warnings.push(warning.to_owned());
        }
        is_new
    }

    /// What a person should know of the reading.
    pub(crate) fn warnings(&self) -> Vec<String> {
        lock(&self.warnings).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_overlap_are_one_time() {
        let meter = Meter::default();
        assert_eq!(meter.fetching(), Duration::ZERO);
        let first = meter.request();
        let second = meter.request();
        drop(first);
        assert!(lock(&meter.fetching).since.is_some());
        drop(second);
        let ended = meter.fetching();
        assert!(lock(&meter.fetching).since.is_none());
        assert_eq!(meter.fetching(), ended);
        assert_eq!(meter.read().requests, 2);
    }

    #[test]
    fn waits_are_counted_by_reason_and_their_number_is_bounded() {
        let meter = Meter::default();
        let second = Duration::from_secs(1);
        for _ in 0..2 {
            for reason in 0..REASONS + 5 {
                meter.retry(second, &reason.to_string());
            }
        }
        let waits = meter.waits();
        assert_eq!(waits.len(), REASONS + 1);
        assert_eq!((waits[3].waits, waits[3].time), (2, 2 * second));
        assert_eq!(waits[REASONS].reason, "other reasons");
        assert_eq!(waits[REASONS].waits, 10);
        assert_eq!(meter.read().retries, 2 * (REASONS as u64 + 5));
    }
}
