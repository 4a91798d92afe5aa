//! The body of a response, whole or broken on purpose.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use crate::Ending;

/// More chunks, made when the connection can take them.
pub(crate) type Source = Box<dyn FnMut() -> Option<Bytes> + Send>;

/// The body of a response.
pub(crate) struct Body {
    chunks: VecDeque<Bytes>,
    source: Option<Source>,
    length: Option<u64>,
    ending: Ending,
    flushed: bool,
}

impl Body {
    pub(crate) fn whole(chunks: impl Into<VecDeque<Bytes>>) -> Self {
        Self::new(chunks.into(), Ending::Whole)
    }

    /// A body that is made while it is sent, in chunks of unknown number.
    pub(crate) fn streamed(source: Source) -> Self {
        Self {
            chunks: VecDeque::new(),
            source: Some(source),
            length: None,
            ending: Ending::Whole,
            flushed: false,
        }
    }

    /// A body that ends as told: half of the chunks are dropped unless it is whole.
    pub(crate) fn new(mut chunks: VecDeque<Bytes>, ending: Ending) -> Self {
        let whole: usize = chunks.iter().map(Bytes::len).sum();
        if ending != Ending::Whole {
            truncate(&mut chunks, whole / 2);
        }
        Self {
            chunks,
            source: None,
            length: (ending != Ending::CutChunked).then_some(whole as u64),
            ending,
            flushed: false,
        }
    }
}

fn truncate(chunks: &mut VecDeque<Bytes>, mut keep: usize) {
    for chunk in chunks.iter_mut() {
        chunk.truncate(keep);
        keep -= chunk.len();
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = BrokenOnPurpose;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOnPurpose>>> {
        while let Some(chunk) = self.chunks.pop_front() {
            if !chunk.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
        }
        if let Some(chunk) = self.source.as_mut().and_then(|source| source()) {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match self.ending {
            Ending::Whole => Poll::Ready(None),
            Ending::Stall => Poll::Pending,
            _ if self.flushed => Poll::Ready(Some(Err(BrokenOnPurpose))),
            _ => {
                // An error would drop what the connection has buffered: first let it be written.
                self.flushed = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// A response was broken off on purpose.
#[derive(Debug, thiserror::Error)]
#[error("a response was broken off on purpose")]
pub(crate) struct BrokenOnPurpose;
