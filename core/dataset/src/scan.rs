//! Looks through existing files for rows whose key may be in a load.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};

use crate::Error;
use crate::disk::Disk;
use crate::history::Versions;
use crate::key::{KeyHasher, extremes};
use crate::memory::Scratch;
use crate::part::{BATCH_ROWS, Part, reader_options};
use crate::probe::Probes;
use crate::ranges::KeyRanges;
use crate::sorter::{Item, Position, Sorter};

/// The rows of a load by one key, and quick ways to tell that a key is not among them.
#[derive(Debug)]
pub(crate) struct KeyIndex<T> {
    pub(crate) hasher: Arc<KeyHasher>,
    pub(crate) sorter: Sorter<T>,
    /// Only where there are rows to meet.
    hints: Option<Hints>,
    /// The row groups whose keys were decoded.
    pub(crate) searched: u64,
}

/// What tells rows and row groups without a key of the load, from the coarse to the fine.
#[derive(Debug)]
struct Hints {
    ranges: KeyRanges,
    probes: Probes,
    filter: KeyFilter,
}

impl<T: Item> KeyIndex<T> {
    /// `meets` tells whether there are existing rows.
    pub(crate) fn new(hasher: KeyHasher, meets: bool, scratch: &Scratch, name: &str) -> Self {
        Self {
            hasher: Arc::new(hasher),
            sorter: scratch.keys(name),
            hints: meets.then(|| Hints {
                ranges: KeyRanges::default(),
                probes: Probes::default(),
                filter: KeyFilter::new(scratch.memory.filter),
            }),
            searched: 0,
        }
    }

    pub(crate) fn extend(
        &mut self,
        batch: &RecordBatch,
        rows_read: u64,
        (file, first): (usize, u64),
        rank: impl Fn(usize) -> Vec<u8>,
        version: impl Fn(usize) -> u64,
    ) -> Result<(), Error> {
        self.hasher.check(batch, rows_read)?;
        let Self {
            hasher,
            sorter,
            hints,
            ..
        } = self;
        hasher.hash(batch, |row, key| {
            if let Some(hints) = hints {
                hints.filter.insert(key.0);
            }
            let position = Position::new(file, first + row as u64)?;
            sorter.push(T::new(key, rank(row), version(row), position))
        })?;
        if let Some(hints) = hints {
            hints.ranges.extend(batch, hasher.names())?;
            hints.probes.extend(batch, hasher.names())?;
        }
        Ok(())
    }

    /// Collects the existing rows that may be in the load; of a history, the active ones.
    pub(crate) fn scan(
        &mut self,
        scratch: &Scratch,
        name: &str,
        existing: &[PathBuf],
        versions: Option<&Versions>,
    ) -> Result<Sorter<T>, Error> {
        let mut candidates = scratch.keys(name);
        for (index, path) in existing.iter().enumerate() {
            self.scan_file(&scratch.disk, index, path, versions, &mut candidates)?;
        }
        Ok(candidates)
    }

    fn scan_file(
        &mut self,
        disk: &Disk,
        index: usize,
        path: &Path,
        versions: Option<&Versions>,
        candidates: &mut Sorter<T>,
    ) -> Result<(), Error> {
        let file = disk.open(path)?;
        let metadata = ArrowReaderMetadata::load(&file, reader_options())
            .map_err(|source| Error::read(path, source))?;
        file.learn(metadata.metadata());
        let schema = metadata.schema();
        let lacks = |name: &String| schema.column_with_name(name).is_none();
        // A file from before a column was there has no keys.
        if self.hasher.names().iter().any(lacks) {
            return Ok(());
        }
        let mut names: Vec<&str> = self.hasher.names().iter().map(String::as_str).collect();
        let own = versions.map(|versions| [versions.row_hash(), versions.valid_to()]);
        names.extend(own.into_iter().flatten());
        let columns = names
            .iter()
            .map(|name| schema.index_of(name))
            .collect::<Result<Vec<usize>, _>>()
            .map_err(|source| Error::read(path, source))?;
        let takes_all = versions.is_some_and(Versions::retire_absent);
        let may_meet = match &mut self.hints {
            Some(hints) if !takes_all => {
                hints.row_groups(self.hasher.names(), path, &file, &metadata)?
            }
            _ => vec![true; metadata.metadata().num_row_groups()],
        };
        let filter = self.hints.as_ref().filter(|_| !takes_all);
        let filter = filter.map(|hints| &hints.filter);
        let mut row = 0;
        for (group, may_meet) in may_meet.into_iter().enumerate() {
            let rows = metadata.metadata().row_group(group).num_rows();
            let end = row + u64::try_from(rows).unwrap_or(0);
            if may_meet {
                self.searched += 1;
                file.expect_rows(metadata.metadata(), group, columns.len());
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
                    let history = match versions {
                        Some(versions) => Some((
                            texts(&batch, versions.row_hash())?,
                            batch.column_by_name(versions.valid_to()),
                        )),
                        None => None,
                    };
                    self.hasher.hash(&batch, |offset, key| {
                        let mut version = 0;
                        if let Some((hashes, ends)) = history {
                            if ends.is_some_and(|ends| ends.is_valid(offset)) {
                                return Ok(());
                            }
                            version = self.hasher.version(hashes.value(offset));
                        }
                        if filter.is_none_or(|filter| filter.may_contain(key.0)) {
                            let position = Position::new(index, row + offset as u64)?;
                            candidates.push(T::new(key, Vec::new(), version, position))?;
                        }
                        Ok(())
                    })?;
                    row += batch.num_rows() as u64;
                }
            }
            row = end;
        }
        Ok(())
    }
}

impl Hints {
    /// For each row group of a file, whether its statistics and bloom filters allow keys of the load.
    fn row_groups(
        &mut self,
        names: &[String],
        path: &Path,
        file: &Part,
        metadata: &ArrowReaderMetadata,
    ) -> Result<Vec<bool>, Error> {
        let failed = |source| Error::read(path, source);
        let groups = metadata.metadata().row_groups();
        let mut may_meet = vec![true; groups.len()];
        let mut leaves = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let converter =
                StatisticsConverter::try_new(name, metadata.schema(), metadata.parquet_schema())
                    .map_err(failed)?;
            leaves.extend(converter.parquet_column_index());
            let lows = converter.row_group_mins(groups).map_err(failed)?;
            let highs = converter.row_group_maxes(groups).map_err(failed)?;
            for (group, may_meet) in may_meet.iter_mut().enumerate() {
                let low = extremes(&lows.slice(group, 1)).map(|(low, _)| low);
                let high = extremes(&highs.slice(group, 1)).map(|(_, high)| high);
                *may_meet &= self.ranges.may_meet(index, low.zip(high).as_ref());
            }
        }
        for (group, may_meet) in may_meet.iter_mut().enumerate() {
            *may_meet = *may_meet
                && self
                    .probes
                    .may_meet(file, metadata.metadata(), group, &leaves)
                    .map_err(failed)?;
        }
        Ok(may_meet)
    }
}

/// Tells most keys that are not in a load from those that may be: of existing keys, only the latter
/// are sorted.
struct KeyFilter {
    /// As many as a power of two.
    words: Vec<u64>,
}

impl fmt::Debug for KeyFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFilter").finish_non_exhaustive()
    }
}

impl KeyFilter {
    /// In at most so many bytes.
    fn new(bytes: usize) -> Self {
        let word_bits = (bytes / size_of::<u64>()).max(2).ilog2();
        Self {
            words: vec![0; 1 << word_bits],
        }
    }

    fn place(&self, hash: u64) -> (usize, u64) {
        let word_bits = self.words.len().ilog2();
        ((hash >> (u64::BITS - word_bits)) as usize, 1 << (hash & 63))
    }

    fn insert(&mut self, hash: u64) {
        let (word, bit) = self.place(hash);
        if let Some(word) = self.words.get_mut(word) {
            *word |= bit;
        }
    }

    fn may_contain(&self, hash: u64) -> bool {
        let (word, bit) = self.place(hash);
        self.words.get(word).is_none_or(|word| word & bit != 0)
    }
}

/// A column of texts.
pub(crate) fn texts<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray, Error> {
    let column = batch.column_by_name(name);
    column
        .and_then(|column| column.as_string_opt())
        .ok_or_else(|| Error::schema(format!("the data has no column `{name}` of texts")))
}
