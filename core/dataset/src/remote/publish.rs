//! Carries out a journal in an object store: copies within the store, then deletes.

use std::path::PathBuf;

use super::Remote;
use crate::Error;
use crate::disk::{Disk, Step};
use crate::journal::Journal;
use crate::layout::Layout;

/// Puts the files of a load where they can be committed.
pub(crate) fn upload(disk: &Disk, layout: &Layout, journal: &Journal) -> Result<(), Error> {
    let staged = layout.staged(journal.run, &journal.resource);
    let uploaded = layout.uploaded(journal.run, &journal.resource);
    for file in &journal.adds {
        disk.put_aside(&staged.join(&file.name), &uploaded.join(&file.name))?;
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
    for file in &journal.adds {
        // A name is given once, and an object is whole.
        if found.get(&file.name) == Some(&file.bytes) {
            continue;
        }
        let target = live.join(&file.name);
        disk.check_remote(remote, Step::Copy, &target)?;
        if !remote.copy(&uploaded.join(&file.name), &target)? {
            return Err(Error::conflict(format!(
                "`{}`, which belongs to an interrupted run, is gone",
                uploaded.join(&file.name).display()
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
