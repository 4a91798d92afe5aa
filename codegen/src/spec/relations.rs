//! Parents and partitions, as they are written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::read::{FromNode, OneOrMany, Reporter};
use super::{Named, Scalar, Text};
use crate::yaml::{Node, Value};

mapping! {
    /// A field of another resource, whose values the requests need.
    ParentSpec, "parent";
    /// The name of the other resource.
    resource: Text = "resource" => required;
    /// The field: a name, or a dotted path through objects.
    field: Text = "field" => required;
    /// The name by which expressions read the value; the field's own name by default.
    name: Text = "as";
    /// Whether only those records of the parent count that an incremental run reads; otherwise an
    /// incremental parent is read from its initial value in every run.
    new_only: bool = "new_only" | "incremental_dependency", default false;
    later {}
}

choice! {
    /// What happens when the records of one parent value cannot be read.
    OnParentErrorSpec, "on_parent_error";
    Fail = "fail";
    Skip = "skip";
    => later {}
}

/// Values that a resource is read for, each by itself.
#[derive(Clone, Debug)]
pub(crate) enum PartitionsSpec {
    /// Every combination of these.
    Lists(Named<OneOrMany<Scalar>>),
    /// These combinations.
    Mappings(Vec<Named<Scalar>>),
}

impl FromNode for PartitionsSpec {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        match &node.value {
            Value::Sequence(_) => Vec::from_node(node, reporter).map(Self::Mappings),
            _ => Named::from_node(node, reporter).map(Self::Lists),
        }
    }
}

impl JsonSchema for PartitionsSpec {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Partitions".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let lists = generator.subschema_for::<Named<OneOrMany<Scalar>>>();
        let mappings = generator.subschema_for::<Vec<Named<Scalar>>>();
        json_schema!({ "anyOf": [lists, mappings] })
    }
}
