//! Writes batches and row groups of other files into Parquet files of bounded size with bounded
//! memory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use connector_plan::{Compression, FlattenColumns, Layout, PartitionColumn, SortColumn};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::ArrowColumnChunk;
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::{KeyValue, ParquetMetaData, SortingColumn};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterPropertiesPtr,
};
use parquet::file::reader::ChunkReader;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::TypePtr;

use crate::arrangement::sorting_columns;
use crate::disk::{Disk, NewFile};
use crate::layout::part_name;
use crate::row_group::RowGroup;
use crate::state::DataFile;
use crate::{Error, ErrorKind, RunId};

/// The bytes of a page before it is compressed: what stays in a core's own cache, and a quarter of what
/// a page of every column would take by default. Files are 0.2 to 0.4 % larger for it.
const PAGE_BYTES: usize = 256 << 10;

/// The shape of the data files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterOptions {
    /// The length in bytes at which a new file begins; 256 MiB by default.
    pub file_bytes: u64,
    /// The memory in bytes at which a row group is closed; 16 MiB by default. Row groups of less
    /// than 50,000 rows may take twice as much.
    pub row_group_bytes: usize,
    /// The most rows of a row group; 1,000,000 by default.
    pub row_group_rows: usize,
    /// How pages are compressed; zstd at level 1 by default.
    pub compression: Compression,
    /// The most bytes that a load rewrites beyond what its changes need, to join small files and
    /// small row groups; 256 MiB by default.
    pub compaction_bytes: u64,
    /// The memory in bytes for the rows of a load that take the places of those they update, so that
    /// only the columns that differ are written again; 64 MiB by default. The rows of a larger load
    /// come behind the others, and row groups with an update are written again.
    pub update_bytes: usize,
    /// The memory in bytes that a load may take; 256 MiB by default, 4 MiB at least. With less than
    /// 128 MiB, `row_group_bytes` is at most an eighth of it, `update_bytes` at most half, and more
    /// of the keys is spilled to disk.
    pub memory_bytes: usize,
    /// The columns by which the rows of each file are sorted, the first one first; none by default.
    pub sort_by: Vec<SortColumn>,
    /// The columns, or parts of them, whose values name the folders that the files lie in; none by
    /// default.
    pub partition_by: Vec<PartitionColumn>,
    /// How the members of objects become columns; not at all by default. The primary key and all
    /// others name columns as they are then.
    pub flatten: Option<FlattenColumns>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self::from(&Layout::default())
    }
}

impl From<&Layout> for WriterOptions {
    fn from(layout: &Layout) -> Self {
        let size = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        Self {
            file_bytes: layout.file_bytes,
            row_group_bytes: size(layout.row_group_bytes),
            row_group_rows: size(layout.row_group_rows),
            compression: layout.compression,
            compaction_bytes: 256 << 20,
            update_bytes: 64 << 20,
            memory_bytes: 256 << 20,
            sort_by: layout.sort_by.clone(),
            partition_by: layout.partition_by.clone(),
            flatten: layout.flatten.clone(),
        }
    }
}

/// What all files of a load have in common.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    pub(crate) schema: SchemaRef,
    /// The same in Parquet's terms.
    pub(crate) parquet_schema: TypePtr,
    pub(crate) options: WriterOptions,
    /// Columns that may get a bloom filter.
    pub(crate) key: Vec<String>,
    metadata: Vec<KeyValue>,
    codec: Codec,
    /// The order of files that are sorted.
    sorting: Option<Vec<SortingColumn>>,
}

impl Format {
    /// # Errors
    /// When the options are out of range.
    pub(crate) fn new(
        schema: SchemaRef,
        options: WriterOptions,
        key: Vec<String>,
        metadata: Vec<(String, String)>,
    ) -> Result<Self, Error> {
        let codec = match options.compression {
            Compression::Zstd { level } => {
                let level = ZstdLevel::try_new(level).map_err(|source| {
                    Error::configuration(format!("there is no zstd level {level}"))
                        .with_source(source)
                        .with_hint("use a level from 1 to 22")
                })?;
                Codec::ZSTD(level)
            }
            Compression::Snappy => Codec::SNAPPY,
            Compression::None => Codec::UNCOMPRESSED,
        };
        let converter = ArrowSchemaConverter::new().schema_root("schema");
        let parquet_schema = converter.convert(&schema).map_err(|source| {
            let error = Error::new(ErrorKind::Internal, "the columns have no form in Parquet");
            error.with_source(source)
        })?;
        let metadata = metadata.into_iter();
        let sorting = sorting_columns(&options.sort_by, &parquet_schema)?;
        Ok(Self {
            schema,
            parquet_schema: parquet_schema.root_schema_ptr(),
            options,
            key,
            metadata: metadata
                .map(|(key, value)| KeyValue::new(key, value))
                .collect(),
            codec,
            sorting,
        })
    }

    /// The properties of every row group; the encodings of its columns come on top.
    pub(crate) fn properties(&self) -> WriterPropertiesBuilder {
        WriterProperties::builder()
            .set_created_by(concat!("connector-dataset ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(self.codec)
            .set_data_page_size_limit(PAGE_BYTES)
            .set_statistics_enabled(EnabledStatistics::Page)
    }

    /// Whether a row group is worth being joined with its neighbour: it has less than half of the
    /// rows and a sixteenth of the bytes that one may have.
    pub(crate) fn is_small(&self, rows: u64, bytes: u64) -> bool {
        let options = &self.options;
        rows.saturating_mul(2) < options.row_group_rows as u64
            && bytes.saturating_mul(16) < options.row_group_bytes as u64
    }

    /// For one of its columns alone.
    pub(crate) fn column(&self, index: usize) -> Result<Self, Error> {
        let schema = self.schema.project(&[index]).map_err(Error::arrow)?;
        let (mut options, key) = (self.options.clone(), self.key.clone());
        options.sort_by.clear();
        Self::new(Arc::new(schema), options, key, Vec::new())
    }

    fn file_properties(&self, is_sorted: bool) -> WriterPropertiesPtr {
        // Without the Arrow schema inside: every type we write has its exact Parquet counterpart.
        let metadata = Some(self.metadata.clone());
        let sorting = self.sorting.clone().filter(|_| is_sorted);
        let properties = self.properties().set_key_value_metadata(metadata);
        Arc::new(properties.set_sorting_columns(sorting).build())
    }
}

/// Writes into consecutive files of one folder, or of folders within it.
#[derive(Debug)]
pub(crate) struct PartWriter {
    disk: Disk,
    folder: PathBuf,
    /// The folder within it, with `/`; empty for itself.
    partition: String,
    /// Whether the rows come in the order of the format.
    is_sorted: bool,
    run: RunId,
    next_number: u32,
    format: Arc<Format>,
    /// The memory at which a row group is closed.
    row_group_bytes: usize,
    file: Option<OpenFile>,
    finished: Vec<DataFile>,
}

#[derive(Debug)]
struct OpenFile {
    name: String,
    path: PathBuf,
    writer: SerializedFileWriter<NewFile>,
    /// The rows of the file, those of the open row group among them.
    rows: u64,
    /// What comes next.
    group: RowGroup,
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
            partition: String::new(),
            is_sorted: false,
            run,
            next_number: first_number,
            row_group_bytes: format.options.row_group_bytes,
            format,
            file: None,
            finished: Vec::new(),
        }
    }

    /// For rows that come from whole row groups, which are not split where they take a little more
    /// memory than before.
    pub(crate) fn with_slack(mut self) -> Self {
        self.row_group_bytes = self.row_group_bytes.saturating_mul(2);
        self
    }

    /// Ends the open file; what comes next lies in this folder within the writer's, in the order of
    /// the format or not.
    pub(crate) fn turn_to(&mut self, partition: &str, is_sorted: bool) -> Result<(), Error> {
        self.close()?;
        partition.clone_into(&mut self.partition);
        self.is_sorted = is_sorted;
        Ok(())
    }

    pub(crate) fn format(&self) -> &Arc<Format> {
        &self.format
    }

    /// Writes rows that have the columns of the format; returns the index of the file they go to
    /// and the number of rows before them in it. A batch is never split between files.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(usize, u64), Error> {
        if self.is_full() {
            self.close()?;
        }
        let rows_before = self.file.as_ref().map_or(0, |file| file.rows);
        let position = (self.finished.len(), rows_before);
        if batch.num_rows() > 0 {
            self.open()?.write(batch)?;
        }
        Ok(position)
    }

    /// The rows of the open row group, and about how many bytes they will have.
    pub(crate) fn pending(&self) -> (u64, u64) {
        let group = self.file.as_ref().map(|file| &file.group);
        group.map_or((0, 0), |group| {
            (group.rows() as u64, group.encoded_bytes() as u64)
        })
    }

    /// Ends the open row group.
    pub(crate) fn end_group(&mut self) -> Result<(), Error> {
        self.file.as_mut().map_or(Ok(()), OpenFile::end_group)
    }

    /// Appends a row group of a file that has the columns of the format, as it is: its pages,
    /// statistics, page indexes and bloom filters; only the leaves in `replaced` are others. Rows
    /// written before it form a row group of their own.
    pub(crate) fn append<R: ChunkReader>(
        &mut self,
        source: &R,
        metadata: &ParquetMetaData,
        group: usize,
        replaced: BTreeMap<usize, ArrowColumnChunk>,
    ) -> Result<(), Error> {
        if self.is_full() {
            self.close()?;
        }
        self.open()?.append(source, metadata, group, replaced)
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

    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Ends the open file, so that all rows written so far are durable, and returns all files.
    pub(crate) fn cut(&mut self) -> Result<&[DataFile], Error> {
        self.close()?;
        Ok(&self.finished)
    }

    /// Ends the last file and returns all files and the number of the next.
    pub(crate) fn finish(mut self) -> Result<(Vec<DataFile>, u32), Error> {
        self.cut()?;
        Ok((self.finished, self.next_number))
    }

    fn is_full(&self) -> bool {
        self.file.as_ref().is_some_and(|file| {
            let length = file.writer.bytes_written() + file.group.encoded_bytes();
            length as u64 >= self.format.options.file_bytes
        })
    }

    /// The open file, a new one when there is none.
    fn open(&mut self) -> Result<&mut OpenFile, Error> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let mut name = part_name(self.next_number, self.run);
                if !self.partition.is_empty() {
                    let folder = self.folder.join(&self.partition);
                    self.disk.create_directory(&folder)?;
                    name = format!("{}/{name}", self.partition);
                }
                let path = self.folder.join(&name);
                let file = self.disk.create_file(&path)?;
                let schema = Arc::clone(&self.format.parquet_schema);
                let properties = self.format.file_properties(self.is_sorted);
                let writer = SerializedFileWriter::new(file, schema, properties)
                    .map_err(|source| Error::write(&path, source))?;
                self.next_number += 1;
                OpenFile {
                    name,
                    path,
                    writer,
                    rows: 0,
                    group: RowGroup::new(Arc::clone(&self.format), self.row_group_bytes),
                }
            }
        };
        Ok(self.file.insert(file))
    }

    /// Ends the open file durably.
    fn close(&mut self) -> Result<(), Error> {
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        file.end_group()?;
        // Not `into_inner`, which turns the disk's reason into text.
        let mut writer = file.writer;
        writer
            .finish()
            .map_err(|source| Error::write(&file.path, source))?;
        let (bytes, sha256) = writer.inner_mut().sync()?;
        self.finished.push(DataFile {
            name: file.name,
            rows: file.rows,
            bytes,
            sha256,
        });
        Ok(())
    }
}

impl OpenFile {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let mut first = 0;
        while first < batch.num_rows() {
            let rows = self.group.room().min(batch.num_rows() - first);
            let failed = |source| Error::write(&self.path, source);
            self.group.write(batch.slice(first, rows)).map_err(failed)?;
            first += rows;
            self.rows += rows as u64;
            if self.group.is_full() {
                self.end_group()?;
            }
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), Error> {
        let failed = |source| Error::write(&self.path, source);
        self.group.end(&mut self.writer).map_err(failed)
    }

    fn append<R: ChunkReader>(
        &mut self,
        source: &R,
        metadata: &ParquetMetaData,
        group: usize,
        mut replaced: BTreeMap<usize, ArrowColumnChunk>,
    ) -> Result<(), Error> {
        self.end_group()?;
        let failed = |source| Error::write(&self.path, source);
        let rows = u64::try_from(metadata.row_group(group).num_rows()).unwrap_or(0);
        let mut writer = self.writer.next_row_group().map_err(failed)?;
        for index in 0..metadata.row_group(group).num_columns() {
            let appended = match replaced.remove(&index) {
                Some(chunk) => chunk.append_to_row_group(&mut writer),
                None => as_closed(source, metadata, group, index)
                    .and_then(|close| writer.append_column(source, close)),
            };
            appended.map_err(failed)?;
        }
        writer.close().map_err(failed)?;
        self.rows += rows;
        Ok(())
    }
}

/// What a column's writer would have said of a column that another file holds.
fn as_closed<R: ChunkReader>(
    source: &R,
    metadata: &ParquetMetaData,
    group: usize,
    column: usize,
) -> Result<ColumnCloseResult, parquet::errors::ParquetError> {
    let row_group = metadata.row_group(group);
    let chunk = row_group.column(column).clone();
    let column_index = metadata
        .column_index()
        .and_then(|groups| groups.get(group)?.get(column))
        .filter(|index| !matches!(index, ColumnIndexMetaData::NONE));
    let offset_index = metadata
        .offset_index()
        .and_then(|groups| groups.get(group)?.get(column));
    Ok(ColumnCloseResult {
        bytes_written: u64::try_from(chunk.compressed_size()).unwrap_or(0),
        rows_written: u64::try_from(row_group.num_rows()).unwrap_or(0),
        bloom_filter: Sbbf::read_from_column_chunk(&chunk, source)?,
        metadata: chunk,
        column_index: column_index.cloned(),
        offset_index: offset_index.cloned(),
    })
}
