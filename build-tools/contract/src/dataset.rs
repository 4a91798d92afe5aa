//! What a run left on disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Files by their path below a folder, with a hash of their content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files(BTreeMap<String, String>);

impl Files {
    /// Those below a folder; none when there is no such folder.
    #[must_use]
    pub fn below(folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        walk(folder, &mut |path| {
            let name = path
                .strip_prefix(folder)
                .unwrap_or(path)
                .display()
                .to_string();
            let content = fs::read(path).unwrap_or_default();
            let hash: String = Sha256::digest(content)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            files.insert(name, hash);
        });
        Self(files)
    }

    /// The first file whose content has this text.
    #[must_use]
    pub fn containing(folder: &Path, text: &str) -> Option<PathBuf> {
        Self::all_containing(folder, text).into_iter().next()
    }

    /// The files whose content has this text.
    #[must_use]
    pub fn all_containing(folder: &Path, text: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(folder, &mut |path| {
            let content = fs::read(path).unwrap_or_default();
            if content
                .windows(text.len())
                .any(|window| window == text.as_bytes())
            {
                found.push(path.to_owned());
            }
        });
        found
    }

    /// The Parquet files only.
    #[must_use]
    pub fn parquet(&self) -> Self {
        let files = self.0.iter().filter(|(name, _)| name.ends_with(".parquet"));
        Self(
            files
                .map(|(name, hash)| (name.clone(), hash.clone()))
                .collect(),
        )
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Files that an unfinished run would leave: staged parts and journals.
    #[must_use]
    pub fn unfinished(&self) -> Vec<&str> {
        self.names()
            .filter(|name| name.contains("/tmp/") || name.contains("/journal/"))
            .collect()
    }

    /// What is kept of runs that did not come to their end.
    #[must_use]
    pub fn kept(&self) -> Vec<&str> {
        self.names()
            .filter(|name| name.contains("/resume/"))
            .collect()
    }
}

fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, visit);
        } else {
            visit(&path);
        }
    }
}

/// The rows of a dataset, in the order of its files.
#[derive(Clone, Debug)]
pub struct Rows(Vec<RecordBatch>);

impl Rows {
    /// Reads every Parquet file of a folder.
    ///
    /// # Panics
    /// When a file cannot be read.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let mut paths: Vec<PathBuf> = Vec::new();
        walk(folder, &mut |path| {
            if path
                .extension()
                .is_some_and(|extension| extension == "parquet")
            {
                paths.push(path.to_owned());
            }
        });
        paths.sort();
        let mut batches = Vec::new();
        for path in paths {
            let file = fs::File::open(&path).expect("the file opens");
            let reader =
                ParquetRecordBatchReaderBuilder::try_new(file).expect("it has a Parquet footer");
            for batch in reader.build().expect("it can be read") {
                batches.push(batch.expect("its pages can be read"));
            }
        }
        Self(batches)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().map(RecordBatch::num_rows).sum()
    }

    /// The values of a column as JSON: text, numbers, booleans, instants in microseconds, dates in
    /// days, objects and lists of those.
    ///
    /// # Panics
    /// When there is no such column or its type is another one.
    #[must_use]
    pub fn column(&self, name: &str) -> Vec<Value> {
        let mut values = Vec::new();
        for batch in &self.0 {
            let column = batch.column_by_name(name).expect("the column is there");
            values.extend((0..column.len()).map(|index| value(column, index)));
        }
        values
    }

    /// The rows as sorted JSON objects of these columns, null where a file has no such column, as
    /// engines read files of several ages together.
    #[must_use]
    pub fn united(&self, columns: &[&str]) -> Vec<Value> {
        let mut rows = Vec::new();
        for batch in &self.0 {
            for index in 0..batch.num_rows() {
                let members = columns.iter().map(|name| {
                    let column = batch.column_by_name(name);
                    let value = column.map_or(Value::Null, |column| value(column, index));
                    ((*name).to_owned(), value)
                });
                rows.push(Value::Object(members.collect()));
            }
        }
        sorted(rows)
    }

    /// The names and types of all columns, in the order in which the files first have them.
    #[must_use]
    pub fn columns(&self) -> Vec<(String, DataType)> {
        let mut columns: Vec<(String, DataType)> = Vec::new();
        for batch in &self.0 {
            for field in batch.schema().fields() {
                if !columns.iter().any(|(name, _)| name == field.name()) {
                    columns.push((field.name().clone(), field.data_type().clone()));
                }
            }
        }
        columns
    }

    /// The rows as sorted JSON objects of these columns, to be compared with the server's truth.
    #[must_use]
    pub fn objects(&self, columns: &[&str]) -> Vec<Value> {
        let values: Vec<Vec<Value>> = columns.iter().map(|name| self.column(name)).collect();
        let rows = (0..self.count()).map(|row| {
            let members = columns.iter().zip(&values);
            members
                .map(|(name, column)| ((*name).to_owned(), column[row].clone()))
                .collect()
        });
        sorted(rows.map(Value::Object).collect())
    }
}

fn value(array: &dyn Array, index: usize) -> Value {
    if array.is_null(index) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(index).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(index).into(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(index).into(),
        DataType::Date32 => array.as_primitive::<Date32Type>().value(index).into(),
        DataType::Decimal128(..) => array
            .as_primitive::<Decimal128Type>()
            .value_as_string(index)
            .into(),
        DataType::Boolean => array.as_boolean().value(index).into(),
        DataType::Timestamp(..) => array
            .as_primitive::<TimestampMicrosecondType>()
            .value(index)
            .into(),
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            columns
                .map(|(field, column)| (field.name().clone(), value(column, index)))
                .collect()
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(index);
            (0..items.len()).map(|item| value(&items, item)).collect()
        }
        other => panic!("a column is {other}"),
    }
}

pub(crate) fn sorted(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_key(Value::to_string);
    rows
}
