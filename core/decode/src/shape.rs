//! What records look like when no schema says so: a join of everything seen.
//!
//! A [`Shape`] is an element of a lattice, and [`Shape::join`] its least upper bound: commutative,
//! associative and idempotent. So the shape of many records, and the fields made of it, are a
//! function of the set of records, whatever the pages they came in and their order.
//!
//! | seen in one place | field |
//! |---|---|
//! | nothing but null | JSON text |
//! | booleans | boolean |
//! | integers of 64 bits | integer |
//! | numbers with a fraction or an exponent, of at most 17 digits; integers too, when doubles equal them | number |
//! | other mixtures of numbers | JSON text |
//! | texts that are RFC 3339 instants, exact in microseconds | timestamp |
//! | texts that are dates | date |
//! | other texts, and mixtures of these three | string |
//! | objects | object of the members of all of them |
//! | arrays | array of what all elements have in common |
//! | empty objects, arrays without elements | JSON text |
//! | mixtures of these rows | JSON text |
//!
//! Null goes with everything. Members stand in the order of the least place that any record gave
//! them, equal ones by name. Objects of more than [`MAX_MEMBERS`] different members are maps rather
//! than records, and JSON text, as is everything below [`MAX_LEVELS`] levels.

mod growth;

use std::collections::{BTreeMap, HashSet};

use connector_plan::{Field, FieldType, RESCUED_COLUMN};
use serde_json::{Value, json};

pub use self::growth::regrow;
use crate::error::{Error, ErrorKind};
use crate::timestamp::{TimestampFormat, parse_date, parse_timestamp};
use crate::tokens::Tokens;

/// The most members of an object that is not a map.
const MAX_MEMBERS: usize = 500;
/// The most fields of a record.
const MAX_FIELDS: usize = 2_000;
/// The levels of objects and arrays that have types of their own.
const MAX_LEVELS: usize = 16;
/// The digits that tell any two doubles apart.
const DOUBLE_DIGITS: usize = 17;
/// What begins the names of columns that are ours.
const OWN_PREFIX: &str = "_connector";

/// What the values in one place look like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    kinds: u16,
    members: BTreeMap<Box<str>, Member>,
    item: Option<Box<Shape>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Member {
    /// The least place that it had in an object.
    at: u32,
    shape: Shape,
}

const NULL: u16 = 1;
const BOOLEAN: u16 = 1 << 1;
/// An integer of 64 bits that a double equals.
const INTEGER: u16 = 1 << 2;
/// An integer of 64 bits that no double equals.
const WIDE: u16 = 1 << 3;
/// A number that a double stands for.
const DOUBLE: u16 = 1 << 4;
/// A number that no column of numbers holds.
const BEYOND: u16 = 1 << 5;
const TIMESTAMP: u16 = 1 << 6;
const DATE: u16 = 1 << 7;
const TEXT: u16 = 1 << 8;
const OBJECT: u16 = 1 << 9;
const ARRAY: u16 = 1 << 10;
/// An object of too many members, or something too deep.
const OPAQUE: u16 = 1 << 11;

const NAMES: [(u16, &str); 12] = [
    (NULL, "null"),
    (BOOLEAN, "boolean"),
    (INTEGER, "integer"),
    (WIDE, "wide_integer"),
    (DOUBLE, "double"),
    (BEYOND, "other_number"),
    (TIMESTAMP, "timestamp"),
    (DATE, "date"),
    (TEXT, "text"),
    (OBJECT, "object"),
    (ARRAY, "array"),
    (OPAQUE, "opaque"),
];

impl Shape {
    /// Joins a record, as its JSON text; one that is no object counts as its field `value`.
    ///
    /// # Errors
    ///
    /// When the text is no JSON value, or the records have too many different fields to be columns.
    pub fn add_record(&mut self, record: &[u8]) -> Result<(), Error> {
        let mut tokens = Tokens::new(record, usize::MAX);
        tokens.skip_whitespace();
        let mut scan = Scan::new();
        if tokens.peek() == b'{' {
            scan.object(&mut tokens, self, 0)?;
        } else {
            self.kinds |= OBJECT;
            scan.value(&mut tokens, &mut self.member("value", 0).shape, 1)?;
        }
        if self.members.len() > MAX_FIELDS {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("the records have more than {MAX_FIELDS} different fields"),
            )
            .with_hint("declare those of interest in a `schema`; the others go to `_rescued`"));
        }
        Ok(())
    }

    /// The least shape that holds the values of both.
    pub fn join(&mut self, other: &Self) {
        self.kinds |= other.kinds;
        for (name, member) in &other.members {
            let own = self.member(name, member.at);
            own.at = own.at.min(member.at);
            own.shape.join(&member.shape);
            own.shape.settle();
        }
        if let Some(item) = &other.item {
            let own = self.item.get_or_insert_default();
            own.join(item);
            own.settle();
        }
    }

    /// The fields of records of this shape; those of the key are never null.
    ///
    /// Members that no column can be called like are left out: they go to `_rescued`.
    #[must_use]
    pub fn fields(&self, primary_key: &[String]) -> Vec<Field> {
        let mut fields = self.declarable(true);
        for field in &mut fields {
            field.nullable = !primary_key.contains(&field.name);
        }
        fields
    }

    /// As JSON, to be kept.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let kinds: Vec<&str> = NAMES
            .iter()
            .filter(|(kind, _)| self.kinds & kind != 0)
            .map(|(_, name)| *name)
            .collect();
        let mut shape = json!({"kinds": kinds});
        if !self.members.is_empty() {
            let members = self.members.iter().map(|(name, member)| {
                let value = json!({"at": member.at, "shape": member.shape.to_json()});
                (name.to_string(), value)
            });
            shape["members"] = Value::Object(members.collect());
        }
        if let Some(item) = &self.item {
            shape["item"] = item.to_json();
        }
        shape
    }

    /// From what [`Self::to_json`] gave; nothing when it is something else.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let mut shape = Self::default();
        for kind in value.get("kinds")?.as_array()? {
            let kind = kind.as_str()?;
            shape.kinds |= NAMES.iter().find(|(_, name)| *name == kind)?.0;
        }
        if let Some(members) = value.get("members") {
            for (name, member) in members.as_object()? {
                let at = u32::try_from(member.get("at")?.as_u64()?).ok()?;
                let inner = Self::from_json(member.get("shape")?)?;
                shape
                    .members
                    .insert(name.as_str().into(), Member { at, shape: inner });
            }
        }
        if let Some(item) = value.get("item") {
            shape.item = Some(Box::new(Self::from_json(item)?));
        }
        Some(shape)
    }

    fn member(&mut self, name: &str, at: u32) -> &mut Member {
        if !self.members.contains_key(name) {
            let member = Member {
                at,
                shape: Self::default(),
            };
            self.members.insert(name.into(), member);
        }
        self.members.entry(name.into()).or_default()
    }

    /// Forgets what no longer matters: a map's members, and parts of what is JSON text anyway.
    fn settle(&mut self) {
        if self.members.len() > MAX_MEMBERS {
            self.kinds |= OPAQUE;
        }
        let values = self.kinds & !NULL;
        if values & OPAQUE != 0 || values != OBJECT {
            self.members.clear();
        }
        if values & OPAQUE != 0 || values != ARRAY {
            self.item = None;
        }
    }

    fn field_type(&self) -> FieldType {
        const NUMBERS: u16 = INTEGER | WIDE | DOUBLE;
        const TEXTS: u16 = TIMESTAMP | DATE | TEXT;
        match self.kinds & !NULL {
            0 => FieldType::Json,
            BOOLEAN => FieldType::Boolean,
            kinds if kinds & !(INTEGER | WIDE) == 0 => FieldType::Integer,
            kinds if kinds & !NUMBERS == 0 && kinds & WIDE == 0 => FieldType::Number,
            TIMESTAMP => FieldType::Timestamp {
                formats: vec!["rfc3339".to_owned()],
            },
            DATE => FieldType::Date,
            kinds if kinds & !TEXTS == 0 => FieldType::String,
            OBJECT => match self.declarable(false) {
                fields if fields.is_empty() => FieldType::Json,
                fields => FieldType::Object(fields),
            },
            ARRAY => match &self.item {
                Some(item) if item.kinds & !NULL != 0 => {
                    FieldType::List(Box::new(item.field_type()))
                }
                _ => FieldType::Json,
            },
            _ => FieldType::Json,
        }
    }

    fn declarable(&self, is_record: bool) -> Vec<Field> {
        let mut members: Vec<(&str, &Member)> = self
            .members
            .iter()
            .map(|(name, member)| (&**name, member))
            .collect();
        members.sort_by_key(|(name, member)| (member.at, *name));
        let mut names = HashSet::new();
        members
            .into_iter()
            .filter(|(name, _)| {
                let lower = name.to_lowercase();
                let is_ours =
                    is_record && (lower == RESCUED_COLUMN || lower.starts_with(OWN_PREFIX));
                let is_name =
                    !name.is_empty() && name.len() <= 255 && !name.chars().any(char::is_control);
                // SQL engines do not tell names apart that differ in case only.
                is_name && !is_ours && names.insert(lower)
            })
            .map(|(name, member)| Field {
                name: name.to_owned(),
                field_type: member.shape.field_type(),
                nullable: true,
                description: String::new(),
            })
            .collect()
    }
}

/// Reads values into shapes.
struct Scan {
    text: Vec<u8>,
    rfc3339: Option<TimestampFormat>,
}

impl Scan {
    fn new() -> Self {
        Self {
            text: Vec::new(),
            rfc3339: TimestampFormat::new("rfc3339").ok(),
        }
    }

    /// Takes a value, which stands below `level` objects and arrays.
    fn value(
        &mut self,
        tokens: &mut Tokens<'_>,
        shape: &mut Shape,
        level: usize,
    ) -> Result<(), Error> {
        let start = tokens.at;
        match tokens.peek() {
            b'{' | b'[' if level >= MAX_LEVELS => {
                tokens.skip_value()?;
                shape.kinds |= OPAQUE;
                shape.settle();
            }
            b'{' => {
                self.object(tokens, shape, level)?;
                shape.settle();
            }
            b'[' => {
                self.array(tokens, shape, level)?;
                shape.settle();
            }
            b'"' => {
                let kind = self.text_kind(tokens)?;
                shape.add(kind);
            }
            b'n' => {
                tokens.literal("null")?;
                shape.kinds |= NULL;
            }
            b't' | b'f' => {
                tokens.skip_value()?;
                shape.add(BOOLEAN);
            }
            _ => {
                tokens.skip_number()?;
                shape.add(number_kind(tokens.since(start)));
            }
        }
        Ok(())
    }

    fn object(
        &mut self,
        tokens: &mut Tokens<'_>,
        shape: &mut Shape,
        level: usize,
    ) -> Result<(), Error> {
        shape.kinds |= OBJECT;
        let mut at = 0;
        tokens.open()?;
        if tokens.peek() == b'}' {
            tokens.close();
            return Ok(());
        }
        loop {
            self.text.clear();
            if tokens.peek() != b'"' {
                return Err(tokens.malformed("`\"`"));
            }
            let whole = tokens.read_string(&mut self.text)?;
            let name = String::from_utf8_lossy(&self.text).into_owned();
            tokens.colon()?;
            // Half of a surrogate pair is no name, and an object of too many has none.
            if whole && shape.kinds & OPAQUE == 0 {
                let member = shape.member(&name, at);
                member.at = member.at.min(at);
                self.value(tokens, &mut member.shape, level + 1)?;
            } else {
                tokens.skip_value()?;
            }
            at = at.saturating_add(1);
            if !tokens.separator(b'}')? {
                return Ok(());
            }
        }
    }

    fn array(
        &mut self,
        tokens: &mut Tokens<'_>,
        shape: &mut Shape,
        level: usize,
    ) -> Result<(), Error> {
        shape.kinds |= ARRAY;
        tokens.open()?;
        if tokens.peek() == b']' {
            tokens.close();
            return Ok(());
        }
        let item = shape.item.get_or_insert_default();
        loop {
            self.value(tokens, item, level + 1)?;
            if !tokens.separator(b']')? {
                return Ok(());
            }
        }
    }

    fn text_kind(&mut self, tokens: &mut Tokens<'_>) -> Result<u16, Error> {
        self.text.clear();
        let whole = tokens.read_string(&mut self.text)?;
        let text = match std::str::from_utf8(&self.text) {
            Ok(text) if whole && text.as_bytes().get(4) == Some(&b'-') => text,
            _ => return Ok(TEXT),
        };
        if text.len() == 10 {
            return Ok(if parse_date(text).is_some() {
                DATE
            } else {
                TEXT
            });
        }
        let instant = self
            .rfc3339
            .as_ref()
            .and_then(|format| parse_timestamp(text, format));
        Ok(if instant.is_some() { TIMESTAMP } else { TEXT })
    }
}

impl Shape {
    /// Joins a value without parts.
    fn add(&mut self, kind: u16) {
        if self.kinds & kind == 0 {
            self.kinds |= kind;
            self.settle();
        }
    }
}

fn number_kind(text: &[u8]) -> u16 {
    let Ok(text) = std::str::from_utf8(text) else {
        return BEYOND;
    };
    let Ok(double) = text.parse::<f64>() else {
        return BEYOND;
    };
    let is_integer = !text.contains(['.', 'e', 'E']);
    // A double has a negative zero, an integer has not.
    if is_integer && text != "-0" {
        return match text.parse::<i64>() {
            Ok(integer) if is_double(integer) => INTEGER,
            Ok(_) => WIDE,
            Err(_) => BEYOND,
        };
    }
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    let digits = digits.trim_end_matches('0');
    let vanished = double == 0.0 && !digits.is_empty();
    if digits.len() > DOUBLE_DIGITS || !double.is_finite() || vanished {
        BEYOND
    } else {
        DOUBLE
    }
}

/// Whether a double equals an integer.
fn is_double(integer: i64) -> bool {
    let magnitude = integer.unsigned_abs();
    magnitude == 0 || 64 - magnitude.leading_zeros() - magnitude.trailing_zeros() <= 53
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(records: &[&str]) -> Shape {
        let mut shape = Shape::default();
        for record in records {
            shape.add_record(record.as_bytes()).unwrap();
        }
        shape
    }

    fn show(field_type: &FieldType) -> String {
        match field_type {
            FieldType::Boolean => "boolean".to_owned(),
            FieldType::Integer => "integer".to_owned(),
            FieldType::Number => "number".to_owned(),
            FieldType::String => "string".to_owned(),
            FieldType::Timestamp { .. } => "timestamp".to_owned(),
            FieldType::Date => "date".to_owned(),
            FieldType::Decimal { .. } => "decimal".to_owned(),
            FieldType::Json => "json".to_owned(),
            FieldType::Object(fields) => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|field| format!("{}: {}", field.name, show(&field.field_type)))
                    .collect();
                format!("{{{}}}", fields.join(", "))
            }
            FieldType::List(item) => format!("[{}]", show(item)),
        }
    }

    #[test]
    fn values_of_one_place_have_one_type() {
        #[track_caller]
        fn check(values: &[&str], expect: &str) {
            let records: Vec<String> = values
                .iter()
                .map(|value| format!("{{\"a\": {value}}}"))
                .collect();
            let texts: Vec<&str> = records.iter().map(String::as_str).collect();
            let whole = FieldType::Object(shape(&texts).fields(&[]));
            assert_eq!(show(&whole), format!("{{a: {expect}}}"), "{values:?}");
        }
        check(&["null"], "json");
        check(&["true", "null"], "boolean");
        check(&["1", "-7", "9223372036854775807"], "integer");
        check(&["9223372036854775808"], "json");
        check(&["1", "0.5"], "number");
        check(&["9007199254740993", "0.5"], "json");
        check(&["9007199254740992", "0.5"], "number");
        check(&["1e3"], "number");
        check(&["-0"], "number");
        check(&["1e400"], "json");
        check(&["1e-400"], "json");
        check(&["0e400", "0.10000000000000000"], "number");
        check(&["0.123456789012345678"], "json");
        check(&["12345678901234567890.5"], "json");
        check(&["1", "\"1\""], "json");
        check(&["true", "1"], "json");
        check(
            &[
                "\"2024-02-29T23:59:59.123456Z\"",
                "\"2024-02-29T00:00:00+05:30\"",
            ],
            "timestamp",
        );
        check(&["\"2024-02-29T23:59:59.123456789Z\""], "string");
        check(&["\"2023-02-29T00:00:00Z\""], "string");
        check(&["\"2024-02-29\"", "null"], "date");
        check(&["\"2024-02-29\"", "\"2024-02-30\""], "string");
        check(&["\"2024-02-29\"", "\"2024-02-29T00:00:00Z\""], "string");
        check(&["\"\"", "\"\\ud800\""], "string");
        check(&["{}"], "json");
        check(&["[]", "[null]"], "json");
        check(&["[]", "[1]", "[null, 0.5]"], "[number]");
        check(&["[1, \"a\"]"], "[json]");
        check(&["[[1], []]"], "[[integer]]");
        check(
            &["{}", "{\"b\": 1}", "{\"c\": [{\"d\": null}]}"],
            "{b: integer, c: [{d: json}]}",
        );
        check(&["{\"b\": 1}", "1"], "json");
        check(&["{\"b\": 1}", "[1]"], "json");
        check(
            &["{\"b\": 1, \"B\": 2, \"\": 3, \"\\n\": 4}"],
            "{b: integer}",
        );
        check(&["{\"\": 3}"], "json");
        let many: Vec<String> = (0..=MAX_MEMBERS).map(|n| format!("\"k{n}\": 1")).collect();
        check(&[&format!("{{{}}}", many.join(","))], "json");
        let deep = format!("{}1{}", "[".repeat(MAX_LEVELS), "]".repeat(MAX_LEVELS));
        let lists = MAX_LEVELS - 1;
        check(
            &[&deep],
            &format!("{}json{}", "[".repeat(lists), "]".repeat(lists)),
        );
    }

    #[test]
    fn records_that_are_no_objects_have_a_value_and_names_of_ours_are_left_out() {
        let whole =
            FieldType::Object(shape(&["1", "{\"_Rescued\": 1, \"_connector_x\": 2}"]).fields(&[]));
        assert_eq!(show(&whole), "{value: integer}");
    }

    #[test]
    fn members_stand_where_they_stood_first_in_any_record() {
        let one = shape(&["{\"id\": 1, \"b\": 1}", "{\"id\": 2, \"a\": 1, \"b\": 1}"]);
        assert_eq!(
            show(&FieldType::Object(one.fields(&[]))),
            "{id: integer, a: integer, b: integer}"
        );
        let fields = one.fields(&["id".to_owned()]);
        assert!(!fields[0].nullable && fields[1].nullable);
        assert_eq!(Shape::from_json(&one.to_json()), Some(one));
        assert_eq!(Shape::from_json(&json!({"kinds": ["nothing"]})), None);
    }

    #[test]
    fn too_many_fields_are_an_error() {
        let record: Vec<String> = (0..=MAX_FIELDS).map(|n| format!("\"k{n}\": 1")).collect();
        let record = format!("{{{}}}", record.join(","));
        let error = Shape::default().add_record(record.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
    }
}
