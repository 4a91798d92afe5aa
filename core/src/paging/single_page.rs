//! No paging: one request is everything.

use connector_plan::Path;

use super::{PageFacts, Paginator, Turn};
use crate::{Json, Result};

#[derive(Debug)]
pub(super) struct SinglePage;

impl Paginator for SinglePage {
    fn captures(&self) -> Vec<Path> {
        Vec::new()
    }

    fn first(&mut self) -> Turn {
        Turn::default()
    }

    fn next(&mut self, _: &PageFacts<'_>) -> Result<Option<Turn>> {
        Ok(None)
    }

    fn position(&self) -> Option<Json> {
        Some(Json::Null)
    }

    fn resume(&mut self, _: &Json) -> bool {
        true
    }
}
