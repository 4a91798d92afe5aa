//! The fields of a record, as they are written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::read::{FromNode, OneOrMany, Reporter};
use super::scalars::Whole;
use super::{ContractSpec, Given, Key, Named, Text};
use crate::yaml::{Name, Node, Value};

mapping! {
    /// The fields of a record.
    SchemaSpec, "schema";
    /// `object`, as in JSON Schema; it may be left out.
    kind: ObjectWord = "type";
    /// The fields by name. A type alone is short for a mapping.
    fields: Named<FieldSpec> = "fields" | "properties" => required;
    later {
        "additionalProperties" => "write `schema_contract` at the resource: `freeze` instead of `false`, `rescue` instead of `true`",
        "required" => "write `nullable: false` at the fields",
    }
}

choice! {
    /// The type of a record.
    ObjectWord, "record type";
    Object = "object";
    => later {}
}

mapping! {
    /// A field of a record.
    FieldMapping, "a field";
    /// The type of its values.
    kind: TypeSpec = "type";
    /// What it means, for documentation.
    description: Text = "description";
    /// Whether a record may leave it out or set it to null. A record that breaks it stops the run.
    /// True unless the field is part of the primary key.
    nullable: bool = "nullable";
    /// Whether the field marks records whose rows are to be deleted: by `true`, or by any value but
    /// null when it is not boolean. The last record of a key in a load decides. For the write
    /// disposition `merge`.
    hard_delete: bool = "hard_delete", default false;
    /// Of the records of a load with the same primary key, the one with the highest (`desc`) or
    /// lowest (`asc`) value in this field counts; null never wins over a value, and of equal values
    /// the last to arrive counts. For the write disposition `merge`.
    dedup_sort: DedupSortSpec = "dedup_sort";
    /// What happens to values of this field that do not fit (`data_type`), and, when it is an object,
    /// to members that are not declared (`columns`); a mode alone is for both. By default as for
    /// what it is part of.
    schema_contract: ContractSpec = "schema_contract";
    /// The format of a timestamp, or several to try in order: `rfc3339`, `epoch_seconds`,
    /// `epoch_milliseconds` or a strptime form such as `%Y-%m-%d %H:%M:%S`, in UTC unless it says
    /// otherwise.
    formats: OneOrMany<Text> = "formats" | "format", default "rfc3339";
    /// The fields of an object.
    fields: Named<FieldSpec> = "fields" | "properties";
    /// The type of an array's elements.
    items: FieldBox = "items";
    /// All digits of a decimal.
    precision: Whole<1, 38> = "precision", default 38;
    /// The digits behind the point of a decimal.
    scale: Whole<0, 38> = "scale", default 9;
    later {
        "enum" => "write the values into `description`",
        "partition" => "write `layout: {partition_by: …}` at the resource",
        "sort" => "write `layout: {sort_by: …}` at the resource",
        "cluster" => "write `layout: {sort_by: …}` at the resource",
        "additionalProperties" => "declare a field with free keys as `type: json`",
        "required" => "write `nullable: false` at the fields",
    }
}

choice! {
    /// The type of a field.
    TypeSpec, "field type";
    String = "string" | "text";
    Integer = "integer" | "bigint";
    Number = "number" | "double";
    Boolean = "boolean" | "bool";
    Timestamp = "timestamp";
    Date = "date";
    Decimal = "decimal";
    Json = "json";
    Object = "object";
    Array = "array" | "list";
    => later {
        "binary" => "declare it as `string`",
        "time" => "declare it as `string`",
        "wei" => "declare it as `decimal`",
    }
}

choice! {
    /// Which value of a field wins.
    DedupSortSpec, "order";
    Asc = "asc";
    Desc = "desc";
    => later {}
}

/// A field of a record; its type alone is short for a mapping.
#[derive(Clone, Debug)]
pub(crate) struct FieldSpec(pub FieldMapping);

impl FromNode for FieldSpec {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        if !matches!(node.value, Value::String(_)) {
            return FieldMapping::from_node(node, reporter).map(Self);
        }
        let mut mapping = FieldMapping::empty(node.blame);
        mapping.kind = Key::Given(Given {
            key: Name {
                text: "type".to_owned(),
                span: node.span,
            },
            span: node.span,
            value: TypeSpec::from_node(node, reporter)?,
        });
        Some(Self(mapping))
    }
}

impl JsonSchema for FieldSpec {
    fn schema_name() -> Cow<'static, str> {
        "Field".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mapping = FieldMapping::schema(generator, None);
        let kind = generator.subschema_for::<TypeSpec>();
        json_schema!({ "anyOf": [kind, mapping] })
    }
}

/// A field within a field.
#[derive(Clone, Debug)]
pub(crate) struct FieldBox(pub Box<FieldSpec>);

impl FromNode for FieldBox {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        FieldSpec::from_node(node, reporter).map(|field| Self(Box::new(field)))
    }
}

impl JsonSchema for FieldBox {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        FieldSpec::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<FieldSpec>()
    }
}
