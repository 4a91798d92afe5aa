//! The records of a resource: made when asked for, kept as bytes.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use connector_plan::{ProcessingStep, Resource};

use serde_json::Value;

use super::shape::{Generated, RecordShape};
use crate::{Options, processing, settings::text_of};

/// Records that are rendered together.
const BLOCK: usize = 500;

/// Bytes of rendered records that a table keeps, unless all are to be kept.
const KEEP: usize = 64 << 20;

/// The records of a resource.
pub(crate) struct Table {
    shape: Arc<RecordShape>,
    /// What clients do to the records: they are served as they are in front of it.
    steps: Vec<ProcessingStep>,
    keep: usize,
    state: Mutex<State>,
}

struct State {
    rows: Rows,
    /// The position in time of the next change.
    next_tick: u64,
    /// The index of the next new record.
    next_index: u64,
    /// How often the rows have changed.
    version: u64,
    blocks: HashMap<usize, Arc<Block>>,
    order: VecDeque<usize>,
    kept: usize,
    /// Where each value of a field is, for the fields that were asked for.
    positions: HashMap<String, HashMap<String, usize>>,
}

/// The rows in the order in which they are served.
enum Rows {
    /// As many generated records, none of them ever changed.
    Untouched(usize),
    Edited(Vec<Row>),
}

#[derive(Clone)]
enum Row {
    Generated(Generated),
    Raw(Arc<str>),
}

/// Rendered records, each followed by a comma.
struct Block {
    bytes: Bytes,
    /// Where each record begins, and where the last one ends.
    starts: Vec<usize>,
}

impl Block {
    /// A record without its comma.
    fn record(&self, position: usize) -> &[u8] {
        &self.bytes[self.starts[position]..self.starts[position + 1] - 1]
    }
}

impl Table {
    pub(crate) fn new(
        resource: &Resource,
        options: &Options,
        choices: &[(String, Vec<String>)],
        sharing: &[&Resource],
    ) -> Result<Self, String> {
        let shape = RecordShape::new(
            resource,
            options.seed,
            options.nulls,
            options.undeclared_every,
            choices,
            sharing,
        )?;
        let table = Self {
            keep: if options.prerender { usize::MAX } else { KEEP },
            state: Mutex::new(State::new(options.records.min(shape.capacity()))),
            shape: Arc::new(shape),
            steps: resource.processing_steps.clone(),
        };
        if options.prerender {
            let len = table.len();
            for start in (0..len).step_by(BLOCK) {
                table.block(&mut table.state(), start / BLOCK);
            }
        }
        Ok(table)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn len(&self) -> usize {
        self.state().rows.len()
    }

    /// The records of a range as pieces of JSON, which joined are the inside of an array.
    pub(crate) fn pieces(&self, range: Range<usize>) -> Vec<Bytes> {
        let mut state = self.state();
        let range = range.start..range.end.min(state.rows.len());
        let mut pieces = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let block = self.block(&mut state, at / BLOCK);
            let first = at % BLOCK;
            let last = (range.end - at + first).min(BLOCK);
            at += last - first;
            // The comma behind the last record of the range is left out.
            let end = block.starts[last] - usize::from(at == range.end);
            pieces.push(block.bytes.slice(block.starts[first]..end));
        }
        pieces
    }

    /// Every record as JSON, in the order in which they are served.
    pub(crate) fn records(&self, range: Range<usize>) -> Vec<Bytes> {
        let mut state = self.state();
        let range = range.start..range.end.min(state.rows.len());
        range
            .map(|at| {
                let block = self.block(&mut state, at / BLOCK);
                block.bytes.slice_ref(block.record(at % BLOCK))
            })
            .collect()
    }

    /// The records at these positions, as a table of their own.
    pub(crate) fn view(&self, positions: &[usize]) -> Self {
        let state = self.state();
        let rows = positions.iter().map(|position| state.rows.get(*position));
        let mut view = State::new(0);
        view.rows = Rows::Edited(rows.collect());
        Self {
            shape: Arc::clone(&self.shape),
            steps: self.steps.clone(),
            keep: self.keep,
            state: Mutex::new(view),
        }
    }

    /// How often the records have changed.
    pub(crate) fn version(&self) -> u64 {
        self.state().version
    }

    /// The position of the last record in which a field has this value, written as text.
    pub(crate) fn find(&self, field: &str, value: &Value) -> Option<usize> {
        let mut state = self.state();
        if !state.positions.contains_key(field) {
            let mut positions = HashMap::new();
            for position in 0..state.rows.len() {
                let block = self.block(&mut state, position / BLOCK);
                let record: Value = serde_json::from_slice(block.record(position % BLOCK)).ok()?;
                if let Some(value) = record.get(field) {
                    positions.insert(text_of(value), position);
                }
            }
            state.positions.insert(field.to_owned(), positions);
        }
        state.positions.get(field)?.get(&text_of(value)).copied()
    }

    /// Makes the table `count` generated records.
    pub(crate) fn set(&self, count: u64) {
        let mut state = self.state();
        let version = state.version + 1;
        *state = State::new(count.min(self.shape.capacity()));
        state.version = version;
    }

    /// Makes the table these records, served byte for byte.
    pub(crate) fn set_raw(&self, records: Vec<String>) {
        self.state().edit(|state, rows| {
            state.next_index = state.next_index.max(records.len() as u64);
            *rows = records
                .into_iter()
                .map(|text| Row::Raw(text.into()))
                .collect();
        });
    }

    /// Adds generated records at the end; gives how many.
    pub(crate) fn add(&self, count: u64) -> u64 {
        let capacity = self.shape.capacity();
        self.state().edit(|state, rows| {
            let count = count.min(capacity.saturating_sub(state.next_index));
            for _ in 0..count {
                rows.push(Row::Generated(Generated {
                    index: state.next_index,
                    tick: state.tick(),
                }));
                state.next_index += 1;
            }
            count
        })
    }

    /// Changes the generated records at the chosen positions, all but their keys; gives how many.
    pub(crate) fn update(&self, mut chosen: impl FnMut(usize) -> bool) -> u64 {
        self.state().edit(|state, rows| {
            let mut changed = 0;
            for (position, row) in rows.iter_mut().enumerate() {
                if let Row::Generated(generated) = row
                    && chosen(position)
                {
                    generated.tick = state.tick();
                    changed += 1;
                }
            }
            changed
        })
    }

    /// Removes the records at the chosen positions; gives how many.
    pub(crate) fn delete(&self, mut chosen: impl FnMut(usize) -> bool) -> u64 {
        self.state().edit(|_, rows| {
            let before = rows.len();
            let mut position = 0;
            rows.retain(|_| {
                position += 1;
                !chosen(position - 1)
            });
            (before - rows.len()) as u64
        })
    }

    /// Appends a record as it is served.
    fn push(&self, bytes: &mut Vec<u8>, generated: Generated) {
        let start = bytes.len();
        self.shape.push(bytes, generated);
        if self.steps.is_empty() {
            return;
        }
        if let Ok(record) = serde_json::from_slice(&bytes[start..]) {
            let raw = processing::raw(&self.steps, record);
            bytes.truncate(start);
            bytes.extend(raw.to_string().bytes());
        }
    }

    fn block(&self, state: &mut State, number: usize) -> Arc<Block> {
        if let Some(block) = state.blocks.get(&number) {
            return Arc::clone(block);
        }
        let start = number * BLOCK;
        let end = (start + BLOCK).min(state.rows.len());
        let mut bytes = Vec::with_capacity(
            state
                .blocks
                .values()
                .next()
                .map_or(0, |block| block.bytes.len() + block.bytes.len() / 16),
        );
        let mut starts = Vec::with_capacity(end - start + 1);
        for position in start..end {
            starts.push(bytes.len());
            match state.rows.get(position) {
                Row::Generated(generated) => self.push(&mut bytes, generated),
                Row::Raw(text) => bytes.extend_from_slice(text.as_bytes()),
            }
            bytes.push(b',');
        }
        starts.push(bytes.len());
        bytes.shrink_to_fit();
        let block = Arc::new(Block {
            bytes: bytes.into(),
            starts,
        });
        state.kept += block.bytes.len();
        state.order.push_back(number);
        state.blocks.insert(number, Arc::clone(&block));
        while state.kept > self.keep
            && let Some(oldest) = state.order.pop_front()
        {
            if let Some(gone) = state.blocks.remove(&oldest) {
                state.kept -= gone.bytes.len();
            }
        }
        block
    }
}

impl State {
    fn new(count: u64) -> Self {
        Self {
            rows: Rows::Untouched(usize::try_from(count).unwrap_or(usize::MAX)),
            next_tick: count,
            next_index: count,
            version: 0,
            blocks: HashMap::new(),
            order: VecDeque::new(),
            kept: 0,
            positions: HashMap::new(),
        }
    }

    fn tick(&mut self) -> u64 {
        self.next_tick += 1;
        self.next_tick - 1
    }

    fn edit<T>(&mut self, edit: impl FnOnce(&mut Self, &mut Vec<Row>) -> T) -> T {
        let mut rows = match std::mem::replace(&mut self.rows, Rows::Untouched(0)) {
            Rows::Untouched(count) => (0..count).map(Row::untouched).collect(),
            Rows::Edited(rows) => rows,
        };
        let result = edit(self, &mut rows);
        self.rows = Rows::Edited(rows);
        self.version += 1;
        self.blocks.clear();
        self.order.clear();
        self.kept = 0;
        self.positions.clear();
        result
    }
}

impl Rows {
    fn len(&self) -> usize {
        match self {
            Self::Untouched(count) => *count,
            Self::Edited(rows) => rows.len(),
        }
    }

    fn get(&self, position: usize) -> Row {
        match self {
            Self::Untouched(_) => Row::untouched(position),
            Self::Edited(rows) => rows[position].clone(),
        }
    }
}

impl Row {
    fn untouched(position: usize) -> Self {
        Self::Generated(Generated {
            index: position as u64,
            tick: position as u64,
        })
    }
}
