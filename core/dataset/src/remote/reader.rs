//! A data file in an object store, read by ranges.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};

use super::objects::Objects;

/// The end of a file that is read at once: what most footers need.
pub(super) const TAIL: u64 = 64 << 10;
/// The most bytes asked for at a time beyond what is needed.
const READ_AHEAD: u64 = 8 << 20;
/// Bytes asked for where nothing is known of what follows.
const LITTLE: u64 = 64 << 10;
/// The bytes that are kept of a file that is open: a row group and its neighbours.
const KEPT: usize = 32 << 20;

/// A data file in an object store, read by ranges; clones share what has been read.
#[derive(Clone)]
pub(crate) struct RemotePart {
    shared: Arc<Shared>,
}

struct Shared {
    objects: Arc<dyn Objects>,
    key: String,
    length: u64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Ranges that are read as a whole, in order.
    chunks: Vec<Range<u64>>,
    kept: VecDeque<(u64, Bytes)>,
}

impl fmt::Debug for RemotePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemotePart")
            .field("key", &self.shared.key)
            .field("length", &self.shared.length)
            .finish_non_exhaustive()
    }
}

impl RemotePart {
    /// A file of this length, of which the end may be known.
    pub(super) fn new(
        objects: Arc<dyn Objects>,
        key: String,
        length: u64,
        tail: Option<Bytes>,
    ) -> Self {
        let kept = tail.map(|tail| (length.saturating_sub(tail.len() as u64), tail));
        Self {
            shared: Arc::new(Shared {
                objects,
                key,
                length,
                inner: Mutex::new(Inner {
                    chunks: Vec::new(),
                    kept: kept.into_iter().collect(),
                }),
            }),
        }
    }

    /// Takes note of where the columns lie: from now on each of them is asked for as a whole.
    pub(crate) fn learn(&self, metadata: &ParquetMetaData) {
        let groups = metadata.row_groups().iter();
        let columns = groups.flat_map(RowGroupMetaData::columns);
        let mut chunks: Vec<Range<u64>> = columns
            .map(|column| {
                let (start, length) = column.byte_range();
                start..start + length
            })
            .collect();
        chunks.sort_unstable_by_key(|chunk| chunk.start);
        self.inner().chunks = chunks;
    }

    /// Takes note that all columns of a row group will be read.
    pub(crate) fn expect(&self, metadata: &ParquetMetaData, group: usize) {
        let mut whole: Option<Range<u64>> = None;
        for column in metadata.row_group(group).columns() {
            let (start, length) = column.byte_range();
            let end = start + length;
            whole = Some(match whole {
                Some(whole) => whole.start.min(start)..whole.end.max(end),
                None => start..end,
            });
        }
        let Some(whole) = whole else { return };
        let mut inner = self.inner();
        let within = |chunk: &Range<u64>| chunk.start >= whole.start && chunk.end <= whole.end;
        inner.chunks.retain(|chunk| !within(chunk));
        let place = inner
            .chunks
            .partition_point(|chunk| chunk.start < whole.start);
        inner.chunks.insert(place, whole);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.shared
            .inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// These bytes, and beyond them some that will be asked for next.
    fn read(&self, start: u64, length: u64) -> io::Result<Bytes> {
        let end = start.saturating_add(length);
        if end > self.shared.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let range = {
            let inner = self.inner();
            if let Some(bytes) = inner.find(start, end) {
                return Ok(bytes);
            }
            inner.extend(start, end, self.shared.length)
        };
        let bytes = self
            .shared
            .objects
            .get_range(&self.shared.key, range.clone())?;
        if bytes.len() as u64 != range.end - range.start {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut inner = self.inner();
        inner.kept.push_back((range.start, bytes));
        let mut size: usize = inner.kept.iter().map(|(_, bytes)| bytes.len()).sum();
        while size > KEPT && inner.kept.len() > 1 {
            size -= inner.kept.pop_front().map_or(0, |(_, bytes)| bytes.len());
        }
        inner
            .find(start, end)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl Inner {
    fn find(&self, start: u64, end: u64) -> Option<Bytes> {
        self.kept.iter().rev().find_map(|(first, bytes)| {
            let from = usize::try_from(start.checked_sub(*first)?).ok()?;
            let to = usize::try_from(end.checked_sub(*first)?).ok()?;
            (to <= bytes.len()).then(|| bytes.slice(from..to))
        })
    }

    /// What is asked for when these bytes are needed.
    fn extend(&self, start: u64, end: u64, length: u64) -> Range<u64> {
        let next = self.chunks.partition_point(|chunk| chunk.start <= start);
        let chunk = next.checked_sub(1).and_then(|index| self.chunks.get(index));
        if let Some(chunk) = chunk.filter(|chunk| start < chunk.end) {
            return start..end.max(chunk.end.min(start + READ_AHEAD)).min(length);
        }
        if length - start <= TAIL {
            return length.saturating_sub(TAIL).min(start)..length;
        }
        start..end.max(start + LITTLE).min(length)
    }
}

impl Length for RemotePart {
    fn len(&self) -> u64 {
        self.shared.length
    }
}

impl ChunkReader for RemotePart {
    type T = RemoteRead;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(RemoteRead {
            part: self.clone(),
            position: start,
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.read(start, length as u64).map_err(ParquetError::from)
    }
}

/// Reads a [`RemotePart`] from a place on.
#[derive(Debug)]
pub(crate) struct RemoteRead {
    part: RemotePart,
    position: u64,
}

impl Read for RemoteRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.part.shared.length.saturating_sub(self.position);
        let length = left.min(buffer.len() as u64).min(READ_AHEAD);
        if length == 0 {
            return Ok(0);
        }
        let bytes = self.part.read(self.position, length)?;
        self.position += length;
        for (to, from) in buffer.iter_mut().zip(&bytes) {
            *to = *from;
        }
        Ok(bytes.len())
    }
}
