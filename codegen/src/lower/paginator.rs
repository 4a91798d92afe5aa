//! How the next page is found.

use connector_plan::{
    Condition, Cursor, CursorSource, Method, Offset, PageNumber, Paginator, Path, Root, Step, Stop,
    Target, Template,
};
use serde_json::Value;

use super::Lowering;
use super::condition::Moment;
use super::request::Request;
use crate::diagnostic::{Diagnostic, code};
use crate::expression::Piece;
use crate::source::Span;
use crate::spec::{
    CursorSpec, Given, HeaderCursorSpec, HeaderLinkSpec, JsonLinkSpec, Key, OffsetSpec,
    PageNumberSpec, PaginatorSpec, Text,
};
use crate::words::quote;

/// Where a spec may say that a paging value goes; at most one of them is written.
struct Places<'s> {
    param: &'s Key<Text>,
    body: &'s Key<Text>,
    header: &'s Key<Text>,
    default: &'static str,
    blame: Span,
}

/// When paging ends, as the spec says it.
struct StopKeys<'s> {
    condition: &'s Key<Text>,
    total: Option<&'s Key<Text>>,
    has_more: &'s Key<Text>,
    after_empty_page: bool,
    on_short_page: bool,
}

/// What the paginators that follow links and headers have in common.
struct LinkKeys<'s> {
    limit: Option<(u64, Span)>,
    places: Places<'s>,
    condition: &'s Key<Text>,
    has_more: &'s Key<Text>,
    after_empty_page: bool,
}

/// The [`LinkKeys`] of a spec: the structs that have these keys are types of their own.
macro_rules! link_keys {
    ($spec:expr) => {
        LinkKeys {
            limit: $spec
                .limit
                .given()
                .map(|given| (given.value.0, given.key.span)),
            places: Places {
                param: &$spec.limit_param,
                body: &$spec.limit_body_path,
                header: &$spec.limit_header,
                default: "limit",
                blame: $spec.blame,
            },
            condition: &$spec.stop_condition,
            has_more: &$spec.has_more_path,
            after_empty_page: $spec.stop_after_empty_page.get().copied().unwrap_or(false),
        }
    };
}

impl Lowering<'_, '_> {
    /// The paginator of a request, from which it takes over what it sends itself.
    pub(super) fn paginator(&mut self, spec: &PaginatorSpec, request: &mut Request) -> Paginator {
        match spec {
            PaginatorSpec::SinglePage(_) => Paginator::SinglePage,
            PaginatorSpec::Auto(_) => Paginator::Auto,
            PaginatorSpec::Offset(spec) => self.offset(spec, request),
            PaginatorSpec::PageNumber(spec) => self.page_number(spec, request),
            PaginatorSpec::Cursor(spec) => self.cursor(spec, request),
            PaginatorSpec::JsonLink(spec) => self.json_link(spec, request),
            PaginatorSpec::HeaderLink(spec) => self.header_link(spec, request),
            PaginatorSpec::HeaderCursor(spec) => self.header_cursor(spec, request),
        }
    }

    fn offset(&mut self, spec: &OffsetSpec, request: &mut Request) -> Paginator {
        let offset = self.paging_target(
            &Places {
                param: &spec.offset_param,
                body: &spec.offset_body_path,
                header: &spec.offset_header,
                default: "offset",
                blame: spec.blame,
            },
            request,
        );
        let (limit, limit_target) = self.limit(
            spec.limit
                .given()
                .map(|given| (given.value.0, given.key.span)),
            &Places {
                param: &spec.limit_param,
                body: &spec.limit_body_path,
                header: &spec.limit_header,
                default: "limit",
                blame: spec.blame,
            },
            request,
        );
        let stop = self.stop(&StopKeys {
            condition: &spec.stop_condition,
            total: Some(&spec.total_path),
            has_more: &spec.has_more_path,
            after_empty_page: spec.stop_after_empty_page.get().copied().unwrap_or(true),
            on_short_page: spec.stop_on_short_page.get().copied().unwrap_or(false),
        });
        let start = spec.offset.get().map_or(0, |value| value.0);
        let maximum = spec.maximum_offset.given();
        self.check_end(
            &stop,
            maximum.is_some(),
            &spec.stop_after_empty_page,
            spec.blame,
        );
        self.check_short_page(&spec.stop_on_short_page, limit);
        if let Some(given) = maximum
            && given.value.0 <= start
        {
            self.invalid(
                "paging would end before it begins",
                given.span,
                format!("the first offset is {start}"),
            );
        }
        Paginator::Offset(Offset {
            start,
            offset,
            limit,
            limit_target,
            maximum: maximum.map(|given| given.value.0),
            stop,
        })
    }

    fn page_number(&mut self, spec: &PageNumberSpec, request: &mut Request) -> Paginator {
        let page = self.paging_target(
            &Places {
                param: &spec.page_param,
                body: &spec.page_body_path,
                header: &spec.page_header,
                default: "page",
                blame: spec.blame,
            },
            request,
        );
        let (limit, limit_target) = self.limit(
            spec.limit
                .given()
                .map(|given| (given.value.0, given.key.span)),
            &Places {
                param: &spec.limit_param,
                body: &spec.limit_body_path,
                header: &spec.limit_header,
                default: "limit",
                blame: spec.blame,
            },
            request,
        );
        let stop = self.stop(&StopKeys {
            condition: &spec.stop_condition,
            total: Some(&spec.total_path),
            has_more: &spec.has_more_path,
            after_empty_page: spec.stop_after_empty_page.get().copied().unwrap_or(true),
            on_short_page: spec.stop_on_short_page.get().copied().unwrap_or(false),
        });
        let base = spec.base_page.get().map(|value| value.0);
        let start = spec.page.get().map(|value| value.0).or(base).unwrap_or(0);
        if let (Some(base), Some(given)) = (base, spec.page.given())
            && start < base
        {
            self.invalid(
                "paging begins before the first page",
                given.span,
                format!("the first page is {base}"),
            );
        }
        let maximum = spec.maximum_page.given();
        self.check_end(
            &stop,
            maximum.is_some(),
            &spec.stop_after_empty_page,
            spec.blame,
        );
        self.check_short_page(&spec.stop_on_short_page, limit);
        if let Some(given) = maximum
            && given.value.0 <= start
        {
            self.invalid(
                "paging would end before it begins",
                given.span,
                format!("the first page is {start}"),
            );
        }
        Paginator::PageNumber(PageNumber {
            start,
            base: base.filter(|base| *base < start),
            page,
            limit,
            limit_target,
            maximum: maximum.map(|given| given.value.0),
            stop,
        })
    }

    fn cursor(&mut self, spec: &CursorSpec, request: &mut Request) -> Paginator {
        if let (Some(path), Some(value)) = (spec.cursor_path.given(), spec.cursor_value.given()) {
            self.reporter.conflict(
                "`cursor_path` and `cursor_value` both say where the cursor is",
                path.key.span.max(value.key.span),
                path.key.span.min(value.key.span),
            );
        }
        let source = match (spec.cursor_value.given(), spec.cursor_path.get()) {
            (Some(value), _) => self.cursor_value(value),
            (None, Some(path)) => CursorSource::Body(self.single_path(path)),
            (None, None) => CursorSource::Body(vec![
                Step::Key("cursors".to_owned()),
                Step::Key("next".to_owned()),
            ]),
        };
        let (cursor, first) = self.cursor_target(
            &Places {
                param: &spec.cursor_param,
                body: &spec.cursor_body_path,
                header: &spec.cursor_header,
                default: "cursor",
                blame: spec.blame,
            },
            request,
        );
        let (limit, limit_target) = self.limit(
            spec.limit
                .given()
                .map(|given| (given.value.0, given.key.span)),
            &Places {
                param: &spec.limit_param,
                body: &spec.limit_body_path,
                header: &spec.limit_header,
                default: "limit",
                blame: spec.blame,
            },
            request,
        );
        let stop = self.stop(&StopKeys {
            condition: &spec.stop_condition,
            total: None,
            has_more: &spec.has_more_path,
            after_empty_page: spec.stop_after_empty_page.get().copied().unwrap_or(false),
            on_short_page: false,
        });
        Paginator::Cursor(Cursor {
            source,
            cursor: Some(cursor),
            first,
            follow_links: [
                &spec.cursor_param,
                &spec.cursor_body_path,
                &spec.cursor_header,
            ]
            .iter()
            .all(|key| key.is_unset()),
            limit,
            limit_target,
            stop,
        })
    }

    /// A cursor that is an expression, compiled to the path that it looks up.
    fn cursor_value(&mut self, given: &Given<Text>) -> CursorSource {
        let nowhere = CursorSource::Body(Path::new());
        let pieces = self.pieces(&given.value.value, given.span);
        let found = match pieces.as_slice() {
            // What is wrong inside the expression has been reported.
            [] if !given.value.value.trim().is_empty() => return nowhere,
            [Piece::Lookup(found)] => found,
            [Piece::Jinja(compiled)] => {
                return CursorSource::Jinja(self.jinja(compiled, &given.value, Moment::Page));
            }
            _ => {
                self.report(
                    Diagnostic::error(code::EXPRESSION, "a cursor is exactly one expression")
                        .label(given.span, "text stands beside or instead of it")
                        .help("write `\"{{ response.get('next_marker') }}\"`, or `cursor_path: next_marker`"),
                );
                return nowhere;
            }
        };
        // Whatever ends paging by itself may be the default; it says what is so anyway.
        let harmless = match &found.default {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => text.is_empty(),
            Some(Value::Array(items)) => items.is_empty(),
            Some(Value::Object(members)) => members.is_empty(),
            Some(Value::Bool(truth)) => !truth,
            Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        };
        if !harmless {
            self.invalid(
                "a cursor cannot have a default that goes on",
                given.span,
                "paging would never end",
            );
        }
        match (found.root, found.path.as_slice()) {
            (Root::Response, [_, ..]) => CursorSource::Body(found.path.clone()),
            (Root::Headers, [Step::Key(name)]) => {
                self.header_name(name, given.span);
                CursorSource::Header(name.to_ascii_lowercase())
            }
            (Root::LastRecord, [_, ..]) => CursorSource::LastRecord(found.path.clone()),
            _ => {
                self.invalid(
                    "a cursor is looked up in `response`, `headers` or `last_record`",
                    given.span,
                    "this is something else",
                );
                nowhere
            }
        }
    }

    fn json_link(&mut self, spec: &JsonLinkSpec, request: &mut Request) -> Paginator {
        let path = match spec.next_url_path.get() {
            Some(text) => self.single_path(text),
            None => vec![Step::Key("next".to_owned())],
        };
        let keys = link_keys!(spec);
        self.followed(CursorSource::Body(path), None, &keys, request)
    }

    fn header_link(&mut self, spec: &HeaderLinkSpec, request: &mut Request) -> Paginator {
        let relation = match spec.links_next_key.get() {
            None => "next".to_owned(),
            Some(text) => {
                if text.value.trim().is_empty() || text.value.contains(['"', '{', '}']) {
                    self.invalid("the relation of a link is a word or a URL", text.span, "");
                }
                text.value.clone()
            }
        };
        let keys = link_keys!(spec);
        self.followed(CursorSource::Link(relation), None, &keys, request)
    }

    fn header_cursor(&mut self, spec: &HeaderCursorSpec, request: &mut Request) -> Paginator {
        let name = match spec.cursor_key.get() {
            None => "next".to_owned(),
            Some(text) => {
                self.header_name(&text.value, text.span);
                text.value.to_ascii_lowercase()
            }
        };
        let target = self.cursor_target(
            &Places {
                param: &spec.cursor_param,
                body: &spec.cursor_body_path,
                header: &spec.cursor_header,
                default: "cursor",
                blame: spec.blame,
            },
            request,
        );
        let keys = link_keys!(spec);
        self.followed(CursorSource::Header(name), Some(target), &keys, request)
    }

    /// Paging by what the response gives: a link to follow, or a header to send back.
    fn followed(
        &mut self,
        source: CursorSource,
        target: Option<(Target, Option<Value>)>,
        keys: &LinkKeys<'_>,
        request: &mut Request,
    ) -> Paginator {
        let (limit, limit_target) = self.limit(keys.limit, &keys.places, request);
        let (cursor, first) = target.unzip();
        Paginator::Cursor(Cursor {
            source,
            cursor,
            first: first.flatten(),
            follow_links: false,
            limit,
            limit_target,
            stop: self.stop(&StopKeys {
                condition: keys.condition,
                total: None,
                has_more: keys.has_more,
                after_empty_page: keys.after_empty_page,
                on_short_page: false,
            }),
        })
    }

    /// Where a cursor goes. What the request itself gives the same place is the first cursor; in a
    /// path there has to be one.
    fn cursor_target(
        &mut self,
        places: &Places<'_>,
        request: &mut Request,
    ) -> (Target, Option<Value>) {
        let (target, span) = self.target(places, request);
        let Target::Path(name) = &target else {
            return (target, None);
        };
        let given = request
            .params
            .iter()
            .position(|(param, _)| param.name == *name)
            .map(|at| request.params.remove(at));
        let first = match given.as_ref().map(|(param, _)| param.values.as_slice()) {
            Some([Template::Literal(value)]) if !value.is_null() => Some(value.clone()),
            _ => {
                self.report(
                    Diagnostic::error(
                        code::MISSING_KEY,
                        "the first request has no cursor to put into the path",
                    )
                    .label(given.as_ref().map_or(span, |(_, span)| *span), "")
                    .help(format!(
                        "write `params: {{{name}: …}}` with the constant that the first request sends"
                    )),
                );
                None
            }
        };
        (target, first)
    }

    /// Where a paging value goes, which nothing else may fill.
    fn paging_target(&mut self, places: &Places<'_>, request: &mut Request) -> Target {
        let (target, span) = self.target(places, request);
        let taken = match &target {
            Target::Query(name) => request
                .params
                .iter()
                .find(|(param, _)| param.name == *name)
                .map(|(_, span)| *span),
            Target::Json(keys) => match keys.as_slice() {
                [key] => member(request, key),
                _ => None,
            },
            Target::Form(name) => member(request, name),
            Target::Path(name) => request
                .params
                .iter()
                .find(|(param, _)| param.name == *name)
                .map(|(_, span)| *span),
            Target::Header(_) => None,
        };
        if let Some(taken) = taken {
            self.report(
                Diagnostic::error(code::CONFLICT, "the paginator sends this itself")
                    .label(taken, "sent here as well")
                    .label(span, "by this paginator")
                    .help("remove it from the request; the first value is a key of the paginator"),
            );
        }
        target
    }

    /// The page size and where it goes. Without a size of its own the paginator takes over the one
    /// that the request sends anyway.
    fn limit(
        &mut self,
        limit: Option<(u64, Span)>,
        places: &Places<'_>,
        request: &mut Request,
    ) -> (Option<u64>, Option<Target>) {
        let (target, span) = self.target(places, request);
        let (position, in_params) = match &target {
            Target::Query(name) => (
                request
                    .params
                    .iter()
                    .position(|(param, _)| param.name == *name),
                true,
            ),
            Target::Json(keys) => match keys.as_slice() {
                [key] => (member_position(request, key), false),
                _ => (None, false),
            },
            Target::Form(name) => (member_position(request, name), false),
            Target::Path(name) => (
                request
                    .params
                    .iter()
                    .position(|(param, _)| param.name == *name),
                true,
            ),
            Target::Header(_) => (None, false),
        };
        let members = request.body.as_mut().map(|body| &mut body.members);
        let sent = match (position, in_params, members) {
            (Some(at), true, _) => {
                let (param, span) = &request.params[at];
                let value = match param.values.as_slice() {
                    [value] => size(value),
                    _ => None,
                };
                Some((value, *span))
            }
            (Some(at), false, Some(members)) => {
                let (member, span) = &members[at];
                Some((size(&member.value), *span))
            }
            _ => None,
        };
        match (limit, sent) {
            (Some((limit, key)), Some((_, sent))) => {
                self.report(
                    Diagnostic::error(code::CONFLICT, "the page size is given twice")
                        .label(key, "by the paginator")
                        .label(sent, "and by the request")
                        .help("remove one of them"),
                );
                (Some(limit), Some(target))
            }
            (Some((limit, _)), None) => (Some(limit), Some(target)),
            (None, Some((Some(size), _))) => {
                if let Some(at) = position {
                    if in_params {
                        request.params.remove(at);
                    } else if let Some(body) = &mut request.body {
                        body.members.remove(at);
                    }
                }
                (Some(size), Some(target))
            }
            (None, sent) if matches!(target, Target::Path(_)) => {
                self.report(
                    Diagnostic::error(code::MISSING_KEY, "the path needs a page size")
                        .label(sent.map_or(span, |(_, span)| span), "")
                        .help("write `limit`"),
                );
                (None, None)
            }
            (None, Some((None, _))) => (None, None),
            (None, None) => {
                let written = [places.param, places.body, places.header];
                if written.iter().any(|key| key.get().is_some()) {
                    self.report(
                        Diagnostic::warning(
                            code::NO_EFFECT,
                            "no page size is given, so this is never sent",
                        )
                        .label(span, "has no effect")
                        .help("write `limit`, or remove this"),
                    );
                }
                (None, None)
            }
        }
    }

    /// Where a value goes, and what in the spec says so.
    fn target(&mut self, places: &Places<'_>, request: &Request) -> (Target, Span) {
        let given = [places.param, places.body, places.header]
            .map(|key| key.given().map(|given| given.key.span));
        let mut written = given.iter().flatten();
        if let (Some(first), Some(second)) = (written.next(), written.next()) {
            self.reporter.conflict(
                "a paging value goes to one place",
                *first.max(second),
                *first.min(second),
            );
        }
        let span = given.into_iter().flatten().next().unwrap_or(places.blame);
        if let Some(text) = places.header.get() {
            self.header_name(&text.value, text.span);
            return (Target::Header(text.value.clone()), span);
        }
        if let Some(text) = places.body.get() {
            return (self.body_target(text, request), span);
        }
        let name = match places.param.get() {
            None => places.default.to_owned(),
            Some(text) => {
                if text.value.is_empty() {
                    self.invalid("the name of a parameter is empty", text.span, "");
                }
                text.value.clone()
            }
        };
        if let Some(path) = request.path_span
            && self.take_unbound(&name, path)
        {
            return (Target::Path(name), span);
        }
        (Target::Query(name), span)
    }

    fn body_target(&mut self, text: &Text, request: &Request) -> Target {
        if request.method == Method::Get {
            self.report(
                Diagnostic::error(code::CONFLICT, "a `GET` request has no body")
                    .label(text.span, "this would go into the body")
                    .label(request.blame, "of this request")
                    .help("write `method: POST` in the endpoint"),
            );
        }
        let keys = self.body_path(text);
        let form = request.body.as_ref().is_some_and(|body| !body.json);
        if !form {
            return Target::Json(keys);
        }
        if keys.len() > 1 {
            self.invalid(
                "a form has no levels",
                text.span,
                format!(
                    "the body of this request is the form `data`, {} is deep",
                    quote(&text.value)
                ),
            );
        }
        Target::Form(keys.into_iter().next().unwrap_or_default())
    }

    fn stop(&mut self, keys: &StopKeys<'_>) -> Stop {
        let total = keys.total.and_then(Key::get);
        Stop {
            after_empty_page: keys.after_empty_page,
            on_short_page: keys.on_short_page,
            total: total.map(|text| self.single_path(text)),
            has_more: keys.has_more.get().map(|text| self.single_path(text)),
            condition: self.stop_condition(keys.condition),
        }
    }

    fn stop_condition(&mut self, key: &Key<Text>) -> Option<Condition> {
        self.condition(key.get()?, Moment::Page)
    }

    /// Checks that paging can end.
    fn check_end(&mut self, stop: &Stop, maximum: bool, empty: &Key<bool>, blame: Span) {
        let ends = stop.after_empty_page
            || stop.on_short_page
            || stop.total.is_some()
            || stop.has_more.is_some()
            || stop.condition.is_some()
            || maximum;
        if !ends {
            self.report(
                Diagnostic::error(code::ENDLESS, "nothing ends this paging")
                    .label(empty.key_span().unwrap_or(blame), "an empty page does not")
                    .help("remove this, or write `total_path`, `has_more_path` or a maximum"),
            );
        }
    }

    fn check_short_page(&mut self, key: &Key<bool>, limit: Option<u64>) {
        if key.get() == Some(&true)
            && limit.is_none()
            && let Some(span) = key.key_span()
        {
            self.report(
                Diagnostic::error(code::MISSING_KEY, "a short page needs a page size")
                    .label(span, "shorter than what?")
                    .help("write `limit`"),
            );
        }
    }
}

fn member(request: &Request, name: &str) -> Option<Span> {
    let at = member_position(request, name)?;
    Some(request.body.as_ref()?.members.get(at)?.1)
}

fn member_position(request: &Request, name: &str) -> Option<usize> {
    let members = &request.body.as_ref()?.members;
    members.iter().position(|(member, _)| member.name == name)
}

/// A constant page size.
fn size(value: &Template) -> Option<u64> {
    match value {
        Template::Literal(Value::Number(number)) => number.as_u64(),
        Template::Literal(Value::String(text)) => text.parse().ok(),
        _ => None,
    }
    .filter(|size| *size > 0)
}
