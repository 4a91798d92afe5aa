//! Servers with quotas: what they refuse is little, and nothing is lost.

use super::*;

/// Reads 60 pages of `items` and 60 `groups` of one page from a server with this quota, and checks
/// that all is there.
#[track_caller]
fn check_quota(
    client: &str,
    most_refused: usize,
    quota: impl Fn(&[Seen]) -> Option<Answer> + Send + Sync + 'static,
) -> Ran {
    let resources = "  - name: lists
    endpoint: {path: /lists, paginator: {type: offset, limit: 10}}
  - name: items
    parent: {resource: lists, field: id, as: list}
    endpoint: {path: '/lists/{list}', paginator: {type: offset, limit: 10}}
";
    let connector = connector(client, resources);
    let serve = move |path: &str, position: usize, log: &[Seen]| {
        quota(log).unwrap_or_else(|| {
            slow(match path.split('/').nth(3) {
                None => page(at(position, LIMIT, 305), json!({})),
                Some(list) => {
                    let list: usize = list.parse().unwrap();
                    let count = if list == 3 { 305 } else { 1 };
                    let range = at(position, LIMIT, count);
                    page(
                        range.start + 1_000 * list..range.end + 1_000 * list,
                        json!({}),
                    )
                }
            })
        })
    };
    let api = Api::boxed(connector, Box::new(serve));
    let ran = Ran::new(connector, &api, &["--max-wait", "60"]);
    assert!(ran.code.contains("(0)"), "{}", ran.code);
    let lists = rows(&ran.workspace, "lists").count();
    assert_eq!((lists, ran.rows.len()), (305, 304 + 305));
    let seen = &ran.seen;
    let refused = seen.iter().filter(|one| one.status == 429).count();
    assert!(
        refused <= most_refused,
        "{refused} of {} were refused",
        seen.len()
    );
    assert!(seen.len() > 360);
    ran
}

#[test]
fn a_server_that_takes_so_many_at_once_refuses_few() {
    for most in [1, 3, 6] {
        let ran = check_quota("retry: {backoff_factor: 0.01}", 40, move |log| {
            let now = Instant::now();
            let busy = log.iter().filter(|one| one.until > now).count();
            (busy >= most).then(|| Answer::json(429, "{}"))
        });
        assert!(at_once(&ran.seen) <= most);
    }
}

#[test]
fn a_server_that_takes_so_many_in_a_time_refuses_few() {
    // Forty in a tenth of a second, and the wait in a header of its own.
    let window = Duration::from_millis(100);
    let ran = check_quota(
        "retry: {wait: {header: X-Wait}}",
        // Those under way when it is first reached, half as many each time, and one in each window.
        31 + 2 * 12,
        move |log| {
            let now = Instant::now();
            let begin = log.first().map_or(now, |first| first.from);
            let number = now.duration_since(begin).as_millis() / window.as_millis();
            let this = begin + window * u32::try_from(number).unwrap();
            let taken = |one: &&Seen| one.from >= this && one.status == 200;
            let left = this + window - now;
            (log.iter().filter(taken).count() >= 40)
                .then(|| Answer::json(429, "{}").header("X-Wait", &left.as_secs_f64().to_string()))
        },
    );
    assert!(
        ran.seen.iter().any(|one| one.status == 429),
        "the quota is reached"
    );
}

#[test]
fn one_wait_that_the_server_asks_for_is_everybodys() {
    // After fifty requests nobody may ask for a while.
    let wait = Duration::from_millis(300);
    let ran = check_quota("retry: {wait: {header: X-Wait}}", MOST, move |log| {
        let now = Instant::now();
        let fiftieth = log.get(50)?;
        (now < fiftieth.from + wait || log.len() == 50).then(|| {
            let left = fiftieth.from + wait - now;
            Answer::json(429, "{}").header("X-Wait", &left.as_secs_f64().to_string())
        })
    });
    let refused = |one: &&Seen| one.status == 429;
    let first = ran.seen.iter().find(refused).unwrap().from;
    let during = |one: &&Seen| one.from > first && one.from < first + wait;
    let during = ran.seen.iter().filter(during).count();
    assert!(during < MOST, "{during} requests in the wait");
    // Whoever sat it out tells so, even if another one was refused.
    let waited = ["lists", "items"].map(|name| entry(&ran.record, name)["waited_seconds"].as_f64());
    let waited: f64 = waited.into_iter().flatten().sum();
    assert!(waited > 0.2, "{waited} seconds of waiting");
}

#[test]
fn a_rate_that_the_spec_states_is_never_exceeded() {
    let ran = check_quota("rate_limit: {requests: 150, seconds: 1}", 0, |_| None);
    for window in ran.seen.windows(151) {
        let time = window[150].from - window[0].from;
        assert!(time >= Duration::from_secs(1), "151 requests in {time:?}");
    }
}
