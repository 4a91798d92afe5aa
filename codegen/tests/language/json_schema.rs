//! The JSON Schema of the spec language: what it accepts, and that it is the committed one.

use connector_codegen::json_schema;
use serde_json::{Value, json};

use super::FULL;

/// Whether a schema of `json_schema` accepts a value. Only what that schema uses is understood.
fn accepts(root: &Value, schema: &Value, value: &Value) -> bool {
    let Some(schema) = schema.as_object() else {
        return schema == &Value::Bool(true);
    };
    schema.iter().all(|(word, rule)| match word.as_str() {
        "$ref" => {
            let pointer = rule.as_str().unwrap().trim_start_matches('#');
            accepts(root, root.pointer(pointer).unwrap(), value)
        }
        "anyOf" => rule
            .as_array()
            .unwrap()
            .iter()
            .any(|rule| accepts(root, rule, value)),
        "allOf" => rule
            .as_array()
            .unwrap()
            .iter()
            .all(|rule| accepts(root, rule, value)),
        "enum" => rule.as_array().unwrap().contains(value),
        "type" => {
            let types = rule
                .as_array()
                .cloned()
                .unwrap_or_else(|| vec![rule.clone()]);
            types.iter().any(|name| match name.as_str().unwrap() {
                "null" => value.is_null(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                "string" => value.is_string(),
                "array" => value.is_array(),
                "object" => value.is_object(),
                other => panic!("{other}"),
            })
        }
        "minimum" => value
            .as_f64()
            .is_none_or(|value| value >= rule.as_f64().unwrap()),
        "maximum" => value
            .as_f64()
            .is_none_or(|value| value <= rule.as_f64().unwrap()),
        "items" => value
            .as_array()
            .is_none_or(|items| items.iter().all(|item| accepts(root, rule, item))),
        "required" => value.as_object().is_none_or(|members| {
            rule.as_array()
                .unwrap()
                .iter()
                .all(|name| members.contains_key(name.as_str().unwrap()))
        }),
        "properties" => value.as_object().is_none_or(|members| {
            members.iter().all(|(name, member)| {
                rule.get(name)
                    .is_none_or(|rule| accepts(root, rule, member))
            })
        }),
        "additionalProperties" => value.as_object().is_none_or(|members| {
            let known = schema.get("properties").and_then(Value::as_object);
            members
                .iter()
                .filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)))
                .all(|(_, member)| accepts(root, rule, member))
        }),
        "$schema" | "title" | "description" | "default" | "definitions" => true,
        other => panic!("{other} is not understood by this test"),
    })
}

fn as_json(spec: &str) -> Value {
    serde_yaml::from_str(spec).unwrap()
}

#[test]
fn the_json_schema_accepts_what_is_right_and_nothing_else() {
    let schema = json_schema();
    let storage = as_json(include_str!("../../../connectors/storage/spec.yaml"));
    assert!(accepts(&schema, &schema, &storage));
    let mut full = as_json(FULL);
    let merged = full.pointer_mut("/resources/8/schema").unwrap();
    *merged = json!({"fields": {"id": "integer"}});
    assert!(accepts(&schema, &schema, &full));
    #[track_caller]
    fn check(schema: &Value, spec: &Value, pointer: &str, wrong: Value) {
        let mut spec = spec.clone();
        *spec.pointer_mut(pointer).unwrap() = wrong;
        assert!(!accepts(schema, schema, &spec), "{pointer}");
    }
    check(
        &schema,
        &storage,
        "/client",
        json!({"base_url": "https://a", "colour": 1}),
    );
    check(&schema, &storage, "/client", json!({}));
    check(&schema, &storage, "/client/base_url", json!(1));
    check(&schema, &storage, "/client/auth/type", json!("oauth"));
    check(&schema, &storage, "/client/retry/max_retries", json!(-1));
    check(&schema, &storage, "/client/retry/statuses", json!([200]));
    check(&schema, &storage, "/resources", json!({}));
    check(
        &schema,
        &storage,
        "/resources/0/endpoint/paginator/limit",
        json!("many"),
    );
    check(
        &schema,
        &storage,
        "/resources/0/endpoint/paginator",
        json!("automatic"),
    );
    check(
        &schema,
        &storage,
        "/resources/0/schema/fields/file_id",
        json!("int"),
    );
    check(
        &schema,
        &storage,
        "/resource_defaults/write_disposition",
        json!("upsert"),
    );
}

#[test]
fn the_committed_json_schema_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/spec.schema.json");
    let fresh = format!("{:#}\n", json_schema());
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == fresh,
        "write the output of `cargo connector schema` to codegen/spec.schema.json"
    );
}

#[test]
fn every_key_of_the_json_schema_is_described() {
    fn walk(value: &Value, path: &str) {
        let object = value.get("type") == Some(&json!("object"));
        if let Some(properties) = value.get("properties").filter(|_| object) {
            for (name, property) in properties.as_object().unwrap() {
                let described = property.get("description").and_then(Value::as_str);
                assert!(
                    described.is_some_and(|text| text.len() >= 8),
                    "{path}/{name}"
                );
            }
        }
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    walk(member, &format!("{path}/{name}"));
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    walk(item, &format!("{path}/{at}"));
                }
            }
            _ => {}
        }
    }
    walk(&json_schema(), "");
}
