//! Rows in an order and in folders: what a load asks for is what readers find, whatever happens to the
//! rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Int64Type, Schema};
use connector_dataset::{
    ErrorKind, FailPoint, Inferred, LoadOptions, LoadReport, Step, Store, WriterOptions,
};
use connector_plan::WriteDisposition::{self, Append, Merge, Replace};
use connector_plan::{Nulls, PartitionBy, PartitionColumn, SortColumn, SortOrder};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::SortingColumn;

use crate::support::*;

fn sort(column: &str, order: SortOrder, nulls: Nulls) -> SortColumn {
    SortColumn {
        column: column.to_owned(),
        order,
        nulls,
    }
}

/// What has no row that stays is not decoded: nobody minds that it cannot be.
#[test]
fn row_groups_whose_rows_all_go_are_not_decoded() {
    let out = folder();
    let mut options = options(Merge, false);
    arrange(&mut options, 1);
    options.writer.file_bytes = 1 << 20;
    options.writer.update_bytes = 0;
    let load =
        |rows: &[Row]| load_with(out.path(), store_options(), options.clone(), rows, None).unwrap();
    // As many small files as are joined by the next load.
    for first in 0..16 {
        load(&rows(first * 4..first * 4 + 4, 1));
    }
    assert_eq!(files(out.path()).len(), 16);
    for name in files(out.path()) {
        let path = live(out.path()).join(name);
        let file = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
        let values = file.metadata().row_group(0).column(2);
        assert_eq!(values.column_path().string(), "value");
        let (start, length) = values.byte_range();
        let mut content = fs::read(&path).unwrap();
        content[start as usize..(start + length) as usize].fill(0);
        fs::write(&path, content).unwrap();
    }
    let report = load(&rows(0..64, 2));
    assert_eq!(report.files_removed.len(), 16);
    assert_eq!(report.row_groups_rewritten, 16);
    assert_eq!(read(out.path()), rows(0..64, 2));
}

/// Sorts by number, descending (1), puts rows into folders by region and value (2), or both (3).
pub fn arrange(options: &mut LoadOptions, arranged: usize) {
    if arranged & 1 == 1 {
        options.writer.sort_by = vec![
            sort("number", SortOrder::Desc, Nulls::Last),
            sort("value", SortOrder::Asc, Nulls::First),
        ];
    }
    if arranged & 2 == 2 {
        let by = |column| PartitionColumn::new(column, PartitionBy::Value);
        options.writer.partition_by = vec![by("region"), by("value")];
    }
}

/// Each file lies in the folder of all of its rows, and has them in order.
#[track_caller]
pub fn check_arranged(out: &Path, arranged: usize) {
    if arranged & 2 == 2 {
        check_folders(out, "region");
        check_folders(out, "value");
    }
    if arranged & 1 == 1 {
        for (name, batches) in contents(out) {
            let orders = orders(out, &name);
            assert!(
                orders.iter().all(|order| *order == by_number()),
                "{name}: {orders:?}"
            );
            let key = |row: &Row| (-row.number, row.value);
            let keys: Vec<_> = rows_of(&batches).iter().map(key).collect();
            assert!(keys.is_sorted(), "{name}: {keys:?}");
        }
    }
}

/// What the row groups of a file say of their order.
fn orders(out: &Path, name: &str) -> Vec<Option<Vec<SortingColumn>>> {
    let file = File::open(live(out).join(name)).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let groups = builder.metadata().row_groups().iter();
    groups
        .map(|group| group.sorting_columns().cloned())
        .collect()
}

/// The order by number of [`arrange`].
fn by_number() -> Option<Vec<SortingColumn>> {
    let column = |column_idx, descending, nulls_first| SortingColumn {
        column_idx,
        descending,
        nulls_first,
    };
    Some(vec![column(1, true, false), column(2, false, true)])
}

/// The rows of each data file, in their order.
fn contents(out: &Path) -> BTreeMap<String, Vec<RecordBatch>> {
    let read = |name: String| {
        let file = File::open(live(out).join(&name)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let batches = reader.build().unwrap().map(Result::unwrap).collect();
        (name, batches)
    };
    files(out).into_iter().map(read).collect()
}

fn rows_of(batches: &[RecordBatch]) -> Vec<Row> {
    use arrow::array::AsArray as _;
    let mut rows = Vec::new();
    for batch in batches {
        let integer = |name: &str, row: usize| {
            let array = batch.column_by_name(name).unwrap();
            let array = array.as_primitive::<Int64Type>();
            array.is_valid(row).then(|| array.value(row))
        };
        let region = batch.column_by_name("region").unwrap().as_string::<i32>();
        for index in 0..batch.num_rows() {
            rows.push(Row {
                region: region.value(index).to_owned(),
                number: integer("number", index).unwrap(),
                value: integer("value", index),
                extra: None,
            });
        }
    }
    rows
}

/// The values of a column, all of them plain, are those that name the folders of the files.
#[track_caller]
pub fn check_folders(out: &Path, column: &str) {
    use arrow::array::AsArray as _;
    for (name, batches) in contents(out) {
        let prefix = format!("{column}_value=");
        let named = name.split('/').find_map(|part| part.strip_prefix(&prefix));
        for batch in batches {
            let values = cast(batch.column_by_name(column).unwrap(), &DataType::Utf8).unwrap();
            for value in values.as_string::<i32>() {
                let expect = value.unwrap_or("__HIVE_DEFAULT_PARTITION__");
                assert_eq!(named, Some(expect), "{name}");
            }
        }
    }
}

fn run(out: &Path, disposition: WriteDisposition, arranged: usize, rows: &[Row]) -> LoadReport {
    let mut options = options(disposition, false);
    arrange(&mut options, arranged);
    let report = load_with(out, store_options(), options, rows, None).unwrap();
    assert_tidy(out);
    check_arranged(out, arranged);
    report
}

#[test]
fn rows_of_a_load_are_sorted_across_its_batches_and_files() {
    let out = folder();
    let numbers = |numbers: [i64; 7]| -> Vec<Row> {
        numbers.iter().map(|number| row("eu", *number, 1)).collect()
    };
    run(out.path(), Append, 1, &numbers([3, 9, 1, 7, 5, 7, 0]));
    let found: Vec<i64> = contents(out.path())
        .values()
        .flat_map(|batches| rows_of(batches))
        .map(|row| row.number)
        .collect();
    assert_eq!(found, [9, 7, 7, 5, 3, 1, 0]);
    run(out.path(), Append, 1, &numbers([4, 2, 8, 6, 4, 2, 8]));
    assert_eq!(read(out.path()).len(), 14);
}

#[test]
fn order_and_nulls_are_as_asked_for() {
    use SortOrder::{Asc, Desc};
    #[track_caller]
    fn check(order: SortOrder, nulls: Nulls, expect: &[Option<i64>]) {
        let out = folder();
        let mut options = options(Append, false);
        options.writer.sort_by = vec![sort("value", order, nulls)];
        let mut rows = rows(0..4, 0);
        for (row, value) in rows.iter_mut().zip([Some(2), None, Some(-1), Some(3)]) {
            row.value = value;
        }
        load_with(out.path(), store_options(), options, &rows, None).unwrap();
        let contents = contents(out.path());
        let found = contents.values().flat_map(|batches| rows_of(batches));
        let found: Vec<Option<i64>> = found.map(|row| row.value).collect();
        assert_eq!(found, expect, "{order:?} {nulls:?}");
        let name = contents.keys().next().unwrap();
        let expect = SortingColumn {
            column_idx: 2,
            descending: order == Desc,
            nulls_first: nulls == Nulls::First,
        };
        assert_eq!(orders(out.path(), name), [Some(vec![expect])]);
    }
    check(Asc, Nulls::Last, &[Some(-1), Some(2), Some(3), None]);
    check(Asc, Nulls::First, &[None, Some(-1), Some(2), Some(3)]);
    check(Desc, Nulls::Last, &[Some(3), Some(2), Some(-1), None]);
    check(Desc, Nulls::First, &[None, Some(3), Some(2), Some(-1)]);
}

#[test]
fn nested_columns_keep_their_values() {
    let out = folder();
    let tags: ListArray = ListArray::from_iter_primitive::<Int64Type, _, _>([
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]);
    let name: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("")]));
    let inner = Fields::from(vec![
        Field::new("name", DataType::Utf8, true),
        Field::new("tags", tags.data_type().clone(), true),
    ]);
    let validity = vec![true, false, true].into();
    let owner = StructArray::new(inner.clone(), vec![name, Arc::new(tags)], Some(validity));
    let schema = Arc::new(Schema::new(vec![
        Field::new("owner", DataType::Struct(inner), true),
        Field::new("id", DataType::Int64, false),
    ]));
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![3, 2, 1]));
    let batch =
        RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(owner.clone()), ids]).unwrap();
    let mut options = LoadOptions {
        schema,
        primary_key: vec!["id".to_owned()],
        ..options(Append, false)
    };
    options.writer.sort_by = vec![sort("id", SortOrder::Asc, Nulls::Last)];
    let store = Store::open(out.path(), store_options()).unwrap();
    let mut load = store.begin(options).unwrap();
    load.write(&batch).unwrap();
    load.commit(None).unwrap();
    let (name, found) = contents(out.path()).pop_first().unwrap();
    // The leaves of `owner` come first.
    assert_eq!(
        orders(out.path(), &name)[0].as_ref().unwrap()[0].column_idx,
        2
    );
    let lines = |batch: &RecordBatch| {
        use arrow::util::display::{ArrayFormatter, FormatOptions};
        let options = FormatOptions::new().with_null("null");
        let column = ArrayFormatter::try_new(batch.column(0), &options).unwrap();
        (0..batch.num_rows())
            .map(|row| column.value(row).to_string())
            .collect::<Vec<_>>()
    };
    let mut expect = lines(&batch);
    expect.reverse();
    assert_eq!(lines(&found[0]), expect);
}

/// Rows that an update moves to another folder leave the old one.
#[test]
fn an_updated_row_moves_to_its_partition() {
    for update_bytes in [0, 1 << 20] {
        let out = folder();
        let load = |rows: &[Row]| {
            let mut options = options(Merge, false);
            arrange(&mut options, 3);
            options.writer.update_bytes = update_bytes;
            load_with(out.path(), store_options(), options, rows, None).unwrap()
        };
        load(&[rows(0..4, 1), rows(4..8, 2)].concat());
        let report = load(&[rows(3..5, 2), rows(8..9, 3)].concat());
        assert_eq!((report.inserted, report.updated), (1, 2));
        let expect = [rows(0..3, 1), rows(3..8, 2), rows(8..9, 3)].concat();
        assert_eq!(read(out.path()), expect);
        check_arranged(out.path(), 3);
        // The last row of a partition leaves no folder behind.
        load(&rows(0..3, 4));
        let folders: BTreeSet<String> = names(&live(out.path()).join("region_value=eu"));
        let expect = ["value_value=2", "value_value=3", "value_value=4"];
        assert_eq!(folders, expect.map(str::to_owned).into());
    }
}

/// Where nothing but other columns changes, a row keeps its place, and other files are left alone.
#[test]
fn an_update_in_place_keeps_the_order_and_the_file() {
    let out = folder();
    let mut options = options(Merge, false);
    options.writer.partition_by = vec![PartitionColumn::new("region", PartitionBy::Value)];
    options.writer.sort_by = vec![sort("number", SortOrder::Asc, Nulls::Last)];
    let load =
        |rows: &[Row]| load_with(out.path(), store_options(), options.clone(), rows, None).unwrap();
    let mut all = rows(0..6, 1);
    all.extend((0..6).map(|number| row("us", number, 1)));
    load(&all);
    let before = files(out.path());
    let report = load(&[row("us", 4, 9), row("us", 1, 9)]);
    assert_eq!((report.updated, report.files_removed.len()), (2, 1));
    let kept: Vec<&String> = before.iter().filter(|name| name.contains("=eu/")).collect();
    let after = files(out.path());
    assert!(kept.iter().all(|name| after.contains(*name)));
    check_folders(out.path(), "region");
    let (name, batches) = contents(out.path()).pop_last().unwrap();
    let numbers: Vec<i64> = rows_of(&batches).iter().map(|row| row.number).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    assert!(orders(out.path(), &name).iter().all(Option::is_some));
}

/// Files of an earlier order stay as they are, and say of themselves what is true.
#[test]
fn another_order_needs_no_other_dataset() {
    let out = folder();
    run(out.path(), Merge, 0, &rows(0..6, 1));
    let by_value = |load: &[Row]| {
        let mut options = options(Merge, false);
        options.writer.sort_by = vec![sort("value", SortOrder::Desc, Nulls::Last)];
        load_with(out.path(), store_options(), options, load, None).unwrap()
    };
    by_value(&[rows(2..3, 5), rows(8..9, 7), rows(7..8, 8)].concat());
    let mut declared = 0;
    for (name, batches) in contents(out.path()) {
        let values: Vec<_> = rows_of(&batches).iter().map(|row| row.value).collect();
        for order in orders(out.path(), &name) {
            declared += usize::from(order.is_some());
            assert!(
                order.is_none() || values.is_sorted_by(|a, b| a >= b),
                "{values:?}"
            );
        }
    }
    assert!(declared > 0);
    let expect = [
        rows(0..2, 1),
        rows(2..3, 5),
        rows(3..6, 1),
        rows(7..8, 8),
        rows(8..9, 7),
    ];
    assert_eq!(read(out.path()), expect.concat());
}

#[test]
fn other_partitions_need_a_full_refresh() {
    let out = folder();
    run(out.path(), Append, 2, &rows(0..3, 1));
    let mut other = options(Append, false);
    let error = load_with(
        out.path(),
        store_options(),
        other.clone(),
        &rows(3..4, 1),
        None,
    );
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(
        error.to_string(),
        "`orders` is partitioned by `region`, `value`, the specification says nothing"
    );
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("--full-refresh"))
    );
    assert_eq!(read(out.path()), rows(0..3, 1));
    other.full_refresh = true;
    load_with(out.path(), store_options(), other, &rows(3..4, 1), None).unwrap();
    assert_eq!(read(out.path()), rows(3..4, 1));
    assert_eq!(names(&live(out.path())).len(), 1);
    // `replace` begins anew whenever it runs.
    run(out.path(), Replace, 2, &rows(0..2, 2));
    run(out.path(), Replace, 0, &rows(0..2, 3));
    assert_eq!(read(out.path()), rows(0..2, 3));
}

#[test]
fn values_of_any_text_stay_below_the_dataset_and_come_back() {
    let out = folder();
    let long = "x".repeat(300);
    let texts = [
        "a/b",
        "..",
        "../../etc",
        "=",
        "a\0b",
        "",
        "EU",
        "eu",
        "Eu",
        "ß",
        "SS",
        &long,
        "%2F",
        "__HIVE_DEFAULT_PARTITION__",
        "_connector",
        "C:\\",
        "a b",
        "part-00000",
        ".",
        "\n",
    ];
    let rows: Vec<Row> = (texts.iter().zip(0..))
        .map(|(text, number)| row(text, number, 1))
        .collect();
    for _ in 0..2 {
        let mut options = options(Merge, false);
        options.writer.partition_by = vec![PartitionColumn::new("region", PartitionBy::Value)];
        load_with(out.path(), store_options(), options, &rows, None).unwrap();
        assert_eq!(read(out.path()), sorted(rows.clone()));
        let folders = names(&live(out.path()));
        assert!(
            folders
                .iter()
                .all(|name| name.starts_with("region_value=") && name.len() <= 140)
        );
        // No two of them are one on a file system that knows no case; "" has no name of its own.
        let lower: BTreeSet<String> = folders.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!(lower.len(), texts.len());
    }
    assert_eq!(names(out.path()), BTreeSet::from([CONNECTOR.to_owned()]));
}

/// One file is open at a time, whatever the number of partitions.
#[test]
fn thousands_of_partitions_are_written_one_by_one() {
    let out = folder();
    let mut options = options(Merge, false);
    options.primary_key = vec!["number".to_owned()];
    options.writer = WriterOptions {
        partition_by: vec![PartitionColumn::new("number", PartitionBy::Value)],
        ..WriterOptions::default()
    };
    let open = Arc::new(std::sync::Mutex::new((BTreeSet::new(), 0)));
    let seen = Arc::clone(&open);
    let mut store = store_options();
    store.fail_point = Some(FailPoint::new(move |step, path| {
        let mut seen = seen.lock().unwrap();
        if path
            .extension()
            .is_some_and(|extension| extension == "parquet")
        {
            match step {
                Step::CreateFile => drop(seen.0.insert(path.to_owned())),
                Step::SyncFile => drop(seen.0.remove(path)),
                _ => {}
            }
        }
        seen.1 = seen.1.max(seen.0.len());
        Ok(())
    }));
    let count = 2000;
    let rows: Vec<Row> = (0..2 * count)
        .map(|index| row("eu", index * 7 % count, index))
        .collect();
    let store = Store::open(out.path(), store).unwrap();
    let mut load = store.begin(options.clone()).unwrap();
    load.write(&batch(&rows, false)).unwrap();
    let report = load.commit(None).unwrap();
    assert_eq!(
        (report.rows_written, report.files_added.len()),
        (2000, 2000)
    );
    assert_eq!(open.lock().unwrap().1, 1);
    drop(store);
    assert_eq!(names(&live(out.path())).len(), 2000);
    let report = load_with(out.path(), store_options(), options, &rows[..3], None).unwrap();
    assert_eq!((report.updated, report.files_added.len()), (3, 3));
}

#[test]
fn files_of_others_stay_where_they_are() {
    let out = folder();
    run(out.path(), Append, 2, &rows(0..3, 1));
    let live = live(out.path());
    let own = live.join("region_value=eu/value_value=1/_NOTE");
    let other = live.join("notes/deep");
    fs::write(&own, "one").unwrap();
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("file"), "two").unwrap();
    fs::create_dir_all(live.join("region_value=xx/value_value=7")).unwrap();
    fs::write(
        live.join("region_value=xx/value_value=7/readme.txt"),
        "three",
    )
    .unwrap();
    run(out.path(), Append, 2, &rows(3..5, 2));
    run(out.path(), Replace, 2, &rows(3..5, 3));
    assert_eq!(read(out.path()), rows(3..5, 3));
    assert_eq!(fs::read_to_string(own).unwrap(), "one");
    assert_eq!(fs::read_to_string(other.join("file")).unwrap(), "two");
    let third = live.join("region_value=xx/value_value=7/readme.txt");
    assert_eq!(fs::read_to_string(third).unwrap(), "three");
}

#[test]
fn data_files_that_nobody_knows_are_refused_in_folders_too() {
    let out = folder();
    run(out.path(), Append, 2, &rows(0..3, 1));
    let name = files(out.path()).pop_first().unwrap();
    let stranger = name
        .replace("value_value=1", "value_value=2")
        .replace("part-0", "part-9");
    let path = live(out.path()).join(&stranger);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(live(out.path()).join(&name), &path).unwrap();
    let mut options = options(Append, false);
    arrange(&mut options, 2);
    let load = |rows: &[Row], options: &LoadOptions| {
        load_with(out.path(), store_options(), options.clone(), rows, None)
    };
    let error = load(&rows(3..4, 1), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains(&stranger), "{error}");
    fs::remove_file(&path).unwrap();
    // One that is missing, too.
    fs::rename(live(out.path()).join(&name), out.path().join("aside")).unwrap();
    let error = load(&rows(3..4, 1), &options).unwrap_err();
    assert!(error.to_string().contains(&name), "{error}");
    options.full_refresh = true;
    load(&rows(3..4, 1), &options).unwrap();
    assert_eq!(read(out.path()), rows(3..4, 1));
}

/// Where folders cannot be exchanged, files are renamed one by one.
#[test]
fn partitions_are_published_without_links_as_well() {
    let out = folder();
    let load = |disposition, rows: &[Row]| {
        let mut store = store_options();
        store.fail_point = Some(FailPoint::new(|step, _| match step {
            Step::Link | Step::Exchange => Err(std::io::ErrorKind::Unsupported.into()),
            _ => Ok(()),
        }));
        let mut options = options(disposition, false);
        arrange(&mut options, 3);
        load_with(out.path(), store, options, rows, None).unwrap();
        check_arranged(out.path(), 3);
        assert_tidy(out.path());
    };
    load(Merge, &[rows(0..4, 1), rows(4..6, 2)].concat());
    load(Merge, &rows(0..5, 3));
    assert_eq!(read(out.path()), [rows(0..5, 3), rows(5..6, 2)].concat());
    let folders = names(&live(out.path()).join("region_value=eu"));
    let expect = ["value_value=2", "value_value=3"];
    assert_eq!(folders, expect.map(str::to_owned).into());
}

/// A file system without case has the folders of a dataset still when it begins anew.
#[test]
fn folders_that_leave_are_told_apart_from_new_ones() {
    let out = folder();
    let names = |region: &str| {
        let mut options = options(Replace, false);
        options.writer.partition_by = vec![PartitionColumn::new("region", PartitionBy::Value)];
        options.full_refresh = true;
        load_with(
            out.path(),
            store_options(),
            options,
            &[row(region, 1, 1)],
            None,
        )
        .unwrap();
        let names: Vec<String> = files(out.path()).into_iter().collect();
        assert_eq!(names.len(), 1);
        names.concat()
    };
    assert!(names("EU").starts_with("region_value=EU/"));
    let other = names("eu");
    assert!(other.starts_with("region_value=eu~"), "{other}");
}

/// Columns that are inferred are those that rows have had: none of an empty answer.
#[test]
fn rows_without_the_columns_of_their_place_are_taken_in() {
    let out = folder();
    let begin = |names: &[&str]| {
        let schema = schema(false);
        let indices: Vec<usize> = names
            .iter()
            .map(|name| schema.index_of(name).unwrap())
            .collect();
        let mut options = options(Append, false);
        arrange(&mut options, 3);
        options.schema = Arc::new(schema.project(&indices).unwrap());
        options.primary_key = Vec::new();
        options.inferred = Some(Inferred::default());
        let store = Store::open(out.path(), store_options()).unwrap();
        let load = store.begin(options).unwrap();
        let write = move |mut load: connector_dataset::Load, rows: &[Row]| {
            if !rows.is_empty() {
                load.write(&batch(rows, false).project(&indices).unwrap())
                    .unwrap();
            }
            load.commit(None).unwrap().rows_written
        };
        (load, write)
    };
    let (load, write) = begin(&["region"]);
    assert_eq!(write(load, &[]), 0);
    let (load, write) = begin(&["region"]);
    assert_eq!(write(load, &[row("eu", 1, 1)]), 1);
    let nothing = "region_value=eu/value_value=__HIVE_DEFAULT_PARTITION__/";
    let names = files(out.path());
    assert!(
        names.iter().all(|name| name.starts_with(nothing)),
        "{names:?}"
    );
    let (load, write) = begin(&["region", "number", "value"]);
    assert_eq!(write(load, &[row("eu", 2, 7)]), 2);
    let names = files(out.path());
    let has_value = |name: &String| name.starts_with("region_value=eu/value_value=7/");
    assert_eq!(names.len(), 2);
    assert!(names.iter().any(has_value), "{names:?}");
}
