//! Columns of lists.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::FieldRef;
use connector_plan::{Contract, ContractMode, FieldType};

use super::object::frozen;
use super::validity::Validity;
use super::{Column, renewed};
use crate::error::Error;
use crate::place::Place;
use crate::rescue::{Fate, PathId, Rescue};
use crate::schema::{arrow_item, type_name};
use crate::tokens::Tokens;

/// A column of lists.
#[derive(Debug)]
pub(crate) struct ListColumn {
    item: FieldRef,
    items: Column,
    /// Where each list starts in the items and, last, where the next one will.
    offsets: Vec<i32>,
    validity: Validity,
    path: PathId,
    /// What happens to items that do not fit.
    mode: ContractMode,
    expected: &'static str,
}

impl ListColumn {
    pub(crate) fn new(item: &FieldType, modes: &Contract, levels: usize) -> Result<Self, Error> {
        let levels = levels.checked_sub(1).ok_or_else(Error::schema_too_deep)?;
        Ok(Self {
            item: arrow_item(item),
            items: Column::new(item, modes, levels)?,
            offsets: vec![0],
            validity: Validity::default(),
            path: PathId::default(),
            mode: modes.data_type,
            expected: type_name(item),
        })
    }

    pub(crate) fn read(
        &mut self,
        tokens: &mut Tokens<'_>,
        rescue: &mut Rescue,
        place: &Place<'_>,
    ) -> Result<bool, Error> {
        if tokens.peek() != b'[' {
            return self.read_single(tokens, rescue, place);
        }
        tokens.open()?;
        let mut index = 0;
        if tokens.peek() == b']' {
            tokens.close();
        } else {
            loop {
                let item = place.index(index);
                let start = tokens.at;
                if tokens.peek() == b'n' {
                    tokens.literal("null")?;
                    self.items.append_null();
                } else if !self.items.read(tokens, rescue, &item)? {
                    tokens.at = start;
                    tokens.skip_value()?;
                    self.items.append_null();
                    self.unfit(tokens, start, rescue, &item)?;
                }
                index += 1;
                if !tokens.separator(b']')? {
                    break;
                }
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            reason = "an item has a byte at least, and a batch has less than 2^31 bytes"
        )]
        self.offsets.push((self.size() + index) as i32);
        Ok(true)
    }

    /// Something that the items do not take, between `start` and the tokens' place.
    #[cold]
    #[inline(never)]
    fn unfit(
        &mut self,
        tokens: &Tokens<'_>,
        start: usize,
        rescue: &mut Rescue,
        place: &Place<'_>,
    ) -> Result<(), Error> {
        let fate = match self.mode {
            ContractMode::Freeze => {
                let found = tokens.since(start);
                return Err(frozen(Some(self.expected), tokens, start, found, place));
            }
            ContractMode::Rescue => Fate::Rescue,
            ContractMode::Evolve => Fate::Evolve,
            ContractMode::DiscardValue => Fate::DiscardValue,
            ContractMode::DiscardRow => Fate::DiscardRow,
        };
        rescue.add(tokens, start..tokens.at, fate, place, &mut self.path);
        Ok(())
    }

    /// Takes a value as a list of one, where a format does not tell the two apart.
    #[cold]
    #[inline(never)]
    fn read_single(
        &mut self,
        tokens: &mut Tokens<'_>,
        rescue: &mut Rescue,
        place: &Place<'_>,
    ) -> Result<bool, Error> {
        if !tokens.texts || !self.items.read(tokens, rescue, place)? {
            return Ok(false);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            reason = "an item has a byte at least, and a batch has less than 2^31 bytes"
        )]
        self.offsets.push((self.size() + 1) as i32);
        Ok(true)
    }

    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The items of all lists.
    fn size(&self) -> usize {
        self.offsets
            .last()
            .map_or(0, |end| end.cast_unsigned() as usize)
    }

    pub(crate) fn append_null(&mut self) {
        self.validity.set_null(self.len());
        self.offsets.extend_from_within(self.len()..);
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len + 1);
        self.items.truncate(self.size());
        self.validity.truncate(len);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.offsets.len() * size_of::<i32>() + self.items.bytes() + self.validity.bytes()
    }

    pub(crate) fn take(&mut self) -> Result<ArrayRef, Error> {
        let nulls = self.validity.take(self.len());
        let offsets = renewed(&mut self.offsets);
        self.offsets.push(0);
        let array = ListArray::try_new(
            Arc::clone(&self.item),
            OffsetBuffer::new(ScalarBuffer::from(offsets)),
            self.items.take()?,
            nulls,
        )
        .map_err(Error::from_arrow)?;
        Ok(Arc::new(array))
    }
}
