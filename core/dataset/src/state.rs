//! What a connector remembers between runs: one readable JSON file.

use std::collections::BTreeMap;
use std::path::Path;

use connector_plan::{Field, FlattenColumns, PartitionColumn, WriteDisposition};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::disk::Disk;
use crate::{Error, RunId, SourceId};

/// The version of the state's own format; raised whenever its JSON changes incompatibly.
pub const STATE_VERSION: u32 = 1;

/// What a connector remembers between runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The format version, [`STATE_VERSION`].
    pub version: u32,
    /// The connector's name.
    pub connector: String,
    /// What is known of each resource that has been loaded.
    pub resources: BTreeMap<String, ResourceState>,
}

/// What is remembered of one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceState {
    /// Where its rows came from.
    pub source: SourceId,
    /// The hash of what gives the dataset its meaning, as the plan has it.
    pub identity: String,
    /// The hash of the specification that wrote it last.
    pub spec_hash: String,
    /// The run that wrote it last.
    pub run: RunId,
    /// What happened to earlier rows.
    pub write_disposition: WriteDisposition,
    /// The columns that identify a row.
    pub primary_key: Vec<String>,
    /// Where the next run goes on; null when it starts from the beginning.
    pub cursor: Option<Value>,
    /// The rows of the dataset.
    pub rows: u64,
    /// The data files of the dataset.
    pub files: Vec<DataFile>,
    /// What the columns were inferred from, when no specification declares them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inferred: Option<Value>,
    /// The fields that the dataset has beyond those of the specification, or in wider types,
    /// because the contract let its columns follow the records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evolved: Vec<Field>,
    /// By what its files lie in folders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<PartitionColumn>,
    /// How the members of objects have become columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flatten: Option<FlattenColumns>,
}

/// A data file of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// The file's name in the resource's folder; behind those of the folders of its partition, with `/`.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// The SHA-256 of its content, in lower-case hexadecimal.
    pub sha256: String,
}

impl State {
    pub(crate) fn new(connector: &str) -> Self {
        Self {
            version: STATE_VERSION,
            connector: connector.to_owned(),
            resources: BTreeMap::new(),
        }
    }

    /// The resource's state, when it has been loaded.
    #[must_use]
    pub fn resource(&self, name: &str) -> Option<&ResourceState> {
        self.resources.get(name)
    }

    /// Reads a state file; `None` when there is none.
    pub(crate) fn read(
        disk: &Disk,
        path: &Path,
        connector: &str,
    ) -> Result<Option<Self>, ReadError> {
        let Some(text) = disk.read(path).map_err(ReadError::Other)? else {
            return Ok(None);
        };
        let damaged = |source: serde_json::Error| {
            ReadError::Damaged(
                Error::conflict(format!("the state file `{}` is damaged", path.display()))
                    .with_source(source)
                    .with_hint(
                        "restore it from a backup, or read every resource again with \
                         `--full-refresh`, which sets the damaged file aside; nothing was changed",
                    ),
            )
        };
        let value: Value = serde_json::from_slice(&text).map_err(damaged)?;
        if let Some(version) = value.get("version").and_then(Value::as_u64)
            && version > u64::from(STATE_VERSION)
        {
            return Err(ReadError::Other(
                Error::conflict(format!(
                    "the state file `{}` has version {version}, this program reads version \
                     {STATE_VERSION}",
                    path.display()
                ))
                .with_hint("use the newer program that wrote it, or another folder with `--out`"),
            ));
        }
        let state: Self = serde_json::from_value(value).map_err(damaged)?;
        if state.version != STATE_VERSION {
            return Err(damaged(serde::de::Error::custom(format_args!(
                "there is no version {}",
                state.version
            ))));
        }
        if state.connector != connector {
            return Err(ReadError::Other(
                Error::conflict(format!(
                    "the state file `{}` belongs to the connector `{}`, not to `{connector}`",
                    path.display(),
                    state.connector
                ))
                .with_hint("choose another folder with `--out`"),
            ));
        }
        Ok(Some(state))
    }

    pub(crate) fn to_json(&self) -> Result<Vec<u8>, Error> {
        json(self)
    }
}

/// Why a state file cannot be used.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// Its content makes no sense; a full refresh of everything may set it aside.
    Damaged(Error),
    /// Anything else.
    Other(Error),
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged(error) | ReadError::Other(error) => error,
        }
    }
}

/// Pretty JSON with a closing newline.
pub(crate) fn json(value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, Error> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|source| {
        Error::new(crate::ErrorKind::Internal, "cannot write JSON").with_source(source)
    })?;
    text.push(b'\n');
    Ok(text)
}
