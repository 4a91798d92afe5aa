//! `resources`, `schema`, `completions`: what is known without asking the API.

use std::process::ExitCode;

use connector_decode::RecordSchema;
use connector_plan::{Field, FieldType, RESCUED_COLUMN, Resource};
use serde_json::json;

use super::context::Context;
use super::table::{self, Align};
use super::unknown_resource;
use crate::{Json, Result};

pub(crate) fn resources(context: &Context<'_>, json: bool) -> Result<ExitCode> {
    let resources = &context.plan.resources;
    let text = if json {
        let list: Vec<Json> = resources
            .iter()
            .map(|resource| {
                json!({
                    "name": resource.name,
                    "description": resource.description,
                    "selected": resource.selected,
                    "write_disposition": resource.write_disposition.as_str(),
                    "primary_key": resource.primary_key,
                    "columns": resource.fields.len() + 1,
                })
            })
            .collect();
        format!("{:#}\n", Json::Array(list))
    } else {
        let header = [
            ("resource", Align::Left),
            ("selected", Align::Left),
            ("write disposition", Align::Left),
            ("primary key", Align::Left),
            ("columns", Align::Right),
            ("description", Align::Left),
        ];
        let rows: Vec<Vec<String>> = resources
            .iter()
            .map(|resource| {
                vec![
                    resource.name.clone(),
                    if resource.selected { "yes" } else { "no" }.to_owned(),
                    resource.write_disposition.as_str().to_owned(),
                    resource.primary_key.join(", "),
                    (resource.fields.len() + 1).to_string(),
                    resource.description.clone(),
                ]
            })
            .collect();
        table::render(&header, &rows)
    };
    context.console.result(&text)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn schema(context: &Context<'_>, name: Option<&str>, json: bool) -> Result<ExitCode> {
    let resources = named(context, name)?;
    let mut text = String::new();
    if json {
        let mut object = serde_json::Map::new();
        for resource in resources {
            let columns: Vec<Json> = columns(resource)
                .into_iter()
                .map(|column| {
                    json!({
                        "name": column.name,
                        "type": column.column_type,
                        "arrow": column.arrow,
                        "nullable": column.nullable,
                        "description": column.description,
                    })
                })
                .collect();
            object.insert(resource.name.clone(), Json::Array(columns));
        }
        text = format!("{:#}\n", Json::Object(object));
    } else {
        let header = [
            ("column", Align::Left),
            ("type", Align::Left),
            ("null", Align::Left),
            ("description", Align::Left),
        ];
        for (index, resource) in resources.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            text.push_str(&format!("{}\n\n", resource.name));
            let rows: Vec<Vec<String>> = columns(resource)
                .into_iter()
                .map(|column| {
                    let null = if column.nullable { "yes" } else { "no" }.to_owned();
                    vec![column.name, column.column_type, null, column.description]
                })
                .collect();
            text.push_str(&table::render(&header, &rows));
        }
    }
    context.console.result(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The resource of this name, or all.
pub(super) fn named<'c>(context: &'c Context<'_>, name: Option<&str>) -> Result<Vec<&'c Resource>> {
    let resources = &context.plan.resources;
    let Some(name) = name else {
        return Ok(resources.iter().collect());
    };
    let names: Vec<&str> = resources.iter().map(|known| known.name.as_str()).collect();
    let found = context.plan.resource(name);
    Ok(vec![found.ok_or_else(|| unknown_resource(name, &names))?])
}

struct Column {
    name: String,
    column_type: String,
    /// The type in Arrow's words, which is that of the Parquet files, too.
    arrow: String,
    nullable: bool,
    description: String,
}

/// The columns of a resource's dataset, those that are not in its records included.
fn columns(resource: &Resource) -> Vec<Column> {
    let mut fields = resource.fields.clone();
    let mut own = |name: &str, field_type, nullable, description: &str| {
        fields.push(Field {
            name: name.to_owned(),
            field_type,
            nullable,
            description: description.to_owned(),
        });
    };
    let what = "What the declared columns could not hold.";
    own(RESCUED_COLUMN, FieldType::Json, true, what);
    if let Some(history) = resource.merge.history() {
        let instant = || FieldType::Timestamp {
            formats: Vec::new(),
        };
        let (from, to) = (&history.valid_from, &history.valid_to);
        own(
            from,
            instant(),
            false,
            "When this version of the row began.",
        );
        own(
            to,
            instant(),
            true,
            "When it ended; null while it is active.",
        );
        let what = "A hash of its values, by which a change is seen.";
        own(&history.row_hash, FieldType::String, false, what);
    }
    let arrow = RecordSchema::new(&fields).arrow();
    let columns = fields.into_iter().zip(arrow.fields());
    columns
        .map(|(field, arrow)| Column {
            name: field.name,
            column_type: type_name(&field.field_type),
            arrow: arrow.data_type().to_string(),
            nullable: field.nullable,
            description: field.description,
        })
        .collect()
}

fn type_name(field_type: &FieldType) -> String {
    match field_type {
        FieldType::Boolean => "boolean".to_owned(),
        FieldType::Integer => "integer".to_owned(),
        FieldType::Number => "number".to_owned(),
        FieldType::String => "string".to_owned(),
        FieldType::Timestamp { .. } => "timestamp".to_owned(),
        FieldType::Date => "date".to_owned(),
        FieldType::Decimal { precision, scale } => format!("decimal({precision}, {scale})"),
        FieldType::Json => "json".to_owned(),
        FieldType::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(
                    |Field {
                         name, field_type, ..
                     }| format!("{name}: {}", type_name(field_type)),
                )
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        FieldType::List(item) => format!("[{}]", type_name(item)),
    }
}

pub(crate) fn completions(
    context: &Context<'_>,
    shell: clap_complete::Shell,
    mut command: clap::Command,
) -> Result<ExitCode> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    context.console.result(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
