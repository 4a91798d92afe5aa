//! Resolves text with expressions against what the spec declares.

use connector_plan::{Expression, Lookup, NamedTemplate, Part, Root, Step, Template};
use serde_json::Value;

use super::Lowering;
use super::request::has_expression;
use crate::diagnostic::{Diagnostic, code};
use crate::expression::{self, Found, Piece, Problem};
use crate::source::Span;
use crate::spec::{Scalar, Text};
use crate::words::quote;
use crate::yaml::{self, Node};

/// What a value is for, which describes the secrets that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    ClientId,
    ClientSecret,
    RefreshToken,
    PrivateKey,
    Token,
    ApiKey,
    Username,
    Password,
    Other,
}

impl Purpose {
    /// The usual name of such a secret.
    fn secret(self) -> &'static str {
        match self {
            Self::ClientId => "client_id",
            Self::ClientSecret => "client_secret",
            Self::RefreshToken => "refresh_token",
            Self::PrivateKey => "private_key",
            Self::Token => "token",
            Self::ApiKey => "api_key",
            Self::Username => "username",
            Self::Password => "password",
            Self::Other => "name",
        }
    }

    /// The description of a secret that the spec does not declare.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::ClientId => "The client ID for OAuth2 authentication.",
            Self::ClientSecret => "The client secret for OAuth2 authentication.",
            Self::RefreshToken => "The refresh token for OAuth2 authentication.",
            Self::PrivateKey => "The key that signs the requests for tokens, a private key in PEM.",
            Self::Token => "The access token.",
            Self::ApiKey => "The API key.",
            Self::Username => "The user name.",
            Self::Password => "The password.",
            Self::Other => "A secret of the API.",
        }
    }
}

/// A scalar as text with its place; what is no text stays what it is.
pub(super) fn text_of(scalar: &Scalar) -> ScalarText {
    ScalarText {
        value: scalar.value.clone(),
        span: scalar.span,
    }
}

/// A constant or a text that may have expressions.
#[derive(Clone, Debug)]
pub(super) struct ScalarText {
    pub value: Value,
    pub span: Span,
}

impl From<&Text> for ScalarText {
    fn from(text: &Text) -> Self {
        Self {
            value: Value::String(text.value.clone()),
            span: text.span,
        }
    }
}

impl Lowering<'_, '_> {
    /// A value that may have expressions.
    pub(super) fn template(&mut self, scalar: &ScalarText, purpose: Purpose) -> Template {
        let Value::String(text) = &scalar.value else {
            return Template::Literal(scalar.value.clone());
        };
        let pieces = self.pieces(text, scalar.span);
        self.assemble(pieces, scalar.span, text, purpose)
    }

    /// A JSON value; every text in it may have expressions, which are for `template`.
    pub(super) fn json(
        &mut self,
        node: &Node,
        mut template: impl FnMut(&mut Self, ScalarText) -> Template,
    ) -> Template {
        self.json_of(node, &mut template)
    }

    fn json_of(
        &mut self,
        node: &Node,
        template: &mut dyn FnMut(&mut Self, ScalarText) -> Template,
    ) -> Template {
        // What JSON cannot say has been reported.
        let value = node.to_json().unwrap_or_default();
        match &node.value {
            yaml::Value::String(_) => {
                let span = node.span;
                template(self, ScalarText { value, span })
            }
            yaml::Value::Sequence(elements) if has_expression(&value) => {
                let elements = elements.iter().map(|node| self.json_of(node, template));
                Template::List(elements.collect())
            }
            yaml::Value::Mapping(entries) if has_expression(&value) => {
                let members = entries.iter().map(|entry| NamedTemplate {
                    name: entry.key.text.clone(),
                    value: self.json_of(&entry.node, template),
                });
                Template::Object(members.collect())
            }
            _ => Template::Literal(value),
        }
    }

    /// A value that must not stand in the spec itself.
    pub(super) fn credential(
        &mut self,
        scalar: &ScalarText,
        what: &str,
        purpose: Purpose,
    ) -> Template {
        let literal = match &scalar.value {
            Value::String(text) => {
                !text.is_empty() && !text.contains("{{") && !text.trim_start().starts_with("dlt.")
            }
            _ => true,
        };
        if !literal {
            return self.template(scalar, purpose);
        }
        self.reporter.secrets.push(scalar.span);
        self.report(
            Diagnostic::error(
                code::LITERAL_SECRET,
                format!("{what} must not stand in the spec"),
            )
            .label(scalar.span, "hidden here")
            .note("specs are committed, and embedded in the connector")
            .help(format!(
                "write `\"{{{{ secrets.{0} }}}}\"`: `{0}` becomes a setting of the connector",
                purpose.secret()
            )),
        );
        Template::text("")
    }

    /// Splits a text; problems are reported.
    pub(super) fn pieces(&mut self, text: &str, span: Span) -> Vec<Piece> {
        match expression::parse(text) {
            Ok(pieces) => pieces,
            Err(problems) => {
                for problem in problems {
                    self.problem(&problem, text, span);
                }
                Vec::new()
            }
        }
    }

    fn problem(&mut self, problem: &Problem, text: &str, span: Span) {
        let range = &problem.range;
        let span = yaml::locate(self.reporter.text, span, text, range.start, range.end);
        let mut diagnostic = Diagnostic::error(problem.code, &problem.message)
            .label(span, &*problem.label)
            .help_if(problem.help.clone());
        if let Some(note) = problem.note {
            diagnostic = diagnostic.note(note);
        }
        self.report(diagnostic);
    }

    /// Joins pieces, resolving their lookups.
    pub(super) fn assemble(
        &mut self,
        pieces: Vec<Piece>,
        span: Span,
        text: &str,
        purpose: Purpose,
    ) -> Template {
        let mut parts: Vec<Part> = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => parts.push(Part::Text(text)),
                Piece::Lookup(found) => {
                    let lookup = self.resolve(found, span, text, purpose);
                    parts.push(Part::Expression(Expression::Lookup(lookup)));
                }
                Piece::Jinja(compiled) => {
                    for found in &compiled.uses {
                        self.resolve(found.clone(), span, text, purpose);
                    }
                    let jinja = super::condition::plan(&compiled);
                    parts.push(Part::Expression(Expression::Jinja(jinja)));
                }
            }
        }
        join(parts)
    }

    /// Resolves a lookup of a request: only what is known before it can stand there.
    fn resolve(&mut self, found: Found, span: Span, text: &str, purpose: Purpose) -> Lookup {
        let span = yaml::locate(
            self.reporter.text,
            span,
            text,
            found.range.start,
            found.range.end,
        );
        match found.root {
            Root::Config | Root::Secrets => self.resolve_input(&found, span, purpose),
            Root::Partition => return self.resolve_partition(found, span),
            Root::Interval => return self.resolve_interval(found, span),
            Root::Response
            | Root::Headers
            | Root::Record
            | Root::LastRecord
            | Root::LastPageSize
            | Root::PageSize => {
                self.report(
                    Diagnostic::error(
                        code::EXPRESSION,
                        format!("{} is not known here", quote(&found.word)),
                    )
                    .label(span, "a request is made before its response is there")
                    .note("`config` and `secrets` are known here"),
                );
            }
        }
        Lookup {
            root: found.root,
            path: found.path,
            default: found.default,
        }
    }

    pub(super) fn resolve_input(&mut self, found: &Found, span: Span, purpose: Purpose) {
        let [Step::Key(name)] = found.path.as_slice() else {
            self.report(
                Diagnostic::error(
                    code::EXPRESSION,
                    format!(
                        "{} has inputs, and inputs have no parts",
                        quote(&found.word)
                    ),
                )
                .label(span, format!("expected `{}.name`", found.word)),
            );
            return;
        };
        let diagnostic = self
            .inputs
            .refer(name, found.root == Root::Secrets, span, purpose);
        if let Some(diagnostic) = diagnostic {
            self.report(diagnostic);
        }
    }
}

/// The template of these parts.
pub(super) fn join(parts: Vec<Part>) -> Template {
    let mut joined: Vec<Part> = Vec::new();
    for part in parts {
        match (joined.last_mut(), part) {
            (Some(Part::Text(text)), Part::Text(more)) => text.push_str(&more),
            (_, part) => joined.push(part),
        }
    }
    let mut parts = joined;
    match parts.as_slice() {
        [] => Template::text(""),
        [_] => match parts.remove(0) {
            Part::Text(text) => Template::text(text),
            Part::Expression(expression) => Template::Expression(expression),
        },
        _ => Template::Parts(parts),
    }
}
