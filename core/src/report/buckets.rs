//! Runs in groups, few enough to be seen: one by one, or by hour, day, week or month.

use chrono::{DateTime, Datelike as _, Days, NaiveDate, Utc};

use crate::run::RunRecord;

/// The groups that a chart has room for.
const MOST: usize = 90;

/// What one group of runs spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grain {
    Run,
    Hour,
    Day,
    Week,
    Month,
}

/// Runs that one bar stands for.
#[derive(Clone, Debug)]
pub(super) struct Bucket<'a> {
    /// When they were, in full.
    pub label: String,
    /// When they were, for an axis.
    pub short: String,
    /// The oldest first.
    pub runs: Vec<&'a RunRecord>,
}

impl Grain {
    /// What a bar stands for.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The label in full and the one for an axis.
    fn labels(self, instant: DateTime<Utc>) -> (String, String) {
        let format = |format: &str| instant.format(format).to_string();
        match self {
            Self::Run => (format("%Y-%m-%d %H:%M:%S UTC"), format("%b %-d, %H:%M")),
            Self::Hour => (format("%Y-%m-%d %H:00 UTC"), format("%b %-d, %H:00")),
            Self::Day => (format("%Y-%m-%d"), format("%b %-d")),
            Self::Week => {
                let days = u64::from(instant.weekday().num_days_from_monday());
                let monday = instant.date_naive() - Days::new(days);
                let show = |format: &str| NaiveDate::format(&monday, format).to_string();
                (show("week of %Y-%m-%d"), show("%b %-d"))
            }
            Self::Month => (format("%B %Y"), format("%b %Y")),
        }
    }
}

/// Groups runs, the oldest first, as finely as there is room; what is too old even for months is
/// left out.
pub(super) fn buckets(records: &[RunRecord]) -> (Grain, Vec<Bucket<'_>>) {
    if records.len() <= MOST {
        return (Grain::Run, group(records, Grain::Run));
    }
    for grain in [Grain::Hour, Grain::Day, Grain::Week] {
        let buckets = group(records, grain);
        if buckets.len() <= MOST {
            return (grain, buckets);
        }
    }
    let mut months = group(records, Grain::Month);
    months.drain(..months.len().saturating_sub(MOST));
    (Grain::Month, months)
}

fn group(records: &[RunRecord], grain: Grain) -> Vec<Bucket<'_>> {
    let mut buckets: Vec<Bucket<'_>> = Vec::new();
    for record in records {
        let unknown = || ("at an unknown time".to_owned(), "?".to_owned());
        let labels = record.started_at.map(|instant| grain.labels(instant));
        let (label, short) = labels.unwrap_or_else(unknown);
        match buckets.last_mut() {
            Some(last) if grain != Grain::Run && last.label == label => last.runs.push(record),
            _ => buckets.push(Bucket {
                label,
                short,
                runs: vec![record],
            }),
        }
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(minutes: i64, runs: i64) -> Vec<RunRecord> {
        let first = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let at = |run| first + chrono::TimeDelta::minutes(run * minutes);
        let record = |run| RunRecord {
            started_at: Some(at(run)),
            ..RunRecord::default()
        };
        (0..runs).map(record).collect()
    }

    #[track_caller]
    fn check(minutes: i64, runs: i64, grain: Grain, buckets: usize) {
        let records = every(minutes, runs);
        let (found, grouped) = super::buckets(&records);
        assert_eq!(
            (found, grouped.len()),
            (grain, buckets),
            "{runs} every {minutes} min"
        );
        let grouped: usize = grouped.iter().map(|bucket| bucket.runs.len()).sum();
        assert_eq!(grouped, records.len());
    }

    #[test]
    fn runs_are_grouped_as_finely_as_there_is_room() {
        check(60, 0, Grain::Run, 0);
        check(60, 90, Grain::Run, 90);
        check(10, 300, Grain::Hour, 50);
        check(60, 1_000, Grain::Day, 42);
        check(1_440, 500, Grain::Week, 72);
        check(10_080, 300, Grain::Month, 70);
        // 2027-01-15 was a Friday.
        let (_, weeks) = buckets(&every(1_440, 100)[..]).1.split_first().map_or_else(
            || (String::new(), Vec::<String>::new()),
            |(first, rest)| {
                (
                    first.label.clone(),
                    rest.iter().map(|b| b.label.clone()).collect(),
                )
            },
        );
        assert_eq!(
            weeks.first().map(String::as_str),
            Some("week of 2027-01-18")
        );
    }
}
