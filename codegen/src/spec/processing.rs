//! Processing steps, as they are written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::read::{FromNode, OneOrMany, Reporter};
use super::{Given, Json, Key, Named, Text, Whole};
use crate::diagnostic::{Diagnostic, code};
use crate::yaml::{Name, Node, Value};

mapping! {
    /// One thing that is done to every record.
    StepMapping, "a processing step";
    /// Keeps the records for which an expression is true: `{{ record.size > 0 }}`. The others are
    /// counted.
    filter: Text = "filter";
    /// Gives members values, which may be expressions over `record`, `config` and `stream_slice`.
    /// A value that is one expression keeps its type; a text with a null in it is null. All values
    /// see the record as it was before the step.
    set: Named<Json> = "set";
    /// Removes members: names, or dotted paths in which `*` stands for every element or member.
    remove: OneOrMany<Text> = "remove";
    /// Moves members, all at once: `old: new`. What a record does not have is left alone, and a
    /// member that is there already is an error.
    rename: Named<Text> = "rename";
    /// Makes one record of each element of a list; a path alone is short for `field`.
    explode: ExplodeSpec = "explode";
    /// Lifts the members of an object into the record: `address: {city: …}` becomes
    /// `address_city`; a path alone is short for `field`. Two members of one name are an error.
    flatten: FlattenSpec = "flatten";
    later {
        "map" => "write `set`, `remove` and `rename`: a lambda is for Python",
        "yield_map" => "write `explode`: a lambda is for Python",
    }
}

/// One thing that is done to every record: a mapping of one key.
#[derive(Clone, Debug)]
pub(crate) struct ProcessingStepSpec(pub StepMapping);

impl FromNode for ProcessingStepSpec {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        let mapping = StepMapping::from_node(node, reporter)?;
        if let Value::Mapping(entries) = &node.value
            && let [first, second, ..] = entries.as_slice()
        {
            reporter.report(
                Diagnostic::error(code::CONFLICT, "a processing step has one key")
                    .label(second.key.span, "the second")
                    .label(first.key.span, "the first")
                    .help("write each as an element of the list: they are done in its order"),
            );
        } else if matches!(&node.value, Value::Mapping(entries) if entries.is_empty()) {
            reporter.report(
                Diagnostic::error(code::INVALID_VALUE, "a processing step that does nothing")
                    .label(node.blame, "no key here")
                    .help("write `- filter: …`, `set`, `remove`, `rename`, `explode` or `flatten`"),
            );
        }
        Some(Self(mapping))
    }
}

impl JsonSchema for ProcessingStepSpec {
    fn schema_name() -> Cow<'static, str> {
        "ProcessingStep".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = StepMapping::schema(generator, None);
        schema.insert("minProperties".to_owned(), 1.into());
        schema.insert("maxProperties".to_owned(), 1.into());
        schema
    }
}

mapping! {
    /// One record of each element of a list. What is no list stays as it is.
    ExplodeMapping, "explode";
    /// The list.
    field: Text = "field" => required;
    /// Where the element goes; in place of the list by default.
    into: Text = "as";
    /// Where the position of the element goes, from 0.
    index: Text = "index";
    /// Whether a record with nothing in the list is dropped and counted; otherwise it stays, with
    /// null for the element.
    drop_empty: bool = "drop_empty", default false;
    later {}
}

/// One record of each element of a list; a path is short for a mapping.
#[derive(Clone, Debug)]
pub(crate) struct ExplodeSpec(pub ExplodeMapping);

mapping! {
    /// The members of an object, lifted into the object around it. Lists stay as they are.
    FlattenMapping, "flatten";
    /// The object; without one it is every object of the record.
    field: Text = "field";
    /// What stands between the names.
    separator: Text = "separator", default "_";
    /// What the names begin with in place of the object's own; an empty text is for nothing.
    prefix: Text = "prefix";
    /// How many levels of objects are lifted; all of them by default.
    levels: Whole<1, 128> = "levels";
    later {}
}

/// The members of an object, lifted; a path is short for a mapping.
#[derive(Clone, Debug)]
pub(crate) struct FlattenSpec(pub FlattenMapping);

/// A mapping for which the value of its key `field` is short.
macro_rules! short_for_field {
    ($spec:ident, $mapping:ident, $name:literal) => {
        impl FromNode for $spec {
            fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
                if !matches!(node.value, Value::String(_)) {
                    return $mapping::from_node(node, reporter).map(Self);
                }
                let mut mapping = $mapping::empty(node.blame);
                mapping.field = Key::Given(Given {
                    key: Name {
                        text: "field".to_owned(),
                        span: node.span,
                    },
                    span: node.span,
                    value: Text::from_node(node, reporter)?,
                });
                Some(Self(mapping))
            }
        }

        impl JsonSchema for $spec {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let mapping = $mapping::schema(generator, None);
                json_schema!({ "anyOf": [{ "type": "string" }, mapping] })
            }
        }
    };
}

short_for_field!(ExplodeSpec, ExplodeMapping, "Explode");
short_for_field!(FlattenSpec, FlattenMapping, "Flatten");
