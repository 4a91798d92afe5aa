//! How the next page is found.

use serde::{Deserialize, Serialize};

use crate::{Condition, Jinja, Path};

/// How the next page is found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Paginator {
    /// One request is everything.
    SinglePage,
    /// A number of records to skip, advanced by the records received.
    Offset(Offset),
    /// A page number, advanced by one.
    PageNumber(PageNumber),
    /// A value of the response that asks for the next page.
    Cursor(Cursor),
    /// Whatever the first response says: a link, a cursor, a page number or an offset.
    Auto,
}

impl Paginator {
    /// The places that paging values go to.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        let (own, limit) = match self {
            Self::SinglePage | Self::Auto => (None, None),
            Self::Offset(plan) => (Some(&plan.offset), plan.limit_target.as_ref()),
            Self::PageNumber(plan) => (Some(&plan.page), plan.limit_target.as_ref()),
            Self::Cursor(plan) => (plan.cursor.as_ref(), plan.limit_target.as_ref()),
        };
        own.into_iter().chain(limit)
    }
}

/// Paging by a number of records to skip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offset {
    /// The first offset.
    pub start: u64,
    /// Where the offset goes.
    pub offset: Target,
    /// The page size asked for.
    pub limit: Option<u64>,
    /// Where the page size goes.
    pub limit_target: Option<Target>,
    /// The offset at which paging stops (exclusive).
    pub maximum: Option<u64>,
    /// When paging ends. The condition is asked before anything else.
    pub stop: Stop,
}

/// Paging by a page number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageNumber {
    /// The number of the page to begin with.
    pub start: u64,
    /// The number of the API's first page, where paging begins at a later one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<u64>,
    /// Where the number goes.
    pub page: Target,
    /// The page size asked for.
    pub limit: Option<u64>,
    /// Where the page size goes.
    pub limit_target: Option<Target>,
    /// The page number at which paging stops (exclusive).
    pub maximum: Option<u64>,
    /// When paging ends; its total counts pages.
    pub stop: Stop,
}

/// Paging by a value of the response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// Where the response has the value.
    pub source: CursorSource,
    /// Where the value goes; nowhere when it is a link to follow.
    pub cursor: Option<Target>,
    /// What the first request carries in the cursor's place, where that is in the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<serde_json::Value>,
    /// Whether a value that is a URL or a path of the API is followed as a link instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follow_links: bool,
    /// The page size asked for.
    pub limit: Option<u64>,
    /// Where the page size goes.
    pub limit_target: Option<Target>,
    /// When paging ends, beside a missing, null or empty cursor.
    pub stop: Stop,
}

/// Where a response has its cursor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CursorSource {
    /// A value of the JSON body.
    Body(Path),
    /// A response header.
    Header(String),
    /// The target of the `Link` header with this relation (RFC 8288).
    Link(String),
    /// A value of the page's last record.
    LastRecord(Path),
    /// The value of an expression.
    Jinja(Jinja),
}

/// When paging ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// An empty page ends it.
    pub after_empty_page: bool,
    /// A page shorter than the limit ends it, without a probing request.
    pub on_short_page: bool,
    /// Where the response says how many records (of pages: pages) there are.
    pub total: Option<Path>,
    /// Where the response says whether there is more.
    pub has_more: Option<Path>,
    /// What ends it when it is true of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
}

/// Where a paging value goes in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A query parameter.
    Query(String),
    /// A request header.
    Header(String),
    /// A member of the JSON body, by its path of keys.
    Json(Vec<String>),
    /// A field of the form body.
    Form(String),
    /// The placeholder of the path with this name.
    Path(String),
}

impl Target {
    /// Whether the value becomes part of the URL.
    #[must_use]
    pub fn is_in_url(&self) -> bool {
        matches!(self, Self::Query(_) | Self::Path(_))
    }
}
