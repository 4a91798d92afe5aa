//! `preview`: the first records of a resource.

use std::process::ExitCode;
use std::sync::Arc;

use arrow::array::RecordBatch;
use connector_decode::Shape;
use connector_plan::{Field, FieldType, RESCUED_COLUMN, Resource};
use tokio::sync::mpsc;

use super::context::Context;
use super::table::{self, Align};
use super::{cell, unknown_resource};
use crate::extract::{Extracted, ReadOptions, read_alone};
use crate::{Json, Meter, Result, infer};

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
    let preview = read(&api.client, resource, rows).await?;
    let records = preview.records()?;
    let text = if json {
        records
            .iter()
            .map(|record| format!("{}\n", Json::Object(record.clone())))
            .collect()
    } else {
        preview.as_table(&records)
    };
    context.console.result(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The first records of a resource.
#[derive(Debug)]
pub(crate) struct Preview {
    fields: Vec<Field>,
    batches: Vec<RecordBatch>,
    /// What the reading came to.
    pub extracted: Extracted,
    /// What the records of a resource without a schema look like.
    pub shape: Shape,
}

/// Reads the first records of a resource, and no more pages than they need.
pub(crate) async fn read(
    client: &crate::Client,
    resource: &Resource,
    rows: u64,
) -> Result<Preview> {
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
    let mut extracted = extracted?;
    if !resource.inferred {
        return Ok(Preview {
            fields: resource.fields.clone(),
            batches,
            extracted,
            shape: Shape::default(),
        });
    }
    let decoded = infer::in_memory(resource, &batches, &client.0.redactor)?;
    extracted.add_report(decoded.report);
    Ok(Preview {
        fields: decoded.fields,
        batches: decoded.batches,
        extracted,
        shape: decoded.shape,
    })
}

type Object = serde_json::Map<String, Json>;

impl Preview {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The records as JSON, each with all columns.
    pub(crate) fn records(&self) -> Result<Vec<Object>> {
        let is_json = |name: &str| {
            name == RESCUED_COLUMN
                || self
                    .fields
                    .iter()
                    .any(|field| field.name == name && field.field_type == FieldType::Json)
        };
        let mut records = Vec::new();
        for batch in &self.batches {
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

    /// These records as a table.
    pub(crate) fn as_table(&self, records: &[Object]) -> String {
        // A column that rescued nothing only takes room.
        let rescued = records
            .iter()
            .any(|record| record.get(RESCUED_COLUMN) != Some(&Json::Null));
        let header: Vec<(&str, Align)> = self
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
}
