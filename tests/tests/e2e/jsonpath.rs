//! The official compliance suite of JSONPath (RFC 9535), through a spec's `data_selector`: build
//! time says what is valid, and the decoder finds the nodes.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use connector_codegen::{LowerOptions, Source};
use connector_decode::select;
use connector_plan::Selector;
use serde_json::{Value, json};

/// What differs from the suite, and why. A case that passes must not stand here.
const ACCEPTED: &[(&str, &str)] = &[];

fn suite() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/jsonpath/cts.json");
    let suite: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    suite["tests"].as_array().unwrap().clone()
}

/// What a spec with this `data_selector` builds.
fn build(selector: &str) -> Result<Selector, String> {
    // JSON is YAML, and its escapes mean the same there.
    let spec = json!({
        "client": {"base_url": "https://api.example.com"},
        "resources": [{
            "name": "rows",
            "endpoint": {"path": "/rows", "data_selector": selector},
            "schema": {"fields": {"id": "integer"}},
        }],
    });
    let source = Source::new("spec.yaml", spec.to_string());
    match connector_codegen::lower(&source, &LowerOptions::new("suite")) {
        Ok((ir, _)) => Ok(ir.plan.resources[0].endpoint.data_selector.clone()),
        Err(diagnostics) => Err(diagnostics.render(false)),
    }
}

/// Why a case fails; whether it went through a query.
fn run(case: &Value) -> Result<bool, String> {
    let text = case["selector"].as_str().unwrap();
    let selector = match (build(text), case["invalid_selector"].as_bool()) {
        (Err(_), Some(true)) => return Ok(false),
        (Ok(selector), Some(true)) => return Err(format!("accepted as {selector:?}")),
        (Err(error), _) => return Err(format!("rejected: {error}")),
        (Ok(selector), _) => selector,
    };
    let page = case["document"].to_string();
    let nodes = select(page.as_bytes(), &selector).map_err(|error| error.to_string())?;
    let nodes: Vec<Value> = nodes
        .into_iter()
        .map(|node| serde_json::from_slice(node).unwrap())
        .collect();
    let expected: Vec<&Value> = match case.get("results") {
        Some(results) => results.as_array().unwrap().iter().collect(),
        None => vec![&case["result"]],
    };
    let nodes = Value::Array(nodes);
    if expected.contains(&&nodes) {
        Ok(!selector.query.is_empty())
    } else {
        Err(format!("found {nodes}"))
    }
}

#[test]
fn every_case_of_the_compliance_suite() {
    let suite = suite();
    assert_eq!(suite.len(), 703);
    let accepted: HashSet<&str> = ACCEPTED.iter().map(|(name, _)| *name).collect();
    let mut failures = BTreeMap::new();
    let mut healed = Vec::new();
    let (mut steps, mut queries) = (0, 0);
    for case in &suite {
        let name = case["name"].as_str().unwrap();
        match run(case) {
            Ok(query) => {
                let valid = case["invalid_selector"].is_null();
                steps += usize::from(valid && !query);
                queries += usize::from(query);
                if accepted.contains(name) {
                    healed.push(name);
                }
            }
            Err(error) if !accepted.contains(name) => {
                failures.insert(name, format!("{}: {error}", case["selector"]));
            }
            Err(_) => {}
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures: {failures:#?}",
        failures.len()
    );
    assert!(healed.is_empty(), "these pass now: {healed:?}");
    // Both ways are taken: what steps can say does not become a query.
    assert!(steps >= 60, "{steps} cases are steps");
    assert!(queries >= 300, "{queries} cases are queries");
}
