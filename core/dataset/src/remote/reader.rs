//! A data file in an object store, read by ranges.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};

use super::objects::Objects;

/// The end of a file that is read at once: what most footers need.
pub(super) const TAIL: u64 = 64 << 10;
/// How much is read, and kept.
const LIMITS: Limits = Limits {
    ahead: 8 << 20,
    little: 64 << 10,
    kept: 32 << 20,
};

/// How much is read of a file at a time, and how much of it is kept, in bytes.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// The most that is asked for beyond what is needed.
    ahead: u64,
    /// What is asked for where nothing is known of what follows.
    little: u64,
    /// What is kept of a file that is open: a row group and its neighbours.
    kept: u64,
}

/// A data file in an object store, read by ranges; clones share what has been read.
#[derive(Clone)]
pub(crate) struct RemotePart {
    shared: Arc<Shared>,
}

struct Shared {
    objects: Arc<dyn Objects>,
    key: String,
    length: u64,
    limits: Limits,
    inner: Mutex<Inner>,
}

struct Inner {
    /// Ranges that are read as a whole, in order.
    chunks: Vec<Range<u64>>,
    /// The most that is asked for of one of them beyond what is needed.
    ahead: u64,
    /// What has been read, that which was needed last at the end.
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
        Self::with_limits(objects, key, length, tail, LIMITS)
    }

    fn with_limits(
        objects: Arc<dyn Objects>,
        key: String,
        length: u64,
        tail: Option<Bytes>,
        limits: Limits,
    ) -> Self {
        let kept = tail.map(|tail| (length.saturating_sub(tail.len() as u64), tail));
        Self {
            shared: Arc::new(Shared {
                objects,
                key,
                length,
                limits,
                inner: Mutex::new(Inner {
                    chunks: Vec::new(),
                    ahead: limits.ahead,
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

    /// Takes note that all columns of a row group will be read, one behind the other.
    pub(crate) fn expect(&self, metadata: &ParquetMetaData, group: usize) {
        let Some(whole) = extent(metadata, group) else {
            return;
        };
        let mut inner = self.inner();
        inner.ahead = self.shared.limits.ahead;
        let within = |chunk: &Range<u64>| chunk.start >= whole.start && chunk.end <= whole.end;
        inner.chunks.retain(|chunk| !within(chunk));
        let place = inner
            .chunks
            .partition_point(|chunk| chunk.start < whole.start);
        inner.chunks.insert(place, whole);
    }

    /// Takes note that so many columns of a row group will be read side by side, page by page.
    pub(crate) fn expect_rows(&self, metadata: &ParquetMetaData, group: usize, columns: usize) {
        let Limits {
            ahead,
            little,
            kept,
        } = self.shared.limits;
        let all = metadata.row_group(group).num_columns();
        let whole = extent(metadata, group).unwrap_or_default();
        let fits = whole.end - whole.start <= kept / 2;
        if fits && columns == all {
            return self.expect(metadata, group);
        }
        // Of each column something is kept until its next page is needed: more than that would be
        // read again and again.
        self.inner().ahead = match fits {
            true => ahead,
            false => (kept / 2 / columns.max(1) as u64).clamp(little.min(ahead), ahead),
        };
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
            let mut inner = self.inner();
            if let Some(bytes) = inner.find(start, end) {
                return Ok(bytes);
            }
            inner.extend(start..end, self.shared.length, self.shared.limits.little)
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
        let mut size: u64 = inner.kept.iter().map(|(_, kept)| kept.len() as u64).sum();
        while size > self.shared.limits.kept && inner.kept.len() > 1 {
            size -= (inner.kept.pop_front()).map_or(0, |(_, kept)| kept.len() as u64);
        }
        inner
            .find(start, end)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl Inner {
    /// What is kept of these bytes, if it is all of them.
    fn find(&mut self, start: u64, end: u64) -> Option<Bytes> {
        let holds = |(first, bytes): &(u64, Bytes)| {
            *first <= start && end <= first.saturating_add(bytes.len() as u64)
        };
        let index = self.kept.iter().rposition(holds)?;
        let (first, bytes) = self.kept.remove(index)?;
        let place = |at: u64| usize::try_from(at - first).ok();
        let found = bytes.slice(place(start)?..place(end)?);
        self.kept.push_back((first, bytes));
        Some(found)
    }

    /// What is asked for when these bytes are needed of a file of this length.
    fn extend(&self, Range { start, end }: Range<u64>, length: u64, little: u64) -> Range<u64> {
        let next = self.chunks.partition_point(|chunk| chunk.start <= start);
        let chunk = next.checked_sub(1).and_then(|index| self.chunks.get(index));
        if let Some(chunk) = chunk.filter(|chunk| start < chunk.end) {
            return start..end.max(chunk.end.min(start + self.ahead)).min(length);
        }
        if length - start <= TAIL {
            return length.saturating_sub(TAIL).min(start)..length;
        }
        start..end.max(start + little).min(length)
    }
}

/// Where the columns of a row group lie.
fn extent(metadata: &ParquetMetaData, group: usize) -> Option<Range<u64>> {
    let columns = metadata.row_group(group).columns().iter();
    columns
        .map(ColumnChunkMetaData::byte_range)
        .map(|(start, length)| start..start + length)
        .reduce(|whole, chunk| whole.start.min(chunk.start)..whole.end.max(chunk.end))
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
        let length = left.min(buffer.len() as u64);
        let length = length.min(self.part.shared.limits.ahead);
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};

    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{
        ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
    };
    use parquet::file::metadata::PageIndexPolicy;
    use parquet::file::properties::WriterProperties;

    use super::super::objects::{Condition, Found, Tag};
    use super::*;

    /// A store of one object, which counts what is read of it.
    #[derive(Debug)]
    struct One {
        content: Bytes,
        bytes: AtomicU64,
        requests: AtomicU64,
    }

    impl One {
        /// The bytes and the requests since the last look.
        fn taken(&self) -> (u64, u64) {
            let take = |count: &AtomicU64| count.swap(0, Ordering::SeqCst);
            (take(&self.bytes), take(&self.requests))
        }
    }

    impl Objects for One {
        fn get_range(&self, _: &str, range: Range<u64>) -> io::Result<Bytes> {
            self.bytes
                .fetch_add(range.end - range.start, Ordering::SeqCst);
            self.requests.fetch_add(1, Ordering::SeqCst);
            Ok(self.content.slice(range.start as usize..range.end as usize))
        }

        fn list(&self, _: &str) -> io::Result<Vec<Found>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn length(&self, _: &str) -> io::Result<Option<u64>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn get(&self, _: &str) -> io::Result<Option<(Bytes, Tag)>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn put(&self, _: &str, _: Bytes, _: &Condition) -> io::Result<Option<Tag>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn upload(&self, _: &Path, _: &str) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn copy(&self, _: &str, _: &str) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn delete(&self, _: &[String]) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    /// A file of one row group: columns of values that no encoding makes small, and one that all
    /// encodings do.
    fn file(columns: i64) -> Arc<One> {
        let column = |column: i64| -> ArrayRef {
            let mixed = |row: i64| (row * 31 + column).wrapping_mul(0x2545_F491_4F6C_DD1D);
            let values = (0..20_000).map(|row| mixed(row) ^ (mixed(row) >> 29));
            Arc::new(Int64Array::from_iter_values(values))
        };
        let mut all: Vec<(String, ArrayRef)> = vec![(
            "same".to_owned(),
            Arc::new(Int64Array::from_value(7, 20_000)),
        )];
        all.extend((0..columns).map(|index| (format!("column_{index}"), column(index))));
        let batch = RecordBatch::try_from_iter(all).unwrap();
        let properties = WriterProperties::builder()
            .set_data_page_row_count_limit(200)
            .set_write_batch_size(200)
            .build();
        let mut writer =
            ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        Arc::new(One {
            content: writer.into_inner().unwrap().into(),
            bytes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        })
    }

    const SMALL: Limits = Limits {
        ahead: 64 << 10,
        little: 1 << 10,
        kept: 256 << 10,
    };

    fn open(file: &Arc<One>, limits: Limits) -> (RemotePart, ArrowReaderMetadata) {
        let (objects, length) = (Arc::clone(file), file.content.len() as u64);
        let part = RemotePart::with_limits(objects, "key".to_owned(), length, None, limits);
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let metadata = ArrowReaderMetadata::load(&part, options).unwrap();
        part.learn(metadata.metadata());
        file.taken();
        (part, metadata)
    }

    #[test]
    fn columns_that_are_read_side_by_side_are_read_once() {
        #[track_caller]
        fn check(columns: i64, limits: Limits, most_requests: u64) {
            let file = file(columns);
            let length = file.content.len() as u64;
            let (part, metadata) = open(&file, limits);
            let group = metadata.metadata().row_group(0);
            part.expect_rows(metadata.metadata(), 0, group.num_columns());
            let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(part, metadata)
                .with_batch_size(100)
                .build()
                .unwrap();
            let rows: usize = reader.map(|batch| batch.unwrap().num_rows()).sum();
            assert_eq!(rows, 20_000);
            let (bytes, requests) = file.taken();
            assert!(bytes * 10 < length * 12, "{bytes} of {length}");
            assert!(requests <= most_requests, "{requests} requests");
        }
        // All of it is kept: as few requests as can be.
        let large = Limits {
            kept: 8 << 20,
            ..SMALL
        };
        check(12, large, 35);
        // Of each column as much as there is room for.
        check(12, SMALL, 300);
        check(40, SMALL, 2_500);
    }

    #[test]
    fn columns_that_are_read_one_behind_the_other_are_read_in_large_pieces() {
        let file = file(12);
        let (part, metadata) = open(&file, SMALL);
        part.expect_rows(metadata.metadata(), 0, 13);
        part.expect(metadata.metadata(), 0);
        let whole = extent(metadata.metadata(), 0).unwrap();
        let mut copied = Vec::new();
        for column in metadata.metadata().row_group(0).columns() {
            let (start, length) = column.byte_range();
            let mut read = part.get_read(start).unwrap().take(length);
            let mut buffer = [0; 4096];
            loop {
                match read.read(&mut buffer).unwrap() {
                    0 => break,
                    length => copied.extend_from_slice(&buffer[..length]),
                }
            }
        }
        assert!(copied == file.content[whole.start as usize..whole.end as usize]);
        let (bytes, requests) = file.taken();
        // What lies on both sides of a boundary is asked for twice.
        assert!(bytes * 10 < copied.len() as u64 * 11, "{bytes}");
        assert!(requests <= bytes.div_ceil(SMALL.ahead), "{requests}");
    }
}
