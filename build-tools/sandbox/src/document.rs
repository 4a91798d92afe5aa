//! A page as a JSON document: records where the selector says, paging values where the plan says.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytes::Bytes;
use connector_plan::Step;
use serde_json::Value;

use crate::{data::Table, random::mix};

/// Pieces up to this size are copied together.
const COPY: usize = 4 << 10;

/// A JSON document whose records are not rendered yet.
pub(crate) enum Node {
    Object(Vec<(String, Self)>),
    /// An object whose every member a wildcard selects: nothing else may stand in it.
    Selected(Vec<(String, Self)>),
    Array(Vec<Self>),
    Value(Value),
    /// An array of the records of a table.
    Records(usize, Range<usize>),
    /// One record of a table.
    Record(usize, usize),
}

impl Node {
    /// The document in which `steps` lead to these records and to nothing else.
    ///
    /// A wildcard with steps behind it divides the records into groups of up to five, with empty
    /// ones among them; `objects` makes it an object instead of an array.
    pub(crate) fn records(
        steps: &[Step],
        table: usize,
        range: Range<usize>,
        objects: bool,
    ) -> Self {
        match steps {
            [] => Self::Records(table, range),
            [Step::Wildcard] if objects => Self::Selected(
                range
                    .map(|position| (format!("r{position}"), Self::Record(table, position)))
                    .collect(),
            ),
            [Step::Wildcard] => Self::Records(table, range),
            [Step::Key(key), rest @ ..] => Self::Object(vec![(
                key.clone(),
                Self::records(rest, table, range, objects),
            )]),
            [Step::Index(index), rest @ ..] => {
                // Something without records stands on both sides of the right element.
                let empty = || Self::Object(Vec::new());
                let wanted = Self::records(rest, table, range, objects);
                let skipped = index.unsigned_abs();
                let mut array: Vec<Self> = if *index < 0 {
                    std::iter::once(empty()).collect()
                } else {
                    (0..skipped).map(|_| empty()).collect()
                };
                array.push(wanted);
                let after = if *index < 0 { skipped - 1 } else { 1 };
                array.extend((0..after).map(|_| empty()));
                Self::Array(array)
            }
            [Step::Wildcard, rest @ ..] => {
                let mut groups = Vec::new();
                let mut at = range.start;
                while at < range.end {
                    let size = (mix(((at as u64) << 8) + groups.len() as u64) % 6) as usize;
                    let end = (at + size).min(range.end);
                    groups.push(Self::records(rest, table, at..end, objects));
                    at = end;
                }
                if objects {
                    let named = groups.into_iter().enumerate();
                    Self::Selected(named.map(|(i, group)| (format!("g{i}"), group)).collect())
                } else {
                    Self::Array(groups)
                }
            }
        }
    }

    /// Puts a value where a path leads; false when something else stands in the way.
    pub(crate) fn place(&mut self, path: &[Step], value: Self) -> bool {
        match (self, path) {
            (Self::Object(members), [Step::Key(key), rest @ ..]) => {
                match members.iter_mut().find(|(name, _)| name == key) {
                    Some((_, inner)) => !rest.is_empty() && inner.place(rest, value),
                    None => Self::around(rest, value)
                        .map(|node| members.push((key.clone(), node)))
                        .is_some(),
                }
            }
            (Self::Array(items), [Step::Index(index), rest @ ..]) if !rest.is_empty() => {
                let position = usize::try_from(*index)
                    .ok()
                    .or_else(|| items.len().checked_sub(index.unsigned_abs() as usize));
                position
                    .and_then(|position| items.get_mut(position))
                    .is_some_and(|inner| inner.place(rest, value))
            }
            _ => false,
        }
    }

    /// A document that has nothing but a value.
    fn around(path: &[Step], value: Self) -> Option<Self> {
        Some(match path {
            [] => value,
            [Step::Key(key), rest @ ..] => {
                Self::Object(vec![(key.clone(), Self::around(rest, value)?)])
            }
            [Step::Index(0 | -1), rest @ ..] => Self::Array(vec![Self::around(rest, value)?]),
            _ => return None,
        })
    }

    /// Adds another document; false when both have something else at the same place.
    pub(crate) fn merge(&mut self, other: Self) -> bool {
        let (Self::Object(mine), Self::Object(theirs)) = (self, other) else {
            return false;
        };
        theirs.into_iter().all(
            |(key, node)| match mine.iter_mut().find(|(name, _)| *name == key) {
                Some((_, inner)) => inner.merge(node),
                None => {
                    mine.push((key, node));
                    true
                }
            },
        )
    }

    /// Turns the order of the root's members around, which means nothing in JSON.
    pub(crate) fn reverse(&mut self) {
        if let Self::Object(members) = self {
            members.reverse();
        }
    }

    /// The document's bytes, in pieces.
    pub(crate) fn render(&self, tables: &[Arc<Table>]) -> VecDeque<Bytes> {
        let mut writer = Writer {
            tables,
            open: Vec::new(),
            done: VecDeque::new(),
        };
        writer.write(self);
        writer.done.push_back(writer.open.into());
        writer.done
    }
}

struct Writer<'a> {
    tables: &'a [Arc<Table>],
    open: Vec<u8>,
    done: VecDeque<Bytes>,
}

impl Writer<'_> {
    fn write(&mut self, node: &Node) {
        match node {
            Node::Object(members) | Node::Selected(members) => {
                self.open.push(b'{');
                for (i, (key, inner)) in members.iter().enumerate() {
                    if i > 0 {
                        self.open.push(b',');
                    }
                    let key = Value::String(key.clone()).to_string();
                    self.open.extend_from_slice(key.as_bytes());
                    self.open.push(b':');
                    self.write(inner);
                }
                self.open.push(b'}');
            }
            Node::Array(items) => {
                self.open.push(b'[');
                for (i, inner) in items.iter().enumerate() {
                    if i > 0 {
                        self.open.push(b',');
                    }
                    self.write(inner);
                }
                self.open.push(b']');
            }
            Node::Value(value) => self.open.extend_from_slice(value.to_string().as_bytes()),
            Node::Records(table, range) => {
                self.open.push(b'[');
                self.pieces(*table, range.clone());
                self.open.push(b']');
            }
            Node::Record(table, position) => self.pieces(*table, *position..position + 1),
        }
    }

    fn pieces(&mut self, table: usize, range: Range<usize>) {
        for piece in self.tables[table].pieces(range) {
            if piece.len() <= COPY {
                self.open.extend_from_slice(&piece);
            } else {
                let open = std::mem::take(&mut self.open);
                self.done.extend([open.into(), piece]);
            }
        }
    }
}
