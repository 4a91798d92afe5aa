//! Paging by a value of the response: a cursor to send back, or a link to follow.

use connector_plan::{Cursor, CursorSource, Path, Root};
use http::HeaderMap;
use http::header::LINK;
use url::Url;

use super::{PageFacts, Paginator, StopRules, Turn, Verdict, page_view, show};
use crate::expression::{Captured, Program};
use crate::{Error, ErrorKind, Json, Result, Settings};

#[derive(Debug)]
pub(super) struct CursorPaginator {
    plan: Cursor,
    stop: StopRules,
    /// The cursor when it is an expression.
    program: Option<CursorProgram>,
}

/// A cursor that is computed.
#[derive(Debug)]
struct CursorProgram {
    program: Program,
    settings: Settings,
    response: Vec<Path>,
    last_record: Vec<Path>,
}

impl CursorPaginator {
    pub(super) fn new(plan: Cursor, settings: &Settings) -> Result<Self> {
        let program = match &plan.source {
            CursorSource::Jinja(jinja) => {
                let program = Program::new(jinja, settings)?;
                Some(CursorProgram {
                    settings: settings.clone(),
                    response: program.paths(Root::Response),
                    last_record: program.paths(Root::LastRecord),
                    program,
                })
            }
            _ => None,
        };
        Ok(Self {
            stop: StopRules(plan.stop.clone()),
            program,
            plan,
        })
    }

    fn turn(&self) -> Turn {
        let mut values = Vec::new();
        if let (Some(limit), Some(target)) = (self.plan.limit, &self.plan.limit_target) {
            values.push((target.clone(), Json::from(limit)));
        }
        Turn {
            values,
            link: None,
            token: None,
        }
    }

    fn value(&self, page: &PageFacts<'_>) -> Result<Option<Json>> {
        let text = |text: &str| (!text.is_empty()).then(|| Json::from(text));
        Ok(match &self.plan.source {
            // The captures of the stop rules come first.
            CursorSource::Body(_) => page
                .captures
                .last()
                .and_then(Clone::clone)
                .filter(|value| !is_empty(value)),
            CursorSource::LastRecord(_) => page
                .last_record
                .first()
                .and_then(Clone::clone)
                .filter(|value| !is_empty(value)),
            CursorSource::Jinja(_) => match &self.program {
                Some(program) => {
                    Some(program.evaluate(page, self.plan.limit)?).filter(|value| !is_empty(value))
                }
                None => None,
            },
            CursorSource::Header(name) => page
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .and_then(text),
            CursorSource::Link(relation) => link(page.headers, relation)?.as_deref().and_then(text),
        })
    }
}

impl CursorProgram {
    fn evaluate(&self, page: &PageFacts<'_>, page_size: Option<u64>) -> Result<Json> {
        // The captures of the stop rules come first.
        let stop = page.captures.len().saturating_sub(self.response.len());
        let view = page_view(
            page,
            &self.settings,
            page_size,
            Captured {
                paths: &self.response,
                values: page.captures.get(stop..).unwrap_or_default(),
            },
            Captured {
                paths: &self.last_record,
                values: page.last_record,
            },
        );
        self.program.evaluate(&view)
    }
}

impl Paginator for CursorPaginator {
    fn captures(&self) -> Vec<Path> {
        let mut paths = self.stop.captures();
        match (&self.plan.source, &self.program) {
            (CursorSource::Body(path), _) => paths.push(path.clone()),
            (_, Some(program)) => paths.extend(program.response.iter().cloned()),
            _ => {}
        }
        paths
    }

    fn last_record_captures(&self) -> Vec<Path> {
        match (&self.plan.source, &self.program) {
            (CursorSource::LastRecord(path), _) => vec![path.clone()],
            (_, Some(program)) => program.last_record.clone(),
            _ => Vec::new(),
        }
    }

    fn first(&mut self) -> Turn {
        let mut turn = self.turn();
        if let (Some(target), Some(first)) = (&self.plan.cursor, &self.plan.first) {
            turn.values.insert(0, (target.clone(), first.clone()));
        }
        turn
    }

    fn next(&mut self, page: &PageFacts<'_>) -> Result<Option<Turn>> {
        let verdict = self.stop.judge(page)?;
        if verdict == Verdict::End {
            return Ok(None);
        }
        let Some(value) = self.value(page)? else {
            if verdict == Verdict::More {
                return Err(Error::new(
                    ErrorKind::Source,
                    "the response says that there is more but has no cursor",
                )
                .with("cursor", source_name(&self.plan.source)));
            }
            return Ok(None);
        };
        let is_link = self.plan.follow_links && is_link(&value, page.url);
        let mut turn = match &self.plan.cursor {
            Some(target) if !is_link => {
                let mut turn = self.turn();
                turn.values.insert(0, (target.clone(), value.clone()));
                turn
            }
            // A link carries everything that the next request needs in its URL.
            _ => {
                let mut turn = self.turn();
                turn.values.retain(|(target, _)| !target.is_in_url());
                turn.link = Some(follow(page.url, &value)?);
                turn
            }
        };
        turn.token = Some(
            turn.link
                .as_ref()
                .map_or_else(|| value.to_string(), Url::to_string),
        );
        Ok(Some(turn))
    }

    fn position(&self) -> Option<Json> {
        // The next request has it all.
        Some(Json::Null)
    }

    fn resume(&mut self, _: &Json) -> bool {
        true
    }
}

/// Null, `""`, `0`, `false`, `{}` and `[]` end paging, as they do in the systems that specs come
/// from.
pub(super) fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Bool(true) => false,
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(members) => members.is_empty(),
    }
}

/// Whether a cursor is the next page's URL, its path or its query, rather than a value to send.
///
/// Opaque cursors may begin with a slash, too: a path has a query, or begins as the page's own.
pub(super) fn is_link(value: &Json, page: &Url) -> bool {
    let Some(text) = value.as_str() else {
        return false;
    };
    if text.starts_with("https://") || text.starts_with("http://") || text.starts_with("?") {
        return true;
    }
    let Some(path) = text.strip_prefix('/') else {
        return false;
    };
    let first = |path: &str| path.split(['/', '?']).next().map(str::to_owned);
    text.contains('?')
        || (path.contains('/') && first(path) == first(page.path().trim_start_matches('/')))
}

pub(super) fn follow(base: &Url, value: &Json) -> Result<Url> {
    value
        .as_str()
        .and_then(|link| base.join(link).ok())
        .ok_or_else(|| {
            Error::new(ErrorKind::Source, "the link to the next page is no URL").hint(
                "when the value is a cursor, name the parameter that takes it: `cursor_param`",
            )
        })
}

fn source_name(source: &CursorSource) -> String {
    match source {
        CursorSource::Body(path) => show(path),
        CursorSource::Header(name) => format!("header {name}"),
        CursorSource::Link(relation) => format!("link {relation}"),
        CursorSource::LastRecord(path) => format!("last record, {}", show(path)),
        CursorSource::Jinja(jinja) => jinja.source.clone(),
    }
}

/// The target of the `Link` header with this relation (RFC 8288, section 3).
pub(super) fn link(headers: &HeaderMap, relation: &str) -> Result<Option<String>> {
    for value in headers.get_all(LINK) {
        let Ok(mut rest) = value.to_str() else {
            continue;
        };
        while let Some(start) = rest.find('<') {
            let after = &rest[start + 1..];
            let Some(end) = after.find('>') else { break };
            let target = &after[..end];
            let (parameters, next) = split_unquoted(&after[end + 1..], b',');
            rest = next;
            if relations(parameters).any(|found| found.eq_ignore_ascii_case(relation)) {
                return Ok(Some(target.to_owned()));
            }
        }
    }
    Ok(None)
}

/// Splits a text at the first separator outside quotes: a comma stands between links, a semicolon
/// between the parameters of one.
fn split_unquoted(text: &str, separator: u8) -> (&str, &str) {
    let mut quoted = false;
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if byte == separator && !quoted => return (&text[..index], &text[index + 1..]),
            _ => {}
        }
    }
    (text, "")
}

/// The relation types of a link's first `rel` parameter.
fn relations(parameters: &str) -> impl Iterator<Item = &str> {
    let mut rest = parameters;
    std::iter::from_fn(move || {
        let parameter;
        (parameter, rest) = (!rest.is_empty()).then(|| split_unquoted(rest, b';'))?;
        Some(parameter)
    })
    .filter_map(|parameter| parameter.split_once('='))
    .find(|(name, _)| name.trim().eq_ignore_ascii_case("rel"))
    .map(|(_, value)| value.trim().trim_matches('"'))
    .into_iter()
    .flat_map(str::split_whitespace)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(header: &str, expect: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.insert(LINK, header.parse().unwrap());
        assert_eq!(
            link(&headers, "next").unwrap().as_deref(),
            expect,
            "{header}"
        );
    }

    #[test]
    fn link_headers_are_read_as_rfc_8288_writes_them() {
        check(r#"<https://a/?p=2>; rel="next""#, Some("https://a/?p=2"));
        check(r"<?p=2>; rel=next", Some("?p=2"));
        check(r#"<?p=1>; rel="prev", <?p=3>; rel="next""#, Some("?p=3"));
        check(
            r#"<?p=1,2>; title="a, b; c"; rel="last NEXT""#,
            Some("?p=1,2"),
        );
        check(
            r#"<?p=2>;title="a, <b>; rel=\"prev\"";rel="section next""#,
            Some("?p=2"),
        );
        check(r#"<?p=9>; rel="last""#, None);
        check(r#"<?p=9>; rel="last"; rel="next""#, None);
        check("<?p=9", None);
        check("", None);
    }

    #[test]
    fn empty_values_end_paging() {
        for value in [
            json!(null),
            json!(""),
            json!(0),
            json!({}),
            json!([]),
            json!(false),
        ] {
            assert!(is_empty(&value), "{value}");
        }
        for value in [json!("0"), json!(1), json!({"a": 1}), json!([0])] {
            assert!(!is_empty(&value), "{value}");
        }
    }

    #[test]
    fn a_cursor_that_is_a_link_is_told_from_one_that_is_a_value() {
        #[track_caller]
        fn check(value: &Json, expect: bool) {
            let page = Url::parse("https://a/v1/list?page=1").unwrap();
            assert_eq!(is_link(value, &page), expect, "{value}");
        }
        check(&json!("https://a/v1/list?c=2"), true);
        check(&json!("http://b/"), true);
        check(&json!("?c=2"), true);
        check(&json!("/v1/list/2"), true);
        check(&json!("/v1/list?c=2"), true);
        check(&json!("/other?c=2"), true);
        check(&json!("/9j/4AAQSkZJRg=="), false);
        check(&json!("abc"), false);
        check(&json!("httpsomething"), false);
        check(&json!(7), false);
    }

    #[test]
    fn links_are_resolved_against_the_page() {
        let base = Url::parse("https://a/v1/list?page=1").unwrap();
        let check = |link: &str, expect: &str| {
            assert_eq!(follow(&base, &json!(link)).unwrap().as_str(), expect);
        };
        check("?page=2", "https://a/v1/list?page=2");
        check("/v2?c=x", "https://a/v2?c=x");
        check("//evil/x", "https://evil/x");
        assert!(follow(&base, &json!(7)).is_err());
    }
}
