//! Paths into JSON documents.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The member of an object.
    Key(String),
    /// The element of an array; negative counts from the end.
    Index(i64),
    /// Every element of an array or every member's value of an object.
    Wildcard,
}

/// A path of keys and indexes to at most one value.
pub type Path = Vec<Step>;

/// The value that a path leads to; nothing where it leads nowhere, as a wildcard does.
#[must_use]
pub fn follow<'v>(value: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => {
            let items = value.as_array()?;
            let index = match usize::try_from(*index) {
                Ok(index) => index,
                Err(_) => items
                    .len()
                    .checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
            };
            items.get(index)
        }
        Step::Wildcard => None,
    })
}

/// Where the records are in a page.
///
/// Every value that the steps lead to is taken: the elements of an array are records each, an
/// object is one record, null is none. No steps select the document itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// As the spec writes it, for messages.
    pub text: String,
    /// The steps from the document's root.
    pub steps: Vec<Step>,
    /// The segments of JSONPath (RFC 9535) behind the steps: what no step can say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<Segment>,
}

/// A segment of JSONPath (RFC 9535) that no [`Step`] can say.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// As JSONPath writes it: `..id`, `[?@.size > 1]`, `['a','b']`.
    pub text: String,
    /// The members that it selects, when it selects by name alone: a document that has none of them
    /// is not the one that the spec was written for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

impl Selector {
    /// The JSONPath of the first `count` segments behind the steps, from where the steps lead.
    #[must_use]
    pub fn query_text(&self, count: usize) -> String {
        let segments = self.query.iter().take(count);
        std::iter::once("$")
            .chain(segments.map(|segment| segment.text.as_str()))
            .collect()
    }
}
