//! Incremental reading: the cursor of a resource and the part of its records that a run asks for.

use serde::{Deserialize, Serialize};

use crate::{Path, Target, Template};

/// The cursor of a resource and the part of its records that a run asks for.
///
/// A run reads the records from a start to an end. The start is where the last run came to (the
/// largest cursor of its records) less `lag`, or `initial` before the first run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incremental {
    /// The way to the cursor, through declared fields.
    pub cursor: Path,
    /// How cursors are compared.
    pub kind: CursorKind,
    /// How records write an instant, in the order in which the formats are tried; empty when the
    /// field has the type of the cursor itself.
    pub record_formats: Vec<String>,
    /// How requests write an instant or a date; also how `initial` and `end` may be written.
    pub format: String,
    /// Further formats of `initial` and `end`.
    pub value_formats: Vec<String>,
    /// Where the first run starts; from the beginning without it.
    pub initial: Option<Template>,
    /// Where every run ends; without it there is no end.
    pub end: Option<Template>,
    /// Where requests carry the start.
    pub start_target: Option<Target>,
    /// Where requests carry the end.
    pub end_target: Option<Target>,
    /// Whether records that have exactly the start are left out.
    pub start_open: bool,
    /// Whether records that have exactly the end belong to it.
    pub end_closed: bool,
    /// The length of the windows that the range is read in, one after another: the text of
    /// [`Length::parse`], or a number of the cursor's units.
    pub step: Option<Template>,
    /// The smallest difference that the API knows, by which a window ends before the next begins;
    /// without it windows touch.
    pub granularity: Option<Template>,
    /// How far before the last run's end the next one starts.
    pub lag: Option<Template>,
    /// Whether records outside of the range are dropped, whatever the API sends.
    pub client_side: bool,
    /// The order in which the API gives the records, which lets reading stop early.
    pub row_order: Option<RowOrder>,
    /// What happens to records without a cursor.
    pub missing: MissingCursor,
    /// The names by which expressions know the start and the end as values of the partition.
    pub names: [String; 2],
}

/// How cursors are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CursorKind {
    /// Instants, in microseconds.
    Timestamp,
    /// Days.
    Date,
    /// 64-bit integers.
    Integer,
    /// Decimal numbers with so many digits behind the point.
    Decimal(u8),
    /// Texts, byte by byte.
    String,
}

/// The order of an API's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowOrder {
    /// Smaller cursors first.
    Ascending,
    /// Larger cursors first.
    Descending,
}

/// What happens to records without a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingCursor {
    /// The run fails.
    Raise,
    /// They are kept.
    Include,
    /// They are dropped and counted.
    Exclude,
}

/// A length of time: months by the calendar, the rest exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Length {
    /// Calendar months.
    pub months: u32,
    /// Microseconds beside them; a day has 24 hours.
    pub micros: i64,
}

impl Length {
    /// Reads an ISO 8601 duration such as `P1D`, `P1M` or `PT1H30M`, or words such as `7d`,
    /// `12 hours` or `1 month`. Fractions are for seconds only (`PT0.001S`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(iso) = text.strip_prefix('P') {
            return Self::iso(iso);
        }
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = text[..digits].parse().ok()?;
        let unit = text[digits..].trim_start().to_ascii_lowercase();
        let unit = match unit.strip_suffix('s') {
            Some(one) if !one.is_empty() => one,
            _ => unit.as_str(),
        };
        let micros = match unit {
            "y" | "year" => return Self::of_months(number.checked_mul(12)?),
            "mo" | "month" => return Self::of_months(number),
            "w" | "week" => 604_800 * SECOND,
            "d" | "day" => 86_400 * SECOND,
            "h" | "hour" => 3_600 * SECOND,
            "m" | "min" | "minute" => 60 * SECOND,
            "s" | "sec" | "second" => SECOND,
            _ => return None,
        };
        Some(Self {
            months: 0,
            micros: number.checked_mul(micros)?,
        })
    }

    /// Whether it is no time at all.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }

    fn of_months(months: i64) -> Option<Self> {
        Some(Self {
            months: u32::try_from(months).ok()?,
            micros: 0,
        })
    }

    /// What stands behind the `P`.
    fn iso(mut rest: &str) -> Option<Self> {
        let mut length = Self::default();
        let (mut time, mut any) = (false, false);
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('T') {
                if time || after.is_empty() {
                    return None;
                }
                time = true;
                rest = after;
                continue;
            }
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, unit) = (&rest[..end], rest.as_bytes()[end]);
            let whole = || number.parse::<i64>().ok();
            let micros = match (unit, time) {
                (b'Y' | b'M', false) => {
                    let by = if unit == b'Y' { 12 } else { 1 };
                    let months = Self::of_months(whole()?.checked_mul(by)?)?.months;
                    length.months = length.months.checked_add(months)?;
                    0
                }
                (b'W', false) => whole()?.checked_mul(604_800 * SECOND)?,
                (b'D', false) => whole()?.checked_mul(86_400 * SECOND)?,
                (b'H', true) => whole()?.checked_mul(3_600 * SECOND)?,
                (b'M', true) => whole()?.checked_mul(60 * SECOND)?,
                (b'S', true) => seconds(number)?,
                _ => return None,
            };
            length.micros = length.micros.checked_add(micros)?;
            any = true;
            rest = &rest[end + 1..];
        }
        any.then_some(length)
    }
}

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;

/// Microseconds of `1.5` and the like; nothing when they cannot say it.
fn seconds(number: &str) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 6 || (number.contains('.') && fraction.is_empty()) {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6}").parse().ok()?;
    whole
        .parse::<i64>()
        .ok()?
        .checked_mul(SECOND)?
        .checked_add(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read() {
        #[track_caller]
        fn check(text: &str, expect: Option<(u32, i64)>) {
            let found = Length::parse(text).map(|length| (length.months, length.micros));
            assert_eq!(found, expect, "{text}");
        }
        const DAY: i64 = 86_400 * SECOND;
        check("P1D", Some((0, DAY)));
        check("P1W", Some((0, 7 * DAY)));
        check("P1M", Some((1, 0)));
        check("P1Y2M3D", Some((14, 3 * DAY)));
        check("PT1H", Some((0, 3_600 * SECOND)));
        check("PT1M", Some((0, 60 * SECOND)));
        check("P180DT1S", Some((0, 180 * DAY + SECOND)));
        check("PT0S", Some((0, 0)));
        check("PT0.000001S", Some((0, 1)));
        check("PT0.1S", Some((0, 100_000)));
        check("7d", Some((0, 7 * DAY)));
        check("1 day", Some((0, DAY)));
        check("30 days", Some((0, 30 * DAY)));
        check("12 hours", Some((0, 43_200 * SECOND)));
        check("90s", Some((0, 90 * SECOND)));
        check("2 months", Some((2, 0)));
        check("1y", Some((12, 0)));
        for wrong in [
            "",
            "P",
            "PT",
            "P1",
            "1",
            "d",
            "P1H",
            "PT1D",
            "P1.5D",
            "PT0.0000001S",
            "P1DT",
            "-1d",
            "P-1D",
            "1 fortnight",
            "PT1.S",
            "P99999999999Y",
            "PT1HT1S",
            "s",
        ] {
            check(wrong, None);
        }
    }
}
