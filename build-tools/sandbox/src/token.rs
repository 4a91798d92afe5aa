//! The token endpoint (RFC 6749) and the tokens that it has given out.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

use base64::Engine as _;
use connector_plan::{ClientAuthentication, Grant, OAuth2};
use hyper::{
    StatusCode,
    header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, WWW_AUTHENTICATE},
};
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::{
    ExpiresIn, RequestRecord,
    assertion::AssertionCheck,
    random::{combine, hash_text, opaque},
    refusal::Refusal,
    server::Reply,
    settings::Samples,
};

/// The grant type of RFC 7523, section 2.1.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// A client that one `oauth2` section of the plan describes.
pub(crate) struct TokenEndpoint {
    /// The whole path.
    pub(crate) path: String,
    client_id: String,
    client_secret: Option<String>,
    client_authentication: ClientAuthentication,
    /// The first refresh token, when that is the grant.
    refresh_token: Option<String>,
    /// What an assertion has to be, when that is the grant.
    assertion: Option<AssertionCheck>,
    scopes: BTreeSet<String>,
    extra: Vec<(String, String)>,
}

/// How tokens are given out.
#[derive(Clone, Copy)]
pub(crate) struct TokenPolicy {
    pub(crate) lifetime: Duration,
    pub(crate) expires_in: ExpiresIn,
    pub(crate) rotate: bool,
    pub(crate) seed: u64,
}

/// The tokens given out so far.
#[derive(Default)]
pub(crate) struct TokenStore {
    /// Access tokens: the endpoint that gave them, and when they end.
    access: HashMap<String, (usize, Instant)>,
    /// The refresh token that is valid now, by endpoint, once one has been rotated.
    refresh: HashMap<usize, String>,
    given: u64,
    /// The identifiers of the assertions that have been used.
    assertions: HashSet<String>,
    /// Session tokens: the login that gave them, and when they end.
    sessions: HashMap<String, (usize, Instant)>,
}

impl TokenEndpoint {
    pub(crate) fn new(oauth2: &OAuth2, samples: &Samples) -> Result<Self, String> {
        let path = samples
            .path_of(&oauth2.token_url)
            .or_else(|| Some(url::Url::parse(&oauth2.token_url).ok()?.path().to_owned()));
        let optional = |template: Option<&_>, what| {
            template
                .map(|template| samples.text(template, what))
                .transpose()
        };
        let path = path.unwrap_or_default();
        let client_id = samples.text(&oauth2.client_id, "the client id")?;
        let assertion = match &oauth2.grant {
            Grant::JwtBearer(grant) => {
                let url = samples.url_of(&path);
                let check = AssertionCheck::new(grant, &client_id, &oauth2.scopes, &url, samples)?;
                Some(check)
            }
            Grant::ClientCredentials | Grant::RefreshToken(_) => None,
        };
        // The scopes of an assertion are in its claims.
        let scopes = match &assertion {
            Some(_) => BTreeSet::new(),
            None => oauth2.scopes.iter().cloned().collect(),
        };
        Ok(Self {
            path,
            client_id,
            assertion,
            client_secret: optional(oauth2.client_secret.as_ref(), "the client secret")?,
            client_authentication: oauth2.client_authentication,
            refresh_token: match &oauth2.grant {
                Grant::ClientCredentials | Grant::JwtBearer(_) => None,
                Grant::RefreshToken(token) => Some(samples.text(token, "the refresh token")?),
            },
            scopes,
            extra: oauth2
                .extra
                .iter()
                .map(|field| {
                    let what = format!("the token request's `{}`", field.name);
                    Ok((field.name.clone(), samples.text(&field.value, &what)?))
                })
                .collect::<Result<_, String>>()?,
        })
    }

    /// The fields of the form, when this client may have a token.
    fn admit(&self, form: &Form, store: &TokenStore, index: usize) -> Result<(), Refusal> {
        self.authenticate(form)?;
        match (form.get("grant_type"), &self.refresh_token) {
            (None, _) => return Err(invalid_request("`grant_type` is missing")),
            (Some(grant), _) if self.assertion.is_some() != (grant == JWT_BEARER) => {
                return Err(bad(
                    "unauthorized_client",
                    "this client is not authorized to use this grant",
                ));
            }
            (Some(JWT_BEARER), _) => self.admit_assertion(form, store)?,
            (Some("client_credentials"), None) => {}
            (Some("refresh_token"), Some(first)) => {
                let valid = store.refresh.get(&index).unwrap_or(first);
                match form.get("refresh_token") {
                    None => return Err(invalid_request("`refresh_token` is missing")),
                    Some(token) if token == valid => {}
                    Some(_) => {
                        return Err(bad(
                            "invalid_grant",
                            "the refresh token is invalid, expired or has been used already",
                        ));
                    }
                }
            }
            (Some("client_credentials" | "refresh_token"), _) => {
                return Err(bad(
                    "unauthorized_client",
                    "this client is not authorized to use this grant",
                ));
            }
            (Some(_), _) => {
                return Err(bad(
                    "unsupported_grant_type",
                    "expected `client_credentials` or `refresh_token`",
                ));
            }
        }
        if self.assertion.is_some() {
            return self.check_extra(form);
        }
        let asked: BTreeSet<String> = form
            .get("scope")
            .unwrap_or_default()
            .split(' ')
            .filter(|scope| !scope.is_empty())
            .map(str::to_owned)
            .collect();
        if asked != self.scopes {
            return Err(bad("invalid_scope", "the scopes are not those of the plan"));
        }
        self.check_extra(form)
    }

    /// RFC 7523, section 3.
    fn admit_assertion(&self, form: &Form, store: &TokenStore) -> Result<(), Refusal> {
        let (Some(check), Some(assertion)) = (&self.assertion, form.get("assertion")) else {
            return Err(invalid_request("`assertion` is missing"));
        };
        match check.admit(assertion) {
            Ok(id) if store.assertions.contains(&id) => {
                Err(bad("invalid_grant", "the assertion has been used already"))
            }
            Ok(_) => Ok(()),
            Err(problem) => Err(bad("invalid_grant", problem)),
        }
    }

    fn check_extra(&self, form: &Form) -> Result<(), Refusal> {
        for (name, value) in &self.extra {
            if form.get(name) != Some(value) {
                return Err(invalid_request(format!(
                    "`{name}` is missing or not that of the plan"
                )));
            }
        }
        Ok(())
    }

    /// RFC 6749, section 2.3.1.
    fn authenticate(&self, form: &Form) -> Result<(), Refusal> {
        // The assertion says who the client is, unless it has a secret beside it.
        if self.assertion.is_some() && self.client_secret.is_none() {
            return Ok(());
        }
        let in_body = form.get("client_secret").is_some();
        if form.basic.is_some() && in_body {
            return Err(invalid_request(
                "the client authenticates in more than one way",
            ));
        }
        let (id, secret) = match (self.client_authentication, &form.basic) {
            (ClientAuthentication::Basic, Some(Some((id, secret)))) => {
                (Some(id.as_str()), Some(secret.as_str()))
            }
            (ClientAuthentication::Body, None) => {
                (form.get("client_id"), form.get("client_secret"))
            }
            _ => (None, None),
        };
        // A public client authenticates by its identifier alone.
        let known = id == Some(&self.client_id)
            && secret.unwrap_or_default() == self.client_secret.as_deref().unwrap_or_default();
        if known {
            return Ok(());
        }
        let message = "the client is unknown or did not authenticate as it should";
        Err(if form.basic.is_some() {
            Refusal::new(StatusCode::UNAUTHORIZED, "invalid_client", message).header(
                WWW_AUTHENTICATE,
                "Basic realm=\"sandbox\", charset=\"UTF-8\"",
            )
        } else {
            bad("invalid_client", message)
        })
    }
}

/// Answers a request to the token endpoints of a path.
pub(crate) fn answer(
    endpoints: &[TokenEndpoint],
    request: &RequestRecord,
    store: &mut TokenStore,
    policy: TokenPolicy,
    now: Instant,
) -> Reply {
    let mut used = None;
    let given = Form::read(request).and_then(|form| {
        let mut refusal = None;
        let candidates = endpoints.iter().enumerate();
        for (index, endpoint) in candidates.filter(|(_, e)| e.path == request.path) {
            match endpoint.admit(&form, store, index) {
                Ok(()) => {
                    let check = endpoint.assertion.as_ref().zip(form.get("assertion"));
                    used = check.and_then(|(check, assertion)| check.admit(assertion).ok());
                    return Ok((index, endpoint));
                }
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        Err(refusal.unwrap_or_else(|| invalid_request("no token endpoint")))
    });
    let reply = match given {
        Ok((index, endpoint)) => {
            if let Some(id) = used {
                store.assertions.insert(id);
            }
            Reply::json(StatusCode::OK, &store.give(index, endpoint, policy, now))
        }
        Err(refusal) => refusal.token_reply(),
    };
    reply
        .header(CACHE_CONTROL, "no-store")
        .header(PRAGMA, "no-cache")
}

impl TokenStore {
    fn give(
        &mut self,
        index: usize,
        endpoint: &TokenEndpoint,
        policy: TokenPolicy,
        now: Instant,
    ) -> serde_json::Value {
        let access = self.fresh(policy.seed, "access");
        self.access
            .insert(access.clone(), (index, now + policy.lifetime));
        let mut body = json!({ "access_token": access, "token_type": "Bearer" });
        let seconds = policy.lifetime.as_secs();
        match policy.expires_in {
            ExpiresIn::Number => body["expires_in"] = seconds.into(),
            ExpiresIn::Text => body["expires_in"] = seconds.to_string().into(),
            ExpiresIn::Missing => {}
        }
        if !endpoint.scopes.is_empty() {
            let scopes: Vec<&str> = endpoint.scopes.iter().map(String::as_str).collect();
            body["scope"] = scopes.join(" ").into();
        }
        if endpoint.refresh_token.is_some() && policy.rotate {
            let refresh = self.fresh(policy.seed, "refresh");
            body["refresh_token"] = refresh.clone().into();
            self.refresh.insert(index, refresh);
        }
        body
    }

    fn fresh(&mut self, seed: u64, kind: &str) -> String {
        self.given += 1;
        opaque(combine(seed ^ hash_text(kind), self.given), 32)
    }

    /// Whether a data request with this access token may be served.
    pub(crate) fn accepts(&self, token: &str, endpoint: usize, now: Instant) -> bool {
        self.access
            .get(token)
            .is_some_and(|&(index, end)| index == endpoint && now < end)
    }

    /// A token of a login, which lives so long.
    pub(crate) fn log_in(&mut self, login: usize, seed: u64, end: Instant) -> String {
        let token = self.fresh(seed, "session");
        self.sessions.insert(token.clone(), (login, end));
        token
    }

    /// Whether a data request with this session token may be served.
    pub(crate) fn accepts_session(&self, token: &str, login: usize, now: Instant) -> bool {
        self.sessions
            .get(token)
            .is_some_and(|&(index, end)| index == login && now < end)
    }

    /// Ends every access token.
    pub(crate) fn expire(&mut self) {
        self.access.clear();
        self.sessions.clear();
    }
}

/// A token request, taken apart.
struct Form {
    fields: BTreeMap<String, String>,
    /// The client's identifier and secret from the `Authorization` header, where there is one;
    /// none when they cannot be read.
    basic: Option<Option<(String, String)>>,
}

impl Form {
    fn read(request: &RequestRecord) -> Result<Self, Refusal> {
        if request.method != hyper::Method::POST {
            let refusal = Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "invalid_request",
                "a token request is a `POST`",
            );
            return Err(refusal.header(ALLOW, "POST"));
        }
        if !request.query.is_empty() {
            return Err(invalid_request(
                "parameters belong into the body, not into the URL",
            ));
        }
        let content_type = request.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        if !is_type(content_type, "application/x-www-form-urlencoded") {
            return Err(invalid_request(
                "expected `application/x-www-form-urlencoded`",
            ));
        }
        let mut fields = BTreeMap::new();
        for (name, value) in request.form() {
            if fields.contains_key(&name) {
                return Err(invalid_request(format!("`{name}` is there more than once")));
            }
            // A parameter without a value counts as left out (section 3.2).
            if !value.is_empty() {
                fields.insert(name, value);
            }
        }
        let basic = request.header(AUTHORIZATION.as_str()).map(|header| {
            let (user, password) = basic_credentials(header)?;
            // Section 2.3.1: both are form-encoded first.
            let decode = |text: &str| {
                let spaced = text.replace('+', " ");
                percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
            };
            Some((decode(&user), decode(&password)))
        });
        Ok(Self { fields, basic })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

/// User name and password of a Basic `Authorization` header (RFC 7617).
pub(crate) fn basic_credentials(header: &str) -> Option<(String, String)> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(credentials.trim())
        .ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// Whether a `Content-Type` is of this type, whatever its parameters.
pub(crate) fn is_type(content_type: &str, expect: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(expect)
}

fn invalid_request(message: impl Into<String>) -> Refusal {
    bad("invalid_request", message)
}

fn bad(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, code, message)
}
