//! What is done to records before they become rows.

use serde::{Deserialize, Serialize};

use crate::{Condition, Path, Template};

/// The way to a member through objects: never empty.
pub type MemberPath = Vec<String>;

/// A step that changes records, after the record filter and before the field table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessingStep {
    /// Keeps the records for which a condition holds; the others are counted.
    Filter(Condition),
    /// Gives members values; all of them see the record as it was before the step.
    Set(Vec<Assignment>),
    /// Removes members and elements, where they are.
    Remove(Vec<Path>),
    /// Moves members, all at once; what is missing is left alone, and nothing is overwritten.
    Rename(Vec<Renaming>),
    /// Makes one record of each element of a list.
    Explode(Explode),
    /// Lifts the members of objects into the object around them.
    Flatten(Flatten),
}

/// A member and its new value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// The member; objects on the way are made where nothing is.
    pub path: MemberPath,
    /// The value. A text of several parts is null when one of them is.
    pub value: Template,
}

/// A member and its new place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renaming {
    /// Where it is.
    pub from: MemberPath,
    /// Where it goes.
    pub to: MemberPath,
}

/// One record of each element of a list.
///
/// What is no list stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explode {
    /// The list.
    pub path: MemberPath,
    /// Where the element goes; the list is no longer there.
    pub into: MemberPath,
    /// Where the element's position goes, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<MemberPath>,
    /// Whether a record with nothing in the list is dropped and counted; otherwise it stays, with
    /// null for the element.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop_empty: bool,
}

/// The members of objects, lifted into the object around them.
///
/// Lists stay as they are, and so does what is no object; null is removed. Two members of one name
/// are an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flatten {
    /// The object; without one it is every object in the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<MemberPath>,
    /// What the names of its members begin with, in front of the separator; empty for nothing.
    pub prefix: String,
    /// What stands between the names of objects and members.
    pub separator: String,
    /// How many levels of objects are lifted; all of them without a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels: Option<u32>,
}
