//! Processing steps from the other side: what an API's records look like in front of them, and what
//! a client makes of those records.
//!
//! Sample data is made for the fields of the schema. In front of the steps a renamed member has its
//! old name, an exploded one is a list, a flattened one an object, and what steps compute is not
//! there. This is written against the plan alone, on plain JSON values; it is no part of the client.

use connector_plan::{
    Explode, Expression, Flatten, MemberPath, Part, Path, ProcessingStep, Renaming, Resource, Root,
    Step, Template, follow,
};
use serde_json::{Map, Value};

use crate::{condition, selector};

/// The record that the steps make this one of, as far as that can be known.
pub(crate) fn raw(steps: &[ProcessingStep], mut record: Value) -> Value {
    for step in steps.iter().rev() {
        match step {
            ProcessingStep::Filter(_) => {}
            ProcessingStep::Set(assignments) => {
                for set in assignments {
                    take(&mut record, &set.path);
                }
            }
            // Something has to be there for the client to remove.
            ProcessingStep::Remove(paths) => {
                for path in paths.iter().filter_map(names) {
                    put(&mut record, &path, Value::from("removed"));
                }
            }
            ProcessingStep::Rename(all) => {
                let moved: Vec<_> = all
                    .iter()
                    .map(|Renaming { from, to }| (from, take(&mut record, to)))
                    .collect();
                for (from, value) in moved {
                    if let Some(value) = value {
                        put(&mut record, from, value);
                    }
                }
            }
            ProcessingStep::Explode(explode) => {
                if let Some(index) = &explode.index {
                    take(&mut record, index);
                }
                let element = take(&mut record, &explode.into);
                let list = match element {
                    None | Some(Value::Null) => Value::Null,
                    Some(element) => Value::Array(vec![element]),
                };
                put(&mut record, &explode.path, list);
            }
            ProcessingStep::Flatten(flatten) => unflatten(flatten, &mut record),
        }
    }
    record
}

/// The records that the steps make of one, without the members that a server cannot know.
pub(crate) fn processed(steps: &[ProcessingStep], record: Value) -> Vec<Value> {
    let mut records = vec![record];
    for step in steps {
        records = records
            .into_iter()
            .flat_map(|record| one(step, record))
            .collect();
    }
    records
}

/// The texts that the filters of a resource compare fields with, by the fields' names behind the
/// steps.
pub(crate) fn choices(resource: &Resource) -> Vec<(String, Vec<String>)> {
    let steps = resource.processing_steps.as_slice();
    let mut all = selector::choices(&resource.endpoint.data_selector);
    if let Some(filter) = &resource.record_filter {
        all.extend(condition::choices(filter));
    }
    for choice in &mut all {
        choice.0 = behind(steps, &choice.0);
    }
    for (number, step) in steps.iter().enumerate() {
        if let ProcessingStep::Filter(filter) = step {
            let choices = condition::choices(filter).into_iter();
            all.extend(choices.map(|(field, texts)| (behind(&steps[number..], &field), texts)));
        }
    }
    all
}

/// The name that a member has behind these steps.
fn behind(steps: &[ProcessingStep], field: &str) -> String {
    let mut name = field.to_owned();
    for step in steps {
        if let ProcessingStep::Rename(all) = step
            && let Some(renaming) = all.iter().find(|one| one.from == [name.as_str()])
            && let [to] = renaming.to.as_slice()
        {
            name.clone_from(to);
        }
    }
    name
}

fn one(step: &ProcessingStep, mut record: Value) -> Vec<Value> {
    match step {
        ProcessingStep::Filter(condition) => {
            // A client may drop records whose condition a server cannot know.
            if !condition::keeps(condition, &record) {
                return Vec::new();
            }
        }
        ProcessingStep::Set(assignments) => {
            let values: Vec<_> = assignments
                .iter()
                .map(|set| value(&set.value, &record))
                .collect();
            for (set, value) in assignments.iter().zip(values) {
                match value {
                    Some(value) => put(&mut record, &set.path, value),
                    None => {
                        take(&mut record, &set.path);
                    }
                }
            }
        }
        ProcessingStep::Remove(paths) => {
            for path in paths.iter().filter_map(names) {
                take(&mut record, &path);
            }
        }
        ProcessingStep::Rename(all) => {
            let moved: Vec<_> = all
                .iter()
                .map(|Renaming { from, to }| (to, take(&mut record, from)))
                .collect();
            for (to, value) in moved {
                if let Some(value) = value {
                    put(&mut record, to, value);
                }
            }
        }
        ProcessingStep::Explode(explode) => return exploded(explode, record),
        ProcessingStep::Flatten(flatten) => flattened(flatten, &mut record),
    }
    vec![record]
}

fn exploded(explode: &Explode, mut record: Value) -> Vec<Value> {
    let elements = match take(&mut record, &explode.path) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(elements)) => elements,
        Some(single) => vec![single],
    };
    if elements.is_empty() {
        return if explode.drop_empty {
            Vec::new()
        } else {
            vec![record]
        };
    }
    let records = elements.into_iter().enumerate().map(|(number, element)| {
        let mut one = record.clone();
        put(&mut one, &explode.into, element);
        if let Some(index) = &explode.index {
            put(&mut one, index, number.into());
        }
        one
    });
    records.collect()
}

fn flattened(flatten: &Flatten, record: &mut Value) {
    let levels = flatten.levels.unwrap_or(u32::MAX);
    let Some((path, object)) = around(flatten, record) else {
        return;
    };
    for (name, value) in std::mem::take(object) {
        match value {
            Value::Object(members) if path.is_none_or(|own| *own == name) => {
                let prefix = path.map_or(name.as_str(), |_| &flatten.prefix);
                lift(members, prefix, &flatten.separator, levels, object);
            }
            Value::Null if path == Some(&name) => {}
            value => {
                object.insert(name, value);
            }
        }
    }
}

/// The object whose members are flattened, and the one member when not all are.
fn around<'a>(
    flatten: &'a Flatten,
    record: &'a mut Value,
) -> Option<(Option<&'a String>, &'a mut Map<String, Value>)> {
    let Some((name, way)) = flatten.path.as_ref().and_then(|path| path.split_last()) else {
        return Some((None, record.as_object_mut()?));
    };
    let object = way
        .iter()
        .try_fold(record, |value, name| value.get_mut(name))?;
    Some((Some(name), object.as_object_mut()?))
}

fn lift(
    members: Map<String, Value>,
    prefix: &str,
    separator: &str,
    levels: u32,
    out: &mut Map<String, Value>,
) {
    for (name, value) in members {
        let name = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}{separator}{name}")
        };
        match value {
            Value::Object(members) if levels > 1 => {
                lift(members, &name, separator, levels - 1, out);
            }
            value => {
                out.insert(name, value);
            }
        }
    }
}

/// Puts the members that a step would lift into an object, one level.
fn unflatten(flatten: &Flatten, record: &mut Value) {
    if flatten.prefix.is_empty() {
        return;
    }
    let Some((Some(own), object)) = around(flatten, record) else {
        return;
    };
    let prefix = format!("{}{}", flatten.prefix, flatten.separator);
    let mut inner = Map::new();
    for (name, value) in std::mem::take(object) {
        match name.strip_prefix(&prefix) {
            Some(short) if !short.is_empty() => inner.insert(short.to_owned(), value),
            _ => object.insert(name, value),
        };
    }
    object.insert(own.clone(), Value::Object(inner));
}

/// The value of a template over the record alone; nothing when it looks at something else.
fn value(template: &Template, record: &Value) -> Option<Value> {
    let look_up = |expression: &Expression| match expression {
        Expression::Lookup(lookup) if lookup.root == Root::Record => {
            let found = follow(record, &lookup.path);
            Some(
                found
                    .or(lookup.default.as_ref())
                    .cloned()
                    .unwrap_or_default(),
            )
        }
        _ => None,
    };
    match template {
        Template::Literal(value) => Some(value.clone()),
        Template::Expression(expression) => look_up(expression),
        Template::Parts(parts) => {
            let mut text = String::new();
            for part in parts {
                match part {
                    Part::Text(part) => text.push_str(part),
                    Part::Expression(expression) => match look_up(expression)? {
                        Value::Null => return Some(Value::Null),
                        Value::String(part) => text.push_str(&part),
                        other => text.push_str(&other.to_string()),
                    },
                }
            }
            Some(text.into())
        }
        Template::Object(members) => {
            let members = members
                .iter()
                .map(|member| Some((member.name.clone(), value(&member.value, record)?)));
            members.collect::<Option<_>>().map(Value::Object)
        }
        Template::List(elements) => {
            let elements = elements.iter().map(|element| value(element, record));
            elements.collect::<Option<_>>().map(Value::Array)
        }
    }
}

/// The path when it has names alone.
fn names(path: &Path) -> Option<MemberPath> {
    path.iter()
        .map(|step| match step {
            Step::Key(key) => Some(key.clone()),
            Step::Index(_) | Step::Wildcard => None,
        })
        .collect()
}

fn take(record: &mut Value, path: &[String]) -> Option<Value> {
    let (name, way) = path.split_last()?;
    let object = way
        .iter()
        .try_fold(record, |value, name| value.get_mut(name))?;
    object.as_object_mut()?.remove(name)
}

/// Puts a value at a path; objects are made where nothing is.
fn put(record: &mut Value, path: &[String], new: Value) {
    let Some((name, rest)) = path.split_first() else {
        *record = new;
        return;
    };
    if record.is_null() {
        *record = Value::Object(Map::new());
    }
    if let Some(object) = record.as_object_mut() {
        put(object.entry(name).or_insert(Value::Null), rest, new);
    }
}

#[cfg(test)]
mod tests {
    use connector_plan::{Assignment, Lookup};
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> MemberPath {
        text.split('.').map(str::to_owned).collect()
    }

    fn copy(from: &str) -> Template {
        Template::Expression(Expression::Lookup(Lookup {
            root: Root::Record,
            path: path(from).into_iter().map(Step::Key).collect(),
            default: None,
        }))
    }

    #[test]
    fn what_is_served_becomes_what_was_meant() {
        let steps = [
            ProcessingStep::Rename(vec![Renaming {
                from: path("ID"),
                to: path("id"),
            }]),
            ProcessingStep::Flatten(Flatten {
                path: Some(path("owner")),
                prefix: "owner".to_owned(),
                separator: "_".to_owned(),
                levels: None,
            }),
            ProcessingStep::Explode(Explode {
                path: path("tags"),
                into: path("tag"),
                index: Some(path("position")),
                drop_empty: false,
            }),
            ProcessingStep::Set(vec![Assignment {
                path: path("twin"),
                value: copy("id"),
            }]),
            ProcessingStep::Remove(vec![vec![Step::Key("noise".to_owned())]]),
        ];
        let meant = json!({"id": 1, "owner_name": "a", "tag": "x", "position": 7, "twin": 9});
        let served = raw(&steps, meant);
        assert_eq!(
            served,
            json!({"ID": 1, "owner": {"name": "a"}, "tags": ["x"], "noise": "removed"})
        );
        assert_eq!(
            processed(&steps, served),
            [json!({"id": 1, "owner_name": "a", "tag": "x", "position": 0, "twin": 1})]
        );
    }
}
