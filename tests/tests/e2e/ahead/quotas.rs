//! Servers with quotas: what they refuse is little, and nothing is lost.

use super::*;

/// Reads 60 pages of `items` and 60 `groups` of one page from a server with this quota, and checks
/// that all is there; gives what the server has seen.
#[track_caller]
fn check_quota(
    client: &str,
    most_refused: usize,
    quota: impl Fn(&[Seen]) -> Option<Answer> + Send + Sync + 'static,
) -> Vec<Seen> {
    let resources = "  - name: lists
    endpoint: {path: /lists, paginator: {type: offset, limit: 10}}
  - name: items
    parent: {resource: lists, field: id, as: list}
    endpoint: {path: '/lists/{list}', paginator: {type: offset, limit: 10}}
";
    let connector = connector(client, resources);
    let log: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let kept = Arc::clone(&log);
    let responder = move |request: &RequestRecord, _: u64| {
        let mut log = kept.lock().unwrap();
        let position: usize = request.param("offset").unwrap().parse().unwrap();
        let answer = quota(&log).unwrap_or_else(|| {
            slow(match request.path.split('/').nth(3) {
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
        });
        let from = Instant::now();
        log.push(Seen {
            path: request.path.clone(),
            position,
            from,
            until: from + answer.delay,
            status: answer.status,
        });
        Some(answer)
    };
    let options = Options {
        responder: Some(Arc::new(responder)),
        ..Options::default()
    };
    let server = Sandbox::start(&connector.plan().unwrap(), options).unwrap();
    let workspace = Workspace::new();
    let out = workspace.path("data");
    let arguments = [
        "tree".into(),
        "--base-url".into(),
        server.base_url().into(),
        "--progress".into(),
        "none".into(),
        "--out".into(),
        std::ffi::OsString::from(&out),
    ];
    let code = connector_core::cli::main_with(connector, connector_sandbox::start, arguments);
    assert!(format!("{code:?}").contains("(0)"), "{code:?}");
    let count = |resource| Rows::read(&out.join("tree").join(resource)).count();
    assert_eq!((count("lists"), count("items")), (305, 304 + 305));
    let seen = std::mem::take(&mut *log.lock().unwrap());
    let refused = seen.iter().filter(|one| one.status == 429).count();
    assert!(
        refused <= most_refused,
        "{refused} of {} were refused",
        seen.len()
    );
    assert!(seen.len() > 360);
    seen
}

#[test]
fn a_server_that_takes_so_many_at_once_refuses_few() {
    for most in [1, 3, 6] {
        let seen = check_quota("retry: {backoff_factor: 0.01}", 40, move |log| {
            let now = Instant::now();
            let busy = log.iter().filter(|one| one.until > now).count();
            (busy >= most).then(|| Answer::json(429, "{}"))
        });
        assert!(at_once(&seen) <= most);
    }
}

#[test]
fn a_server_that_takes_so_many_in_a_time_refuses_few() {
    // Forty in a tenth of a second, and the wait in a header of its own.
    let window = Duration::from_millis(100);
    let seen = check_quota(
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
        seen.iter().any(|one| one.status == 429),
        "the quota is reached"
    );
}

#[test]
fn one_wait_that_the_server_asks_for_is_everybodys() {
    // After fifty requests nobody may ask for a while.
    let wait = Duration::from_millis(300);
    let seen = check_quota("retry: {wait: {header: X-Wait}}", MOST, move |log| {
        let now = Instant::now();
        let fiftieth = log.get(50)?;
        (now < fiftieth.from + wait || log.len() == 50).then(|| {
            let left = fiftieth.from + wait - now;
            Answer::json(429, "{}").header("X-Wait", &left.as_secs_f64().to_string())
        })
    });
    let first = seen.iter().find(|one| one.status == 429).unwrap().from;
    let during = |one: &&Seen| one.from > first && one.from < first + wait;
    let during = seen.iter().filter(during).count();
    assert!(during < MOST, "{during} requests in the wait");
}

#[test]
fn a_rate_that_the_spec_states_is_never_exceeded() {
    let seen = check_quota("rate_limit: {requests: 150, seconds: 1}", 0, |_| None);
    for window in seen.windows(151) {
        let time = window[150].from - window[0].from;
        assert!(time >= Duration::from_secs(1), "151 requests in {time:?}");
    }
}
