//! How every request is made.

use connector_plan::{Auth, Client, RateLimit, Retry, Timeouts};

use super::Lowering;
use super::response::wait;
use super::url::{self, Url};
use crate::diagnostic::{Diagnostic, code};
use crate::source::Span;
use crate::spec::{ClientSpec, ConcurrencySpec, Key, RetrySpec, Spec, Text};
use crate::words::quote;

const STATUSES: [u16; 5] = [429, 500, 502, 503, 504];
/// Enough to hide most of an API's latency; how many there really are depends on the API.
const CONCURRENCY: u32 = 16;

impl Lowering<'_, '_> {
    /// The client; an empty one after a report.
    pub(super) fn client(&mut self, spec: &Spec) -> Client {
        if spec.client.is_unset() {
            let blame = spec.client.key_span().unwrap_or(spec.blame);
            self.missing("client", "the spec", blame, "it holds at least `base_url`");
        }
        let empty = ClientSpec::empty(spec.blame);
        let written = spec.client.get();
        let client = written.unwrap_or(&empty);
        let base_url = match client.base_url.get() {
            Some(text) => self.base_url(text),
            None => {
                if client.base_url.is_unset() && written.is_some() {
                    self.missing(
                        "base_url",
                        "`client`",
                        client.blame,
                        "write `base_url: https://api.example.com`",
                    );
                }
                String::new()
            }
        };
        let headers = self.headers(client.headers.get());
        let auth = client.auth.get().map_or(Auth::None, |auth| {
            self.auth(auth, client.auth.key_span().unwrap_or(client.blame))
        });
        self.check_clear(&base_url, &auth, &client.base_url);
        let rules = retry(client.retry.get());
        let retry = self
            .handler_retry(&client.error_handler, &client.retry, &rules)
            .unwrap_or(rules);
        Client {
            base_url,
            headers,
            auth,
            retry,
            rate_limit: self.rate_limit(client),
            timeouts: self.timeouts(client),
            concurrency: client
                .concurrency
                .get()
                .and_then(ConcurrencySpec::most)
                .map_or(CONCURRENCY, |most| u32::try_from(most).unwrap_or(u32::MAX)),
            allowed_hosts: self.allowed_hosts(client),
        }
    }

    fn base_url(&mut self, text: &Text) -> String {
        if text.value.contains(['{', '}']) {
            self.reporter.not_supported(
                "an expression in `base_url`",
                text.span,
                "write the usual URL: every connector has a setting `base_url` that replaces it",
            );
            return String::new();
        }
        let problem = match Url::parse(&text.value) {
            Ok(url) if url.path.contains('?') => "it must not have a query".to_owned(),
            Ok(url)
                if url
                    .path
                    .split('/')
                    .any(|segment| matches!(segment, "." | "..")) =>
            {
                "it must not have the segments `.` and `..`".to_owned()
            }
            Ok(_) => return text.value.trim_end_matches('/').to_owned(),
            Err(problem) => problem,
        };
        if problem.contains("credentials") {
            self.reporter.secrets.push(text.span);
            self.invalid("`base_url` holds credentials", text.span, problem);
        } else {
            self.invalid(
                format!("{} is not a base URL", quote(&text.value)),
                text.span,
                problem,
            );
        }
        String::new()
    }

    fn check_clear(&mut self, base_url: &str, auth: &Auth, key: &Key<Text>) {
        let clear = Url::parse(base_url).is_ok_and(|url| !url.secure && !url.is_loopback());
        if clear
            && !matches!(auth, Auth::None)
            && let Some(given) = key.given()
        {
            self.report(
                Diagnostic::warning(
                    code::CREDENTIALS_IN_CLEAR,
                    "credentials will travel unencrypted",
                )
                .label(given.span, "`http` has no encryption")
                .help("write `https` when the API has it"),
            );
        }
    }

    fn rate_limit(&mut self, client: &ClientSpec) -> Option<RateLimit> {
        let spec = client.rate_limit.get()?;
        if spec.requests.is_unset() {
            self.missing(
                "requests",
                "`rate_limit`",
                spec.blame,
                "write `{requests: 10, seconds: 1}`",
            );
        }
        let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Some(RateLimit {
            requests: spec.requests.get().map_or(1, |value| number(value.0)),
            seconds: spec.seconds.get().map_or(1, |value| number(value.0)),
        })
    }

    fn timeouts(&mut self, client: &ClientSpec) -> Timeouts {
        let mut timeouts = Timeouts {
            connect: 10.0,
            read: 60.0,
            total: 300.0,
        };
        let Some(spec) = client.timeout.get() else {
            return timeouts;
        };
        for (key, value) in [
            (&spec.connect, &mut timeouts.connect),
            (&spec.read, &mut timeouts.read),
            (&spec.total, &mut timeouts.total),
        ] {
            if let Some(given) = key.given() {
                *value = given.value.0;
                if *value <= 0.0 || *value > 86_400.0 {
                    self.invalid(
                        "a timeout is longer than 0 and at most a day",
                        given.span,
                        "in seconds",
                    );
                }
            }
        }
        timeouts
    }

    fn allowed_hosts(&mut self, client: &ClientSpec) -> Vec<String> {
        let mut hosts = Vec::new();
        for text in client.allowed_hosts.get().map_or(&[][..], |hosts| &hosts.0) {
            let host = if text.value.contains("://") {
                Err("a host has no scheme".to_owned())
            } else {
                url::authority_parts(&text.value)
            };
            match host {
                Ok(_) => hosts.push(text.value.to_ascii_lowercase()),
                Err(problem) => self.report(
                    Diagnostic::error(
                        code::INVALID_VALUE,
                        format!("{} is not a host", quote(&text.value)),
                    )
                    .label(text.span, problem)
                    .help("write `files.example.com` or `files.example.com:8443`"),
                ),
            }
        }
        hosts
    }
}

/// Retry rules; those not written are the defaults.
pub(super) fn retry(spec: Option<&RetrySpec>) -> Retry {
    let empty = RetrySpec::empty(Span::default());
    let spec = spec.unwrap_or(&empty);
    let statuses = spec.statuses.get().map_or_else(
        || STATUSES.to_vec(),
        |statuses| {
            statuses
                .iter()
                .map(|status| u16::try_from(status.0).unwrap_or(u16::MAX))
                .collect()
        },
    );
    Retry {
        statuses,
        max_retries: spec
            .max_retries
            .get()
            .map_or(3, |value| u32::try_from(value.0).unwrap_or(u32::MAX)),
        backoff_factor: spec.backoff_factor.get().map_or(1.0, |value| value.0),
        max_delay: spec.max_delay.get().map_or(300.0, |value| value.0),
        jitter: spec.jitter.get().copied().unwrap_or(true),
        waits: spec.wait.get().map_or_else(Vec::new, |waits| {
            let known = waits.0.iter();
            known.filter_map(wait).collect()
        }),
    }
}
