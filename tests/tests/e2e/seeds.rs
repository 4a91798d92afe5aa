//! The connectors of the seeds whose resources hang together: what is read, and how often.

use std::collections::{BTreeMap, BTreeSet};

use connector_core::Connector;
use connector_sandbox::{Options, Sandbox};
use connector_tests::{Rows, Workspace};
use serde_json::Value;

/// The requests for data, by path; those that differ in paging alone are one path.
fn requests(server: &Sandbox) -> BTreeMap<String, Vec<String>> {
    let mut paths: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in server.data_requests() {
        let stream = request.param("stream_type").map(|name| format!("?{name}"));
        let query = request
            .query
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        paths
            .entry(format!("{}{}", request.path, stream.unwrap_or_default()))
            .or_default()
            .push(query.collect::<Vec<_>>().join("&"));
    }
    paths
}

fn texts(records: &[Value], field: &str) -> BTreeSet<String> {
    let text = |record: &Value| record[field].as_str().unwrap().to_owned();
    records.iter().map(text).collect()
}

/// Runs a connector, whose datasets its contract compares with the server's records.
fn run(connector: &Connector, options: Options) -> (Workspace, Sandbox) {
    let plan = connector.plan().unwrap();
    let server = Sandbox::start(&plan, options).unwrap();
    let workspace = Workspace::new();
    workspace
        .connector(connector.name)
        .against(&server)
        // The requests are told as they come one after the other.
        .args(["--concurrency", "1"])
        .run()
        .expect(0);
    (workspace, server)
}

#[test]
fn content_reads_every_listing_once() {
    let options = Options {
        records: 230,
        ..Options::default()
    };
    let (_workspace, server) = run(&connector_content::CONNECTOR, options);
    let requests = requests(&server);
    // `files` and `folders` are made from one listing, read once.
    assert_eq!(
        requests["/v1/folders/0/items"],
        [
            "offset=0&limit=100",
            "offset=100&limit=100",
            "offset=200&limit=100"
        ]
    );
    assert_eq!(
        requests["/v1/users"],
        ["offset=0", "offset=100", "offset=200"]
    );
    // The largest page that is asked for holds everything; one request more settles it.
    assert_eq!(
        requests["/v1/folders/trash/items"],
        ["offset=0&limit=1000", "offset=230&limit=1000"]
    );
    // Two resources with one path, told apart by its query.
    assert!(
        requests["/v1/events"]
            .iter()
            .all(|query| !query.contains("stream_type"))
    );
    assert_eq!(
        requests["/v1/events"].len(),
        requests["/v1/events?admin_logs"].len()
    );

    // Each parent is read once for all its children, and each child once for every parent.
    for (parent, child) in [
        ("collections", "/v1/collections/*/items"),
        ("files", "/v1/files/*/collaborations"),
        ("files", "/v1/files/*/comments"),
        ("files", "/v1/files/*/tasks"),
        ("folders", "/v1/folders/*/collaborations"),
    ] {
        let ids = texts(&server.truth(parent), "id");
        let expected: BTreeSet<String> = ids.iter().map(|id| child.replace('*', id)).collect();
        let (start, end) = child.split_once('*').unwrap();
        let asked: BTreeSet<String> = requests
            .iter()
            .filter(|(path, _)| path.starts_with(start) && path.ends_with(end))
            .map(|(path, _)| path.clone())
            .filter(|path| !path.ends_with("/0/items") && !path.ends_with("/trash/items"))
            .collect();
        assert_eq!(asked, expected, "{child}");
        for path in &asked {
            let later = |query: &&String| {
                query.contains("marker")
                    || query.contains("page_token")
                    || (query.contains("offset") && !query.contains("offset=0"))
            };
            let first = requests[path].iter().filter(|query| !later(query));
            assert_eq!(first.count(), 1, "{path}: {:?}", requests[path]);
        }
    }
}

#[test]
fn ads_follows_links_through_three_levels() {
    let options = Options {
        records: 40,
        ..Options::default()
    };
    let (_workspace, server) = run(&connector_ads::CONNECTOR, options);
    let requests = requests(&server);
    let organizations = texts(&server.truth("organizations"), "id");
    let accounts = texts(&server.truth("adaccounts"), "id");
    let of = |start: &str, end: &str| -> BTreeSet<String> {
        let middle = |path: &String| {
            let middle = path.strip_prefix(start)?.strip_suffix(end)?;
            Some(middle.to_owned())
        };
        requests.keys().filter_map(middle).collect()
    };
    assert_eq!(of("/v1/organizations/", "/adaccounts"), organizations);
    assert_eq!(of("/v1/adaccounts/", "/creatives"), accounts);
    assert_eq!(of("/v1/adaccounts/", "/ads"), accounts);
}

#[test]
fn ads_tries_a_403_again() {
    let plan = connector_ads::CONNECTOR.plan().unwrap();
    let path = "/v1/me/organizations";
    let refused = connector_sandbox::Answer::json(403, "{}");
    let server = Sandbox::start(
        &plan,
        Options {
            records: 5,
            script: vec![connector_sandbox::Scripted::get(path, 1, refused)],
            ..Options::default()
        },
    )
    .unwrap();
    let workspace = Workspace::new();
    workspace.connector("ads").against(&server).run().expect(0);
    let first_pages = server
        .data_requests()
        .into_iter()
        .filter(|request| request.path.ends_with("/me/organizations") && request.query.is_empty());
    assert_eq!(first_pages.count(), 2);
    let rows = Rows::read(&workspace.path("data/ads/organizations"));
    assert_eq!(rows.count(), 5);
}
