//! The processing steps of a resource, as the decoder takes them.

use connector_decode::{Draft, Node, RecordProcessor};
use connector_plan::{
    Explode, Expression, Lookup, MemberPath, Part, Path, ProcessingStep, Resource, Root, Template,
};

use crate::expression::{Captured, Decision, Program, View};
use crate::template::{Scope, render, to_text};
use crate::{Json, Result, Settings};

/// What the processing steps of a resource do, when it has any.
pub(crate) fn of(
    resource: &Resource,
    settings: &Settings,
    partition: &Json,
) -> Result<Option<RecordProcessor>> {
    if resource.processing_steps.is_empty() {
        return Ok(None);
    }
    let around = Around {
        settings: settings.clone(),
        partition: partition.clone(),
    };
    let steps = resource
        .processing_steps
        .iter()
        .map(|step| Step::new(step, &around))
        .collect::<Result<Vec<_>>>()?;
    Ok(Some(RecordProcessor::new(move |record, give| {
        let mut dropped = 0;
        run(&steps, &around, record, &mut dropped, give)?;
        Ok(dropped)
    })))
}

/// What expressions see beside the record.
struct Around {
    settings: Settings,
    partition: Json,
}

/// A step, compiled.
enum Step {
    Filter(Vec<Path>, Decision),
    Set(Vec<(MemberPath, Value)>),
    Remove(Vec<Path>),
    Rename(Vec<(MemberPath, MemberPath)>),
    Explode(Explode),
    Flatten(connector_plan::Flatten),
}

/// Where the new value of a member comes from.
enum Value {
    /// It is the same for all records.
    Constant(Json),
    /// Another member of the record.
    Copy(Lookup),
    Program(Program, Vec<Path>),
    Text(Vec<Self>),
    Object(Vec<(String, Self)>),
    List(Vec<Self>),
}

impl Step {
    fn new(step: &ProcessingStep, around: &Around) -> Result<Self> {
        Ok(match step {
            ProcessingStep::Filter(condition) => Self::Filter(
                condition.paths(Root::Record),
                Decision::new(condition, &around.settings)?,
            ),
            ProcessingStep::Set(assignments) => {
                let value = |template| Value::new(template, around);
                let set = assignments
                    .iter()
                    .map(|set| Ok((set.path.clone(), value(&set.value)?)));
                Self::Set(set.collect::<Result<_>>()?)
            }
            ProcessingStep::Remove(paths) => Self::Remove(paths.clone()),
            ProcessingStep::Rename(all) => {
                let pairs = all.iter().map(|one| (one.from.clone(), one.to.clone()));
                Self::Rename(pairs.collect())
            }
            ProcessingStep::Explode(explode) => Self::Explode(explode.clone()),
            ProcessingStep::Flatten(flatten) => Self::Flatten(flatten.clone()),
        })
    }
}

/// Takes a record through the steps that are left.
fn run<'p>(
    steps: &[Step],
    around: &Around,
    mut record: Draft<'p>,
    dropped: &mut u64,
    give: &mut dyn FnMut(Draft<'p>),
) -> Result<(), String> {
    let Some((step, rest)) = steps.split_first() else {
        give(record);
        return Ok(());
    };
    match step {
        Step::Filter(paths, decision) => {
            let values = capture(&record, paths)?;
            let holds = decision.holds(&around.view(paths, &values));
            if !holds.map_err(|error| error.to_string())? {
                *dropped += 1;
                return Ok(());
            }
        }
        Step::Set(assignments) => {
            let mut values = Vec::with_capacity(assignments.len());
            for (_, value) in assignments {
                values.push(value.node(&record, around)?);
            }
            for ((path, _), node) in assignments.iter().zip(values) {
                record
                    .set(path, node)
                    .map_err(|problem| failed("set", path, &problem))?;
            }
        }
        Step::Remove(paths) => paths.iter().for_each(|path| record.remove(path)),
        Step::Rename(pairs) => rename(pairs, &mut record)?,
        Step::Explode(explode) => {
            return self::explode(explode, record, dropped, &mut |record, dropped| {
                run(rest, around, record, dropped, give)
            });
        }
        Step::Flatten(flatten) => {
            let path = flatten.path.as_deref();
            record
                .flatten(path, &flatten.prefix, &flatten.separator, flatten.levels)
                .map_err(|problem| failed("flatten", path.unwrap_or_default(), &problem))?;
        }
    }
    run(rest, around, record, dropped, give)
}

fn rename(pairs: &[(MemberPath, MemberPath)], record: &mut Draft<'_>) -> Result<(), String> {
    let mut taken = Vec::with_capacity(pairs.len());
    for (from, to) in pairs {
        taken.extend(record.take(from).map(|node| (to, node)));
    }
    for (to, node) in taken {
        if record.node(&steps(to)).is_some() {
            return Err(failed("rename to", to, "the record has such a member"));
        }
        record
            .set(to, node)
            .map_err(|problem| failed("rename to", to, &problem))?;
    }
    Ok(())
}

fn explode<'p>(
    explode: &Explode,
    mut record: Draft<'p>,
    dropped: &mut u64,
    next: &mut dyn FnMut(Draft<'p>, &mut u64) -> Result<(), String>,
) -> Result<(), String> {
    let into = &explode.into;
    let list = record.take(&explode.path).unwrap_or_else(Node::null);
    let elements = match list.into_elements() {
        Ok(elements) => elements,
        Err(null) if null.is_null() => Vec::new(),
        Err(single) => vec![single],
    };
    if *into != explode.path && record.node(&steps(into)).is_some() {
        return Err(failed("explode", into, "the record has such a member"));
    }
    if elements.is_empty() {
        if explode.drop_empty {
            *dropped += 1;
            return Ok(());
        }
        let set = record.set(into, Node::null());
        set.map_err(|problem| failed("explode", into, &problem))?;
        if let Some(index) = &explode.index {
            let set = record.set(index, Node::null());
            set.map_err(|problem| failed("explode", index, &problem))?;
        }
        return next(record, dropped);
    }
    for (number, element) in elements.into_iter().enumerate() {
        let mut one = record.clone();
        one.set(into, element)
            .map_err(|problem| failed("explode", into, &problem))?;
        if let Some(index) = &explode.index {
            one.set(index, Node::new(&number.into()))
                .map_err(|problem| failed("explode", index, &problem))?;
        }
        next(one, dropped)?;
    }
    Ok(())
}

impl Around {
    fn view<'a>(&'a self, paths: &'a [Path], values: &'a [Option<Json>]) -> View<'a> {
        View {
            settings: Some(&self.settings),
            partition: Some(&self.partition),
            record: Captured { paths, values },
            ..View::default()
        }
    }
}

impl Value {
    fn new(template: &Template, around: &Around) -> Result<Self> {
        Ok(match template {
            Template::Literal(value) => Self::Constant(value.clone()),
            Template::Expression(expression) => Self::of(expression, around)?,
            Template::Parts(parts) => {
                let parts = parts.iter().map(|part| match part {
                    Part::Text(text) => Ok(Self::Constant(text.as_str().into())),
                    Part::Expression(expression) => Self::of(expression, around),
                });
                Self::Text(parts.collect::<Result<_>>()?)
            }
            Template::Object(members) => {
                let members = members
                    .iter()
                    .map(|member| Ok((member.name.clone(), Self::new(&member.value, around)?)));
                Self::Object(members.collect::<Result<_>>()?)
            }
            Template::List(elements) => {
                let elements = elements.iter().map(|element| Self::new(element, around));
                Self::List(elements.collect::<Result<_>>()?)
            }
        })
    }

    fn of(expression: &Expression, around: &Around) -> Result<Self> {
        Ok(match expression {
            Expression::Lookup(lookup) if lookup.root == Root::Record => Self::Copy(lookup.clone()),
            Expression::Jinja(jinja) => Self::Program(Program::new(jinja, &around.settings)?, {
                let paths = jinja.paths(Root::Record);
                paths.cloned().collect()
            }),
            // Settings and partitions do not change from record to record.
            other => {
                let scope = Scope {
                    settings: Some(&around.settings),
                    partition: Some(&around.partition),
                    interval: None,
                };
                Self::Constant(render(&Template::Expression(other.clone()), scope)?.value)
            }
        })
    }

    fn node<'p>(&self, record: &Draft<'p>, around: &Around) -> Result<Node<'p>, String> {
        if let Self::Copy(lookup) = self {
            let default = || lookup.default.as_ref().map_or_else(Node::null, Node::new);
            return Ok(record.node(&lookup.path).unwrap_or_else(default));
        }
        Ok(Node::new(&self.json(record, around)?))
    }

    fn json(&self, record: &Draft<'_>, around: &Around) -> Result<Json, String> {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Copy(lookup) => {
                let found = record.value(&lookup.path)?;
                Ok(found.or_else(|| lookup.default.clone()).unwrap_or_default())
            }
            Self::Program(program, paths) => {
                let values = capture(record, paths)?;
                let value = program.evaluate(&around.view(paths, &values));
                value.map_err(|error| error.to_string())
            }
            Self::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match to_text(&part.json(record, around)?) {
                        Some(part) => text.push_str(&part),
                        None => return Ok(Json::Null),
                    }
                }
                Ok(text.into())
            }
            Self::Object(members) => {
                let members = members
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), value.json(record, around)?)));
                Ok(Json::Object(members.collect::<Result<_, String>>()?))
            }
            Self::List(elements) => {
                let elements = elements.iter().map(|value| value.json(record, around));
                Ok(Json::Array(elements.collect::<Result<_, String>>()?))
            }
        }
    }
}

fn capture(record: &Draft<'_>, paths: &[Path]) -> Result<Vec<Option<Json>>, String> {
    paths.iter().map(|path| record.value(path)).collect()
}

fn steps(path: &[String]) -> Path {
    let keys = path.iter().cloned();
    keys.map(connector_plan::Step::Key).collect()
}

fn failed(what: &str, path: &[String], problem: &str) -> String {
    match path {
        [] => format!("`{what}`: {problem}"),
        path => format!("`{what}` of `{}`: {problem}", path.join(".")),
    }
}
