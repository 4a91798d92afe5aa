//! A request for a resource's records: a stream of typed records or of Arrow batches.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::extract::{Extracted, ReadOptions, read_alone};
use crate::{Client, CursorInput, Error, ErrorKind, Json, Meter, Record, Result, Row};

/// A request for a resource's records; nothing is sent before a stream is polled.
#[derive(Clone, Debug)]
pub struct Request<R> {
    client: Client,
    resource: String,
    options: ReadOptions,
    record: PhantomData<fn() -> R>,
}

impl<R: Record> Request<R> {
    pub(crate) fn new(client: Client, resource: String) -> Self {
        Self {
            client,
            resource,
            options: ReadOptions::default(),
            record: PhantomData,
        }
    }

    /// Reads the resource for this value of a parent or of the spec's `partitions` only, by the
    /// name that its requests use; for all values by default.
    ///
    /// A resource whose values are all given is read without its parents, unless its records hold
    /// columns of theirs.
    #[must_use]
    pub fn of(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.options.values.insert(name.to_owned(), value.into());
        self
    }

    /// Stops after this many records.
    #[must_use]
    pub fn limit(mut self, records: u64) -> Self {
        self.options.limit = Some(records);
        self
    }

    /// Only the records whose cursor is at least this; the spec says by `incremental` which field
    /// the cursor is. What was the largest cursor of a run is where the next one begins.
    ///
    /// The streams of a resource without a cursor, or with one of another type, end with an error.
    #[must_use]
    pub fn since(mut self, start: impl Into<CursorInput>) -> Self {
        self.options.asked.since = Some(start.into());
        self
    }

    /// Only the records whose cursor is below this; at most this, when the spec says
    /// `range_end: closed`.
    #[must_use]
    pub fn until(mut self, end: impl Into<CursorInput>) -> Self {
        self.options.asked.until = Some(end.into());
        self
    }

    /// The records, in the order in which the API gives them.
    ///
    /// The stream ends after its first error.
    pub fn stream(self) -> impl Stream<Item = Result<R>> + Send + use<R> {
        self.batches().flat_map(|batch| {
            let (batch, error) = match batch {
                Ok(batch) => (Some(batch), None),
                Err(error) => (None, Some(Err(error))),
            };
            let records = batch.into_iter().flat_map(|batch| {
                (0..batch.num_rows()).map(move |index| R::from_row(&Row::new(&batch, index)))
            });
            stream::iter(error.into_iter().chain(records))
        })
    }

    /// The records as Arrow batches: the declared columns, then `_rescued`.
    ///
    /// Of a resource without a schema the columns are not known before its end: its batches have
    /// one, `_record`, with the JSON text of each record, and an empty `_rescued`.
    ///
    /// Pages are fetched and decoded ahead of the reader, two batches at most. The stream ends
    /// after its first error.
    pub fn batches(self) -> impl Stream<Item = Result<RecordBatch>> + Send + use<R> {
        stream::unfold(
            Batches::Waiting(self.client, self.resource, self.options),
            Batches::next,
        )
    }
}

/// A running extraction, seen from its reader.
enum Batches {
    Waiting(Client, String, ReadOptions),
    Running(mpsc::Receiver<RecordBatch>, Task),
    Done,
}

/// Ends the extraction when its reader is dropped.
struct Task(JoinHandle<Result<Extracted>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Batches {
    async fn next(self) -> Option<(Result<RecordBatch>, Self)> {
        let (mut batches, mut task) = match self {
            Self::Waiting(client, resource, options) => {
                let (sender, batches) = mpsc::channel(1);
                let task = tokio::spawn(async move {
                    let inner = &client.0;
                    let resource = inner.resource(&resource)?;
                    let meter = Arc::new(Meter::default());
                    read_alone(inner, resource, options, &meter, sender).await
                });
                (batches, Task(task))
            }
            Self::Running(batches, task) => (batches, task),
            Self::Done => return None,
        };
        if let Some(batch) = batches.recv().await {
            return Some((Ok(batch), Self::Running(batches, task)));
        }
        match (&mut task.0).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some((Err(error), Self::Done)),
            Err(error) => Some((
                Err(Error::new(ErrorKind::Internal, "the extraction ended early").caused_by(error)),
                Self::Done,
            )),
        }
    }
}
