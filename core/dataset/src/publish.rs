//! Carries out a journal: the data folder changes from old to new in one step.
//!
//! The new content is built beside the data folder out of hard links and takes its place by an
//! atomic exchange, so that readers see the old or the new files at every instant. Every step can
//! be repeated: a journal found at start is carried out again from the beginning.
//!
//! Where the file system has no hard links or no exchange, files are renamed into place one by one
//! before the old ones are deleted; a crash is still rolled forward, but a reader in that moment
//! may see rows twice.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::disk::{self, Disk, is_unsupported};
use crate::journal::{self, Journal};
use crate::layout::Layout;
use crate::state::DataFile;

/// Where a journal comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This process has just written it and the files it adds.
    Fresh,
    /// It was found: the files it adds are compared with their checksums first.
    Found,
}

/// Makes the data folder what the journal says; the journal itself and the state are left alone.
pub(crate) fn publish(
    disk: &Disk,
    layout: &Layout,
    journal: &Journal,
    origin: Origin,
) -> Result<(), Error> {
    let added = journal.adds.iter().map(|file| file.name.as_str());
    let removed = journal.removes.iter().map(String::as_str);
    let kept = journal.state.files.iter().map(|file| file.name.as_str());
    let names = added.clone().chain(removed.clone()).chain(kept);
    let publication = Publication {
        folders: names
            .flat_map(|name| {
                name.match_indices('/')
                    .filter_map(|(end, _)| name.get(..end))
            })
            .collect(),
        is_removed: removed.clone().collect(),
        is_changed: added.chain(removed).collect(),
        disk,
        layout,
        journal,
        live: layout.live(&journal.resource),
        next: layout.next(journal.run, &journal.resource),
        staged: layout.staged(journal.run, &journal.resource),
    };
    if !publication.is_done()? {
        if origin == Origin::Found {
            publication.check_staged()?;
        }
        if !publication.exchange()? {
            publication.rename_each()?;
        }
    }
    publication.carry_over(Path::new(""))?;
    disk.remove_directory(&publication.next)?;
    disk.remove_directory(&publication.staged)
}

struct Publication<'a> {
    disk: &'a Disk,
    layout: &'a Layout,
    journal: &'a Journal,
    live: PathBuf,
    next: PathBuf,
    staged: PathBuf,
    /// The folders of partitions, in which data files lie or lay, and those around them.
    folders: HashSet<&'a str>,
    is_removed: HashSet<&'a str>,
    /// What is added or removed.
    is_changed: HashSet<&'a str>,
}

impl Publication<'_> {
    /// Whether the data folder already is what the journal says.
    fn is_done(&self) -> Result<bool, Error> {
        for file in &self.journal.adds {
            if length(&self.live.join(&file.name))? != Some(file.bytes) {
                return Ok(false);
            }
        }
        for name in &self.journal.removes {
            if length(&self.live.join(name))?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Every file to add is still there, as it was written.
    fn check_staged(&self) -> Result<(), Error> {
        for file in &self.journal.adds {
            let path = self.locate(file)?;
            if length(&path)? != Some(file.bytes) || disk::file_hash(&path)? != file.sha256 {
                return Err(self.damaged());
            }
        }
        Ok(())
    }

    /// Where a file to add is: staged, or put in place by an attempt that was interrupted.
    fn locate(&self, file: &DataFile) -> Result<PathBuf, Error> {
        [&self.staged, &self.live]
            .map(|folder| folder.join(&file.name))
            .into_iter()
            .find(|path| path.exists())
            .ok_or_else(|| self.damaged())
    }

    fn damaged(&self) -> Error {
        journal::damaged(&self.layout.journal(&self.journal.resource))
    }

    /// Builds the new folder and exchanges it with the old one; false when that is unsupported.
    fn exchange(&self) -> Result<bool, Error> {
        self.disk.remove_directory(&self.next)?;
        self.disk.create_directory(&self.next)?;
        let mut sources: Vec<(PathBuf, PathBuf)> = Vec::new();
        self.collect_kept(Path::new(""), &mut sources)?;
        for file in &self.journal.adds {
            sources.push((self.locate(file)?, PathBuf::from(&file.name)));
        }
        let mut folders = BTreeSet::new();
        for (source, name) in &sources {
            let target = self.next.join(name);
            if let Some(folder) = name.parent()
                && folders.insert(folder)
            {
                self.disk.create_directory(&self.next.join(folder))?;
            }
            match self.disk.link(source, &target) {
                Err(error) if is_unsupported(&error) => {
                    self.disk.remove_directory(&self.next)?;
                    return Ok(false);
                }
                other => other.map_err(|error| Error::io("link", source, error))?,
            }
        }
        self.sync_below(&self.next, folders)?;
        if self.live.exists() {
            match self.disk.exchange(&self.next, &self.live) {
                Err(error) if is_unsupported(&error) => {
                    self.disk.remove_directory(&self.next)?;
                    return Ok(false);
                }
                other => other.map_err(|error| Error::io("exchange", &self.live, error))?,
            }
        } else {
            self.disk.rename(&self.next, &self.live)?;
        }
        self.disk.sync_parent(&self.live)?;
        self.disk.sync_parent(&self.next)?;
        Ok(true)
    }

    /// The files of the data folder that stay, with their names below it: those of folders of others
    /// stay where they are until the exchange, see `carry_over`.
    fn collect_kept(
        &self,
        folder: &Path,
        sources: &mut Vec<(PathBuf, PathBuf)>,
    ) -> Result<(), Error> {
        for name in disk::list(&self.live.join(folder))? {
            let name = folder.join(name);
            let path = self.live.join(&name);
            let text = in_journal(&name);
            if self.is_changed.contains(text.as_str()) {
                continue;
            }
            if !is_folder(&path)? {
                sources.push((path, name));
            } else if self.folders.contains(text.as_str()) {
                self.collect_kept(&name, sources)?;
            }
        }
        Ok(())
    }

    /// Makes the entries of a folder durable, and of these within it.
    fn sync_below<'f>(
        &self,
        folder: &Path,
        within: impl IntoIterator<Item = &'f Path>,
    ) -> Result<(), Error> {
        let all = within.into_iter().flat_map(Path::ancestors);
        let all: BTreeSet<&Path> = all.chain([Path::new("")]).collect();
        all.into_iter()
            .map(|name| folder.join(name))
            .filter(|path| path.exists())
            .try_for_each(|path| self.disk.sync_directory(&path))
    }

    /// Adds, then removes, file by file.
    fn rename_each(&self) -> Result<(), Error> {
        tracing::debug!(
            resource = self.journal.resource,
            "the file system cannot exchange folders: publishing file by file"
        );
        if !self.live.exists() {
            self.disk.create_directory(&self.live)?;
            self.disk.sync_parent(&self.live)?;
        }
        for file in &self.journal.adds {
            let staged = self.staged.join(&file.name);
            if staged.exists() {
                if let Some((folder, _)) = file.name.rsplit_once('/') {
                    self.disk.create_directory(&self.live.join(folder))?;
                }
                self.disk.rename(&staged, &self.live.join(&file.name))?;
            }
        }
        // The new files are durable before the first old one goes.
        let added = self.journal.adds.iter();
        let added = added.filter_map(|file| Path::new(&file.name).parent());
        self.sync_below(&self.live, added)?;
        for name in &self.journal.removes {
            self.disk.remove_file(&self.live.join(name))?;
        }
        let removed = self.journal.removes.iter();
        let removed = removed.filter_map(|name| Path::new(name).parent());
        let folders: BTreeSet<&Path> = removed.flat_map(Path::ancestors).collect();
        self.sync_below(&self.live, folders.iter().copied())?;
        // Folders that hold nothing are nobody's partitions any more: the deepest ones first.
        for folder in folders.into_iter().rev() {
            let path = self.live.join(folder);
            if path != self.live && path.exists() && disk::list(&path)?.is_empty() {
                self.disk.remove_directory(&path)?;
            }
        }
        Ok(())
    }

    /// Moves what the exchange left in the old folder and nobody asked to remove: folders of others
    /// and files that appeared in the meantime.
    fn carry_over(&self, folder: &Path) -> Result<(), Error> {
        for name in disk::list(&self.next.join(folder))? {
            let name = folder.join(name);
            let (old, new) = (self.next.join(&name), self.live.join(&name));
            let text = in_journal(&name);
            if self.folders.contains(text.as_str()) && is_folder(&old)? {
                self.carry_over(&name)?;
            } else if !self.is_removed.contains(text.as_str()) && !new.exists() {
                if let Some(parent) = new.parent() {
                    self.disk.create_directory(parent)?;
                }
                self.disk.rename(&old, &new)?;
            }
        }
        Ok(())
    }
}

/// A name below the data folder, as the journal has it; one that is not Unicode is in no journal.
fn in_journal(name: &Path) -> String {
    let parts = name.iter().map(|part| part.to_string_lossy());
    parts.collect::<Vec<_>>().join("/")
}

/// The length of a file in bytes; `None` when there is none.
pub(crate) fn length(path: &Path) -> Result<Option<u64>, Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::io("look at", path, source)),
    }
}

fn is_folder(path: &Path) -> Result<bool, Error> {
    fs::symlink_metadata(path)
        .map(|metadata| metadata.is_dir())
        .map_err(|source| Error::io("look at", path, source))
}
