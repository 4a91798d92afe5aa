//! Finds which rows a load replaces, and copies files without rows that are gone.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use crate::Error;
use crate::disk::Disk;
use crate::key::{KeyHasher, KeyRange, extremes};
use crate::schema::{self, Conversions};
use crate::sorter::{Entry, Position, Sorter};
use crate::writer::PartWriter;

/// Rows read at a time.
const BATCH_ROWS: usize = 8192;

/// Some rows of a file; one bit each.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowSet {
    words: Vec<u64>,
    count: u64,
}

impl RowSet {
    /// Puts a row in; true when it was not in it.
    fn insert(&mut self, row: u64) -> bool {
        let (word, bit) = ((row / 64) as usize, 1 << (row % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let Some(word) = self.words.get_mut(word) else {
            return false;
        };
        let is_new = *word & bit == 0;
        *word |= bit;
        self.count += u64::from(is_new);
        is_new
    }

    fn contains(&self, row: u64) -> bool {
        let word = self.words.get((row / 64) as usize).copied().unwrap_or(0);
        word >> (row % 64) & 1 == 1
    }

    pub(crate) fn len(&self) -> u64 {
        self.count
    }
}

/// The keys of a load, as it arrives.
#[derive(Debug)]
pub(crate) struct LoadKeys {
    hasher: KeyHasher,
    sorter: Sorter,
    range: KeyRange,
    filter: KeyFilter,
}

impl LoadKeys {
    /// `spill` is a folder for what does not fit in memory.
    pub(crate) fn new(hasher: KeyHasher, disk: &Disk, spill: &Path) -> Self {
        Self {
            hasher,
            sorter: Sorter::new(disk.clone(), spill.join("load")),
            range: KeyRange::default(),
            filter: KeyFilter::new(),
        }
    }

    /// Takes in the keys of a batch that begins at `row` of the staged file at `file`; the load had
    /// `rows_read` rows before it.
    pub(crate) fn extend(
        &mut self,
        batch: &RecordBatch,
        rows_read: u64,
        (file, mut row): (usize, u64),
    ) -> Result<(), Error> {
        let Self {
            hasher,
            sorter,
            range,
            filter,
        } = self;
        hasher.hash(batch, rows_read, |key| {
            filter.insert(key.0);
            let position = Position::new(file, row)?;
            row += 1;
            sorter.push(Entry { key, position })
        })?;
        range.extend(batch, hasher.names())
    }

    /// Compares the load with the existing files.
    pub(crate) fn resolve(
        self,
        disk: &Disk,
        spill: &Path,
        existing: &[PathBuf],
    ) -> Result<Replaced, Error> {
        let mut candidates = Sorter::new(disk.clone(), spill.join("existing"));
        for (index, path) in existing.iter().enumerate() {
            self.scan(index, path, &mut candidates)?;
        }
        let mut replaced = Replaced {
            existing: vec![RowSet::default(); existing.len()],
            ..Replaced::default()
        };
        let mut candidates = candidates.sorted()?;
        let mut candidate = candidates.next()?;
        let mut load = self.sorter.sorted()?;
        let mut current = load.next()?;
        while let Some(entry) = current {
            // Entries of one key come in the order of arrival: the last one wins.
            current = load.next()?;
            if current.is_some_and(|next| next.key == entry.key) {
                let file = entry.position.file();
                if replaced.staged.len() <= file {
                    replaced.staged.resize_with(file + 1, RowSet::default);
                }
                if let Some(rows) = replaced.staged.get_mut(file) {
                    rows.insert(entry.position.row());
                }
                replaced.duplicates += 1;
                continue;
            }
            while candidate.is_some_and(|candidate| candidate.key < entry.key) {
                candidate = candidates.next()?;
            }
            let mut is_update = false;
            while let Some(found) = candidate.filter(|candidate| candidate.key == entry.key) {
                is_update = true;
                if let Some(rows) = replaced.existing.get_mut(found.position.file()) {
                    rows.insert(found.position.row());
                }
                candidate = candidates.next()?;
            }
            if is_update {
                replaced.updated += 1;
            } else {
                replaced.inserted += 1;
            }
        }
        Ok(replaced)
    }

    /// Collects the keys of an existing file that may be in the load.
    fn scan(&self, index: usize, path: &Path, candidates: &mut Sorter) -> Result<(), Error> {
        let file = open(path)?;
        let metadata = ArrowReaderMetadata::load(&file, reader_options())
            .map_err(|source| Error::read(path, source))?;
        let columns = self.key_columns(path, metadata.schema())?;
        let may_meet = self.row_groups_in_range(path, &metadata)?;
        let mut row = 0;
        for (group, may_meet) in may_meet.into_iter().enumerate() {
            let rows = metadata.metadata().row_group(group).num_rows();
            let end = row + u64::try_from(rows).unwrap_or(0);
            if may_meet {
                let file = file
                    .try_clone()
                    .map_err(|source| Error::io("open", path, source))?;
                let builder =
                    ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone());
                let mask = ProjectionMask::roots(builder.parquet_schema(), columns.clone());
                let reader = builder
                    .with_row_groups(vec![group])
                    .with_projection(mask)
                    .with_batch_size(BATCH_ROWS)
                    .build()
                    .map_err(|source| Error::read(path, source))?;
                for batch in reader {
                    let batch = batch.map_err(|source| Error::read(path, source))?;
                    self.hasher.hash(&batch, row, |key| {
                        let position = Position::new(index, row)?;
                        row += 1;
                        if self.filter.may_contain(key.0) {
                            candidates.push(Entry { key, position })?;
                        }
                        Ok(())
                    })?;
                }
            }
            row = end;
        }
        Ok(())
    }

    /// Where the key's columns are in a file.
    fn key_columns(&self, path: &Path, schema: &Schema) -> Result<Vec<usize>, Error> {
        let names = self.hasher.names().iter();
        names
            .map(|name| {
                schema
                    .index_of(name)
                    .map_err(|source| Error::read(path, source))
            })
            .collect()
    }

    /// For each row group of a file, whether its statistics allow keys of the load.
    fn row_groups_in_range(
        &self,
        path: &Path,
        metadata: &ArrowReaderMetadata,
    ) -> Result<Vec<bool>, Error> {
        let groups = metadata.metadata().row_groups();
        let mut may_meet = vec![true; groups.len()];
        for (index, name) in self.hasher.names().iter().enumerate() {
            let failed = |source| Error::read(path, source);
            let converter =
                StatisticsConverter::try_new(name, metadata.schema(), metadata.parquet_schema())
                    .map_err(failed)?;
            let lows = converter.row_group_mins(groups).map_err(failed)?;
            let highs = converter.row_group_maxes(groups).map_err(failed)?;
            for (group, may_meet) in may_meet.iter_mut().enumerate() {
                let low = extremes(&lows.slice(group, 1)).map(|(low, _)| low);
                let high = extremes(&highs.slice(group, 1)).map(|(_, high)| high);
                *may_meet &= self.range.may_meet(index, low.zip(high).as_ref());
            }
        }
        Ok(may_meet)
    }
}

/// What a load replaces.
#[derive(Debug, Default)]
pub(crate) struct Replaced {
    /// The rows of each staged file that a later row of the load replaces; may be shorter than the
    /// list of files.
    pub(crate) staged: Vec<RowSet>,
    /// The rows of each existing file that the load replaces.
    pub(crate) existing: Vec<RowSet>,
    /// Keys of the load that the dataset did not have.
    pub(crate) inserted: u64,
    /// Keys of the load that the dataset had.
    pub(crate) updated: u64,
    /// Rows of the load that a later row of it replaced.
    pub(crate) duplicates: u64,
}

/// Tells most keys that are not in a load from those that may be, in 4 MiB: of existing keys, only
/// the latter are sorted.
#[derive(Debug)]
struct KeyFilter {
    words: Vec<u64>,
}

impl KeyFilter {
    const WORD_BITS: u32 = 19;

    fn new() -> Self {
        Self {
            words: vec![0; 1 << Self::WORD_BITS],
        }
    }

    fn place(hash: u64) -> (usize, u64) {
        (
            (hash >> (u64::BITS - Self::WORD_BITS)) as usize,
            1 << (hash & 63),
        )
    }

    fn insert(&mut self, hash: u64) {
        let (word, bit) = Self::place(hash);
        if let Some(word) = self.words.get_mut(word) {
            *word |= bit;
        }
    }

    fn may_contain(&self, hash: u64) -> bool {
        let (word, bit) = Self::place(hash);
        self.words.get(word).is_none_or(|word| word & bit != 0)
    }
}

/// Copies the rows of a file that are not in `gone` into `writer`, with the columns of `schema`.
pub(crate) fn copy_rows(
    path: &Path,
    gone: &RowSet,
    schema: &SchemaRef,
    conversions: &Conversions,
    writer: &mut PartWriter,
) -> Result<(), Error> {
    let builder =
        ParquetRecordBatchReaderBuilder::try_new_with_options(open(path)?, reader_options())
            .map_err(|source| Error::read(path, source))?;
    let reader = builder
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(|source| Error::read(path, source))?;
    let mut row = 0;
    for batch in reader {
        let batch = batch.map_err(|source| Error::read(path, source))?;
        let stay = BooleanBuffer::collect_bool(batch.num_rows(), |index| {
            !gone.contains(row + index as u64)
        });
        row += batch.num_rows() as u64;
        let stay = BooleanArray::new(stay, None);
        let batch = filter_record_batch(&batch, &stay).map_err(Error::arrow)?;
        writer.write(schema::adapt_converted(&batch, schema, conversions)?)?;
    }
    Ok(())
}

/// The columns of a data file, normalised, with their field ids.
pub(crate) fn read_schema(path: &Path) -> Result<SchemaRef, Error> {
    ArrowReaderMetadata::load(&open(path)?, reader_options())
        .map(|metadata| metadata.schema().clone())
        .map_err(|source| Error::read(path, source))
}

fn open(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|source| Error::io("open", path, source))
}

/// The types are those of Parquet, whoever wrote the file.
fn reader_options() -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_skip_arrow_metadata(true)
}
