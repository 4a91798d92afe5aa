//! Columns of `true` and `false`.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, BooleanBufferBuilder};

use super::validity::Validity;
use crate::error::Error;
use crate::tokens::Tokens;

/// A column of `true` and `false`.
#[derive(Debug)]
pub(crate) struct BooleanColumn {
    values: BooleanBufferBuilder,
    validity: Validity,
}

impl Default for BooleanColumn {
    fn default() -> Self {
        Self {
            values: BooleanBufferBuilder::new(0),
            validity: Validity::default(),
        }
    }
}

impl BooleanColumn {
    #[inline]
    pub(crate) fn read(&mut self, tokens: &mut Tokens<'_>) -> Result<bool, Error> {
        let value = match tokens.peek() {
            b't' => true,
            b'f' => false,
            b'"' if tokens.texts => match truth(tokens.raw_string()?.0) {
                Some(value) => {
                    self.values.append(value);
                    return Ok(true);
                }
                None => return Ok(false),
            },
            _ => return Ok(false),
        };
        tokens.literal(if value { "true" } else { "false" })?;
        self.values.append(value);
        Ok(true)
    }

    pub(crate) fn append_null(&mut self) {
        self.validity.set_null(self.values.len());
        self.values.append(false);
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        self.validity.truncate(len);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.values.len() / 8 + self.validity.bytes()
    }

    pub(crate) fn take(&mut self) -> ArrayRef {
        let nulls = self.validity.take(self.values.len());
        Arc::new(BooleanArray::new(self.values.finish(), nulls))
    }
}

/// The truth that a text tells, in any case: `true`, `t`, `yes`, `y`, `1` and their opposites.
fn truth(text: &[u8]) -> Option<bool> {
    let is = |words: [&str; 5]| {
        let mut words = words.iter();
        words.any(|word| text.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    };
    if is(["true", "t", "yes", "y", "1"]) {
        Some(true)
    } else if is(["false", "f", "no", "n", "0"]) {
        Some(false)
    } else {
        None
    }
}
