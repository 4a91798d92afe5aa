//! Assertions that the client signs itself.

use connector_plan::{Grant, JwtAlgorithm, JwtGrant, NamedTemplate, OAuth2};

use super::Lowering;
use super::auth::client_authentication;
use super::template::{Purpose, text_of};
use crate::diagnostic::{Diagnostic, code};
use crate::source::Span;
use crate::spec::{JwtAlgorithmSpec, JwtSpec, Key, Named};
use crate::words::quote;

/// Fields of a token request that are there already.
const TOKEN_FIELDS: [&str; 4] = ["assertion", "client_id", "client_secret", "grant_type"];
/// Claims that have keys of their own, and these.
const CLAIMS: [(&str, &str); 7] = [
    ("aud", "audience"),
    ("exp", "lifetime"),
    ("iat", ""),
    ("iss", "client_id"),
    ("jti", ""),
    ("scope", "scopes"),
    ("sub", "subject"),
];

impl Lowering<'_, '_> {
    /// The grant of RFC 7523; `key` is where the spec says so.
    pub(super) fn jwt(&mut self, spec: &JwtSpec, key: Span) -> OAuth2 {
        let text = |this: &mut Self, key: &Key<crate::spec::Text>| {
            key.get()
                .map(|text| this.template(&text.into(), Purpose::Other))
        };
        let grant = JwtGrant {
            subject: text(self, &spec.subject),
            audience: text(self, &spec.audience),
            key: self.secret_or(&spec.private_key, "private_key", Purpose::PrivateKey, key),
            key_id: text(self, &spec.key_id),
            algorithm: match spec.algorithm.get() {
                None | Some(JwtAlgorithmSpec::Rs256) => JwtAlgorithm::Rs256,
                Some(JwtAlgorithmSpec::Rs384) => JwtAlgorithm::Rs384,
                Some(JwtAlgorithmSpec::Rs512) => JwtAlgorithm::Rs512,
                Some(JwtAlgorithmSpec::Es256) => JwtAlgorithm::Es256,
                Some(JwtAlgorithmSpec::Es384) => JwtAlgorithm::Es384,
                Some(JwtAlgorithmSpec::Hs256) => JwtAlgorithm::Hs256,
                Some(JwtAlgorithmSpec::Hs384) => JwtAlgorithm::Hs384,
                Some(JwtAlgorithmSpec::Hs512) => JwtAlgorithm::Hs512,
            },
            lifetime: spec.lifetime.get().map_or(3600, |value| value.0),
            claims: self.claims(spec),
        };
        OAuth2 {
            grant: Grant::JwtBearer(Box::new(grant)),
            token_url: self.token_url(&spec.token_url, "`jwt`", spec.blame),
            client_id: self.client_id(&spec.client_id, "`jwt`", spec.blame),
            client_secret: spec.client_secret.get().map(|text| {
                self.credential(&text.into(), "the client secret", Purpose::ClientSecret)
            }),
            scopes: self.scopes(&spec.scopes),
            extra: self.token_extra(&spec.extra, &Key::Absent, &TOKEN_FIELDS),
            client_authentication: client_authentication(&spec.client_authentication),
            default_expires_in: spec.default_expires_in.get().map_or(3600, |value| value.0),
        }
    }

    fn claims(&mut self, spec: &JwtSpec) -> Vec<NamedTemplate> {
        let mut claims = Vec::new();
        for (name, given) in spec.claims.get().into_iter().flat_map(Named::given) {
            if let Some((_, key)) = CLAIMS.iter().find(|(claim, _)| *claim == name.text) {
                self.report(
                    Diagnostic::error(
                        code::CONFLICT,
                        format!("the claim {} is there already", quote(&name.text)),
                    )
                    .label(name.span, "this would be there twice")
                    .help(match *key {
                        "" => "remove it: every assertion has its own".to_owned(),
                        key => format!("write it as `{key}` beside `token_url`"),
                    }),
                );
            }
            claims.push(NamedTemplate {
                name: name.text.clone(),
                value: self.template(&text_of(&given.value), Purpose::Other),
            });
        }
        claims
    }
}
