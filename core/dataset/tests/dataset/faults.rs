//! A disk that is full, read-only or less able than others.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use connector_dataset::{ErrorKind, FailPoint, Step, Store, StoreOptions};
use connector_plan::WriteDisposition::{Append, Merge, Replace};

use crate::support::*;

fn failing(step: Step, kind: io::ErrorKind) -> (StoreOptions, Arc<AtomicUsize>) {
    let hits = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&hits);
    let fail_point = FailPoint::new(move |found, path| {
        // Whether the folder can be opened is another matter.
        if found == step && path.to_string_lossy().contains(RESOURCE) {
            counter.fetch_add(1, Ordering::SeqCst);
            return Err(kind.into());
        }
        Ok(())
    });
    (
        StoreOptions {
            fail_point: Some(fail_point),
            ..store_options()
        },
        hits,
    )
}

#[test]
fn a_failing_disk_leaves_the_old_dataset_and_says_so() {
    for (step, kind, hint) in [
        (
            Step::Write,
            io::ErrorKind::StorageFull,
            "the previous dataset is untouched",
        ),
        (
            Step::CreateFile,
            io::ErrorKind::PermissionDenied,
            "choose a writable folder",
        ),
        (
            Step::SyncFile,
            io::ErrorKind::QuotaExceeded,
            "free some space",
        ),
        (
            Step::CreateDirectory,
            io::ErrorKind::ReadOnlyFilesystem,
            "--out",
        ),
    ] {
        let out = folder();
        load(out.path(), Merge, &rows(0..9, 1));
        let (store, hits) = failing(step, kind);
        let result = load_with(
            out.path(),
            store,
            options(Merge, false),
            &rows(0..9, 2),
            None,
        );
        let error = result.unwrap_err();
        assert!(hits.load(Ordering::SeqCst) > 0);
        assert_eq!(error.kind(), ErrorKind::Destination, "{error}");
        assert!(
            error.hint().is_some_and(|found| found.contains(hint)),
            "{step:?}: {:?}",
            error.hint()
        );
        assert_eq!(read(out.path()), rows(0..9, 1));
        assert_tidy(out.path());
    }
}

#[test]
fn without_links_or_exchange_files_are_renamed_one_by_one() {
    for step in [Step::Link, Step::Exchange] {
        let out = folder();
        for (disposition, expect) in [
            (Merge, rows(0..9, 1)),
            (Merge, [rows(0..3, 2), rows(3..9, 1)].concat()),
            (
                Append,
                [rows(0..3, 2), rows(0..3, 3), rows(3..9, 1)].concat(),
            ),
            (Replace, rows(0..3, 4)),
        ] {
            let (store, hits) = failing(step, io::ErrorKind::Unsupported);
            let value = expect.iter().filter_map(|row| row.value).max().unwrap();
            let new = if value == 1 {
                rows(0..9, 1)
            } else {
                rows(0..3, value)
            };
            load_with(out.path(), store, options(disposition, false), &new, None).unwrap();
            assert!(hits.load(Ordering::SeqCst) > 0 || value == 1);
            assert_eq!(read(out.path()), sorted(expect));
            assert_tidy(out.path());
        }
    }
}

#[test]
fn a_crash_while_renaming_one_by_one_is_rolled_forward() {
    for dies_at in 0..80 {
        let out = folder();
        load(out.path(), Merge, &rows(0..9, 1));
        let steps = AtomicUsize::new(0);
        let fail_point = FailPoint::new(move |step, _| {
            if steps.fetch_add(1, Ordering::SeqCst) >= dies_at {
                return Err(io::Error::other("the process has ended"));
            }
            if step == Step::Exchange {
                return Err(io::ErrorKind::Unsupported.into());
            }
            Ok(())
        });
        let store = StoreOptions {
            fail_point: Some(fail_point),
            ..store_options()
        };
        let is_ok = load_with(
            out.path(),
            store,
            options(Merge, false),
            &rows(0..3, 2),
            Some(1.into()),
        )
        .is_ok();
        let state = Store::open(out.path(), store_options()).unwrap().state();
        let is_new = state.resources[RESOURCE].cursor.is_some();
        assert!(is_new || !is_ok);
        let expect = if is_new {
            [rows(0..3, 2), rows(3..9, 1)].concat()
        } else {
            rows(0..9, 1)
        };
        assert_eq!(read(out.path()), expect, "{dies_at}");
        assert_tidy(out.path());
    }
}

#[test]
fn a_load_that_failed_to_publish_is_finished_by_the_next_one_of_the_same_run() {
    let out = folder();
    load(out.path(), Merge, &rows(0..3, 1));
    let failures = AtomicUsize::new(0);
    let fail_point = FailPoint::new(move |step, _| {
        if step == Step::Exchange && failures.fetch_add(1, Ordering::SeqCst) == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    });
    let store = StoreOptions {
        fail_point: Some(fail_point),
        ..store_options()
    };
    let store = Store::open(out.path(), store).unwrap();
    let mut first = store.begin(options(Merge, false)).unwrap();
    write(&mut first, &rows(1..2, 2)).unwrap();
    let error = first.commit(None).unwrap_err();
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("the next run finishes"))
    );
    assert_eq!(read(out.path()), rows(0..3, 1));
    let mut second = store.begin(options(Merge, false)).unwrap();
    write(&mut second, &rows(2..3, 3)).unwrap();
    second.commit(None).unwrap();
    assert_eq!(
        read(out.path()),
        [rows(0..1, 1), rows(1..2, 2), rows(2..3, 3)].concat()
    );
    drop(store);
    assert_tidy(out.path());
}

#[test]
fn what_others_put_into_the_folder_stays() {
    let out = folder();
    load(out.path(), Merge, &rows(0..3, 1));
    let notes = live(out.path()).join("notes");
    fs::create_dir(&notes).unwrap();
    fs::write(notes.join("a.txt"), "a").unwrap();
    fs::write(live(out.path()).join("README"), "b").unwrap();
    let path = live(out.path()).join("late");
    // A file that appears between the links and the exchange.
    let fail_point = FailPoint::new(move |step, _| match step {
        Step::Exchange => fs::write(&path, "c"),
        _ => Ok(()),
    });
    let store = StoreOptions {
        fail_point: Some(fail_point),
        ..store_options()
    };
    load_with(
        out.path(),
        store,
        options(Merge, false),
        &rows(0..3, 2),
        None,
    )
    .unwrap();
    assert_eq!(read(out.path()), rows(0..3, 2));
    let text = |name: &str| fs::read_to_string(live(out.path()).join(name)).unwrap();
    assert_eq!(
        [text("notes/a.txt"), text("README"), text("late")],
        ["a", "b", "c"]
    );
}

#[test]
fn an_output_folder_that_is_a_file_is_reported() {
    let out = folder();
    let file = out.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(&file, store_options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Destination);
    assert!(
        error.hint().is_some_and(|hint| hint.contains("--out")),
        "{error}"
    );
}

#[test]
fn what_dead_runs_left_is_deleted() {
    let out = folder();
    load(out.path(), Merge, &rows(0..3, 1));
    let orphan = control(out.path())
        .join("tmp")
        .join("run")
        .join("staged")
        .join(RESOURCE);
    fs::create_dir_all(&orphan).unwrap();
    fs::write(orphan.join("part"), "half").unwrap();
    load(out.path(), Merge, &rows(0..3, 2));
    assert_tidy(out.path());
}
