//! Writes what stays of data files into new ones: row groups without a change are copied as bytes,
//! and so are the columns without one of the others, where no row goes; the rest is decoded.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::slice;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{filter_record_batch, interleave};
use arrow::datatypes::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::arrow::arrow_writer::ArrowColumnChunk;
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy};

use crate::Error;
use crate::arranger::Arranger;
use crate::fresh::{Fresh, Update};
use crate::history::Versions;
use crate::part::{BATCH_ROWS, Part, reader_options};
use crate::row_group::RowGroup;
use crate::row_set::RowSet;
use crate::schema::{self, Conversions};
use crate::state::DataFile;
use crate::writer::PartWriter;

/// Single rows read at a time: enough to see that most columns differ.
const FEW_ROWS: usize = 256;

/// What became of the row groups of rewritten files, and their bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) copied: u64,
    pub(crate) bytes_copied: u64,
    /// Decoded and written again, wholly or in some columns, as far as rows are left.
    pub(crate) rewritten: u64,
    pub(crate) bytes_rewritten: u64,
}

/// What a load changes in a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Changes<'a> {
    /// Rows that go.
    pub(crate) gone: &'a RowSet,
    /// Rows whose version ends.
    pub(crate) retired: &'a RowSet,
    /// Rows whose places others take, in order.
    pub(crate) updates: &'a [Update],
    /// Columns that become wider.
    pub(crate) conversions: &'a Conversions,
}

impl Changes<'_> {
    pub(crate) fn are_none(&self) -> bool {
        self.gone.len() + self.retired.len() == 0
            && self.updates.is_empty()
            && self.conversions.is_empty()
    }

    fn updates_in(&self, rows: &Range<u64>) -> &[Update] {
        let before = |row: u64| {
            self.updates
                .partition_point(|update| update.row.row() < row)
        };
        let range = before(rows.start)..before(rows.end);
        self.updates.get(range).unwrap_or_default()
    }
}

/// Writes what stays of data files into new ones, in order.
#[derive(Debug)]
pub(crate) struct Rewriter<'a> {
    writer: PartWriter,
    /// The rows of the load, for updates.
    fresh: &'a Fresh,
    versions: Option<&'a Versions>,
    /// The bytes that may still be rewritten only to make larger row groups.
    spare_bytes: u64,
    tally: Tally,
}

/// A file and what happens to it.
struct Source<'a> {
    path: &'a Path,
    file: Part,
    metadata: ArrowReaderMetadata,
    /// A column added since, or a field that has become nullable, needs other pages.
    has_same_columns: bool,
    changes: Changes<'a>,
}

/// What has to be done to a row group.
enum Plan {
    Nothing,
    /// These columns have other values.
    Columns(BTreeSet<usize>),
    Everything,
}

impl<'a> Rewriter<'a> {
    pub(crate) fn new(
        writer: PartWriter,
        fresh: &'a Fresh,
        versions: Option<&'a Versions>,
        spare_bytes: u64,
    ) -> Self {
        Self {
            writer,
            fresh,
            versions,
            spare_bytes,
            tally: Tally::default(),
        }
    }

    /// What was done so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Writes the rows of a file that stay; false, and nothing done, when it can stay as it is and
    /// does not have to be rewritten.
    pub(crate) fn add(
        &mut self,
        path: &Path,
        changes: Changes<'_>,
        must: bool,
    ) -> Result<bool, Error> {
        let source = self.source(path, changes)?;
        let mut plans = Vec::new();
        let mut end = 0;
        for (index, group) in source.metadata.metadata().row_groups().iter().enumerate() {
            let start = end;
            end += u64::try_from(group.num_rows()).unwrap_or(0);
            plans.push((start..end, self.plan(&source, index, &(start..end))?));
        }
        if !must && plans.iter().all(|(_, plan)| matches!(plan, Plan::Nothing)) {
            return Ok(false);
        }
        for (index, (rows, plan)) in plans.into_iter().enumerate() {
            self.carry_out(&source, index, rows, plan)?;
        }
        Ok(true)
    }

    /// Hands over the rows of a file that stay, which go where others of theirs are.
    pub(crate) fn hand_over(
        &mut self,
        path: &Path,
        changes: Changes<'_>,
        arranger: &mut Arranger,
    ) -> Result<(), Error> {
        let source = self.source(path, changes)?;
        let mut start = 0;
        for (index, group) in source.metadata.metadata().row_groups().iter().enumerate() {
            let end = start + u64::try_from(group.num_rows()).unwrap_or(0);
            self.tally.rewritten += 1;
            self.tally.bytes_rewritten += u64::try_from(group.compressed_size()).unwrap_or(0);
            if changes.gone.count_in(start..end) < end - start {
                self.decode(&source, index, start..end, Some(arranger))?;
            }
            start = end;
        }
        Ok(())
    }

    /// Where the rows of the next files come: see [`PartWriter::turn_to`].
    pub(crate) fn turn_to(&mut self, partition: &str, is_sorted: bool) -> Result<(), Error> {
        self.writer.turn_to(partition, is_sorted)
    }

    fn source<'s>(&self, path: &'s Path, changes: Changes<'s>) -> Result<Source<'s>, Error> {
        let file = self.writer.disk().open(path)?;
        let options = reader_options()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .with_encoding_stats_as_mask(false);
        let metadata = ArrowReaderMetadata::load(&file, options)
            .map_err(|source| Error::read(path, source))?;
        file.learn(metadata.metadata());
        let has_same_columns = changes.conversions.is_empty()
            && metadata.parquet_schema().root_schema() == &*self.writer.format().parquet_schema;
        Ok(Source {
            path,
            file,
            metadata,
            has_same_columns,
            changes,
        })
    }

    /// Looks at what changes in a row group.
    fn plan(&self, source: &Source<'_>, index: usize, rows: &Range<u64>) -> Result<Plan, Error> {
        let changes = &source.changes;
        if changes.gone.count_in(rows.clone()) > 0 || !changes.conversions.is_empty() {
            return Ok(Plan::Everything);
        }
        let mut columns = self.differing(source, index, rows)?;
        if let Some(versions) = self.versions
            && changes.retired.count_in(rows.clone()) > 0
        {
            let column = self.writer.format().schema.index_of(versions.valid_to());
            columns.insert(column.map_err(Error::arrow)?);
        }
        Ok(if columns.is_empty() {
            Plan::Nothing
        } else if source.has_same_columns {
            Plan::Columns(columns)
        } else {
            Plan::Everything
        })
    }

    /// The columns in which rows of the load differ from those whose places they take.
    fn differing(
        &self,
        source: &Source<'_>,
        index: usize,
        rows: &Range<u64>,
    ) -> Result<BTreeSet<usize>, Error> {
        let updates = source.changes.updates_in(rows);
        let mut columns = BTreeSet::new();
        if updates.is_empty() {
            return Ok(columns);
        }
        let places = updates.iter().map(|update| {
            let row = (update.row.row() - rows.start) as usize;
            row..row + 1
        });
        let count = (rows.end - rows.start) as usize;
        let selection = RowSelection::from_consecutive_ranges(places, count);
        let schema = &self.writer.format().schema;
        let mut done = 0;
        for batch in source.read(index, None, Some(selection))? {
            let batch = batch.map_err(|error| Error::read(source.path, error))?;
            let batch = schema::adapt(&batch, schema)?;
            let end = done + batch.num_rows();
            let new = self
                .fresh
                .rows(updates.get(done..end).unwrap_or_default(), None)?;
            done = end;
            // Where most columns differ, all of them are decoded whatever the others do.
            if self.are_most(columns.len()) {
                break;
            }
            for (column, (old, new)) in batch.columns().iter().zip(new.columns()).enumerate() {
                if !columns.contains(&column) && old != new {
                    columns.insert(column);
                }
            }
        }
        Ok(columns)
    }

    fn carry_out(
        &mut self,
        source: &Source<'_>,
        index: usize,
        rows: Range<u64>,
        plan: Plan,
    ) -> Result<(), Error> {
        let group = source.metadata.metadata().row_group(index);
        let bytes = u64::try_from(group.compressed_size()).unwrap_or(0);
        let left = rows.end - rows.start - source.changes.gone.count_in(rows.clone());
        let columns = match plan {
            Plan::Nothing if source.has_same_columns && self.stays_whole(left, bytes) => {
                self.tally.copied += 1;
                BTreeSet::new()
            }
            // With most columns changed, decoding all of them in one pass is less work.
            Plan::Columns(columns) if !self.are_most(columns.len()) && !self.joins(left, bytes) => {
                self.tally.rewritten += 1;
                columns
            }
            _ => {
                self.tally.rewritten += 1;
                self.tally.bytes_rewritten += bytes;
                if left > 0 {
                    if !self.fits(left, bytes) {
                        self.writer.end_group()?;
                    }
                    self.decode(source, index, rows, None)?;
                }
                return Ok(());
            }
        };
        let mut replaced = BTreeMap::new();
        for column in columns {
            self.encode_column(source, index, rows.clone(), column, &mut replaced)?;
        }
        let old = replaced.keys().map(|leaf| group.column(*leaf));
        let old: i64 = old.map(ColumnChunkMetaData::compressed_size).sum();
        let old = u64::try_from(old).unwrap_or(0);
        self.tally.bytes_rewritten += old;
        self.tally.bytes_copied += bytes.saturating_sub(old);
        let metadata = source.metadata.metadata();
        if replaced.is_empty() {
            source.file.expect(metadata, index);
        }
        self.writer.append(&source.file, metadata, index, replaced)
    }

    fn are_most(&self, columns: usize) -> bool {
        columns * 4 > self.writer.format().schema.fields().len() * 3
    }

    /// Whether rows may go into the row group that is open. Otherwise row groups keep their
    /// boundaries: a remainder would be joined with its neighbour, and so on to the end.
    fn fits(&self, rows: u64, bytes: u64) -> bool {
        let (pending_rows, pending_bytes) = self.writer.pending();
        let options = &self.writer.format().options;
        rows + pending_rows <= options.row_group_rows as u64
            && bytes + pending_bytes <= options.row_group_bytes as u64 / 2
    }

    /// Whether a row group is better decoded to make a larger one, be it small or behind a few rows
    /// that would make a small one.
    fn joins(&self, rows: u64, bytes: u64) -> bool {
        let (pending_rows, pending_bytes) = self.writer.pending();
        let format = self.writer.format();
        let takes_pending = pending_rows > 0
            && format.is_small(pending_rows, pending_bytes)
            && rows + pending_rows <= format.options.row_group_rows as u64;
        takes_pending || format.is_small(rows, bytes)
    }

    /// Whether a row group without a change is copied as it is: unless it joins, within the budget.
    fn stays_whole(&mut self, rows: u64, bytes: u64) -> bool {
        if !self.joins(rows, bytes) || bytes > self.spare_bytes {
            return true;
        }
        self.spare_bytes -= bytes;
        false
    }

    /// Decodes a row group and writes what stays of it, or hands it over.
    fn decode(
        &mut self,
        source: &Source<'_>,
        index: usize,
        rows: Range<u64>,
        mut arranger: Option<&mut Arranger>,
    ) -> Result<(), Error> {
        let schema = Arc::clone(&self.writer.format().schema);
        let mut row = rows.start;
        for batch in source.read(index, None, None)? {
            let batch = batch.map_err(|error| Error::read(source.path, error))?;
            let next = row + batch.num_rows() as u64;
            let mut batch = self.change(source, &batch, row..next, &schema, None)?;
            let gone = source.changes.gone;
            if gone.count_in(row..next) > 0 {
                let stay = BooleanBuffer::collect_bool(batch.num_rows(), |index| {
                    !gone.contains(row + index as u64)
                });
                batch = filter_record_batch(&batch, &BooleanArray::new(stay, None))
                    .map_err(Error::arrow)?;
            }
            row = next;
            match &mut arranger {
                Some(arranger) => arranger.push(&batch)?,
                None => drop(self.writer.write(&batch)?),
            }
        }
        Ok(())
    }

    /// Encodes a column of a row group with its changes, leaf by leaf.
    fn encode_column(
        &self,
        source: &Source<'_>,
        index: usize,
        rows: Range<u64>,
        column: usize,
        replaced: &mut BTreeMap<usize, ArrowColumnChunk>,
    ) -> Result<(), Error> {
        let format = Arc::new(self.writer.format().column(column)?);
        let mut group = RowGroup::new(Arc::clone(&format), usize::MAX);
        let failed = |error| Error::write(source.path, error);
        let mut row = rows.start;
        for batch in source.read(index, Some(column), None)? {
            let batch = batch.map_err(|error| Error::read(source.path, error))?;
            let next = row + batch.num_rows() as u64;
            let batch = self.change(source, &batch, row..next, &format.schema, Some(column))?;
            row = next;
            group.write(batch).map_err(failed)?;
        }
        let schema = source.metadata.parquet_schema();
        let leaves = (0..schema.num_columns()).filter(|leaf| {
            let root = schema.get_column_root_idx(*leaf);
            root == column
        });
        replaced.extend(leaves.zip(group.finish().map_err(failed)?));
        Ok(())
    }

    /// Rows of a file, with the columns of `schema` and what the load changes in them; `column` is
    /// given when they are that column alone.
    fn change(
        &self,
        source: &Source<'_>,
        batch: &RecordBatch,
        rows: Range<u64>,
        schema: &SchemaRef,
        column: Option<usize>,
    ) -> Result<RecordBatch, Error> {
        let changes = &source.changes;
        let mut batch = schema::adapt_converted(batch, schema, changes.conversions)?;
        if let Some(versions) = self.versions
            && changes.retired.count_in(rows.clone()) > 0
            && schema.column_with_name(versions.valid_to()).is_some()
        {
            batch = versions.retire(&batch, rows.start, changes.retired)?;
        }
        let updates = changes.updates_in(&rows);
        if updates.is_empty() {
            return Ok(batch);
        }
        let new = self
            .fresh
            .rows(updates, column.as_ref().map(slice::from_ref))?;
        let mut places: Vec<(usize, usize)> = (0..batch.num_rows()).map(|row| (0, row)).collect();
        for (number, update) in updates.iter().enumerate() {
            if let Some(place) = places.get_mut((update.row.row() - rows.start) as usize) {
                *place = (1, number);
            }
        }
        let both = batch.columns().iter().zip(new.columns());
        let columns: Vec<ArrayRef> = both
            .map(|(old, new)| interleave(&[old as &dyn Array, new], &places))
            .collect::<Result<_, _>>()
            .map_err(Error::arrow)?;
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(Error::arrow)
    }

    /// Ends the last file; returns all new files and the number of the next.
    pub(crate) fn finish(self) -> Result<(Vec<DataFile>, u32), Error> {
        self.writer.finish()
    }
}

impl Source<'_> {
    /// Reads a row group: all columns or one, all rows or some.
    fn read(
        &self,
        group: usize,
        column: Option<usize>,
        rows: Option<RowSelection>,
    ) -> Result<ParquetRecordBatchReader, Error> {
        let failed = |source| Error::io("open", self.path, source);
        let file = self.file.try_clone().map_err(failed)?;
        let metadata = self.metadata.clone();
        let schema = metadata.parquet_schema();
        let roots = (0..schema.num_columns()).map(|leaf| schema.get_column_root_idx(leaf));
        let leaves = roots.filter(|root| column.is_none_or(|column| column == *root));
        file.expect_rows(metadata.metadata(), group, leaves.count());
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
            .with_row_groups(vec![group])
            .with_batch_size(BATCH_ROWS);
        if let Some(column) = column {
            let mask = ProjectionMask::roots(builder.parquet_schema(), [column]);
            builder = builder.with_projection(mask);
        }
        if let Some(rows) = rows {
            builder = builder.with_row_selection(rows).with_batch_size(FEW_ROWS);
        }
        builder
            .build()
            .map_err(|source| Error::read(self.path, source))
    }
}
