//! Paging: which request comes next, from what the last one gave.

mod auto;
mod conditional;
mod counted;
mod cursor;
mod custom;
mod side;
mod single_page;

use std::collections::HashSet;
use std::fmt::Debug;

use connector_plan::{Endpoint, Paginator as PaginatorPlan, Path, Stop, Target};
use http::HeaderMap;
use url::Url;

use self::conditional::Conditional;
pub use self::custom::CustomPaginator;
use crate::expression::{Captured, View};
use crate::{Error, ErrorKind, Json, Result, Settings};

/// Finds the next page of a resource.
///
/// One paginator serves one partition, from its first page to its last.
pub trait Paginator: Debug + Send {
    /// The paths of the response body that [`next`](Paginator::next) wants to see.
    fn captures(&self) -> Vec<Path>;

    /// The paths of a page's last record that [`next`](Paginator::next) wants to see; none by
    /// default.
    fn last_record_captures(&self) -> Vec<Path> {
        Vec::new()
    }

    /// What the first request carries.
    fn first(&mut self) -> Turn;

    /// What the next request carries; `None` after the last page.
    ///
    /// # Errors
    /// When the response lacks what paging depends on.
    fn next(&mut self, page: &PageFacts<'_>) -> Result<Option<Turn>>;

    /// What the request `nth` places behind the next one will carry, when that can be told before
    /// the answers between; `nth` counts from 1. `None`, the default, when it depends on them.
    ///
    /// Such requests may be sent ahead. Their answers count only if the requests turn out to be the
    /// ones that [`next`](Paginator::next) asks for, in its order.
    fn ahead(&self, _nth: u64) -> Option<Turn> {
        None
    }

    /// What this paginator remembers beside the next request, so that a later run can go on with
    /// it; nothing secret. `None`, the default, when it cannot say: a run that dies is then begun
    /// again from the first page.
    fn position(&self) -> Option<Json> {
        None
    }

    /// Goes on from what [`position`](Paginator::position) said; false when it cannot.
    fn resume(&mut self, _position: &Json) -> bool {
        false
    }

    /// What a person should know of the pages so far, told once; nothing by default.
    fn warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// What one request carries for paging.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turn {
    /// Values and where they go.
    pub values: Vec<(Target, Json)>,
    /// The URL to ask instead of the resource's own.
    pub link: Option<Url>,
    /// What tells this request apart from the others: a cursor or a link that comes again is a
    /// loop.
    pub token: Option<String>,
}

/// What is known about the page just received.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PageFacts<'a> {
    /// The records received, before any filter.
    pub records: u64,
    /// The largest page that this resource has shown in this run.
    pub largest: u64,
    /// What the paths of [`Paginator::captures`] led to, in their order.
    pub captures: &'a [Option<Json>],
    /// What the paths of [`Paginator::last_record_captures`] led to, in their order; nothing
    /// without a record.
    pub last_record: &'a [Option<Json>],
    /// The response headers.
    pub headers: &'a HeaderMap,
    /// The URL that answered, after redirects and without credentials.
    pub url: &'a Url,
    /// The whole page as JSON in UTF-8, or as JSON Lines where the format is that, whatever the API
    /// sent; empty when the answer has no content.
    pub body: &'a [u8],
}

/// What an expression sees of a page.
fn page_view<'a>(
    page: &PageFacts<'a>,
    settings: &'a Settings,
    page_size: Option<u64>,
    response: Captured<'a>,
    last_record: Captured<'a>,
) -> View<'a> {
    View {
        settings: Some(settings),
        headers: Some(page.headers),
        response,
        last_record,
        last_page_size: Some(page.records),
        page_size,
        ..View::default()
    }
}

/// The paginator of an endpoint, with the condition that ends it.
pub(crate) fn paginator(endpoint: &Endpoint, settings: &Settings) -> Result<Box<dyn Paginator>> {
    let plan = &endpoint.paginator;
    let inner: Box<dyn Paginator> = match plan {
        PaginatorPlan::Auto => Box::new(auto::AutoPaginator::new(&endpoint.data_selector)),
        plan => unconditional(plan, settings)?,
    };
    let (stop, page_size) = match plan {
        PaginatorPlan::Offset(plan) => (&plan.stop, plan.limit),
        PaginatorPlan::PageNumber(plan) => (&plan.stop, plan.limit),
        PaginatorPlan::Cursor(plan) => (&plan.stop, plan.limit),
        _ => return Ok(inner),
    };
    Ok(match &stop.condition {
        None => inner,
        Some(condition) => Box::new(Conditional::new(inner, condition, settings, page_size)?),
    })
}

fn unconditional(plan: &PaginatorPlan, settings: &Settings) -> Result<Box<dyn Paginator>> {
    Ok(match plan {
        PaginatorPlan::SinglePage => Box::new(single_page::SinglePage),
        PaginatorPlan::Offset(plan) => Box::new(counted::Counted::offset(plan.clone())),
        PaginatorPlan::PageNumber(plan) => Box::new(counted::Counted::page_number(plan.clone())),
        PaginatorPlan::Cursor(plan) => {
            Box::new(cursor::CursorPaginator::new(plan.clone(), settings)?)
        }
        other => {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("this runtime does not know the paginator {other:?}"),
            ));
        }
    })
}

/// The rules of [`Stop`], which come first in the captures of every paginator.
#[derive(Debug)]
struct StopRules(Stop);

/// What the stop rules say.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The page was the last.
    End,
    /// The response itself says that there is more.
    More,
    /// Nothing was said; `total` as the response tells it.
    Open { total: Option<u64> },
}

impl StopRules {
    fn captures(&self) -> Vec<Path> {
        [&self.0.total, &self.0.has_more]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    fn judge(&self, page: &PageFacts<'_>) -> Result<Verdict> {
        if page.records == 0 && self.0.after_empty_page {
            return Ok(Verdict::End);
        }
        let mut captures = page.captures.iter();
        let total = match &self.0.total {
            Some(path) => Some(total(path, captures.next().and_then(Option::as_ref))?),
            None => None,
        };
        if let Some(path) = &self.0.has_more {
            let more = has_more(path, captures.next().and_then(Option::as_ref))?;
            return Ok(if more { Verdict::More } else { Verdict::End });
        }
        Ok(Verdict::Open { total })
    }

    /// Whether the page is the last for being short.
    ///
    /// Shorter than a page that the API has shown is short. Shorter than the limit alone is not:
    /// many APIs cap their pages below it, so one more request settles the question, unless the
    /// spec trusts short pages.
    fn short(&self, page: &PageFacts<'_>, limit: Option<u64>) -> bool {
        page.records < page.largest
            || (self.0.on_short_page && limit.is_some_and(|limit| page.records < limit))
    }
}

fn total(path: &Path, value: Option<&Json>) -> Result<u64> {
    let number = match value {
        Some(Json::String(text)) => text.trim().parse().ok(),
        Some(other) => other.as_u64(),
        None => None,
    };
    number.ok_or_else(|| wrong(path, value, "a total"))
}

fn has_more(path: &Path, value: Option<&Json>) -> Result<bool> {
    let text = match value {
        Some(Json::Bool(more)) => return Ok(*more),
        Some(Json::String(text)) => text.trim().to_lowercase(),
        Some(Json::Number(number)) => number.to_string(),
        _ => return Err(wrong(path, value, "whether there is more")),
    };
    match text.as_str() {
        "true" | "yes" | "t" | "y" | "1" => Ok(true),
        "false" | "no" | "f" | "n" | "0" => Ok(false),
        _ => Err(wrong(path, value, "whether there is more")),
    }
}

fn wrong(path: &Path, value: Option<&Json>, expected: &str) -> Error {
    let found = value.map_or_else(|| "nothing".to_owned(), |value| format!("`{value:.80}`"));
    Error::new(
        ErrorKind::Source,
        format!(
            "the response has {found} at `{}`, expected {expected}",
            show(path)
        ),
    )
    .hint("check the paginator of the resource in the spec")
}

/// A path as messages write it.
pub(crate) fn show(path: &[connector_plan::Step]) -> String {
    show_from("$", path)
}

/// A path below something of this name, as messages write it.
pub(crate) fn show_from(root: &str, path: &[connector_plan::Step]) -> String {
    let mut text = root.to_owned();
    for step in path {
        match step {
            connector_plan::Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            connector_plan::Step::Index(index) => text.push_str(&format!("[{index}]")),
            connector_plan::Step::Wildcard => text.push_str(".*"),
        }
    }
    text
}

/// Remembers where paging has been, to find loops of any length.
#[derive(Debug, Default)]
pub(crate) struct LoopGuard {
    /// Hashes of cursors and links, and of the bodies of pages.
    tokens: HashSet<u64>,
    pages: HashSet<u64>,
    /// What is new since somebody last asked, where anybody does.
    news: Option<Seen>,
}

/// Hashes of cursors and links, and of the bodies of pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub tokens: Vec<u64>,
    pub pages: Vec<u64>,
}

impl LoopGuard {
    /// A guard that tells what it has seen, and has seen this; `next` is the request to come.
    pub(crate) fn tracked(seen: &Seen, next: Option<&Turn>) -> Self {
        let mut guard = Self {
            tokens: seen.tokens.iter().copied().collect(),
            pages: seen.pages.iter().copied().collect(),
            news: Some(Seen::default()),
        };
        // It was asked for and not answered: this time is no repetition.
        if let Some(token) = next.and_then(|turn| turn.token.as_ref()) {
            guard.tokens.remove(&hash(token));
        }
        guard
    }

    /// What it has seen since the last call.
    pub(crate) fn news(&mut self) -> Seen {
        self.news.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Notes the next request.
    ///
    /// # Errors
    /// When its cursor or link has been asked for before.
    pub(crate) fn turn(&mut self, turn: &Turn) -> Result<()> {
        let Some(token) = &turn.token else {
            return Ok(());
        };
        let token = hash(token);
        if self.tokens.insert(token) {
            if let Some(news) = &mut self.news {
                news.tokens.push(token);
            }
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Source,
            "the API gives the same cursor again: paging would loop",
        )
        .with("pages", self.tokens.len())
        .hint("check the paginator of the resource in the spec"))
    }

    /// Notes a page by the hash of its body.
    ///
    /// # Errors
    /// When the same page with records has come before.
    pub(crate) fn page(&mut self, records: u64, fingerprint: u64) -> Result<()> {
        if records == 0 {
            return Ok(());
        }
        if self.pages.insert(fingerprint) {
            if let Some(news) = &mut self.news {
                news.pages.push(fingerprint);
            }
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Source,
            "the API gives the same page again: paging would loop",
        )
        .with("pages", self.pages.len())
        .hint("the API may not know the paging parameters: check the paginator in the spec"))
    }
}

fn hash(token: &str) -> u64 {
    twox_hash::XxHash3_64::oneshot(token.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_of_any_length_are_found() -> Result<()> {
        let turn = |token: &str| Turn {
            token: Some(token.to_owned()),
            ..Turn::default()
        };
        let mut guard = LoopGuard::default();
        for token in ["a", "b", "c"] {
            guard.turn(&turn(token))?;
        }
        guard.turn(&Turn::default())?;
        guard.turn(&Turn::default())?;
        assert_eq!(
            guard.turn(&turn("a")).unwrap_err().kind(),
            ErrorKind::Source
        );
        guard.page(10, 1)?;
        guard.page(0, 2)?;
        guard.page(0, 2)?;
        assert_eq!(guard.page(10, 1).unwrap_err().kind(), ErrorKind::Source);
        Ok(())
    }
}
