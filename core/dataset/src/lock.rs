//! One run at a time per connector and output folder.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};

use crate::Error;

/// Somebody who only asks whether a run is under way holds the lock for an instant, which must not
/// fail one that begins just then.
const TRIES: u32 = 4;
const BETWEEN: Duration = Duration::from_millis(5);

/// Holds the folder until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    pub(crate) fn take(path: &Path) -> Result<Self, Error> {
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|source| Error::io("open the lock file", path, source))?;
        let mut tries = TRIES;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries > 1 => {
                    tries -= 1;
                    thread::sleep(BETWEEN);
                }
                Err(TryLockError::WouldBlock) => return Err(held(&mut file, path)),
                Err(TryLockError::Error(source)) => return Err(Error::io("lock", path, source)),
            }
        }
        let started = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        let holder = format!("process {} since {started}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(holder.as_bytes()))
            .map_err(|source| Error::io("write the lock file", path, source))?;
        Ok(Self { file })
    }

    /// Whether somebody holds it; asking takes a share of it for an instant.
    pub(crate) fn is_held(path: &Path) -> Result<bool, Error> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(Error::io("open the lock file", path, source)),
        };
        match file.try_lock_shared() {
            Ok(()) => {
                drop(Self { file });
                Ok(false)
            }
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(Error::io("lock", path, source)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a process being started elsewhere in this program may hold a
        // duplicate of the file for a moment.
        let _ = self.file.unlock();
    }
}

fn held(file: &mut File, path: &Path) -> Error {
    let mut holder = String::new();
    // The holder may be writing its name just now, and not every system lets others read it.
    let _ = file.take(200).read_to_string(&mut holder);
    let holder = match holder.trim() {
        "" => "another process",
        holder => holder,
    };
    Error::conflict(format!(
        "another run is writing to `{}` ({holder})",
        path.parent()
            .and_then(Path::parent)
            .unwrap_or(path)
            .display()
    ))
    .with_hint("wait until it has ended, or choose another folder with `--out`")
}
