//! Datasets in an object store: whatever fails, and whoever else writes, they are old or new.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use connector_dataset::{ErrorKind, LoadOptions, Store, StoreOptions, work_folder};
use connector_plan::WriteDisposition::{self, Append, Merge, Replace};
use connector_plan::{History, Merge as MergeOptions, MergeStrategy, PartitionBy, PartitionColumn};

use crate::bucket::*;
use crate::support::*;

/// A load onto what is there.
struct Case {
    name: &'static str,
    disposition: WriteDisposition,
    strategy: MergeStrategy,
    /// Into the folders of partitions.
    partitioned: bool,
    before: Option<Vec<Row>>,
    load: Vec<Row>,
    after: Vec<Row>,
}

fn cases() -> Vec<Case> {
    let case = |name, disposition, before: Option<Vec<Row>>, load: &[Row], after: &[&[Row]]| Case {
        name,
        disposition,
        strategy: MergeStrategy::Upsert,
        partitioned: false,
        before,
        load: load.to_vec(),
        after: sorted(after.concat()),
    };
    let old = || Some(rows(0..20, 1));
    let new = [rows(3..5, 2), rows(30..33, 2)].concat();
    vec![
        case("first", Merge, None, &new, &[&new]),
        case(
            "merge",
            Merge,
            old(),
            &new,
            &[&rows(0..3, 1), &rows(5..20, 1), &new],
        ),
        Case {
            partitioned: true,
            ..case(
                "partitioned",
                Merge,
                old(),
                &new,
                &[&rows(0..3, 1), &rows(5..20, 1), &new],
            )
        },
        case("append", Append, old(), &new, &[&rows(0..20, 1), &new]),
        case("replace", Replace, old(), &new, &[&new]),
        Case {
            strategy: MergeStrategy::Scd2(History::default()),
            ..case("scd2", Merge, old(), &new, &[&rows(0..20, 1), &new])
        },
    ]
}

impl Case {
    fn options(&self) -> LoadOptions {
        let mut options = LoadOptions {
            merge: MergeOptions {
                strategy: self.strategy.clone(),
                ..MergeOptions::default()
            },
            ..options(self.disposition, false)
        };
        if self.partitioned {
            options.writer.partition_by = vec![PartitionColumn::new("value", PartitionBy::Value)];
        }
        options
    }

    fn prepare(&self) -> Place {
        let place = Place::new();
        if let Some(rows) = &self.before {
            let store = place.options(&place.bucket());
            let cursor = Some(1.into());
            load_with(Path::new(ADDRESS), store, self.options(), rows, cursor).unwrap();
        }
        place
    }

    fn run(&self, place: &Place, bucket: &Bucket) -> Result<(), connector_dataset::Error> {
        let store = place.options(bucket);
        let cursor = Some(2.into());
        load_with(
            Path::new(ADDRESS),
            store,
            self.options(),
            &self.load,
            cursor,
        )
        .map(|_| ())
    }

    /// The next run finds the old or the new dataset and finishes what had been committed.
    #[track_caller]
    fn check_recovery(&self, place: &Place, is_ok: bool, at: &str) {
        let name = self.name;
        let bucket = place.bucket();
        let store = place.open(&bucket).unwrap();
        let found = read(place.out());
        let is_new = found == self.after;
        let is_old = found == self.before.clone().unwrap_or_default();
        assert!(is_new || is_old, "{name} at {at}: {found:?}");
        assert!(is_new || !is_ok, "{name} at {at}: said to be loaded");
        let state = store.state();
        let cursor = state.resource(RESOURCE);
        let cursor = cursor.and_then(|state| state.cursor.clone());
        let old = self.before.is_some().then(|| 1.into());
        assert_eq!(
            cursor,
            if is_new { Some(2.into()) } else { old },
            "{name} at {at}"
        );
        drop(store);
        if !is_new {
            self.run(place, &bucket).unwrap();
        }
        assert_eq!(read(place.out()), self.after, "{name} at {at}");
        check_tidy(place);
    }

    fn count_calls(&self) -> usize {
        let place = self.prepare();
        let bucket = place.bucket().with_hook(|_| None);
        self.run(&place, &bucket).unwrap();
        assert_eq!(read(place.out()), self.after, "{}", self.name);
        check_tidy(&place);
        bucket.calls()
    }
}

/// Nothing is left of a run but the dataset, its state and an empty lease.
#[track_caller]
fn check_tidy(place: &Place) {
    let control = control(place.out());
    let below = place.bucket();
    let below = connector_dataset::Objects::list(&below, "shop/_connector/tmp/").unwrap();
    assert_eq!(below, []);
    let work = work_folder(Path::new(ADDRESS), CONNECTOR, Some(place.work.path()));
    assert_eq!(names(&work.join("tmp")), [].into());
    let lease: serde_json::Value =
        serde_json::from_slice(&fs::read(control.join("lease.json")).unwrap()).unwrap();
    assert_eq!(lease["holder"], serde_json::Value::Null);
    assert_eq!(lease["journals"], serde_json::json!({}));
    let state: serde_json::Value =
        serde_json::from_slice(&fs::read(control.join("state.json")).unwrap()).unwrap();
    let known = state["resources"][RESOURCE]["files"].as_array().unwrap();
    let known = known.iter().map(|file| file["name"].as_str().unwrap());
    assert_eq!(
        known
            .map(str::to_owned)
            .collect::<std::collections::BTreeSet<_>>(),
        files(place.out())
    );
}

#[test]
fn a_network_that_goes_at_any_call_leaves_the_old_or_the_new() {
    for case in cases() {
        let calls = case.count_calls();
        assert!(calls > 10, "{calls}");
        for fault in [Fault::Before, Fault::After] {
            for at in 0..calls {
                let place = case.prepare();
                // Only the first of them has an effect: then the network is gone.
                let bucket = place.bucket().with_hook(move |call| match call {
                    _ if call == at => Some(fault),
                    _ if call > at => Some(Fault::Before),
                    _ => None,
                });
                let is_ok = case.run(&place, &bucket).is_ok();
                case.check_recovery(&place, is_ok, &format!("{at} {fault:?}"));
            }
        }
    }
}

#[test]
fn one_failing_call_is_reported_and_undone_or_finished() {
    for case in cases() {
        for fault in [Fault::Before, Fault::After] {
            for at in 0..case.count_calls() {
                let place = case.prepare();
                let hook = move |call| (call == at).then_some(fault);
                let bucket = place.bucket().with_hook(hook);
                let is_ok = case.run(&place, &bucket).is_ok();
                case.check_recovery(&place, is_ok, &format!("{at} {fault:?}"));
            }
        }
    }
}

/// Somebody takes over before any call of a run that goes on as if nothing had happened, as after a
/// sleep: what that one commits is there, or it is told that it has lost.
#[test]
fn a_run_that_lost_its_lease_publishes_nothing() {
    let mut lost = 0;
    for case in cases() {
        for at in 0..case.count_calls() {
            let place = case.prepare();
            let other = Place {
                folder: folder(),
                work: folder(),
            };
            let shared = place.bucket();
            let other_options = StoreOptions {
                work: Some(other.work.path().to_owned()),
                ..place.options(&shared)
            };
            let paths = [&place, &other].map(|place| {
                work_folder(Path::new(ADDRESS), CONNECTOR, Some(place.work.path())).join("place")
            });
            let theirs = rows(50..53, 9);
            let behind = match case.disposition {
                Replace => case.load.clone(),
                _ => sorted([theirs.clone(), case.load.clone()].concat()),
            };
            let done = Arc::new(Mutex::new(None));
            let outcome = Arc::clone(&done);
            let has_begun = AtomicBool::new(false);
            let load = theirs.clone();
            let other_load = case.options();
            let bucket = shared.with_hook(move |call| {
                if call == at && !has_begun.swap(true, Ordering::SeqCst) {
                    // The same machine by name, but without its lock: nobody waits for the end of
                    // the lease.
                    if let Ok(name) = fs::read(&paths[0]) {
                        fs::create_dir_all(paths[1].parent().unwrap()).unwrap();
                        fs::write(&paths[1], name).unwrap();
                    }
                    let result = load_with(
                        Path::new(ADDRESS),
                        other_options.clone(),
                        LoadOptions {
                            disposition: Replace,
                            merge: MergeOptions::default(),
                            ..other_load.clone()
                        },
                        &load,
                        Some(3.into()),
                    );
                    *outcome.lock().unwrap() = Some(result.map(|_| ()));
                }
                None
            });
            let result = case.run(&place, &bucket);
            let name = format!("{} at {at}", case.name);
            let other_result = done.lock().unwrap().take().unwrap();
            let found = read(place.out());
            match (&result, &other_result) {
                // One behind the other.
                (Ok(()), Ok(())) => {
                    assert!(found == theirs || found == behind, "{name}: {found:?}");
                }
                (Err(error), Ok(())) => {
                    // It may miss a file that the other has deleted before it misses its lease.
                    let kinds = [ErrorKind::Conflict, ErrorKind::Destination];
                    assert!(kinds.contains(&error.kind()), "{name}: {error}");
                    assert_eq!(found, theirs, "{name}: {error}");
                    lost += 1;
                }
                // Another spec: what is there may not be replaced by it, see `refusals`.
                (_, Err(error)) => panic!("{name}: {error}"),
            }
            drop(result);
            // Whatever is left, the next run cleans up.
            drop(place.open(&shared).unwrap());
            check_tidy(&place);
        }
    }
    assert!(lost > 20, "{lost}");
}

#[test]
fn a_second_run_waits_for_the_end_of_the_first() {
    let place = Place::new();
    let bucket = place.bucket();
    let first = place.open(&bucket).unwrap();
    let elsewhere = Place {
        folder: folder(),
        work: folder(),
    };
    let error = elsewhere.open(&bucket).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let text = error.to_string();
    let start = "another run is writing to `s3://bucket/data/shop` (process ";
    assert!(text.starts_with(start), "{text}");
    assert!(error.hint().unwrap().contains("its lease ends in"));
    // On the same machine it is the working folder that is locked.
    let error = place.open(&bucket).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    drop(first);
    elsewhere.open(&bucket).unwrap();
    place.open(&bucket).unwrap();
}

#[test]
fn what_was_copied_in_the_middle_of_a_publication_is_refused() {
    #[track_caller]
    fn check(result: Result<Store, connector_dataset::Error>, expect: &str) {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains(expect), "{error}");
    }
    let case = &cases()[1];
    let place = case.prepare();
    let watched = place.out().to_owned();
    let copied = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&copied);
    let bucket = place.bucket().with_hook(move |_| {
        let lease = control(&watched).join("lease.json");
        let text = fs::read_to_string(lease).unwrap_or_default();
        if text.contains("\"adds\"") {
            kept.lock().unwrap().get_or_insert(text);
        }
        None
    });
    case.run(&place, &bucket).unwrap();
    let lease = copied.lock().unwrap().take().unwrap();
    // The bucket's folder is what a copy on a disk would be.
    fs::write(control(place.out()).join("lease.json"), lease).unwrap();
    check(Store::open(place.out(), store_options()), "from a bucket");
    let place = case.prepare();
    let journal = control(place.out()).join("journal");
    fs::create_dir_all(&journal).unwrap();
    fs::write(journal.join("orders.json"), "{}").unwrap();
    check(place.open(&place.bucket()), "from a disk");
}

#[test]
fn a_dead_run_of_this_machine_is_followed_at_once() {
    let place = Place::new();
    let bucket = place.bucket();
    let first = place.open(&bucket).unwrap();
    let lease = control(place.out()).join("lease.json");
    let held = fs::read(&lease).unwrap();
    drop(first);
    // As if it had been killed.
    fs::write(&lease, held).unwrap();
    place.open(&bucket).unwrap();
    let elsewhere = Place {
        folder: folder(),
        work: folder(),
    };
    elsewhere.open(&bucket).unwrap();
}

#[test]
fn a_store_without_conditions_is_refused() {
    #[track_caller]
    fn check(bucket: impl Fn(&mut Bucket), expect: &str) {
        let place = Place::new();
        let mut found = place.bucket();
        bucket(&mut found);
        let error = place.open(&found).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Destination);
        let text = format!("{error}: {}", error.hint().unwrap());
        assert!(text.contains(expect), "{text}");
    }
    check(
        |bucket| bucket.ignores_conditions = true,
        "ignores the conditions",
    );
    check(|bucket| bucket.has_no_conditions = true, "conditional puts");
}

#[test]
fn a_state_that_others_write_is_not_overwritten() {
    let place = Place::new();
    let bucket = place.bucket();
    let out = Path::new(ADDRESS);
    load_with(
        out,
        place.options(&bucket),
        options(Append, false),
        &rows(0..2, 1),
        None,
    )
    .unwrap();
    let store = place.open(&bucket).unwrap();
    let path = control(place.out()).join("state.json");
    let mut text = fs::read_to_string(&path).unwrap();
    text.push('\n');
    fs::write(&path, text).unwrap();
    let error = store.set_cursor(RESOURCE, Some(7.into())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(
        error
            .to_string()
            .contains("s3://bucket/data/shop/_connector/state.json")
    );
}

/// A bucket whose next calls have these faults.
fn faulty(place: &Place) -> (Bucket, impl Fn(&[Option<Fault>])) {
    let faults = Arc::new(Mutex::new(VecDeque::new()));
    let next = Arc::clone(&faults);
    let hook = move |_| next.lock().unwrap().pop_front().flatten();
    let set =
        move |next: &[Option<Fault>]| *faults.lock().unwrap() = next.iter().copied().collect();
    (place.bucket().with_hook(hook), set)
}

#[test]
fn what_became_of_a_state_is_found_out_by_the_next_one() {
    #[track_caller]
    fn check(faults: &[Fault], is_other: bool) {
        let place = Place::new();
        let (bucket, fail) = faulty(&place);
        let out = Path::new(ADDRESS);
        let load = options(Append, false);
        load_with(out, place.options(&bucket), load, &rows(0..2, 1), None).unwrap();
        let store = place.open(&bucket).unwrap();
        fail(&faults.iter().copied().map(Some).collect::<Vec<_>>());
        let error = store.set_cursor(RESOURCE, Some(7.into())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Destination, "{faults:?}");
        assert!(error.is_transient(), "{faults:?}");
        let path = control(place.out()).join("state.json");
        if is_other {
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, format!("{text}\n")).unwrap();
        }
        let next = store.set_cursor(RESOURCE, Some(8.into()));
        if is_other {
            let error = next.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{faults:?}");
            assert!(!error.is_transient(), "{faults:?}");
            return;
        }
        next.unwrap();
        store.set_cursor(RESOURCE, Some(9.into())).unwrap();
        let state: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(state["resources"][RESOURCE]["cursor"], 9, "{faults:?}");
    }
    use Fault::{After, Before, Refused};
    for is_other in [false, true] {
        check(&[After, Before], is_other);
        check(&[Before, Before], is_other);
        check(&[Refused, Before], is_other);
    }
}

#[test]
fn a_put_that_is_refused_for_no_reason_is_made_again() {
    for case in cases() {
        for at in 0..case.count_calls() {
            let place = case.prepare();
            let hook = move |call| (call == at).then_some(Fault::Refused);
            let bucket = place.bucket().with_hook(hook);
            case.run(&place, &bucket)
                .unwrap_or_else(|error| panic!("{} at {at}: {error}", case.name));
            assert_eq!(read(place.out()), case.after, "{} at {at}", case.name);
            check_tidy(&place);
        }
    }
}

#[test]
fn a_checkpoint_that_fails_is_made_again() {
    for fault in [Fault::Before, Fault::After] {
        for at in 0.. {
            let place = Place::new();
            let (bucket, fail) = faulty(&place);
            let store = place.open(&bucket).unwrap();
            let mut load = store.begin(options(Merge, false)).unwrap();
            write(&mut load, &rows(0..3, 1)).unwrap();
            assert!(load.checkpoint(1.into()).unwrap());
            write(&mut load, &rows(3..6, 1)).unwrap();
            let before = bucket.calls();
            // No fault, as often as the call is not the one; then two in a row.
            let skipped = vec![None; at];
            fail(&[&skipped[..], &[Some(fault), Some(Fault::Before)]].concat());
            let result = load.checkpoint(2.into());
            let is_over = bucket.calls() - before <= at;
            fail(&[]);
            if let Err(error) = result {
                assert!(error.is_transient(), "{at} {fault:?}: {error}");
                write(&mut load, &rows(6..9, 1)).unwrap();
                assert!(load.checkpoint(3.into()).unwrap(), "{at} {fault:?}");
                let connector_dataset::Kept::Usable(kept) = store.kept(RESOURCE).unwrap() else {
                    panic!("nothing was kept");
                };
                assert_eq!((kept.rows, &kept.position), (9, &3.into()));
            }
            drop((load, store));
            if is_over {
                assert!(at > 2, "{at}");
                break;
            }
        }
    }
}

#[test]
fn a_merge_reads_a_fraction_of_a_large_dataset() {
    let place = Place::new();
    let bucket = place.bucket();
    let out = Path::new(ADDRESS);
    let large = || LoadOptions {
        writer: connector_dataset::WriterOptions {
            row_group_rows: 20_000,
            file_bytes: 300_000,
            compaction_bytes: 0,
            ..small_files()
        },
        ..options(Merge, false)
    };
    // Values that no encoding makes small.
    let scattered = |number: i64| {
        let mixed = number.wrapping_mul(0x2545_F491_4F6C_DD1D);
        let turn = u32::try_from(number % 63).unwrap();
        row(
            "eu",
            number,
            mixed ^ (mixed >> 29) ^ mixed.rotate_left(turn),
        )
    };
    let many: Vec<Row> = (0..200_000).map(scattered).collect();
    let store = Store::open(out, place.options(&bucket)).unwrap();
    let mut load = store.begin(large()).unwrap();
    for rows in many.chunks(10_000) {
        load.write(&batch(rows, false)).unwrap();
    }
    load.commit(None).unwrap();
    drop(store);
    let whole: u64 = fs::read_dir(live(place.out()))
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    let before = bucket.bytes_read();
    load_with(
        out,
        place.options(&bucket),
        large(),
        &rows(70_000..70_010, 5),
        None,
    )
    .unwrap();
    let read_bytes = bucket.bytes_read() - before;
    assert!(whole > 1_000_000, "{whole}");
    // The footers of all files, the keys of one row group, and the file with it.
    assert!(read_bytes * 2 < whole, "{read_bytes} of {whole}");
    let found = read(place.out());
    assert_eq!(found.len(), 200_000);
    assert_eq!(found.iter().filter(|row| row.value == Some(5)).count(), 10);
}

#[test]
fn files_that_were_listed_are_not_asked_for_their_lengths() {
    let place = Place::new();
    let bucket = place.bucket();
    let out = Path::new(ADDRESS);
    for value in 1..3 {
        let load = options(Merge, false);
        load_with(out, place.options(&bucket), load, &rows(0..60, value), None).unwrap();
        assert!(files(place.out()).len() > 3);
        assert_eq!(bucket.lengths_asked(), 0);
    }
    assert_eq!(read(place.out()), rows(0..60, 2));
}

#[test]
fn a_load_is_gone_on_with_from_the_bucket() {
    let place = Place::new();
    let bucket = place.bucket();
    let store = place.open(&bucket).unwrap();
    let mut load = store.begin(options(Merge, false)).unwrap();
    write(&mut load, &rows(0..9, 1)).unwrap();
    assert!(load.checkpoint("page 3".into()).unwrap());
    write(&mut load, &rows(9..12, 1)).unwrap();
    drop((load, store));
    // Another machine.
    let elsewhere = Place {
        folder: folder(),
        work: folder(),
    };
    let store = elsewhere.open(&bucket).unwrap();
    let connector_dataset::Kept::Usable(kept) = store.kept(RESOURCE).unwrap() else {
        panic!("nothing was kept");
    };
    assert_eq!((kept.rows, &kept.position), (9, &"page 3".into()));
    let options = LoadOptions {
        resume: Some(*kept),
        ..options(Merge, false)
    };
    let folder = control(place.out()).join("resume").join(RESOURCE);
    let files = names(&folder);
    let files = files.iter().filter(|name| name.ends_with(".kept"));
    let files: Vec<_> = files.map(|name| folder.join(name)).collect();
    // A file that holds something else by now is not taken over.
    let content = fs::read(&files[0]).unwrap();
    let mut damaged = content.clone();
    damaged[20] ^= 1;
    fs::write(&files[0], damaged).unwrap();
    let error = store.begin(options.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.hint(), Some("read it from the beginning"));
    fs::write(&files[0], content).unwrap();
    let mut load = store.begin(options).unwrap();
    // Each of them is read once, but for the one that was damaged.
    let lengths = files.iter().map(|file| fs::metadata(file).unwrap().len());
    let lengths: Vec<u64> = lengths.collect();
    let read_bytes = lengths.iter().sum::<u64>() + lengths[0];
    assert_eq!(bucket.bytes_read(), read_bytes);
    write(&mut load, &rows(8..10, 2)).unwrap();
    load.commit(None).unwrap();
    drop(store);
    assert_eq!(
        read(place.out()),
        sorted([rows(0..8, 1), rows(8..10, 2)].concat())
    );
    assert_eq!(
        names(&control(place.out()).join("resume").join(RESOURCE)),
        [].into()
    );
}

#[test]
fn a_store_that_does_not_answer_loses_nothing_that_is_kept() {
    let place = Place::new();
    let (bucket, fail) = faulty(&place);
    let keep = |resource: &str, rows: &[Row]| {
        let store = place.open(&bucket).unwrap();
        let mut load = store
            .begin(LoadOptions {
                resource: resource.to_owned(),
                ..options(Append, false)
            })
            .unwrap();
        write(&mut load, rows).unwrap();
        assert!(load.checkpoint(1.into()).unwrap());
    };
    keep(RESOURCE, &rows(0..3, 1));
    keep("parcels", &rows(0..3, 1));
    let kept = |resource: &str| names(&control(place.out()).join("resume").join(resource)).len();
    let store = place.open(&bucket).unwrap();
    for at in 0..3 {
        // The list, and each of the records.
        let skipped = vec![None; at];
        fail(&[&skipped[..], &[Some(Fault::Before)]].concat());
        match store.discard_expired() {
            Ok(discarded) => assert_eq!((at > 0, discarded), (true, Vec::new())),
            Err(error) => assert_eq!((at, error.is_transient()), (0, true)),
        }
        fail(&[]);
        assert_eq!([kept(RESOURCE), kept("parcels")], [2, 2], "{at}");
    }
    drop(store);
    // What is old goes all the same, and so does what belongs to no record.
    fs::remove_file(control(place.out()).join("resume/orders/checkpoint.json")).unwrap();
    let store = StoreOptions {
        keep_checkpoints: std::time::Duration::ZERO,
        ..place.options(&bucket)
    };
    let store = Store::open(Path::new(ADDRESS), store).unwrap();
    fail(&[None, Some(Fault::Before)]);
    assert_eq!(store.discard_expired().unwrap(), ["parcels"]);
    assert_eq!([kept(RESOURCE), kept("parcels")], [1, 0]);
    fail(&[]);
    assert_eq!(store.discard_expired().unwrap(), [RESOURCE]);
    assert_eq!([kept(RESOURCE), kept("parcels")], [0, 0]);
}

#[test]
fn files_are_no_longer_than_the_store_copies() {
    let place = Place::new();
    let mut bucket = place.bucket();
    bucket.most_copied = 8_000;
    let mut options = options(Merge, false);
    options.writer.file_bytes = 1 << 40;
    options.writer.row_group_rows = 100;
    let out = Path::new(ADDRESS);
    // Values that no encoding makes small.
    let rows = |numbers: std::ops::Range<i64>, seed: i64| -> Vec<Row> {
        let value = |number: i64| (number + seed).wrapping_mul(0x2545_F491_4F6C_DD1D);
        let rows = numbers.map(|number| row("eu", number, value(number) ^ (value(number) >> 29)));
        rows.collect()
    };
    let all = [rows(0..2_000, 2), rows(2_000..4_000, 1)].concat();
    for (load, expect) in [
        (rows(0..4_000, 1), rows(0..4_000, 1)),
        (rows(0..2_000, 2), all),
    ] {
        load_with(out, place.options(&bucket), options.clone(), &load, None).unwrap();
        assert_eq!(read(place.out()), expect);
        assert!(files(place.out()).len() > 3);
        // The next run opens it.
        drop(place.open(&bucket).unwrap());
    }
}

#[test]
fn an_address_is_no_folder() {
    #[track_caller]
    fn check(out: &str, expect: &str) {
        let error = Store::open(Path::new(out), store_options()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let text = format!("{error}: {}", error.hint().unwrap());
        assert!(text.contains(expect), "{text}");
        assert!(!Path::new(out.split('/').next().unwrap()).exists());
    }
    check("ftp://host/folder", "neither a folder nor an address");
    #[cfg(not(feature = "object-storage"))]
    for address in [
        "s3://bucket/x",
        "gs://bucket",
        "abfss://c@a.dfs.core.windows.net/x",
    ] {
        let command = "cargo run --package connector-shop --features object-storage -- --out ";
        check(address, &format!("{command}{address}"));
    }
    check("s3://bucket/x?key=y", "have no place in it");
    check("s3://AKIA:secret@bucket/x", "the address `s3://…` cannot");
    check("ftp://me:secret@host/x", "`ftp://…` is neither");
}
