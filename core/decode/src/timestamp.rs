//! Instants and dates from text and numbers, exact to the microsecond or not at all.

use chrono::format::{Item, Parsed, StrftimeItems, parse};

use crate::error::{Error, ErrorKind};
use crate::number::exact;

/// One way to write an instant, prepared for parsing.
#[derive(Clone, Debug)]
pub struct TimestampFormat(Format);

#[derive(Clone, Debug)]
enum Format {
    Rfc3339,
    /// A number of units since 1970, of which a second has 10^this.
    Epoch(u32),
    /// The forms that one pattern stands for.
    Pattern(Vec<Vec<Item<'static>>>),
}

impl TimestampFormat {
    /// A format by its name or pattern.
    ///
    /// Names are `rfc3339`, `epoch_seconds` and `epoch_milliseconds`; `%s`, `%s_as_float` and
    /// `%ms` mean the latter two. Anything else is a pattern of strptime as Python writes them
    /// (`%f` is a fraction of up to six digits, `%z` also takes `Z`, `%Z` is `UTC`, `GMT` or `Z`).
    ///
    /// # Errors
    ///
    /// An error of kind [`ErrorKind::Configuration`] for a pattern with an unknown directive.
    pub fn new(format: &str) -> Result<Self, Error> {
        Ok(Self(match format {
            "rfc3339" => Format::Rfc3339,
            "epoch_seconds" | "%s" | "%s_as_float" => Format::Epoch(0),
            "epoch_milliseconds" | "%ms" => Format::Epoch(3),
            pattern => Format::Pattern(
                if pattern.contains("%Z") {
                    ["UTC", "GMT", "Z"]
                        .map(|zone| items(&pattern.replace("%Z", zone)))
                        .into_iter()
                        .collect::<Result<_, _>>()
                } else {
                    items(pattern).map(|items| vec![items])
                }
                .map_err(|source| {
                    Error::new(
                        ErrorKind::Configuration,
                        format!("`{pattern}` is no timestamp format"),
                    )
                    .with_hint(
                        "use `rfc3339`, `epoch_seconds`, `epoch_milliseconds` or a pattern like \
                         `%Y-%m-%d %H:%M:%S`",
                    )
                    .with_source(source)
                })?,
            ),
        }))
    }

    /// Whether numbers are written in this format.
    pub(crate) fn is_epoch(&self) -> bool {
        matches!(self.0, Format::Epoch(_))
    }

    pub(crate) fn is_rfc3339(&self) -> bool {
        matches!(self.0, Format::Rfc3339)
    }
}

/// chrono's items for a pattern in Python's dialect.
fn items(pattern: &str) -> Result<Vec<Item<'static>>, chrono::ParseError> {
    let pattern = pattern
        .replace(".%f", "%.f")
        .replace("%f", "%6f")
        .replace("%z", "%#z");
    StrftimeItems::new(&pattern).parse_to_owned()
}

/// Microseconds since 1970-01-01T00:00:00Z of an instant written in a format.
///
/// Nothing when the text is not in the format, or when the microseconds would not say the same:
/// more than six decimals that are not zero, a leap second (`:60`), an instant outside of the years
/// 0 to 9999 (patterns: ±262,000; numbers: 64 bits of microseconds). `24:00` is in none of the
/// formats. Without a zone it is UTC; a pattern without a time of day means midnight.
#[must_use]
pub fn parse_timestamp(text: &str, format: &TimestampFormat) -> Option<i64> {
    match &format.0 {
        Format::Rfc3339 => match rfc3339(text.as_bytes()) {
            Some((micros, length)) if length == text.len() => Some(micros),
            _ => None,
        },
        Format::Epoch(digits) => i64::try_from(exact(text.as_bytes(), 6 - digits)?).ok(),
        Format::Pattern(forms) => forms.iter().find_map(|items| pattern(text, items)),
    }
}

fn pattern(text: &str, items: &[Item<'static>]) -> Option<i64> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, items.iter()).ok()?;
    let offset = parsed.offset().unwrap_or(0);
    let local = if parsed.timestamp().is_none()
        && parsed.hour_div_12().is_none()
        && parsed.hour_mod_12().is_none()
    {
        parsed
            .to_naive_date()
            .ok()?
            .and_time(chrono::NaiveTime::MIN)
    } else {
        parsed.to_naive_datetime_with_offset(offset).ok()?
    };
    let local = local.and_utc();
    let nanos = local.timestamp_subsec_nanos();
    // chrono shows a leap second as a second of more than 10^9 nanoseconds and drops digits beyond
    // the ninth.
    if nanos >= 1_000_000_000 || nanos % 1_000 != 0 || has_tenth_digit(text.as_bytes()) {
        return None;
    }
    Some(local.timestamp_micros() - i64::from(offset) * MICROS)
}

/// Whether some fraction has more than nine digits with one behind the ninth that counts.
fn has_tenth_digit(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'.').skip(1).any(|fraction| {
        fraction
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .skip(9)
            .any(|byte| *byte != b'0')
    })
}

const MICROS: i64 = 1_000_000;

/// Reads an instant of RFC 3339 at the start of `text`: its microseconds and its length.
///
/// A space or `t` may stand for `T`, the zone may be missing (UTC) or written `+05` or `+0530`.
#[inline]
pub(crate) fn rfc3339(text: &[u8]) -> Option<(i64, usize)> {
    let head: &[u8; 19] = text.first_chunk()?;
    let days = civil_days(head.first_chunk()?)?;
    let hour = two_digits(head[11], head[12]);
    let minute = two_digits(head[14], head[15]);
    let second = two_digits(head[17], head[18]);
    if !matches!(head[10], b'T' | b't' | b' ')
        || head[13] != b':'
        || head[16] != b':'
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    let seconds = i64::from(days) * 86_400 + i64::from(hour * 3_600 + minute * 60 + second);
    let mut micros = seconds * MICROS;
    let mut at = 19;
    if text.get(at) == Some(&b'.') {
        let (fraction, length) = fraction(&text[at + 1..])?;
        micros += fraction;
        at += 1 + length;
    }
    match text.get(at) {
        Some(b'Z' | b'z') => Some((micros, at + 1)),
        Some(b'+' | b'-') => {
            let (offset, length) = offset(&text[at..])?;
            Some((micros - offset * MICROS, at + length))
        }
        _ => Some((micros, at)),
    }
}

/// Microseconds and length of a run of digits behind the point.
fn fraction(text: &[u8]) -> Option<(i64, usize)> {
    let mut micros = 0;
    let mut unit = 100_000;
    let mut length = 0;
    while let Some(digit) = text.get(length).map(|byte| byte.wrapping_sub(b'0'))
        && digit <= 9
    {
        if unit == 0 && digit != 0 {
            return None;
        }
        micros += i64::from(digit) * unit;
        unit /= 10;
        length += 1;
    }
    (length > 0).then_some((micros, length))
}

/// Seconds east of Greenwich and length of `+05:30`, `+0530` or `+05`.
fn offset(text: &[u8]) -> Option<(i64, usize)> {
    let hours = two_digits(*text.get(1)?, *text.get(2)?);
    let (minutes, length) = match text.get(3..) {
        Some([b':', tens, ones, ..]) => (two_digits(*tens, *ones), 6),
        Some([tens @ b'0'..=b'9', ones, ..]) => (two_digits(*tens, *ones), 5),
        _ => (0, 3),
    };
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = i64::from(hours * 3_600 + minutes * 60);
    Some((
        if text.first() == Some(&b'-') {
            -seconds
        } else {
            seconds
        },
        length,
    ))
}

/// Days since 1970-01-01 of a date like `2026-01-31`, of years 0 to 9999.
#[must_use]
pub fn parse_date(text: &str) -> Option<i32> {
    civil_days(text.as_bytes().try_into().ok()?)
}

#[inline]
fn civil_days(text: &[u8; 10]) -> Option<i32> {
    let century = two_digits(text[0], text[1]);
    let year_of_century = two_digits(text[2], text[3]);
    let month = two_digits(text[5], text[6]);
    let day = two_digits(text[8], text[9]);
    if century > 99
        || year_of_century > 99
        || text[4] != b'-'
        || text[7] != b'-'
        || !(1..=12).contains(&month)
        || day == 0
    {
        return None;
    }
    let year = century * 100 + year_of_century;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day > length {
        return None;
    }
    // Years that begin in March put the leap day last (Hinnant, `days_from_civil`); 400 more years
    // keep it positive.
    let march_year = year + 400 - u32::from(month <= 2);
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let days =
        march_year * 365 + march_year / 4 - march_year / 100 + march_year / 400 + day_of_year;
    // Less the 400 years and the 719,468 days from 0000-03-01 to 1970-01-01.
    Some(days.cast_signed() - 146_097 - 719_468)
}

/// The number that two digits are; more than 99 when they are not digits.
#[inline]
fn two_digits(tens: u8, ones: u8) -> u32 {
    let tens = u32::from(tens.wrapping_sub(b'0'));
    let ones = u32::from(ones.wrapping_sub(b'0'));
    if tens > 9 || ones > 9 {
        return 1_000;
    }
    tens * 10 + ones
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: &str, text: &str, expect: Option<&str>) {
        let format = TimestampFormat::new(format).unwrap();
        let shown = parse_timestamp(text, &format).map(|micros| {
            chrono::DateTime::from_timestamp_micros(micros)
                .unwrap()
                .to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
        });
        assert_eq!(shown.as_deref(), expect, "{text}");
    }

    #[test]
    fn rfc3339_is_read_as_apis_write_it() {
        for (text, expect) in [
            ("2024-02-29T12:34:56Z", "2024-02-29T12:34:56Z"),
            ("2024-02-29t12:34:56z", "2024-02-29T12:34:56Z"),
            ("2024-02-29 12:34:56", "2024-02-29T12:34:56Z"),
            ("2024-02-29T12:34:56.5", "2024-02-29T12:34:56.500Z"),
            ("2024-02-29T12:34:56.123456Z", "2024-02-29T12:34:56.123456Z"),
            (
                "2024-02-29T12:34:56.123456000000Z",
                "2024-02-29T12:34:56.123456Z",
            ),
            ("2024-02-29T00:34:56+05:30", "2024-02-28T19:04:56Z"),
            ("2024-02-29T00:34:56+0530", "2024-02-28T19:04:56Z"),
            ("2024-02-29T00:34:56-08", "2024-02-29T08:34:56Z"),
            ("2024-02-29T00:34:56-00:00", "2024-02-29T00:34:56Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
            ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        ] {
            check("rfc3339", text, Some(expect));
        }
    }

    #[test]
    fn what_microseconds_cannot_say_is_refused() {
        for text in [
            "2024-02-29T12:34:56.1234567Z",
            "2016-12-31T23:59:60Z",
            "2024-02-29T24:00:00Z",
            "2023-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-01-00T00:00:00Z",
            "2024-01-32T00:00:00Z",
            "2024-02-29T12:60:00Z",
            "2024-02-29T12:34:56.Z",
            "2024-02-29T12:34:56+24:00",
            "2024-02-29T12:34:56+05:60",
            "2024-02-29T12:34:56+5",
            "2024-02-29T12:34:56 Z",
            "2024-02-29T12:34:56Zx",
            "2024-02-29T12:34",
            "2024-02-29",
            "2024_02-29T12:34:56Z",
            "",
            "＋2024-02-29T12:34:56Z",
        ] {
            check("rfc3339", text, None);
        }
    }

    #[test]
    fn numbers_since_1970_are_exact() {
        check("epoch_seconds", "1700000000", Some("2023-11-14T22:13:20Z"));
        check("epoch_seconds", "-1", Some("1969-12-31T23:59:59Z"));
        check(
            "epoch_seconds",
            "1700000000.25",
            Some("2023-11-14T22:13:20.250Z"),
        );
        check("epoch_seconds", "1.7e9", Some("2023-11-14T22:13:20Z"));
        check("epoch_seconds", "1700000000.0000001", None);
        check("epoch_seconds", "1e300", None);
        check("epoch_seconds", "soon", None);
        check(
            "epoch_milliseconds",
            "1700000000123",
            Some("2023-11-14T22:13:20.123Z"),
        );
        check(
            "epoch_milliseconds",
            "1700000000123.456",
            Some("2023-11-14T22:13:20.123456Z"),
        );
        check("epoch_milliseconds", "1700000000123.4567", None);
        check("%s", "1700000000", Some("2023-11-14T22:13:20Z"));
        check("%ms", "1700000000123", Some("2023-11-14T22:13:20.123Z"));
    }

    #[test]
    fn patterns_follow_python() {
        check("%Y-%m-%d", "2024-02-29", Some("2024-02-29T00:00:00Z"));
        check(
            "%d/%m/%Y %H:%M",
            "29/02/2024 12:34",
            Some("2024-02-29T12:34:00Z"),
        );
        check(
            "%Y-%m-%dT%H:%M:%S.%fZ",
            "2024-02-29T12:34:56.5Z",
            Some("2024-02-29T12:34:56.500Z"),
        );
        check("%Y-%m-%dT%H:%M:%S.%f", "2024-02-29T12:34:56.1234567", None);
        check(
            "%Y-%m-%dT%H:%M:%S.%f",
            "2024-02-29T12:34:56.1234560001",
            None,
        );
        check(
            "%Y-%m-%dT%H:%M:%S%z",
            "2024-02-29T12:34:56+0100",
            Some("2024-02-29T11:34:56Z"),
        );
        check(
            "%Y-%m-%dT%H:%M:%S%z",
            "2024-02-29T12:34:56+01:00",
            Some("2024-02-29T11:34:56Z"),
        );
        check(
            "%Y-%m-%dT%H:%M:%S%z",
            "2024-02-29T12:34:56Z",
            Some("2024-02-29T12:34:56Z"),
        );
        check(
            "%a, %d %b %Y %H:%M:%S %Z",
            "Thu, 29 Feb 2024 12:34:56 GMT",
            Some("2024-02-29T12:34:56Z"),
        );
        check(
            "%a, %d %b %Y %H:%M:%S %Z",
            "Thu, 29 Feb 2024 12:34:56 PST",
            None,
        );
        check("%Y-%m-%d %H:%M:%S", "2016-12-31 23:59:60", None);
        check("%Y-%m-%d %H:%M:%S", "2024-02-30 00:00:00", None);
    }

    #[test]
    fn an_unknown_directive_is_an_error_with_advice() {
        let error = TimestampFormat::new("%Y-%Q!").unwrap_err();
        assert_eq!(error.to_string(), "`%Y-%Q!` is no timestamp format");
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.hint().is_some());
    }

    #[test]
    fn every_day_of_ten_thousand_years_agrees_with_chrono() {
        let mut date = chrono::NaiveDate::from_ymd_opt(0, 1, 1).unwrap();
        let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        let end = chrono::NaiveDate::from_ymd_opt(9999, 12, 31).unwrap();
        while date < end {
            let days = (date - epoch).num_days();
            assert_eq!(
                parse_date(&date.to_string()).map(i64::from),
                Some(days),
                "{date}"
            );
            // A prime step meets every day of the month and keeps the test short.
            date += chrono::TimeDelta::days(13);
        }
        assert_eq!(parse_date("2026-02-29"), None);
        assert_eq!(parse_date("2026-1-31"), None);
    }
}
