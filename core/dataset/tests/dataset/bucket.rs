//! An object store for tests: a folder with conditions, in which any call can be made to fail.

use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use connector_dataset::{Condition, Found, Objects, Store, StoreOptions, Tag};
use tempfile::TempDir;

use crate::support::*;

/// The address under which tests know the bucket.
pub const ADDRESS: &str = "s3://bucket/data";

/// When a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Without an effect.
    Before,
    /// With its effect, as when an answer is lost.
    After,
    /// A put is refused though its condition holds; nothing else fails.
    Refused,
}

type Hook = Box<dyn Fn(usize) -> Option<Fault> + Send + Sync>;

/// A bucket in a folder, as one run sees it.
#[derive(Clone)]
pub struct Bucket {
    folder: PathBuf,
    /// One call at a time changes something: the store's promise.
    lock: Arc<Mutex<()>>,
    hook: Arc<Hook>,
    calls: Arc<AtomicUsize>,
    read: Arc<AtomicU64>,
    lengths: Arc<AtomicUsize>,
    /// See [`Objects::most_copied`]; what is five times as long is not copied.
    pub most_copied: u64,
    pub ignores_conditions: bool,
    pub has_no_conditions: bool,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bucket")
    }
}

impl Bucket {
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            lock: Arc::default(),
            hook: Arc::new(Box::new(|_| None)),
            calls: Arc::default(),
            read: Arc::default(),
            lengths: Arc::default(),
            most_copied: 1 << 30,
            ignores_conditions: false,
            has_no_conditions: false,
        }
    }

    /// Asks before each call whether it fails; calls are counted from 0.
    pub fn with_hook(&self, hook: impl Fn(usize) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self {
            hook: Arc::new(Box::new(hook)),
            calls: Arc::default(),
            ..self.clone()
        }
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// The bytes that were read by ranges.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::SeqCst)
    }

    /// How often the length of an object was asked for.
    pub fn lengths_asked(&self) -> usize {
        self.lengths.load(Ordering::SeqCst)
    }

    fn call<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.call_or(|| None, work)
    }

    fn call_or<T>(
        &self,
        refused: impl FnOnce() -> Option<T>,
        work: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let fault = (self.hook)(self.calls.fetch_add(1, Ordering::SeqCst));
        let lost = || io::Error::other("the network is gone");
        if fault == Some(Fault::Before) {
            return Err(lost());
        }
        if fault == Some(Fault::Refused)
            && let Some(refused) = refused()
        {
            return Ok(refused);
        }
        let guard = self.lock.lock().unwrap();
        let result = work();
        drop(guard);
        if fault == Some(Fault::After) {
            return Err(lost());
        }
        result
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(key)
    }

    fn write(&self, key: &str, content: &[u8]) -> io::Result<()> {
        let path = self.path(key);
        fs::create_dir_all(path.parent().unwrap())?;
        fs::write(path, content)
    }

    fn content(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(key)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }
}

/// Equal contents have equal tags, as in S3.
fn tag(content: &[u8]) -> Tag {
    let content = content.iter().fold(0_u64, |hash, byte| {
        hash.wrapping_mul(1_099_511_628_211) ^ u64::from(*byte)
    });
    Tag {
        e_tag: Some(format!("{content:x}")),
        version: None,
    }
}

/// What is done at once ends in any order, and one that fails keeps none of the others from it.
fn in_any_order<T>(
    items: &[T],
    work: impl Fn(&T) -> io::Result<()>,
) -> Result<(), (usize, io::Error)> {
    let mut failed = Ok(());
    for (index, item) in items.iter().enumerate().rev() {
        if let Err(error) = work(item) {
            failed = Err((index, error));
        }
    }
    failed
}

impl Objects for Bucket {
    fn list(&self, prefix: &str) -> io::Result<Vec<Found>> {
        self.call(|| {
            let mut found = Vec::new();
            let mut folders = vec![self.folder.clone()];
            while let Some(folder) = folders.pop() {
                let entries = match fs::read_dir(&folder) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    other => other?,
                };
                for entry in entries {
                    let entry = entry?;
                    if entry.file_type()?.is_dir() {
                        folders.push(entry.path());
                        continue;
                    }
                    let key = entry.path();
                    let key = key.strip_prefix(&self.folder).unwrap().to_str().unwrap();
                    if key.starts_with(prefix) {
                        found.push(Found {
                            key: key.to_owned(),
                            bytes: entry.metadata()?.len(),
                        });
                    }
                }
            }
            found.sort_by(|one, other| one.key.cmp(&other.key));
            Ok(found)
        })
    }

    fn length(&self, key: &str) -> io::Result<Option<u64>> {
        self.lengths.fetch_add(1, Ordering::SeqCst);
        self.call(|| Ok(self.content(key)?.map(|content| content.len() as u64)))
    }

    fn get(&self, key: &str) -> io::Result<Option<(Bytes, Tag)>> {
        self.call(|| {
            let content = self.content(key)?;
            Ok(content.map(|content| {
                let tag = tag(&content);
                (Bytes::from(content), tag)
            }))
        })
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> io::Result<Bytes> {
        self.call(|| {
            let content = self.content(key)?.ok_or(io::ErrorKind::NotFound)?;
            self.read
                .fetch_add(range.end - range.start, Ordering::SeqCst);
            Ok(Bytes::from(content).slice(range.start as usize..range.end as usize))
        })
    }

    fn put(&self, key: &str, content: Bytes, condition: &Condition) -> io::Result<Option<Tag>> {
        let refused = || (*condition != Condition::Always).then_some(None);
        self.call_or(refused, || {
            if self.has_no_conditions && *condition != Condition::Always {
                return Err(io::ErrorKind::Unsupported.into());
            }
            let found = self.content(key)?.map(|found| tag(&found));
            let holds = match condition {
                Condition::Always => true,
                Condition::Absent => found.is_none(),
                Condition::Matches(expected) => found.as_ref() == Some(expected),
            };
            if !holds && !self.ignores_conditions {
                return Ok(None);
            }
            self.write(key, &content)?;
            Ok(Some(tag(&content)))
        })
    }

    fn upload(&self, file: &Path, key: &str) -> io::Result<()> {
        self.call(|| self.write(key, &fs::read(file)?))
    }

    fn copy(&self, from: &str, to: &str) -> io::Result<()> {
        self.call(|| {
            let content = self.content(from)?.ok_or(io::ErrorKind::NotFound)?;
            if content.len() as u64 > 5 * self.most_copied {
                return Err(io::Error::other("the copy source is larger than allowed"));
            }
            self.write(to, &content)
        })
    }

    fn upload_all(&self, files: &[(PathBuf, String)]) -> Result<(), (usize, io::Error)> {
        in_any_order(files, |(file, key)| self.upload(file, key))
    }

    fn copy_all(&self, keys: &[(String, String)]) -> Result<(), (usize, io::Error)> {
        in_any_order(keys, |(from, to)| self.copy(from, to))
    }

    fn most_copied(&self) -> u64 {
        self.most_copied
    }

    fn delete(&self, keys: &[String]) -> io::Result<()> {
        self.call(|| {
            for key in keys {
                match fs::remove_file(self.path(key)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        })
    }
}

/// A bucket and the working folder of a machine.
pub struct Place {
    pub folder: TempDir,
    pub work: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self {
            folder: folder(),
            work: folder(),
        }
    }

    /// Where tests look at what is in the bucket.
    pub fn out(&self) -> &Path {
        self.folder.path()
    }

    pub fn bucket(&self) -> Bucket {
        Bucket::new(self.out())
    }

    pub fn options(&self, bucket: &Bucket) -> StoreOptions {
        StoreOptions {
            objects: Some(Arc::new(bucket.clone())),
            work: Some(self.work.path().to_owned()),
            ..store_options()
        }
    }

    pub fn open(&self, bucket: &Bucket) -> Result<Store, connector_dataset::Error> {
        Store::open(Path::new(ADDRESS), self.options(bucket))
    }
}
