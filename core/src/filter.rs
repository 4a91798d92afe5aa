//! The filter of a resource's records, as the decoder takes it.

use std::sync::Arc;

use connector_decode::RecordFilter;
use connector_plan::{Path, Resource, Root};

use crate::expression::{Captured, Decision, View};
use crate::{Result, Settings};

/// The filter of a resource, when it has one.
pub(crate) fn of(resource: &Resource, settings: &Settings) -> Result<Option<RecordFilter>> {
    let Some(condition) = &resource.record_filter else {
        return Ok(None);
    };
    let decision = Decision::new(condition, settings)?;
    let settings = settings.clone();
    let paths: Arc<[Path]> = condition.paths(Root::Record).into();
    let captures = paths.to_vec();
    Ok(Some(RecordFilter::new(captures, move |values| {
        let view = View {
            settings: Some(&settings),
            record: Captured {
                paths: &paths,
                values,
            },
            ..View::default()
        };
        decision.holds(&view).map_err(|error| error.to_string())
    })))
}
