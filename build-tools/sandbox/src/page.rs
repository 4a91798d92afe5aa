//! The answer to a data request.

use std::sync::Arc;

use std::ops::Range;

use connector_plan::{BodyFormat, CursorSource, Path, Step};
use hyper::{
    HeaderMap, StatusCode,
    header::{HeaderName, HeaderValue, LINK},
};
use serde_json::Value;
use url::form_urlencoded;

use crate::{
    LastCursor, LinkForm, Options, RequestRecord,
    body::Body,
    condition::SignalKind,
    data::Table,
    document::Node,
    format,
    options::Ending,
    paging::{Kind, Page},
    route::Route,
    server::Reply,
};

/// What a page is made from.
pub(crate) struct Maker<'a> {
    pub(crate) route: &'a Route,
    pub(crate) tables: Vec<Arc<Table>>,
    pub(crate) options: &'a Options,
    /// The records of each table that the request can reach.
    pub(crate) windows: Vec<Range<usize>>,
    /// Scheme, host and port of the sandbox.
    pub(crate) origin: &'a str,
}

impl Maker<'_> {
    /// The page of a request; also the number of records in it.
    pub(crate) fn reply(
        &self,
        request: &RequestRecord,
        page: Page,
        ending: Ending,
    ) -> (Reply, u64) {
        let (document, headers) = self.make(request, page);
        let records = self
            .route
            .content
            .iter()
            .enumerate()
            .map(|(i, _)| self.range(i, page).len() as u64)
            .sum();
        let mut chunks = document.render(&self.tables);
        let mut content_type = "application/json";
        if !self.route.response.is_json() {
            let page: Vec<u8> = chunks.iter().flatten().copied().collect();
            let body;
            (content_type, body) = format::encode(&self.route.response, &page, &self.route.columns);
            chunks = [body].into();
        }
        let mut reply = Reply::new(StatusCode::OK, content_type, []);
        *reply.response.body_mut() = Body::new(chunks, ending);
        reply.response.headers_mut().extend(headers);
        (reply, records)
    }

    /// Whether a plan's paging values have a place beside its records.
    pub(crate) fn test(&self) -> Result<(), String> {
        let mut document: Option<Node> = None;
        for (table, steps) in &self.route.content {
            let node = Node::records(steps, *table, 0..1, self.options.object_wildcards);
            match &mut document {
                None => document = Some(node),
                Some(document) => {
                    if !document.merge(node) {
                        return Err("its records and those of another resource of the same \
                                    request stand at the same place of a page"
                            .to_owned());
                    }
                }
            }
        }
        if let Kind::Cursor { source, .. } | Kind::Link { source, .. } = &self.route.pager.kind
            && let (CursorSource::Body(path), Some(mut document)) = (source, document)
            && !document.place(path, Node::Value(Value::Null))
        {
            return Err("a page has no place for the cursor beside the records".to_owned());
        }
        Ok(())
    }

    fn range(&self, content: usize, page: Page) -> Range<usize> {
        let window = self.windows[content].clone();
        let len = window.len();
        let position = |number: u64| {
            window.start + usize::try_from(number).map_or(len, |number| number.min(len))
        };
        position(page.start)..position(page.start.saturating_add(page.size))
    }

    fn make(&self, request: &RequestRecord, page: Page) -> (Node, HeaderMap) {
        let mut headers = HeaderMap::new();
        let mut document = Node::Object(Vec::new());
        let mut longest = 0;
        for (i, (table, steps)) in self.route.content.iter().enumerate() {
            let range = self.range(i, page);
            longest = longest.max(self.windows[i].len() as u64);
            let node = Node::records(steps, *table, range, self.options.object_wildcards);
            if i == 0 {
                document = node;
            } else {
                // `test` has shown that they fit.
                document.merge(node);
            }
        }
        let end = page.start.saturating_add(page.size);
        let more = end < longest;
        // An empty page at the end is reached by one cursor more.
        let pager = &self.route.pager;
        let counted = pager
            .signals
            .iter()
            .any(|signal| signal.kind == SignalKind::Count);
        let trailing = counted || self.options.trailing_empty_page;
        let next =
            (more || (trailing && page.start < longest) || counted).then_some(end.min(longest));
        self.put_next(request, page, next, longest, &mut document, &mut headers);

        let mut put = |path: &Path, value: Value| {
            // Without a place, an API does not tell: these only save requests.
            document.place(path, Node::Value(value));
        };
        if let Some(path) = &pager.stop.total {
            let total = match pager.kind {
                Kind::Number { before, .. } => longest.div_ceil(page.size) + before,
                _ => longest,
            };
            put(path, total.into());
        }
        if let Some(path) = &pager.stop.has_more {
            put(path, more.into());
        }
        for signal in &pager.signals {
            let value = match &signal.kind {
                SignalKind::Count => longest.min(end).saturating_sub(page.start).into(),
                SignalKind::Values { more: value, .. } if more => value.clone(),
                SignalKind::Values { end: value, .. } => value.clone(),
            };
            put(&signal.path, value);
        }
        // What APIs say beside it.
        let decoration: &[(&str, u64)] = match &pager.kind {
            Kind::Everything => &[],
            Kind::Offset { start, .. } => &[("offset", page.start + start), ("limit", page.size)],
            Kind::Number { start, .. } => &[("page", page.number() + start), ("size", page.size)],
            _ => &[("limit", page.size)],
        };
        for (name, value) in decoration {
            // XML has one root, and all else is below it.
            let xml = self.route.response.format == BodyFormat::Xml;
            let root = self
                .route
                .content
                .first()
                .and_then(|(_, steps)| steps.first());
            let mut path: Path = root.filter(|_| xml).into_iter().cloned().collect();
            path.push(Step::Key((*name).to_owned()));
            put(&path, (*value).into());
        }
        if page.number().is_multiple_of(2) {
            document.reverse();
        }
        (document, headers)
    }

    fn put_next(
        &self,
        request: &RequestRecord,
        page: Page,
        next: Option<u64>,
        longest: u64,
        document: &mut Node,
        headers: &mut HeaderMap,
    ) {
        let pager = &self.route.pager;
        let (source, value) = match &pager.kind {
            Kind::Cursor { source, .. } => (source, next.map(|next| pager.encode(next))),
            Kind::Link { source, param } => {
                let link = next.map(|next| self.link(request, param, Some(next)));
                (source, link)
            }
            _ => return,
        };
        match (source, value) {
            (CursorSource::Body(path), Some(value)) => {
                document.place(path, Node::Value(value.into()));
            }
            (CursorSource::Body(path), None) => {
                let value = match self.options.last_cursor {
                    LastCursor::Missing => return,
                    LastCursor::Null => Value::Null,
                    LastCursor::Empty => "".into(),
                };
                document.place(path, Node::Value(value));
            }
            (CursorSource::Header(name), Some(value)) => {
                if let (Ok(name), Ok(value)) = (
                    HeaderName::from_bytes(name.as_bytes()),
                    HeaderValue::from_str(&value),
                ) {
                    headers.append(name, value);
                }
            }
            (CursorSource::Link(relation), value) => {
                let param = pager.link_param().unwrap_or("cursor");
                let first = self.link(request, param, None);
                let last_start = longest.saturating_sub(1) / page.size * page.size;
                let last = self.link(request, param, Some(last_start));
                for line in link_header(page.number(), relation, value.as_deref(), &first, &last) {
                    if let Ok(line) = HeaderValue::from_str(&line) {
                        headers.append(LINK, line);
                    }
                }
            }
            (CursorSource::Header(_), None)
            // Paging serves these as places of the body.
            | (CursorSource::LastRecord(_) | CursorSource::Jinja(_), _) => {}
        }
    }

    /// A link to the same request at another position.
    fn link(&self, request: &RequestRecord, param: &str, position: Option<u64>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.route.repeated(&request.query));
        if let Some(position) = position {
            query.append_pair(param, &self.route.pager.encode(position));
        }
        let query = query.finish();
        match self.options.links {
            LinkForm::Absolute => format!("{}{}?{query}", self.origin, request.path),
            LinkForm::Path => format!("{}?{query}", request.path),
            LinkForm::Query => format!("?{query}"),
        }
    }
}

/// The lines of a `Link` header in one of the forms that RFC 8288, section 3 allows.
fn link_header(
    page: u64,
    relation: &str,
    next: Option<&str>,
    first: &str,
    last: &str,
) -> Vec<String> {
    let others = format!("<{first}>; rel=\"first\", <{last}>; rel=\"last\"");
    let Some(next) = next else {
        return vec![others];
    };
    match page % 4 {
        // The usual form.
        0 => vec![format!("<{next}>; rel=\"{relation}\", {others}")],
        // A header of its own, behind the others; names and relations know no case.
        1 => vec![
            others,
            format!("<{next}>; REL=\"{}\"", relation.to_uppercase()),
        ],
        // A title that looks like a link, no blanks, several relations.
        2 => vec![format!(
            "{others},<{next}>;title=\"a, <b>; rel=\\\"prev\\\"\";rel=\"section {relation}\""
        )],
        // A token instead of a quoted string; only the first `rel` counts.
        _ => vec![format!("<{next}>; rel={relation}; rel=\"prev\" , {others}")],
    }
}
