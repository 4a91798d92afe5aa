//! The limit against models of servers, in a time of their own.

use super::*;

/// How a server answers a request among so many, at this time.
enum Answer {
    After(Duration),
    /// Too many, with a wait that it asks for.
    Refusal(Option<Duration>),
}

/// A request under way.
struct Request {
    among: usize,
    epoch: u64,
    since: Duration,
    end: Duration,
    answer: Answer,
}

/// What came of a number of requests.
#[derive(Debug, Default)]
struct Outcome {
    seconds: f64,
    refused: usize,
    /// The most at once.
    most: usize,
    /// The mean of those at once in the second half.
    later: f64,
}

fn milliseconds(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// Sends requests as fast as they may be sent, until so many have been answered; a refusal comes
/// after 2 ms.
fn send(
    count: usize,
    mut pace: Pace,
    mut server: impl FnMut(usize, Duration) -> Answer,
) -> Outcome {
    let start = Instant::now();
    let mut now = Duration::ZERO;
    let mut outcome = Outcome::default();
    let mut later = (0, 0);
    let mut under_way: Vec<Request> = Vec::new();
    let mut answered = 0;
    while answered < count {
        let room = pace.room(start + now);
        if room == Room::Free && answered + under_way.len() < count {
            let (among, epoch) = pace.begin();
            assert_eq!(among, under_way.len() + 1);
            outcome.most = outcome.most.max(among);
            if 2 * answered >= count {
                later.0 += among;
                later.1 += 1;
            }
            let answer = server(among, now);
            let time = match answer {
                Answer::After(time) => time,
                Answer::Refusal(_) => milliseconds(2),
            };
            under_way.push(Request {
                among,
                epoch,
                since: now,
                end: now + time,
                answer,
            });
            continue;
        }
        under_way.sort_unstable_by_key(|request| std::cmp::Reverse(request.end));
        match room {
            Room::At(until) if under_way.last().is_none_or(|next| start + next.end > until) => {
                now = until - start;
            }
            _ => {
                let request = under_way.pop().unwrap();
                let (among, epoch) = (request.among, request.epoch);
                now = request.end;
                match request.answer {
                    Answer::After(_) => {
                        pace.answered(among, epoch, now - request.since);
                        answered += 1;
                    }
                    Answer::Refusal(wait) => {
                        pace.refused(among, epoch, wait.map(|wait| start + now + wait));
                        outcome.refused += 1;
                    }
                }
                pace.end(start + now);
            }
        }
    }
    outcome.seconds = now.as_secs_f64();
    outcome.later = f64::from(later.0 as u32) / f64::from(later.1);
    outcome
}

fn free(maximum: u32) -> Pace {
    Pace::new(maximum, None)
}

#[test]
fn an_api_that_bears_everything_soon_gets_the_maximum() {
    for maximum in [1, 2, 16, 64] {
        let outcome = send(2_000, free(maximum), |_, _| Answer::After(milliseconds(50)));
        assert_eq!(outcome.most, maximum as usize);
        let best = 100.0 / f64::from(maximum);
        assert!(
            outcome.seconds < 1.25 * best + 0.3,
            "{maximum}: {outcome:?}"
        );
    }
}

#[test]
fn an_api_that_takes_so_many_at_once_refuses_ever_fewer() {
    for cap in [1, 2, 3, 5, 8, 12] {
        let mut number = 0;
        let mut server = |among, _| {
            number += 1;
            match among > cap {
                true => Answer::Refusal(None),
                false => Answer::After(milliseconds(40 + number * 7 % 21)),
            }
        };
        for (count, most) in [(500, 24), (5_000, 36), (50_000, 60)] {
            let outcome = send(count, free(16), &mut server);
            assert!(
                outcome.refused <= most,
                "{cap}, {count}: {}",
                outcome.refused
            );
            let best = count as f64 * 0.05 / cap as f64;
            assert!(
                outcome.seconds < 1.5 * best,
                "{cap}, {count}: {}",
                outcome.seconds
            );
        }
    }
}

#[test]
fn a_quota_of_a_time_costs_a_refusal_or_two_for_each() {
    for (quota, window) in [(100, 1_000), (20, 5_000)] {
        let mut begun = 0;
        let mut used = 0;
        let server = |_: usize, now: Duration| {
            let window = milliseconds(window);
            let number = now.as_millis() / window.as_millis();
            if number != begun {
                (begun, used) = (number, 0);
            }
            used += 1;
            if used <= quota {
                return Answer::After(milliseconds(10));
            }
            let next = window * u32::try_from(number + 1).unwrap();
            Answer::Refusal(Some(next - now))
        };
        let windows = 50;
        let outcome = send(windows * quota, free(16), server);
        assert!(
            outcome.refused <= 31 + 2 * windows,
            "{quota}: {}",
            outcome.refused
        );
        let best = windows as f64 * window as f64 / 1e3;
        assert!(outcome.seconds < 1.1 * best, "{quota}: {}", outcome.seconds);
    }
}

#[test]
fn more_at_once_than_helps_is_not_asked_for() {
    // It does four at once, the others wait.
    let queue = |among: usize, _| Answer::After(milliseconds(20) * among.max(4) as u32 / 4);
    let outcome = send(2_000, free(64), queue);
    assert!(outcome.later <= 8.0, "{outcome:?}");
    assert!(outcome.seconds < 1.1 * 10.0, "{}", outcome.seconds);
    // The more there are, the less it does.
    let worse = |among: usize, _| {
        let load = (among.max(4) as f64 / 4.0).powi(2);
        Answer::After(milliseconds(20).mul_f64(load))
    };
    let outcome = send(2_000, free(64), worse);
    assert!(outcome.later <= 8.0, "{outcome:?}");
    assert!(outcome.seconds < 2.0 * 10.0, "{}", outcome.seconds);
}

#[test]
fn failures_now_and_then_do_not_last() {
    let mut count = 0;
    let server = |_, _| {
        count += 1;
        match count < 2_000 && count % 20 == 0 {
            true => Answer::Refusal(None),
            false => Answer::After(milliseconds(50)),
        }
    };
    let outcome = send(20_000, free(16), server);
    assert!(outcome.later > 14.0, "{outcome:?}");
    assert!(
        outcome.seconds < 2.0 * 1_000.0 / 16.0,
        "{}",
        outcome.seconds
    );
}

#[test]
fn a_rate_is_kept_in_every_window_that_the_api_may_look_at() {
    let rate = RateLimit {
        requests: 10,
        seconds: 2,
    };
    let mut spread = 0;
    // The server counts a request anywhere between its beginning and its answer.
    let mut counted = Vec::new();
    let outcome = send(200, Pace::new(16, Some(rate)), |_, now| {
        spread = (spread * 7 + 3) % 11;
        counted.push(now + milliseconds(5 * spread));
        Answer::After(milliseconds(55))
    });
    counted.sort_unstable();
    for window in counted.windows(11) {
        assert!(
            window[10] - window[0] >= Duration::from_secs(2),
            "{window:?}"
        );
    }
    assert!(outcome.seconds < 1.1 * 40.0, "{}", outcome.seconds);
    assert_eq!(outcome.refused, 0);
}
