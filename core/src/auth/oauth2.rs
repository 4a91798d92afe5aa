//! Access tokens from an OAuth 2.0 token endpoint (RFC 6749).

use std::sync::Arc;
use std::time::Duration;

use connector_plan::{ClientAuthentication, Grant, OAuth2};
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use oauth2::basic::BasicClient;
use oauth2::{
    AsyncHttpClient, AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, RefreshToken,
    RequestTokenError, Scope, TokenResponse, TokenUrl,
};
use url::Url;

use super::assertion::Assertion;
use super::store::{TokenOrigin, TokenStore};
use super::token::{Token, TokenSource};
use super::{AuthContext, basic};
use crate::http::{Call, Response, RetryPolicy, SendError, Transport};
use crate::meter::Meter;
use crate::secret::Redactor;
use crate::template::render_text;
use crate::{Error, ErrorKind, Json, Result, Secret};

/// The grant type of RFC 7523, section 2.1.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// A token endpoint and what it wants to know.
#[derive(Debug)]
pub(crate) struct OAuth2Source {
    url: Url,
    client_id: String,
    client_secret: Option<Secret>,
    refresh_token: Option<Secret>,
    /// What the client signs itself, when that is the grant.
    assertion: Option<Assertion>,
    scopes: Vec<String>,
    extra: Vec<(String, Secret)>,
    authentication: AuthType,
    default_lifetime: Duration,
    environment: Vec<String>,
    transport: Arc<Transport>,
    retry: RetryPolicy,
    redactor: Redactor,
    tokens: Arc<dyn TokenStore>,
}

impl OAuth2Source {
    pub(crate) fn new(oauth2: &OAuth2, context: &AuthContext<'_>) -> Result<Self> {
        let url = context.token_url.clone().ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                "the plan has OAuth 2.0 but no token URL",
            )
        })?;
        let client_id = render_text(&oauth2.client_id, context.scope)?.0;
        let assertion = match &oauth2.grant {
            Grant::JwtBearer(grant) => Some(Assertion::new(
                grant,
                &client_id,
                &oauth2.scopes,
                url.as_str(),
                context,
            )?),
            Grant::ClientCredentials | Grant::RefreshToken(_) => None,
        };
        Ok(Self {
            url,
            client_id,
            assertion,
            client_secret: match &oauth2.client_secret {
                Some(secret) => Some(context.secret(secret)?),
                None => None,
            },
            refresh_token: match &oauth2.grant {
                Grant::ClientCredentials | Grant::JwtBearer(_) => None,
                Grant::RefreshToken(token) => Some(context.secret(token)?),
            },
            scopes: oauth2.scopes.clone(),
            extra: context
                .pairs(&oauth2.extra)?
                .into_iter()
                .map(|(name, value)| (name, Secret::from(value)))
                .collect(),
            authentication: match oauth2.client_authentication {
                ClientAuthentication::Body => AuthType::RequestBody,
                ClientAuthentication::Basic => AuthType::BasicAuth,
            },
            default_lifetime: Duration::from_secs(oauth2.default_expires_in),
            environment: context.environment.clone(),
            transport: Arc::clone(&context.transport),
            retry: context.retry.clone(),
            redactor: context.redactor.clone(),
            tokens: Arc::clone(&context.tokens),
        })
    }

    /// The token request of an assertion (RFC 7523, section 2.1).
    fn assertion_request(&self, assertion: &Assertion) -> Result<HttpRequest> {
        let assertion = assertion.sign()?;
        self.redactor.learn_passing(&assertion);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", JWT_BEARER);
        form.append_pair("assertion", assertion.expose());
        match (&self.client_secret, &self.authentication) {
            (Some(secret), AuthType::BasicAuth) => {
                // Section 2.3.1 of RFC 6749: both are form-encoded first.
                let encode = |text: &str| {
                    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
                };
                let id = encode(&self.client_id);
                let secret = Secret::from(encode(secret.expose()));
                headers.insert(AUTHORIZATION, basic(&id, &secret, &self.redactor)?);
            }
            (Some(secret), _) => {
                form.append_pair("client_id", &self.client_id);
                form.append_pair("client_secret", secret.expose());
            }
            (None, _) => {}
        }
        for (name, value) in &self.extra {
            form.append_pair(name, value.expose());
        }
        let mut request = HttpRequest::new(form.finish().into_bytes());
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// Asks for a token by an assertion.
    async fn assert(&self, assertion: &Assertion, meter: &Meter) -> Result<Token> {
        let request = self.assertion_request(assertion)?;
        let response = self
            .exchange(request, false, meter)
            .await
            .map_err(|refused| refused.0)?;
        let body: Json = serde_json::from_slice(response.body())
            .map_err(|_| self.nonsense("is not a JSON object"))?;
        // `accept` has seen to both members.
        let value = Secret::from(body["access_token"].as_str().unwrap_or_default());
        self.redactor.learn(&value);
        Ok(Token {
            value,
            lifetime: body["expires_in"]
                .as_u64()
                .filter(|seconds| *seconds > 0)
                .map_or(self.default_lifetime, Duration::from_secs),
        })
    }

    async fn request(&self, meter: &Meter) -> Result<Token> {
        if let Some(assertion) = &self.assertion {
            return self.assert(assertion, meter).await;
        }
        let mut client = BasicClient::new(ClientId::new(self.client_id.clone()))
            .set_auth_type(self.authentication.clone())
            .set_token_uri(TokenUrl::from_url(self.url.clone()));
        if let Some(secret) = &self.client_secret {
            client = client.set_client_secret(ClientSecret::new(secret.expose().to_owned()));
        }
        let origin = self
            .refresh_token
            .as_ref()
            .map(|token| TokenOrigin::new(self.url.as_str(), &self.client_id, token));
        // Held until the successor is kept: whoever comes next must not send the same token again.
        let mut locked = match &origin {
            Some(origin) => Some(self.tokens.lock(origin).await?),
            None => None,
        };
        let stored = locked.as_ref().and_then(|locked| locked.current()).cloned();
        if let Some(token) = &stored {
            self.redactor.learn(token);
        }
        let exchange = Exchange {
            source: self,
            stored: stored.is_some(),
            meter,
        };
        let response = match stored.as_ref().or(self.refresh_token.as_ref()) {
            None => {
                let mut request = client.exchange_client_credentials();
                for scope in &self.scopes {
                    request = request.add_scope(Scope::new(scope.clone()));
                }
                for (name, value) in &self.extra {
                    request = request.add_extra_param(name, value.expose());
                }
                request.request_async(&exchange).await
            }
            Some(token) => {
                let token = RefreshToken::new(token.expose().to_owned());
                let mut request = client.exchange_refresh_token(&token);
                for scope in &self.scopes {
                    request = request.add_scope(Scope::new(scope.clone()));
                }
                for (name, value) in &self.extra {
                    request = request.add_extra_param(name, value.expose());
                }
                request.request_async(&exchange).await
            }
        };
        let response = response.map_err(|error| match error {
            RequestTokenError::Request(error) => error.0,
            _ => self.nonsense("is not the token response of RFC 6749, section 5.1"),
        })?;
        let value = Secret::from(response.access_token().secret().as_str());
        self.redactor.learn(&value);
        if let Some(rotated) = response.refresh_token() {
            let rotated = Secret::from(rotated.secret().as_str());
            self.redactor.learn(&rotated);
            let sent = stored.as_ref().or(self.refresh_token.as_ref());
            if let Some(locked) = locked.as_mut().filter(|_| sent != Some(&rotated)) {
                locked.replace(&rotated)?;
            }
        }
        // A lifetime of zero says nothing: a `401` will tell when the token has ended.
        let lifetime = response.expires_in().filter(|lifetime| !lifetime.is_zero());
        Ok(Token {
            value,
            lifetime: lifetime.unwrap_or(self.default_lifetime),
        })
    }

    /// Sends a token request until it succeeds or is to be tried no more.
    async fn exchange(
        &self,
        request: HttpRequest,
        stored: bool,
        meter: &Meter,
    ) -> std::result::Result<HttpResponse, Refused> {
        let (parts, body) = request.into_parts();
        let home = self.url.origin();
        let mut retries = 0;
        loop {
            let under_way = meter.request();
            let outcome = self
                .transport
                .send(Call {
                    method: Method::POST,
                    url: self.url.clone(),
                    headers: parts.headers.clone(),
                    body: Some(body.clone().into()),
                    home: &home,
                    credentials: None,
                })
                .await;
            drop(under_way);
            let (failure, headers) = match outcome {
                Ok(response) if response.status.is_success() => return self.accept(&response),
                Ok(response) => {
                    let retryable = self.retry.retries_status(response.status.as_u16());
                    (
                        SendError {
                            error: self.refused(&response, stored),
                            retryable,
                        },
                        Some(response.headers),
                    )
                }
                Err(failure) => (failure, None),
            };
            if !failure.retryable || retries == self.retry.max_retries() {
                return Err(Refused(failure.error.with("attempts", retries + 1)));
            }
            retries += 1;
            crate::http::pause(
                &self.retry,
                retries,
                &[],
                headers.as_ref(),
                &failure.error,
                meter,
            )
            .await;
        }
    }

    /// Makes a token response regular where real servers are not: a lifetime written as text or
    /// below zero, no token type.
    fn accept(&self, response: &Response) -> std::result::Result<HttpResponse, Refused> {
        let Ok(Json::Object(mut body)) = response.json() else {
            return Err(Refused(self.nonsense("is not a JSON object")));
        };
        if body
            .get("access_token")
            .and_then(Json::as_str)
            .is_none_or(str::is_empty)
        {
            return Err(Refused(self.nonsense("has no `access_token`")));
        }
        let lifetime = body
            .remove("expires_in")
            .and_then(|lifetime| match lifetime {
                Json::String(text) => text.trim().parse::<f64>().ok(),
                other => other.as_f64(),
            });
        if let Some(lifetime) = lifetime.filter(|lifetime| *lifetime > 0.0) {
            body.insert("expires_in".into(), Json::from(lifetime as u64));
        }
        body.entry("token_type")
            .or_insert_with(|| Json::from("bearer"));
        let body = Json::Object(body).to_string().into_bytes();
        let mut accepted = HttpResponse::new(body);
        *accepted.status_mut() = StatusCode::OK;
        Ok(accepted)
    }

    /// The error of an answer other than 2xx (RFC 6749, section 5.2).
    fn refused(&self, response: &Response, stored: bool) -> Error {
        let status = response.status;
        let code = (response.json().ok())
            .and_then(|body| body.get("error")?.as_str().map(str::to_owned))
            .map(|code| self.transport.excerpt(code.as_bytes()));
        let request = self.transport.describe(&Method::POST, &self.url);
        if matches!(status.as_u16(), 400 | 401 | 403) {
            let code = code.unwrap_or_else(|| status.to_string());
            let what = if stored {
                "the stored refresh token"
            } else {
                "the credentials"
            };
            let message = format!("the token endpoint refused {what}: `{code}`");
            let error = Error::new(ErrorKind::Authentication, message).with("request", request);
            if self.refresh_token.is_some() && code == "invalid_grant" {
                let setting = self
                    .environment
                    .last()
                    .map_or("the setting", String::as_str);
                return error.hint(format!(
                    "it has ended, or something else has used it: log in again and set {setting} to the new refresh token"
                ));
            }
            return if self.environment.is_empty() {
                error
            } else {
                error.hint(format!("check {}", self.environment.join(", ")))
            };
        }
        let mut error = Error::new(
            ErrorKind::Source,
            format!("the token endpoint answered {status}"),
        )
        .with("request", request);
        let excerpt = self.transport.excerpt(&response.body);
        if !excerpt.is_empty() {
            error = error.with("body", excerpt);
        }
        error.hint("check the setting `token_url`")
    }

    /// The error of a 2xx answer that is none.
    fn nonsense(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::Authentication,
            format!("the answer of the token endpoint {what}"),
        )
        .with("request", self.transport.describe(&Method::POST, &self.url))
        .hint("check the setting `token_url`")
    }
}

impl TokenSource for OAuth2Source {
    fn fetch<'a>(&'a self, meter: &'a Meter) -> BoxFuture<'a, Result<Token>> {
        Box::pin(self.request(meter))
    }
}

/// Our own HTTP for the `oauth2` crate: the same transport, limits and retries as for pages.
struct Exchange<'a> {
    source: &'a OAuth2Source,
    /// Whether the refresh token is one that the API gave, not the configured one.
    stored: bool,
    meter: &'a Meter,
}

impl<'c> AsyncHttpClient<'c> for Exchange<'_> {
    type Error = Refused;
    type Future = BoxFuture<'c, std::result::Result<HttpResponse, Refused>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.source.exchange(request, self.stored, self.meter))
    }
}

/// Carries the runtime's error through the `oauth2` crate.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(Error);
