//! A client of a few lines, so that no library hides what the server sends.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use serde_json::Value;

use crate::Sandbox;

/// What came back.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body ended as its framing says.
    pub(crate) whole: bool,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert!(self.whole, "a cut body");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and error code.
    #[track_caller]
    pub(crate) fn error(&self) -> (u16, String) {
        let body = self.json();
        let code = body["error"]["code"].as_str().or(body["error"].as_str());
        (self.status, code.unwrap().to_owned())
    }
}

/// A request to be sent.
#[derive(Clone)]
pub(crate) struct Request {
    method: &'static str,
    target: String,
    pub(crate) headers: Vec<(String, String)>,
    body: String,
}

impl Request {
    pub(crate) fn get(target: impl Into<String>) -> Self {
        Self {
            method: "GET",
            target: target.into(),
            headers: Vec::new(),
            body: String::new(),
        }
    }

    pub(crate) fn post(target: impl Into<String>, body: impl Into<String>) -> Self {
        Self {
            method: "POST",
            body: body.into(),
            ..Self::get(target)
        }
    }

    pub(crate) fn form(target: impl Into<String>, fields: &[(&str, &str)]) -> Self {
        Self::post(target, encode(fields))
            .header("content-type", "application/x-www-form-urlencoded")
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sends it; none when the connection was closed without a response.
    pub(crate) fn try_send(&self, sandbox: &Sandbox) -> Option<Response> {
        let host = sandbox.origin().strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            text += &format!("host: {host}\r\n");
        }
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() {
            text += &format!("content-length: {}\r\n", self.body.len());
        }
        text += "connection: close\r\n\r\n";
        text += &self.body;
        stream.write_all(text.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        (!bytes.is_empty()).then(|| parse(&bytes))
    }

    #[track_caller]
    pub(crate) fn send(&self, sandbox: &Sandbox) -> Response {
        self.try_send(sandbox).unwrap()
    }
}

pub(crate) fn encode(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

fn parse(bytes: &[u8]) -> Response {
    let end = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut response = Response {
        status: status.parse().unwrap(),
        headers,
        body: Vec::new(),
        whole: false,
    };
    let mut rest = &bytes[end + 4..];
    if response.header("transfer-encoding") == Some("chunked") {
        // RFC 9112, section 7.1; a cut body ends anywhere.
        while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
            let size = std::str::from_utf8(&rest[..line]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            rest = &rest[line + 2..];
            response.whole = size == 0;
            response
                .body
                .extend_from_slice(&rest[..size.min(rest.len())]);
            rest = &rest[(size + 2).min(rest.len())..];
        }
    } else {
        let length: usize = response.header("content-length").unwrap().parse().unwrap();
        response.whole = length == rest.len();
        response.body = rest.to_vec();
    }
    response
}
