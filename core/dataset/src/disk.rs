//! Every change this library makes to the file system or to an object store, each one a point at
//! which a test can fail it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::layout::Layout;
use crate::part::Part;
use crate::publish;
use crate::remote::Remote;
use crate::{Error, ErrorKind};

/// A kind of change to the file system, or to an object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// A folder is created.
    CreateDirectory,
    /// A file is created.
    CreateFile,
    /// Bytes are written to a file.
    Write,
    /// A file's content is made durable.
    SyncFile,
    /// A folder's entries are made durable.
    SyncDirectory,
    /// A file or folder is renamed.
    Rename,
    /// A file gets a second name.
    Link,
    /// Two folders change places in one step.
    Exchange,
    /// A file is deleted.
    RemoveFile,
    /// A folder is deleted with all it holds.
    RemoveDirectory,
    /// A small object is written.
    Put,
    /// A file becomes an object.
    Upload,
    /// The store copies an object.
    Copy,
    /// Objects are deleted.
    Delete,
}

/// Called before every change to the file system with what is about to happen and where.
///
/// An error it returns is what the change fails with; tests use it to fill the disk, to fail a
/// `fsync` or to end the process at any instruction.
#[derive(Clone)]
pub struct FailPoint(Arc<Check>);

type Check = dyn Fn(Step, &Path) -> io::Result<()> + Send + Sync;

impl FailPoint {
    /// Calls `check` before every change.
    pub fn new(check: impl Fn(Step, &Path) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(check))
    }
}

impl fmt::Debug for FailPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FailPoint")
    }
}

/// The file system with its fail point; paths of an object store are objects.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    fail_point: Option<FailPoint>,
    remote: Option<Arc<Remote>>,
}

impl Disk {
    pub(crate) fn new(fail_point: Option<FailPoint>) -> Self {
        Self {
            fail_point,
            remote: None,
        }
    }

    /// With an object store for what lies there.
    pub(crate) fn with_remote(self, remote: Option<Arc<Remote>>) -> Self {
        Self { remote, ..self }
    }

    /// The object store, when datasets are in one.
    pub(crate) fn remote(&self) -> Option<&Remote> {
        self.remote.as_deref()
    }

    /// The object store that this path leads to.
    fn remote_of(&self, path: &Path) -> Option<&Remote> {
        let remote = self.remote.as_deref();
        remote.filter(|remote| remote.key(path).is_some())
    }

    /// Tells the fail point of a change in the object store, and makes sure that it may be made.
    pub(crate) fn check_remote(
        &self,
        remote: &Remote,
        step: Step,
        path: &Path,
    ) -> Result<(), Error> {
        self.check(step, path)
            .map_err(|source| Error::io("change", path, source))?;
        remote.guard()
    }

    fn check(&self, step: Step, path: &Path) -> io::Result<()> {
        match &self.fail_point {
            Some(FailPoint(check)) => check(step, path),
            None => Ok(()),
        }
    }

    /// Creates the folder and its missing parents; an existing one is fine.
    pub(crate) fn create_directory(&self, path: &Path) -> Result<(), Error> {
        if self.remote_of(path).is_some() {
            return Ok(());
        }
        if path.is_dir() {
            return Ok(());
        }
        self.check(Step::CreateDirectory, path)
            .and_then(|()| fs::create_dir_all(path))
            .map_err(|source| Error::io("create the folder", path, source))
    }

    pub(crate) fn create_file(&self, path: &Path) -> Result<NewFile, Error> {
        self.check(Step::CreateFile, path)
            .and_then(|()| {
                File::options()
                    .write(true)
                    .read(true)
                    .create_new(true)
                    .open(path)
            })
            .map(|file| NewFile {
                disk: self.clone(),
                path: path.to_owned(),
                file,
                bytes: 0,
                hash: Some(Sha256::new()),
            })
            .map_err(|source| Error::io("create", path, source))
    }

    /// Replaces the file's content in one durable step; `temporary` lies on the same file system.
    pub(crate) fn replace_file(
        &self,
        path: &Path,
        temporary: &Path,
        content: &[u8],
    ) -> Result<(), Error> {
        if let Some(remote) = self.remote_of(path) {
            self.check_remote(remote, Step::Put, path)?;
            return remote.write(path, content);
        }
        if temporary.exists() {
            self.remove_file(temporary)?;
        }
        let mut file = self.create_file(temporary)?;
        file.write_all(content)
            .map_err(|source| Error::io("write", temporary, source))?;
        file.sync()?;
        self.rename(temporary, path)?;
        self.sync_parent(path)
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        if let Some(remote) = self.remote_of(to) {
            self.check_remote(remote, Step::Copy, to)?;
            remote.copy(from, to)?;
            return self.remove_file(from);
        }
        self.check(Step::Rename, to)
            .and_then(|()| fs::rename(from, to))
            .map_err(|source| Error::io("rename a file to", to, source))
    }

    /// Gives `from` a second name; the plain error lets the caller see that links are unsupported.
    pub(crate) fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(Step::Link, to)?;
        fs::hard_link(from, to)
    }

    /// Lets two folders change places, or fails with `Unsupported`.
    pub(crate) fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        self.check(Step::Exchange, other)?;
        exchange(one, other)
    }

    /// Puts a file of the working folder into the object store; gives a local file a second name.
    /// False where the file system has no such thing.
    pub(crate) fn put_aside(&self, from: &Path, to: &Path) -> Result<bool, Error> {
        if let Some(remote) = self.remote_of(to) {
            self.check_remote(remote, Step::Upload, to)?;
            return remote.upload(from, to).map(|()| true);
        }
        match self.link(from, to) {
            Err(error) if is_unsupported(&error) => Ok(false),
            other => other
                .map(|()| true)
                .map_err(|source| Error::io("link", to, source)),
        }
    }

    /// Copies a local file, for file systems that cannot give it a second name, and makes the content
    /// of the copy durable.
    pub(crate) fn copy_file(&self, from: &Path, to: &Path) -> Result<(), Error> {
        let mut source = File::open(from).map_err(|source| Error::io("open", from, source))?;
        let mut copy = self.create_file(to)?.without_hash();
        io::copy(&mut source, &mut copy).map_err(|source| Error::io("write", to, source))?;
        copy.sync().map(|_| ())
    }

    /// Deletes a file; a missing one is fine.
    pub(crate) fn remove_file(&self, path: &Path) -> Result<(), Error> {
        if let Some(remote) = self.remote_of(path) {
            self.check_remote(remote, Step::Delete, path)?;
            return remote.remove(&[path.to_owned()]);
        }
        self.check(Step::RemoveFile, path)
            .and_then(|()| ignore_missing(fs::remove_file(path)))
            .map_err(|source| Error::io("delete", path, source))
    }

    /// Deletes a folder with all it holds; a missing one is fine.
    pub(crate) fn remove_directory(&self, path: &Path) -> Result<(), Error> {
        if let Some(remote) = self.remote_of(path) {
            let below = remote.list(path)?;
            let below: Vec<PathBuf> = below.iter().map(|(name, _)| path.join(name)).collect();
            if below.is_empty() {
                return Ok(());
            }
            self.check_remote(remote, Step::Delete, path)?;
            return remote.remove(&below);
        }
        if !path.exists() {
            return Ok(());
        }
        self.check(Step::RemoveDirectory, path)
            .and_then(|()| ignore_missing(fs::remove_dir_all(path)))
            .map_err(|source| Error::io("delete the folder", path, source))
    }

    /// Makes a folder's entries durable, where the platform has such a thing.
    pub(crate) fn sync_directory(&self, path: &Path) -> Result<(), Error> {
        if self.remote_of(path).is_some() {
            return Ok(());
        }
        let sync = || -> io::Result<()> {
            self.check(Step::SyncDirectory, path)?;
            if cfg!(unix) {
                File::open(path)?.sync_all()?;
            }
            Ok(())
        };
        sync().map_err(|source| Error::io("make durable the folder", path, source))
    }

    pub(crate) fn sync_parent(&self, path: &Path) -> Result<(), Error> {
        path.parent()
            .map_or(Ok(()), |parent| self.sync_directory(parent))
    }

    /// The names in a folder, sorted; a missing folder has none.
    pub(crate) fn list(&self, path: &Path) -> Result<Vec<OsString>, Error> {
        let Some(remote) = self.remote_of(path) else {
            return list(path);
        };
        let below = remote.list(path)?;
        let names = below
            .iter()
            .filter_map(|(name, _)| name.split('/').next())
            .map(OsString::from);
        let mut names: Vec<OsString> = names.collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// All files below a folder of an object store with their lengths, their names relative to it;
    /// `None` for a folder of the local disk.
    pub(crate) fn objects_below(
        &self,
        path: &Path,
    ) -> Result<Option<BTreeMap<String, u64>>, Error> {
        let remote = self.remote_of(path);
        let below = remote.map(|remote| remote.list(path)).transpose()?;
        Ok(below.map(|below| below.into_iter().collect()))
    }

    /// The length of a file in bytes; `None` when there is none.
    pub(crate) fn length(&self, path: &Path) -> Result<Option<u64>, Error> {
        if let Some(remote) = self.remote_of(path) {
            return remote.length(path);
        }
        publish::length(path)
    }

    /// The content of a small file; `None` when there is none.
    pub(crate) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        if let Some(remote) = self.remote_of(path) {
            return remote.read(path);
        }
        match fs::read(path) {
            Ok(content) => Ok(Some(content)),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::io("read", path, source)),
        }
    }

    /// A data file, to be read.
    pub(crate) fn open(&self, path: &Path) -> Result<Part, Error> {
        if let Some(remote) = self.remote_of(path) {
            return remote.open(path).map(Part::Remote);
        }
        File::open(path)
            .map(Part::Local)
            .map_err(|source| Error::io("open", path, source))
    }

    /// Fetches a file from the object store; gives the SHA-256 of its content in hexadecimal.
    pub(crate) fn fetch(&self, from: &Path, to: &Path) -> Result<String, Error> {
        let Some(remote) = self.remote_of(from) else {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("`{}` is in no object store", from.display()),
            ));
        };
        let mut copy = self.create_file(to)?;
        remote.each_piece(from, |piece| {
            let written = copy.write_all(piece);
            written.map_err(|source| Error::io("write", to, source))
        })?;
        copy.sync().map(|(_, hash)| hash)
    }
}

/// Where the datasets of a connector lie below an output folder, and how they are read.
pub(crate) fn reach(out: &Path, connector: &str) -> Result<(Disk, Layout), Error> {
    let remote = Remote::find(out, connector)?;
    Ok((
        Disk::new(None).with_remote(remote),
        Layout::new(out, connector)?,
    ))
}

/// The names in a folder, sorted; a missing folder has none.
pub(crate) fn list(path: &Path) -> Result<Vec<OsString>, Error> {
    let read = || -> io::Result<Vec<OsString>> {
        let mut names = fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    };
    match read() {
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(|source| Error::io("list the folder", path, source)),
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).map_err(io::Error::from)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether the file system cannot do what was asked of it, as opposed to having failed at it.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::CrossesDevices
            | io::ErrorKind::TooManyLinks
    ) || is_unsupported_code(error)
}

#[cfg(unix)]
fn is_unsupported_code(error: &io::Error) -> bool {
    use rustix::io::Errno;
    // Linux answers EPERM when a file system has no hard links (FAT, some FUSE mounts).
    error.raw_os_error().is_some_and(|code| {
        [Errno::PERM, Errno::NOSYS, Errno::NOTSUP, Errno::OPNOTSUPP]
            .map(Errno::raw_os_error)
            .contains(&code)
    })
}

#[cfg(not(unix))]
fn is_unsupported_code(_: &io::Error) -> bool {
    false
}

/// A file being written, which knows its length and its SHA-256.
#[derive(Debug)]
pub(crate) struct NewFile {
    disk: Disk,
    path: PathBuf,
    file: File,
    bytes: u64,
    hash: Option<Sha256>,
}

impl NewFile {
    /// Without a checksum, for files that nobody keeps.
    pub(crate) fn without_hash(mut self) -> Self {
        self.hash = None;
        self
    }

    /// Makes the content durable; returns the length in bytes and the SHA-256 in hexadecimal.
    pub(crate) fn sync(&mut self) -> Result<(u64, String), Error> {
        self.disk
            .check(Step::SyncFile, &self.path)
            .and_then(|()| self.file.sync_all())
            .map_err(|source| Error::io("make durable", &self.path, source))?;
        let hash = self.hash.take().map(|hash| hexadecimal(&hash.finalize()));
        Ok((self.bytes, hash.unwrap_or_default()))
    }

    /// The file, to be read back.
    pub(crate) fn into_file(self) -> File {
        self.file
    }
}

impl Write for NewFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.disk.check(Step::Write, &self.path)?;
        let written = self.file.write(buffer)?;
        if let (Some(hash), Some(part)) = (&mut self.hash, buffer.get(..written)) {
            hash.update(part);
        }
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The SHA-256 of a file's content in hexadecimal.
pub(crate) fn file_hash(path: &Path) -> Result<String, Error> {
    let mut hash = Sha256::new();
    File::open(path)
        .and_then(|mut file| {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                match io::Read::read(&mut file, &mut buffer)? {
                    0 => return Ok(()),
                    length => hash.update(buffer.get(..length).unwrap_or_default()),
                }
            }
        })
        .map_err(|source| Error::io("read", path, source))?;
    Ok(hexadecimal(&hash.finalize()))
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
