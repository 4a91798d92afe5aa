//! A folder with datasets of one simple table, and an independent way to read them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use connector_dataset::{
    Error, FailPoint, Load, LoadOptions, LoadReport, SourceId, Step, Store, StoreOptions,
    WriterOptions,
};
use connector_plan::WriteDisposition;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use tempfile::TempDir;

pub const CONNECTOR: &str = "shop";
pub const RESOURCE: &str = "orders";

/// A row: the key's two columns, a value, and a column that not every load has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub region: String,
    pub number: i64,
    pub value: Option<i64>,
    pub extra: Option<String>,
}

pub fn row(region: &str, number: i64, value: i64) -> Row {
    Row {
        region: region.to_owned(),
        number,
        value: Some(value),
        extra: None,
    }
}

/// Rows `numbers` of one region, all with one value.
pub fn rows(numbers: std::ops::Range<i64>, value: i64) -> Vec<Row> {
    numbers.map(|number| row("eu", number, value)).collect()
}

pub fn schema(has_extra: bool) -> SchemaRef {
    let mut fields = vec![
        Field::new("region", DataType::Utf8, false),
        Field::new("number", DataType::Int64, false),
        Field::new("value", DataType::Int64, true),
    ];
    if has_extra {
        fields.push(Field::new("extra", DataType::Utf8, true));
    }
    Arc::new(Schema::new(fields))
}

pub fn batch(rows: &[Row], has_extra: bool) -> RecordBatch {
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(
            rows.iter()
                .map(|row| Some(row.region.as_str()))
                .collect::<StringArray>(),
        ),
        Arc::new(rows.iter().map(|row| row.number).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.value).collect::<Int64Array>()),
    ];
    if has_extra {
        columns.push(Arc::new(
            rows.iter()
                .map(|row| row.extra.as_deref())
                .collect::<StringArray>(),
        ));
    }
    RecordBatch::try_new(schema(has_extra), columns).unwrap()
}

/// Files of few rows, so that small tests see many files and row groups.
pub fn small_files() -> WriterOptions {
    WriterOptions {
        file_bytes: 400,
        row_group_rows: 4,
        ..WriterOptions::default()
    }
}

pub fn options(disposition: WriteDisposition, has_extra: bool) -> LoadOptions {
    LoadOptions {
        primary_key: vec!["region".to_owned(), "number".to_owned()],
        identity: "identity".to_owned(),
        writer: small_files(),
        ..LoadOptions::new(RESOURCE, schema(has_extra), disposition)
    }
}

pub fn origin() -> SourceId {
    SourceId::origin("https://api.example.com")
}

pub fn store_options() -> StoreOptions {
    StoreOptions::new(CONNECTOR, origin(), "spec")
}

pub fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Opens, loads the rows in batches of three, commits.
pub fn load_with(
    out: &Path,
    store: StoreOptions,
    load: LoadOptions,
    rows: &[Row],
    cursor: Option<Value>,
) -> Result<LoadReport, Error> {
    let store = Store::open(out, store)?;
    let mut load = store.begin(load)?;
    write(&mut load, rows)?;
    load.commit(cursor)
}

pub fn write(load: &mut Load, rows: &[Row]) -> Result<(), Error> {
    let has_extra = rows.iter().any(|row| row.extra.is_some());
    rows.chunks(3)
        .try_for_each(|rows| load.write(&batch(rows, has_extra)))
}

#[track_caller]
pub fn load(out: &Path, disposition: WriteDisposition, rows: &[Row]) -> LoadReport {
    let has_extra = rows.iter().any(|row| row.extra.is_some());
    load_with(
        out,
        store_options(),
        options(disposition, has_extra),
        rows,
        None,
    )
    .unwrap()
}

pub fn live(out: &Path) -> PathBuf {
    out.join(CONNECTOR).join(RESOURCE)
}

pub fn control(out: &Path) -> PathBuf {
    out.join(CONNECTOR).join("_connector")
}

/// The names of the data files, as a glob finds them: those in folders of partitions, too.
pub fn files(out: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for name in names(&live(out).join(&folder)) {
            if name.ends_with(".parquet") {
                found.insert(format!("{folder}{name}"));
            } else if name.contains('=') {
                folders.push(format!("{folder}{name}/"));
            }
        }
    }
    found
}

pub fn names(folder: &Path) -> BTreeSet<String> {
    match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
        Err(error) => panic!("{error}"),
    }
}

/// All rows of all data files, sorted.
pub fn read(out: &Path) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for name in files(out) {
        let file = File::open(live(out).join(name)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .unwrap()
            .build()
            .unwrap();
        for batch in reader {
            let batch = batch.unwrap();
            let region = batch.column_by_name("region").unwrap().as_string::<i32>();
            let number = batch
                .column_by_name("number")
                .unwrap()
                .as_primitive::<Int64Type>();
            let value = batch
                .column_by_name("value")
                .unwrap()
                .as_primitive::<Int64Type>();
            let extra = batch.column_by_name("extra").map(AsArray::as_string::<i32>);
            for index in 0..batch.num_rows() {
                let optional =
                    |column: &StringArray| column.iter().nth(index).flatten().map(str::to_owned);
                rows.push(Row {
                    region: region.value(index).to_owned(),
                    number: number.value(index),
                    value: value.iter().nth(index).flatten(),
                    extra: extra.and_then(optional),
                });
            }
        }
    }
    rows.sort();
    rows
}

pub fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    rows
}

/// Counts the steps and lets those at and after `dies_at` fail: as if the process had ended there,
/// since nothing it does afterwards has an effect.
pub fn dying(dies_at: usize) -> (FailPoint, Arc<AtomicUsize>) {
    let steps = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&steps);
    let fail_point = FailPoint::new(move |_: Step, _: &Path| {
        if counter.fetch_add(1, Ordering::SeqCst) >= dies_at {
            Err(io::Error::other("the process has ended"))
        } else {
            Ok(())
        }
    });
    (fail_point, steps)
}

/// Nothing is left of anything unfinished.
#[track_caller]
pub fn assert_tidy(out: &Path) {
    assert_eq!(names(&control(out).join("tmp")), BTreeSet::new());
    assert_eq!(names(&control(out).join("journal")), BTreeSet::new());
}
