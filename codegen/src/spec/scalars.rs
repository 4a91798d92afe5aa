//! The scalar types of the spec language.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::read::{FromNode, Reporter};
use crate::diagnostic::{Diagnostic, code};
use crate::source::Span;
use crate::words::quote;
use crate::yaml::{Node, Value};

/// Implements [`JsonSchema`] for a type whose schema stands wherever it is used.
macro_rules! inline_schema {
    ($type:ty, $name:literal, $schema:tt) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

/// Text.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub value: String,
    pub span: Span,
}

impl FromNode for Text {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        if let Value::String(value) = &node.value {
            return Some(Self {
                value: value.clone(),
                span: node.span,
            });
        }
        reporter.wrong_type(node, "a string");
        None
    }
}

inline_schema!(Text, "Text", { "type": "string" });

impl FromNode for bool {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        if let Value::Boolean(value) = node.value {
            return Some(value);
        }
        reporter.wrong_type(node, "a boolean, `true` or `false`");
        None
    }
}

/// An integer of at least `MINIMUM` and at most `MAXIMUM`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole<const MINIMUM: u64, const MAXIMUM: u64>(pub u64);

/// The largest integer that every reader of JSON keeps exact (RFC 8259, section 6).
pub(crate) const EXACT: u64 = (1 << 53) - 1;

impl<const MINIMUM: u64, const MAXIMUM: u64> FromNode for Whole<MINIMUM, MAXIMUM> {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        let range = match (MINIMUM, MAXIMUM) {
            (0, EXACT) => "a non-negative integer".to_owned(),
            (minimum, EXACT) => format!("an integer of at least {minimum}"),
            (minimum, maximum) => format!("an integer from {minimum} to {maximum}"),
        };
        let Value::Integer(value) = node.value else {
            reporter.wrong_type(node, &range);
            return None;
        };
        match u64::try_from(value) {
            Ok(value) if (MINIMUM..=MAXIMUM).contains(&value) => Some(Self(value)),
            _ => {
                reporter.report(
                    Diagnostic::error(code::INVALID_VALUE, format!("{value} is out of range"))
                        .label(node.span, format!("expected {range}")),
                );
                None
            }
        }
    }
}

impl<const MINIMUM: u64, const MAXIMUM: u64> JsonSchema for Whole<MINIMUM, MAXIMUM> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Whole{MINIMUM}To{MAXIMUM}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut schema = json_schema!({ "type": "integer", "minimum": MINIMUM });
        if MAXIMUM != EXACT {
            schema.insert("maximum".to_owned(), MAXIMUM.into());
        }
        schema
    }
}

/// A number of seconds, or a factor: finite and not negative.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount(pub f64);

impl FromNode for Amount {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        #[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^53 seconds")]
        let value = match node.value {
            Value::Integer(value) => value as f64,
            Value::Float(value) => value,
            _ => {
                reporter.wrong_type(node, "a non-negative number");
                return None;
            }
        };
        if value.is_finite() && value >= 0.0 {
            return Some(Self(value));
        }
        reporter.report(
            Diagnostic::error(
                code::INVALID_VALUE,
                format!("{} is out of range", quote(node.span.of(reporter.text))),
            )
            .label(node.span, "expected a non-negative number"),
        );
        None
    }
}

inline_schema!(Amount, "Amount", { "type": "number", "minimum": 0 });

/// One scalar of any type, which may be text with expressions.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub value: serde_json::Value,
    pub span: Span,
}

impl FromNode for Scalar {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        match &node.value {
            Value::Null | Value::Sequence(_) | Value::Mapping(_) => {
                reporter.wrong_type(node, "a string, a number or a boolean");
                None
            }
            _ => Json::from_node(node, reporter).map(|json| Self {
                value: json.value,
                span: node.span,
            }),
        }
    }
}

inline_schema!(Scalar, "Scalar", { "type": ["string", "number", "boolean"] });

/// Any value that JSON has.
#[derive(Clone, Debug)]
pub(crate) struct Json {
    pub value: serde_json::Value,
    pub span: Span,
    /// The same, with the places of its parts.
    pub node: Node,
}

impl FromNode for Json {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        let value = node.to_json();
        if value.is_none() {
            reporter.report(
                Diagnostic::error(code::INVALID_VALUE, "JSON has no infinity and no NaN")
                    .label(reporter.short(node), "")
                    .help("quote it when it is text"),
            );
        }
        value.map(|value| Self {
            value,
            span: node.span,
            node: node.clone(),
        })
    }
}

inline_schema!(Json, "Json", {});
