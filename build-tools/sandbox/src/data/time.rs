//! Instants and dates, in every format that a plan can declare.

use std::fmt::Write as _;

use chrono::format::{Item, StrftimeItems};

use super::json::{push_digits, push_u64};

/// 2024-01-01T00:00:00Z in seconds.
const START: u64 = 1_704_067_200;

/// Seconds from one record to the next: 1,250 records span nine days, a million 19 years.
const STEP: u64 = 599;

const DAY: u64 = 86_400;

/// One of the formats of a timestamp field.
#[derive(Debug)]
pub(crate) enum Format {
    Rfc3339,
    EpochSeconds,
    EpochMilliseconds,
    /// The pieces between `%f`, which is six digits of microseconds as in Python's `strptime`.
    Pieces(Vec<String>),
}

impl Format {
    pub(crate) fn new(format: &str) -> Result<Self, String> {
        Ok(match format {
            "rfc3339" => Self::Rfc3339,
            "epoch_seconds" => Self::EpochSeconds,
            "epoch_milliseconds" => Self::EpochMilliseconds,
            _ => {
                let pieces = pieces(format);
                let known = |piece: &String| {
                    StrftimeItems::new(piece).all(|item| !matches!(item, Item::Error))
                };
                if !pieces.iter().all(known) {
                    return Err(format!("`{format}` is not a timestamp format"));
                }
                Self::Pieces(pieces)
            }
        })
    }

    /// Writes an instant as a JSON value.
    pub(crate) fn push(&self, out: &mut Vec<u8>, instant: Instant) {
        match self {
            Self::Rfc3339 => {
                out.push(b'"');
                push_rfc3339(out, instant);
                out.push(b'"');
            }
            Self::EpochSeconds => push_u64(out, instant.seconds),
            Self::EpochMilliseconds => {
                push_u64(
                    out,
                    instant.seconds * 1_000 + u64::from(instant.micros) / 1_000,
                );
            }
            Self::Pieces(pieces) => {
                let mut text = String::new();
                for (i, piece) in pieces.iter().enumerate() {
                    if i > 0 {
                        let mut micros = Vec::new();
                        push_digits(&mut micros, instant.micros.into(), 6);
                        text.extend(micros.into_iter().map(char::from));
                    }
                    let seconds = i64::try_from(instant.seconds).unwrap_or_default();
                    if let Some(time) =
                        chrono::DateTime::from_timestamp(seconds, instant.micros * 1_000)
                    {
                        // `new` has checked the format, so that writing it cannot fail.
                        let written = write!(text, "{}", time.format(piece));
                        debug_assert!(written.is_ok());
                    }
                }
                out.push(b'"');
                super::json::push_escaped(out, &text, false);
                out.push(b'"');
            }
        }
    }
}

/// The texts around every `%f` of a format; `%%` stands for itself.
fn pieces(format: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        let conversion = if character == '%' {
            characters.next()
        } else {
            None
        };
        if conversion == Some('f') {
            pieces.push(String::new());
        } else if let Some(piece) = pieces.last_mut() {
            piece.push(character);
            piece.extend(conversion);
        }
    }
    pieces
}

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant {
    pub(crate) seconds: u64,
    pub(crate) micros: u32,
    /// The offset in which RFC 3339 writes it.
    offset_minutes: u32,
}

impl Instant {
    /// The instant of a position in time: later positions give later instants.
    pub(crate) fn new(position: u64, random: u64) -> Self {
        let micros = match random % 5 {
            0 => (random >> 32) % 1_000_000,
            1 => (random >> 32) % 1_000 * 1_000,
            _ => 0,
        };
        Self {
            seconds: START + (position % 500_000_000) * STEP + (random >> 8) % STEP,
            micros: micros as u32,
            offset_minutes: if random.is_multiple_of(23) { 330 } else { 0 },
        }
    }
}

/// Writes an instant as RFC 3339 says.
pub(crate) fn push_rfc3339(out: &mut Vec<u8>, instant: Instant) {
    let local = instant.seconds + u64::from(instant.offset_minutes) * 60;
    push_date(out, local / DAY);
    out.push(b'T');
    for (unit, end) in [(3_600, b':'), (60, b':'), (1, b'.')] {
        push_digits(
            out,
            local % DAY / unit % if unit == 3_600 { 24 } else { 60 },
            2,
        );
        out.push(end);
    }
    match instant.micros {
        0 => {
            out.pop();
        }
        micros if micros % 1_000 == 0 => push_digits(out, u64::from(micros) / 1_000, 3),
        micros => push_digits(out, micros.into(), 6),
    }
    if instant.offset_minutes == 0 {
        out.push(b'Z');
    } else {
        out.push(b'+');
        push_digits(out, u64::from(instant.offset_minutes) / 60, 2);
        out.push(b':');
        push_digits(out, u64::from(instant.offset_minutes) % 60, 2);
    }
}

/// Days after 2000-01-01 as the days that [`push_date`] takes; the year stays below 9000.
pub(crate) fn days_after_2000(days: u64) -> u64 {
    10_957 + days % 2_500_000
}

/// Writes a date from the days since 1970-01-01, in the proleptic Gregorian calendar.
pub(crate) fn push_date(out: &mut Vec<u8>, days: u64) {
    // Years that begin in March put the leap day at their end.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    push_digits(out, era * 400 + year_of_era + next, 4);
    out.push(b'-');
    push_digits(out, month, 2);
    out.push(b'-');
    push_digits(out, day, 2);
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Datelike, NaiveDate};

    use super::{Format, Instant, push_date, push_rfc3339};
    use crate::random::mix;

    #[test]
    fn dates_agree_with_chrono() {
        for days in (0..2_500_000_u64).step_by(97).chain(18_000..20_000) {
            let mut out = Vec::new();
            push_date(&mut out, days);
            let text = String::from_utf8(out).unwrap();
            let expect = NaiveDate::from_num_days_from_ce_opt(719_163 + days as i32).unwrap();
            assert_eq!(text, expect.to_string(), "{days}");
            assert!(expect.year() < 10_000);
        }
    }

    #[test]
    fn timestamps_agree_with_chrono_and_increase() {
        let mut last = None;
        for position in 0..2_000 {
            let instant = Instant::new(position, mix(position));
            let mut out = Vec::new();
            push_rfc3339(&mut out, instant);
            let text = String::from_utf8(out).unwrap();
            let read = DateTime::parse_from_rfc3339(&text).unwrap();
            assert_eq!(read.timestamp(), instant.seconds as i64, "{text}");
            assert_eq!(read.timestamp_subsec_micros(), instant.micros, "{text}");
            assert!(last < Some(read), "{text}");
            last = Some(read);
        }
    }

    #[track_caller]
    fn check(format: &str, expect: &str) {
        let instant = Instant {
            seconds: 1_704_067_205,
            micros: 12_000,
            offset_minutes: 0,
        };
        let mut out = Vec::new();
        Format::new(format).unwrap().push(&mut out, instant);
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }

    #[test]
    fn formats() {
        check("rfc3339", "\"2024-01-01T00:00:05.012Z\"");
        check("epoch_seconds", "1704067205");
        check("epoch_milliseconds", "1704067205012");
        check("%Y-%m-%d %H:%M:%S", "\"2024-01-01 00:00:05\"");
        check(
            "%Y-%m-%dT%H:%M:%S.%f%z",
            "\"2024-01-01T00:00:05.012000+0000\"",
        );
        check("%Y%%f", "\"2024%f\"");
        check("%S%.3f", "\"05.012\"");
        assert!(Format::new("%Q!").is_err());
    }
}
