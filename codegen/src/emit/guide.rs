//! The documentation of a connector's crate, in Markdown.

use std::fmt::Write as _;

use connector_plan::Plan;

use super::docs::{code, prose};
use crate::names;

/// What the API is, an example, the resources and the settings.
pub(super) fn guide(plan: &Plan, package: &str) -> String {
    let mut text = String::new();
    let title = prose(
        &plan.description,
        &format!("The API of {}.", code(&plan.name)),
    );
    text.push_str(&title);
    text.push_str("\n\n");
    example(&mut text, plan, package);
    resources(&mut text, plan);
    settings(&mut text, plan);
    text
}

fn example(text: &mut String, plan: &Plan, package: &str) {
    let Some(resource) = plan.resources.first() else {
        return;
    };
    let Some(function) = names::functions(&[&resource.name]).into_iter().next() else {
        return;
    };
    let crate_name = names::identifier(&package.replace('-', "_"));
    // Writing to a string cannot fail, here and below.
    let _ = write!(
        text,
        "```no_run
use {crate_name}::Client;
use futures_util::TryStreamExt as _;

async fn print() -> Result<(), connector_core::Error> {{
    let client = Client::from_environment()?;
    let mut records = std::pin::pin!(client.{function}().stream());
    while let Some(record) = records.try_next().await? {{
        println!(\"{{record:?}}\");
    }}
    Ok(())
}}
```

`batches()` in place of `stream()` gives Arrow record batches.

"
    );
}

fn resources(text: &mut String, plan: &Plan) {
    text.push_str("# Resources\n");
    for resource in &plan.resources {
        let about = prose(&resource.description, "").replace("\n\n", " ");
        let _ = write!(text, "- {}", code(&resource.name));
        if !about.is_empty() {
            let _ = write!(text, ": {about}");
        }
        text.push('\n');
    }
    text.push('\n');
}

fn settings(text: &mut String, plan: &Plan) {
    text.push_str("# Settings\n");
    for setting in &plan.settings {
        let about = prose(&setting.description, "").replace("\n\n", " ");
        let required = if setting.required { " (required)" } else { "" };
        let _ = write!(text, "- {}{required}", code(&setting.environment));
        if !about.is_empty() {
            let _ = write!(text, ": {about}");
        }
        text.push('\n');
    }
}
