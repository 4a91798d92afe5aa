//! The shape of the data files of a resource.

use serde::{Deserialize, Serialize};

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
    /// than 100,000 rows may take twice as much.
    pub row_group_bytes: u64,
    /// The most rows of a row group; 1,000,000 by default.
    pub row_group_rows: u64,
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
