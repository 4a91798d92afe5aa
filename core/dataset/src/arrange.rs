//! Carries out a load whose rows have an order or folders: what stays in its place is written file by
//! file, all other rows are brought into their order together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReaderBuilder, RowSelection,
};

use crate::Error;
use crate::arrangement::Arrangement;
use crate::arranger::Arranger;
use crate::fresh::{Fresh, Update, of_file};
use crate::history::Versions;
use crate::load::MOST_SMALL_FILES;
use crate::memory::Scratch;
use crate::merge::Outcome;
use crate::part::{BATCH_ROWS, read_metadata, reader_options};
use crate::partition::Folders;
use crate::rewrite::{Changes, Rewriter, Tally};
use crate::row_set::{self, RowSet};
use crate::schema::{self, Conversions};
use crate::state::DataFile;
use crate::writer::PartWriter;

/// What is needed to carry out a load.
#[derive(Debug)]
pub(crate) struct Arrange<'a> {
    pub(crate) arrangement: &'a Arc<Arrangement>,
    pub(crate) scratch: Scratch,
    /// The folder of the staged files.
    pub(crate) staged: PathBuf,
    /// The folder of the existing files.
    pub(crate) live: PathBuf,
    /// The files that leave: their folders are still there when others are made.
    pub(crate) removes: &'a [DataFile],
    pub(crate) fresh: &'a Fresh,
    pub(crate) versions: Option<&'a Versions>,
    pub(crate) conversions: &'a Conversions,
    /// The length in bytes below which a file is small.
    pub(crate) small_bytes: u64,
    /// The bytes that may be rewritten to join small files and row groups.
    pub(crate) spare_bytes: u64,
}

/// What became of the files.
#[derive(Debug, Default)]
pub(crate) struct Arranged {
    pub(crate) kept: Vec<DataFile>,
    pub(crate) removed: Vec<DataFile>,
    pub(crate) added: Vec<DataFile>,
    pub(crate) row_groups_left: u64,
    pub(crate) tally: Tally,
}

impl Arrange<'_> {
    /// Writes the files that change; `base` are the existing ones with the number of their row
    /// groups, `parts` makes a writer whose files begin at a number.
    pub(crate) fn carry_out(
        mut self,
        base: Vec<(DataFile, usize)>,
        staged: &[DataFile],
        next_number: u32,
        mut outcome: Outcome,
        parts: impl Fn(u32) -> PartWriter,
    ) -> Result<(Arranged, u32), Error> {
        let moves_all = self.arrangement.changes_with(self.conversions);
        if !moves_all {
            self.take_out_moving(&base, &mut outcome)?;
        }
        let there = base.iter().map(|(file, _)| file).chain(self.removes);
        let mut folders = Folders::new(there.map(|file| file.name.as_str()));
        let is_joined = small_files(&base, self.small_bytes, &mut self.spare_bytes);
        let none = RowSet::default();
        let writer = parts(next_number).with_slack();
        let arrangement = Arc::clone(self.arrangement);
        let mut arranger = Arranger::new(arrangement, &writer, &self.scratch)?;
        let mut rewriter = Rewriter::new(writer, self.fresh, self.versions, self.spare_bytes);
        let mut arranged = Arranged::default();
        for (index, ((file, row_groups), is_joined)) in base.into_iter().zip(is_joined).enumerate()
        {
            let changes = Changes {
                gone: outcome.existing.get(index).unwrap_or(&none),
                retired: outcome.retired.get(index).unwrap_or(&none),
                updates: of_file(&outcome.updates, index),
                conversions: self.conversions,
            };
            let path = self.live.join(&file.name);
            if is_joined || moves_all {
                rewriter.hand_over(&path, changes, &mut arranger)?;
            } else {
                let mut is_written = false;
                if !changes.are_none() {
                    let is_sorted = self
                        .arrangement
                        .is_of(read_metadata(&self.scratch.disk, &path)?.metadata());
                    rewriter.turn_to(folder(&file), is_sorted)?;
                    is_written = rewriter.add(&path, changes, false)?;
                }
                if !is_written {
                    arranged.row_groups_left += row_groups as u64;
                    arranged.kept.push(file);
                    continue;
                }
            }
            arranged.removed.push(file);
        }
        arranged.tally = rewriter.tally();
        let nothing = BTreeMap::new();
        for (index, file) in staged.iter().enumerate() {
            let changes = Changes {
                gone: outcome.staged.get(index).unwrap_or(&none),
                retired: &none,
                updates: &[],
                conversions: &nothing,
            };
            let path = self.staged.join(&file.name);
            rewriter.hand_over(&path, changes, &mut arranger)?;
            self.scratch.disk.remove_file(&path)?;
        }
        let (mut added, next_number) = rewriter.finish()?;
        let mut writer = parts(next_number);
        arranger.write(&mut folders, &mut writer)?;
        let (mut written, next_number) = writer.finish()?;
        added.append(&mut written);
        arranged.added = added;
        Ok((arranged, next_number))
    }

    /// Rows that would take a place which is not theirs, by their folder or their order, come with
    /// the others of the load, and the rows that they update go.
    fn take_out_moving(
        &self,
        base: &[(DataFile, usize)],
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let mut staying = Vec::with_capacity(outcome.updates.len());
        for (index, (file, _)) in base.iter().enumerate() {
            let updates = of_file(&outcome.updates, index);
            if updates.is_empty() {
                continue;
            }
            let moves = self.moving(&self.live.join(&file.name), updates)?;
            for (update, moves) in updates.iter().zip(moves) {
                if moves {
                    row_set::insert(&mut outcome.existing, update.row);
                    row_set::remove(&mut outcome.staged, update.by);
                } else {
                    staying.push(*update);
                }
            }
        }
        outcome.updates = staying;
        Ok(())
    }

    /// Of each update, whether the new row has another place than the old one.
    fn moving(&self, path: &Path, updates: &[Update]) -> Result<Vec<bool>, Error> {
        let file = self.scratch.disk.open(path)?;
        let failed = |source| Error::read(path, source);
        let metadata = ArrowReaderMetadata::load(&file, reader_options()).map_err(failed)?;
        file.learn(metadata.metadata());
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
        let columns = self.arrangement.columns();
        let indices = builder.schema().fields().iter().enumerate();
        let indices: Vec<usize> = indices
            .filter(|(_, field)| columns.contains(&field.name().as_str()))
            .map(|(index, _)| index)
            .collect();
        let rows = builder.metadata().file_metadata().num_rows();
        let places = updates.iter().map(|update| {
            let row = update.row.row() as usize;
            row..row + 1
        });
        let selection =
            RowSelection::from_consecutive_ranges(places, usize::try_from(rows).unwrap_or(0));
        let mask = ProjectionMask::roots(builder.parquet_schema(), indices);
        let reader = builder
            .with_projection(mask)
            .with_row_selection(selection)
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(failed)?;
        // Where the dataset has none of them yet, rows are counted by any.
        let needed = Some(self.fresh.columns(&columns)).filter(|needed| !needed.is_empty());
        let mut moves = Vec::with_capacity(updates.len());
        for batch in reader {
            let batch = batch.map_err(|source| Error::read(path, source))?;
            let end = moves.len() + batch.num_rows();
            let updates = updates.get(moves.len()..end).unwrap_or_default();
            let new = self.fresh.rows(updates, needed.as_deref())?;
            let schema = self.arrangement.project(new.schema_ref());
            let old = schema::adapt(&batch, &schema)?;
            let (old, new) = (
                self.arrangement.places(&old)?,
                self.arrangement.places(&new)?,
            );
            moves.extend(old.iter().zip(new.iter()).map(|(old, new)| old != new));
        }
        Ok(moves)
    }
}

/// Which files are small and many enough in their folder to be joined with each other, and take of the
/// bytes that may be rewritten.
pub(crate) fn small_files(
    base: &[(DataFile, usize)],
    small_bytes: u64,
    spare_bytes: &mut u64,
) -> Vec<bool> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (file, _) in base {
        if file.bytes < small_bytes {
            *counts.entry(folder(file)).or_default() += 1;
        }
    }
    let joins = |(file, _): &(DataFile, usize)| {
        let joins = counts.get(folder(file)).copied().unwrap_or(0) >= MOST_SMALL_FILES
            && file.bytes < small_bytes
            && file.bytes <= *spare_bytes;
        if joins {
            *spare_bytes -= file.bytes;
        }
        joins
    };
    base.iter().map(joins).collect()
}

/// The folder of a file within its dataset's.
fn folder(file: &DataFile) -> &str {
    file.name.rsplit_once('/').map_or("", |(folder, _)| folder)
}
