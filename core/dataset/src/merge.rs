//! Finds what becomes of the rows of a load and of a dataset.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Schema;
use connector_plan::{Merge, MergeStrategy};

use crate::Error;
use crate::fresh::Update;
use crate::history::Versions;
use crate::key::{KeyHasher, Role};
use crate::memory::Scratch;
use crate::rank::Ranking;
use crate::row_set::{RowSet, insert};
use crate::scan::{KeyIndex, texts};
use crate::sorter::{Entry, Item, Position, Ranked, Sorter};

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
    /// Whether rows of the load take the places of those they update.
    in_place: bool,
}

/// Rows by what identifies them. Without ranks and versions they take half the memory.
#[derive(Debug)]
enum Identity {
    Plain(KeyIndex<Entry>),
    Ranked(KeyIndex<Ranked>, Option<Ranking>),
}

impl LoadKeys {
    /// `schema` are the columns of the load, those of `versions` included; `meets` tells
    /// whether there are existing rows; `scratch` takes what does not fit in memory.
    ///
    /// # Errors
    /// When a column that the merge needs is missing or cannot be used.
    pub(crate) fn new(
        schema: &Schema,
        primary_key: &[String],
        merge: &Merge,
        versions: Option<Versions>,
        meets: bool,
        scratch: &Scratch,
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
            Some(if ranking.is_some() || versions.is_some() {
                Identity::Ranked(KeyIndex::new(hasher, meets, scratch, "load"), ranking)
            } else {
                Identity::Plain(KeyIndex::new(hasher, meets, scratch, "load"))
            })
        };
        let mut merge_key = None;
        if merge.strategy == MergeStrategy::DeleteInsert
            && !merge.merge_key.is_empty()
            && merge.merge_key != primary_key
        {
            let hasher = KeyHasher::new(schema, Role::MergeKey, &merge.merge_key)?;
            merge_key = Some(KeyIndex::new(hasher, meets, scratch, "merge-key"));
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
            in_place: false,
        })
    }

    /// Whether rows of the load may take the places of those they update: each has one successor,
    /// with the same key.
    pub(crate) fn may_update_in_place(&self) -> bool {
        self.identity.is_some() && self.merge_key.is_none() && self.versions.is_none()
    }

    /// Lets rows of the load take the places of those they update.
    pub(crate) fn update_in_place(&mut self) {
        self.in_place = self.may_update_in_place();
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
        scratch: &Scratch,
        existing: &[PathBuf],
        rows: u64,
    ) -> Result<Outcome, Error> {
        let mut outcome = Outcome {
            existing: vec![RowSet::default(); existing.len()],
            retired: vec![RowSet::default(); existing.len()],
            ..Outcome::default()
        };
        match self.identity.take() {
            // Nothing meets one for one: all rows come but those that are marked.
            None => {
                if let Some((_, marked)) = &self.hard_delete {
                    outcome.staged.clone_from(marked);
                }
                outcome.inserted = rows - outcome.staged.iter().map(RowSet::len).sum::<u64>();
            }
            Some(Identity::Plain(mut index)) => {
                let candidates = index.scan(scratch, "existing", existing, None)?;
                outcome.searched += index.searched;
                self.join(index.sorter, candidates, &mut outcome)?;
            }
            Some(Identity::Ranked(mut index, _)) => {
                let candidates =
                    index.scan(scratch, "existing", existing, self.versions.as_ref())?;
                outcome.searched += index.searched;
                self.join(index.sorter, candidates, &mut outcome)?;
            }
        }
        if let Some(mut index) = self.merge_key.take() {
            let candidates = index.scan(scratch, "by-merge-key", existing, None)?;
            outcome.searched += index.searched;
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
        outcome.updates.sort_unstable();
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
                } else if self.in_place && !is_marked && rows_found == 1 {
                    outcome.updates.push(Update {
                        row: found.position(),
                        by: winner.position(),
                    });
                    insert(&mut outcome.staged, winner.position());
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

/// What becomes of the rows of a load and of those that exist.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The rows of each staged file that do not come; may be shorter than the list of files.
    pub(crate) staged: Vec<RowSet>,
    /// The rows of each existing file that go.
    pub(crate) existing: Vec<RowSet>,
    /// Existing rows whose places others take, in order.
    pub(crate) updates: Vec<Update>,
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
    /// Row groups whose keys were decoded.
    pub(crate) searched: u64,
}
