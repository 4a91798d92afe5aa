//! Connectors as libraries: parent arguments, paginators and authentication of the program's own.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use connector_content::{Client, Config};
use connector_core::{
    Auth, AuthRequest, ClientOptions, Connector, CustomPaginator, ErrorKind, Grant, Json,
    PageFacts, Paginator, Path, Settings, Step, Target, Turn, cli,
};
use connector_sandbox::{Answer, Options, RequestRecord, Sandbox, Scripted};
use connector_tests::{Rows, Workspace};
use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().build().unwrap().block_on(future)
}

fn content(script: Vec<Scripted>) -> Sandbox {
    let options = Options {
        records: 60,
        script,
        ..Options::default()
    };
    Sandbox::start(&connector_content::CONNECTOR.plan().unwrap(), options).unwrap()
}

fn config(server: &Sandbox) -> Config {
    let setting = |name| server.setting(name).unwrap();
    Config {
        base_url: Some(server.base_url().to_owned()),
        ..Config::new(setting("client_id"), setting("client_secret"))
    }
}

fn paths(requests: &[RequestRecord]) -> Vec<&str> {
    requests
        .iter()
        .map(|request| request.path.as_str())
        .collect()
}

#[test]
fn a_parent_argument_reads_one_parent_and_no_listing() {
    let server = content(Vec::new());
    let client = Client::new(config(&server)).unwrap();
    let file = server.truth("files")[3]["id"].as_str().unwrap().to_owned();
    let of_one: Vec<_> = block_on(client.file_comments_of(&file).stream().try_collect()).unwrap();
    let path = format!("/v1/files/{file}/comments");
    let requests = server.data_requests();
    assert!(paths(&requests).iter().all(|asked| *asked == path));

    // The same records are among those of all files.
    let of_all: Vec<_> = block_on(client.file_comments().stream().try_collect()).unwrap();
    assert!(of_all.len() > of_one.len());
    assert!(of_one.iter().all(|one| of_all.contains(one)));
}

#[test]
fn a_value_that_nothing_binds_is_an_error() {
    let server = content(Vec::new());
    let client = Client::new(config(&server)).unwrap();
    let check = |request: connector_core::Request<_>, says: &str| {
        let found: Result<Vec<connector_content::FileComment>, _> =
            block_on(request.stream().try_collect());
        let error = found.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!(error.message(), says);
    };
    let request = client.file_comments().of("folder_id", "7");
    let says = "`file_comments` is read for values of `file_id`, not of `folder_id`";
    check(request, says);
    let says = "`users` is read by itself, not for values of `file_id`";
    let users = client.users().of("file_id", "7").stream();
    let found: Result<Vec<_>, _> = block_on(users.try_collect());
    assert_eq!(found.unwrap_err().message(), says);
    assert_eq!(server.data_requests().len(), 0);
}

/// The connector of a spec, as its crate would embed it.
fn connector(name: &'static str, spec: &str) -> Connector {
    connector_tests::connector(name, spec)
}

/// Records that nobody looks at.
struct Any;

impl connector_core::Record for Any {
    fn from_row(_: &connector_core::Row<'_>) -> connector_core::Result<Self> {
        Ok(Self)
    }
}

#[test]
fn values_are_told_apart_to_their_last_character() {
    let long = "x".repeat(60);
    let connector = connector(
        "shelves",
        &format!(
            "client: {{base_url: 'https://api.example.com'}}\nresources:\n\
             - name: books\n  partitions: [{{shelf: {long}1, row: 1}}, {{shelf: {long}2, row: 2}}]\n\
             \x20 endpoint: {{path: '/{{shelf}}/{{row}}', paginator: single_page}}\n\
             \x20 schema: {{fields: {{id: string}}}}\n"
        ),
    );
    let server = Sandbox::start(&connector.plan().unwrap(), Options::default()).unwrap();
    let settings = Settings::new().with("base_url", server.base_url());
    let client = connector_core::Client::new(&connector, settings).unwrap();
    let books = || client.request::<Any>("books");
    let request = books().of("shelf", format!("{long}2")).stream();
    let _: Vec<_> = block_on(request.try_collect()).unwrap();
    assert_eq!(paths(&server.data_requests()), [format!("/{long}2/2")]);
    let request = books().of("wing", 1).stream();
    let found: Result<Vec<Any>, _> = block_on(request.try_collect());
    let error = found.err().unwrap();
    let says = "`books` is read for values of `row`, `shelf`, not of `wing`";
    assert_eq!(error.message(), says);
}

/// Signs every request by its URL.
#[derive(Debug)]
struct Signed;

impl Auth for Signed {
    fn authenticate<'a>(
        &'a self,
        request: AuthRequest<'a>,
    ) -> BoxFuture<'a, connector_core::Result<Grant>> {
        let signature = format!("seal of {}", request.url.path());
        Box::pin(async move { Ok(Grant::new().header("x-seal", signature.into())) })
    }
}

#[test]
fn what_is_computed_from_a_secret_is_in_no_message() {
    let spec = "config: {key: {type: string, secret: true}}\n\
                client: {base_url: 'https://api.example.com', retry: {max_retries: 0}}\n\
                resources:\n\
                - name: rows\n  endpoint:\n    path: \"/of/{{ secrets.key ~ ' path/1' }}\"\n    method: POST\n\
                \x20   params: {q: \"{{ secrets.key[:4] ~ ' query' }}\"}\n\
                \x20   json: {seal: \"{{ secrets.key | base64encode }}\", all: [{hash: \"{{ secrets.key | hash }}\", kind: shown}]}\n\
                \x20 schema: {fields: {id: integer}}\n\
                - name: forms\n  endpoint:\n    path: /forms\n    method: POST\n\
                \x20   data: {seal: \"{{ secrets.key | base64encode }}\"}\n\
                \x20 schema: {fields: {id: integer}}\n";
    let connector = connector("sealed", spec);
    let plan = connector.plan().unwrap();
    let options = Options {
        responder: Some(Arc::new(|request, _| {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            let query: Vec<&str> = request
                .query
                .iter()
                .map(|(_, value)| value.as_str())
                .collect();
            let seal = request.header("x-seal").unwrap();
            Some(Answer::json(
                400,
                format!("{} {} {seal} {body}", request.path, query.join(" ")),
            ))
        })),
        ..Options::default()
    };
    let server = Sandbox::start(&plan, options).unwrap();
    let settings = Settings::new()
        .with("base_url", server.base_url())
        .with("key", connector_core::Secret::from("canary-key"));
    let options = ClientOptions {
        auth: Some(Arc::new(Signed)),
        ..ClientOptions::default()
    };
    let client = connector_core::Client::with_options(&connector, settings, &options).unwrap();
    for (resource, hidden) in [
        (
            "rows",
            [
                "cana",
                "path/1",
                "path%2F1",
                "Y2FuYXJ5LWtleQ",
                "seal of",
                "d3a2c52c",
            ],
        ),
        (
            "forms",
            ["Y2FuYXJ5LWtleQ", "seal of", "cana", "%3D", "==", "canary"],
        ),
    ] {
        let request = client.request::<Any>(resource).stream();
        let error = block_on(request.try_collect::<Vec<_>>()).err().unwrap();
        let told = format!("{error} {error:?}");
        assert!(
            told.contains("kind\\\":\\\"shown") || resource == "forms",
            "{told}"
        );
        assert!(told.contains("400 Bad Request"), "{told}");
        for text in hidden {
            assert!(!told.contains(text), "`{text}` in {told}");
        }
    }
}

/// Follows the days that the API names, backwards.
#[derive(Debug, Default)]
struct Backwards;

impl Paginator for Backwards {
    fn captures(&self) -> Vec<Path> {
        vec![vec![Step::Key("previous_day".to_owned())]]
    }

    fn first(&mut self) -> Turn {
        Turn::default()
    }

    fn next(&mut self, page: &PageFacts<'_>) -> connector_core::Result<Option<Turn>> {
        let Some(Some(Json::String(day))) = page.captures.first() else {
            return Ok(None);
        };
        Ok(Some(Turn {
            values: vec![(Target::Query("day".to_owned()), day.as_str().into())],
            token: Some(day.clone()),
            ..Turn::default()
        }))
    }
}

fn users(days: &[(&str, Option<&str>)]) -> Vec<Scripted> {
    let answers = days.iter().zip(1..);
    answers
        .map(|((id, previous), nth)| {
            let body = serde_json::json!({"entries": [{"id": id}], "previous_day": previous});
            Scripted::get("/v1/users", nth, Answer::json(200, body.to_string()))
        })
        .collect()
}

fn backwards(resource: &str) -> ClientOptions {
    let mut options = ClientOptions::default();
    let paginator = CustomPaginator::new(Backwards::default);
    options.paginators.insert(resource.to_owned(), paginator);
    options
}

#[test]
fn a_program_can_bring_its_own_paginator() {
    let server = content(users(&[
        ("c", Some("2026-01-02")),
        ("b", Some("2026-01-01")),
        ("a", None),
    ]));
    let client = Client::with_options(config(&server), &backwards("users")).unwrap();
    let users: Vec<_> = block_on(client.users().stream().try_collect()).unwrap();
    let ids: Vec<&str> = users.iter().map(|user| user.id.as_str()).collect();
    assert_eq!(ids, ["c", "b", "a"]);
    let requests = server.data_requests();
    let days: Vec<Option<&str>> = requests
        .iter()
        .map(|request| request.param("day"))
        .collect();
    assert_eq!(days, [None, Some("2026-01-02"), Some("2026-01-01")]);
}

#[test]
fn a_paginator_that_comes_back_ends_the_reading() {
    let server = content(users(&[
        ("c", Some("2026-01-02")),
        ("b", Some("2026-01-02")),
        ("a", Some("2026-01-02")),
    ]));
    let client = Client::with_options(config(&server), &backwards("users")).unwrap();
    let found: Result<Vec<_>, _> = block_on(client.users().stream().try_collect());
    assert!(
        found
            .unwrap_err()
            .to_string()
            .contains("the same cursor again")
    );
    assert_eq!(server.data_requests().len(), 2);
}

#[test]
fn a_paginator_for_no_resource_is_an_error() {
    let server = content(Vec::new());
    let error = Client::with_options(config(&server), &backwards("user")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.message(), "unknown resource `user`");
}

#[derive(Debug)]
struct Key;

impl Auth for Key {
    fn authenticate<'a>(
        &'a self,
        _: AuthRequest<'a>,
    ) -> BoxFuture<'a, connector_core::Result<Grant>> {
        Box::pin(async { Ok(Grant::new().header("x-api-key", "sesame".into())) })
    }
}

#[test]
fn a_command_line_can_have_its_own_authentication() {
    let spec = "client: {base_url: 'https://api.example.com'}\n\
                resources:\n\
                - {name: things, endpoint: things, primary_key: id, schema: {fields: {id: string}}}";
    let connector = connector("sealed", spec);
    let server = Sandbox::start(&connector.plan().unwrap(), Options::default()).unwrap();
    let workspace = Workspace::new();
    let mut arguments: Vec<OsString> = ["sealed", "--progress", "none"].map(Into::into).into();
    arguments.extend(["--base-url".into(), server.base_url().into()]);
    arguments.extend(["--out".into(), workspace.path("data").into()]);
    let options = ClientOptions {
        auth: Some(Arc::new(Key)),
        ..ClientOptions::default()
    };
    let code = cli::main_with_options(&connector, connector_sandbox::start, options, arguments);
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    let requests = server.data_requests();
    assert!(!requests.is_empty());
    let key = |request: &RequestRecord| request.header("x-api-key") == Some("sesame");
    assert!(requests.iter().all(key));
    let rows = Rows::read(&workspace.path("data/sealed/things"));
    assert_eq!(rows.count(), server.truth("things").len());
}
