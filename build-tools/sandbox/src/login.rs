//! Login requests, which give session tokens.

use std::time::Duration;

use connector_plan::{Body, NamedTemplate, SessionToken, Step};
use hyper::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::{RequestRecord, refusal::Refusal, settings::Samples, token::is_type};

/// A login that one `session_token` section of the plan describes.
pub(crate) struct Login {
    /// The whole path.
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    body: Expected,
    token_path: Vec<Step>,
    pub(crate) lifetime: Duration,
}

enum Expected {
    Nothing,
    Json(Value),
    Form(Vec<(String, String)>),
}

impl Login {
    pub(crate) fn new(plan: &SessionToken, samples: &Samples) -> Result<Self, String> {
        let pairs = |templates: &[NamedTemplate]| -> Result<Vec<(String, String)>, String> {
            let pair = |field: &NamedTemplate| {
                let text = samples.text(&field.value, "a field of the login")?;
                Ok((field.name.clone(), text))
            };
            templates.iter().map(pair).collect()
        };
        let body = match &plan.body {
            None => Expected::Nothing,
            Some(Body::Form(fields)) => Expected::Form(pairs(fields)?),
            Some(Body::Json(members)) => {
                let mut object = Map::new();
                for member in members {
                    let value = samples.value(&member.value, "a member of the login")?;
                    object.insert(member.name.clone(), value);
                }
                Expected::Json(Value::Object(object))
            }
        };
        Ok(Self {
            path: samples.path_of(&plan.login_path).unwrap_or_default(),
            headers: pairs(&plan.headers)?,
            body,
            token_path: plan.token_path.clone(),
            lifetime: Duration::from_secs(plan.expires_in),
        })
    }

    /// Refuses a request that is not this login.
    pub(crate) fn admit(&self, request: &RequestRecord) -> Result<(), Refusal> {
        let content_type = request.header("content-type").unwrap_or_default();
        let fits = match &self.body {
            Expected::Nothing => request.body.is_empty(),
            Expected::Json(expected) => {
                is_type(content_type, "application/json")
                    && serde_json::from_slice::<Value>(&request.body)
                        .is_ok_and(|body| body == *expected)
            }
            Expected::Form(expected) => {
                is_type(content_type, "application/x-www-form-urlencoded")
                    && request.form() == *expected
            }
        };
        let headers = self.headers.iter();
        let mut headers = headers.map(|(name, value)| request.header(name) == Some(value));
        if request.method == Method::POST && fits && headers.all(|fits| fits) {
            Ok(())
        } else {
            Err(Refusal::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "the login is not the one of the plan",
            ))
        }
    }

    /// The answer, with the token where the plan expects it.
    pub(crate) fn answer(&self, token: &str) -> Value {
        self.token_path
            .iter()
            .rev()
            .fold(Value::from(token), |value, step| match step {
                Step::Key(key) => json!({ (key.as_str()): value }),
                Step::Index(_) | Step::Wildcard => json!([value]),
            })
    }
}
