//! The report of all runs of a connector: one HTML page that needs nothing but itself.

mod buckets;
mod chart;
mod charts;
mod html;
mod scale;
mod tables;

use chrono::{DateTime, Utc};
use connector_dataset::{SourceId, State};

use self::buckets::buckets;
use self::html::{Element, element};
use crate::cli::table::{bytes, count, duration, many};
use crate::run::{RunRecord, RunStatus, Status};

/// What a page is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report<'a> {
    pub connector: &'a str,
    /// The oldest first; at least one.
    pub records: &'a [RunRecord],
    /// The datasets as they are now, if that is known.
    pub state: Option<&'a State>,
    /// When the page is made.
    pub now: DateTime<Utc>,
}

/// The runs shown one by one.
const RUNS: usize = 100;
/// The runs of the strip.
const STRIP: usize = 48;

impl Report<'_> {
    /// The page.
    pub(crate) fn page(&self) -> String {
        let (grain, buckets) = buckets(self.records);
        let title = format!("Runs of {}", self.connector);
        let head = element("head")
            .child(element("meta").set("charset", "utf-8"))
            // Nothing is loaded and nothing runs, whatever the page might hold.
            .child(
                element("meta")
                    .set("http-equiv", "Content-Security-Policy")
                    .set("content", "default-src 'none'; style-src 'unsafe-inline'"),
            )
            .child(
                element("meta")
                    .set("name", "viewport")
                    .set("content", "width=device-width, initial-scale=1"),
            )
            .child(element("title").text(&title))
            .child(element("style").style_sheet(include_str!("report/style.css")));
        let main = element("main")
            .child(self.header())
            .children(self.banner())
            .child(self.tiles())
            .child(self.strip())
            .child(self.attention())
            .child(charts::section(grain, &buckets, self.records))
            .child(tables::resources(self))
            .child(tables::schema_changes(self.records))
            .child(tables::runs(self.records))
            .child(element("footer").text(format!(
                "Made at {} of the records in {}/_connector/runs. Times are UTC.",
                self.now.format("%Y-%m-%d %H:%M:%S"),
                self.connector
            )));
        let html = element("html")
            .set("lang", "en")
            .child(head)
            .child(element("body").child(main));
        let mut page = "<!DOCTYPE html>\n".to_owned();
        html.write_to(&mut page);
        page.push('\n');
        page
    }

    fn last(&self) -> Option<&RunRecord> {
        self.records.last()
    }

    fn header(&self) -> Element {
        let first = self.records.first().and_then(|record| record.started_at);
        let since = first.map_or_else(String::new, |first| {
            format!(" since {}", first.format("%Y-%m-%d"))
        });
        let runs = many(self.records.len() as u64, "run");
        let last = self.last();
        let source = match last.and_then(|record| record.source.as_ref()) {
            Some(SourceId::Origin(origin)) => format!(", reads {origin}"),
            Some(SourceId::Sandbox) | None => String::new(),
        };
        let version = last.map_or("", |record| &record.connector_version);
        element("header")
            .child(element("h1").text(self.connector))
            .child(element("p").set("class", "soft").text(format!(
                "connector-{} {version}{source}, {runs}{since}",
                self.connector
            )))
    }

    fn banner(&self) -> Option<Element> {
        let is_sample = self.last()?.source == Some(SourceId::Sandbox);
        is_sample.then(|| {
            element("p")
                .set("class", "card banner")
                .text("The last run read sample data from the connector's own sandbox.")
        })
    }

    fn tiles(&self) -> Element {
        let mut tiles = Vec::new();
        if let Some(last) = self.last() {
            let when = last.finished_at.or(last.started_at);
            let when = when.map_or_else(String::new, |when| ago(self.now, when));
            let took = last.seconds().map_or_else(String::new, |seconds| {
                format!(", took {}", duration(seconds))
            });
            tiles.push(tile(
                "Last run",
                badge(last.status),
                format!("{when}{took}"),
            ));
        }
        let succeeded = |record: &&RunRecord| record.status == RunStatus::Succeeded;
        let ended = self
            .records
            .iter()
            .filter(|record| record.status != RunStatus::Running);
        let good = self.records.iter().filter(succeeded).count();
        let in_a_row = self.records.iter().rev().take_while(succeeded).count();
        tiles.push(tile(
            "Succeeded",
            element("span").text(format!("{good} of {}", ended.count())),
            match in_a_row {
                0 => "the last one did not".to_owned(),
                1 => "the last one did".to_owned(),
                _ => format!("the last {in_a_row} in a row"),
            },
        ));
        if let Some(state) = self.state {
            let rows = state.resources.values().map(|resource| resource.rows).sum();
            let files = || {
                state
                    .resources
                    .values()
                    .flat_map(|resource| &resource.files)
            };
            let size = files().map(|file| file.bytes).sum();
            let new = self.last().map_or(0, |last| {
                last.total(|entry| entry.loaded(|load| load.inserted))
            });
            tiles.push(tile(
                "Rows now",
                element("span").text(count(rows)),
                format!("{} new in the last run", count(new)),
            ));
            tiles.push(tile(
                "Size now",
                element("span").text(bytes(size)),
                format!(
                    "{} of {}",
                    many(files().count() as u64, "file"),
                    many(state.resources.len() as u64, "dataset")
                ),
            ));
        }
        let mut times: Vec<f64> = self.records.iter().filter_map(RunRecord::seconds).collect();
        times.sort_by(f64::total_cmp);
        if let (Some(middle), Some(longest)) = (times.get(times.len() / 2), times.last()) {
            tiles.push(tile(
                "A run takes",
                element("span").text(duration(*middle)),
                format!("the median; the longest {}", duration(*longest)),
            ));
        }
        element("div").set("class", "tiles").children(tiles)
    }

    fn strip(&self) -> Element {
        let left = self.records.len().saturating_sub(STRIP);
        let cells = self.records.iter().skip(left).map(|record| {
            let (class, sign) = look(record.status);
            let when = record.started_at.map_or_else(String::new, |when| {
                format!("{} UTC: ", when.format("%Y-%m-%d %H:%M"))
            });
            let told = format!("{when}{}", record.status.as_str());
            element("li")
                .set("class", class)
                .set("title", &told)
                .set("aria-label", &told)
                .text(sign)
        });
        let title = match left {
            0 => "How they ended".to_owned(),
            _ => format!("How the last {STRIP} ended"),
        };
        element("section")
            .child(element("h2").text(title))
            .child(element("ol").set("class", "strip").children(cells))
    }

    /// What somebody should look at now: what the last run says.
    fn attention(&self) -> Element {
        let mut told = Vec::new();
        if let Some(last) = self.last() {
            let mut tell = |class: &'static str, whom: &str, what: String| {
                let mut item = element("li");
                if !whom.is_empty() {
                    item = item.child(element("b").text(whom)).text(": ");
                }
                told.push(item.child(element("span").set("class", class).text(what)));
            };
            if let Some(error) = &last.error {
                tell("bad", "", error.to_string());
            }
            for warning in &last.warnings {
                tell("", "", warning.clone());
            }
            for entry in &last.resources {
                if let Some(error) = &entry.error {
                    tell("bad", &entry.name, error.to_string());
                    for cause in &error.causes {
                        tell("", &entry.name, format!("caused by: {cause}"));
                    }
                    for hint in &error.hints {
                        tell("", &entry.name, format!("hint: {hint}"));
                    }
                } else if entry.status == Status::NotRead {
                    tell(
                        "warn",
                        &entry.name,
                        "was not read: the run ended before".to_owned(),
                    );
                }
                for warning in &entry.warnings {
                    tell("", &entry.name, warning.clone());
                }
            }
        }
        let section = element("section").child(element("h2").text("To look at"));
        match told.is_empty() {
            true => section.child(
                element("p")
                    .set("class", "good")
                    .text("Nothing: the last run has neither errors nor warnings."),
            ),
            false => section.child(
                element("div")
                    .set("class", "card")
                    .child(element("ul").set("class", "told").children(told)),
            ),
        }
    }
}

fn tile(name: &'static str, value: Element, more: String) -> Element {
    element("div")
        .set("class", "tile")
        .child(element("small").text(name))
        .child(element("b").child(value))
        .child(element("small").text(more))
}

/// The class and the sign of a status: colour alone would tell some people nothing.
fn look(status: RunStatus) -> (&'static str, &'static str) {
    match status {
        RunStatus::Succeeded => ("good", "✓"),
        RunStatus::Partial => ("warn", "!"),
        RunStatus::Failed | RunStatus::Died => ("bad", "✕"),
        RunStatus::Interrupted => ("warn", "‖"),
        RunStatus::Running => ("", "…"),
        RunStatus::Unknown => ("", "?"),
    }
}

fn badge(status: RunStatus) -> Element {
    let (class, sign) = look(status);
    element("span")
        .set("class", format!("badge {class}"))
        .text(format!("{sign} {}", status.as_str()))
}

/// How long ago something was, when the page is made.
fn ago(now: DateTime<Utc>, then: DateTime<Utc>) -> String {
    let seconds = (now - then).num_seconds().max(0);
    match seconds {
        0..60 => "just now".to_owned(),
        60..5_400 => format!("{} min ago", seconds / 60),
        5_400..129_600 => format!("{} h ago", (seconds + 1_800) / 3_600),
        _ => format!("{} ago", many(seconds as u64 / 86_400, "day")),
    }
}

#[cfg(test)]
mod tests;
