//! Paths into JSON documents.

use serde::{Deserialize, Serialize};

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

/// Where the records are in a page.
///
/// Every value that the steps lead to is taken: the elements of an array are records each, an
/// object is one record, null is none. No steps select the document itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// As the spec writes it, for messages.
    pub text: String,
    /// The steps from the document's root.
    pub steps: Vec<Step>,
}
