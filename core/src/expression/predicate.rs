//! Conditions that compare captured values, without an interpreter.

use std::borrow::Cow;
use std::cmp::Ordering;

use connector_plan::{Comparison, Operand, Predicate};

use super::View;
use crate::Json;

/// Whether a predicate holds. What is not there is null.
pub(super) fn holds(predicate: &Predicate, view: &View<'_>) -> bool {
    match predicate {
        Predicate::All(all) => all.iter().all(|one| holds(one, view)),
        Predicate::Any(any) => any.iter().any(|one| holds(one, view)),
        Predicate::Not(one) => !holds(one, view),
        Predicate::Truth(operand) => truth(&value(operand, view)),
        Predicate::Null(operand) => value(operand, view).is_null(),
        Predicate::Compare(left, comparison, right) => {
            compare(&value(left, view), *comparison, &value(right, view))
        }
    }
}

fn value<'a>(operand: &'a Operand, view: &View<'_>) -> Cow<'a, Json> {
    match operand {
        Operand::Literal(value) => Cow::Borrowed(value),
        Operand::Lookup(lookup) => Cow::Owned(view.look_up(lookup).unwrap_or(Json::Null)),
    }
}

/// Whether a value counts as true, as Python has it.
fn truth(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Bool(truth) => *truth,
        Json::Number(number) => number.as_f64() != Some(0.0),
        Json::String(text) => !text.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Object(members) => !members.is_empty(),
    }
}

fn compare(left: &Json, comparison: Comparison, right: &Json) -> bool {
    match comparison {
        Comparison::Equal => equal(left, right),
        Comparison::Less => order(left, right).is_some_and(Ordering::is_lt),
        Comparison::LessOrEqual => order(left, right).is_some_and(Ordering::is_le),
        Comparison::Greater => order(left, right).is_some_and(Ordering::is_gt),
        Comparison::GreaterOrEqual => order(left, right).is_some_and(Ordering::is_ge),
        Comparison::In => match right {
            Json::Array(items) => items.iter().any(|item| equal(left, item)),
            Json::String(text) => left.as_str().is_some_and(|part| text.contains(part)),
            Json::Object(members) => left.as_str().is_some_and(|key| members.contains_key(key)),
            _ => false,
        },
    }
}

fn equal(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(a, b)| equal(a, b))
        }
        (Json::Object(left), Json::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, a)| right.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => left == right || order(left, right) == Some(Ordering::Equal),
    }
}

/// The order of two numbers or two texts; a truth value is 0 or 1, as in Python.
fn order(left: &Json, right: &Json) -> Option<Ordering> {
    if let (Json::String(left), Json::String(right)) = (left, right) {
        return Some(left.cmp(right));
    }
    if let (Some(left), Some(right)) = (integer(left), integer(right)) {
        return Some(left.cmp(&right));
    }
    double(left)?.partial_cmp(&double(right)?)
}

fn integer(value: &Json) -> Option<i128> {
    match value {
        Json::Bool(truth) => Some(i128::from(*truth)),
        Json::Number(number) => number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from)),
        _ => None,
    }
}

fn double(value: &Json) -> Option<f64> {
    match value {
        Json::Number(number) => number.as_f64(),
        Json::Bool(truth) => Some(f64::from(u8::from(*truth))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_compare_by_type_and_value() {
        use Comparison::{Equal, Greater, In, Less, LessOrEqual};
        #[track_caller]
        fn check(left: &Json, comparison: Comparison, right: &Json, expect: bool) {
            assert_eq!(
                compare(left, comparison, right),
                expect,
                "{left} {comparison:?} {right}"
            );
        }
        check(&json!("a"), Equal, &json!("a"), true);
        check(&json!(1), Equal, &json!(1.0), true);
        check(&json!(1), Equal, &json!("1"), false);
        check(&json!(true), Equal, &json!(1), true);
        check(&json!(null), Equal, &json!(0), false);
        check(&json!(null), Equal, &json!(null), true);
        check(&json!(null), Less, &json!(5), false);
        check(&json!(null), Greater, &json!(5), false);
        check(&json!(i64::MAX), Less, &json!(u64::MAX), true);
        check(
            &json!(9_007_199_254_740_993_i64),
            Equal,
            &json!(9_007_199_254_740_992_i64),
            false,
        );
        check(&json!("b"), Greater, &json!("a"), true);
        check(&json!(1.5), LessOrEqual, &json!(2), true);
        check(&json!("b"), Less, &json!(2), false);
        check(&json!("b"), In, &json!(["a", "b"]), true);
        check(&json!(1.0), In, &json!([1]), true);
        check(&json!("el"), In, &json!("hello"), true);
        check(&json!("k"), In, &json!({"k": 1}), true);
        check(&json!("k"), In, &json!(null), false);
        check(&json!([1, {"a": 1}]), Equal, &json!([1.0, {"a": 1}]), true);
    }
}
