//! The requests of a resource, as they are written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::read::{FromNode, Reporter};
use super::{
    AuthSpec, ErrorHandlerSpec, Given, IncrementalSpec, Json, Key, Named, PaginatorSpec,
    ParentSpec, ResponseActionSpec, ResponseSpec, RetrySpec, Scalar, Text,
};
use crate::diagnostic::{Diagnostic, code};
use crate::yaml::{Name, Node, Value};

mapping! {
    /// The requests of a resource.
    EndpointMapping, "endpoint";
    /// The path below `base_url`, or an absolute URL. A query in it is merged with `params`.
    /// Without a path it is the resource's name.
    path: Text = "path";
    /// The HTTP method.
    method: MethodSpec = "method", default "GET";
    /// Query parameters. A list repeats the parameter, null leaves it out. One that a placeholder
    /// of the path names, and nothing else gives a value, goes into the path instead.
    params: Named<ParameterSpec> = "params";
    /// Headers beside those of the client; the same name replaces the client's.
    headers: Named<Scalar> = "headers";
    /// The members of a JSON body.
    json: Named<Json> = "json";
    /// The fields of a form body.
    data: Named<Scalar> = "data";
    /// Where the records are in a page: a dotted path such as `data.items`, in which `*` goes
    /// through lists and mappings alike, or any JSONPath (RFC 9535) such as
    /// `$.items[?@.kind == 'file']` or `$..items[*]`. Every list that it leads to is one of records.
    /// A page that lacks what it names is an error; where only some values on the way of a `*` lack
    /// it, they are counted and the first one is told. Without one the page itself is the records.
    data_selector: Text = "data_selector", default "$";
    /// Which records are kept, as in the resource: `{{ record['type'] == 'file' }}`.
    record_filter: Text = "record_filter";
    /// How the next page is found.
    paginator: PaginatorSpec = "paginator";
    /// Authentication in place of the client's.
    auth: AuthSpec = "auth";
    /// Retry rules in place of the client's.
    retry: RetrySpec = "retry";
    /// How the bodies of pages are read: `json`, `jsonl`, `csv`, `xml`, or a mapping.
    response: ResponseSpec = "response" | "decoder";
    /// What is done about some answers; those of `resource_defaults` come behind these, then those
    /// of the client. Null takes them back.
    response_actions: Vec<ResponseActionSpec> = "response_actions";
    /// The same in Airbyte's form, in place of those of `resource_defaults`.
    error_handler: ErrorHandlerSpec = "error_handler";
    /// The cursor that lets a run read only what is new, as in the resource.
    incremental: IncrementalSpec = "incremental";
    later {
        "processing_steps" => "move it to the resource",
        "partitions" => "move it to the resource",
        "parent" => "move it to the resource",
        "rate_limit" => "move it to `client`",
        "timeout" => "move it to `client`",
    }
}

choice! {
    /// The HTTP methods that read.
    MethodSpec, "method";
    Get = "GET";
    Post = "POST";
    => later {}
}

/// The requests of a resource; a path alone is short for a mapping.
#[derive(Clone, Debug)]
pub(crate) struct EndpointSpec(pub EndpointMapping);

impl FromNode for EndpointSpec {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        if !matches!(node.value, Value::String(_)) {
            return EndpointMapping::from_node(node, reporter).map(Self);
        }
        let mut mapping = EndpointMapping::empty(node.blame);
        mapping.path = Key::Given(Given {
            key: Name {
                text: "path".to_owned(),
                span: node.span,
            },
            span: node.span,
            value: Text::from_node(node, reporter)?,
        });
        Some(Self(mapping))
    }
}

impl super::Over for EndpointSpec {
    fn over(&self, defaults: &Self) -> Self {
        let mut merged = self.0.over(&defaults.0);
        merged.params = deep(&self.0.params, &defaults.0.params);
        merged.json = deep(&self.0.json, &defaults.0.json);
        if let (Key::Given(own), Key::Given(defaults)) =
            (&mut merged.response_actions, &defaults.0.response_actions)
            && self.0.response_actions.given().is_some()
        {
            own.value.extend(defaults.value.iter().cloned());
        }
        Self(merged)
    }
}

/// Merges the entries of two mappings, when there are two.
fn deep<T: Clone>(own: &Key<Named<T>>, defaults: &Key<Named<T>>) -> Key<Named<T>> {
    match (own, defaults) {
        (Key::Given(own), Key::Given(defaults)) => Key::Given(Given {
            value: own.value.over(&defaults.value),
            ..own.clone()
        }),
        _ => own.or(defaults),
    }
}

impl JsonSchema for EndpointSpec {
    fn schema_name() -> Cow<'static, str> {
        "Endpoint".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mapping = EndpointMapping::schema(generator, None);
        json_schema!({ "anyOf": [{ "type": "string" }, mapping] })
    }
}

/// The values of a query parameter.
#[derive(Clone, Debug)]
pub(crate) enum ParameterSpec {
    Values(Vec<Scalar>),
    /// dlt's `type: resolve`: no parameter, but what a placeholder of this name stands for.
    Resolve(Box<ParentSpec>),
    /// dlt's `type: incremental`: the parameter of the cursor's start.
    Incremental(Box<IncrementalSpec>),
}

impl FromNode for ParameterSpec {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        match &node.value {
            Value::Sequence(_) => Vec::from_node(node, reporter).map(Self::Values),
            Value::Mapping(entries) => {
                let kind = entries.iter().find(|entry| entry.key.text == "type");
                match kind.map(|entry| &entry.node.value) {
                    Some(Value::String(kind)) if kind == "resolve" => {
                        return ParentSpec::read(node, Some("type"), reporter)
                            .map(|parent| Self::Resolve(Box::new(parent)));
                    }
                    Some(Value::String(kind)) if kind == "incremental" => {
                        return IncrementalSpec::from_node(node, reporter)
                            .map(|cursor| Self::Incremental(Box::new(cursor)));
                    }
                    _ => reporter.report(
                        Diagnostic::error(code::WRONG_TYPE, "a parameter is no mapping")
                            .label(node.blame, "expected a scalar, a list of scalars or null")
                            .help("put it in quotes when it is text"),
                    ),
                }
                None
            }
            _ => Scalar::from_node(node, reporter).map(|one| Self::Values(vec![one])),
        }
    }
}

impl JsonSchema for ParameterSpec {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Parameter".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<Scalar>();
        let resolve = ParentSpec::schema(generator, Some((&["resolve"], true)));
        let incremental = generator.subschema_for::<IncrementalSpec>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }, resolve, incremental] })
    }
}
