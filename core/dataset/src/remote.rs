//! Datasets in an object store: what a disk does with files and folders, done with objects.
//!
//! Paths below the output folder are objects, and look like their address: `s3://bucket/prefix/…`.
//! What is not yet part of a dataset stays on the local disk, in the working folder.
//!
//! ```text
//! <out>/<connector>/<resource>/part-00000-<run>.parquet   as on a disk
//! <out>/<connector>/_connector/state.json                 as on a disk
//!                              lease.json                 who writes, and the loads being published
//!                              tmp/<run>/<resource>/…     files of a load that is being published
//!                              resume/, runs/             as on a disk
//! ```
//!
//! A load is uploaded to `tmp/`, committed by a conditional put of the lease, copied by the store
//! into the dataset's folder, and then its predecessors are deleted and the state is written, again
//! on condition. A folder cannot be exchanged in one step: who reads between these steps finds new
//! files beside the old ones, but whole ones, and `state.json` lists those of the last publication.

mod address;
#[cfg(feature = "object-storage")]
mod cloud;
#[cfg(feature = "object-storage")]
mod failure;
mod lease;
mod objects;
mod publish;
mod reader;
mod tails;
#[cfg(feature = "object-storage")]
mod worker;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use self::address::{SCHEMES, scheme, shown};
pub use self::address::{is_address, work_folder};
use self::lease::{Asker, Lease};
pub use self::objects::{Condition, Found, Objects, Tag};
pub(crate) use self::publish::{publish, upload};
use self::reader::TAIL;
pub(crate) use self::reader::{RemotePart, RemoteRead};
use self::tails::Tails;
use crate::disk::Disk;
use crate::journal::Journal;
use crate::layout::Layout;
use crate::lock::Lock;
use crate::{Error, ErrorKind, RunId};
use bytes::Bytes;

/// Bytes of a file that are downloaded at a time.
const PIECE: u64 = 8 << 20;

/// Datasets in an object store.
#[derive(Debug)]
pub(crate) struct Remote {
    root: PathBuf,
    objects: Arc<dyn Objects>,
    /// Held by a store that writes.
    lease: OnceLock<Lease>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// What has been read and may be written: it is written only when it is still the same.
    tags: HashMap<String, Option<Tag>>,
    /// What may have become of an object by a change that nobody knows the outcome of; `None` when
    /// it may have been deleted.
    unclear: HashMap<String, Vec<Option<Bytes>>>,
    /// The lengths of the data files that have been listed; none of them changes.
    lengths: HashMap<String, u64>,
    tails: Tails,
}

impl Inner {
    /// What is there is known.
    fn settle(&mut self, key: String, tag: Option<Tag>) {
        self.unclear.remove(&key);
        self.tags.insert(key, tag);
    }

    /// Whether nothing has changed since.
    fn is_known(&self, key: &str, found: Option<&(Bytes, Tag)>) -> bool {
        let known = self.tags.get(key).map(Option::as_ref);
        known == Some(found.map(|(_, tag)| tag))
    }

    /// Whether what is there may be this run's own.
    fn is_unclear(&self, key: &str, found: Option<&(Bytes, Tag)>) -> bool {
        let found = found.map(|(content, _)| content);
        let unclear = self.unclear.get(key);
        unclear.is_some_and(|unclear| unclear.iter().any(|content| content.as_ref() == found))
    }
}

impl Remote {
    /// What stands behind an output folder; `None` for a folder of the local disk.
    pub(crate) fn find(out: &Path, connector: &str) -> Result<Option<Arc<Self>>, Error> {
        let Some(scheme) = scheme(out) else {
            return Ok(None);
        };
        if !SCHEMES.contains(&scheme) {
            return Err(Error::configuration(format!(
                "`{}` is neither a folder nor an address of an object store",
                shown(out)
            ))
            .with_hint(
                "give a folder, or `s3://bucket/prefix`, `gs://bucket/prefix` or \
                 `az://container/prefix`",
            ));
        }
        address::check(out)?;
        #[cfg(feature = "object-storage")]
        {
            let _ = connector;
            let objects = cloud::Cloud::connect(out)?;
            Ok(Some(Arc::new(Self::new(out, Arc::new(objects)))))
        }
        #[cfg(not(feature = "object-storage"))]
        Err(Error::configuration(format!(
            "`{}` is in an object store, which this program was built without",
            shown(out)
        ))
        .with_hint(format!(
            "build it with the feature `object-storage`: `cargo run --package connector-{connector} \
             --features object-storage -- --out {}` (for a spec that is not built: `cargo run \
             --package connector-build-tools --features object-storage -- run SPEC …`)",
            shown(out)
        )))
    }

    pub(crate) fn new(out: &Path, objects: Arc<dyn Objects>) -> Self {
        Self {
            root: out.to_owned(),
            objects,
            lease: OnceLock::new(),
            inner: Mutex::default(),
        }
    }

    /// The key of an object; `None` for paths of the local disk.
    pub(crate) fn key(&self, path: &Path) -> Option<String> {
        let path = path.strip_prefix(&self.root).ok()?;
        let parts = path.iter().map(|part| part.to_string_lossy());
        Some(parts.collect::<Vec<_>>().join("/"))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lease, and the lock of the working folder `work`, which tells a run of this
    /// machine that is dead from one that is not.
    pub(crate) fn take(&self, path: &Path, work: &Path, run: RunId) -> Result<Lock, Error> {
        let lock = Lock::take(&work.join("lock"))?;
        let asker = Asker {
            run,
            place: place(work)?,
            host: host(),
        };
        let key = self.key(path).unwrap_or_default();
        let lease = Lease::take(&self.objects, &key, path, &asker)?;
        // A store is opened once.
        let _ = self.lease.set(lease);
        Ok(lock)
    }

    pub(crate) fn is_held(&self, path: &Path) -> Result<bool, Error> {
        Lease::is_held(&*self.objects, &self.key(path).unwrap_or_default(), path)
    }

    fn lease(&self) -> Result<&Lease, Error> {
        self.lease
            .get()
            .ok_or_else(|| Error::new(ErrorKind::Internal, "nothing is written without the lease"))
    }

    /// Makes sure that what is changed next is changed while the lease holds.
    pub(crate) fn guard(&self) -> Result<(), Error> {
        self.lease()?.guard()
    }

    pub(crate) fn commit(&self, journal: &Journal) -> Result<(), Error> {
        self.lease()?.commit(journal)
    }

    pub(crate) fn forget(&self, resource: &str) -> Result<(), Error> {
        self.lease()?.forget(resource)
    }

    pub(crate) fn journals(&self) -> Result<Vec<Journal>, Error> {
        self.lease()?.journals()
    }

    /// Whether a load of this resource has been committed, or may have been.
    pub(crate) fn may_hold(&self, resource: &str) -> bool {
        self.lease
            .get()
            .is_some_and(|lease| lease.may_hold(resource))
    }

    /// The names and lengths of all that lies below a folder, in order; parts of a name are joined
    /// by `/`.
    pub(crate) fn list(&self, folder: &Path) -> Result<Vec<(String, u64)>, Error> {
        let prefix = format!("{}/", self.key(folder).unwrap_or_default());
        let found = self.objects.list(&prefix);
        let found = found.map_err(|source| failed("list", folder, source))?;
        let files = found.iter().filter(|found| found.key.ends_with(".parquet"));
        let lengths = files.map(|found| (found.key.clone(), found.bytes));
        self.inner().lengths.extend(lengths);
        let name = |found: Found| Some((found.key.strip_prefix(&prefix)?.to_owned(), found.bytes));
        Ok(found.into_iter().filter_map(name).collect())
    }

    pub(crate) fn length(&self, path: &Path) -> Result<Option<u64>, Error> {
        let length = self.objects.length(&self.key(path).unwrap_or_default());
        length.map_err(|source| failed("look at", path, source))
    }

    /// A small object; when it is written later, then only in place of what is read now.
    pub(crate) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        let key = self.key(path).unwrap_or_default();
        let found = self.objects.get(&key);
        let found = found.map_err(|source| failed("read", path, source))?;
        let (content, tag) = found.unzip();
        self.inner().tags.insert(key, tag);
        Ok(content.map(Vec::from))
    }

    /// Writes a small object.
    pub(crate) fn write(&self, path: &Path, content: &[u8]) -> Result<(), Error> {
        let key = self.key(path).unwrap_or_default();
        let content = Bytes::copy_from_slice(content);
        // An earlier change whose outcome is found out here is followed by this one.
        for _ in 0..2 {
            let condition = match self.inner().tags.get(&key) {
                None => Condition::Always,
                Some(None) => Condition::Absent,
                Some(Some(tag)) => Condition::Matches(tag.clone()),
            };
            let put = self.objects.put(&key, content.clone(), &condition);
            if let Ok(Some(tag)) = put {
                self.inner().settle(key, Some(tag));
                return Ok(());
            }
            // It may have been written all the same.
            let found = self.objects.get(&key);
            let mut inner = self.inner();
            match (put, found) {
                (_, Ok(Some((found, tag)))) if found == content => {
                    inner.settle(key, Some(tag));
                    return Ok(());
                }
                (_, Ok(found)) if inner.is_unclear(&key, found.as_ref()) => {
                    inner.settle(key.clone(), found.map(|(_, tag)| tag));
                }
                // Stores refuse puts of an object that are made at the same time, too.
                (Ok(_), Ok(found)) if inner.is_known(&key, found.as_ref()) => {}
                (Err(source), _) | (_, Err(source)) => {
                    inner.unclear.entry(key).or_default().push(Some(content));
                    return Err(failed("write", path, source));
                }
                (Ok(_), Ok(_)) => break,
            }
        }
        Err(Error::conflict(format!(
            "`{}` has been changed by another program since this run began",
            path.display()
        ))
        .with_hint("run again when nothing else writes there"))
    }

    pub(crate) fn upload(&self, file: &Path, path: &Path) -> Result<(), Error> {
        let upload = self
            .objects
            .upload(file, &self.key(path).unwrap_or_default());
        upload.map_err(|source| failed("write", path, source))
    }

    /// Reads an object from its beginning to its end.
    pub(crate) fn each_piece(
        &self,
        path: &Path,
        mut take: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let length = self
            .length(path)?
            .ok_or_else(|| failed("read", path, io::ErrorKind::NotFound.into()))?;
        let key = self.key(path).unwrap_or_default();
        let mut start = 0;
        while start < length {
            let end = length.min(start + PIECE);
            let piece = self.range(path, &key, start..end)?;
            take(&piece)?;
            start = end;
        }
        Ok(())
    }

    fn range(&self, path: &Path, key: &str, range: Range<u64>) -> Result<Bytes, Error> {
        let length = range.end - range.start;
        match self.objects.get_range(key, range) {
            Ok(bytes) if bytes.len() as u64 == length => Ok(bytes),
            Ok(_) => Err(failed("read", path, io::ErrorKind::UnexpectedEof.into())),
            Err(source) => Err(failed("read", path, source)),
        }
    }

    /// Puts files of the local disk into the store, as many at a time as is quick.
    pub(crate) fn upload_all(&self, files: &[(PathBuf, PathBuf)]) -> Result<(), Error> {
        let keys = files.iter().map(|(file, to)| {
            let key = self.key(to).unwrap_or_default();
            (file.clone(), key)
        });
        let uploaded = self.objects.upload_all(&keys.collect::<Vec<_>>());
        uploaded.map_err(|(index, source)| failed("write", target(files, index), source))
    }

    /// Lets the store copy an object; false when there is none.
    pub(crate) fn copy(&self, from: &Path, to: &Path) -> Result<bool, Error> {
        let missing = self.copy_all(&[(from.to_owned(), to.to_owned())])?;
        Ok(missing.is_none())
    }

    /// Lets the store copy objects, as many at a time as is quick; gives one that is not there, if
    /// any is missing.
    pub(crate) fn copy_all(&self, paths: &[(PathBuf, PathBuf)]) -> Result<Option<PathBuf>, Error> {
        let keys = paths.iter().map(|(from, to)| {
            let [from, to] = [from, to].map(|path| self.key(path).unwrap_or_default());
            (from, to)
        });
        match self.objects.copy_all(&keys.collect::<Vec<_>>()) {
            Ok(()) => Ok(None),
            Err((index, source)) if source.kind() == io::ErrorKind::NotFound => {
                let from = paths.get(index).map(|(from, _)| from.clone());
                Ok(Some(from.unwrap_or_default()))
            }
            Err((index, source)) => Err(failed("copy a file to", target(paths, index), source)),
        }
    }

    /// The length of files that the store copies by one request.
    pub(crate) fn most_copied(&self) -> u64 {
        self.objects.most_copied()
    }

    pub(crate) fn remove(&self, paths: &[PathBuf]) -> Result<(), Error> {
        let keys: Vec<String> = paths.iter().filter_map(|path| self.key(path)).collect();
        let Some(first) = paths.first() else {
            return Ok(());
        };
        let deleted = self.objects.delete(&keys);
        let mut inner = self.inner();
        for key in keys {
            inner.lengths.remove(&key);
            inner.tails.forget(&key);
            match (&deleted, inner.tags.contains_key(&key)) {
                (_, false) => {}
                (Ok(()), true) => inner.settle(key, None),
                (Err(_), true) => inner.unclear.entry(key).or_default().push(None),
            }
        }
        drop(inner);
        deleted.map_err(|source| failed("delete", first, source))
    }

    /// A data file, to be read by ranges.
    pub(crate) fn open(&self, path: &Path) -> Result<RemotePart, Error> {
        let key = self.key(path).unwrap_or_default();
        let known = self.inner().tails.find(&key);
        let (length, tail) = match known {
            Some(known) => known,
            None => {
                let listed = self.inner().lengths.get(&key).copied();
                let length = match listed {
                    Some(length) => length,
                    None => self
                        .length(path)?
                        .ok_or_else(|| failed("open", path, io::ErrorKind::NotFound.into()))?,
                };
                let tail = self.range(path, &key, length.saturating_sub(TAIL)..length)?;
                self.inner().tails.keep(key.clone(), length, tail.clone());
                (length, tail)
            }
        };
        let objects = Arc::clone(&self.objects);
        Ok(RemotePart::new(objects, key, length, Some(tail)))
    }
}

/// Refuses what was copied from a bucket to a disk, or to a bucket, while a load was being published:
/// its journal was left behind, or is none that is carried out there.
pub(crate) fn check_copied(disk: &Disk, layout: &Layout) -> Result<(), Error> {
    let place = layout.connector().display();
    let copied = |from: &str| {
        Error::conflict(format!(
            "`{place}` was copied from {from} while a load was being published"
        ))
        .with_hint("run once where it was copied from, which finishes that load, and copy it again")
    };
    if disk.remote().is_some() {
        return match disk.list(&layout.journals())?.is_empty() {
            true => Ok(()),
            false => Err(copied("a disk")),
        };
    }
    match disk.read(&layout.lease())? {
        Some(content) if lease::is_publishing(&content) => Err(copied("a bucket")),
        _ => Ok(()),
    }
}

/// The name of a working folder, made up when it is first used.
fn place(work: &Path) -> Result<String, Error> {
    let path = work.join("place");
    match fs::read_to_string(&path) {
        Ok(name) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("read", &path, source))
        }
        _ => {
            let name = uuid::Uuid::new_v4().to_string();
            fs::write(&path, &name).map_err(|source| Error::io("write", &path, source))?;
            Ok(name)
        }
    }
}

/// The name of this machine, for people.
#[cfg(all(unix, feature = "object-storage"))]
fn host() -> Option<String> {
    let name = rustix::system::uname();
    Some(name.nodename().to_string_lossy().into_owned())
}

#[cfg(not(all(unix, feature = "object-storage")))]
fn host() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

/// Where one of these was to go.
fn target(paths: &[(PathBuf, PathBuf)], index: usize) -> &Path {
    paths.get(index).map_or(Path::new(""), |(_, to)| to)
}

/// A failed operation of the object store.
fn failed(action: &str, path: &Path, source: io::Error) -> Error {
    let kind = source.kind();
    let hint = match kind {
        io::ErrorKind::PermissionDenied => {
            "check the credentials in the environment (`AWS_…`, `GOOGLE_…` or `AZURE_…`): they have \
             to allow to list, read, write and delete below this address"
        }
        io::ErrorKind::NotFound => {
            "check the name of the bucket, its region (`AWS_REGION`) and the endpoint \
             (`AWS_ENDPOINT_URL`)"
        }
        io::ErrorKind::Unsupported => {
            "use a store that has conditional puts, or write to a folder and copy it"
        }
        io::ErrorKind::InvalidInput => "check the address that `--out` gives",
        _ => "check the network, the endpoint and the region; a run that failed changes nothing",
    };
    let error = Error::new(
        ErrorKind::Destination,
        format!("cannot {action} `{}`", path.display()),
    )
    .with_source(source)
    .with_hint(hint);
    match kind {
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::NotFound
        | io::ErrorKind::Unsupported
        | io::ErrorKind::InvalidInput => error,
        _ => error.transient(),
    }
}
