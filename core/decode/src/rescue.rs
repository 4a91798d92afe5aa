//! What no column could hold: the `_rescued` column, and the counts of what went there or was
//! dropped.

use std::collections::HashMap;
use std::ops::Range;

use arrow::array::ArrayRef;
use serde::{Deserialize, Serialize};

use crate::column::TextColumn;
use crate::error::{Error, ErrorKind};
use crate::place::Place;
use crate::tokens::Tokens;

/// The field paths that are counted apart.
const MAX_PATHS: usize = 1_000;

/// What a decoder has seen, over its life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Report {
    /// The records decoded.
    pub records: u64,
    /// The fields of which values went to `_rescued`, at most 1,000 of them.
    pub rescued: Vec<RescuedField>,
    /// The fields of records that are kept whole, because new columns may come of them, where they
    /// were first; what becomes of them is not counted.
    pub pending: Vec<RescuedField>,
    /// The values that went to `_rescued` from yet other fields.
    pub rescued_other: u64,
    /// The fields of which values were dropped, as the contract says, at most 1,000 of them.
    pub discarded_values: Vec<RescuedField>,
    /// The values of yet other fields that were dropped.
    pub discarded_values_other: u64,
    /// The fields because of which records were dropped, as the contract says, at most 1,000 of
    /// them. A record counts once, for the first of its fields.
    pub discarded_rows: Vec<RescuedField>,
    /// The records that were dropped because of yet other fields.
    pub discarded_rows_other: u64,
    /// The members that were dropped because their key came again in the same object.
    pub duplicate_keys: u64,
    /// The values on the way of the selector that have nothing of what it asks for next, although
    /// others in the same page have.
    pub selector_misses: u64,
    /// What the first of them is and does not have.
    pub first_selector_miss: Option<String>,
}

/// A field of which values went to `_rescued`, or were dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RescuedField {
    /// The path from the record, with `[*]` for the index of an element: `owner.tags[*]`.
    pub path: String,
    /// How many values.
    pub count: u64,
    /// Where the first of them was in its page: `$.files[17].owner.tags[3]`.
    pub sample: String,
    /// Which record of the decoder that was, from 1.
    pub record: u64,
}

/// What becomes of something that no column takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    /// It goes to `_rescued`.
    Rescue,
    /// It goes there, too, and may become a column when everything has been read.
    Evolve,
    /// It is dropped.
    DiscardValue,
    /// Its record is dropped.
    DiscardRow,
    /// Its key came again in the same object.
    TakenBack,
}

/// The index of a path in the counts; 0 while it is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PathId(u32);

/// The `_rescued` column and its counts.
#[derive(Debug)]
pub(crate) struct Rescue {
    /// Added to an offset in the page to give a position over all pages, which start at 1.
    base: u64,
    /// What the current record has for the column.
    entries: Vec<Entry>,
    /// The keys of the entries.
    keys: String,
    column: TextColumn,
    /// The records that may give new columns, as they came; `None` when none do.
    whole: Option<TextColumn>,
    paths: Paths,
    /// The paths of all values that the current page has rescued or dropped.
    events: Vec<PathId>,
    /// The first values that the current page has rescued of a path without a sample.
    samples: Vec<Sample>,
    duplicates: u64,
    committed: Report,
}

#[derive(Debug)]
struct Entry {
    key_end: usize,
    start: usize,
    end: usize,
    fate: Fate,
    path: PathId,
}

#[derive(Debug)]
struct Sample {
    path: PathId,
    place: String,
    record: u64,
}

/// The state of a page in progress, to come back to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RescueMark {
    rows: usize,
    whole: usize,
    events: usize,
    samples: usize,
}

impl Rescue {
    /// With a column of whole records when new columns may come of them.
    pub(crate) fn new(evolves: bool) -> Self {
        Self {
            base: 1,
            entries: Vec::new(),
            keys: String::new(),
            column: TextColumn::default(),
            whole: evolves.then(TextColumn::default),
            paths: Paths::default(),
            events: Vec::new(),
            samples: Vec::new(),
            duplicates: 0,
            committed: Report::default(),
        }
    }

    /// A position that grows over all pages.
    #[inline]
    pub(crate) fn position(&self, at: usize) -> u64 {
        self.base + at as u64
    }

    /// Notes a value that no column takes, and what becomes of it.
    pub(crate) fn add(
        &mut self,
        tokens: &Tokens<'_>,
        value: Range<usize>,
        fate: Fate,
        place: &Place<'_>,
        path: &mut PathId,
    ) {
        if *path == PathId::default() {
            let general = place.general_field_path(tokens.bytes());
            *path = self.paths.id(general, fate);
        }
        place.write_field_path(tokens.bytes(), &mut self.keys);
        self.entries.push(Entry {
            key_end: self.keys.len(),
            start: value.start,
            end: value.end,
            fate,
            path: *path,
        });
    }

    /// Takes back what the value at a position has given, because its key came again.
    #[cold]
    pub(crate) fn take_back(&mut self, tokens: &Tokens<'_>, position: u64) {
        self.duplicates += 1;
        let start = usize::try_from(position - self.base).unwrap_or(usize::MAX);
        let mut again = Tokens::new(tokens.bytes(), usize::MAX);
        again.at = start;
        // It was read before, so it is a value.
        if again.skip_value().is_ok() {
            for entry in &mut self.entries {
                if (start..again.at).contains(&entry.start) {
                    entry.fate = Fate::TakenBack;
                }
            }
        }
    }

    /// What comes next of a page of a length may stand in front of what has been read of it.
    pub(crate) fn rewind(&mut self, length: usize) {
        self.base += length as u64 + 1;
    }

    /// A key of the envelope came again.
    pub(crate) fn count_duplicate(&mut self) {
        self.duplicates += 1;
    }

    /// Writes what the record with this index, whose text begins at `start`, has given. False when
    /// the record is dropped.
    #[inline]
    pub(crate) fn end_record(
        &mut self,
        tokens: &Tokens<'_>,
        start: usize,
        row: usize,
        place: &Place<'_>,
    ) -> Result<bool, Error> {
        if self.entries.is_empty() {
            return Ok(true);
        }
        let kept = self.write_record(tokens.bytes(), start..tokens.at, row, place);
        self.entries.clear();
        self.keys.clear();
        kept
    }

    #[inline(never)]
    fn write_record(
        &mut self,
        page: &[u8],
        record: Range<usize>,
        row: usize,
        place: &Place<'_>,
    ) -> Result<bool, Error> {
        let number = self.committed.records + place.record_number();
        let dropped = self
            .entries
            .iter()
            .any(|entry| entry.fate == Fate::DiscardRow);
        // Elsewhere there is nobody to make columns of it.
        let evolves =
            self.whole.is_some() && self.entries.iter().any(|entry| entry.fate == Fate::Evolve);
        let mut size = self.column.size() + self.keys.len() + 2;
        size += self
            .entries
            .iter()
            .map(|e| e.end - e.start + 4)
            .sum::<usize>();
        if !dropped && i32::try_from(size).is_err() {
            return Err(Error::new(
                ErrorKind::Limit,
                "the undeclared values of one batch take more than 2 GiB",
            ));
        }
        if !dropped {
            self.fill(row);
        }
        let entries = &self.entries;
        let mut key_start = 0;
        let keyed = entries.iter().map(|entry| {
            let key = &self.keys[key_start..entry.key_end];
            key_start = entry.key_end;
            (entry, key)
        });
        let (events, samples, paths) = (&mut self.events, &mut self.samples, &mut self.paths);
        let mut count = |entry: &Entry, key: &str| {
            if paths.needs_sample(entry.path) {
                samples.push(Sample {
                    path: entry.path,
                    place: format!("{}.{key}", place.json_path(page)),
                    record: number,
                });
            }
            if !(evolves && matches!(entry.fate, Fate::Rescue | Fate::Evolve)) {
                events.push(entry.path);
            }
        };
        if dropped {
            let mut reasons = keyed.filter(|(entry, _)| entry.fate == Fate::DiscardRow);
            if let Some((entry, key)) = reasons.next() {
                count(entry, key);
            }
            return Ok(false);
        }
        let mut any = false;
        self.column.append(|text| {
            for (entry, key) in keyed {
                match entry.fate {
                    Fate::TakenBack | Fate::DiscardRow => continue,
                    Fate::DiscardValue | Fate::Rescue | Fate::Evolve => count(entry, key),
                }
                if entry.fate == Fate::DiscardValue {
                    continue;
                }
                text.extend_from_slice(if any { b",\"" } else { b"{\"" });
                any = true;
                text.extend_from_slice(key.as_bytes());
                text.extend_from_slice(b"\":");
                text.extend_from_slice(&page[entry.start..entry.end]);
            }
            if any {
                text.push(b'}');
            }
        });
        if !any {
            // All was taken back, or dropped.
            self.column.truncate(row);
        }
        if evolves && let Some(whole) = &mut self.whole {
            fill(whole, row);
            whole.append(|text| text.extend_from_slice(&page[record]));
        }
        Ok(true)
    }

    /// Fills the column with nulls up to a row.
    fn fill(&mut self, row: usize) {
        fill(&mut self.column, row);
    }

    pub(crate) fn mark(&self) -> RescueMark {
        RescueMark {
            rows: self.column.len(),
            whole: self.whole.as_ref().map_or(0, TextColumn::len),
            events: self.events.len(),
            samples: self.samples.len(),
        }
    }

    /// Takes back what the page has given since a mark.
    pub(crate) fn truncate(&mut self, mark: RescueMark) {
        self.column.truncate(mark.rows);
        if let Some(whole) = &mut self.whole {
            whole.truncate(mark.whole);
        }
        self.events.truncate(mark.events);
        for sample in self.samples.drain(mark.samples..) {
            self.paths.no_sample(sample.path);
        }
        self.entries.clear();
        self.keys.clear();
    }

    /// A page of a length is over: counts what it gave, or, when it failed, takes that back.
    pub(crate) fn end_page(
        &mut self,
        length: usize,
        outcome: Result<u64, RescueMark>,
    ) -> PageCounts {
        self.base += length as u64 + 1;
        let duplicate_keys = std::mem::take(&mut self.duplicates);
        let records = match outcome {
            Ok(records) => records,
            Err(mark) => {
                self.truncate(mark);
                return PageCounts::default();
            }
        };
        for sample in self.samples.drain(..) {
            self.paths.sample(sample);
        }
        let counts = self.paths.count(&self.events);
        self.events.clear();
        self.committed.records += records;
        self.committed.duplicate_keys += duplicate_keys;
        PageCounts {
            duplicate_keys,
            ..counts
        }
    }

    pub(crate) fn report(&self) -> Report {
        let mut report = self.committed.clone();
        let [rescued, values, rows] = self.paths.other;
        report.rescued_other = rescued;
        report.discarded_values_other = values;
        report.discarded_rows_other = rows;
        let pending =
            |(field, _): &&(RescuedField, Fate)| field.count == 0 && !field.sample.is_empty();
        let pending = self.paths.counts.iter().filter(pending);
        report.pending = pending.map(|(field, _)| field.clone()).collect();
        for (field, fate) in self
            .paths
            .counts
            .iter()
            .filter(|(field, _)| field.count > 0)
        {
            let fields = match fate {
                Fate::DiscardValue => &mut report.discarded_values,
                Fate::DiscardRow => &mut report.discarded_rows,
                Fate::Rescue | Fate::Evolve | Fate::TakenBack => &mut report.rescued,
            };
            fields.push(field.clone());
        }
        report
    }

    pub(crate) fn bytes(&self) -> usize {
        self.column.bytes() + self.whole.as_ref().map_or(0, TextColumn::bytes)
    }

    /// The column for a number of rows; it is empty afterwards.
    pub(crate) fn take(&mut self, rows: usize) -> Result<ArrayRef, Error> {
        self.fill(rows);
        self.column.take()
    }

    /// The column of whole records for a number of rows, where there is one.
    pub(crate) fn take_whole(&mut self, rows: usize) -> Option<Result<ArrayRef, Error>> {
        let whole = self.whole.as_mut()?;
        fill(whole, rows);
        Some(whole.take())
    }
}

/// Fills a column with nulls up to a row.
fn fill(column: &mut TextColumn, row: usize) {
    for _ in column.len()..row {
        column.append_null();
    }
}

/// What a page has given beside its records.
#[derive(Debug, Default)]
pub(crate) struct PageCounts {
    pub(crate) rescued: u64,
    pub(crate) discarded_values: u64,
    pub(crate) discarded_rows: u64,
    pub(crate) duplicate_keys: u64,
}

/// The counts of rescued and dropped values, by the general path of their field and by their fate.
#[derive(Debug, Default)]
struct Paths {
    /// By identifier less one; without a sample for as long as `sampled` says so.
    counts: Vec<(RescuedField, Fate)>,
    sampled: Vec<bool>,
    ids: HashMap<(String, Fate), PathId>,
    /// Beyond the limit: rescued values, dropped values, dropped records.
    other: [u64; 3],
}

impl PathId {
    /// All paths beyond the limit, by fate.
    fn other(fate: Fate) -> Self {
        Self(match fate {
            Fate::DiscardValue => u32::MAX - 1,
            Fate::DiscardRow => u32::MAX - 2,
            Fate::Rescue | Fate::Evolve | Fate::TakenBack => u32::MAX,
        })
    }

    fn index(self) -> usize {
        (self.0 as usize).wrapping_sub(1)
    }
}

impl Paths {
    fn id(&mut self, path: String, fate: Fate) -> PathId {
        let key = (path, fate);
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        if self.counts.len() >= MAX_PATHS {
            return PathId::other(fate);
        }
        let field = RescuedField {
            path: key.0.clone(),
            count: 0,
            sample: String::new(),
            record: 0,
        };
        self.counts.push((field, fate));
        self.sampled.push(false);
        // At most `MAX_PATHS`.
        let id = PathId(u32::try_from(self.counts.len()).unwrap_or(u32::MAX));
        self.ids.insert(key, id);
        id
    }

    /// Whether nothing has been sampled of a path; something is now.
    fn needs_sample(&mut self, path: PathId) -> bool {
        match self.sampled.get_mut(path.index()) {
            Some(sampled) => !std::mem::replace(sampled, true),
            None => false,
        }
    }

    fn no_sample(&mut self, path: PathId) {
        if let Some(sampled) = self.sampled.get_mut(path.index()) {
            *sampled = false;
        }
    }

    fn sample(&mut self, sample: Sample) {
        if let Some((field, _)) = self.counts.get_mut(sample.path.index()) {
            field.sample = sample.place;
            field.record = sample.record;
        }
    }

    fn count(&mut self, events: &[PathId]) -> PageCounts {
        let mut counts = [0; 3];
        for event in events {
            let fate = match self.counts.get_mut(event.index()) {
                Some((field, fate)) => {
                    field.count += 1;
                    *fate
                }
                None => {
                    let fates = [Fate::DiscardValue, Fate::DiscardRow];
                    let other = fates
                        .into_iter()
                        .find(|fate| PathId::other(*fate) == *event);
                    let fate = other.unwrap_or(Fate::Rescue);
                    self.other[kind(fate)] += 1;
                    fate
                }
            };
            counts[kind(fate)] += 1;
        }
        PageCounts {
            rescued: counts[0],
            discarded_values: counts[1],
            discarded_rows: counts[2],
            duplicate_keys: 0,
        }
    }
}

/// What is counted apart.
fn kind(fate: Fate) -> usize {
    match fate {
        Fate::Rescue | Fate::Evolve | Fate::TakenBack => 0,
        Fate::DiscardValue => 1,
        Fate::DiscardRow => 2,
    }
}
