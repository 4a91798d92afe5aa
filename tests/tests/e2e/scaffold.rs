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

/// The code blocks of the README in this language.
fn readme_blocks(language: &str) -> Vec<String> {
    let readme = include_str!("../../../README.md");
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in readme.lines() {
        match &mut block {
            Some(text) if line == "```" => {
                blocks.push(std::mem::take(text));
                block = None;
            }
            Some(text) => {
                text.push_str(line);
                text.push('\n');
            }
            None if line == format!("```{language}") => block = Some(String::new()),
            None => {}
        }
    }
    blocks
}

#[test]
fn the_spec_of_the_readme_works_as_printed() {
    let workspace = Workspace::new();
    let blocks = readme_blocks("yaml");
    let (layout, specs) = blocks.split_first().unwrap();
    assert_eq!(specs.len(), 3);
    // The others are parts of a resource.
    let layout = format!(
        "client: {{base_url: \"https://shop.example.org\"}}\nresources:\n- name: orders\n{layout}  \
         schema:\n    fields: {{id: integer, region: string, created_at: timestamp, \
         owner: {{type: object, fields: {{name: string}}}}}}\n"
    );
    let orders = format!(
        "client: {{base_url: \"https://shop.example.org\"}}\nconfig: {{shop: {{type: string}}}}\n\
         resources:\n  - name: orders\n{}    schema:\n      fields: {{order_id: integer, \
         line_number: integer, line_sku: string, total: number, shop: string}}\n",
        specs[1]
    );
    for spec in [&layout, &orders, &specs[0]] {
        std::fs::write(workspace.path("spec.yaml"), spec).unwrap();
        cargo_connector(&workspace, &["check", "spec.yaml"]).expect(0);
    }

    // Each of the dispositions is one that could stand there.
    let lines: Vec<&str> = specs[2].lines().collect();
    let dispositions = lines
        .iter()
        .filter(|line| line.contains("write_disposition"));
    for disposition in dispositions {
        let others = lines
            .iter()
            .filter(|line| !line.contains("write_disposition"));
        let others: Vec<&str> = others.copied().collect();
        let spec = format!(
            "client: {{base_url: \"https://shop.example.org\"}}\nresources:\n  - name: orders\n    \
             primary_key: id\n{}\n{}\n    schema: {{fields: {{id: integer, updated_at: timestamp}}}}\n",
            format_args!("    {}", disposition.trim_start().trim_start_matches("# ")),
            others.join("\n")
        );
        std::fs::write(workspace.path("spec.yaml"), spec).unwrap();
        cargo_connector(&workspace, &["check", "spec.yaml"]).expect(0);
    }

    // The error that the README shows is the one that this spec gives with the typo in it.
    let mistaken = specs[0].replace("data_selector", "data_selectr");
    std::fs::write(workspace.path("spec.yaml"), mistaken).unwrap();
    let outcome = cargo_connector(&workspace, &["check", "spec.yaml"]).expect(2);
    let shown = readme_blocks("text")
        .into_iter()
        .find(|block| block.starts_with("error["))
        .unwrap();
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(
        said.contains(shown.trim_end()),
        "the README shows\n{shown}\nbut it is\n{said}"
    );
}

#[test]
fn a_new_connector_is_scaffolded_and_mistakes_write_nothing() {
    let workspace = Workspace::new();
    let root = workspace.path("root");
    std::fs::create_dir_all(root.join("connectors")).unwrap();
    let manifest = "[workspace]\nmembers = [\"connectors/*\"]\n";
    std::fs::write(root.join("Cargo.toml"), manifest).unwrap();
    let root_argument = root.display().to_string();
    cargo_connector(&workspace, &["new", "my-api", "--root", &root_argument]).expect(0);
    let folder = root.join("connectors/my-api");
    for file in [
        "Cargo.toml",
        "README.md",
        "build.rs",
        "spec.yaml",
        "src/lib.rs",
        "src/main.rs",
        "tests/contract.rs",
    ] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    cargo_connector(
        &workspace,
        &["check", &folder.join("spec.yaml").display().to_string()],
    )
    .expect(0);
    for (name, says) in [("my-api", "exists"), ("My Api", "name"), ("../up", "name")] {
        let outcome =
            cargo_connector(&workspace, &["new", name, "--root", &root_argument]).expect(2);
        assert!(outcome.stderr.contains(says), "{}", outcome.stderr);
    }
    assert_eq!(
        std::fs::read_dir(root.join("connectors")).unwrap().count(),
        1
    );
}
