//! The error of the runtime: what went wrong, where, and what to do about it.

use std::fmt;

/// The result of a runtime function.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, with its context, its cause and advice.
///
/// `Display` is one line and never includes the cause; the command line prints the chain of
/// [`source`](std::error::Error::source) below it, then [`hints`](Error::hints).
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    context: Vec<(&'static str, String)>,
    hints: Vec<String>,
    /// The status of the answer that was of no use.
    answer: Option<u16>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Whose fault it is, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A defect of this program (exit code 1).
    Internal,
    /// A flag, a setting, a state file or a spec (exit code 2).
    Configuration,
    /// The API did not accept the credentials (exit code 3).
    Authentication,
    /// The API failed or misbehaved (exit code 4).
    Source,
    /// The output could not be written (exit code 5).
    Destination,
    /// Records break a rule of the schema (exit code 6).
    SchemaContract,
    /// Some resources failed, others were published (exit code 7).
    Partial,
    /// A budget was reached; a repeat goes on (exit code 8).
    Budget,
    /// The user interrupted the run (exit code 130).
    Interrupted,
    /// The system asked the run to end (exit code 143).
    Terminated,
}

impl ErrorKind {
    /// The exit code of a command that fails this way.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Configuration => 2,
            Self::Authentication => 3,
            Self::Source => 4,
            Self::Destination => 5,
            Self::SchemaContract => 6,
            Self::Partial => 7,
            Self::Budget => 8,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// The word that reports use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Configuration => "configuration",
            Self::Authentication => "authentication",
            Self::Source => "source",
            Self::Destination => "destination",
            Self::SchemaContract => "schema_contract",
            Self::Partial => "partial",
            Self::Budget => "budget",
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
        }
    }
}

impl Error {
    /// An error of this kind; the message is lower case, without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            context: Vec::new(),
            hints: Vec::new(),
            answer: None,
            source: None,
        }))
    }

    /// Adds where it happened: a resource, a request, a file.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        if !self.0.context.iter().any(|(known, _)| *known == key) {
            self.0.context.push((key, value.to_string()));
        }
        self
    }

    /// Adds advice: what the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Notes the status of the answer that was of no use.
    pub(crate) fn answered(mut self, status: u16) -> Self {
        self.0.answer = Some(status);
        self
    }

    /// The status of the answer that was of no use; nothing when there was none.
    pub(crate) fn answer(&self) -> Option<u16> {
        self.0.answer
    }

    /// Whose fault it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What went wrong, without the context.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where it happened, as pairs of a name and a value.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0
            .context
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
    }

    /// What the user can do.
    #[must_use]
    pub fn hints(&self) -> &[String] {
        &self.0.hints
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (index, (key, value)) in self.0.context.iter().enumerate() {
            let open = if index == 0 { " (" } else { ", " };
            write!(f, "{open}{key}: {value}")?;
        }
        if self.0.context.is_empty() {
            Ok(())
        } else {
            f.write_str(")")
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("context", &self.0.context)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_one_line_with_context_and_without_the_cause() {
        let error = Error::new(ErrorKind::Source, "the API answered 404")
            .with("resource", "files")
            .with("request", "GET /v1/files")
            .with("resource", "the first context of a name stays")
            .caused_by("the cause");
        assert_eq!(
            error.to_string(),
            "the API answered 404 (resource: files, request: GET /v1/files)"
        );
        assert_eq!(
            std::error::Error::source(&error).unwrap().to_string(),
            "the cause"
        );
    }

    #[test]
    fn a_result_is_one_word() {
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }
}
