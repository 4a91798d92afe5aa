//! How every request is made, as it is written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::read::{FromNode, OneOrMany, Reporter};
use super::scalars::{Amount, Whole};
use super::{
    AuthSpec, ErrorHandlerSpec, Named, PaginatorSpec, ResponseActionSpec, Scalar, Text, WaitSpec,
};
use crate::yaml::{Node, Value};

mapping! {
    /// How every request is made.
    ClientSpec, "client";
    /// The URL that paths are appended to: absolute, `http` or `https`. Credentials go to its
    /// origin only.
    base_url: Text = "base_url" => required;
    /// Headers of every request.
    headers: Named<Scalar> = "headers";
    /// How requests are authenticated.
    auth: AuthSpec = "auth", default "none";
    /// How the next page is found, for resources that do not say it themselves.
    paginator: PaginatorSpec = "paginator", default "single_page";
    /// Which failures are tried again.
    retry: RetrySpec = "retry";
    /// What is done about some answers, for all resources.
    response_actions: Vec<ResponseActionSpec> = "response_actions";
    /// The same in Airbyte's form.
    error_handler: ErrorHandlerSpec = "error_handler";
    /// A limit that the API states. It is kept to, whatever `concurrency` allows.
    rate_limit: RateLimitSpec = "rate_limit";
    /// How long to wait for the API.
    timeout: TimeoutSpec = "timeout";
    /// The most requests under way at once: partitions, and the pages ahead of an `offset` or
    /// `page_number` paginator. There are fewer at first, and when the API refuses some with `429`
    /// or `503` or only becomes slower; `1` sends them one after the other. What is read does not
    /// depend on it.
    concurrency: ConcurrencySpec = "concurrency", default 16;
    /// Hosts beside that of `base_url` which links, redirects and absolute paths may lead to:
    /// `host` or `host:port`. They get no credentials.
    allowed_hosts: OneOrMany<Text> = "allowed_hosts";
    later {
        "session" => "write what the session does as `headers`, `auth` and `retry`",
    }
}

mapping! {
    /// The most requests under way at once.
    ConcurrencyMapping, "concurrency";
    /// So many.
    max: Whole<1, 256> = "max", default 16;
    later {}
}

/// The most requests under way at once; alone or in a mapping.
#[derive(Clone, Debug)]
pub(crate) enum ConcurrencySpec {
    Most(Whole<1, 256>),
    Mapping(ConcurrencyMapping),
}

impl ConcurrencySpec {
    /// The number, where one is given.
    pub(crate) fn most(&self) -> Option<u64> {
        match self {
            Self::Most(most) => Some(most.0),
            Self::Mapping(mapping) => mapping.max.get().map(|most| most.0),
        }
    }
}

impl FromNode for ConcurrencySpec {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        match &node.value {
            Value::Mapping(_) => ConcurrencyMapping::from_node(node, reporter).map(Self::Mapping),
            _ => Whole::from_node(node, reporter).map(Self::Most),
        }
    }
}

impl JsonSchema for ConcurrencySpec {
    fn schema_name() -> Cow<'static, str> {
        "Concurrency".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let most = generator.subschema_for::<Whole<1, 256>>();
        let mapping = ConcurrencyMapping::schema(generator, None);
        json_schema!({ "anyOf": [most, mapping] })
    }
}

mapping! {
    /// Which failures are tried again, and after how long. The n-th wait is drawn from 0 to
    /// `backoff_factor × 2^(n-1)` seconds; a `Retry-After` header replaces it.
    RetrySpec, "retry";
    /// The statuses that are tried again. Transport errors and cut bodies always are.
    statuses: Vec<Whole<400, 599>> = "statuses" | "status_codes",
        default [429, 500, 502, 503, 504];
    /// The attempts after the first.
    max_retries: Whole<0, 100> = "max_retries", default 3;
    /// The first wait, in seconds.
    backoff_factor: Amount = "backoff_factor", default 1;
    /// The longest wait, in seconds.
    max_delay: Amount = "max_delay", default 300;
    /// Whether waits are drawn at random rather than taken in full.
    jitter: bool = "jitter", default true;
    /// Waits that come before all others, `Retry-After` included: seconds, or headers that tell.
    /// The first that an answer has a value for counts.
    wait: OneOrMany<WaitSpec> = "wait";
    later {
        "respect_retry_after" => "it is always respected",
    }
}

mapping! {
    /// A limit that the API states: so many requests in so many seconds.
    RateLimitSpec, "rate_limit";
    /// The requests allowed.
    requests: Whole<1, 1_000_000> = "requests" => required;
    /// In this many seconds.
    seconds: Whole<1, 86_400> = "seconds", default 1;
    later {}
}

mapping! {
    /// How long to wait for the API, in seconds.
    TimeoutSpec, "timeout";
    /// For a connection.
    connect: Amount = "connect", default 10;
    /// Between two reads of a body.
    read: Amount = "read", default 60;
    /// For a whole request.
    total: Amount = "total", default 300;
    later {}
}
