//! What the expressions of a resource can name: values of parents, of `partitions`, of a range.

use std::collections::HashSet;

use connector_plan::{Lookup, Root, Step};
use serde_json::{Map, Value};

use super::Lowering;
use crate::diagnostic::{Diagnostic, code};
use crate::expression::Found;
use crate::source::Span;
use crate::spec::{
    Named, OnParentErrorSpec, ParameterSpec, ParentSpec, PartitionsSpec, ResourceMapping, Text,
};
use crate::words::{list, quote};

/// The most combinations of values that a spec may list.
const MAXIMUM_PARTITIONS: usize = 10_000;

/// What the expressions of one resource can name, and what they do name.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) parents: Vec<Bound>,
    pub(super) statics: Vec<Listed>,
    pub(super) partitions: Vec<Map<String, Value>>,
    pub(super) include: Vec<Text>,
    pub(super) skip_failures: bool,
    /// The names of the start and the end of the cursor's range, where there is a cursor.
    pub(super) interval: Option<[String; 2]>,
    /// Where expressions name the start, and where they name the end.
    pub(super) interval_uses: [Vec<Span>; 2],
    pub(super) unbound: Vec<Unbound>,
    /// What to point at when the resource as a whole is wrong.
    pub(super) blame: Span,
}

/// A value of a parent.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub(super) resource: Text,
    pub(super) field: Text,
    pub(super) path: Vec<Step>,
    pub(super) name: String,
    pub(super) name_span: Span,
    pub(super) new_only: bool,
    pub(super) used: bool,
}

/// A name that `partitions` gives values to.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) span: Span,
    pub(super) used: bool,
}

/// A name that nothing gives a value.
#[derive(Debug)]
pub(super) struct Unbound {
    pub(super) name: String,
    pub(super) span: Span,
}

/// What requests name of a scope.
pub(super) struct Requests {
    interval: Option<[String; 2]>,
    parents: Vec<bool>,
    statics: Vec<bool>,
}

impl Scope {
    /// Begins a part of the spec that makes no requests: the range of the cursor is not known there,
    /// and what it names is not what requests are repeated for.
    pub(super) fn leave_requests(&mut self) -> Requests {
        Requests {
            interval: self.interval.take(),
            parents: self.parents.iter().map(|bound| bound.used).collect(),
            statics: self.statics.iter().map(|listed| listed.used).collect(),
        }
    }

    /// Ends such a part.
    pub(super) fn enter_requests(&mut self, requests: Requests) {
        self.interval = requests.interval;
        // A parent that is implied there alone is no more used than others.
        let parents = requests.parents.into_iter().chain(std::iter::repeat(false));
        for (bound, used) in self.parents.iter_mut().zip(parents) {
            bound.used = used;
        }
        for (listed, used) in self.statics.iter_mut().zip(requests.statics) {
            listed.used = used;
        }
    }

    /// Whether a name is that of the start of the cursor's range (0) or of its end (1).
    fn interval_name(&self, name: &str) -> Option<usize> {
        self.interval
            .as_ref()?
            .iter()
            .position(|known| known == name)
    }
}

impl Lowering<'_, '_> {
    /// Reads what gives values to the expressions of a resource, before they are lowered.
    pub(super) fn open_scope(&mut self, resource: &ResourceMapping, blame: Span) {
        self.scope = Scope {
            blame,
            ..Scope::default()
        };
        for parent in resource.parent.get().into_iter().flat_map(|list| &list.0) {
            self.bind_parent(parent, None);
        }
        let params = resource
            .endpoint
            .get()
            .and_then(|endpoint| endpoint.0.params.get());
        for (name, given) in params.into_iter().flat_map(Named::given) {
            if let ParameterSpec::Resolve(parent) = &given.value {
                self.bind_parent(parent, Some((&name.text, name.span)));
            }
        }
        if let Some(given) = resource.partitions.given() {
            self.bind_partitions(&given.value, given.key.span);
        }
        if let Some(given) = resource.include_from_parent.given() {
            self.scope.include = given.value.0.clone();
        }
        self.scope.skip_failures = resource.on_parent_error.get() == Some(&OnParentErrorSpec::Skip);
    }

    fn bind_parent(&mut self, parent: &ParentSpec, placeholder: Option<(&str, Span)>) {
        for (key, missing) in [
            ("resource", parent.resource.is_unset()),
            ("field", parent.field.is_unset()),
        ] {
            if missing {
                self.missing(
                    key,
                    "a parent",
                    parent.blame,
                    "write `parent: {resource: files, field: id, as: file_id}`",
                );
            }
        }
        let (Some(resource), Some(field)) = (parent.resource.get(), parent.field.get()) else {
            return;
        };
        if let (Some(_), Some(name)) = (placeholder, parent.name.given()) {
            self.invalid(
                "a parameter of `type: resolve` has its name already",
                name.key.span,
                "this has no meaning here",
            );
        }
        let path = self.single_path(field);
        let (name, name_span) = match (placeholder, parent.name.get(), path.last()) {
            (Some((name, span)), ..) => (name.to_owned(), span),
            (None, Some(name), _) => (name.value.clone(), name.span),
            (None, None, Some(Step::Key(key))) => (key.clone(), field.span),
            (None, None, _) => return,
        };
        self.check_bound_name(&name, name_span);
        let same = |bound: &&Bound| {
            bound.resource.value == resource.value && bound.field.value == field.value
        };
        if let Some(first) = self.scope.parents.iter().find(same) {
            let first = first.name_span;
            self.reporter.conflict(
                format!(
                    "{} of {} is bound twice",
                    quote(&field.value),
                    quote(&resource.value)
                ),
                name_span,
                first,
            );
            return;
        }
        self.scope.parents.push(Bound {
            resource: resource.clone(),
            field: field.clone(),
            path,
            name,
            name_span,
            new_only: parent.new_only.get() == Some(&true),
            used: false,
        });
    }

    /// Checks that a name is one that expressions can write and nothing else has.
    fn check_bound_name(&mut self, name: &str, span: Span) {
        let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !plain {
            self.invalid(
                format!("{} is not a name for a value", quote(name)),
                span,
                "expected letters, digits and `_`",
            );
        }
        let parents = self.scope.parents.iter();
        let listed = self.scope.statics.iter();
        let first = parents
            .filter(|bound| bound.name == name)
            .map(|bound| bound.name_span)
            .chain(
                listed
                    .filter(|listed| listed.name == name)
                    .map(|listed| listed.span),
            )
            .next();
        if let Some(first) = first {
            self.reporter
                .conflict(format!("{} is bound twice", quote(name)), span, first);
        }
    }

    fn bind_partitions(&mut self, spec: &PartitionsSpec, blame: Span) {
        let mut partitions: Vec<Map<String, Value>> = Vec::new();
        match spec {
            PartitionsSpec::Lists(lists) => {
                partitions.push(Map::new());
                for (name, given) in lists.given() {
                    self.list_name(&name.text, name.span);
                    if given.value.0.is_empty() {
                        self.invalid("a partition needs a value", given.span, "none here");
                    }
                    if partitions.len().saturating_mul(given.value.0.len()) > MAXIMUM_PARTITIONS {
                        self.invalid(
                            format!("more than {MAXIMUM_PARTITIONS} partitions"),
                            given.span,
                            "too many combinations",
                        );
                        continue;
                    }
                    partitions = partitions
                        .iter()
                        .flat_map(|partition| {
                            given.value.0.iter().map(|scalar| {
                                let mut partition = partition.clone();
                                partition.insert(name.text.clone(), scalar.value.clone());
                                partition
                            })
                        })
                        .collect();
                }
            }
            PartitionsSpec::Mappings(mappings) => {
                for mapping in mappings {
                    let mut partition = Map::new();
                    for (name, given) in mapping.given() {
                        if partitions.is_empty() {
                            self.list_name(&name.text, name.span);
                        }
                        partition.insert(name.text.clone(), given.value.value.clone());
                    }
                    if let Some(first) = partitions.first()
                        && !first.keys().eq(partition.keys())
                    {
                        let names: Vec<&str> = first.keys().map(String::as_str).collect();
                        let span = mapping.0.first().map_or(blame, |(name, _)| name.span);
                        self.invalid(
                            "every partition has the same names",
                            span,
                            format!("expected {}", list(&names, "and")),
                        );
                    }
                    partitions.push(partition);
                }
            }
        }
        if self.scope.statics.is_empty() {
            self.invalid(
                "`partitions` lists no values",
                blame,
                "expected names with values, such as `region: [eu, us]`",
            );
            return;
        }
        let mut seen = HashSet::new();
        let twice = partitions
            .iter()
            .any(|partition| !seen.insert(Value::Object(partition.clone()).to_string()));
        if twice {
            self.invalid(
                "a partition is listed twice",
                blame,
                "it would be read once",
            );
        }
        self.scope.partitions = partitions;
    }

    fn list_name(&mut self, name: &str, span: Span) {
        self.check_bound_name(name, span);
        self.scope.statics.push(Listed {
            name: name.to_owned(),
            span,
            used: false,
        });
    }

    /// Resolves a value of the partition at hand; gives the lookup of the plan.
    pub(super) fn resolve_partition(&mut self, found: Found, span: Span) -> Lookup {
        let name = match found.path.as_slice() {
            [Step::Key(name)] if found.word == "resources" => self.imply_parent(name, span),
            [Step::Key(name)] => Some(name.clone()),
            path => {
                let text = if path.is_empty() {
                    "has values, and is none itself"
                } else {
                    "has values, and values have no parts"
                };
                self.report(
                    Diagnostic::error(code::EXPRESSION, format!("{} {text}", quote(&found.word)))
                        .label(span, format!("expected `{}.name`", found.word))
                        .help("a field within a field is bound by `parent.field: a.b`"),
                );
                None
            }
        };
        let name = name.unwrap_or_default();
        let interval = self.scope.interval_name(&name);
        let bound = self
            .scope
            .parents
            .iter_mut()
            .find(|bound| bound.name == name);
        let listed = self
            .scope
            .statics
            .iter_mut()
            .find(|listed| listed.name == name);
        match (bound, listed) {
            (Some(bound), _) => bound.used = true,
            (None, Some(listed)) => listed.used = true,
            (None, None) if name.is_empty() => {}
            (None, None) if interval.is_some() => {
                let end = interval.unwrap_or_default();
                self.scope.interval_uses[end].push(span);
                return super::incremental::interval(end, found.default);
            }
            (None, None) => self.scope.unbound.push(Unbound {
                name: name.clone(),
                span,
            }),
        }
        Lookup {
            root: Root::Partition,
            path: vec![Step::Key(name)],
            default: found.default,
        }
    }

    /// The parent that a placeholder `{resources.files.id}` makes; gives the name of its value.
    fn imply_parent(&mut self, text: &str, span: Span) -> Option<String> {
        let Some((resource, field)) = text.split_once('.') else {
            self.report(
                Diagnostic::error(
                    code::EXPRESSION,
                    format!("`{{resources.{text}}}` names no field"),
                )
                .label(span, "expected `{resources.name.field}`"),
            );
            return None;
        };
        let name = format!("resources.{text}");
        if self.scope.parents.iter().any(|bound| bound.name == name) {
            return Some(name);
        }
        let declared = self
            .scope
            .parents
            .iter_mut()
            .find(|bound| bound.resource.value == resource && bound.field.value == field);
        if let Some(declared) = declared {
            declared.used = true;
            let (first, known) = (declared.name_span, declared.name.clone());
            self.report(
                Diagnostic::error(
                    code::CONFLICT,
                    format!("{} of {} is bound already", quote(field), quote(resource)),
                )
                .label(span, "this one")
                .label(first, "and this one")
                .help(format!("write `{{{known}}}`, or remove the parent")),
            );
            return None;
        }
        let text_of = |value: &str| Text {
            value: value.to_owned(),
            span,
        };
        let field = text_of(field);
        let path = self.single_path(&field);
        self.scope.parents.push(Bound {
            resource: text_of(resource),
            field,
            path,
            name: name.clone(),
            name_span: span,
            new_only: false,
            used: false,
        });
        Some(name)
    }

    /// Whether a name of the text at `span` has no value yet; the paginator gives it one then.
    pub(super) fn take_unbound(&mut self, name: &str, span: Span) -> bool {
        let before = self.scope.unbound.len();
        self.scope.unbound.retain(|unbound| {
            unbound.name != name || unbound.span.start < span.start || unbound.span.end > span.end
        });
        self.scope.unbound.len() < before
    }

    /// Reports values of partitions that stand where no resource is.
    pub(super) fn close_client_scope(&mut self) {
        for unbound in std::mem::take(&mut self.scope).unbound {
            self.report(
                Diagnostic::error(
                    code::UNBOUND,
                    format!("no parent binds {}", quote(&unbound.name)),
                )
                .label(unbound.span, "nothing gives this a value here")
                .note("values of parents are known in the requests of a resource"),
            );
        }
    }
}
