//! Relations: the values of other resources that a resource is read for.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Path;

/// The values that a resource is read for, once each: its partitions.
///
/// A partition is one combination of a record of each parent and one of the static mappings. Equal
/// combinations of values are read once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relations {
    /// The resources whose records give values; each is there once, and none depends on another.
    pub parents: Vec<Parent>,
    /// Values that the spec itself lists; no mapping is the same as one without names.
    pub partitions: Vec<Map<String, Value>>,
    /// Whether one partition that cannot be read is passed over and counted; otherwise it fails
    /// the resource.
    pub skip_failures: bool,
}

impl Relations {
    /// Whether the resource is read by itself.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parents.is_empty() && self.partitions.is_empty()
    }

    /// Whether both name the same values, whatever they include of their parents.
    pub(crate) fn has_partitions_of(&self, other: &Self) -> bool {
        let same = |one: &Parent, other: &Parent| {
            one.resource == other.resource
                && one.bindings == other.bindings
                && one.new_only == other.new_only
        };
        self.parents.len() == other.parents.len()
            && self
                .parents
                .iter()
                .zip(&other.parents)
                .all(|(one, other)| same(one, other))
            && self.partitions == other.partitions
            && self.skip_failures == other.skip_failures
    }

    /// The fields that come from parents and not from the API, in column order.
    pub fn included(&self) -> impl Iterator<Item = &Include> {
        self.parents.iter().flat_map(|parent| &parent.include)
    }
}

/// A resource whose records give values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// Its name.
    pub resource: String,
    /// The values that requests can name, none of them null.
    pub bindings: Vec<Binding>,
    /// The values that go into every record of a partition.
    pub include: Vec<Include>,
    /// Whether only those of its records count that an incremental run reads; otherwise the parent
    /// is read from its initial value in every run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub new_only: bool,
}

/// A value of a parent's record under the name that expressions use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// The name.
    pub name: String,
    /// The way to the value, through declared fields.
    pub field: Path,
}

/// A field of a parent's record that becomes a column of its children.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Include {
    /// The top-level field of the parent.
    pub field: String,
    /// The column, one of the resource's own fields.
    pub column: String,
}
