//! Reads the values of the tree into the types of the spec language.

use std::borrow::Cow;
use std::collections::HashMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::diagnostic::{Diagnostic, code};
use crate::source::Span;
use crate::words::{list, nearest, quote};
use crate::yaml::{Entry, Name, Node, Value};

/// With so many problems, what was meant is no longer looked for.
const MAXIMUM_SUGGESTIONS: usize = 200;

/// Collects what is wrong while the spec is read and lowered.
#[derive(Debug)]
pub(crate) struct Reporter<'t> {
    /// The text that all spans point into.
    pub text: &'t str,
    /// What was found so far.
    pub found: Vec<Diagnostic>,
    /// Credentials that the spec should not hold.
    pub secrets: Vec<Span>,
}

impl<'t> Reporter<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self {
            text,
            found: Vec::new(),
            secrets: Vec::new(),
        }
    }

    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// Reports a value of the wrong type.
    pub(crate) fn wrong_type(&mut self, node: &Node, expected: &str) {
        let help = match &node.value {
            Value::String(text) if expected.contains("boolean") => match text.as_str() {
                "yes" | "Yes" | "on" | "On" | "y" => Some("write `true`"),
                "no" | "No" | "off" | "Off" | "n" => Some("write `false`"),
                _ => None,
            },
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_)
                if expected.contains("a string") =>
            {
                Some("put it in quotes")
            }
            _ => None,
        };
        self.report(
            Diagnostic::error(
                code::WRONG_TYPE,
                format!("expected {expected}, found {}", node.describe()),
            )
            .label(self.short(node), format!("expected {expected}"))
            .help_if(help.map(str::to_owned)),
        );
    }

    /// Reports a word that is none of those accepted.
    pub(crate) fn unknown_value(&mut self, what: &str, found: &str, span: Span, words: &[&str]) {
        let near = nearest(found, words.iter().copied());
        self.report(
            Diagnostic::error(
                code::UNKNOWN_VALUE,
                format!("unknown {what} {}", quote(found)),
            )
            .label(span, format!("expected {}", list(words, "or")))
            .help_if(near.map(|near| format!("did you mean {}?", quote(near)))),
        );
    }

    /// Reports something of the language that this version does not have.
    pub(crate) fn not_supported(&mut self, what: &str, span: Span, hint: &str) {
        let diagnostic =
            Diagnostic::error(code::NOT_SUPPORTED, format!("{what} is not supported yet"))
                .label(span, "this needs a later version");
        self.report(if hint.is_empty() {
            diagnostic
        } else {
            diagnostic.help(hint)
        });
    }

    /// Reports a key that nothing knows.
    pub(crate) fn unknown_key(&mut self, key: &Name, what: &str, keys: &[KeyInfo], later: &[&str]) {
        let known = keys
            .iter()
            .flat_map(|info| std::iter::once(&info.name).chain(info.aliases))
            .chain(later);
        // A file that is no spec at all has as many unknown keys as lines.
        let near = if self.found.len() < MAXIMUM_SUGGESTIONS {
            nearest(&key.text, known.copied())
        } else {
            None
        };
        let names: Vec<&str> = keys.iter().map(|info| info.name).collect();
        self.report(
            Diagnostic::error(
                code::UNKNOWN_KEY,
                format!("unknown key {} in {what}", quote(&key.text)),
            )
            .label(key.span, "not a key of the spec language")
            .note(format!("{what} has the keys {}", list(&names, "and")))
            .help_if(near.map(|near| format!("did you mean {}?", quote(near)))),
        );
    }

    /// Reports two keys of which only one may be there.
    pub(crate) fn conflict(&mut self, message: impl Into<String>, second: Span, first: Span) {
        self.report(
            Diagnostic::error(code::CONFLICT, message)
                .label(second, "this one")
                .label(first, "and this one")
                .help("remove one of them"),
        );
    }

    /// What to underline of a value: scalars and short collections whole, others where they begin.
    pub(crate) fn short(&self, node: &Node) -> Span {
        if node.span.of(self.text).contains('\n') {
            node.blame
        } else {
            node.span
        }
    }
}

/// What is known of a key of a mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyInfo {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
}

/// A type of the spec language.
pub(crate) trait FromNode: Sized {
    /// Reads a value; `None` after a report.
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self>;
}

/// A mapping that can take what it lacks from another.
pub(crate) trait Over {
    /// The keys that were written, and of the others those of `defaults`.
    fn over(&self, defaults: &Self) -> Self;
}

/// A key of a mapping, as far as it was written.
#[derive(Clone, Debug, Default)]
pub(crate) enum Key<T> {
    /// Not written.
    #[default]
    Absent,
    /// Written as null, which takes back a default.
    Null(Span),
    /// Written, but wrong in a way that has been reported.
    Invalid(Span),
    /// Written.
    Given(Given<T>),
}

/// A key that was written, with its value.
#[derive(Clone, Debug)]
pub(crate) struct Given<T> {
    /// The key as written, an alias perhaps.
    pub key: Name,
    /// Where the value stands.
    pub span: Span,
    /// The value.
    pub value: T,
}

impl<T> Key<T> {
    pub(crate) fn given(&self) -> Option<&Given<T>> {
        match self {
            Self::Given(given) => Some(given),
            _ => None,
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.given().map(|given| &given.value)
    }

    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Whether nothing was asked for, as opposed to something wrong.
    pub(crate) fn is_unset(&self) -> bool {
        matches!(self, Self::Absent | Self::Null(_))
    }

    /// Where the key stands.
    pub(crate) fn key_span(&self) -> Option<Span> {
        match self {
            Self::Absent => None,
            Self::Null(span) | Self::Invalid(span) => Some(*span),
            Self::Given(given) => Some(given.key.span),
        }
    }
}

impl<T: Clone> Key<T> {
    /// This key, or the default where nothing was written.
    pub(crate) fn or(&self, default: &Self) -> Self {
        if self.is_absent() { default } else { self }.clone()
    }
}

impl<T: FromNode> Key<T> {
    /// Reads an entry; a second name for the same key is reported.
    pub(crate) fn read(&mut self, entry: &Entry, reporter: &mut Reporter<'_>) {
        if let Some(first) = self.key_span() {
            reporter.conflict(
                format!(
                    "{} and {} are two names for the same key",
                    quote(first.of(reporter.text)),
                    quote(&entry.key.text),
                ),
                entry.key.span,
                first,
            );
            return;
        }
        *self = Self::from_entry(entry, reporter);
    }

    /// Reads an entry.
    pub(crate) fn from_entry(entry: &Entry, reporter: &mut Reporter<'_>) -> Self {
        if matches!(entry.node.value, Value::Null) {
            return Self::Null(entry.key.span);
        }
        match T::from_node(&entry.node, reporter) {
            None => Self::Invalid(entry.key.span),
            Some(value) => Self::Given(Given {
                key: entry.key.clone(),
                span: entry.node.span,
                value,
            }),
        }
    }
}

/// The entries of a mapping, or a report.
pub(crate) fn entries<'n>(node: &'n Node, reporter: &mut Reporter<'_>) -> Option<&'n [Entry]> {
    match &node.value {
        Value::Mapping(entries) => Some(entries),
        _ => {
            reporter.wrong_type(node, "a mapping");
            None
        }
    }
}

/// The `type` of a mapping, where it stands, and the mapping; a name alone is an empty mapping.
pub(crate) fn tag<'n>(
    node: &'n Node,
    default: Option<&'static str>,
    what: &str,
    words: &[&str],
    reporter: &mut Reporter<'_>,
) -> Option<(&'n str, Span, Cow<'n, Node>)> {
    let entries = match &node.value {
        Value::String(word) => {
            let empty = Node {
                span: node.span,
                blame: node.span,
                value: Value::Mapping(Vec::new()),
            };
            return Some((word, node.span, Cow::Owned(empty)));
        }
        Value::Mapping(entries) => entries,
        _ => {
            reporter.wrong_type(node, "a mapping with a `type`");
            return None;
        }
    };
    match (
        entries.iter().find(|entry| entry.key.text == "type"),
        default,
    ) {
        (Some(entry), _) => match &entry.node.value {
            Value::String(word) => Some((word, entry.node.span, Cow::Borrowed(node))),
            _ => {
                reporter.wrong_type(&entry.node, &list(words, "or"));
                None
            }
        },
        (None, Some(default)) => Some((default, node.blame, Cow::Borrowed(node))),
        (None, None) => {
            reporter.report(
                Diagnostic::error(
                    code::MISSING_KEY,
                    format!("{} needs a `type`", quote(what.trim_end_matches(" type"))),
                )
                .label(node.blame, "`type` is missing here")
                .help(format!("write `type:` with {}", list(words, "or"))),
            );
            None
        }
    }
}

/// A variant of a tagged mapping that has no keys of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bare;

impl Bare {
    pub(crate) fn read(
        node: &Node,
        tag: Option<&str>,
        reporter: &mut Reporter<'_>,
    ) -> Option<Self> {
        for entry in entries(node, reporter)? {
            if Some(entry.key.text.as_str()) != tag {
                reporter.report(
                    Diagnostic::error(
                        code::UNKNOWN_KEY,
                        format!("unknown key {}", quote(&entry.key.text)),
                    )
                    .label(entry.key.span, "this `type` has no further keys"),
                );
            }
        }
        Some(Self)
    }

    pub(crate) fn schema(_: &mut SchemaGenerator, tag: Option<(&[&str], bool)>) -> Schema {
        super::schema::object("This type has no further keys.", tag, Vec::new())
    }
}

/// Entries under names that the spec chooses, in order.
#[derive(Clone, Debug)]
pub(crate) struct Named<T>(pub Vec<(Name, Key<T>)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Named<T> {
    /// The entries with a value.
    pub(crate) fn given(&self) -> impl Iterator<Item = (&Name, &Given<T>)> {
        self.0
            .iter()
            .filter_map(|(name, key)| Some((name, key.given()?)))
    }
}

impl<T: Clone> Named<T> {
    /// These entries behind the defaults that they do not replace.
    pub(crate) fn over(&self, defaults: &Self) -> Self {
        let mut own: HashMap<&str, &(Name, Key<T>)> = self
            .0
            .iter()
            .map(|entry| (entry.0.text.as_str(), entry))
            .collect();
        let mut merged: Vec<_> = defaults
            .0
            .iter()
            .map(|default| {
                own.remove(default.0.text.as_str())
                    .unwrap_or(default)
                    .clone()
            })
            .collect();
        let new = self
            .0
            .iter()
            .filter(|(name, _)| own.contains_key(name.text.as_str()));
        merged.extend(new.cloned());
        Self(merged)
    }
}

impl<T: FromNode> FromNode for Named<T> {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        let entries = entries(node, reporter)?;
        let read = |entry: &Entry| (entry.key.clone(), Key::from_entry(entry, reporter));
        Some(Self(entries.iter().map(read).collect()))
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Named{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = super::schema::nullable(generator.subschema_for::<T>());
        json_schema!({ "type": "object", "additionalProperties": value })
    }
}

/// A list.
impl<T: FromNode> FromNode for Vec<T> {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        let Value::Sequence(items) = &node.value else {
            reporter.wrong_type(node, "a list");
            return None;
        };
        // Every element is read before the first failure counts, so that all are reported.
        let items: Vec<Option<T>> = items
            .iter()
            .map(|item| T::from_node(item, reporter))
            .collect();
        items.into_iter().collect()
    }
}

/// One value, or a list of them.
#[derive(Clone, Debug)]
pub(crate) struct OneOrMany<T>(pub Vec<T>);

impl<T: FromNode> FromNode for OneOrMany<T> {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        if matches!(node.value, Value::Sequence(_)) {
            Vec::from_node(node, reporter).map(Self)
        } else {
            T::from_node(node, reporter).map(|one| Self(vec![one]))
        }
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}
