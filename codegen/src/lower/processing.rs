//! Processing steps: what they do to records, checked against each other and the schema.

use connector_plan::{
    Assignment, Explode, Expression, Field, FieldType, Flatten, Lookup, MemberPath, Part, Path,
    ProcessingStep, Renaming, Root, Step, Template,
};
use serde_json::Value;

use super::Lowering;
use super::condition::Moment;
use super::template::join;
use crate::diagnostic::{Diagnostic, code};
use crate::expression::{self, Found, Piece};
use crate::source::Span;
use crate::spec::{
    ExplodeMapping, FlattenMapping, Json, Key, Named, ResourceMapping, StepMapping, Text,
};
use crate::words::{list, quote};
use crate::yaml;

/// What the steps so far have done to the members of a record.
#[derive(Debug, Default)]
struct Flow {
    /// The members that are no longer there.
    gone: Vec<Gone>,
    /// The members that a step has made.
    made: Vec<Made>,
    /// The first explosion, and whether a member of the key differs between its records.
    explosion: Option<Span>,
    key_is_made: bool,
}

#[derive(Debug)]
struct Gone {
    path: MemberPath,
    span: Span,
}

#[derive(Debug)]
struct Made {
    path: MemberPath,
    span: Span,
    /// The value, when it is known.
    value: Option<Value>,
    read: bool,
}

impl Lowering<'_, '_> {
    /// The processing steps of a resource with these fields and this key.
    pub(super) fn processing_steps(
        &mut self,
        resource: &ResourceMapping,
        fields: &[Field],
        primary_key: &[String],
    ) -> Vec<ProcessingStep> {
        let mut flow = Flow::default();
        let mut steps = Vec::new();
        let requests = self.scope.leave_requests();
        for step in resource.processing_steps.get().into_iter().flatten() {
            steps.extend(self.step(&step.0, &mut flow, primary_key));
        }
        self.scope.enter_requests(requests);
        if !fields.is_empty() {
            self.check_made(&flow, fields);
            self.check_gone(&flow, fields);
        }
        if let Some(span) = flow.explosion
            && !primary_key.is_empty()
            && !flow.key_is_made
        {
            self.report(
                Diagnostic::error(
                    code::PRIMARY_KEY,
                    "the records of one list would have the same primary key",
                )
                .label(span, "this makes several records of one")
                .note(format!("the primary key is {}", list(primary_key, "and")))
                .help(
                    "add what tells the elements apart to the key: the element itself, or its \
                     position by `index`",
                ),
            );
        }
        steps
    }

    fn step(
        &mut self,
        step: &StepMapping,
        flow: &mut Flow,
        primary_key: &[String],
    ) -> Option<ProcessingStep> {
        if let Some(text) = step.filter.get() {
            self.read(text, flow);
            return self
                .condition(text, Moment::Step)
                .map(ProcessingStep::Filter);
        }
        if let Some(set) = step.set.get() {
            if set.0.is_empty() {
                let span = step.set.key_span().unwrap_or(step.blame);
                self.invalid("`set` sets nothing", span, "no members here");
            }
            return Some(self.set(set, flow, primary_key));
        }
        if let Some(texts) = step.remove.get() {
            let mut paths = Vec::new();
            for text in &texts.0 {
                let path = self.steps(text);
                if path.is_empty() {
                    continue;
                }
                self.check_present(&path, text.span, flow);
                if let Some(path) = keys(&path) {
                    flow.lose(path, text.span);
                }
                paths.push(path);
            }
            return Some(ProcessingStep::Remove(paths));
        }
        if let Some(rename) = step.rename.get() {
            return Some(self.rename(rename, flow, primary_key));
        }
        if let Some(explode) = step.explode.get() {
            return self.explode(&explode.0, flow, primary_key);
        }
        let flatten = step.flatten.get()?;
        Some(self.flatten(&flatten.0, flow))
    }

    fn set(
        &mut self,
        set: &Named<Json>,
        flow: &mut Flow,
        primary_key: &[String],
    ) -> ProcessingStep {
        let mut assignments = Vec::new();
        for (name, key) in &set.0 {
            let value = match key {
                Key::Given(given) => self.json(&given.value.node, |this, text| {
                    let text = Text {
                        value: text.value.as_str().unwrap_or_default().to_owned(),
                        span: text.span,
                    };
                    this.read(&text, flow);
                    this.step_template(&text)
                }),
                Key::Null(_) => Template::Literal(Value::Null),
                Key::Absent | Key::Invalid(_) => continue,
            };
            let text = Text {
                value: name.text.clone(),
                span: name.span,
            };
            let Some(path) = self.member_path(&text) else {
                continue;
            };
            assignments.push((Assignment { path, value }, name.span));
        }
        for (assignment, span) in &assignments {
            let value = match &assignment.value {
                Template::Literal(value) => Some(value.clone()),
                Template::Parts(_) => Some(Value::String(String::new())),
                Template::Expression(_) | Template::Object(_) | Template::List(_) => None,
            };
            flow.make(assignment.path.clone(), *span, value, primary_key);
        }
        ProcessingStep::Set(assignments.into_iter().map(|(set, _)| set).collect())
    }

    /// A text that may look at the record.
    fn step_template(&mut self, text: &Text) -> Template {
        let mut parts = Vec::new();
        for piece in self.pieces(&text.value, text.span) {
            parts.push(match piece {
                Piece::Text(text) => Part::Text(text),
                Piece::Lookup(found) => {
                    Part::Expression(Expression::Lookup(if found.root == Root::Partition {
                        let span = self.place_of(&found, text);
                        self.resolve_partition(found, span)
                    } else {
                        self.see(&found, text, Moment::Step);
                        Lookup {
                            root: found.root,
                            path: found.path,
                            default: found.default,
                        }
                    }))
                }
                Piece::Jinja(compiled) => {
                    let jinja = self.jinja(&compiled, text, Moment::Step);
                    Part::Expression(Expression::Jinja(jinja))
                }
            });
        }
        join(parts)
    }

    fn rename(
        &mut self,
        rename: &Named<Text>,
        flow: &mut Flow,
        primary_key: &[String],
    ) -> ProcessingStep {
        let mut renamings = Vec::new();
        for (name, given) in rename.given() {
            let from = Text {
                value: name.text.clone(),
                span: name.span,
            };
            let (Some(from), Some(to)) = (self.member_path(&from), self.member_path(&given.value))
            else {
                continue;
            };
            if from == to {
                self.invalid("a member that keeps its name", given.span, "remove this");
            }
            let steps: Path = from.iter().cloned().map(Step::Key).collect();
            self.check_present(&steps, name.span, flow);
            renamings.push((Renaming { from, to }, name.span, given.span));
        }
        for (number, (renaming, _, span)) in renamings.iter().enumerate() {
            let first = renamings[..number]
                .iter()
                .find(|(other, ..)| other.to == renaming.to);
            if let Some((_, _, first)) = first {
                self.reporter
                    .conflict("two members get the same name", *span, *first);
            }
        }
        for (renaming, span, _) in &renamings {
            flow.lose(renaming.from.clone(), *span);
        }
        for (renaming, _, span) in &renamings {
            flow.make(renaming.to.clone(), *span, None, primary_key);
        }
        ProcessingStep::Rename(renamings.into_iter().map(|(one, ..)| one).collect())
    }

    fn explode(
        &mut self,
        explode: &ExplodeMapping,
        flow: &mut Flow,
        primary_key: &[String],
    ) -> Option<ProcessingStep> {
        if explode.field.is_unset() {
            self.missing("field", "`explode`", explode.blame, "write `explode: tags`");
        }
        let field = explode.field.get()?;
        let path = self.member_path(field)?;
        let steps: Path = path.iter().cloned().map(Step::Key).collect();
        self.check_present(&steps, field.span, flow);
        let into = explode.into.get();
        let index = explode.index.get();
        let into_path = match into {
            Some(text) => self.member_path(text)?,
            None => path.clone(),
        };
        let index_path = match index {
            Some(text) => Some(self.member_path(text)?),
            None => None,
        };
        flow.explosion.get_or_insert(field.span);
        if into_path == path {
            flow.key_is_made |= path.len() == 1 && primary_key.contains(&path[0]);
        } else {
            flow.lose(path.clone(), field.span);
            let span = into.map_or(field.span, |text| text.span);
            flow.make(into_path.clone(), span, None, primary_key);
        }
        if let (Some(text), Some(index)) = (index, &index_path) {
            flow.make(index.clone(), text.span, Some(0.into()), primary_key);
            if *index == into_path {
                let span = into.map_or(field.span, |text| text.span);
                self.reporter.conflict(
                    "the element and its position go to the same member",
                    text.span,
                    span,
                );
            }
        }
        Some(ProcessingStep::Explode(Explode {
            path,
            into: into_path,
            index: index_path,
            drop_empty: explode.drop_empty.get() == Some(&true),
        }))
    }

    fn flatten(&mut self, flatten: &FlattenMapping, flow: &mut Flow) -> ProcessingStep {
        let path = flatten.field.get().and_then(|text| {
            let path = self.member_path(text)?;
            let steps: Path = path.iter().cloned().map(Step::Key).collect();
            self.check_present(&steps, text.span, flow);
            Some(path)
        });
        if let (Some(prefix), None) = (flatten.prefix.given(), flatten.field.given()) {
            self.invalid(
                "`prefix` is for the members of one object",
                prefix.key.span,
                "this flattens all of them",
            );
        }
        // What it makes is known with the records alone.
        flow.key_is_made |= flow.explosion.is_some();
        let own = path.as_ref().and_then(|path| path.last().cloned());
        ProcessingStep::Flatten(Flatten {
            path,
            prefix: match flatten.prefix.get() {
                Some(text) => text.value.clone(),
                None => own.unwrap_or_default(),
            },
            separator: flatten
                .separator
                .get()
                .map_or_else(|| "_".to_owned(), |text| text.value.clone()),
            levels: flatten
                .levels
                .get()
                .and_then(|levels| u32::try_from(levels.0).ok()),
        })
    }

    /// A path through objects.
    fn member_path(&mut self, text: &Text) -> Option<MemberPath> {
        let path = self.single_path(text);
        let found = keys(&path);
        if path.iter().any(|step| matches!(step, Step::Index(_))) {
            self.invalid(
                "a path to a member has names only",
                text.span,
                "this has the index of an element",
            );
        }
        found
    }

    /// Notes what an expression reads of the record.
    fn read(&mut self, text: &Text, flow: &mut Flow) {
        let pieces = expression::parse(&text.value).unwrap_or_default();
        let uses = pieces.into_iter().flat_map(|piece| match piece {
            Piece::Text(_) => Vec::new(),
            Piece::Lookup(found) => vec![found],
            Piece::Jinja(compiled) => compiled.uses,
        });
        for found in uses.filter(|found| found.root == Root::Record) {
            let span = self.place_of(&found, text);
            self.check_present(&found.path, span, flow);
        }
    }

    fn place_of(&self, found: &Found, text: &Text) -> Span {
        let range = &found.range;
        yaml::locate(
            self.reporter.text,
            text.span,
            &text.value,
            range.start,
            range.end,
        )
    }

    /// Checks that no step has taken away what is looked at.
    fn check_present(&mut self, path: &[Step], span: Span, flow: &mut Flow) {
        let names: MemberPath = path
            .iter()
            .map_while(|step| match step {
                Step::Key(key) => Some(key.clone()),
                Step::Index(_) | Step::Wildcard => None,
            })
            .collect();
        for made in &mut flow.made {
            made.read |= names.starts_with(&made.path) || made.path.starts_with(&names);
        }
        let gone = flow.gone.iter().find(|gone| names.starts_with(&gone.path));
        if let Some(gone) = gone {
            self.report(
                Diagnostic::error(
                    code::UNKNOWN_FIELD,
                    format!("{} is no longer there", quote(&gone.path.join("."))),
                )
                .label(span, "looks at it")
                .label(gone.span, "takes it away")
                .help("change the order of the steps"),
            );
        }
    }

    /// Checks that what steps have made goes into a column, or is read by a later step.
    fn check_made(&mut self, flow: &Flow, fields: &[Field]) {
        for made in &flow.made {
            if flow.is_gone(&made.path) {
                continue;
            }
            let name = quote(&made.path.join("."));
            match declared(fields, &made.path) {
                Some(field) => {
                    let fits = made.value.as_ref().is_none_or(|value| fits(value, field));
                    if !fits {
                        self.report(
                            Diagnostic::error(
                                code::WRONG_TYPE,
                                format!("{name} does not fit its field"),
                            )
                            .label(made.span, "the schema declares another type")
                            .help("change the value, or the type of the field"),
                        );
                    }
                }
                None if made.read || is_inside_json(fields, &made.path) => {}
                None => {
                    let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
                    self.report(
                        Diagnostic::error(
                            code::UNKNOWN_FIELD,
                            format!("{name} is not a field and no later step reads it"),
                        )
                        .label(made.span, "made here")
                        .known("fields", &made.path[0], &names),
                    );
                }
            }
        }
    }

    /// Checks that no field is always empty.
    fn check_gone(&mut self, flow: &Flow, fields: &[Field]) {
        for gone in &flow.gone {
            if declared(fields, &gone.path).is_some() {
                self.report(
                    Diagnostic::error(
                        code::UNKNOWN_FIELD,
                        format!(
                            "the field {} would always be null",
                            quote(&gone.path.join("."))
                        ),
                    )
                    .label(gone.span, "this takes it away")
                    .help("remove the field from the schema, or the step"),
                );
            }
        }
    }
}

impl Flow {
    fn lose(&mut self, path: MemberPath, span: Span) {
        self.gone.push(Gone { path, span });
    }

    fn make(&mut self, path: MemberPath, span: Span, value: Option<Value>, primary_key: &[String]) {
        self.gone
            .retain(|gone| !gone.path.starts_with(&path) && !path.starts_with(&gone.path));
        self.key_is_made |= self.explosion.is_some() && primary_key.contains(&path[0]);
        self.made.push(Made {
            path,
            span,
            value,
            read: false,
        });
    }

    fn is_gone(&self, path: &[String]) -> bool {
        self.gone.iter().any(|gone| path.starts_with(&gone.path))
    }
}

/// The names of a path that has nothing else; at least one.
fn keys(path: &[Step]) -> Option<MemberPath> {
    let names: Option<MemberPath> = path
        .iter()
        .map(|step| match step {
            Step::Key(key) => Some(key.clone()),
            Step::Index(_) | Step::Wildcard => None,
        })
        .collect();
    names.filter(|names| !names.is_empty())
}

/// The field at a path.
fn declared<'f>(fields: &'f [Field], path: &[String]) -> Option<&'f Field> {
    let (name, rest) = path.split_first()?;
    let field = fields.iter().find(|field| field.name == *name)?;
    match &field.field_type {
        _ if rest.is_empty() => Some(field),
        FieldType::Object(inner) => declared(inner, rest),
        _ => None,
    }
}

/// Whether a field on the way takes any JSON.
fn is_inside_json(fields: &[Field], path: &[String]) -> bool {
    (1..path.len()).any(|length| {
        declared(fields, &path[..length]).is_some_and(|field| field.field_type == FieldType::Json)
    })
}

/// Whether a constant can stand in a field.
fn fits(value: &Value, field: &Field) -> bool {
    use FieldType as T;
    match (value, &field.field_type) {
        (Value::Null, _) => field.nullable,
        (_, T::Json)
        | (Value::Bool(_), T::Boolean)
        | (Value::Number(_), T::Number | T::Decimal { .. } | T::Timestamp { .. })
        | (Value::String(_), T::String | T::Date | T::Decimal { .. } | T::Timestamp { .. })
        | (Value::Array(_), T::List(_))
        | (Value::Object(_), T::Object(_)) => true,
        (Value::Number(number), T::Integer) => number.is_i64(),
        _ => false,
    }
}
