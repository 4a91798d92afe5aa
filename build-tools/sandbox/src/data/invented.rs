//! The fields of records that no schema describes.

use connector_plan::{Field, FieldType, Plan, Resource, Step};

use super::shape::fields_of_nothing;

/// The plan with fields for the resources that have no schema.
pub(crate) fn with_invented(plan: &Plan) -> Plan {
    let mut served = plan.clone();
    for resource in served.resources.iter_mut().filter(|one| one.inferred) {
        resource.fields = invented(plan, resource);
    }
    served
}

/// What the records of a resource without a schema have: a few plausible fields, some of them
/// nested, and those that its children are read for.
fn invented(plan: &Plan, resource: &Resource) -> Vec<Field> {
    let mut fields = fields_of_nothing(resource);
    let owner = vec![
        field("id", FieldType::Integer),
        field("name", FieldType::String),
        field("active", FieldType::Boolean),
    ];
    let extra = [
        field("amount", FieldType::Number),
        field("owner", FieldType::Object(owner)),
        field("tags", FieldType::List(Box::new(FieldType::String))),
    ];
    for extra in extra {
        if fields.iter().all(|known| known.name != extra.name) {
            fields.push(extra);
        }
    }
    for child in &plan.resources {
        let parents = child.relations.parents.iter();
        for parent in parents.filter(|parent| parent.resource == resource.name) {
            for binding in &parent.bindings {
                insert(&mut fields, &binding.field);
            }
            for include in &parent.include {
                insert(&mut fields, &[Step::Key(include.field.clone())]);
            }
        }
    }
    // What its own parents give is no part of what the API sends.
    fields.retain(|field| {
        let mut included = resource.relations.included();
        !included.any(|include| include.column == field.name)
    });
    fields
}

/// Adds a text at the end of a path, unless something is there.
fn insert(fields: &mut Vec<Field>, path: &[Step]) {
    let Some((Step::Key(key), rest)) = path.split_first() else {
        return;
    };
    let at = fields.iter().position(|field| field.name == *key);
    let at = at.unwrap_or_else(|| {
        let inner = if rest.is_empty() {
            FieldType::String
        } else {
            FieldType::Object(Vec::new())
        };
        fields.push(field(key, inner));
        fields.len() - 1
    });
    // A child is read for every record.
    fields[at].nullable = false;
    if let FieldType::Object(inner) = &mut fields[at].field_type {
        insert(inner, rest);
    }
}

fn field(name: &str, field_type: FieldType) -> Field {
    Field {
        name: name.to_owned(),
        field_type,
        nullable: true,
        description: String::new(),
    }
}
