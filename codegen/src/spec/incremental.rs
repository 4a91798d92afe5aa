//! Incremental reading, as it is written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::read::{FromNode, OneOrMany, Reporter};
use super::{Scalar, Text};
use crate::yaml::{Node, Value};

mapping! {
    /// The cursor of a resource: a field whose values grow with every change, so that a run reads
    /// only what is new since the last one.
    ///
    /// The start of a run is the largest cursor of the runs before it, less `lag`; requests name it
    /// by `start_param` or as `{incremental.start_value}`. Records at exactly the start are read
    /// again: `merge` replaces them, `append` recognises them.
    IncrementalSpec, "incremental";
    /// The kind of the cursor, which needs not be said.
    kind: KindSpec = "type", default "incremental";
    /// The field: a name, or a dotted path through objects. Its type is timestamp, date, integer,
    /// decimal or string; or any of string, integer and number with `cursor_formats`.
    cursor_path: Text = "cursor_path" | "cursor_field" => required;
    /// How records write the instant, when the field is no timestamp: formats that are tried in
    /// order.
    cursor_formats: OneOrMany<Text> = "cursor_formats" | "cursor_datetime_formats";
    /// Where the first run starts, a value or an expression; without it from the beginning.
    initial_value: MomentSpec = "initial_value" | "start_value" | "start_datetime";
    /// Where every run ends, a value or an expression; without it there is no end.
    end_value: MomentSpec = "end_value" | "end_datetime";
    /// How requests write instants and dates: `rfc3339`, `epoch_seconds`, `epoch_milliseconds` or a
    /// form of strptime. By default as records write them.
    format: Text = "format" | "datetime_format";
    /// The query parameter of the start.
    start_param: Text = "start_param";
    /// The member of the body that takes the start, a dotted path.
    start_body_path: Text = "start_body_path";
    /// The header that takes the start.
    start_header: Text = "start_header";
    /// Where the start goes, as a mapping of its own.
    start_option: PlaceSpec = "start_option" | "start_time_option";
    /// The query parameter of the end.
    end_param: Text = "end_param";
    /// The member of the body that takes the end, a dotted path.
    end_body_path: Text = "end_body_path";
    /// The header that takes the end.
    end_header: Text = "end_header";
    /// Where the end goes, as a mapping of its own.
    end_option: PlaceSpec = "end_option" | "end_time_option";
    /// The length of the windows that the range is read in, one after another: `P1D`, `P1M`,
    /// `PT1H`, `7 days`, or a number (seconds, days of dates, units of integers). The last window
    /// ends now when there is no `end_value`.
    step: Scalar = "step";
    /// The smallest difference that the API knows, such as `PT1S`, for an API whose ends belong to
    /// the range: a window ends by this much before the next begins. Without it windows touch, and
    /// what is in both is kept once.
    granularity: Scalar = "granularity" | "cursor_granularity";
    /// How far before the end of the last run the next one starts, in the forms of `step`.
    lag: Scalar = "lag" | "lookback_window";
    /// Whether records outside of the range are dropped, whatever the API sends.
    client_side: bool = "client_side" | "is_client_side_incremental", default true;
    /// The order in which the API gives the records: reading stops at the first one beyond the
    /// range. A record out of order is an error.
    row_order: RowOrderSpec = "row_order";
    /// What happens to records whose cursor is missing or null: the run fails, they are kept, or
    /// they are dropped and counted.
    on_cursor_value_missing: MissingSpec = "on_cursor_value_missing", default "raise";
    /// Whether records at exactly the start belong to the range.
    range_start: RangeSpec = "range_start", default "closed";
    /// Whether records at exactly the end belong to the range.
    range_end: RangeSpec = "range_end", default "open";
    /// The name of the start in `stream_slice` and `stream_partition`.
    partition_field_start: Text = "partition_field_start", default "start_time";
    /// The name of the end in `stream_slice` and `stream_partition`.
    partition_field_end: Text = "partition_field_end", default "end_time";
    /// Which cursor is kept, the largest.
    last_value_func: LastValueSpec = "last_value_func", default "max";
    later {
        "convert" => "`format` says how requests write the cursor",
        "transform" => "`format` says how requests write the cursor",
        "primary_key" => "remove it: the primary key of the resource is used",
        "allow_external_schedulers" => "remove it: `--since` and `--until` choose a range",
        "is_data_feed" => "write `row_order: desc`",
        "is_compare_strictly" => "write `range_start: open`",
        "global_substream_cursor" => "remove it: every partition has a cursor of its own",
    }
}

choice! {
    /// The kinds of cursors.
    KindSpec, "kind of cursor";
    Incremental = "incremental" | "DatetimeBasedCursor";
    => later {
        "IncrementingCountCursor" => "remove `type`: a field of type integer is such a cursor",
    }
}

choice! {
    /// The order of records.
    RowOrderSpec, "row_order";
    Ascending = "asc";
    Descending = "desc";
    => later {}
}

choice! {
    /// What happens to records without a cursor.
    MissingSpec, "on_cursor_value_missing";
    Raise = "raise";
    Include = "include";
    Exclude = "exclude";
    => later {}
}

choice! {
    /// Whether an end of a range belongs to it.
    RangeSpec, "range end";
    Closed = "closed";
    Open = "open";
    => later {}
}

choice! {
    /// Which cursor is kept.
    LastValueSpec, "last_value_func";
    Max = "max";
    => later {
        "min" => "cursors grow: the largest is kept",
    }
}

choice! {
    /// The places of a request.
    InjectSpec, "place";
    Parameter = "request_parameter";
    Header = "header";
    Body = "body_json" | "body_data";
    => later {
        "path" => "write `{incremental.start_value}` in the path",
    }
}

choice! {
    /// The kind of a place.
    PlaceKindSpec, "kind of place";
    RequestOption = "RequestOption";
    => later {}
}

mapping! {
    /// Where a value goes in a request.
    PlaceSpec, "a place";
    /// The kind, which needs not be said.
    kind: PlaceKindSpec = "type", default "RequestOption";
    /// The part of the request.
    inject_into: InjectSpec = "inject_into" => required;
    /// The name of the parameter, the header or the member.
    field_name: Text = "field_name";
    /// The way to a member of the body.
    field_path: Vec<Text> = "field_path";
    later {}
}

choice! {
    /// The kind of an instant.
    MomentKindSpec, "kind of instant";
    MinMax = "MinMaxDatetime";
    => later {}
}

mapping! {
    /// An instant with the form in which it is written.
    MomentMapping, "an instant";
    /// The kind, which needs not be said.
    kind: MomentKindSpec = "type", default "MinMaxDatetime";
    /// The instant, a value or an expression.
    datetime: Scalar = "datetime" => required;
    /// The form in which it is written.
    format: Text = "format" | "datetime_format";
    later {
        "min_datetime" => "write an expression with `max(…)`",
        "max_datetime" => "write an expression with `min(…)`",
    }
}

/// A value of a cursor; alone or in a mapping with its format.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are few, and they live shortly"
)]
pub(crate) enum MomentSpec {
    Value(Scalar),
    Mapping(MomentMapping),
}

impl FromNode for MomentSpec {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        match &node.value {
            Value::Mapping(_) => MomentMapping::from_node(node, reporter).map(Self::Mapping),
            _ => Scalar::from_node(node, reporter).map(Self::Value),
        }
    }
}

impl JsonSchema for MomentSpec {
    fn schema_name() -> Cow<'static, str> {
        "CursorValue".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<Scalar>();
        let mapping = MomentMapping::schema(generator, None);
        json_schema!({ "anyOf": [value, mapping] })
    }
}
