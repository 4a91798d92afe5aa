//! The charts of the report: what each shows of the runs.

use connector_dataset::{ColumnChange, LoadReport};

use super::buckets::{Bucket, Grain};
use super::chart::{Chart, Form, Series};
use super::html::{Element, element};
use super::scale::Unit;
use crate::cli::table::{bytes, count, duration, many};
use crate::run::{ResourceRecord, RunRecord};

/// The reasons for waits that are listed.
const REASONS: usize = 5;

/// All charts.
pub(super) fn section(grain: Grain, buckets: &[Bucket<'_>], records: &[RunRecord]) -> Element {
    let each = match grain {
        Grain::Run => "each bar is a run".to_owned(),
        other => format!("each bar is a {} of runs", other.name()),
    };
    let title = format!("Runs over time, {each}");
    let waits = waits(buckets, records);
    element("section").child(element("h2").text(title)).child(
        element("div")
            .set("class", "charts")
            .child(rows(buckets).figure())
            .child(datasets(buckets, records).figure())
            .child(stages(buckets).figure())
            .child(received(buckets).figure())
            .child(written(buckets).figure())
            .child(retries(buckets).figure())
            .child(waits)
            .child(changes(buckets).figure()),
    )
}

/// A number of each bucket: the sum over the resources of its runs.
fn sums(buckets: &[Bucket<'_>], of: impl Fn(&ResourceRecord) -> f64) -> Vec<f64> {
    let sum = |bucket: &Bucket<'_>| {
        let entries = bucket.runs.iter().flat_map(|run| &run.resources);
        entries.map(&of).sum()
    };
    buckets.iter().map(sum).collect()
}

fn series(name: &'static str, class: &'static str, values: Vec<f64>) -> Series {
    Series {
        name,
        class,
        values,
    }
}

fn total(series: &Series) -> u64 {
    series.values.iter().sum::<f64>() as u64
}

fn rows<'a>(buckets: &'a [Bucket<'a>]) -> Chart<'a> {
    let loaded = |of: fn(&LoadReport) -> u64| move |entry: &ResourceRecord| entry.loaded(of) as f64;
    let rest = |entry: &ResourceRecord| match &entry.load {
        Some(load) => entry.rows_read.saturating_sub(load.inserted + load.updated) as f64,
        None => 0.0,
    };
    let lost = |entry: &ResourceRecord| match (&entry.load, &entry.error) {
        (None, Some(_)) => entry.rows_read as f64,
        _ => 0.0,
    };
    let series = vec![
        series("new", "c1", sums(buckets, loaded(|load| load.inserted))),
        series("updated", "c2", sums(buckets, loaded(|load| load.updated))),
        series("unchanged or repeated", "c3", sums(buckets, rest)),
        series("not published", "cbad", sums(buckets, lost)),
    ];
    let [new, updated] = [0, 1].map(|at| series.get(at).map_or(0, total));
    Chart {
        id: "rows",
        title: "Rows read",
        summary: format!("{} new, {} updated in all", count(new), count(updated)),
        unit: Unit::Count,
        form: Form::Bars,
        buckets,
        series,
    }
}

/// The rows of all datasets after each bucket: those that a run does not publish stay.
fn datasets<'a>(buckets: &'a [Bucket<'a>], records: &[RunRecord]) -> Chart<'a> {
    let mut rows = std::collections::BTreeMap::new();
    let mut add = |run: &RunRecord| -> u64 {
        for entry in &run.resources {
            if let Some(load) = &entry.load {
                rows.insert(entry.name.clone(), load.rows_written);
            }
        }
        rows.values().sum()
    };
    // Runs that are too old to be shown count, too.
    let shown: usize = buckets.iter().map(|bucket| bucket.runs.len()).sum();
    for run in records.iter().take(records.len() - shown) {
        add(run);
    }
    let values: Vec<f64> = buckets
        .iter()
        .map(|bucket| bucket.runs.iter().map(|run| add(run)).last().unwrap_or(0) as f64)
        .collect();
    let last = values.last().copied().unwrap_or_default();
    Chart {
        id: "datasets",
        title: "Rows in the datasets",
        summary: format!("{} after the last run", count(last as u64)),
        unit: Unit::Count,
        form: Form::Line,
        buckets,
        series: vec![series("rows", "c1", values)],
    }
}

fn stages<'a>(buckets: &'a [Bucket<'a>]) -> Chart<'a> {
    let series = vec![
        series("fetch", "c1", sums(buckets, |entry| entry.stages.fetch)),
        series("decode", "c2", sums(buckets, |entry| entry.stages.decode)),
        series("encode", "c5", sums(buckets, |entry| entry.stages.encode)),
        series("publish", "c4", sums(buckets, |entry| entry.stages.publish)),
    ];
    let most = series
        .iter()
        .max_by_key(|series| (series.values.iter().sum::<f64>() * 1e6) as u64);
    Chart {
        id: "stages",
        title: "Time by stage",
        summary: format!(
            "Most goes to {}. Stages and resources run beside each other, so that the sum is more than a run takes.",
            most.map_or("nothing", |series| series.name)
        ),
        unit: Unit::Seconds,
        form: Form::Bars,
        buckets,
        series,
    }
}

fn received<'a>(buckets: &'a [Bucket<'a>]) -> Chart<'a> {
    let all = series(
        "received",
        "c2",
        sums(buckets, |entry| entry.reading.bytes_read as f64),
    );
    Chart {
        id: "received",
        title: "Bytes received",
        summary: format!("{} in all, decompressed", bytes(total(&all))),
        unit: Unit::Bytes,
        form: Form::Bars,
        buckets,
        series: vec![all],
    }
}

fn written<'a>(buckets: &'a [Bucket<'a>]) -> Chart<'a> {
    let of = |entry: &ResourceRecord| entry.loaded(|load| load.bytes_added) as f64;
    let all = series("written", "c5", sums(buckets, of));
    Chart {
        id: "written",
        title: "Bytes written",
        summary: format!("{} of Parquet in all", bytes(total(&all))),
        unit: Unit::Bytes,
        form: Form::Bars,
        buckets,
        series: vec![all],
    }
}

fn retries<'a>(buckets: &'a [Bucket<'a>]) -> Chart<'a> {
    let all = series(
        "retries",
        "c4",
        sums(buckets, |entry| entry.reading.retries as f64),
    );
    let requests: f64 = sums(buckets, |entry| entry.reading.requests as f64)
        .iter()
        .sum();
    Chart {
        id: "retries",
        title: "Retries",
        summary: format!(
            "{} of {} requests were sent again",
            count(total(&all)),
            count(requests as u64)
        ),
        unit: Unit::Count,
        form: Form::Bars,
        buckets,
        series: vec![all],
    }
}

fn changes<'a>(buckets: &'a [Bucket<'a>]) -> Chart<'a> {
    let of = |kind: ColumnChange| {
        sums(buckets, |entry| {
            let changes = entry.load.iter().flat_map(|load| &load.schema_changes);
            changes.filter(|change| change.change == kind).count() as f64
        })
    };
    let series = vec![
        series("new", "c1", of(ColumnChange::Added)),
        series("wider", "c2", of(ColumnChange::Widened)),
        series("nullable", "c5", of(ColumnChange::Nullable)),
        series("no longer loaded", "c4", of(ColumnChange::Absent)),
    ];
    let all = series.iter().map(total).sum();
    Chart {
        id: "changes",
        title: "Changes of columns",
        summary: format!("{} in all, listed below", count(all)),
        unit: Unit::Count,
        form: Form::Bars,
        buckets,
        series,
    }
}

/// The time spent waiting, and what for.
fn waits(buckets: &[Bucket<'_>], records: &[RunRecord]) -> Element {
    let all = series(
        "waits",
        "c4",
        sums(buckets, |entry| entry.reading.waited_seconds),
    );
    let seconds: f64 = all.values.iter().sum();
    let chart = Chart {
        id: "waits",
        title: "Waits before retries",
        summary: match seconds > 0.0 {
            true => format!("{} in all", duration(seconds)),
            false => "Nothing had to be waited for".to_owned(),
        },
        unit: Unit::Seconds,
        form: Form::Bars,
        buckets,
        series: vec![all],
    };
    let mut reasons: Vec<(&str, u64, f64)> = Vec::new();
    let entries = records.iter().flat_map(|run| &run.resources);
    for wait in entries.flat_map(|entry| &entry.reading.waits) {
        match reasons
            .iter_mut()
            .find(|(reason, ..)| *reason == wait.reason)
        {
            Some((_, waits, seconds)) => {
                *waits += wait.waits;
                *seconds += wait.seconds;
            }
            None => reasons.push((&wait.reason, wait.waits, wait.seconds)),
        }
    }
    reasons.sort_by(|one, other| other.2.total_cmp(&one.2).then(other.1.cmp(&one.1)));
    if reasons.is_empty() {
        return chart.figure();
    }
    let items = reasons
        .iter()
        .take(REASONS)
        .map(|(reason, waits, seconds)| {
            element("li").text(format!(
                "{reason}: {}, {}",
                many(*waits, "time"),
                duration(*seconds)
            ))
        });
    let list = element("ul").set("class", "told soft").children(items);
    chart.figure().child(list)
}
