//! What is refused, with which kind, text and advice, and that nothing changes then.

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use connector_dataset::{Error, ErrorKind, LoadOptions, SourceId, Store, StoreOptions};
use connector_plan::WriteDisposition::{Append, Merge, Replace};

use crate::support::*;

#[track_caller]
fn check(error: &Error, kind: ErrorKind, message: &str, hint: &str) {
    assert_eq!(error.kind(), kind, "{error}");
    let text = error.to_string();
    assert!(text.contains(message), "{text}");
    assert!(
        error.hint().is_some_and(|found| found.contains(hint)),
        "{:?}",
        error.hint()
    );
}

fn sandbox() -> StoreOptions {
    StoreOptions::new(CONNECTOR, SourceId::Sandbox, "spec")
}

#[test]
fn sample_data_never_replaces_real_data() {
    let out = folder();
    load(out.path(), Merge, &rows(0..3, 1));
    let error = Store::open(out.path(), sandbox()).unwrap_err();
    check(
        &error,
        ErrorKind::Conflict,
        "data of `https://api.example.com`",
        "--out",
    );
    assert_eq!(read(out.path()), rows(0..3, 1));
}

#[test]
fn another_server_needs_a_full_refresh() {
    let out = folder();
    load(out.path(), Merge, &rows(0..3, 1));
    let other = || StoreOptions::new(CONNECTOR, SourceId::origin("https://b.example.com"), "spec");
    for disposition in [Append, Merge, Replace] {
        let store = Store::open(out.path(), other()).unwrap();
        let error = store.begin(options(disposition, false)).unwrap_err();
        check(
            &error,
            ErrorKind::Conflict,
            "reads from `https://b.example.com`",
            "--full-refresh",
        );
    }
    let refresh = LoadOptions {
        full_refresh: true,
        ..options(Merge, false)
    };
    load_with(out.path(), other(), refresh, &rows(7..8, 1), None).unwrap();
    assert_eq!(read(out.path()), rows(7..8, 1));
}

#[test]
fn test_servers_may_change_their_port() {
    let out = folder();
    for (port, number) in [(4000, 0), (5000, 1)] {
        let source = SourceId::Origin(format!("http://user:secret@127.0.0.1:{port}/v1"));
        let options = options(Merge, false);
        let store = StoreOptions::new(CONNECTOR, source, "spec");
        load_with(
            out.path(),
            store,
            options,
            &rows(number..number + 1, 1),
            None,
        )
        .unwrap();
    }
    assert_eq!(read(out.path()), rows(0..2, 1));
    let state = fs::read_to_string(control(out.path()).join("state.json")).unwrap();
    assert!(!state.contains("secret"), "{state}");
}

#[test]
fn another_specification_needs_a_full_refresh() {
    let out = folder();
    load(out.path(), Merge, &rows(0..3, 1));
    let store = Store::open(out.path(), store_options()).unwrap();
    let other = |disposition| LoadOptions {
        identity: "another".to_owned(),
        ..options(disposition, false)
    };
    for disposition in [Append, Merge] {
        let error = store.begin(other(disposition)).unwrap_err();
        check(
            &error,
            ErrorKind::Conflict,
            "written by another specification",
            "--full-refresh",
        );
    }
    assert!(store.begin(other(Replace)).unwrap().cursor().is_none());
}

#[test]
fn a_second_run_is_told_who_holds_the_folder() {
    let out = folder();
    let store = Store::open(out.path(), store_options()).unwrap();
    let error = Store::open(out.path(), store_options()).unwrap_err();
    let holder = format!("(process {} since 2", std::process::id());
    check(
        &error,
        ErrorKind::Conflict,
        &holder,
        "wait until it has ended",
    );
    // A load keeps the folder even when the store is gone.
    let load = store.begin(options(Merge, false)).unwrap();
    drop(store);
    assert!(Store::open(out.path(), store_options()).is_err());
    drop(load);
    assert!(Store::open(out.path(), store_options()).is_ok());
}

#[test]
fn one_load_per_resource_at_a_time() {
    let out = folder();
    let store = Store::open(out.path(), store_options()).unwrap();
    let load = store.begin(options(Merge, false)).unwrap();
    let error = store.begin(options(Merge, false)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    drop(load);
    assert!(store.begin(options(Merge, false)).is_ok());
}

#[test]
fn a_state_that_cannot_be_trusted_is_refused() {
    #[track_caller]
    fn refused(change: impl Fn(&str) -> String, message: &str, hint: &str) {
        let out = folder();
        load(out.path(), Merge, &rows(0..3, 1));
        let path = control(out.path()).join("state.json");
        let text = change(&fs::read_to_string(&path).unwrap());
        fs::write(&path, &text).unwrap();
        for error in [
            Store::open(out.path(), store_options()).unwrap_err(),
            Store::read_state(out.path(), CONNECTOR).unwrap_err(),
        ] {
            check(&error, ErrorKind::Conflict, message, hint);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(read(out.path()), rows(0..3, 1));
    }
    refused(
        |text| text[..text.len() / 2].to_owned(),
        "is damaged",
        "--full-refresh",
    );
    refused(|_| String::new(), "is damaged", "--full-refresh");
    refused(
        |text| text.replace("\"rows\"", "\"rowz\""),
        "is damaged",
        "--full-refresh",
    );
    refused(
        |text| text.replacen(": 1,", ": 0,", 1),
        "is damaged",
        "--full-refresh",
    );
    refused(
        |text| text.replacen(": 1,", ": 2,", 1),
        "has version 2",
        "newer program",
    );
    refused(
        |text| text.replace("\"shop\"", "\"bank\""),
        "belongs to the connector `bank`",
        "--out",
    );
}

#[test]
fn a_full_refresh_of_everything_sets_a_damaged_state_aside() {
    let out = folder();
    load(out.path(), Merge, &rows(0..3, 1));
    fs::write(control(out.path()).join("state.json"), "{").unwrap();
    let store = StoreOptions {
        repair: true,
        ..store_options()
    };
    let refresh = LoadOptions {
        full_refresh: true,
        ..options(Merge, false)
    };
    load_with(out.path(), store, refresh, &rows(5..6, 1), None).unwrap();
    assert_eq!(read(out.path()), rows(5..6, 1));
    let aside = names(&control(out.path()));
    let aside = aside
        .iter()
        .find(|name| name.starts_with("state.damaged-"))
        .unwrap();
    assert_eq!(
        fs::read_to_string(control(out.path()).join(aside)).unwrap(),
        "{"
    );
}

#[test]
fn files_that_are_not_those_of_the_state_are_refused() {
    let out = folder();
    load(out.path(), Merge, &rows(0..30, 1));
    let last = live(out.path()).join(files(out.path()).last().unwrap());
    let begin = || {
        let store = Store::open(out.path(), store_options()).unwrap();
        store.begin(options(Merge, false)).unwrap_err()
    };
    let content = fs::read(&last).unwrap();
    fs::write(&last, "short").unwrap();
    check(
        &begin(),
        ErrorKind::Conflict,
        "has changed",
        "--full-refresh",
    );
    fs::remove_file(&last).unwrap();
    check(
        &begin(),
        ErrorKind::Conflict,
        "is missing",
        "--full-refresh",
    );
    fs::write(&last, content).unwrap();
    fs::remove_dir_all(control(out.path())).unwrap();
    check(
        &begin(),
        ErrorKind::Conflict,
        "which the state does not know",
        "_connector",
    );
    // Replacing needs to know nothing.
    load(out.path(), Replace, &rows(0..1, 2));
    assert_eq!(read(out.path()), rows(0..1, 2));
}

#[test]
fn a_damaged_journal_is_refused() {
    let out = folder();
    load(out.path(), Merge, &rows(0..3, 1));
    let journal = control(out.path())
        .join("journal")
        .join(format!("{RESOURCE}.json"));
    for text in ["", "{\"version\": 1}", "[]"] {
        fs::write(&journal, text).unwrap();
        let error = Store::open(out.path(), store_options()).unwrap_err();
        check(&error, ErrorKind::Conflict, "journal", "--full-refresh");
        assert_eq!(read(out.path()), rows(0..3, 1));
        assert!(journal.exists());
    }
}

#[test]
fn a_null_in_the_key_is_named() {
    let out = folder();
    load(out.path(), Merge, &rows(0..3, 1));
    let schema = Arc::new(Schema::new(vec![
        Field::new("region", DataType::Int64, true),
        Field::new("number", DataType::Int64, true),
    ]));
    let column =
        |values: &[Option<i64>]| Arc::new(values.iter().collect::<Int64Array>()) as ArrayRef;
    let store = Store::open(out.path(), store_options()).unwrap();
    let keyed = LoadOptions {
        resource: "nulls".to_owned(),
        schema: Arc::clone(&schema),
        ..options(Merge, false)
    };
    let mut load = store.begin(keyed).unwrap();
    let whole = column(&[Some(1), Some(2), Some(3)]);
    let holed = column(&[Some(1), None, Some(3)]);
    let batch =
        |columns: Vec<ArrayRef>| RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    load.write(&batch(vec![Arc::clone(&whole), Arc::clone(&whole)]))
        .unwrap();
    let error = load.write(&batch(vec![whole, holed])).unwrap_err();
    check(
        &error,
        ErrorKind::SchemaContract,
        "`nulls`: record 5",
        "primary_key",
    );
    assert!(
        error.to_string().ends_with("the primary key `number`"),
        "{error}"
    );
    assert!(load.commit(None).is_err());
    assert!(!out.path().join(CONNECTOR).join("nulls").exists());
}

#[test]
fn columns_that_cannot_be_held_are_refused() {
    #[track_caller]
    fn refused(fields: Vec<Field>, kind: ErrorKind, message: &str) {
        let out = folder();
        let store = Store::open(out.path(), store_options()).unwrap();
        let schema = Arc::new(Schema::new(fields));
        let error = store
            .begin(LoadOptions {
                schema,
                ..options(Merge, false)
            })
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
    let key = || {
        vec![
            Field::new("region", DataType::Utf8, false),
            Field::new("number", DataType::Int64, false),
        ]
    };
    let with = |field: Field| [key(), vec![field]].concat();
    let empty = DataType::Struct(Fields::empty());
    let within = DataType::List(Arc::new(Field::new("item", empty.clone(), true)));
    let contract = ErrorKind::SchemaContract;
    refused(vec![], contract, "no columns");
    refused(
        with(Field::new("o", empty, true)),
        contract,
        "`o` is an object without fields",
    );
    refused(
        with(Field::new("l", within, true)),
        contract,
        "`l.element` is an object without",
    );
    refused(
        with(Field::new("n", DataType::Null, true)),
        contract,
        "`n` has the type `Null`",
    );
    refused(
        with(Field::new("region", DataType::Utf8, true)),
        contract,
        "`region` is declared twice",
    );
    let configuration = ErrorKind::Configuration;
    refused(
        key()[..1].to_vec(),
        configuration,
        "`number` is not a column",
    );
    let list = DataType::new_list(DataType::Int64, true);
    let nested = vec![key().remove(0), Field::new("number", list, true)];
    refused(nested, configuration, "`number` is an object or a list");
}

#[test]
fn unusable_options_are_refused() {
    let out = folder();
    let store = Store::open(out.path(), store_options()).unwrap();
    let no_key = LoadOptions {
        primary_key: Vec::new(),
        ..options(Merge, false)
    };
    let error = store.begin(no_key).unwrap_err();
    check(
        &error,
        ErrorKind::Configuration,
        "no primary key",
        "primary_key",
    );
    for resource in ["../x", "_connector", "a/b", ""] {
        let options = LoadOptions {
            resource: resource.to_owned(),
            ..options(Merge, false)
        };
        let error = store.begin(options).unwrap_err();
        check(
            &error,
            ErrorKind::Configuration,
            "cannot be the name of a resource",
            "letters",
        );
    }
    let error = store.reset(&["nothing"]).unwrap_err();
    check(
        &error,
        ErrorKind::Configuration,
        "no resource `nothing`",
        "nothing has been loaded",
    );
}

#[test]
fn a_changed_column_type_needs_a_full_refresh() {
    let out = folder();
    load(out.path(), Merge, &rows(0..3, 1));
    let mut fields: Vec<Field> = schema(false)
        .fields()
        .iter()
        .map(|field| field.as_ref().clone())
        .collect();
    fields[2] = Field::new("value", DataType::Boolean, true);
    let schema = Arc::new(Schema::new(fields));
    let store = Store::open(out.path(), store_options()).unwrap();
    let changed = LoadOptions {
        schema,
        ..options(Merge, false)
    };
    let error = store.begin(changed.clone()).unwrap_err();
    check(
        &error,
        ErrorKind::SchemaContract,
        "`orders`: the column `value` holds `Int64`",
        "--full-refresh",
    );
    assert!(
        store
            .begin(LoadOptions {
                full_refresh: true,
                ..changed
            })
            .is_ok()
    );
}

#[test]
fn sample_data_never_replaces_data_of_unknown_origin() {
    let out = folder();
    load(out.path(), Merge, &rows(0..3, 1));
    let state = control(out.path()).join("state.json");
    fs::write(&state, "{").unwrap();
    let error = Store::open(
        out.path(),
        StoreOptions {
            repair: true,
            ..sandbox()
        },
    )
    .unwrap_err();
    check(&error, ErrorKind::Conflict, "is damaged", "backup");
    fs::remove_dir_all(control(out.path())).unwrap();
    let store = Store::open(out.path(), sandbox()).unwrap();
    for disposition in [Append, Merge, Replace] {
        let options = LoadOptions {
            full_refresh: true,
            ..options(disposition, false)
        };
        let error = store.begin(options).unwrap_err();
        check(
            &error,
            ErrorKind::Conflict,
            "which the state does not know",
            "--out",
        );
    }
    assert_eq!(read(out.path()), rows(0..3, 1));
}

#[test]
fn batches_with_other_columns_are_refused() {
    let out = folder();
    let store = Store::open(out.path(), store_options()).unwrap();
    let mut load = store.begin(options(Append, false)).unwrap();
    let mut row = row("eu", 1, 1);
    row.extra = Some("x".to_owned());
    let error = load.write(&batch(&[row], true)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaContract);
    assert!(
        error
            .to_string()
            .contains("the column `extra`, which the schema does not declare")
    );
    let mut load = store
        .begin(LoadOptions {
            resource: "other".to_owned(),
            ..options(Append, true)
        })
        .unwrap();
    let error = load
        .write(&batch(&rows(0..1, 1), false).project(&[0]).unwrap())
        .unwrap_err();
    assert!(
        error.to_string().contains("a batch has no column `number`"),
        "{error}"
    );
}
