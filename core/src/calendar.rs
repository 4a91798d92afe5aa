//! Instants moved by months and lengths of time, and written as Python does.

use std::fmt::Write as _;

use chrono::{DateTime, Months, TimeDelta, Utc};

/// The instant so many months of the calendar and this time later; nothing beyond the years that
/// there are.
pub(crate) fn shift(at: DateTime<Utc>, months: i64, rest: TimeDelta) -> Option<DateTime<Utc>> {
    let by = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    let at = if months < 0 {
        at.checked_sub_months(by)?
    } else {
        at.checked_add_months(by)?
    };
    at.checked_add_signed(rest)
}

/// An instant in a form of strftime, of which `%f` are six digits; nothing when it is no form.
pub(crate) fn strftime(at: DateTime<Utc>, format: &str) -> Option<String> {
    let mut text = String::new();
    write!(text, "{}", at.format(&format.replace("%f", "%6f"))).ok()?;
    Some(text)
}
