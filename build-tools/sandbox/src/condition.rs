//! The conditions of a spec, as a server has to see them: what a page must say before a client
//! stops, and which records a client keeps.

use connector_plan::{Comparison, Condition, Lookup, Operand, Path, Predicate, Root, Step, follow};
use serde_json::Value;

/// Something that a page says about what comes next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Signal {
    pub(crate) path: Path,
    pub(crate) kind: SignalKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SignalKind {
    /// The number of records in the page: there is a page more, which is empty.
    Count,
    /// One value while there is more, another one at the end.
    Values { more: Value, end: Value },
}

/// What pages have to say so that a client stops in the end and not before.
pub(crate) fn signals(condition: &Condition) -> Vec<Signal> {
    let mut signals = Vec::new();
    if let Condition::Predicate(predicate) = condition {
        collect(predicate, true, &mut signals);
    }
    signals
}

/// `end` is what the predicate has to be at the end.
fn collect(predicate: &Predicate, end: bool, signals: &mut Vec<Signal>) {
    let values = |at_end: Value, before: Value| {
        let (end, more) = if end {
            (at_end, before)
        } else {
            (before, at_end)
        };
        SignalKind::Values { more, end }
    };
    let (operand, kind) = match predicate {
        Predicate::All(all) | Predicate::Any(all) => {
            return all.iter().for_each(|one| collect(one, end, signals));
        }
        Predicate::Not(one) => return collect(one, !end, signals),
        Predicate::Truth(operand) => (operand, values(true.into(), false.into())),
        Predicate::Null(operand) => (operand, values(Value::Null, "more".into())),
        Predicate::Compare(operand, Comparison::Equal, Operand::Literal(Value::Number(zero)))
            if end && zero.as_u64() == Some(0) =>
        {
            (operand, SignalKind::Count)
        }
        Predicate::Compare(operand, Comparison::Equal, Operand::Literal(value)) => {
            let other = match value {
                Value::Bool(truth) => Value::Bool(!truth),
                Value::Number(number) => (number.as_i64().unwrap_or(0) ^ 1).into(),
                Value::String(text) => format!("not-{text}").into(),
                _ => Value::Null,
            };
            (operand, values(value.clone(), other))
        }
        Predicate::Compare(..) => return,
    };
    if let Operand::Lookup(lookup) = operand
        && lookup.root == Root::Response
    {
        signals.push(Signal {
            path: lookup.path.clone(),
            kind,
        });
    }
}

/// The texts that filters compare a field of a record with, each field once.
pub(crate) fn choices(condition: &Condition) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    if let Condition::Predicate(predicate) = condition {
        texts(
            predicate,
            &mut |field, text| match found.iter_mut().find(|(name, _)| name == field) {
                Some((_, texts)) if texts.iter().any(|known| known == text) => {}
                Some((_, texts)) => texts.push(text.to_owned()),
                None => found.push((field.to_owned(), vec![text.to_owned()])),
            },
        );
    }
    found
}

fn texts(predicate: &Predicate, see: &mut impl FnMut(&str, &str)) {
    match predicate {
        Predicate::All(all) | Predicate::Any(all) => all.iter().for_each(|one| texts(one, see)),
        Predicate::Not(one) => texts(one, see),
        Predicate::Compare(
            Operand::Lookup(Lookup {
                root: Root::Record,
                path,
                ..
            }),
            _,
            Operand::Literal(literal),
        ) => {
            let [Step::Key(field)] = path.as_slice() else {
                return;
            };
            match literal {
                Value::String(text) => see(field, text),
                Value::Array(items) => items
                    .iter()
                    .filter_map(Value::as_str)
                    .for_each(|text| see(field, text)),
                _ => {}
            }
        }
        Predicate::Truth(_) | Predicate::Null(_) | Predicate::Compare(..) => {}
    }
}

/// Whether a client keeps a record; it keeps those whose condition a server cannot know.
pub(crate) fn keeps(condition: &Condition, record: &Value) -> bool {
    match condition {
        Condition::Predicate(predicate) => judge(predicate, record),
        Condition::Jinja(_) => true,
    }
}

fn judge(predicate: &Predicate, record: &Value) -> bool {
    match predicate {
        Predicate::All(all) => all.iter().all(|one| judge(one, record)),
        Predicate::Any(any) => any.iter().any(|one| judge(one, record)),
        Predicate::Not(one) => !judge(one, record),
        Predicate::Truth(operand) => !matches!(
            read(operand, record).to_string().as_str(),
            "null" | "false" | "0" | "0.0" | "\"\"" | "[]" | "{}"
        ),
        Predicate::Null(operand) => read(operand, record).is_null(),
        Predicate::Compare(left, comparison, right) => {
            let (left, right) = (read(left, record), read(right, record));
            let order = match (&left, &right) {
                (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
                _ => left
                    .as_f64()
                    .zip(right.as_f64())
                    .and_then(|(a, b)| a.partial_cmp(&b)),
            };
            match comparison {
                Comparison::Equal => left == right || order.is_some_and(std::cmp::Ordering::is_eq),
                Comparison::Less => order.is_some_and(std::cmp::Ordering::is_lt),
                Comparison::LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
                Comparison::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
                Comparison::GreaterOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
                Comparison::In => match &right {
                    Value::Array(items) => items.contains(&left),
                    Value::String(text) => left.as_str().is_some_and(|part| text.contains(part)),
                    Value::Object(members) => {
                        left.as_str().is_some_and(|key| members.contains_key(key))
                    }
                    _ => false,
                },
            }
        }
    }
}

fn read(operand: &Operand, record: &Value) -> Value {
    match operand {
        Operand::Literal(value) => value.clone(),
        Operand::Lookup(lookup) if lookup.root == Root::Record => {
            let found = follow(record, &lookup.path);
            found
                .or(lookup.default.as_ref())
                .cloned()
                .unwrap_or_default()
        }
        Operand::Lookup(lookup) => lookup.default.clone().unwrap_or_default(),
    }
}
