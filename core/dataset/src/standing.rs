//! Decides whether a load may touch the dataset that is there, and whether it adds or replaces.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use arrow::datatypes::Fields;
use connector_plan::{PartitionColumn, WriteDisposition};
use serde_json::Value;

use crate::disk;
use crate::layout::parse_file_name;
use crate::load_options::LoadOptions;
use crate::part::read_metadata;
use crate::partition::is_folder;
use crate::schema;
use crate::state::{DataFile, ResourceState};
use crate::store::Shared;
use crate::{Error, SourceId};

/// How a load stands to what is there.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The files it adds to; `None` when it replaces the dataset.
    pub(crate) base: Option<Vec<DataFile>>,
    /// The files that leave whatever the load holds.
    pub(crate) removes: Vec<DataFile>,
    /// Where the last run left off.
    pub(crate) cursor: Option<Value>,
    pub(crate) replaced_sample_data: bool,
    /// The number of the load's first file.
    pub(crate) first_number: u32,
}

impl Standing {
    /// # Errors
    /// When the load may neither add to what is there nor replace it.
    pub(crate) fn new(
        shared: &Shared,
        options: &LoadOptions,
        prior: Option<&ResourceState>,
    ) -> Result<Self, Error> {
        let resource = &options.resource;
        let source = &shared.options.source;
        let live = shared.layout.live(resource);
        let replaced_sample_data = prior
            .is_some_and(|prior| prior.source == SourceId::Sandbox && *source != SourceId::Sandbox);
        let begins_anew = options.full_refresh || replaced_sample_data;
        let replaces = begins_anew || options.disposition == WriteDisposition::Replace;
        if let Some(prior) = prior
            && !begins_anew
            && !prior.source.is_same(source)
        {
            return Err(Error::conflict(format!(
                "`{resource}` holds data of {}, this run reads from {source}",
                prior.source
            ))
            .with_hint(
                "choose another folder with `--out`, or replace the data with `--full-refresh`",
            ));
        }
        let is_other = prior.is_some_and(|prior| prior.identity != options.identity);
        if is_other && !replaces {
            return Err(Error::conflict(format!(
                "`{resource}` was written by another specification: its request, primary key or \
                 write disposition has changed since"
            ))
            .with_hint(
                "read it again with `--full-refresh`, or choose another folder with `--out`",
            ));
        }
        let known = prior.map_or(&[][..], |prior| &prior.files);
        let mut parts = Vec::new();
        let mut first_number = 0;
        let partition_by = prior.map_or(&[][..], |prior| &prior.partition_by);
        let below = shared.disk.objects_below(&live)?;
        let names = match &below {
            Some(below) => below.keys().cloned().collect(),
            None => files_below(&live)?,
        };
        let length = |name: &str| match &below {
            Some(below) => Ok(below.get(name).copied()),
            None => shared.disk.length(&live.join(name)),
        };
        for name in names {
            let Some((number, run)) = parse_file_name(&name) else {
                continue;
            };
            if run == shared.options.run {
                first_number = first_number.max(number + 1);
            }
            parts.push(name);
        }
        let names: HashSet<&str> = known.iter().map(|file| file.name.as_str()).collect();
        let strangers: Vec<&String> = parts
            .iter()
            .filter(|name| !names.contains(name.as_str()))
            .collect();
        if let Some(stranger) = strangers.first()
            && (!replaces || *source == SourceId::Sandbox)
        {
            let hint = if *source == SourceId::Sandbox {
                "restore the folder `_connector` beside it, or choose another folder for sample data \
                 with `--out`"
            } else {
                "restore the folder `_connector` beside it, or replace the data with \
                 `--full-refresh`, or choose another folder with `--out`"
            };
            return Err(Error::conflict(format!(
                "`{}` holds the data file `{stranger}`, which the state does not know",
                live.display()
            ))
            .with_hint(hint));
        }
        if partition_by != options.writer.partition_by && !known.is_empty() && !replaces {
            return Err(Error::conflict(format!(
                "`{resource}` is partitioned by {}, the specification says {}",
                PartitionColumn::describe(partition_by),
                PartitionColumn::describe(&options.writer.partition_by)
            ))
            .with_hint(
                "read it again with `--full-refresh`, or choose another folder with `--out`",
            ));
        }
        let flatten = prior.and_then(|prior| prior.flatten.as_ref());
        if !known.is_empty() && !replaces && options.flattens_otherwise(flatten) {
            return Err(Error::conflict(format!(
                "the objects of `{resource}` are other columns in the dataset: `flatten` has \
                 changed since"
            ))
            .with_hint(
                "read it again with `--full-refresh`, or choose another folder with `--out`",
            ));
        }
        if replaces {
            let mut removes = Vec::new();
            for file in known {
                if length(&file.name)?.is_some() {
                    removes.push(file.clone());
                }
            }
            for name in strangers {
                let bytes = length(name)?.unwrap_or(0);
                let (name, sha256) = (name.clone(), String::new());
                removes.push(DataFile {
                    name,
                    rows: 0,
                    bytes,
                    sha256,
                });
            }
            let keeps_cursor = !begins_anew && !is_other;
            return Ok(Self {
                base: None,
                removes,
                cursor: prior
                    .filter(|_| keeps_cursor)
                    .and_then(|prior| prior.cursor.clone()),
                replaced_sample_data,
                first_number,
            });
        }
        for file in known {
            let found = length(&file.name)?;
            if found != Some(file.bytes) {
                let what = if found.is_some() {
                    "has changed"
                } else {
                    "is missing"
                };
                return Err(Error::conflict(format!(
                    "the data file `{}` of `{}` {what}",
                    file.name,
                    live.display()
                ))
                .with_hint("restore the file, or read the resource again with `--full-refresh`"));
            }
        }
        Ok(Self {
            base: Some(known.to_vec()),
            removes: Vec::new(),
            cursor: prior.and_then(|prior| prior.cursor.clone()),
            replaced_sample_data,
            first_number,
        })
    }
}

/// The names of the files in a folder, and of those in folders of partitions within it.
fn files_below(live: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for name in disk::list(&live.join(&folder))? {
            let Some(name) = name.to_str() else { continue };
            let name = match folder.as_str() {
                "" => name.to_owned(),
                folder => format!("{folder}/{name}"),
            };
            if is_folder(&name) && live.join(&name).is_dir() {
                folders.push(name);
            } else {
                names.push(name);
            }
        }
    }
    Ok(names)
}

/// The columns of the existing files, `None` when there are none, and the number of row groups of
/// each.
pub(crate) fn read_base(
    shared: &Shared,
    resource: &str,
    files: &[DataFile],
) -> Result<(Option<Fields>, Vec<usize>), Error> {
    let live = shared.layout.live(resource);
    let mut fields: Option<Fields> = None;
    let mut row_groups = Vec::with_capacity(files.len());
    for file in files {
        let metadata = read_metadata(&shared.disk, &live.join(&file.name))?;
        row_groups.push(metadata.metadata().num_row_groups());
        let found = metadata.schema().fields().clone();
        fields = Some(match fields {
            None => found,
            Some(fields) if fields == found => fields,
            Some(fields) => schema::unify(&fields, &found, &BTreeMap::new(), &mut Vec::new())?,
        });
    }
    Ok((fields, row_groups))
}
