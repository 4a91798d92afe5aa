//! Why a request is not served.

use hyper::{StatusCode, header::HeaderName};
use serde_json::json;

use crate::server::Reply;

/// Why a request is not served.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    code: &'static str,
    message: String,
    headers: Vec<(HeaderName, String)>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            headers: Vec::new(),
        }
    }

    /// 400: a parameter is missing, unknown or has a wrong value.
    pub(crate) fn parameter(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_parameter", message)
    }

    pub(crate) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The error document of the data API.
    pub(crate) fn reply(self) -> Reply {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        self.with(&body)
    }

    /// The error document of a token endpoint (RFC 6749, section 5.2).
    pub(crate) fn token_reply(self) -> Reply {
        let body = json!({ "error": self.code, "error_description": self.message });
        self.with(&body)
    }

    fn with(self, body: &serde_json::Value) -> Reply {
        let reply = Reply::json(self.status, body);
        self.headers
            .into_iter()
            .fold(reply, |reply, (name, value)| reply.header(name, &value))
    }
}
