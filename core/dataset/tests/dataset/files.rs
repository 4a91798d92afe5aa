//! The data files themselves: layout, types, encodings, metadata.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array,
    Int64Array, ListArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Int64Type, Schema};
use connector_dataset::{LoadOptions, RunRecords, Store, WriterOptions};
use connector_plan::WriteDisposition::{Append, Merge};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding};

use crate::support::*;

/// Loads one batch and opens the one file it became.
fn one_file(batch: &RecordBatch, key: &str) -> ParquetRecordBatchReaderBuilder<File> {
    let out = folder();
    let store = Store::open(out.path(), store_options()).unwrap();
    let options = LoadOptions {
        schema: batch.schema(),
        primary_key: vec![key.to_owned()],
        writer: WriterOptions::default(),
        metadata: vec![("cursor_range".to_owned(), "1..2".to_owned())],
        ..options(Merge, false)
    };
    let mut load = store.begin(options).unwrap();
    load.write(batch).unwrap();
    load.commit(None).unwrap();
    let names = files(out.path());
    assert_eq!(names.len(), 1);
    let file = File::open(live(out.path()).join(names.first().unwrap())).unwrap();
    ParquetRecordBatchReaderBuilder::try_new(file).unwrap()
}

fn everything(count: usize) -> RecordBatch {
    let numbers = || 0..count as i64;
    let texts: StringArray = numbers()
        .map(|n| Some(format!("name {}", n * 7919 % 10_007)))
        .collect();
    let child = Arc::new(
        numbers()
            .map(|n| (n % 3 != 0).then_some(n))
            .collect::<Int64Array>(),
    );
    let children = Fields::from(vec![Field::new("id", DataType::Int64, true)]);
    let objects = StructArray::new(children, vec![child], None);
    let elements = numbers()
        .flat_map(|n| [Some(n), None])
        .collect::<Int64Array>();
    let list = ListArray::new(
        Arc::new(Field::new("item", DataType::Int64, true)),
        OffsetBuffer::from_lengths(std::iter::repeat_n(2, count)),
        Arc::new(elements),
        None,
    );
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(numbers().collect::<Int64Array>())),
        ("text", Arc::new(texts)),
        (
            "kind",
            Arc::new(
                numbers()
                    .map(|n| Some(["a", "b", "c"][n as usize % 3]))
                    .collect::<StringArray>(),
            ),
        ),
        (
            "flag",
            Arc::new(
                numbers()
                    .map(|n| Some(n % 2 == 0))
                    .collect::<BooleanArray>(),
            ),
        ),
        (
            "score",
            Arc::new(numbers().map(|n| n as f64 / 7.0).collect::<Float64Array>()),
        ),
        (
            "at",
            Arc::new(
                numbers()
                    .map(|n| Some(n * 1_000_003))
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone("+00:00"),
            ),
        ),
        (
            "day",
            Arc::new(numbers().map(|n| Some(n as i32)).collect::<Date32Array>()),
        ),
        (
            "price",
            Arc::new(
                numbers()
                    .map(i128::from)
                    .collect::<Decimal128Array>()
                    .with_precision_and_scale(20, 2)
                    .unwrap(),
            ),
        ),
        (
            "raw",
            Arc::new(
                numbers()
                    .map(|n| Some(n.to_le_bytes()))
                    .collect::<BinaryArray>(),
            ),
        ),
        ("object", Arc::new(objects)),
        ("list", Arc::new(list)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn every_type_comes_back_as_itself() {
    let batch = everything(500);
    let reader = one_file(&batch, "text")
        .with_batch_size(1000)
        .build()
        .unwrap();
    let found: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    let [found] = found.as_slice() else {
        panic!("{} batches", found.len())
    };
    for (index, field) in batch.schema().fields().iter().enumerate() {
        let expect = match field.name().as_str() {
            "at" => {
                DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()))
            }
            _ => field.data_type().clone(),
        };
        let column = found.column_by_name(field.name()).unwrap();
        match &expect {
            DataType::Struct(_) | DataType::List(_) => {}
            expect => assert_eq!(column.data_type(), expect, "{}", field.name()),
        }
        // By text, since nested fields carry ids that the input does not have.
        // Without a time zone database arrow prints a zone's name only as unknown.
        let text = |array: &ArrayRef| {
            format!("{:?}", array.slice(0, 10))
                .replace(" (Unknown Time Zone 'UTC')", "")
                .replace("+00:00", "")
        };
        let values = |text: String| text[text.find('[').unwrap()..].to_owned();
        if !expect.is_nested() {
            assert_eq!(
                values(text(column)),
                values(text(batch.column(index))),
                "{}",
                field.name()
            );
        }
        assert_eq!(column.null_count(), batch.column(index).null_count());
    }
    use arrow::array::AsArray;
    let ids = found
        .column_by_name("object")
        .unwrap()
        .as_struct()
        .column(0)
        .as_primitive::<Int64Type>();
    assert_eq!(
        ids.iter().take(4).collect::<Vec<_>>(),
        [None, Some(1), Some(2), None]
    );
    let list = found
        .column_by_name("list")
        .unwrap()
        .as_list::<i32>()
        .value(3);
    assert_eq!(
        list.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
        [Some(3), None]
    );
}

#[test]
fn columns_are_encoded_by_what_they_hold() {
    let builder = one_file(&everything(5000), "text");
    let group = builder.metadata().row_group(0);
    let found: BTreeMap<String, Vec<Encoding>> = group
        .columns()
        .iter()
        .map(|column| (column.column_path().string(), column.encodings().collect()))
        .collect();
    #[track_caller]
    fn check(found: &BTreeMap<String, Vec<Encoding>>, column: &str, expect: Encoding) {
        assert!(
            found[column].contains(&expect),
            "{column}: {:?}",
            found[column]
        );
        if expect != Encoding::RLE_DICTIONARY {
            assert!(
                !found[column].contains(&Encoding::RLE_DICTIONARY),
                "{column}"
            );
        }
    }
    check(&found, "id", Encoding::DELTA_BINARY_PACKED);
    check(&found, "at", Encoding::DELTA_BINARY_PACKED);
    check(&found, "day", Encoding::DELTA_BINARY_PACKED);
    check(&found, "kind", Encoding::RLE_DICTIONARY);
    check(&found, "text", Encoding::PLAIN);
    check(&found, "score", Encoding::PLAIN);
    check(&found, "price", Encoding::PLAIN);
    check(&found, "object.id", Encoding::DELTA_BINARY_PACKED);
    check(&found, "list.list.element", Encoding::DELTA_BINARY_PACKED);
    for column in group.columns() {
        assert!(
            matches!(column.compression(), Compression::ZSTD(_)),
            "{column:?}"
        );
        assert!(column.statistics().is_some() && column.offset_index_offset().is_some());
        let has_filter = column.bloom_filter_offset().is_some();
        assert_eq!(has_filter, column.column_path().string() == "text");
    }
}

#[test]
fn files_say_where_they_come_from() {
    let builder = one_file(&everything(3), "text");
    let metadata = builder.metadata().file_metadata();
    let pairs: BTreeMap<&str, &str> = metadata
        .key_value_metadata()
        .unwrap()
        .iter()
        .map(|pair| (pair.key.as_str(), pair.value.as_deref().unwrap()))
        .collect();
    assert_eq!(pairs["connector"], CONNECTOR);
    assert_eq!(pairs["resource"], RESOURCE);
    assert_eq!(pairs["spec_hash"], "spec");
    assert_eq!(pairs["cursor_range"], "1..2");
    assert!(pairs.contains_key("run"));
    let ids: Vec<i32> = metadata
        .schema()
        .get_fields()
        .iter()
        .map(|field| field.get_basic_info().id())
        .collect();
    assert_eq!(ids, (1..=11).collect::<Vec<i32>>());
}

#[test]
fn field_ids_stay_when_columns_are_added() {
    let out = folder();
    load(out.path(), Append, &rows(0..1, 1));
    let before = files(out.path());
    let mut new = rows(1..2, 1);
    new[0].extra = Some("x".to_owned());
    load(out.path(), Append, &new);
    let name = files(out.path())
        .difference(&before)
        .next()
        .unwrap()
        .clone();
    let file = File::open(live(out.path()).join(name)).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let ids: Vec<(String, i32)> = (builder.parquet_schema().root_schema().get_fields().iter())
        .map(|field| (field.name().to_owned(), field.get_basic_info().id()))
        .collect();
    let expect = [("region", 1), ("number", 2), ("value", 3), ("extra", 4)];
    assert_eq!(ids, expect.map(|(name, id)| (name.to_owned(), id)));
}

#[test]
fn objects_grow_by_their_fields() {
    let object = |names: &[&str]| -> (Arc<Schema>, RecordBatch) {
        let children: Fields = names
            .iter()
            .map(|name| Field::new(*name, DataType::Int64, true))
            .collect();
        let columns = names
            .iter()
            .map(|_| Arc::new(Int64Array::from(vec![1])) as ArrayRef)
            .collect();
        let object = StructArray::new(children.clone(), columns, None);
        let element = Arc::new(Field::new("item", DataType::Struct(children.clone()), true));
        let list = ListArray::new(
            Arc::clone(&element),
            OffsetBuffer::from_lengths([1]),
            Arc::new(object.clone()),
            None,
        );
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("object", DataType::Struct(children), true),
            Field::new("list", DataType::List(element), true),
        ]));
        let id = Arc::new(Int64Array::from(vec![names.len() as i64]));
        let batch = RecordBatch::try_new(
            Arc::clone(&schema),
            vec![id, Arc::new(object), Arc::new(list)],
        )
        .unwrap();
        (schema, batch)
    };
    let out = folder();
    let mut changes = Vec::new();
    for names in [&["a"][..], &["a", "b"], &["b", "c", "d"]] {
        let (schema, batch) = object(names);
        let store = Store::open(out.path(), store_options()).unwrap();
        let options = LoadOptions {
            schema,
            primary_key: vec!["id".to_owned()],
            ..options(Merge, false)
        };
        let mut load = store.begin(options).unwrap();
        load.write(&batch).unwrap();
        changes = load.commit(None).unwrap().schema_changes;
    }
    let names: Vec<&str> = changes
        .iter()
        .map(|change| change.column.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "object.a",
            "object.c",
            "object.d",
            "list.element.a",
            "list.element.c",
            "list.element.d"
        ]
    );
    let last = files(out.path()).last().unwrap().clone();
    let file = File::open(live(out.path()).join(last)).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let columns: Vec<String> = builder
        .parquet_schema()
        .columns()
        .iter()
        .map(|column| column.path().string())
        .collect();
    let mut expect = vec!["id".to_owned()];
    for parent in ["object", "list.list.element"] {
        expect.extend(["a", "b", "c", "d"].map(|name| format!("{parent}.{name}")));
    }
    assert_eq!(columns, expect);
}

#[test]
fn checksums_are_those_of_the_files() {
    use sha2::Digest;
    let out = folder();
    let report = load(out.path(), Merge, &rows(0..30, 1));
    for file in &report.files_added {
        let content = std::fs::read(live(out.path()).join(&file.name)).unwrap();
        assert_eq!(content.len() as u64, file.bytes);
        let hash: String = sha2::Sha256::digest(&content)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hash, file.sha256);
    }
}

#[test]
fn a_run_leaves_its_record() {
    let out = folder();
    let store = Store::open(out.path(), store_options()).unwrap();
    store
        .write_run_record(&serde_json::json!({"rows": 3}))
        .unwrap();
    let path = control(out.path())
        .join("runs")
        .join(format!("{}.json", store.run()));
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        "{\n  \"rows\": 3\n}\n"
    );
}

#[test]
fn records_of_runs_are_listed_newest_first_amended_and_pruned() {
    let out = folder();
    let records = RunRecords::new(out.path(), CONNECTOR).unwrap();
    assert_eq!(records.runs().unwrap(), []);
    assert!(!records.is_held().unwrap());
    let mut runs = Vec::new();
    for number in 0..4 {
        let store = Store::open(out.path(), store_options()).unwrap();
        let last = store.last_run_record().unwrap().map(|(run, _)| run);
        assert_eq!(last, runs.last().copied());
        store.write_run_record(&number).unwrap();
        runs.push(store.run());
        assert!(records.is_held().unwrap());
        assert_eq!(
            store.prune_run_records(3).unwrap(),
            usize::from(number == 3)
        );
    }
    assert!(!records.is_held().unwrap());
    let foreign = records.folder().join("mine.json");
    std::fs::write(&foreign, "").unwrap();
    runs.remove(0);
    runs.reverse();
    assert_eq!(records.runs().unwrap(), runs);
    let store = Store::open(out.path(), store_options()).unwrap();
    store.amend_run_record(runs[1], &"amended").unwrap();
    assert_eq!(store.prune_run_records(2).unwrap(), 1);
    assert_eq!(records.read(runs[0]).unwrap().unwrap(), b"3\n");
    assert_eq!(records.read(runs[1]).unwrap().unwrap(), b"\"amended\"\n");
    assert_eq!(records.read(runs[2]).unwrap(), None);
    assert!(foreign.exists(), "what is no record stays");
}
