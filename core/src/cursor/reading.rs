//! The reading of one partition: its windows, and what is kept of its records.

mod position;

use std::collections::HashSet;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use connector_decode::{TimestampFormat, parse_timestamp};
use connector_plan::{MissingCursor, RowOrder};

use super::interval::{Interval, Range, Windows};
use super::value::CursorValue;
use super::{Counts, Cursors, MAX_BOUNDARY, Saved};
use crate::cli::cell;
use crate::partition::columns;
use crate::{Error, ErrorKind, Json, Result};

/// The reading of one partition.
#[derive(Debug)]
pub(crate) struct CursorReading<'a> {
    cursors: &'a Cursors,
    key: String,
    start: Option<CursorValue>,
    windows: Windows,
    window: Option<Interval>,
    before: Option<Saved>,
    known: HashSet<u128>,
    reaches: bool,
    highest: Option<CursorValue>,
    /// The records at the highest cursor, where they are remembered: at most one more than can be
    /// told apart, since a higher cursor may follow.
    top: Vec<u128>,
    /// The cursor of the record before, where an order is declared.
    last: Option<CursorValue>,
    counts: Counts,
    /// Whether an answer was ignored, so that something may be missing.
    interrupted: bool,
}

/// What has come of a reading.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) start: Option<CursorValue>,
    pub(super) highest: Option<CursorValue>,
    pub(super) saved: Option<Saved>,
    pub(super) gap: bool,
    pub(super) counts: Counts,
}

/// What is kept of a batch.
#[derive(Debug)]
pub(crate) struct Kept {
    pub batch: RecordBatch,
    pub dropped: u64,
    /// Whether no record of the window can follow.
    pub enough: bool,
}

impl<'a> CursorReading<'a> {
    pub(super) fn new(
        cursors: &'a Cursors,
        key: String,
        range: Range,
        before: Option<Saved>,
        reaches: bool,
    ) -> Self {
        let known = before
            .iter()
            .filter(|_| cursors.remembers)
            .flat_map(|saved| saved.boundary.iter().copied())
            .collect();
        Self {
            cursors,
            key,
            start: range.start.clone(),
            windows: Windows::new(range),
            window: None,
            before,
            known,
            reaches,
            highest: None,
            top: Vec::new(),
            last: None,
            counts: Counts::default(),
            interrupted: false,
        }
    }

    /// Goes on to the next window; false at the end of the range.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        self.window = self.windows.next(&self.cursors.codec)?;
        self.last = None;
        Ok(self.window.is_some())
    }

    /// The window at hand.
    pub(crate) fn window(&self) -> Option<&Interval> {
        self.window.as_ref()
    }

    /// Whether every page must be looked at before the next is asked for.
    pub(crate) fn is_ordered(&self) -> bool {
        self.cursors.plan.row_order.is_some()
    }

    /// Notes that an answer was ignored: behind it there may be more.
    pub(crate) fn interrupt(&mut self) {
        self.interrupted = true;
    }

    /// What of a batch belongs to the window and is new.
    ///
    /// # Errors
    /// When a record has no cursor and must have one, or comes out of its order.
    pub(crate) fn keep(&mut self, batch: RecordBatch) -> Result<Kept> {
        let values = self.values(&batch)?;
        let mut mask = Vec::with_capacity(values.len());
        let mut enough = false;
        let mut highest: Option<&CursorValue> = None;
        for (row, value) in values.iter().enumerate() {
            let Some(value) = value else {
                mask.push(self.missing(&batch, row)?);
                continue;
            };
            if let Some(order) = self.cursors.plan.row_order {
                self.check_order(order, value, &batch, row)?;
                enough |= self.is_beyond(order, value);
            }
            if self.cursors.filters && !self.is_inside(value) {
                self.counts.outside += 1;
                mask.push(false);
                continue;
            }
            let repeated = self
                .before
                .as_ref()
                .is_some_and(|before| !self.known.is_empty() && before.value == *value)
                && self.known.contains(&self.hash(&batch, row)?);
            if repeated {
                self.counts.repeated += 1;
            } else {
                highest = highest.max(Some(value));
            }
            mask.push(!repeated);
        }
        if let Some(highest) = highest {
            self.rise(highest, &values, &mask, &batch)?;
        }
        let dropped = mask.iter().filter(|kept| !**kept).count() as u64;
        let batch = if dropped == 0 {
            batch
        } else {
            filter_record_batch(&batch, &BooleanArray::from(mask)).map_err(internal)?
        };
        Ok(Kept {
            batch,
            dropped,
            enough,
        })
    }

    /// Notes that every window has been read to its end; gives what came of it as data, when it is
    /// `tracked`.
    pub(crate) fn finish(self, tracked: bool) -> Result<Option<Json>> {
        let Self { cursors, .. } = self;
        if self.interrupted && cursors.remembers && self.highest.is_some() {
            return Err(Error::new(
                ErrorKind::Source,
                "an answer was ignored, so that the cursor stays; the next run would append the same records again",
            )
            .hint("declare `write_disposition: merge` with a `primary_key`, or do not ignore such answers"));
        }
        let highest = self.highest.clone().filter(|_| !self.interrupted);
        let saved = match (self.before, highest) {
            (before, None) => before,
            (None, Some(value)) => Some(Saved {
                value,
                boundary: self.top,
            }),
            (Some(before), Some(value)) if value > before.value => Some(Saved {
                value,
                boundary: self.top,
            }),
            (Some(mut before), Some(value)) => {
                if value == before.value {
                    before.boundary.extend(self.top);
                }
                Some(before)
            }
        };
        if let Some(saved) = &saved
            && saved.boundary.len() > MAX_BOUNDARY
        {
            return Err(Error::new(
                ErrorKind::Source,
                format!(
                    "more than {MAX_BOUNDARY} records have the same cursor `{}`: they cannot be told apart",
                    cursors.codec.show(&saved.value)
                ),
            )
            .hint("declare `write_disposition: merge` with a `primary_key`, or a finer cursor"));
        }
        let ended = Ended {
            start: self.start,
            highest: self.highest,
            saved,
            gap: !self.reaches,
            counts: self.counts,
        };
        let told = tracked.then(|| cursors.ended(&self.key, &ended));
        cursors.end(&self.key, ended);
        Ok(told)
    }

    /// Takes over the highest cursor of a batch and, where they are remembered, its records.
    fn rise(
        &mut self,
        highest: &CursorValue,
        values: &[Option<CursorValue>],
        mask: &[bool],
        batch: &RecordBatch,
    ) -> Result<()> {
        match self.highest.as_ref().map(|known| highest.cmp(known)) {
            Some(std::cmp::Ordering::Less) => return Ok(()),
            Some(std::cmp::Ordering::Equal) => {}
            Some(std::cmp::Ordering::Greater) | None => {
                self.highest = Some(highest.clone());
                self.top.clear();
            }
        }
        if !self.cursors.remembers {
            return Ok(());
        }
        for (row, (value, kept)) in values.iter().zip(mask).enumerate() {
            if self.top.len() > MAX_BOUNDARY {
                break;
            }
            if *kept && value.as_ref() == Some(highest) {
                let hash = self.hash(batch, row)?;
                self.top.push(hash);
            }
        }
        Ok(())
    }

    fn is_inside(&self, value: &CursorValue) -> bool {
        let Some(window) = &self.window else {
            return true;
        };
        let above = window.lower.as_ref().is_none_or(|lower| {
            if window.lower_open {
                value > lower
            } else {
                value >= lower
            }
        });
        above && window.upper.as_ref().is_none_or(|upper| upper.holds(value))
    }

    /// Whether the records behind this one cannot be in the window.
    fn is_beyond(&self, order: RowOrder, value: &CursorValue) -> bool {
        let Some(window) = &self.window else {
            return false;
        };
        match order {
            RowOrder::Ascending => {
                let upper = window.upper.as_ref();
                let above = window.lower.as_ref().is_none_or(|lower| value >= lower);
                above && upper.is_some_and(|upper| !upper.holds(value))
            }
            RowOrder::Descending => window.lower.as_ref().is_some_and(|lower| value < lower),
        }
    }

    fn check_order(
        &mut self,
        order: RowOrder,
        value: &CursorValue,
        batch: &RecordBatch,
        row: usize,
    ) -> Result<()> {
        let wrong = self.last.as_ref().is_some_and(|last| match order {
            RowOrder::Ascending => value < last,
            RowOrder::Descending => value > last,
        });
        if wrong {
            let word = match order {
                RowOrder::Ascending => "asc",
                RowOrder::Descending => "desc",
            };
            let show = |value: &CursorValue| self.cursors.codec.show(value);
            let last = self.last.as_ref().map(show).unwrap_or_default();
            return Err(Error::new(
                ErrorKind::Source,
                format!(
                    "the cursor `{}` of a record is `{}` behind one of `{last}`, against `row_order: {word}`",
                    self.cursors.path,
                    show(value)
                ),
            )
            .with("record", self.describe(batch, row))
            .hint("remove `row_order` from the spec: reading then goes on to the last page"));
        }
        self.last = Some(value.clone());
        Ok(())
    }

    /// What becomes of a record without a cursor.
    fn missing(&mut self, batch: &RecordBatch, row: usize) -> Result<bool> {
        match self.cursors.plan.missing {
            MissingCursor::Include => {
                self.counts.included += 1;
                Ok(true)
            }
            MissingCursor::Exclude => {
                self.counts.excluded += 1;
                Ok(false)
            }
            MissingCursor::Raise => Err(Error::new(
                ErrorKind::Source,
                format!("a record has no cursor `{}`", self.cursors.path),
            )
            .with("record", self.describe(batch, row))
            .hint("`on_cursor_value_missing: include` or `exclude` in the spec keeps such records, or drops and counts them")),
        }
    }

    /// A record for people: its key.
    fn describe(&self, batch: &RecordBatch, row: usize) -> String {
        let key = self.cursors.key.iter().take(3);
        let shown: Vec<String> = key
            .filter_map(|name| {
                let column = batch.column_by_name(name)?;
                let value = cell::to_json(column.as_ref(), row, false).ok()?;
                Some(format!("{name}={}", cell::to_text(&value)))
            })
            .collect();
        self.cursors.redactor.redact(&shown.join(", "))
    }

    /// What tells a record from others.
    fn hash(&self, batch: &RecordBatch, row: usize) -> Result<u128> {
        let mut values = serde_json::Map::new();
        for name in &self.cursors.key {
            let Some(column) = batch.column_by_name(name) else {
                continue;
            };
            let value = cell::to_json(column.as_ref(), row, false)?;
            // A column that the spec gets later is null in what there was before.
            if !value.is_null() {
                values.insert(name.clone(), value);
            }
        }
        let text = Json::Object(values).to_string();
        Ok(twox_hash::XxHash3_128::oneshot(text.as_bytes()))
    }

    /// The cursor of every record.
    fn values(&self, batch: &RecordBatch) -> Result<Vec<Option<CursorValue>>> {
        let columns = columns(batch, &self.cursors.plan.cursor)?;
        let Some((leaf, above)) = columns.split_last() else {
            return Err(internal("the cursor has no path"));
        };
        let formats = &self.cursors.codec.record_formats;
        (0..batch.num_rows())
            .map(|row| {
                if leaf.is_null(row) || above.iter().any(|column| column.is_null(row)) {
                    return Ok(None);
                }
                if formats.is_empty() {
                    return own(leaf.as_ref(), row).map(Some);
                }
                let text = text(leaf.as_ref(), row)?;
                let micros = formats
                    .iter()
                    .find_map(|format: &TimestampFormat| parse_timestamp(&text, format));
                micros
                    .map(|micros| Some(CursorValue::Instant(micros)))
                    .ok_or_else(|| {
                        Error::new(
                            ErrorKind::Source,
                            format!(
                                "the cursor `{}` of a record is `{}`, which is in none of its formats",
                                self.cursors.path,
                                self.cursors.redactor.redact(&text.chars().take(80).collect::<String>())
                            ),
                        )
                        .with("record", self.describe(batch, row))
                        .hint("add the format to `cursor_formats` in the spec")
                    })
            })
            .collect()
    }
}

/// A value of a column that has the type of the cursor.
fn own(array: &dyn Array, row: usize) -> Result<CursorValue> {
    Ok(match array.data_type() {
        DataType::Timestamp(..) => {
            CursorValue::Instant(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Date32 => CursorValue::Day(array.as_primitive::<Date32Type>().value(row)),
        DataType::Int64 => CursorValue::Integer(array.as_primitive::<Int64Type>().value(row)),
        DataType::Decimal128(..) => {
            CursorValue::Decimal(array.as_primitive::<Decimal128Type>().value(row))
        }
        DataType::Utf8 => CursorValue::Text(array.as_string::<i32>().value(row).to_owned()),
        other => return Err(internal(format!("a column of type {other} is no cursor"))),
    })
}

/// A value of a column as the text that formats are for.
fn text(array: &dyn Array, row: usize) -> Result<String> {
    Ok(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).to_string(),
        other => return Err(internal(format!("a column of type {other} has no formats"))),
    })
}

fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(
        ErrorKind::Internal,
        "the cursor cannot be read from the records",
    )
    .caused_by(error)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use arrow::array::{ArrayRef, Int64Array};
    use connector_plan::CursorKind;

    use super::super::value::Codec;
    use super::*;

    fn cursors() -> Cursors {
        let plan = super::super::tests::plan(CursorKind::Integer);
        Cursors {
            codec: Codec::new(&plan).unwrap(),
            path: "at".to_owned(),
            identity: "integer".to_owned(),
            since: None,
            filters: false,
            range: Range {
                start: None,
                start_open: false,
                end: None,
                end_closed: false,
                step: None,
                granularity: None,
                initial: None,
                now: chrono::Utc::now(),
            },
            lag: None,
            whole: false,
            remembers: true,
            key: Vec::new(),
            before: BTreeMap::new(),
            after: Mutex::default(),
            redactor: crate::secret::Redactor::default(),
            plan,
        }
    }

    #[test]
    fn the_records_at_a_cursor_are_counted_only_as_far_as_they_can_be_told_apart() -> Result<()> {
        let batch = |value: i64, rows: usize| {
            let column: ArrayRef = Arc::new(Int64Array::from(vec![value; rows]));
            RecordBatch::try_from_iter([("at", column)]).unwrap()
        };
        let cursors = cursors();
        let whole = crate::partition::Partition::whole();
        let mut reading = cursors.begin(&whole);
        assert!(reading.advance()?);
        for _ in 0..3 {
            reading.keep(batch(1, MAX_BOUNDARY / 2 + 1))?;
        }
        assert_eq!(reading.top.len(), MAX_BOUNDARY + 1);
        // A higher cursor may still follow.
        reading.keep(batch(2, 1))?;
        reading.finish(false)?;
        assert_eq!(cursors.state().unwrap()["partitions"]["{}"]["value"], 2);
        let mut reading = cursors.begin(&whole);
        assert!(reading.advance()?);
        reading.keep(batch(3, MAX_BOUNDARY + 1))?;
        let error = reading.finish(false).unwrap_err().to_string();
        assert!(error.contains("have the same cursor `3`"), "{error}");
        Ok(())
    }
}
