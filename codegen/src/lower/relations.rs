//! Parents and partitions: what gives the values that the requests of a resource name.

use std::collections::HashSet;

use connector_plan::{
    Binding, Field, FieldType, Include, Lookup, Parent, Relations, Resource, Root, Step,
};
use serde_json::{Map, Value};

use super::Lowering;
use crate::diagnostic::{Diagnostic, Severity, code};
use crate::expression::Found;
use crate::names::singular;
use crate::source::Span;
use crate::spec::{
    Named, OnParentErrorSpec, ParameterSpec, ParentSpec, PartitionsSpec, ResourceMapping, Text,
};
use crate::words::{list, nearest, quote};

/// The most combinations of values that a spec may list.
const MAXIMUM_PARTITIONS: usize = 10_000;

/// What the expressions of one resource can name, and what they do name.
#[derive(Debug, Default)]
pub(super) struct Scope {
    parents: Vec<Bound>,
    statics: Vec<Listed>,
    partitions: Vec<Map<String, Value>>,
    include: Vec<Text>,
    skip_failures: bool,
    /// The names of the start and the end of the cursor's range, where there is a cursor.
    pub(super) interval: Option<[String; 2]>,
    /// Where expressions name the start, and where they name the end.
    pub(super) interval_uses: [Vec<Span>; 2],
    unbound: Vec<Unbound>,
    /// What to point at when the resource as a whole is wrong.
    blame: Span,
}

/// A value of a parent.
#[derive(Clone, Debug)]
struct Bound {
    resource: Text,
    field: Text,
    path: Vec<Step>,
    name: String,
    name_span: Span,
    new_only: bool,
    used: bool,
}

/// A name that `partitions` gives values to.
#[derive(Debug)]
struct Listed {
    name: String,
    span: Span,
    used: bool,
}

/// A name that nothing gives a value.
#[derive(Debug)]
struct Unbound {
    name: String,
    span: Span,
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

    /// Resolves the parents of all resources, each with its scope.
    pub(super) fn relate(&mut self, resources: &mut [Resource], scopes: &[Scope]) {
        let graph = self.graph(resources, scopes);
        let order = self.order(resources, scopes, &graph);
        for (position, scope) in scopes.iter().enumerate() {
            self.report_unbound(resources, position, scope);
        }
        for position in order {
            self.relate_one(resources, position, &scopes[position], &graph);
        }
        // What looks unused may be used where something else is wrong.
        let wrong = |found: &Diagnostic| found.severity == Severity::Error;
        if self.reporter.found.iter().any(wrong) {
            return;
        }
        for scope in scopes {
            let parents = scope.parents.iter().filter(|bound| !bound.used);
            let parents = parents.map(|bound| (&bound.name, bound.name_span));
            let listed = scope.statics.iter().filter(|listed| !listed.used);
            let listed = listed.map(|listed| (&listed.name, listed.span));
            for (name, span) in parents.chain(listed) {
                self.report(
                    Diagnostic::error(
                        code::NO_EFFECT,
                        format!("no request names {}", quote(name)),
                    )
                    .label(span, "every value would give the same records")
                    .help(format!(
                        "write `{{{name}}}` in the path, a parameter, a header or the body, or remove it"
                    )),
                );
            }
        }
    }

    /// The positions of each resource's parents.
    fn graph(&mut self, resources: &[Resource], scopes: &[Scope]) -> Vec<Vec<usize>> {
        let mut graph = Vec::new();
        for scope in scopes {
            let mut parents = Vec::new();
            for bound in &scope.parents {
                let name = &bound.resource.value;
                let found = resources.iter().position(|resource| resource.name == *name);
                if let Some(parent) = found {
                    if !parents.contains(&parent) {
                        parents.push(parent);
                    }
                    continue;
                }
                let names: Vec<&str> = resources
                    .iter()
                    .map(|resource| resource.name.as_str())
                    .collect();
                let near = nearest(name, names.iter().copied());
                self.report(
                    Diagnostic::error(
                        code::UNKNOWN_RESOURCE,
                        format!("there is no resource {}", quote(name)),
                    )
                    .label(bound.resource.span, "unknown parent")
                    .note(format!(
                        "the resources are {}",
                        list(&names[..names.len().min(20)], "and")
                    ))
                    .help_if(near.map(|near| format!("did you mean {}?", quote(near)))),
                );
            }
            graph.push(parents);
        }
        graph
    }

    /// The positions of the resources, parents first; those of a cycle, and what depends on them,
    /// are left out.
    fn order(
        &mut self,
        resources: &[Resource],
        scopes: &[Scope],
        graph: &[Vec<usize>],
    ) -> Vec<usize> {
        let mut order: Vec<usize> = Vec::new();
        loop {
            let ready: Vec<usize> = (0..graph.len())
                .filter(|position| !order.contains(position))
                .filter(|position| graph[*position].iter().all(|parent| order.contains(parent)))
                .collect();
            if ready.is_empty() {
                break;
            }
            order.extend(ready);
        }
        let mut reported: Vec<usize> = Vec::new();
        for start in (0..graph.len()).filter(|position| !order.contains(position)) {
            // Going up from a resource without order must come to a cycle.
            let mut way = vec![start];
            let cycle = loop {
                let last = way[way.len() - 1];
                let next = graph[last].iter().find(|parent| !order.contains(parent));
                let Some(next) = next else { break None };
                if let Some(begin) = way.iter().position(|seen| seen == next) {
                    break Some(way[begin..].to_vec());
                }
                way.push(*next);
            };
            let Some(cycle) = cycle.filter(|cycle| !cycle.iter().any(|at| reported.contains(at)))
            else {
                continue;
            };
            let first = cycle[0];
            let mut names: Vec<String> = cycle
                .iter()
                .map(|position| quote(&resources[*position].name))
                .collect();
            names.push(names[0].clone());
            let span = scopes[first]
                .parents
                .first()
                .map_or(scopes[first].blame, |bound| bound.resource.span);
            self.report(
                Diagnostic::error(code::CYCLE, "resources are parents of each other")
                    .label(span, "this parent needs its own child")
                    .note(format!(
                        "{} needs {}",
                        names[0],
                        names[1..].join(", which needs ")
                    ))
                    .help("a chain of parents begins with a resource that has none"),
            );
            reported.extend(cycle);
        }
        order
    }

    fn report_unbound(&mut self, resources: &[Resource], position: usize, scope: &Scope) {
        for unbound in &scope.unbound {
            let name = &unbound.name;
            let mut diagnostic =
                Diagnostic::error(code::UNBOUND, format!("no parent binds {}", quote(name)))
                    .label(unbound.span, "nothing gives this a value");
            diagnostic = match candidate(name, resources, position) {
                Some((resource, field)) => diagnostic.help(format!(
                    "write `parent: {{resource: {resource}, field: {field}, as: {name}}}`"
                )),
                None => diagnostic
                    .note("an input is written `{{ config.name }}`, a literal brace `{{ '{' }}`")
                    .help(format!(
                        "write `parent: {{resource: …, field: …, as: {name}}}`, or `partitions: {{{name}: […]}}`"
                    )),
            };
            self.report(diagnostic);
        }
    }

    fn relate_one(
        &mut self,
        resources: &mut [Resource],
        position: usize,
        scope: &Scope,
        graph: &[Vec<usize>],
    ) {
        let mut parents: Vec<Parent> = Vec::new();
        for at in &graph[position] {
            let parent = &resources[*at];
            let mut bindings = Vec::new();
            let mut new_only = false;
            for bound in scope
                .parents
                .iter()
                .filter(|bound| bound.resource.value == parent.name)
            {
                self.check_field(bound, parent);
                new_only |= bound.new_only;
                bindings.push(Binding {
                    name: bound.name.clone(),
                    field: bound.path.clone(),
                });
            }
            parents.push(Parent {
                resource: parent.name.clone(),
                bindings,
                include: Vec::new(),
                new_only,
            });
            if let Some(bound) = scope
                .parents
                .iter()
                .find(|bound| bound.resource.value == parent.name)
            {
                let span = bound.resource.span;
                self.check_incremental_parent(parent, new_only, span);
                let history = resources[position].merge.history();
                if new_only && history.is_some_and(|history| history.retire_absent) {
                    self.report(
                        Diagnostic::error(
                            code::CONFLICT,
                            "records of parents that are not new would be taken for absent",
                        )
                        .label(span, "only its new records are read: `new_only`")
                        .help("remove `new_only`, or `retire_absent` of the write disposition"),
                    );
                }
            }
        }
        self.check_related(resources, position, scope, graph);
        let mut fields: Vec<Field> = Vec::new();
        for text in &scope.include {
            self.include(text, resources, position, &mut parents, &mut fields);
        }
        let child = &mut resources[position];
        child.fields.extend(fields);
        child.relations = Relations {
            parents,
            partitions: scope.partitions.clone(),
            skip_failures: scope.skip_failures,
        };
    }

    fn include(
        &mut self,
        text: &Text,
        resources: &[Resource],
        position: usize,
        parents: &mut [Parent],
        fields: &mut Vec<Field>,
    ) {
        if parents.is_empty() {
            self.report(
                Diagnostic::error(
                    code::NO_EFFECT,
                    format!(
                        "{} has no parent to include fields from",
                        quote(&resources[position].name)
                    ),
                )
                .label(text.span, "no parent has this field")
                .help("declare a `parent`, or remove `include_from_parent`"),
            );
            return;
        }
        let mut known: Vec<&str> = Vec::new();
        let mut found = false;
        for parent in parents.iter_mut() {
            let Some(resource) = resources.iter().find(|other| other.name == parent.resource)
            else {
                continue;
            };
            known.extend(resource.fields.iter().map(|field| field.name.as_str()));
            let Some(field) = resource
                .fields
                .iter()
                .find(|field| field.name == text.value)
            else {
                continue;
            };
            found = true;
            let column = format!("_{}_{}", parent.resource, field.name);
            let taken = resources[position].fields.iter().chain(fields.iter());
            if taken.into_iter().any(|own| own.name == column) {
                self.report(
                    Diagnostic::error(
                        code::DUPLICATE_FIELD,
                        format!("there is a field {} already", quote(&column)),
                    )
                    .label(text.span, "included as this column"),
                );
                continue;
            }
            fields.push(Field {
                name: column.clone(),
                field_type: field.field_type.clone(),
                nullable: true,
                description: format!(
                    "`{}` of the record of `{}` that this record was read for.",
                    field.name, parent.resource
                ),
            });
            parent.include.push(Include {
                field: field.name.clone(),
                column,
            });
        }
        let unknown = |parent: &&mut Parent| {
            let mut others = resources.iter();
            !found && others.any(|other| other.inferred && other.name == parent.resource)
        };
        let without_schema: Vec<&mut Parent> = parents.iter_mut().filter(unknown).collect();
        if !without_schema.is_empty() {
            let child = &resources[position];
            for parent in without_schema {
                if child.inferred {
                    parent.include.push(Include {
                        field: text.value.clone(),
                        column: format!("_{}_{}", parent.resource, text.value),
                    });
                    continue;
                }
                self.report(
                    Diagnostic::error(
                        code::UNKNOWN_FIELD,
                        format!(
                            "nothing tells the type of {}: {} has no schema",
                            quote(&text.value),
                            quote(&parent.resource)
                        ),
                    )
                    .label(text.span, "the type of this column is not known")
                    .help(format!(
                        "give {} a `schema` with this field",
                        quote(&parent.resource)
                    )),
                );
            }
            return;
        }
        if !found && !known.is_empty() {
            let near = nearest(&text.value, known.iter().copied());
            self.report(
                Diagnostic::error(
                    code::UNKNOWN_FIELD,
                    format!("no parent has a field {}", quote(&text.value)),
                )
                .label(text.span, "unknown field")
                .note(format!(
                    "the fields are {}",
                    list(&known[..known.len().min(20)], "and")
                ))
                .help_if(near.map(|near| format!("did you mean {}?", quote(near)))),
            );
        }
    }

    /// Checks that a value is a field of its parent that a request can carry.
    fn check_field(&mut self, bound: &Bound, parent: &Resource) {
        let mut fields = &parent.fields;
        // Without fields something else is wrong, and has been reported; without a schema it is seen
        // when records are read.
        if fields.is_empty() || parent.inferred || bound.path.is_empty() {
            return;
        }
        let mut found: Option<&FieldType> = None;
        for step in &bound.path {
            let field = match step {
                Step::Key(key) => fields.iter().find(|field| field.name == *key),
                Step::Index(_) | Step::Wildcard => None,
            };
            let Some(field) = field else {
                let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
                let near = nearest(&bound.field.value, names.iter().copied());
                self.report(
                    Diagnostic::error(
                        code::UNKNOWN_FIELD,
                        format!(
                            "{} has no field {}",
                            quote(&parent.name),
                            quote(&bound.field.value)
                        ),
                    )
                    .label(bound.field.span, "unknown field")
                    .note(format!(
                        "the fields are {}",
                        list(&names[..names.len().min(20)], "and")
                    ))
                    .help_if(near.map(|near| format!("did you mean {}?", quote(near)))),
                );
                return;
            };
            found = Some(&field.field_type);
            fields = match &field.field_type {
                FieldType::Object(inner) => inner,
                _ => const { &Vec::new() },
            };
        }
        if matches!(
            found,
            Some(FieldType::Object(_) | FieldType::List(_) | FieldType::Json)
        ) {
            self.report(
                Diagnostic::error(
                    code::WRONG_TYPE,
                    format!("{} is no single value", quote(&bound.field.value)),
                )
                .label(bound.field.span, "its type is an object, an array or JSON")
                .help("bind a scalar field"),
            );
        }
    }

    /// Two parents of which one descends from the other would be combined as if they did not.
    fn check_related(
        &mut self,
        resources: &[Resource],
        position: usize,
        scope: &Scope,
        graph: &[Vec<usize>],
    ) {
        let ancestors = |start: usize| {
            let mut known = graph[start].clone();
            let mut at = 0;
            while at < known.len() {
                for parent in &graph[known[at]] {
                    if !known.contains(parent) {
                        known.push(*parent);
                    }
                }
                at += 1;
            }
            known
        };
        for lower in &graph[position] {
            let above = ancestors(*lower);
            for upper in graph[position].iter().filter(|upper| above.contains(upper)) {
                let (upper, lower) = (&resources[*upper].name, &resources[*lower].name);
                let span = |name: &str| {
                    let bound = scope
                        .parents
                        .iter()
                        .find(|bound| bound.resource.value == name);
                    bound.map_or(scope.blame, |bound| bound.resource.span)
                };
                let field = scope
                    .parents
                    .iter()
                    .find(|bound| bound.resource.value == *upper);
                let field = field.map_or("id", |bound| bound.field.value.as_str());
                self.report(
                    Diagnostic::error(
                        code::CONFLICT,
                        format!("{} is a parent of {} itself", quote(upper), quote(lower)),
                    )
                    .label(span(upper), "every record of this one …")
                    .label(span(lower), "… would be combined with every one of this")
                    .help(format!(
                        "write `include_from_parent: [{field}]` in {}, and take `_{upper}_{field}` from there",
                        quote(lower)
                    )),
                );
            }
        }
    }
}

/// The parent and the field that a name suggests: `file_id` is `files.id`.
fn candidate<'r>(
    name: &str,
    resources: &'r [Resource],
    position: usize,
) -> Option<(&'r str, &'r str)> {
    let name = name.to_ascii_lowercase();
    let stem = name.strip_suffix("_id").unwrap_or(&name);
    let others = resources
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != position);
    let named = |resource: &&Resource| resource.name == stem || singular(&resource.name) == stem;
    let parent = others.map(|(_, resource)| resource).find(named)?;
    let field = parent
        .fields
        .iter()
        .find(|field| field.name == "id")
        .or_else(|| parent.fields.iter().find(|field| field.name == name))
        .map(|field| field.name.as_str())
        .or_else(|| parent.primary_key.first().map(String::as_str))?;
    Some((&parent.name, field))
}
