//! Tokens that a login request gives.

use connector_plan::{ApiKeyLocation, Method, SessionToken, Step};

use super::Lowering;
use super::request::{has_expression, is_credential};
use crate::source::Span;
use crate::spec::{EndpointMapping, Given, Key, MethodSpec, Named, SessionTokenSpec};
use crate::yaml::{self, Name, Node};

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
        let mut literals = Vec::new();
        for (name, given) in spec.json.get().into_iter().flat_map(Named::given) {
            literal_credentials(&name.text, &given.value.node, &mut literals);
        }
        for (name, given) in spec.data.get().into_iter().flat_map(Named::given) {
            if is_credential(&name.text) && !has_expression(&given.value.value) {
                literals.push(given.span);
            }
        }
        for span in literals {
            self.reporter.secrets.push(span);
            self.invalid(
                "a credential must not stand in the spec",
                span,
                "write it as `\"{{ secrets.password }}\"`",
            );
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

/// Where credentials stand in a body as they are, anywhere in it.
fn literal_credentials(name: &str, node: &Node, found: &mut Vec<Span>) {
    match &node.value {
        yaml::Value::Mapping(entries) => {
            for entry in entries {
                literal_credentials(&entry.key.text, &entry.node, found);
            }
        }
        yaml::Value::Sequence(elements) => {
            for element in elements {
                literal_credentials(name, element, found);
            }
        }
        yaml::Value::Null => {}
        _ => {
            let value = node.to_json().unwrap_or_default();
            if is_credential(name) && !has_expression(&value) {
                found.push(node.span);
            }
        }
    }
}
