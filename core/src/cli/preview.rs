//! `preview`: the first records of a resource.

use std::process::ExitCode;
use std::sync::Arc;

use arrow::array::RecordBatch;
use connector_plan::{FieldType, RESCUED_COLUMN, Resource};
use tokio::sync::mpsc;

use super::context::Context;
use super::table::{self, Align};
use super::{cell, unknown_resource};
use crate::extract::{ReadOptions, read_alone};
use crate::{Json, Meter, Result};

pub(crate) async fn run(
    context: &Context<'_>,
    name: &str,
    rows: u64,
    json: bool,
) -> Result<ExitCode> {
    let names: Vec<&str> = context
        .plan
        .resources
        .iter()
        .map(|resource| resource.name.as_str())
        .collect();
    let resource = context
        .plan
        .resource(name)
        .ok_or_else(|| unknown_resource(name, &names))?;
    let api = context.api()?;
    let batches = read(&api.client, resource, rows).await?;
    let records = records(resource, &batches)?;
    let text = if json {
        records
            .iter()
            .map(|record| format!("{}\n", Json::Object(record.clone())))
            .collect()
    } else {
        as_table(resource, &records)
    };
    context.console.result(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The first records of a resource as batches.
pub(crate) async fn read(
    client: &crate::Client,
    resource: &Resource,
    rows: u64,
) -> Result<Vec<RecordBatch>> {
    let (sender, mut receiver) = mpsc::channel(1);
    let meter = Arc::new(Meter::default());
    let mut batches = Vec::new();
    let collect = async {
        while let Some(batch) = receiver.recv().await {
            batches.push(batch);
        }
    };
    let options = ReadOptions {
        limit: Some(rows),
        ..ReadOptions::default()
    };
    let read = read_alone(&client.0, resource, options, &meter, sender);
    let (extracted, ()) = tokio::join!(read, collect);
    extracted?;
    Ok(batches)
}

type Object = serde_json::Map<String, Json>;

fn records(resource: &Resource, batches: &[RecordBatch]) -> Result<Vec<Object>> {
    let is_json = |name: &str| {
        name == RESCUED_COLUMN
            || resource
                .fields
                .iter()
                .any(|field| field.name == name && field.field_type == FieldType::Json)
    };
    let mut records = Vec::new();
    for batch in batches {
        let schema = batch.schema();
        for index in 0..batch.num_rows() {
            let mut record = Object::new();
            for (field, column) in schema.fields().iter().zip(batch.columns()) {
                let value = cell::to_json(column, index, is_json(field.name()))?;
                record.insert(field.name().clone(), value);
            }
            records.push(record);
        }
    }
    Ok(records)
}

fn as_table(resource: &Resource, records: &[Object]) -> String {
    // A column that rescued nothing only takes room.
    let rescued = records
        .iter()
        .any(|record| record.get(RESCUED_COLUMN) != Some(&Json::Null));
    let header: Vec<(&str, Align)> = resource
        .fields
        .iter()
        .map(|field| {
            let number = matches!(
                field.field_type,
                FieldType::Integer | FieldType::Number | FieldType::Decimal { .. }
            );
            (
                field.name.as_str(),
                if number { Align::Right } else { Align::Left },
            )
        })
        .chain(rescued.then_some((RESCUED_COLUMN, Align::Left)))
        .collect();
    let rows: Vec<Vec<String>> = records
        .iter()
        .map(|record| {
            header
                .iter()
                .map(|(name, _)| cell::to_text(record.get(*name).unwrap_or(&Json::Null)))
                .collect()
        })
        .collect();
    table::render(&header, &rows)
}
