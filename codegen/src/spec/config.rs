//! The user's inputs, as they are written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::read::{FromNode, Reporter};
use super::{Json, Key, Scalar, Text};
use crate::yaml::{Node, Value};

mapping! {
    /// An input of the connector.
    InputMapping, "an input";
    /// The type of its value.
    kind: InputType = "type", default "string";
    /// The value used when the user gives none; the input is optional then.
    default: Scalar = "default";
    /// Whether a run needs it; true unless there is a default.
    required: bool = "required";
    /// Whether it is never shown; read it as `{{ secrets.name }}`.
    secret: bool = "secret", default false;
    /// The only values that are accepted.
    allowed: Vec<Json> = "enum";
    /// One sentence for help and documentation.
    description: Text = "description";
    later {}
}

choice! {
    /// The type of an input.
    InputType, "input type";
    String = "string" | "text";
    Integer = "integer" | "bigint";
    Number = "number" | "double";
    Boolean = "boolean" | "bool";
    Date = "date";
    Timestamp = "timestamp";
    Url = "url";
    => later {}
}

/// An input of the connector; its type alone is short for a mapping.
#[derive(Clone, Debug)]
pub(crate) struct InputSpec(pub InputMapping);

impl FromNode for InputSpec {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        if !matches!(node.value, Value::String(_)) {
            return InputMapping::from_node(node, reporter).map(Self);
        }
        let mut mapping = InputMapping::empty(node.blame);
        mapping.kind = Key::Given(super::Given {
            key: crate::yaml::Name {
                text: "type".to_owned(),
                span: node.span,
            },
            span: node.span,
            value: InputType::from_node(node, reporter)?,
        });
        Some(Self(mapping))
    }
}

impl JsonSchema for InputSpec {
    fn schema_name() -> Cow<'static, str> {
        "Input".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mapping = InputMapping::schema(generator, None);
        let kind = generator.subschema_for::<InputType>();
        json_schema!({ "anyOf": [kind, mapping] })
    }
}
