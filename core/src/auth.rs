//! Authentication: what is put into a request, and how it is renewed.

mod assertion;
mod custom;
mod oauth2;
mod session_token;
mod store;
mod token;
mod token_file;

use std::fmt::Debug;
use std::sync::Arc;

use base64::Engine as _;
use connector_plan::{ApiKeyLocation, Auth as AuthPlan, NamedTemplate};
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

pub(crate) use self::custom::CustomAuth;
pub use self::custom::{Auth, AuthRequest, Grant};
pub(crate) use self::store::TokenMemory;
pub use self::store::{LockedToken, TokenOrigin, TokenStore};
pub use self::token_file::TokenFile;
use crate::http::{Request, RetryPolicy, Transport};
use crate::meter::Meter;
use crate::secret::Redactor;
use crate::template::{Scope, render_text};
use crate::{Error, ErrorKind, Result, Secret};

/// Gives requests their credentials.
pub(crate) trait Authenticator: Debug + Send + Sync {
    /// The credentials of a request.
    fn credentials<'a>(
        &'a self,
        request: &'a Request,
        meter: &'a Meter,
    ) -> BoxFuture<'a, Result<Arc<Credentials>>>;

    /// Replaces credentials that the API refused; false when there are no others to be had.
    fn renew<'a>(
        &'a self,
        refused: &'a Credentials,
        meter: &'a Meter,
    ) -> BoxFuture<'a, Result<bool>>;
}

/// What authenticates one request.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    headers: Vec<(HeaderName, HeaderValue)>,
    query: Vec<(String, Secret)>,
    /// Which renewal they came from, so that many refusals of one token renew it once.
    generation: u64,
}

impl Credentials {
    /// Puts the credentials into a request to the home origin.
    pub(crate) fn apply(&self, url: &mut Url, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            if name == COOKIE && headers.contains_key(COOKIE) {
                headers.append(name, value.clone());
            } else {
                headers.insert(name, value.clone());
            }
        }
        if self.query.is_empty() {
            return;
        }
        // A link that the API gave may carry the key already.
        let kept: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(name, _)| !self.query.iter().any(|(key, _)| key == name))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let mut query = url.query_pairs_mut();
        query.clear().extend_pairs(kept);
        for (name, secret) in &self.query {
            query.append_pair(name, secret.expose());
        }
    }
}

/// Where a key or token goes.
#[derive(Clone, Debug)]
pub(crate) struct Carrier {
    name: String,
    prefix: String,
    location: ApiKeyLocation,
}

impl Carrier {
    /// RFC 6750, section 2.1.
    fn bearer() -> Self {
        Self {
            name: AUTHORIZATION.as_str().to_owned(),
            prefix: "Bearer ".to_owned(),
            location: ApiKeyLocation::Header,
        }
    }

    fn credentials(&self, token: &Secret, generation: u64) -> Result<Credentials> {
        let value = format!("{}{}", self.prefix, token.expose());
        let mut credentials = Credentials {
            generation,
            ..Credentials::default()
        };
        match self.location {
            ApiKeyLocation::Header => credentials
                .headers
                .push((header_name(&self.name)?, sensitive(&value)?)),
            ApiKeyLocation::Query => credentials.query.push((self.name.clone(), value.into())),
            ApiKeyLocation::Cookie => credentials
                .headers
                .push((COOKIE, sensitive(&format!("{}={value}", self.name))?)),
        }
        Ok(credentials)
    }
}

/// What an authenticator is made with.
#[derive(Clone, Debug)]
pub(crate) struct AuthContext<'a> {
    pub scope: Scope<'a>,
    pub transport: Arc<Transport>,
    pub retry: RetryPolicy,
    pub redactor: Redactor,
    /// Where the token endpoint or the login is, after settings moved it.
    pub token_url: Option<Url>,
    /// The names of the settings that hold the credentials, for advice.
    pub environment: Vec<String>,
    /// Where replaced refresh tokens are kept.
    pub tokens: Arc<dyn TokenStore>,
}

/// The authenticator of a plan.
pub(crate) fn authenticator(
    auth: &AuthPlan,
    context: &AuthContext<'_>,
) -> Result<Arc<dyn Authenticator>> {
    let credentials = match auth {
        AuthPlan::None => Credentials::default(),
        AuthPlan::Oauth2(oauth2) => {
            let source = oauth2::OAuth2Source::new(oauth2, context)?;
            return Ok(Arc::new(token::TokenAuth::new(
                Box::new(source),
                Carrier::bearer(),
            )));
        }
        AuthPlan::SessionToken(plan) => {
            let url = context.token_url.clone().ok_or_else(|| {
                Error::new(ErrorKind::Internal, "the plan has a login but no URL of it")
            })?;
            let source = session_token::SessionTokenSource::new(plan, url, context)?;
            let carrier = Carrier {
                name: plan.name.clone(),
                prefix: plan.prefix.clone(),
                location: plan.location,
            };
            return Ok(Arc::new(token::TokenAuth::new(Box::new(source), carrier)));
        }
        AuthPlan::Bearer { token } => Carrier::bearer().credentials(&context.secret(token)?, 0)?,
        AuthPlan::ApiKey {
            name,
            value,
            location,
        } => {
            let carrier = Carrier {
                name: name.clone(),
                prefix: String::new(),
                location: *location,
            };
            carrier.credentials(&context.secret(value)?, 0)?
        }
        AuthPlan::HttpBasic { username, password } => {
            let username = render_text(username, context.scope)?.0;
            let password = context.secret(password)?;
            Credentials {
                headers: vec![(
                    AUTHORIZATION,
                    basic(&username, &password, &context.redactor)?,
                )],
                ..Credentials::default()
            }
        }
        other => {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("this runtime does not know the authentication {other:?}"),
            ));
        }
    };
    Ok(Arc::new(Fixed(Arc::new(credentials))))
}

impl AuthContext<'_> {
    fn secret(&self, template: &connector_plan::Template) -> Result<Secret> {
        let secret = Secret::from(render_text(template, self.scope)?.0);
        self.redactor.learn(&secret);
        Ok(secret)
    }

    fn pairs(&self, templates: &[NamedTemplate]) -> Result<Vec<(String, String)>> {
        templates
            .iter()
            .map(|pair| {
                let (value, secret) = render_text(&pair.value, self.scope)?;
                if secret {
                    self.redactor.learn(&Secret::from(value.as_str()));
                }
                Ok((pair.name.clone(), value))
            })
            .collect()
    }
}

/// The same credentials for every request.
#[derive(Debug)]
struct Fixed(Arc<Credentials>);

impl Authenticator for Fixed {
    fn credentials<'a>(
        &'a self,
        _: &'a Request,
        _: &'a Meter,
    ) -> BoxFuture<'a, Result<Arc<Credentials>>> {
        Box::pin(async { Ok(Arc::clone(&self.0)) })
    }

    fn renew<'a>(&'a self, _: &'a Credentials, _: &'a Meter) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async { Ok(false) })
    }
}

/// The value of the `Authorization` header of RFC 7617.
fn basic(username: &str, password: &Secret, redactor: &Redactor) -> Result<HeaderValue> {
    let pair = format!("{username}:{}", password.expose());
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    redactor.learn(&Secret::from(encoded.as_str()));
    sensitive(&format!("Basic {encoded}"))
}

/// A header value that is kept out of logs and compression tables.
pub(crate) fn sensitive(value: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        Error::new(
            ErrorKind::Configuration,
            "a credential has characters that no HTTP header may carry",
        )
        .hint("check the secret for line breaks and other control characters")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A header name of the spec.
pub(crate) fn header_name(name: &str) -> Result<HeaderName> {
    name.parse().map_err(|_| {
        Error::new(
            ErrorKind::Configuration,
            format!("`{name}` is not the name of a header"),
        )
    })
}
