//! A field table, compiled into instructions that write records.

use connector_plan::{BodyFormat, Field, FieldType, Resource};

use super::{
    json::{push_digits, push_padded, push_u64, quoted},
    text::{self, TextKind},
    time::{self, Format, Instant},
};
use crate::condition;
use crate::random::{combine, hash_text, mix};

/// Which record of a resource, in which state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generated {
    /// Decides the primary key.
    pub(crate) index: u64,
    /// When the record was last changed, as a position in time: decides everything else.
    pub(crate) tick: u64,
}

/// What the records of a resource look like.
pub(crate) struct RecordShape {
    seed: u64,
    fields: Vec<FieldShape>,
    undeclared_every: u64,
    capacity: u64,
    /// Whether texts may have control characters, which XML has no way to write.
    controls: bool,
    kinds: Option<Kinds>,
}

struct FieldShape {
    /// `"name":`.
    key: Vec<u8>,
    salt: u64,
    nullable: bool,
    /// The kinds of records that do not have it; see [`Kinds`].
    absent: Vec<usize>,
    content: Content,
}

/// What tells the kinds of records of a listing apart that several resources are made from.
struct Kinds {
    /// The salt of the field that tells.
    salt: u64,
    /// How many texts it has.
    count: usize,
}

enum Content {
    /// Part of the primary key.
    Key {
        part: KeyPart,
        kind: KeyKind,
    },
    /// A point in time that a change does not move.
    Beginning(Value),
    Value(Value),
}

/// Which digits of a record's index are this part of its key: `index / below % radix`.
#[derive(Clone, Copy)]
struct KeyPart {
    below: u64,
    radix: u64,
}

enum KeyKind {
    Boolean,
    Whole,
    Text(TextKind),
    Timestamp(Format),
    Date,
    Decimal(u8),
}

enum Value {
    Boolean,
    Integer(IntegerKind),
    Number(NumberKind),
    Text(TextKind),
    Timestamp(Vec<Format>),
    Date,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Json,
    /// One of these texts, in quotes.
    Choice(Vec<Vec<u8>>),
    Object(Vec<FieldShape>),
    List(Box<Value>),
}

enum IntegerKind {
    /// From a byte to beyond what a double holds exactly.
    Size,
    Below(u64),
    Year,
    /// Of either sign.
    Signed,
}

enum NumberKind {
    Degrees,
    Share,
    Amount,
}

impl RecordShape {
    pub(crate) fn new(
        resource: &Resource,
        seed: u64,
        nulls: bool,
        undeclared_every: u64,
        choices: &[(String, Vec<String>)],
        sharing: &[&Resource],
    ) -> Result<Self, String> {
        let mut declared = if resource.fields.is_empty() {
            fields_of_nothing(resource)
        } else {
            resource.fields.clone()
        };
        // The other resources of the same listing find their fields in it too.
        for other in sharing {
            let included = |field: &&Field| {
                let mut columns = other.relations.included();
                columns.any(|include| include.column == field.name)
            };
            for field in other.fields.iter().filter(|field| !included(field)) {
                if declared.iter().all(|known| known.name != field.name) {
                    declared.push(field.clone());
                }
            }
        }
        let fields = &declared;
        let entity = entity(&resource.name);
        let mut shapes = Vec::with_capacity(fields.len());
        for field in fields {
            let mut shape = FieldShape::new(field, &entity, nulls)?;
            if resource.primary_key.contains(&field.name) {
                shape.nullable = false;
                shape.content = Content::Key {
                    part: KeyPart { below: 1, radix: 1 },
                    kind: KeyKind::new(field, &entity)?,
                };
            }
            shapes.push(shape);
        }
        for (name, texts) in choices {
            let value = Value::choice(texts);
            match fields.iter().position(|field| field.name == *name) {
                // A key stays unique, and a value of another type what it is.
                Some(at)
                    if fields[at].field_type == FieldType::String
                        && !resource.primary_key.contains(name) =>
                {
                    shapes[at].content = Content::Value(value);
                }
                Some(_) => {}
                // The filter reads what no column takes.
                None => {
                    let mut key = quoted(name);
                    key.push(b':');
                    shapes.push(FieldShape {
                        key,
                        salt: hash_text(name),
                        nullable: false,
                        absent: Vec::new(),
                        content: Content::Value(value),
                    });
                }
            }
        }
        let kinds = Kinds::new(&mut shapes, fields, choices, sharing);
        let capacity = divide_keys(&mut shapes);
        Ok(Self {
            seed: combine(seed, hash_text(&resource.name)),
            fields: shapes,
            undeclared_every,
            capacity,
            controls: resource.endpoint.response.format != BodyFormat::Xml,
            kinds,
        })
    }

    /// The most records whose keys differ.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Writes a record as one JSON object.
    pub(crate) fn push(&self, out: &mut Vec<u8>, row: Generated) {
        let random = combine(self.seed ^ row.index, row.tick);
        out.push(b'{');
        let start = out.len();
        let kind = self.kinds.as_ref().map(|kinds| kinds.of(random));
        push_fields(out, &self.fields, random, row, kind);
        if self.undeclared_every > 0 && row.index.is_multiple_of(self.undeclared_every) {
            if out.len() > start {
                out.push(b',');
            }
            out.extend_from_slice(b"\"undeclared_by_the_plan\":{\"n\":");
            push_u64(out, row.index);
            out.push(b'}');
        }
        out.push(b'}');
        if !self.controls {
            const BELL: &[u8] = b"\\u0007";
            let mut at = start;
            while let Some(found) = out[at..].windows(BELL.len()).position(|w| w == BELL) {
                at += found;
                out[at..at + BELL.len()].fill(b'-');
            }
        }
    }
}

impl Kinds {
    /// Works out which fields the records of each kind have: those of the resources whose filters
    /// keep it, and all of them when none does.
    fn new(
        shapes: &mut [FieldShape],
        fields: &[Field],
        choices: &[(String, Vec<String>)],
        sharing: &[&Resource],
    ) -> Option<Self> {
        let ([(name, texts)], [_, _, ..]) = (choices, sharing) else {
            return None;
        };
        for (kind, text) in texts.iter().enumerate() {
            let record = serde_json::json!({ name.as_str(): text });
            let keeps = |resource: &&&Resource| {
                let filter = resource.record_filter.as_ref();
                filter.is_none_or(|filter| condition::keeps(filter, &record))
            };
            let kept: Vec<_> = sharing.iter().filter(keeps).collect();
            for (shape, field) in shapes.iter_mut().zip(fields) {
                let has = |resource: &&&&Resource| {
                    let mut names = resource.fields.iter().map(|field| &field.name);
                    names.any(|known| *known == field.name)
                };
                let needed = field.name == *name || !matches!(shape.content, Content::Value(_));
                if !needed && !kept.is_empty() && !kept.iter().any(|one| has(&one)) {
                    shape.absent.push(kind);
                }
            }
        }
        Some(Self {
            salt: hash_text(name),
            count: texts.len() + 1,
        })
    }

    fn of(&self, random: u64) -> usize {
        Value::chosen(mix(random ^ self.salt), self.count)
    }
}

fn push_fields(
    out: &mut Vec<u8>,
    fields: &[FieldShape],
    random: u64,
    row: Generated,
    kind: Option<usize>,
) {
    let mut first = true;
    for field in fields {
        if kind.is_some_and(|kind| field.absent.contains(&kind)) {
            continue;
        }
        let random = mix(random ^ field.salt);
        let fate = if field.nullable {
            (random >> 44) % 40
        } else {
            39
        };
        if fate == 0 {
            continue;
        }
        if !first {
            out.push(b',');
        }
        first = false;
        out.extend_from_slice(&field.key);
        match &field.content {
            _ if fate <= 2 => out.extend_from_slice(b"null"),
            Content::Key { part, kind } => {
                kind.push(out, row.index / part.below % part.radix);
            }
            Content::Beginning(value) => {
                let constant = mix(row.index ^ field.salt);
                value.push(
                    out,
                    constant,
                    Generated {
                        tick: row.index,
                        ..row
                    },
                );
            }
            Content::Value(value) => value.push(out, random, row),
        }
    }
}

/// Divides the index among the parts of the key so that together they are unique; gives how many
/// indexes there are room for.
fn divide_keys(fields: &mut [FieldShape]) -> u64 {
    let mut keys: Vec<(&mut KeyPart, u64)> = fields
        .iter_mut()
        .filter_map(|field| match &mut field.content {
            Content::Key { part, kind } => Some((part, kind.capacity())),
            _ => None,
        })
        .collect();
    // The part with the most room takes what the others leave.
    let widest = (0..keys.len()).rev().max_by_key(|&i| keys[i].1);
    let mut below = 1;
    for (i, (part, room)) in keys.iter_mut().enumerate() {
        if Some(i) != widest {
            let radix = (*room).min(7);
            **part = KeyPart { below, radix };
            below *= radix;
        }
    }
    match widest {
        Some(i) => {
            let room = keys[i].1;
            *keys[i].0 = KeyPart { below, radix: room };
            room.saturating_mul(below)
        }
        None => u64::MAX,
    }
}

impl FieldShape {
    fn new(field: &Field, entity: &str, nulls: bool) -> Result<Self, String> {
        let mut key = quoted(&field.name);
        key.push(b':');
        let value = Value::new(&field.name, &field.field_type, entity, nulls)?;
        let beginning = matches!(value, Value::Timestamp(_) | Value::Text(TextKind::Instant))
            && text::is_beginning(&field.name.to_lowercase());
        Ok(Self {
            key,
            salt: hash_text(&field.name),
            nullable: nulls && field.nullable,
            absent: Vec::new(),
            content: if beginning {
                Content::Beginning(value)
            } else {
                Content::Value(value)
            },
        })
    }
}

impl KeyKind {
    fn new(field: &Field, entity: &str) -> Result<Self, String> {
        Ok(match &field.field_type {
            FieldType::Boolean => Self::Boolean,
            FieldType::Integer | FieldType::Number => Self::Whole,
            FieldType::String => Self::Text(TextKind::of(&field.name, entity)),
            FieldType::Timestamp { formats } => Self::Timestamp(first_format(formats)?),
            FieldType::Date => Self::Date,
            FieldType::Decimal { precision, scale } => {
                Self::Decimal(precision.saturating_sub(*scale))
            }
            FieldType::Json | FieldType::Object(_) | FieldType::List(_) => {
                return Err(format!(
                    "the sandbox cannot make unique values of `{}`: a primary key needs fields of \
                     a simple type",
                    field.name
                ));
            }
        })
    }

    fn capacity(&self) -> u64 {
        match self {
            Self::Boolean => 2,
            Self::Whole => 1 << 52,
            Self::Text(_) => 1 << 59,
            Self::Timestamp(_) => 500_000_000,
            Self::Date => 2_500_000,
            Self::Decimal(digits) => 10_u64.saturating_pow((*digits).min(18).into()),
        }
    }

    fn push(&self, out: &mut Vec<u8>, number: u64) {
        match self {
            Self::Boolean => push_boolean(out, number == 1),
            Self::Whole => push_u64(out, number + 1),
            Self::Text(kind) => kind.push_unique(out, number),
            Self::Timestamp(format) => format.push(out, Instant::new(number, 4)),
            Self::Date => {
                out.push(b'"');
                time::push_date(out, time::days_after_2000(number));
                out.push(b'"');
            }
            Self::Decimal(_) => {
                out.push(b'"');
                push_u64(out, number);
                out.push(b'"');
            }
        }
    }
}

impl Value {
    fn new(name: &str, kind: &FieldType, entity: &str, nulls: bool) -> Result<Self, String> {
        Ok(match kind {
            FieldType::Boolean => Self::Boolean,
            FieldType::Integer => Self::Integer(IntegerKind::of(name)),
            FieldType::Number => Self::Number(NumberKind::of(name)),
            FieldType::String => Self::Text(TextKind::of(name, entity)),
            FieldType::Timestamp { formats } => {
                first_format(formats)?;
                let formats = formats.iter().map(|format| Format::new(format));
                Self::Timestamp(formats.collect::<Result<_, _>>()?)
            }
            FieldType::Date => Self::Date,
            FieldType::Decimal { precision, scale } => Self::Decimal {
                precision: *precision,
                scale: *scale,
            },
            FieldType::Json => Self::Json,
            FieldType::Object(fields) => Self::Object(
                fields
                    .iter()
                    .map(|field| FieldShape::new(field, name, nulls))
                    .collect::<Result<_, _>>()?,
            ),
            FieldType::List(item) => Self::List(Box::new(Self::new(name, item, entity, nulls)?)),
        })
    }

    /// What filters ask for, and something that none of them does.
    fn choice(texts: &[String]) -> Self {
        let other = std::iter::once("other".to_owned());
        Self::Choice(
            texts
                .iter()
                .cloned()
                .chain(other)
                .map(|text| quoted(&text))
                .collect(),
        )
    }

    /// Which of so many texts a choice is.
    fn chosen(random: u64, count: usize) -> usize {
        (random >> 20) as usize % count
    }

    fn push(&self, out: &mut Vec<u8>, random: u64, row: Generated) {
        match self {
            Self::Boolean => push_boolean(out, random & 1 == 1),
            Self::Choice(texts) => {
                out.extend_from_slice(&texts[Self::chosen(random, texts.len())]);
            }
            Self::Integer(kind) => kind.push(out, random),
            Self::Number(kind) => kind.push(out, random),
            Self::Text(kind) => kind.push(out, random, row.tick),
            Self::Timestamp(formats) => {
                // Mostly the first: an API rarely mixes them.
                let other = (random >> 40).is_multiple_of(11);
                let i = if other {
                    (random >> 50) as usize % formats.len()
                } else {
                    0
                };
                formats[i].push(out, Instant::new(row.tick, random));
            }
            Self::Date => {
                out.push(b'"');
                time::push_date(out, time::days_after_2000(random % 9_000));
                out.push(b'"');
            }
            Self::Decimal { precision, scale } => push_decimal(out, random, *precision, *scale),
            Self::Json => push_any(out, random),
            Self::Object(fields) => {
                out.push(b'{');
                push_fields(out, fields, random, row, None);
                out.push(b'}');
            }
            Self::List(item) => {
                out.push(b'[');
                for i in 0..random % 5 {
                    if i > 0 {
                        out.push(b',');
                    }
                    item.push(out, mix(random.wrapping_add(i)), row);
                }
                out.push(b']');
            }
        }
    }
}

impl IntegerKind {
    fn of(name: &str) -> Self {
        let lower = name.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        if has(&["size", "bytes", "length"]) {
            Self::Size
        } else if has(&["year"]) {
            Self::Year
        } else if has(&[
            "balance",
            "delta",
            "offset",
            "change",
            "difference",
            "score",
        ]) {
            Self::Signed
        } else if has(&["percent", "progress", "age", "rating"]) {
            Self::Below(101)
        } else if has(&["count", "number", "quantity", "num", "version", "position"]) {
            Self::Below(1_000)
        } else {
            Self::Below(1_000_000)
        }
    }

    fn push(&self, out: &mut Vec<u8>, random: u64) {
        match self {
            // Rare enough that a million of them still add up within 64 bits.
            Self::Size if (random >> 50).is_multiple_of(2_048) => {
                push_u64(out, (1 << 53) + 1 + 2 * (random % 1_000));
            }
            Self::Size => push_u64(out, mix(random) >> (24 + (random >> 8) % 41).min(63)),
            Self::Below(limit) => push_u64(out, random % limit),
            Self::Year => push_u64(out, 1_990 + random % 40),
            Self::Signed => {
                if random.is_multiple_of(3) {
                    out.push(b'-');
                }
                push_u64(out, 1 + (random >> 8) % 100_000);
            }
        }
    }
}

impl NumberKind {
    fn of(name: &str) -> Self {
        let lower = name.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        if has(&["latitude", "longitude", "lat", "lng", "lon"]) {
            Self::Degrees
        } else if has(&[
            "ratio",
            "share",
            "rate",
            "probability",
            "percent",
            "confidence",
        ]) {
            Self::Share
        } else {
            Self::Amount
        }
    }

    fn push(&self, out: &mut Vec<u8>, random: u64) {
        let (whole, fraction, digits) = match self {
            Self::Degrees => (random % 90, (random >> 16) % 1_000_000, 6),
            Self::Share => (0, (random >> 16) % 10_000, 4),
            Self::Amount => (random % 10_000, (random >> 16) % 100, 2),
        };
        if matches!(self, Self::Degrees) && (random >> 8) & 1 == 1 && whole + fraction > 0 {
            out.push(b'-');
        }
        push_u64(out, whole);
        // Whole numbers now and then: JSON does not tell them from integers.
        if !(random >> 52).is_multiple_of(16) {
            out.push(b'.');
            push_digits(out, fraction, digits);
        }
    }
}

fn push_boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Writes a decimal as a text, now and then with all the digits that it can have.
fn push_decimal(out: &mut Vec<u8>, random: u64, precision: u8, scale: u8) {
    let whole = usize::from(precision.saturating_sub(scale));
    let long = (random >> 50).is_multiple_of(8);
    let digits = if long { whole } else { whole.min(5) };
    out.push(b'"');
    if (random >> 40).is_multiple_of(4) {
        out.push(b'-');
    }
    if digits == 0 {
        out.push(b'0');
    } else {
        // Without a leading zero, which JSON numbers and most decimal texts do not have.
        out.push(b'1' + (random % 9) as u8);
        push_random_digits(out, random, digits - 1);
    }
    if scale > 0 {
        out.push(b'.');
        push_random_digits(out, !random, scale.into());
    }
    out.push(b'"');
}

fn push_random_digits(out: &mut Vec<u8>, random: u64, digits: usize) {
    for i in 0..digits {
        out.push(b'0' + (mix(random ^ i as u64) % 10) as u8);
    }
}

/// Writes a JSON value of any type.
fn push_any(out: &mut Vec<u8>, random: u64) {
    match random % 6 {
        0 => TextKind::Words.push(out, mix(random), 0),
        1 => push_u64(out, (random >> 8) % 1_000),
        2 => push_boolean(out, (random >> 8) & 1 == 1),
        3 => {
            out.extend_from_slice(b"[1,\"two\",null,{\"three\":[]}]");
        }
        _ => {
            out.extend_from_slice(b"{\"source\":");
            TextKind::Words.push(out, mix(random), 0);
            out.extend_from_slice(b",\"tags\":[\"a\",\"b\"],\"weight\":0.");
            push_padded(out, (random >> 8) % 100, 2);
            out.push(b'}');
        }
    }
}

fn first_format(formats: &[String]) -> Result<Format, String> {
    formats.first().map_or_else(
        || Err("a timestamp field has no format".to_owned()),
        |format| Format::new(format),
    )
}

/// What one record of a resource is: `file` for `cloud_storage_files`.
fn entity(resource: &str) -> String {
    let last = resource.rsplit('_').next().unwrap_or(resource);
    if let Some(stem) = last.strip_suffix("ies") {
        format!("{stem}y")
    } else {
        last.strip_suffix('s').unwrap_or(last).to_owned()
    }
}

/// The fields of a resource whose spec declares none.
pub(super) fn fields_of_nothing(resource: &Resource) -> Vec<Field> {
    let field = |name: &str, field_type| Field {
        name: name.to_owned(),
        field_type,
        nullable: !resource.primary_key.iter().any(|key| key == name) && name != "id",
        description: String::new(),
    };
    let others = [
        ("id", FieldType::String),
        ("name", FieldType::String),
        ("size", FieldType::Integer),
        (
            "updated_at",
            FieldType::Timestamp {
                formats: vec!["rfc3339".to_owned()],
            },
        ),
    ];
    let keys = resource
        .primary_key
        .iter()
        .map(|key| field(key, FieldType::String));
    let others = others
        .into_iter()
        .filter(|(name, _)| !resource.primary_key.iter().any(|key| key == name))
        .map(|(name, field_type)| field(name, field_type));
    keys.chain(others).collect()
}
