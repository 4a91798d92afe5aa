//! Runs that die and are gone on with: what is asked for again, what is not, and what is written.

mod fan_out;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use connector_sandbox::{Answer, Options, RequestRecord, Sandbox};
use connector_tests::{Outcome, Rows, Workspace};
use serde_json::{Value, json};

/// Records of a page.
const SIZE: usize = 10;
/// Not in any output, and not in any file.
const CANARY: &str = "canary-7d1f90";

/// A spec with one resource.
fn spec(paginator: &str, rest: &str) -> String {
    format!(
        "config: {{passphrase: {{secret: true}}, flavour: {{default: plain}}}}\n\
         client:\n  base_url: https://shop.example.com/api\n  concurrency: 1\n  retry: {{max_retries: 0}}\n\
         \x20 auth: {{type: bearer, token: '{{{{ secrets.passphrase }}}}'}}\n\
         resources:\n  - name: items\n    primary_key: id\n\
         \x20   endpoint: {{path: /items, data_selector: items, paginator: {paginator}}}\n\
         \x20   schema: {{fields: {{id: integer, text: string, at: timestamp}}}}\n\
         \x20   {rest}\n"
    )
}

const PAGINATORS: [&str; 6] = [
    "{type: offset, limit: 10}",
    "{type: page_number, base_page: 1, limit: 10}",
    "{type: cursor, cursor_path: next, cursor_param: after}",
    "{type: json_link, next_url_path: link}",
    "{type: header_link}",
    "auto",
];

/// What happens to a request instead of its page.
#[derive(Clone, Debug)]
enum Mishap {
    Status(u16),
    /// The connector is killed while it waits for the answer.
    Kill,
    /// The server has forgotten its cursors: this answer to everything but the first page.
    Forgets(u16),
    /// It begins again from the first page instead.
    FirstPage,
    /// It has no more.
    Nothing,
}

/// An API under the test's control.
#[derive(Clone, Default)]
struct Api(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    count: usize,
    text: String,
    /// By page, counted from 0.
    mishaps: BTreeMap<usize, Mishap>,
    /// The process that a kill is meant for.
    victim: Option<u32>,
    /// The pages that were asked for.
    asked: Vec<usize>,
    /// Something that a link carries.
    in_links: String,
}

impl Api {
    fn new(count: usize) -> Self {
        let api = Self::default();
        api.0.0.lock().unwrap().count = count;
        api
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    /// The pages asked for since the last look.
    fn asked(&self) -> Vec<usize> {
        std::mem::take(&mut self.0.0.lock().unwrap().asked)
    }

    fn answer(&self, request: &RequestRecord) -> Option<Answer> {
        let path = request.path.strip_prefix("/api")?;
        if path != "/items" {
            return None;
        }
        let number = |name: &str| {
            request
                .param(name)
                .and_then(|text| text.parse::<usize>().ok())
        };
        let mut page = number("offset")
            .map(|offset| offset / SIZE)
            .or(number("page").map(|page| page - 1))
            .or(number("after"))
            .unwrap_or(0);
        let (lock, changed) = &*self.0;
        let mut state = lock.lock().unwrap();
        state.asked.push(page);
        changed.notify_all();
        let mishap = state.mishaps.get(&page).cloned();
        let forgets = state.mishaps.get(&usize::MAX).cloned();
        match mishap.or(forgets.filter(|_| page > 0)) {
            Some(Mishap::Status(status) | Mishap::Forgets(status)) => {
                return Some(Answer::json(status, "{\"error\": \"no\"}"));
            }
            Some(Mishap::Kill) => {
                state.mishaps.remove(&page);
                let state = changed.wait_while(state, |state| state.victim.is_none());
                let victim = state.unwrap().victim.take().unwrap();
                let killed = Command::new("kill")
                    .args(["-9", &victim.to_string()])
                    .status();
                assert!(killed.unwrap().success());
                return Some(Answer::json(500, "{}"));
            }
            Some(Mishap::FirstPage) => page = 0,
            Some(Mishap::Nothing) => {
                return Some(Answer::json(200, json!({"items": []}).to_string()));
            }
            None => {}
        }
        let items: Vec<Value> = (page * SIZE..state.count.min((page + 1) * SIZE))
            .map(|id| {
                let at = format!("2026-01-{:02}T00:00:{:02}Z", id / 60 + 1, id % 60);
                json!({ "id": id, "text": state.text, "at": at })
            })
            .collect();
        let more = (page + 1) * SIZE < state.count;
        let link = format!("/api/items?after={}{}", page + 1, state.in_links);
        let mut answer = json!({ "items": items });
        if request.param("offset").is_none() && request.param("page").is_none() {
            answer["next"] = more.then(|| (page + 1).to_string()).into();
            answer["link"] = more.then(|| link.clone()).into();
        }
        let answer = Answer::json(200, answer.to_string());
        Some(if more && request.param("offset").is_none() {
            answer.header("link", &format!("<{link}>; rel=\"next\""))
        } else {
            answer
        })
    }
}

/// A connector, its API and a folder.
struct Shop {
    api: Api,
    server: Sandbox,
    workspace: Workspace,
}

impl Shop {
    fn new(count: usize, spec: &str) -> Self {
        let api = Api::new(count);
        let plan = connector_tests::plan("shop", spec);
        let world = api.clone();
        let options = Options {
            responder: Some(Arc::new(move |request, _| world.answer(request))),
            settings: vec![("passphrase".to_owned(), CANARY.to_owned())],
            ..Options::default()
        };
        let shop = Self {
            api,
            server: Sandbox::start(&plan, options).unwrap(),
            workspace: Workspace::new(),
        };
        shop.write(spec);
        shop
    }

    fn write(&self, spec: &str) {
        fs::write(self.workspace.path("shop.yaml"), spec).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> connector_tests::Run {
        let spec = self.workspace.path("shop.yaml");
        let run = self.workspace.cargo_connector("shop");
        run.args(["run", spec.to_str().unwrap()])
            .against(&self.server)
            .secret(CANARY)
            .args(["--checkpoint-seconds", "0", "--report", "report.json"])
            .args(arguments)
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.command(arguments).run()
    }

    /// A run that is killed when it asks for this page; gives the pages it asked for.
    fn killed_at(&self, page: usize, arguments: &[&str]) -> Vec<usize> {
        self.api.set(|state| {
            state.mishaps.insert(page, Mishap::Kill);
            state.victim = None;
        });
        let mut command = self.command(arguments).into_command();
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.api.set(|state| state.victim = Some(child.id()));
        assert!(!child.wait().unwrap().success());
        self.api.set(|state| state.victim = None);
        assert_eq!(
            self.workspace.holding(CANARY),
            [""; 0].map(std::path::PathBuf::from)
        );
        self.api.asked()
    }

    /// A run that fails when it asks for this page.
    fn fails_at(&self, page: usize, status: u16) -> Outcome {
        self.api.set(|state| {
            state.mishaps.insert(page, Mishap::Status(status));
        });
        let outcome = self.run(&[]).expect(4);
        self.api.set(|state| {
            state.mishaps.remove(&page);
        });
        outcome
    }

    fn rows(&self) -> Rows {
        Rows::read(&self.workspace.path("data/shop/items"))
    }

    /// The dataset has these rows, by text and number of ids from 0, and nothing else is left.
    #[track_caller]
    fn expect(&self, expect: &[(&str, usize)]) {
        let mut rows: Vec<(String, i64)> = (self.rows().column("text").iter())
            .zip(self.rows().column("id"))
            .map(|(text, id)| (text.as_str().unwrap().to_owned(), id.as_i64().unwrap()))
            .collect();
        rows.sort();
        let mut truth: Vec<(String, i64)> = expect
            .iter()
            .flat_map(|(text, count)| (0..*count).map(|id| ((*text).to_owned(), id as i64)))
            .collect();
        truth.sort();
        assert_eq!(rows, truth);
        assert_eq!(self.workspace.files().unfinished(), [""; 0]);
        assert_eq!(self.workspace.files().kept(), [""; 0]);
    }

    /// What the last run says of its resource.
    fn report(&self) -> Value {
        let text = fs::read(self.workspace.path("report.json")).unwrap();
        let report: Value = serde_json::from_slice(&text).unwrap();
        report["resources"][0].clone()
    }

    fn checkpoint(&self) -> Option<Value> {
        let path = "data/shop/_connector/resume/items/checkpoint.json";
        let text = fs::read(self.workspace.path(path)).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }
}

/// All dispositions with one paginator, one with each of the others.
fn dispositions(paginator: usize) -> &'static [&'static str] {
    const ALL: [&str; 3] = ["merge", "append", "replace"];
    match paginator {
        2 => &ALL,
        other => &ALL[other % 3..][..1],
    }
}

/// The pages from here to the last of 30.
fn rest(first: usize) -> Vec<usize> {
    (first..30).collect()
}

#[test]
fn every_paginator_goes_on_where_it_failed() {
    for (number, paginator) in PAGINATORS.into_iter().enumerate() {
        for disposition in dispositions(number) {
            let spec = spec(paginator, &format!("write_disposition: {disposition}"));
            let shop = Shop::new(100, &spec);
            shop.api.set(|state| state.text = "old".to_owned());
            let _ = shop.run(&[]).expect(0);
            shop.api.set(|state| {
                state.text = "new".to_owned();
                state.count = 300;
            });
            let _ = shop
                .fails_at(23, 500)
                .says(&["items: 230 records of 23 pages are kept"]);
            shop.expect_old();
            shop.api.asked();
            let _ = shop.run(&[]).expect(0).says(&[
                "items: going on",
                "230 records of 23 pages are not read again",
            ]);
            let asked = shop.api.asked();
            // Without a cursor one more request asks for an empty page.
            let ended: Vec<usize> = asked.iter().copied().filter(|page| *page < 30).collect();
            assert_eq!(ended, rest(23), "{paginator}");
            let report = shop.report();
            assert_eq!(report["resumed"]["pages"], 23);
            assert_eq!(report["resumed"]["rows"], 230);
            assert_eq!(report["rows_read"], 300);
            assert_eq!(report["load"]["rows_read"], 300);
            assert_eq!(report["pages"].as_u64().unwrap() as usize, asked.len());
            match *disposition {
                "merge" | "replace" => shop.expect(&[("new", 300)]),
                _ => shop.expect(&[("old", 100), ("new", 300)]),
            }
            // The next one has nothing to go on with.
            shop.api.asked();
            let _ = shop.run(&["--resource", "items"]).expect(0);
            assert_eq!(shop.api.asked()[0], 0);
        }
    }
}

impl Shop {
    /// Nothing has been published.
    fn expect_old(&self) {
        let rows = self.rows();
        assert_eq!(rows.count(), 100);
        assert!(rows.column("text").iter().all(|text| text == "old"));
    }
}

#[test]
fn every_paginator_goes_on_where_it_was_killed() {
    for (number, paginator) in PAGINATORS.into_iter().enumerate() {
        for disposition in dispositions(number) {
            let spec = spec(paginator, &format!("write_disposition: {disposition}"));
            let shop = Shop::new(300, &spec);
            shop.api.set(|state| state.text = "new".to_owned());
            assert_eq!(shop.killed_at(12, &[]), (0..=12).collect::<Vec<_>>());
            assert_eq!(shop.rows().count(), 0);
            // Twice in a row.
            let second = shop.killed_at(25, &[]);
            // A few pages may have been on their way to the disk.
            assert!((6..=12).contains(&second[0]), "{paginator}: {second:?}");
            let _ = shop.run(&[]).expect(0).says(&["items: going on"]);
            let third = shop.api.asked();
            assert!((19..=25).contains(&third[0]), "{paginator}: {third:?}");
            shop.expect(&[("new", 300)]);
        }
    }
}

#[test]
fn a_kill_at_any_page_loses_nothing() {
    // A sequence that hits everything, and is the same every time.
    let mut seed = 7_u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % below
    };
    for round in 0..6 {
        let disposition = ["merge", "append", "replace"][round % 3];
        let paginator = PAGINATORS[round % PAGINATORS.len()];
        let shop = Shop::new(
            300,
            &spec(paginator, &format!("write_disposition: {disposition}")),
        );
        shop.api.set(|state| state.text = "new".to_owned());
        let mut asked = Vec::new();
        let mut page = 0;
        while page < 30 {
            page += random(9);
            if page < 30 {
                asked.extend(shop.killed_at(page, &[]));
                page += 1;
            }
        }
        let _ = shop.run(&[]).expect(0);
        asked.extend(shop.api.asked());
        shop.expect(&[("new", 300)]);
        // Never from the beginning again: each kill costs a few pages.
        assert!(asked.len() < 30 + 12 * 8, "{asked:?}");
    }
}

#[test]
fn what_does_not_match_is_read_from_the_beginning() {
    #[track_caller]
    fn check(change: impl Fn(&Shop), arguments: &[&str], says: &str) {
        let shop = Shop::new(300, &spec(PAGINATORS[0], "write_disposition: merge"));
        let _ = shop.fails_at(20, 503);
        shop.api.asked();
        change(&shop);
        let outcome = shop.run(arguments).expect(0);
        let _ = outcome.says(&["reading from the beginning", says]);
        assert_eq!(shop.api.asked()[0], 0);
        assert_eq!(shop.rows().count(), 300);
        assert_eq!(shop.workspace.files().unfinished(), [""; 0]);
        assert_eq!(shop.workspace.files().kept(), [""; 0]);
        assert_eq!(shop.report()["resumed"], Value::Null);
    }
    let edit = |from: &'static str, to: &'static str| {
        move |shop: &Shop| {
            let text = spec(PAGINATORS[0], "write_disposition: merge");
            assert!(text.contains(from));
            shop.write(&text.replace(from, to));
        }
    };
    let damage = |name: &'static str, content: &'static str| {
        move |shop: &Shop| {
            let folder = shop.workspace.path("data/shop/_connector/resume/items");
            let files = fs::read_dir(folder).unwrap();
            let path = files
                .map(|file| file.unwrap().path())
                .find(|path| path.to_str().unwrap().ends_with(name));
            fs::write(path.unwrap(), content).unwrap();
        }
    };
    check(edit("limit: 10", "limit: 5"), &[], "the spec has changed");
    check(
        edit("text: string", "text: json"),
        &[],
        "the spec has changed",
    );
    check(|_| (), &["--flavour", "rich"], "the settings");
    check(|_| (), &["--resume-within", "0.0000001"], "too old");
    check(damage(".json", "{}"), &[], "cannot be read");
    check(damage(".json", ""), &[], "cannot be read");
    check(damage(".kept", "PAR1"), &[], "damaged");
    // Another program version, and another server.
    let replace = |from: &'static str, to: &'static str| {
        move |shop: &Shop| {
            let path = shop
                .workspace
                .path("data/shop/_connector/resume/items/checkpoint.json");
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{text}");
            fs::write(path, text.replace(from, to)).unwrap();
        }
    };
    check(
        replace("\"version\": 1", "\"version\": 2"),
        &[],
        "another version",
    );
    check(
        replace("http://127.0.0.1", "http://127.0.0.9"),
        &[],
        "another server",
    );
}

#[test]
fn a_full_refresh_begins_again_and_is_gone_on_with() {
    let shop = Shop::new(300, &spec(PAGINATORS[2], "write_disposition: merge"));
    let _ = shop.fails_at(20, 500);
    shop.api.asked();
    let _ = shop.run(&["--full-refresh"]).expect(0);
    assert_eq!(shop.api.asked(), rest(0));
    // One that fails is not lost: the next run without the flag goes on with it.
    shop.api.set(|state| {
        state.text = "new".to_owned();
        state.count = 250;
        state.mishaps.insert(24, Mishap::Status(500));
    });
    let _ = shop.run(&["--full-refresh"]).expect(4);
    shop.api.set(|state| state.mishaps.clear());
    shop.api.asked();
    let outcome = shop.run(&[]).expect(0);
    let _ = outcome.says(&["a full refresh", "240 records of 24 pages"]);
    assert_eq!(shop.api.asked(), [24]);
    shop.expect(&[("new", 250)]);
    // With the flag it does not.
    shop.api.set(|state| {
        state.mishaps.insert(3, Mishap::Status(500));
    });
    let _ = shop.run(&["--full-refresh"]).expect(4);
    shop.api.set(|state| state.mishaps.clear());
    shop.api.asked();
    let _ = shop.run(&["--full-refresh"]).expect(0);
    assert_eq!(shop.api.asked()[0], 0);
}

#[test]
fn a_server_that_has_forgotten_is_asked_from_the_beginning() {
    #[track_caller]
    fn check(mishap: Mishap, says: &str) {
        let shop = Shop::new(300, &spec(PAGINATORS[2], "write_disposition: append"));
        let _ = shop.fails_at(20, 502);
        shop.api.asked();
        // Only what is asked for first is unknown: the new cursors are good.
        shop.api.set(|state| {
            state.mishaps.insert(20, mishap);
        });
        let kept = shop.checkpoint().unwrap();
        let outcome = shop.command(&[]).run();
        // The same page fails again on the way.
        let asked = shop.api.asked();
        assert_eq!(asked[..3], [20, 0, 1], "{asked:?}");
        let _ = outcome.says(&["reading from the beginning", says]);
        assert_eq!(kept["rows"], 200);
        shop.api.set(|state| state.mishaps.clear());
        let _ = shop.run(&[]).expect(0);
        shop.expect(&[("", 300)]);
    }
    check(Mishap::Status(410), "410 Gone");
    check(Mishap::Status(400), "400 Bad Request");
    check(Mishap::FirstPage, "same page again");
}

#[test]
fn a_promised_page_that_is_empty_is_no_end() {
    let shop = Shop::new(300, &spec(PAGINATORS[3], "write_disposition: replace"));
    let _ = shop.fails_at(20, 502);
    shop.api.asked();
    shop.api.set(|state| {
        state.mishaps.insert(20, Mishap::Nothing);
    });
    let _ = shop
        .run(&[])
        .says(&["no page where the earlier run was told of one"]);
    assert_eq!(shop.api.asked()[..2], [20, 0]);
    // All cursors at once.
    let shop = Shop::new(300, &spec(PAGINATORS[3], "write_disposition: replace"));
    let _ = shop.fails_at(20, 502);
    shop.api.set(|state| {
        state.mishaps.insert(usize::MAX, Mishap::Forgets(404));
    });
    let _ = shop.run(&[]).expect(4);
    shop.api.set(|state| state.mishaps.clear());
    shop.api.asked();
    let _ = shop.run(&[]).expect(0);
    shop.expect(&[("", 300)]);
}

#[test]
fn an_api_that_is_down_keeps_what_is_kept() {
    let shop = Shop::new(300, &spec(PAGINATORS[3], "write_disposition: merge"));
    let _ = shop.fails_at(20, 502);
    let kept = shop.checkpoint();
    for status in [500, 503, 429] {
        let _ = shop.fails_at(20, status);
        assert_eq!(shop.checkpoint(), kept);
    }
    shop.api.set(|state| {
        state.mishaps.insert(20, Mishap::Status(401));
    });
    let _ = shop.run(&[]).expect(3);
    assert_eq!(shop.checkpoint(), kept);
    shop.api.set(|state| state.mishaps.clear());
    shop.api.asked();
    let _ = shop.run(&[]).expect(0);
    assert_eq!(shop.api.asked(), rest(20));
    shop.expect(&[("", 300)]);
}

#[test]
fn what_may_be_secret_is_not_written_down() {
    for (in_links, is_kept) in [
        ("&access_token=abcdef", false),
        ("&api_key=abcdef", false),
        (&format!("&seal={CANARY}"), false),
        ("&page_token=abcdef", true),
    ] {
        let shop = Shop::new(300, &spec(PAGINATORS[3], "write_disposition: merge"));
        shop.api.set(|state| state.in_links = in_links.to_owned());
        // The test's own output shows requests; files must not.
        let _ = shop.fails_at(20, 500);
        assert_eq!(shop.checkpoint().is_some(), is_kept, "{in_links}");
        if is_kept {
            continue;
        }
        assert_eq!(
            shop.workspace.holding("abcdef"),
            [""; 0].map(std::path::PathBuf::from)
        );
        shop.api.asked();
        let _ = shop.run(&[]).expect(0);
        assert_eq!(shop.api.asked()[0], 0);
        shop.expect(&[("", 300)]);
    }
}

#[test]
fn samples_and_the_unwilling_keep_nothing() {
    for arguments in [&["--limit", "290"][..], &["--resume-within", "0"]] {
        let shop = Shop::new(300, &spec(PAGINATORS[0], "write_disposition: append"));
        shop.api.set(|state| {
            state.mishaps.insert(20, Mishap::Status(500));
        });
        let _ = shop.run(arguments).expect(4);
        assert_eq!(shop.checkpoint(), None);
        assert_eq!(shop.workspace.files().parquet().names().count(), 0);
    }
    // A resource without a schema needs all of its records before the first is written.
    let shop = Shop::new(
        300,
        &spec(PAGINATORS[0], "").replace("    schema", "    # schema"),
    );
    let _ = shop.fails_at(20, 500);
    assert_eq!(shop.checkpoint(), None);
    let _ = shop.run(&[]).expect(0);
    assert_eq!(shop.rows().count(), 300);
}

#[test]
fn a_run_does_not_fail_for_what_others_have_left() {
    let shop = Shop::new(30, &spec(PAGINATORS[0], "write_disposition: append"));
    let control = shop.workspace.path("data/shop/_connector");
    fs::create_dir_all(&control).unwrap();
    fs::write(control.join("resume"), "no folder").unwrap();
    let _ = shop.run(&["--resume-within", "0"]).expect(0).says(&[
        "cannot list the folder",
        "what earlier runs had kept is left",
    ]);
    assert_eq!(shop.rows().count(), 30);
}

#[test]
fn an_interrupted_run_is_gone_on_with() {
    for signal in ["INT", "TERM"] {
        let shop = Shop::new(300, &spec(PAGINATORS[2], "write_disposition: append"));
        let mut command = shop.command(&[]).into_command();
        shop.api.set(|state| {
            state.mishaps.insert(17, Mishap::Kill);
        });
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The server holds the answer back: the victim is never named.
        let id = child.id().to_string();
        let (state, changed) = &*shop.api.0;
        let waited = changed.wait_while(state.lock().unwrap(), |state| {
            state.asked.last() != Some(&17)
        });
        drop(waited.unwrap());
        let _ = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(!child.wait().unwrap().success());
        // Lets the server go on.
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        shop.api.set(|state| state.victim = Some(other.id()));
        other.wait().unwrap();
        shop.api.asked();
        let _ = shop.run(&[]).expect(0);
        // All but the pages that were on their way to the writer.
        let asked = shop.api.asked();
        assert!((13..=17).contains(&asked[0]), "{asked:?}");
        shop.expect(&[("", 300)]);
    }
}

#[test]
fn cursors_of_the_state_are_those_of_one_reading() {
    for disposition in ["append", "merge"] {
        let text = spec(
            PAGINATORS[0],
            &format!(
                "write_disposition: {disposition}\n    incremental: {{cursor_path: at, start_param: from}}"
            ),
        );
        let shop = Shop::new(300, &text);
        shop.killed_at(11, &[]);
        let _ = shop.fails_at(22, 500);
        shop.api.asked();
        let _ = shop.run(&[]).expect(0);
        assert_eq!(shop.api.asked()[..8], rest(22));
        shop.expect(&[("", 300)]);
        let state = fs::read(shop.workspace.path("data/shop/_connector/state.json")).unwrap();
        let state: Value = serde_json::from_slice(&state).unwrap();
        let cursor = &state["resources"]["items"]["cursor"]["partitions"]["{}"];
        assert_eq!(cursor["value"], "2026-01-05T00:00:59Z");
        // The API of this test gives all records again: those before the cursor are not asked of it.
        let report = shop.report();
        assert_eq!(report["cursor"]["from"], Value::Null);
        assert_eq!(report["cursor"]["to"], "2026-01-05T00:00:59Z");
        // A cursor that is set in between is another request.
        let _ = shop.fails_at(5, 500);
        let set = ["state", "set", "items", "2026-01-06"];
        let spec = shop.workspace.path("shop.yaml");
        let run = shop.workspace.cargo_connector("shop");
        let run = run.args(["run", spec.to_str().unwrap()]).args(set).run();
        let _ = run.expect(0);
        shop.api.asked();
        let outcome = shop.run(&[]).expect(0);
        let _ = outcome.says(&["the settings, the range or the cursor are other ones now"]);
        assert_eq!(shop.api.asked()[0], 0);
    }
}

#[test]
fn other_credentials_start_over_and_may_be_of_another_account() {
    let shop = Shop::new(300, &spec(PAGINATORS[0], "write_disposition: replace"));
    let _ = shop.fails_at(12, 500);
    shop.api.asked();
    let run = shop
        .command(&[])
        .env("SHOP_PASSPHRASE", "of another account");
    let _ = run
        .run()
        .expect(0)
        .says(&["the settings, the range or the cursor are other ones now"]);
    assert_eq!(shop.api.asked()[0], 0);
}

#[test]
fn other_strategies_go_on_too() {
    for (strategy, expect) in [
        ("{disposition: merge, strategy: scd2}", 400),
        ("{disposition: merge, strategy: insert-only}", 300),
    ] {
        let text = spec(PAGINATORS[1], &format!("write_disposition: {strategy}"));
        let shop = Shop::new(100, &text);
        let _ = shop.run(&[]).expect(0);
        shop.api.set(|state| {
            state.count = 300;
            state.text = "new".to_owned();
        });
        shop.killed_at(9, &[]);
        let _ = shop.fails_at(21, 500);
        shop.api.asked();
        let _ = shop.run(&[]).expect(0);
        assert_eq!(shop.api.asked()[0], 21);
        assert_eq!(shop.rows().count(), expect);
        if expect == 400 {
            // All versions of the load begin when those before them end.
            let rows = shop.rows();
            let ends: Vec<Value> = rows.column("_valid_to");
            let ended: Vec<&Value> = ends.iter().filter(|end| !end.is_null()).collect();
            assert_eq!(ended.len(), 100);
            let mut begins = rows.column("_valid_from");
            begins.sort_by_key(Value::to_string);
            begins.dedup();
            assert_eq!(begins.len(), 2, "two loads");
            assert!(ended.iter().all(|end| begins.contains(end)));
        }
    }
}
