//! Carries out a journal: the data folder changes from old to new in one step.
//!
//! The new content is built beside the data folder out of hard links and takes its place by an
//! atomic exchange, so that readers see the old or the new files at every instant. Every step can
//! be repeated: a journal found at start is carried out again from the beginning.
//!
//! Where the file system has no hard links or no exchange, files are renamed into place one by one
//! before the old ones are deleted; a crash is still rolled forward, but a reader in that moment
//! may see rows twice.

use std::collections::HashSet;
use std::ffi::OsStr;
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
    let publication = Publication {
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
    publication.carry_over()?;
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
        let removes: HashSet<&OsStr> = self.journal.removes.iter().map(OsStr::new).collect();
        let adds: HashSet<&OsStr> = (self.journal.adds.iter())
            .map(|file| OsStr::new(&file.name))
            .collect();
        let mut sources: Vec<PathBuf> = Vec::new();
        for name in disk::list(&self.live)? {
            let path = self.live.join(&name);
            // Folders have no hard links: they move after the exchange, see `carry_over`.
            let is_kept = !removes.contains(name.as_os_str()) && !adds.contains(name.as_os_str());
            if is_kept && !is_folder(&path)? {
                sources.push(path);
            }
        }
        for file in &self.journal.adds {
            sources.push(self.locate(file)?);
        }
        for source in &sources {
            let Some(name) = source.file_name() else {
                continue;
            };
            match self.disk.link(source, &self.next.join(name)) {
                Err(error) if is_unsupported(&error) => {
                    self.disk.remove_directory(&self.next)?;
                    return Ok(false);
                }
                other => other.map_err(|error| Error::io("link", source, error))?,
            }
        }
        self.disk.sync_directory(&self.next)?;
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
                self.disk.rename(&staged, &self.live.join(&file.name))?;
            }
        }
        // The new files are durable before the first old one goes.
        self.disk.sync_directory(&self.live)?;
        for name in &self.journal.removes {
            self.disk.remove_file(&self.live.join(name))?;
        }
        self.disk.sync_directory(&self.live)
    }

    /// Moves what the exchange left in the old folder and nobody asked to remove: folders of others
    /// and files that appeared in the meantime.
    fn carry_over(&self) -> Result<(), Error> {
        for name in disk::list(&self.next)? {
            let target = self.live.join(&name);
            let is_removed = self
                .journal
                .removes
                .iter()
                .any(|remove| name == remove.as_str());
            if !is_removed && !target.exists() {
                self.disk.rename(&self.next.join(&name), &target)?;
            }
        }
        Ok(())
    }
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
