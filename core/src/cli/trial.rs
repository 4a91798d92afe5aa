//! `try`: the first records of the resources, and how they were read.

use std::process::ExitCode;

use connector_dataset::{ResourceState, Store};
use connector_decode::Shape;
use connector_plan::Resource;
use serde_json::json;

use super::arguments::Form;
use super::context::Context;
use super::preview::{self, Preview};
use super::table::{self, Align, bytes, count};
use crate::{Error, ErrorKind, Exchange, Json, Result, Trace, convert, infer};

/// The paths of rescued values that are shown.
const RESCUED_SHOWN: usize = 10;

/// Shows one resource after the other, each as soon as it has been read: those of `--resource`, or
/// all that are selected.
pub(crate) async fn run(context: &mut Context<'_>, rows: u64, form: Form) -> Result<ExitCode> {
    let selected = context.selected()?;
    let trace = Trace::default();
    context.trace = Some(trace.clone());
    let api = context.api()?;
    let known = match form {
        Form::Schema => {
            Store::read_state(&api.out, &context.plan.name).map_err(convert::dataset_error)?
        }
        _ => None,
    };
    let (mut first_error, mut shown) = (None, 0);
    for resource in &selected {
        let read = preview::read(&api.client, resource, rows).await;
        let requests = trace.take();
        let preview = match read {
            Ok(preview) => preview,
            Err(error) => {
                context.console.error(&error);
                first_error.get_or_insert(error.kind());
                if form == Form::Text {
                    context.console.result(&failed(resource, &requests))?;
                }
                // Nobody gets in with these credentials: asking again helps nobody.
                if error.kind() == ErrorKind::Authentication {
                    break;
                }
                continue;
            }
        };
        shown += 1;
        let text = match form {
            Form::Json => format!("{}\n", to_json(resource, &preview, &requests)?),
            Form::Text => to_text(resource, &preview, &requests)?,
            Form::Schema if resource.inferred => {
                let known = known
                    .as_ref()
                    .and_then(|state| state.resource(&resource.name));
                to_schema(resource, preview.shape, known)?
            }
            Form::Schema => {
                context
                    .console
                    .note(&format!("`{}` has a schema.", resource.name));
                continue;
            }
        };
        context.console.result(&text)?;
    }
    match first_error {
        None => Ok(ExitCode::SUCCESS),
        Some(_) if shown > 0 => Ok(ExitCode::from(ErrorKind::Partial.exit_code())),
        Some(kind) => Err(Error::new(kind, "no resource can be read")),
    }
}

/// What has been seen now and by earlier runs, as a part of the spec.
fn to_schema(
    resource: &Resource,
    mut shape: Shape,
    known: Option<&ResourceState>,
) -> Result<String> {
    let known = known.and_then(|known| known.inferred.as_ref());
    if let Some(known) = known {
        shape.join(&infer::known(known)?);
    }
    let fields = infer::fields(resource, &shape)?;
    Ok(format!(
        "  - name: {}\n{}",
        resource.name,
        infer::schema_block(&fields, &resource.fields)
    ))
}

fn to_text(
    resource: &Resource,
    preview: &Preview,
    requests: &(Vec<Exchange>, u64),
) -> Result<String> {
    let records = preview.records()?;
    let mut text = format!("{}\n\n", resource.name);
    if records.is_empty() {
        text.push_str("no records\n");
    } else {
        text.push_str(&preview.as_table(&records));
    }
    text.push_str(&format!("\n{}", table_of(requests)));
    let extracted = &preview.extracted;
    if extracted.stopped {
        text.push_str(&format!(
            "there are more records than these {}\n",
            count(extracted.rows)
        ));
    }
    if extracted.filtered > 0 {
        text.push_str(&format!(
            "filtered: {}, by the filter of the spec\n",
            count(extracted.filtered)
        ));
    }
    if extracted.ignored > 0 {
        text.push_str(&format!(
            "ignored: {} answers, as the spec says\n",
            count(extracted.ignored)
        ));
    }
    let report = &extracted.report;
    for field in report.rescued.iter().take(RESCUED_SHOWN) {
        text.push_str(&format!(
            "rescued: `{}`, {} times, first at {}\n",
            field.path,
            count(field.count),
            field.sample
        ));
    }
    if report.rescued.len() > RESCUED_SHOWN {
        text.push_str(&format!(
            "rescued: {} more paths\n",
            report.rescued.len() - RESCUED_SHOWN
        ));
    }
    if report.duplicate_keys > 0 {
        text.push_str(&format!(
            "keys that came again in one object, the last one counts: {}\n",
            count(report.duplicate_keys)
        ));
    }
    if let Some(reason) = &extracted.skip_reason {
        text.push_str(&format!(
            "skipped: {} partitions, the first because {reason}\n",
            count(extracted.skipped)
        ));
    }
    text.push('\n');
    Ok(text)
}

/// What was sent for a resource that could not be read.
fn failed(resource: &Resource, requests: &(Vec<Exchange>, u64)) -> String {
    format!(
        "{}\n\ncould not be read\n\n{}\n",
        resource.name,
        table_of(requests)
    )
}

fn table_of((requests, more): &(Vec<Exchange>, u64)) -> String {
    if requests.is_empty() {
        return "no request was sent\n".to_owned();
    }
    let header = [
        ("request", Align::Left),
        ("status", Align::Right),
        ("size", Align::Right),
        ("records", Align::Right),
    ];
    let rows: Vec<Vec<String>> = requests
        .iter()
        .map(|request| {
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            vec![
                format!("{} {}", request.method, request.url),
                or_dash(request.status.map(|status| status.to_string())),
                bytes(request.bytes),
                or_dash(request.records.map(count)),
            ]
        })
        .collect();
    let mut text = table::render(&header, &rows);
    if *more > 0 {
        text.push_str(&format!("and {} more\n", count(*more)));
    }
    text
}

fn to_json(
    resource: &Resource,
    preview: &Preview,
    (requests, more): &(Vec<Exchange>, u64),
) -> Result<Json> {
    let extracted = &preview.extracted;
    let rescued: Vec<Json> = extracted
        .report
        .rescued
        .iter()
        .map(|field| json!({"path": field.path, "values": field.count, "first_at": field.sample}))
        .collect();
    Ok(json!({
        "resource": resource.name,
        "records": preview.records()?,
        "requests": requests,
        "more_requests": more,
        "stopped": extracted.stopped,
        "filtered": extracted.filtered,
        "ignored_responses": extracted.ignored,
        "rescued": rescued,
        "duplicate_keys": extracted.report.duplicate_keys,
        "skipped_partitions": extracted.skipped,
    }))
}
