//! A YAML document as a tree whose every value knows where it stands.

mod load;
mod scalar;

use crate::source::Span;

pub(crate) use load::load;
pub(crate) use scalar::locate;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// What the value covers.
    pub span: Span,
    /// What to point at when something in the value is missing: its key, or its first line.
    pub blame: Span,
    /// The value.
    pub value: Value,
}

/// A value of the core schema (YAML 1.2, section 10.3).
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    String(String),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub key: Name,
    pub node: Node,
}

/// A key: its text, whatever it looks like, and where it stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Name {
    pub text: String,
    pub span: Span,
}

impl Node {
    /// The kind of the value with its article, for messages.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Boolean(_) => "a boolean",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a number",
            Value::String(_) => "a string",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    /// The value as JSON; `None` for a number that JSON does not have.
    pub(crate) fn to_json(&self) -> Option<serde_json::Value> {
        Some(match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Boolean(value) => (*value).into(),
            Value::Integer(value) => (*value).into(),
            Value::Float(value) => serde_json::Number::from_f64(*value)?.into(),
            Value::String(value) => value.as_str().into(),
            Value::Sequence(items) => items.iter().map(Self::to_json).collect::<Option<_>>()?,
            Value::Mapping(entries) => entries
                .iter()
                .map(|entry| Some((entry.key.text.clone(), entry.node.to_json()?)))
                .collect::<Option<serde_json::Map<_, _>>>()?
                .into(),
        })
    }
}
