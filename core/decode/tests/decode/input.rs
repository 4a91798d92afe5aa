//! A case as bytes, any of which are one: a line of fields, a line with the selector, and pages
//! between lines of `---`.

use std::iter::Copied;
use std::slice::Iter;

use connector_decode::DecoderOptions;
use connector_plan::{Contract, ContractMode, Field, FieldType, Selector, Step};

use crate::cells::{field, key};
use crate::{agreement, traces};

/// The names of fields, by a digit in front of a type.
pub const NAMES: &[&str] = &[
    "a",
    "id",
    "value",
    "naïve",
    "a.b",
    "quo\"te",
    "sixteen_bytes",
    "a_name_of_more_than_sixteen_bytes",
    "a_name_of_more_than_sixteen_bytes_too",
    "",
];

/// The fields of one table, those of objects in it included.
const MAX_FIELDS: usize = 64;

/// The objects and lists of one type.
const MAX_LEVELS: usize = 10;

/// Reads a case and compares what the decoder makes of it with the reference; where the table has
/// capital letters, which are options that the reference does not know, it must at least hold.
pub fn check(input: &[u8]) {
    let (table, rest) = line(input);
    let (selector, pages) = line(rest);
    let (steps, pages) = (steps(selector), split(pages));
    let has = |letter| table.contains(&letter);
    // `<` has a page end at fewer levels, where random bytes can reach the end.
    let max_depth = if has(b'<') { 12 } else { 128 };
    let fields = Reader {
        bytes: table.iter().copied(),
        left: MAX_FIELDS,
    }
    .fields(0);
    if !table.iter().any(u8::is_ascii_uppercase) {
        return agreement::check(&fields, &steps, max_depth, &pages);
    }
    let mut modes = table.iter().filter_map(|letter| match letter {
        b'D' => Some(ContractMode::DiscardRow),
        b'E' => Some(ContractMode::Evolve),
        b'F' => Some(ContractMode::Freeze),
        b'R' => Some(ContractMode::Rescue),
        b'V' => Some(ContractMode::DiscardValue),
        _ => None,
    });
    let columns = modes.next().unwrap_or_default();
    let options = DecoderOptions {
        selector: Selector {
            text: "random".to_owned(),
            steps,
            ..Selector::default()
        },
        contract: Contract {
            columns,
            data_type: modes.next().unwrap_or(columns),
            ..Contract::default()
        },
        lines: has(b'L'),
        texts: has(b'T'),
        max_depth,
        ..DecoderOptions::default()
    };
    traces::check(&fields, has(b'S'), &options, &pages);
}

/// The bytes up to the first end of a line, and those behind it.
fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[]),
    }
}

/// No text of JSON has the separator.
fn split(mut bytes: &[u8]) -> Vec<&[u8]> {
    const SEPARATOR: &[u8] = b"\n---\n";
    let mut pages = Vec::new();
    while let Some(end) = bytes
        .windows(SEPARATOR.len())
        .position(|window| window == SEPARATOR)
    {
        pages.push(&bytes[..end]);
        bytes = &bytes[end + SEPARATOR.len()..];
    }
    pages.push(bytes);
    pages
}

/// `a.*.-1`: nothing is the document itself.
fn steps(line: &[u8]) -> Vec<Step> {
    let text = String::from_utf8_lossy(line);
    let steps = text.split('.').filter(|_| !text.is_empty()).take(8);
    steps
        .map(|step| match step {
            "*" => Step::Wildcard,
            step => match step.parse() {
                Ok(index) => Step::Index(index),
                Err(_) => Step::Key(step.to_owned()),
            },
        })
        .collect()
}

/// Reads a table of fields: a letter is a type, a digit before it the field's name, `!` there has
/// it required. What is neither is passed over.
struct Reader<'a> {
    bytes: Copied<Iter<'a, u8>>,
    /// How many fields the table can still have.
    left: usize,
}

impl Reader<'_> {
    fn fields(&mut self, level: usize) -> Vec<Field> {
        let mut fields: Vec<Field> = Vec::new();
        let mut name = None;
        let mut required = false;
        while let Some(byte) = self.bytes.next() {
            match byte {
                b'}' if level > 0 => break,
                b'0'..=b'9' => name = Some(NAMES[usize::from(byte - b'0')]),
                b'!' => required = true,
                _ => {
                    let Some(field_type) = self.field_type(byte, level) else {
                        continue;
                    };
                    let unused = |name: &&str| fields.iter().all(|field| field.name != **name);
                    let chosen = name.take().or_else(|| NAMES.iter().copied().find(unused));
                    let required = std::mem::take(&mut required);
                    if let Some(name) = chosen.filter(unused)
                        && self.left > 0
                    {
                        self.left -= 1;
                        // Only the fields of records can be required.
                        let make = if required && level == 0 { key } else { field };
                        fields.push(make(name, field_type));
                    }
                }
            }
        }
        fields
    }

    fn field_type(&mut self, letter: u8, level: usize) -> Option<FieldType> {
        Some(match letter {
            b'b' => FieldType::Boolean,
            b'i' => FieldType::Integer,
            b'n' => FieldType::Number,
            b's' => FieldType::String,
            b't' => FieldType::Timestamp {
                formats: vec!["rfc3339".to_owned()],
            },
            // Of the capital letters: other forms of instants.
            b'P' => FieldType::Timestamp {
                formats: [
                    "%Y-%m-%d %H:%M:%S.%f%z",
                    "%d/%b/%y %I%p %Z",
                    "epoch_milliseconds",
                ]
                .map(str::to_owned)
                .to_vec(),
            },
            b'd' => FieldType::Date,
            b'j' => FieldType::Json,
            // Two letters for the digits, and for those behind the point: `a` is none, `!` all.
            b'm' => {
                let mut digits = || self.bytes.next().map_or(0, |byte| byte.wrapping_sub(b'a'));
                let precision = digits().clamp(1, 38);
                FieldType::Decimal {
                    precision,
                    scale: digits().min(precision),
                }
            }
            b'{' if level < MAX_LEVELS => FieldType::Object(self.fields(level + 1)),
            b'[' if level < MAX_LEVELS => {
                let item = self.bytes.next()?;
                FieldType::List(Box::new(self.field_type(item, level + 1)?))
            }
            _ => return None,
        })
    }
}
