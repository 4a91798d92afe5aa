//! Configurations of dlt's REST API source, written as YAML with nothing renamed, are specs.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of tests fail like tests"
)]

use std::collections::BTreeSet;
use std::path::Path;

use connector_codegen::{LowerOptions, Source, lower};
use connector_plan::{FieldType, Plan, Retry};

#[track_caller]
fn plan(name: &str, text: &str) -> Plan {
    let source = Source::new(format!("{name}.yaml"), text);
    match lower(&source, &LowerOptions::new(name)) {
        Ok((ir, _)) => ir.plan,
        Err(error) => panic!("{error}"),
    }
}

/// A configuration, and the connector whose spec says the same.
struct Seed {
    name: &'static str,
    dictionary: &'static str,
    /// The variables that have to be set.
    environment: &'static [&'static str],
    /// The statuses that are tried again and the factor of the waits, as the text beside the
    /// dictionary tells; the defaults when it tells none.
    retry: (&'static [u16], f64),
    /// The resources whose requests name what the dictionary binds to nothing, and the parents that
    /// bind it: resource, parent, name.
    unbound: &'static [(&'static str, &'static str, &'static str)],
    /// The resources whose records have another key than the dictionary's default, which the
    /// reference of their fields does not have.
    rekeyed: &'static [&'static str],
}

impl Default for Seed {
    fn default() -> Self {
        Self {
            name: "",
            dictionary: "",
            environment: &[],
            retry: (&[429, 500, 502, 503, 504], 2.0),
            unbound: &[],
            rekeyed: &[],
        }
    }
}

/// Checks that the dictionary of a seed asks the API for the same things as the connector's spec.
#[track_caller]
fn check(seed: &Seed) {
    let name = seed.name;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../connectors");
    let spec = std::fs::read_to_string(root.join(name).join("spec.yaml")).unwrap();
    let connector = plan(name, &spec);
    // The dictionaries say nothing of fields: any will do here.
    let keys: BTreeSet<&String> = connector
        .resources
        .iter()
        .flat_map(|resource| &resource.primary_key)
        .collect();
    let fields: Vec<String> = keys.iter().map(|key| format!("{key}: string")).collect();
    let schema = format!(
        "resource_defaults:\n  schema: {{fields: {{{}}}}}",
        fields.join(", ")
    );
    let mut dictionary = seed.dictionary.replace("resource_defaults:", &schema);
    bind(seed, &mut dictionary);
    let written = plan(name, &dictionary);

    assert_eq!(written.client.base_url, connector.client.base_url);
    assert_eq!(written.client.auth, connector.client.auth);
    let Retry {
        statuses,
        max_retries,
        backoff_factor,
        ..
    } = &connector.client.retry;
    assert_eq!((statuses.as_slice(), *backoff_factor), seed.retry);
    assert_eq!(*max_retries, 3);
    let names = |plan: &Plan| -> Vec<String> {
        let required = plan.settings.iter().filter(|setting| setting.required);
        required
            .map(|setting| setting.environment.clone())
            .collect()
    };
    assert_eq!(names(&written), names(&connector));
    assert_eq!(names(&written), seed.environment);
    assert_eq!(written.resources.len(), connector.resources.len());
    for (written, connector) in written.resources.iter().zip(&connector.resources) {
        assert_eq!(written.name, connector.name);
        assert_eq!(written.endpoint, connector.endpoint, "{}", written.name);
        assert_eq!(written.record_filter, connector.record_filter);
        assert_eq!(written.relations, connector.relations, "{}", written.name);
        assert_eq!(
            written.primary_key == connector.primary_key,
            !seed.rekeyed.contains(&written.name.as_str()),
            "{}",
            written.name
        );
        assert_eq!(written.write_disposition, connector.write_disposition);
    }
}

/// Checks that what the dictionary leaves unbound is an error, each with the line that binds it,
/// and writes those lines.
#[track_caller]
fn bind(seed: &Seed, dictionary: &mut String) {
    let source = Source::new("seed.yaml", dictionary.clone());
    let errors = match lower(&source, &LowerOptions::new(seed.name)) {
        Ok(_) => String::new(),
        Err(errors) => errors.to_string(),
    };
    assert_eq!(
        errors.matches("error[").count(),
        seed.unbound.len(),
        "{errors}"
    );
    let mut rest = errors.as_str();
    for (resource, parent, name) in seed.unbound {
        let line = format!("parent: {{resource: {parent}, field: id, as: {name}}}");
        let at = rest.find(&line);
        let at = at.unwrap_or_else(|| panic!("`{line}` for {resource} in {errors}"));
        assert!(rest[..at].contains(&format!("no parent binds `{name}`")));
        rest = &rest[at + line.len()..];
        let head = format!("- name: {resource}\n");
        assert!(dictionary.contains(&head));
        *dictionary = dictionary.replace(&head, &format!("{head}    {line}\n"));
    }
}

#[test]
fn seed_000_is_a_spec() {
    check(&Seed {
        name: "storage",
        dictionary: include_str!("seeds/storage.yaml"),
        environment: &["STORAGE_CLIENT_ID", "STORAGE_CLIENT_SECRET"],
        ..Seed::default()
    });
}

#[test]
fn seed_001_is_a_spec() {
    check(&Seed {
        name: "files",
        dictionary: include_str!("seeds/files.yaml"),
        environment: &["FILES_CLIENT_ID", "FILES_CLIENT_SECRET"],
        ..Seed::default()
    });
}

#[test]
fn seed_002_is_a_spec_when_its_parents_are_bound() {
    check(&Seed {
        name: "content",
        dictionary: include_str!("seeds/content.yaml"),
        environment: &["CONTENT_CLIENT_ID", "CONTENT_CLIENT_SECRET"],
        unbound: &[
            ("collection_items", "collections", "collection"),
            ("file_collaborations", "files", "file_id"),
            ("folder_collaborations", "folders", "folder_id"),
            ("file_comments", "files", "file_id"),
            ("file_tasks", "files", "file_id"),
        ],
        rekeyed: &["events", "admin_logs"],
        ..Seed::default()
    });
}

#[test]
fn seed_003_is_a_spec() {
    check(&Seed {
        name: "analytics",
        dictionary: include_str!("seeds/analytics.yaml"),
        environment: &[
            "ANALYTICS_CLIENT_ID",
            "ANALYTICS_CLIENT_SECRET",
            "ANALYTICS_CLIENT_REFRESH_TOKEN",
        ],
        ..Seed::default()
    });
}

#[test]
fn seed_004_is_a_spec_when_its_parents_are_bound() {
    check(&Seed {
        name: "ads",
        dictionary: include_str!("seeds/ads.yaml"),
        environment: &["ADS_CLIENT_ID", "ADS_CLIENT_SECRET", "ADS_REFRESH_TOKEN"],
        retry: (&[403], 1.0),
        unbound: &[
            ("adaccounts", "organizations", "organization_id"),
            ("creatives", "adaccounts", "adaccount_id"),
            ("ads", "adaccounts", "adaccount_id"),
        ],
        ..Seed::default()
    });
}

/// Checks that a connector has the fields of the reference and, where the key is not one of them,
/// the key.
#[track_caller]
fn check_fields(name: &str, reference: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../connectors");
    let spec = std::fs::read_to_string(root.join(name).join("spec.yaml")).unwrap();
    let mut expected: BTreeSet<String> = reference
        .lines()
        .skip(1)
        .map(|line| line.split('\t').take(3).collect::<Vec<_>>().join(" "))
        .collect();
    let mut found = BTreeSet::new();
    for resource in plan(name, &spec).resources {
        for field in &resource.fields {
            flatten(
                &format!("{} {}", resource.name, field.name),
                &field.field_type,
                &mut found,
            );
        }
        for key in resource.primary_key {
            expected.insert(format!("{} {key} string", resource.name));
        }
    }
    let missing: Vec<_> = expected.difference(&found).collect();
    let surplus: Vec<_> = found.difference(&expected).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "{name} lacks {missing:?} and has {surplus:?} beside"
    );
}

/// A line for a field and for each below it, in the words of the reference.
fn flatten(path: &str, field_type: &FieldType, lines: &mut BTreeSet<String>) {
    let word = match field_type {
        FieldType::Boolean => "boolean",
        FieldType::Integer | FieldType::Number | FieldType::Decimal { .. } => "number",
        FieldType::Object(_) => "object",
        FieldType::List(_) => "array",
        // The reference names no type: any value.
        FieldType::Json => return,
        _ => "string",
    };
    lines.insert(format!("{path} {word}"));
    match field_type {
        FieldType::Object(fields) => {
            for field in fields {
                flatten(&format!("{path}.{}", field.name), &field.field_type, lines);
            }
        }
        FieldType::List(item) => flatten(&format!("{path}[]"), item, lines),
        _ => {}
    }
}

#[test]
fn records_have_the_fields_of_the_reference() {
    check_fields("content", include_str!("fields/content.tsv"));
    check_fields("analytics", include_str!("fields/analytics.tsv"));
    check_fields("ads", include_str!("fields/ads.tsv"));
}
