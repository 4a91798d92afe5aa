//! Authentication, as it is written.

use super::read::{Bare, OneOrMany};
use super::scalars::{EXACT, Whole};
use super::{Json, Named, Scalar, Text};

tagged! {
    /// How requests are authenticated. A mapping without a `type` is `bearer`.
    AuthSpec, "auth type", default "bearer" => expect large_enum_variant;
    Oauth2(OAuth2Spec) = "oauth2" | "oauth2_client_credentials";
    Bearer(BearerSpec) = "bearer";
    ApiKey(ApiKeySpec) = "api_key";
    HttpBasic(HttpBasicSpec) = "http_basic";
    SessionToken(SessionTokenSpec) = "session_token";
    None(Bare) = "none";
    Jwt(JwtSpec) = "jwt";
    => later {}
}

mapping! {
    /// An access token from a token endpoint (RFC 6749): by the refresh token when there is one,
    /// by the client's own credentials otherwise.
    OAuth2Spec, "oauth2";
    /// The token endpoint, an absolute URL. On the origin of `base_url` it moves with it.
    token_url: Text = "token_url" | "access_token_url" => required;
    /// The client identifier.
    client_id: Text = "client_id" => required;
    /// The client secret; null for a public client.
    client_secret: Text = "client_secret";
    /// The refresh token; the grant is `refresh_token` then.
    refresh_token: Text = "refresh_token";
    /// The scopes to ask for: a list, or a text with spaces between them.
    scopes: OneOrMany<Text> = "scopes" | "scope";
    /// The audience to ask for.
    audience: Text = "audience";
    /// How the client authenticates to the token endpoint.
    client_authentication: ClientAuthenticationSpec = "client_authentication", default "body";
    /// Further fields of the token request.
    extra: Named<Scalar> = "extra" | "access_token_request_data";
    /// The lifetime of a token whose response does not tell one, in seconds.
    default_expires_in: Whole<1, EXACT> = "default_expires_in" | "default_token_expiration",
        default 3600;
    later {
        "access_token" => "use `type: bearer` for a fixed token",
        "session" => "",
    }
}

choice! {
    /// How the client authenticates to the token endpoint (RFC 6749, section 2.3.1).
    ClientAuthenticationSpec, "client authentication";
    Body = "body";
    Basic = "basic";
    => later {}
}

mapping! {
    /// An access token for an assertion that the client signs itself (RFC 7523).
    JwtSpec, "jwt";
    /// The token endpoint, an absolute URL. On the origin of `base_url` it moves with it.
    token_url: Text = "token_url" | "auth_endpoint" | "access_token_url" => required;
    /// Who signs: the claim `iss`, and `sub` where that has no key of its own.
    client_id: Text = "client_id" | "issuer" => required;
    /// For whom: the claim `sub`.
    subject: Text = "subject";
    /// The claim `aud`; by default the token endpoint.
    audience: Text = "audience";
    /// The private key in PEM, for `HS256` and the like the secret itself. Line breaks may be
    /// written as `\n`.
    private_key: Text = "private_key" | "secret_key", default "{{ secrets.private_key }}";
    /// The identifier of the key, the header `kid`.
    key_id: Text = "key_id";
    /// The signature (RFC 7518, section 3.1).
    algorithm: JwtAlgorithmSpec = "algorithm", default "RS256";
    /// The scopes to ask for, as the claim `scope`: a list, or a text with spaces between them.
    scopes: OneOrMany<Text> = "scopes" | "scope";
    /// Further claims.
    claims: Named<Scalar> = "claims";
    /// How long an assertion is valid, in seconds.
    lifetime: Whole<1, EXACT> = "lifetime", default 3600;
    /// The client secret, where the token endpoint wants one beside the assertion.
    client_secret: Text = "client_secret";
    /// How the client authenticates to the token endpoint, when it has a secret.
    client_authentication: ClientAuthenticationSpec = "client_authentication", default "body";
    /// Further fields of the token request.
    extra: Named<Scalar> = "extra" | "access_token_request_data";
    /// The lifetime of a token whose response does not tell one, in seconds.
    default_expires_in: Whole<1, EXACT> = "default_expires_in" | "default_token_expiration",
        default 3600;
    later {
        "private_key_passphrase" => "give the key without one: `openssl pkcs8 -in key.pem -out plain.pem`",
        "headers" => "write fields of the token request as `extra`",
        "session" => "",
    }
}

choice! {
    /// How an assertion is signed.
    JwtAlgorithmSpec, "algorithm";
    Rs256 = "RS256";
    Rs384 = "RS384";
    Rs512 = "RS512";
    Es256 = "ES256";
    Es384 = "ES384";
    Hs256 = "HS256";
    Hs384 = "HS384";
    Hs512 = "HS512";
    => later {}
}

mapping! {
    /// A fixed token in the `Authorization` header (RFC 6750).
    BearerSpec, "bearer";
    /// The token.
    token: Text = "token", default "{{ secrets.token }}";
    later {}
}

mapping! {
    /// A fixed key.
    ApiKeySpec, "api_key";
    /// The name of the header, parameter or cookie.
    name: Text = "name", default "Authorization";
    /// The key.
    api_key: Text = "api_key", default "{{ secrets.api_key }}";
    /// Where the key goes.
    location: LocationSpec = "location", default "header";
    later {}
}

choice! {
    /// Where an API key goes.
    LocationSpec, "location";
    Header = "header";
    Query = "query" | "param";
    Cookie = "cookie";
    => later {}
}

mapping! {
    /// User name and password (RFC 7617).
    HttpBasicSpec, "http_basic";
    /// The user name.
    username: Text = "username", default "{{ secrets.username }}";
    /// The password.
    password: Text = "password", default "{{ secrets.password }}";
    later {}
}

mapping! {
    /// A token that a login request gives; a refused token is replaced by logging in again.
    SessionTokenSpec, "session_token";
    /// The path of the login below `base_url`; the method is `POST`.
    login_path: Text = "login_path" => required;
    /// Headers of the login.
    headers: Named<Scalar> = "headers";
    /// The members of the login's JSON body.
    json: Named<Json> = "json";
    /// The fields of the login's form body.
    data: Named<Scalar> = "data";
    /// Where the token is in the answer, a dotted path.
    token_path: Text = "token_path", default "token";
    /// The name of the header, parameter or cookie that carries the token.
    name: Text = "name", default "Authorization";
    /// What stands before the token: `Bearer ` in the header `Authorization`, otherwise nothing.
    prefix: Text = "prefix";
    /// Where the token goes.
    location: LocationSpec = "location", default "header";
    /// The lifetime of a token, in seconds.
    expires_in: Whole<1, EXACT> = "expires_in", default 3600;
    later {}
}
