//! The server's data: records rendered beforehand, of which only the id and the number are written
//! for each page.

use std::fmt::Write as _;
use std::ops::Range;
use std::str::FromStr;

/// Records before the values repeat that a page does not write: more than any compressor looks back
/// and more than one row group's choice of encodings is made from.
pub(crate) const VARIETY: u64 = 1 << 16;
/// Numbers start here, so that all have as many digits.
const FIRST_NUMBER: u64 = 1_000_000_000;
const ID_DIGITS: usize = 16;
const NUMBER_DIGITS: usize = 10;
const BEFORE_ID: &str = "{\"id\":\"file_";
const BEFORE_NUMBER: &str = "\",\"number\":";

/// What the records look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    /// 12 members.
    Flat,
    /// About 40 leaves in objects, arrays and arrays of objects.
    Nested,
    /// Flat; in rows, the first half are updates of every tenth row of a table that has ten times as
    /// many, the others come behind it.
    Changed,
    /// `id`, `number` and as many other members, of three types in turn.
    Fields(u64),
    /// `id`, `number` and a string in each of so many objects, one in the other.
    Depth(u64),
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, number) = text.split_once('-').unwrap_or((text, "0"));
        let number = number.parse().map_err(|_| format!("no shape `{text}`"))?;
        match name {
            "flat" => Ok(Self::Flat),
            "nested" => Ok(Self::Nested),
            "changed" => Ok(Self::Changed),
            "fields" => Ok(Self::Fields(number)),
            "depth" => Ok(Self::Depth(number)),
            _ => Err(format!("no shape `{text}`")),
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flat => f.write_str("flat"),
            Self::Nested => f.write_str("nested"),
            Self::Changed => f.write_str("changed"),
            Self::Fields(number) => write!(f, "fields-{number}"),
            Self::Depth(number) => write!(f, "depth-{number}"),
        }
    }
}

/// What a dataset has to hold: its rows, and the sum of their column `number`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) rows: u64,
    pub(crate) sum: i128,
}

impl Total {
    /// Of the rows from 0 to `rows`.
    pub(crate) fn of(rows: u64) -> Self {
        let (count, first) = (i128::from(rows), i128::from(FIRST_NUMBER));
        Self {
            rows,
            sum: count * first + count * (count - 1).max(0) / 2,
        }
    }

    /// Of `rows` rows into which [`Shape::Changed`] has been merged.
    pub(crate) fn merged(rows: u64) -> Self {
        let added = rows / 10;
        let Self { rows, sum } = Self::of(rows + added);
        // Changed rows have numbers that begin with 2 in place of 1.
        Self {
            rows,
            sum: sum + i128::from(2 * added) * i128::from(FIRST_NUMBER),
        }
    }
}

/// The records of one shape.
#[derive(Debug)]
pub(crate) struct Records {
    shape: Shape,
    text: Vec<u8>,
    /// Where each record starts, and where the last one ends, with the comma behind it.
    starts: Vec<usize>,
}

impl Records {
    /// Renders the first `rows` of them, or as many as differ.
    pub(crate) fn new(shape: Shape, rows: u64) -> Self {
        let mut text = String::new();
        let mut starts = vec![0];
        for row in 0..rows.clamp(1, VARIETY) {
            let place = "0".repeat(ID_DIGITS);
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "{BEFORE_ID}{place}{BEFORE_NUMBER}{FIRST_NUMBER:0NUMBER_DIGITS$}"
            );
            match shape {
                Shape::Flat => flat(row, &mut text),
                // Other values than the rows had before.
                Shape::Changed => flat(row + VARIETY, &mut text),
                Shape::Nested => nested(row, &mut text),
                Shape::Fields(number) => fields(row, number, &mut text),
                Shape::Depth(number) => depth(row, number, &mut text),
            }
            text.push_str("},");
            starts.push(text.len());
        }
        Self {
            shape,
            text: text.into_bytes(),
            starts,
        }
    }

    /// Writes a page behind what `body` holds: `{"records":[…]}`.
    pub(crate) fn page(&self, rows: Range<u64>, total: u64, body: &mut Vec<u8>) {
        body.extend_from_slice(b"{\"records\":[");
        let variety = self.starts.len() as u64 - 1;
        let mut row = rows.start;
        while row < rows.end {
            let first = row % variety;
            let end = variety.min(first + rows.end - row);
            let starts = &self.starts[first as usize..=end as usize];
            let (from, base) = (starts[0], body.len());
            body.extend_from_slice(&self.text[from..starts[starts.len() - 1]]);
            for start in &starts[..starts.len() - 1] {
                let (key, number) = self.identity(row, total);
                let id = base + start - from + BEFORE_ID.len();
                let place = id + ID_DIGITS + BEFORE_NUMBER.len();
                digits(&mut body[id..id + ID_DIGITS], scramble(key), 16);
                digits(&mut body[place..place + NUMBER_DIGITS], number, 10);
                row += 1;
            }
        }
        if rows.start < rows.end {
            // The comma behind the last record.
            body.pop();
        }
        body.extend_from_slice(b"]}");
    }

    /// What a row's id is made from, and its number.
    fn identity(&self, row: u64, total: u64) -> (u64, u64) {
        if self.shape != Shape::Changed {
            return (row, FIRST_NUMBER + row);
        }
        let half = total / 2;
        let key = if row < half {
            row * 10
        } else {
            // The table has ten times as many rows as are updated.
            half * 10 + row - half
        };
        (key, 2 * FIRST_NUMBER + key)
    }
}

/// Random numbers of a row, below a bound.
fn random(row: u64) -> impl Fn(u64, u64) -> u64 {
    move |salt, below| scramble(row ^ salt << 56) % below
}

fn flat(row: u64, text: &mut String) {
    let random = random(row);
    let status = ["active", "archived", "deleted", "pending"][random(1, 4) as usize];
    let (minute, second) = (row / 60 % 60, row % 60);
    let _ = write!(
        text,
        ",\"name\":\"report-{:05}-{row}.pdf\",\
         \"owner\":\"user{}@example.com\",\
         \"status\":\"{status}\",\
         \"path\":\"/teams/{}/projects/{}/\",\
         \"size\":{},\
         \"score\":{}.{:02},\
         \"latitude\":{}.{:06},\
         \"shared\":{},\
         \"created_at\":\"2026-01-{:02}T{:02}:{minute:02}:{second:02}.{:06}Z\",\
         \"updated_at\":\"2026-{:02}-{:02}T{:02}:{:02}:00Z\"",
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

const WORDS: [&str; 16] = [
    "annual", "budget", "contract", "delivery", "estimate", "forecast", "handbook", "invoice",
    "journal", "ledger", "meeting", "notes", "order", "plan", "report", "summary",
];

fn nested(row: u64, text: &mut String) {
    let random = random(row);
    let word = |salt: u64| WORDS[random(salt, 16) as usize];
    let instant = |salt: u64| {
        let value = random(salt, 1 << 40);
        format!(
            "\"2026-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z\"",
            1 + value % 12,
            1 + value / 16 % 28,
            value / 512 % 24,
            value / 16_384 % 60,
            value / 1_048_576 % 60,
            value / 67_108_864 % 1000,
        )
    };
    let status = ["active", "archived", "deleted", "pending"][random(1, 4) as usize];
    let sentence: Vec<&str> = (100..124).map(word).collect();
    let _ = write!(
        text,
        ",\"name\":\"{} {} {row}.pdf\",\"status\":\"{status}\",\"description\":\"{}\",\
         \"created_at\":{},\"updated_at\":{},",
        word(2),
        word(3),
        sentence.join(" "),
        instant(4),
        instant(5),
    );
    let user = random(6, 5000);
    let _ = write!(
        text,
        "\"owner\":{{\"id\":\"user_{user:08}\",\"name\":\"{} {user}\",\"email\":\"user{user}@example.com\",\
         \"active\":{},\"joined_at\":{},\"address\":{{\"street\":\"{} {} street\",\"city\":\"{}\",\
         \"postcode\":\"{:05}\",\"country\":\"{}\",\"place\":{{\"latitude\":{}.{:06},\"longitude\":{}.{:06}}}}}}},",
        word(7),
        random(8, 4) > 0,
        instant(9),
        random(10, 200),
        word(11),
        ["Berlin", "Paris", "New York", "Tokyo", "Recife"][random(12, 5) as usize],
        random(13, 100_000),
        ["DE", "FR", "US", "JP", "BR"][random(12, 5) as usize],
        random(14, 180) as i64 - 90,
        random(15, 1_000_000),
        random(16, 360) as i64 - 180,
        random(17, 1_000_000),
    );
    let _ = write!(
        text,
        "\"usage\":{{\"views\":{},\"downloads\":{},\"bytes\":{},\"score\":{}.{:02},\"share\":0.{:06}}},\
         \"plan\":{{\"name\":\"{}\",\"currency\":\"EUR\",\"amount\":{}.{:02},\
         \"tax\":{{\"rate\":0.{:02},\"included\":{}}},\"period\":{{\"start\":{},\"end\":{}}}}},",
        random(18, 1_000_000),
        random(19, 10_000),
        random(20, 1 << 32),
        random(21, 100),
        random(22, 100),
        random(23, 1_000_000),
        ["free", "team", "business"][random(24, 3) as usize],
        random(25, 1000),
        random(26, 100),
        random(27, 25),
        random(28, 2) == 0,
        instant(29),
        instant(30),
    );
    let checksum = [31, 32, 33, 34].map(|salt| random(salt, u64::MAX));
    let _ = write!(
        text,
        "\"checksum\":\"{:016x}{:016x}{:016x}{:016x}\",\"parent\":\"folder_{:06}\",\"revision\":{},\"locked\":{},\
         \"tags\":[\"{}\",\"{}\",\"{}\"],\"permissions\":[",
        checksum[0],
        checksum[1],
        checksum[2],
        checksum[3],
        random(35, 20_000),
        random(36, 50),
        random(37, 10) == 0,
        word(38),
        word(39),
        word(40),
    );
    for permission in 0..3 {
        let _ = write!(
            text,
            "{}{{\"user\":\"user_{:08}\",\"role\":\"{}\",\"granted_at\":{}}}",
            if permission == 0 { "" } else { "," },
            random(41 + permission, 5000),
            ["owner", "editor", "reader"][random(44 + permission, 3) as usize],
            instant(47 + permission),
        );
    }
    text.push(']');
}

fn fields(row: u64, number: u64, text: &mut String) {
    let random = random(row);
    for field in 0..number {
        let value = random(field, 1_000_000_000);
        let _ = match field % 3 {
            0 => write!(text, ",\"f{field}\":\"{value:09}\""),
            1 => write!(text, ",\"f{field}\":{}", value + 1_000_000_000),
            _ => write!(text, ",\"f{field}\":{}.5", 10_000_000 + value % 10_000_000),
        };
    }
}

fn depth(row: u64, number: u64, text: &mut String) {
    let random = random(row);
    for level in 0..number {
        let _ = write!(
            text,
            ",\"o\":{{\"v\":\"{:09}\"",
            random(level, 1_000_000_000)
        );
    }
    text.extend((0..number).map(|_| '}'));
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The total of all pages.
    #[track_caller]
    fn check(shape: &str, rows: u64, page: u64, expect: Total) {
        let shape: Shape = shape.parse().unwrap();
        assert_eq!(shape.to_string().parse(), Ok(shape));
        let records = Records::new(shape, rows);
        let (mut total, mut ids) = (Total::default(), std::collections::HashSet::new());
        for first in (0..rows).step_by(page as usize) {
            let mut body = Vec::new();
            records.page(first..rows.min(first + page), rows, &mut body);
            let body: Value = serde_json::from_slice(&body).unwrap();
            for record in body["records"].as_array().unwrap() {
                total.rows += 1;
                total.sum += i128::from(record["number"].as_i64().unwrap());
                assert!(ids.insert(record["id"].as_str().unwrap().to_owned()));
            }
        }
        assert_eq!(total, expect);
    }

    #[test]
    fn pages_are_json_and_sum_up() {
        check("flat", 1, 10, Total::of(1));
        check("flat", 250, 100, Total::of(250));
        check("flat", VARIETY + 1500, 1000, Total::of(VARIETY + 1500));
        check("nested", 25, 10, Total::of(25));
        check("fields-7", 25, 10, Total::of(25));
        check("depth-7", 25, 10, Total::of(25));
        check("depth-0", 0, 10, Total::of(0));
    }

    #[test]
    fn changes_are_a_tenth_old_and_a_tenth_new() {
        let (before, after) = (Total::of(1000), Total::merged(1000));
        assert_eq!(after.rows, before.rows + 100);
        // The updated rows by number: 0, 10, 20, …
        let updated: i128 = (0..100)
            .map(|row| i128::from(FIRST_NUMBER) + row * 10)
            .sum();
        check(
            "changed",
            200,
            100,
            Total {
                rows: 200,
                sum: after.sum - (before.sum - updated),
            },
        );
    }
}
