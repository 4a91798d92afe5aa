//! Children that are gone on with: partitions that have ended are not read again.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use connector_sandbox::{Answer, Options, RequestRecord, Sandbox};
use connector_tests::{Outcome, Rows, Workspace};
use serde_json::{Value, json};

/// Parents of three pages, whose children have two pages each.
const SPEC: &str = "
client: {base_url: https://tree.example.com/api, concurrency: 1, retry: {max_retries: 0}}
resource_defaults:
  primary_key: id
  write_disposition: merge
  endpoint: {data_selector: items, paginator: {type: page_number, base_page: 1, limit: 10}}
resources:
  - name: folders
    schema: {fields: {id: integer, owner: {type: object, fields: {name: string}}, at: timestamp}}
  - name: files
    parent: {resource: folders, field: id, as: folder}
    include_from_parent: [at]
    endpoint: {path: '/folders/{folder}/files'}
    REST
    schema: {fields: {id: integer, number: integer}}
";

const FOLDERS: usize = 25;

#[derive(Default)]
struct State {
    asked: Vec<String>,
    /// What is answered with this status.
    broken: BTreeMap<String, u16>,
    /// Folders that are gone.
    gone: Vec<usize>,
    /// How many files a folder has instead of 15.
    files: Option<usize>,
}

struct Tree {
    state: Arc<Mutex<State>>,
    server: Sandbox,
    workspace: Workspace,
}

fn answer(state: &Mutex<State>, request: &RequestRecord) -> Option<Answer> {
    let path = request.path.strip_prefix("/api")?;
    let page: usize = request
        .param("page")
        .map_or(1, |page| page.parse().unwrap());
    let mut state = state.lock().unwrap();
    let asked = format!("{path}?{page}");
    state.asked.push(asked.clone());
    if let Some(status) = state.broken.get(&asked) {
        return Some(Answer::json(*status, "{}"));
    }
    let first = (page - 1) * 10;
    let items: Vec<Value> = match path.strip_prefix("/folders/") {
        None => (first..FOLDERS.min(first + 10))
            .filter(|id| !state.gone.contains(id))
            .map(|id| json!({"id": id, "owner": {"name": "x"}, "at": "2026-01-01T00:00:00Z"}))
            .collect(),
        Some(rest) => {
            let folder: usize = rest.strip_suffix("/files")?.parse().unwrap();
            (first..state.files.unwrap_or(15).min(first + 10))
                .map(|number| json!({"id": folder * 100 + number, "number": number}))
                .collect()
        }
    };
    Some(Answer::json(200, json!({ "items": items }).to_string()))
}

impl Tree {
    fn new(rest: &str) -> Self {
        let spec = SPEC.replace("REST", rest);
        let plan = connector_tests::plan("tree", &*spec);
        let state = Arc::new(Mutex::new(State::default()));
        let world = Arc::clone(&state);
        let options = Options {
            responder: Some(Arc::new(move |request, _| answer(&world, request))),
            ..Options::default()
        };
        let workspace = Workspace::new();
        fs::write(workspace.path("tree.yaml"), spec).unwrap();
        Self {
            state,
            server: Sandbox::start(&plan, options).unwrap(),
            workspace,
        }
    }

    fn run(&self) -> Outcome {
        self.run_with(&[])
    }

    fn run_with(&self, arguments: &[&str]) -> Outcome {
        let spec = self.workspace.path("tree.yaml");
        let run = self.workspace.cargo_connector("tree");
        run.args(["run", spec.to_str().unwrap()])
            .against(&self.server)
            .args(["--checkpoint-seconds", "0", "--report", "report.json"])
            .args(arguments)
            .run()
    }

    fn breaks(&self, asked: &str, status: u16) {
        let mut state = self.state.lock().unwrap();
        state.broken.insert(asked.to_owned(), status);
    }

    fn heals(&self) {
        self.state.lock().unwrap().broken.clear();
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    fn rows(&self, resource: &str) -> Rows {
        Rows::read(&self.workspace.path("data/tree").join(resource))
    }

    #[track_caller]
    fn expect_files(&self, without: &[usize]) {
        let rows = self.rows("files");
        let mut ids: Vec<i64> = rows
            .column("id")
            .iter()
            .map(|id| id.as_i64().unwrap())
            .collect();
        ids.sort_unstable();
        let folders = (0..FOLDERS).filter(|folder| !without.contains(folder));
        let truth: Vec<i64> = folders
            .flat_map(|folder| (0..15).map(move |number| (folder * 100 + number) as i64))
            .collect();
        assert_eq!(ids, truth);
        assert_eq!(rows.column("_folders_at")[0], 1_767_225_600_000_000_i64);
        assert_eq!(self.workspace.files().unfinished(), [""; 0]);
        assert_eq!(self.workspace.files().kept(), [""; 0]);
    }

    fn report(&self, resource: usize) -> Value {
        let text = fs::read(self.workspace.path("report.json")).unwrap();
        let report: Value = serde_json::from_slice(&text).unwrap();
        report["resources"][resource].clone()
    }
}

#[test]
fn partitions_that_have_ended_are_not_read_again() {
    for rest in [
        "write_disposition: merge",
        "write_disposition: append",
        "write_disposition: replace",
    ] {
        let tree = Tree::new(rest);
        tree.breaks("/folders/17/files?2", 500);
        let _ = tree
            .run()
            .expect(7)
            .says(&["files: 265 records of 35 pages are kept"]);
        tree.heals();
        tree.asked();
        let _ = tree.run().expect(0).says(&["files: going on"]);
        let children: Vec<String> = tree
            .asked()
            .into_iter()
            .filter(|asked| asked.contains("/files"))
            .collect();
        let mut expect = vec!["/folders/17/files?2".to_owned()];
        for folder in 18..FOLDERS {
            expect.extend([1, 2].map(|page| format!("/folders/{folder}/files?{page}")));
        }
        assert_eq!(children, expect);
        let files = tree.report(1);
        assert_eq!(files["partitions"], FOLDERS);
        assert_eq!(files["rows_read"], FOLDERS * 15);
        assert_eq!(files["resumed"]["rows"], 265);
        tree.expect_files(&[]);
    }
}

#[test]
fn a_parent_that_is_gone_on_with_tells_its_children_of_all_its_records() {
    let tree = Tree::new("write_disposition: replace");
    tree.breaks("/folders?3", 500);
    let _ = tree
        .run()
        .expect(4)
        .says(&["folders: 20 records of 2 pages are kept"]);
    tree.heals();
    tree.asked();
    let _ = tree.run().expect(0);
    assert_eq!(tree.asked()[..2], ["/folders?3", "/folders/0/files?1"]);
    assert_eq!(tree.rows("folders").count(), FOLDERS);
    tree.expect_files(&[]);
}

#[test]
fn a_partition_that_is_gone_in_the_middle_of_its_pages_is_not_published_by_half() {
    let tree = Tree::new("write_disposition: replace");
    tree.breaks("/folders/17/files?2", 500);
    let _ = tree.run().expect(7);
    tree.heals();
    // One that has ended, the one under way, and one that has not begun.
    tree.state.lock().unwrap().gone = vec![3, 17, 20];
    tree.asked();
    let _ = tree.run().expect(0).says(&["reading from the beginning"]);
    tree.expect_files(&[3, 17, 20]);
}

#[test]
fn skipped_partitions_and_cursors_of_partitions_are_remembered() {
    let tree = Tree::new(
        "on_parent_error: skip\n    incremental: {cursor_path: number, start_param: above}",
    );
    tree.breaks("/folders/5/files?1", 404);
    // Credentials that fail are no failure of one partition.
    tree.breaks("/folders/17/files?1", 401);
    let _ = tree.run().expect(7).says(&["are kept"]);
    tree.heals();
    tree.breaks("/folders/17/files?1", 404);
    tree.asked();
    let _ = tree.run().expect(0);
    let asked = tree.asked();
    assert!(
        !asked.iter().any(|asked| asked.starts_with("/folders/16/")),
        "{asked:?}"
    );
    let files = tree.report(1);
    // What was skipped before has been tried again.
    assert_eq!(files["skipped_partitions"], 1);
    assert_eq!(files["rows_read"], (FOLDERS - 1) * 15);
    tree.expect_files(&[17]);
    let state = fs::read(tree.workspace.path("data/tree/_connector/state.json")).unwrap();
    let state: Value = serde_json::from_slice(&state).unwrap();
    let cursors = state["resources"]["files"]["cursor"]["partitions"]
        .as_object()
        .unwrap();
    assert_eq!(cursors.len(), FOLDERS - 1);
    assert!(cursors.values().all(|cursor| cursor["value"] == 14));
}

#[test]
fn one_of_two_that_ask_for_the_same_is_gone_on_with_and_nobody_waits_for_ever() {
    let tree = Tree::new(
        "schema: {fields: {id: integer}}
  - name: twins
    parent: {resource: folders, field: id, as: folder}
    endpoint: {path: '/folders/{folder}/files'}",
    );
    tree.state.lock().unwrap().files = Some(55);
    tree.breaks("/folders/12/files?3", 500);
    let _ = tree.run_with(&["--resource", "files"]).expect(4);
    tree.heals();
    tree.asked();
    let _ = tree.run().expect(0).says(&["files: going on"]);
    for name in ["files", "twins"] {
        assert_eq!(tree.rows(name).count(), 55 * FOLDERS, "{name}");
    }
    let asked = tree.asked();
    let of = |path: &str| asked.iter().filter(|asked| *asked == path).count();
    assert_eq!(
        (of("/folders/3/files?1"), of("/folders/20/files?1")),
        (1, 2)
    );
}
