//! The field table: what a record looks like.

use serde::{Deserialize, Serialize};

use crate::Step;

/// A field of a record and the column it becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// The key in the JSON document and the name of the column.
    pub name: String,
    /// The type.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// Whether a record may leave it out or set it to null.
    ///
    /// True unless the spec says otherwise or the field is part of the primary key. A record that
    /// breaks it stops the run.
    pub nullable: bool,
    /// What it means, for documentation.
    pub description: String,
}

impl Field {
    /// The field that a path leads to, through the objects on the way.
    #[must_use]
    pub fn at<'f>(fields: &'f [Self], path: &[Step]) -> Option<&'f Self> {
        Self::resolve(fields, path).ok()
    }

    /// The same; where the path leaves the fields, those that it could have gone on with.
    ///
    /// # Errors
    /// When a step is not the name of a field.
    pub fn resolve<'f>(fields: &'f [Self], path: &[Step]) -> Result<&'f Self, &'f [Self]> {
        let Some((Step::Key(key), rest)) = path.split_first() else {
            return Err(fields);
        };
        let field = fields.iter().find(|field| field.name == *key);
        let field = field.ok_or(fields)?;
        match &field.field_type {
            _ if rest.is_empty() => Ok(field),
            FieldType::Object(inner) => Self::resolve(inner, rest),
            _ => Err(&[]),
        }
    }
}

/// The type of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// `true` or `false`; Arrow `Boolean`.
    Boolean,
    /// A 64-bit signed integer; Arrow `Int64`.
    Integer,
    /// A double; Arrow `Float64`. Integers are accepted.
    Number,
    /// Text; Arrow `Utf8`.
    String,
    /// An instant; Arrow `Timestamp(Microsecond, "UTC")`.
    ///
    /// Text in one of the formats (`rfc3339`, or a strptime form; without a zone it is UTC), or a
    /// number when the format is `epoch_seconds` or `epoch_milliseconds`.
    Timestamp {
        /// The formats, tried in order; never empty.
        formats: Vec<String>,
    },
    /// A calendar date `2026-01-31`; Arrow `Date32`.
    Date,
    /// An exact decimal number, from a JSON number or a text; Arrow `Decimal128`.
    Decimal {
        /// All digits, 1 to 38.
        precision: u8,
        /// The digits behind the point, 0 to `precision`.
        scale: u8,
    },
    /// Any JSON value, kept as its text; Arrow `Utf8`.
    Json,
    /// Fields of its own; Arrow `Struct`.
    Object(Vec<Field>),
    /// Any number of values of one type; Arrow `List`.
    List(Box<FieldType>),
}
