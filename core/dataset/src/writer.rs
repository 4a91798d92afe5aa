//! Writes batches into Parquet files of bounded size with bounded memory.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::disk::{Disk, NewFile};
use crate::layout::part_name;
use crate::state::DataFile;
use crate::{Error, RunId, encoding};

/// Rows kept back at the start of each file to choose the encodings from.
const SAMPLE_ROWS: usize = 4096;
/// Bytes after which the choice is made from fewer rows.
const SAMPLE_BYTES: usize = 8 << 20;
/// A row group with fewer rows is closed only at twice the memory.
const FEWEST_ROWS: usize = 100_000;

/// The keys that a bloom filter is made for; with more it only lets more through.
const BLOOM_KEYS: usize = 500_000;

/// The shape of the data files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterOptions {
    /// The length in bytes at which a new file begins; 256 MiB by default.
    pub file_bytes: u64,
    /// The memory in bytes at which a row group is closed; 16 MiB by default. Row groups of less
    /// than 100,000 rows may take twice as much.
    pub row_group_bytes: usize,
    /// The most rows of a row group; 1,000,000 by default.
    pub row_group_rows: usize,
    /// The zstd level, 1 (default) to 22.
    pub zstd_level: i32,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            file_bytes: 256 << 20,
            row_group_bytes: 16 << 20,
            row_group_rows: 1_000_000,
            zstd_level: 1,
        }
    }
}

/// What all files of a load have in common.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    pub(crate) schema: SchemaRef,
    pub(crate) options: WriterOptions,
    /// Columns that get a bloom filter.
    pub(crate) key: Vec<String>,
    pub(crate) metadata: Vec<(String, String)>,
}

impl Format {
    fn properties(&self, sample: &[RecordBatch]) -> Result<WriterProperties, Error> {
        let level = ZstdLevel::try_new(self.options.zstd_level).map_err(|source| {
            Error::configuration(format!(
                "there is no zstd level {}",
                self.options.zstd_level
            ))
            .with_source(source)
            .with_hint("use a level from 1 to 22")
        })?;
        let metadata = self.metadata.iter();
        let metadata = metadata.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("connector-dataset ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(level))
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_max_row_group_row_count(Some(self.options.row_group_rows.max(1)))
            .set_key_value_metadata(Some(metadata.collect()));
        for name in &self.key {
            let field = self.schema.field_with_name(name).map_err(Error::arrow)?;
            if *field.data_type() != DataType::Boolean {
                let path = ColumnPath::new(vec![name.clone()]);
                properties = properties
                    .set_column_bloom_filter_fpp(path.clone(), 0.05)
                    .set_column_bloom_filter_max_ndv(
                        path,
                        BLOOM_KEYS.min(self.options.row_group_rows) as u64,
                    );
            }
        }
        let rows: usize = sample.iter().map(RecordBatch::num_rows).sum();
        Ok(encoding::choose(properties, &self.schema, sample, rows >= SAMPLE_ROWS).build())
    }
}

/// Writes batches into consecutive files of one folder.
#[derive(Debug)]
pub(crate) struct PartWriter {
    disk: Disk,
    folder: PathBuf,
    run: RunId,
    next_number: u32,
    format: Arc<Format>,
    sample: Vec<RecordBatch>,
    sample_rows: usize,
    sample_bytes: usize,
    file: Option<OpenFile>,
    finished: Vec<DataFile>,
}

#[derive(Debug)]
struct OpenFile {
    name: String,
    path: PathBuf,
    writer: ArrowWriter<NewFile>,
    rows: u64,
}

impl PartWriter {
    pub(crate) fn new(
        disk: Disk,
        folder: PathBuf,
        run: RunId,
        first_number: u32,
        format: Arc<Format>,
    ) -> Self {
        Self {
            disk,
            folder,
            run,
            next_number: first_number,
            format,
            sample: Vec::new(),
            sample_rows: 0,
            sample_bytes: 0,
            file: None,
            finished: Vec::new(),
        }
    }

    /// Writes rows that have the columns of the format; returns the index of the file they go to
    /// and the number of rows before them in it. A batch is never split between files.
    pub(crate) fn write(&mut self, batch: RecordBatch) -> Result<(usize, u64), Error> {
        let is_full = self.file.as_ref().is_some_and(|file| {
            let length = file.writer.bytes_written() + file.writer.in_progress_size();
            length as u64 >= self.format.options.file_bytes
        });
        if is_full {
            self.close()?;
        }
        let rows_before = match &self.file {
            Some(file) => file.rows,
            None => self.sample_rows as u64,
        };
        let position = (self.finished.len(), rows_before);
        if self.file.is_some() {
            self.encode(&batch)?;
        } else if batch.num_rows() > 0 {
            self.sample_rows += batch.num_rows();
            self.sample_bytes += batch.get_array_memory_size();
            self.sample.push(batch);
            let enough = SAMPLE_ROWS.min(self.format.options.row_group_rows);
            if self.sample_rows >= enough || self.sample_bytes >= SAMPLE_BYTES {
                self.open()?;
            }
        }
        Ok(position)
    }

    /// Writes a file without rows, for datasets that have none.
    pub(crate) fn write_empty(&mut self) -> Result<(), Error> {
        self.open()?;
        self.close()
    }

    /// Takes over a file of another run, as if it had been written here first.
    pub(crate) fn adopt(&mut self, file: DataFile) {
        self.finished.push(file);
    }

    /// Ends the open file, so that all rows written so far are durable, and returns all files.
    pub(crate) fn cut(&mut self) -> Result<&[DataFile], Error> {
        if self.sample_rows > 0 {
            self.open()?;
        }
        self.close()?;
        Ok(&self.finished)
    }

    /// Ends the last file and returns all files and the number of the next.
    pub(crate) fn finish(mut self) -> Result<(Vec<DataFile>, u32), Error> {
        self.cut()?;
        Ok((self.finished, self.next_number))
    }

    /// Starts a file with the encodings that suit the sample.
    fn open(&mut self) -> Result<(), Error> {
        let sample = std::mem::take(&mut self.sample);
        self.sample_rows = 0;
        self.sample_bytes = 0;
        let name = part_name(self.next_number, self.run);
        let path = self.folder.join(&name);
        // Without the Arrow schema inside: every type we write has its exact Parquet counterpart.
        let options = ArrowWriterOptions::new()
            .with_properties(self.format.properties(&sample)?)
            .with_skip_arrow_metadata(true)
            .with_schema_root("schema".to_owned());
        let file = self.disk.create_file(&path)?;
        let schema = Arc::clone(&self.format.schema);
        let writer = ArrowWriter::try_new_with_options(file, schema, options)
            .map_err(|source| Error::write(&path, source))?;
        self.next_number += 1;
        self.file = Some(OpenFile {
            name,
            path,
            writer,
            rows: 0,
        });
        sample.iter().try_for_each(|batch| self.encode(batch))
    }

    fn encode(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let failed = |source| Error::write(&file.path, source);
        file.writer.write(batch).map_err(failed)?;
        file.rows += batch.num_rows() as u64;
        let options = &self.format.options;
        let memory = file.writer.memory_size();
        let is_large = memory >= options.row_group_bytes;
        if is_large
            && (file.writer.in_progress_rows() >= FEWEST_ROWS
                || memory >= options.row_group_bytes.saturating_mul(2))
        {
            file.writer.flush().map_err(failed)?;
        }
        Ok(())
    }

    /// Ends the open file durably.
    fn close(&mut self) -> Result<(), Error> {
        let Some(OpenFile {
            name,
            path,
            mut writer,
            rows,
        }) = self.file.take()
        else {
            return Ok(());
        };
        // Not `into_inner`, which turns the disk's reason into text.
        writer
            .finish()
            .map_err(|source| Error::write(&path, source))?;
        let (bytes, sha256) = writer.inner_mut().sync()?;
        self.finished.push(DataFile {
            name,
            rows,
            bytes,
            sha256,
        });
        Ok(())
    }
}
