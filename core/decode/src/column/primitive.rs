//! Columns whose values have a fixed size: integers, doubles, instants, dates, decimals.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};

use super::renewed;
use super::validity::Validity;
use crate::error::{Error, ErrorKind};
use crate::number::{Numeric, exact};
use crate::timestamp::{TimestampFormat, parse_date, parse_timestamp, rfc3339};
use crate::tokens::Tokens;

/// Values of a fixed size.
#[derive(Debug)]
pub(crate) struct Values<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    validity: Validity,
}

impl<T: ArrowPrimitiveType> Default for Values<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            validity: Validity::default(),
        }
    }
}

impl<T: ArrowPrimitiveType> Values<T> {
    /// Appends a value if there is one, and tells whether there was.
    #[inline]
    fn push(&mut self, value: Option<T::Native>) -> bool {
        match value {
            Some(value) => {
                self.values.push(value);
                true
            }
            None => false,
        }
    }

    pub(crate) fn append_null(&mut self) {
        self.validity.set_null(self.values.len());
        self.values.push(T::Native::default());
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        self.validity.truncate(len);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.values.len() * size_of::<T::Native>() + self.validity.bytes()
    }

    fn take_array(&mut self) -> Result<PrimitiveArray<T>, Error> {
        let values = renewed(&mut self.values);
        let nulls = self.validity.take(values.len());
        PrimitiveArray::try_new(ScalarBuffer::from(values), nulls).map_err(Error::from_arrow)
    }

    pub(crate) fn take(&mut self) -> Result<ArrayRef, Error> {
        Ok(Arc::new(self.take_array()?))
    }
}

/// 64-bit integers.
pub(crate) type IntegerColumn = Values<Int64Type>;
/// Doubles.
pub(crate) type NumberColumn = Values<Float64Type>;
/// Days since 1970.
pub(crate) type DateColumn = Values<Date32Type>;

impl IntegerColumn {
    #[inline]
    pub(crate) fn read(&mut self, tokens: &mut Tokens<'_>) -> Result<bool, Error> {
        if !is_number(tokens.peek()) {
            return from_text(tokens, |text| match text.read_integer() {
                Ok(Numeric::Value(value)) => Some(value),
                _ => None,
            })
            .map(|value| self.push(value));
        }
        match tokens.read_integer()? {
            Numeric::Value(value) => Ok(self.push(Some(value))),
            Numeric::Unfit => Ok(false),
        }
    }
}

impl NumberColumn {
    #[inline]
    pub(crate) fn read(&mut self, tokens: &mut Tokens<'_>) -> Result<bool, Error> {
        if !is_number(tokens.peek()) {
            return from_text(tokens, |text| match text.read_double() {
                Ok(Numeric::Value(value)) => Some(value),
                _ => None,
            })
            .map(|value| self.push(value));
        }
        match tokens.read_double()? {
            Numeric::Value(value) => Ok(self.push(Some(value))),
            Numeric::Unfit => Ok(false),
        }
    }
}

impl DateColumn {
    #[inline]
    pub(crate) fn read(&mut self, tokens: &mut Tokens<'_>) -> Result<bool, Error> {
        if tokens.peek() != b'"' {
            return Ok(false);
        }
        Ok(self.push(with_text(tokens, parse_date)?.flatten()))
    }
}

/// Instants in microseconds since 1970.
#[derive(Debug)]
pub(crate) struct TimestampColumn {
    values: Values<TimestampMicrosecondType>,
    formats: Vec<TimestampFormat>,
    /// Whether the first format is RFC 3339, which is read without finding the text's end first.
    rfc3339_first: bool,
}

impl TimestampColumn {
    pub(crate) fn new(formats: &[String]) -> Result<Self, Error> {
        let formats = formats
            .iter()
            .map(|format| TimestampFormat::new(format))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            values: Values::default(),
            rfc3339_first: formats.first().is_some_and(TimestampFormat::is_rfc3339),
            formats,
        })
    }

    #[inline]
    pub(crate) fn read(&mut self, tokens: &mut Tokens<'_>) -> Result<bool, Error> {
        if self.rfc3339_first
            && tokens.peek() == b'"'
            && let Some(text) = tokens.bytes().get(tokens.at + 1..)
            && let Some((micros, length)) = rfc3339(text)
            && text.get(length) == Some(&b'"')
        {
            tokens.at += length + 2;
            return Ok(self.values.push(Some(micros)));
        }
        self.read_any(tokens)
    }

    #[inline(never)]
    fn read_any(&mut self, tokens: &mut Tokens<'_>) -> Result<bool, Error> {
        let formats = &self.formats;
        let micros = match tokens.peek() {
            b'"' => with_text(tokens, |text| {
                formats
                    .iter()
                    .find_map(|format| parse_timestamp(text, format))
            })?
            .flatten(),
            byte if is_number(byte) => {
                let start = tokens.at;
                tokens.skip_number()?;
                let text = std::str::from_utf8(tokens.since(start)).unwrap_or_default();
                formats
                    .iter()
                    .filter(|format| format.is_epoch())
                    .find_map(|format| parse_timestamp(text, format))
            }
            _ => None,
        };
        Ok(self.values.push(micros))
    }

    pub(crate) fn append_null(&mut self) {
        self.values.append_null();
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.values.bytes()
    }

    pub(crate) fn take(&mut self) -> Result<ArrayRef, Error> {
        Ok(Arc::new(self.values.take_array()?.with_timezone("UTC")))
    }
}

/// Exact decimal numbers.
#[derive(Debug)]
pub(crate) struct DecimalColumn {
    values: Values<Decimal128Type>,
    precision: u8,
    scale: u8,
    /// The first number that has more digits than the precision.
    limit: i128,
}

impl DecimalColumn {
    pub(crate) fn new(precision: u8, scale: u8) -> Result<Self, Error> {
        if !(1..=38).contains(&precision) || scale > precision {
            return Err(Error::new(
                ErrorKind::Configuration,
                format!("`decimal({precision}, {scale})` is no type"),
            )
            .with_hint("the precision is 1 to 38, the scale 0 to the precision"));
        }
        Ok(Self {
            values: Values::default(),
            precision,
            scale,
            limit: 10_i128.pow(u32::from(precision)),
        })
    }

    pub(crate) fn read(&mut self, tokens: &mut Tokens<'_>) -> Result<bool, Error> {
        let scale = u32::from(self.scale);
        let value = match tokens.peek() {
            b'"' => with_text(tokens, |text| exact(text.as_bytes(), scale))?.flatten(),
            byte if is_number(byte) => {
                let start = tokens.at;
                tokens.skip_number()?;
                exact(tokens.since(start), scale)
            }
            _ => None,
        };
        let limit = self.limit;
        Ok(self
            .values
            .push(value.filter(|value| -limit < *value && *value < limit)))
    }

    pub(crate) fn append_null(&mut self) {
        self.values.append_null();
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.values.bytes()
    }

    pub(crate) fn take(&mut self) -> Result<ArrayRef, Error> {
        let array = self.values.take_array()?;
        let scale = self.scale.cast_signed();
        let array = array
            .with_precision_and_scale(self.precision, scale)
            .map_err(Error::from_arrow)?;
        Ok(Arc::new(array))
    }
}

#[inline]
fn is_number(byte: u8) -> bool {
    byte == b'-' || byte.is_ascii_digit()
}

/// Takes the number that a text is, all of it, where texts stand for values.
#[cold]
#[inline(never)]
fn from_text<T>(
    tokens: &mut Tokens<'_>,
    read: impl FnOnce(&mut Tokens<'_>) -> Option<T>,
) -> Result<Option<T>, Error> {
    if !tokens.texts || tokens.peek() != b'"' {
        return Ok(None);
    }
    let (raw, _) = tokens.raw_string()?;
    let text = raw.trim_ascii();
    let text = text.strip_prefix(b"+").unwrap_or(text);
    if !text.first().is_some_and(|byte| is_number(*byte)) {
        return Ok(None);
    }
    let mut number = Tokens::new(text, 1);
    Ok(read(&mut number).filter(|_| number.at == text.len()))
}

/// Takes a string and does something with its text; nothing when it is no text.
fn with_text<T>(
    tokens: &mut Tokens<'_>,
    parse: impl FnOnce(&str) -> T,
) -> Result<Option<T>, Error> {
    let start = tokens.at;
    let (raw, escaped) = tokens.raw_string()?;
    if !escaped {
        return Ok(std::str::from_utf8(raw).ok().map(parse));
    }
    tokens.at = start;
    let mut text = Vec::new();
    if !tokens.read_string(&mut text)? {
        return Ok(None);
    }
    Ok(std::str::from_utf8(&text).ok().map(parse))
}
