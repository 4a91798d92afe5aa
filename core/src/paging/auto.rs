//! Paging that nobody declared: what the first response shows decides.

use connector_plan::{Path, Selector, Target};
use serde::{Deserialize, Serialize};
use url::Url;

use super::cursor::{follow, is_empty, is_link, link};
use super::side::Side;
use super::{PageFacts, Paginator, Turn};
use crate::{Error, ErrorKind, Json, Result};

/// Finds out from the first response how its API is paged, and goes on that way.
///
/// The order is dlt's: a `Link` header, a URL in a member `next…`, a number of pages, a cursor in
/// a member `next…`; then what dlt does not know, a page or an offset with a total. The number of
/// the first page is the one that the response tells, so that no page is asked for twice. What
/// says that there is more, but not how to ask for it, is an error.
#[derive(Debug)]
pub(super) struct AutoPaginator {
    records: Selector,
    way: Option<Way>,
    /// The records received so far.
    received: u64,
    warning: Option<String>,
}

/// How the API is paged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Way {
    /// One request was everything.
    Single,
    /// The target of the `Link` header with the relation `next`.
    Header,
    /// The URL of this member.
    Link(Vec<String>),
    /// The value of this member, sent in a parameter.
    Cursor { path: Vec<String>, param: String },
    /// The number of the next page.
    Page(Counter, End),
    /// The number of records to skip, up to the total that this member tells.
    Offset(Counter, Vec<String>),
}

/// A number that the response tells and the next request sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Counter {
    /// Where the response tells it.
    path: Vec<String>,
    param: String,
    /// What the last request asked for; nothing when that was the first.
    asked: Option<u64>,
    /// What the first response told.
    first: u64,
}

/// What tells the last page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum End {
    /// A number of pages.
    Pages(Vec<String>),
    /// A number of records.
    Records(Vec<String>),
}

impl AutoPaginator {
    /// A paginator for pages whose records are there.
    pub(super) fn new(records: &Selector) -> Self {
        Self {
            records: records.clone(),
            way: None,
            received: 0,
            warning: None,
        }
    }

    fn detect(&mut self, page: &PageFacts<'_>, side: &Side) -> Result<Way> {
        if link(page.headers, "next")?.is_some() {
            return Ok(Way::Header);
        }
        // A list that names its other pages would name the next one.
        for relation in ["prev", "previous", "first", "last"] {
            if link(page.headers, relation)?.is_some() {
                return Ok(Way::Single);
            }
        }
        if self.records.steps.is_empty() && self.records.query.is_empty() && side.is_object {
            // The document itself is the record: what it says is about the record.
            if let Some(path) = next_link(side, page.url) {
                self.warning = Some(format!(
                    "the response is taken as one record, but has at `{}` a link to a next page: if it is a page of records, write `data_selector` and `paginator` in the spec",
                    path.join(".")
                ));
            }
            return Ok(Way::Single);
        }
        readable(side)?;
        let found = next_link(side, page.url)
            .map(|path| Way::Link(path.to_vec()))
            .or_else(|| by_page(side))
            .or_else(|| by_cursor(side))
            .or_else(|| by_count(side, page.records));
        match found {
            Some(way) => Ok(way),
            None => {
                self.warning = doubt(page, side)?;
                Ok(Way::Single)
            }
        }
    }

    /// Goes on the way that was found.
    fn follow(&mut self, page: &PageFacts<'_>, side: &Side) -> Result<Option<Turn>> {
        let received = self.received;
        let turn = match &mut self.way {
            None | Some(Way::Single) => None,
            Some(Way::Header) => link(page.headers, "next")?
                .map(|target| linked(page, &Json::from(target)))
                .transpose()?,
            Some(Way::Link(path)) => match side.get(path).filter(|value| !is_empty(value)) {
                None => ended(side)?,
                Some(value) => Some(linked(page, value)?),
            },
            Some(Way::Cursor { path, param }) => {
                match side.get(path).filter(|value| !is_empty(value)) {
                    None => ended(side)?,
                    Some(value) => Some(Turn {
                        token: Some(value.to_string()),
                        ..sent(param, value.clone())
                    }),
                }
            }
            Some(Way::Page(counter, end)) => {
                let at = counter.check(side)?;
                let over = match end {
                    End::Pages(path) => at - counter.first + 1 >= tell(path, side)?,
                    End::Records(path) => received >= tell(path, side)?,
                };
                counter.go_on((!over && page.records > 0).then_some(at + 1))
            }
            Some(Way::Offset(counter, total)) => {
                let at = counter.check(side)?;
                let next = at + page.records;
                let over = next - counter.first >= tell(total, side)?;
                counter.go_on((!over && page.records > 0).then_some(next))
            }
        };
        Ok(turn)
    }
}

impl Counter {
    fn new(path: &[String], param: String, first: u64) -> Self {
        Self {
            path: path.to_vec(),
            param,
            asked: None,
            first,
        }
    }

    /// The number of the page at hand, which must be the one that was asked for.
    fn check(&self, side: &Side) -> Result<u64> {
        let told = side.get(&self.path).and_then(number);
        let asked = self.asked.unwrap_or(self.first);
        match told {
            Some(told) if told != asked => Err(lost(format!(
                "asked for `{}={asked}`, the API answered with {told} at `{}`",
                self.param,
                self.path.join(".")
            ))),
            _ => Ok(asked),
        }
    }

    fn go_on(&mut self, next: Option<u64>) -> Option<Turn> {
        self.asked = next;
        Some(sent(&self.param, Json::from(next?)))
    }
}

impl Paginator for AutoPaginator {
    fn captures(&self) -> Vec<Path> {
        // The members that count are not known before they are seen.
        Vec::new()
    }

    fn first(&mut self) -> Turn {
        Turn::default()
    }

    fn next(&mut self, page: &PageFacts<'_>) -> Result<Option<Turn>> {
        self.received += page.records;
        if self.way == Some(Way::Single) {
            return Ok(None);
        }
        let side = match self.way {
            Some(Way::Header) => Side::default(),
            // An answer without content says nothing.
            _ if page.body.trim_ascii().is_empty() => Side::default(),
            _ => Side::read(page.body, &self.records.steps),
        };
        if self.way.is_none() {
            let way = self.detect(page, &side)?;
            tracing::debug!(?way, "how the pages follow each other has been detected");
            self.way = Some(way);
        }
        if self.way != Some(Way::Single) {
            readable(&side)?;
        }
        self.follow(page, &side)
    }

    fn position(&self) -> Option<Json> {
        serde_json::to_value((&self.way, self.received)).ok()
    }

    fn resume(&mut self, position: &Json) -> bool {
        let Ok((way, received)) = Deserialize::deserialize(position) else {
            return false;
        };
        (self.way, self.received) = (way, received);
        true
    }

    fn warnings(&mut self) -> Vec<String> {
        self.warning.take().into_iter().collect()
    }
}

/// Refuses a page that may say something which cannot be read.
fn readable(side: &Side) -> Result<()> {
    match &side.error {
        None => Ok(()),
        Some(error) => Err(lost(format!(
            "what the response says beside its records cannot be read: {error}"
        ))),
    }
}

/// Refuses a first page that says there is more without saying how to ask for it; gives what looks
/// as if there were more.
fn doubt(page: &PageFacts<'_>, side: &Side) -> Result<Option<String>> {
    if let Some((path, _)) = says_more(side) {
        return Err(lost(format!(
            "the response says at `{}` that there is more, but not how to ask for it",
            path.join(".")
        )));
    }
    // What names the next page, and has none, has spoken.
    let ended = side.members().any(|(path, value)| {
        (is_more(path) && truth(value) == Some(false))
            || (next_name(path).is_some() && is_empty(value))
    });
    if ended {
        return Ok(None);
    }
    if let Some((path, pages)) = side
        .members()
        .filter(|(path, _)| named(path, PAGES))
        .find_map(|(path, value)| Some((path, number(value)?)))
        .filter(|(_, pages)| *pages > 1)
    {
        return Err(lost(format!(
            "the response says at `{}` that there are {pages} pages, but not which one it is",
            path.join(".")
        )));
    }
    if let Some((path, total)) = total(side).filter(|(_, total)| *total > page.records) {
        return Err(lost(format!(
            "the response says at `{}` that there are {total} records and has {}, but not how to ask for the others",
            path.join("."),
            page.records
        )));
    }
    let unknown = side
        .members()
        .find(|(path, value)| next_name(path).is_some() && !is_empty(value));
    Ok(match unknown {
        Some((path, _)) => Some(format!(
            "the response has at `{}` something that looks like a next page, which is not followed: write `paginator` in the spec",
            path.join(".")
        )),
        None if is_round(page.records) => Some(format!(
            "the response has a round number of records, {}, and does not say whether there are more: write `paginator` in the spec, `single_page` if this is all",
            page.records
        )),
        None => None,
    })
}

/// The total of the page at hand.
fn tell(path: &[String], side: &Side) -> Result<u64> {
    side.get(path).and_then(number).ok_or_else(|| {
        lost(format!(
            "the response has no number at `{}` any more, where the first one had",
            path.join(".")
        ))
    })
}

/// Names of a number of pages, without case and separators, as all names below.
const PAGES: &[&str] = &[
    "totalpages",
    "pages",
    "pagecount",
    "totalpagecount",
    "lastpage",
    "numpages",
];
/// Names of the number of the page at hand.
const PAGE: &[&str] = &[
    "page",
    "currentpage",
    "pagenumber",
    "pageno",
    "pagenum",
    "number",
];
/// Names of the number of records skipped.
const OFFSET: &[&str] = &["offset", "skip", "startat", "startindex", "start"];
/// Names of the number of all records.
const TOTAL: &[&str] = &[
    "total",
    "totalcount",
    "totalrecords",
    "totalitems",
    "totalelements",
    "totalresults",
    "count",
];
/// Names of what says whether there is more.
const MORE: &[&str] = &[
    "hasmore",
    "hasnext",
    "hasnextpage",
    "more",
    "ismore",
    "moreresults",
    "moreavailable",
    "hasmoreitems",
];
/// Names of the value that asks for the next page, and what their parameter is called when it is
/// not the name without `next`.
const CURSOR: &[(&str, Option<&str>)] = &[
    ("next", Some("cursor")),
    ("nextcursor", None),
    ("nextpagetoken", None),
    ("nextpage", None),
    ("nextpagecursor", None),
    ("nextmarker", None),
    ("nextoffset", None),
    ("nextkey", None),
    ("nextid", None),
];

/// The member `next…` that has a URL.
fn next_link<'a>(side: &'a Side, url: &Url) -> Option<&'a [String]> {
    let has_url = |value: &Json| {
        let query = |text: &str| text.contains('?') && text.contains('=') && !text.contains(' ');
        is_link(value, url) || value.as_str().is_some_and(query)
    };
    side.members()
        .find(|(path, value)| next_name(path).is_some() && has_url(value))
        .map(|(path, _)| path)
}

/// A number of pages and the number of this one.
fn by_page(side: &Side) -> Option<Way> {
    let (pages, count) = numbers(side, PAGES).next()?;
    let (path, first) = first_of(side, PAGE)?;
    (count > 0).then(|| {
        let counter = Counter::new(path, page_param(path), first);
        Way::Page(counter, End::Pages(pages.to_vec()))
    })
}

/// A value to send back.
fn by_cursor(side: &Side) -> Option<Way> {
    side.members().find_map(|(path, value)| {
        let name = path.last()?;
        let plain = normal(name);
        let (_, param) = CURSOR.iter().find(|(known, _)| *known == plain)?;
        if is_empty(value) || value.is_boolean() {
            return None;
        }
        Some(Way::Cursor {
            path: path.to_vec(),
            param: param.map_or_else(|| without_next(name), str::to_owned),
        })
    })
}

/// A number of records, and the page or the offset of this response.
fn by_count(side: &Side, records: u64) -> Option<Way> {
    let (end, all) = total(side)?;
    if all <= records || records == 0 {
        return None;
    }
    if let Some((path, first)) = first_of(side, OFFSET) {
        let param = path.last().cloned().unwrap_or_default();
        return Some(Way::Offset(Counter::new(path, param, first), end.to_vec()));
    }
    let (path, first) = first_of(side, PAGE)?;
    let counter = Counter::new(path, page_param(path), first);
    Some(Way::Page(counter, End::Records(end.to_vec())))
}

/// The number of a first page or record; APIs count from zero or one.
fn first_of<'a>(side: &'a Side, names: &'a [&str]) -> Option<(&'a [String], u64)> {
    numbers(side, names).find(|(_, first)| *first <= 1)
}

fn total(side: &Side) -> Option<(&[String], u64)> {
    numbers(side, TOTAL).max_by_key(|(_, total)| *total)
}

/// The members with one of these names that are whole numbers.
fn numbers<'a>(side: &'a Side, names: &'a [&str]) -> impl Iterator<Item = (&'a [String], u64)> {
    side.members()
        .filter(|(path, _)| named(path, names))
        .filter_map(|(path, value)| Some((path, number(value)?)))
}

fn says_more(side: &Side) -> Option<(&[String], &Json)> {
    side.members()
        .find(|(path, value)| is_more(path) && truth(value) == Some(true))
}

/// The end of a chain of links or cursors, unless the response says that there is more.
fn ended(side: &Side) -> Result<Option<Turn>> {
    match says_more(side) {
        None => Ok(None),
        Some((path, _)) => Err(lost(format!(
            "the response says at `{}` that there is more but has no next page",
            path.join(".")
        ))),
    }
}

fn linked(page: &PageFacts<'_>, target: &Json) -> Result<Turn> {
    let link = follow(page.url, target)?;
    Ok(Turn {
        token: Some(link.to_string()),
        link: Some(link),
        ..Turn::default()
    })
}

fn sent(param: &str, value: Json) -> Turn {
    Turn {
        values: vec![(Target::Query(param.to_owned()), value)],
        ..Turn::default()
    }
}

fn lost(message: String) -> Error {
    Error::new(ErrorKind::Source, message)
        .with("paginator", "auto")
        .hint("write the API's `paginator` in the spec; `single_page` if one response is all")
}

fn is_more(path: &[String]) -> bool {
    named(path, MORE)
}

fn named(path: &[String], names: &[&str]) -> bool {
    path.last()
        .is_some_and(|name| names.contains(&normal(name).as_str()))
}

/// The name of a member that asks for the next page: `next…` itself, or the URL in one.
fn next_name(path: &[String]) -> Option<&str> {
    let is_next = |name: &String| name.to_lowercase().starts_with("next");
    match path {
        [.., name] if is_next(name) => Some(name),
        [.., name, inner] if is_next(name) && ["href", "url"].contains(&normal(inner).as_str()) => {
            Some(name)
        }
        _ => None,
    }
}

/// A name without case and separators.
fn normal(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// `next_page_token` as `page_token`, `nextPageToken` as `pageToken`.
fn without_next(name: &str) -> String {
    let rest = name.get(4..).unwrap_or_default();
    let rest = rest.trim_start_matches(['_', '-']);
    let mut letters = rest.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// The parameter of the page whose number the response tells under this name.
fn page_param(path: &[String]) -> String {
    match path.last() {
        Some(name) if !["currentpage", "number"].contains(&normal(name).as_str()) => name.clone(),
        _ => "page".to_owned(),
    }
}

fn number(value: &Json) -> Option<u64> {
    match value {
        Json::String(text) => text.trim().parse().ok(),
        other => other.as_u64(),
    }
}

fn truth(value: &Json) -> Option<bool> {
    match value {
        Json::Bool(truth) => Some(*truth),
        Json::String(text) => match text.to_lowercase().as_str() {
            "true" | "yes" => Some(true),
            "false" | "no" => Some(false),
            _ => None,
        },
        Json::Number(number) => Some(number.as_u64()? > 0),
        _ => None,
    }
}

/// Whether a number of records is one that page sizes have.
fn is_round(records: u64) -> bool {
    records >= 10 && (records.is_multiple_of(10) || records.is_multiple_of(25))
}
