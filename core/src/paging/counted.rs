//! Paging by a number that grows: of records to skip, or of the page.

use connector_plan::{Offset, PageNumber, Path, Target};

use super::{PageFacts, Paginator, StopRules, Turn, Verdict};
use crate::{Json, Result};

#[derive(Debug)]
pub(super) struct Counted {
    number: u64,
    target: Target,
    limit: Option<u64>,
    limit_target: Option<Target>,
    /// Where paging stops, itself not included.
    maximum: Option<u64>,
    unit: Unit,
    stop: StopRules,
    /// The records of the page before.
    previous: Option<u64>,
    /// By how much the number grows with each page, as far as pages have shown it.
    step: Option<u64>,
    /// Where a total of the response says that it ends, itself not included.
    end: Option<u64>,
    /// The first and the last total of the response.
    totals: Option<(u64, u64)>,
    /// Whether it has been told that they differ.
    told: bool,
}

/// What the number counts, and so does a total of the response.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Records,
    /// Pages, the first of which has this number.
    Pages {
        first: u64,
    },
}

impl Counted {
    pub(super) fn offset(plan: Offset) -> Self {
        Self {
            number: plan.start,
            target: plan.offset,
            limit: plan.limit,
            limit_target: plan.limit_target,
            maximum: plan.maximum,
            unit: Unit::Records,
            stop: StopRules(plan.stop),
            previous: None,
            step: None,
            end: None,
            totals: None,
            told: false,
        }
    }

    pub(super) fn page_number(plan: PageNumber) -> Self {
        Self {
            number: plan.start,
            target: plan.page,
            limit: plan.limit,
            limit_target: plan.limit_target,
            maximum: plan.maximum,
            unit: Unit::Pages {
                first: plan.base.unwrap_or(plan.start),
            },
            stop: StopRules(plan.stop),
            previous: None,
            step: None,
            end: None,
            totals: None,
            told: false,
        }
    }

    fn turn(&self, number: u64) -> Turn {
        let mut values = vec![(self.target.clone(), Json::from(number))];
        if let (Some(limit), Some(target)) = (self.limit, &self.limit_target) {
            values.push((target.clone(), Json::from(limit)));
        }
        Turn {
            values,
            link: None,
            token: None,
        }
    }
}

impl Paginator for Counted {
    fn captures(&self) -> Vec<Path> {
        self.stop.captures()
    }

    fn first(&mut self) -> Turn {
        self.turn(self.number)
    }

    fn next(&mut self, page: &PageFacts<'_>) -> Result<Option<Turn>> {
        let verdict = self.stop.judge(page)?;
        let (step, first) = match self.unit {
            // By the records received, never by the limit: a server that caps its pages below the
            // limit would leave gaps. An empty page that does not end it is skipped as a whole.
            Unit::Records if page.records == 0 => (self.limit.unwrap_or(1), 0),
            Unit::Records => (page.records, 0),
            Unit::Pages { first } => (1, first),
        };
        self.number += step;
        if let Verdict::Open { total: Some(total) } = verdict {
            self.end = Some(total.saturating_add(first));
            let (first, _) = *self.totals.get_or_insert((total, total));
            self.totals = Some((first, total));
        }
        let end = match verdict {
            Verdict::End => true,
            Verdict::More => false,
            Verdict::Open { total: Some(total) } => self.number >= total.saturating_add(first),
            Verdict::Open { total: None } => self.stop.short(page, self.limit),
        };
        // What comes behind is known from pages that are no last ones: full ones, those that are as
        // large as the one before, and those that the response says more of.
        let full = self.limit == Some(page.records) || self.previous == Some(page.records);
        let told = !matches!(verdict, Verdict::End | Verdict::Open { total: None });
        let records = match full {
            true => page.records,
            false => page.largest,
        };
        self.step = (page.records > 0 && (full || told)).then_some(match self.unit {
            Unit::Records => records,
            Unit::Pages { .. } => 1,
        });
        self.previous = Some(page.records);
        let past = self.maximum.is_some_and(|maximum| self.number >= maximum);
        Ok((!end && !past).then(|| self.turn(self.number)))
    }

    fn ahead(&self, nth: u64) -> Option<Turn> {
        let number = self.number.checked_add(nth.checked_mul(self.step?)?)?;
        let ends = [self.end, self.maximum];
        let inside = ends.iter().flatten().all(|end| number < *end);
        inside.then(|| self.turn(number))
    }

    fn position(&self) -> Option<Json> {
        Some(Json::from(self.number))
    }

    fn resume(&mut self, position: &Json) -> bool {
        let number = position.as_u64();
        self.number = number.unwrap_or(self.number);
        number.is_some()
    }

    fn warnings(&mut self) -> Vec<String> {
        match self.totals {
            Some((first, last)) if first != last && !self.told => {
                self.told = true;
                tracing::debug!("the total went from {first} to {last}");
                vec![
                    "the total that the API tells changed while it was read: unless it is an estimate, \
                     the source changed, and records may be missing or have come twice"
                        .to_owned(),
                ]
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use connector_plan::{Step, Stop};
    use http::HeaderMap;

    use super::*;

    /// The offsets asked for when the API answers with pages of these sizes.
    #[track_caller]
    fn check(stop: Stop, maximum: Option<u64>, pages: &[(u64, Option<Json>)], expect: &[u64]) {
        let mut paginator = Counted::offset(Offset {
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

    /// The positions ahead after pages of these sizes.
    #[track_caller]
    fn check_ahead(stop: Stop, number: bool, pages: &[(u64, Option<Json>)], expect: &[u64]) {
        let (at, limit) = (Target::Query("at".into()), Some(100));
        let mut paginator = match number {
            true => Counted::page_number(PageNumber {
                start: 1,
                base: None,
                page: at,
                limit,
                limit_target: None,
                maximum: Some(6),
                stop,
            }),
            false => Counted::offset(Offset {
                start: 0,
                offset: at,
                limit,
                limit_target: None,
                maximum: Some(600),
                stop,
            }),
        };
        let url = "https://api.example.com/".parse().unwrap();
        for (records, capture) in pages {
            let captures = [capture.clone()];
            let page = PageFacts {
                records: *records,
                largest: *records.max(&100),
                captures: if capture.is_some() { &captures } else { &[] },
                last_record: &[],
                headers: &HeaderMap::new(),
                url: &url,
                body: b"",
            };
            paginator.next(&page).unwrap();
        }
        let ahead = (1..5).map_while(|nth| paginator.ahead(nth));
        let ahead = ahead.map(|turn| turn.values[0].1.as_u64().unwrap());
        assert_eq!(ahead.collect::<Vec<_>>(), expect);
    }

    #[test]
    fn what_comes_behind_is_told_only_from_pages_that_show_it() {
        check_ahead(stop(), false, &[], &[]);
        check_ahead(stop(), false, &sizes(&[100]), &[200, 300, 400, 500]);
        check_ahead(stop(), true, &sizes(&[100]), &[3, 4, 5]);
        // One short page may be the last; two that are alike show how long pages are.
        check_ahead(stop(), false, &sizes(&[40]), &[]);
        check_ahead(stop(), false, &sizes(&[40, 40]), &[120, 160, 200, 240]);
        check_ahead(stop(), false, &sizes(&[100, 100, 100, 100]), &[500]);
        let total = |path: &str| Stop {
            total: Some(vec![Step::Key(path.into())]),
            ..stop()
        };
        let told = |size, value: i64| (size, Some(Json::from(value)));
        check_ahead(total("total"), false, &[told(100, 350)], &[200, 300]);
        // A page that is no last one is shorter than most: those behind it are as long as ever.
        check_ahead(
            total("total"),
            false,
            &[told(100, 450), told(60, 450)],
            &[260, 360],
        );
        check_ahead(total("pages"), true, &[told(100, 4)], &[3, 4]);
    }

    #[test]
    fn the_maximum_is_exclusive() {
        check(stop(), Some(200), &sizes(&[100, 100, 100]), &[0, 100]);
    }
}
