//! Instants and durations of expressions, as specs written for Python expect them.

use std::cmp::Ordering;
use std::fmt;
use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc};
use connector_decode::{TimestampFormat, parse_timestamp};
use minijinja::value::{DynObject, Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};

use super::cache::Cache;
use crate::calendar::{shift, strftime};

/// The form of `day_delta`, which is that of the systems that specs come from.
const ISO: &str = "%Y-%m-%dT%H:%M:%S.%f%z";

/// The ways to write an instant without saying which one it is.
const FORMATS: [&str; 7] = [
    "rfc3339",
    "%Y-%m-%dT%H:%M:%S.%f%z",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M:%S%z",
    "%Y-%m-%d",
];

/// An instant, or the day that begins with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instant {
    at: DateTime<Utc>,
    day: bool,
}

/// A length of time: months by the calendar, the rest exact.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    months: i64,
    rest: TimeDelta,
}

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

pub(super) fn now_utc() -> Value {
    Value::from_object(Instant {
        at: Utc::now(),
        day: false,
    })
}

pub(super) fn today_utc() -> Value {
    let now = Utc::now();
    let at = now.date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
    Value::from_object(Instant { at, day: true })
}

/// The whole seconds since 1970 of an instant.
pub(super) fn timestamp(value: &Value) -> Result<i64, Error> {
    instant(value, None).map(|at| at.timestamp())
}

pub(super) fn str_to_datetime(value: &Value) -> Result<Value, Error> {
    let at = instant(value, None)?;
    Ok(Value::from_object(Instant { at, day: false }))
}

pub(super) fn strptime(value: &Value, format: &str) -> Result<Value, Error> {
    let at = instant(value, Some(format))?;
    Ok(Value::from_object(Instant { at, day: false }))
}

pub(super) fn format_datetime(
    value: &Value,
    format: &str,
    input: Option<&str>,
) -> Result<String, Error> {
    write(instant(value, input)?, format)
}

/// Now and this many days, as text.
pub(super) fn day_delta(days: i64, format: Option<&str>) -> Result<String, Error> {
    let at = TimeDelta::try_days(days)
        .and_then(|delta| Utc::now().checked_add_signed(delta))
        .ok_or_else(|| invalid(format!("{days} days are too many")))?;
    write(at, format.unwrap_or(ISO))
}

/// An ISO 8601 duration such as `P1DT12H`.
pub(super) fn duration(text: &str) -> Result<Value, Error> {
    parse_duration(text)
        .map(Value::from_object)
        .ok_or_else(|| invalid(format!("`{text}` is no ISO 8601 duration such as `P1D`")))
}

/// The sum of times, or their difference.
pub(super) fn add(left: &Value, right: &Value, minus: bool) -> Result<Value, Error> {
    let one = left.downcast_object_ref::<Instant>();
    let other = right.downcast_object_ref::<Instant>();
    let length = |value: &Value| value.downcast_object_ref::<Length>().copied();
    let shifted = match (one, other, length(left), length(right)) {
        (Some(one), Some(other), ..) if minus => {
            return Ok(Value::from_object(Length {
                months: 0,
                rest: one.at - other.at,
            }));
        }
        (Some(one), _, _, Some(length)) => {
            one.shift(if minus { length.negative() } else { length })
        }
        (_, Some(other), Some(length), _) if !minus => other.shift(length),
        (_, _, Some(one), Some(other)) => {
            let other = if minus { other.negative() } else { other };
            let sum = one.and(other).map(Value::from_object);
            return sum.ok_or_else(|| invalid(format!("`{left}` and `{right}` are too long")));
        }
        _ => {
            let sign = if minus { '-' } else { '+' };
            return Err(invalid(format!(
                "`{left} {sign} {right}`: an instant and a duration, or two durations, are added"
            )));
        }
    };
    shifted
        .map(Value::from_object)
        .ok_or_else(|| invalid(format!("`{left}` cannot be moved by `{right}`")))
}

/// The instant that a value means.
fn instant(value: &Value, format: Option<&str>) -> Result<DateTime<Utc>, Error> {
    if let Some(instant) = value.downcast_object_ref::<Instant>() {
        return Ok(instant.at);
    }
    let micros = match (value.as_str(), format) {
        (None, _) => {
            let seconds = f64::try_from(value.clone())
                .map_err(|_| invalid(format!("`{value}` is no date")))?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "beyond the years that there are, the conversion saturates"
            )]
            let micros = (seconds * 1e6).round() as i64;
            Some(micros)
        }
        (Some(text), Some(format)) => parse(text, format)?,
        (Some(text), None) => {
            static KNOWN: LazyLock<Vec<TimestampFormat>> = LazyLock::new(|| {
                let formats = FORMATS.iter().map(|format| TimestampFormat::new(format));
                formats.filter_map(Result::ok).collect()
            });
            let mut known = KNOWN.iter();
            known.find_map(|format| parse_timestamp(text.trim(), format))
        }
    };
    micros
        .and_then(DateTime::from_timestamp_micros)
        .ok_or_else(|| {
            let form = format
                .map(|format| format!(" as `{format}`"))
                .unwrap_or_default();
            invalid(format!("`{value}` is no date{form}"))
        })
}

fn parse(text: &str, format: &str) -> Result<Option<i64>, Error> {
    let number = |scale: i64| text.parse::<i64>().ok().and_then(|n| n.checked_mul(scale));
    match format {
        "%s" => Ok(number(1_000_000)),
        "%ms" => Ok(number(1_000)),
        pattern => {
            static KNOWN: LazyLock<Cache<TimestampFormat>> = LazyLock::new(Cache::default);
            let format = KNOWN.get(pattern, TimestampFormat::new);
            let format = format.map_err(|error| invalid(error.to_string()))?;
            Ok(parse_timestamp(text, &format))
        }
    }
}

/// An instant in a form of strftime as Python has it.
fn write(at: DateTime<Utc>, format: &str) -> Result<String, Error> {
    match format {
        "%s" => return Ok(at.timestamp().to_string()),
        "%ms" => return Ok(at.timestamp_millis().to_string()),
        "%s_as_float" => {
            return Ok(format!(
                "{}.{:06}",
                at.timestamp(),
                at.timestamp_subsec_micros()
            ));
        }
        _ => {}
    }
    strftime(at, format).ok_or_else(|| invalid(format!("`{format}` is no form of a date")))
}

fn parse_duration(text: &str) -> Option<Length> {
    // Words such as `1 day`, which cursors know, too, are none.
    let length = connector_plan::Length::parse(text.strip_prefix('P').map(|_| text)?)?;
    Some(Length {
        months: i64::from(length.months),
        rest: TimeDelta::microseconds(length.micros),
    })
}

/// Seconds: whole ones are a whole number.
fn seconds(length: TimeDelta) -> Value {
    match length.num_microseconds() {
        #[expect(clippy::cast_precision_loss, reason = "Python gives a double, too")]
        Some(micros) if micros % 1_000_000 != 0 => Value::from(micros as f64 / 1e6),
        _ => Value::from(length.num_seconds()),
    }
}

impl Instant {
    fn shift(self, length: Length) -> Option<Self> {
        Some(Self {
            at: shift(self.at, length.months, length.rest)?,
            day: self.day,
        })
    }

    /// As Python writes it.
    fn isoformat(self, between: char) -> String {
        if self.day {
            return self.at.format("%Y-%m-%d").to_string();
        }
        let fraction = match self.at.timestamp_subsec_micros() {
            0 => String::new(),
            micros => format!(".{micros:06}"),
        };
        format!(
            "{}{between}{}{fraction}+00:00",
            self.at.format("%Y-%m-%d"),
            self.at.format("%H:%M:%S")
        )
    }
}

impl Length {
    fn and(self, other: Self) -> Option<Self> {
        Some(Self {
            months: self.months.checked_add(other.months)?,
            rest: self.rest.checked_add(&other.rest)?,
        })
    }

    fn negative(self) -> Self {
        Self {
            months: -self.months,
            rest: -self.rest,
        }
    }
}

impl Object for Instant {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "year" => self.at.year().into(),
            "month" => self.at.month().into(),
            "day" => self.at.day().into(),
            "hour" => self.at.hour().into(),
            "minute" => self.at.minute().into(),
            "second" => self.at.second().into(),
            "microsecond" => self.at.timestamp_subsec_micros().into(),
            _ => return None,
        })
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        match (method, arguments) {
            ("strftime", [format]) => {
                let format = format
                    .as_str()
                    .ok_or_else(|| invalid("the format is a text"))?;
                write(self.at, format).map(Value::from)
            }
            ("isoformat", []) => Ok(Value::from(self.isoformat('T'))),
            #[expect(clippy::cast_precision_loss, reason = "Python gives a double, too")]
            ("timestamp", []) => Ok(Value::from(self.at.timestamp_micros() as f64 / 1e6)),
            ("date", []) => Ok(Value::from_object(Self {
                at: self
                    .at
                    .date_naive()
                    .and_time(chrono::NaiveTime::MIN)
                    .and_utc(),
                day: true,
            })),
            _ => Err(Error::new(
                ErrorKind::UnknownMethod,
                format!(
                    "a date has no method `{method}` with {} arguments",
                    arguments.len()
                ),
            )),
        }
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.at.cmp(&other.downcast_ref::<Self>()?.at))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.isoformat(' '))
    }
}

impl Object for Length {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "days" => Some(self.rest.num_days().into()),
            "seconds" => Some((self.rest.num_seconds() % 86_400).into()),
            _ => None,
        }
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        match (method, arguments) {
            ("total_seconds", []) => Ok(seconds(self.rest)),
            _ => Err(Error::new(
                ErrorKind::UnknownMethod,
                format!("a duration has no method `{method}`"),
            )),
        }
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?;
        Some((self.months, self.rest).cmp(&(other.months, other.rest)))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} months and {} seconds",
            self.months,
            seconds(self.rest)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_read_in_every_known_form() {
        for format in FORMATS {
            assert!(TimestampFormat::new(format).is_ok(), "{format}");
        }
        for text in [
            "2024-03-01T00:00:00Z",
            "2024-03-01T00:00:00.0+0000",
            "2024-03-01T00:00:00",
            "2024-03-01T00:00:00.0",
            "2024-03-01 00:00:00",
            " 2024-03-01 02:00:00+0200 ",
            "2024-03-01",
        ] {
            let at = timestamp(&Value::from(text)).unwrap();
            assert_eq!(at, 1_709_251_200, "{text}");
        }
    }

    #[test]
    fn sums_without_end_are_errors() {
        for text in ["PT9223372036854S", "P4294967295M"] {
            let mut sum = duration(text).unwrap();
            let doubled = (0..70).try_for_each(|_| {
                sum = add(&sum, &sum.clone(), false)?;
                Ok::<_, Error>(())
            });
            let error = doubled.unwrap_err().to_string();
            assert!(error.contains("are too long"), "{error}");
        }
    }
}
