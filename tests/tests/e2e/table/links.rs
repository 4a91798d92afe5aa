//! Links of bodies and of the `Link` header.

use connector_sandbox::Answer;
use serde_json::{Value, json};

use super::{Case, check, ids, page};

/// Where the link is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum From {
    Json,
    Deep,
    Header,
    HeaderRelation,
    /// `type: cursor` without a parameter.
    Cursor,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Absolute,
    Path,
    Query,
    Relative,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Missing,
    Null,
    EmptyText,
    HasMore,
    Condition,
    EmptyPage,
}

/// Where the page size goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Size {
    Nowhere,
    Query,
    Header,
    Json,
    Form,
}

fn case(from: From, form: Form, end: End, size: Size, all: usize) -> Case {
    let mut case = Case::plain(&format!("link {from:?} {form:?} {end:?} {size:?} {all}"));
    let (method, body) = match size {
        Size::Json => ("POST", "\njson: {kind: a}"),
        Size::Form => ("POST", "\ndata: {kind: a}"),
        _ => ("GET", ""),
    };
    let paginator = match from {
        From::Json => "json_link\n  next_url_path: next",
        From::Deep => "json_response\n  next_url_path: $.links['the.next'].href",
        From::Header => "header_link",
        From::HeaderRelation => "header_link\n  links_next_key: onward",
        From::Cursor => "cursor\n  cursor_path: next",
    };
    let size_keys = match size {
        Size::Nowhere => "",
        Size::Query => "\n  limit: 10",
        Size::Header => "\n  limit: 10\n  limit_header: X-Size",
        Size::Json | Size::Form => "\n  limit: 10\n  limit_body_path: size",
    };
    let end_keys = match end {
        End::HasMore => "\n  has_more_path: more",
        End::Condition => "\n  stop_condition: \"{{ not response.more }}\"",
        End::EmptyPage => "\n  stop_after_empty_page: true",
        _ => "",
    };
    case.endpoint = format!(
        "path: /items/all\nmethod: {method}\nparams: {{q: a b}}\ndata_selector: data{body}\n\
         paginator:\n  type: {paginator}{size_keys}{end_keys}"
    );
    case.server = Box::new(move |asked, _| {
        let start: usize = asked.param("from").map_or(0, |from| from.parse().unwrap());
        let got = ids(start, 10, all);
        let more = start + 10 < all;
        let next = start + got.len().max(1);
        let query = format!("from={next}&seal=%2B%2F");
        // Below `/case/<n>`, whose number the request has not told: only relative forms need none.
        let link = match form {
            Form::Absolute => format!("{{base}}/items/all?{query}"),
            Form::Path => format!("{{path}}/items/all?{query}"),
            Form::Query => format!("?{query}"),
            Form::Relative => format!("../items/all?{query}"),
        };
        let link = link
            .replace("{base}", &asked.headers["x-base"])
            .replace("{path}", &asked.headers["x-path"]);
        let goes_on = matches!(end, End::HasMore | End::Condition | End::EmptyPage);
        let mut body = page(got, json!({"more": more}));
        let mut header = format!("<{link}>; rel=\"other\"");
        let place = |body: &mut Value, value: Value| match from {
            From::Json | From::Cursor => body["next"] = value,
            From::Deep => body["links"] = json!({"the.next": {"href": value}}),
            From::Header | From::HeaderRelation => {}
        };
        if more || goes_on {
            place(&mut body, json!(link));
            let relation = if from == From::Header {
                "next"
            } else {
                "onward"
            };
            header.push_str(&format!(", <{link}>; rel=\"{relation}\""));
        } else {
            match end {
                End::Null => place(&mut body, json!(null)),
                End::EmptyText => place(&mut body, json!("")),
                _ => {}
            }
        }
        let answer = Answer::json(200, body.to_string());
        if matches!(from, From::Header | From::HeaderRelation) {
            answer.header("link", &header)
        } else {
            answer
        }
    });
    // The server has to know where it is to write links of these forms.
    case.client =
        "headers: {X-Base: \"{{ config.base }}\", X-Path: \"{{ config.path }}\"}".to_owned();
    case.inputs = "config: {base: {type: string}, path: {type: string}}\n".to_owned();
    case.settings = vec![("base", "{base}".to_owned()), ("path", "{path}".to_owned())];
    case.expect = Ok(ids(0, all, all));
    let pages = match end {
        End::EmptyPage => all.div_ceil(10) + 1,
        _ => all.div_ceil(10).max(1),
    };
    let own = " | x-base: {base} | x-path: {path}";
    let show = |nth: usize| {
        let query = if nth == 0 {
            "?q=a b".to_owned()
        } else {
            // What the link says, and nothing of the request's own.
            format!("?from={}&seal=+/", (nth * 10).min(all))
        };
        match size {
            Size::Nowhere => format!("GET /items/all{query}{own}"),
            Size::Query if nth == 0 => format!("GET /items/all{query}&limit=10{own}"),
            Size::Query => format!("GET /items/all{query}{own}"),
            Size::Header => format!("GET /items/all{query}{own} | x-size: 10"),
            Size::Json => format!(
                "POST /items/all{query} | content-type: application/json{own} | {{\"kind\":\"a\",\"size\":10}}"
            ),
            Size::Form => format!(
                "POST /items/all{query} | content-type: application/x-www-form-urlencoded{own} | kind=a&size=10"
            ),
        }
    };
    case.requests = (0..pages).map(show).collect();
    case
}

#[test]
fn links() {
    let mut cases = Vec::new();
    for from in [
        From::Json,
        From::Deep,
        From::Header,
        From::HeaderRelation,
        From::Cursor,
    ] {
        for form in [Form::Absolute, Form::Path, Form::Query, Form::Relative] {
            for end in [
                End::Missing,
                End::Null,
                End::EmptyText,
                End::HasMore,
                End::Condition,
                End::EmptyPage,
            ] {
                let in_header = matches!(from, From::Header | From::HeaderRelation);
                let unfit = (in_header && matches!(end, End::Null | End::EmptyText))
                    // A cursor that is `../x` is a value like another.
                    || (from == From::Cursor && form == Form::Relative);
                if unfit {
                    continue;
                }
                for size in [
                    Size::Nowhere,
                    Size::Query,
                    Size::Header,
                    Size::Json,
                    Size::Form,
                ] {
                    let small = matches!(size, Size::Nowhere | Size::Query);
                    if form == Form::Query || small {
                        cases.push(case(from, form, end, size, 25));
                    }
                    if form == Form::Query && small {
                        cases.push(case(from, form, end, size, 0));
                    }
                }
            }
        }
    }
    check(300, cases);
}
