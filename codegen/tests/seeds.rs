//! Configurations of dlt's REST API source, written as YAML with nothing renamed, are specs.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of tests fail like tests"
)]

use std::path::Path;

use connector_codegen::{LowerOptions, Source, lower};
use connector_plan::{Plan, Retry};

#[track_caller]
fn plan(name: &str, text: &str) -> Plan {
    let source = Source::new(format!("{name}.yaml"), text);
    match lower(&source, &LowerOptions::new(name)) {
        Ok((ir, _)) => ir.plan,
        Err(error) => panic!("{error}"),
    }
}

/// Checks that the dictionary of a seed asks the API for the same things as the connector's spec.
#[track_caller]
fn check(name: &str, dictionary: &str, environment: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../connectors");
    let spec = std::fs::read_to_string(root.join(name).join("spec.yaml")).unwrap();
    let connector = plan(name, &spec);
    // The dictionaries say nothing of fields: any will do here.
    let key = &connector.resources[0].primary_key[0];
    let schema = format!("resource_defaults:\n  schema: {{fields: {{{key}: string}}}}");
    let seed = plan(name, &dictionary.replace("resource_defaults:", &schema));

    assert_eq!(seed.client.base_url, connector.client.base_url);
    assert_eq!(seed.client.auth, connector.client.auth);
    // The text beside the dictionary tells the rules, which are also the defaults.
    assert_eq!(seed.client.retry.statuses, connector.client.retry.statuses);
    let Retry { max_retries, .. } = connector.client.retry;
    assert_eq!(
        (max_retries, connector.client.retry.backoff_factor),
        (3, 2.0)
    );
    let names = |plan: &Plan| -> Vec<String> {
        let required = plan.settings.iter().filter(|setting| setting.required);
        required
            .map(|setting| setting.environment.clone())
            .collect()
    };
    assert_eq!(names(&seed), names(&connector));
    assert_eq!(names(&seed), environment);
    assert_eq!(seed.resources.len(), connector.resources.len());
    for (seed, connector) in seed.resources.iter().zip(&connector.resources) {
        assert_eq!(seed.name, connector.name);
        assert_eq!(seed.endpoint, connector.endpoint, "{}", seed.name);
        assert_eq!(seed.primary_key, connector.primary_key);
        assert_eq!(seed.write_disposition, connector.write_disposition);
    }
}

#[test]
fn seed_000_is_a_spec() {
    let environment = ["STORAGE_CLIENT_ID", "STORAGE_CLIENT_SECRET"];
    check("storage", include_str!("seeds/storage.yaml"), &environment);
}

#[test]
fn seed_001_is_a_spec() {
    let environment = ["FILES_CLIENT_ID", "FILES_CLIENT_SECRET"];
    check("files", include_str!("seeds/files.yaml"), &environment);
}

#[test]
fn seed_003_is_a_spec() {
    let environment = [
        "ANALYTICS_CLIENT_ID",
        "ANALYTICS_CLIENT_SECRET",
        "ANALYTICS_CLIENT_REFRESH_TOKEN",
    ];
    check(
        "analytics",
        include_str!("seeds/analytics.yaml"),
        &environment,
    );
}
