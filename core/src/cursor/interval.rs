//! The range of a reading, and the windows that it is divided into.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::value::{Codec, CursorValue, Extent};
use crate::{Json, Result};

/// The records that one sequence of pages is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Interval {
    /// Records below are left out.
    pub(super) lower: Option<CursorValue>,
    /// Whether those at it are left out, too.
    pub(super) lower_open: bool,
    /// Records beyond are left out.
    pub(super) upper: Option<Upper>,
    /// The values that expressions can name, as an object.
    pub(crate) values: Json,
    /// What a request sends as the start, and as the end.
    pub(crate) start: Option<Json>,
    pub(crate) end: Option<Json>,
}

/// The end of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Upper {
    /// It does not belong to the range.
    Below(CursorValue),
    /// It does.
    UpTo(CursorValue),
}

impl Upper {
    pub(super) fn holds(&self, value: &CursorValue) -> bool {
        match self {
            Self::Below(end) => value < end,
            Self::UpTo(end) => value <= end,
        }
    }
}

/// The range of a reading as it was asked for.
#[derive(Clone, Debug)]
pub(super) struct Range {
    pub(super) start: Option<CursorValue>,
    pub(super) start_open: bool,
    pub(super) end: Option<CursorValue>,
    pub(super) end_closed: bool,
    pub(super) step: Option<Extent>,
    pub(super) granularity: Option<Extent>,
    pub(super) initial: Option<CursorValue>,
    /// The beginning of the run.
    pub(super) now: DateTime<Utc>,
}

/// The windows of a range, made one after another.
#[derive(Debug)]
pub(super) struct Windows {
    range: Range,
    /// Where the next window begins; nothing at the end of the range.
    at: At,
    /// How many steps the last boundary is from the start.
    steps: i64,
}

#[derive(Debug)]
enum At {
    /// The first window.
    Start,
    Boundary(CursorValue),
    End,
}

impl Windows {
    pub(super) fn new(range: Range) -> Self {
        Self {
            range,
            at: At::Start,
            steps: 0,
        }
    }

    pub(super) fn range(&self) -> &Range {
        &self.range
    }

    /// The next window.
    ///
    /// # Errors
    /// When an end cannot be written in the format of requests.
    pub(super) fn next(&mut self, codec: &Codec) -> Result<Option<Interval>> {
        let range = &self.range;
        let (lower, first) = match std::mem::replace(&mut self.at, At::End) {
            At::End => return Ok(None),
            At::Start => (range.start.clone(), true),
            At::Boundary(boundary) => (Some(boundary), false),
        };
        let is_empty = |lower: &CursorValue, end: &CursorValue| {
            lower > end || (lower == end && (!range.end_closed || (first && range.start_open)))
        };
        if let (Some(lower), Some(end)) = (&lower, &range.end)
            && is_empty(lower, end)
        {
            return Ok(None);
        }
        // Windows without an end end now, but what is newer by then belongs to the last of them.
        let last = range.end.clone().or_else(|| codec.now(range.now));
        let boundary = match (range.step, &range.start, &lower, &last) {
            (Some(step), Some(start), Some(lower), Some(last)) => loop {
                self.steps += 1;
                // What requests cannot say cannot be a boundary.
                let Some(boundary) = start.shift(step, self.steps) else {
                    break None;
                };
                if boundary >= *last {
                    break None;
                }
                let boundary = codec.cut(&boundary);
                if boundary > *lower {
                    break Some(boundary);
                }
            },
            _ => None,
        };
        let lower_open = first && range.start_open;
        let interval = match boundary {
            Some(boundary) => {
                let said = range
                    .granularity
                    .and_then(|granularity| boundary.shift(granularity, -1))
                    .unwrap_or_else(|| boundary.clone());
                // A window is never said to end before it begins.
                let said = lower.clone().map_or(said.clone(), |lower| said.max(lower));
                let upper = Upper::Below(boundary.clone());
                self.at = At::Boundary(boundary);
                self.interval(codec, lower, lower_open, Some(upper), Some(&said), true)?
            }
            None => {
                let upper = self.range.end.clone().map(|end| {
                    if !self.range.end_closed {
                        return Upper::Below(end);
                    }
                    match codec.behind(&end) {
                        Some(behind) => Upper::Below(behind),
                        None => Upper::UpTo(end),
                    }
                });
                let said = match (&last, &lower) {
                    (Some(last), Some(lower)) => Some(last.max(lower).clone()),
                    (last, _) => last.clone(),
                };
                let sends = self.range.end.is_some() || self.range.step.is_some();
                self.interval(codec, lower, lower_open, upper, said.as_ref(), sends)?
            }
        };
        Ok(Some(interval))
    }

    fn interval(
        &self,
        codec: &Codec,
        lower: Option<CursorValue>,
        lower_open: bool,
        upper: Option<Upper>,
        end: Option<&CursorValue>,
        sends: bool,
    ) -> Result<Interval> {
        let written =
            |value: Option<&CursorValue>| value.map(|value| codec.request(value)).transpose();
        let start = written(lower.as_ref())?;
        let end = written(end)?;
        let initial = written(self.range.initial.as_ref())?;
        let values = json!({
            "start_value": start,
            "last_value": start,
            "start_time": start,
            "initial_value": initial,
            "end_value": end,
            "end_time": end,
        });
        Ok(Interval {
            lower,
            lower_open,
            upper,
            values,
            start,
            end: end.filter(|_| sends),
        })
    }
}

#[cfg(test)]
mod tests {
    use connector_plan::CursorKind;

    use super::*;

    struct Case {
        kind: CursorKind,
        format: &'static str,
        start: Json,
        end: Json,
        step: Json,
        granularity: Json,
        closed: bool,
    }

    impl Default for Case {
        fn default() -> Self {
            Self {
                kind: CursorKind::Timestamp,
                format: "%Y-%m-%d",
                start: Json::Null,
                end: Json::Null,
                step: Json::Null,
                granularity: Json::Null,
                closed: false,
            }
        }
    }

    /// What requests say of the windows, as `start..end`, and the range that records are kept of.
    #[track_caller]
    fn check(case: &Case, expect: &[&str]) {
        let mut plan = super::super::tests::plan(case.kind);
        case.format.clone_into(&mut plan.format);
        let codec = Codec::new(&plan).unwrap();
        let now = "2024-03-02T10:00:00Z".parse().unwrap();
        let mut windows = Windows::new(Range {
            start: codec.parse(&case.start),
            start_open: false,
            end: codec.parse(&case.end),
            end_closed: case.closed,
            step: codec.extent(&case.step),
            granularity: codec.extent(&case.granularity),
            initial: None,
            now,
        });
        let mut found = Vec::new();
        let mut last: Option<Upper> = None;
        while let Some(window) = windows.next(&codec).unwrap() {
            let text = |value: &Option<Json>| match value {
                Some(Json::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            };
            // Nothing is lost and nothing is twice: a window keeps what the one before has left.
            if let Some(Upper::Below(boundary)) = &last {
                assert_eq!(window.lower.as_ref(), Some(boundary));
            }
            last.clone_from(&window.upper);
            found.push(format!("{}..{}", text(&window.start), text(&window.end)));
        }
        assert_eq!(found, expect);
    }

    #[test]
    fn ranges_are_divided_at_what_requests_can_say() {
        check(&Case::default(), &[".."]);
        let case = || Case {
            start: json!("2024-01-31"),
            end: json!("2024-03-01"),
            ..Case::default()
        };
        check(&case(), &["2024-01-31..2024-03-01"]);
        check(
            &Case {
                step: json!("P1M"),
                ..case()
            },
            &["2024-01-31..2024-02-29", "2024-02-29..2024-03-01"],
        );
        check(
            &Case {
                step: json!("P10D"),
                granularity: json!("P1D"),
                ..case()
            },
            &[
                "2024-01-31..2024-02-09",
                "2024-02-10..2024-02-19",
                "2024-02-20..2024-03-01",
            ],
        );
        // The end is a boundary: no window without length.
        check(
            &Case {
                step: json!("15 days"),
                ..case()
            },
            &["2024-01-31..2024-02-15", "2024-02-15..2024-03-01"],
        );
        // Steps within a day cannot be said in days.
        check(
            &Case {
                start: json!("2024-01-31T10:00:00Z"),
                end: json!("2024-02-02"),
                step: json!("PT10H"),
                ..Case::default()
            },
            &["2024-01-31..2024-02-01", "2024-02-01..2024-02-02"],
        );
        check(
            &Case {
                start: json!("2024-02-28"),
                step: json!("P2D"),
                ..Case::default()
            },
            &["2024-02-28..2024-03-01", "2024-03-01..2024-03-02"],
        );
        // What lies in the future is read, too, without an end.
        check(
            &Case {
                start: json!("2030-01-01"),
                step: json!("P2D"),
                ..Case::default()
            },
            &["2030-01-01..2030-01-01"],
        );
    }

    #[test]
    fn empty_ranges_ask_for_nothing() {
        let case = |closed, end| Case {
            start: json!(5),
            end: json!(end),
            kind: CursorKind::Integer,
            format: "",
            closed,
            ..Case::default()
        };
        check(&case(false, 5), &[]);
        check(&case(true, 5), &["5..5"]);
        check(&case(true, 4), &[]);
        check(&case(false, 6), &["5..6"]);
        check(
            &Case {
                step: json!(2),
                ..case(false, 10)
            },
            &["5..7", "7..9", "9..10"],
        );
        check(
            &Case {
                step: json!(2),
                granularity: json!(1),
                ..case(true, 9)
            },
            &["5..6", "7..9"],
        );
        let edge = Case {
            start: json!(i64::MAX - 3),
            ..case(true, i64::MAX)
        };
        check(
            &Case {
                step: json!(2),
                ..edge
            },
            &[
                "9223372036854775804..9223372036854775806",
                "9223372036854775806..9223372036854775807",
            ],
        );
    }
}
