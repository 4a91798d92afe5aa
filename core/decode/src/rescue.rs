//! What no column could hold: the `_rescued` column, and the counts of what went there.

use std::collections::HashMap;

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
    /// The values that went to `_rescued` from yet other fields.
    pub rescued_other: u64,
    /// The members that were dropped because their key came again in the same object.
    pub duplicate_keys: u64,
    /// The values on the way of the selector that have nothing of what it asks for next, although
    /// others in the same page have.
    pub selector_misses: u64,
    /// What the first of them is and does not have.
    pub first_selector_miss: Option<String>,
}

/// A field of which values went to `_rescued`.
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
    paths: Paths,
    /// The paths of all values that the current page has rescued.
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
    path: PathId,
}

#[derive(Debug)]
struct Sample {
    path: PathId,
    event: usize,
    place: String,
    record: u64,
}

/// The state of a page in progress, to come back to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RescueMark {
    rows: usize,
    events: usize,
}

impl Rescue {
    pub(crate) fn new() -> Self {
        Self {
            base: 1,
            entries: Vec::new(),
            keys: String::new(),
            column: TextColumn::default(),
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

    /// Keeps the value between `start` and the tokens' place for `_rescued`.
    pub(crate) fn add(
        &mut self,
        tokens: &Tokens<'_>,
        start: usize,
        place: &Place<'_>,
        path: &mut PathId,
    ) {
        if *path == PathId::default() {
            *path = self.paths.id(place.general_field_path(tokens.bytes()));
        }
        place.write_field_path(tokens.bytes(), &mut self.keys);
        self.entries.push(Entry {
            key_end: self.keys.len(),
            start,
            end: tokens.at,
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
                    entry.end = entry.start;
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

    /// Writes what the record with this index has given.
    #[inline]
    pub(crate) fn end_record(
        &mut self,
        tokens: &Tokens<'_>,
        row: usize,
        place: &Place<'_>,
    ) -> Result<(), Error> {
        if self.entries.is_empty() {
            return Ok(());
        }
        self.write_record(tokens.bytes(), row, place)
    }

    #[inline(never)]
    fn write_record(&mut self, page: &[u8], row: usize, place: &Place<'_>) -> Result<(), Error> {
        let mut size = self.column.size() + self.keys.len() + 2;
        size += self
            .entries
            .iter()
            .map(|e| e.end - e.start + 4)
            .sum::<usize>();
        if i32::try_from(size).is_err() {
            return Err(Error::new(
                ErrorKind::Limit,
                "the undeclared values of one batch take more than 2 GiB",
            ));
        }
        self.fill(row);
        let mut key_start = 0;
        let mut any = false;
        let (keys, events) = (self.keys.as_bytes(), &mut self.events);
        let (entries, samples, paths) = (&self.entries, &mut self.samples, &mut self.paths);
        let record = self.committed.records + place.record_number();
        self.column.append(|text| {
            for entry in entries {
                let key = &keys[key_start..entry.key_end];
                key_start = entry.key_end;
                if entry.start == entry.end {
                    continue;
                }
                text.extend_from_slice(if any { b",\"" } else { b"{\"" });
                any = true;
                text.extend_from_slice(key);
                text.extend_from_slice(b"\":");
                text.extend_from_slice(&page[entry.start..entry.end]);
                if paths.needs_sample(entry.path) {
                    let key = String::from_utf8_lossy(key);
                    samples.push(Sample {
                        path: entry.path,
                        event: events.len(),
                        place: format!("{}.{key}", place.json_path(page)),
                        record,
                    });
                }
                events.push(entry.path);
            }
            if any {
                text.push(b'}');
            }
        });
        if !any {
            // All was taken back.
            self.column.truncate(row);
        }
        self.entries.clear();
        self.keys.clear();
        Ok(())
    }

    /// Fills the column with nulls up to a row.
    fn fill(&mut self, row: usize) {
        for _ in self.column.len()..row {
            self.column.append_null();
        }
    }

    pub(crate) fn mark(&self) -> RescueMark {
        RescueMark {
            rows: self.column.len(),
            events: self.events.len(),
        }
    }

    /// Takes back what the page has given since a mark.
    pub(crate) fn truncate(&mut self, mark: RescueMark) {
        self.column.truncate(mark.rows);
        self.events.truncate(mark.events);
        while let Some(sample) = self.samples.pop_if(|sample| sample.event >= mark.events) {
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
        let rescued = self.paths.count(&self.events);
        self.events.clear();
        self.committed.records += records;
        self.committed.duplicate_keys += duplicate_keys;
        PageCounts {
            rescued,
            duplicate_keys,
        }
    }

    pub(crate) fn report(&self) -> Report {
        let mut report = self.committed.clone();
        report.rescued_other = self.paths.other;
        let counted = self.paths.counts.iter().filter(|field| field.count > 0);
        report.rescued = counted.cloned().collect();
        report
    }

    pub(crate) fn bytes(&self) -> usize {
        self.column.bytes()
    }

    /// The column for a number of rows; it is empty afterwards.
    pub(crate) fn take(&mut self, rows: usize) -> Result<ArrayRef, Error> {
        self.fill(rows);
        self.column.take()
    }
}

/// What a page has given beside its records.
#[derive(Debug, Default)]
pub(crate) struct PageCounts {
    pub(crate) rescued: u64,
    pub(crate) duplicate_keys: u64,
}

/// The counts of rescued values, by the general path of their field.
#[derive(Debug, Default)]
struct Paths {
    /// By identifier less one; without a sample for as long as `sampled` says so.
    counts: Vec<RescuedField>,
    sampled: Vec<bool>,
    ids: HashMap<String, PathId>,
    other: u64,
}

impl PathId {
    /// All paths beyond the limit.
    const OTHER: Self = Self(u32::MAX);

    fn index(self) -> usize {
        (self.0 as usize).wrapping_sub(1)
    }
}

impl Paths {
    fn id(&mut self, path: String) -> PathId {
        if let Some(id) = self.ids.get(&path) {
            return *id;
        }
        if self.counts.len() >= MAX_PATHS {
            return PathId::OTHER;
        }
        self.counts.push(RescuedField {
            path: path.clone(),
            count: 0,
            sample: String::new(),
            record: 0,
        });
        self.sampled.push(false);
        // At most `MAX_PATHS`.
        let id = PathId(u32::try_from(self.counts.len()).unwrap_or(u32::MAX));
        self.ids.insert(path, id);
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
        if let Some(field) = self.counts.get_mut(sample.path.index()) {
            field.sample = sample.place;
            field.record = sample.record;
        }
    }

    fn count(&mut self, events: &[PathId]) -> u64 {
        for event in events {
            match self.counts.get_mut(event.index()) {
                Some(field) => field.count += 1,
                None => self.other += 1,
            }
        }
        events.len() as u64
    }
}
