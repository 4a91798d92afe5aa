//! Offsets and page numbers.

use connector_sandbox::Answer;
use serde_json::{Value, json};

use super::{Case, PLACES, Place, check, ids, page};

/// The page size that every case asks for.
const SIZE: usize = 10;

/// What tells the end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// Nothing but the pages themselves.
    Pages,
    /// The same, and short pages are trusted.
    Short,
    Total,
    TotalText,
    HasMore,
    Condition,
    /// The spec reads two pages at most.
    Maximum,
    /// The server caps its pages at 4 records.
    Capped,
}

const ENDS: [End; 8] = [
    End::Pages,
    End::Short,
    End::Total,
    End::TotalText,
    End::HasMore,
    End::Condition,
    End::Maximum,
    End::Capped,
];

impl End {
    fn keys(self, maximum: &str) -> String {
        match self {
            Self::Pages | Self::Capped => String::new(),
            Self::Short => "\n  stop_on_short_page: true".to_owned(),
            Self::Total | Self::TotalText => "\n  total_path: meta.total".to_owned(),
            Self::HasMore => "\n  has_more_path: $.more".to_owned(),
            Self::Condition => {
                "\n  stop_condition: \"{{ response.get('last') == 'yes' }}\"".to_owned()
            }
            Self::Maximum => format!("\n  {maximum}"),
        }
    }

    /// The positions that have to be asked for.
    fn starts(self, all: usize) -> Vec<usize> {
        let size = if self == Self::Capped { 4 } else { SIZE };
        let mut starts = vec![0];
        let mut largest = 0;
        loop {
            let start = *starts.last().unwrap();
            let got = all.saturating_sub(start).min(size);
            largest = largest.max(got);
            let next = start + got;
            let over = got == 0
                || match self {
                    // A page is known to be short when there was a longer one.
                    Self::Pages | Self::Capped => got < largest,
                    Self::Short => got < largest || got < SIZE,
                    Self::Maximum => got < largest || starts.len() == 2,
                    Self::Total | Self::TotalText | Self::HasMore | Self::Condition => next >= all,
                };
            // Without a word of the response the condition is no more than a page that is short.
            if over || (self == Self::Condition && got < largest) {
                return starts;
            }
            starts.push(next);
        }
    }

    fn answer(self, start: usize, all: usize, total: usize) -> Answer {
        let size = if self == Self::Capped { 4 } else { SIZE };
        let more = start + size < all;
        let side = match self {
            Self::Total => json!({"meta": {"total": total}}),
            Self::TotalText => json!({"meta": {"total": total.to_string()}}),
            Self::HasMore => json!({"more": more}),
            Self::Condition => json!({"last": if more { "no" } else { "yes" }}),
            _ => json!({}),
        };
        Answer::json(200, page(ids(start, size, all), side).to_string())
    }
}

/// Values that the first of `PLACES` has in the path has its size as a parameter.
fn size_place(place: Place) -> Place {
    if place == Place::Path {
        Place::Query
    } else {
        place
    }
}

fn offset(place: Place, method: &'static str, end: End, all: usize) -> Case {
    let mut case = Case::plain(&format!("offset {place:?} {method} {end:?} {all}"));
    case.endpoint = format!(
        "{}\npaginator:\n  type: offset\n  {}\n  limit: {SIZE}\n  {}{}",
        place.endpoint(method, "from"),
        place.key("offset", "from"),
        size_place(place).key("limit", "size"),
        end.keys("maximum_offset: 20"),
    );
    case.server = Box::new(move |asked, _| {
        let start = place.read(asked, "from").unwrap().parse().unwrap();
        assert_eq!(size_place(place).read(asked, "size").unwrap(), "10");
        end.answer(start, all, all)
    });
    let starts = end.starts(all);
    let read = all.min(if end == End::Maximum { 20 } else { all });
    case.expect = Ok(ids(0, read, all));
    let show = |start: usize| {
        place.show(
            method,
            &[("from", Value::from(start)), ("size", Value::from(SIZE))],
        )
    };
    case.requests = starts.into_iter().map(show).collect();
    case.ahead = all > 20;
    case
}

fn number(place: Place, method: &'static str, end: End, all: usize, base: usize) -> Case {
    let mut case = Case::plain(&format!("page {place:?} {method} {end:?} {all} {base}"));
    let first = ["base_page", "start_from_page"][base % 2];
    case.endpoint = format!(
        "{}\npaginator:\n  type: page_number\n  {first}: {base}\n  {}\n  limit: {SIZE}\n  {}{}",
        place.endpoint(method, "p"),
        place.key("page", "p"),
        size_place(place).key("limit", "size"),
        end.keys(&format!("maximum_page: {}", base + 2)),
    );
    let size = if end == End::Capped { 4 } else { SIZE };
    case.server = Box::new(move |asked, _| {
        let number: usize = place.read(asked, "p").unwrap().parse().unwrap();
        end.answer((number - base) * size, all, all.div_ceil(size))
    });
    let read = all.min(if end == End::Maximum { 20 } else { all });
    case.expect = Ok(ids(0, read, all));
    let pages = end.starts(all).len();
    let show = |nth: usize| {
        place.show(
            method,
            &[("p", Value::from(base + nth)), ("size", Value::from(SIZE))],
        )
    };
    case.requests = (0..pages).map(show).collect();
    case.ahead = all > 20;
    case
}

#[test]
fn offsets() {
    let mut cases = Vec::new();
    for (place, method) in PLACES {
        for end in ENDS {
            for all in [0, 7, 20, 25, 70] {
                cases.push(offset(place, method, end, all));
            }
        }
    }
    check(400, cases);
}

#[test]
fn page_numbers() {
    let mut cases = Vec::new();
    for (place, method) in PLACES {
        for end in ENDS {
            for (all, base) in [(7, 1), (20, 0), (25, 1), (70, 0)] {
                cases.push(number(place, method, end, all, base));
            }
        }
    }
    check(320, cases);
}

/// Forms that the combinations above do not have.
#[test]
fn other_forms() {
    let mut cases = Vec::new();
    let mut add = |name: &str, paginator: &str, pages: Vec<Value>, asked: &[&str]| {
        let mut case = Case::plain(name);
        let ids = pages
            .iter()
            .flat_map(|page| page["data"].as_array().unwrap().clone())
            .map(|record| record["id"].as_i64().unwrap());
        case.expect = Ok(ids.collect());
        case.endpoint = format!("path: /items\ndata_selector: data\nparams: {{q: x}}\n{paginator}");
        case.server = Box::new(move |_, nth| Answer::json(200, pages[nth - 1].to_string()));
        case.requests = asked.iter().map(|asked| format!("GET {asked}")).collect();
        cases.push(case);
    };
    let full = |start| page(start..start + 2, json!({}));
    let empty = || page([], json!({}));
    add(
        "an offset that begins later",
        "paginator: {type: offset, offset: 4, limit: 2}",
        vec![full(4), empty()],
        &["/items?q=x&offset=4&limit=2", "/items?q=x&offset=6&limit=2"],
    );
    add(
        "a page after the first, with a number of pages",
        "paginator: {type: page_number, base_page: 1, page: 2, total_path: pages}",
        vec![
            page(0..2, json!({"pages": 3})),
            page(2..4, json!({"pages": 3})),
        ],
        &["/items?q=x&page=2", "/items?q=x&page=3"],
    );
    add(
        "no page size",
        "paginator: {type: offset}",
        vec![full(0), full(2), empty()],
        &[
            "/items?q=x&offset=0",
            "/items?q=x&offset=2",
            "/items?q=x&offset=4",
        ],
    );
    add(
        "an empty page that is not the last",
        "paginator: {type: page_number, stop_after_empty_page: false, has_more_path: more}",
        vec![
            page(0..2, json!({"more": true})),
            page([], json!({"more": "yes"})),
            page(2..3, json!({"more": 0})),
        ],
        &[
            "/items?q=x&page=0",
            "/items?q=x&page=1",
            "/items?q=x&page=2",
        ],
    );
    add(
        "the maximum comes before what the response says",
        "paginator: {type: page_number, maximum_page: 2, has_more_path: more}",
        vec![
            page(0..2, json!({"more": true})),
            page(2..4, json!({"more": true})),
        ],
        &["/items?q=x&page=0", "/items?q=x&page=1"],
    );
    add(
        "single_page",
        "paginator: single_page",
        vec![page(0..2, json!({"next": "/items?page=2"}))],
        &["/items?q=x"],
    );
    add(
        "null takes no paginator of the client, but looks at the response",
        "paginator: null",
        vec![page(0..2, json!({"next": "?c=2"})), page(2..3, json!({}))],
        &["/items?q=x", "/items?c=2"],
    );
    check(7, cases);
}
