//! A row group being encoded: its encodings are chosen from its first rows.

use std::collections::BTreeMap;
use std::io::{Sink, Write, sink};
use std::sync::Arc;

use arrow::array::RecordBatch;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use crate::encoding;
use crate::probe::{self, FALSE_POSITIVES};
use crate::writer::Format;

/// Rows kept back at the start of each row group to choose the encodings from.
const SAMPLE_ROWS: usize = 4096;
/// Bytes after which the choice is made from fewer rows: those of a row group, between these.
const SAMPLE_BYTES: (usize, usize) = (1 << 20, 8 << 20);
/// A row group with fewer rows is closed only at twice the memory.
const FEWEST_ROWS: usize = 50_000;
/// The keys that a bloom filter is made for; with more it only lets more through.
const BLOOM_KEYS: usize = 500_000;

/// A row group being encoded, or none yet.
#[derive(Debug)]
pub(crate) struct RowGroup {
    format: Arc<Format>,
    /// The memory at which it is full.
    most_bytes: usize,
    rows: usize,
    sample: Vec<RecordBatch>,
    sample_bytes: usize,
    /// One per leaf, once the encodings are chosen.
    columns: Vec<ArrowColumnWriter>,
    /// What they said they took before there was anything in them: 1 MiB for each that keeps
    /// differences, which no page of it fills.
    idle_bytes: usize,
    /// Of each column of the key, whether the last row group had its values in no order.
    unordered: BTreeMap<String, bool>,
}

impl RowGroup {
    pub(crate) fn new(format: Arc<Format>, most_bytes: usize) -> Self {
        Self {
            format,
            most_bytes,
            rows: 0,
            sample: Vec::new(),
            sample_bytes: 0,
            columns: Vec::new(),
            idle_bytes: 0,
            unordered: BTreeMap::new(),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// How many rows it still takes, one at least.
    pub(crate) fn room(&self) -> usize {
        let most = self.format.options.row_group_rows;
        most.saturating_sub(self.rows).max(1)
    }

    pub(crate) fn is_full(&self) -> bool {
        let options = &self.format.options;
        let memory = memory(&self.columns).saturating_sub(self.idle_bytes);
        self.rows >= options.row_group_rows
            || memory >= self.most_bytes
                && (self.rows >= FEWEST_ROWS || memory >= options.row_group_bytes.saturating_mul(2))
    }

    /// About how many bytes it will have.
    pub(crate) fn encoded_bytes(&self) -> usize {
        let columns = self.columns.iter();
        columns
            .map(ArrowColumnWriter::get_estimated_total_bytes)
            .sum()
    }

    pub(crate) fn write(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows();
        if !self.columns.is_empty() {
            return self.encode(&batch);
        }
        self.sample_bytes += batch.get_array_memory_size();
        self.sample.push(batch);
        let options = &self.format.options;
        let enough = SAMPLE_ROWS.min(options.row_group_rows);
        let enough_bytes = options
            .row_group_bytes
            .clamp(SAMPLE_BYTES.0, SAMPLE_BYTES.1);
        if self.rows >= enough || self.sample_bytes >= enough_bytes {
            self.begin()?;
        }
        Ok(())
    }

    /// Chooses the encodings, and encodes what they were chosen from.
    fn begin(&mut self) -> Result<()> {
        let sample = std::mem::take(&mut self.sample);
        self.sample_bytes = 0;
        let schema = Arc::clone(&self.format.parquet_schema);
        let properties = Arc::new(self.properties(&sample));
        // Each row group has encodings of its own; the writer of a file has those of all.
        let scratch: SerializedFileWriter<Sink> =
            SerializedFileWriter::new(sink(), schema, properties)?;
        let factory = ArrowRowGroupWriterFactory::new(&scratch, Arc::clone(&self.format.schema));
        self.columns = factory.create_column_writers(0)?;
        self.idle_bytes = memory(&self.columns);
        sample.iter().try_for_each(|batch| self.encode(batch))
    }

    fn properties(&self, sample: &[RecordBatch]) -> WriterProperties {
        let format = &self.format;
        let mut properties = format.properties();
        for name in &format.key {
            let Ok(index) = format.schema.index_of(name) else {
                continue;
            };
            let columns = sample.iter().map(|batch| batch.column(index).clone());
            // Where a key's values are in order, statistics rule out all that a filter would.
            let is_useful = probe::is_useful_for(format.schema.field(index).data_type())
                && (self.unordered.get(name).is_some_and(|unordered| *unordered)
                    || probe::is_unordered(&columns.collect::<Vec<_>>()));
            if is_useful {
                let path = ColumnPath::new(vec![name.clone()]);
                let keys = BLOOM_KEYS.min(format.options.row_group_rows) as u64;
                properties = properties
                    .set_column_bloom_filter_fpp(path.clone(), FALSE_POSITIVES)
                    .set_column_bloom_filter_max_ndv(path, keys);
            }
        }
        let continues = self.rows >= SAMPLE_ROWS;
        encoding::choose(properties, &format.schema, sample, continues).build()
    }

    fn encode(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut columns = self.columns.iter_mut();
        for (field, array) in self.format.schema.fields().iter().zip(batch.columns()) {
            for leaf in compute_leaves(field, array)? {
                if let Some(column) = columns.next() {
                    column.write(&leaf)?;
                }
            }
        }
        Ok(())
    }

    /// Writes what it holds to a file, and begins anew; nothing when it is empty.
    pub(crate) fn end<W: Write + Send>(
        &mut self,
        file: &mut SerializedFileWriter<W>,
    ) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let chunks = self.finish()?;
        let mut group = file.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut group)?;
        }
        group.close().map(drop)
    }

    /// What it holds, encoded; it begins anew.
    pub(crate) fn finish(&mut self) -> Result<Vec<ArrowColumnChunk>> {
        if self.columns.is_empty() {
            self.begin()?;
        }
        self.rows = 0;
        let mut chunks = Vec::with_capacity(self.columns.len());
        for column in std::mem::take(&mut self.columns) {
            let mut chunk = column.close()?;
            let path = chunk.close().metadata.column_path();
            if let [name] = path.parts()
                && self.format.key.contains(name)
                && let Some(is_unordered) = probe::has_unordered_pages(chunk.close())
            {
                self.unordered.insert(name.clone(), is_unordered);
                if !is_unordered {
                    chunk.close_mut().bloom_filter = None;
                }
            }
            chunks.push(chunk);
        }
        Ok(chunks)
    }
}

fn memory(columns: &[ArrowColumnWriter]) -> usize {
    columns.iter().map(ArrowColumnWriter::memory_size).sum()
}
