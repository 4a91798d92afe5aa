//! What was sent and what came back, for people who try a spec.

use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// The exchanges that are kept; of further ones only the number is.
const MOST: usize = 1_000;

/// What a client has sent and what came back; clones share it.
///
/// ```
/// use connector_core::{ClientOptions, Trace};
///
/// let trace = Trace::default();
/// let options = ClientOptions {
///     trace: Some(trace.clone()),
///     ..ClientOptions::default()
/// };
/// // … a client with these options reads …
/// assert!(trace.exchanges().is_empty());
/// # drop(options);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    exchanges: Vec<Exchange>,
    more: u64,
}

/// A request and its answer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Exchange {
    /// The HTTP method.
    pub method: String,
    /// The URL, without secrets.
    pub url: String,
    /// The status of the answer; nothing when there was none.
    pub status: Option<u16>,
    /// The bytes of the answer's body, decompressed.
    pub bytes: u64,
    /// The records in it, those included that a filter dropped; nothing when it is no page.
    pub records: Option<u64>,
}

impl Trace {
    /// The first 1,000 exchanges, in the order in which they ended.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        lock(&self.0).exchanges.clone()
    }

    /// How many exchanges came behind those.
    #[must_use]
    pub fn more(&self) -> u64 {
        lock(&self.0).more
    }

    /// What has been noted since the last call.
    pub(crate) fn take(&self) -> (Vec<Exchange>, u64) {
        let Kept { exchanges, more } = std::mem::take(&mut *lock(&self.0));
        (exchanges, more)
    }

    pub(crate) fn add(&self, method: &http::Method, url: String, answer: Option<(u16, u64)>) {
        let mut kept = lock(&self.0);
        if kept.exchanges.len() == MOST {
            kept.more += 1;
            return;
        }
        kept.exchanges.push(Exchange {
            method: method.to_string(),
            url,
            status: answer.map(|(status, _)| status),
            bytes: answer.map_or(0, |(_, bytes)| bytes),
            records: None,
        });
    }

    /// Notes how many records the last answer from this URL had.
    pub(crate) fn records(&self, url: &str, records: u64) {
        let mut kept = lock(&self.0);
        let page = kept
            .exchanges
            .iter_mut()
            .rev()
            .find(|exchange| exchange.url == url);
        if let Some(page) = page {
            page.records = Some(records);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_belong_to_the_last_answer_of_their_url_and_the_number_kept_is_bounded() {
        let trace = Trace::default();
        let get = http::Method::GET;
        trace.add(&get, "https://a/1".into(), Some((503, 0)));
        trace.add(&get, "https://a/1".into(), Some((200, 7)));
        trace.add(&get, "https://a/2".into(), None);
        trace.records("https://a/1", 3);
        let found: Vec<_> = trace
            .exchanges()
            .iter()
            .map(|exchange| (exchange.status, exchange.bytes, exchange.records))
            .collect();
        assert_eq!(
            found,
            [
                (Some(503), 0, None),
                (Some(200), 7, Some(3)),
                (None, 0, None)
            ]
        );
        for _ in 0..MOST {
            trace.add(&get, "https://a/3".into(), None);
        }
        assert_eq!((trace.exchanges().len(), trace.more()), (MOST, 3));
    }
}
