//! Counters of a resource under way, read by progress displays and reports.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counters of a resource under way.
#[derive(Debug, Default)]
pub struct Meter {
    rows: AtomicU64,
    pages: AtomicU64,
    bytes: AtomicU64,
    requests: AtomicU64,
    retries: AtomicU64,
    waited: AtomicU64,
    waiting: Mutex<Option<String>>,
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
    /// Milliseconds spent waiting before retries.
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
            waited_ms: self.waited.load(Relaxed),
        }
    }

    /// Why the resource waits at the moment, if it does.
    #[must_use]
    pub fn waiting(&self) -> Option<String> {
        self.lock().clone()
    }

    pub(crate) fn page(&self, rows: u64, bytes: usize) {
        self.pages.fetch_add(1, Relaxed);
        self.rows.fetch_add(rows, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn retry(&self, wait: Duration, reason: &str) {
        self.retries.fetch_add(1, Relaxed);
        self.waited
            .fetch_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), Relaxed);
        *self.lock() = Some(format!("{reason}; again in {:.1} s", wait.as_secs_f64()));
    }

    pub(crate) fn resumed(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.waiting
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
