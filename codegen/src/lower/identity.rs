//! Hashes that tell whether old data still fits.

use std::fmt::Write as _;

use connector_plan::{Condition, Endpoint, Field, History, ProcessingStep, WriteDisposition};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// SHA-256 in lower-case hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The hash of what gives a dataset its meaning.
///
/// It is taken over a JSON list, whose text is the same for the same values; the version in front
/// changes when the list does.
pub(super) fn of_resource(
    endpoint: &Endpoint,
    record_filter: Option<&Condition>,
    processing_steps: &[ProcessingStep],
    fields: &[Field],
    primary_key: &[String],
    write_disposition: WriteDisposition,
    history: Option<&History>,
) -> String {
    let key_types: Vec<_> = primary_key
        .iter()
        .map(|name| {
            let field = fields.iter().find(|field| field.name == *name);
            (name, field.map(|field| &field.field_type))
        })
        .collect();
    let mut canonical = json!([
        "resource/1",
        endpoint.path,
        endpoint.method,
        endpoint.data_selector.steps,
        key_types,
        write_disposition,
    ]);
    if let Some(list) = canonical.as_array_mut()
        && !endpoint.data_selector.query.is_empty()
    {
        list.push(json!({ "query": endpoint.data_selector.query }));
    }
    // What merges rows may change; what makes versions of them may not.
    if let (Some(history), Some(list)) = (history, canonical.as_array_mut()) {
        let columns = [&history.valid_from, &history.valid_to, &history.row_hash];
        list.push(json!({ "history": columns }));
    }
    // Resources without a filter keep the hash that they had before there were filters.
    if let (Some(filter), Some(list)) = (record_filter, canonical.as_array_mut()) {
        list.push(json!(filter));
    }
    if let Some(list) = canonical.as_array_mut()
        && !processing_steps.is_empty()
    {
        list.push(json!({ "steps": processing_steps }));
    }
    sha256(canonical.to_string().as_bytes())
}
