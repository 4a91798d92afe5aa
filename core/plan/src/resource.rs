//! A resource: one dataset and the requests that fill it.

use serde::{Deserialize, Serialize};

use crate::{
    Condition, Contract, Endpoint, Field, Incremental, Layout, Merge, ProcessingStep, Relations,
};

/// One dataset and the requests that fill it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// The name in snake case: a folder, a function of the client, an argument of `--resource`.
    pub name: String,
    /// What its records are, for people.
    pub description: String,
    /// Whether a run without `--resource` reads it.
    pub selected: bool,
    /// The requests.
    pub endpoint: Endpoint,
    /// Which records are kept; all of them without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_filter: Option<Condition>,
    /// What is done to the records that are kept, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processing_steps: Vec<ProcessingStep>,
    /// The values that the requests are repeated for.
    #[serde(default, skip_serializing_if = "Relations::is_empty")]
    pub relations: Relations,
    /// The cursor that lets a run read only what is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incremental: Option<Incremental>,
    /// The fields of a record, in column order.
    pub fields: Vec<Field>,
    /// Whether the spec declares no fields: they are inferred from the records, and `fields` holds
    /// only what comes from parents.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inferred: bool,
    /// What happens to what the fields do not say.
    #[serde(default, skip_serializing_if = "Contract::is_default")]
    pub contract: Contract,
    /// The names of the top-level fields that identify a record; empty when nothing does.
    pub primary_key: Vec<String>,
    /// What happens to the records of earlier runs.
    pub write_disposition: WriteDisposition,
    /// How, where they are merged.
    #[serde(default, skip_serializing_if = "Merge::is_default")]
    pub merge: Merge,
    /// The shape of its data files.
    #[serde(default, skip_serializing_if = "Layout::is_default")]
    pub layout: Layout,
    /// A hash of what gives the dataset its meaning (path, method, selector, primary key, write
    /// disposition, types of the key): when it changes, old data and state no longer fit.
    pub identity: String,
}

impl Resource {
    /// Whether this resource and another ask for the same pages, whatever each makes of them.
    #[must_use]
    pub fn shares_requests(&self, other: &Self) -> bool {
        let endpoint = Endpoint {
            data_selector: self.endpoint.data_selector.clone(),
            ..other.endpoint.clone()
        };
        self.endpoint == endpoint
            && self.incremental == other.incremental
            && self.relations.has_partitions_of(&other.relations)
    }
}

/// What happens to the records of earlier runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteDisposition {
    /// They stay; new records are added.
    Append,
    /// They go; the new records are the dataset.
    Replace,
    /// A new record replaces the old one that has the same primary key.
    Merge,
}

impl WriteDisposition {
    /// The word that specs, reports and help use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Replace => "replace",
            Self::Merge => "merge",
        }
    }
}
