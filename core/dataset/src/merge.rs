//! Finds what becomes of the rows of a load and of a dataset, and copies files accordingly.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use connector_plan::{Merge, MergeStrategy};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use crate::Error;
use crate::disk::Disk;
use crate::history::Versions;
use crate::key::{KeyHasher, KeyRange, Role, extremes};
use crate::rank::Ranking;
use crate::schema::{self, Conversions};
use crate::sorter::{Entry, Item, Position, Ranked, Sorter};
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

    pub(crate) fn contains(&self, row: u64) -> bool {
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
    /// By what identifies a row; without it nothing is replaced one for one.
    identity: Option<Identity>,
    /// By what decides which existing rows go.
    merge_key: Option<KeyIndex<Entry>>,
    /// The column of the markers, and the rows of each staged file that have them.
    hard_delete: Option<(String, Vec<RowSet>)>,
    insert_only: bool,
    versions: Option<Versions>,
}

/// Rows by what identifies them. Without ranks and versions they take half the memory.
#[derive(Debug)]
enum Identity {
    Plain(KeyIndex<Entry>),
    Ranked(KeyIndex<Ranked>, Option<Ranking>),
}

impl LoadKeys {
    /// `schema` are the columns of the load, those of `versions` included; `spill` is a folder for
    /// what does not fit in memory.
    ///
    /// # Errors
    /// When a column that the merge needs is missing or cannot be used.
    pub(crate) fn new(
        schema: &Schema,
        primary_key: &[String],
        merge: &Merge,
        versions: Option<Versions>,
        disk: &Disk,
        spill: &Path,
    ) -> Result<Self, Error> {
        let insert_only = merge.strategy == MergeStrategy::InsertOnly;
        let ranking = merge.dedup_sort.as_ref();
        let ranking = ranking
            .map(|sort| Ranking::new(schema, sort, insert_only))
            .transpose()?;
        // Without a key, what a row holds is what it is.
        let by_hash = versions
            .as_ref()
            .map(|versions| versions.row_hash().to_owned());
        let names = match by_hash {
            Some(column) if primary_key.is_empty() => vec![column],
            _ => primary_key.to_vec(),
        };
        let identity = if names.is_empty() {
            None
        } else {
            let hasher = KeyHasher::new(schema, Role::PrimaryKey, &names)?;
            let path = spill.join("load");
            Some(if ranking.is_some() || versions.is_some() {
                Identity::Ranked(KeyIndex::new(hasher, disk, path), ranking)
            } else {
                Identity::Plain(KeyIndex::new(hasher, disk, path))
            })
        };
        let mut merge_key = None;
        if merge.strategy == MergeStrategy::DeleteInsert
            && !merge.merge_key.is_empty()
            && merge.merge_key != primary_key
        {
            let hasher = KeyHasher::new(schema, Role::MergeKey, &merge.merge_key)?;
            merge_key = Some(KeyIndex::new(hasher, disk, spill.join("merge-key")));
        }
        let mut hard_delete = None;
        if let Some(name) = &merge.hard_delete {
            if schema.column_with_name(name).is_none() {
                return Err(Error::configuration(format!(
                    "the `hard_delete` `{name}` is not a column of the resource"
                )));
            }
            hard_delete = Some((name.clone(), Vec::new()));
        }
        Ok(Self {
            identity,
            merge_key,
            hard_delete,
            insert_only,
            versions,
        })
    }

    /// Takes in the keys of a batch that begins at `row` of the staged file at `file`; the load had
    /// `rows_read` rows before it.
    pub(crate) fn extend(
        &mut self,
        batch: &RecordBatch,
        rows_read: u64,
        (file, row): (usize, u64),
    ) -> Result<(), Error> {
        match &mut self.identity {
            None => {}
            Some(Identity::Plain(index)) => {
                index.extend(batch, rows_read, (file, row), |_| Vec::new(), |_| 0)?;
            }
            Some(Identity::Ranked(index, ranking)) => {
                let ranks = ranking.as_ref().map(|ranking| ranking.of(batch));
                let ranks = ranks.transpose()?;
                let hashes = match &self.versions {
                    Some(versions) => Some(texts(batch, versions.row_hash())?),
                    None => None,
                };
                let hasher = Arc::clone(&index.hasher);
                index.extend(
                    batch,
                    rows_read,
                    (file, row),
                    |row| ranks.as_ref().map_or_else(Vec::new, |ranks| ranks.get(row)),
                    |row| hashes.map_or(0, |hashes| hasher.version(hashes.value(row))),
                )?;
            }
        }
        if let Some(index) = &mut self.merge_key {
            index.extend(batch, rows_read, (file, row), |_| Vec::new(), |_| 0)?;
        }
        if let Some((name, marked)) = &mut self.hard_delete
            && let Some(column) = batch.column_by_name(name)
        {
            for index in 0..batch.num_rows() {
                let is_marked = column.is_valid(index)
                    && column
                        .as_boolean_opt()
                        .is_none_or(|column| column.value(index));
                if is_marked {
                    insert(marked, Position::new(file, row + index as u64)?);
                }
            }
        }
        Ok(())
    }

    /// Compares the load with the existing files; it has `rows` rows.
    pub(crate) fn resolve(
        mut self,
        disk: &Disk,
        spill: &Path,
        existing: &[PathBuf],
        rows: u64,
    ) -> Result<Outcome, Error> {
        let mut outcome = Outcome {
            existing: vec![RowSet::default(); existing.len()],
            retired: vec![RowSet::default(); existing.len()],
            ..Outcome::default()
        };
        let found = |name: &str| spill.join(name);
        match self.identity.take() {
            // Nothing meets one for one: all rows come but those that are marked.
            None => {
                if let Some((_, marked)) = &self.hard_delete {
                    outcome.staged.clone_from(marked);
                }
                outcome.inserted = rows - outcome.staged.iter().map(RowSet::len).sum::<u64>();
            }
            Some(Identity::Plain(index)) => {
                let candidates = index.scan(disk, found("existing"), existing, None)?;
                self.join(index.sorter, candidates, &mut outcome)?;
            }
            Some(Identity::Ranked(index, _)) => {
                let candidates =
                    index.scan(disk, found("existing"), existing, self.versions.as_ref())?;
                self.join(index.sorter, candidates, &mut outcome)?;
            }
        }
        if let Some(index) = self.merge_key.take() {
            let candidates = index.scan(disk, found("by-merge-key"), existing, None)?;
            let mut candidates = candidates.sorted()?;
            let mut load = index.sorter.sorted()?;
            let mut current = load.next()?;
            while let Some(candidate) = candidates.next()? {
                while current.is_some_and(|entry| entry.key < candidate.key) {
                    current = load.next()?;
                }
                if current.is_some_and(|entry| entry.key == candidate.key)
                    && insert(&mut outcome.existing, candidate.position)
                {
                    outcome.deleted += 1;
                }
            }
        }
        Ok(outcome)
    }

    /// Decides what becomes of each key of the load.
    fn join<T: Item>(
        &self,
        load: Sorter<T>,
        candidates: Sorter<T>,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let mut candidates = candidates.sorted()?;
        let mut candidate = candidates.next()?;
        let mut load = load.sorted()?;
        let mut current = load.next()?;
        while let Some(mut winner) = current {
            // Entries of one key come by rank and then in the order of arrival.
            current = load.next()?;
            while let Some(next) = current.take_if(|next| next.key() == winner.key()) {
                let loser = if self.insert_only {
                    next
                } else {
                    std::mem::replace(&mut winner, next)
                };
                insert(&mut outcome.staged, loser.position());
                outcome.duplicates += 1;
                current = load.next()?;
            }
            while let Some(absent) = candidate.take_if(|found| found.key() < winner.key()) {
                self.absent(&absent, outcome);
                candidate = candidates.next()?;
            }
            let is_marked = self.is_marked(winner.position());
            let mut rows_found = 0;
            let mut is_kept = false;
            while let Some(found) = candidate.take_if(|found| found.key() == winner.key()) {
                rows_found += 1;
                if self.versions.is_some() {
                    let is_same = !is_marked && !is_kept && found.version() == winner.version();
                    is_kept |= is_same;
                    if !is_same && insert(&mut outcome.retired, found.position()) {
                        outcome.retired_rows += 1;
                    }
                } else if self.insert_only {
                    is_kept = true;
                } else {
                    insert(&mut outcome.existing, found.position());
                }
                candidate = candidates.next()?;
            }
            if is_marked || is_kept {
                insert(&mut outcome.staged, winner.position());
            }
            if is_marked && self.versions.is_none() {
                outcome.deleted += rows_found;
            } else if is_kept {
                outcome.unchanged += 1;
            } else if is_marked {
                // Its version has ended, and is counted.
            } else if rows_found > 0 {
                outcome.updated += 1;
            } else {
                outcome.inserted += 1;
            }
        }
        while let Some(absent) = candidate {
            self.absent(&absent, outcome);
            candidate = candidates.next()?;
        }
        Ok(())
    }

    /// An existing row whose key is not in the load.
    fn absent<T: Item>(&self, found: &T, outcome: &mut Outcome) {
        let ends = self.versions.as_ref().is_some_and(Versions::retire_absent);
        if ends && insert(&mut outcome.retired, found.position()) {
            outcome.retired_rows += 1;
        }
    }

    fn is_marked(&self, position: Position) -> bool {
        let marked = self.hard_delete.as_ref();
        marked
            .and_then(|(_, files)| files.get(position.file()))
            .is_some_and(|rows| rows.contains(position.row()))
    }
}

/// Puts a row into the set of its file; true when it was not in it.
fn insert(files: &mut Vec<RowSet>, position: Position) -> bool {
    let file = position.file();
    if files.len() <= file {
        files.resize_with(file + 1, RowSet::default);
    }
    files
        .get_mut(file)
        .is_some_and(|rows| rows.insert(position.row()))
}

fn texts<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray, Error> {
    let column = batch.column_by_name(name);
    column
        .and_then(|column| column.as_string_opt())
        .ok_or_else(|| Error::schema(format!("the data has no column `{name}` of texts")))
}

/// The rows of a load by one key, and a quick way to tell that a key is not among them.
#[derive(Debug)]
struct KeyIndex<T> {
    hasher: Arc<KeyHasher>,
    sorter: Sorter<T>,
    range: KeyRange,
    filter: KeyFilter,
}

impl<T: Item> KeyIndex<T> {
    fn new(hasher: KeyHasher, disk: &Disk, path: PathBuf) -> Self {
        Self {
            hasher: Arc::new(hasher),
            sorter: Sorter::new(disk.clone(), path),
            range: KeyRange::default(),
            filter: KeyFilter::new(),
        }
    }

    fn extend(
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
            range,
            filter,
        } = self;
        hasher.hash(batch, |row, key| {
            filter.insert(key.0);
            let position = Position::new(file, first + row as u64)?;
            sorter.push(T::new(key, rank(row), version(row), position))
        })?;
        range.extend(batch, hasher.names())
    }

    /// Collects the existing rows that may be in the load; of a history, the active ones.
    fn scan(
        &self,
        disk: &Disk,
        path: PathBuf,
        existing: &[PathBuf],
        versions: Option<&Versions>,
    ) -> Result<Sorter<T>, Error> {
        let mut candidates = Sorter::new(disk.clone(), path);
        for (index, path) in existing.iter().enumerate() {
            self.scan_file(index, path, versions, &mut candidates)?;
        }
        Ok(candidates)
    }

    fn scan_file(
        &self,
        index: usize,
        path: &Path,
        versions: Option<&Versions>,
        candidates: &mut Sorter<T>,
    ) -> Result<(), Error> {
        let file = open(path)?;
        let metadata = ArrowReaderMetadata::load(&file, reader_options())
            .map_err(|source| Error::read(path, source))?;
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
        let may_meet = self.row_groups_in_range(path, &metadata)?;
        let mut row = 0;
        for (group, may_meet) in may_meet.into_iter().enumerate() {
            let rows = metadata.metadata().row_group(group).num_rows();
            let end = row + u64::try_from(rows).unwrap_or(0);
            if may_meet || takes_all {
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
                        if takes_all || self.filter.may_contain(key.0) {
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

/// What becomes of the rows of a load and of those that exist.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The rows of each staged file that do not come; may be shorter than the list of files.
    pub(crate) staged: Vec<RowSet>,
    /// The rows of each existing file that go.
    pub(crate) existing: Vec<RowSet>,
    /// The rows of each existing file whose version ends.
    pub(crate) retired: Vec<RowSet>,
    /// Keys of the load that the dataset did not have.
    pub(crate) inserted: u64,
    /// Keys of the load that the dataset had, and whose rows are new.
    pub(crate) updated: u64,
    /// Keys of the load that stay as the dataset has them.
    pub(crate) unchanged: u64,
    /// Existing rows that go without a successor.
    pub(crate) deleted: u64,
    /// Existing rows whose version ends.
    pub(crate) retired_rows: u64,
    /// Rows of the load that another row of it replaced.
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

/// Copies the rows of a file that are not in `gone` into `writer`, with the columns of `schema`;
/// versions of rows in `retired` end.
pub(crate) fn copy_rows(
    path: &Path,
    gone: &RowSet,
    retired: Option<(&Versions, &RowSet)>,
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
        let mut batch = batch.map_err(|source| Error::read(path, source))?;
        if let Some((versions, rows)) = retired {
            batch = versions.retire(&batch, row, rows)?;
        }
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
    read_metadata(path).map(|metadata| metadata.schema().clone())
}

/// What a data file says of itself.
pub(crate) fn read_metadata(path: &Path) -> Result<ArrowReaderMetadata, Error> {
    ArrowReaderMetadata::load(&open(path)?, reader_options())
        .map_err(|source| Error::read(path, source))
}

fn open(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|source| Error::io("open", path, source))
}

/// The types are those of Parquet, whoever wrote the file.
fn reader_options() -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_skip_arrow_metadata(true)
}
