//! What a load is told: columns, keys, what becomes of earlier rows, and the shape of the files.

use std::collections::BTreeMap;

use arrow::datatypes::SchemaRef;
use connector_plan::{Field, Merge, WriteDisposition};
use serde_json::Value;

use crate::Conversion;
use crate::checkpoint::Checkpoint;
use crate::writer::WriterOptions;

/// What is loaded and what happens to the rows of earlier loads.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// The resource's name: a folder below the connector's.
    pub resource: String,
    /// The columns of the batches.
    pub schema: SchemaRef,
    /// The columns that identify a row; `Merge` needs them unless its strategy says otherwise.
    pub primary_key: Vec<String>,
    /// What happens to earlier rows.
    pub disposition: WriteDisposition,
    /// How, where the disposition is `Merge`.
    pub merge: Merge,
    /// The hash of what gives the dataset its meaning, as the plan has it.
    pub identity: String,
    /// Whether the dataset begins anew, whatever its disposition.
    pub full_refresh: bool,
    /// The shape of the data files.
    pub writer: WriterOptions,
    /// Further key-value metadata of each file; nothing secret.
    pub metadata: Vec<(String, String)>,
    /// For columns that no specification declares: what they were inferred from.
    pub inferred: Option<Inferred>,
    /// What an earlier run has kept of this load: its rows are the first ones of this load.
    pub resume: Option<Checkpoint>,
    /// The fields of the schema that the specification does not declare, or not as wide: they are
    /// kept with the dataset.
    pub evolved: Vec<Field>,
}

impl LoadOptions {
    /// Loads rows of these columns into the folder of a resource, without a key and with every
    /// default.
    pub fn new(
        resource: impl Into<String>,
        schema: SchemaRef,
        disposition: WriteDisposition,
    ) -> Self {
        Self {
            resource: resource.into(),
            schema,
            primary_key: Vec::new(),
            disposition,
            merge: Merge::default(),
            identity: String::new(),
            full_refresh: false,
            writer: WriterOptions::default(),
            metadata: Vec::new(),
            inferred: None,
            resume: None,
            evolved: Vec::new(),
        }
    }
}

/// What the columns of a load were inferred from, and how those of the dataset follow.
#[derive(Clone, Debug, Default)]
pub struct Inferred {
    /// What is kept with the dataset for the next load.
    pub shape: Value,
    /// What becomes of the values of the dataset whose columns are wider now, by column.
    pub conversions: BTreeMap<String, Conversion>,
}
