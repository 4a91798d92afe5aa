//! Every form of authentication: exactly what is sent, by a spec of its own each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use connector_core::arrow::array::RecordBatch;
use connector_core::{
    Auth, AuthRequest, Client, ClientOptions, Connector, ErrorKind, Grant, Record, Result, Row,
    Secret, Settings,
};
use connector_sandbox::{Answer, Options, RequestRecord, Sandbox, Scripted};
use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;

/// A connector with two resources, the second with an endpoint as given.
fn connector(auth: &str, second: &str) -> Connector {
    let spec = format!(
        "client: {{base_url: 'https://api.example.com/v1', auth: {auth}}}\n\
         resource_defaults: {{schema: {{fields: {{id: string}}}}, primary_key: id}}\n\
         resources:\n\
         - name: first\n  endpoint: {{path: first, data_selector: data}}\n\
         - name: second\n  endpoint: {{path: second, data_selector: data{second}}}\n"
    );
    connector_tests::connector("probe", spec)
}

fn server(connector: &Connector, settings: &[(&str, &str)], script: Vec<Scripted>) -> Sandbox {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let options = Options {
        records: 7,
        settings: settings.iter().map(owned).collect(),
        script,
        ..Options::default()
    };
    Sandbox::start(&connector.plan().unwrap(), options).unwrap()
}

fn settings(server: &Sandbox) -> Settings {
    let given = server.settings().iter();
    given
        .fold(Settings::new(), |settings, (name, value)| {
            settings.with(name, value.as_str())
        })
        .with("base_url", server.base_url())
}

struct Any;

impl Record for Any {
    fn from_row(_: &Row<'_>) -> Result<Self> {
        Ok(Self)
    }
}

/// Reads a resource and gives its number of rows.
fn read(client: &Client, resource: &str) -> Result<usize> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let batches = client.request::<Any>(resource).batches();
        let batches: Vec<RecordBatch> = batches.try_collect().await?;
        Ok(batches.iter().map(RecordBatch::num_rows).sum())
    })
}

/// What of a request may carry credentials.
fn carried(request: &RequestRecord) -> Vec<String> {
    let mut carried: Vec<String> = request
        .headers
        .iter()
        .filter(|(name, _)| {
            !matches!(
                name.as_str(),
                "accept" | "accept-encoding" | "content-length" | "host" | "user-agent"
            )
        })
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    let query = request.query.iter();
    carried.extend(query.map(|(name, value)| format!("?{name}={value}")));
    carried
}

/// Checks what the requests of both resources carry beside what every request has.
#[track_caller]
fn check(auth: &str, second: &str, values: &[(&str, &str)], expect: [&[&str]; 2]) {
    let connector = connector(auth, second);
    let server = server(&connector, values, Vec::new());
    let client = Client::new(&connector, settings(&server)).unwrap();
    for (resource, expect) in ["first", "second"].into_iter().zip(expect) {
        let before = server.data_requests().len();
        assert_eq!(read(&client, resource).unwrap(), 7, "{auth}: {resource}");
        let requests = server.data_requests();
        assert_eq!(requests.len(), before + 1);
        assert_eq!(carried(&requests[before]), expect, "{auth}: {resource}");
    }
    assert_eq!(server.counters().refused, 0);
    assert_eq!(server.token_requests().len(), 0);
}

#[test]
fn fixed_credentials_go_exactly_where_the_spec_says() {
    let both = |auth: &str, values: &[(&str, &str)], expect: &[&str]| {
        check(auth, "", values, [expect, expect]);
    };
    both("none", &[], &[]);
    let token = [("token", "t0ken+/=")];
    both("bearer", &token, &["authorization: Bearer t0ken+/="]);
    both(
        "{type: bearer, token: '{{ secrets.pass }}'}",
        &[("pass", "word")],
        &["authorization: Bearer word"],
    );
    let key = [("api_key", "k&y=1 %2")];
    both("api_key", &key, &["authorization: k&y=1 %2"]);
    both(
        "{type: api_key, name: X-Api-Key}",
        &key,
        &["x-api-key: k&y=1 %2"],
    );
    both(
        "{type: api_key, name: X-Api-Key, location: header}",
        &key,
        &["x-api-key: k&y=1 %2"],
    );
    // Decoded by the server: on the wire it is percent-encoded.
    both(
        "{type: api_key, name: 'a[key]', location: query}",
        &key,
        &["?a[key]=k&y=1 %2"],
    );
    both(
        "{type: api_key, name: key, location: param}",
        &key,
        &["?key=k&y=1 %2"],
    );
    both(
        "{type: api_key, name: session, location: cookie}",
        &[("api_key", "abc-123")],
        &["cookie: session=abc-123"],
    );
    both(
        "{type: api_key, name: Authorization, api_key: 'Token {{ secrets.api_key }}'}",
        &key,
        &["authorization: Token k&y=1 %2"],
    );
    // The example of RFC 7617, section 2, and its one for UTF-8 in section 2.1.
    let aladdin = [("username", "Aladdin"), ("password", "open sesame")];
    both(
        "http_basic",
        &aladdin,
        &["authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="],
    );
    let test = [("password", "123\u{a3}")];
    both(
        "{type: http_basic, username: test}",
        &test,
        &["authorization: Basic dGVzdDoxMjPCow=="],
    );
    // Many APIs take a key as the user name of Basic, and no password that means anything.
    let colon = [("username", "u"), ("password", "with:colon")];
    both(
        "http_basic",
        &colon,
        &["authorization: Basic dTp3aXRoOmNvbG9u"],
    );
}

#[test]
fn an_endpoint_may_have_credentials_of_its_own() {
    let values = [
        ("token", "shared"),
        ("api_key", "own"),
        ("username", "u"),
        ("password", "p"),
    ];
    let shared = "authorization: Bearer shared";
    let take = |names: &[&str]| -> Vec<(&'static str, &'static str)> {
        let mut values = values.to_vec();
        values.retain(|(name, _)| names.contains(name));
        values
    };
    check(
        "bearer",
        ", auth: none",
        &take(&["token"]),
        [&[shared], &[]],
    );
    check(
        "bearer",
        ", auth: {type: api_key, name: key, location: query}",
        &take(&["token", "api_key"]),
        [&[shared], &["?key=own"]],
    );
    check(
        "bearer",
        ", auth: {type: api_key, name: key, location: cookie}",
        &take(&["token", "api_key"]),
        [&[shared], &["cookie: key=own"]],
    );
    check(
        "bearer",
        ", auth: http_basic",
        &take(&["token", "username", "password"]),
        [&[shared], &["authorization: Basic dTpw"]],
    );
    check(
        "none",
        ", auth: bearer",
        &take(&["token"]),
        [&[], &[shared]],
    );
}

#[test]
fn wrong_credentials_are_an_error_that_does_not_show_them() {
    for (auth, name) in [
        ("bearer", "token"),
        ("api_key", "api_key"),
        ("{type: api_key, name: key, location: query}", "api_key"),
        ("{type: api_key, name: key, location: cookie}", "api_key"),
        ("{type: http_basic, username: u}", "password"),
    ] {
        let connector = connector(auth, "");
        let server = server(&connector, &[], Vec::new());
        let wrong = settings(&server).with(name, "canary-value");
        let client = Client::new(&connector, wrong).unwrap();
        let error = read(&client, "first").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication, "{auth}");
        assert!(!format!("{error} {error:?} {client:?}").contains("canary-value"));
        assert_eq!(
            server.data_requests().len(),
            1,
            "{auth}: fixed credentials stay the same"
        );
    }
}

/// Logs in and reads both resources: what the login carries, its body, and what the data carries
/// with `*` for the token.
#[track_caller]
fn check_login(keys: &str, login: &[&str], body: &str, data: &[&str]) {
    let auth = format!("{{type: session_token, login_path: /log-in, {keys}}}");
    let connector = connector(&auth, "");
    let values = [("user", "ada"), ("password", "p&w")];
    let server = server(&connector, &values, Vec::new());
    let client = Client::new(&connector, settings(&server)).unwrap();
    assert_eq!(read(&client, "first").unwrap(), 7, "{keys}");
    // Sessions end when they like: the refusal brings a new one.
    server.expire_tokens();
    assert_eq!(read(&client, "second").unwrap(), 7, "{keys}");
    let logins = server.token_requests();
    assert_eq!(logins.len(), 2, "{keys}");
    for request in &logins {
        assert_eq!(
            (request.method.as_str(), request.path.as_str()),
            ("POST", "/v1/log-in")
        );
        assert_eq!(carried(request), login, "{keys}");
        assert_eq!(request.body, body.as_bytes(), "{keys}");
    }
    let requests = server.data_requests();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        let found = carried(request);
        assert_eq!(found.len(), data.len());
        for (found, expect) in found.iter().zip(data) {
            let token = found.strip_prefix(expect.trim_end_matches('*'));
            assert!(token.is_some_and(|token| token.len() > 20), "{found}");
        }
    }
}

#[test]
fn a_login_gives_the_token_of_a_session() {
    let json = "json: {user: '{{ secrets.user }}', password: '{{ secrets.password }}'}";
    let text = r#"{"password":"p&w","user":"ada"}"#;
    let json_type = "content-type: application/json";
    check_login(json, &[json_type], text, &["authorization: Bearer *"]);
    check_login(
        &format!("{json}, token_path: data.session.id, name: X-Session"),
        &[json_type],
        text,
        &["x-session: *"],
    );
    check_login(
        &format!("{json}, name: sid, location: cookie"),
        &[json_type],
        text,
        &["cookie: sid=*"],
    );
    check_login(
        "data: {user: '{{ secrets.user }}', password: '{{ secrets.password }}'}, prefix: 'Token '",
        &["content-type: application/x-www-form-urlencoded"],
        "user=ada&password=p%26w",
        &["authorization: Token *"],
    );
    check_login(
        "headers: {X-User: '{{ secrets.user }}', X-Pass: '{{ secrets.password }}'}, name: sid, location: query",
        &["x-user: ada", "x-pass: p&w"],
        "",
        &["?sid=*"],
    );
}

/// Seals every request with a number that a refusal raises.
#[derive(Debug, Default)]
struct Sealed {
    number: AtomicU64,
}

impl Auth for Sealed {
    fn authenticate<'a>(&'a self, request: AuthRequest<'a>) -> BoxFuture<'a, Result<Grant>> {
        let number = self.number.load(Ordering::Relaxed);
        let seal = format!("{}-{}-{number}", request.method, request.url.path());
        Box::pin(async move {
            Ok(Grant::new()
                .header("X-Seal", seal.into())
                .query("by", Secret::from("probe me")))
        })
    }

    fn renew(&self) -> BoxFuture<'_, Result<bool>> {
        self.number.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(true) })
    }
}

#[test]
fn a_program_may_bring_authentication_of_its_own() {
    let connector = connector("none", ", params: {a: b}");
    let script = vec![
        Scripted::get("/v1/first", 1, Answer::json(401, "{}")),
        Scripted::always("/v1/first", Answer::json(200, r#"{"data": [{"id": "x"}]}"#)),
        Scripted::always("/v1/second", Answer::json(401, "{}")),
    ];
    let server = server(&connector, &[], script);
    let options = ClientOptions {
        auth: Some(Arc::new(Sealed::default())),
        ..ClientOptions::default()
    };
    let client = Client::with_options(&connector, settings(&server), &options).unwrap();
    assert_eq!(read(&client, "first").unwrap(), 1);
    let error = read(&client, "second").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    let all: Vec<Vec<String>> = server.data_requests().iter().map(carried).collect();
    assert_eq!(
        all,
        [
            vec!["x-seal: GET-/v1/first-0", "?by=probe me"],
            vec!["x-seal: GET-/v1/first-1", "?by=probe me"],
            vec!["x-seal: GET-/v1/second-1", "?a=b", "?by=probe me"],
            vec!["x-seal: GET-/v1/second-2", "?a=b", "?by=probe me"],
        ]
    );
}
