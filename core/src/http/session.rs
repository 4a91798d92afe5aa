//! Requests of a connector: credentials put in, failures tried again, answers judged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use connector_plan::{Action, Wait};
use http::{HeaderMap, Method, StatusCode};
use url::{Origin, Url};

use super::actions::Rule;
use super::retry::asked;
use super::{Actions, Call, Limiter, Permit, Response, RetryPolicy, SendError, Transport};
use crate::auth::Authenticator;
use crate::meter::Meter;
use crate::{Error, ErrorKind, Result};

/// What every request of a client shares.
#[derive(Debug)]
pub(crate) struct Session {
    pub transport: Arc<Transport>,
    pub auth: Arc<dyn Authenticator>,
    pub retry: RetryPolicy,
    /// How many requests are under way at once, those of other sessions included.
    pub limiter: Arc<Limiter>,
    /// What is done about some answers, before the retry policy is asked.
    pub actions: Actions,
    /// The origin of the base URL, the only one that gets credentials.
    pub home: Origin,
    /// The names of the settings that hold the credentials, for advice.
    pub environment: Vec<String>,
}

/// A request without credentials.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
}

/// The refusals for too many requests at once that are no retries: the limit halves with each.
const CROWDED: u32 = 8;

/// A request that somebody has asked for.
#[derive(Debug, Default)]
pub(crate) struct Errand {
    progress: AtomicU8,
    is_guess: bool,
}

impl Errand {
    const SENT: u8 = 1;
    const UNWANTED: u8 = 2;

    /// A request that may never be needed: it is sent once, and only a page is an answer to it.
    pub(crate) fn guess() -> Self {
        Self {
            is_guess: true,
            ..Self::default()
        }
    }

    pub(crate) fn is_guess(&self) -> bool {
        self.is_guess
    }

    /// It is about to be sent; false when nobody wants the answer any more.
    fn begin(&self) -> bool {
        let begun = (self.progress).compare_exchange(0, Self::SENT, Relaxed, Relaxed);
        begun != Err(Self::UNWANTED)
    }

    /// Nobody wants its answer any more: it is not sent, and not tried again. Whether it has been
    /// sent.
    pub(crate) fn abandon(&self) -> bool {
        self.progress.swap(Self::UNWANTED, Relaxed) == Self::SENT
    }
}

impl Session {
    /// Sends a request until it succeeds or is to be tried no more; the first time with this
    /// permit, if there is one.
    ///
    /// A `429` to one of several requests at once is no retry: the sequential reading would not have
    /// met with it.
    /// A `401` renews the credentials once and sends the request again, which is no retry; only
    /// then the spec's actions are asked, and then the retry rules.
    /// None of that becomes of a guess: whatever is wrong with it, it will be asked again when its
    /// turn comes.
    pub(crate) async fn fetch(
        &self,
        request: &Request,
        mut permit: Option<Permit>,
        errand: &Errand,
        meter: &Meter,
    ) -> Result<Response> {
        let mut retries = 0;
        let mut crowded = 0;
        let mut renewed = false;
        loop {
            let permit = match permit.take() {
                Some(permit) => permit,
                None => {
                    let again = renewed || retries + crowded > 0;
                    // What somebody else was asked to wait, who did not.
                    let held = self.limiter.held();
                    if let Some(wait) = held {
                        meter.wait(wait, "the API asked for a wait");
                    }
                    let permit = self.limiter.enter(again).await;
                    if held.is_some() {
                        meter.resumed();
                    }
                    permit
                }
            };
            let credentials = self.auth.credentials(request, meter).await?;
            if !errand.begin() {
                return Err(Error::new(ErrorKind::Internal, "nobody wants the answer"));
            }
            let under_way = meter.request();
            let outcome = self
                .transport
                .send(Call {
                    method: request.method.clone(),
                    url: request.url.clone(),
                    headers: request.headers.clone(),
                    body: request.body.clone(),
                    home: &self.home,
                    credentials: Some(&credentials),
                })
                .await;
            drop(under_way);
            let mut waits: &[Wait] = &[];
            let mut too_many = None;
            let (failure, headers) = match outcome {
                Ok(mut response) => {
                    let unauthorized = response.status == StatusCode::UNAUTHORIZED;
                    if unauthorized && !renewed && !errand.is_guess {
                        renewed = true;
                        if self.auth.renew(&credentials, meter).await? {
                            continue;
                        }
                    }
                    let rule = self.actions.find(&response)?;
                    let action = rule.map(Rule::action);
                    match action {
                        Some(Action::Success) => {
                            permit.answered();
                            return Ok(response);
                        }
                        Some(Action::Ignore) if !errand.is_guess => {
                            response.ignored = true;
                            return Ok(response);
                        }
                        Some(Action::RefreshToken) if !renewed && !errand.is_guess => {
                            renewed = true;
                            if self.auth.renew(&credentials, meter).await? {
                                continue;
                            }
                        }
                        None if response.status.is_success() => {
                            permit.answered();
                            return Ok(response);
                        }
                        _ => {}
                    }
                    let retryable = match action {
                        None => self.retry.retries_status(response.status.as_u16()),
                        action => action == Some(Action::Retry),
                    };
                    waits = rule.map_or(&[], Rule::waits);
                    too_many = match action {
                        // Told by a header of such an API's own.
                        Some(Action::Retry) if Self::asks_for(waits, &response).is_some() => {
                            Some(StatusCode::TOO_MANY_REQUESTS)
                        }
                        _ => Some(response.status).filter(|status| is_too_many(*status)),
                    };
                    let error = self.refused(request, &response, rule);
                    (SendError { error, retryable }, Some(response.headers))
                }
                Err(failure) => (failure, None),
            };
            let asked = (self.retry).asked(waits, headers.as_ref(), SystemTime::now());
            let others = match too_many {
                Some(status) => permit.refused(asked) && status == StatusCode::TOO_MANY_REQUESTS,
                None => {
                    drop(permit);
                    false
                }
            };
            if errand.is_guess {
                return Err(failure.error);
            }
            if failure.retryable && others && crowded < CROWDED {
                crowded += 1;
            } else if failure.retryable && retries < self.retry.max_retries() {
                retries += 1;
            } else {
                return Err(failure.error.with("attempts", retries + crowded + 1));
            }
            pause(
                &self.retry,
                retries.max(1),
                waits,
                headers.as_ref(),
                &failure.error,
                meter,
            )
            .await;
        }
    }

    /// The wait that a header asks for, of those in `waits`.
    fn asks_for(waits: &[Wait], response: &Response) -> Option<Duration> {
        let (headers, now) = (Some(&response.headers), SystemTime::now());
        waits.iter().find_map(|wait| asked(wait, headers, now))
    }

    /// Waits before retry number `retry`.
    pub(crate) async fn pause(
        &self,
        retry: u32,
        headers: Option<&HeaderMap>,
        reason: &Error,
        meter: &Meter,
    ) {
        pause(&self.retry, retry, &[], headers, reason, meter).await;
    }

    fn refused(&self, request: &Request, response: &Response, rule: Option<&Rule>) -> Error {
        let status = response.status;
        let kind = match status {
            StatusCode::UNAUTHORIZED => ErrorKind::Authentication,
            _ => ErrorKind::Source,
        };
        let message = match rule.map(Rule::message) {
            Some(Some(message)) => format!("the API answered {status}: {message}"),
            Some(None) if status.is_success() => {
                format!("the API answered {status} with what the spec calls a failure")
            }
            _ => format!("the API answered {status}"),
        };
        let mut error = Error::new(kind, message).answered(status.as_u16()).with(
            "request",
            self.transport.describe(&request.method, &request.url),
        );
        let excerpt = self.transport.excerpt(&response.body);
        if !excerpt.is_empty() {
            error = error.with("body", excerpt);
        }
        match status {
            _ if rule.and_then(Rule::message).is_some() => error,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let settings = match self.environment.as_slice() {
                    [] => String::new(),
                    settings => format!(" ({})", settings.join(", ")),
                };
                error.hint(format!(
                    "check the credentials{settings} and what they may read"
                ))
            }
            StatusCode::NOT_FOUND => {
                error.hint("check the setting `base_url` and the resource's `path` in the spec")
            }
            _ => error,
        }
    }
}

/// Whether an answer says that there are more requests than the API takes (RFC 6585, section 4; RFC
/// 9110, section 15.6.4).
fn is_too_many(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    )
}

/// Waits before retry number `retry` of a policy.
pub(crate) async fn pause(
    policy: &RetryPolicy,
    retry: u32,
    waits: &[Wait],
    headers: Option<&HeaderMap>,
    reason: &Error,
    meter: &Meter,
) {
    let wait = policy.wait(retry, waits, headers, SystemTime::now(), random());
    tracing::warn!(
        retry,
        wait_seconds = wait.as_secs_f64(),
        "{reason}; trying again"
    );
    meter.retry(wait, reason.message());
    tokio::time::sleep(wait).await;
    meter.resumed();
}

/// A random number between 0 and 1, good enough to spread requests.
fn random() -> f64 {
    let bits = uuid::Uuid::new_v4().as_u128() as u32;
    f64::from(bits) / f64::from(u32::MAX)
}
