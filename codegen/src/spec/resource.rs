//! A resource, as it is written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::read::{FromNode, OneOrMany, Reporter};
use super::relations::{OnParentErrorSpec, ParentSpec, PartitionsSpec};
use super::{
    ContractSpec, EndpointSpec, Given, IncrementalSpec, Key, LayoutSpec, Over, ProcessingStepSpec,
    SchemaSpec, Text,
};
use crate::yaml::{Name, Node, Value};

mapping! {
    /// One dataset and the requests that fill it.
    ResourceMapping, "a resource";
    /// The name in snake case: a folder, a function of the client, an argument of `--resource`.
    name: Text = "name";
    /// What its records are, for people.
    description: Text = "description";
    /// The name of the record's Rust type in UpperCamelCase; made from the resource's by default.
    record: Text = "record";
    /// Whether a run that names no resources reads it.
    selected: bool = "selected", default true;
    /// The requests. A text is short for a path.
    endpoint: EndpointSpec = "endpoint";
    /// The field, or the fields, that identify a record.
    primary_key: OneOrMany<Text> = "primary_key";
    /// What happens to the records of earlier runs.
    write_disposition: WriteDispositionSpec = "write_disposition", default "append";
    /// The field, or the fields, by which `delete-insert` finds the rows that go: those of every
    /// value that occurs in the load. By default the primary key.
    merge_key: OneOrMany<Text> = "merge_key";
    /// Which records are kept: an expression such as `{{ record['type'] == 'file' }}`.
    record_filter: Text = "record_filter";
    /// What is done to the records that are kept, in order, before they become rows: a list of
    /// `filter`, `set`, `remove`, `rename`, `explode` and `flatten`. The fields of the schema and the
    /// primary key are those behind the steps; paging counts and sees records as they were received.
    processing_steps: Vec<ProcessingStepSpec> = "processing_steps";
    /// The cursor that lets a run read only what is new.
    incremental: IncrementalSpec = "incremental" | "incremental_sync";
    /// The fields of a record. Without it the columns are inferred from all records of a run and
    /// kept with the dataset: wider types where values differ, JSON text where no type holds them
    /// all; `cargo connector infer SPEC` prints what to write here.
    schema: SchemaSpec = "schema";
    /// What happens to what the schema does not say, `rescue` by default: a mode (`rescue`,
    /// `evolve`, `freeze`, `discard_value`, `discard_row`), or one for `columns`, members that are
    /// not declared, and one for `data_type`, values that do not fit. A field may have its own. What
    /// is discarded is counted, by field and with the first place, in the summary and the run
    /// record. Needs a `schema`: without one the columns always follow the records.
    schema_contract: ContractSpec = "schema_contract";
    /// The shape of the data files: compression, sizes of files and row groups. Its keys are taken
    /// from `resource_defaults` one by one.
    layout: LayoutSpec = "layout";
    /// The resource, or the resources, whose records give values for the requests: one reading per
    /// distinct value.
    parent: OneOrMany<ParentSpec> = "parent" | "parents";
    /// Values that the resource is read for, each by itself: lists of values by name, in every
    /// combination, or a list of mappings.
    partitions: PartitionsSpec = "partitions";
    /// Fields of the parents that every record gets, in columns such as `_files_id`.
    include_from_parent: OneOrMany<Text> = "include_from_parent";
    /// What happens when the records of one parent value cannot be read: the resource fails, or
    /// the value is skipped and counted.
    on_parent_error: OnParentErrorSpec = "on_parent_error", default "fail";
    later {
        "response_actions" => "move it to the endpoint",
        "error_handler" => "move it to the endpoint",
        "response" => "move it to the endpoint",
        "columns" => "write `schema` with `fields`",
        "table_name" => "the resource's name is the name of its dataset",
        "table_format" => "datasets are plain Parquet files",
        "compression" => "write it in `layout`",
        "sort_by" => "write it in `layout`",
        "partition_by" => "write it in `layout`",
        "file_format" => "datasets are plain Parquet files",
        "parallelized" => "remove it: `client.concurrency` is for all resources",
        "max_table_nesting" => "remove it: nested fields become nested columns",
        "nested_hints" => "remove it: nested fields become nested columns",
        "references" => "",
        "parent_table_name" => "",
    }
}

/// One dataset and the requests that fill it; a name alone is short for a mapping.
#[derive(Clone, Debug)]
pub(crate) struct ResourceSpec(pub ResourceMapping);

impl FromNode for ResourceSpec {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        if !matches!(node.value, Value::String(_)) {
            return ResourceMapping::from_node(node, reporter).map(Self);
        }
        let mut mapping = ResourceMapping::empty(node.blame);
        mapping.name = Key::Given(Given {
            key: Name {
                text: "name".to_owned(),
                span: node.span,
            },
            span: node.span,
            value: Text::from_node(node, reporter)?,
        });
        Some(Self(mapping))
    }
}

impl Over for ResourceSpec {
    fn over(&self, defaults: &Self) -> Self {
        let mut merged = self.0.over(&defaults.0);
        if let (Key::Given(own), Key::Given(defaults)) = (&self.0.endpoint, &defaults.0.endpoint) {
            merged.endpoint = Key::Given(Given {
                value: own.value.over(&defaults.value),
                ..own.clone()
            });
        }
        if let (Key::Given(own), Key::Given(defaults)) = (&self.0.layout, &defaults.0.layout) {
            merged.layout = Key::Given(Given {
                value: own.value.over(&defaults.value),
                ..own.clone()
            });
        }
        Self(merged)
    }
}

impl JsonSchema for ResourceSpec {
    fn schema_name() -> Cow<'static, str> {
        "Resource".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mapping = ResourceMapping::schema(generator, None);
        json_schema!({ "anyOf": [{ "type": "string" }, mapping] })
    }
}

choice! {
    /// What happens to the records of earlier runs: they stay, they go, or new records replace
    /// those with the same primary key.
    Disposition, "write disposition";
    Append = "append";
    Replace = "replace";
    Merge = "merge";
    => later {
        "skip" => "write `selected: false`",
    }
}

choice! {
    /// How records are merged. `upsert`: a record takes the place of the row with the same primary
    /// key. `delete-insert`: rows with a merge key or a primary key of the load go, all records
    /// come. `insert-only`: rows that exist stay as they are. `scd2`: every version of a row is
    /// kept, with the time in which it was valid.
    Strategy, "merge strategy";
    Upsert = "upsert";
    DeleteInsert = "delete-insert";
    InsertOnly = "insert-only";
    Scd2 = "scd2";
    => later {}
}

mapping! {
    /// A write disposition with its strategy.
    DispositionMapping, "write_disposition";
    /// What happens to the records of earlier runs.
    disposition: Disposition = "disposition" => required;
    /// How records are merged: `upsert` by default, `delete-insert` where the resource has a
    /// `merge_key`.
    strategy: Strategy = "strategy", default "upsert";
    /// For `scd2`, the columns with the instants at which a version began and ended (null while it
    /// is active). Versions begin and end at the start of the run that finds them.
    validity_column_names: Vec<Text> = "validity_column_names",
        default ["_valid_from", "_valid_to"];
    /// For `scd2`, the column with the hash of a version's declared fields: a record whose hash is
    /// that of the active version changes nothing. Without a primary key it is what identifies a
    /// record.
    row_version_column_name: Text = "row_version_column_name", default "_row_hash";
    /// For `scd2`, whether a run ends the versions of all keys that it does not find. Only for
    /// resources that are read in full: dlt does it unless told otherwise, this language only when
    /// asked to.
    retire_absent: bool = "retire_absent", default false;
    /// For `scd2`, what `_valid_to` is while a version is active: always null.
    active_record_timestamp: Text = "active_record_timestamp";
    later {
        "deduplicated" => "remove it: the last record of a key counts, or the one `dedup_sort` chooses",
        "boundary_timestamp" => "remove it: versions begin and end at the start of the run",
    }
}

/// What happens to the records of earlier runs; a word is short for a mapping.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are few, and they live shortly"
)]
pub(crate) enum WriteDispositionSpec {
    Word(Disposition),
    Mapping(DispositionMapping),
}

impl FromNode for WriteDispositionSpec {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        match &node.value {
            Value::Mapping(_) => DispositionMapping::from_node(node, reporter).map(Self::Mapping),
            _ => Disposition::from_node(node, reporter).map(Self::Word),
        }
    }
}

impl JsonSchema for WriteDispositionSpec {
    fn schema_name() -> Cow<'static, str> {
        "WriteDisposition".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let word = generator.subschema_for::<Disposition>();
        let mapping = DispositionMapping::schema(generator, None);
        json_schema!({ "anyOf": [word, mapping] })
    }
}
