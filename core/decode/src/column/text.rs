//! Columns of text.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};

use super::renewed;
use super::validity::Validity;
use crate::error::Error;
use crate::tokens::Tokens;

/// A column of text.
///
/// Its offsets have 32 bits: the decoder sees to it that no page takes a column beyond them.
#[derive(Debug)]
pub(crate) struct TextColumn {
    /// Where each text starts and, last, where the next one will.
    offsets: Vec<i32>,
    /// Beyond the last offset there may be the beginning of a text that turned out to be none.
    values: Vec<u8>,
    validity: Validity,
}

impl Default for TextColumn {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            values: Vec::new(),
            validity: Validity::default(),
        }
    }
}

impl TextColumn {
    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    #[inline]
    pub(crate) fn read(&mut self, tokens: &mut Tokens<'_>) -> Result<bool, Error> {
        if tokens.peek() != b'"' {
            return Ok(false);
        }
        let start = self.values.len();
        if tokens.read_string(&mut self.values)? {
            self.end();
            Ok(true)
        } else {
            self.values.truncate(start);
            Ok(false)
        }
    }

    /// Takes any value as its JSON text.
    #[inline]
    pub(crate) fn read_json(&mut self, tokens: &mut Tokens<'_>) -> Result<bool, Error> {
        let start = tokens.at;
        tokens.skip_value()?;
        self.append(|values| values.extend_from_slice(tokens.since(start)));
        Ok(true)
    }

    /// Appends the text that a function writes; it must only append, and only whole characters.
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.values);
        self.end();
    }

    /// A text ends where the values end.
    #[inline]
    fn end(&mut self) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            reason = "the decoder keeps the values of a batch below 2^31 bytes"
        )]
        self.offsets.push(self.values.len() as i32);
    }

    pub(crate) fn append_null(&mut self) {
        self.validity.set_null(self.len());
        self.end();
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len + 1);
        self.values.truncate(self.size());
        self.validity.truncate(len);
    }

    /// The bytes of all texts.
    pub(crate) fn size(&self) -> usize {
        self.offsets
            .last()
            .map_or(0, |end| end.cast_unsigned() as usize)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.offsets.len() * size_of::<i32>() + self.values.len() + self.validity.bytes()
    }

    pub(crate) fn take(&mut self) -> Result<ArrayRef, Error> {
        let nulls = self.validity.take(self.len());
        let offsets = renewed(&mut self.offsets);
        self.offsets.push(0);
        let values = renewed(&mut self.values);
        let array = StringArray::try_new(
            OffsetBuffer::new(ScalarBuffer::from(offsets)),
            Buffer::from_vec(values),
            nulls,
        )
        .map_err(Error::from_arrow)?;
        Ok(Arc::new(array))
    }
}
