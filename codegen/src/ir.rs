//! What a spec means: everything that code generation needs, and nothing left to decide.

use std::collections::BTreeMap;

use connector_plan::Plan;

/// What a spec means.
#[derive(Clone, Debug, PartialEq)]
pub struct Ir {
    /// What the runtime needs.
    pub plan: Plan,
    /// One per resource, in the order of the plan.
    pub records: Vec<RecordIr>,
    /// The lines of the spec, from 1, by what stands there: `resources.<name>`,
    /// `resources.<name>.<field path with dots>`, `settings.<name>`.
    pub lines: BTreeMap<String, u32>,
}

/// What is known of a resource's record type beside its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordIr {
    /// The resource.
    pub resource: String,
    /// The type name that the spec asks for, in UpperCamelCase.
    pub record_name: Option<String>,
}
