//! The shape of the data files of a resource.

use serde::{Deserialize, Serialize};

use crate::{FlattenColumns, SortOrder};

/// The shape of the data files of a resource. It applies to what a run writes: files of earlier runs,
/// and row groups that a merge copies, stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Layout {
    /// How pages are compressed.
    pub compression: Compression,
    /// The length in bytes at which a new file begins; 256 MiB by default.
    pub file_bytes: u64,
    /// The memory in bytes at which a row group is closed; 16 MiB by default. Row groups of less
    /// than 50,000 rows may take twice as much.
    pub row_group_bytes: u64,
    /// The most rows of a row group; 1,000,000 by default.
    pub row_group_rows: u64,
    /// The columns by which the rows of each file are sorted, the first one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sort_by: Vec<SortColumn>,
    /// The columns, or parts of them, whose values name the folders that the files lie in, the
    /// outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<PartitionColumn>,
    /// How the members of objects become columns; without it, objects are columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flatten: Option<FlattenColumns>,
}

/// A column by which rows are sorted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SortColumn {
    /// The column.
    pub column: String,
    /// Whether the lowest or the highest value comes first.
    pub order: SortOrder,
    /// Where rows without a value come, whatever the order.
    #[serde(default)]
    pub nulls: Nulls,
}

/// Where rows without a value come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nulls {
    /// Before all others.
    First,
    /// Behind all others.
    #[default]
    Last,
}

/// A column whose values, or parts of them, name folders: `name=value`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionColumn {
    /// The column.
    pub column: String,
    /// What of its values.
    pub by: PartitionBy,
    /// The name in front of the `=`; no column has it.
    pub name: String,
}

/// What of a column's values names a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionBy {
    /// The value itself.
    #[default]
    Value,
    /// The year of an instant, in UTC, or of a date: `2026`.
    Year,
    /// Its month: `2026-01`.
    Month,
    /// Its day: `2026-01-31`.
    Day,
    /// The hour of an instant, in UTC: `2026-01-31-05`.
    Hour,
}

impl PartitionBy {
    /// The word that specs use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day",
            Self::Hour => "hour",
        }
    }
}

impl PartitionColumn {
    /// The column by this part of its values, in folders named after both: `created_at_day`.
    #[must_use]
    pub fn new(column: &str, by: PartitionBy) -> Self {
        Self {
            column: column.to_owned(),
            by,
            name: format!("{column}_{}", by.as_str()),
        }
    }

    /// By what files lie in folders, in words: `` `region`, the day of `created_at` ``.
    #[must_use]
    pub fn describe(partition_by: &[Self]) -> String {
        let columns = partition_by.iter().map(|Self { column, by, name }| {
            let named = match *name == Self::new(column, *by).name {
                true => String::new(),
                false => format!(" as `{name}`"),
            };
            match by {
                PartitionBy::Value => format!("`{column}`{named}"),
                by => format!("the {} of `{column}`{named}", by.as_str()),
            }
        });
        match partition_by.is_empty() {
            true => "nothing".to_owned(),
            false => columns.collect::<Vec<_>>().join(", "),
        }
    }
}

impl Layout {
    /// Whether it is that of whoever says nothing, which plans do not mention.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            compression: Compression::default(),
            file_bytes: 256 << 20,
            row_group_bytes: 16 << 20,
            row_group_rows: 1_000_000,
            sort_by: Vec::new(),
            partition_by: Vec::new(),
            flatten: None,
        }
    }
}

/// How the pages of data files are compressed: the codecs that the runtime is built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Zstandard (RFC 8878).
    Zstd {
        /// The level, 1 (default) to 22.
        level: i32,
    },
    /// Snappy.
    Snappy,
    /// Not at all.
    None,
}

impl Default for Compression {
    fn default() -> Self {
        Self::Zstd { level: 1 }
    }
}
