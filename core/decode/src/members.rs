//! The keys of one kind of object: finds a member's slot by the order seen last, then by hash.

use std::collections::HashMap;

use connector_plan::Field;

use crate::error::Error;
use crate::rescue::PathId;
use crate::tokens::Tokens;

/// The undeclared keys that are remembered from object to object.
const MAX_UNDECLARED: usize = 1_000;

/// The slots of an object's keys: one stands for the start, then the declared fields in their
/// order, then undeclared keys as they came up.
#[derive(Debug)]
pub(crate) struct Members {
    slots: Vec<Slot>,
    declared: usize,
    by_key: HashMap<Box<[u8]>, usize>,
}

#[derive(Debug)]
pub(crate) struct Slot {
    key: KeyPattern,
    /// The slot whose key followed this one's last time.
    next: usize,
    /// Where the last value of this key was, over all pages of the decoder.
    pub(crate) at: u64,
    /// Its count of rescued values.
    pub(crate) path: PathId,
}

impl Members {
    /// The slot before the first member.
    pub(crate) const START: usize = 0;

    pub(crate) fn new(fields: &[Field]) -> Self {
        let mut members = Self {
            slots: vec![Slot::new(KeyPattern::never())],
            declared: fields.len(),
            by_key: HashMap::new(),
        };
        for field in fields {
            let key = field.name.as_bytes();
            let slot = members.add(key, KeyPattern::new(key));
            // Until something else is seen, the keys come in the order of the fields.
            members.slots[slot - 1].next = slot;
        }
        members
    }

    fn add(&mut self, key: &[u8], pattern: KeyPattern) -> usize {
        let slot = self.slots.len();
        self.slots.push(Slot::new(pattern));
        self.by_key.insert(key.into(), slot);
        slot
    }

    pub(crate) fn slot_mut(&mut self, slot: usize) -> &mut Slot {
        &mut self.slots[slot]
    }

    /// The slot of a declared field, by its position.
    pub(crate) fn declared(&self, field: usize) -> &Slot {
        &self.slots[field + 1]
    }

    /// The count of what a declared field has given, by its position.
    pub(crate) fn declared_path(&mut self, field: usize) -> &mut PathId {
        &mut self.slots[field + 1].path
    }

    /// The position of a slot's field; beyond all fields for an undeclared key.
    pub(crate) fn field(slot: usize) -> usize {
        slot - 1
    }

    /// Takes a key and its colon and gives its slot; `previous` is that of the key before.
    #[inline]
    pub(crate) fn find(
        &mut self,
        tokens: &mut Tokens<'_>,
        previous: usize,
    ) -> Result<usize, Error> {
        let guess = self.slots[previous].next;
        let key = &self.slots[guess].key;
        if key.is_next(tokens) {
            tokens.at += key.length;
            tokens.skip_whitespace();
            return Ok(guess);
        }
        self.search(tokens, previous, guess)
    }

    #[inline(never)]
    fn search(
        &mut self,
        tokens: &mut Tokens<'_>,
        previous: usize,
        guess: usize,
    ) -> Result<usize, Error> {
        // A member that objects may leave out is the most usual reason for a wrong guess.
        let second = self.slots[guess].next;
        let key = &self.slots[second].key;
        if key.is_next(tokens) {
            tokens.at += key.length;
            tokens.skip_whitespace();
            return Ok(second);
        }
        let start = tokens.at;
        let (raw, escaped) = tokens.raw_string()?;
        tokens.colon()?;
        let slot = if escaped {
            let after = std::mem::replace(&mut tokens.at, start);
            let mut key = Vec::new();
            if !tokens.read_string(&mut key)? {
                // Half a surrogate pair: no other spelling means the same, and 0xFF is in no text.
                key = [&[0xFF], raw].concat();
            }
            tokens.at = after;
            self.slot_of_spelling(&key, raw)
        } else {
            self.slot_of(raw)
        };
        self.slots[previous].next = slot;
        Ok(slot)
    }

    /// The slot of a key without escapes.
    pub(crate) fn slot_of(&mut self, key: &[u8]) -> usize {
        self.slot_of_spelling(key, key)
    }

    fn slot_of_spelling(&mut self, key: &[u8], raw: &[u8]) -> usize {
        match self.by_key.get(key) {
            Some(slot) => *slot,
            None => self.add(key, KeyPattern::raw(raw)),
        }
    }

    /// Called behind an object: forgets the undeclared keys when they have become too many.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if self.slots.len() > 1 + self.declared + MAX_UNDECLARED {
            self.forget();
        }
    }

    #[cold]
    fn forget(&mut self) {
        let known = 1 + self.declared;
        self.slots.truncate(known);
        self.by_key.retain(|_, slot| *slot < known);
        for slot in &mut self.slots {
            if slot.next >= known {
                slot.next = Self::START;
            }
        }
    }
}

impl Slot {
    fn new(key: KeyPattern) -> Self {
        Self {
            key,
            next: Members::START,
            at: 0,
            path: PathId::default(),
        }
    }
}

/// A key with its quotes and colon, `"name":`, as words to compare at once.
#[derive(Debug)]
struct KeyPattern {
    words: [u64; 2],
    masks: [u64; 2],
    length: usize,
    /// What is behind the words.
    rest: Box<[u8]>,
}

impl KeyPattern {
    /// Of a decoded key; one that JSON must escape is left to the search.
    fn new(key: &[u8]) -> Self {
        if key
            .iter()
            .any(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))
        {
            return Self::never();
        }
        Self::raw(key)
    }

    /// Of a key as a page spells it.
    fn raw(key: &[u8]) -> Self {
        let text = [b"\"", key, b"\":"].concat();
        let word = |from: usize| {
            let mut chunk = [0; 8];
            let mut mask = [0; 8];
            for (index, byte) in text.iter().skip(from).take(8).enumerate() {
                chunk[index] = *byte;
                mask[index] = 0xFF;
            }
            (u64::from_le_bytes(chunk), u64::from_le_bytes(mask))
        };
        let (low, low_mask) = word(0);
        let (high, high_mask) = word(8);
        Self {
            words: [low, high],
            masks: [low_mask, high_mask],
            length: text.len(),
            rest: text.get(16..).unwrap_or_default().into(),
        }
    }

    /// Of no key: 0xFF is in no text.
    fn never() -> Self {
        Self {
            words: [u64::MAX; 2],
            masks: [u64::MAX; 2],
            length: 0,
            rest: Box::default(),
        }
    }

    #[inline]
    fn is_next(&self, tokens: &Tokens<'_>) -> bool {
        let low = (tokens.word(tokens.at) ^ self.words[0]) & self.masks[0];
        if self.length <= 8 {
            return low == 0;
        }
        let high = (tokens.word(tokens.at + 8) ^ self.words[1]) & self.masks[1];
        low | high == 0
            && (self.rest.is_empty()
                || tokens
                    .bytes()
                    .get(tokens.at + 16..)
                    .is_some_and(|rest| rest.starts_with(&self.rest)))
    }
}
