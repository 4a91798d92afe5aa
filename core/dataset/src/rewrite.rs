//! Writes what stays of data files into new ones: row groups without a change are copied as bytes,
//! the others decoded.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use arrow::array::BooleanArray;
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::PageIndexPolicy;

use crate::Error;
use crate::history::Versions;
use crate::part::{BATCH_ROWS, open, reader_options};
use crate::row_set::RowSet;
use crate::schema::{self, Conversions};
use crate::state::DataFile;
use crate::writer::PartWriter;

/// What became of the row groups of rewritten files, and their bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) copied: u64,
    pub(crate) bytes_copied: u64,
    /// Decoded and written again, as far as rows are left.
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
    /// Columns that become wider.
    pub(crate) conversions: &'a Conversions,
}

/// Writes what stays of data files into new ones, in order.
#[derive(Debug)]
pub(crate) struct Rewriter<'a> {
    writer: PartWriter,
    versions: Option<&'a Versions>,
    /// The bytes that may still be rewritten only to make larger row groups.
    spare_bytes: u64,
    tally: Tally,
}

impl<'a> Rewriter<'a> {
    pub(crate) fn new(
        writer: PartWriter,
        versions: Option<&'a Versions>,
        spare_bytes: u64,
    ) -> Self {
        Self {
            writer,
            versions,
            spare_bytes,
            tally: Tally::default(),
        }
    }

    /// What was done so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Writes the rows of a file that stay.
    pub(crate) fn add(&mut self, path: &Path, changes: Changes<'_>) -> Result<(), Error> {
        let file = open(path)?;
        let options = reader_options()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .with_encoding_stats_as_mask(false);
        let metadata = ArrowReaderMetadata::load(&file, options)
            .map_err(|source| Error::read(path, source))?;
        // A column added since, or a field that has become nullable, needs other pages.
        let has_same_columns = changes.conversions.is_empty()
            && metadata.parquet_schema().root_schema() == &*self.writer.format().parquet_schema;
        let mut end = 0;
        for index in 0..metadata.metadata().num_row_groups() {
            let group = metadata.metadata().row_group(index);
            let start = end;
            end += u64::try_from(group.num_rows()).unwrap_or(0);
            let bytes = u64::try_from(group.compressed_size()).unwrap_or(0);
            let left = end - start - changes.gone.count_in(start..end);
            let is_changed = left < end - start || changes.retired.count_in(start..end) > 0;
            if !is_changed && has_same_columns && self.stays_whole(left, bytes) {
                self.writer.append(&file, metadata.metadata(), index)?;
                self.tally.copied += 1;
                self.tally.bytes_copied += bytes;
                continue;
            }
            self.tally.rewritten += 1;
            self.tally.bytes_rewritten += bytes;
            if left > 0 {
                if !self.fits(left, bytes) {
                    self.writer.end_group()?;
                }
                self.decode(path, &file, &metadata, (index, start..end), changes)?;
            }
        }
        Ok(())
    }

    /// Whether rows may go into the row group that is open. Otherwise row groups keep their
    /// boundaries: a remainder would be joined with its neighbour, and so on to the end.
    fn fits(&self, rows: u64, bytes: u64) -> bool {
        let (pending_rows, pending_bytes) = self.writer.pending();
        let options = &self.writer.format().options;
        rows + pending_rows <= options.row_group_rows as u64
            && bytes + pending_bytes <= options.row_group_bytes as u64 / 2
    }

    /// Whether a row group without a change is copied as it is. A small one is decoded to make a
    /// larger one, and so is one behind a few rows that would make a small one, within the budget.
    fn stays_whole(&mut self, rows: u64, bytes: u64) -> bool {
        let (pending_rows, pending_bytes) = self.writer.pending();
        let format = self.writer.format();
        let takes_pending = pending_rows > 0
            && format.is_small(pending_rows, pending_bytes)
            && rows + pending_rows <= format.options.row_group_rows as u64;
        let joins = takes_pending || format.is_small(rows, bytes);
        if !joins || bytes > self.spare_bytes {
            return true;
        }
        self.spare_bytes -= bytes;
        false
    }

    fn decode(
        &mut self,
        path: &Path,
        file: &File,
        metadata: &ArrowReaderMetadata,
        (group, rows): (usize, Range<u64>),
        changes: Changes<'_>,
    ) -> Result<(), Error> {
        let failed = |source| Error::io("open", path, source);
        let file = file.try_clone().map_err(failed)?;
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
            .with_row_groups(vec![group])
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|source| Error::read(path, source))?;
        let mut row = rows.start;
        for batch in reader {
            let mut batch = batch.map_err(|source| Error::read(path, source))?;
            let count = batch.num_rows() as u64;
            if let Some(versions) = self.versions
                && changes.retired.count_in(row..row + count) > 0
            {
                batch = versions.retire(&batch, row, changes.retired)?;
            }
            if changes.gone.count_in(row..row + count) > 0 {
                let stay = BooleanBuffer::collect_bool(batch.num_rows(), |index| {
                    !changes.gone.contains(row + index as u64)
                });
                batch = filter_record_batch(&batch, &BooleanArray::new(stay, None))
                    .map_err(Error::arrow)?;
            }
            row += count;
            let schema = &self.writer.format().schema;
            let batch = schema::adapt_converted(&batch, schema, changes.conversions)?;
            self.writer.write(&batch)?;
        }
        Ok(())
    }

    /// Ends the last file; returns all new files and the number of the next.
    pub(crate) fn finish(self) -> Result<(Vec<DataFile>, u32), Error> {
        self.writer.finish()
    }
}
