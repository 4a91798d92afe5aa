//! Authentication.

use connector_plan::{
    ApiKeyLocation, Auth, ClientAuthentication, Expression, Grant, Lookup, NamedTemplate, OAuth2,
    Root, Step, Template,
};

use super::Lowering;
use super::request::is_credential;
use super::template::{Purpose, ScalarText, text_of};
use super::url::Url;
use crate::diagnostic::{Diagnostic, code};
use crate::source::Span;
use crate::spec::read::OneOrMany;
use crate::spec::{
    ApiKeySpec, AuthSpec, ClientAuthenticationSpec, HttpBasicSpec, Key, LocationSpec, Named,
    OAuth2Spec, Scalar, Text,
};
use crate::words::quote;

/// Fields of a token request that have keys of their own.
const TOKEN_FIELDS: [&str; 6] = [
    "audience",
    "client_id",
    "client_secret",
    "grant_type",
    "refresh_token",
    "scope",
];

impl Lowering<'_, '_> {
    /// How requests are authenticated; `key` is where the spec says so.
    pub(super) fn auth(&mut self, auth: &AuthSpec, key: Span) -> Auth {
        match auth {
            AuthSpec::None(_) => Auth::None,
            AuthSpec::Oauth2(spec) => Auth::Oauth2(self.oauth2(spec)),
            AuthSpec::Jwt(spec) => Auth::Oauth2(self.jwt(spec, key)),
            AuthSpec::Bearer(spec) => Auth::Bearer {
                token: self.secret_or(&spec.token, "token", Purpose::Token, key),
            },
            AuthSpec::ApiKey(spec) => self.api_key(spec, key),
            AuthSpec::HttpBasic(spec) => self.http_basic(spec, key),
            AuthSpec::SessionToken(spec) => Auth::SessionToken(self.session_token(spec)),
        }
    }

    /// A credential, by default the secret of this name.
    pub(super) fn secret_or(
        &mut self,
        given: &Key<Text>,
        name: &str,
        purpose: Purpose,
        key: Span,
    ) -> Template {
        if let Some(text) = given.get() {
            let what = format!("the {}", name.replace('_', " "));
            return self.credential(&text.into(), &what, purpose);
        }
        if given.is_unset()
            && let Some(diagnostic) = self.inputs.refer(name, true, key, purpose)
        {
            self.report(diagnostic);
        }
        Template::Expression(Expression::Lookup(Lookup {
            root: Root::Secrets,
            path: vec![Step::Key(name.to_owned())],
            default: None,
        }))
    }

    /// Where a key or token goes, and under which name.
    pub(super) fn carrier(
        &mut self,
        name: &Key<Text>,
        location: &Key<LocationSpec>,
    ) -> (String, ApiKeyLocation) {
        let location = match location.get() {
            None | Some(LocationSpec::Header) => ApiKeyLocation::Header,
            Some(LocationSpec::Query) => ApiKeyLocation::Query,
            Some(LocationSpec::Cookie) => ApiKeyLocation::Cookie,
        };
        let name = match name.get() {
            None => "Authorization".to_owned(),
            Some(text) => {
                if location != ApiKeyLocation::Query {
                    self.header_name(&text.value, text.span);
                } else if text.value.is_empty() {
                    self.invalid("the name of a parameter is empty", text.span, "");
                }
                text.value.clone()
            }
        };
        (name, location)
    }

    fn api_key(&mut self, spec: &ApiKeySpec, key: Span) -> Auth {
        let (name, location) = self.carrier(&spec.name, &spec.location);
        Auth::ApiKey {
            name,
            value: self.secret_or(&spec.api_key, "api_key", Purpose::ApiKey, key),
            location,
        }
    }

    fn http_basic(&mut self, spec: &HttpBasicSpec, key: Span) -> Auth {
        // A user name may stand in the spec: some APIs have a fixed one.
        let username = match spec.username.get() {
            Some(text) => self.template(&text.into(), Purpose::Username),
            None => self.secret_or(&spec.username, "username", Purpose::Username, key),
        };
        if let (Some(name), Some(text)) = (username.as_text(), spec.username.get())
            && name.contains(':')
        {
            self.invalid(
                "a user name cannot have a colon",
                text.span,
                "it would end there (RFC 7617, section 2)",
            );
        }
        Auth::HttpBasic {
            username,
            password: self.secret_or(&spec.password, "password", Purpose::Password, key),
        }
    }

    fn oauth2(&mut self, spec: &OAuth2Spec) -> OAuth2 {
        let token_url = self.token_url(&spec.token_url, "`oauth2`", spec.blame);
        let client_id = self.client_id(&spec.client_id, "`oauth2`", spec.blame);
        let client_secret = match &spec.client_secret {
            Key::Given(given) => Some(self.credential(
                &(&given.value).into(),
                "the client secret",
                Purpose::ClientSecret,
            )),
            Key::Absent => {
                self.missing(
                    "client_secret",
                    "`oauth2`",
                    spec.blame,
                    "write `client_secret: \"{{ secrets.client_secret }}\"`, or `client_secret: null` for a public client",
                );
                None
            }
            Key::Null(_) | Key::Invalid(_) => None,
        };
        let grant = match spec.refresh_token.get() {
            None => Grant::ClientCredentials,
            Some(text) => Grant::RefreshToken(self.credential(
                &text.into(),
                "the refresh token",
                Purpose::RefreshToken,
            )),
        };
        if let (Key::Null(span), Grant::ClientCredentials) = (&spec.client_secret, &grant) {
            self.report(
                Diagnostic::error(
                    code::INVALID_VALUE,
                    "a public client has no credentials of its own",
                )
                .label(*span, "without a secret")
                .note("the grant is `client_credentials`, because there is no `refresh_token`")
                .help("write `refresh_token: \"{{ secrets.refresh_token }}\"`"),
            );
        }
        OAuth2 {
            grant,
            token_url,
            client_id,
            client_secret,
            scopes: self.scopes(&spec.scopes),
            extra: self.token_extra(&spec.extra, &spec.audience, &TOKEN_FIELDS),
            client_authentication: client_authentication(&spec.client_authentication),
            default_expires_in: spec.default_expires_in.get().map_or(3600, |value| value.0),
        }
    }

    /// The token endpoint of `what`.
    pub(super) fn token_url(&mut self, key: &Key<Text>, what: &str, blame: Span) -> String {
        let Some(text) = key.get() else {
            if key.is_unset() {
                self.missing(
                    "token_url",
                    what,
                    blame,
                    "write `token_url: https://api.example.com/oauth/token`",
                );
            }
            return String::new();
        };
        if text.value.contains(['{', '}']) {
            self.reporter.not_supported(
                "an expression in `token_url`",
                text.span,
                "write the usual URL: a connector with `oauth2` has a setting `token_url` that replaces it",
            );
        } else if let Err(problem) = Url::parse(&text.value) {
            if problem.contains("credentials") {
                self.reporter.secrets.push(text.span);
                self.invalid("`token_url` holds credentials", text.span, problem);
            } else {
                self.invalid(
                    format!("{} is not an absolute URL", quote(&text.value)),
                    text.span,
                    problem,
                );
            }
        }
        text.value.clone()
    }

    /// The client identifier of `what`.
    pub(super) fn client_id(&mut self, key: &Key<Text>, what: &str, blame: Span) -> Template {
        if let Some(text) = key.get() {
            return self.template(&text.into(), Purpose::ClientId);
        }
        if key.is_unset() {
            self.missing(
                "client_id",
                what,
                blame,
                "write `client_id: \"{{ secrets.client_id }}\"`",
            );
        }
        Template::text("")
    }

    /// Scopes; a text holds several, with spaces between them (RFC 6749, section 3.3).
    pub(super) fn scopes(&mut self, key: &Key<OneOrMany<Text>>) -> Vec<String> {
        let mut scopes = Vec::new();
        for text in key.get().map_or(&[][..], |scopes| &scopes.0) {
            let visible = |c: char| matches!(c, '!' | '#'..='[' | ']'..='~');
            for scope in text.value.split_whitespace() {
                if scope.contains(['{', '}']) || !scope.chars().all(visible) {
                    self.invalid(
                        format!("{} is not a scope", quote(scope)),
                        text.span,
                        "scopes are constant, of visible ASCII without quotes and backslashes",
                    );
                }
                scopes.push(scope.to_owned());
            }
        }
        scopes
    }

    /// Further fields of a token request; `own` are those that have keys.
    pub(super) fn token_extra(
        &mut self,
        fields: &Key<Named<Scalar>>,
        audience: &Key<Text>,
        own: &[&str],
    ) -> Vec<NamedTemplate> {
        let mut extra = Vec::new();
        if let Some(text) = audience.get() {
            extra.push(NamedTemplate {
                name: "audience".to_owned(),
                value: self.template(&text.into(), Purpose::Other),
            });
        }
        for (name, given) in fields.get().into_iter().flat_map(Named::given) {
            let own = match name.text.as_str() {
                "audience" if audience.is_unset() => None,
                known if !own.contains(&known) => None,
                "scope" => Some("scopes"),
                known => Some(known),
            };
            if let Some(own) = own {
                self.report(
                    Diagnostic::error(
                        code::CONFLICT,
                        format!(
                            "{} of the token request has a key of its own",
                            quote(&name.text)
                        ),
                    )
                    .label(name.span, "this would be sent twice")
                    .help(match own {
                        "grant_type" => {
                            "remove it: the grant follows from `refresh_token`".to_owned()
                        }
                        "assertion" => "remove it: the runtime signs one".to_owned(),
                        own => format!("write it as `{own}` beside `token_url`"),
                    }),
                );
            }
            let value: ScalarText = text_of(&given.value);
            let value = if is_credential(&name.text) {
                self.credential(&value, &quote(&name.text), Purpose::Other)
            } else {
                self.template(&value, Purpose::Other)
            };
            extra.push(NamedTemplate {
                name: name.text.clone(),
                value,
            });
        }
        extra
    }
}

/// How a client authenticates, by default in the body.
pub(super) fn client_authentication(key: &Key<ClientAuthenticationSpec>) -> ClientAuthentication {
    match key.get() {
        None | Some(ClientAuthenticationSpec::Body) => ClientAuthentication::Body,
        Some(ClientAuthenticationSpec::Basic) => ClientAuthentication::Basic,
    }
}
