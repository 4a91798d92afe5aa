//! Records stand where the selector says, and nowhere else.

use connector_plan::{Paginator, Resource, Step};
use serde_json::Value;

use super::{
    client::Request,
    paging::{offset, query},
    plans::{plan, resource, steps},
};
use crate::{Options, Sandbox};

/// What a selector takes out of a document, in the words of [`connector_plan::Selector`].
fn select<'a>(document: &'a Value, steps: &[Step]) -> Vec<&'a Value> {
    let [step, rest @ ..] = steps else {
        return match document {
            Value::Array(items) => items.iter().collect(),
            Value::Null => Vec::new(),
            other => vec![other],
        };
    };
    let inner: Vec<&Value> = match (step, document) {
        (Step::Key(key), Value::Object(members)) => members.get(key).into_iter().collect(),
        (Step::Index(index), Value::Array(items)) => {
            let position = if *index < 0 {
                items.len().checked_sub(index.unsigned_abs() as usize)
            } else {
                usize::try_from(*index).ok()
            };
            position
                .and_then(|position| items.get(position))
                .into_iter()
                .collect()
        }
        (Step::Wildcard, Value::Array(items)) => items.iter().collect(),
        (Step::Wildcard, Value::Object(members)) => members.values().collect(),
        _ => Vec::new(),
    };
    inner
        .into_iter()
        .flat_map(|value| select(value, rest))
        .collect()
}

fn same_bag(mut a: Vec<Value>, mut b: Vec<Value>) -> bool {
    let text = |value: &Value| value.to_string();
    a.sort_by_key(text);
    b.sort_by_key(text);
    a == b
}

#[track_caller]
fn check(selector: &str, objects: bool) {
    let paged = resource(
        "files",
        "v1/files",
        selector,
        offset(query("o"), query("l")),
    );
    let options = Options {
        records: 130,
        object_wildcards: objects,
        ..Options::default()
    };
    let sandbox = Sandbox::start(&plan(vec![paged]), options).unwrap();
    let mut all = Vec::new();
    for at in [0, 50, 100, 150] {
        let request = Request::get(format!("/base/v1/files?o={at}&l=50"));
        let page = request.send(&sandbox).json();
        let records = select(&page, &steps(selector));
        assert_eq!(records.len(), [50, 50, 30, 0][at / 50], "{page}");
        all.extend(records.into_iter().cloned());
        if page.is_object() && selector != "*" {
            let total = page.pointer("/meta/total");
            assert_eq!(total, Some(&Value::from(130)), "{page}");
        }
    }
    // Members of an object have no order.
    assert!(same_bag(all, sandbox.truth("files")), "{selector}");
}

#[test]
fn every_shape() {
    for objects in [false, true] {
        for selector in [
            "files",
            "data.files.items",
            "entries.*",
            "entries.*.task_assignment_collection.entries.*",
            "a.*.b",
            "a.*.*.b",
            "results.0.items",
            "results.2.items",
            "results.-1.items",
            "results.-3.items",
            "meta.files",
            "",
            "*",
        ] {
            check(selector, objects);
        }
    }
}

#[test]
fn members_change_their_order_from_page_to_page() {
    let paged = resource("files", "v1/files", "files", offset(query("o"), query("l")));
    let sandbox = Sandbox::start(&plan(vec![paged]), Options::default()).unwrap();
    let first_key = |at: &str| {
        let response = Request::get(format!("/base/v1/files?o={at}&l=50")).send(&sandbox);
        response.body[2]
    };
    assert_ne!(first_key("0"), first_key("50"));
}

/// Two resources of one request.
fn two(second: &str, selector: &str) -> Vec<Resource> {
    let make = |name, selector| resource(name, "/v1/items", selector, Paginator::SinglePage);
    vec![make("files", "files"), make(second, selector)]
}

#[test]
fn one_request_serves_two_resources() {
    let sandbox = Sandbox::start(&plan(two("folders", "folders")), Options::default()).unwrap();
    let page = Request::get("/base/v1/items").send(&sandbox).json();
    for name in ["files", "folders"] {
        assert_eq!(page[name].as_array().unwrap(), &sandbox.truth(name));
    }
    assert_ne!(sandbox.truth("files"), sandbox.truth("folders"));
    // The same records under two names are the same records.
    let sandbox = Sandbox::start(&plan(two("documents", "files")), Options::default()).unwrap();
    assert_eq!(sandbox.truth("files"), sandbox.truth("documents"));
    let problem = Sandbox::start(&plan(two("inner", "files.inner")), Options::default());
    assert!(problem.unwrap_err().contains("resource `files`"));
}
