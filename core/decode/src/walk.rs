//! The way through a page's envelope: to the records, and to the side values.

use std::ops::Range;

use serde_json::Value;

use connector_plan::{Path, Selector, Step};

use crate::column::ObjectColumn;
use crate::error::{Error, ErrorKind};
use crate::filter::RecordFilter;
use crate::place::Place;
use crate::query::Query;
use crate::rescue::{Rescue, RescueMark};
use crate::tokens::{Tokens, excerpt};

/// The keys that a message lists.
const MAX_KEYS: usize = 20;

/// One walk through a document.
#[derive(Debug)]
pub(crate) struct Walk<'t, 'w, 'p> {
    tokens: &'t mut Tokens<'p>,
    records: Option<Records<'w>>,
    captures: &'w [Path],
    /// What cannot be captured is no error yet: its key may come again.
    found: Vec<Option<Result<Value, Error>>>,
    max_capture: usize,
}

/// Where the records go.
#[derive(Debug)]
pub(crate) struct Records<'w> {
    pub(crate) selector: &'w Selector,
    /// What the selector has beside steps.
    pub(crate) query: Option<&'w Query>,
    pub(crate) sink: Sink<'w>,
    pub(crate) filter: Option<&'w RecordFilter>,
    /// The bytes that a captured value may have.
    pub(crate) max_capture: usize,
    /// The records that the filter dropped.
    pub(crate) filtered: u64,
    /// The records of this page that its contract dropped.
    discarded: u64,
    /// The rows of the columns that are not of this page.
    pub(crate) before: usize,
    /// Where the last record starts.
    pub(crate) last: Option<usize>,
    /// Whether the selector has led to a value.
    pub(crate) matched: bool,
    /// Where it led nowhere first.
    pub(crate) lost: Option<Lost>,
    /// How often it led nowhere.
    pub(crate) misses: u64,
    /// What broke the contract first; a key that comes again may take its record back.
    pub(crate) violation: Option<Error>,
}

/// What becomes of the values that the selector leads to.
#[derive(Debug)]
pub(crate) enum Sink<'w> {
    /// They are records, and go into columns.
    Columns {
        columns: &'w mut ObjectColumn,
        rescue: &'w mut Rescue,
    },
    /// They are records, and only where they stand is noted, with their numbers.
    Records(Vec<(Range<usize>, u64)>),
    /// Where they stand is noted, whatever they are.
    Values(Vec<Range<usize>>),
}

/// Where the selector led nowhere.
#[derive(Debug)]
pub(crate) struct Lost {
    /// The place, and what it does not have.
    pub(crate) place: String,
    /// The error, when nothing else has been found.
    pub(crate) error: Error,
}

/// What had been read at some point of a page.
#[derive(Clone, Copy, Debug)]
struct Mark {
    rows: usize,
    filtered: u64,
    discarded: u64,
    matched: bool,
    misses: u64,
    /// Whether the first miss came before.
    lost: bool,
    /// Whether the contract was broken before.
    violated: bool,
    rescue: Option<RescueMark>,
}

/// A set of captures, by their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Captures(u64);

impl Captures {
    const NONE: Self = Self(0);

    fn iter(self) -> impl Iterator<Item = usize> {
        (0..64).filter(move |index| self.0 & 1 << index != 0)
    }

    fn filter(self, keep: impl Fn(usize) -> bool) -> Self {
        let kept = self.iter().filter(|index| keep(*index));
        Self(kept.fold(0, |set, index| set | 1 << index))
    }
}

/// The most captures of one walk.
pub(crate) const MAX_CAPTURES: usize = 64;

impl<'t, 'w, 'p> Walk<'t, 'w, 'p> {
    pub(crate) fn new(
        tokens: &'t mut Tokens<'p>,
        records: Option<Records<'w>>,
        captures: &'w [Path],
        max_capture: usize,
    ) -> Self {
        Self {
            tokens,
            records,
            found: captures.iter().map(|_| None).collect(),
            captures,
            max_capture,
        }
    }

    /// Walks through the value that is next and gives the captures; nothing may follow it when it
    /// is the document.
    pub(crate) fn run(mut self) -> Result<(Vec<Option<Value>>, Option<Records<'w>>), Error> {
        let all = Captures(u64::MAX).filter(|index| index < self.captures.len());
        let selector = self.records.is_some();
        self.value(0, selector, all, &Place::ROOT)?;
        Ok((captured(self.found)?, self.records))
    }

    /// Walks through a value to which `depth` steps of the selector, if that leads here, and of
    /// these captures have led.
    fn value(
        &mut self,
        depth: usize,
        selector: bool,
        captures: Captures,
        place: &Place<'_>,
    ) -> Result<(), Error> {
        let start = self.tokens.at;
        if let Some(records) = self.records.as_mut().filter(|_| selector)
            && depth == records.selector.steps.len()
        {
            match records.query {
                Some(query) => records.search(query, self.tokens, place)?,
                None => {
                    records.matched = true;
                    records.read(self.tokens, place)?;
                }
            }
            if captures == Captures::NONE {
                return Ok(());
            }
            // Side values inside of the records are rare: they take a second look.
            self.tokens.at = start;
            return self.value(depth, false, captures, place);
        }
        let through = captures.filter(|index| self.captures[index].len() > depth);
        if !selector && through == Captures::NONE {
            self.tokens.skip_value()?;
        } else {
            match self.tokens.peek() {
                b'{' => self.object(depth, selector, through, place)?,
                b'[' => self.array(depth, selector, through, place)?,
                // Null is nothing, and nothing has no records.
                b'n' => self.tokens.literal("null")?,
                _ => {
                    self.tokens.skip_value()?;
                    if selector {
                        self.lose(depth, start, place);
                    }
                }
            }
        }
        for index in captures
            .filter(|index| self.captures[index].len() == depth)
            .iter()
        {
            self.found[index] = Some(self.capture(start, place));
        }
        Ok(())
    }

    fn object(
        &mut self,
        depth: usize,
        selector: bool,
        captures: Captures,
        place: &Place<'_>,
    ) -> Result<(), Error> {
        let start = self.tokens.at;
        let step = self.step(depth, selector);
        let mut reached = matches!(step, Some(Step::Wildcard));
        let mut mark = None;
        self.tokens.open()?;
        if self.tokens.peek() == b'}' {
            self.tokens.close();
        } else {
            loop {
                let key_at = self.tokens.at;
                let key = self.key()?;
                let is_next =
                    |step: &Step| matches!(step, Step::Key(name) if name.as_bytes() == key);
                let chosen = match step {
                    Some(Step::Wildcard) => true,
                    Some(step) => is_next(step),
                    None => false,
                };
                if chosen && let Some(records) = &mut self.records {
                    if reached && let Some(mark) = mark {
                        // The key came before: the last one wins.
                        records.truncate(mark);
                    }
                    if !matches!(step, Some(Step::Wildcard)) {
                        mark = Some(records.mark());
                    }
                    reached = true;
                }
                let inner = captures.filter(|index| is_next(&self.captures[index][depth]));
                for index in inner.iter() {
                    self.found[index] = None;
                }
                self.value(depth + 1, chosen, inner, &place.key(key_at))?;
                if !self.tokens.separator(b'}')? {
                    break;
                }
            }
        }
        if selector && !reached {
            self.lose(depth, start, place);
        }
        Ok(())
    }

    fn array(
        &mut self,
        depth: usize,
        selector: bool,
        captures: Captures,
        place: &Place<'_>,
    ) -> Result<(), Error> {
        let start = self.tokens.at;
        let step = self.step(depth, selector);
        // Where one value and a list of one look the same, a key goes through lists.
        let through = self.tokens.texts && matches!(step, Some(Step::Key(_)));
        let from_end = |step: &Step| matches!(step, Step::Index(..0));
        let length = if step.is_some_and(from_end)
            || captures
                .iter()
                .any(|index| from_end(&self.captures[index][depth]))
        {
            self.tokens.count_elements()?
        } else {
            0
        };
        self.tokens.open()?;
        let mut index = 0;
        let mut reached = false;
        if self.tokens.peek() == b']' {
            self.tokens.close();
        } else {
            loop {
                let is_next = |step: &Step| match step {
                    Step::Index(wanted @ ..0) => {
                        usize::try_from(wanted.unsigned_abs()).is_ok_and(|w| index + w == length)
                    }
                    Step::Index(wanted) => usize::try_from(*wanted) == Ok(index),
                    Step::Wildcard => true,
                    Step::Key(_) => false,
                };
                let chosen = step.is_some_and(is_next);
                reached |= chosen;
                let inner = captures.filter(|index| is_next(&self.captures[index][depth]));
                if through {
                    self.value(depth, true, Captures::NONE, &place.index(index))?;
                } else {
                    self.value(depth + 1, chosen, inner, &place.index(index))?;
                }
                index += 1;
                if !self.tokens.separator(b']')? {
                    break;
                }
            }
        }
        let lost = match step {
            Some(Step::Key(_)) => !through,
            Some(Step::Index(_)) => !reached && index > 0,
            Some(Step::Wildcard) | None => false,
        };
        if lost {
            self.lose(depth, start, place);
        }
        Ok(())
    }

    fn step(&self, depth: usize, selector: bool) -> Option<&'w Step> {
        let records = self.records.as_ref().filter(|_| selector)?;
        records.selector.steps.get(depth)
    }

    /// Takes a key and its colon.
    fn key(&mut self) -> Result<Vec<u8>, Error> {
        let start = self.tokens.at;
        let (raw, escaped) = self.tokens.raw_string()?;
        let mut key = Vec::new();
        if escaped {
            self.tokens.at = start;
            self.tokens.read_string(&mut key)?;
        } else {
            key.extend_from_slice(raw);
        }
        self.tokens.colon()?;
        Ok(key)
    }

    /// The value between `start` and the tokens' place.
    fn capture(&self, start: usize, place: &Place<'_>) -> Result<Value, Error> {
        let text = self.tokens.since(start);
        let page = self.tokens.bytes();
        if text.len() > self.max_capture {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "`{}`, a value that paging or an expression asks for, is {} bytes long: at \
                     most {} are taken",
                    place.json_path(page),
                    text.len(),
                    self.max_capture
                ),
            )
            .at(start));
        }
        let integer = text
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'-');
        match serde_json::from_slice(text) {
            // An integer of more than 64 bits would become a double: its digits are kept instead.
            // So would -0, which needs none.
            Ok(Value::Number(number))
                if integer && number.is_f64() && number.as_f64() != Some(0.0) =>
            {
                Ok(Value::String(String::from_utf8_lossy(text).into_owned()))
            }
            Ok(value) => Ok(value),
            Err(source) => Err(Error::new(
                ErrorKind::Malformed,
                format!(
                    "`{}`, a value that paging or an expression asks for, cannot be represented: \
                     `{}`",
                    place.json_path(page),
                    excerpt(text)
                ),
            )
            .at(start)
            .with_source(source)),
        }
    }

    /// Notes that the selector's next step leads nowhere from the value at `start`.
    #[cold]
    fn lose(&mut self, depth: usize, start: usize, place: &Place<'_>) {
        let Some(records) = &mut self.records else {
            return;
        };
        let (wanted, key) = match records.selector.steps.get(depth) {
            Some(Step::Key(key)) => (format!("member `{key}`"), key.as_str()),
            Some(Step::Index(index)) => (format!("element {index}"), ""),
            Some(Step::Wildcard) | None => ("elements or members".to_owned(), ""),
        };
        records.lose(self.tokens, start, place, &wanted, key);
    }
}

fn captured(found: Vec<Option<Result<Value, Error>>>) -> Result<Vec<Option<Value>>, Error> {
    found.into_iter().map(Option::transpose).collect()
}

impl<'w> Records<'w> {
    /// The records that a selector leads to, all of them.
    pub(crate) fn new(selector: &'w Selector, query: Option<&'w Query>, sink: Sink<'w>) -> Self {
        let mut records = Self {
            selector,
            query,
            sink,
            filter: None,
            max_capture: 0,
            filtered: 0,
            discarded: 0,
            before: 0,
            last: None,
            matched: false,
            lost: None,
            misses: 0,
            violation: None,
        };
        records.before = records.len();
        records
    }

    /// Those that a filter keeps, which may look at values of at most so many bytes.
    pub(crate) fn with_filter(
        mut self,
        filter: Option<&'w RecordFilter>,
        max_capture: usize,
    ) -> Self {
        self.filter = filter;
        self.max_capture = max_capture;
        self
    }
}

impl Records<'_> {
    /// Notes that the value at `start`, which the tokens are behind, has nothing of what is
    /// `wanted`; of its keys, those like `key` are shown first.
    #[cold]
    pub(crate) fn lose(
        &mut self,
        tokens: &Tokens<'_>,
        start: usize,
        place: &Place<'_>,
        wanted: &str,
        key: &str,
    ) {
        self.misses += 1;
        if self.lost.is_some() {
            return;
        }
        let page = tokens.bytes();
        let place = format!("`{}` has no {wanted}", place.json_path(page));
        let mut message = format!("selector `{}` matches nothing: {place}", self.selector.text);
        message.push_str(&match page.get(start).copied().unwrap_or(0) {
            b'{' => describe_keys(&nearest_keys(page, start, key)),
            b'[' => "; it is an array".to_owned(),
            _ => format!("; it is `{}`", excerpt(tokens.since(start))),
        });
        let error = Error::new(ErrorKind::SelectorMatchesNothing, message)
            .at(start)
            .with_hint(
                "correct `data_selector`, unless the API has answered with an error document",
            );
        self.lost = Some(Lost { place, error });
    }

    /// The records so far, those before this page included.
    fn len(&self) -> usize {
        match &self.sink {
            Sink::Columns { columns, .. } => columns.len(),
            Sink::Records(spans) => spans.len(),
            Sink::Values(spans) => spans.len(),
        }
    }

    /// The records of this page so far, those included that were dropped.
    pub(crate) fn received(&self) -> u64 {
        (self.len() - self.before) as u64 + self.filtered + self.discarded
    }

    /// What comes next may stand in front of what has been read.
    pub(crate) fn rewind(&mut self, tokens: &Tokens<'_>) {
        if let Sink::Columns { rescue, .. } = &mut self.sink {
            rescue.rewind(tokens.bytes().len());
        }
    }

    /// Takes a selected value: an array of records, a record, or null.
    pub(crate) fn read(&mut self, tokens: &mut Tokens<'_>, place: &Place<'_>) -> Result<(), Error> {
        if let Sink::Values(spans) = &mut self.sink {
            let start = tokens.at;
            tokens.skip_value()?;
            spans.push(start..tokens.at);
            return Ok(());
        }
        match tokens.peek() {
            b'n' => return tokens.literal("null"),
            b'[' => tokens.open()?,
            _ => return self.record(tokens, place),
        }
        if tokens.peek() == b']' {
            tokens.close();
            return Ok(());
        }
        let mut index = 0;
        loop {
            self.record(tokens, &place.index(index))?;
            index += 1;
            if !tokens.separator(b']')? {
                return Ok(());
            }
        }
    }

    #[inline]
    fn record(&mut self, tokens: &mut Tokens<'_>, place: &Place<'_>) -> Result<(), Error> {
        let row = self.len();
        let place = place.record((row - self.before + 1) as u64 + self.filtered + self.discarded);
        self.last = Some(tokens.at);
        if let Some(filter) = self.filter
            && !self.keeps(filter, tokens, &place)?
        {
            self.filtered += 1;
            return Ok(());
        }
        match &mut self.sink {
            Sink::Columns { columns, rescue } => {
                let start = tokens.at;
                let depth = tokens.depth();
                let read = if tokens.peek() == b'{' {
                    columns.read(tokens, rescue, &place)
                } else {
                    columns.read_bare(tokens, rescue, &place)
                };
                if let Err(error) = read {
                    if error.kind() != ErrorKind::SchemaContract {
                        return Err(error);
                    }
                    columns.truncate(row);
                    rescue.truncate(rescue.mark());
                    self.discarded += 1;
                    self.violation.get_or_insert(error);
                    tokens.rewind(start, depth);
                    return tokens.skip_value();
                }
                if !rescue.end_record(tokens, start, row, &place)? {
                    columns.truncate(row);
                    self.discarded += 1;
                }
                Ok(())
            }
            Sink::Records(spans) => {
                let start = tokens.at;
                tokens.skip_value()?;
                spans.push((start..tokens.at, place.record_number()));
                Ok(())
            }
            // `read` has taken it.
            Sink::Values(_) => Ok(()),
        }
    }

    /// Reads a record for its filter. The tokens are behind a record that is dropped, and in front
    /// of one that is kept.
    #[inline(never)]
    fn keeps(
        &self,
        filter: &RecordFilter,
        tokens: &mut Tokens<'_>,
        place: &Place<'_>,
    ) -> Result<bool, Error> {
        let start = tokens.at;
        let mut walk = Walk::new(tokens, None, &filter.captures, self.max_capture);
        let all = Captures(u64::MAX).filter(|index| index < filter.captures.len());
        walk.value(0, false, all, place)?;
        let found = captured(walk.found)?;
        let keep = filter.keeps(&found).map_err(|problem| {
            let record = place.record_number();
            let message = format!("the filter fails at record {record} of the page: {problem}");
            Error::new(ErrorKind::Filter, message)
                .at(start)
                .with_hint("correct `record_filter` in the spec")
        })?;
        if keep {
            tokens.at = start;
        }
        Ok(keep)
    }

    fn mark(&self) -> Mark {
        Mark {
            rows: self.len(),
            filtered: self.filtered,
            discarded: self.discarded,
            matched: self.matched,
            misses: self.misses,
            lost: self.lost.is_some(),
            violated: self.violation.is_some(),
            rescue: match &self.sink {
                Sink::Columns { rescue, .. } => Some(rescue.mark()),
                Sink::Records(_) | Sink::Values(_) => None,
            },
        }
    }

    fn truncate(&mut self, mark: Mark) {
        let Mark {
            rows,
            filtered,
            discarded,
            matched,
            misses,
            lost,
            violated,
            rescue: mark,
        } = mark;
        self.filtered = filtered;
        self.discarded = discarded;
        self.matched = matched;
        self.misses = misses;
        if !lost {
            self.lost = None;
        }
        if !violated {
            self.violation = None;
        }
        match (&mut self.sink, mark) {
            (Sink::Columns { columns, rescue }, Some(mark)) => {
                columns.truncate(rows);
                rescue.truncate(mark);
                rescue.count_duplicate();
            }
            (Sink::Records(spans), _) => spans.truncate(rows),
            (Sink::Values(spans), _) => spans.truncate(rows),
            (Sink::Columns { .. }, None) => {}
        }
        self.last = None;
    }
}

fn describe_keys(keys: &[String]) -> String {
    if keys.is_empty() {
        return "; it is an empty object".to_owned();
    }
    let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    format!("; its keys: {}", keys.join(", "))
}

/// The keys of the object at `start`, the most similar one first, the others in their order.
fn nearest_keys(page: &[u8], start: usize, wanted: &str) -> Vec<String> {
    let mut tokens = Tokens::new(page, usize::MAX);
    tokens.at = start;
    let mut keys: Vec<(usize, String)> = Vec::new();
    // The object was read before, so nothing can fail here.
    let mut next = tokens.open().is_ok();
    while next && tokens.peek() == b'"' {
        if let Ok((raw, _)) = tokens.raw_string() {
            let key = excerpt(raw);
            keys.push((distance(&key, wanted), key));
        }
        next = tokens.colon().is_ok()
            && tokens.skip_value().is_ok()
            && tokens.separator(b'}').unwrap_or(false)
            && keys.len() < 1_000;
    }
    keys.sort_by_key(|(distance, _)| *distance);
    keys.truncate(MAX_KEYS);
    keys.into_iter().map(|(_, key)| key).collect()
}

/// The edits (Levenshtein) from one text to another, without regard to case.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, character) in one.to_lowercase().chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, wanted) in other.iter().enumerate() {
            let substitute = diagonal + usize::from(character != *wanted);
            diagonal = row[column + 1];
            row[column + 1] = substitute.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}
