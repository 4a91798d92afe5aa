//! The shape of data files: what a spec asks for is what the Parquet files of a run have.

use std::collections::BTreeSet;
use std::fs::File;

use connector_codegen::{LowerOptions, Source, lower};
use connector_plan::{Compression, Layout};
use parquet::basic::Compression as Codec;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde_json::{Value, json};

use crate::relations::rows;
use crate::strategies::{Api, connector};

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
    let lowered = lower(&Source::new("spec.yaml", spec), &LowerOptions::new("tree"));
    let (ir, _) = lowered.map_err(|found| found.render(false)).unwrap();
    let found = ir.plan.resources.iter().map(|resource| &resource.layout);
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
    let text = ir.plan.to_json().unwrap();
    assert_eq!(text.matches("\"layout\"").count(), 3);
    assert_eq!(connector_plan::Plan::from_json(&text).unwrap(), ir.plan);
}
