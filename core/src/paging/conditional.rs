//! A paginator that a condition of the response ends.

use connector_plan::{Condition, Path, Root};

use super::{PageFacts, Paginator, Turn, page_view};
use crate::expression::{Captured, Decision};
use crate::{Json, Result, Settings};

/// Asks the condition before the paginator: what it says counts, whatever cursor there is.
#[derive(Debug)]
pub(super) struct Conditional {
    inner: Box<dyn Paginator>,
    condition: Decision,
    settings: Settings,
    page_size: Option<u64>,
    response: Vec<Path>,
    last_record: Vec<Path>,
}

impl Conditional {
    pub(super) fn new(
        inner: Box<dyn Paginator>,
        condition: &Condition,
        settings: &Settings,
        page_size: Option<u64>,
    ) -> Result<Self> {
        Ok(Self {
            inner,
            response: condition.paths(Root::Response),
            last_record: condition.paths(Root::LastRecord),
            condition: Decision::new(condition, settings)?,
            settings: settings.clone(),
            page_size,
        })
    }
}

/// The captures of two parties: those in front, and those behind.
fn split<T>(captures: &[T], behind: usize) -> (&[T], &[T]) {
    captures.split_at(captures.len().saturating_sub(behind))
}

impl Paginator for Conditional {
    fn captures(&self) -> Vec<Path> {
        [self.inner.captures(), self.response.clone()].concat()
    }

    fn last_record_captures(&self) -> Vec<Path> {
        [self.inner.last_record_captures(), self.last_record.clone()].concat()
    }

    fn first(&mut self) -> Turn {
        self.inner.first()
    }

    fn next(&mut self, page: &PageFacts<'_>) -> Result<Option<Turn>> {
        let (captures, response) = split(page.captures, self.response.len());
        let (last, last_record) = split(page.last_record, self.last_record.len());
        let view = page_view(
            page,
            &self.settings,
            self.page_size,
            Captured {
                paths: &self.response,
                values: response,
            },
            Captured {
                paths: &self.last_record,
                values: last_record,
            },
        );
        if self.condition.holds(&view)? {
            return Ok(None);
        }
        self.inner.next(&PageFacts {
            captures,
            last_record: last,
            ..*page
        })
    }

    fn ahead(&self, nth: u64) -> Option<Turn> {
        self.inner.ahead(nth)
    }

    fn position(&self) -> Option<Json> {
        self.inner.position()
    }

    fn resume(&mut self, position: &Json) -> bool {
        self.inner.resume(position)
    }

    fn warnings(&mut self) -> Vec<String> {
        self.inner.warnings()
    }
}
