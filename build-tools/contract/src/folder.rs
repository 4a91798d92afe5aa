//! The files that a run leaves.

use std::fs;
use std::path::{Path, PathBuf};

/// All files below a folder, sorted; none when there is no such folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// A file whose content has this text.
pub(crate) fn containing(folder: &Path, text: &str) -> Option<PathBuf> {
    files(folder).into_iter().find(|path| {
        let content = fs::read(path).unwrap_or_default();
        content
            .windows(text.len().max(1))
            .any(|window| window == text.as_bytes())
    })
}

/// What an unfinished run would leave: staged parts and journals.
pub(crate) fn unfinished(folder: &Path) -> Vec<PathBuf> {
    let mut files = files(folder);
    files.retain(|path| {
        // The folder itself may lie below the system's `tmp`.
        let below = path.strip_prefix(folder).unwrap_or(path);
        below
            .components()
            .any(|part| matches!(part.as_os_str().to_str(), Some("tmp" | "journal")))
    });
    files
}
