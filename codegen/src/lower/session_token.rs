//! Tokens that a login request gives.

use connector_plan::{ApiKeyLocation, Method, Part, SessionToken, Step, Template};

use super::Lowering;
use crate::source::Span;
use crate::spec::{EndpointMapping, Given, Key, MethodSpec, Named, SessionTokenSpec};
use crate::yaml::Name;

/// Members of a login that are never written into a spec.
const SECRET_FIELDS: [&str; 5] = ["api_key", "apikey", "pass", "password", "secret"];

impl Lowering<'_, '_> {
    pub(super) fn session_token(&mut self, spec: &SessionTokenSpec) -> SessionToken {
        if spec.login_path.is_unset() {
            self.missing(
                "login_path",
                "`session_token`",
                spec.blame,
                "write `login_path: /session`, the path of the request that logs in",
            );
        }
        // The login is a request like any other: its body is read by the same rules.
        let mut endpoint = EndpointMapping::empty(spec.blame);
        endpoint.json = spec.json.clone();
        endpoint.data = spec.data.clone();
        endpoint.method = Key::Given(Given {
            key: Name {
                text: "method".to_owned(),
                span: spec.blame,
            },
            span: spec.blame,
            value: MethodSpec::Post,
        });
        let request = self.request(&endpoint, "", spec.blame);
        debug_assert_eq!(request.method, Method::Post);
        let json = spec.json.get().into_iter().flat_map(Named::given);
        let data = spec.data.get().into_iter().flat_map(Named::given);
        let written: Vec<(String, Span)> = json
            .map(|(name, given)| (name.text.to_ascii_lowercase(), given.span))
            .chain(data.map(|(name, given)| (name.text.to_ascii_lowercase(), given.span)))
            .collect();
        for (member, _) in request.body.iter().flat_map(|body| &body.members) {
            let name = member.name.to_ascii_lowercase();
            let Some((_, span)) = written.iter().find(|(known, _)| *known == name) else {
                continue;
            };
            if SECRET_FIELDS.contains(&name.as_str()) && is_constant(&member.value) {
                self.reporter.secrets.push(*span);
                self.invalid(
                    "a credential must not stand in the spec",
                    *span,
                    "write it as `\"{{ secrets.password }}\"`",
                );
            }
        }
        let (_, body) = request.finish();
        let (name, location) = self.carrier(&spec.name, &spec.location);
        let prefix = match spec.prefix.get() {
            Some(text) => text.value.clone(),
            None if location == ApiKeyLocation::Header
                && name.eq_ignore_ascii_case("authorization") =>
            {
                "Bearer ".to_owned()
            }
            None => String::new(),
        };
        SessionToken {
            login_path: self.login_path(spec),
            headers: self.headers(spec.headers.get()),
            body,
            token_path: match spec.token_path.get() {
                Some(text) => self.single_path(text),
                None => vec![Step::Key("token".to_owned())],
            },
            name,
            prefix,
            location,
            expires_in: spec.expires_in.get().map_or(3600, |value| value.0),
        }
    }

    fn login_path(&mut self, spec: &SessionTokenSpec) -> String {
        let Some(text) = spec.login_path.get() else {
            return String::new();
        };
        if text.value.contains("://") || text.value.contains(['?', '#', '{', '}']) {
            self.invalid(
                "the login is a constant path below `base_url`",
                text.span,
                "credentials go to the origin of the API only",
            );
        }
        text.value.clone()
    }
}

fn is_constant(template: &Template) -> bool {
    match template {
        Template::Literal(value) => !value.is_null(),
        Template::Parts(parts) => parts.iter().all(|part| matches!(part, Part::Text(_))),
        Template::Expression(_) => false,
    }
}
