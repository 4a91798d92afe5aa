//! `sandbox`: serves sample data behind the API of the spec until interrupted.

use std::process::ExitCode;

use connector_plan::sandbox::SandboxOptions;

use super::context::Context;
use crate::Result;

pub(crate) async fn serve(context: &Context<'_>, options: &SandboxOptions) -> Result<ExitCode> {
    let sandbox = context.sandbox(options)?;
    let mut text = String::new();
    if let Some(setting) = context.base_url_setting() {
        text.push_str(&format!(
            "export {}={}\n",
            setting.environment, sandbox.base_url
        ));
    }
    for (name, value) in &sandbox.settings {
        if let Some(setting) = context.plan.setting(name) {
            text.push_str(&format!("export {}={value}\n", setting.environment));
        }
    }
    // An empty line ends the list, for programs that read it.
    text.push('\n');
    context.console.note(&format!(
        "Serving sample data at {} until Ctrl-C; the lines below point the connector at it.",
        sandbox.base_url
    ));
    context.console.result(&text)?;
    std::future::pending::<()>().await;
    drop(sandbox);
    Ok(ExitCode::SUCCESS)
}
