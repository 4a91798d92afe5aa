//! What the subcommands print, write and return.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use connector_build_tools::{Streams, run};
use connector_codegen::{LowerOptions, Source, lower};
use tempfile::TempDir;

const SPEC: &str = "\
description: Orders of a shop.
client: {base_url: https://shop.example.com}
resources:
  - name: orders
    schema: {fields: {id: integer, customer: {type: object, fields: {name: string}}}}
";

struct Outcome {
    code: ExitCode,
    out: String,
    err: String,
}

fn cargo_connector(arguments: &[&str]) -> Outcome {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = ["cargo-connector"].iter().chain(arguments);
    let code = run(
        arguments.map(OsString::from),
        &mut Streams::new(&mut out, &mut err, false),
    );
    Outcome {
        code,
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
    }
}

/// A workspace with nothing in it.
fn workspace() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("Cargo.toml"), "[workspace]\n").unwrap();
    fs::create_dir(root.path().join("connectors")).unwrap();
    fs::create_dir(root.path().join("codegen")).unwrap();
    root
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_new_connector_has_a_spec_without_warnings() {
    let root = workspace();
    let outcome = cargo_connector(&["new", "my-api", "--root", text(root.path())]);
    assert_eq!(outcome.code, ExitCode::from(0), "{}", outcome.err);
    let folder = root.path().join("connectors/my-api");
    assert_eq!(outcome.out.trim(), text(&folder));
    assert!(
        outcome.err.contains("cargo run -p connector-my-api"),
        "{}",
        outcome.err
    );

    let source = Source::read(&folder.join("spec.yaml")).unwrap();
    let (ir, warnings) = lower(&source, &LowerOptions::new("my-api")).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(ir.plan.resources[0].name, "items");
    assert!(
        ir.plan
            .setting("token")
            .is_some_and(|token| token.environment == "MY_API_TOKEN")
    );
    assert!(source.text.contains("MY_API_TOKEN"));

    let mut files = Vec::new();
    for path in [
        "Cargo.toml",
        "README.md",
        "build.rs",
        "spec.yaml",
        "src/lib.rs",
        "src/main.rs",
        "tests/contract.rs",
    ] {
        let text = fs::read_to_string(folder.join(path)).unwrap();
        let placeholder = ["@name@", "@crate@", "@prefix@", "@resource@", "@settings@"]
            .into_iter()
            .find(|placeholder| text.contains(placeholder));
        assert_eq!(placeholder, None, "{path}");
        files.push(text);
    }
    assert!(
        files[0].contains("name = \"connector-my-api\""),
        "{}",
        files[0]
    );
    assert!(files[1].contains("- `MY_API_TOKEN`"), "{}", files[1]);
    assert!(
        files[5].contains("&connector_my_api::CONNECTOR"),
        "{}",
        files[5]
    );
}

#[test]
fn a_new_connector_can_start_with_a_spec() {
    let root = workspace();
    let spec = root.path().join("shop.yaml");
    fs::write(&spec, SPEC).unwrap();
    let arguments = [
        "new",
        "shop",
        "--spec",
        text(&spec),
        "--root",
        text(root.path()),
    ];
    let outcome = cargo_connector(&arguments);
    assert_eq!(outcome.code, ExitCode::from(0), "{}", outcome.err);
    let folder = root.path().join("connectors/shop");
    assert_eq!(fs::read_to_string(folder.join("spec.yaml")).unwrap(), SPEC);
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(readme.contains("'data/shop/orders/*.parquet'"), "{readme}");
    assert!(readme.contains("- `SHOP_BASE_URL`"), "{readme}");
}

#[test]
fn nothing_is_made_of_a_wrong_spec_or_over_another_connector() {
    let root = workspace();
    let spec = root.path().join("wrong.yaml");
    fs::write(&spec, SPEC.replace("integer", "intger")).unwrap();
    let arguments = [
        "new",
        "shop",
        "--spec",
        text(&spec),
        "--root",
        text(root.path()),
    ];
    let outcome = cargo_connector(&arguments);
    assert_eq!(outcome.code, ExitCode::from(2));
    assert!(outcome.err.contains("`intger`"), "{}", outcome.err);
    assert!(!root.path().join("connectors/shop").exists());

    let folder = root.path().join("connectors/mine");
    fs::create_dir(&folder).unwrap();
    let outcome = cargo_connector(&["new", "mine", "--root", text(root.path())]);
    assert_eq!(
        (outcome.code, outcome.out.as_str()),
        (ExitCode::from(2), "")
    );
    assert!(outcome.err.contains("exists already"), "{}", outcome.err);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);

    let nowhere = root.path().join("codegen");
    let outcome = cargo_connector(&["new", "mine", "--root", text(&nowhere)]);
    assert_eq!(outcome.code, ExitCode::from(2));
    assert!(
        outcome.err.contains("is not a workspace of connectors"),
        "{}",
        outcome.err
    );
}

#[test]
fn a_resource_without_a_schema_is_a_warning_and_no_error() {
    let root = workspace();
    let spec = root.path().join("bare.yaml");
    let text_of = "client: {base_url: https://shop.example.com}\nresources: [orders]\n";
    fs::write(&spec, text_of).unwrap();
    let outcome = cargo_connector(&["check", text(&spec)]);
    assert_eq!(outcome.code, ExitCode::SUCCESS, "{}", outcome.err);
    assert!(outcome.out.ends_with("1 resource, 1 warning\n"));
    assert!(
        outcome.err.contains("warning[no-schema]"),
        "{}",
        outcome.err
    );
    let outcome = cargo_connector(&["check", "--format", "json", text(&spec)]);
    assert_eq!(outcome.code, ExitCode::SUCCESS);
    let reports: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(reports[0]["valid"], true);
    let found = &reports[0]["diagnostics"][0];
    assert_eq!(found["severity"], "warning");
    assert_eq!(found["code"], "no-schema");
    assert_eq!(found["labels"][0]["line"], 2);
}

#[test]
fn check_finds_everything_in_every_spec() {
    let root = workspace();
    let (right, wrong) = (
        root.path().join("right.yaml"),
        root.path().join("wrong.yaml"),
    );
    fs::write(&right, SPEC).unwrap();
    fs::write(
        &wrong,
        SPEC.replace("client:", "clinet:")
            .replace("integer", "intger"),
    )
    .unwrap();
    let missing = root.path().join("missing.yaml");

    let outcome = cargo_connector(&["check", text(&right)]);
    assert_eq!(outcome.code, ExitCode::from(0), "{}", outcome.err);
    assert_eq!(outcome.out, format!("{}: 1 resource\n", text(&right)));

    let outcome = cargo_connector(&["check", text(&wrong), text(&right), text(&missing)]);
    assert_eq!(outcome.code, ExitCode::from(2));
    assert_eq!(outcome.out, format!("{}: 1 resource\n", text(&right)));
    for expected in [
        "`clinet`",
        "`intger`",
        "wrong.yaml:2:1",
        "missing.yaml",
        "2 of 3 specs",
    ] {
        assert!(
            outcome.err.contains(expected),
            "{expected}: {}",
            outcome.err
        );
    }

    let outcome = cargo_connector(&["check", "--format", "json", text(&wrong), text(&right)]);
    assert_eq!(outcome.code, ExitCode::from(2));
    let reports: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(reports[0]["valid"], false);
    let lines: Vec<_> = reports[0]["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|diagnostic| diagnostic["labels"][0]["line"].clone())
        .collect();
    assert!(
        lines.contains(&2.into()) && lines.contains(&5.into()),
        "{lines:?}"
    );
    assert_eq!(reports[1]["valid"], true);
    assert_eq!(reports[1]["resources"], 1);
}

#[test]
fn expand_prints_what_the_build_script_writes() {
    let root = workspace();
    let folder = root.path().join("connectors/shop");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("spec.yaml"), SPEC).unwrap();
    let by_name = cargo_connector(&["expand", "shop", "--root", text(root.path())]);
    let by_path = cargo_connector(&["expand", text(&folder.join("spec.yaml"))]);
    assert_eq!(
        (by_name.code, by_path.code),
        (ExitCode::SUCCESS, ExitCode::SUCCESS),
        "{}",
        by_name.err
    );
    assert_eq!(by_name.out, by_path.out);
    assert!(
        by_name
            .out
            .starts_with("// @generated by connector-codegen from spec.yaml;")
    );
    assert!(
        by_name.out.contains("pub struct OrderCustomer {"),
        "{}",
        by_name.out
    );

    let plan = cargo_connector(&[
        "expand",
        "shop",
        "--part",
        "plan",
        "--root",
        text(root.path()),
    ]);
    assert_eq!(
        connector_plan::Plan::from_json(&plan.out).unwrap().name,
        "shop"
    );

    let outcome = cargo_connector(&["expand", "shp", "--root", text(root.path())]);
    assert_eq!(outcome.code, ExitCode::from(2));
    assert_eq!(
        outcome.err,
        "error: there is no connector `shp`\nhint: there is `shop`\n"
    );
}

#[test]
fn a_stale_schema_is_told() {
    let root = workspace();
    let root = text(root.path());
    let missing = cargo_connector(&["schema", "--check", "--root", root]);
    assert_eq!(missing.code, ExitCode::from(1));
    assert_eq!(
        cargo_connector(&["schema", "--write", "--root", root]).code,
        ExitCode::SUCCESS
    );
    assert_eq!(
        cargo_connector(&["schema", "--check", "--root", root]).code,
        ExitCode::SUCCESS
    );
    let path = Path::new(root).join("codegen/spec.schema.json");
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        cargo_connector(&["schema"]).out
    );
    fs::write(&path, "{}\n").unwrap();
    let stale = cargo_connector(&["schema", "--check", "--root", root]);
    assert_eq!(stale.code, ExitCode::from(1));
    assert!(
        stale.err.contains("hint: bring it up to date with"),
        "{}",
        stale.err
    );
}

#[test]
fn a_small_measurement_has_all_tables() {
    let root = workspace();
    let name = |section: &str| format!("<!-- bench {section} -->\n<!-- end {section} -->\n");
    let sections = ["flat", "flat_100", "nested", "latency", "fan_out", "merge"];
    let sections = sections.iter().chain(&["memory", "start"]);
    let document = root.path().join("BENCHMARKS.md");
    fs::write(
        &document,
        sections.map(|section| name(section)).collect::<String>(),
    )
    .unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_cargo-connector"))
        .args(["bench", "--interpreted", "--without-peers", "--write"])
        .args(["--scale", "2000", "--rounds", "2", "--root"])
        .arg(root.path())
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert!(output.status.success(), "{err}");
    for line in [
        "### flat: 2,000 flat records",
        "### nested: 2,000 nested records",
        "### latency: 200 flat records",
        "### fan_out: 200 a request",
        "### merge: 2,000 10 % changed",
        "\n| floor: their sum |",
        "\n| **ours** |",
        "\n| **ours**, 16 requests at once |",
        "\nTargets, flat: CPU ",
        "\nTargets, latency: ",
        "\n| nested | 1,000 |",
        "\n`cargo connector bench --only merge --rounds 2 --without-peers --scale 2000`, ",
    ] {
        assert!(out.contains(line), "no {line:?} in\n{out}");
    }
    assert!(!out.contains("NaN") && !out.contains("dlt |"), "{out}");
    assert!(err.contains("flat 2: **ours**"), "{err}");
    // The tables are in the document, too, each between its markers.
    let written = fs::read_to_string(&document).unwrap();
    assert!(
        written.contains("<!-- bench merge -->\n### merge: 2,000 "),
        "{written}"
    );
}
