//! The two streams: results on standard output, everything for people on standard error.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use indicatif::MultiProgress;

use crate::lock::lock;
use crate::{Error, Result};

/// Writes to the streams; progress bars step aside while it does.
#[derive(Clone, Debug)]
pub(crate) struct Console {
    bars: Arc<Mutex<Option<MultiProgress>>>,
    json: bool,
    colour: bool,
}

impl Console {
    pub(crate) fn new(json: bool) -> Self {
        // https://no-color.org: set to anything but the empty text.
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = !no_colour && !json && std::io::stderr().is_terminal();
        Self {
            bars: Arc::default(),
            json,
            colour,
        }
    }

    /// Whether standard error shows colours.
    pub(crate) fn colour(&self) -> bool {
        self.colour
    }

    /// Lets text pass above these bars from now on.
    pub(crate) fn attach(&self, bars: Option<MultiProgress>) {
        *lock(&self.bars) = bars;
    }

    /// Writes a result.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(crate) fn result(&self, text: &str) -> Result<()> {
        self.above_bars(|| {
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        })
        .map_err(|error| {
            Error::new(
                crate::ErrorKind::Destination,
                "standard output cannot be written",
            )
            .caused_by(error)
        })
    }

    /// Writes a note for people; as JSON when logs are.
    pub(crate) fn note(&self, text: &str) {
        if self.json {
            tracing::info!("{text}");
        } else {
            self.raw(&format!("{text}\n"));
        }
    }

    /// Writes to standard error as it is. Nobody is left to be told when that fails.
    pub(crate) fn raw(&self, text: &str) {
        self.above_bars(|| {
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
        });
    }

    fn above_bars<T>(&self, write: impl FnOnce() -> T) -> T {
        let bars = lock(&self.bars).clone();
        match bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    /// Prints an error with its causes and advice, once.
    pub(crate) fn error(&self, error: &Error) {
        if self.json {
            self.raw(&format!("{}\n", to_json(error)));
            return;
        }
        let (red, cyan, reset) = if self.colour {
            ("\x1b[1;31m", "\x1b[1;36m", "\x1b[0m")
        } else {
            ("", "", "")
        };
        let mut text = format!("{red}error{reset}: {error}\n");
        for cause in causes(error) {
            text.push_str(&format!("  caused by: {cause}\n"));
        }
        for hint in error.hints() {
            text.push_str(&format!("{cyan}hint{reset}: {hint}\n"));
        }
        self.raw(&text);
    }

    /// Prints an error and gives its exit code.
    pub(crate) fn fail(&self, error: &Error) -> ExitCode {
        self.error(error);
        ExitCode::from(error.kind().exit_code())
    }
}

/// The causes of an error, from the nearest on; a cause that repeats the one above is left out.
pub(crate) fn causes(error: &Error) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        next = cause.source();
    }
    causes
}

/// An error as reports and JSON logs hold it.
pub(crate) fn to_json(error: &Error) -> serde_json::Value {
    serde_json::json!({
        "level": "ERROR",
        "kind": error.kind().as_str(),
        "message": error.message(),
        "context": error
            .context()
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect::<serde_json::Map<_, _>>(),
        "causes": causes(error),
        "hints": error.hints(),
    })
}
