//! What a sandbox serves, and how it behaves.

use std::{sync::Arc, time::Duration};

use connector_plan::sandbox::{Fault, SandboxOptions};

use crate::RequestRecord;

/// What a sandbox serves, and how it behaves.
///
/// The default is a friendly server: 1,250 records per resource, no faults, no limit on page
/// sizes.
#[derive(Clone)]
pub struct Options {
    /// The port on 127.0.0.1; 0, the default, takes a free one.
    pub port: u16,
    /// Records per resource; 1,250 by default.
    pub records: u64,
    /// The seed of the sample data, tokens, cursors and faults; 1 by default.
    pub seed: u64,
    /// The lifetime of an access token; one hour by default.
    pub token_lifetime: Duration,
    /// What goes wrong with every n-th data request; nothing by default.
    pub faults: Vec<Fault>,
    /// The largest page that the server gives, whatever a request asks for; no limit by default.
    pub max_page_size: Option<u64>,
    /// The page size of a request that names none.
    ///
    /// By default the declared limit when the plan has no place to send it; otherwise a quarter of
    /// it, so that a client which forgets to send the limit can be told from one which sends it.
    pub default_page_size: Option<u64>,
    /// How links to the next page are written; absolute by default.
    pub links: LinkForm,
    /// How the body of the last page says that there is no cursor; null by default.
    pub last_cursor: LastCursor,
    /// Whether the last page with records still has a cursor, which leads to an empty page; false
    /// by default.
    pub trailing_empty_page: bool,
    /// How a token response tells the lifetime; a number by default.
    pub expires_in: ExpiresIn,
    /// Whether every refresh gives a new refresh token and ends the old one (RFC 6749, section 6);
    /// false by default.
    pub rotate_refresh_tokens: bool,
    /// Whether nullable fields are null or missing now and then; true by default.
    pub nulls: bool,
    /// Every n-th record has a field that the plan does not declare; 0, the default, for none.
    pub undeclared_every: u64,
    /// Whether a wildcard in the middle of a data selector goes through objects instead of arrays;
    /// false by default.
    pub object_wildcards: bool,
    /// Whether all records are rendered before the first request and kept, so that serving costs
    /// no more than copying; false by default, with at most 64 MiB of each resource kept.
    ///
    /// Measured on a release build with 1,000,000 records of 12 fields (305 MB) in pages of 1,000:
    /// serving costs 0.05 CPU seconds after 0.6 for rendering; without it, 0.65 together.
    pub prerender: bool,
    /// Whether requests are kept for [`Sandbox::requests`](crate::Sandbox::requests); true by
    /// default.
    pub keep_requests: bool,
    /// Sample values in place of generated ones, by the name of the setting.
    pub settings: Vec<(String, String)>,
    /// Answers in place of the sandbox's own.
    pub script: Vec<Scripted>,
    /// Asked for an answer before everything else, with how many requests of the same method and
    /// path there have been, this one included.
    pub responder: Option<Responder>,
}

/// A function that may answer in place of the sandbox.
pub type Responder = Arc<dyn Fn(&RequestRecord, u64) -> Option<Answer> + Send + Sync>;

impl Default for Options {
    fn default() -> Self {
        Self::from(&SandboxOptions::default())
    }
}

impl From<&SandboxOptions> for Options {
    fn from(options: &SandboxOptions) -> Self {
        Self {
            port: options.port,
            records: options.records,
            seed: options.seed,
            token_lifetime: Duration::from_secs(options.token_lifetime),
            faults: options.faults.clone(),
            max_page_size: None,
            default_page_size: None,
            links: LinkForm::Absolute,
            last_cursor: LastCursor::Null,
            trailing_empty_page: false,
            expires_in: ExpiresIn::Number,
            rotate_refresh_tokens: false,
            nulls: true,
            undeclared_every: 0,
            object_wildcards: false,
            prerender: false,
            keep_requests: true,
            settings: Vec::new(),
            script: Vec::new(),
            responder: None,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("port", &self.port)
            .field("records", &self.records)
            .field("seed", &self.seed)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

/// How a link to the next page is written (RFC 3986, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkForm {
    /// `http://127.0.0.1:8080/v1/files?page_token=…`
    Absolute,
    /// `/v1/files?page_token=…`
    Path,
    /// `?page_token=…`
    Query,
}

/// How the body of the last page says that there is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastCursor {
    /// `null`.
    Null,
    /// The member is left out.
    Missing,
    /// `""`.
    Empty,
}

/// How a token response tells the lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiresIn {
    /// `3600`, as RFC 6749, section 5.1 says.
    Number,
    /// `"3600"`, as some servers do.
    Text,
    /// Not at all: it is only recommended.
    Missing,
}

/// An answer in place of the sandbox's own.
#[derive(Clone, Debug)]
pub struct Scripted {
    /// The method, `GET` or `POST`.
    pub method: String,
    /// The whole path, such as `/v1/files` or `/oauth/token`.
    pub path: String,
    /// Which requests of this method and path.
    pub when: When,
    /// The answer.
    pub answer: Answer,
}

impl Scripted {
    /// Answers the `nth` `GET` of `path`, counted from 1.
    #[must_use]
    pub fn get(path: impl Into<String>, nth: u64, answer: Answer) -> Self {
        Self::new("GET", path, When::Nth(nth), answer)
    }

    /// Answers the `nth` `POST` of `path`, counted from 1.
    #[must_use]
    pub fn post(path: impl Into<String>, nth: u64, answer: Answer) -> Self {
        Self::new("POST", path, When::Nth(nth), answer)
    }

    /// Answers every `GET` of `path`.
    #[must_use]
    pub fn always(path: impl Into<String>, answer: Answer) -> Self {
        Self::new("GET", path, When::Always, answer)
    }

    fn new(method: &str, path: impl Into<String>, when: When, answer: Answer) -> Self {
        Self {
            method: method.to_owned(),
            path: path.into(),
            when,
            answer,
        }
    }
}

/// Which requests of a method and path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The n-th, counted from 1.
    Nth(u64),
    /// The n-th, counted from 1, and all later ones.
    From(u64),
    /// All.
    Always,
}

impl When {
    pub(crate) fn matches(self, count: u64) -> bool {
        match self {
            Self::Nth(nth) => count == nth,
            Self::From(nth) => count >= nth,
            Self::Always => true,
        }
    }
}

/// A response, word for word.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names and values of headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How long the response is held back.
    pub delay: Duration,
    /// How it ends.
    pub ending: Ending,
}

impl Answer {
    /// A whole response without delay.
    #[must_use]
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.into(),
            delay: Duration::ZERO,
            ending: Ending::Whole,
        }
    }

    /// `application/json`.
    #[must_use]
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "application/json", body)
    }

    /// `text/html`.
    #[must_use]
    pub fn html(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "text/html; charset=utf-8", body)
    }

    /// A redirect (RFC 9110, section 15.4).
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::html(status, "moved").header("location", location)
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, held back for so long.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The same with another ending.
    #[must_use]
    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }
}

/// How a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    Whole,
    /// Half of the body that `Content-Length` announces, then the connection is closed.
    CutLength,
    /// Half of the body in chunks, without the last chunk, then the connection is closed.
    CutChunked,
    /// Half of the body, then nothing more on an open connection.
    Stall,
    /// No response: the connection is closed.
    NoResponse,
}
