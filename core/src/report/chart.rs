//! Charts as inline SVG, each with a title, a description and its numbers as a table.

use super::buckets::Bucket;
use super::html::{Element, element};
use super::scale::{Unit, grid};
use crate::cli::table::many;
use crate::run::RunStatus;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 34.0;
/// The widest band of a bucket, and the widest bar: few runs do not become walls.
const WIDEST_BAND: f64 = 100.0;
const WIDEST_BAR: f64 = 44.0;
/// The room that a label of the horizontal axis needs.
const LABEL: f64 = 92.0;

/// One colour of a chart.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub name: &'static str,
    /// The class that gives it its colour.
    pub class: &'static str,
    /// A value for each bucket.
    pub values: Vec<f64>,
}

/// How values are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One bar for each bucket, the series on top of each other.
    Bars,
    /// A line from bucket to bucket.
    Line,
}

/// A chart over groups of runs.
#[derive(Debug)]
pub(super) struct Chart<'a> {
    pub id: &'static str,
    pub title: &'static str,
    /// What there is to see.
    pub summary: String,
    pub unit: Unit,
    pub form: Form,
    pub buckets: &'a [Bucket<'a>],
    pub series: Vec<Series>,
}

impl Chart<'_> {
    /// The chart with its legend and its numbers.
    pub(super) fn figure(&self) -> Element {
        let caption = element("figcaption")
            .child(element("h3").text(self.title))
            .child(element("p").text(&self.summary));
        let figure = element("figure").child(caption);
        if self
            .series
            .iter()
            .flat_map(|series| &series.values)
            .all(|value| *value <= 0.0)
        {
            // The summary has said that there is nothing.
            return figure;
        }
        let table = element("div").set("class", "wide").child(self.table());
        let summary = element("summary").text("As a table");
        figure
            .children(self.legend())
            .child(self.drawing())
            .child(element("details").child(summary).child(table))
    }

    fn legend(&self) -> Option<Element> {
        let entry = |series: &Series| {
            let swatch = element("span").set("class", format!("swatch {}", series.class));
            element("li").child(swatch).text(series.name)
        };
        let entries = self.series.iter().map(entry);
        (self.series.len() > 1).then(|| element("ul").set("class", "legend").children(entries))
    }

    fn drawing(&self) -> Element {
        let (title, about) = (format!("{}-title", self.id), format!("{}-about", self.id));
        let largest = (0..self.buckets.len()).map(|at| self.sum(at));
        let lines = grid(self.unit, largest.fold(0.0, f64::max));
        let top = lines.last().map_or(1.0, |(value, _)| *value);
        let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - BOTTOM - TOP);
        let drawing = element("svg")
            .set("viewBox", format!("0 0 {WIDTH} {HEIGHT}"))
            .set("role", "img")
            .set("aria-labelledby", format!("{title} {about}"))
            .child(element("title").set("id", title).text(self.title))
            .child(element("desc").set("id", about).text(&self.summary));
        let horizontal = lines.iter().map(|(value, label)| {
            element("g")
                .set("class", "grid")
                .child(line(LEFT, y(*value), WIDTH - RIGHT, y(*value)))
                .child(text(LEFT - 6.0, y(*value) + 4.0, "end", label))
        });
        let drawing = drawing.children(horizontal);
        let drawing = match self.form {
            Form::Bars => drawing.children(self.bars(y)),
            // Of one point there is no line.
            Form::Line if self.buckets.len() == 1 => drawing.children(self.bars(y)),
            Form::Line => drawing.children(self.line(y)),
        };
        drawing.children(self.labels()).children(self.marks())
    }

    /// What all series have in a bucket.
    fn sum(&self, at: usize) -> f64 {
        let values = self
            .series
            .iter()
            .filter_map(|series| series.values.get(at));
        values.sum()
    }

    /// The width of a bucket, and where the first one begins.
    fn band(&self) -> (f64, f64) {
        let room = WIDTH - LEFT - RIGHT;
        let count = self.buckets.len().max(1) as f64;
        let band = (room / count).min(WIDEST_BAND);
        (band, LEFT + (room - band * count) / 2.0)
    }

    /// The middle of a bucket.
    fn middle(&self, at: usize) -> f64 {
        let (band, first) = self.band();
        first + band * (at as f64 + 0.5)
    }

    fn bars(&self, y: impl Fn(f64) -> f64) -> Vec<Element> {
        let width = (self.band().0 * 0.76).min(WIDEST_BAR);
        let mut bars = Vec::new();
        for (at, bucket) in self.buckets.iter().enumerate() {
            let mut below = 0.0;
            let mut bar = element("g").child(element("title").text(self.told(at, bucket)));
            for series in &self.series {
                let value = series.values.get(at).copied().unwrap_or_default();
                if value <= 0.0 {
                    continue;
                }
                let (low, high) = (y(below), y(below + value));
                below += value;
                bar = bar.child(
                    element("rect")
                        .set("class", series.class)
                        .set("x", number(self.middle(at) - width / 2.0))
                        .set("y", number(high))
                        .set("width", number(width))
                        // What is there is seen, however little it is.
                        .set("height", number((low - high).max(0.8))),
                );
            }
            bars.push(bar);
        }
        bars
    }

    fn line(&self, y: impl Fn(f64) -> f64) -> Vec<Element> {
        let mut drawn = Vec::new();
        for series in &self.series {
            let points: Vec<(f64, f64)> = series
                .values
                .iter()
                .enumerate()
                .map(|(at, value)| (self.middle(at), y(*value)))
                .collect();
            let path = points
                .iter()
                .map(|(x, y)| format!("{},{}", number(*x), number(*y)))
                .collect::<Vec<String>>()
                .join(" ");
            if let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) {
                let ground = number(y(0.0));
                let area = format!(
                    "{},{ground} {path} {},{ground}",
                    number(*first),
                    number(*last)
                );
                drawn.push(
                    element("polygon")
                        .set("class", format!("area {}", series.class))
                        .set("points", area),
                );
            }
            drawn.push(
                element("polyline")
                    .set("class", format!("line {}", series.class))
                    .set("points", path),
            );
            let dots = points.iter().zip(self.buckets).enumerate();
            drawn.extend(dots.map(|(at, ((x, y), bucket))| {
                let title = element("title").text(self.told(at, bucket));
                element("circle")
                    .set("class", series.class)
                    .set("cx", number(*x))
                    .set("cy", number(*y))
                    .set("r", "2.5")
                    .child(title)
            }));
        }
        drawn
    }

    /// A bucket in words.
    fn told(&self, at: usize, bucket: &Bucket<'_>) -> String {
        let mut told = bucket.label.clone();
        if bucket.runs.len() > 1 {
            told.push_str(&format!(" ({})", many(bucket.runs.len() as u64, "run")));
        }
        for series in &self.series {
            let value = series.values.get(at).copied().unwrap_or_default();
            if value > 0.0 || self.series.len() == 1 {
                told.push_str(&format!("\n{}: {}", series.name, self.unit.show(value)));
            }
        }
        told
    }

    fn labels(&self) -> Vec<Element> {
        let count = self.buckets.len();
        let every = (LABEL / self.band().0).ceil().max(1.0) as usize;
        let shown = (0..count).step_by(every);
        shown
            .filter_map(|at| {
                let bucket = self.buckets.get(at)?;
                let label = text(self.middle(at), HEIGHT - 6.0, "middle", &bucket.short);
                Some(element("g").set("class", "grid").child(label))
            })
            .collect()
    }

    /// Marks under the groups in which a run did not end well.
    fn marks(&self) -> Vec<Element> {
        let mut marks = Vec::new();
        for (at, bucket) in self.buckets.iter().enumerate() {
            let bad = bucket.runs.iter().filter(|run| is_bad(run.status)).count();
            if bad == 0 {
                continue;
            }
            let (x, y) = (self.middle(at), HEIGHT - BOTTOM + 7.0);
            let told = format!(
                "{}: {bad} of {} runs did not succeed",
                bucket.label,
                bucket.runs.len()
            );
            let cross = format!("M{} {}l5 5m0 -5l-5 5", number(x - 2.5), number(y - 2.5));
            marks.push(
                element("path")
                    .set("class", "mark")
                    .set("d", cross)
                    .child(element("title").text(told)),
            );
        }
        marks
    }

    fn table(&self) -> Element {
        let head = element("tr")
            .child(element("th").set("scope", "col").text("when"))
            .children(self.series.iter().map(|series| {
                element("th")
                    .set("scope", "col")
                    .set("class", "number")
                    .text(series.name)
            }));
        let rows = self.buckets.iter().enumerate().rev().map(|(at, bucket)| {
            element("tr")
                .child(element("th").set("scope", "row").text(&bucket.label))
                .children(self.series.iter().map(|series| {
                    let value = series.values.get(at).copied().unwrap_or_default();
                    element("td")
                        .set("class", "number")
                        .text(self.unit.show(value))
                }))
        });
        element("table")
            .child(element("caption").text(self.title))
            .child(element("thead").child(head))
            .child(element("tbody").children(rows))
    }
}

/// Whether a run ended in a way that somebody should look at.
pub(super) fn is_bad(status: RunStatus) -> bool {
    !matches!(status, RunStatus::Succeeded | RunStatus::Running)
}

/// A line of values without axes, as large as a word.
pub(super) fn sparkline(values: &[f64], told: String) -> Element {
    const WIDTH: f64 = 96.0;
    const HEIGHT: f64 = 20.0;
    let largest = values.iter().copied().fold(1.0, f64::max);
    let band = (WIDTH / values.len().max(1) as f64).min(8.0);
    let bars = values.iter().enumerate().map(|(at, value)| {
        let height = value / largest * HEIGHT;
        element("rect")
            .set("class", "c1")
            .set("x", number(at as f64 * band))
            .set("y", number(HEIGHT - height))
            .set("width", number(band * 0.8))
            .set("height", number(height))
    });
    element("svg")
        .set("class", "spark")
        .set("viewBox", format!("0 0 {WIDTH} {HEIGHT}"))
        .set("role", "img")
        .child(element("title").text(told))
        .children(bars)
}

fn line(x1: f64, y1: f64, x2: f64, y2: f64) -> Element {
    element("line")
        .set("x1", number(x1))
        .set("y1", number(y1))
        .set("x2", number(x2))
        .set("y2", number(y2))
}

fn text(x: f64, y: f64, anchor: &'static str, text: &str) -> Element {
    element("text")
        .set("x", number(x))
        .set("y", number(y))
        .set("text-anchor", anchor)
        .text(text)
}

/// A coordinate: tenths of a pixel are enough.
fn number(value: f64) -> String {
    format!("{value:.1}")
}
