//! The shape of data files: what a spec asks for is what the Parquet files of a run have.

use std::collections::BTreeSet;
use std::fs::File;

use connector_plan::{Compression, Layout};
use connector_sandbox::{Options, Sandbox};
use connector_tests::{Files, Rows, Workspace, truth};
use parquet::basic::Compression as Codec;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde_json::{Value, json};

use crate::contracts::ask;
use crate::relations::{expect_code, rows, run};
use crate::strategies::{Api, connector, spec};

const FIELDS: &str = "id: integer, size: integer";

/// The items with these numbers, all of one size.
fn items(ids: std::ops::Range<u64>, size: u64) -> Value {
    ids.map(|id| json!({"id": id, "size": size})).collect()
}

/// The row groups of all files of the dataset.
fn groups(api: &Api) -> Vec<RowGroupMetaData> {
    let folder = api.workspace.path("data").join("tree").join("items");
    let mut groups = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let file = File::open(entry.unwrap().path()).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        groups.extend(reader.metadata().row_groups().iter().cloned());
    }
    groups
}

fn codecs(groups: &[RowGroupMetaData]) -> BTreeSet<&'static str> {
    let columns = groups.iter().flat_map(RowGroupMetaData::columns);
    columns
        .map(|column| match column.compression() {
            Codec::ZSTD(_) => "zstd",
            Codec::SNAPPY => "snappy",
            Codec::UNCOMPRESSED => "none",
            _ => "another",
        })
        .collect()
}

#[test]
fn runs_write_with_the_codec_of_the_spec() {
    #[track_caller]
    fn check(layout: &str, expect: &'static str) {
        let api = Api::new(layout, FIELDS);
        api.run(&items(0..350, 1), &[], 0);
        let groups = groups(&api);
        assert_eq!(codecs(&groups), BTreeSet::from([expect]), "{layout}");
        assert_eq!(rows(&api.workspace, "items").count(), 350);
    }
    check("selected: true", "zstd");
    check("layout: {compression: zstd}", "zstd");
    check("layout: {compression: zstd(9)}", "zstd");
    check("layout: {compression: {level: 3}}", "zstd");
    check("layout: {compression: SNAPPY}", "snappy");
    check("layout: {compression: none}", "none");
    check("layout: {compression_codec: UNCOMPRESSED}", "none");
}

#[test]
fn row_groups_have_the_rows_of_the_spec() {
    let api = Api::new("layout: {row_group_rows: 100}", FIELDS);
    api.run(&items(0..350, 1), &[], 0);
    let mut counts: Vec<i64> = groups(&api)
        .iter()
        .map(RowGroupMetaData::num_rows)
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, [50, 100, 100, 100]);
}

/// A dataset with one codec goes on with another: nothing starts anew, nothing is lost.
#[test]
fn another_codec_is_appended_to_and_merged_with() {
    let append = "layout: {compression: snappy}";
    let mut api = Api::new(append, FIELDS);
    api.run(&items(100..300, 1), &[], 0);
    api.connector = connector("layout: {compression: none}", FIELDS);
    api.run(&items(300..400, 1), &[], 0);
    assert_eq!(codecs(&groups(&api)), BTreeSet::from(["none", "snappy"]));
    assert_eq!(rows(&api.workspace, "items").count(), 300);

    let merge = "primary_key: id\n  write_disposition: merge\n  layout: ";
    let mut api = Api::new(&format!("{merge}{{compression: snappy}}"), FIELDS);
    api.run(&items(100..300, 1), &[], 0);
    api.connector = connector(
        &format!("{merge}{{compression: zstd(3), row_group_rows: 100}}"),
        FIELDS,
    );
    let record = api.run(&items(250..350, 2), &[], 0);
    assert_eq!(
        (&record["load"]["updated"], &record["load"]["inserted"]),
        (&json!(50), &json!(50))
    );
    assert!(codecs(&groups(&api)).contains("zstd"));
    let expect: Vec<Value> = (100..350)
        .map(|id| json!({"id": id, "size": if id < 250 { 1 } else { 2 }}))
        .collect();
    assert_eq!(
        rows(&api.workspace, "items").objects(&["id", "size"]),
        expect
    );
}

#[test]
fn keys_are_merged_one_by_one() {
    let spec = "client: {base_url: \"https://api.example.com\"}\n\
                resource_defaults:\n  layout: {compression: snappy, file_bytes: 128 MiB}\n  schema: {fields: {id: integer}}\n\
                resources:\n- own\n\
                - {name: other, layout: {file_max_bytes: 1GB, row_group_bytes: 1 MiB, row_group_size: 5000}}\n\
                - {name: taken_back, layout: {compression: null}}\n\
                - {name: without, layout: null}\n";
    let plan = connector_tests::plan("tree", spec);
    let found = plan.resources.iter().map(|resource| &resource.layout);
    let snappy = Layout {
        compression: Compression::Snappy,
        file_bytes: 128 << 20,
        ..Layout::default()
    };
    let expect = [
        snappy.clone(),
        Layout {
            file_bytes: 1_000_000_000,
            row_group_bytes: 1 << 20,
            row_group_rows: 5000,
            ..snappy.clone()
        },
        Layout {
            compression: Compression::default(),
            ..snappy
        },
        Layout::default(),
    ];
    assert_eq!(found.collect::<Vec<_>>(), expect.iter().collect::<Vec<_>>());
    let text = plan.to_json().unwrap();
    assert_eq!(text.matches("\"layout\"").count(), 3);
    assert_eq!(connector_plan::Plan::from_json(&text).unwrap(), plan);
}

/// The files of the dataset by their names below its folder, each with a column's values.
fn values(api: &Api, column: &str) -> Vec<(String, Vec<Value>)> {
    let folder = api.workspace.path("data").join("tree").join("items");
    let files = Files::below(&folder).parquet();
    let names = files.names().map(|name| {
        let path = folder.join(name);
        let (parent, _) = name.rsplit_once('/').unwrap_or_default();
        let own = Rows::read(path.parent().unwrap());
        (parent.to_owned(), own.column(column))
    });
    names.collect()
}

/// What a resource says of its order, folders and objects takes the place of what all have.
#[test]
fn orders_and_folders_are_of_all_resources_or_of_one() {
    let spec = "client: {base_url: \"https://api.example.com\"}\n\
                resource_defaults:\n  layout: {sort_by: id, partition_by: name, flatten: true}\n  \
                schema: {fields: {id: integer, name: string, at: timestamp}}\n\
                resources:\n- own\n\
                - {name: other, layout: {sort_by: [{field: at, order: desc, nulls: first}], flatten: false}}\n\
                - {name: taken_back, layout: {partition_by: null, sort_by: null, flatten: [ ]}}\n";
    let plan = connector_tests::plan("tree", spec);
    let found = |index: usize| &plan.resources[index].layout;
    let by = |layout: &Layout| {
        let sorted = layout.sort_by.iter().map(|sort| sort.column.clone());
        let folders = layout
            .partition_by
            .iter()
            .map(|partition| partition.name.clone());
        (
            sorted.collect::<Vec<_>>(),
            folders.collect::<Vec<_>>(),
            layout.flatten.is_some(),
        )
    };
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(by(found(0)), (names(&["id"]), names(&["name_value"]), true));
    assert_eq!(
        by(found(1)),
        (names(&["at"]), names(&["name_value"]), false)
    );
    assert_eq!(by(found(2)), (names(&[]), names(&[]), true));
    let text = plan.to_json().unwrap();
    assert_eq!(connector_plan::Plan::from_json(&text).unwrap(), plan);
}

#[test]
fn rows_are_sorted_and_files_say_so() {
    let layout = "primary_key: id\n  write_disposition: merge\n  \
                  layout: {sort_by: [{field: size, order: descending}, id], row_group_rows: 100}";
    let api = Api::new(layout, FIELDS);
    let given: Value = (0..350_u64)
        .map(|id| json!({"id": id * 131 % 350, "size": id % 7}))
        .collect();
    api.run(&given, &[], 0);
    let sorted = |api: &Api| {
        let rows = rows(&api.workspace, "items");
        let keys: Vec<(i64, i64)> = (rows.column("size").iter().zip(rows.column("id")))
            .map(|(size, id)| (-size.as_i64().unwrap(), id.as_i64().unwrap()))
            .collect();
        assert!(keys.is_sorted(), "{keys:?}");
        keys.len()
    };
    assert_eq!(sorted(&api), 350);
    for group in groups(&api) {
        let order = group.sorting_columns().unwrap();
        let columns: Vec<_> = (order.iter())
            .map(|column| (column.column_idx, column.descending, column.nulls_first))
            .collect();
        assert_eq!(columns, [(1, true, false), (0, false, false)]);
    }
    // A row with another size has another place, and a file of its own for now.
    let record = api.run(&json!([{"id": 3, "size": 9}]), &[], 0);
    assert_eq!(record["load"]["updated"], 1);
    assert!(
        groups(&api)
            .iter()
            .all(|group| group.sorting_columns().is_some())
    );
    assert_eq!(rows(&api.workspace, "items").count(), 350);
    let files: BTreeSet<u64> = [349, 1].into();
    let record = record["load"]["files_added"].as_array().unwrap();
    let found = record.iter().map(|file| file["rows"].as_u64().unwrap());
    assert_eq!(found.collect::<BTreeSet<u64>>(), files);
}

#[test]
fn files_lie_in_folders_by_value_and_by_day() {
    let layout = "primary_key: id\n  write_disposition: merge\n  \
                  layout: {partition_by: [region, {field: at, by: day}], sort_by: id}";
    let fields = "id: integer, region: string, at: timestamp";
    let mut api = Api::new(layout, fields);
    let item = |id: u64, region: Value, at: &str| json!({"id": id, "region": region, "at": at});
    let early = "2026-01-31T23:59:59.999999Z";
    let given = json!([
        item(2, json!("a/b"), early),
        item(1, json!("a/b"), early),
        item(3, json!("a/b"), "2026-02-01T00:30:00+00:30"),
        item(4, Value::Null, early),
        item(5, json!(".."), early),
    ]);
    let record = api.run(&given, &[], 0);
    let nothing = "__HIVE_DEFAULT_PARTITION__";
    let found = values(&api, "id");
    let expect = [
        (
            "region_value=.%2E/at_day=2026-01-31".to_owned(),
            vec![json!(5)],
        ),
        (
            format!("region_value={nothing}/at_day=2026-01-31"),
            vec![json!(4)],
        ),
        (
            "region_value=a%2Fb/at_day=2026-01-31".to_owned(),
            vec![json!(1), json!(2)],
        ),
        (
            "region_value=a%2Fb/at_day=2026-02-01".to_owned(),
            vec![json!(3)],
        ),
    ];
    assert_eq!(found, expect);
    let names = record["load"]["files_added"].as_array().unwrap().iter();
    let names: Vec<&str> = names.map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 4);
    assert!(
        names.iter().all(|name| name.contains("/at_day=")),
        "{names:?}"
    );
    // The row that another day or region has now is where the others of it are, once.
    let moved = json!([item(3, json!("a/b"), early), item(1, json!("c"), early)]);
    let record = api.run(&moved, &[], 0);
    assert_eq!(
        (&record["load"]["updated"], &record["load"]["inserted"]),
        (&json!(2), &json!(0))
    );
    let mut found = values(&api, "id");
    found.dedup();
    let folders: Vec<&str> = found.iter().map(|(folder, _)| folder.as_str()).collect();
    let expect = [
        "region_value=.%2E/at_day=2026-01-31",
        "region_value=__HIVE_DEFAULT_PARTITION__/at_day=2026-01-31",
        "region_value=a%2Fb/at_day=2026-01-31",
        "region_value=c/at_day=2026-01-31",
    ];
    assert_eq!(folders, expect);
    let all = rows(&api.workspace, "items");
    assert_eq!(all.count(), 5);
    let regions = json!(["..", null, "a/b", "a/b", "c"]);
    assert_eq!(Value::Array(all.column("region")), regions);

    // Other partitions are refused, said beforehand, and taken by a full refresh.
    let other = layout.replace("by: day", "by: month");
    let text = ask(&api, &other, fields, &["schema", "--diff"], 6);
    let change =
        "the partitioning changes: `region`, the day of `at` -> `region`, the month of `at`";
    assert!(text.contains(change), "{text}");
    let same = ask(&api, layout, fields, &["schema", "--diff"], 0);
    assert_eq!(same, "items: unchanged\n");
    api.connector = connector(&other, fields);
    let failed = api.run(&moved, &[], 2);
    let message = failed["error"].to_string();
    assert!(
        message.contains("the day of `at`, the specification says"),
        "{message}"
    );
    assert_eq!(rows(&api.workspace, "items").count(), 5);
    api.run(&moved, &["--full-refresh"], 0);
    let found = values(&api, "id");
    let folders: Vec<&str> = found.iter().map(|(folder, _)| folder.as_str()).collect();
    let expect = [
        "region_value=a%2Fb/at_month=2026-01",
        "region_value=c/at_month=2026-01",
    ];
    assert_eq!(folders, expect);
}

const NESTED: &str = "id: integer, owner: {type: object, fields: {name: string, age: integer, \
                      home: {type: object, fields: {town: string, since: timestamp}}}}, \
                      tags: {type: array, items: {type: object, fields: {tag: string}}}";

/// Members of objects as columns, with and without a value around them, over several runs.
#[test]
fn members_of_objects_become_columns() {
    let keys = "primary_key: id\n  write_disposition: merge\n  layout: ";
    let mut api = Api::new(
        &format!("{keys}{{flatten: true, sort_by: owner.name}}"),
        NESTED,
    );
    let since = "2026-01-31T00:00:00Z";
    let given = json!([
        {"id": 1, "owner": {"name": "b", "age": 5, "home": {"town": "x", "since": since}}},
        {"id": 2, "owner": {"name": "a", "age": "old", "home": null, "pet": 1}, "tags": [{"tag": "t"}]},
        {"id": 3, "owner": null},
        {"id": 4},
    ]);
    api.run(&given, &[], 0);
    let names = [
        "id",
        "owner__name",
        "owner__age",
        "owner__home__town",
        "owner__home__since",
    ];
    let read = |api: &Api| rows(&api.workspace, "items");
    let columns: Vec<String> = read(&api)
        .columns()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(columns, [&names[..], &["tags", "_rescued"]].concat());
    let micros = 1_769_817_600_000_000_i64;
    let row = |values: [Value; 5]| -> Value {
        let values = names.iter().map(|name| (*name).to_owned()).zip(values);
        Value::Object(values.collect())
    };
    let null = Value::Null;
    let first = row([json!(1), json!("b"), json!(5), json!("x"), json!(micros)]);
    let second = row([
        json!(2),
        json!("a"),
        null.clone(),
        null.clone(),
        null.clone(),
    ]);
    let empty = |id: u64| {
        row([
            json!(id),
            null.clone(),
            null.clone(),
            null.clone(),
            null.clone(),
        ])
    };
    let found = read(&api).objects(&names);
    assert_eq!(found, [first.clone(), second, empty(3), empty(4)]);
    // What does not fit is told by its place in the record.
    let rescued = read(&api).column("_rescued");
    let rescued: Vec<&Value> = rescued.iter().filter(|value| !value.is_null()).collect();
    assert_eq!(rescued.len(), 1);
    let text = rescued[0].as_str().unwrap();
    assert!(
        text.contains("owner.age") || text.contains("\"owner\""),
        "{text}"
    );
    // The order is that of the column.
    let order = read(&api).column("owner__name");
    assert_eq!(order, [json!("a"), json!("b"), null.clone(), null.clone()]);
    // Updates by key, and the same again.
    let third = json!([{"id": 3, "owner": {"name": "c", "age": 7, "home": {"town": "y"}}}]);
    let record = api.run(&third, &[], 0);
    assert_eq!(
        (&record["load"]["updated"], &record["load"]["inserted"]),
        (&json!(1), &json!(0))
    );
    let third = row([json!(3), json!("c"), json!(7), json!("y"), null.clone()]);
    assert_eq!(read(&api).objects(&names)[2], third);
    let record = api.run(&given, &[], 0);
    assert_eq!(record["load"]["updated"], 4);
    assert_eq!(read(&api).objects(&names)[0], first);

    // Other columns for the same members are refused, and taken by a full refresh.
    for (layout, expect) in [
        ("{}", vec!["id", "owner", "tags", "_rescued"]),
        (
            "{flatten: {depth: 1, separator: _}}",
            vec![
                "id",
                "owner_name",
                "owner_age",
                "owner_home",
                "tags",
                "_rescued",
            ],
        ),
    ] {
        let text = ask(
            &api,
            &format!("{keys}{layout}"),
            NESTED,
            &["schema", "--diff"],
            6,
        );
        let change = "! the flattening of objects has changed";
        assert!(text.contains(change), "{text}");
        api.connector = connector(&format!("{keys}{layout}"), NESTED);
        let failed = api.run(&given, &[], 2);
        assert!(
            failed["error"]
                .to_string()
                .contains("`flatten` has changed"),
            "{failed}"
        );
        api.run(&given, &["--full-refresh"], 0);
        let columns: Vec<String> = read(&api)
            .columns()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(columns, expect);
        assert_eq!(read(&api).count(), 4);
    }
}

/// The sandbox's truth are records; the files have their members.
#[test]
fn flattened_rows_are_the_truth_of_the_sandbox() {
    let keys = "primary_key: id\n  write_disposition: merge\n  \
                layout: {flatten: true, partition_by: owner.kind, sort_by: id}";
    let fields = "id: integer, owner: {type: object, fields: {kind: string, age: integer, \
                  home: {type: object, fields: {town: string}}}}";
    let connector = connector(keys, fields);
    let plan = connector.plan().unwrap();
    let server = Sandbox::start(&plan, Options::default()).unwrap();
    let workspace = Workspace::new();
    let (code, _) = run(&connector, &server, &workspace, &[]);
    expect_code(code, 0);
    let flatten = plan.resources[0].layout.flatten.clone().unwrap();
    let columns = flatten.columns(&plan.resources[0].fields);
    let names: Vec<&str> = columns
        .iter()
        .map(|column| column.field.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["id", "owner__kind", "owner__age", "owner__home__town"]
    );
    let lift = |record: Value| -> Value {
        let members = columns.iter().map(|column| {
            let value = column.path.iter().fold(&record, |value, name| &value[name]);
            (column.field.name.clone(), value.clone())
        });
        Value::Object(members.collect())
    };
    let flat: Vec<Value> = server.truth("items").into_iter().map(lift).collect();
    let found = rows(&workspace, "items").objects(&names);
    assert!(found.len() > 20);
    assert_eq!(found, truth(&flat, &names));
    assert!(
        Files::below(&workspace.path("data"))
            .parquet()
            .names()
            .count()
            > 1
    );
}

/// A resource without a schema whose objects grow from run to run.
#[test]
fn inferred_objects_are_flattened_too() {
    let keys = "primary_key: id\n  write_disposition: merge\n  layout: {flatten: true}";
    let spec = spec(keys, "id: integer").replace("  schema: {fields: {id: integer}}\n", "");
    let plan = connector_tests::plan("tree", spec);
    let mut api = Api::new(keys, "id: integer");
    api.connector.plan = plan.to_json().unwrap().leak();
    api.run(
        &json!([{"id": 1, "owner": {"age": 5, "home": {"town": "x"}}}]),
        &[],
        0,
    );
    api.run(
        &json!([{"id": 2, "owner": {"age": 5.5, "name": "a"}}]),
        &[],
        0,
    );
    let names = ["id", "owner__age", "owner__home__town", "owner__name"];
    let found = rows(&api.workspace, "items").united(&names);
    let expect = [
        json!({"id": 1, "owner__age": 5.0, "owner__home__town": "x", "owner__name": null}),
        json!({"id": 2, "owner__age": 5.5, "owner__home__town": null, "owner__name": "a"}),
    ];
    assert_eq!(found, expect);
}

/// Columns that follow the records keep out of the way of folders and of each other.
#[test]
fn evolving_columns_stay_apart_from_folders_and_members() {
    let keys = "primary_key: id\n  write_disposition: merge\n  schema_contract: evolve\n  layout: ";
    let wide = 9_007_199_254_740_993_i64;
    let object = "id: integer, owner: {type: object, fields: {size: integer}}";
    #[track_caller]
    fn check(api: &Api, given: &[Value; 2], columns: &[&str], rescued: &str) {
        for records in given {
            api.run(records, &[], 0);
        }
        let found = rows(&api.workspace, "items");
        let names = found.columns().into_iter().map(|(name, _)| name);
        let names: Vec<String> = names.collect();
        assert_eq!(names, columns);
        assert_eq!(found.count(), 2);
        let mut texts = found.column("_rescued");
        texts.retain(|text| !text.is_null());
        assert_eq!(texts, [json!(rescued)]);
        // The next run goes on.
        api.run(&given[0], &[], 0);
        assert_eq!(rows(&api.workspace, "items").count(), 2);
    }
    // Integers that no number equals stay.
    let flat = ["id", "owner__size", "_rescued"];
    check(
        &Api::new(&format!("{keys}{{flatten: true}}"), object),
        &[
            json!([{"id": 1, "owner": {"size": wide}}]),
            json!([{"id": 2, "owner": {"size": 1.5}}]),
        ],
        &flat,
        r#"{"owner.size":1.5}"#,
    );
    // A folder's column keeps its type, plain or lifted.
    check(
        &Api::new(
            &format!("{keys}{{partition_by: size}}"),
            "id: integer, size: integer",
        ),
        &[
            json!([{"id": 1, "size": 7}]),
            json!([{"id": 2, "size": 1.5}]),
        ],
        &["id", "size", "_rescued"],
        r#"{"size":1.5}"#,
    );
    check(
        &Api::new(
            &format!("{keys}{{flatten: true, partition_by: owner.size}}"),
            object,
        ),
        &[
            json!([{"id": 1, "owner": {"size": 7}}]),
            json!([{"id": 2, "owner": {"size": 1.5}}]),
        ],
        &flat,
        r#"{"owner.size":1.5}"#,
    );
    // No column is called as a folder, or as another one.
    check(
        &Api::new(
            &format!("{keys}{{partition_by: size}}"),
            "id: integer, size: integer",
        ),
        &[
            json!([{"id": 1, "size": 7}]),
            json!([{"id": 2, "Size_Value": 1, "more": 2}]),
        ],
        &["id", "size", "_rescued", "more"],
        r#"{"Size_Value":1}"#,
    );
    check(
        &Api::new(&format!("{keys}{{flatten: true}}"), object),
        &[
            json!([{"id": 1, "owner": {"size": 7}}]),
            json!([{"id": 2, "owner__size": 1, "more": 2}]),
        ],
        &["id", "owner__size", "_rescued", "more"],
        r#"{"owner__size":1}"#,
    );
}
