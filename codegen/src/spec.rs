//! The spec language: what a spec says, as it is written, with the place of every value.
//!
//! Nothing is decided here. Defaults, references and rules between keys belong to
//! [`lower`](crate::lower()).

#[macro_use]
mod macros;
mod auth;
mod client;
mod config;
mod contract;
mod endpoint;
mod fields;
mod incremental;
mod layout;
mod paginator;
mod processing;
pub(crate) mod read;
mod relations;
mod resource;
mod response;
mod scalars;
pub(crate) mod schema;

pub(crate) use auth::{
    ApiKeySpec, AuthSpec, ClientAuthenticationSpec, HttpBasicSpec, JwtAlgorithmSpec, JwtSpec,
    LocationSpec, OAuth2Spec, SessionTokenSpec,
};
pub(crate) use client::{ClientSpec, ConcurrencySpec, RetrySpec};
pub(crate) use config::{InputSpec, InputType};
pub(crate) use contract::{ContractModeSpec, ContractSpec};
pub(crate) use endpoint::{EndpointMapping, EndpointSpec, MethodSpec, ParameterSpec};
pub(crate) use fields::{DedupSortSpec, FieldMapping, FieldSpec, SchemaSpec, TypeSpec};
pub(crate) use incremental::{
    IncrementalSpec, InjectSpec, MissingSpec, MomentSpec, PlaceSpec, RangeSpec, RowOrderSpec,
};
pub(crate) use layout::{
    CodecSpec, FlattenColumnsSpec, LayoutSpec, NullsSpec, OrderSpec, PartSpec,
};
pub(crate) use paginator::{
    CursorSpec, HeaderCursorSpec, HeaderLinkSpec, JsonLinkSpec, OffsetSpec, PageNumberSpec,
    PaginatorSpec,
};
pub(crate) use processing::{ExplodeMapping, FlattenMapping, ProcessingStepSpec, StepMapping};
pub(crate) use read::{Given, Key, Named, Over, Reporter};
pub(crate) use relations::{OnParentErrorSpec, ParentSpec, PartitionsSpec};
pub(crate) use resource::{
    Disposition, DispositionMapping, ResourceMapping, ResourceSpec, Strategy, WriteDispositionSpec,
};
pub(crate) use response::{
    ActionSpec, BackoffSpec, CompressionSpec, ErrorHandlerSpec, FormatSpec, ResponseActionSpec,
    ResponseMapping, ResponseSpec, StatusSpec, WaitSpec,
};
pub(crate) use scalars::{Json, Scalar, Text, Whole};

mapping! {
    /// The spec of a connector: dlt's REST API configuration as YAML, widened.
    Spec, "the spec";
    /// The connector's name; when it is given it must be the name of the connector's folder.
    name: Text = "name";
    /// What the API is, in one or two sentences for people.
    description: Text = "description";
    /// How every request is made.
    client: ClientSpec = "client" => required;
    /// The user's inputs: each becomes a field of the typed configuration and an environment
    /// variable. Expressions read them as `{{ config.name }}` or `{{ secrets.name }}`.
    config: Named<InputSpec> = "config";
    /// What all resources share: a resource without a name. A key of a resource replaces the
    /// default as a whole, except that the keys of `endpoint` are replaced one by one, and so are
    /// those of `layout` and the entries of `endpoint.params` and `endpoint.json`; its `endpoint.response_actions` come
    /// behind the resource's own. An explicit null takes a default back.
    resource_defaults: ResourceSpec = "resource_defaults";
    /// The datasets that the connector extracts. A text is short for a resource with this name.
    resources: Vec<ResourceSpec> = "resources" => required;
    later {}
}
