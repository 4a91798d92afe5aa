//! Values of cursors: how they compare, and how records, requests and the state write them.

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};
use connector_decode::{TimestampFormat, parse_date, parse_timestamp};
use connector_plan::{CursorKind, Incremental, Length};

use crate::calendar::{shift, strftime};
use crate::{Error, ErrorKind, Json, Result};

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Formats in which instants may be written beside those of the spec.
const COMMON: [&str; 3] = ["rfc3339", "%Y-%m-%d", "%Y-%m-%dT%H:%M"];

/// A value of a cursor. Those of one cursor are of one variant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CursorValue {
    /// Microseconds since 1970.
    Instant(i64),
    /// Days since 1970.
    Day(i32),
    Integer(i64),
    /// All digits, at the scale of the cursor.
    Decimal(i128),
    /// Compared byte by byte.
    Text(String),
}

/// A distance between values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Time(Length),
    Count(i64),
}

/// How the values of one cursor are written.
#[derive(Debug)]
pub(crate) struct Codec {
    kind: CursorKind,
    format: String,
    /// How records write instants, when the column has another type.
    pub(super) record_formats: Vec<TimestampFormat>,
    value_formats: Vec<TimestampFormat>,
    /// The formats in which a number is an instant.
    epochs: Vec<TimestampFormat>,
}

impl Codec {
    /// # Errors
    /// When a format is none.
    pub(crate) fn new(plan: &Incremental) -> Result<Self> {
        let format = |text: &str| {
            TimestampFormat::new(text).map_err(|error| {
                Error::new(ErrorKind::Configuration, error.to_string())
                    .hint("correct the format in `incremental`")
            })
        };
        let record_formats = plan
            .record_formats
            .iter()
            .map(|text| format(text))
            .collect::<Result<_>>()?;
        let (mut value_formats, mut epochs) = (Vec::new(), Vec::new());
        if matches!(plan.kind, CursorKind::Timestamp | CursorKind::Date) {
            let own = std::iter::once(&plan.format)
                .chain(&plan.record_formats)
                .chain(&plan.value_formats)
                .map(String::as_str);
            for text in own.chain(COMMON) {
                if text.starts_with("epoch_") {
                    epochs.push(format(text)?);
                }
                value_formats.push(format(text)?);
            }
        }
        Ok(Self {
            kind: plan.kind,
            format: plan.format.clone(),
            record_formats,
            value_formats,
            epochs,
        })
    }

    /// A value as specs and people write it.
    pub(crate) fn parse(&self, value: &Json) -> Option<CursorValue> {
        let instant = |value: &Json| match value {
            Json::String(text) => {
                let text = text.trim();
                let mut formats = self.value_formats.iter();
                formats.find_map(|format| parse_timestamp(text, format))
            }
            Json::Number(number) => {
                let text = number.to_string();
                let mut formats = self.epochs.iter();
                formats.find_map(|format| parse_timestamp(&text, format))
            }
            _ => None,
        };
        match (self.kind, value) {
            (CursorKind::Timestamp, value) => instant(value).map(CursorValue::Instant),
            (CursorKind::Date, Json::String(text)) if parse_date(text.trim()).is_some() => {
                parse_date(text.trim()).map(CursorValue::Day)
            }
            (CursorKind::Date, value) => i32::try_from(instant(value)?.div_euclid(DAY))
                .ok()
                .map(CursorValue::Day),
            (CursorKind::Integer, Json::Number(number)) => {
                number.as_i64().map(CursorValue::Integer)
            }
            (CursorKind::Integer, Json::String(text)) => {
                text.trim().parse().ok().map(CursorValue::Integer)
            }
            (CursorKind::Decimal(scale), Json::Number(number)) => {
                decimal(&number.to_string(), scale)
            }
            (CursorKind::Decimal(scale), Json::String(text)) => decimal(text.trim(), scale),
            (CursorKind::String, Json::String(text)) => Some(CursorValue::Text(text.clone())),
            _ => None,
        }
    }

    /// A value as a request sends it.
    ///
    /// # Errors
    /// When the format cannot write it.
    pub(crate) fn request(&self, value: &CursorValue) -> Result<Json> {
        let micros = match value {
            CursorValue::Instant(micros) => *micros,
            CursorValue::Day(days) => i64::from(*days) * DAY,
            other => return Ok(self.state(other)),
        };
        let unit = match self.format.as_str() {
            "epoch_seconds" => Some(1_000_000),
            "epoch_milliseconds" => Some(1_000),
            _ => None,
        };
        if let Some(unit) = unit {
            return Ok(Json::from(micros.div_euclid(unit)));
        }
        let wrong = || {
            Error::new(
                ErrorKind::Configuration,
                format!(
                    "the format `{}` cannot write the cursor `{}`",
                    self.format,
                    self.show(value)
                ),
            )
        };
        let at = DateTime::from_timestamp_micros(micros).ok_or_else(wrong)?;
        if self.format == "rfc3339" {
            return Ok(Json::from(at.to_rfc3339_opts(SecondsFormat::AutoSi, true)));
        }
        strftime(at, &self.format).map(Json::from).ok_or_else(wrong)
    }

    /// A value as the state keeps it: exact, whatever the format of requests.
    pub(crate) fn state(&self, value: &CursorValue) -> Json {
        match value {
            CursorValue::Integer(integer) => Json::from(*integer),
            CursorValue::Text(text) => Json::from(text.as_str()),
            CursorValue::Instant(micros) => match DateTime::from_timestamp_micros(*micros) {
                Some(at) => Json::from(at.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
                None => Json::from(*micros),
            },
            CursorValue::Day(days) => match NaiveDate::from_epoch_days(*days) {
                Some(date) => Json::from(date.to_string()),
                None => Json::from(*days),
            },
            CursorValue::Decimal(unscaled) => {
                let scale = match self.kind {
                    CursorKind::Decimal(scale) => scale.cast_signed(),
                    _ => 0,
                };
                let decimal = crate::Decimal {
                    unscaled: *unscaled,
                    scale,
                };
                Json::from(decimal.to_string())
            }
        }
    }

    /// A value that [`state`](Self::state) wrote.
    pub(crate) fn read_state(&self, value: &Json) -> Option<CursorValue> {
        match (self.kind, value) {
            (CursorKind::Timestamp, Json::Number(micros)) => {
                micros.as_i64().map(CursorValue::Instant)
            }
            (CursorKind::Timestamp, Json::String(text)) => DateTime::parse_from_rfc3339(text)
                .ok()
                .map(|at| CursorValue::Instant(at.timestamp_micros())),
            (CursorKind::Date, Json::Number(days)) => {
                let days = days.as_i64().and_then(|days| i32::try_from(days).ok());
                days.map(CursorValue::Day)
            }
            _ => self.parse(value),
        }
    }

    /// A value for people.
    pub(crate) fn show(&self, value: &CursorValue) -> String {
        match self.state(value) {
            Json::String(text) => text,
            other => other.to_string(),
        }
    }

    /// The value as the API understands it when a request sends it: less exact formats cut it off.
    pub(crate) fn cut(&self, value: &CursorValue) -> CursorValue {
        let text = match self.request(value) {
            Ok(Json::String(text)) => text,
            Ok(Json::Number(number)) => number.to_string(),
            _ => return value.clone(),
        };
        let micros = TimestampFormat::new(&self.format)
            .ok()
            .and_then(|format| parse_timestamp(&text, &format));
        match (value, micros) {
            (CursorValue::Instant(_), Some(micros)) => CursorValue::Instant(micros),
            (CursorValue::Day(_), Some(micros)) => i32::try_from(micros.div_euclid(DAY))
                .map_or_else(|_| value.clone(), CursorValue::Day),
            _ => value.clone(),
        }
    }

    /// The first instant behind all those that requests write like this one.
    pub(super) fn behind(&self, value: &CursorValue) -> Option<CursorValue> {
        let CursorValue::Instant(_) = value else {
            return None;
        };
        let CursorValue::Instant(base) = self.cut(value) else {
            return None;
        };
        let units = [1, 1_000, 1_000_000, 60_000_000, 3_600_000_000, DAY];
        let next = units
            .into_iter()
            .filter_map(|unit| base.checked_add(unit))
            .find(|next| self.cut(&CursorValue::Instant(*next)) != CursorValue::Instant(base));
        next.map(CursorValue::Instant)
    }

    /// A distance as specs write it.
    pub(crate) fn extent(&self, value: &Json) -> Option<Extent> {
        let number = |text: &str| text.trim().parse::<i64>().ok().filter(|n| *n >= 0);
        let count = match value {
            Json::Number(count) => number(&count.to_string()),
            Json::String(text) => number(text),
            _ => None,
        };
        match (self.kind, count, value) {
            (CursorKind::Integer, count, _) => count.map(Extent::Count),
            (CursorKind::Timestamp, Some(seconds), _) => time(seconds.checked_mul(1_000_000)?),
            (CursorKind::Date, Some(days), _) => time(days.checked_mul(DAY)?),
            (CursorKind::Timestamp | CursorKind::Date, None, Json::String(text)) => {
                let length = Length::parse(text)?;
                (self.kind == CursorKind::Timestamp || length.micros % DAY == 0)
                    .then_some(Extent::Time(length))
            }
            _ => None,
        }
    }

    /// Now, when this cursor has one.
    pub(crate) fn now(&self, now: DateTime<Utc>) -> Option<CursorValue> {
        match self.kind {
            CursorKind::Timestamp => Some(CursorValue::Instant(now.timestamp_micros())),
            CursorKind::Date => Some(CursorValue::Day(now.date_naive().to_epoch_days())),
            _ => None,
        }
    }
}

impl CursorValue {
    /// The value so many distances later, or earlier when `times` is negative.
    pub(crate) fn shift(&self, extent: Extent, times: i64) -> Option<Self> {
        match (self, extent) {
            (Self::Integer(integer), Extent::Count(count)) => integer
                .checked_add(count.checked_mul(times)?)
                .map(Self::Integer),
            (Self::Instant(micros), Extent::Time(length)) => {
                let at = DateTime::from_timestamp_micros(*micros)?;
                let at = move_by(at, length, times)?;
                Some(Self::Instant(at.timestamp_micros()))
            }
            (Self::Day(days), Extent::Time(length)) => {
                let at = NaiveDate::from_epoch_days(*days)?;
                let at = at.and_time(chrono::NaiveTime::MIN).and_utc();
                let at = move_by(at, length, times)?.date_naive();
                Some(Self::Day(at.to_epoch_days()))
            }
            _ => None,
        }
    }
}

impl Extent {
    /// Whether it is no distance at all.
    pub(crate) fn is_zero(self) -> bool {
        match self {
            Self::Time(length) => length.is_zero(),
            Self::Count(count) => count == 0,
        }
    }
}

fn time(micros: i64) -> Option<Extent> {
    Some(Extent::Time(Length { months: 0, micros }))
}

fn move_by(at: DateTime<Utc>, length: Length, times: i64) -> Option<DateTime<Utc>> {
    let months = i64::from(length.months).checked_mul(times)?;
    let micros = length.micros.checked_mul(times)?;
    shift(at, months, TimeDelta::microseconds(micros))
}

/// A decimal number of at most so many digits behind the point, exactly.
fn decimal(text: &str, scale: u8) -> Option<CursorValue> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() || !plain(whole) || !plain(fraction) || fraction.len() > usize::from(scale)
    {
        return None;
    }
    let unscaled: i128 = format!("{whole}{fraction:0<width$}", width = usize::from(scale))
        .parse()
        .ok()?;
    Some(CursorValue::Decimal(if negative {
        -unscaled
    } else {
        unscaled
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn codec(kind: CursorKind, format: &str) -> Codec {
        let mut plan = super::super::tests::plan(kind);
        format.clone_into(&mut plan.format);
        Codec::new(&plan).unwrap()
    }

    #[test]
    fn values_are_exact_in_requests_and_in_the_state() {
        #[track_caller]
        fn check(kind: CursorKind, format: &str, [value, request, state]: [Json; 3]) {
            let codec = codec(kind, format);
            let parsed = codec.parse(&value).unwrap();
            assert_eq!(codec.request(&parsed).unwrap(), request, "{value}");
            assert_eq!(codec.state(&parsed), state, "{value}");
            assert_eq!(codec.read_state(&state), Some(parsed), "{value}");
        }
        use CursorKind::{Date, Decimal, Integer, String, Timestamp};
        let exact = "2024-02-29T12:34:56.123456Z";
        check(
            Timestamp,
            "rfc3339",
            [json!(exact), json!(exact), json!(exact)],
        );
        let whole = json!("2024-02-29T11:34:56Z");
        check(
            Timestamp,
            "rfc3339",
            [json!("2024-02-29T12:34:56+01:00"), whole.clone(), whole],
        );
        check(
            Timestamp,
            "epoch_seconds",
            [json!(exact), json!(1_709_210_096), json!(exact)],
        );
        check(
            Timestamp,
            "epoch_milliseconds",
            [json!(exact), json!(1_709_210_096_123_i64), json!(exact)],
        );
        check(
            Timestamp,
            "epoch_seconds",
            [json!(-1), json!(-1), json!("1969-12-31T23:59:59Z")],
        );
        check(
            Timestamp,
            "%Y-%m-%dT%H:%M:%S.%f%z",
            [
                json!(exact),
                json!("2024-02-29T12:34:56.123456+0000"),
                json!(exact),
            ],
        );
        check(
            Timestamp,
            "%Y-%m-%dT%H:%M:%S%:z",
            [
                json!(exact),
                json!("2024-02-29T12:34:56+00:00"),
                json!(exact),
            ],
        );
        check(
            Timestamp,
            "gte:%Y-%m-%d",
            [
                json!("2024-02-29"),
                json!("gte:2024-02-29"),
                json!("2024-02-29T00:00:00Z"),
            ],
        );
        check(
            Timestamp,
            "%Y%m%d",
            [
                json!("20240229"),
                json!("20240229"),
                json!("2024-02-29T00:00:00Z"),
            ],
        );
        check(
            Date,
            "%Y-%m-%d",
            [
                json!("2024-02-29"),
                json!("2024-02-29"),
                json!("2024-02-29"),
            ],
        );
        check(
            Date,
            "%Y-%m-%d",
            [
                json!("2024-02-29T10:00:00Z"),
                json!("2024-02-29"),
                json!("2024-02-29"),
            ],
        );
        check(
            Date,
            "epoch_seconds",
            [
                json!("2024-02-29"),
                json!(1_709_164_800),
                json!("2024-02-29"),
            ],
        );
        let big = i64::MAX - 1;
        check(Integer, "", [json!(big), json!(big), json!(big)]);
        check(
            Integer,
            "",
            [
                json!("9007199254740993"),
                json!(9_007_199_254_740_993_i64),
                json!(9_007_199_254_740_993_i64),
            ],
        );
        check(
            Decimal(2),
            "",
            [json!("-12.5"), json!("-12.50"), json!("-12.50")],
        );
        check(Decimal(0), "", [json!(7), json!("7"), json!("7")]);
        check(String, "", [json!("a/ä"), json!("a/ä"), json!("a/ä")]);
    }

    #[test]
    fn what_is_no_value_is_refused() {
        #[track_caller]
        fn check(kind: CursorKind, value: &Json) {
            assert_eq!(codec(kind, "rfc3339").parse(value), None, "{value}");
        }
        check(CursorKind::Timestamp, &json!("soon"));
        check(CursorKind::Timestamp, &json!(5));
        check(CursorKind::Timestamp, &json!(null));
        check(CursorKind::Date, &json!("2024-02-30"));
        check(CursorKind::Integer, &json!(1.5));
        check(CursorKind::Integer, &json!("9223372036854775808"));
        check(CursorKind::Decimal(1), &json!("1.25"));
        check(CursorKind::Decimal(1), &json!("."));
        check(CursorKind::String, &json!(1));
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        let codec = codec(CursorKind::Timestamp, "%Y-%m-%d");
        let start = codec.parse(&json!("2024-01-31")).unwrap();
        let month = codec.extent(&json!("P1M")).unwrap();
        let show = |times| codec.show(&start.shift(month, times).unwrap());
        assert_eq!(show(1), "2024-02-29T00:00:00Z");
        assert_eq!(show(2), "2024-03-31T00:00:00Z");
        assert_eq!(show(-1), "2023-12-31T00:00:00Z");
        let noon = codec.parse(&json!("2024-01-31T12:00:00Z")).unwrap();
        assert_eq!(codec.show(&codec.cut(&noon)), "2024-01-31T00:00:00Z");
        assert_eq!(
            codec.show(&codec.behind(&noon).unwrap()),
            "2024-02-01T00:00:00Z"
        );
        assert_eq!(codec.extent(&json!(60)), codec.extent(&json!("PT1M")));
    }

    #[test]
    fn texts_compare_by_their_bytes() {
        let text = |text: &str| CursorValue::Text(text.to_owned());
        assert!(text("Z") < text("a"));
        assert!(text("10") < text("9"));
        assert!(text("a") < text("ä"));
    }
}
