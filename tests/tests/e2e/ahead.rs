//! Pages that are requested ahead: what is asked for, and that nothing else differs from reading
//! one page after the other.

mod quotas;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use connector_core::Connector;
use connector_sandbox::{Answer, Options, RequestRecord, Sandbox};
use connector_tests::Workspace;
use serde_json::{Value, json};

use crate::relations::{entry, rows, run};

/// The limit that every request carries.
const LIMIT: usize = 10;
/// The most requests at once, where there are several.
const MOST: usize = 16;

/// A connector with these lines under `client` and these resources.
fn connector(client: &str, resources: &str) -> &'static Connector {
    let spec = format!(
        "client:\n  base_url: https://list.example.com/api\n  {client}\n\
         resource_defaults:\n  primary_key: id\n  endpoint: {{data_selector: items}}\n\
         \x20 schema: {{fields: {{id: integer, text: string}}}}\n\
         resources:\n{resources}"
    );
    Box::leak(Box::new(connector_tests::connector("tree", spec)))
}

/// The same with one resource `items`, read by this paginator.
fn list(paginator: &str, rest: &str) -> &'static Connector {
    let resource =
        format!("  - name: items\n    endpoint: {{path: /items, paginator: {paginator}{rest}}}\n");
    connector("retry: {backoff_factor: 0.01}", &resource)
}

/// A request as the server has seen it.
#[derive(Clone, Debug)]
struct Seen {
    path: String,
    position: usize,
    from: Instant,
    until: Instant,
    status: u16,
}

/// What a server answers to the request for a position (an offset, or the number of a page), and how
/// often it has been asked for, this time included.
/// The answer to a request for this path and position, and the requests before it.
type Serve = dyn Fn(&str, usize, &[Seen]) -> Answer + Send + Sync;

/// A server that remembers what it was asked.
struct Api {
    server: Sandbox,
    log: Arc<Mutex<Vec<Seen>>>,
}

impl Api {
    /// Serves what is given for a path, a position, and the how manieth request for both it is.
    fn start(
        connector: &Connector,
        serve: impl Fn(&str, usize, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let serve = move |path: &str, position: usize, log: &[Seen]| {
            let same = |seen: &&Seen| (&*seen.path, seen.position) == (path, position);
            serve(path, position, log.iter().filter(same).count() + 1)
        };
        Self::boxed(connector, Box::new(serve))
    }

    fn boxed(connector: &Connector, serve: Box<Serve>) -> Self {
        let log: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let kept = Arc::clone(&log);
        let responder = move |request: &RequestRecord, _: u64| {
            let position = request.param("offset").or(request.param("page"));
            let position = position.map_or(0, |text| text.parse().unwrap());
            let mut log = kept.lock().unwrap();
            let answer = serve(&request.path, position, &log);
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
        Self {
            server: Sandbox::start(&connector.plan().unwrap(), options).unwrap(),
            log,
        }
    }

    /// What it was asked since the last look.
    fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }
}

/// The most requests that the server was working on at once.
fn at_once(seen: &[Seen]) -> usize {
    let during = |at: Instant| {
        seen.iter()
            .filter(|one| one.from <= at && at < one.until)
            .count()
    };
    seen.iter().map(|one| during(one.from)).max().unwrap_or(0)
}

/// The positions that were asked for, in order, each as often as it was.
fn positions(seen: &[Seen]) -> Vec<usize> {
    seen.iter().map(|one| one.position).collect()
}

/// A page of these records, with these members beside it.
fn page(ids: std::ops::Range<usize>, side: Value) -> Answer {
    let items: Vec<Value> = ids
        .map(|id| json!({"id": id, "text": format!("record {id}")}))
        .collect();
    let mut page = json!({"items": items});
    if let Value::Object(side) = side {
        page.as_object_mut().unwrap().extend(side);
    }
    Answer::json(200, page.to_string())
}

/// The page of a list of so many records that begins at an offset.
fn at(offset: usize, size: usize, count: usize) -> std::ops::Range<usize> {
    offset.min(count)..(offset + size).min(count)
}

/// What came of a run.
#[derive(Debug)]
struct Ran {
    code: String,
    record: Value,
    seen: Vec<Seen>,
    /// The Parquet files of the resource, without the name of the run.
    files: Vec<Vec<u8>>,
    rows: Vec<Value>,
    workspace: Workspace,
}

impl Ran {
    fn new(connector: &Connector, api: &Api, arguments: &[&str]) -> Self {
        let workspace = Workspace::new();
        let (code, record) = run(connector, &api.server, &workspace, arguments);
        Self {
            code: format!("{code:?}"),
            seen: api.seen(),
            files: bytes(&workspace.path("data"), record["run"].as_str().unwrap()),
            rows: rows(&workspace, "items").column("id"),
            record,
            workspace,
        }
    }

    fn items(&self) -> &Value {
        entry(&self.record, "items")
    }
}

/// The content of the datasets below a folder, with zeros in place of the run's name.
fn bytes(folder: &Path, run: &str) -> Vec<Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|name| name == "parquet") {
                let mut content = fs::read(&path).unwrap();
                for at in 0..content.len().saturating_sub(run.len()) {
                    if content[at..].starts_with(run.as_bytes()) {
                        content[at..at + run.len()].fill(b'0');
                    }
                }
                files.insert(path, content);
            }
        }
    }
    files.into_values().collect()
}

/// Reads one after the other and with pages ahead, and compares everything that came of it.
///
/// `asked` are the positions that the first has to ask for, one after the other.
#[track_caller]
fn check(
    name: &str,
    connector: &Connector,
    arguments: &[&str],
    asked: &[usize],
    serve: impl Fn(usize, usize) -> Answer + Send + Sync + 'static,
) -> (Ran, Ran) {
    let api = Api::start(connector, move |_, position, nth| serve(position, nth));
    let with = |concurrency: &str| {
        let arguments = [&["--concurrency", concurrency], arguments].concat();
        Ran::new(connector, &api, &arguments)
    };
    let one = with("1");
    assert_eq!(positions(&one.seen), asked, "{name}");
    assert_eq!(one.items()["unneeded_pages"], Value::Null, "{name}");
    let many = with("16");
    same(name, &one, &many);
    (one, many)
}

#[track_caller]
fn same(name: &str, one: &Ran, many: &Ran) {
    assert_eq!(one.code, many.code, "{name}: {}", many.record);
    assert_eq!(one.rows, many.rows, "{name}");
    assert_eq!(one.files, many.files, "{name}");
    for member in [
        "status",
        "rows_read",
        "pages",
        "retries",
        "ignored_responses",
        "stopped_at_limit",
        "warnings",
    ] {
        let (one, many) = (&one.items()[member], &many.items()[member]);
        assert_eq!(one, many, "{name}: {member}");
    }
    // Nothing that is needed is left out, and what is not needed is told.
    let mut left = positions(&many.seen);
    for position in positions(&one.seen) {
        let at = left.iter().position(|left| *left == position);
        left.remove(
            at.ok_or_else(|| format!("{name}: {position} was not asked for"))
                .unwrap(),
        );
    }
    // A whole window behind the end, and its first one once more.
    assert!(left.len() <= MOST, "{name}: {left:?} were not needed");
    let told = many.items()["unneeded_pages"].as_u64().unwrap_or(0);
    assert!(
        told as usize >= left.len() && told <= MOST as u64,
        "{name}: {told} of {left:?}"
    );
    let requests = many.items()["requests"].as_u64().unwrap();
    assert!(requests as usize >= many.seen.len(), "{name}");
}

fn steps(step: usize, until: usize) -> Vec<usize> {
    (0..=until).step_by(step).collect()
}

const OFFSET: &str = "{type: offset, limit: 10}";
const PAGES: &str = "{type: page_number, base_page: 0, limit: 10}";
const TOTAL: &str = "{type: offset, limit: 10, total_path: total}";
const MORE: &str = "{type: offset, limit: 10, has_more_path: more}";

/// Every answer takes its time, so that requests meet.
fn slow(answer: Answer) -> Answer {
    answer.delay(Duration::from_millis(10))
}

#[test]
fn full_pages_are_read_ahead_with_the_same_output() {
    for (count, paginator) in [(405, OFFSET), (400, OFFSET), (405, PAGES), (400, PAGES)] {
        let step = if paginator == OFFSET { LIMIT } else { 1 };
        let asked = steps(step, count / LIMIT * step);
        let serve = move |position, _| {
            let offset = position / step * LIMIT;
            slow(page(at(offset, LIMIT, count), json!({})))
        };
        let (one, many) = check(paginator, list(paginator, ""), &[], &asked, serve);
        assert_eq!(one.rows.len(), count);
        assert_eq!(at_once(&one.seen), 1);
        let most = at_once(&many.seen);
        assert!((8..=MOST).contains(&most), "{most} at once");
    }
}

#[test]
fn a_total_leaves_nothing_to_guess() {
    let serve = |offset, _| slow(page(at(offset, LIMIT, 305), json!({"total": 305})));
    let (_, many) = check("total", list(TOTAL, ""), &[], &steps(LIMIT, 300), serve);
    assert_eq!(many.seen.len(), 31);
    assert_eq!(many.items()["requests"], 31);
    let pages = "{type: page_number, base_page: 1, limit: 10, total_path: pages}";
    let serve = |number: usize, _| {
        let range = at((number - 1) * LIMIT, LIMIT, 305);
        slow(page(range, json!({"pages": 31})))
    };
    let asked: Vec<usize> = (1..=31).collect();
    let (_, many) = check("pages", list(pages, ""), &[], &asked, serve);
    assert_eq!(many.seen.len(), 31);
}

#[test]
fn nothing_is_asked_for_beyond_what_the_spec_or_the_user_wants() {
    let serve = |offset, _| slow(page(at(offset, LIMIT, 1_000), json!({})));
    let maximum = "{type: offset, limit: 10, maximum_offset: 300}";
    let (_, many) = check("maximum", list(maximum, ""), &[], &steps(LIMIT, 290), serve);
    assert_eq!(many.seen.len(), 30);
    let limit = ["--limit", "195"];
    let (_, many) = check("limit", list(OFFSET, ""), &limit, &steps(LIMIT, 190), serve);
    assert_eq!(many.seen.len(), 20);
    assert_eq!(many.rows.len(), 195);
}

#[test]
fn a_short_first_page_starts_none() {
    let serve = |offset, _| slow(page(at(offset, LIMIT, 7), json!({})));
    let (_, many) = check("probe", list(OFFSET, ""), &[], &[0, 7], serve);
    assert_eq!(positions(&many.seen), [0, 7]);
    let trusting = "{type: offset, limit: 10, stop_on_short_page: true}";
    let (_, many) = check("trusting", list(trusting, ""), &[], &[0], serve);
    assert_eq!(positions(&many.seen), [0]);
}

#[test]
fn a_server_that_caps_its_pages_is_read_ahead_when_two_were_alike() {
    let serve = |offset, _| slow(page(at(offset, 4, 121), json!({})));
    let asked = [steps(4, 120)].concat();
    let (one, many) = check("capped", list(OFFSET, ""), &[], &asked, serve);
    assert_eq!(one.rows.len(), 121);
    assert_eq!(positions(&many.seen)[..2], [0, 4]);
    assert!(at_once(&many.seen) > 4);
}

#[test]
fn a_page_that_is_shorter_than_expected_moves_all_behind_it() {
    // What comes behind such a page begins earlier than was guessed.
    let serve = |offset: usize, _| {
        let size = if offset == 60 || offset == 203 {
            3
        } else {
            LIMIT
        };
        let range = at(offset, size, 400);
        let more = range.end < 400;
        slow(page(range, json!({"more": more, "total": 400})))
    };
    let mut asked = steps(LIMIT, 60);
    asked.extend((63..=203).step_by(LIMIT));
    asked.extend((206..400).step_by(LIMIT));
    for paginator in [TOTAL, MORE] {
        let connector = list(paginator, "");
        let api = Api::start(connector, move |_, position, nth| serve(position, nth));
        let one = Ran::new(connector, &api, &["--concurrency", "1"]);
        assert_eq!(positions(&one.seen), asked, "{paginator}");
        let many = Ran::new(connector, &api, &["--concurrency", "16"]);
        let ids: Vec<Value> = (0..400).map(Value::from).collect();
        assert_eq!((&one.rows, &many.rows), (&ids, &ids), "{paginator}");
        assert_eq!(one.files, many.files, "{paginator}");
        // Two windows were thrown away, and perhaps a third behind the end.
        let unneeded = many.items()["unneeded_pages"].as_u64().unwrap();
        assert!((1..3 * MOST as u64).contains(&unneeded), "{unneeded}");
    }
}

#[test]
fn wrong_guesses_now_and_then_do_not_end_reading_ahead() {
    // Every 41st page is short, and moves what was guessed behind it.
    let (period, periods) = (405, 14);
    let serve = move |_: &str, offset: usize, _| {
        let range = at(
            offset,
            LIMIT.min(period - offset % period),
            period * periods,
        );
        let more = range.end < period * periods;
        slow(page(range, json!({"more": more})))
    };
    let connector = list(MORE, "");
    let ran = Ran::new(connector, &Api::start(connector, serve), &[]);
    let ids: Vec<Value> = (0..period * periods).map(Value::from).collect();
    assert_eq!(ran.rows, ids);
    let last = |one: &Seen| one.position >= period * (periods - 1);
    let last: Vec<Seen> = ran.seen.into_iter().filter(last).collect();
    let at_once = at_once(&last);
    assert!(at_once >= 4, "{at_once} at once in the end");
}

#[test]
fn what_lies_behind_the_end_is_nobodys_concern() {
    type Beyond = fn(usize) -> Answer;
    let ways: [(&str, Beyond); 7] = [
        ("empty", |_| page(0..0, json!({}))),
        ("404", |_| Answer::json(404, "{}")),
        ("400", |_| Answer::json(400, "{}")),
        ("500 for ever", |_| Answer::json(500, "{}")),
        ("429 for ever", |_| Answer::json(429, "{}")),
        ("no JSON", |_| Answer::html(200, "<html>")),
        ("the last page again", |_| page(200..205, json!({}))),
    ];
    for (name, beyond) in ways {
        let serve = move |offset, _| match offset {
            0..205 => page(at(offset, LIMIT, 205), json!({})),
            beyond_it => beyond(beyond_it),
        };
        check(name, list(OFFSET, ""), &[], &steps(LIMIT, 200), serve);
    }
    // Where the end is what the API refuses, as the spec says.
    let serve = |offset, _| match offset {
        0..200 => page(at(offset, LIMIT, 200), json!({})),
        _ => Answer::json(404, "{}"),
    };
    let ignore = ", response_actions: [{status_code: 404, action: ignore}]";
    let (_, many) = check(
        "ignored",
        list(OFFSET, ignore),
        &[],
        &steps(LIMIT, 200),
        serve,
    );
    assert_eq!(many.rows.len(), 200);
    // And where it is an error, it is the same error.
    let (one, many) = check("refused", list(OFFSET, ""), &[], &steps(LIMIT, 200), serve);
    assert_eq!(
        one.items()["error"]["message"],
        many.items()["error"]["message"]
    );
    assert_eq!(many.rows.len(), 0);
}

/// Not all APIs say `429`, and a spec may pass over what they say in its place.
#[test]
fn an_api_that_refuses_company_in_its_own_words_loses_nothing() {
    let ignore = ", response_actions: [{status_code: 403, action: ignore}]";
    for (action, status) in [("", 403), (ignore, 403), ("", 200)] {
        let busy = Mutex::new(None::<Instant>);
        let connector = list(OFFSET, action);
        let api = Api::start(connector, move |_, offset, _| {
            let mut busy = busy.lock().unwrap();
            let now = Instant::now();
            if busy.is_some_and(|until| now < until) {
                return Answer::json(status, r#"{"sorry": "one after the other"}"#);
            }
            let delay = Duration::from_millis(20);
            *busy = Some(now + delay);
            page(at(offset, LIMIT, 405), json!({})).delay(delay)
        });
        let ran = Ran::new(connector, &api, &["--concurrency", "16"]);
        let ids: Vec<Value> = (0..405).map(Value::from).collect();
        assert_eq!(ran.rows, ids, "{}", ran.record);
        // All requests beyond those of one after the other are told, and there are few.
        let more = ran.seen.len() - 41;
        assert!((1..=60).contains(&more), "{status}: {more}");
        assert_eq!(ran.items()["unneeded_pages"], more);
    }
}

#[test]
fn pages_that_repeat_are_a_loop_wherever_they_were_asked_for() {
    let serve = |number: usize, _| slow(page(at(number.min(19) * LIMIT, LIMIT, 200), json!({})));
    let asked: Vec<usize> = (0..=20).collect();
    let (one, _) = check("loop", list(PAGES, ""), &[], &asked, serve);
    let message = one.items()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("the same page again"), "{message}");
    assert_eq!(one.rows.len(), 0);
}

#[test]
fn a_page_in_the_middle_that_fails_is_tried_again_and_nothing_is_lost() {
    for status in [500, 503, 429] {
        let connector = list(OFFSET, "");
        let api = Api::start(connector, move |_, offset, nth| match (offset, nth) {
            (150, 1..=3) => slow(Answer::json(status, "{}")),
            _ => slow(page(at(offset, LIMIT, 405), json!({}))),
        });
        let ran = Ran::new(connector, &api, &["--concurrency", "16"]);
        let ids: Vec<Value> = (0..405).map(Value::from).collect();
        assert_eq!(ran.rows, ids, "{status}: {}", ran.record);
        let asked = positions(&ran.seen);
        assert_eq!(asked.iter().filter(|asked| **asked == 150).count(), 4);
        // The first time may have been a guess, which is not tried again but asked anew.
        let retries = ran.items()["retries"].as_u64().unwrap();
        assert!((2..=3).contains(&retries), "{retries}");
    }
    for (status, attempts) in [(500, 4), (404, 1)] {
        let serve = move |offset, _| match offset {
            150 => Answer::json(status, "{}"),
            _ => slow(page(at(offset, LIMIT, 405), json!({}))),
        };
        let mut asked = steps(LIMIT, 150);
        asked.extend(vec![150; attempts - 1]);
        let connector = list(OFFSET, "");
        let api = Api::start(connector, move |_, offset, nth| serve(offset, nth));
        for concurrency in ["1", "16"] {
            let ran = Ran::new(connector, &api, &["--concurrency", concurrency]);
            assert!(ran.code.contains("(4)"), "{}", ran.code);
            assert!(ran.files.is_empty());
            let error = &ran.items()["error"];
            assert_eq!(
                error["context"]["attempts"],
                attempts.to_string(),
                "{error}"
            );
            if concurrency == "1" {
                assert_eq!(positions(&ran.seen), asked);
            }
        }
    }
}

#[test]
fn an_expired_token_is_renewed_once_for_all_that_are_under_way() {
    let auth =
        "auth: {type: session_token, login_path: /login, json: {user: u}, token_path: token}";
    let spec = format!("  - name: items\n    endpoint: {{path: /items, paginator: {OFFSET}}}\n");
    let connector = connector(auth, &spec);
    let logins = Arc::new(Mutex::new(0_usize));
    let counted = Arc::clone(&logins);
    let asked = Arc::new(Mutex::new(0_usize));
    let responder = move |request: &RequestRecord, _: u64| {
        let mut logins = counted.lock().unwrap();
        if request.path.ends_with("/login") {
            *logins += 1;
            return Some(Answer::json(
                200,
                json!({"token": format!("t{logins}")}).to_string(),
            ));
        }
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        // The first token is good for a while only.
        let token = request.header("authorization").unwrap_or_default();
        let good = token == format!("Bearer t{logins}") && (*logins > 1 || *asked < 20);
        let offset: usize = request.param("offset").unwrap().parse().unwrap();
        Some(slow(match good {
            true => page(at(offset, LIMIT, 605), json!({})),
            false => Answer::json(401, "{}"),
        }))
    };
    let options = Options {
        responder: Some(Arc::new(responder)),
        ..Options::default()
    };
    let server = Sandbox::start(&connector.plan().unwrap(), options).unwrap();
    let workspace = Workspace::new();
    let (code, record) = run(connector, &server, &workspace, &["--concurrency", "16"]);
    assert!(format!("{code:?}").contains("(0)"), "{record}");
    assert_eq!(rows(&workspace, "items").count(), 605);
    assert_eq!(*logins.lock().unwrap(), 2);
}

#[test]
fn a_run_that_died_goes_on_behind_the_last_page_in_order() {
    let connector = list(OFFSET, "");
    let down = Arc::new(Mutex::new(true));
    let is_down = Arc::clone(&down);
    let api = Api::start(connector, move |_, offset, _| match offset {
        // All but one of a window come, and those behind it in vain.
        150 if *is_down.lock().unwrap() => slow(Answer::json(500, "{}")),
        _ => slow(page(at(offset, LIMIT, 405), json!({}))),
    });
    let workspace = Workspace::new();
    let arguments = ["--concurrency", "16", "--checkpoint-seconds", "0"];
    let (code, record) = run(connector, &api.server, &workspace, &arguments);
    assert!(format!("{code:?}").contains("(4)"), "{record}");
    assert!(
        positions(&api.seen()).contains(&200),
        "there were pages ahead"
    );
    *down.lock().unwrap() = false;
    let (code, record) = run(connector, &api.server, &workspace, &arguments);
    assert!(format!("{code:?}").contains("(0)"), "{record}");
    // Those of the run that died are in a file of their own.
    let mut found = rows(&workspace, "items").column("id");
    found.sort_by_key(Value::as_u64);
    let ids: Vec<Value> = (0..405).map(Value::from).collect();
    assert_eq!(found, ids);
    let first = api.seen().iter().map(|one| one.position).min();
    assert_eq!(first, Some(150));
    assert_eq!(entry(&record, "items")["resumed"]["pages"], 15);
}

#[test]
fn a_source_that_changes_while_it_is_read_is_told() {
    // A record goes after the tenth page: the one behind it is passed over.
    let connector = list(TOTAL, "");
    let api = Api::start(connector, |_, offset, _| {
        let total = if offset < 100 { 305 } else { 304 };
        page(at(offset, LIMIT, total), json!({"total": total}))
    });
    for concurrency in ["1", "16"] {
        let ran = Ran::new(connector, &api, &["--concurrency", concurrency]);
        assert!(ran.code.contains("(0)"), "{}", ran.record);
        let warnings = ran.items()["warnings"].to_string();
        assert!(
            warnings.contains("the total that the API tells changed while it was read"),
            "{warnings}"
        );
    }
    // A record comes in front after the tenth page: the last one before it comes again.
    let connector = list(OFFSET, "");
    let api = Api::start(connector, |_, offset, _| {
        let grown = usize::from(offset >= 100);
        page(
            at(offset, LIMIT, 305 + grown).start - grown
                ..at(offset, LIMIT, 305 + grown).end - grown,
            json!({}),
        )
    });
    for concurrency in ["1", "16"] {
        let ran = Ran::new(connector, &api, &["--concurrency", concurrency]);
        assert!(ran.code.contains("(0)"), "{}", ran.record);
        let warnings = ran.items()["warnings"].to_string();
        assert!(
            warnings.contains("a record at the end of a page came again"),
            "{warnings}"
        );
    }
}

#[test]
fn whatever_servers_do_the_output_is_that_of_one_page_after_the_other() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..25 {
        let count = random.below(250);
        let cap = 3 + random.below(12);
        let (paginator, by_page) = match random.below(5) {
            0 => (OFFSET, false),
            1 => (TOTAL, false),
            2 => (MORE, false),
            3 => (
                "{type: page_number, base_page: 0, limit: 10, has_more_path: more}",
                true,
            ),
            _ => (PAGES, true),
        };
        // Pages of different lengths need a word of the server.
        let told = matches!(paginator, TOTAL | MORE);
        let (seed, faults) = (random.next(), random.below(3) == 0);
        let serve = move |position: usize, nth: usize| {
            let mut own = Random(seed ^ (position as u64 + 1).wrapping_mul(0x2545_f491_4f6c_dd1d));
            let full = cap.min(LIMIT);
            let size = match told && own.below(4) == 0 {
                true => 1 + own.below(full),
                false => full,
            };
            let range = match by_page {
                true => at(position * full, full, count),
                false => at(position, size, count),
            };
            let delay = Duration::from_millis(own.below(6) as u64);
            if faults && own.below(6) == 0 && !nth.is_multiple_of(3) {
                return Answer::json([500, 503, 429][own.below(3)], "{}").delay(delay);
            }
            let more = range.end < count;
            page(range, json!({"more": more, "total": count})).delay(delay)
        };
        let connector = list(paginator, "");
        let api = Api::start(connector, move |_, position, nth| serve(position, nth));
        let one = Ran::new(connector, &api, &["--concurrency", "1"]);
        let name = format!("round {round}: {paginator}, {count} records, {cap} a page");
        let ids: Vec<Value> = (0..count).map(Value::from).collect();
        assert_eq!(one.rows, ids, "{name}");
        let most = (2 + random.below(30)).to_string();
        let many = Ran::new(connector, &api, &["--concurrency", &most]);
        assert_eq!(one.rows, many.rows, "{name}");
        assert_eq!(one.files, many.files, "{name}");
        assert_eq!(one.items()["pages"], many.items()["pages"], "{name}");
    }
}

/// Numbers that nobody would guess (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end
    }
}

#[test]
fn partitions_at_once_give_the_same_files() {
    let resources = "  - name: groups
    endpoint: {path: /groups, paginator: {type: offset, limit: 10}}
  - name: items
    parent: {resource: groups, field: id, as: group}
    endpoint: {path: '/groups/{group}/items', paginator: {type: offset, limit: 10}}
";
    let connector = connector("retry: {backoff_factor: 0.01}", resources);
    let api = Api::start(connector, |path, offset, _| {
        let mut parts = path.split('/').skip(3);
        slow(
            match parts.next().map(|group| group.parse::<usize>().unwrap()) {
                None => page(at(offset, LIMIT, 200), json!({})),
                // Most have one page, some have many.
                Some(group) => {
                    let count = if group % 50 == 7 { 135 } else { group % 9 };
                    let range = at(offset, LIMIT, count);
                    page(
                        range.start + 1_000 * group..range.end + 1_000 * group,
                        json!({}),
                    )
                }
            },
        )
    });
    let one = Ran::new(connector, &api, &["--concurrency", "1"]);
    let many = Ran::new(connector, &api, &["--concurrency", "16"]);
    assert_eq!(
        one.rows.len(),
        4 * 135
            + (0..200)
                .filter(|group| group % 50 != 7)
                .map(|group| group % 9)
                .sum::<usize>()
    );
    assert_eq!(one.rows, many.rows);
    assert_eq!(one.files, many.files);
    assert_eq!(at_once(&one.seen), 1);
    let most = at_once(&many.seen);
    assert!((8..=MOST).contains(&most), "{most} at once");
}
