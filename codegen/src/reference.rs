//! The reference of the spec language, as Markdown, from its JSON Schema.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The order in which a person meets the parts; others follow.
const ORDER: &[&str] = &[
    "Client",
    "Auth",
    "Paginator",
    "Retry",
    "RateLimit",
    "Concurrency",
    "Timeout",
    "Resource",
    "Endpoint",
    "Parent",
    "Schema",
    "Field",
    "Input",
];

type Object = Map<String, Value>;

/// The reference of the spec language: every key with its type, default and meaning.
///
/// It is made from [`json_schema`](crate::json_schema), so the two never differ.
#[must_use]
pub fn reference() -> String {
    let schema = crate::json_schema();
    let none = Object::new();
    let definitions = schema["definitions"].as_object().unwrap_or(&none);
    let mut text = String::from(
        "# The spec language\n\n\
         Made by `cargo connector schema --write` from the types that read specs; edit those.\n\n\
         A spec is one YAML file. Every key that is not listed here is an error. The same key under \
         another name is written beside it, so that configurations of other tools are read as they \
         are; the first name is ours.\n\n## A spec\n\n",
    );
    if let Some(root) = schema.as_object() {
        keys(&mut text, root, false);
    }
    let others = definitions.keys().map(String::as_str);
    let others = others.filter(|name| !ORDER.contains(name));
    for name in ORDER.iter().copied().chain(others) {
        if let Some(definition) = definitions.get(name) {
            part(&mut text, name, definition);
        }
    }
    text
}

/// A definition: what it is, then the keys of each of its forms.
fn part(text: &mut String, name: &str, definition: &Value) {
    let _ = write!(text, "\n## {name}\n\n");
    describe(text, definition);
    let forms = match definition["anyOf"].as_array() {
        Some(forms) => forms.clone(),
        None => vec![definition.clone()],
    };
    for form in forms.iter().filter_map(Value::as_object) {
        let Some(own) = form.get("properties").and_then(Value::as_object) else {
            continue;
        };
        let tags = own.get("type").and_then(|tag| tag["enum"].as_array());
        let is_choice = definition["anyOf"]
            .as_array()
            .is_some_and(|all| all.len() > 2);
        if let (Some(tags), true) = (tags, is_choice) {
            if !text.ends_with("\n\n") {
                text.push('\n');
            }
            let tags: Vec<String> = tags.iter().filter_map(Value::as_str).map(code).collect();
            let _ = write!(text, "### `type`: {}\n\n", tags.join(" or "));
            describe(text, &Value::Object(form.clone()));
            if own.len() == 1 {
                continue;
            }
        } else if definition["anyOf"].is_array() {
            describe(text, &Value::Object(form.clone()));
        }
        keys(text, form, tags.is_some() && is_choice);
    }
}

fn describe(text: &mut String, of: &Value) {
    if let Some(description) = of["description"].as_str() {
        let _ = write!(text, "{}\n\n", description.trim());
    }
}

/// A table of the keys of a mapping.
fn keys(text: &mut String, mapping: &Object, is_tagged: bool) {
    let Some(properties) = mapping.get("properties").and_then(Value::as_object) else {
        return;
    };
    let required = |name: &str| {
        let listed = mapping.get("required").and_then(Value::as_array);
        let always = listed.is_some_and(|names| names.iter().any(|known| known == name));
        let groups = mapping.get("allOf").and_then(Value::as_array);
        let mut choices = groups
            .into_iter()
            .flatten()
            .filter_map(|group| group["anyOf"].as_array())
            .flatten();
        always || choices.any(|choice| choice["required"][0] == name)
    };
    let other_of = |property: &Value| -> Option<String> {
        let text = property["description"].as_str()?;
        let name = text.strip_prefix("Another name of `")?.split('`').next()?;
        Some(name.to_owned())
    };
    text.push_str("| key | value | meaning |\n|---|---|---|\n");
    for (name, property) in properties {
        if other_of(property).is_some() {
            continue;
        }
        if is_tagged && name == "type" {
            continue;
        }
        let others: Vec<String> = properties
            .iter()
            .filter(|(_, other)| other_of(other).as_deref() == Some(name))
            .map(|(other, _)| code(other))
            .collect();
        let mut key = code(name);
        if !others.is_empty() {
            let _ = write!(key, ", {}", others.join(", "));
        }
        let mut meaning = property["description"]
            .as_str()
            .unwrap_or("")
            .trim()
            .to_owned();
        if required(name) {
            meaning.push_str(" Required.");
        }
        if let Some(default) = property.get("default").filter(|default| !default.is_null()) {
            let default = default
                .as_str()
                .map_or_else(|| default.to_string(), str::to_owned);
            let _ = write!(meaning, " Default: {}.", code(&default));
        }
        let _ = writeln!(
            text,
            "| {key} | {} | {} |",
            cell(&value(property)),
            cell(meaning.trim())
        );
    }
}

/// The values that a schema allows, in words.
fn value(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap_or(name);
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(choices) = schema["enum"].as_array() {
        let choices: Vec<String> = choices.iter().filter_map(Value::as_str).map(code).collect();
        return choices.join(", ");
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(forms) = schema[key].as_array() {
            let mut words: Vec<String> = Vec::new();
            for word in forms.iter().map(value) {
                if word != "null" && !words.contains(&word) {
                    words.push(word);
                }
            }
            return words.join(" or ");
        }
    }
    match &schema["type"] {
        Value::String(name) => simple(schema, name),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str);
            let words: Vec<String> = names
                .filter(|name| *name != "null")
                .map(|name| simple(schema, name))
                .collect();
            words.join(" or ")
        }
        _ => "anything".to_owned(),
    }
}

fn simple(schema: &Value, name: &str) -> String {
    match name {
        "string" => "text".to_owned(),
        "boolean" => "`true` or `false`".to_owned(),
        "null" => "null".to_owned(),
        "array" => format!("list of {}", value(&schema["items"])),
        "object" => match schema.get("additionalProperties") {
            Some(values) if values.is_object() => format!("mapping to {}", value(values)),
            _ => "mapping".to_owned(),
        },
        number => {
            let word = if number == "integer" {
                "whole number"
            } else {
                number
            };
            match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
                (Some(low), Some(high)) => format!("{word}, {low} to {high}"),
                (Some(low), None) => format!("{word}, at least {low}"),
                _ => word.to_owned(),
            }
        }
    }
}

fn code(text: impl AsRef<str>) -> String {
    format!("`{}`", text.as_ref())
}

/// A text in a table: on one line, with bars that do not end the cell.
fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every key that a schema names, wherever it stands.
    fn names(schema: &Value, into: &mut BTreeSet<String>) {
        match schema {
            Value::Object(object) => {
                for (word, value) in object {
                    match value {
                        Value::Object(properties) if word == "properties" => {
                            into.extend(properties.keys().cloned());
                            properties.values().for_each(|value| names(value, into));
                        }
                        Value::Object(all) if word == "definitions" => {
                            all.values().for_each(|value| names(value, into));
                        }
                        value => names(value, into),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| names(item, into)),
            _ => {}
        }
    }

    #[test]
    fn every_key_of_the_schema_is_in_the_reference() {
        let mut all = BTreeSet::new();
        names(&crate::json_schema(), &mut all);
        assert!(all.len() > 80);
        let text = reference();
        for name in all {
            assert!(text.contains(&format!("`{name}`")), "`{name}` is missing");
        }
    }

    #[test]
    fn tables_say_type_default_and_meaning() {
        let text = reference();
        for line in [
            "| `max_retries` | whole number, 0 to 100 |",
            "### `type`: `oauth2` or `oauth2_client_credentials`",
            "| `client` | [Client](#client) | How every request is made. Required. |",
        ] {
            assert!(text.contains(line), "{line}\n\n{text}");
        }
        assert!(!text.contains("Another name of"));
    }
}
