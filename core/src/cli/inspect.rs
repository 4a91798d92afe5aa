//! `resources`, `schema`, `completions`: what is known without asking the API.

use std::process::ExitCode;

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
    let names: Vec<&str> = context
        .plan
        .resources
        .iter()
        .map(|resource| resource.name.as_str())
        .collect();
    let resources: Vec<&Resource> = match name {
        Some(name) => vec![
            context
                .plan
                .resource(name)
                .ok_or_else(|| unknown_resource(name, &names))?,
        ],
        None => context.plan.resources.iter().collect(),
    };
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

struct Column {
    name: String,
    column_type: String,
    nullable: bool,
    description: String,
}

fn columns(resource: &Resource) -> Vec<Column> {
    let declared = resource.fields.iter().map(|field| Column {
        name: field.name.clone(),
        column_type: type_name(&field.field_type),
        nullable: field.nullable,
        description: field.description.clone(),
    });
    let rescued = Column {
        name: RESCUED_COLUMN.to_owned(),
        column_type: "json".to_owned(),
        nullable: true,
        description: "What the declared columns could not hold.".to_owned(),
    };
    declared.chain([rescued]).collect()
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
