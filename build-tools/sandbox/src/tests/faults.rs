//! What goes wrong on purpose, and that it is right afterwards.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use connector_plan::sandbox::{Fault, FaultKind};

use super::{
    client::{Request, Response},
    paging::{offset, query},
    plans::{plan, resource},
};
use crate::{Answer, Ending, Options, Sandbox, Scripted};

fn serve(change: impl FnOnce(&mut Options)) -> Sandbox {
    let paged = resource(
        "files",
        "/v1/files",
        "files",
        offset(query("offset"), query("limit")),
    );
    let mut options = Options {
        records: 2_000,
        ..Options::default()
    };
    change(&mut options);
    Sandbox::start(&plan(vec![paged]), options).unwrap()
}

fn page(at: usize) -> Request {
    Request::get(format!("/base/v1/files?offset={at}&limit=100"))
}

/// Reads twenty pages, each once more when it failed; gives the failures.
fn read_all(kind: FaultKind, every: u32) -> Vec<Response> {
    let fault = Fault { kind, every };
    let sandbox = serve(|options| options.faults = vec![fault]);
    let mut failures = Vec::new();
    let mut all = Vec::new();
    for at in (0..2_000).step_by(100) {
        let mut response = page(at).send(&sandbox);
        if response.status != 200 || !response.whole {
            failures.push(response);
            response = page(at).send(&sandbox);
        }
        all.extend(response.json()["files"].as_array().unwrap().clone());
    }
    assert_eq!(all, sandbox.truth("files"));
    assert_eq!(sandbox.counters().pages, 20);
    assert_eq!(sandbox.counters().refused, 0);
    failures
}

#[test]
fn too_many_requests() {
    let failures = read_all(FaultKind::RateLimited, 4);
    assert_eq!(failures.len(), 5);
    for (i, response) in failures.iter().enumerate() {
        assert_eq!(response.error(), (429, "rate_limited".to_owned()));
        let after = response.header("retry-after").unwrap();
        if i % 2 == 0 {
            assert_eq!(after, "1");
        } else {
            let time = httpdate::parse_http_date(after).unwrap();
            assert!(time <= SystemTime::now() + Duration::from_secs(1));
        }
    }
}

#[test]
fn unavailable() {
    let failures = read_all(FaultKind::Unavailable, 5);
    assert_eq!(failures.len(), 4);
    assert!(failures.iter().all(|response| response.status == 503));
}

#[test]
fn cut_bodies_come_in_both_framings() {
    let failures = read_all(FaultKind::CutBody, 5);
    assert_eq!(failures.len(), 4);
    for (i, response) in failures.iter().enumerate() {
        assert_eq!(response.status, 200);
        assert!(response.body.len() > 1_000, "half of it has been sent");
        assert_eq!(response.header("content-length").is_some(), i % 2 == 0);
        assert_eq!(response.header("transfer-encoding").is_some(), i % 2 == 1);
        assert!(serde_json::from_slice::<serde_json::Value>(&response.body).is_err());
    }
}

#[test]
fn slow_answers_are_whole() {
    let start = Instant::now();
    assert!(read_all(FaultKind::Slow(20), 10).is_empty());
    assert!(start.elapsed() >= Duration::from_millis(2 * 20));
}

#[test]
fn scripted_answers_replace_the_nth_of_a_path() {
    let path = "/base/v1/files";
    let sandbox = serve(|options| {
        options.script = vec![
            Scripted::get(path, 2, Answer::html(200, "<html>log in</html>")),
            Scripted::get(path, 3, Answer::redirect(302, "http://elsewhere.example/")),
            Scripted::get(
                path,
                4,
                Answer::json(200, "{\"files\": [").ending(Ending::NoResponse),
            ),
            Scripted::get(
                path,
                5,
                Answer::json(200, "{\"files\":[]}").ending(Ending::CutLength),
            ),
            Scripted::get(path, 6, Answer::json(429, "{}").header("retry-after", "-1")),
            Scripted::always("/elsewhere", Answer::json(404, "{}")),
        ];
    });
    let whole = page(0).send(&sandbox).body;
    assert_eq!(
        page(0).send(&sandbox).header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let redirect = page(0).send(&sandbox);
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (302, Some("http://elsewhere.example/"))
    );
    assert!(page(0).try_send(&sandbox).is_none());
    let cut = page(0).send(&sandbox);
    assert_eq!(
        (cut.whole, cut.body.as_slice()),
        (false, b"{\"file".as_slice())
    );
    assert_eq!(page(0).send(&sandbox).header("retry-after"), Some("-1"));
    assert_eq!(page(0).send(&sandbox).body, whole);
    assert_eq!(Request::get("/elsewhere").send(&sandbox).status, 404);
    assert_eq!(sandbox.requests().len(), 8);
}

#[test]
fn a_function_may_answer() {
    let sandbox = serve(|options| {
        options.responder = Some(Arc::new(|request, count| {
            (request.param("offset") == Some("100") && count == 2)
                .then(|| Answer::json(500, "{}").delay(Duration::from_millis(30)))
        }));
    });
    assert_eq!(page(0).send(&sandbox).status, 200);
    let start = Instant::now();
    assert_eq!(page(100).send(&sandbox).status, 500);
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert_eq!(page(100).send(&sandbox).status, 200);
}

#[test]
fn the_end_of_a_sandbox_ends_its_connections_and_frees_its_port() {
    let sandbox = serve(|options| {
        let stalled = Answer::json(200, "{\"files\":[]}").ending(Ending::Stall);
        options.script = vec![Scripted::always("/stall", stalled)];
    });
    let address = sandbox.origin().strip_prefix("http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    stream
        .write_all(b"GET /stall HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut head = [0; 400];
    let count = stream.read(&mut head).unwrap();
    assert!(head[..count].starts_with(b"HTTP/1.1 200"));
    let idle = TcpStream::connect(&address).unwrap();
    drop(sandbox);
    for mut stream in [stream, idle] {
        let mut rest = Vec::new();
        // The end may come as a reset, when the server had something left to read.
        drop(stream.read_to_end(&mut rest));
        assert!(!rest.ends_with(b"]}"), "half of the body at most");
    }
    assert!(TcpStream::connect(&address).is_err());
    let port = address.rsplit(':').next().unwrap().parse().unwrap();
    let again = serve(|options| options.port = port);
    assert_eq!(page(0).send(&again).status, 200);
    let problem = Sandbox::start(
        &plan(Vec::new()),
        Options {
            port,
            ..Options::default()
        },
    );
    assert!(
        problem
            .unwrap_err()
            .contains(&format!("port {port} of 127.0.0.1"))
    );
}
