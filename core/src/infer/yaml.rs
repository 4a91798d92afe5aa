//! Inferred fields as a `schema:` block that can be pasted into the spec.

use connector_plan::{Field, FieldType};

/// The block, at the indentation of a resource's keys; `included` are not the resource's own.
pub(crate) fn schema_block(fields: &[Field], included: &[Field]) -> String {
    let mut text = String::from("    schema:\n      fields:\n");
    let own = fields
        .iter()
        .filter(|field| !included.iter().any(|other| other.name == field.name));
    for field in own {
        member(&mut text, &key(&field.name), &field.field_type, 8);
    }
    text
}

fn member(text: &mut String, key: &str, field_type: &FieldType, indent: usize) {
    let space = " ".repeat(indent);
    match field_type {
        FieldType::Object(fields) => {
            text.push_str(&format!(
                "{space}{key}:\n{space}  type: object\n{space}  fields:\n"
            ));
            for field in fields {
                member(text, &self::key(&field.name), &field.field_type, indent + 4);
            }
        }
        FieldType::List(item) => {
            text.push_str(&format!("{space}{key}:\n{space}  type: array\n"));
            member(text, "items", item, indent + 2);
        }
        scalar => text.push_str(&format!("{space}{key}: {}\n", word(scalar))),
    }
}

fn word(field_type: &FieldType) -> &'static str {
    match field_type {
        FieldType::Boolean => "boolean",
        FieldType::Integer => "integer",
        FieldType::Number => "number",
        FieldType::String => "string",
        FieldType::Timestamp { .. } => "timestamp",
        FieldType::Date => "date",
        FieldType::Decimal { .. } => "decimal",
        FieldType::Json | FieldType::Object(_) | FieldType::List(_) => "json",
    }
}

/// A name as a YAML key: plain when nothing but a text can be meant, quoted otherwise.
fn key(name: &str) -> String {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let plain = starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let lower = name.to_ascii_lowercase();
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if plain && !word.contains(&lower.as_str()) {
        name.to_owned()
    } else {
        // A JSON text is a double-quoted YAML scalar.
        serde_json::Value::from(name).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_yaml_takes_for_something_else_are_quoted() {
        #[track_caller]
        fn check(name: &str, expect: &str) {
            assert_eq!(key(name), expect);
        }
        check("id", "id");
        check("_links", "_links");
        check("No", "\"No\"");
        check("1st", "\"1st\"");
        check("a: b", "\"a: b\"");
        check("@type", "\"@type\"");
        check("naïve \"x\"", "\"naïve \\\"x\\\"\"");
    }

    #[test]
    fn objects_and_arrays_are_blocks() {
        let field = |name: &str, field_type| Field {
            name: name.to_owned(),
            field_type,
            nullable: true,
            description: String::new(),
        };
        let inner = FieldType::Object(vec![field("b", FieldType::Date)]);
        let fields = [
            field("a", FieldType::List(Box::new(inner))),
            field("_files_id", FieldType::Integer),
        ];
        let expect = "    schema:
      fields:
        a:
          type: array
          items:
            type: object
            fields:
              b: date
";
        assert_eq!(schema_block(&fields, &fields[1..]), expect);
    }
}
