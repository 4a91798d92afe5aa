//! Cursors of bodies, headers and last records.

use connector_sandbox::Answer;
use serde_json::{Value, json};

use super::{Case, PLACES, Place, check, ids, page};

/// Where the response has the cursor.
#[derive(Clone, Copy, Debug, PartialEq)]
enum From {
    Path,
    Expression,
    Computed,
    LastRecord,
    Header,
    HeaderExpression,
}

const FROM: [From; 6] = [
    From::Path,
    From::Expression,
    From::Computed,
    From::LastRecord,
    From::Header,
    From::HeaderExpression,
];

impl From {
    fn key(self) -> &'static str {
        match self {
            Self::Path => "type: cursor\n  cursor_path: meta.next",
            Self::Expression => {
                "type: cursor\n  cursor_value: \"{{ response.get('meta', {}).get('next') }}\""
            }
            Self::Computed => "type: cursor\n  cursor_value: \"{{ response.meta.next or '' }}\"",
            Self::LastRecord => "type: cursor\n  cursor_value: \"{{ last_record['id'] }}\"",
            Self::Header => "type: header_cursor\n  cursor_key: X-Next",
            Self::HeaderExpression => "type: cursor\n  cursor_value: \"{{ headers['x-next'] }}\"",
        }
    }

    /// The cursor behind the records up to `end`.
    fn cursor(self, end: usize) -> Value {
        match self {
            // The server of these cases goes on behind the record of this number.
            Self::LastRecord => json!(end - 1),
            // A cursor that needs encoding.
            _ => json!(format!("c/{end}+=")),
        }
    }

    fn position(self, cursor: &str) -> usize {
        let digits: String = cursor.chars().filter(char::is_ascii_digit).collect();
        let number: usize = digits.parse().unwrap();
        if self == Self::LastRecord {
            number + 1
        } else {
            number
        }
    }
}

/// How the last page says that it is the last.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Missing,
    Null,
    EmptyText,
    Zero,
    False,
    EmptyObject,
    EmptyArray,
    /// Cursors go on, this does not.
    HasMore,
    Condition,
    EmptyPage,
}

const ENDS: [End; 10] = [
    End::Missing,
    End::Null,
    End::EmptyText,
    End::Zero,
    End::False,
    End::EmptyObject,
    End::EmptyArray,
    End::HasMore,
    End::Condition,
    End::EmptyPage,
];

impl End {
    /// Whether the cursor can say it there.
    fn fits(self, from: From) -> bool {
        match from {
            From::LastRecord => matches!(self, Self::HasMore | Self::Condition | Self::EmptyPage),
            From::Header | From::HeaderExpression => matches!(
                self,
                Self::Missing | Self::EmptyText | Self::HasMore | Self::Condition | Self::EmptyPage
            ),
            _ => true,
        }
    }

    fn keys(self) -> &'static str {
        match self {
            Self::HasMore => "\n  has_more_path: meta.more",
            Self::Condition => "\n  stop_condition: \"{{ response.meta.count < 10 }}\"",
            Self::EmptyPage => "\n  stop_after_empty_page: true",
            _ => "",
        }
    }

    /// The cursor of the last page; none at all, or the one that goes on.
    fn last(self) -> Option<Option<Value>> {
        match self {
            Self::Missing => Some(None),
            Self::Null => Some(Some(json!(null))),
            Self::EmptyText => Some(Some(json!(""))),
            Self::Zero => Some(Some(json!(0))),
            Self::False => Some(Some(json!(false))),
            Self::EmptyObject => Some(Some(json!({}))),
            Self::EmptyArray => Some(Some(json!([]))),
            Self::HasMore | Self::Condition | Self::EmptyPage => None,
        }
    }
}

fn case(place: Place, method: &'static str, from: From, end: End, all: usize) -> Case {
    let mut case = Case::plain(&format!("cursor {place:?} {method} {from:?} {end:?} {all}"));
    // A path needs a cursor from the first request on.
    let first = if place == Place::Path {
        "\nparams: {after: start}"
    } else {
        ""
    };
    case.endpoint = format!(
        "{}{first}\npaginator:\n  {}\n  {}{}",
        place.endpoint(method, "after"),
        from.key(),
        place.key("cursor", "after"),
        end.keys(),
    );
    case.server = Box::new(move |asked, _| {
        let start = match place.read(asked, "after").as_deref() {
            None | Some("start") => 0,
            Some(cursor) => from.position(&percent_decoded(cursor)),
        };
        let got = ids(start, 10, all);
        let is_last = start + 10 >= all;
        let mut body = page(
            got.clone(),
            json!({"meta": {"more": !is_last, "count": got.len()}}),
        );
        // Cursors beyond the end differ, as those of streams do.
        let goes_on = from.cursor((start + got.len()).max(1));
        let cursor = match end.last() {
            Some(last) if is_last => last,
            _ => Some(goes_on),
        };
        let mut header = None;
        match (from, cursor) {
            (_, None) | (From::LastRecord, _) => {}
            (From::Header | From::HeaderExpression, Some(cursor)) => {
                header = Some(cursor.as_str().unwrap().to_owned());
            }
            (_, Some(cursor)) => body["meta"]["next"] = cursor,
        }
        let answer = Answer::json(200, body.to_string());
        match header {
            Some(header) => answer.header("x-next", &header),
            None => answer,
        }
    });
    case.expect = Ok(ids(0, all, all));
    // One request a page; where only an empty page ends it, one more.
    let pages = match end {
        End::EmptyPage => all.div_ceil(10) + 1,
        // A full page does not tell the condition that it is the last.
        End::Condition => all / 10 + 1,
        _ => all.div_ceil(10).max(1),
    };
    let show = |nth: usize| {
        let cursor = match (nth, place) {
            (0, Place::Path) => vec![("after", json!("start"))],
            (0, _) => Vec::new(),
            _ => vec![("after", from.cursor((nth * 10).min(all)))],
        };
        let shown = place.show(method, &cursor);
        match (place, cursor.first()) {
            (Place::Path, Some((_, Value::String(text)))) => shown.replace(
                text,
                &text
                    .replace('/', "%2F")
                    .replace('+', "%2B")
                    .replace('=', "%3D"),
            ),
            (Place::Form, Some((_, Value::String(text)))) => shown.replace(
                text,
                &text
                    .replace('/', "%2F")
                    .replace('+', "%2B")
                    .replace('=', "%3D"),
            ),
            _ => shown,
        }
    };
    case.requests = (0..pages).map(show).collect();
    case
}

fn percent_decoded(text: &str) -> String {
    text.replace("%2F", "/")
        .replace("%2B", "+")
        .replace("%3D", "=")
}

#[test]
fn cursors() {
    let mut cases = Vec::new();
    for (place, method) in PLACES {
        for from in FROM {
            for end in ENDS.into_iter().filter(|end| end.fits(from)) {
                let all = if matches!(end, End::HasMore | End::EmptyPage) {
                    20
                } else {
                    25
                };
                cases.push(case(place, method, from, end, all));
                if from == From::Path {
                    cases.push(case(place, method, from, end, 0));
                }
            }
        }
    }
    check(500, cases);
}

/// Forms that the combinations above do not have.
#[test]
fn other_forms() {
    let mut cases = Vec::new();
    let mut add = |name: &str,
                   endpoint: &str,
                   pages: Vec<Value>,
                   expect: Result<i64, &str>,
                   asked: &[&str]| {
        let mut case = Case::plain(name);
        case.expect = expect
            .map(|all| (0..all).collect())
            .map_err(|part| vec![part.to_owned()]);
        case.endpoint = format!("path: /items\ndata_selector: data\n{endpoint}");
        case.server = Box::new(move |_, nth| Answer::json(200, pages[nth - 1].to_string()));
        case.requests = asked.iter().map(|asked| (*asked).to_owned()).collect();
        cases.push(case);
    };
    let next = |start: i64, cursor: Value| page(start..start + 2, json!({"next": cursor}));
    add(
        "a first cursor that the request gives",
        "params: {cursor: \"*\"}\npaginator: {type: cursor, cursor_path: next, limit: 2}",
        vec![next(0, json!("b")), next(2, json!(null))],
        Ok(4),
        &["GET /items?cursor=*&limit=2", "GET /items?cursor=b&limit=2"],
    );
    add(
        "a first cursor in the JSON body",
        "method: POST\njson: {page: {after: \"0\"}}\npaginator: {type: cursor, cursor_path: next, cursor_body_path: page.after}",
        vec![next(0, json!(17)), next(2, json!(null))],
        Ok(4),
        &[
            r#"POST /items | content-type: application/json | {"page":{"after":"0"}}"#,
            r#"POST /items | content-type: application/json | {"page":{"after":17}}"#,
        ],
    );
    add(
        "a cursor that is an object keeps its JSON type",
        "method: POST\njson: {}\npaginator: {type: cursor, cursor_path: next, cursor_body_path: after}",
        vec![next(0, json!({"id": 1})), next(2, json!(null))],
        Ok(4),
        &[
            "POST /items | content-type: application/json | {}",
            r#"POST /items | content-type: application/json | {"after":{"id":1}}"#,
        ],
    );
    add(
        "the same cursor again",
        "paginator: {type: cursor, cursor_path: next}",
        vec![next(0, json!("b")), next(2, json!("b"))],
        Err("the API gives the same cursor again"),
        &["GET /items", "GET /items?cursor=b"],
    );
    add(
        "a cycle of two",
        "paginator: {type: cursor, cursor_path: next}",
        vec![
            next(0, json!("b")),
            next(2, json!("c")),
            next(4, json!("b")),
        ],
        Err("the API gives the same cursor again"),
        &["GET /items", "GET /items?cursor=b", "GET /items?cursor=c"],
    );
    add(
        "more, but no cursor",
        "paginator: {type: cursor, cursor_path: next, has_more_path: more}",
        vec![page(0..2, json!({"more": true}))],
        Err("the response says that there is more but has no cursor"),
        &["GET /items"],
    );
    add(
        "has_more_path leads nowhere",
        "paginator: {type: cursor, cursor_path: next, has_more_path: more}",
        vec![next(0, json!("b"))],
        Err("expected whether there is more"),
        &["GET /items"],
    );
    add(
        "a cursor that is a link, with no parameter named",
        "paginator: {type: cursor, cursor_path: next}",
        vec![next(0, json!("?after=b")), next(2, json!(null))],
        Ok(4),
        &["GET /items", "GET /items?after=b"],
    );
    add(
        "the same page again",
        "paginator: {type: page_number}",
        vec![next(0, json!(1)), next(0, json!(1))],
        Err("the API gives the same page again"),
        &["GET /items?page=0", "GET /items?page=1"],
    );
    check(9, cases);
}
