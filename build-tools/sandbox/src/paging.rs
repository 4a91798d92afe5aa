//! Which records a request asks for, and how the answer says what comes next.

use std::ops::Range;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use connector_plan::{
    Body, CursorSource, Endpoint, NamedTemplate, Paginator, Path, Root, Step, Stop, Target,
    Template,
};
use serde_json::Value;

use crate::{
    Options,
    condition::{Signal, signals},
    data::Table,
    random::{combine, mix},
    received::Received,
    refusal::Refusal,
    settings::text_of,
};

/// The page size of an API whose spec does not tell one.
const DEFAULT_PAGE_SIZE: u64 = 100;

/// How one resource is paged.
pub(crate) struct Pager {
    pub(crate) kind: Kind,
    pub(crate) stop: Stop,
    /// What pages say about the end, beside the cursor.
    pub(crate) signals: Vec<Signal>,
    limit_target: Option<Target>,
    default_size: u64,
    max_size: u64,
    /// The cursor of the first page, where the spec has one.
    first_cursor: Option<Value>,
    /// Keeps cursors of this resource apart from those of others.
    key: u64,
}

/// What a page is asked for by.
pub(crate) enum Kind {
    Everything,
    Offset {
        start: u64,
        target: Target,
    },
    Number {
        start: u64,
        target: Target,
        /// The pages before the first one that is asked for.
        before: u64,
    },
    /// An opaque text.
    Cursor {
        source: CursorSource,
        target: Target,
    },
    /// The value of this field in the last record of the page before.
    LastRecord {
        field: String,
        target: Target,
    },
    /// A link, whose parameter this is.
    Link {
        source: CursorSource,
        param: String,
    },
}

/// The part of the records that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// The position of the first record.
    pub(crate) start: u64,
    /// The most records.
    pub(crate) size: u64,
}

impl Page {
    /// How many pages there are before it.
    pub(crate) fn number(self) -> u64 {
        self.start / self.size.max(1)
    }
}

impl Pager {
    pub(crate) fn new(
        endpoint: &Endpoint,
        selector: &Path,
        options: &Options,
        key: u64,
    ) -> Result<Self, String> {
        let taken: Vec<&str> = endpoint.params.iter().map(|p| p.name.as_str()).collect();
        let taken = taken.as_slice();
        let paginator = &endpoint.paginator;
        let (kind, limit, limit_target, stop) = match paginator {
            Paginator::SinglePage => (Kind::Everything, None, &None, Stop::default()),
            // What every page has room for, a document that is one array included.
            Paginator::Auto => {
                let source = CursorSource::Link("next".to_owned());
                let param = link_param(taken, None);
                (Kind::Link { source, param }, None, &None, Stop::default())
            }
            Paginator::Offset(p) => {
                let (start, target) = (p.start, p.offset.clone());
                (
                    Kind::Offset { start, target },
                    p.limit,
                    &p.limit_target,
                    p.stop.clone(),
                )
            }
            Paginator::PageNumber(p) => {
                let kind = Kind::Number {
                    start: p.start,
                    target: p.page.clone(),
                    before: p.start - p.base.unwrap_or(p.start),
                };
                (kind, p.limit, &p.limit_target, p.stop.clone())
            }
            Paginator::Cursor(p) => {
                let source = served(&p.source, selector)?;
                let followed = p.follow_links && is_named_link(&source);
                let cursor = p.cursor.as_ref().filter(|_| !followed);
                let kind = match (cursor, last_record_field(&source, selector)) {
                    (Some(target), Some(field)) => Kind::LastRecord {
                        field,
                        target: target.clone(),
                    },
                    (Some(target), None) => Kind::Cursor {
                        source,
                        target: target.clone(),
                    },
                    (None, _) => Kind::Link {
                        source,
                        param: link_param(taken, p.limit_target.as_ref()),
                    },
                };
                (kind, p.limit, &p.limit_target, p.stop.clone())
            }
            _ => return Err("the sandbox does not know this kind of paging".to_owned()),
        };
        let usual = match (limit, limit_target) {
            (Some(limit), None) => limit,
            (Some(limit), Some(_)) => limit / 4,
            (None, _) => DEFAULT_PAGE_SIZE,
        };
        let own = match &kind {
            Kind::Cursor {
                source: CursorSource::Body(path),
                ..
            }
            | Kind::Link {
                source: CursorSource::Body(path),
                ..
            } => Some(path),
            _ => None,
        };
        // A cursor says by itself what a condition asks of it.
        let mut signals = stop.condition.as_ref().map(signals).unwrap_or_default();
        signals.retain(|signal| {
            let declared = [own, stop.total.as_ref(), stop.has_more.as_ref()];
            !declared.contains(&Some(&signal.path))
        });
        Ok(Self {
            kind,
            signals,
            stop,
            limit_target: limit_target.clone(),
            default_size: options.default_page_size.unwrap_or(usual).max(1),
            max_size: options.max_page_size.unwrap_or(u64::MAX).max(1),
            first_cursor: first_cursor(endpoint),
            key,
        })
    }

    /// The places of a request in which paging values stand.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target> {
        let own = match &self.kind {
            Kind::Everything | Kind::Link { .. } => None,
            Kind::Offset { target, .. }
            | Kind::Number { target, .. }
            | Kind::Cursor { target, .. }
            | Kind::LastRecord { target, .. } => Some(target),
        };
        own.into_iter().chain(&self.limit_target)
    }

    /// The query parameter of next links.
    pub(crate) fn link_param(&self) -> Option<&str> {
        match &self.kind {
            Kind::Link { param, .. } => Some(param),
            _ => None,
        }
    }

    /// Which records a request asks for.
    pub(crate) fn read(
        &self,
        received: &Received<'_>,
        table: &Table,
        window: &Range<usize>,
    ) -> Result<Page, Refusal> {
        let mut size = self.default_size;
        if let Some(target) = &self.limit_target
            && let Some(limit) = whole(received, target)?
        {
            if limit == 0 {
                return Err(Refusal::parameter(format!(
                    "{} must be at least 1",
                    name_of(target)
                )));
            }
            size = limit;
        }
        size = size.min(self.max_size);
        let start = match &self.kind {
            Kind::Everything => {
                size = (window.len() as u64).max(1);
                0
            }
            Kind::Offset { start, target } => first(received, target, *start)?,
            Kind::Number { start, target, .. } => {
                first(received, target, *start)?.saturating_mul(size)
            }
            Kind::Cursor { target, .. } => match received.value(target)? {
                None => 0,
                value if value == self.first_cursor => 0,
                Some(Value::String(cursor)) => self.decode(&cursor)?,
                Some(_) => return Err(bad_cursor()),
            },
            Kind::Link { param, .. } => match received.value(&Target::Query(param.clone()))? {
                Some(Value::String(cursor)) => self.decode(&cursor)?,
                _ => 0,
            },
            Kind::LastRecord { field, target } => match received.value(target)? {
                None => 0,
                value if value == self.first_cursor => 0,
                Some(value) => {
                    let position = table.find(field, &value).ok_or_else(bad_cursor)?;
                    let position = position.checked_sub(window.start).ok_or_else(bad_cursor)?;
                    position as u64 + 1
                }
            },
        };
        Ok(Page { start, size })
    }

    /// An opaque text for a position: nobody who does not know the key can make one.
    pub(crate) fn encode(&self, position: u64) -> String {
        let seal = combine(self.key, position);
        let hidden = position ^ mix(seal ^ !self.key);
        // The standard alphabet has `+`, `/` and `=`: a client has to encode it.
        STANDARD.encode([seal.to_be_bytes(), hidden.to_be_bytes()].concat())
    }

    fn decode(&self, cursor: &str) -> Result<u64, Refusal> {
        let bytes = STANDARD.decode(cursor).map_err(|_| bad_cursor())?;
        let (seal, hidden) = bytes.split_first_chunk::<8>().ok_or_else(bad_cursor)?;
        let seal = u64::from_be_bytes(*seal);
        let hidden = u64::from_be_bytes(hidden.try_into().map_err(|_| bad_cursor())?);
        let position = hidden ^ mix(seal ^ !self.key);
        if combine(self.key, position) == seal {
            Ok(position)
        } else {
            Err(bad_cursor())
        }
    }

    /// The records that a client reads which stops where the spec says.
    pub(crate) fn reachable(&self, paginator: &Paginator, len: usize) -> usize {
        let (start, maximum, limit) = match paginator {
            Paginator::Offset(p) => (p.start, p.maximum, p.limit),
            Paginator::PageNumber(p) => (p.start, p.maximum, p.limit),
            _ => return len,
        };
        let Some(maximum) = maximum else { return len };
        let size = match (limit, &self.limit_target) {
            (Some(limit), Some(_)) => limit,
            _ => self.default_size,
        }
        .min(self.max_size);
        let pages = match self.kind {
            Kind::Number { .. } => maximum.saturating_sub(start),
            _ => maximum.saturating_sub(start).div_ceil(size.max(1)),
        };
        usize::try_from(pages.saturating_mul(size)).map_or(len, |reachable| reachable.min(len))
    }
}

/// The constant that the first request sends in the place of a cursor.
fn first_cursor(endpoint: &Endpoint) -> Option<Value> {
    let Paginator::Cursor(plan) = &endpoint.paginator else {
        return None;
    };
    if plan.first.is_some() {
        // In a path everything is text.
        return plan.first.as_ref().map(|first| text_of(first).into());
    }
    let named = |all: &[NamedTemplate], name: &str| {
        let found = all.iter().find(|one| one.name.eq_ignore_ascii_case(name))?;
        Some(found.value.clone())
    };
    let template = match (plan.cursor.as_ref()?, &endpoint.body) {
        (Target::Query(name), _) => {
            let param = endpoint.params.iter().find(|param| param.name == *name)?;
            param.values.first().cloned()
        }
        (Target::Header(name), _) => named(&endpoint.headers, name),
        (Target::Form(name), Some(Body::Form(fields))) => named(fields, name),
        (Target::Json(path), Some(Body::Json(members))) => {
            let (first, inner) = path.split_first()?;
            return named(members, first)?.constant_at(inner).cloned();
        }
        _ => None,
    };
    match template? {
        Template::Literal(value) => Some(text_of(&value).into()),
        _ => None,
    }
}

/// Where a page has the value that a cursor is made from.
fn served(source: &CursorSource, selector: &Path) -> Result<CursorSource, String> {
    let in_last_record = |path: &Path| {
        let steps = selector;
        let array = steps.strip_suffix(&[Step::Wildcard]).unwrap_or(steps);
        let mut whole = array.to_vec();
        whole.push(Step::Index(-1));
        whole.extend(path.iter().cloned());
        CursorSource::Body(whole)
    };
    Ok(match source {
        CursorSource::LastRecord(path) => in_last_record(path),
        // What becomes of the value is the client's affair: it is sent back as it is in most specs.
        CursorSource::Jinja(jinja) => match jinja.reads.as_slice() {
            [read] if read.root == Root::Response => CursorSource::Body(read.path.clone()),
            [read] if read.root == Root::LastRecord => in_last_record(&read.path),
            [read] if read.root == Root::Headers => match read.path.as_slice() {
                [Step::Key(name)] => CursorSource::Header(name.clone()),
                _ => return Err(format!("the sandbox cannot serve `{}`", jinja.source)),
            },
            _ => return Err(format!("the sandbox cannot serve `{}`", jinja.source)),
        },
        other => other.clone(),
    })
}

/// Whether a cursor that may be a link is called one.
fn is_named_link(source: &CursorSource) -> bool {
    let CursorSource::Body(path) = source else {
        return false;
    };
    let Some(Step::Key(name)) = path.last() else {
        return false;
    };
    let name = name.to_lowercase();
    ["link", "url", "uri", "href"]
        .iter()
        .any(|word| name.contains(word))
}

/// The field of the last record that the cursor is, when the path leads there.
fn last_record_field(source: &CursorSource, selector: &Path) -> Option<String> {
    let CursorSource::Body(path) = source else {
        return None;
    };
    let steps: &Path = selector;
    let array = steps.strip_suffix(&[Step::Wildcard]).unwrap_or(steps);
    match path.strip_prefix(array)? {
        [Step::Index(-1), Step::Key(field)] => Some(field.clone()),
        _ => None,
    }
}

/// A name that no other parameter has.
fn link_param(taken: &[&str], limit: Option<&Target>) -> String {
    let mut param = "page_token".to_owned();
    while taken.contains(&param.as_str()) || limit == Some(&Target::Query(param.clone())) {
        param.insert_str(0, "next_");
    }
    param
}

/// An offset or page number, counted from the first; the first when there is none.
fn first(received: &Received<'_>, target: &Target, start: u64) -> Result<u64, Refusal> {
    let Some(number) = whole(received, target)? else {
        return Ok(0);
    };
    number
        .checked_sub(start)
        .ok_or_else(|| Refusal::parameter(format!("{} must be at least {start}", name_of(target))))
}

/// A whole number that is not negative.
fn whole(received: &Received<'_>, target: &Target) -> Result<Option<u64>, Refusal> {
    let number = match (received.value(target)?, target) {
        (None, _) => return Ok(None),
        (Some(Value::Number(number)), _) => number.as_u64(),
        // Digits alone: `parse` would also take a plus sign.
        (
            Some(Value::String(text)),
            Target::Query(_) | Target::Header(_) | Target::Form(_) | Target::Path(_),
        ) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    };
    number.map(Some).ok_or_else(|| {
        Refusal::parameter(format!(
            "{} must be a whole number that is not negative",
            name_of(target)
        ))
    })
}

fn bad_cursor() -> Refusal {
    Refusal::parameter("the cursor is not one of this resource")
}

pub(crate) fn name_of(target: &Target) -> String {
    match target {
        Target::Query(name) => format!("the parameter `{name}`"),
        Target::Header(name) => format!("the header `{name}`"),
        Target::Json(path) => format!("the member `{}` of the body", path.join(".")),
        Target::Form(name) => format!("the field `{name}` of the form"),
        Target::Path(name) => format!("`{name}` in the path"),
    }
}
