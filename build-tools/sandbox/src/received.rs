//! The values of a request, wherever they stand.

use connector_plan::Target;
use hyper::{Method, StatusCode, header::CONTENT_TYPE};
use serde_json::Value;

use crate::{RequestRecord, paging::name_of, refusal::Refusal, token::is_type};

/// The values of a request, wherever they stand.
pub(crate) struct Received<'a> {
    pub(crate) request: &'a RequestRecord,
    pub(crate) json: Option<Value>,
    pub(crate) form: Vec<(String, String)>,
    /// The values in the path by the names of their placeholders, once its route is known.
    pub(crate) path: Vec<(String, String)>,
}

impl<'a> Received<'a> {
    /// Reads a request whose body is of the kind that its `Content-Type` tells.
    pub(crate) fn new(request: &'a RequestRecord) -> Result<Self, Refusal> {
        let mut received = Self {
            request,
            json: None,
            form: Vec::new(),
            path: Vec::new(),
        };
        if request.body.is_empty() {
            return Ok(received);
        }
        if request.method == Method::GET {
            return Err(Refusal::parameter("a `GET` has no body"));
        }
        let content_type = request.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        if is_type(content_type, "application/json") {
            let json = serde_json::from_slice(&request.body)
                .map_err(|error| Refusal::parameter(format!("the body is not JSON: {error}")))?;
            received.json = Some(json);
        } else if is_type(content_type, "application/x-www-form-urlencoded") {
            received.form = request.form();
        } else {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "expected `application/json` or `application/x-www-form-urlencoded`",
            ));
        }
        Ok(received)
    }

    /// The value at a place, which must not be taken twice.
    pub(crate) fn value(&self, target: &Target) -> Result<Option<Value>, Refusal> {
        let text = |values: Vec<&str>| match values[..] {
            [] => Ok(None),
            [one] => Ok(Some(Value::String(one.to_owned()))),
            _ => Err(Refusal::parameter(format!(
                "{} is there more than once",
                name_of(target)
            ))),
        };
        match target {
            Target::Query(name) => text(values_of(&self.request.query, name)),
            Target::Form(name) => text(values_of(&self.form, name)),
            Target::Path(name) => text(values_of(&self.path, name)),
            Target::Header(name) => text(
                self.request
                    .headers
                    .get_all(name)
                    .iter()
                    .map(|value| value.to_str().unwrap_or("?"))
                    .collect(),
            ),
            Target::Json(path) => Ok(path
                .iter()
                .try_fold(self.json.as_ref(), |value, key| {
                    Some(value.and_then(|value| value.get(key)))
                })
                .flatten()
                .filter(|value| !value.is_null())
                .cloned()),
        }
    }
}

/// Every value of a name.
pub(crate) fn values_of<'a>(pairs: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    pairs
        .iter()
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
        .collect()
}
