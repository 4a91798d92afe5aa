//! Carries out a journal in an object store: copies within the store, then deletes.

use std::path::PathBuf;

use super::Remote;
use crate::Error;
use crate::disk::{Disk, Step};
use crate::journal::Journal;
use crate::layout::Layout;
use crate::state::DataFile;

/// Files that are handed to the store together, so that it may work on several at a time: as many
/// as this.
const TOGETHER: usize = 16;
/// And as many bytes, unless it is one file: the lease is looked at before each of these groups, and
/// has to hold until its end.
const BYTES_TOGETHER: u64 = 64 << 20;

/// Puts the files of a load where they can be committed.
pub(crate) fn upload(
    disk: &Disk,
    remote: &Remote,
    layout: &Layout,
    journal: &Journal,
) -> Result<(), Error> {
    let staged = layout.staged(journal.run, &journal.resource);
    let uploaded = layout.uploaded(journal.run, &journal.resource);
    for files in together(journal.adds.iter()) {
        let names = files.iter().map(|file| &file.name);
        let paths = names.map(|name| (staged.join(name), uploaded.join(name)));
        let paths: Vec<(PathBuf, PathBuf)> = paths.collect();
        for (_, target) in &paths {
            disk.check_remote(remote, Step::Upload, target)?;
        }
        remote.upload_all(&paths)?;
    }
    Ok(())
}

/// Makes the data folder what the journal says; the journal itself and the state are left alone.
/// Every step can be repeated. New files come before the old ones go, so that a reader between the
/// two finds rows twice rather than not at all.
pub(crate) fn publish(
    disk: &Disk,
    remote: &Remote,
    layout: &Layout,
    journal: &Journal,
) -> Result<(), Error> {
    let live = layout.live(&journal.resource);
    let uploaded = layout.uploaded(journal.run, &journal.resource);
    let found = disk.objects_below(&live)?.unwrap_or_default();
    // A name is given once, and an object is whole.
    let adds = journal.adds.iter();
    for files in together(adds.filter(|file| found.get(&file.name) != Some(&file.bytes))) {
        let names = files.iter().map(|file| &file.name);
        let paths = names.map(|name| (uploaded.join(name), live.join(name)));
        let paths: Vec<(PathBuf, PathBuf)> = paths.collect();
        for (_, target) in &paths {
            disk.check_remote(remote, Step::Copy, target)?;
        }
        if let Some(missing) = remote.copy_all(&paths)? {
            return Err(Error::conflict(format!(
                "`{}`, which belongs to an interrupted run, is gone",
                missing.display()
            ))
            .with_hint(format!(
                "its load cannot be finished; to give it up, delete `{}` when no run is under way \
                 and read `{}` again with `--full-refresh`",
                layout.lease().display(),
                journal.resource
            )));
        }
    }
    let gone = journal.removes.iter();
    let gone: Vec<PathBuf> = gone
        .filter(|name| found.contains_key(*name))
        .map(|name| live.join(name))
        .collect();
    if let Some(first) = gone.first() {
        disk.check_remote(remote, Step::Delete, first)?;
        remote.remove(&gone)?;
    }
    disk.remove_directory(&uploaded)?;
    disk.remove_directory(&layout.staged(journal.run, &journal.resource))
}

/// The groups in which files are handed to the store.
fn together<'a>(files: impl Iterator<Item = &'a DataFile>) -> Vec<Vec<&'a DataFile>> {
    let mut groups: Vec<Vec<&DataFile>> = Vec::new();
    let mut bytes = 0;
    for file in files {
        bytes += file.bytes;
        match groups.last_mut() {
            Some(group) if group.len() < TOGETHER && bytes <= BYTES_TOGETHER => group.push(file),
            _ => {
                bytes = file.bytes;
                groups.push(vec![file]);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_files_are_handed_over_together() {
        #[track_caller]
        fn check(mebibytes: &[u64], expect: &[usize]) {
            let file = |mebibytes: &u64| DataFile {
                name: String::new(),
                rows: 0,
                bytes: mebibytes << 20,
                sha256: String::new(),
            };
            let files: Vec<DataFile> = mebibytes.iter().map(file).collect();
            let groups = together(files.iter());
            let lengths: Vec<usize> = groups.iter().map(Vec::len).collect();
            assert_eq!(lengths, expect);
            let all: Vec<u64> = groups
                .concat()
                .iter()
                .map(|file| file.bytes >> 20)
                .collect();
            assert_eq!(all, mebibytes);
        }
        check(&[], &[]);
        check(&[1; 40], &[16, 16, 8]);
        check(&[256, 256, 1, 63, 1, 32, 33], &[1, 1, 2, 2, 1]);
        check(&[1, 1_000, 1], &[1, 1, 1]);
    }
}
