//! The decoder: pages in, record batches out.

use arrow::array::{RecordBatch, RecordBatchOptions};
use connector_plan::{Contract, Path, Selector, Step};
use serde_json::Value;

use crate::column::ObjectColumn;
use crate::error::{Error, ErrorKind};
use crate::filter::RecordFilter;
use crate::processor::RecordProcessor;
use crate::query::Query;
use crate::rescue::{Report, Rescue};
use crate::schema::RecordSchema;
use crate::tokens::{Tokens, excerpt};
use crate::walk::{Lost, MAX_CAPTURES, Records, Sink, Walk};

/// A batch has at most this many records, or those of one page.
const BATCH_ROWS: usize = 32 * 1024;

/// What to take from a page, and how much of it.
#[derive(Clone, Debug)]
pub struct DecoderOptions {
    /// Where the records are; by default the document itself.
    pub selector: Selector,
    /// Paths from the document's root whose values each [`Page`] gives; at most 64, without
    /// wildcards.
    pub captures: Vec<Path>,
    /// Paths from the last record of a page whose values it gives; at most 64, without wildcards.
    pub last_record_captures: Vec<Path>,
    /// Which records go into the columns; all of them by default.
    pub filter: Option<RecordFilter>,
    /// What is done to the records that are kept; nothing by default.
    pub processor: Option<RecordProcessor>,
    /// What happens to what the fields do not say; by default it goes to `_rescued`.
    pub contract: Contract,
    /// Whether a page is any number of documents, each on lines of its own (JSON Lines), instead of
    /// one.
    pub lines: bool,
    /// Whether texts stand for values of all types, as in formats that have nothing else: what a
    /// column can read from a text it takes, an empty text is null where the column is not for text,
    /// and a single value is a list of one.
    pub texts: bool,
    /// The arrays and objects that may be open at once; 128 by default.
    pub max_depth: usize,
    /// The bytes that a captured value may have; 1 MiB by default.
    pub max_capture: usize,
    /// The bytes of memory that make a batch, should it have less than 32,768 records; 8 MiB by
    /// default.
    pub batch_bytes: usize,
}

impl Default for DecoderOptions {
    fn default() -> Self {
        Self {
            selector: Selector {
                text: "$".to_owned(),
                ..Selector::default()
            },
            captures: Vec::new(),
            last_record_captures: Vec::new(),
            filter: None,
            processor: None,
            contract: Contract::default(),
            lines: false,
            texts: false,
            max_depth: 128,
            max_capture: 1 << 20,
            batch_bytes: 8 << 20,
        }
    }
}

/// What a page gave beside the values that are in the columns now.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Page {
    /// The records received, those included that the filter dropped, and that a query of the
    /// selector did not choose.
    pub records: u64,
    /// The records that the filter or the processor dropped.
    pub filtered: u64,
    /// The rows that the columns have more than before: what was received less what was dropped,
    /// unless the processor makes several records of one.
    pub rows: u64,
    /// The values of [`DecoderOptions::captures`]: nothing where the page has none.
    ///
    /// An integer beyond 64 bits is a string of its digits.
    pub captures: Vec<Option<Value>>,
    /// The values of [`DecoderOptions::last_record_captures`]: nothing without a record.
    pub last_record_captures: Vec<Option<Value>>,
    /// The values on the way of the selector that have nothing of what it asks for next, although
    /// others have; [`Decoder::report`] tells where the first one is.
    pub selector_misses: u64,
    /// The values that went to `_rescued`; [`Decoder::report`] tells of which fields.
    pub rescued: u64,
    /// The values that were dropped, as the contract says.
    pub discarded_values: u64,
    /// The records that were dropped, as the contract says.
    pub discarded_rows: u64,
    /// The members that were dropped because their key came again in the same object.
    pub duplicate_keys: u64,
}

/// Turns pages into columns.
#[derive(Debug)]
pub struct Decoder {
    schema: RecordSchema,
    options: DecoderOptions,
    query: Option<Query>,
    columns: ObjectColumn,
    rescue: Rescue,
    misses: Misses,
}

/// Where the selector led nowhere although it led somewhere else in the same page.
#[derive(Debug, Default)]
struct Misses {
    count: u64,
    first: Option<String>,
}

impl Decoder {
    /// A decoder with empty columns.
    ///
    /// # Errors
    ///
    /// An error of kind [`ErrorKind::Configuration`] when a timestamp format, a decimal type, the
    /// depth of the fields or a capture is beyond what can be decoded.
    pub fn new(schema: RecordSchema, options: DecoderOptions) -> Result<Self, Error> {
        let filtering = options.filter.as_ref().map(|filter| &filter.captures);
        let all = [&options.captures, &options.last_record_captures];
        for captures in all.into_iter().chain(filtering) {
            if captures.len() > MAX_CAPTURES {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    format!(
                        "{} captures: at most {MAX_CAPTURES} are taken",
                        captures.len()
                    ),
                ));
            }
            if captures
                .iter()
                .flatten()
                .any(|step| *step == Step::Wildcard)
            {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    "a captured path leads to one value and has no wildcard",
                ));
            }
        }
        let columns = ObjectColumn::new(schema.fields(), &options.contract, options.max_depth)?;
        let columns = if schema.is_raw() {
            columns.raw()
        } else {
            columns
        };
        let query = Query::new(&options.selector, options.max_depth)?;
        let rescue = Rescue::new(schema.evolves());
        Ok(Self {
            schema,
            options,
            query,
            columns,
            rescue,
            misses: Misses::default(),
        })
    }

    /// The schema of the batches.
    #[must_use]
    pub fn schema(&self) -> &RecordSchema {
        &self.schema
    }

    /// Appends the records of a page to the columns.
    ///
    /// Pages do not leave a fingerprint here: who has the bytes can take one, and who needs none
    /// does not pay for it.
    ///
    /// # Errors
    ///
    /// When the page is no JSON document in UTF-8, its records are not where the selector says, a
    /// record breaks the schema's contract, or a limit is exceeded. The columns are then as they
    /// were before, and the page can be fetched and decoded again.
    pub fn decode_page(&mut self, page: &[u8]) -> Result<Page, Error> {
        let rows = self.columns.len();
        let mark = self.rescue.mark();
        match self.decode(page) {
            Ok(Decoded {
                captures,
                last_record_captures,
                received,
                filtered,
                misses,
                first_miss,
            }) => {
                self.misses.count += misses;
                self.misses.first = self.misses.first.take().or(first_miss);
                let rows = (self.columns.len() - rows) as u64;
                let counts = self.rescue.end_page(page.len(), Ok(rows));
                Ok(Page {
                    records: received,
                    filtered,
                    rows,
                    captures,
                    last_record_captures,
                    selector_misses: misses,
                    rescued: counts.rescued,
                    discarded_values: counts.discarded_values,
                    discarded_rows: counts.discarded_rows,
                    duplicate_keys: counts.duplicate_keys,
                })
            }
            Err(error) => {
                self.columns.truncate(rows);
                self.rescue.end_page(page.len(), Err(mark));
                Err(error)
            }
        }
    }

    fn decode(&mut self, page: &[u8]) -> Result<Decoded, Error> {
        self.check_room(page.len())?;
        let sink = match &self.options.processor {
            Some(_) => Sink::Records(Vec::new()),
            None => Sink::Columns {
                columns: &mut self.columns,
                rescue: &mut self.rescue,
            },
        };
        let options = &self.options;
        let records = Records::new(&options.selector, self.query.as_ref(), sink)
            .with_filter(options.filter.as_ref(), options.max_capture);
        let (mut tokens, captures, records) = walk(page, options, records)?;
        let received = records.received();
        let Records {
            sink,
            last,
            matched,
            lost,
            misses,
            violation,
            mut filtered,
            ..
        } = records;
        if let Some(violation) = violation {
            return Err(violation);
        }
        let first_miss = match lost {
            Some(Lost { error, .. }) if !matched => return Err(error),
            lost => lost.map(|lost| lost.place),
        };
        let last_paths = &options.last_record_captures;
        let mut last_record_captures = vec![None; last_paths.len()];
        if let Some(start) = last
            && !last_paths.is_empty()
        {
            tokens.at = start;
            let walk = Walk::new(&mut tokens, None, last_paths, options.max_capture);
            (last_record_captures, _) = walk.run()?;
        }
        if let (Some(processor), Sink::Records(spans)) = (&options.processor, sink) {
            let (processed, dropped) = processor.run(page, &spans)?;
            filtered += dropped;
            self.decode_processed(&processed)?;
        }
        Ok(Decoded {
            captures,
            last_record_captures,
            received,
            filtered,
            misses,
            first_miss,
        })
    }

    /// Decodes the list of records that the processor has made of a page.
    fn decode_processed(&mut self, page: &[u8]) -> Result<(), Error> {
        self.check_room(page.len())?;
        let options = DecoderOptions {
            texts: self.options.texts,
            max_depth: self.options.max_depth.saturating_add(1),
            ..DecoderOptions::default()
        };
        let sink = Sink::Columns {
            columns: &mut self.columns,
            rescue: &mut self.rescue,
        };
        let records = Records::new(&options.selector, None, sink);
        let decoded = walk(page, &options, records)
            .and_then(|(_, _, records)| records.violation.map_or(Ok(()), Err));
        // What comes next is not in front of this.
        self.rescue.rewind(page.len());
        decoded.map_err(Error::processed)
    }

    /// No column can get more bytes from a page than the page has, so no offset overflows.
    fn check_room(&self, length: usize) -> Result<(), Error> {
        if i32::try_from(self.bytes().saturating_add(length)).is_err() {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "a page of {length} bytes does not fit into a batch that holds {} already",
                    self.bytes()
                ),
            )
            .with_hint("batches are taken before they reach 2 GiB; ask for smaller pages"));
        }
        Ok(())
    }

    /// The records in the columns.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.columns.len()
    }

    /// The bytes that the columns hold; what they have room for is not counted.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.columns.bytes() + self.rescue.bytes()
    }

    /// Whether the columns have as many records, or hold as many bytes, as a batch should have.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.rows() >= BATCH_ROWS || self.bytes() >= self.options.batch_bytes
    }

    /// The columns as a batch; they are empty afterwards, with room for as much again.
    ///
    /// # Errors
    ///
    /// An error of kind [`ErrorKind::Internal`] when the columns do not form a batch, which would be
    /// a defect of this crate.
    pub fn take_batch(&mut self) -> Result<RecordBatch, Error> {
        let rows = self.columns.len();
        let mut arrays = self.columns.take_columns()?;
        arrays.push(self.rescue.take(rows)?);
        if let Some(whole) = self.rescue.take_whole(rows) {
            arrays.push(whole?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.arrow(), arrays, &options)
            .map_err(Error::from_arrow)
    }

    /// What the decoder has seen in all pages that did not fail.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = self.rescue.report();
        report.selector_misses = self.misses.count;
        report.first_selector_miss.clone_from(&self.misses.first);
        report
    }
}

/// The values that paths lead to in a document, without its records: nothing where it has none.
///
/// # Errors
///
/// When the page is no JSON document in UTF-8, or is nested more than 128 levels deep.
pub fn capture(page: &[u8], paths: &[Path]) -> Result<Vec<Option<Value>>, Error> {
    let mut tokens = start(page, DecoderOptions::default().max_depth)?;
    // The page is in memory already, and so may be what is wanted of it.
    let (captures, _) = Walk::new(&mut tokens, None, paths, usize::MAX).run()?;
    tokens.skip_whitespace();
    if tokens.at < page.len() {
        return Err(tokens.malformed("the end of the document"));
    }
    Ok(captures)
}

type Values = Vec<Option<Value>>;

/// What a page gave beside what is in the columns.
struct Decoded {
    captures: Values,
    last_record_captures: Values,
    received: u64,
    filtered: u64,
    misses: u64,
    first_miss: Option<String>,
}

/// The values in a page that a selector leads to, as they stand there, in its order.
///
/// Unlike a [`Decoder`] it does not look into them: an array is one value. Nothing at all is no
/// error here.
///
/// # Errors
///
/// When the page is no JSON document in UTF-8, is nested more than 128 levels deep, or the selector
/// has a query that is no JSONPath.
pub fn select<'p>(page: &'p [u8], selector: &Selector) -> Result<Vec<&'p [u8]>, Error> {
    let options = DecoderOptions::default();
    let query = Query::new(selector, options.max_depth)?;
    let records = Records::new(selector, query.as_ref(), Sink::Values(Vec::new()));
    let (_, _, records) = walk(page, &options, records)?;
    let spans = match records.sink {
        Sink::Values(spans) => spans,
        Sink::Records(_) | Sink::Columns { .. } => Vec::new(),
    };
    let values = spans.into_iter().filter_map(|span| page.get(span));
    Ok(values.collect())
}

/// Walks through a page; also gives its captures and the tokens behind it.
fn walk<'p, 'w>(
    page: &'p [u8],
    options: &'w DecoderOptions,
    records: Records<'w>,
) -> Result<(Tokens<'p>, Values, Records<'w>), Error> {
    let mut tokens = start(page, options.max_depth)?;
    tokens.texts = options.texts;
    if tokens.peek() == b'<' {
        return Err(Error::new(
            ErrorKind::Malformed,
            format!(
                "the page looks like HTML or XML, not JSON: `{}`",
                excerpt(page.get(tokens.at..).unwrap_or_default())
            ),
        )
        .at(tokens.at)
        .with_hint("a login or error page is the usual reason: check the URL and the access"));
    }
    if options.lines {
        return walk_lines(tokens, options, records);
    }
    let captures = &options.captures;
    let walk = Walk::new(&mut tokens, Some(records), captures, options.max_capture);
    let (captures, records) = walk.run()?;
    tokens.skip_whitespace();
    if tokens.at < page.len() {
        return Err(tokens.malformed("the end of the document"));
    }
    match records {
        Some(records) => Ok((tokens, captures, records)),
        None => Err(Error::new(ErrorKind::Internal, "the records are lost")),
    }
}

/// Walks through documents that stand on lines of their own. What several of them have, the last
/// one gives.
fn walk_lines<'p, 'w>(
    mut tokens: Tokens<'p>,
    options: &'w DecoderOptions,
    mut records: Records<'w>,
) -> Result<(Tokens<'p>, Values, Records<'w>), Error> {
    let mut found = vec![None; options.captures.len()];
    let length = tokens.bytes().len();
    // A page of no lines has no records, and that is all right.
    records.matched = true;
    while tokens.at < length {
        let before = records.lost.take();
        records.matched = false;
        let captures = &options.captures;
        let walk = Walk::new(&mut tokens, Some(records), captures, options.max_capture);
        let (line, Some(walked)) = walk.run()? else {
            return Err(Error::new(ErrorKind::Internal, "the records are lost"));
        };
        records = walked;
        for (found, value) in found.iter_mut().zip(line) {
            *found = value.or(found.take());
        }
        if !records.matched && records.lost.is_some() {
            break;
        }
        records.matched = true;
        records.lost = before.or(records.lost.take());
        let end = tokens.at;
        tokens.skip_whitespace();
        if tokens.at < length && !tokens.since(end).contains(&b'\n') {
            return Err(tokens.malformed("the end of the line"));
        }
    }
    Ok((tokens, found, records))
}

/// The tokens of a page from its first one on.
fn start(page: &[u8], max_depth: usize) -> Result<Tokens<'_>, Error> {
    check_encoding(page)?;
    let mut tokens = Tokens::new(page, max_depth);
    if page.starts_with(b"\xEF\xBB\xBF") {
        tokens.at = 3;
    }
    tokens.skip_whitespace();
    Ok(tokens)
}

fn check_encoding(page: &[u8]) -> Result<(), Error> {
    let Err(source) = simdutf8::compat::from_utf8(page) else {
        return Ok(());
    };
    let offset = source.valid_up_to();
    let before = page
        .get(offset.saturating_sub(40)..offset)
        .unwrap_or_default();
    Err(Error::new(
        ErrorKind::Encoding,
        format!(
            "the page is not UTF-8 at byte {offset}, behind `{}`",
            excerpt(before)
        ),
    )
    .at(offset)
    .with_hint("JSON is exchanged in UTF-8 (RFC 8259); the API or a proxy has cut or recoded it")
    .with_source(source))
}
