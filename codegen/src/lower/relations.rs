//! Parents and children: in which order they are read, and what children take from their parents.

use connector_plan::{Binding, Field, FieldType, Include, Parent, Relations, Resource};

use super::Lowering;
use super::scope::{Bound, Scope};
use crate::diagnostic::{Diagnostic, Severity, code};
use crate::names::singular;
use crate::spec::Text;
use crate::words::quote;

impl Lowering<'_, '_> {
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
                self.report(
                    Diagnostic::error(
                        code::UNKNOWN_RESOURCE,
                        format!("there is no resource {}", quote(name)),
                    )
                    .label(bound.resource.span, "unknown parent")
                    .known("resources", name, &names),
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
            self.report(
                Diagnostic::error(
                    code::UNKNOWN_FIELD,
                    format!("no parent has a field {}", quote(&text.value)),
                )
                .label(text.span, "unknown field")
                .known("fields", &text.value, &known),
            );
        }
    }

    /// Checks that a value is a field of its parent that a request can carry.
    fn check_field(&mut self, bound: &Bound, parent: &Resource) {
        let fields = &parent.fields;
        // Without fields something else is wrong, and has been reported; without a schema it is seen
        // when records are read.
        if fields.is_empty() || parent.inferred || bound.path.is_empty() {
            return;
        }
        let field = match Field::resolve(fields, &bound.path) {
            Ok(field) => field,
            Err(fields) => {
                let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
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
                    .known("fields", &bound.field.value, &names),
                );
                return;
            }
        };
        if matches!(
            field.field_type,
            FieldType::Object(_) | FieldType::List(_) | FieldType::Json
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
