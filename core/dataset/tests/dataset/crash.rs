//! A process that ends at any instruction leaves the old or the new dataset.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use connector_dataset::{FailPoint, LoadOptions, Store};
use connector_plan::WriteDisposition::{self, Append, Merge, Replace};
use connector_plan::{History, Merge as MergeOptions, MergeStrategy};

use crate::arranged::{arrange, check_arranged};
use crate::support::*;

struct Scenario {
    name: &'static str,
    before: Option<Vec<Row>>,
    disposition: WriteDisposition,
    merge: MergeOptions,
    load: Vec<Row>,
    after: Vec<Row>,
    /// See [`arrange`].
    arranged: usize,
}

fn scenarios() -> Vec<Scenario> {
    let twice = [rows(0..2, 2), rows(40..44, 2), rows(41..43, 3)].concat();
    let merged = [rows(40..41, 2), rows(41..43, 3), rows(43..44, 2)].concat();
    let scenario =
        |name, before: Option<Vec<Row>>, disposition, load: &[Row], after: &[&[Row]]| Scenario {
            name,
            before,
            disposition,
            merge: MergeOptions::default(),
            load: load.to_vec(),
            after: sorted(after.concat()),
            arranged: 0,
        };
    let strategy = |scenario: Scenario, strategy| Scenario {
        merge: MergeOptions {
            strategy,
            ..MergeOptions::default()
        },
        ..scenario
    };
    let by_value = |mut scenario: Scenario| {
        scenario.merge.merge_key = vec!["value".to_owned()];
        scenario
    };
    let mut scenarios = vec![
        scenario("first", None, Merge, &twice, &[&rows(0..2, 2), &merged]),
        scenario(
            "merge",
            Some(rows(0..30, 1)),
            Merge,
            &twice,
            &[&rows(0..2, 2), &rows(2..30, 1), &merged],
        ),
        scenario(
            "append",
            Some(rows(0..9, 1)),
            Append,
            &rows(0..3, 2),
            &[&rows(0..9, 1), &rows(0..3, 2)],
        ),
        scenario(
            "replace",
            Some(rows(0..9, 1)),
            Replace,
            &rows(5..7, 2),
            &[&rows(5..7, 2)],
        ),
        scenario("empty", Some(rows(0..9, 1)), Replace, &[], &[]),
        strategy(
            scenario(
                "insert-only",
                Some(rows(0..9, 1)),
                Merge,
                &rows(7..12, 2),
                &[&rows(0..9, 1), &rows(9..12, 2)],
            ),
            MergeStrategy::InsertOnly,
        ),
        by_value(strategy(
            scenario(
                "delete-insert",
                Some([rows(0..9, 1), rows(20..23, 2)].concat()),
                Merge,
                &[rows(2..3, 2), rows(30..32, 2)].concat(),
                &[
                    &rows(0..2, 1),
                    &rows(3..9, 1),
                    &rows(2..3, 2),
                    &rows(30..32, 2),
                ],
            ),
            MergeStrategy::DeleteInsert,
        )),
        strategy(
            scenario(
                "scd2",
                Some(rows(0..9, 1)),
                Merge,
                &[rows(2..4, 2), rows(4..5, 1), rows(20..21, 1)].concat(),
                &[&rows(0..9, 1), &rows(2..4, 2), &rows(20..21, 1)],
            ),
            MergeStrategy::Scd2(History::default()),
        ),
    ];
    // The same in folders of partitions, which rows leave for others when they are updated.
    let arranged = [
        scenario(
            "first, arranged",
            None,
            Merge,
            &twice,
            &[&rows(0..2, 2), &merged],
        ),
        scenario(
            "merge, arranged",
            Some([rows(0..6, 1), rows(6..9, 4)].concat()),
            Merge,
            &twice,
            &[&rows(0..2, 2), &rows(2..6, 1), &rows(6..9, 4), &merged],
        ),
        scenario("empty, arranged", Some(rows(0..4, 1)), Replace, &[], &[]),
        strategy(
            scenario(
                "scd2, arranged",
                Some(rows(0..5, 1)),
                Merge,
                &[rows(2..4, 2), rows(4..5, 1)].concat(),
                &[&rows(0..5, 1), &rows(2..4, 2)],
            ),
            MergeStrategy::Scd2(History::default()),
        ),
    ];
    scenarios.extend(arranged.map(|scenario| Scenario {
        arranged: 3,
        ..scenario
    }));
    scenarios
}

impl Scenario {
    fn options(&self) -> LoadOptions {
        let mut options = LoadOptions {
            merge: self.merge.clone(),
            ..options(self.disposition, false)
        };
        arrange(&mut options, self.arranged);
        options
    }

    fn prepare(&self, out: &Path) {
        if let Some(rows) = &self.before {
            load_with(out, store_options(), self.options(), rows, Some(1.into())).unwrap();
        }
    }

    fn run(&self, out: &Path, fail_point: Option<FailPoint>) -> bool {
        let mut store = store_options();
        store.fail_point = fail_point;
        load_with(out, store, self.options(), &self.load, Some(2.into())).is_ok()
    }

    /// The dataset is the old or the new one; true when it is the new one.
    #[track_caller]
    fn check_readable(&self, out: &Path, step: &str) -> bool {
        let found = read(out);
        let is_new = found == self.after && (self.before.is_some() || live(out).exists());
        let is_old = found == self.before.clone().unwrap_or_default();
        assert!(is_new || is_old, "{} at {step}: {found:?}", self.name);
        is_new
    }

    /// The next run finds a dataset and a state that belong together, and finishes the work.
    #[track_caller]
    fn check_recovery(&self, out: &Path, step: &str) {
        let was_new = self.check_readable(out, step);
        let store = Store::open(out, store_options()).unwrap();
        let is_new = self.check_readable(out, step);
        assert!(
            is_new || !was_new,
            "{} at {step}: the new dataset was lost",
            self.name
        );
        let state = store.state();
        let cursor = state
            .resource(RESOURCE)
            .and_then(|state| state.cursor.clone());
        let old = self.before.is_some().then(|| 1.into());
        let expect = if is_new { Some(2.into()) } else { old };
        assert_eq!(cursor, expect, "{} at {step}", self.name);
        drop(store);
        assert_tidy(out);
        if !is_new {
            assert!(self.run(out, None), "{} at {step}", self.name);
        }
        assert_eq!(read(out), self.after, "{} at {step}", self.name);
        check_arranged(out, self.arranged);
        assert_tidy(out);
    }
}

/// How many steps a run of this scenario makes.
fn count_steps(scenario: &Scenario) -> usize {
    let out = folder();
    scenario.prepare(out.path());
    let (fail_point, steps) = dying(usize::MAX);
    assert!(scenario.run(out.path(), Some(fail_point)));
    steps.load(Ordering::SeqCst)
}

#[test]
fn a_failure_at_any_step_leaves_the_old_or_the_new() {
    for scenario in scenarios() {
        let steps = count_steps(&scenario);
        assert!(steps > 15, "{steps}");
        for step in 0..steps {
            let out = folder();
            scenario.prepare(out.path());
            let (fail_point, _) = dying(step);
            scenario.run(out.path(), Some(fail_point));
            scenario.check_recovery(out.path(), &step.to_string());
        }
    }
}

#[test]
fn one_failing_step_is_reported_and_undone_or_finished() {
    for scenario in scenarios() {
        for step in 0..count_steps(&scenario) {
            let out = folder();
            scenario.prepare(out.path());
            let steps = AtomicUsize::new(0);
            let fail_point = FailPoint::new(move |_, _| {
                if steps.fetch_add(1, Ordering::SeqCst) == step {
                    return Err(std::io::ErrorKind::StorageFull.into());
                }
                Ok(())
            });
            let is_ok = scenario.run(out.path(), Some(fail_point));
            let is_new = scenario.check_readable(out.path(), &step.to_string());
            assert!(
                is_new || !is_ok,
                "{} at {step}: said to be loaded",
                scenario.name
            );
            scenario.check_recovery(out.path(), &step.to_string());
        }
    }
}

#[test]
fn recovery_may_be_interrupted_too() {
    let mut interrupted = 0;
    // The first load has no folder to exchange with; the merge has one, and files of all fates.
    for scenario in scenarios().into_iter().take(2) {
        for step in 0..count_steps(&scenario) {
            for recovery_step in 0.. {
                let out = folder();
                scenario.prepare(out.path());
                scenario.run(out.path(), Some(dying(step).0));
                if names(&control(out.path()).join("journal")).is_empty() {
                    // Nothing to finish, only to clean up.
                    break;
                }
                interrupted += 1;
                let (fail_point, steps) = dying(recovery_step);
                let mut options = store_options();
                options.fail_point = Some(fail_point);
                drop(Store::open(out.path(), options));
                let step = format!("{step}, recovery {recovery_step}");
                scenario.check_recovery(out.path(), &step);
                if steps.load(Ordering::SeqCst) <= recovery_step {
                    break;
                }
            }
        }
    }
    assert!(interrupted > 50, "{interrupted}");
}

#[test]
fn readers_see_the_old_or_the_new_at_every_instant() {
    for scenario in scenarios() {
        let out = folder();
        scenario.prepare(out.path());
        let path = out.path().to_owned();
        let name = scenario.name;
        let (before, after) = (
            scenario.before.clone().unwrap_or_default(),
            scenario.after.clone(),
        );
        let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let log = std::sync::Arc::clone(&seen);
        let fail_point = FailPoint::new(move |step, _| {
            let rows = read(&path);
            log.lock()
                .unwrap()
                .push((step, rows == before, rows == after));
            Ok(())
        });
        assert!(scenario.run(out.path(), Some(fail_point)));
        let seen = seen.lock().unwrap();
        let switch = seen.iter().position(|(_, is_old, _)| !is_old).unwrap();
        let (old, new) = seen.split_at(switch);
        assert!(old.iter().all(|(_, is_old, _)| *is_old), "{name}: {seen:?}");
        assert!(new.iter().all(|(_, _, is_new)| *is_new), "{name}: {seen:?}");
    }
}

/// The same with a process that is killed (`SIGKILL`): the test runs itself again as that process.
#[test]
fn a_process_killed_at_any_step_leaves_the_old_or_the_new() {
    const CHILD: &str = "DATASET_TEST_CHILD";
    if let Ok(task) = std::env::var(CHILD) {
        let mut parts = task.splitn(3, ' ');
        let index: usize = parts.next().unwrap().parse().unwrap();
        let dies_at: usize = parts.next().unwrap().parse().unwrap();
        let out = Path::new(parts.next().unwrap());
        let steps = AtomicUsize::new(0);
        let fail_point = FailPoint::new(move |_, _| {
            if steps.fetch_add(1, Ordering::SeqCst) == dies_at {
                use rustix::process::{Signal, getpid, kill_process};
                kill_process(getpid(), Signal::KILL)?;
            }
            Ok(())
        });
        assert!(scenarios()[index].run(out, Some(fail_point)));
        return;
    }
    let mut kills = 0;
    for (index, scenario) in scenarios().iter().enumerate() {
        for step in 0.. {
            let out = folder();
            scenario.prepare(out.path());
            let status = Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "crash::a_process_killed_at_any_step_leaves_the_old_or_the_new",
                ])
                .env(CHILD, format!("{index} {step} {}", out.path().display()))
                .output()
                .unwrap()
                .status;
            if status.success() {
                assert_eq!(read(out.path()), scenario.after);
                break;
            }
            kills += 1;
            scenario.check_recovery(out.path(), &step.to_string());
        }
    }
    assert!(kills > 100, "{kills}");
}
