//! Paging by a number of records to skip.

use connector_plan::{Offset, Path};

use super::{PageFacts, Paginator, StopRules, Turn, Verdict};
use crate::{Json, Result};

#[derive(Debug)]
pub(super) struct OffsetPaginator {
    plan: Offset,
    stop: StopRules,
    offset: u64,
}

impl OffsetPaginator {
    pub(super) fn new(plan: Offset) -> Self {
        Self {
            offset: plan.start,
            stop: StopRules(plan.stop.clone()),
            plan,
        }
    }

    fn turn(&self) -> Turn {
        let mut values = vec![(self.plan.offset.clone(), Json::from(self.offset))];
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

impl Paginator for OffsetPaginator {
    fn captures(&self) -> Vec<Path> {
        self.stop.captures()
    }

    fn first(&mut self) -> Turn {
        self.turn()
    }

    fn next(&mut self, page: &PageFacts<'_>) -> Result<Option<Turn>> {
        let verdict = self.stop.judge(page)?;
        // By the records received, never by the limit: a server that caps its pages below the
        // limit would leave gaps. An empty page that does not end it is skipped as a whole.
        let step = if page.records == 0 {
            self.plan.limit.unwrap_or(1)
        } else {
            page.records
        };
        self.offset += step;
        let end = match verdict {
            Verdict::End => true,
            Verdict::More => false,
            Verdict::Open { total: Some(total) } => self.offset >= total,
            Verdict::Open { total: None } => self.stop.short(page, self.plan.limit),
        };
        let past = self
            .plan
            .maximum
            .is_some_and(|maximum| self.offset >= maximum);
        Ok((!end && !past).then(|| self.turn()))
    }
}

#[cfg(test)]
mod tests {
    use connector_plan::{Step, Stop, Target};
    use http::HeaderMap;

    use super::*;

    /// The offsets asked for when the API answers with pages of these sizes.
    #[track_caller]
    fn check(stop: Stop, maximum: Option<u64>, pages: &[(u64, Option<Json>)], expect: &[u64]) {
        let mut paginator = OffsetPaginator::new(Offset {
            start: 0,
            offset: Target::Query("offset".into()),
            limit: Some(100),
            limit_target: Some(Target::Query("limit".into())),
            maximum,
            stop,
        });
        let url = "https://api.example.com/".parse().unwrap();
        let offset = |turn: &Turn| turn.values[0].1.as_u64().unwrap();
        let mut asked = vec![offset(&paginator.first())];
        let mut largest = 0;
        for (records, capture) in pages {
            largest = largest.max(*records);
            let captures = [capture.clone()];
            let page = PageFacts {
                records: *records,
                largest,
                captures: if capture.is_some() { &captures } else { &[] },
                last_record: &[],
                headers: &HeaderMap::new(),
                url: &url,
                body: b"",
            };
            match paginator.next(&page).unwrap() {
                Some(turn) => asked.push(offset(&turn)),
                None => break,
            }
        }
        assert_eq!(asked, expect);
    }

    fn stop() -> Stop {
        Stop {
            after_empty_page: true,
            ..Stop::default()
        }
    }

    fn sizes(sizes: &[u64]) -> Vec<(u64, Option<Json>)> {
        sizes.iter().map(|size| (*size, None)).collect()
    }

    #[test]
    fn a_page_shorter_than_one_shown_before_is_the_last() {
        check(stop(), None, &sizes(&[100, 100, 37]), &[0, 100, 200]);
    }

    #[test]
    fn full_pages_end_with_an_empty_one() {
        check(stop(), None, &sizes(&[100, 100, 0]), &[0, 100, 200]);
    }

    #[test]
    fn a_server_that_caps_its_pages_leaves_no_gaps() {
        check(stop(), None, &sizes(&[40, 40, 40, 7]), &[0, 40, 80, 120]);
    }

    #[test]
    fn a_short_first_page_is_settled_by_one_more_request() {
        check(stop(), None, &sizes(&[37, 0]), &[0, 37]);
    }

    #[test]
    fn a_short_page_is_trusted_only_when_the_spec_says_so() {
        let trusting = Stop {
            on_short_page: true,
            ..stop()
        };
        check(trusting, None, &sizes(&[37, 0]), &[0]);
    }

    #[test]
    fn a_total_saves_the_last_request_and_overrules_short_pages() {
        let total = Stop {
            total: Some(vec![Step::Key("total".into())]),
            ..stop()
        };
        let page = |size| (size, Some(Json::from(250)));
        check(
            total,
            None,
            &[page(100), page(60), page(90)],
            &[0, 100, 160],
        );
    }

    #[test]
    fn has_more_overrules_everything_else() {
        let more = Stop {
            has_more: Some(vec![Step::Key("more".into())]),
            ..stop()
        };
        let page = |size, more| (size, Some(Json::from(more)));
        check(
            more,
            None,
            &[page(100, true), page(20, true), page(100, false)],
            &[0, 100, 120],
        );
    }

    #[test]
    fn the_maximum_is_exclusive() {
        check(stop(), Some(200), &sizes(&[100, 100, 100]), &[0, 100]);
    }
}
