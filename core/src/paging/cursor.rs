//! Paging by a value of the response: a cursor to send back, or a link to follow.

use connector_plan::{Cursor, CursorSource, Path};
use http::HeaderMap;
use http::header::LINK;
use url::Url;

use super::{PageFacts, Paginator, StopRules, Turn, Verdict, show};
use crate::{Error, ErrorKind, Json, Result};

#[derive(Debug)]
pub(super) struct CursorPaginator {
    plan: Cursor,
    stop: StopRules,
}

impl CursorPaginator {
    pub(super) fn new(plan: Cursor) -> Self {
        Self {
            stop: StopRules(plan.stop.clone()),
            plan,
        }
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
            CursorSource::Header(name) => page
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .and_then(text),
            CursorSource::Link(relation) => link(page.headers, relation)?.as_deref().and_then(text),
        })
    }
}

impl Paginator for CursorPaginator {
    fn captures(&self) -> Vec<Path> {
        let mut paths = self.stop.captures();
        if let CursorSource::Body(path) = &self.plan.source {
            paths.push(path.clone());
        }
        paths
    }

    fn first(&mut self) -> Turn {
        self.turn()
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
        let mut turn = match &self.plan.cursor {
            Some(target) => {
                let mut turn = self.turn();
                turn.values.insert(0, (target.clone(), value.clone()));
                turn
            }
            // A link carries everything that the next request needs.
            None => Turn {
                link: Some(follow(page.url, &value)?),
                ..Turn::default()
            },
        };
        turn.token = Some(
            turn.link
                .as_ref()
                .map_or_else(|| value.to_string(), Url::to_string),
        );
        Ok(Some(turn))
    }
}

/// Null, `""`, `0`, `false`, `{}` and `[]` end paging, as they do in the systems that specs come
/// from.
fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Bool(true) => false,
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(members) => members.is_empty(),
    }
}

fn follow(base: &Url, value: &Json) -> Result<Url> {
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
    }
}

/// The target of the `Link` header with this relation (RFC 8288, section 3).
fn link(headers: &HeaderMap, relation: &str) -> Result<Option<String>> {
    for value in headers.get_all(LINK) {
        let Ok(mut rest) = value.to_str() else {
            continue;
        };
        while let Some(start) = rest.find('<') {
            let after = &rest[start + 1..];
            let Some(end) = after.find('>') else { break };
            let target = &after[..end];
            let (parameters, next) = split_link(&after[end + 1..]);
            rest = next;
            if relations(parameters).any(|found| found.eq_ignore_ascii_case(relation)) {
                return Ok(Some(target.to_owned()));
            }
        }
    }
    Ok(None)
}

/// Splits the parameters of one link from the links behind it, at the first comma outside quotes.
fn split_link(text: &str) -> (&str, &str) {
    let mut quoted = false;
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return (&text[..index], &text[index + 1..]),
            _ => {}
        }
    }
    (text, "")
}

/// The relation types of a link's first `rel` parameter.
fn relations(parameters: &str) -> impl Iterator<Item = &str> {
    parameters
        .split(';')
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
