//! Values that are known only at run time: text with expressions in it.

use serde::{Deserialize, Serialize};

use crate::{Jinja, NamedTemplate, Path};

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
    /// A JSON object with expressions somewhere in its members.
    Object(Vec<NamedTemplate>),
    /// A JSON array with expressions somewhere in its elements.
    List(Vec<Template>),
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
        let mut expressions = Vec::new();
        self.visit(&mut |template| match template {
            Self::Expression(expression) => expressions.push(expression),
            Self::Parts(parts) => expressions.extend(parts.iter().filter_map(|part| match part {
                Part::Expression(expression) => Some(expression),
                Part::Text(_) => None,
            })),
            Self::Literal(_) | Self::Object(_) | Self::List(_) => {}
        });
        expressions.into_iter()
    }

    /// The constant value at a path of member names, when there is one.
    #[must_use]
    pub fn constant_at(&self, path: &[String]) -> Option<&serde_json::Value> {
        match (self, path.split_first()) {
            (Self::Literal(value), _) => path.iter().try_fold(value, |value, key| value.get(key)),
            (Self::Object(members), Some((key, rest))) => {
                let member = members.iter().find(|member| member.name == *key)?;
                member.value.constant_at(rest)
            }
            _ => None,
        }
    }

    /// Calls `see` with this template and all that it is made of.
    fn visit<'t>(&'t self, see: &mut impl FnMut(&'t Self)) {
        see(self);
        match self {
            Self::Object(members) => {
                for member in members {
                    member.value.visit(see);
                }
            }
            Self::List(elements) => {
                for element in elements {
                    element.visit(see);
                }
            }
            Self::Literal(_) | Self::Expression(_) | Self::Parts(_) => {}
        }
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
