//! A load under way, kept aside so that a later run can go on with it.
//!
//! ```text
//! <connector>/_connector/resume/<resource>/checkpoint.json       how far the load has come
//!                                          part-00000-<run>.kept  hard links to its closed files
//! ```
//!
//! The record is replaced in one durable step after its files are durable, so that at every
//! instant it is the old or the new one with all of its files. Data files have another name than
//! in a dataset: no glob for Parquet files finds them.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::Schema;
use chrono::{DateTime, TimeDelta, Utc};
use connector_plan::WriteDisposition;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::disk::{self, Disk};
use crate::layout::{Layout, parse_part_name};
use crate::load_options::LoadOptions;
use crate::part::{BATCH_ROWS, reader_options};
use crate::state::{DataFile, json};
use crate::store::StoreOptions;
use crate::{Error, RunId, SourceId};

/// The version of the checkpoint's own format.
const VERSION: u32 = 1;

/// How far a load had come when its run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    version: u32,
    /// The program that wrote it: another one may stage other files.
    program: String,
    pub(crate) resource: String,
    /// The run that began the load.
    pub(crate) begun_by: RunId,
    /// The run that wrote it.
    pub run: RunId,
    /// When.
    pub saved_at: DateTime<Utc>,
    source: SourceId,
    identity: String,
    spec_hash: String,
    disposition: WriteDisposition,
    /// Whether the dataset begins anew with the load, whatever its disposition.
    pub full_refresh: bool,
    /// The run that had written the dataset which the load adds to.
    base: Option<RunId>,
    /// The columns of the files.
    columns: Vec<String>,
    /// The rows of the files.
    pub rows: u64,
    pub(crate) files: Vec<DataFile>,
    /// Where the reading goes on, as those who read have it.
    pub position: Value,
}

/// What is kept of a load, if anything.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// Nothing.
    Nothing,
    /// A load that a run with the same specification can go on with.
    Usable(Box<Checkpoint>),
    /// A load that cannot be gone on with, and why.
    Unusable(String),
}

impl Checkpoint {
    /// What is kept of this resource, whose dataset is of the run `base`, for a run with these
    /// options.
    pub(crate) fn find(
        (disk, layout): (&Disk, &Layout),
        options: &StoreOptions,
        base: Option<RunId>,
        resource: &str,
    ) -> Result<Kept, Error> {
        let Some(text) = disk.read(&layout.checkpoint(resource))? else {
            return Ok(Kept::Nothing);
        };
        let Ok(found) = serde_json::from_slice::<Self>(&text) else {
            return Ok(Kept::Unusable("it cannot be read".to_owned()));
        };
        Ok(
            match found.refusal((disk, layout), options, base, resource)? {
                Some(reason) => Kept::Unusable(reason.to_owned()),
                None => Kept::Usable(Box::new(found)),
            },
        )
    }

    /// Why a run with these options cannot go on with it.
    fn refusal(
        &self,
        (disk, layout): (&Disk, &Layout),
        options: &StoreOptions,
        base: Option<RunId>,
        resource: &str,
    ) -> Result<Option<&'static str>, Error> {
        let reason = if self.version != VERSION || self.program != PROGRAM {
            "another version of this program wrote it"
        } else if self.resource != resource {
            "it belongs to another resource"
        } else if self.is_expired(options.keep_checkpoints) {
            "it is too old"
        } else if !self.source.is_same(&options.source) {
            "it was read from another server"
        } else if self.spec_hash != options.spec_hash {
            "the spec has changed since"
        } else if self.base != base {
            "the dataset has changed since"
        } else if !self.is_whole(disk, layout)? {
            "its files are damaged"
        } else {
            return Ok(None);
        };
        Ok(Some(reason))
    }

    fn is_expired(&self, keep: Duration) -> bool {
        let age = Utc::now() - self.saved_at;
        TimeDelta::from_std(keep).is_ok_and(|keep| age >= keep || age < -keep)
    }

    /// Whether its files are there; what those of a store hold is seen when they are fetched.
    fn is_whole(&self, disk: &Disk, layout: &Layout) -> Result<bool, Error> {
        let folder = layout.kept(&self.resource);
        let below = disk.objects_below(&folder)?;
        for file in &self.files {
            if parse_part_name(&file.name).is_none() {
                return Ok(false);
            }
            let path = kept_path(layout, &self.resource, &file.name);
            let is_there = match &below {
                Some(below) => {
                    let name = path.strip_prefix(&folder).ok().and_then(Path::to_str);
                    name.and_then(|name| below.get(name)) == Some(&file.bytes)
                }
                None => {
                    disk.length(&path)? == Some(file.bytes)
                        && disk::file_hash(&path)? == file.sha256
                }
            };
            if !is_there {
                return Ok(false);
            }
        }
        Ok(self.rows == self.files.iter().map(|file| file.rows).sum::<u64>())
    }

    /// Whether it is not of the load with these options, whose files have these columns, onto what
    /// this run has written.
    pub(crate) fn mismatch(
        &self,
        options: &LoadOptions,
        schema: &Schema,
        base: Option<RunId>,
    ) -> bool {
        self.columns != columns(schema)
            || self.base != base
            || self.resource != options.resource
            || self.identity != options.identity
            || self.disposition != options.disposition
            || self.full_refresh != options.full_refresh
    }

    /// Puts the files where a load of this run stages its own.
    pub(crate) fn adopt(&self, disk: &Disk, layout: &Layout, staged: &Path) -> Result<(), Error> {
        for file in &self.files {
            let kept = kept_path(layout, &self.resource, &file.name);
            let staged = staged.join(&file.name);
            if disk.remote().is_some() {
                if disk.fetch(&kept, &staged)? != file.sha256 {
                    return Err(Error::conflict(format!(
                        "what is kept of a load of `{}` is damaged: `{}`",
                        self.resource,
                        kept.display()
                    ))
                    .with_hint("read it from the beginning"));
                }
                continue;
            }
            // It may have been kept where there are links, and copied to where there are none.
            if !disk.put_aside(&kept, &staged)? {
                disk.copy_file(&kept, &staged)?;
            }
        }
        Ok(())
    }
}

/// The program that checkpoints are of.
const PROGRAM: &str = concat!("connector-dataset ", env!("CARGO_PKG_VERSION"));

/// What checkpoints of one load have in common.
#[derive(Clone, Debug)]
pub(crate) struct CheckpointWriter {
    template: Checkpoint,
    /// Names of the files that are kept already.
    kept: HashSet<String>,
}

impl CheckpointWriter {
    pub(crate) fn new(
        options: &LoadOptions,
        store: &StoreOptions,
        schema: &Schema,
        base: Option<RunId>,
        resumed: Option<&Checkpoint>,
    ) -> Self {
        let files = resumed.iter().flat_map(|resumed| &resumed.files);
        Self {
            kept: files.map(|file| file.name.clone()).collect(),
            template: Checkpoint {
                version: VERSION,
                program: PROGRAM.to_owned(),
                resource: options.resource.clone(),
                begun_by: resumed.map_or(store.run, |resumed| resumed.begun_by),
                run: store.run,
                saved_at: DateTime::UNIX_EPOCH,
                source: store.source.clone(),
                identity: options.identity.clone(),
                spec_hash: store.spec_hash.clone(),
                disposition: options.disposition,
                full_refresh: options.full_refresh,
                base,
                columns: columns(schema),
                rows: 0,
                files: Vec::new(),
                position: Value::Null,
            },
        }
    }

    /// Keeps these staged files and where the reading goes on; false where the file system cannot.
    pub(crate) fn save(
        &mut self,
        disk: &Disk,
        layout: &Layout,
        files: &[DataFile],
        position: Value,
    ) -> Result<bool, Error> {
        let resource = &self.template.resource;
        let folder = layout.kept(resource);
        let staged = layout.staged(self.template.run, resource);
        let has_kept = !self.kept.is_empty();
        if disk.remote().is_none() && !folder.exists() {
            disk.create_directory(&folder)?;
            disk.sync_parent(&folder)?;
            disk.sync_directory(&layout.control())?;
        }
        for file in files {
            if self.kept.contains(&file.name) {
                continue;
            }
            let path = kept_path(layout, resource, &file.name);
            if !disk.put_aside(&staged.join(&file.name), &path)? {
                // What was kept of this load before is as good as ever.
                if !has_kept {
                    disk.remove_directory(&folder)?;
                }
                return Ok(false);
            }
            self.kept.insert(file.name.clone());
        }
        disk.sync_directory(&folder)?;
        let record = Checkpoint {
            saved_at: Utc::now(),
            rows: files.iter().map(|file| file.rows).sum(),
            files: files.to_vec(),
            position,
            ..self.template.clone()
        };
        let temporary = layout
            .run(self.template.run)
            .join(format!("checkpoint-{resource}.json"));
        disk.replace_file(&layout.checkpoint(resource), &temporary, &json(&record)?)?;
        // What another load had left is nobody's now.
        let own = (self.kept.iter()).map(|name| kept_path(layout, resource, name));
        let own: HashSet<PathBuf> = own.chain([layout.checkpoint(resource)]).collect();
        for name in disk.list(&folder)? {
            let path = folder.join(&name);
            if !own.contains(&path) {
                disk.remove_file(&path)?;
            }
        }
        Ok(true)
    }
}

/// Deletes what is kept of a resource.
pub(crate) fn discard(disk: &Disk, layout: &Layout, resource: &str) -> Result<(), Error> {
    let folder = layout.kept(resource);
    if disk.remote().is_none() && !folder.exists() {
        return Ok(());
    }
    // The record first: without it the files mean nothing, without them it would be damaged.
    disk.remove_file(&layout.checkpoint(resource))?;
    disk.remove_directory(&folder)
}

/// Deletes what is too old to be gone on with, or cannot be read, of whatever resource.
pub(crate) fn discard_expired(
    disk: &Disk,
    layout: &Layout,
    keep: Duration,
) -> Result<Vec<String>, Error> {
    let mut discarded = Vec::new();
    for name in disk.list(&layout.all_kept())? {
        let Some(resource) = name.to_str() else {
            continue;
        };
        let text = match disk.read(&layout.checkpoint(resource)) {
            Ok(text) => text.unwrap_or_default(),
            // A store that does not answer says nothing about what it holds.
            Err(error) => {
                tracing::warn!(
                    resource,
                    "nobody knows whether what an earlier run had kept is too old: {error}"
                );
                continue;
            }
        };
        let found: Option<Checkpoint> = serde_json::from_slice(&text).ok();
        if found.is_none_or(|found| found.is_expired(keep)) {
            discard(disk, layout, resource)?;
            discarded.push(resource.to_owned());
        }
    }
    Ok(discarded)
}

/// The columns of a file, in words.
fn columns(schema: &Schema) -> Vec<String> {
    let fields = schema.fields().iter();
    fields
        .map(|field| {
            let null = if field.is_nullable() { " or null" } else { "" };
            format!("{}: {}{null}", field.name(), field.data_type())
        })
        .collect()
}

fn kept_path(layout: &Layout, resource: &str, name: &str) -> PathBuf {
    layout.kept(resource).join(name).with_extension("kept")
}

/// The columns with the types that they have in the schema, where a file has wider ones.
pub(crate) fn narrow(batch: &RecordBatch, schema: &Schema) -> Result<RecordBatch, Error> {
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let Some((_, known)) = schema.column_with_name(field.name()) else {
            continue;
        };
        fields.push(known.clone());
        columns.push(cast(column, known.data_type()).map_err(Error::arrow)?);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(Error::arrow)
}

/// Reads the rows of staged files in their order: all columns, or those of these names.
pub(crate) fn read_staged(
    path: &Path,
    names: Option<&[&str]>,
) -> Result<impl Iterator<Item = Result<RecordBatch, Error>> + use<>, Error> {
    let file = File::open(path).map_err(|source| Error::io("open", path, source))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, reader_options())
        .map_err(|source| Error::read(path, source))?;
    let columns: Vec<usize> = (builder.schema().fields().iter().enumerate())
        .filter(|(_, field)| names.is_none_or(|names| names.contains(&field.name().as_str())))
        .map(|(index, _)| index)
        .collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
    let reader = builder
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(|source| Error::read(path, source))?;
    let path = path.to_owned();
    Ok(reader.map(move |batch| batch.map_err(|source| Error::read(&path, source))))
}
