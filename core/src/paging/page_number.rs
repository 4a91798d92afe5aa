//! Paging by a page number.

use connector_plan::{PageNumber, Path};

use super::{PageFacts, Paginator, StopRules, Turn, Verdict};
use crate::{Json, Result};

#[derive(Debug)]
pub(super) struct PageNumberPaginator {
    plan: PageNumber,
    stop: StopRules,
    page: u64,
}

impl PageNumberPaginator {
    pub(super) fn new(plan: PageNumber) -> Self {
        Self {
            page: plan.start,
            stop: StopRules(plan.stop.clone()),
            plan,
        }
    }

    fn turn(&self) -> Turn {
        let mut values = vec![(self.plan.page.clone(), Json::from(self.page))];
        if let (Some(limit), Some(target)) = (self.plan.limit, &self.plan.limit_target) {
            values.push((target.clone(), Json::from(limit)));
        }
        Turn {
            values,
            link: None,
            token: None,
        }
    }
}

impl Paginator for PageNumberPaginator {
    fn captures(&self) -> Vec<Path> {
        self.stop.captures()
    }

    fn first(&mut self) -> Turn {
        self.turn()
    }

    fn next(&mut self, page: &PageFacts<'_>) -> Result<Option<Turn>> {
        let verdict = self.stop.judge(page)?;
        self.page += 1;
        let end = match verdict {
            Verdict::End => true,
            Verdict::More => false,
            Verdict::Open { total: Some(pages) } => {
                self.page >= pages + self.plan.base.unwrap_or(self.plan.start)
            }
            Verdict::Open { total: None } => self.stop.short(page, self.plan.limit),
        };
        let past = self
            .plan
            .maximum
            .is_some_and(|maximum| self.page >= maximum);
        Ok((!end && !past).then(|| self.turn()))
    }
}
