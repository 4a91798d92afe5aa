//! Header fields (RFC 9110, section 5).

use connector_plan::{NamedTemplate, Template};

use super::Lowering;
use super::template::Purpose;
use crate::diagnostic::{Diagnostic, code};
use crate::source::Span;
use crate::spec::{Named, Scalar};
use crate::words::quote;

/// Headers that the HTTP client writes itself.
const OWNED: [&str; 7] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Headers that carry credentials.
const CREDENTIALS: [&str; 8] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-access-token",
    "x-api-key",
    "api-key",
    "apikey",
    "x-auth-token",
];

impl Lowering<'_, '_> {
    /// Headers of requests.
    pub(super) fn headers(&mut self, headers: Option<&Named<Scalar>>) -> Vec<NamedTemplate> {
        let mut lowered = Vec::new();
        let mut seen: Vec<(String, Span)> = Vec::new();
        for (name, given) in headers.into_iter().flat_map(Named::given) {
            self.header_name(&name.text, name.span);
            let lower = name.text.to_ascii_lowercase();
            if let Some((_, first)) = seen.iter().find(|(known, _)| *known == lower) {
                let message = format!(
                    "the header {} is given twice: case does not matter",
                    quote(&name.text)
                );
                self.reporter.conflict(message, name.span, *first);
            }
            if OWNED.contains(&lower.as_str()) {
                self.report(
                    Diagnostic::error(
                        code::RESERVED_NAME,
                        format!("the header {} cannot be set", quote(&name.text)),
                    )
                    .label(name.span, "the HTTP client writes it")
                    .help("remove it"),
                );
            }
            let text = super::template::text_of(&given.value);
            let value = if CREDENTIALS.contains(&lower.as_str()) {
                self.credential(&text, "a header with credentials", Purpose::Other)
            } else {
                self.template(&text, Purpose::Other)
            };
            self.header_value(&value, given.span);
            seen.push((lower, name.span));
            lowered.push(NamedTemplate {
                name: name.text.clone(),
                value,
            });
        }
        lowered
    }

    /// Checks that a name is a token (RFC 9110, section 5.6.2).
    pub(super) fn header_name(&mut self, name: &str, span: Span) {
        let token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
        if name.is_empty() || !name.bytes().all(token) {
            self.report(
                Diagnostic::error(
                    code::INVALID_NAME,
                    format!("{} is not the name of a header", quote(name)),
                )
                .label(span, "expected letters, digits and `-`"),
            );
        }
    }

    /// Checks that the constant parts of a value are visible ASCII, spaces and tabs.
    fn header_value(&mut self, value: &Template, span: Span) {
        let allowed = |text: &str| text.bytes().all(|c| matches!(c, b'\t' | b' '..=b'~'));
        let valid = match value {
            Template::Literal(serde_json::Value::String(text)) => allowed(text),
            Template::Parts(parts) => parts.iter().all(|part| match part {
                connector_plan::Part::Text(text) => allowed(text),
                connector_plan::Part::Expression(_) => true,
            }),
            _ => true,
        };
        if !valid {
            let span = if span.of(self.reporter.text).contains('\n') {
                Span::new(span.start, span.start + 1)
            } else {
                span
            };
            self.invalid(
                "a header value has visible ASCII characters, spaces and tabs only",
                span,
                "this has others, such as a line break",
            );
        }
    }
}
