//! What is asked of an object store: few operations, each of which waits for its end.

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// A store of objects below one prefix, for datasets that are not on a disk.
///
/// Keys are relative, their parts joined by `/`. Every operation may be called from any thread and
/// blocks it. What an error says is shown to users: it holds no secrets.
pub trait Objects: Debug + Send + Sync {
    /// All objects whose key begins with `prefix`, which ends with `/`, in order of their keys.
    ///
    /// # Errors
    /// When the store fails.
    fn list(&self, prefix: &str) -> io::Result<Vec<Found>>;

    /// The length of an object in bytes; `None` when there is none.
    ///
    /// # Errors
    /// When the store fails.
    fn length(&self, key: &str) -> io::Result<Option<u64>>;

    /// A small object and the tag of what it holds; `None` when there is none.
    ///
    /// # Errors
    /// When the store fails.
    fn get(&self, key: &str) -> io::Result<Option<(Bytes, Tag)>>;

    /// Some bytes of an object.
    ///
    /// # Errors
    /// When there is no such object, it is shorter, or the store fails.
    fn get_range(&self, key: &str, range: Range<u64>) -> io::Result<Bytes>;

    /// Writes a small object in one step, if the condition holds; `None` when it does not.
    ///
    /// # Errors
    /// `Unsupported` when the store has no conditions; when it fails, and then nobody knows whether
    /// the object has been written.
    fn put(&self, key: &str, content: Bytes, condition: &Condition) -> io::Result<Option<Tag>>;

    /// Writes a local file, of any length, as an object.
    ///
    /// # Errors
    /// When the file cannot be read or the store fails.
    fn upload(&self, file: &Path, key: &str) -> io::Result<()>;

    /// Writes local files as objects, as many at a time as is quick; a file and its key each.
    ///
    /// # Errors
    /// As [`Self::upload`], with the index of a file that failed; others may have been written.
    fn upload_all(&self, files: &[(PathBuf, String)]) -> Result<(), (usize, io::Error)> {
        each(files, |(file, key)| self.upload(file, key))
    }

    /// Writes what an object holds to another one, without sending its bytes to and fro.
    ///
    /// # Errors
    /// `NotFound` when there is no such object; when the store fails.
    fn copy(&self, from: &str, to: &str) -> io::Result<()>;

    /// Writes what objects hold to others, as many at a time as is quick; two keys each.
    ///
    /// # Errors
    /// As [`Self::copy`], with the index of a copy that failed; others may have been written.
    fn copy_all(&self, keys: &[(String, String)]) -> Result<(), (usize, io::Error)> {
        each(keys, |(from, to)| self.copy(from, to))
    }

    /// The length in bytes beyond which files are divided, so that each can be copied by one request:
    /// 1 GiB, where S3 allows 5 GiB, and a file may be longer by a row group.
    fn most_copied(&self) -> u64 {
        1 << 30
    }

    /// Deletes objects; missing ones are fine.
    ///
    /// # Errors
    /// When the store fails.
    fn delete(&self, keys: &[String]) -> io::Result<()>;
}

/// One after the other.
fn each<T>(items: &[T], work: impl Fn(&T) -> io::Result<()>) -> Result<(), (usize, io::Error)> {
    let mut items = items.iter().enumerate();
    items.try_for_each(|(index, item)| work(item).map_err(|error| (index, error)))
}

/// An object that was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its key.
    pub key: String,
    /// Its length.
    pub bytes: u64,
}

/// What tells two contents of an object from each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    /// The entity tag (RFC 9110, section 8.8.3).
    pub e_tag: Option<String>,
    /// The number of the version, where the store has such numbers.
    pub version: Option<String>,
}

/// When an object is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// In any case.
    Always,
    /// When there is no such object.
    Absent,
    /// When it still is what this tag stands for.
    Matches(Tag),
}
