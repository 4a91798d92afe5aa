//! One request of a resource, before paging values are put in.

use serde::{Deserialize, Serialize};

use crate::{
    Auth, NamedTemplate, Paginator, ResponseAction, ResponseBody, Retry, Selector, Template,
};

/// One request of a resource, before paging values are put in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The HTTP method.
    pub method: Method,
    /// The path below the base URL, or an absolute URL; expression values are percent-encoded.
    ///
    /// A query that the spec wrote into the path has been moved to `params`.
    pub path: Template,
    /// The query parameters, in order.
    pub params: Vec<Parameter>,
    /// Headers beside those of the client; the same name replaces the client's.
    pub headers: Vec<NamedTemplate>,
    /// The body of a `POST`.
    pub body: Option<Body>,
    /// Where the records are in a page.
    pub data_selector: Selector,
    /// How the next page is found.
    pub paginator: Paginator,
    /// Authentication in place of the client's.
    pub auth: Option<Auth>,
    /// Retry rules in place of the client's.
    pub retry: Option<Retry>,
    /// How the body of a page is read.
    #[serde(default, skip_serializing_if = "ResponseBody::is_json")]
    pub response: ResponseBody,
    /// What is done about some answers; the first that fits counts, and comes before the retry
    /// rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<ResponseAction>,
}

/// The HTTP methods that read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
}

/// A query parameter; several values repeat its name, a value of null leaves it out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// The name, before encoding.
    pub name: String,
    /// The values.
    pub values: Vec<Template>,
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// `application/json`: members of one object.
    Json(Vec<NamedTemplate>),
    /// `application/x-www-form-urlencoded`.
    Form(Vec<NamedTemplate>),
}
