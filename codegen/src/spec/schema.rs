//! The JSON Schema of the spec language, from the same key tables that read it.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::Spec;

/// The JSON Schema (draft 7, the one that YAML editors know best) of the spec language.
#[must_use]
pub fn json_schema() -> Value {
    SchemaSettings::draft07()
        .with(|settings| settings.inline_subschemas = false)
        .into_generator()
        .into_root_schema_for::<Spec>()
        .to_value()
}

/// A key of a mapping, for its schema.
pub(crate) struct Property {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub documentation: &'static str,
    pub default: Option<Value>,
    pub required: bool,
    pub schema: Schema,
}

/// Writes documentation comments as one text.
pub(crate) fn documentation(lines: &str) -> String {
    let text = lines.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    // One line break is only a wrapped line, two are a paragraph.
    text.trim()
        .split("\n\n")
        .map(|paragraph| paragraph.replace('\n', " "))
        .collect::<Vec<_>>()
        .join("\n\n")
}

/// The schema of a mapping with these keys and no others.
pub(crate) fn object(text: &str, tag: Option<(&[&str], bool)>, keys: Vec<Property>) -> Schema {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let mut either = Vec::new();
    if let Some((names, needed)) = tag {
        properties.insert(
            "type".to_owned(),
            json!({ "enum": names, "description": documentation(text) }),
        );
        if needed {
            required.push(json!("type"));
        }
    }
    for key in keys {
        let schema = if key.required {
            key.schema
        } else {
            nullable(key.schema)
        };
        if key.required && key.aliases.is_empty() {
            required.push(json!(key.name));
        } else if key.required {
            let names = std::iter::once(&key.name).chain(key.aliases);
            either.push(json!({
                "anyOf": names.map(|name| json!({ "required": [name] })).collect::<Vec<_>>()
            }));
        }
        let describe = |text: String| {
            let mut schema = schema.clone();
            // In draft 7 nothing counts beside a `$ref`.
            if schema.get("$ref").is_some() {
                schema = json_schema!({ "allOf": [schema] });
            }
            schema.insert("description".to_owned(), text.into());
            if let Some(default) = &key.default {
                schema.insert("default".to_owned(), default.clone());
            }
            schema.to_value()
        };
        for alias in key.aliases {
            let text = format!("Another name of `{}`.", key.name);
            properties.insert((*alias).to_owned(), describe(text));
        }
        properties.insert(
            key.name.to_owned(),
            describe(documentation(key.documentation)),
        );
    }
    let mut schema = json_schema!({
        "type": "object",
        "description": documentation(text),
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    if !either.is_empty() {
        schema.insert("allOf".to_owned(), either.into());
    }
    schema
}

/// A value that may also be null, which takes back a default.
pub(crate) fn nullable(mut schema: Schema) -> Schema {
    let with_null = match schema.get("type") {
        Some(Value::String(name)) => Some(json!([name, "null"])),
        Some(Value::Array(names)) => {
            let mut names = names.clone();
            names.push(json!("null"));
            Some(names.into())
        }
        _ => None,
    };
    match with_null {
        Some(types) if schema.get("enum").is_none() => {
            schema.insert("type".to_owned(), types);
            schema
        }
        _ => json_schema!({ "anyOf": [schema, { "type": "null" }] }),
    }
}

/// The schema of words.
pub(crate) fn words(text: &str, words: &[&str]) -> Schema {
    json_schema!({ "type": "string", "enum": words, "description": documentation(text) })
}

/// The schema of a mapping that names its variant as `type`, or of the name alone.
pub(crate) fn union(text: &str, names: &[&str], variants: Vec<Schema>) -> Schema {
    let mut any = vec![json!({ "type": "string", "enum": names })];
    any.extend(variants.into_iter().map(Schema::to_value));
    json_schema!({ "description": documentation(text), "anyOf": any })
}

/// The schema of a type, by reference where it has a name.
pub(crate) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}
