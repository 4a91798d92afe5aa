//! Every kind of paging gives every record once.

use connector_plan::{
    Body, Cursor, CursorSource, Method, NamedTemplate, Offset, PageNumber, Paginator, Parameter,
    Resource, Stop, Target, Template,
};
use serde_json::{Value, json};

use super::{
    client::{Request, Response, encode},
    plans::{plan, resource, steps},
};
use crate::{LastCursor, LinkForm, Options, Sandbox};

const FILES: &str = "/base/v1/files";

pub(crate) fn query(name: &str) -> Target {
    Target::Query(name.to_owned())
}

pub(crate) fn stop() -> Stop {
    Stop {
        after_empty_page: true,
        on_short_page: false,
        total: Some(steps("meta.total")),
        has_more: Some(steps("meta.more")),
        condition: None,
    }
}

pub(crate) fn offset(target: Target, limit: Target) -> Paginator {
    Paginator::Offset(Offset {
        start: 0,
        offset: target,
        limit: Some(100),
        limit_target: Some(limit),
        maximum: None,
        stop: stop(),
    })
}

fn numbers(start: u64, maximum: Option<u64>) -> Paginator {
    Paginator::PageNumber(PageNumber {
        base: None,
        start,
        page: query("page"),
        limit: Some(100),
        limit_target: Some(query("per_page")),
        maximum,
        stop: stop(),
    })
}

fn cursor(source: CursorSource, target: Option<Target>) -> Paginator {
    Paginator::Cursor(Cursor {
        first: None,
        source,
        cursor: target,
        follow_links: false,
        limit: Some(100),
        limit_target: Some(query("limit")),
        stop: Stop::default(),
    })
}

fn body(path: &str) -> CursorSource {
    CursorSource::Body(steps(path))
}

fn files(paginator: Paginator) -> Resource {
    resource("files", "/v1/files", "files", paginator)
}

fn serve(resource: Resource, change: impl FnOnce(&mut Options)) -> Sandbox {
    let mut options = Options {
        records: 250,
        ..Options::default()
    };
    change(&mut options);
    Sandbox::start(&plan(vec![resource]), options).unwrap()
}

fn get(sandbox: &Sandbox, fields: &[(&str, &str)]) -> Response {
    Request::get(format!("{FILES}?{}", encode(fields))).send(sandbox)
}

#[track_caller]
fn records(response: &Response) -> Vec<Value> {
    assert_eq!(
        response.status,
        200,
        "{}",
        String::from_utf8_lossy(&response.body)
    );
    response.json()["files"].as_array().unwrap().clone()
}

/// Follows what `next` finds in a response until it finds nothing; gives all records and the
/// number of pages.
#[track_caller]
fn follow(
    sandbox: &Sandbox,
    first: Request,
    next: impl Fn(&Response) -> Option<Request>,
) -> (Vec<Value>, usize) {
    let mut all = Vec::new();
    let mut request = Some(first);
    let mut pages = 0;
    while let Some(current) = request {
        let response = current.send(sandbox);
        all.extend(records(&response));
        pages += 1;
        assert!(pages <= 100, "paging does not end");
        request = next(&response);
    }
    (all, pages)
}

#[test]
fn offsets_count_records_and_the_server_caps_the_page() {
    let sandbox = serve(files(offset(query("offset"), query("limit"))), |options| {
        options.max_page_size = Some(40);
    });
    let mut all: Vec<Value> = Vec::new();
    loop {
        let at = all.len().to_string();
        let response = get(&sandbox, &[("offset", &at), ("limit", "100")]);
        let page = records(&response);
        let meta = &response.json()["meta"];
        assert_eq!(meta["total"], 250);
        assert_eq!(meta["more"], all.len() + page.len() < 250);
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 40);
        all.extend(page);
    }
    assert_eq!(all, sandbox.truth("files"));
    assert_eq!(sandbox.counters().pages, 8);
    // Advancing by the limit leaves gaps, which is what the cap is for.
    let skipped: usize = ["0", "100", "200"]
        .map(|at| records(&get(&sandbox, &[("offset", at), ("limit", "100")])).len())
        .iter()
        .sum();
    assert_eq!(skipped, 120);
}

#[test]
fn a_request_without_a_limit_gets_smaller_pages() {
    let sandbox = serve(files(offset(query("offset"), query("limit"))), |_| {});
    assert_eq!(records(&get(&sandbox, &[])).len(), 25);
    assert_eq!(records(&get(&sandbox, &[("limit", "100")])).len(), 100);
    assert_eq!(records(&get(&sandbox, &[("limit", "1000")])).len(), 250);
}

#[test]
fn paging_values_are_validated() {
    let sandbox = serve(files(offset(query("offset"), query("limit"))), |_| {});
    for (offset, limit) in [
        ("-1", "10"),
        ("+1", "10"),
        ("1.0", "10"),
        ("x", "10"),
        ("", "10"),
        ("99999999999999999999", "10"),
        ("0", "0"),
        ("0", "ten"),
    ] {
        let response = get(&sandbox, &[("offset", offset), ("limit", limit)]);
        assert_eq!(
            response.error(),
            (400, "invalid_parameter".to_owned()),
            "{offset} {limit}"
        );
    }
    let twice = get(&sandbox, &[("offset", "0"), ("offset", "10")]);
    assert_eq!(twice.status, 400);
    assert!(records(&get(&sandbox, &[("offset", "250")])).is_empty());
    assert!(records(&get(&sandbox, &[("offset", "18446744073709551615")])).is_empty());
}

#[test]
fn page_numbers_begin_where_the_plan_says_and_the_total_counts_pages() {
    for start in [0, 1] {
        let sandbox = serve(files(numbers(start, None)), |_| {});
        let mut all = Vec::new();
        for number in start..start + 3 {
            let number = number.to_string();
            let response = get(&sandbox, &[("page", &number), ("per_page", "100")]);
            assert_eq!(response.json()["meta"]["total"], 3);
            all.extend(records(&response));
        }
        assert_eq!(all, sandbox.truth("files"));
        let after = (start + 3).to_string();
        assert!(records(&get(&sandbox, &[("page", &after), ("per_page", "100")])).is_empty());
        if start == 1 {
            assert_eq!(get(&sandbox, &[("page", "0")]).status, 400);
        }
    }
}

#[test]
fn the_truth_ends_where_the_plan_does() {
    let sandbox = serve(files(numbers(1, Some(3))), |_| {});
    assert_eq!(sandbox.truth("files").len(), 200);
    let mut paginator = offset(query("offset"), query("limit"));
    if let Paginator::Offset(offset) = &mut paginator {
        offset.maximum = Some(101);
    }
    let sandbox = serve(files(paginator.clone()), |_| {});
    assert_eq!(sandbox.truth("files").len(), 200);
    let sandbox = serve(files(paginator), |options| options.max_page_size = Some(30));
    assert_eq!(sandbox.truth("files").len(), 120);
}

#[test]
fn paging_values_in_a_json_body() {
    let json = |path: &[&str]| Target::Json(path.iter().map(|&key| key.to_owned()).collect());
    let mut resource = files(offset(json(&["page", "from"]), json(&["page", "size"])));
    resource.endpoint.method = Method::Post;
    resource.endpoint.body = Some(Body::Json(vec![
        NamedTemplate {
            name: "kind".to_owned(),
            value: Template::Literal(json!({ "all": [1, true] })),
        },
        NamedTemplate {
            name: "page".to_owned(),
            value: Template::Literal(json!({ "sort": "id", "size": 1 })),
        },
    ]));
    let sandbox = serve(resource, |_| {});
    let post = |body: Value| {
        Request::post(FILES, body.to_string())
            .header("content-type", "application/json; charset=utf-8")
            .send(&sandbox)
    };
    let ask = |from: Value, size: Value| {
        post(json!({
            "kind": { "all": [1, true] },
            "page": { "sort": "id", "from": from, "size": size },
        }))
    };
    let mut all = Vec::new();
    for from in [0, 100, 200] {
        all.extend(records(&ask(json!(from), json!(100))));
    }
    assert_eq!(all, sandbox.truth("files"));
    for response in [
        ask(json!("0"), json!(100)),
        ask(json!(0), json!(1.5)),
        ask(json!(-1), json!(100)),
        post(json!({ "page": { "sort": "id" } })),
        post(json!({ "kind": { "all": [1] }, "page": { "sort": "id" } })),
        post(json!({ "kind": { "all": [1, true] }, "page": { "sort": "name" } })),
        post(json!({ "kind": { "all": [1, true] }, "page": { "sort": "id" }, "x": 1 })),
        post(json!([])),
        Request::post(FILES, "{")
            .header("content-type", "application/json")
            .send(&sandbox),
    ] {
        assert_eq!(response.error(), (400, "invalid_parameter".to_owned()));
    }
    let plain = Request::post(FILES, "{}").header("content-type", "text/plain");
    assert_eq!(plain.send(&sandbox).status, 415);
    let response = Request::get(FILES).send(&sandbox);
    assert_eq!(
        (response.status, response.header("allow")),
        (405, Some("POST"))
    );
}

#[test]
fn paging_values_in_a_form_and_in_headers() {
    let mut resource = files(offset(
        Target::Form("from".to_owned()),
        Target::Header("X-Size".to_owned()),
    ));
    resource.endpoint.method = Method::Post;
    resource.endpoint.body = Some(Body::Form(vec![NamedTemplate {
        name: "kind".to_owned(),
        value: Template::text("a b"),
    }]));
    let sandbox = serve(resource, |_| {});
    let ask = |fields: &[(&str, &str)]| {
        Request::form(FILES, fields)
            .header("x-size", "125")
            .send(&sandbox)
    };
    let mut all = records(&ask(&[("kind", "a b")]));
    all.extend(records(&ask(&[("from", "125"), ("kind", "a b")])));
    assert_eq!(all, sandbox.truth("files"));
    assert_eq!(ask(&[("from", "125")]).status, 400);
    assert_eq!(ask(&[("kind", "a b"), ("other", "")]).status, 400);
}

#[test]
fn cursors_in_the_body() {
    for (last, expect) in [
        (LastCursor::Null, Some(Value::Null)),
        (LastCursor::Empty, Some(json!(""))),
        (LastCursor::Missing, None),
    ] {
        let paginator = cursor(body("paging.next"), Some(query("after")));
        let sandbox = serve(files(paginator), |options| options.last_cursor = last);
        let first = Request::get(format!("{FILES}?limit=100"));
        let (all, pages) = follow(&sandbox, first, |response| {
            let body = response.json();
            let next = body["paging"]["next"]
                .as_str()
                .filter(|next| !next.is_empty());
            let Some(next) = next else {
                assert_eq!(body.pointer("/paging/next").cloned(), expect);
                return None;
            };
            let fields = [("limit", "100"), ("after", next)];
            Some(Request::get(format!("{FILES}?{}", encode(&fields))))
        });
        assert_eq!(all, sandbox.truth("files"));
        assert_eq!(pages, 3);
    }
}

#[test]
fn cursors_cannot_be_guessed_or_taken_elsewhere() {
    let paginator = || cursor(body("next"), Some(query("after")));
    let mut other = files(paginator());
    other.name = "folders".to_owned();
    other.endpoint.path = Template::text("/v1/folders");
    let options = Options {
        records: 250,
        ..Options::default()
    };
    let sandbox = Sandbox::start(&plan(vec![files(paginator()), other]), options).unwrap();
    let next = get(&sandbox, &[]).json()["next"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut changed = next.clone();
    let first = if next.starts_with('A') { "B" } else { "A" };
    changed.replace_range(..1, first);
    for bad in [
        changed.as_str(),
        "",
        "25",
        "x",
        &next[..8],
        &format!("{next}AAAA"),
    ] {
        assert_eq!(get(&sandbox, &[("after", bad)]).status, 400, "{bad}");
    }
    let query = encode(&[("after", &next)]);
    let elsewhere = Request::get(format!("/base/v1/folders?{query}"));
    assert_eq!(elsewhere.send(&sandbox).status, 400);
    assert_eq!(get(&sandbox, &[("after", &next)]).status, 200);
}

#[test]
fn a_trailing_cursor_leads_to_an_empty_page() {
    let paginator = cursor(body("next"), Some(query("after")));
    let sandbox = serve(files(paginator), |options| {
        options.trailing_empty_page = true;
    });
    let first = Request::get(format!("{FILES}?limit=125"));
    let (all, pages) = follow(&sandbox, first, |response| {
        let body = response.json();
        let fields = [("limit", "125"), ("after", body["next"].as_str()?)];
        Some(Request::get(format!("{FILES}?{}", encode(&fields))))
    });
    assert_eq!((all, pages), (sandbox.truth("files"), 3));
}

#[test]
fn cursors_in_a_header() {
    let paginator = cursor(
        CursorSource::Header("X-Next".to_owned()),
        Some(Target::Header("X-After".to_owned())),
    );
    let sandbox = serve(files(paginator), |_| {});
    let first = Request::get(format!("{FILES}?limit=100"));
    let (all, pages) = follow(&sandbox, first.clone(), |response| {
        let next = response.header("x-next")?;
        Some(first.clone().header("x-after", next))
    });
    assert_eq!((all, pages), (sandbox.truth("files"), 3));
}

#[test]
fn the_last_record_as_a_cursor() {
    let paginator = cursor(body("files.-1.file_id"), Some(query("starting_after")));
    let sandbox = serve(files(paginator), |_| {});
    let first = Request::get(format!("{FILES}?limit=100"));
    let (all, pages) = follow(&sandbox, first, |response| {
        let page = records(response);
        let last = page.last()?["file_id"].as_str().unwrap();
        let fields = [("limit", "100"), ("starting_after", last)];
        Some(Request::get(format!("{FILES}?{}", encode(&fields))))
    });
    assert_eq!((all, pages), (sandbox.truth("files"), 4));
    assert_eq!(get(&sandbox, &[("starting_after", "nobody")]).status, 400);
}

/// Resolves a reference against the address of the request (RFC 3986, section 5).
fn request_of(sandbox: &Sandbox, link: &str) -> Request {
    let base = url::Url::parse(&format!("{}{FILES}", sandbox.origin())).unwrap();
    let url = base.join(link).unwrap();
    assert_eq!(url.origin(), base.origin());
    Request::get(&url[url::Position::BeforePath..])
}

#[test]
fn links_in_the_body() {
    for (form, prefix) in [
        (LinkForm::Absolute, "http://127.0.0.1:"),
        (LinkForm::Path, "/base/v1/files?"),
        (LinkForm::Query, "?"),
    ] {
        let mut resource = files(cursor(body("links.next"), None));
        resource.endpoint.params = vec![Parameter {
            name: "fields".to_owned(),
            values: vec![Template::text("a&b"), Template::text("c")],
        }];
        let sandbox = serve(resource, |options| options.links = form);
        let constant = encode(&[("fields", "a&b"), ("fields", "c")]);
        let first = Request::get(format!("{FILES}?{constant}&limit=100"));
        let (all, pages) = follow(&sandbox, first, |response| {
            let body = response.json();
            let link = body["links"]["next"].as_str()?;
            assert!(link.starts_with(prefix), "{link}");
            Some(request_of(&sandbox, link))
        });
        assert_eq!((all, pages), (sandbox.truth("files"), 3));
        // A client that adds the parameters to the link again is told so.
        let twice = Request::get(format!("{FILES}?{constant}&{constant}")).send(&sandbox);
        assert_eq!(twice.status, 400);
    }
}

/// The target with a relation, read as RFC 8288, appendix B.2 says.
fn link(response: &Response, relation: &str) -> Option<String> {
    let values = response
        .headers
        .iter()
        .filter(|(name, _)| name == "link")
        .map(|(_, value)| value.as_str());
    for value in values {
        let mut rest = value;
        while let Some(start) = rest.find('<') {
            let end = rest.find('>').unwrap();
            let target = &rest[start + 1..end];
            rest = &rest[end + 1..];
            let mut found: Option<String> = None;
            while let Some(after) = rest.trim_start().strip_prefix(';') {
                let (name, after) = after.split_once('=').unwrap();
                let mut text = String::new();
                let mut quoted = false;
                let mut escaped = false;
                let mut length = 0;
                for character in after.chars() {
                    if !quoted && matches!(character, ';' | ',' | ' ') {
                        break;
                    }
                    length += character.len_utf8();
                    match character {
                        '\\' if quoted && !escaped => escaped = true,
                        '"' if !escaped => quoted = !quoted,
                        other => {
                            escaped = false;
                            text.push(other);
                        }
                    }
                }
                rest = &after[length..];
                if name.trim().eq_ignore_ascii_case("rel") && found.is_none() {
                    found = Some(text);
                }
            }
            let relations = found.unwrap_or_default();
            if relations
                .split(' ')
                .any(|own| own.eq_ignore_ascii_case(relation))
            {
                return Some(target.to_owned());
            }
        }
    }
    None
}

#[test]
fn links_in_a_header() {
    for form in [LinkForm::Absolute, LinkForm::Query] {
        let paginator = cursor(CursorSource::Link("next".to_owned()), None);
        let sandbox = serve(files(paginator), |options| {
            options.records = 601;
            options.links = form;
        });
        let first = Request::get(format!("{FILES}?limit=100"));
        let (all, pages) = follow(&sandbox, first.clone(), |response| {
            let back = request_of(&sandbox, &link(response, "first").unwrap());
            assert_eq!(records(&back.send(&sandbox)).len(), 100);
            let last = request_of(&sandbox, &link(response, "last").unwrap());
            assert_eq!(records(&last.send(&sandbox)).len(), 1);
            Some(request_of(&sandbox, &link(response, "next")?))
        });
        assert_eq!((all, pages), (sandbox.truth("files"), 7));
    }
}

#[test]
fn a_single_page_has_everything() {
    let sandbox = serve(files(Paginator::SinglePage), |_| {});
    let all = records(&Request::get(FILES).send(&sandbox));
    assert_eq!(all, sandbox.truth("files"));
    assert_eq!(get(&sandbox, &[("offset", "0")]).status, 400);
    assert!(sandbox.set_records("files", 0));
    assert!(records(&Request::get(FILES).send(&sandbox)).is_empty());
}
