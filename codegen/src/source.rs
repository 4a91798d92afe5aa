//! The text of a spec and positions in it.

use std::path::Path;

use crate::diagnostic::{Diagnostic, Diagnostics, code};

/// The longest spec that is read, in bytes.
pub(crate) const MAXIMUM_BYTES: usize = 8 * 1024 * 1024;

/// The text of a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as messages show it.
    pub path: String,
    /// The text.
    pub text: String,
}

impl Source {
    /// A text, and the path that messages show for it.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }

    /// Reads a file's bytes, which must be UTF-8 (YAML 1.2, section 5.2; the other encodings that
    /// it permits are not used by anybody's editor).
    ///
    /// # Errors
    /// When the bytes are not UTF-8: a diagnostic that points at the first wrong byte.
    pub fn from_bytes(path: impl Into<String>, bytes: &[u8]) -> Result<Self, Diagnostics> {
        let path = path.into();
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(path, text)),
            Err(error) => {
                let source = Self::new(path, String::from_utf8_lossy(bytes));
                let mark = source.text.len() - source.body().len();
                let start = error.valid_up_to() - mark;
                // Everything before the first wrong byte is unchanged, so its offset still holds;
                // the replacement character is three bytes long.
                let span = Span::new(start, start + 3);
                let diagnostic = Diagnostic::error(code::ENCODING, "the spec is not UTF-8 text")
                    .label(span, "this byte is no part of a character")
                    .help("save the file as UTF-8");
                Err(Diagnostics::new(&source, vec![diagnostic]))
            }
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, Diagnostics> {
        let shown = path.display().to_string();
        match std::fs::read(path) {
            Ok(bytes) => Self::from_bytes(shown, &bytes),
            Err(error) => {
                let diagnostic =
                    Diagnostic::error(code::READ, format!("cannot read the spec: {error}"));
                Err(Diagnostics::new(&Self::new(shown, ""), vec![diagnostic]))
            }
        }
    }

    /// The text without a byte order mark: what positions count from.
    #[must_use]
    pub fn body(&self) -> &str {
        self.text.strip_prefix('\u{feff}').unwrap_or(&self.text)
    }
}

/// A range of bytes of [`Source::body`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes from `start` to before `end`.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The same span, moved and cut so that it begins and ends within the text, between two
    /// characters.
    #[must_use]
    pub(crate) fn within(self, text: &str) -> Self {
        let start = text.floor_char_boundary(self.start.min(text.len()));
        let end = text.ceil_char_boundary(self.end.clamp(start, text.len()));
        Self { start, end }
    }

    /// The text that the span covers.
    #[must_use]
    pub(crate) fn of(self, text: &str) -> &str {
        let span = self.within(text);
        text.get(span.start..span.end).unwrap_or_default()
    }
}

/// Where the lines of a text begin.
pub(crate) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let mut starts = vec![0];
        starts.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        Self { text, starts }
    }

    /// The line and the column of an offset, both from 1; columns count characters.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(offset.min(self.text.len()));
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        (line, self.text[start..offset].chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        #[track_caller]
        fn check(text: &str, offset: usize, expect: (usize, usize)) {
            assert_eq!(Lines::new(text).position(offset), expect);
        }
        check("", 0, (1, 1));
        check("ab\ncd", 4, (2, 2));
        check("äb\r\ncd", 2, (1, 2));
        check("äb\r\ncd", 5, (2, 1));
        check("a", 99, (1, 2));
    }

    #[test]
    fn a_wrong_byte_is_pointed_at() {
        for bytes in [
            &b"name: a\nclient: \xff\n"[..],
            b"\xef\xbb\xbfname: a\nclient: \xff\n",
        ] {
            let error = Source::from_bytes("spec.yaml", bytes).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("error[encoding]"), "{text}");
            assert!(text.contains("spec.yaml:2:9"), "{text}");
            let label = &error.items()[0].labels[0];
            assert_eq!(label.span.of(&error.source().text), "\u{fffd}");
        }
    }
}
