//! The record that makes a load part of the dataset: once it is on disk, the load will be published.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::disk::{self, Disk, Step};
use crate::layout::{Layout, check_name, parse_file_name};
use crate::state::{DataFile, ResourceState, json};
use crate::{Error, RunId};

/// The version of the journal's own format.
const VERSION: u32 = 1;

/// What publishing one load does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Journal {
    version: u32,
    pub(crate) resource: String,
    pub(crate) run: RunId,
    /// Staged files that become part of the dataset.
    pub(crate) adds: Vec<DataFile>,
    /// The names of files that leave it.
    pub(crate) removes: Vec<String>,
    /// The resource's state afterwards.
    pub(crate) state: ResourceState,
}

impl Journal {
    pub(crate) fn new(
        resource: &str,
        run: RunId,
        adds: Vec<DataFile>,
        removes: Vec<String>,
        state: ResourceState,
    ) -> Self {
        Self {
            version: VERSION,
            resource: resource.to_owned(),
            run,
            adds,
            removes,
            state,
        }
    }

    /// Writes the record durably: the commit point of a load.
    pub(crate) fn write(&self, disk: &Disk, layout: &Layout) -> Result<(), Error> {
        if let Some(remote) = disk.remote() {
            disk.check_remote(remote, Step::Put, &layout.lease())?;
            return remote.commit(self);
        }
        disk.replace_file(
            &layout.journal(&self.resource),
            &layout
                .run(self.run)
                .join(format!("journal-{}.json", self.resource)),
            &json(self)?,
        )
    }

    /// The records of unfinished publications.
    pub(crate) fn read_all(disk: &Disk, layout: &Layout) -> Result<Vec<Self>, Error> {
        if let Some(remote) = disk.remote() {
            return remote.journals();
        }
        disk::list(&layout.journals())?
            .iter()
            .map(|name| Self::read(&layout.journals().join(name)))
            .collect()
    }

    /// The record of a resource; `None` when its publication is finished, or was never begun.
    pub(crate) fn find(
        disk: &Disk,
        layout: &Layout,
        resource: &str,
    ) -> Result<Option<Self>, Error> {
        if let Some(remote) = disk.remote() {
            let mut journals = remote.journals()?.into_iter();
            return Ok(journals.find(|journal| journal.resource == resource));
        }
        Self::read(&layout.journal(resource)).map(Some)
    }

    /// Deletes the record of a publication that is finished.
    pub(crate) fn remove(&self, disk: &Disk, layout: &Layout) -> Result<(), Error> {
        if let Some(remote) = disk.remote() {
            disk.check_remote(remote, Step::Put, &layout.lease())?;
            return remote.forget(&self.resource);
        }
        let path = layout.journal(&self.resource);
        disk.remove_file(&path)?;
        disk.sync_parent(&path)
    }

    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read(path).map_err(|source| Error::io("read", path, source))?;
        let journal: Self =
            serde_json::from_slice(&text).map_err(|source| damaged(path).with_source(source))?;
        let names_it = path
            .file_stem()
            .is_some_and(|stem| stem == journal.resource.as_str());
        if names_it && journal.is_sound() {
            Ok(journal)
        } else {
            Err(damaged(path))
        }
    }

    /// Whether it can be carried out: nothing that it names leaves its folder.
    pub(crate) fn is_sound(&self) -> bool {
        let names = self.adds.iter().map(|file| &file.name);
        self.version == VERSION
            && check_name("resource", &self.resource).is_ok()
            && names
                .chain(&self.removes)
                .all(|name| parse_file_name(name).is_some())
    }
}

/// A journal that cannot be carried out, and what to do.
pub(crate) fn damaged(path: &Path) -> Error {
    Error::conflict(format!(
        "the journal `{}` of an interrupted run is damaged",
        path.display()
    ))
    .with_hint(
        "its load cannot be finished; to give it up, delete this file and read the resource again \
         with `--full-refresh`",
    )
}
