//! Progress on standard error: bars on a terminal, lines or JSON elsewhere.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

use super::arguments::Progress as Mode;
use super::console::Console;
use super::table::{bytes, count};
use crate::Meter;

/// How often bars are drawn anew.
const FRAME: Duration = Duration::from_millis(100);
/// How often a line is printed for a resource under way.
const LINE: Duration = Duration::from_secs(5);

/// Shows how a run gets on.
#[derive(Debug)]
pub(crate) struct Progress {
    console: Console,
    mode: Shown,
}

#[derive(Debug)]
enum Shown {
    Bars(MultiProgress),
    Plain,
    Json,
    Nothing,
}

/// Shows how one resource gets on, until it is finished.
#[derive(Debug)]
pub(crate) struct ResourceProgress {
    console: Console,
    name: String,
    started: Instant,
    meter: Arc<Meter>,
    mode: Line,
    ticker: Option<JoinHandle<()>>,
}

#[derive(Clone, Debug)]
enum Line {
    Bar(ProgressBar),
    Plain,
    Json,
    Nothing,
}

impl Progress {
    pub(crate) fn new(mode: Mode, console: &Console) -> Self {
        let mode = match mode {
            Mode::Auto if std::io::stderr().is_terminal() => {
                let bars = MultiProgress::new();
                console.attach(Some(bars.clone()));
                Shown::Bars(bars)
            }
            Mode::Auto | Mode::Plain => Shown::Plain,
            Mode::Json => Shown::Json,
            Mode::None => Shown::Nothing,
        };
        Self {
            console: console.clone(),
            mode,
        }
    }

    /// Starts to show a resource.
    pub(crate) fn start(&self, name: &str, meter: &Arc<Meter>) -> ResourceProgress {
        let mode = match &self.mode {
            Shown::Bars(bars) => {
                let bar = bars.add(ProgressBar::new_spinner());
                let template = if self.console.colour() {
                    "{spinner:.cyan} {prefix:.bold}  {msg}"
                } else {
                    "{spinner} {prefix}  {msg}"
                };
                bar.set_style(
                    ProgressStyle::with_template(template)
                        .unwrap_or_else(|_| ProgressStyle::default_spinner()),
                );
                bar.set_prefix(name.to_owned());
                Line::Bar(bar)
            }
            Shown::Plain => Line::Plain,
            Shown::Json => Line::Json,
            Shown::Nothing => Line::Nothing,
        };
        let mut progress = ResourceProgress {
            console: self.console.clone(),
            name: name.to_owned(),
            started: Instant::now(),
            meter: Arc::clone(meter),
            mode: mode.clone(),
            ticker: None,
        };
        let every = match mode {
            Line::Bar(_) => FRAME,
            Line::Plain | Line::Json => LINE,
            Line::Nothing => return progress,
        };
        let sample = progress.sample();
        progress.ticker = Some(tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                sample.show("reading");
            }
        }));
        progress
    }
}

impl ResourceProgress {
    fn sample(&self) -> Self {
        Self {
            console: self.console.clone(),
            name: self.name.clone(),
            started: self.started,
            meter: Arc::clone(&self.meter),
            mode: self.mode.clone(),
            ticker: None,
        }
    }

    fn show(&self, stage: &str) {
        let reading = self.meter.read();
        let seconds = self.started.elapsed().as_secs_f64().max(1e-3);
        let rate = (reading.rows as f64 / seconds) as u64;
        match &self.mode {
            Line::Bar(bar) => {
                bar.set_message(self.message(&reading, rate));
                bar.tick();
            }
            Line::Plain => {
                self.console.raw(&format!(
                    "{}: {stage}  {}\n",
                    self.name,
                    self.message(&reading, rate)
                ));
            }
            Line::Json => {
                let mut event = serde_json::json!({
                    "event": "progress",
                    "resource": self.name,
                    "stage": stage,
                    "seconds": (seconds * 1e3).round() / 1e3,
                    "rows_per_second": rate,
                    "waiting": self.meter.waiting(),
                });
                if let (Some(event), Ok(serde_json::Value::Object(reading))) =
                    (event.as_object_mut(), serde_json::to_value(&reading))
                {
                    event.extend(reading);
                }
                self.console.raw(&format!("{event}\n"));
            }
            Line::Nothing => {}
        }
    }

    fn message(&self, reading: &crate::Reading, rate: u64) -> String {
        let mut text = format!(
            "{} rows  {} rows/s  {} pages  {}",
            count(reading.rows),
            count(rate),
            count(reading.pages),
            bytes(reading.bytes),
        );
        if reading.retries > 0 {
            text.push_str(&format!("  {} retries", count(reading.retries)));
        }
        if let Some(reason) = self.meter.waiting() {
            text.push_str(&format!("  (waiting: {reason})"));
        }
        text
    }

    /// Shows the last line of the resource.
    pub(crate) fn finish(mut self, stage: &str) {
        self.stop();
        self.show(stage);
        if let Line::Bar(bar) = &self.mode {
            bar.finish_and_clear();
        }
    }

    fn stop(&mut self) {
        if let Some(ticker) = self.ticker.take() {
            ticker.abort();
        }
    }
}

impl Drop for ResourceProgress {
    fn drop(&mut self) {
        self.stop();
    }
}
