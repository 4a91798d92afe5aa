//! Which values of a column are there; free of cost until the first null.

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::NullBuffer;

/// Which values of a column are there.
#[derive(Debug)]
pub(crate) struct Validity {
    /// Up to the last null at most: what is behind it is there.
    bits: BooleanBufferBuilder,
}

impl Default for Validity {
    fn default() -> Self {
        Self {
            bits: BooleanBufferBuilder::new(0),
        }
    }
}

impl Validity {
    /// The value at `index`, the column's last one, is null.
    #[inline]
    pub(crate) fn set_null(&mut self, index: usize) {
        self.fill(index);
        self.bits.append(false);
    }

    fn fill(&mut self, len: usize) {
        let missing = len - self.bits.len();
        if missing > 0 {
            self.bits.append_n(missing, true);
        }
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        if len < self.bits.len() {
            self.bits.truncate(len);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bits.len() / 8
    }

    /// The bits of a column of `len` values; none when all are there.
    pub(crate) fn take(&mut self, len: usize) -> Option<NullBuffer> {
        if self.bits.is_empty() {
            return None;
        }
        self.fill(len);
        let nulls = NullBuffer::new(self.bits.finish());
        (nulls.null_count() > 0).then_some(nulls)
    }
}
