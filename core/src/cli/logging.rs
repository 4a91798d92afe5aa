//! Log lines on standard error.

use std::io;

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::arguments::Arguments;
use super::console::Console;

/// Starts logging as the command line asks; a second call in one process changes nothing.
pub(crate) fn start(arguments: &Arguments, console: &Console) {
    let (ours, others) = match arguments.verbosity {
        0 => (LevelFilter::WARN, LevelFilter::OFF),
        1 => (LevelFilter::INFO, LevelFilter::OFF),
        2 => (LevelFilter::DEBUG, LevelFilter::WARN),
        _ => (LevelFilter::TRACE, LevelFilter::INFO),
    };
    // The HTTP stack logs headers and bodies at its finest levels: it never gets there.
    let targets = Targets::new()
        .with_default(others)
        // It names addresses, which may hold credentials.
        .with_target("object_store", LevelFilter::OFF)
        .with_target("connector_core", ours)
        .with_target("connector_dataset", ours)
        .with_target("connector_decode", ours);
    let writer = ConsoleWriter(console.clone());
    let registry = tracing_subscriber::registry();
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    // Fails only when a test has started logging before.
    let _ = if arguments.json_logs {
        registry.with(layer.json().with_filter(targets)).try_init()
    } else {
        let layer = layer
            .with_ansi(console.colour())
            .with_target(false)
            .without_time();
        registry.with(layer.with_filter(targets)).try_init()
    };
}

/// Writes log lines above the progress bars.
#[derive(Clone, Debug)]
struct ConsoleWriter(Console);

impl io::Write for ConsoleWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.raw(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for ConsoleWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
