//! A token that a login request gives.

use std::sync::Arc;
use std::time::Duration;

use connector_plan::{Body, Path, SessionToken, follow};
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::Map;
use url::Url;

use super::token::{Token, TokenSource};
use super::{AuthContext, Credentials, Fixed, header_name, sensitive};
use crate::http::{Actions, Errand, Limiter, Request, Session};
use crate::meter::Meter;
use crate::paging::show;
use crate::secret::Redactor;
use crate::template::render;
use crate::{Error, ErrorKind, Json, Result, Secret};

/// Logs in with one request; the answer holds the token.
#[derive(Debug)]
pub(crate) struct SessionTokenSource {
    request: Request,
    token_path: Path,
    lifetime: Duration,
    session: Session,
    redactor: Redactor,
}

impl SessionTokenSource {
    pub(crate) fn new(plan: &SessionToken, url: Url, context: &AuthContext<'_>) -> Result<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        for (name, value) in context.pairs(&plan.headers)? {
            headers.insert(header_name(&name)?, sensitive(&value)?);
        }
        let body = match &plan.body {
            None => None,
            Some(Body::Json(members)) => {
                let mut object = Map::new();
                for member in members {
                    let rendered = render(&member.value, context.scope)?;
                    let redactor = &context.redactor;
                    let secrets = rendered.secrets.iter();
                    secrets.for_each(|text| redactor.learn(text));
                    object.insert(member.name.clone(), rendered.value);
                }
                Some(("application/json", Json::Object(object).to_string()))
            }
            Some(Body::Form(fields)) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(context.pairs(fields)?);
                Some(("application/x-www-form-urlencoded", form.finish()))
            }
        };
        if let Some((content_type, _)) = &body {
            headers
                .entry(header::CONTENT_TYPE)
                .or_insert(HeaderValue::from_static(content_type));
        }
        let home = url.origin();
        Ok(Self {
            request: Request {
                method: Method::POST,
                url,
                headers,
                body: body.map(|(_, text)| text.into()),
            },
            token_path: plan.token_path.clone(),
            lifetime: Duration::from_secs(plan.expires_in),
            session: Session {
                transport: Arc::clone(&context.transport),
                auth: Arc::new(Fixed(Arc::new(Credentials::default()))),
                retry: context.retry.clone(),
                // A login comes before requests that hold their place already.
                limiter: Arc::new(Limiter::new(1, None)),
                actions: Actions::default(),
                home,
                environment: context.environment.clone(),
            },
            redactor: context.redactor.clone(),
        })
    }

    async fn log_in(&self, meter: &Meter) -> Result<Token> {
        let refused = |message: &str| {
            let request = &self.request;
            let request = self
                .session
                .transport
                .describe(&request.method, &request.url);
            Error::new(ErrorKind::Authentication, message).with("request", request)
        };
        let errand = Errand::default();
        let answer = self
            .session
            .fetch(&self.request, None, &errand, meter)
            .await?;
        let answer = (answer.json()).map_err(|_| refused("the answer to the login is not JSON"))?;
        let token = match follow(&answer, &self.token_path) {
            Some(Json::String(token)) if !token.is_empty() => token.clone(),
            Some(Json::Number(token)) => token.to_string(),
            _ => {
                let path = show(&self.token_path);
                return Err(refused(&format!("the answer to the login has no `{path}`"))
                    .hint("check the credentials, and `token_path` in the spec"));
            }
        };
        let value = Secret::from(token);
        self.redactor.learn(&value);
        Ok(Token {
            value,
            lifetime: self.lifetime,
        })
    }
}

impl TokenSource for SessionTokenSource {
    fn fetch<'a>(&'a self, meter: &'a Meter) -> BoxFuture<'a, Result<Token>> {
        Box::pin(self.log_in(meter))
    }
}
