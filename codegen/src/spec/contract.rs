//! What happens to what a schema does not say, as it is written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::read::{FromNode, Reporter};
use crate::yaml::{Node, Value};

choice! {
    /// What happens to a member that is not declared (`columns`) and to a value that does not fit
    /// its field (`data_type`). `rescue`: it is kept in `_rescued`. `evolve`: a member becomes a
    /// nullable column behind the others, its type inferred from all records of the run, and stays
    /// one in later runs; until it has had a value it is kept in `_rescued`. A field becomes wider
    /// where all its values stay exact (integer to number, date to string), otherwise the value is
    /// kept in `_rescued`. `freeze`: the resource stops with exit code 6 and publishes nothing.
    /// `discard_value`: it is dropped and counted, the field is null. `discard_row`: the record is
    /// dropped and counted.
    ContractModeSpec, "contract mode";
    Rescue = "rescue";
    Evolve = "evolve";
    Freeze = "freeze";
    DiscardValue = "discard_value";
    DiscardRow = "discard_row";
    => later {}
}

mapping! {
    /// What happens to what the fields do not say; a mode alone is for `columns` and `data_type`.
    ContractMapping, "schema_contract";
    /// For tables that records would make. Records make none here: the datasets are the resources of
    /// the spec, and nested objects and lists are columns. It is accepted so that dlt's contracts
    /// can be taken over, and has no effect.
    tables: ContractModeSpec = "tables", default "rescue";
    /// For members that are not declared.
    columns: ContractModeSpec = "columns", default "rescue";
    /// For values that do not fit the type of their field. A missing value or a null in a field with
    /// `nullable: false` or in the primary key stops the resource, whatever the mode, except that
    /// `discard_row` drops its record; the same goes for a value that does not fit such a field.
    data_type: ContractModeSpec = "data_type", default "rescue";
    later {}
}

/// What happens to what the fields do not say; a mode alone is short for a mapping.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are few, and they live shortly"
)]
pub(crate) enum ContractSpec {
    Mode(ContractModeSpec),
    Mapping(ContractMapping),
}

impl FromNode for ContractSpec {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        match &node.value {
            Value::Mapping(_) => ContractMapping::from_node(node, reporter).map(Self::Mapping),
            _ => ContractModeSpec::from_node(node, reporter).map(Self::Mode),
        }
    }
}

impl JsonSchema for ContractSpec {
    fn schema_name() -> Cow<'static, str> {
        "Contract".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mode = generator.subschema_for::<ContractModeSpec>();
        let mapping = ContractMapping::schema(generator, None);
        json_schema!({ "anyOf": [mode, mapping] })
    }
}
