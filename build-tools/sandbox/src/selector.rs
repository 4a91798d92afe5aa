//! Selectors from the other side: where a server puts records so that a client finds them.

use connector_plan::{Path, Selector, Step};
use serde_json::Value;
use serde_json_path::JsonPath;

/// Steps to records that the selector selects, too.
///
/// Of several names the first one has all records, and what is searched at any depth stands at the
/// first level.
///
/// # Errors
/// When it selects by position, or by a condition in front of its end.
pub(crate) fn steps(selector: &Selector) -> Result<Path, String> {
    let mut steps = selector.steps.clone();
    let last = selector.query.len().saturating_sub(1);
    for (number, segment) in selector.query.iter().enumerate() {
        let inside = segment.text.trim_matches(['[', ']']).trim();
        steps.push(if let Some(name) = segment.names.first() {
            Step::Key(name.clone())
        } else if segment.text == "[*]" || (number == last && is_filter(&segment.text)) {
            Step::Wildcard
        } else if let Ok(index) = inside.parse() {
            Step::Index(index)
        } else {
            return Err(format!(
                "the sandbox cannot make pages for `{}` in the selector `{}`",
                segment.text, selector.text
            ));
        });
    }
    Ok(steps)
}

/// The condition on each record, when the selector ends with one.
pub(crate) fn condition(selector: &Selector) -> Option<JsonPath> {
    let text = &selector.query.last()?.text;
    is_filter(text)
        .then(|| JsonPath::parse(&format!("${text}")).ok())
        .flatten()
}

/// Whether a record meets the condition of a selector.
pub(crate) fn meets(condition: &JsonPath, record: &Value) -> bool {
    let page = Value::Array(vec![record.clone()]);
    !condition.query(&page).is_empty()
}

/// A filter that looks at nothing but the record.
fn is_filter(segment: &str) -> bool {
    segment.starts_with("[?") && !segment.contains('$')
}

/// The texts that the condition of a selector compares fields with: `@.kind == 'file'`.
pub(crate) fn choices(selector: &Selector) -> Vec<(String, Vec<String>)> {
    let mut choices = Vec::new();
    let filter = selector.query.last().map_or("", |segment| &segment.text);
    for place in filter.split("@.").skip(1) {
        let Some((field, constant)) = place.split_once("==") else {
            continue;
        };
        let field = field.trim();
        let constant = constant.trim_start();
        let quote = constant.chars().next().filter(|c| matches!(c, '\'' | '"'));
        if let Some(quote) = quote
            && let Some((text, _)) = constant[1..].split_once(quote)
            && !text.contains('\\')
            && field.chars().all(|c| c.is_alphanumeric() || c == '_')
        {
            choices.push((field.to_owned(), vec![text.to_owned()]));
        }
    }
    choices
}

#[cfg(test)]
mod tests {
    use connector_plan::Segment;
    use serde_json::json;

    use super::*;

    fn selector(query: &[(&str, &[&str])]) -> Selector {
        let segments = query.iter().map(|(text, names)| Segment {
            text: (*text).to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        });
        Selector {
            text: "selector".to_owned(),
            steps: vec![Step::Key("a".to_owned())],
            query: segments.collect(),
        }
    }

    #[test]
    fn records_stand_where_the_query_finds_them() {
        #[track_caller]
        fn check(query: &[(&str, &[&str])], expect: &str) {
            let shown: Result<String, String> = steps(&selector(query)).map(|steps| {
                let steps = steps.iter().map(|step| match step {
                    Step::Key(key) => format!("/{key}"),
                    Step::Index(index) => format!("#{index}"),
                    Step::Wildcard => "*".to_owned(),
                });
                steps.collect()
            });
            assert_eq!(shown.unwrap_or_else(|error| error), expect);
        }
        check(&[("..b", &["b"]), ("[*]", &[])], "/a/b*");
        check(&[("['b','c']", &["b", "c"]), ("[1]", &[])], "/a/b#1");
        check(&[("[?@.kind == 'x']", &[])], "/a*");
        check(
            &[("[1:3]", &[])],
            "the sandbox cannot make pages for `[1:3]` in the selector `selector`",
        );
        check(
            &[("[?@.x]", &[]), ("[\"b\"]", &["b"])],
            "the sandbox cannot make pages for `[?@.x]` in the selector `selector`",
        );
    }

    #[test]
    fn conditions_are_judged_for_each_record() {
        let selector = selector(&[("[?@.kind == 'x' && @.size > 1]", &[])]);
        assert_eq!(
            choices(&selector),
            [("kind".to_owned(), vec!["x".to_owned()])]
        );
        let condition = condition(&selector).unwrap();
        assert!(meets(&condition, &json!({"kind": "x", "size": 2})));
        assert!(!meets(&condition, &json!({"kind": "y", "size": 2})));
    }
}
