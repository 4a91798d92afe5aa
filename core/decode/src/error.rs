//! The error of this crate: what is wrong with a page, and where.

use std::fmt;

use arrow::error::ArrowError;

/// What kind of failure an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The page is not one complete JSON document.
    Malformed,
    /// The page is not UTF-8.
    Encoding,
    /// The selector leads to nothing in the page.
    SelectorMatchesNothing,
    /// A field that must have a value is missing, null or of another type.
    SchemaContract,
    /// The filter could not judge a record.
    Filter,
    /// The processing steps could not change a record.
    Processing,
    /// The page is nested too deeply, or too large for what it would be put into.
    Limit,
    /// The decoder was set up with something that cannot work.
    Configuration,
    /// The columns do not form a batch: a defect of this crate.
    Internal,
}

/// Why a page could not be decoded.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    offset: Option<usize>,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The byte of the page at which it was noticed, counted from 0.
    #[must_use]
    pub fn offset(&self) -> Option<usize> {
        self.0.offset
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    #[cold]
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            offset: None,
            hint: None,
            source: None,
        }))
    }

    #[cold]
    pub(crate) fn from_arrow(source: ArrowError) -> Self {
        Self::new(ErrorKind::Internal, "the columns do not form a batch").with_source(source)
    }

    #[cold]
    pub(crate) fn schema_too_deep() -> Self {
        Self::new(
            ErrorKind::Configuration,
            "the fields are nested deeper than a page may be",
        )
        .with_hint("raise the depth limit, or declare the inner fields as `json`")
    }

    /// The same error of what the processing steps have made of a page.
    #[cold]
    pub(crate) fn processed(mut self) -> Self {
        let message = &self.0.message;
        self.0.message = format!("behind the processing steps: {message}");
        self.0.offset = None;
        self
    }

    pub(crate) fn at(mut self, offset: usize) -> Self {
        self.0.offset = Some(offset);
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }
}
