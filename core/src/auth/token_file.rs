//! Refresh tokens in a file that only its owner may read.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::store::{LockedToken, TokenOrigin, TokenStore};
use crate::{Error, ErrorKind, Result, Secret};

/// The version of the file's format.
const VERSION: u32 = 1;

/// Chains that nobody continued are forgotten beyond these many.
const MOST_TOKENS: usize = 16;

/// A refresh takes a second; a holder that needs longer than this will not end.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How often a held lock is tried: a wait in the system could not be interrupted.
const POLL: Duration = Duration::from_millis(20);

/// A [`TokenStore`] in a JSON file, readable by its owner only (mode 0600 on Unix).
///
/// A file beside it, with `.lock` behind its name, is locked while a token is refreshed: any
/// number of processes may share the file. Its folders are made when they are needed.
#[derive(Clone, Debug)]
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// The store in this file, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(ending);
        self.path.with_file_name(name)
    }

    async fn take_lock(&self) -> Result<File> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
        }
        let path = self.beside(".lock");
        let file = private()
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| unwritable(&path, error))?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(unwritable(&path, error)),
                Err(TryLockError::WouldBlock) if started.elapsed() < LONGEST_WAIT => {
                    tokio::time::sleep(POLL).await;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::new(
                        ErrorKind::Configuration,
                        "another process holds the refresh token",
                    )
                    .with("file", path.display())
                    .hint("end the process that hangs while it refreshes the token"));
                }
            }
        }
    }

    fn read(&self) -> Result<Content> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Content::default());
            }
            Err(error) => {
                return Err(
                    Error::new(ErrorKind::Configuration, "the token file cannot be read")
                        .with("file", self.path.display())
                        .caused_by(error),
                );
            }
        };
        match serde_json::from_slice::<Content>(&text) {
            Ok(content) if content.version == VERSION => Ok(content),
            // What exactly is wrong with it could show a token.
            _ => Err(Error::new(
                ErrorKind::Configuration,
                "the token file is damaged or of another version",
            )
            .with("file", self.path.display())
            .hint("remove it, log in again and configure the new refresh token")),
        }
    }

    /// Puts a new file in the place of the old one; it is durable when this returns.
    fn write(&self, content: &Content) -> Result<()> {
        let aside = self.beside(".tmp");
        let written = || -> io::Result<()> {
            let text = serde_json::to_vec_pretty(content)?;
            match fs::remove_file(&aside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = private().create_new(true).open(&aside)?;
            file.write_all(&text)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&aside, &self.path)?;
            // Elsewhere a folder cannot be opened as a file, and a rename is durable by itself.
            #[cfg(unix)]
            if let Some(folder) = self.path.parent() {
                let folder = if folder.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    folder
                };
                File::open(folder)?.sync_all()?;
            }
            Ok(())
        };
        written().map_err(|error| unwritable(&self.path, error))
    }
}

impl TokenStore for TokenFile {
    fn lock<'a>(
        &'a self,
        origin: &'a TokenOrigin,
    ) -> BoxFuture<'a, Result<Box<dyn LockedToken + 'a>>> {
        Box::pin(async move {
            let lock = self.take_lock().await?;
            // Read behind the lock: another process may just have replaced the token.
            let content = self.read()?;
            let current = content
                .tokens
                .iter()
                .find(|entry| entry.is_of(origin))
                .map(|entry| Secret::from(entry.refresh_token.as_str()));
            Ok(Box::new(LockedFile {
                file: self,
                origin,
                content,
                current,
                lock,
            }) as Box<dyn LockedToken>)
        })
    }
}

#[derive(Debug)]
struct LockedFile<'a> {
    file: &'a TokenFile,
    origin: &'a TokenOrigin,
    content: Content,
    current: Option<Secret>,
    lock: File,
}

impl LockedToken for LockedFile<'_> {
    fn current(&self) -> Option<&Secret> {
        self.current.as_ref()
    }

    fn replace(&mut self, token: &Secret) -> Result<()> {
        let tokens = &mut self.content.tokens;
        tokens.retain(|entry| !entry.is_of(self.origin));
        let salt = uuid::Uuid::new_v4().simple().to_string();
        tokens.push(Entry {
            descends_from: self.origin.fingerprint(&salt),
            salt,
            refresh_token: token.expose().to_owned(),
        });
        let surplus = tokens.len().saturating_sub(MOST_TOKENS);
        tokens.drain(..surplus);
        self.content.version = VERSION;
        self.file.write(&self.content)?;
        self.current = Some(token.clone());
        Ok(())
    }
}

impl Drop for LockedFile<'_> {
    fn drop(&mut self) {
        // Closing is not enough: a process being started elsewhere in this program may hold a
        // duplicate of the file for a moment.
        let _ = self.lock.unlock();
    }
}

/// What the file holds, the oldest token first.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u32,
    tokens: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    salt: String,
    descends_from: String,
    refresh_token: String,
}

impl Entry {
    fn is_of(&self, origin: &TokenOrigin) -> bool {
        origin.fingerprint(&self.salt) == self.descends_from
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tokens", self.tokens.len())
    }
}

/// Options of a file that only its owner may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn unwritable(path: &Path, error: io::Error) -> Error {
    Error::new(
        ErrorKind::Destination,
        "the refresh token cannot be kept in its file",
    )
    .with("file", path.display())
    .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(endpoint: &str, token: &str) -> TokenOrigin {
        TokenOrigin::new(endpoint, "client", &Secret::from(token))
    }

    async fn current(file: &TokenFile, origin: &TokenOrigin) -> Option<String> {
        let locked = file.lock(origin).await.unwrap();
        locked.current().map(|token| token.expose().to_owned())
    }

    #[tokio::test]
    async fn a_token_is_found_by_what_it_descends_from() -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let file = TokenFile::new(folder.path().join("a/b/tokens.json"));
        let first = origin("https://a/token", "configured-1");
        assert_eq!(current(&file, &first).await, None);
        for token in ["rotated-1", "rotated-2"] {
            file.lock(&first).await?.replace(&Secret::from(token))?;
        }
        assert_eq!(current(&file, &first).await.as_deref(), Some("rotated-2"));
        for other in [
            origin("https://a/token", "configured-2"),
            origin("https://b/token", "configured-1"),
        ] {
            assert_eq!(current(&file, &other).await, None);
        }
        let text = fs::read_to_string(&file.path).unwrap();
        for gone in ["configured", "rotated-1"] {
            assert!(!text.contains(gone), "{text}");
        }
        Ok(())
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn nobody_else_may_read_the_file() -> Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = TokenFile::new(folder.path().join("tokens.json"));
        // What a crash left behind is not written through.
        let aside = folder.path().join("tokens.json.tmp");
        fs::write(&aside, "half").unwrap();
        fs::set_permissions(&aside, fs::Permissions::from_mode(0o644)).unwrap();
        let origin = origin("https://a/token", "configured");
        file.lock(&origin)
            .await?
            .replace(&Secret::from("rotated"))?;
        let mode = fs::metadata(&file.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!aside.exists());
        Ok(())
    }

    #[tokio::test]
    async fn a_damaged_file_is_told_without_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let file = TokenFile::new(folder.path().join("tokens.json"));
        for text in [
            "",
            "canary",
            r#"{"version":2,"tokens":[]}"#,
            r#"{"version":1,"tokens":[{"canary":1}]}"#,
        ] {
            fs::write(&file.path, text).unwrap();
            let error = file.lock(&origin("https://a", "t")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(
                !format!("{error:?} {error}").contains("canary"),
                "{error:?}"
            );
        }
    }

    #[tokio::test]
    async fn one_at_a_time_refreshes() -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let refresh = |number: usize| {
            let file = TokenFile::new(&path);
            async move {
                let origin = origin("https://a/token", "configured");
                let mut locked = file.lock(&origin).await?;
                let before = locked.current().map_or(0, |token| {
                    token.expose().trim_start_matches('n').parse().unwrap_or(0)
                });
                tokio::task::yield_now().await;
                locked.replace(&Secret::from(format!("n{}", before + 1)))?;
                Ok::<_, Error>(number)
            }
        };
        let all = futures_util::future::join_all((0..8).map(refresh)).await;
        assert!(all.iter().all(Result::is_ok));
        let file = TokenFile::new(&path);
        let origin = origin("https://a/token", "configured");
        assert_eq!(current(&file, &origin).await.as_deref(), Some("n8"));
        Ok(())
    }
}
