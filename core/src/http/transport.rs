//! One exchange with a server: redirects under our own rule, bodies under a limit.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::{Origin, Url};

use super::bodies::{Bodies, Body};
use super::roots;
use crate::auth::Credentials;
use crate::secret::Redactor;
use crate::{Error, ErrorKind, Json, Result, Trace};

/// More redirects than any API needs.
const MAX_REDIRECTS: usize = 10;

/// What a transport is made of.
#[derive(Debug)]
pub(crate) struct TransportOptions {
    pub user_agent: String,
    pub timeouts: connector_plan::Timeouts,
    /// Hosts beside the home origin that redirects and links may lead to.
    pub allowed_hosts: Vec<String>,
    /// The largest body after decompression, in bytes.
    pub max_body: usize,
    /// A PEM file of certificate authorities to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether every request goes to this machine, where no proxy has a place.
    pub loopback: bool,
    /// Where every exchange is noted.
    pub trace: Option<Trace>,
}

/// Sends requests and reads answers.
#[derive(Debug)]
pub(crate) struct Transport {
    client: reqwest::Client,
    allowed_hosts: Vec<String>,
    max_body: usize,
    trace: Option<Trace>,
    redactor: Redactor,
    bodies: Arc<Bodies>,
}

/// One request, ready to be sent.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
    /// The origin that headers, body and credentials are meant for.
    pub home: &'a Origin,
    pub credentials: Option<&'a Credentials>,
}

/// An answer with its whole body.
#[derive(Debug)]
pub(crate) struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Where the answer came from, after redirects.
    pub url: Url,
    pub body: Body,
    /// Whether an action of the spec makes it a page without records, the last one.
    pub ignored: bool,
}

impl Response {
    /// The body as JSON, a byte order mark in front or not (RFC 8259, section 8.1).
    pub(crate) fn json(&self) -> serde_json::Result<Json> {
        let body = self.body.strip_prefix(b"\xEF\xBB\xBF");
        serde_json::from_slice(body.unwrap_or(&self.body))
    }
}

/// Why there is no answer, and whether asking again may help.
#[derive(Debug)]
pub(crate) struct SendError {
    pub error: Error,
    pub retryable: bool,
}

impl SendError {
    fn fatal(error: Error) -> Self {
        Self {
            error,
            retryable: false,
        }
    }
}

impl Transport {
    pub(crate) fn new(options: TransportOptions, redactor: Redactor) -> Result<Self> {
        let timeouts = options.timeouts;
        let builder = || {
            let builder = reqwest::Client::builder()
                .user_agent(&options.user_agent)
                // Redirects are followed here, where the origin rule is known; no Referer, because
                // a URL may carry secrets.
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .retry(reqwest::retry::never())
                .connect_timeout(Duration::from_secs_f64(timeouts.connect))
                .read_timeout(Duration::from_secs_f64(timeouts.read))
                .timeout(Duration::from_secs_f64(timeouts.total))
                .tcp_nodelay(true);
            if options.loopback {
                builder.no_proxy()
            } else {
                builder
            }
        };
        let client = roots::build(builder, options.ca_file.as_deref())?;
        Ok(Self {
            client,
            allowed_hosts: options.allowed_hosts,
            max_body: options.max_body,
            trace: options.trace,
            redactor,
            bodies: Arc::default(),
        })
    }

    /// The largest body after decompression, in bytes.
    pub(crate) fn max_body(&self) -> usize {
        self.max_body
    }

    /// Whether a link may be followed to this URL.
    pub(crate) fn check_target(&self, url: &Url, home: &Origin) -> Result<()> {
        if url.origin() == *home {
            return Ok(());
        }
        let host = url.host_str().unwrap_or_default();
        let web = matches!(url.scheme(), "http" | "https");
        let downgraded = url.scheme() == "http" && home.ascii_serialization().starts_with("https:");
        if web && !downgraded && self.allowed_hosts.iter().any(|allowed| allowed == host) {
            return Ok(());
        }
        // Only the origin is named: path and query of a foreign link may hold anything.
        let origin = if web {
            url.origin().ascii_serialization()
        } else {
            url.scheme().to_owned()
        };
        let error = Error::new(
            ErrorKind::Source,
            format!("the API leads to `{origin}`, outside its own origin"),
        )
        .with("origin", home.ascii_serialization());
        Err(if web && !downgraded {
            error.hint(format!(
                "if this host belongs to the API, list `{host}` under `client.allowed_hosts` \
                 of the spec; it gets no credentials"
            ))
        } else {
            error
        })
    }

    /// Sends a request, follows its redirects and reads the whole body.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Response, SendError> {
        let Call {
            mut method,
            mut url,
            headers,
            mut body,
            home,
            credentials,
        } = call;
        for _ in 0..=MAX_REDIRECTS {
            self.check_target(&url, home).map_err(SendError::fatal)?;
            let at_home = url.origin() == *home;
            let mut sent_url = url.clone();
            let mut sent_headers = if at_home {
                headers.clone()
            } else {
                accept_only(&headers)
            };
            if at_home && let Some(credentials) = credentials {
                credentials.apply(&mut sent_url, &mut sent_headers);
            }
            let mut request = self
                .client
                .request(method.clone(), sent_url)
                .headers(sent_headers);
            if let Some(body) = body.clone().filter(|_| at_home) {
                request = request.body(body);
            }
            tracing::debug!(method = %method, url = %self.redactor.url(&url), "request");
            let response = request.send().await.map_err(|error| {
                self.note(&method, &url, None);
                self.failed(&method, &url, error)
            })?;
            let status = response.status();
            tracing::debug!(status = status.as_u16(), "response");
            let location = response
                .headers()
                .get(LOCATION)
                .filter(|_| is_redirect(status));
            let Some(location) = location else {
                let headers = response.headers().clone();
                let body = self.read(&method, &url, response).await;
                let length = body.as_ref().map_or(0, |body| body.len());
                self.note(&method, &url, Some((status.as_u16(), length as u64)));
                let body = body?;
                return Ok(Response {
                    status,
                    headers,
                    url,
                    body,
                    ignored: false,
                });
            };
            self.note(&method, &url, Some((status.as_u16(), 0)));
            let target = location
                .to_str()
                .ok()
                .and_then(|location| url.join(location).ok());
            let Some(target) = target else {
                return Err(SendError::fatal(
                    Error::new(
                        ErrorKind::Source,
                        "the API redirects to something that is no URL",
                    )
                    .with("request", self.describe(&method, &url)),
                ));
            };
            // RFC 9110, section 15.4: 303 always turns into GET, 301 and 302 turn POST into GET.
            if status == StatusCode::SEE_OTHER
                || (matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND)
                    && method == Method::POST)
            {
                method = Method::GET;
                body = None;
            }
            url = target;
        }
        Err(SendError::fatal(
            Error::new(
                ErrorKind::Source,
                format!("the API redirects more than {MAX_REDIRECTS} times"),
            )
            .with("request", self.describe(&method, &url)),
        ))
    }

    fn note(&self, method: &Method, url: &Url, answer: Option<(u16, u64)>) {
        if let Some(trace) = &self.trace {
            trace.add(method, self.redactor.url(url), answer);
        }
    }

    /// Notes how many records an answer had.
    pub(crate) fn note_records(&self, response: &Response, records: u64) {
        if let Some(trace) = &self.trace {
            trace.records(&self.redactor.url(&response.url), records);
        }
    }

    async fn read(
        &self,
        method: &Method,
        url: &Url,
        mut response: reqwest::Response,
    ) -> Result<Body, SendError> {
        let hint = response
            .content_length()
            .and_then(|length| usize::try_from(length).ok());
        let mut body = self.bodies.body(hint.unwrap_or(0).min(self.max_body));
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.failed(method, url, error))?
        {
            if body.len() + chunk.len() > self.max_body {
                return Err(SendError::fatal(
                    Error::new(
                        ErrorKind::Source,
                        format!("the answer is larger than {} bytes", self.max_body),
                    )
                    .with("request", self.describe(method, url))
                    .hint("ask for smaller pages: lower `limit` of the paginator"),
                ));
            }
            body.extend(&chunk);
        }
        Ok(body)
    }

    /// A request as messages name it, without secrets.
    pub(crate) fn describe(&self, method: &Method, url: &Url) -> String {
        format!("{method} {}", self.redactor.url(url))
    }

    /// Up to 200 characters of a body on one line, without secrets.
    pub(crate) fn excerpt(&self, body: &[u8]) -> String {
        self.redactor.excerpt(body)
    }

    fn failed(&self, method: &Method, url: &Url, error: reqwest::Error) -> SendError {
        let host = url.origin().ascii_serialization();
        let message = if error.is_connect() {
            format!("cannot connect to `{host}`")
        } else if error.is_timeout() {
            format!("`{host}` did not answer in time")
        } else if error.is_body() || error.is_decode() {
            format!("the answer of `{host}` ended too early or cannot be decompressed")
        } else {
            format!("the exchange with `{host}` failed")
        };
        let mut result =
            Error::new(ErrorKind::Source, message).with("request", self.describe(method, url));
        if error.is_connect() {
            result = result.hint("check the network and the setting `base_url`");
        }
        let retryable = !error.is_builder();
        SendError {
            error: result.caused_by(error.without_url()),
            retryable,
        }
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// What a host outside the home origin may see of the headers.
fn accept_only(headers: &HeaderMap) -> HeaderMap {
    [ACCEPT, CONTENT_TYPE]
        .into_iter()
        .filter_map(|name| {
            let value: HeaderValue = headers.get(&name)?.clone();
            Some((name, value))
        })
        .collect()
}
