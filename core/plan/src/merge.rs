//! How the records of a load meet those of the dataset.

use serde::{Deserialize, Serialize};

/// How the records of a load meet those of the dataset, where the write disposition is `merge`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    /// What happens to rows that meet.
    #[serde(default)]
    pub strategy: MergeStrategy,
    /// For `delete-insert`: the columns by which existing rows go; the primary key when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merge_key: Vec<String>,
    /// The column that marks a record whose row is to be deleted: by `true`, or by any value when it
    /// is not boolean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard_delete: Option<String>,
    /// Which of the records of a load with the same primary key counts; the last one to arrive
    /// without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup_sort: Option<DedupSort>,
}

impl Merge {
    /// Whether it is the plain upsert by primary key, which plans do not mention.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The columns of a history of versions, where one is kept.
    #[must_use]
    pub fn history(&self) -> Option<&History> {
        match &self.strategy {
            MergeStrategy::Scd2(history) => Some(history),
            _ => None,
        }
    }
}

/// What happens to rows of the dataset and of a load that meet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MergeStrategy {
    /// The new row takes the place of the one with the same primary key.
    #[default]
    Upsert,
    /// Existing rows with a merge key, or a primary key, of the load go; all rows of the load come.
    DeleteInsert,
    /// Rows whose primary key exists stay as they are; others come.
    InsertOnly,
    /// Every version of a row is kept with the time in which it was valid: a slowly changing
    /// dimension of type 2.
    Scd2(History),
}

impl MergeStrategy {
    /// The word that specs and reports use.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::DeleteInsert => "delete-insert",
            Self::InsertOnly => "insert-only",
            Self::Scd2(_) => "scd2",
        }
    }
}

/// The columns of a history of versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// The column with the instant from which on a version is valid.
    pub valid_from: String,
    /// The column with the instant at which a version ended; null while it is active.
    pub valid_to: String,
    /// The column with the hash of a version's values.
    pub row_hash: String,
    /// Whether a version ends when a load does not have its key.
    #[serde(default)]
    pub retire_absent: bool,
}

impl Default for History {
    /// `_valid_from`, `_valid_to` and `_row_hash`; what a load does not have stays active.
    fn default() -> Self {
        Self {
            valid_from: "_valid_from".to_owned(),
            valid_to: "_valid_to".to_owned(),
            row_hash: "_row_hash".to_owned(),
            retire_absent: false,
        }
    }
}

/// A column whose values decide between records with the same primary key; null never wins over a
/// value, and of equal values the last to arrive counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DedupSort {
    /// The column.
    pub column: String,
    /// Which value wins.
    pub order: SortOrder,
}

/// Which end of an order wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortOrder {
    /// The lowest value.
    Asc,
    /// The highest value.
    Desc,
}
