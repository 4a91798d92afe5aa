//! What each write disposition does to the rows of earlier loads.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, Date32Array, Decimal128Array, Float64Array, Int8Array,
    Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use connector_dataset::{
    ColumnChange, LoadOptions, SchemaChange, SourceId, Store, StoreOptions, WriterOptions,
};
use connector_plan::WriteDisposition::{Append, Merge, Replace};

use crate::support::*;

#[test]
fn append_keeps_and_adds() {
    let out = folder();
    load(out.path(), Append, &rows(0..5, 1));
    let before = files(out.path());
    let report = load(out.path(), Append, &rows(3..6, 2));
    assert_eq!(
        read(out.path()),
        sorted([rows(0..5, 1), rows(3..6, 2)].concat())
    );
    assert!(before.is_subset(&files(out.path())));
    assert_eq!((report.inserted, report.updated, report.deleted), (3, 0, 0));
    assert_eq!((report.rows_read, report.rows_written), (3, 8));
    assert_tidy(out.path());
}

#[test]
fn replace_leaves_only_the_new() {
    let out = folder();
    load(out.path(), Replace, &rows(0..9, 1));
    let report = load(out.path(), Replace, &rows(3..6, 2));
    assert_eq!(read(out.path()), rows(3..6, 2));
    assert_eq!(
        (report.inserted, report.deleted, report.rows_written),
        (3, 9, 3)
    );
    assert_tidy(out.path());
}

#[test]
fn merge_replaces_rows_with_the_same_key() {
    let out = folder();
    load(
        out.path(),
        Merge,
        &[rows(0..10, 1), vec![row("us", 1, 1)]].concat(),
    );
    let report = load(
        out.path(),
        Merge,
        &[row("eu", 1, 2), row("eu", 20, 2), row("us", 2, 2)],
    );
    let mut expect = rows(0..10, 1);
    expect[1].value = Some(2);
    expect.extend([row("eu", 20, 2), row("us", 1, 1), row("us", 2, 2)]);
    assert_eq!(read(out.path()), sorted(expect));
    assert_eq!(
        (report.inserted, report.updated, report.duplicates_in_load),
        (2, 1, 0)
    );
    assert_eq!(report.rows_written, 13);
}

#[test]
fn the_last_of_equal_keys_in_a_load_wins() {
    let out = folder();
    let twice = [rows(0..20, 1), rows(5..15, 2), rows(7..8, 3)].concat();
    let report = load(out.path(), Merge, &twice);
    let expect = [
        rows(0..5, 1),
        rows(5..7, 2),
        rows(7..8, 3),
        rows(8..15, 2),
        rows(15..20, 1),
    ]
    .concat();
    assert_eq!(read(out.path()), expect);
    assert_eq!(
        (report.rows_read, report.duplicates_in_load, report.inserted),
        (31, 11, 20)
    );
    assert_eq!(report.rows_written, 20);
}

#[test]
fn parts_of_a_compound_key_do_not_run_together() {
    let out = folder();
    let keys = [
        row("a", 1, 1),
        row("a1", 1, 2),
        row("", 1, 3),
        row("a", 11, 4),
    ];
    let report = load(out.path(), Merge, &keys);
    assert_eq!(report.duplicates_in_load, 0);
    assert_eq!(read(out.path()), sorted(keys.to_vec()));
}

#[test]
fn a_merge_leaves_files_without_a_replaced_row_alone() {
    let out = folder();
    let first = load(out.path(), Merge, &rows(0..60, 1));
    assert!(first.files_added.len() > 2, "{first:?}");
    let report = load(out.path(), Merge, &rows(0..1, 2));
    assert_eq!(report.files_removed, &first.files_added[..1]);
    let files = files(out.path());
    assert!(
        first.files_added[1..]
            .iter()
            .all(|file| files.contains(&file.name))
    );
}

#[test]
fn an_unchanged_merge_does_not_grow() {
    for update_bytes in [0, 1 << 20] {
        let out = folder();
        let first = load(out.path(), Merge, &rows(0..60, 1));
        let before = files(out.path());
        for _ in 0..3 {
            let mut options = options(Merge, false);
            options.writer.update_bytes = update_bytes;
            let again = load_with(out.path(), store_options(), options, &rows(0..60, 1), None);
            let again = again.unwrap();
            assert_eq!(read(out.path()), rows(0..60, 1));
            assert_eq!(files(out.path()).len(), first.files_added.len());
            assert!(
                again.bytes.abs_diff(first.bytes) <= first.bytes / 50,
                "{again:?}"
            );
            assert_eq!((again.updated, again.inserted), (60, 0));
            // In their places, rows that have not changed leave the files alone.
            assert_eq!(files(out.path()) == before, update_bytes > 0);
        }
    }
}

#[test]
fn an_empty_dataset_is_one_file_with_columns() {
    for disposition in [Append, Merge, Replace] {
        let out = folder();
        let report = load(out.path(), disposition, &[]);
        assert_eq!(report.rows_written, 0);
        assert_eq!(files(out.path()).len(), 1);
        assert_eq!(read(out.path()), []);
        load(out.path(), disposition, &[]);
        assert_eq!(files(out.path()).len(), 1);
        // It goes as soon as there are rows.
        load(out.path(), disposition, &rows(0..1, 1));
        assert_eq!(files(out.path()).len(), 1);
        assert_eq!(read(out.path()), rows(0..1, 1));
    }
}

#[test]
fn a_load_without_rows_keeps_what_is_there_unless_it_replaces() {
    let out = folder();
    load(out.path(), Merge, &rows(0..5, 1));
    let before = files(out.path());
    load(out.path(), Merge, &[]);
    load(out.path(), Append, &[]);
    assert_eq!(files(out.path()), before);
    let report = load(out.path(), Replace, &[]);
    assert_eq!((report.deleted, report.rows_written), (5, 0));
    assert_eq!(read(out.path()), []);
}

#[test]
fn new_columns_are_appended_and_old_files_still_read() {
    let out = folder();
    load(out.path(), Merge, &rows(0..30, 1));
    let mut new = rows(2..3, 2);
    new[0].extra = Some("x".to_owned());
    let report = load(out.path(), Merge, &new);
    let added = SchemaChange {
        column: "extra".to_owned(),
        change: ColumnChange::Added,
    };
    assert_eq!(report.schema_changes, [added]);
    let expect = [rows(0..2, 1), new.clone(), rows(3..30, 1)].concat();
    assert_eq!(read(out.path()), expect);
    // A load without the column keeps it for the others.
    let report = load(out.path(), Merge, &rows(4..5, 3));
    let absent = SchemaChange {
        column: "extra".to_owned(),
        change: ColumnChange::Absent,
    };
    assert_eq!(report.schema_changes, [absent]);
    let expect = [
        rows(0..2, 1),
        new,
        rows(3..4, 1),
        rows(4..5, 3),
        rows(5..30, 1),
    ]
    .concat();
    assert_eq!(read(out.path()), expect);
}

#[test]
fn a_full_refresh_begins_anew_and_still_merges_duplicates() {
    let out = folder();
    load(out.path(), Merge, &rows(0..9, 1));
    let mut options = options(Merge, false);
    options.full_refresh = true;
    options.identity = "another".to_owned();
    let rows_twice = [rows(4..6, 1), rows(4..6, 2)].concat();
    let report = load_with(out.path(), store_options(), options, &rows_twice, None).unwrap();
    assert_eq!(read(out.path()), rows(4..6, 2));
    assert_eq!(
        (report.deleted, report.inserted, report.duplicates_in_load),
        (9, 2, 2)
    );
}

#[test]
fn real_data_replaces_sample_data() {
    let out = folder();
    let sandbox = StoreOptions::new(CONNECTOR, SourceId::Sandbox, "spec");
    let cursor = Some(serde_json::json!("2026"));
    load_with(
        out.path(),
        sandbox,
        options(Append, false),
        &rows(0..9, 1),
        cursor,
    )
    .unwrap();
    let store = Store::open(out.path(), store_options()).unwrap();
    let mut load = store.begin(options(Append, false)).unwrap();
    assert!(load.replaces_sample_data());
    assert_eq!(load.cursor(), None);
    write(&mut load, &rows(1..2, 2)).unwrap();
    let report = load.commit(None).unwrap();
    assert!(report.replaced_sample_data);
    assert_eq!(read(out.path()), rows(1..2, 2));
}

#[test]
fn two_loads_of_one_resource_in_one_run_do_not_collide() {
    let out = folder();
    let store = Store::open(out.path(), store_options()).unwrap();
    for value in 0..4 {
        let mut load = store.begin(options(Merge, false)).unwrap();
        write(&mut load, &rows(value * 10..value * 10 + 15, value)).unwrap();
        load.commit(Some(value.into())).unwrap();
    }
    let expect = [
        rows(0..10, 0),
        rows(10..20, 1),
        rows(20..30, 2),
        rows(30..45, 3),
    ]
    .concat();
    assert_eq!(read(out.path()), expect);
    assert_eq!(store.state().resources[RESOURCE].cursor, Some(3.into()));
    assert_eq!(store.state().resources[RESOURCE].rows, 45);
}

#[test]
fn the_cursor_moves_with_the_data() {
    let out = folder();
    let cursor = Some(serde_json::json!({"since": "2026-01-01"}));
    load_with(
        out.path(),
        store_options(),
        options(Merge, false),
        &rows(0..1, 1),
        cursor.clone(),
    )
    .unwrap();
    let store = Store::open(out.path(), store_options()).unwrap();
    let mut load = store.begin(options(Merge, false)).unwrap();
    assert_eq!(load.cursor(), cursor.as_ref());
    write(&mut load, &rows(1..2, 1)).unwrap();
    load.discard();
    assert_eq!(read(out.path()), rows(0..1, 1));
    assert_eq!(store.state().resources[RESOURCE].cursor, cursor);
    assert_eq!(store.reset(&[]).unwrap(), [RESOURCE]);
    assert_eq!(store.reset(&[RESOURCE]).unwrap(), Vec::<String>::new());
    store.set_cursor(RESOURCE, Some(7.into())).unwrap();
    let saved = Store::read_state(out.path(), CONNECTOR).unwrap().unwrap();
    assert_eq!(saved, store.state());
    assert_eq!(saved.resources[RESOURCE].cursor, Some(7.into()));
    drop(store);
    assert_tidy(out.path());
}

#[test]
fn many_small_loads_do_not_make_many_small_files() {
    for disposition in [Append, Merge] {
        let out = folder();
        for number in 0..40 {
            let options = LoadOptions {
                writer: WriterOptions::default(),
                ..options(disposition, false)
            };
            load_with(
                out.path(),
                store_options(),
                options,
                &rows(number..number + 1, 1),
                None,
            )
            .unwrap();
            assert!(files(out.path()).len() <= 17, "{number}");
        }
        assert_eq!(read(out.path()), rows(0..40, 1));
    }
}

#[test]
fn resources_are_loaded_and_committed_at_once() {
    let out = folder();
    let store = Store::open(out.path(), store_options()).unwrap();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let options = LoadOptions {
                resource: format!("r{number}"),
                ..options(Merge, false)
            };
            let mut load = store.begin(options).unwrap();
            scope.spawn(move || {
                write(&mut load, &rows(0..20, number)).unwrap();
                load.commit(Some(number.into())).unwrap();
            });
        }
    });
    assert_eq!(
        store.state(),
        Store::read_state(out.path(), CONNECTOR).unwrap().unwrap()
    );
    for number in 0..8 {
        let state = &store.state().resources[&format!("r{number}")];
        assert_eq!((state.rows, &state.cursor), (20, &Some(number.into())));
    }
    drop(store);
    assert_tidy(out.path());
}

#[test]
fn keys_of_every_type_are_found_again() {
    let count = 40;
    let numbers = || 0..count as i64;
    let unsigned = numbers()
        .map(|n| u64::MAX - n as u64)
        .collect::<UInt64Array>();
    let texts = |of: &dyn Fn(i64) -> String| -> ArrayRef {
        Arc::new(numbers().map(|n| Some(of(n))).collect::<StringArray>())
    };
    let decimals = numbers()
        .map(|n| 10_i128.pow(30) + i128::from(n))
        .collect::<Decimal128Array>();
    let keys: Vec<ArrayRef> = vec![
        Arc::new(numbers().map(|n| n - 20).collect::<Int64Array>()),
        Arc::new(numbers().map(|n| n as i8 - 20).collect::<Int8Array>()),
        Arc::new(unsigned),
        // Statistics hold only the beginning of long values.
        texts(&|n| format!("{}{n}", "long".repeat(100))),
        texts(&|n| "\u{10FFFF}".repeat(100 + n as usize)),
        texts(&|n| "x".repeat(n as usize)),
        Arc::new(
            numbers()
                .map(|n| Some(vec![0xFF; 100 + n as usize]))
                .collect::<BinaryArray>(),
        ),
        Arc::new(
            numbers()
                .map(|n| Some(n as i32 - 20))
                .collect::<Date32Array>(),
        ),
        Arc::new(
            numbers()
                .map(|n| Some(n - 20))
                .collect::<TimestampMicrosecondArray>()
                .with_timezone("UTC"),
        ),
        Arc::new(decimals.with_precision_and_scale(38, 4).unwrap()),
        Arc::new(numbers().map(|n| n as f64 - 20.5).collect::<Float64Array>()),
    ];
    for key in keys {
        let out = folder();
        let batch = RecordBatch::try_from_iter([("key", Arc::clone(&key))]).unwrap();
        let load = |rows: RecordBatch| {
            let store = Store::open(out.path(), store_options()).unwrap();
            let primary_key = vec!["key".to_owned()];
            let schema = batch.schema();
            let mut load = store
                .begin(LoadOptions {
                    schema,
                    primary_key,
                    ..options(Merge, false)
                })
                .unwrap();
            load.write(&rows).unwrap();
            load.commit(None).unwrap()
        };
        let what = key.data_type();
        assert_eq!(load(batch.clone()).inserted, count, "{what}");
        assert_eq!(load(batch.slice(7, 5)).updated, 5, "{what}");
        let report = load(batch.clone());
        assert_eq!((report.updated, report.inserted), (count, 0), "{what}");
        assert_eq!(report.rows_written, count, "{what}");
    }
}
