//! What a load did, in numbers and files.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::schema::SchemaChange;
use crate::state::DataFile;

/// What a load did.
///
/// It is kept in the record of a run, where another version of this library may read it: what that
/// one does not know is passed over, what is missing is nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadReport {
    /// The resource's name.
    pub resource: String,
    /// The rows written to the load.
    pub rows_read: u64,
    /// The rows of the dataset afterwards.
    pub rows_written: u64,
    /// Rows that the dataset did not have before.
    pub inserted: u64,
    /// Rows that replaced one with the same primary key.
    pub updated: u64,
    /// Keys of the load whose rows stayed as they were: they existed, or have not changed.
    pub unchanged: u64,
    /// Rows of the load that another row of it with the same primary key replaced.
    pub duplicates_in_load: u64,
    /// Earlier rows that are gone without a successor, those of a replaced dataset among them.
    pub deleted: u64,
    /// Earlier rows whose version ended in this load; they are still there.
    pub retired: u64,
    /// The files that became part of the dataset.
    #[serde(deserialize_with = "known")]
    pub files_added: Vec<DataFile>,
    /// The files that left it.
    #[serde(deserialize_with = "known")]
    pub files_removed: Vec<DataFile>,
    /// Row groups of earlier files whose keys were decoded to be compared; statistics and bloom
    /// filters ruled the others out.
    pub row_groups_searched: u64,
    /// Row groups of earlier files that were left alone, with their files.
    pub row_groups_left: u64,
    /// Row groups of earlier files that were copied as bytes: others in their file have changed.
    pub row_groups_copied: u64,
    /// Row groups of earlier files that had a change or were joined: encoded again, wholly or in the
    /// columns that differ.
    pub row_groups_rewritten: u64,
    /// The length in bytes of [`row_groups_copied`](Self::row_groups_copied).
    pub bytes_copied: u64,
    /// The length in bytes of [`row_groups_rewritten`](Self::row_groups_rewritten).
    pub bytes_rewritten: u64,
    /// The length in bytes of all files added.
    pub bytes_added: u64,
    /// The length in bytes of the dataset afterwards.
    pub bytes: u64,
    /// Whether sample data of the sandbox was replaced by data of a server.
    pub replaced_sample_data: bool,
    /// How the columns differ from those of the dataset before.
    #[serde(deserialize_with = "known")]
    pub schema_changes: Vec<SchemaChange>,
}

/// Those elements of a list that this version knows.
fn known<'de, D: Deserializer<'de>, T: DeserializeOwned>(input: D) -> Result<Vec<T>, D::Error> {
    let elements = Vec::<Value>::deserialize(input)?.into_iter();
    Ok(elements
        .filter_map(|element| serde_json::from_value(element).ok())
        .collect())
}
