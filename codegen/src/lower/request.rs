//! A request while it is put together: parts that the paginator takes over can still be removed.

use connector_plan::{
    Body, Expression, Method, NamedTemplate, Parameter, Part, Root, Step, Template,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::Lowering;
use super::template::{Purpose, ScalarText, join, text_of};
use crate::diagnostic::{Diagnostic, code};
use crate::expression::{self, Piece};
use crate::source::Span;
use crate::spec::{Key, MethodSpec, ParameterSpec, Text};
use crate::words::quote;

/// Parameters and members of bodies that carry credentials.
const CREDENTIALS: [&str; 11] = [
    "access_token",
    "api-key",
    "api_key",
    "apikey",
    "assertion",
    "auth_token",
    "client_assertion",
    "client_secret",
    "pass",
    "password",
    "secret",
];

/// Everything but the unreserved characters of RFC 3986, section 2.3.
const PATH_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Whether a parameter of this name carries a credential.
pub(super) fn is_credential(name: &str) -> bool {
    CREDENTIALS.contains(&name.to_ascii_lowercase().as_str())
}

/// A request while it is put together.
#[derive(Debug)]
pub(super) struct Request {
    pub method: Method,
    pub path: Template,
    /// Where the path is written.
    pub path_span: Option<Span>,
    pub params: Vec<(Parameter, Span)>,
    pub body: Option<Form>,
    pub blame: Span,
}

/// The body of a request, each member with the place of its key.
#[derive(Debug)]
pub(super) struct Form {
    pub json: bool,
    pub members: Vec<(NamedTemplate, Span)>,
}

impl Request {
    /// Whether the last segment of the path is a value of a partition, such as `/files/{id}`.
    pub(super) fn is_one_item(&self) -> bool {
        let of_partition = |part: &Part| match part {
            Part::Expression(Expression::Lookup(lookup)) => lookup.root == Root::Partition,
            _ => false,
        };
        match &self.path {
            Template::Parts(parts) => parts
                .iter()
                .rev()
                .take_while(|part| !matches!(part, Part::Text(text) if text.contains('/')))
                .any(of_partition),
            _ => false,
        }
    }

    /// The parameters and the body, without places.
    pub(super) fn finish(self) -> (Vec<Parameter>, Option<Body>) {
        let params = self.params.into_iter().map(|(param, _)| param).collect();
        let body = self.body.map(|form| {
            let members = form.members.into_iter().map(|(member, _)| member).collect();
            if form.json {
                Body::Json(members)
            } else {
                Body::Form(members)
            }
        });
        (params, body)
    }
}

/// What a request is made from.
pub(super) type EndpointKeys = crate::spec::EndpointMapping;

impl Lowering<'_, '_> {
    /// Method, path, parameters and body of an endpoint; without a path it is `name`.
    pub(super) fn request(&mut self, endpoint: &EndpointKeys, name: &str, blame: Span) -> Request {
        let method = match endpoint.method.get() {
            None | Some(MethodSpec::Get) => Method::Get,
            Some(MethodSpec::Post) => Method::Post,
        };
        let (path, query) = match endpoint.path.get() {
            Some(text) => self.path(text),
            None => (Template::text(format!("/{name}")), Vec::new()),
        };
        let body = self.body(endpoint, method);
        Request {
            method,
            path,
            path_span: endpoint.path.get().map(|text| text.span),
            params: self.params(endpoint, query),
            body,
            blame,
        }
    }

    /// Puts the parameters that placeholders of the path name where they are named, as dlt does.
    pub(super) fn fill_path(&mut self, request: &mut Request) {
        let Some(path_span) = request.path_span else {
            return;
        };
        let mut at = 0;
        while let Some((param, span)) = request.params.get(at) {
            let fills = match param.values.as_slice() {
                [Template::Literal(Value::Null)] => false,
                [_] => self.take_unbound(&param.name, path_span),
                _ => false,
            };
            if !fills {
                at += 1;
                continue;
            }
            let span = *span;
            let (mut param, _) = request.params.remove(at);
            let value = as_parts(param.values.swap_remove(0));
            if let [Part::Text(text)] = value.as_slice()
                && matches!(text.as_str(), "" | "." | "..")
            {
                self.invalid(
                    format!("{} is no segment of a path", quote(text)),
                    span,
                    "a placeholder of the path has this value",
                );
            }
            let value = encoded(value);
            let names_it = |part: &Part| match part {
                Part::Expression(Expression::Lookup(lookup)) => {
                    lookup.root == Root::Partition
                        && matches!(lookup.path.as_slice(), [Step::Key(key)] if *key == param.name)
                }
                _ => false,
            };
            let path = std::mem::replace(&mut request.path, Template::text(""));
            let mut parts = Vec::new();
            for part in as_parts(path) {
                if names_it(&part) {
                    parts.extend(value.iter().cloned());
                } else {
                    parts.push(part);
                }
            }
            request.path = join(parts);
        }
    }

    /// The parameters: those of the path's query, then those of `params`.
    fn params(
        &mut self,
        endpoint: &EndpointKeys,
        query: Vec<(Parameter, Span)>,
    ) -> Vec<(Parameter, Span)> {
        let mut params = query;
        let from_path = params.len();
        let Some(written) = endpoint.params.get() else {
            return params;
        };
        for (name, key) in &written.0 {
            let clash = params[..from_path]
                .iter()
                .find(|(known, _)| known.name == name.text)
                .map(|(_, span)| *span);
            if let Some(first) = clash {
                self.reporter.conflict(
                    format!(
                        "the parameter {} stands in the path and in `params`",
                        quote(&name.text)
                    ),
                    name.span,
                    first,
                );
            }
            if name.text.is_empty() {
                self.invalid("the name of a parameter is empty", name.span, "");
            }
            let Key::Given(given) = key else { continue };
            // What it resolves is bound to its name, and no parameter.
            let ParameterSpec::Values(scalars) = &given.value else {
                continue;
            };
            let secret = is_credential(&name.text);
            let values = scalars
                .iter()
                .map(|scalar| {
                    let text = text_of(scalar);
                    if secret {
                        self.credential(&text, "a parameter with credentials", Purpose::Other)
                    } else {
                        self.template(&text, Purpose::Other)
                    }
                })
                .collect();
            let parameter = Parameter {
                name: name.text.clone(),
                values,
            };
            params.push((parameter, name.span));
        }
        params
    }

    fn body(&mut self, endpoint: &EndpointKeys, method: Method) -> Option<Form> {
        if let (Some(json), Some(data)) = (endpoint.json.given(), endpoint.data.given()) {
            self.reporter.conflict(
                "a request has one body, `json` or `data`",
                json.key.span.max(data.key.span),
                json.key.span.min(data.key.span),
            );
        }
        let key = endpoint.json.key_span().or(endpoint.data.key_span());
        let form = if let Some(json) = endpoint.json.get() {
            let mut members = Vec::new();
            for (name, key) in &json.0 {
                let value = match key {
                    Key::Given(given) => self.json(&given.value.node, |this, text| {
                        this.template(&text, Purpose::Other)
                    }),
                    Key::Null(_) => Template::Literal(Value::Null),
                    Key::Absent | Key::Invalid(_) => continue,
                };
                members.push((named(&name.text, value), name.span));
            }
            Form {
                json: true,
                members,
            }
        } else {
            let data = endpoint.data.get()?;
            let mut members = Vec::new();
            for (name, given) in data.given() {
                let value = self.template(&text_of(&given.value), Purpose::Other);
                members.push((named(&name.text, value), name.span));
            }
            Form {
                json: false,
                members,
            }
        };
        if method == Method::Get {
            self.report(
                Diagnostic::error(code::CONFLICT, "a `GET` request has no body")
                    .label(key.unwrap_or(endpoint.blame), "this is a body")
                    .help("write `method: POST`, or move this to `params`"),
            );
        }
        Some(form)
    }

    /// The path, and the parameters of its query.
    fn path(&mut self, text: &Text) -> (Template, Vec<(Parameter, Span)>) {
        let pieces = self.pieces(&text.value, text.span);
        let (path, query) = split_query(pieces);
        let path = self.assemble(path, text.span, &text.value, Purpose::Other);
        self.check_path(&path, text);
        let params = query
            .into_iter()
            .map(|(name, value)| {
                let secret = is_credential(&name)
                    && value.iter().all(|piece| matches!(piece, Piece::Text(_)))
                    && !value.is_empty();
                let value = if secret {
                    let text = ScalarText {
                        value: Value::from(text.value.clone()),
                        span: text.span,
                    };
                    self.reporter.secrets.push(text.span);
                    self.report(
                        Diagnostic::error(
                            code::LITERAL_SECRET,
                            "a parameter with credentials must not stand in the spec",
                        )
                        .label(text.span, "hidden here")
                        .help("write it in `params`, as `\"{{ secrets.name }}\"`"),
                    );
                    Template::text("")
                } else {
                    self.assemble(value, text.span, &text.value, Purpose::Other)
                };
                let parameter = Parameter {
                    name,
                    values: vec![value],
                };
                (parameter, text.span)
            })
            .collect();
        (with_slash(path), params)
    }

    fn check_path(&mut self, path: &Template, text: &Text) {
        let constants: Vec<&str> = match path {
            Template::Literal(Value::String(text)) => vec![text],
            Template::Parts(parts) => parts
                .iter()
                .filter_map(|part| match part {
                    Part::Text(text) => Some(text.as_str()),
                    Part::Expression(_) => None,
                })
                .collect(),
            _ => Vec::new(),
        };
        let problem = if constants.iter().any(|part| part.contains('#')) {
            Some("a path has no fragment (`#`)")
        } else if constants.iter().any(|part| {
            part.contains(|c: char| {
                !c.is_ascii_graphic() || matches!(c, '\\' | '"' | '<' | '>' | '^' | '`' | '|')
            })
        }) {
            Some("a path has visible ASCII only; others are written as `%20` and the like")
        } else if constants
            .first()
            .is_some_and(|first| first.starts_with("//"))
        {
            Some("a path begins with one slash; another host needs its scheme")
        } else if constants
            .iter()
            .any(|part| part.split('/').any(|segment| matches!(segment, "." | "..")))
        {
            Some("a path has no segments `.` and `..`")
        } else {
            None
        };
        if let Some(problem) = problem {
            self.invalid(
                format!("{} is not a path", quote(&text.value)),
                text.span,
                problem,
            );
        }
    }
}

fn named(name: &str, value: Template) -> NamedTemplate {
    NamedTemplate {
        name: name.to_owned(),
        value,
    }
}

pub(super) fn has_expression(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            let lookup = |piece: &Piece| matches!(piece, Piece::Lookup(_));
            text.contains("{{")
                || text.trim_start().starts_with("dlt.")
                || expression::parse(text).is_ok_and(|pieces| pieces.iter().any(lookup))
        }
        Value::Array(items) => items.iter().any(has_expression),
        Value::Object(members) => members.values().any(has_expression),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The parts of a template of text.
fn as_parts(template: Template) -> Vec<Part> {
    match template {
        Template::Literal(Value::String(text)) => vec![Part::Text(text)],
        Template::Literal(value) => vec![Part::Text(value.to_string())],
        Template::Expression(expression) => vec![Part::Expression(expression)],
        Template::Parts(parts) => parts,
        // No parameter is an object or a list.
        Template::Object(_) | Template::List(_) => Vec::new(),
    }
}

/// A value within a path: its text is percent-encoded, as that of expressions is at run time.
fn encoded(mut parts: Vec<Part>) -> Vec<Part> {
    for part in &mut parts {
        if let Part::Text(text) = part {
            *text = utf8_percent_encode(text, PATH_VALUE).to_string();
        }
    }
    parts
}

/// A path below the base URL begins with a slash.
fn with_slash(path: Template) -> Template {
    let needs = |text: &str| !text.starts_with('/') && !is_absolute(text);
    match path {
        Template::Literal(Value::String(text)) if !text.is_empty() && needs(&text) => {
            Template::text(format!("/{text}"))
        }
        Template::Expression(expression) => Template::Parts(vec![
            Part::Text("/".to_owned()),
            Part::Expression(expression),
        ]),
        Template::Parts(mut parts) => {
            match parts.first_mut() {
                Some(Part::Text(text)) if needs(text) => text.insert(0, '/'),
                Some(Part::Expression(_)) => parts.insert(0, Part::Text("/".to_owned())),
                _ => {}
            }
            Template::Parts(parts)
        }
        Template::Literal(_) | Template::Object(_) | Template::List(_) => path,
    }
}

/// Whether a path is a URL of its own.
pub(super) fn is_absolute(path: &str) -> bool {
    let scheme = path.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// Splits pieces at the first `?`, and what follows into names and values, decoded.
fn split_query(pieces: Vec<Piece>) -> (Vec<Piece>, Vec<(String, Vec<Piece>)>) {
    let mut path = Vec::new();
    let mut query: Option<Vec<(String, Vec<Piece>)>> = None;
    // Whether the `=` of the parameter at hand has been seen.
    let mut in_value = false;
    for piece in pieces {
        let text = match (piece, &mut query) {
            (Piece::Text(text), _) => text,
            (lookup, None) => {
                path.push(lookup);
                continue;
            }
            (lookup, Some(query)) => {
                if let Some((_, value)) = query.last_mut() {
                    value.push(lookup);
                    in_value = true;
                }
                continue;
            }
        };
        let mut rest = text.as_str();
        if query.is_none() {
            match rest.split_once('?') {
                None => {
                    path.push(Piece::Text(text));
                    continue;
                }
                Some((before, after)) => {
                    if !before.is_empty() {
                        path.push(Piece::Text(before.to_owned()));
                    }
                    query = Some(vec![(String::new(), Vec::new())]);
                    in_value = false;
                    rest = after;
                }
            }
        }
        let Some(query) = &mut query else { continue };
        for (position, segment) in rest.split('&').enumerate() {
            if position > 0 {
                query.push((String::new(), Vec::new()));
                in_value = false;
            }
            let Some((name, value)) = query.last_mut() else {
                continue;
            };
            let text = if in_value {
                segment
            } else {
                let (first, rest) = segment.split_once('=').unwrap_or((segment, ""));
                name.push_str(&decode(first));
                in_value = segment.contains('=');
                rest
            };
            if !text.is_empty() {
                value.push(Piece::Text(decode(text)));
            }
        }
    }
    let mut query = query.unwrap_or_default();
    query.retain(|(name, value)| !name.is_empty() || !value.is_empty());
    (path, query)
}

/// Decodes a part of a query: `+` is a space, `%41` is `A`.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = |at: usize| tail.get(at).and_then(|c| char::from(*c).to_digit(16));
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'%'));
                rest = &tail[2..];
                continue;
            }
            (b'+', ..) => bytes.push(b' '),
            (other, ..) => bytes.push(*other),
        }
        rest = tail;
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_split_off() {
        #[track_caller]
        fn check(text: &str, expect: &str) {
            let show = |pieces: &[Piece]| -> String {
                pieces
                    .iter()
                    .map(|piece| match piece {
                        Piece::Text(text) => text.clone(),
                        Piece::Lookup(_) | Piece::Jinja(_) => "<>".to_owned(),
                    })
                    .collect()
            };
            let (path, query) = split_query(expression::parse(text).unwrap());
            let query: Vec<String> = query
                .iter()
                .map(|(name, value)| format!("{name}={}", show(value)))
                .collect();
            assert_eq!(format!("{} {}", show(&path), query.join(" ")), expect);
        }
        check("/v1/events", "/v1/events ");
        check("/v1/events?a=b", "/v1/events a=b");
        check("/e?a=b&c=d=e&f", "/e a=b c=d=e f=");
        check("/e?", "/e ");
        check("/e?a=%C3%A4+b%2", "/e a=ä b%2");
        check("/{{ config.x }}/e?a={{ config.y }}&b=2", "/<>/e a=<> b=2");
        check("/e?a=x{{ config['?&='] }}y&b", "/e a=x<>y b=");
    }

    #[test]
    fn paths_begin_with_a_slash() {
        #[track_caller]
        fn check(text: &str, expect: &str) {
            assert_eq!(with_slash(Template::text(text)), Template::text(expect));
        }
        check("files", "/files");
        check("/files", "/files");
        check("", "");
        check("https://a/b", "https://a/b");
    }
}
