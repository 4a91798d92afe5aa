//! RFC 6749 and RFC 6750, sentence by sentence.

use std::time::Duration;

use base64::Engine as _;
use connector_plan::{
    ApiKeyLocation, Auth, ClientAuthentication, Grant, NamedTemplate, Paginator, Plan, Root,
    SettingRole, Template,
};

use super::{
    client::{Request, Response, encode},
    plans::{lookup, oauth2, plan, resource, setting},
};
use crate::{ExpiresIn, Options, Sandbox};

const TOKEN: &str = "/oauth/token";
const FILES: &str = "/base/v1/files";
const SECRET: &str = "s:e/c+r e%t";

fn protected(auth: Auth) -> Plan {
    let mut plan = plan(vec![resource(
        "files",
        "/v1/files",
        "files",
        Paginator::SinglePage,
    )]);
    plan.client.auth = auth;
    plan
}

fn credentials() -> Auth {
    Auth::Oauth2(oauth2(Grant::ClientCredentials, ClientAuthentication::Body))
}

fn start(auth: Auth, change: impl FnOnce(&mut Options)) -> Sandbox {
    let mut options = Options {
        records: 3,
        settings: vec![
            ("client_id".to_owned(), "me".to_owned()),
            ("client_secret".to_owned(), SECRET.to_owned()),
            ("key".to_owned(), "k-1".to_owned()),
        ],
        ..Options::default()
    };
    change(&mut options);
    Sandbox::start(&protected(auth), options).unwrap()
}

const GOOD: [(&str, &str); 3] = [
    ("grant_type", "client_credentials"),
    ("client_id", "me"),
    ("client_secret", SECRET),
];

fn ask(sandbox: &Sandbox, fields: &[(&str, &str)]) -> Response {
    Request::form(TOKEN, fields).send(sandbox)
}

fn token(sandbox: &Sandbox, fields: &[(&str, &str)]) -> String {
    let response = ask(sandbox, fields);
    assert_eq!(response.status, 200);
    response.json()["access_token"].as_str().unwrap().to_owned()
}

fn read(sandbox: &Sandbox, token: &str) -> Response {
    Request::get(FILES).bearer(token).send(sandbox)
}

fn basic(user: &str, password: &str) -> String {
    let text = format!("{user}:{password}");
    let encoded = base64::engine::general_purpose::STANDARD.encode(text);
    format!("Basic {encoded}")
}

#[test]
fn a_token_response_is_that_of_section_5_1() {
    let sandbox = start(credentials(), |_| {});
    let response = ask(&sandbox, &GOOD);
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.header("pragma"), Some("no-cache"));
    let body = response.json();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3_600);
    assert!(body.get("refresh_token").is_none(), "section 4.4.3");
    let token = body["access_token"].as_str().unwrap();
    assert!(token.len() >= 40);
    let page = read(&sandbox, token).json();
    assert_eq!(page["files"].as_array().unwrap(), &sandbox.truth("files"));
    assert_eq!(sandbox.token_requests().len(), 1);
    assert_eq!(sandbox.data_requests().len(), 1);
}

#[test]
fn a_lifetime_is_a_number_a_text_or_missing() {
    for (form, expect) in [
        (ExpiresIn::Number, serde_json::json!(3_600)),
        (ExpiresIn::Text, serde_json::json!("3600")),
        (ExpiresIn::Missing, serde_json::Value::Null),
    ] {
        let sandbox = start(credentials(), |options| options.expires_in = form);
        assert_eq!(ask(&sandbox, &GOOD).json()["expires_in"], expect);
    }
}

#[track_caller]
fn check_error(sandbox: &Sandbox, request: &Request, status: u16, code: &str) -> Response {
    let response = request.send(sandbox);
    assert_eq!(response.error(), (status, code.to_owned()));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    response
}

#[test]
fn errors_are_those_of_section_5_2() {
    let sandbox = start(credentials(), |_| {});
    let with = |fields: &[(&str, &str)]| Request::form(TOKEN, fields);
    let change = |name: &str, value: &'static str| {
        let fields = GOOD.map(|(key, old)| (key, if key == name { value } else { old }));
        with(&fields)
    };
    for (request, status, code) in [
        (with(&GOOD[1..]), 400, "invalid_request"),
        (with(&GOOD[..1]), 400, "invalid_client"),
        (with(&GOOD[..2]), 400, "invalid_client"),
        (change("client_id", "you"), 400, "invalid_client"),
        (change("client_secret", "guess"), 400, "invalid_client"),
        (change("client_secret", ""), 400, "invalid_client"),
        (
            change("grant_type", "password"),
            400,
            "unsupported_grant_type",
        ),
        (
            change("grant_type", "refresh_token"),
            400,
            "unauthorized_client",
        ),
        (
            with(&[&GOOD[..], &GOOD[..1]].concat()),
            400,
            "invalid_request",
        ),
        (
            with(&[&GOOD[..], &[("scope", "all")]].concat()),
            400,
            "invalid_scope",
        ),
        (
            Request::form(format!("{TOKEN}?client_id=me"), &GOOD),
            400,
            "invalid_request",
        ),
        (
            Request::post(TOKEN, encode(&GOOD)).header("content-type", "application/json"),
            400,
            "invalid_request",
        ),
        (
            with(&GOOD).header("authorization", &basic("me", "s")),
            400,
            "invalid_request",
        ),
    ] {
        check_error(&sandbox, &request, status, code);
    }
    let response = check_error(&sandbox, &Request::get(TOKEN), 405, "invalid_request");
    assert_eq!(response.header("allow"), Some("POST"));
    // Unknown parameters are ignored, empty ones count as left out (section 3.2).
    assert_eq!(
        ask(
            &sandbox,
            &[&GOOD[..], &[("more", "x"), ("scope", "")]].concat()
        )
        .status,
        200
    );
}

#[test]
fn basic_authentication_is_form_encoded_first() {
    let auth = Auth::Oauth2(oauth2(
        Grant::ClientCredentials,
        ClientAuthentication::Basic,
    ));
    let sandbox = start(auth, |_| {});
    let request = |user, password| {
        Request::form(TOKEN, &GOOD[..1]).header("authorization", &basic(user, password))
    };
    let encoded: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    assert_eq!(request("me", &encoded).send(&sandbox).status, 200);
    for (user, password) in [("me", SECRET), ("me", "x"), ("you", &encoded)] {
        let response = check_error(&sandbox, &request(user, password), 401, "invalid_client");
        assert!(
            response
                .header("www-authenticate")
                .unwrap()
                .starts_with("Basic realm=")
        );
    }
    // The plan says Basic, so the body does not do.
    check_error(
        &sandbox,
        &Request::form(TOKEN, &GOOD),
        400,
        "invalid_client",
    );
}

#[test]
fn scopes_and_extra_fields_have_to_be_those_of_the_plan() {
    let mut wanted = oauth2(Grant::ClientCredentials, ClientAuthentication::Body);
    wanted.scopes = vec!["read".to_owned(), "list".to_owned()];
    wanted.extra = vec![NamedTemplate {
        name: "audience".to_owned(),
        value: Template::text("api"),
    }];
    let sandbox = start(Auth::Oauth2(wanted), |_| {});
    let check = |more: &[(&str, &str)], status: u16, what: &str| {
        let body = ask(&sandbox, &[&GOOD[..], more].concat());
        assert_eq!(body.status, status, "{more:?}");
        assert_eq!(
            body.json()[if status == 200 { "scope" } else { "error" }],
            what
        );
    };
    check(
        &[("scope", "list read"), ("audience", "api")],
        200,
        "list read",
    );
    check(
        &[("scope", "read"), ("audience", "api")],
        400,
        "invalid_scope",
    );
    check(&[("audience", "api")], 400, "invalid_scope");
    check(&[("scope", "read list")], 400, "invalid_request");
    check(
        &[("scope", "read list"), ("audience", "b")],
        400,
        "invalid_request",
    );
}

#[test]
fn tokens_expire() {
    let sandbox = start(credentials(), |options| {
        options.token_lifetime = Duration::from_secs(100);
    });
    let first = token(&sandbox, &GOOD);
    sandbox.advance(Duration::from_secs(50));
    let second = token(&sandbox, &GOOD);
    assert_ne!(first, second);
    assert_eq!(read(&sandbox, &first).status, 200);
    sandbox.advance(Duration::from_secs(60));
    assert_eq!(read(&sandbox, &first).status, 401);
    assert_eq!(read(&sandbox, &second).status, 200);
    sandbox.expire_tokens();
    let response = read(&sandbox, &second);
    assert_eq!(response.status, 401);
    let challenge = response.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer realm=\"sandbox\", error=\"invalid_token\""));
    assert_eq!(sandbox.counters().refused, 2);
}

#[test]
fn a_request_without_credentials_is_not_told_an_error_code() {
    let sandbox = start(credentials(), |_| {});
    let response = Request::get(FILES).send(&sandbox);
    assert_eq!(response.error(), (401, "unauthorized".to_owned()));
    assert_eq!(
        response.header("www-authenticate"),
        Some("Bearer realm=\"sandbox\"")
    );
    let token = token(&sandbox, &GOOD);
    for (header, status) in [
        (format!("bearer {token}"), 200),
        (format!("Token {token}"), 401),
        (format!("Bearer {token}x"), 401),
        ("Bearer".to_owned(), 401),
        (basic("me", SECRET), 401),
    ] {
        let request = Request::get(FILES).header("authorization", &header);
        assert_eq!(request.send(&sandbox).status, status, "{header}");
    }
    let twice = Request::get(FILES).bearer(&token).bearer(&token);
    assert_eq!(
        twice.send(&sandbox).error(),
        (400, "invalid_request".to_owned())
    );
}

#[test]
fn refresh_tokens_rotate_and_are_not_taken_twice() {
    let grant = Grant::RefreshToken(lookup(Root::Secrets, "key"));
    let sandbox = start(
        Auth::Oauth2(oauth2(grant, ClientAuthentication::Body)),
        |options| options.rotate_refresh_tokens = true,
    );
    let with = |refresh: &str| {
        let mut fields = GOOD.to_vec();
        fields[0].1 = "refresh_token";
        fields.push(("refresh_token", refresh));
        ask(&sandbox, &fields)
    };
    let first = with("k-1").json();
    let rotated = first["refresh_token"].as_str().unwrap();
    assert_ne!(rotated, "k-1");
    assert_eq!(with("k-1").error(), (400, "invalid_grant".to_owned()));
    let second = with(rotated).json();
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    assert_eq!(with(rotated).error(), (400, "invalid_grant".to_owned()));
    for body in [first, second] {
        let access = body["access_token"].as_str().unwrap();
        assert_eq!(read(&sandbox, access).status, 200);
    }
    assert_eq!(
        ask(&sandbox, &GOOD).error(),
        (400, "unauthorized_client".to_owned())
    );
}

#[test]
fn tokens_depend_on_the_seed_alone() {
    let of = |seed| {
        let sandbox = start(credentials(), |options| options.seed = seed);
        [token(&sandbox, &GOOD), token(&sandbox, &GOOD)]
    };
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

#[test]
fn a_token_url_elsewhere_comes_with_its_own_setting() {
    let mut elsewhere = oauth2(Grant::ClientCredentials, ClientAuthentication::Body);
    elsewhere.token_url = "https://login.example.com/t".to_owned();
    let mut plan = protected(Auth::Oauth2(elsewhere));
    let problem = Sandbox::start(&plan, Options::default()).unwrap_err();
    assert!(problem.contains("login.example.com"), "{problem}");
    let mut own = setting("token_url", false);
    own.role = SettingRole::TokenUrl;
    plan.settings.push(own);
    let sandbox = Sandbox::start(&plan, Options::default()).unwrap();
    let expect = format!("{}/t", sandbox.origin());
    assert_eq!(sandbox.setting("token_url"), Some(expect.as_str()));
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", sandbox.setting("client_id").unwrap()),
        ("client_secret", sandbox.setting("client_secret").unwrap()),
    ];
    assert_eq!(Request::form("/t", &fields).send(&sandbox).status, 200);
}

#[track_caller]
fn check_access(auth: Auth, good: &Request, bad: &[Request], challenge: &str) {
    let sandbox = start(auth, |_| {});
    assert_eq!(good.send(&sandbox).status, 200);
    for request in bad {
        let response = request.send(&sandbox);
        assert_eq!(response.status, 401);
        assert!(
            response
                .header("www-authenticate")
                .unwrap()
                .starts_with(challenge)
        );
    }
}

#[test]
fn fixed_credentials() {
    let none = Request::get(FILES);
    let key = |location| Auth::ApiKey {
        name: "X-Key".to_owned(),
        value: lookup(Root::Secrets, "key"),
        location,
    };
    check_access(
        Auth::Bearer {
            token: lookup(Root::Secrets, "key"),
        },
        &none.clone().bearer("k-1"),
        &[none.clone(), none.clone().bearer("k-2")],
        "Bearer ",
    );
    check_access(
        Auth::HttpBasic {
            username: lookup(Root::Config, "client_id"),
            password: lookup(Root::Secrets, "client_secret"),
        },
        &none.clone().header("authorization", &basic("me", SECRET)),
        &[
            none.clone(),
            none.clone().header("authorization", &basic("me", "x")),
        ],
        "Basic ",
    );
    check_access(
        key(ApiKeyLocation::Header),
        &none.clone().header("x-key", "k-1"),
        &[none.clone(), none.clone().header("x-key", "K-1")],
        "ApiKey ",
    );
    check_access(
        key(ApiKeyLocation::Query),
        &Request::get(format!("{FILES}?X-Key=k-1")),
        &[none.clone(), Request::get(format!("{FILES}?X-Key=k"))],
        "ApiKey ",
    );
    check_access(
        key(ApiKeyLocation::Cookie),
        &none.clone().header("cookie", "a=b; X-Key=k-1"),
        &[none.clone(), none.header("cookie", "X-Key=k")],
        "ApiKey ",
    );
}
