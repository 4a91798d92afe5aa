//! How every request of a connector is made.

use serde::{Deserialize, Serialize};

use crate::{Body, Path, Template, Wait};

/// How every request of a connector is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// The URL that paths are appended to, without a trailing slash; credentials go to its origin
    /// only.
    pub base_url: String,
    /// Headers of every request.
    pub headers: Vec<NamedTemplate>,
    /// How requests are authenticated.
    pub auth: Auth,
    /// Which failures are tried again.
    pub retry: Retry,
    /// A limit that the API states.
    pub rate_limit: Option<RateLimit>,
    /// How long to wait for the API.
    pub timeouts: Timeouts,
    /// The most requests under way at once, at least 1.
    pub concurrency: u32,
    /// Hosts beside the base URL's that links and redirects may lead to; they get no credentials.
    pub allowed_hosts: Vec<String>,
}

/// A name with a value that may contain expressions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedTemplate {
    /// The name.
    pub name: String,
    /// The value.
    pub value: Template,
}

/// How requests are authenticated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Auth {
    /// Not at all.
    None,
    /// An access token from a token endpoint (RFC 6749).
    Oauth2(OAuth2),
    /// A fixed token in the `Authorization` header (RFC 6750).
    Bearer {
        /// The token.
        token: Template,
    },
    /// A fixed key.
    ApiKey {
        /// The name of the header, parameter or cookie.
        name: String,
        /// The key.
        value: Template,
        /// Where it goes.
        location: ApiKeyLocation,
    },
    /// User name and password (RFC 7617).
    HttpBasic {
        /// The user name.
        username: Template,
        /// The password.
        password: Template,
    },
    /// A token that a login request gives.
    SessionToken(SessionToken),
}

/// A token that a login request gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionToken {
    /// The path of the login below the base URL; the method is `POST`.
    pub login_path: String,
    /// Headers of the login.
    pub headers: Vec<NamedTemplate>,
    /// The body of the login.
    pub body: Option<Body>,
    /// Where the token is in the answer.
    pub token_path: Path,
    /// The name of the header, parameter or cookie that carries the token.
    pub name: String,
    /// What stands before the token.
    pub prefix: String,
    /// Where it goes.
    pub location: ApiKeyLocation,
    /// The lifetime of a token, in seconds; a `401` ends it earlier.
    pub expires_in: u64,
}

/// Where an API key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiKeyLocation {
    /// A request header.
    Header,
    /// A query parameter.
    Query,
    /// A cookie.
    Cookie,
}

/// An access token from a token endpoint (RFC 6749).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth2 {
    /// The grant.
    pub grant: Grant,
    /// The token endpoint as the spec writes it; on the spec's own origin it moves with the base
    /// URL.
    pub token_url: String,
    /// The client identifier.
    pub client_id: Template,
    /// The client secret; public clients have none.
    pub client_secret: Option<Template>,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
    /// Further fields of the token request, such as `audience`.
    pub extra: Vec<NamedTemplate>,
    /// How the client authenticates to the token endpoint (RFC 6749, section 2.3.1).
    pub client_authentication: ClientAuthentication,
    /// The lifetime of a token whose response does not tell one, in seconds.
    pub default_expires_in: u64,
}

/// The grant of a token request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// RFC 6749, section 4.4.
    ClientCredentials,
    /// RFC 6749, section 6.
    RefreshToken(Template),
    /// RFC 7523, section 2.1.
    JwtBearer(Box<JwtGrant>),
}

/// An assertion that the client signs itself (RFC 7523).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtGrant {
    /// The claim `sub`; the issuer, which is the client, without one.
    pub subject: Option<Template>,
    /// The claim `aud`; the token endpoint without one.
    pub audience: Option<Template>,
    /// The private key in PEM, for HMAC the secret itself.
    pub key: Template,
    /// The header `kid`.
    pub key_id: Option<Template>,
    /// How it is signed.
    pub algorithm: JwtAlgorithm,
    /// How long an assertion is valid, in seconds.
    pub lifetime: u64,
    /// Further claims.
    pub claims: Vec<NamedTemplate>,
}

/// A signature of RFC 7518, section 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum JwtAlgorithm {
    /// RSA, PKCS #1 v1.5, SHA-256.
    Rs256,
    /// RSA, PKCS #1 v1.5, SHA-384.
    Rs384,
    /// RSA, PKCS #1 v1.5, SHA-512.
    Rs512,
    /// ECDSA, P-256, SHA-256.
    Es256,
    /// ECDSA, P-384, SHA-384.
    Es384,
    /// HMAC, SHA-256.
    Hs256,
    /// HMAC, SHA-384.
    Hs384,
    /// HMAC, SHA-512.
    Hs512,
}

impl JwtAlgorithm {
    /// The name in the header `alg`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }
}

/// How the client authenticates to the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthentication {
    /// `client_id` and `client_secret` in the form body.
    Body,
    /// HTTP Basic.
    Basic,
}

/// Which failures are tried again, and after how long.
///
/// The n-th wait is drawn evenly from 0 to `backoff_factor × 2^(n-1)` seconds ("full jitter"),
/// at most `max_delay`. A `Retry-After` header (RFC 9110, section 10.2.3) replaces it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// The statuses that are tried again; transport errors and cut bodies always are.
    pub statuses: Vec<u16>,
    /// The attempts after the first.
    pub max_retries: u32,
    /// The first wait, in seconds.
    pub backoff_factor: f64,
    /// The longest wait, in seconds.
    pub max_delay: f64,
    /// Whether waits are drawn at random rather than taken in full.
    pub jitter: bool,
    /// Waits that come before all others, in the order of preference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<Wait>,
}

/// A limit that the API states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// The requests allowed, at least 1.
    pub requests: u32,
    /// In this many seconds, at least 1.
    pub seconds: u32,
}

/// How long to wait for the API, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// For a connection.
    pub connect: f64,
    /// Between two reads of a body.
    pub read: f64,
    /// For a whole request.
    pub total: f64,
}
