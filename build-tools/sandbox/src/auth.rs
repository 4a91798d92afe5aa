//! Who may read data.

use std::time::Instant;

use connector_plan::{ApiKeyLocation, Auth};
use hyper::{
    StatusCode,
    header::{AUTHORIZATION, COOKIE, WWW_AUTHENTICATE},
};

use crate::{
    RequestRecord,
    login::Login,
    refusal::Refusal,
    settings::Samples,
    token::{TokenEndpoint, TokenStore, basic_credentials},
};

/// What a data request has to bring.
pub(crate) enum AuthCheck {
    Nothing,
    /// A token from this endpoint.
    Token(usize),
    Bearer(String),
    ApiKey {
        name: String,
        value: String,
        location: ApiKeyLocation,
    },
    Basic(String, String),
    /// A token of this login.
    Session {
        login: usize,
        name: String,
        prefix: String,
        location: ApiKeyLocation,
    },
}

impl AuthCheck {
    /// The check of one `auth` section; a token endpoint is added to `endpoints`.
    pub(crate) fn new(
        auth: &Auth,
        samples: &Samples,
        endpoints: &mut Vec<TokenEndpoint>,
        logins: &mut Vec<Login>,
    ) -> Result<Self, String> {
        Ok(match auth {
            Auth::None => Self::Nothing,
            Auth::Oauth2(oauth2) => {
                endpoints.push(TokenEndpoint::new(oauth2, samples)?);
                Self::Token(endpoints.len() - 1)
            }
            Auth::Bearer { token } => Self::Bearer(samples.text(token, "the bearer token")?),
            Auth::ApiKey {
                name,
                value,
                location,
            } => Self::ApiKey {
                name: name.clone(),
                value: samples.text(value, "the API key")?,
                location: *location,
            },
            Auth::HttpBasic { username, password } => Self::Basic(
                samples.text(username, "the user name")?,
                samples.text(password, "the password")?,
            ),
            Auth::SessionToken(plan) => {
                logins.push(Login::new(plan, samples)?);
                Self::Session {
                    login: logins.len() - 1,
                    name: plan.name.clone(),
                    prefix: plan.prefix.clone(),
                    location: plan.location,
                }
            }
            _ => return Err("the sandbox does not know this kind of authentication".to_owned()),
        })
    }

    /// The query parameter that carries the key.
    pub(crate) fn query(&self) -> Option<&str> {
        match self {
            Self::ApiKey {
                name,
                location: ApiKeyLocation::Query,
                ..
            }
            | Self::Session {
                name,
                location: ApiKeyLocation::Query,
                ..
            } => Some(name),
            _ => None,
        }
    }

    /// Refuses a request without the right credentials.
    pub(crate) fn check(
        &self,
        request: &RequestRecord,
        tokens: &TokenStore,
        now: Instant,
    ) -> Result<(), Refusal> {
        if request.headers.get_all(AUTHORIZATION).iter().count() > 1 {
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "`Authorization` is there more than once",
            ));
        }
        let authorization = request.header(AUTHORIZATION.as_str());
        match self {
            Self::Nothing => Ok(()),
            Self::Token(endpoint) => {
                bearer(authorization, |token| tokens.accepts(token, *endpoint, now))
            }
            Self::Session {
                login,
                name,
                prefix,
                location,
            } => {
                let given = carried(request, name, *location);
                let token = given.as_deref().and_then(|text| text.strip_prefix(prefix));
                if token.is_some_and(|token| tokens.accepts_session(token, *login, now)) {
                    Ok(())
                } else {
                    Err(unauthorized(
                        "Session realm=\"sandbox\"",
                        "the session token is missing, unknown or expired",
                    ))
                }
            }
            Self::Bearer(expect) => bearer(authorization, |token| token == expect),
            Self::Basic(user, password) => {
                let given = authorization.and_then(basic_credentials);
                if given.is_some_and(|(u, p)| u == *user && p == *password) {
                    Ok(())
                } else {
                    Err(unauthorized(
                        "Basic realm=\"sandbox\", charset=\"UTF-8\"",
                        "user name or password are missing or wrong",
                    ))
                }
            }
            Self::ApiKey {
                name,
                value,
                location,
            } => {
                if carried(request, name, *location).as_ref() == Some(value) {
                    Ok(())
                } else {
                    Err(unauthorized(
                        "ApiKey realm=\"sandbox\"",
                        &format!("the key `{name}` is missing or wrong"),
                    ))
                }
            }
        }
    }
}

/// What a request carries under a name.
fn carried(request: &RequestRecord, name: &str, location: ApiKeyLocation) -> Option<String> {
    match location {
        ApiKeyLocation::Header => request.header(name).map(str::to_owned),
        ApiKeyLocation::Query => request.param(name).map(str::to_owned),
        ApiKeyLocation::Cookie => cookie(request, name),
    }
}

/// RFC 6750, section 3: a request that does not even try is not told what is wrong with it.
fn bearer(authorization: Option<&str>, accept: impl Fn(&str) -> bool) -> Result<(), Refusal> {
    let Some(header) = authorization else {
        return Err(unauthorized("Bearer realm=\"sandbox\"", "no access token"));
    };
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && accept(token) => Ok(()),
        _ => Err(unauthorized(
            "Bearer realm=\"sandbox\", error=\"invalid_token\", \
             error_description=\"the access token is unknown or expired\"",
            "the access token is unknown or expired",
        )),
    }
}

/// RFC 6265, section 4.2.1.
fn cookie(request: &RequestRecord, name: &str) -> Option<String> {
    request
        .headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

fn unauthorized(challenge: &str, message: &str) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
        .header(WWW_AUTHENTICATE, challenge)
}
