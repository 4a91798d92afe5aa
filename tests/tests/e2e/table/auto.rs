//! Paging that the spec leaves to the first response.

use connector_sandbox::Answer;
use serde_json::{Value, json};

use super::{Case, check, page};

/// A page and, where there is one, its `Link` header.
type Given = (Value, Option<&'static str>);

fn given(count: std::ops::Range<i64>, side: Value) -> Given {
    (page(count, side), None)
}

fn add(
    cases: &mut Vec<Case>,
    name: &str,
    pages: Vec<Given>,
    expect: Result<i64, &str>,
    asked: &[&str],
) {
    let pages = std::sync::Arc::new(pages);
    // Written, and left out: the same.
    for paginator in ["\npaginator: auto", "\npaginator: {type: auto}", ""] {
        let mut case = Case::plain(&format!("auto: {name}{paginator}"));
        case.endpoint.push_str("\nparams: {q: x}");
        case.endpoint.push_str(paginator);
        let pages = std::sync::Arc::clone(&pages);
        case.server = Box::new(move |_, nth| {
            let Some((body, link)) = pages.get(nth - 1) else {
                return Answer::json(404, "{}");
            };
            let answer = Answer::json(200, body.to_string());
            match link {
                Some(link) => answer.header("link", link),
                None => answer,
            }
        });
        case.expect = expect
            .map(|all| (0..all).collect())
            .map_err(|part| vec![part.to_owned(), "paginator".to_owned()]);
        case.requests = asked.iter().map(|asked| format!("GET {asked}")).collect();
        cases.push(case);
    }
}

#[test]
fn ways_that_a_response_shows() {
    let mut cases = Vec::new();
    let cases = &mut cases;
    let linked = |range, link| (page(range, json!({})), Some(link));
    add(
        cases,
        "a Link header, which comes before a member",
        vec![
            (
                page(0..2, json!({"next": "?wrong=1"})),
                Some("<?p=2>; rel=next"),
            ),
            linked(2..3, "<?p=1>; rel=prev"),
        ],
        Ok(3),
        &["/items?q=x", "/items?p=2"],
    );
    add(
        cases,
        "a Link header that names other pages only",
        vec![(
            page(0..10, json!({"total": 99})),
            Some("<?p=1>; rel=\"first\""),
        )],
        Ok(10),
        &["/items?q=x"],
    );
    for (name, side) in [
        ("next", json!({"next": "?p=2"})),
        (
            "next_page",
            json!({"next_page": "/v1/items?p=2".replace("/v1/items", "")}),
        ),
        ("nextUrl", json!({"nextUrl": "?p=2"})),
        (
            "links.next",
            json!({"links": {"self": "?p=1", "next": "?p=2"}}),
        ),
        (
            "_links.next.href",
            json!({"_links": {"next": {"href": "?p=2"}}}),
        ),
        (
            "paging.next.url",
            json!({"paging": {"next": {"url": "?p=2"}}}),
        ),
        (
            "a link beside a page number",
            json!({"page": 1, "total_pages": 2, "next": "?p=2"}),
        ),
        ("a relative link", json!({"next_page": "items?p=2"})),
    ] {
        for last in [json!({}), json!({"next": null}), json!({"next": ""})] {
            add(
                cases,
                name,
                vec![given(0..2, side.clone()), given(2..3, last)],
                Ok(3),
                &["/items?q=x", "/items?p=2"],
            );
        }
    }
    // The number of the first page is the one that the response tells.
    for (base, total, current, param) in [
        (0, "total_pages", "page", "page"),
        (1, "total_pages", "page", "page"),
        (1, "last_page", "current_page", "page"),
        (0, "totalPages", "number", "page"),
        (1, "totalPages", "pageNumber", "pageNumber"),
        (1, "pages", "page_no", "page_no"),
        (1, "page_count", "currentPage", "page"),
    ] {
        let side = |number: i64| json!({"meta": {total: 3, current: number}});
        add(
            cases,
            &format!("{total}, {current} from {base}"),
            vec![
                given(0..2, side(base)),
                given(2..4, side(base + 1)),
                given(4..5, side(base + 2)),
            ],
            Ok(5),
            &[
                "/items?q=x",
                &format!("/items?q=x&{param}={}", base + 1),
                &format!("/items?q=x&{param}={}", base + 2),
            ],
        );
        add(
            cases,
            "one page is all",
            vec![given(0..2, json!({"meta": {total: 1, current: base}}))],
            Ok(2),
            &["/items?q=x"],
        );
        add(
            cases,
            "the parameter is not heeded",
            vec![
                given(0..2, side(base)),
                (
                    page(0..2, json!({"meta": {total: 3, current: base}, "time": 2})),
                    None,
                ),
            ],
            Err("the API answered with"),
            &["/items?q=x", &format!("/items?q=x&{param}={}", base + 1)],
        );
    }
    for (name, param) in [
        ("next_cursor", "cursor"),
        ("nextCursor", "cursor"),
        ("next_page_token", "page_token"),
        ("nextPageToken", "pageToken"),
        ("next_page", "page"),
        ("next_marker", "marker"),
        ("next_offset", "offset"),
        ("next", "cursor"),
    ] {
        for (first, last) in [
            (json!("b"), json!(null)),
            (json!(2), json!("")),
            (json!("x=="), json!(0)),
        ] {
            let text = first
                .as_str()
                .map_or_else(|| first.to_string(), str::to_owned);
            add(
                cases,
                &format!("{name} {first}"),
                vec![
                    given(0..2, json!({"meta": {name: first}})),
                    given(2..3, json!({"meta": {name: last}})),
                ],
                Ok(3),
                &["/items?q=x", &format!("/items?q=x&{param}={text}")],
            );
        }
        add(
            cases,
            "the parameter is not heeded",
            vec![
                given(0..2, json!({name: "b"})),
                (page(0..2, json!({name: "b", "time": 2})), None),
            ],
            Err("the API gives the same cursor again"),
            &["/items?q=x", &format!("/items?q=x&{param}=b")],
        );
    }
    for (total, skipped, base) in [
        ("total", "offset", 0),
        ("total_records", "offset", 0),
        ("totalCount", "skip", 0),
        ("totalResults", "startIndex", 1),
    ] {
        let side = |at: i64| json!({total: 5, skipped: at, "limit": 2});
        add(
            cases,
            &format!("{total}, {skipped}"),
            vec![
                given(0..2, side(base)),
                given(2..4, side(base + 2)),
                given(4..5, side(base + 4)),
            ],
            Ok(5),
            &[
                "/items?q=x",
                &format!("/items?q=x&{skipped}={}", base + 2),
                &format!("/items?q=x&{skipped}={}", base + 4),
            ],
        );
        add(
            cases,
            "the offset is not heeded",
            vec![
                given(0..2, side(base)),
                (
                    page(0..2, json!({total: 5, skipped: base, "time": 2})),
                    None,
                ),
            ],
            Err("the API answered with"),
            &["/items?q=x", &format!("/items?q=x&{skipped}={}", base + 2)],
        );
    }
    add(
        cases,
        "a page and a number of records",
        vec![
            given(0..2, json!({"page": 1, "per_page": 2, "total": 3})),
            given(2..3, json!({"page": 2, "per_page": 2, "total": 3})),
        ],
        Ok(3),
        &["/items?q=x", "/items?q=x&page=2"],
    );
    check(200, std::mem::take(cases));
}

#[test]
fn ends_and_doubts() {
    let mut cases = Vec::new();
    let cases = &mut cases;
    let one = ["/items?q=x"];
    for side in [
        json!({}),
        json!({"total": 2}),
        json!({"total": 2, "offset": 0}),
        json!({"count": 2}),
        json!({"has_more": false}),
        json!({"has_more": false, "total": 99}),
        json!({"next": null, "count": 99}),
        json!({"next_cursor": ""}),
        json!({"total_pages": 1}),
        json!({"page": 1, "total_pages": 1}),
        json!({"page": 1, "total_pages": 0}),
        json!({"warnings": [{"next": "?p=2"}]}),
        json!({"total": "many"}),
    ] {
        let name = format!("one page: {side}");
        add(cases, &name, vec![given(0..2, side)], Ok(2), &one);
    }
    // Nothing is lost in silence.
    for (side, message) in [
        (
            json!({"has_more": true}),
            "says at `has_more` that there is more",
        ),
        (
            json!({"meta": {"hasNextPage": true}}),
            "says at `meta.hasNextPage` that there is more",
        ),
        (
            json!({"hasMore": "true", "next": null}),
            "says at `hasMore` that there is more",
        ),
        (
            json!({"total_pages": 3}),
            "there are 3 pages, but not which one it is",
        ),
        (
            json!({"total_pages": 3, "page": 2}),
            "there are 3 pages, but not which one it is",
        ),
        (json!({"total": 3}), "there are 3 records and has 2"),
        (
            json!({"meta": {"total_count": "30"}}),
            "there are 30 records and has 2",
        ),
        (
            json!({"total": 30, "offset": 20}),
            "there are 30 records and has 2",
        ),
    ] {
        let name = format!("more, but how: {side}");
        add(cases, &name, vec![given(0..2, side)], Err(message), &one);
    }
    add(
        cases,
        "records are elsewhere",
        vec![given(0..0, json!({"items": [{"id": 1}], "total": 1}))],
        Err("there are 1 records and has 0"),
        &one,
    );
    add(
        cases,
        "a chain that ends too early",
        vec![
            given(0..2, json!({"next_cursor": "b", "has_more": true})),
            given(2..4, json!({"next_cursor": null, "has_more": true})),
        ],
        Err("there is more but has no next page"),
        &["/items?q=x", "/items?q=x&cursor=b"],
    );
    add(
        cases,
        "a link that repeats",
        vec![
            given(0..2, json!({"next": "?p=2"})),
            given(2..4, json!({"next": "?p=2"})),
        ],
        Err("the API gives the same cursor again"),
        &["/items?q=x", "/items?p=2"],
    );
    add(
        cases,
        "the total goes away",
        vec![
            given(0..2, json!({"page": 1, "total_pages": 3})),
            given(2..4, json!({"page": 2})),
        ],
        Err("no number at `total_pages` any more"),
        &["/items?q=x", "/items?q=x&page=2"],
    );
    check(70, std::mem::take(cases));
}

/// Documents of other shapes.
#[test]
fn other_shapes() {
    let mut cases = Vec::new();
    let mut add = |name: &str,
                   endpoint: &str,
                   pages: Vec<(String, Option<&'static str>)>,
                   all: i64,
                   asked: &[&str]| {
        let mut case = Case::plain(name);
        case.endpoint = endpoint.to_owned();
        case.server = Box::new(move |_, nth| {
            let (body, link) = &pages[nth - 1];
            let answer = Answer::json(200, body.as_str());
            match link {
                Some(link) => answer.header("link", link),
                None => answer,
            }
        });
        case.expect = Ok((0..all).collect());
        case.requests = asked.iter().map(|asked| (*asked).to_owned()).collect();
        cases.push(case);
    };
    add(
        "an array",
        "path: /items",
        vec![(r#"[{"id":0},{"id":1}]"#.to_owned(), None)],
        2,
        &["GET /items"],
    );
    add(
        "arrays with a Link header",
        "path: /items",
        vec![
            (
                r#"[{"id":0},{"id":1}]"#.to_owned(),
                Some("<?p=2>; rel=\"next\""),
            ),
            (r#"[{"id":2}]"#.to_owned(), None),
        ],
        3,
        &["GET /items", "GET /items?p=2"],
    );
    add(
        "one record that has a link of its own",
        "path: /item",
        vec![(
            r#"{"id":0,"next_item":"/items?id=1","total":9}"#.to_owned(),
            None,
        )],
        1,
        &["GET /item"],
    );
    add(
        "a POST",
        "path: /items\nmethod: POST\njson: {kind: a}\ndata_selector: data.items",
        vec![
            (
                r#"{"data":{"items":[{"id":0}],"nextPageToken":"b"}}"#.to_owned(),
                None,
            ),
            (r#"{"data":{"items":[{"id":1}]}}"#.to_owned(), None),
        ],
        2,
        &[
            r#"POST /items | content-type: application/json | {"kind":"a"}"#,
            r#"POST /items?pageToken=b | content-type: application/json | {"kind":"a"}"#,
        ],
    );
    add(
        "an empty list with nothing beside it",
        "path: /items\ndata_selector: data",
        vec![(r#"{"data":[]}"#.to_owned(), None)],
        0,
        &["GET /items"],
    );
    check(5, cases);
}
