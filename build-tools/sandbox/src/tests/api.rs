//! What is served where, and what every request has to bring.

use connector_plan::{
    Expression, Lookup, NamedTemplate, Paginator, Parameter, Part, Plan, Root, Step, Template,
    sandbox::SandboxOptions,
};
use serde_json::{Value, json};

use super::{
    client::Request,
    paging::{offset, query},
    plans::{lookup, plan, resource, setting},
};
use crate::{Options, Recorder, Sandbox, start};

fn one() -> Plan {
    plan(vec![resource(
        "files",
        "/v1/files",
        "files",
        Paginator::SinglePage,
    )])
}

fn serve(plan: &Plan) -> Sandbox {
    Sandbox::start(plan, Options::default()).unwrap()
}

#[track_caller]
fn check(sandbox: &Sandbox, request: &Request, status: u16) {
    let response = request.send(sandbox);
    let text = String::from_utf8_lossy(&response.body)
        .chars()
        .take(200)
        .collect::<String>();
    assert_eq!(response.status, status, "{text}");
}

#[test]
fn unknown_paths_methods_and_hosts() {
    let sandbox = serve(&one());
    for path in [
        "/",
        "/v1/files",
        "/base/v1/files/",
        "/base/v1/file",
        "/base/v1/files/1",
    ] {
        let response = Request::get(path).send(&sandbox);
        assert_eq!(response.error(), (404, "not_found".to_owned()), "{path}");
    }
    check(&sandbox, &Request::get("/base/v1/files"), 200);
    check(&sandbox, &Request::get("/base/v1/f%69les"), 200);
    let response = Request::post("/base/v1/files", "").send(&sandbox);
    assert_eq!(
        (response.status, response.header("allow")),
        (405, Some("GET"))
    );
    check(
        &sandbox,
        &Request::get("/base/v1/files").header("host", "api.example.com"),
        421,
    );
    check(
        &sandbox,
        &Request::post("/base/v1/files", "x".repeat((1 << 20) + 1)),
        413,
    );
}

#[test]
fn constants_of_the_plan_have_to_be_there() {
    let mut plan = one();
    plan.settings.push(setting("since", false));
    plan.client.headers = vec![NamedTemplate {
        name: "X-Version".to_owned(),
        value: Template::text("1"),
    }];
    let endpoint = &mut plan.resources[0].endpoint;
    endpoint.headers = vec![NamedTemplate {
        name: "x-version".to_owned(),
        value: Template::Literal(json!(2)),
    }];
    let param = |name: &str, values: Vec<Template>| Parameter {
        name: name.to_owned(),
        values,
    };
    endpoint.params = vec![
        param("kind", vec![Template::text("a b"), Template::text("ü")]),
        param("none", vec![Template::Literal(Value::Null)]),
        param("since", vec![lookup(Root::Config, "since")]),
        param("maybe", vec![lookup(Root::Config, "unset")]),
    ];
    let sandbox = serve(&plan);
    let ask =
        |query: &str| Request::get(format!("/base/v1/files?{query}")).header("x-version", "2");
    check(&sandbox, &ask("kind=a+b&kind=%C3%BC&since=x"), 200);
    check(
        &sandbox,
        &ask("since=x&kind=a%20b&kind=%C3%BC&maybe=1"),
        200,
    );
    check(&sandbox, &ask("kind=%C3%BC&kind=a+b&since=x"), 400);
    check(&sandbox, &ask("kind=a+b&since=x"), 400);
    check(&sandbox, &ask("kind=a+b&kind=%C3%BC"), 400);
    check(&sandbox, &ask("kind=a+b&kind=%C3%BC&since=x&none="), 400);
    check(&sandbox, &ask("kind=a+b&kind=%C3%BC&since=x&other=1"), 400);
    let good = "/base/v1/files?kind=a+b&kind=%C3%BC&since=x";
    check(&sandbox, &Request::get(good), 400);
    check(&sandbox, &Request::get(good).header("x-version", "1"), 400);
    check(
        &sandbox,
        &Request::get(good)
            .header("x-version", "1")
            .header("x-version", "2"),
        400,
    );
    let message = Request::get(good).send(&sandbox).json();
    assert_eq!(
        message["error"]["message"],
        "the header `x-version` is missing"
    );
}

#[test]
fn constants_tell_two_resources_of_a_path_apart() {
    let mut plan = one();
    let mut events = resource("events", "/v1/files", "files", Paginator::SinglePage);
    for (resource, kind) in [(&mut plan.resources[0], "file"), (&mut events, "event")] {
        resource.endpoint.params = vec![Parameter {
            name: "kind".to_owned(),
            values: vec![Template::text(kind)],
        }];
    }
    plan.resources.push(events);
    let sandbox = serve(&plan);
    for (kind, name) in [("file", "files"), ("event", "events")] {
        let page = Request::get(format!("/base/v1/files?kind={kind}"))
            .send(&sandbox)
            .json();
        assert_eq!(page["files"].as_array().unwrap(), &sandbox.truth(name));
    }
    check(&sandbox, &Request::get("/base/v1/files?kind=other"), 400);
}

#[test]
fn paths_with_settings_in_them() {
    let mut plan = one();
    plan.settings.push(setting("org", false));
    plan.resources[0].endpoint.path = Template::Parts(vec![
        Part::Text("/orgs/".to_owned()),
        Part::Expression(Expression::Lookup(Lookup {
            root: Root::Config,
            path: vec![Step::Key("org".to_owned())],
            default: None,
        })),
        Part::Text("/files".to_owned()),
    ]);
    let sandbox = serve(&plan);
    check(&sandbox, &Request::get("/base/orgs/acme/files"), 200);
    check(&sandbox, &Request::get("/base/orgs/a%2Fb/files"), 200);
    check(&sandbox, &Request::get("/base/orgs//files"), 404);
    check(&sandbox, &Request::get("/base/orgs/a/b/files"), 404);
    assert!(sandbox.setting("org").is_some());

    plan.resources[0].endpoint.path = lookup(Root::Record, "id");
    let problem = Sandbox::start(&plan, Options::default()).unwrap_err();
    assert!(problem.starts_with("resource `files`"), "{problem}");
}

#[test]
fn absolute_paths_move_with_the_base_url() {
    let mut plan = one();
    plan.resources[0].endpoint.path = Template::text("https://api.example.com/v2/files");
    check(&serve(&plan), &Request::get("/v2/files"), 200);
    plan.resources[0].endpoint.path = Template::text("https://other.example.com/v2/files");
    let problem = Sandbox::start(&plan, Options::default()).unwrap_err();
    assert!(problem.contains("other.example.com"), "{problem}");
}

#[test]
fn what_a_connector_gets() {
    let running = start(&one(), &SandboxOptions::default()).unwrap();
    assert!(running.base_url.starts_with("http://127.0.0.1:"));
    assert!(running.base_url.ends_with("/base"));
    let names: Vec<&str> = running
        .settings
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["client_id", "client_secret", "key"]);
    assert!(
        running
            .settings
            .iter()
            .all(|(_, value)| value.starts_with("sandbox-"))
    );
    assert!(running.server.is::<Sandbox>());
}

#[test]
fn the_truth_for_programs_in_other_languages() {
    let mut plan = one();
    plan.resources[0].endpoint.paginator = offset(query("offset"), query("limit"));
    let sandbox = serve(&plan);
    let about = Request::get("/_sandbox/truth").send(&sandbox).json();
    assert_eq!(about["files"]["count"], 1_250);
    let path = about["files"]["records"].as_str().unwrap();
    let lines = Request::get(path).send(&sandbox);
    assert!(lines.whole);
    let records: Vec<Value> = String::from_utf8(lines.body)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records, sandbox.truth("files"));
    check(&sandbox, &Request::get("/_sandbox/truth/nobody"), 404);
    check(&sandbox, &Request::get("/_sandbox/else"), 404);
    check(&sandbox, &Request::get("/base/v1/files?limit=7"), 200);
    let counters = Request::get("/_sandbox/counters").send(&sandbox).json();
    assert_eq!(
        (&counters["requests"], &counters["records"]),
        (&json!(1), &json!(7))
    );
    assert_eq!(sandbox.requests().len(), 1);
}

#[test]
fn requests_are_kept_as_they_came() {
    let sandbox = serve(&one());
    let request = Request::post("/base/x?a=%20b&c", "{\"d\":1}").header("x-e", "f");
    check(&sandbox, &request, 404);
    let kept = &sandbox.requests()[0];
    assert_eq!(
        (kept.method.as_str(), kept.path.as_str()),
        ("POST", "/base/x")
    );
    assert_eq!(kept.param("a"), Some(" b"));
    assert_eq!(kept.param("c"), Some(""));
    assert_eq!(kept.header("x-e"), Some("f"));
    assert_eq!(kept.body, "{\"d\":1}");
    let counters = sandbox.counters();
    assert_eq!(
        (counters.requests, counters.refused, counters.most_under_way),
        (1, 1, 1)
    );
}

#[test]
fn a_recorder_tells_what_has_reached_it() {
    let recorder = Recorder::start().unwrap();
    assert_eq!((recorder.connections(), recorder.requests().len()), (0, 0));
    let host = recorder.origin().strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let text =
        "GET /a?b=c HTTP/1.1\r\nhost: x\r\nauthorization: secret\r\nconnection: close\r\n\r\n";
    std::io::Write::write_all(&mut stream, text.as_bytes()).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.ends_with("{}"));
    assert_eq!(recorder.connections(), 1);
    assert_eq!(
        recorder.requests()[0].header("authorization"),
        Some("secret")
    );
}
