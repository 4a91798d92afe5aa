//! `check`: are the settings complete, and does every resource answer?

use std::process::ExitCode;

use super::context::Context;
use super::preview;
use super::table::{self, Align};
use crate::{Error, ErrorKind, Result};

pub(crate) async fn run(context: &Context<'_>) -> Result<ExitCode> {
    let selected = context.selected()?;
    let api = context.api()?;
    let mut rows = Vec::new();
    let mut first_error: Option<ErrorKind> = None;
    for resource in &selected {
        let outcome = match preview::read(&api.client, resource, 1).await {
            Ok(preview) if preview.is_empty() => "ok, no records".to_owned(),
            Ok(_) => "ok".to_owned(),
            Err(error) => {
                context.console.error(&error);
                first_error = first_error.or(Some(error.kind()));
                format!("failed: {}", error.message())
            }
        };
        rows.push(vec![resource.name.clone(), outcome]);
    }
    let header = [("resource", Align::Left), ("check", Align::Left)];
    context.console.result(&table::render(&header, &rows))?;
    match first_error {
        None => Ok(ExitCode::SUCCESS),
        Some(kind) => Err(Error::new(kind, "not every resource can be read")),
    }
}
