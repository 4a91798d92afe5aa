//! Where output goes.

use std::io::{self, IsTerminal as _, Write};

use crate::{Error, ErrorKind};

/// Where output goes: results to one stream, what is meant for people to the other.
pub struct Streams<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    coloured: bool,
}

impl<'a> Streams<'a> {
    /// These streams; `coloured` is for the second.
    pub fn new(out: &'a mut dyn Write, err: &'a mut dyn Write, coloured: bool) -> Self {
        Self { out, err, coloured }
    }

    /// Whether what is meant for people may have colours.
    #[must_use]
    pub fn coloured(&self) -> bool {
        self.coloured
    }

    /// Writes a result.
    ///
    /// # Errors
    /// When the reader has gone or the device is full.
    pub fn result(&mut self, text: &str) -> Result<(), Error> {
        self.out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush())
            .map_err(|error| {
                Error::new(ErrorKind::Output, "cannot write the result").caused_by(error)
            })
    }

    /// Tells people something, as a line of its own.
    pub fn tell(&mut self, text: &str) {
        // When nobody can be told, there is nobody to tell that to either.
        let _ = writeln!(self.err, "{text}");
    }
}

impl std::fmt::Debug for Streams<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams")
            .field("coloured", &self.coloured)
            .finish_non_exhaustive()
    }
}

/// Whether standard error shows colours: a terminal, and no `NO_COLOR` (no-color.org).
pub(crate) fn stderr_is_coloured() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
