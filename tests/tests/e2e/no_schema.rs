//! Resources without a schema: columns are what the records need, whatever the pages and runs.

use std::fs;
use std::path::Path;

use arrow::datatypes::{DataType, SchemaRef};
use connector_sandbox::{Answer, Options, Sandbox, Scripted};
use connector_tests::{Outcome, Rows, Workspace};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

const SPEC: &str = "
client: {base_url: https://shop.example.com}
resources:
  - name: things
    primary_key: id
    write_disposition: merge
    endpoint: {path: /things, paginator: {type: json_link, next_url_path: next}, data_selector: items}
";

/// A server that answers with these pages of `/things`.
fn pages(spec: &str, pages: &[&str]) -> Sandbox {
    let mut script = Vec::new();
    for (number, items) in pages.iter().enumerate() {
        let path = |number: usize| match number {
            0 => "/things".to_owned(),
            number => format!("/things/{number}"),
        };
        let next = (number + 1 < pages.len()).then(|| path(number + 1));
        let body = format!("{{\"items\": [{items}], \"next\": {}}}", json!(next));
        script.push(Scripted::always(path(number), Answer::json(200, body)));
    }
    serve(spec, script)
}

fn serve(spec: &str, script: Vec<Scripted>) -> Sandbox {
    let plan = connector_tests::plan("shop", spec);
    let options = Options {
        script,
        ..Options::default()
    };
    Sandbox::start(&plan, options).unwrap()
}

/// Runs `cargo connector` for a spec against a server.
fn run(workspace: &Workspace, spec: &str, server: &Sandbox, arguments: &[&str]) -> Outcome {
    let path = workspace.path("shop.yaml");
    fs::write(&path, spec).unwrap();
    let (subcommand, rest) = arguments.split_first().unwrap();
    let run = workspace.cargo_connector("shop");
    let run = run.args([subcommand, &path.to_str().unwrap()]).args(rest);
    run.against(server).run()
}

fn rows(workspace: &Workspace, resource: &str) -> Rows {
    Rows::read(&workspace.path("data/shop").join(resource))
}

/// The schema of every file of a dataset, which is one.
fn schema(workspace: &Workspace, resource: &str) -> SchemaRef {
    let folder = workspace.path("data/shop").join(resource);
    let mut schemas: Vec<SchemaRef> = fs::read_dir(folder)
        .unwrap()
        .map(|file| read_schema(&file.unwrap().path()))
        .collect();
    schemas.dedup_by(|one, other| one.fields() == other.fields());
    assert_eq!(schemas.len(), 1, "{schemas:#?}");
    schemas.remove(0)
}

fn read_schema(path: &Path) -> SchemaRef {
    let file = fs::File::open(path).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    builder.schema().clone()
}

fn types(workspace: &Workspace) -> Vec<(String, String)> {
    let schema = schema(workspace, "things");
    let fields = schema.fields().iter();
    fields
        .filter(|field| field.name() != "_rescued")
        .map(|field| (field.name().clone(), show(field.data_type())))
        .collect()
}

fn show(data_type: &DataType) -> String {
    match data_type {
        DataType::Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("{}: {}", field.name(), show(field.data_type())))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        DataType::List(item) => format!("[{}]", show(item.data_type())),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        other => other.to_string(),
    }
}

/// What a run of a server that gives these records leaves: types and values, by key.
fn read(records: &[&str]) -> (Vec<(String, String)>, Vec<Value>) {
    let server = pages(SPEC, records);
    let workspace = Workspace::new();
    let _ = run(&workspace, SPEC, &server, &["run"]).expect(0);
    let types = types(&workspace);
    let columns: Vec<&str> = types.iter().map(|(name, _)| name.as_str()).collect();
    let mut columns = columns.clone();
    columns.push("_rescued");
    (types.clone(), rows(&workspace, "things").objects(&columns))
}

const PAGES: [&str; 4] = [
    r#"{"id": 1, "a": null, "n": 1, "t": "2026-01-31T10:00:00Z", "o": {"x": 1}, "l": []}"#,
    r#"{"id": 2, "a": {}, "n": 2, "t": null, "o": {"y": ["z"]}, "l": [{"k": 1}]}"#,
    r#"{"id": 3, "b": true, "n": 0.5, "t": "2026-01-31T10:00:00.5+02:00", "l": [{"m": "q"}, null]}"#,
    r#"{"id": 4, "n": 7, "m": 1, "d": "2026-01-31", "o": null}, {"id": 5, "m": "1"}"#,
];

#[test]
fn columns_hold_all_that_came_whatever_the_order_of_the_pages() {
    let (types, mut found) = read(&PAGES);
    let expect = [
        ("id", "Int64"),
        ("a", "Utf8"),
        ("b", "Boolean"),
        ("n", "Float64"),
        ("m", "Utf8"),
        ("d", "Date32"),
        ("t", "timestamp"),
        ("o", "{x: Int64, y: [Utf8]}"),
        ("l", "[{k: Int64, m: Utf8}]"),
    ];
    let mut names: Vec<(String, String)> = expect
        .iter()
        .map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned()))
        .collect();
    let mut sorted = types.clone();
    sorted.sort();
    names.sort();
    assert_eq!(sorted, names);
    let by_id = |records: &mut Vec<Value>| records.sort_by_key(|record| record["id"].as_i64());
    by_id(&mut found);
    assert_eq!(found[0]["n"], 1.0);
    assert_eq!(found[1]["a"], "{}");
    assert_eq!(found[1]["o"], json!({"x": null, "y": ["z"]}));
    assert_eq!(found[2]["l"], json!([{"k": null, "m": "q"}, null]));
    // Numbers and texts in one place are told apart as JSON.
    assert_eq!(
        (&found[3]["m"], &found[4]["m"]),
        (&json!("1"), &json!("\"1\""))
    );
    assert!(found.iter().all(|record| record["_rescued"].is_null()));

    for order in [[3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        let (other_types, mut other) = read(&order.map(|page| PAGES[page]));
        by_id(&mut other);
        assert_eq!((&other_types, &other), (&types, &found), "{order:?}");
    }
}

#[test]
fn a_later_run_widens_the_columns_of_an_earlier_one() {
    let workspace = Workspace::new();
    let step = |page: &str, code: i32| {
        let server = pages(SPEC, &[page]);
        run(&workspace, SPEC, &server, &["run"]).expect(code)
    };
    let _ = step(
        r#"{"id": 1, "n": 1, "j": 1, "d": "2026-01-31", "e": null, "l": []}"#,
        0,
    );
    let _ = step(
        r#"{"id": 2, "n": 0.5, "j": "x", "d": "soon", "e": 3, "l": [1]}"#,
        0,
    );
    let mut found = types(&workspace);
    found.sort();
    let expect = [
        ("d", "Utf8"),
        ("e", "Int64"),
        ("id", "Int64"),
        ("j", "Utf8"),
        ("l", "[Int64]"),
        ("n", "Float64"),
    ];
    assert_eq!(
        found,
        expect.map(|(name, kind)| (name.to_owned(), kind.to_owned()))
    );
    let mut records = rows(&workspace, "things").objects(&["id", "n", "j", "d", "e", "l"]);
    records.sort_by_key(|record| record["id"].as_i64());
    assert_eq!(
        records,
        [
            json!({"id": 1, "n": 1.0, "j": "1", "d": "2026-01-31", "e": null, "l": []}),
            json!({"id": 2, "n": 0.5, "j": "\"x\"", "d": "soon", "e": 3, "l": [1]}),
        ]
    );
    // A merge over the inferred key, with a column less and one more.
    let _ = step(r#"{"id": 1, "n": 2, "new": true}, {"id": 3, "n": 3}"#, 0);
    assert_eq!(rows(&workspace, "things").count(), 3);
    // A key of another type, and what cannot be told exactly any more, are refused.
    let before = workspace.files();
    let _ = step(r#"{"id": "1"}"#, 6).says(&["`id`"]);
    let _ = step(r#"{"id": 4, "l": "none"}"#, 6).says(&["`l`", "--full-refresh"]);
    assert_eq!(workspace.files().parquet(), before.parquet());
    // What the state knows is not forgotten because another version wrote it.
    let file = workspace.path("data/shop/_connector/state.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"integer\"", "\"novel\"")).unwrap();
    let says = [
        "what the state knows of the columns cannot be read",
        "--full-refresh",
    ];
    let _ = step(r#"{"id": 4}"#, 2).says(&says);
    assert_eq!(workspace.files().parquet(), before.parquet());
    let server = pages(SPEC, &[r#"{"id": "1", "l": "none"}"#]);
    let _ = run(&workspace, SPEC, &server, &["run", "--full-refresh"]).expect(0);
    assert_eq!(rows(&workspace, "things").column("id"), ["1"]);
}

#[test]
fn no_records_at_first_are_no_obstacle() {
    let workspace = Workspace::new();
    for (page, count) in [("", 0), (r#"{"id": 1, "o": {"p": 1}}"#, 1), ("", 1)] {
        let server = pages(SPEC, &[page]);
        let _ = run(&workspace, SPEC, &server, &["run"]).expect(0);
        assert_eq!(rows(&workspace, "things").count(), count, "{page}");
    }
}

#[test]
fn the_primary_key_has_to_be_in_every_record() {
    for (page, says) in [
        (r#"{"id": 1}, {"name": "x"}"#, "record 2 has no `id`"),
        (r#"{"id": null}"#, "record 1 has no `id`"),
        (r#"{"id": 1}, {"id": "1"}"#, "values of different types"),
        (r#"{"id": {"a": 1}}"#, "no single values"),
    ] {
        let server = pages(SPEC, &[page]);
        let workspace = Workspace::new();
        let outcome = run(&workspace, SPEC, &server, &["run"]).expect(6);
        let _ = outcome.says(&[says, "things"]);
        assert_eq!(workspace.files().parquet().names().count(), 0);
    }
}

#[test]
fn the_inferred_schema_gives_the_same_columns_when_it_is_pasted() {
    let workspace = Workspace::new();
    let server = pages(SPEC, &PAGES);
    let _ = run(&workspace, SPEC, &server, &["run"]).expect(0);
    let inferred = schema(&workspace, "things");
    let block = run(&workspace, SPEC, &server, &["infer"]).expect(0).stdout;
    let (head, block) = block.split_once('\n').unwrap();
    assert_eq!(head, "  - name: things");
    let pasted = format!("{SPEC}{block}");
    let other = Workspace::new();
    let outcome = run(&other, &pasted, &server, &["run"]).expect(0);
    assert!(!outcome.stderr.contains("no-schema"), "{}", outcome.stderr);
    assert_eq!(schema(&other, "things").fields(), inferred.fields());
    let columns = ["id", "a", "b", "n", "m", "d", "t", "o", "l", "_rescued"];
    assert_eq!(
        rows(&other, "things").objects(&columns),
        rows(&workspace, "things").objects(&columns)
    );
    // What earlier runs have seen counts, too: this server shows one page of them.
    let less = pages(SPEC, &PAGES[..1]);
    let known = run(&workspace, SPEC, &less, &["infer"]).expect(0).stdout;
    assert!(known.ends_with(block), "{known}");
}

#[test]
fn children_take_values_of_records_without_a_schema() {
    let spec = "
client: {base_url: https://shop.example.com}
resources:
  - name: orders
    primary_key: id
    endpoint: {path: /orders}
  - name: lines
    parent: {resource: orders, field: ref.code, as: code}
    include_from_parent: [id, note]
    endpoint: {path: '/orders/{code}/lines'}
";
    let orders = r#"[{"id": 12345678901, "ref": {"code": "a b"}, "note": "x"},
                     {"id": 2, "ref": {"code": 7}}]"#;
    let answer = |path: &str, body: &str| Scripted::always(path, Answer::json(200, body));
    let script = |orders: &str| {
        vec![
            answer("/orders", orders),
            answer("/orders/a%20b/lines", r#"[{"n": 1}, {}, 5]"#),
            answer("/orders/7/lines", r#"[{"n": 2}]"#),
        ]
    };
    let server = serve(spec, script(orders));
    let workspace = Workspace::new();
    let _ = run(&workspace, spec, &server, &["run"]).expect(0);
    let lines = rows(&workspace, "lines");
    assert_eq!(
        lines.objects(&["n", "value", "_orders_id", "_orders_note"]),
        [
            json!({"n": 1, "value": null, "_orders_id": 12_345_678_901_i64, "_orders_note": "x"}),
            json!({"n": null, "value": 5, "_orders_id": 12_345_678_901_i64, "_orders_note": "x"}),
            json!({"n": null, "value": null, "_orders_id": 12_345_678_901_i64, "_orders_note": "x"}),
            json!({"n": 2, "value": null, "_orders_id": 2, "_orders_note": null}),
        ]
    );
    let shown = run(
        &workspace,
        spec,
        &server,
        &["try", "-r", "lines", "-n", "1"],
    )
    .expect(0);
    assert!(shown.stdout.contains("_orders_note"), "{}", shown.stdout);

    for (orders, says) in [
        (r#"[{"id": 1, "ref": {}}]"#, "has no `ref.code`"),
        (r#"[{"id": 1, "ref": {"code": [1]}}]"#, "is no single value"),
    ] {
        let server = serve(spec, script(orders));
        let outcome = run(&Workspace::new(), spec, &server, &["run"]).expect(7);
        let _ = outcome.says(&[says, "`lines` need"]);
    }
}

#[test]
fn the_seeds_run_as_they_are() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../codegen/tests/seeds");
    for name in ["storage", "files", "analytics"] {
        let workspace = Workspace::new();
        let seed = seeds.join(format!("{name}.yaml"));
        let run = workspace.cargo_connector(name);
        let outcome = run.args(["run", seed.to_str().unwrap()]).run().expect(0);
        let _ = outcome.says(&["SAMPLE DATA", "[no-schema]"]);
        for folder in fs::read_dir(workspace.path("data").join(name)).unwrap() {
            let folder = folder.unwrap().path();
            if !folder.ends_with("_connector") {
                assert_eq!(Rows::read(&folder).count(), 1_250, "{}", folder.display());
            }
        }
    }
}

#[test]
fn a_merge_key_keeps_its_type_since_rows_are_found_by_it() {
    let spec = SPEC.replace(
        "write_disposition: merge",
        "merge_key: batch\n    write_disposition: {disposition: merge, strategy: delete-insert}",
    );
    let workspace = Workspace::new();
    let first = pages(&spec, &[r#"{"id": 1, "batch": 1}, {"id": 2, "batch": 2}"#]);
    let _ = run(&workspace, &spec, &first, &["run"]).expect(0);
    let second = pages(
        &spec,
        &[r#"{"id": 3, "batch": 1}, {"id": 4, "batch": 2.5}"#],
    );
    let outcome = run(&workspace, &spec, &second, &["run"]).expect(6);
    let _ = outcome.says(&["`batch`", "--full-refresh"]);
    assert_eq!(
        rows(&workspace, "things").column("id"),
        [json!(1), json!(2)]
    );
}
