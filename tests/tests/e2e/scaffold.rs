//! `cargo connector` as a user runs it.

use std::process::Command;

use connector_tests::{Outcome, Workspace, binary};

fn cargo_connector(workspace: &Workspace, args: &[&str]) -> Outcome {
    let output = Command::new(binary("cargo-connector"))
        .args(args)
        .current_dir(workspace.path(""))
        .output()
        .unwrap();
    Outcome::new(&output)
}

#[test]
fn every_mistake_of_a_spec_is_told_at_once_with_its_place() {
    let workspace = Workspace::new();
    let spec = "client:\n  base_url: api.example.com\n  retrys: {}\nresources:\n  - name: files\n    endpoint: /files\n    write_disposition: upsert\n";
    std::fs::write(workspace.path("spec.yaml"), spec).unwrap();
    let outcome = cargo_connector(&workspace, &["check", "spec.yaml"]).expect(2);
    let text = format!("{}{}", outcome.stdout, outcome.stderr);
    for place in ["spec.yaml:2:13", "spec.yaml:3:3", "spec.yaml:7:24"] {
        assert!(text.contains(place), "no {place} in\n{text}");
    }
    assert!(text.contains("`retry`"), "{text}");
}

#[test]
fn the_schema_of_the_spec_language_is_printed_and_fresh() {
    let workspace = Workspace::new();
    let schema = cargo_connector(&workspace, &["schema"]).expect(0).json();
    let committed = include_str!("../../../codegen/spec.schema.json");
    assert_eq!(
        schema,
        serde_json::from_str::<serde_json::Value>(committed).unwrap()
    );
}
