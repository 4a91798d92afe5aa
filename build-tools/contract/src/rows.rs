//! The rows of a dataset, to be compared with the records of the API.

use std::fs::File;
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use connector_plan::{FieldType, Resource};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::folder;

/// The rows of a dataset.
#[derive(Debug)]
pub(crate) struct Rows(Vec<RecordBatch>);

impl Rows {
    /// Reads every Parquet file of a folder.
    pub(crate) fn read(path: &Path) -> Self {
        let mut batches = Vec::new();
        for file in folder::files(path) {
            if file
                .extension()
                .is_none_or(|extension| extension != "parquet")
            {
                continue;
            }
            let file = File::open(file).expect("the file opens");
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("it is Parquet");
            for batch in reader.build().expect("it can be read") {
                batches.push(batch.expect("its pages can be read"));
            }
        }
        Self(batches)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(RecordBatch::num_rows).sum()
    }

    /// The rows with these columns, sorted.
    pub(crate) fn objects(&self, columns: &[String]) -> Vec<String> {
        let mut rows = Vec::new();
        for batch in &self.0 {
            for row in 0..batch.num_rows() {
                let members = columns.iter().map(|name| {
                    let column = batch.column_by_name(name);
                    let column = column.unwrap_or_else(|| panic!("no column `{name}`"));
                    (name.clone(), value(column, row))
                });
                rows.push(Value::Object(members.collect()).to_string());
            }
        }
        rows.sort();
        rows
    }
}

fn value(column: &dyn Array, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::Boolean => column.as_boolean().value(row).into(),
        other => panic!("a column of {other} where text, integers or booleans belong"),
    }
}

/// The columns whose values look the same in JSON and in Parquet, and which the API itself gives.
pub(crate) fn scalars(resource: &Resource, truth: &[Value]) -> Vec<String> {
    let same = |kind: &FieldType| {
        matches!(
            kind,
            FieldType::String | FieldType::Integer | FieldType::Boolean
        )
    };
    resource
        .fields
        .iter()
        .filter(|field| same(&field.field_type))
        .filter(|field| truth.iter().any(|record| record.get(&field.name).is_some()))
        .map(|field| field.name.clone())
        .collect()
}

/// The records with these members, as [`Rows::objects`] gives them.
pub(crate) fn records(truth: &[Value], columns: &[String]) -> Vec<String> {
    let mut records: Vec<String> = truth
        .iter()
        .map(|record| {
            let members = columns
                .iter()
                .map(|name| (name.clone(), record.get(name).cloned().unwrap_or_default()));
            Value::Object(members.collect()).to_string()
        })
        .collect();
    records.sort();
    records
}
