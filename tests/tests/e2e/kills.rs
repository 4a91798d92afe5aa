//! A run that is killed at any moment leaves every dataset as it was or as it was to become, and the
//! next run converges to what the API has; the spec gains and loses a column meanwhile.
//!
//! `KILLS=5000 cargo test -p connector-tests kills` kills as many processes instead of 500.

use std::collections::BTreeMap;
use std::fs;
#[cfg(unix)]
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use connector_sandbox::{Options, Sandbox};
use connector_tests::{Rows, Workspace};
use serde_json::Value;

const SPEC: &str = "
client: {base_url: https://kills.example.com, concurrency: 2}
resource_defaults:
  primary_key: id
  write_disposition: merge
  endpoint: {data_selector: items, paginator: {type: offset, limit: 20}}
resources:
  - {name: merged, endpoint: {path: /merged}, schema: {fields: {id: integer, text: string, size: integer}}}
  - name: replaced
    write_disposition: replace
    endpoint: {path: /replaced}
    schema: {fields: {id: integer, text: string, size: integer}}
  - name: events
    write_disposition: append
    incremental: {cursor_path: at, start_param: since, initial_value: '2000-01-01T00:00:00Z'}
    endpoint: {path: /events}
    schema: {fields: {id: integer, at: timestamp, text: string, size: integer}}
  - name: versions
    write_disposition: {disposition: merge, strategy: scd2}
    endpoint: {path: /versions}
    schema: {fields: {id: integer, text: string}}
";
const RESOURCES: [&str; 4] = ["merged", "replaced", "events", "versions"];

/// What a dataset has: its rows by key, and how many there are of each.
type Table = BTreeMap<String, (Value, usize)>;

/// How many processes are killed in all, by several loops at once.
const KILLS: usize = 500;
const LOOPS: usize = 2;

#[test]
fn kills_at_random_moments_leave_the_old_or_the_new() {
    let kills = std::env::var("KILLS").ok();
    let kills = kills.map_or(KILLS, |kills| kills.parse().unwrap());
    thread::scope(|scope| {
        for number in 0..LOOPS {
            scope.spawn(move || Loop::new(number as u64 + 1).run(kills.div_ceil(LOOPS)));
        }
    });
}

/// Runs and kills on one output folder.
struct Loop {
    workspace: Workspace,
    server: Sandbox,
    random: u64,
    /// What each dataset has now.
    now: BTreeMap<&'static str, Table>,
    /// What it has when the next run has ended.
    next: BTreeMap<&'static str, Table>,
    /// How long the last run took that nobody killed.
    whole: Duration,
    /// The kills behind which a dataset was new, and those behind which all were old.
    seen: [usize; 2],
}

impl Loop {
    fn new(seed: u64) -> Self {
        let plan = connector_tests::plan("kills", SPEC);
        let options = Options {
            records: 45,
            seed,
            nulls: false,
            ..Options::default()
        };
        let workspace = Workspace::new();
        Self {
            workspace,
            server: Sandbox::start(&plan, options).unwrap(),
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            now: RESOURCES.map(|name| (name, Table::new())).into(),
            next: BTreeMap::new(),
            whole: Duration::ZERO,
            seen: [0; 2],
        }
    }

    fn run(mut self, kills: usize) {
        self.change();
        self.complete();
        let mut killed = 0;
        // Where the moments were all early or all late, because the machine was busy, some more.
        while killed < kills || killed < 4 * kills && self.rarest() <= kills / 20 {
            self.change();
            for _ in 0..self.below(6) {
                killed += usize::from(self.kill());
            }
            self.complete();
        }
        assert!(self.rarest() > kills / 20, "new and old: {:?}", self.seen);
    }

    fn rarest(&self) -> usize {
        self.seen[0].min(self.seen[1])
    }

    /// A number below `end` (xorshift64*).
    fn below(&mut self, end: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % end
    }

    /// The API has other records from now on, and the spec perhaps another column.
    fn change(&mut self) {
        let spec = match self.below(2) {
            0 => SPEC.replace(", size: integer", ""),
            _ => SPEC.to_owned(),
        };
        fs::write(self.workspace.path("kills.yaml"), spec).unwrap();
        let (one, two) = (self.below(30) as usize, self.below(30) as usize);
        for name in ["merged", "replaced", "versions"] {
            self.server.update_records(name, |at| at % 30 == one);
            self.server.delete_records(name, |at| at == two);
        }
        for name in RESOURCES {
            self.server.add_records(name, 3);
        }
        for name in RESOURCES {
            let mut table = match name {
                "replaced" | "events" => Table::new(),
                _ => self.now[name].clone(),
            };
            for record in self.server.truth(name) {
                let row = row(&record["id"], &record["text"]);
                match table.get_mut(&row.0) {
                    // Of a history each version is a row, and the last one counts.
                    Some((text, rows)) if name == "versions" && *text != row.1 => {
                        (*text, *rows) = (row.1, *rows + 1);
                    }
                    Some((text, _)) => *text = row.1,
                    None => drop(table.insert(row.0, (row.1, 1))),
                }
            }
            self.next.insert(name, table);
        }
    }

    fn start(&self) -> Child {
        let spec = self.workspace.path("kills.yaml");
        let run = self.workspace.cargo_connector("kills");
        let run = run
            .args(["run", spec.to_str().unwrap()])
            .against(&self.server);
        let mut command: Command = run.args(["--progress", "none"]).into_command();
        // Every run keeps what it has read as often as it can, for the next one to go on from.
        command.args(["--checkpoint-seconds", "0"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Kills a run at a random moment; false when it had ended before.
    fn kill(&mut self) -> bool {
        let whole = u64::try_from(self.whole.as_micros()).unwrap();
        let delay = Duration::from_micros(self.below(whole + whole / 10));
        let mut child = self.start();
        thread::sleep(delay);
        child.kill().unwrap();
        let status = child.wait().unwrap();
        let ended = status.success();
        #[cfg(unix)]
        assert!(ended || status.signal() == Some(9), "{status}");
        let mut is_new = ended;
        for name in RESOURCES {
            let found = self.read(name);
            if found == self.next[name] && found != self.now[name] {
                is_new = true;
                self.now.insert(name, found);
            } else {
                assert_eq!(found, self.now[name], "{name}, killed after {delay:?}");
            }
        }
        if ended {
            assert_eq!(self.now, self.next, "a run that came to its end");
        } else {
            self.seen[usize::from(!is_new)] += 1;
        }
        !ended
    }

    /// A run to the end gives what the API has, and leaves nothing else behind.
    fn complete(&mut self) {
        let started = Instant::now();
        let status = self.start().wait().unwrap();
        assert!(status.success(), "{status}");
        self.whole = started.elapsed();
        for name in RESOURCES {
            assert_eq!(self.read(name), self.next[name], "{name}");
        }
        self.now.clone_from(&self.next);
        assert_eq!(self.workspace.files().unfinished(), [""; 0]);
        assert_eq!(self.workspace.files().kept(), [""; 0]);
    }

    fn read(&self, name: &str) -> Table {
        let folder = self.workspace.path("data/kills").join(name);
        let rows = Rows::read(&folder);
        let mut table = Table::new();
        if rows.count() == 0 {
            return table;
        }
        let (ids, texts) = (rows.column("id"), rows.column("text"));
        let ends = match name {
            "versions" => rows.column("_valid_to"),
            _ => vec![Value::Null; ids.len()],
        };
        for ((id, text), end) in ids.iter().zip(&texts).zip(ends) {
            let (id, text) = row(id, text);
            let entry = table.entry(id).or_insert((Value::Null, 0));
            entry.1 += 1;
            if end.is_null() {
                assert_eq!(entry.0, Value::Null, "two active rows of one key in {name}");
                entry.0 = text;
            }
        }
        table
    }
}

fn row(id: &Value, text: &Value) -> (String, Value) {
    (id.to_string(), text.clone())
}
