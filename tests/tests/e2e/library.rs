//! Connectors as libraries: parent arguments, paginators and authentication of the program's own.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use connector_content::{Client, Config};
use connector_core::{
    Auth, AuthRequest, ClientOptions, Connector, CustomPaginator, ErrorKind, Grant, Json,
    PageFacts, Paginator, Path, Step, Target, Turn, cli,
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
    let source = connector_codegen::Source::new("spec.yaml", spec);
    let options = connector_codegen::LowerOptions::new("sealed");
    let (ir, _) = connector_codegen::lower(&source, &options).unwrap();
    let connector = Connector {
        name: "sealed",
        version: "0.0.0",
        plan: ir.plan.to_json().unwrap().leak(),
    };
    let server = Sandbox::start(&ir.plan, Options::default()).unwrap();
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
