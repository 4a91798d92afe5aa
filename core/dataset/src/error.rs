//! The one error of this library: what happened, of which kind, and what to do about it.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;

use arrow::error::ArrowError;
use parquet::errors::ParquetError;

/// What a failure means for the person who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A name, a key or an option cannot be used.
    Configuration,
    /// The dataset on disk belongs to something else: another source, another specification,
    /// another run that is still going, or a state that cannot be trusted.
    Conflict,
    /// The output folder failed: unwritable, full, or its files are unreadable.
    Destination,
    /// The data breaks the declared schema: a null key, a changed column type, a column that
    /// Parquet cannot hold.
    SchemaContract,
    /// A defect of this library.
    Internal,
}

/// A failure to read or write a dataset.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    is_transient: bool,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            source: None,
            is_transient: false,
        }
    }

    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    pub(crate) fn schema(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::SchemaContract, message)
    }

    /// A failed operation on a file or folder, such as `cannot create` with its path.
    pub(crate) fn io(action: &str, path: &Path, source: io::Error) -> Self {
        let hint = match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Some("choose a writable folder with `--out`, or change the folder's permissions")
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(
                "free some space or choose another folder with `--out`; the previous dataset is \
                 untouched",
            ),
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                Some("choose another folder with `--out`")
            }
            _ => None,
        };
        let error = Self::new(
            ErrorKind::Destination,
            format!("cannot {action} `{}`", path.display()),
        )
        .with_source(source);
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// A data file that could not be written, or for [`io::Error`]s inside it the disk's reason.
    pub(crate) fn write(path: &Path, source: ParquetError) -> Self {
        match source {
            ParquetError::External(inner) => match inner.downcast::<io::Error>() {
                Ok(inner) => Self::io("write", path, *inner),
                Err(inner) => Self::new(
                    ErrorKind::Destination,
                    format!("cannot write `{}`", path.display()),
                )
                .with_source(inner),
            },
            other => Self::new(
                ErrorKind::Internal,
                format!("cannot encode `{}`", path.display()),
            )
            .with_source(other),
        }
    }

    /// A data file of the dataset that could not be read.
    pub(crate) fn read(path: &Path, source: impl StdError + Send + Sync + 'static) -> Self {
        Self::new(
            ErrorKind::Destination,
            format!("cannot read the data file `{}`", path.display()),
        )
        .with_source(source)
        .with_hint("restore the file, or read everything again with `--full-refresh`")
    }

    pub(crate) fn arrow(source: ArrowError) -> Self {
        Self::new(ErrorKind::Internal, "cannot rearrange columns").with_source(source)
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says that the same may succeed later.
    pub(crate) fn transient(mut self) -> Self {
        self.is_transient = true;
        self
    }

    /// Says which resource the failure is about.
    pub(crate) fn in_resource(mut self, resource: &str) -> Self {
        self.message = format!("`{resource}`: {}", self.message);
        self
    }

    /// What the failure means.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same may succeed later: an object store could not be reached or did not answer.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.is_transient
    }

    /// What the user can do about it, without a `hint:` prefix.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
