//! Values that are known only at run time: text with expressions in it.

use serde::{Deserialize, Serialize};

use crate::{Jinja, Path};

/// A value of the spec that may contain expressions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// A constant, of any JSON type.
    Literal(serde_json::Value),
    /// Exactly one expression: the type of its value is kept.
    Expression(Expression),
    /// Text and expressions, joined as text.
    Parts(Vec<Part>),
}

impl Template {
    /// A constant text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Literal(serde_json::Value::String(text.into()))
    }

    /// The constant text, when this is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Literal(serde_json::Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Every expression of the template, in order.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let (one, many) = match self {
            Self::Literal(_) => (None, [].as_slice()),
            Self::Expression(expression) => (Some(expression), [].as_slice()),
            Self::Parts(parts) => (None, parts.as_slice()),
        };
        one.into_iter()
            .chain(many.iter().filter_map(|part| match part {
                Part::Expression(expression) => Some(expression),
                Part::Text(_) => None,
            }))
    }
}

/// One piece of a text with expressions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Copied as it is.
    Text(String),
    /// Evaluated, then written as text.
    Expression(Expression),
}

/// An expression, parsed at build time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Expression {
    /// A plain lookup such as `response.get('paging', {}).next` or `config.start_date`.
    Lookup(Lookup),
    /// Anything else that Jinja can say.
    Jinja(Jinja),
}

/// A path below one of the variables that expressions know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// The variable.
    pub root: Root,
    /// The way from there to the value; empty for the variable itself.
    pub path: Path,
    /// The value when the path leads nowhere; without one it is null.
    pub default: Option<serde_json::Value>,
}

/// The variables that expressions know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Root {
    /// The user's inputs that are not secret.
    Config,
    /// The user's secret inputs.
    Secrets,
    /// The body of the page just received.
    Response,
    /// The headers of the page just received, lower-case names.
    Headers,
    /// The record at hand.
    Record,
    /// The last record of the page just received.
    LastRecord,
    /// The number of records of the page just received, before any filter.
    LastPageSize,
    /// The page size that the paginator asks for.
    PageSize,
    /// The values that the parents bind for this request.
    Partition,
    /// The window of the incremental cursor.
    Interval,
}
