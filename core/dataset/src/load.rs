//! One load of one resource: batches in, a published dataset out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use connector_plan::{MergeStrategy, WriteDisposition};
use serde_json::Value;

use crate::arrange::{Arrange, small_files};
use crate::arrangement::Arrangement;
use crate::checkpoint::{self, Checkpoint, CheckpointWriter};
use crate::flatten::{flat_conversions, flatten, nest};
use crate::fresh::{Fresh, of_file};
use crate::history::Versions;
use crate::journal::Journal;
use crate::key::{KeyHasher, Role};
use crate::layout::check_name;
use crate::load_options::LoadOptions;
use crate::load_report::LoadReport;
use crate::memory::{Memory, Scratch};
use crate::merge::{LoadKeys, Outcome};
use crate::publish::Origin;
use crate::remote;
use crate::rewrite::{Changes, Rewriter, Tally};
use crate::row_set::RowSet;
use crate::schema::{self, Conversions, SchemaChange};
use crate::sorter::Position;
use crate::standing::{Standing, read_base};
use crate::state::{DataFile, ResourceState};
use crate::store::Shared;
use crate::widening::{self, fixed, widenings};
use crate::writer::{Format, PartWriter, WriterOptions};
use crate::{Conversion, Error, ErrorKind};

/// A file is small below this part of a full one: 16 MiB of 256.
const SMALL_FRACTION: u64 = 16;
/// When a dataset has this many small files, the next load joins them. Each byte is rewritten about
/// once in as many loads, and a dataset of many small loads does not become one of many small files.
pub(crate) const MOST_SMALL_FILES: usize = 16;

/// What a load would add to.
#[derive(Clone, Debug, PartialEq)]
pub struct Prior {
    /// Where the last run left off; `None` when this one reads from the beginning.
    pub cursor: Option<Value>,
    /// [`Inferred::shape`](crate::Inferred::shape) of the rows that stay; `None` when none do, or
    /// their columns were declared.
    pub shape: Option<Value>,
}

/// One load of one resource; what is written to it becomes part of the dataset by
/// [`commit`](Self::commit), and is gone otherwise.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    options: LoadOptions,
    /// The files that the load adds to, with the number of their row groups; empty when it replaces
    /// the dataset.
    base: Vec<(DataFile, usize)>,
    /// The files that leave whatever the load holds.
    removes: Vec<DataFile>,
    format: Arc<Format>,
    /// The order and the folders of the rows, where they have any.
    arrangement: Option<Arc<Arrangement>>,
    /// Taken when the load ends or has failed.
    writer: Option<PartWriter>,
    keys: Option<LoadKeys>,
    /// Where rows may take the places of others.
    fresh: Option<Fresh>,
    /// The columns of a history, where one is kept.
    versions: Option<Versions>,
    cursor: Option<Value>,
    rows_read: u64,
    replaced_sample_data: bool,
    schema_changes: Vec<SchemaChange>,
    checkpoints: CheckpointWriter,
    /// What becomes of the values of the dataset whose columns are wider now.
    conversions: Conversions,
    /// Whether the staged files belong to a journal.
    is_committed: bool,
}

impl Load {
    pub(crate) fn begin(shared: Arc<Shared>, mut options: LoadOptions) -> Result<Self, Error> {
        check_name("resource", &options.resource)?;
        if let Some(remote) = shared.disk.remote() {
            // When its files are copied to where they belong, the load is committed already.
            options.writer.file_bytes = options.writer.file_bytes.min(remote.most_copied());
        }
        let is_merge = options.disposition == WriteDisposition::Merge;
        let has_key = !options.primary_key.is_empty()
            || match options.merge.strategy {
                MergeStrategy::DeleteInsert => !options.merge.merge_key.is_empty(),
                MergeStrategy::Scd2(_) => true,
                MergeStrategy::Upsert | MergeStrategy::InsertOnly => false,
            };
        if is_merge && !has_key {
            return Err(Error::configuration(format!(
                "the resource `{}` has the write disposition `merge` but no primary key",
                options.resource
            ))
            .with_hint("declare `primary_key`, or use `append` or `replace`"));
        }
        let prior = shared.register(&options.resource)?;
        let base_run = prior.as_ref().map(|prior| prior.run);
        let registration = Registration {
            shared: &shared,
            resource: &options.resource,
        };
        let standing = Standing::new(&shared, &options, prior.as_ref())?;
        let base = standing.base.unwrap_or_default();
        let (base_fields, row_groups) = read_base(&shared, &options.resource, &base)?;
        let mut load_fields = schema::normalise(&*options.flat_schema()?)?;
        // Whatever the disposition, these columns get bloom filters.
        let own = Schema::new(load_fields.clone());
        KeyHasher::new(&own, Role::PrimaryKey, &options.primary_key)?;
        if options.inferred.is_some() {
            // A field that no record has had so far has no column: there is nothing to sort by.
            let sort_by = &mut options.writer.sort_by;
            sort_by.retain(|sort| own.column_with_name(&sort.column).is_some());
        }
        let run = shared.options.run;
        let mut versions = None;
        if is_merge && let Some(history) = options.merge.history() {
            let live = shared.layout.live(&options.resource);
            let existing: Vec<PathBuf> = base.iter().map(|file| live.join(&file.name)).collect();
            // All versions of a load begin at the same instant.
            let begun_by = options.resume.as_ref().map_or(run, |kept| kept.begun_by);
            let history = Versions::new(history, begun_by, &shared.disk, &existing)
                .map_err(|error| error.in_resource(&options.resource))?;
            load_fields = schema::normalise(history.extend_schema(&own)?.as_ref())?;
            versions = Some(history);
        }
        let load_schema = Schema::new(load_fields.clone());
        let mut conversions = match (&base_fields, &options.inferred) {
            (Some(base), None) => widenings(base, &load_fields, &fixed(&options)),
            _ => BTreeMap::new(),
        };
        if let Some(inferred) = &options.inferred {
            conversions = match &options.writer.flatten {
                Some(flatten) => flat_conversions(&inferred.conversions, &options.schema, flatten),
                None => inferred.conversions.clone(),
            };
        }
        if let Some(base) = &base_fields {
            widening::check(base, &conversions, versions.is_some())
                .map_err(|error| error.in_resource(&options.resource))?;
        }
        let mut schema_changes = Vec::new();
        let fields = match &base_fields {
            Some(base) => schema::unify(base, &load_fields, &conversions, &mut schema_changes)
                .map_err(|error| error.in_resource(&options.resource))?,
            None => load_fields,
        };
        let scratch = shared.scratch(&options);
        let format = Arc::new(Format::new(
            Arc::new(Schema::new(schema::with_ids(&fields))),
            WriterOptions {
                row_group_bytes: scratch.memory.row_group,
                ..options.writer.clone()
            },
            options.primary_key.clone(),
            file_metadata(&shared, &options),
        )?);
        // Columns of a history's own have no part in it.
        let may_lack = options.inferred.is_some();
        let arrangement = Arrangement::new(&own, &options.writer, may_lack)
            .and_then(|_| Arrangement::new(&format.schema, &options.writer, may_lack))
            .map_err(|error| error.in_resource(&options.resource))?;
        if let Some(kept) = &options.resume
            && kept.mismatch(&options, &format.schema, base_run)
        {
            return Err(Error::conflict(format!(
                "what is kept of a load of `{}` is not of this load",
                options.resource
            ))
            .with_hint("read it from the beginning"));
        }
        let staged = shared.layout.staged(run, &options.resource);
        // Left by an earlier load of this run that could not clean up.
        shared.disk.remove_directory(&staged)?;
        shared.disk.remove_directory(&scratch.folder)?;
        shared.disk.create_directory(&staged)?;
        let writer = PartWriter::new(
            shared.disk.clone(),
            staged,
            run,
            standing.first_number,
            Arc::clone(&format),
        );
        let mut keys = None;
        let mut fresh = None;
        if is_merge {
            let (primary_key, merge) = (&options.primary_key, &options.merge);
            let history = versions.clone();
            let of_load = LoadKeys::new(
                &load_schema,
                primary_key,
                merge,
                history,
                !base.is_empty(),
                &scratch,
            )?;
            let may_update = of_load.may_update_in_place() && !base.is_empty();
            fresh = may_update.then(|| Fresh::new(scratch.memory.updates));
            keys = Some(of_load);
        }
        registration.keep();
        let checkpoints = CheckpointWriter::new(
            &options,
            &shared.options,
            &format.schema,
            base_run,
            options.resume.as_ref(),
        );
        let mut load = Self {
            shared,
            options,
            base: base.into_iter().zip(row_groups).collect(),
            removes: standing.removes,
            format,
            arrangement: arrangement.map(Arc::new),
            writer: Some(writer),
            keys,
            fresh,
            versions,
            cursor: standing.cursor,
            rows_read: 0,
            replaced_sample_data: standing.replaced_sample_data,
            schema_changes,
            checkpoints,
            conversions,
            is_committed: false,
        };
        if let Some(kept) = load.options.resume.take() {
            load.adopt(&kept, &load_schema)?;
        }
        Ok(load)
    }

    /// Takes over the files that an earlier run has kept, and the keys of their rows.
    fn adopt(&mut self, kept: &Checkpoint, schema: &Schema) -> Result<(), Error> {
        let staged = self.staged();
        kept.adopt(&self.shared.disk, &self.shared.layout, &staged)?;
        let mut names: Vec<&str> = self
            .options
            .primary_key
            .iter()
            .map(String::as_str)
            .collect();
        let merge = &self.options.merge;
        names.extend(merge.merge_key.iter().map(String::as_str));
        names.extend(merge.hard_delete.as_deref());
        names.extend(merge.dedup_sort.as_ref().map(|sort| sort.column.as_str()));
        names.extend(self.versions.as_ref().map(Versions::row_hash));
        for (index, file) in kept.files.iter().enumerate() {
            if let Some(keys) = &mut self.keys {
                let mut row = 0;
                for batch in checkpoint::read_staged(&staged.join(&file.name), Some(&names))? {
                    let batch = checkpoint::narrow(&batch?, schema)?;
                    keys.extend(&batch, self.rows_read + row, (index, row))?;
                    row += batch.num_rows() as u64;
                }
            }
            self.rows_read += file.rows;
            // Not all of its rows are in memory any more.
            self.fresh = None;
            if let Some(writer) = &mut self.writer {
                writer.adopt(file.clone());
            }
        }
        Ok(())
    }

    /// The rows written so far, in their order, with the columns that they were written with: those that an
    /// earlier run has kept, before others are written.
    ///
    /// # Errors
    /// `Destination` when a file cannot be read.
    pub fn rows_kept(
        &mut self,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, Error>> + use<>, Error> {
        let staged = self.staged();
        let writer = self.writer.as_mut();
        let files = writer.map_or(Ok(&[][..]), PartWriter::cut)?;
        let paths: Vec<PathBuf> = files.iter().map(|file| staged.join(&file.name)).collect();
        let flatten = self.options.writer.flatten.clone();
        let nested = Arc::clone(&self.options.schema);
        let as_written = move |batch: RecordBatch| match &flatten {
            Some(options) => nest(&batch, &nested, options),
            None => Ok(batch),
        };
        let rows = paths.into_iter().flat_map(|path| {
            let (rows, error) = match checkpoint::read_staged(&path, None) {
                Ok(rows) => (Some(rows), None),
                Err(error) => (None, Some(Err(error))),
            };
            error.into_iter().chain(rows.into_iter().flatten())
        });
        Ok(rows.map(move |batch| batch.and_then(&as_written)))
    }

    /// Keeps what has been written so far, so that a later run can go on with it when this one does
    /// not come to its end; `position` is where. Nothing of the dataset changes. False where the
    /// file system has no hard links.
    ///
    /// # Errors
    /// `Destination` when the disk or the store fails; what was kept before is still kept then. After
    /// one that [is transient](Error::is_transient) the load goes on, and may be kept later.
    pub fn checkpoint(&mut self, position: Value) -> Result<bool, Error> {
        let mut writer = self.writer.take().ok_or_else(|| self.has_failed())?;
        let files = writer.cut()?;
        let (disk, layout) = (&self.shared.disk, &self.shared.layout);
        let saved = self.checkpoints.save(disk, layout, files, position);
        self.writer = Some(writer);
        saved
    }

    /// What a load with these options would add to.
    pub(crate) fn prior(shared: &Shared, options: &LoadOptions) -> Result<Prior, Error> {
        check_name("resource", &options.resource)?;
        let known = shared.inner().state.resource(&options.resource).cloned();
        let standing = Standing::new(shared, options, known.as_ref())?;
        Ok(Prior {
            cursor: standing.cursor,
            shape: standing.base.and(known).and_then(|known| known.inferred),
        })
    }

    /// Where the last run of this resource left off; `None` when this one reads from the beginning.
    #[must_use]
    pub fn cursor(&self) -> Option<&Value> {
        self.cursor.as_ref()
    }

    /// Whether the dataset is sample data of the sandbox, which this load will replace.
    #[must_use]
    pub fn replaces_sample_data(&self) -> bool {
        self.replaced_sample_data
    }

    /// Whether rows of earlier loads may stay.
    #[must_use]
    pub fn keeps_rows(&self) -> bool {
        !self.base.is_empty()
    }

    /// Adds rows. Memory is bounded by [`WriterOptions::memory_bytes`], not by the number of rows.
    ///
    /// After an error the load cannot be committed any more.
    ///
    /// # Errors
    /// `SchemaContract` for a null in a key or in a column that is never null; `Destination` when
    /// the disk fails.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let mut writer = self.writer.take().ok_or_else(|| self.has_failed())?;
        let flat = match &self.options.writer.flatten {
            Some(options) => Some(flatten(batch, options)?),
            None => None,
        };
        let batch = flat.as_ref().unwrap_or(batch);
        let extended = match &self.versions {
            Some(versions) => Some(versions.extend(batch)?),
            None => None,
        };
        let batch = extended.as_ref().unwrap_or(batch);
        let adapted = schema::adapt(batch, &self.format.schema)
            .map_err(|error| error.in_resource(&self.options.resource))?;
        let position = writer.write(&adapted)?;
        if let Some(keys) = &mut self.keys {
            keys.extend(batch, self.rows_read, position)
                .map_err(|error| error.in_resource(&self.options.resource))?;
        }
        if let Some(fresh) = &mut self.fresh {
            fresh.push(Position::new(position.0, position.1)?, adapted);
        }
        self.rows_read += batch.num_rows() as u64;
        self.writer = Some(writer);
        Ok(())
    }

    /// Makes the load part of the dataset, all of it or, on an error, nothing; `cursor` is where the
    /// next run goes on.
    ///
    /// # Errors
    /// `Destination` when the disk fails. When that happens after the commit was recorded, the error
    /// says so and the next run finishes the publication.
    pub fn commit(mut self, cursor: Option<Value>) -> Result<LoadReport, Error> {
        let writer = self.writer.take().ok_or_else(|| self.has_failed())?;
        let (staged, next_number) = writer.finish()?;
        let inferred = self.options.inferred.take();
        let conversions = std::mem::take(&mut self.conversions);
        let change = self.resolve(staged, next_number, &conversions)?;
        let rows = total(&change.after, |file| file.rows);
        let state = ResourceState {
            source: self.shared.options.source.clone(),
            identity: self.options.identity.clone(),
            spec_hash: self.shared.options.spec_hash.clone(),
            run: self.shared.options.run,
            write_disposition: self.options.disposition,
            primary_key: self.options.primary_key.clone(),
            cursor,
            rows,
            files: change.after.clone(),
            inferred: inferred.map(|inferred| inferred.shape),
            evolved: std::mem::take(&mut self.options.evolved),
            partition_by: self.options.writer.partition_by.clone(),
            flatten: self.options.writer.flatten.clone(),
        };
        let journal = Journal::new(
            &self.options.resource,
            self.shared.options.run,
            change.added.clone(),
            change
                .removed
                .iter()
                .map(|file| file.name.clone())
                .collect(),
            state,
        );
        let report = LoadReport {
            resource: self.options.resource.clone(),
            rows_read: self.rows_read,
            rows_written: rows,
            inserted: change.inserted,
            updated: change.updated,
            unchanged: change.unchanged,
            duplicates_in_load: change.duplicates,
            deleted: total(&self.removes, |file| file.rows) + change.deleted,
            retired: change.retired,
            row_groups_searched: change.searched,
            row_groups_left: change.row_groups_left,
            row_groups_copied: change.tally.copied,
            row_groups_rewritten: change.tally.rewritten,
            bytes_copied: change.tally.bytes_copied,
            bytes_rewritten: change.tally.bytes_rewritten,
            bytes_added: total(&change.added, |file| file.bytes),
            bytes: total(&change.after, |file| file.bytes),
            files_added: change.added,
            files_removed: change.removed,
            replaced_sample_data: self.replaced_sample_data,
            schema_changes: std::mem::take(&mut self.schema_changes),
        };
        self.publish(&journal)?;
        // What cannot be deleted belongs to a dataset that has changed since, and is not used.
        let _ = checkpoint::discard(
            &self.shared.disk,
            &self.shared.layout,
            &self.options.resource,
        );
        Ok(report)
    }

    /// Gives the load up; the dataset stays as it was. Dropping it does the same.
    pub fn discard(self) {}

    fn publish(&mut self, journal: &Journal) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let staged = self.staged();
        // Other loads of the store go on meanwhile.
        if let Some(remote) = shared.disk.remote() {
            remote::upload(&shared.disk, remote, &shared.layout, journal)?;
        } else {
            let files = journal.adds.iter().map(|file| staged.join(&file.name));
            let folders: BTreeSet<PathBuf> = files
                .chain([staged.join("file")])
                .flat_map(|path| {
                    let folders = path.ancestors().skip(1);
                    let own = folders.take_while(|folder| *folder != shared.layout.control());
                    own.map(PathBuf::from).collect::<Vec<_>>()
                })
                .collect();
            for folder in &folders {
                shared.disk.sync_directory(folder)?;
            }
        }
        let mut inner = shared.inner();
        if let Err(error) = journal.write(&shared.disk, &shared.layout) {
            // It may have happened even so: then the load is committed.
            let resource = &self.options.resource;
            self.is_committed = match shared.disk.remote() {
                Some(remote) => remote.may_hold(resource),
                None => shared.layout.journal(resource).exists(),
            };
            if !self.is_committed {
                return Err(error);
            }
            inner.unfinished.insert(resource.clone());
            return Err(match shared.disk.remote() {
                Some(_) => error.with_hint(
                    "nobody knows whether the load was committed: the next run finds out, and \
                     finishes publishing it if it was",
                ),
                None => unfinished(error),
            });
        }
        self.is_committed = true;
        inner.unfinished.insert(self.options.resource.clone());
        shared
            .finish(&mut inner, journal, Origin::Fresh)
            .map_err(unfinished)
    }

    /// Decides which files the dataset consists of afterwards, and writes those that change.
    fn resolve(
        &mut self,
        staged: Vec<DataFile>,
        next_number: u32,
        conversions: &BTreeMap<String, Conversion>,
    ) -> Result<Change, Error> {
        let live = self.shared.layout.live(&self.options.resource);
        let base = std::mem::take(&mut self.base);
        let paths: Vec<PathBuf> = base.iter().map(|(file, _)| live.join(&file.name)).collect();
        let scratch = self.shared.scratch(&self.options);
        let outcome = match self.keys.take() {
            Some(mut keys) => {
                if self.fresh.as_ref().is_some_and(Fresh::is_whole) {
                    keys.update_in_place();
                }
                keys.resolve(&scratch, &paths, self.rows_read)?
            }
            None => Outcome {
                inserted: self.rows_read,
                ..Outcome::default()
            },
        };
        let mut change = Change {
            inserted: outcome.inserted,
            updated: outcome.updated,
            unchanged: outcome.unchanged,
            duplicates: outcome.duplicates,
            deleted: outcome.deleted,
            retired: outcome.retired_rows,
            searched: outcome.searched,
            ..Change::default()
        };
        let fresh = self.fresh.take().unwrap_or_default();
        if let Some(arrangement) = &self.arrangement {
            let arrange = Arrange {
                arrangement,
                scratch,
                staged: self.staged(),
                live,
                removes: &self.removes,
                fresh: &fresh,
                versions: self.versions.as_ref(),
                conversions,
                small_bytes: self.options.writer.file_bytes / SMALL_FRACTION,
                spare_bytes: self.options.writer.compaction_bytes,
            };
            let parts = |number| self.part_writer(number);
            let (arranged, next_number) =
                arrange.carry_out(base, &staged, next_number, outcome, parts)?;
            change.row_groups_left = arranged.row_groups_left;
            change.tally = arranged.tally;
            change.removed = arranged.removed;
            return self.settle(change, arranged.kept, arranged.added, next_number);
        }
        let none = RowSet::default();
        let mut spare_bytes = self.options.writer.compaction_bytes;
        let small_bytes = self.options.writer.file_bytes / SMALL_FRACTION;
        let is_joined = small_files(&base, small_bytes, &mut spare_bytes);
        let writer = self.part_writer(next_number).with_slack();
        let mut rewriter = Rewriter::new(writer, &fresh, self.versions.as_ref(), spare_bytes);
        // Earlier rows first, so that the newest rows are the last ones of the dataset.
        let mut kept = Vec::new();
        for (index, ((file, row_groups), path)) in base.into_iter().zip(&paths).enumerate() {
            let changes = Changes {
                gone: outcome.existing.get(index).unwrap_or(&none),
                retired: outcome.retired.get(index).unwrap_or(&none),
                updates: of_file(&outcome.updates, index),
                conversions,
            };
            let is_joined = is_joined.get(index).is_some_and(|is_joined| *is_joined);
            if changes.are_none() && !is_joined || !rewriter.add(path, changes, is_joined)? {
                change.row_groups_left += row_groups as u64;
                kept.push(file);
            } else {
                change.removed.push(file);
            }
        }
        change.tally = rewriter.tally();
        let mut added = Vec::new();
        for (index, file) in staged.into_iter().enumerate() {
            let gone = outcome.staged.get(index).unwrap_or(&none);
            if gone.len() == 0 {
                added.push(file);
                continue;
            }
            let path = self.staged().join(&file.name);
            let changes = Changes {
                gone,
                retired: &none,
                updates: &[],
                conversions: &BTreeMap::new(),
            };
            rewriter.add(&path, changes, true)?;
            self.shared.disk.remove_file(&path)?;
        }
        let (mut rewritten, next_number) = rewriter.finish()?;
        added.append(&mut rewritten);
        self.settle(change, kept, added, next_number)
    }

    fn part_writer(&self, first_number: u32) -> PartWriter {
        let (disk, run) = (self.shared.disk.clone(), self.shared.options.run);
        let format = Arc::clone(&self.format);
        PartWriter::new(disk, self.staged(), run, first_number, format)
    }

    /// A dataset has files without rows only when it has no rows at all; then it has one.
    fn settle(
        &mut self,
        mut change: Change,
        kept: Vec<DataFile>,
        mut added: Vec<DataFile>,
        next_number: u32,
    ) -> Result<Change, Error> {
        let rows = total(&kept, |file| file.rows) + total(&added, |file| file.rows);
        if rows == 0 {
            let mut writer = self.part_writer(next_number);
            writer.write_empty()?;
            added = writer.finish()?.0;
        }
        let (kept, mut empty): (Vec<_>, Vec<_>) = kept.into_iter().partition(|file| file.rows > 0);
        change.removed.append(&mut empty);
        change.removed.extend(self.removes.iter().cloned());
        change.after = kept;
        change.after.extend(added.iter().cloned());
        change.added = added;
        Ok(change)
    }

    fn staged(&self) -> PathBuf {
        self.shared
            .layout
            .staged(self.shared.options.run, &self.options.resource)
    }

    fn has_failed(&self) -> Error {
        Error::new(
            ErrorKind::Internal,
            format!(
                "the load of `{}` has failed before and cannot go on",
                self.options.resource
            ),
        )
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Open files first: not every system deletes them.
        self.writer = None;
        self.keys = None;
        let (disk, layout) = (&self.shared.disk, &self.shared.layout);
        let run = self.shared.options.run;
        // What cannot be deleted now, the next run deletes.
        let _ = disk.remove_directory(&layout.spill(run, &self.options.resource));
        if !self.is_committed {
            let _ = disk.remove_directory(&self.staged());
            if disk.remote().is_some() {
                let _ = disk.remove_directory(&layout.uploaded(run, &self.options.resource));
            }
        }
        self.shared.inner().loading.remove(&self.options.resource);
    }
}

/// A failure behind the commit point.
fn unfinished(error: Error) -> Error {
    error.with_hint("the load is complete and safe: the next run finishes publishing it")
}

/// The files of a dataset before and after.
#[derive(Debug, Default)]
struct Change {
    added: Vec<DataFile>,
    removed: Vec<DataFile>,
    after: Vec<DataFile>,
    inserted: u64,
    updated: u64,
    unchanged: u64,
    duplicates: u64,
    deleted: u64,
    retired: u64,
    searched: u64,
    row_groups_left: u64,
    tally: Tally,
}

fn total(files: &[DataFile], of: impl Fn(&DataFile) -> u64) -> u64 {
    files.iter().map(of).sum()
}

/// Undoes [`Shared::register`] when a load cannot begin.
struct Registration<'a> {
    shared: &'a Shared,
    resource: &'a str,
}

impl Registration<'_> {
    fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        self.shared.inner().loading.remove(self.resource);
    }
}

impl Shared {
    fn scratch(&self, options: &LoadOptions) -> Scratch {
        Scratch {
            disk: self.disk.clone(),
            folder: self.layout.spill(self.options.run, &options.resource),
            memory: Memory::of(&options.writer),
        }
    }

    /// Notes that a resource is being loaded, and finishes what an earlier load of it left.
    fn register(&self, resource: &str) -> Result<Option<ResourceState>, Error> {
        let mut inner = self.inner();
        if inner.loading.contains(resource) {
            return Err(Error::conflict(format!(
                "`{resource}` is being loaded already"
            )));
        }
        if inner.unfinished.contains(resource) {
            match Journal::find(&self.disk, &self.layout, resource)? {
                Some(journal) => self.finish(&mut inner, &journal, Origin::Found)?,
                // It was not committed after all.
                None => {
                    inner.unfinished.remove(resource);
                }
            }
        }
        inner.loading.insert(resource.to_owned());
        Ok(inner.state.resource(resource).cloned())
    }
}

fn file_metadata(shared: &Shared, options: &LoadOptions) -> Vec<(String, String)> {
    let own = [
        ("connector", &shared.options.connector),
        ("resource", &options.resource),
        ("run", &shared.options.run.to_string()),
        ("spec_hash", &shared.options.spec_hash),
    ];
    own.into_iter()
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .chain(options.metadata.iter().cloned())
        .collect()
}
