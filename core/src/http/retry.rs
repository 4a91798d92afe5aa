//! How long to wait before a failed request is sent again.

use std::time::{Duration, SystemTime};

use connector_plan::{Retry, Wait};
use http::HeaderMap;
use http::header::RETRY_AFTER;

/// Which failures are sent again, and after how long.
#[derive(Clone, Debug)]
pub(crate) struct RetryPolicy {
    rules: Retry,
    longest: Duration,
}

impl RetryPolicy {
    /// The rules of the spec; no wait is longer than `max_wait`, when given.
    pub(crate) fn new(rules: Retry, max_wait: Option<Duration>) -> Self {
        let longest = seconds(rules.max_delay);
        Self {
            rules,
            longest: max_wait.map_or(longest, |wait| wait.min(longest)),
        }
    }

    /// Whether an answer of this status is tried again.
    pub(crate) fn retries_status(&self, status: u16) -> bool {
        self.rules.statuses.contains(&status)
    }

    /// The attempts after the first.
    pub(crate) fn max_retries(&self) -> u32 {
        self.rules.max_retries
    }

    /// The wait that the API asks for, if any: what the spec says of its own accord is not among it.
    pub(crate) fn asked(
        &self,
        waits: &[Wait],
        headers: Option<&HeaderMap>,
        now: SystemTime,
    ) -> Option<Duration> {
        let asked = (waits.iter().chain(&self.rules.waits))
            .find_map(|wait| asked(wait, headers, now))
            .or_else(|| retry_after(headers?, now))?;
        Some(asked.min(self.longest))
    }

    /// The wait before retry number `retry`, which counts from 1.
    ///
    /// What the spec says for such an answer (`waits`) and for all of them comes first, then
    /// `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3); a header that makes no
    /// sense is ignored. Otherwise the wait grows exponentially, with full jitter.
    pub(crate) fn wait(
        &self,
        retry: u32,
        waits: &[Wait],
        headers: Option<&HeaderMap>,
        now: SystemTime,
        random: f64,
    ) -> Duration {
        let mut waits = waits.iter().chain(&self.rules.waits);
        let told = waits
            .find_map(|wait| match wait {
                Wait::Seconds(amount) => Some(seconds(*amount)),
                wait => asked(wait, headers, now),
            })
            .or_else(|| retry_after(headers?, now));
        if let Some(told) = told {
            return told.min(self.longest);
        }
        let exponent = i32::try_from(retry.saturating_sub(1)).unwrap_or(i32::MAX);
        let ceiling = seconds(self.rules.backoff_factor * 2f64.powi(exponent)).min(self.longest);
        if self.rules.jitter {
            ceiling.mul_f64(random.clamp(0.0, 1.0))
        } else {
            ceiling
        }
    }
}

/// The wait that a header asks for, as the spec says, when the answer has it.
pub(super) fn asked(wait: &Wait, headers: Option<&HeaderMap>, now: SystemTime) -> Option<Duration> {
    let number = |name: &str| {
        let value = headers?.get(name)?.to_str().ok()?.trim();
        let number = value.parse::<f64>().ok()?;
        number.is_finite().then_some(number)
    };
    match wait {
        Wait::Seconds(_) => None,
        Wait::Header(name) => number(name).map(seconds),
        Wait::Until { header, minimum } => {
            let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            let left = number(header)? - now.as_secs_f64();
            Some(seconds(left.max(*minimum)))
        }
    }
}

/// What `Retry-After` asks for; a date in the past asks for no wait.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        // More digits than 64 bits hold is still a number: the cap takes care of it.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

/// A duration of so many seconds; nonsense is no time at all, more than a duration holds the most.
fn seconds(seconds: f64) -> Duration {
    if seconds.is_nan() || seconds <= 0.0 {
        Duration::ZERO
    } else {
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(jitter: bool) -> RetryPolicy {
        let rules = Retry {
            statuses: vec![429],
            max_retries: 3,
            backoff_factor: 2.0,
            max_delay: 300.0,
            jitter,
            waits: Vec::new(),
        };
        RetryPolicy::new(rules, None)
    }

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    #[track_caller]
    fn check(retry_after: Option<&str>, expect: f64) {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, value.parse().unwrap());
        }
        let wait = policy(false).wait(2, &[], Some(&headers), SystemTime::UNIX_EPOCH + NOW, 0.5);
        assert_eq!(wait.as_secs_f64(), expect, "{retry_after:?}");
    }

    #[test]
    fn retry_after_replaces_the_backoff_when_it_makes_sense() {
        check(None, 4.0);
        check(Some("7"), 7.0);
        check(Some("0"), 0.0);
        check(Some("-1"), 4.0);
        check(Some("1.5"), 4.0);
        check(Some("soon"), 4.0);
        check(Some(""), 4.0);
        check(Some("315360000"), 300.0);
        check(Some("99999999999999999999999"), 300.0);
        check(Some("Fri, 15 Jan 2027 08:00:09 GMT"), 9.0);
        check(Some("Fri, 15 Jan 2027 07:59:00 GMT"), 0.0);
        check(Some("Fri, 15 Jan 2038 08:00:00 GMT"), 300.0);
    }

    #[test]
    fn waits_double_under_full_jitter_up_to_the_cap() {
        let wait = |retry, random| policy(true).wait(retry, &[], None, SystemTime::now(), random);
        assert_eq!(wait(1, 1.0), Duration::from_secs(2));
        assert_eq!(wait(2, 1.0), Duration::from_secs(4));
        assert_eq!(wait(3, 0.25), Duration::from_secs(2));
        assert_eq!(wait(3, 0.0), Duration::ZERO);
        assert_eq!(wait(50, 1.0), Duration::from_secs(300));
        let capped = RetryPolicy::new(policy(false).rules, Some(Duration::from_millis(10)));
        assert_eq!(
            capped.wait(9, &[], None, SystemTime::now(), 1.0),
            Duration::from_millis(10)
        );
    }

    #[test]
    fn waits_of_the_spec_come_before_retry_after() {
        #[track_caller]
        fn check(waits: &[Wait], expect: f64) {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, "7".parse().unwrap());
            headers.insert("x-wait", "1.5".parse().unwrap());
            headers.insert("x-reset", "1800000020".parse().unwrap());
            headers.insert("x-past", "1700000000".parse().unwrap());
            headers.insert("x-text", "soon".parse().unwrap());
            let wait =
                policy(false).wait(1, waits, Some(&headers), SystemTime::UNIX_EPOCH + NOW, 0.5);
            assert_eq!(wait.as_secs_f64(), expect, "{waits:?}");
        }
        let until = |header: &str, minimum| Wait::Until {
            header: header.into(),
            minimum,
        };
        check(&[], 7.0);
        check(&[Wait::Seconds(2.5)], 2.5);
        check(&[Wait::Seconds(1e9)], 300.0);
        check(&[Wait::Header("x-wait".into())], 1.5);
        check(&[Wait::Header("x-text".into())], 7.0);
        check(&[Wait::Header("x-none".into()), Wait::Seconds(3.0)], 3.0);
        check(&[until("x-reset", 0.0)], 20.0);
        check(&[until("x-reset", 60.0)], 60.0);
        check(&[until("x-past", 0.0)], 0.0);
        check(&[until("x-past", 5.0)], 5.0);
    }
}
