//! The API's data: pages of flat records that differ in every page and cost next to nothing to make.

use std::fmt::Write as _;

use connector_codegen::{LowerOptions, Source, lower};
use connector_plan::Plan;

use crate::Result;

/// The connector's name.
pub const NAME: &str = "bench";

/// Records before the values repeat that a page does not patch: more than any compressor looks
/// back, and more than one row group's choice of encodings is made from.
const VARIETY: u64 = 1 << 16;
/// Numbers start here, so that all have as many digits.
const FIRST_NUMBER: u64 = 1_000_000_000;
const BEFORE_ID: &str = "{\"id\":\"file_";
const BEFORE_NUMBER: &str = "\",\"number\":";
const ID_DIGITS: usize = 16;
const NUMBER_DIGITS: usize = 10;

/// The spec's plan, asking for pages of this many records.
pub fn plan(page: u64) -> Result<Plan> {
    let text = include_str!("spec.yaml").replace("limit: 1000", &format!("limit: {page}"));
    match lower(&Source::new("spec.yaml", text), &LowerOptions::new(NAME)) {
        Ok((ir, _)) => Ok(ir.plan),
        Err(diagnostics) => Err(diagnostics.to_string().into()),
    }
}

/// The pages of a resource of `rows` records.
#[derive(Debug)]
pub struct Pages {
    rows: u64,
    page: u64,
    templates: Vec<Template>,
}

#[derive(Debug)]
struct Template {
    text: String,
    /// Where each record starts, and where the last one ends.
    starts: Vec<usize>,
}

impl Pages {
    pub fn new(rows: u64, page: u64) -> Self {
        let number = VARIETY.div_ceil(page).min(rows.div_ceil(page)).max(1);
        let templates = (0..number)
            .map(|index| Template::new(index * page..(index + 1) * page))
            .collect();
        Self {
            rows,
            page,
            templates,
        }
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The records of a page.
    pub fn page(&self) -> u64 {
        self.page
    }

    /// The number of pages that have records; the one behind them is empty.
    pub fn count(&self) -> u64 {
        self.rows.div_ceil(self.page)
    }

    /// The sum of the column `number` over all records.
    pub fn sum(&self) -> i128 {
        let (rows, first) = (i128::from(self.rows), i128::from(FIRST_NUMBER));
        rows * first + rows * (rows - 1) / 2
    }

    /// Writes a page behind what `body` holds.
    pub fn render(&self, page: u64, body: &mut Vec<u8>) {
        let first = page * self.page;
        let records = self.rows.saturating_sub(first).min(self.page);
        let template = &self.templates[(page % self.templates.len() as u64) as usize];
        body.extend_from_slice(b"{\"records\":[");
        let base = body.len();
        if records > 0 {
            // Without the comma behind the last record.
            let end = template.starts[records as usize] - 1;
            body.extend_from_slice(&template.text.as_bytes()[..end]);
        }
        for (row, start) in (first..first + records).zip(&template.starts) {
            let id = base + start + BEFORE_ID.len();
            let number = id + ID_DIGITS + BEFORE_NUMBER.len();
            digits(&mut body[id..id + ID_DIGITS], scramble(row), 16);
            digits(
                &mut body[number..number + NUMBER_DIGITS],
                FIRST_NUMBER + row,
                10,
            );
        }
        body.extend_from_slice(b"]}");
    }
}

impl Template {
    fn new(rows: std::ops::Range<u64>) -> Self {
        let mut text = String::new();
        let mut starts = vec![0];
        for row in rows {
            record(row, &mut text);
            text.push(',');
            starts.push(text.len());
        }
        Self { text, starts }
    }
}

fn record(row: u64, text: &mut String) {
    let random = |salt: u64, below: u64| scramble(row ^ salt << 56) % below;
    let status = ["active", "archived", "deleted", "pending"][random(1, 4) as usize];
    let (minute, second) = (row / 60 % 60, row % 60);
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "{BEFORE_ID}{:0ID_DIGITS$x}{BEFORE_NUMBER}{FIRST_NUMBER},\
         \"name\":\"report-{:05}-{row}.pdf\",\
         \"owner\":\"user{}@example.com\",\
         \"status\":\"{status}\",\
         \"path\":\"/teams/{}/projects/{}/\",\
         \"size\":{},\
         \"score\":{}.{:02},\
         \"latitude\":{}.{:06},\
         \"shared\":{},\
         \"created_at\":\"2026-01-{:02}T{:02}:{minute:02}:{second:02}.{:06}Z\",\
         \"updated_at\":\"2026-{:02}-{:02}T{:02}:{:02}:00Z\"}}",
        0,
        random(2, 100_000),
        random(3, 5000),
        random(4, 40),
        random(5, 2000),
        random(6, 50_000_000),
        random(7, 100),
        random(8, 100),
        random(9, 180) as i64 - 90,
        random(10, 1_000_000),
        random(11, 3) == 0,
        1 + row / 86_400 % 28,
        row / 3600 % 24,
        random(12, 1_000_000),
        2 + random(13, 10),
        1 + random(14, 28),
        random(15, 24),
        random(16, 60),
    );
}

fn digits(place: &mut [u8], mut value: u64, base: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value % base) as usize];
        value /= base;
    }
}

/// A permutation of the 64-bit numbers (the finaliser of SplitMix64): ids are unique, in no order.
fn scramble(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ number >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ number >> 31
}
