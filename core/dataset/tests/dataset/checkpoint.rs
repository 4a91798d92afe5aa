//! Loads that do not come to their end, and are gone on with.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use connector_dataset::{
    Error, ErrorKind, FailPoint, Kept, Load, LoadOptions, Step, Store, StoreOptions,
};
use connector_plan::WriteDisposition::{self, Append, Merge, Replace};
use connector_plan::{DedupSort, History, Merge as MergeOptions, MergeStrategy, SortOrder};

use crate::arranged::arrange;
use crate::support::*;

/// Loads these rows, keeping every batch of three, from where what is kept ends; the position is
/// the number of rows.
fn go_on(
    out: &Path,
    store: StoreOptions,
    mut options: LoadOptions,
    rows: &[Row],
) -> Result<usize, Error> {
    let store = Store::open(out, store)?;
    let mut first = 0;
    if let Kept::Usable(kept) = store.kept(RESOURCE)? {
        first = usize::try_from(kept.position.as_u64().unwrap()).unwrap();
        assert_eq!(kept.rows, first as u64);
        options.resume = Some(*kept);
    }
    let mut load = store.begin(options)?;
    let mut at = first;
    for chunk in rows[first..].chunks(3) {
        load.write(&batch(chunk, false))?;
        at += chunk.len();
        assert!(load.checkpoint(at.into())?);
    }
    commit(load)?;
    Ok(first)
}

fn commit(load: Load) -> Result<(), Error> {
    load.commit(None).map(|_| ())
}

fn with(disposition: WriteDisposition, merge: MergeOptions) -> LoadOptions {
    LoadOptions {
        merge,
        ..options(disposition, false)
    }
}

fn strategy(strategy: MergeStrategy) -> MergeOptions {
    MergeOptions {
        strategy,
        ..MergeOptions::default()
    }
}

#[test]
fn a_load_that_dies_anywhere_is_gone_on_with_and_loses_nothing() {
    let by_value = MergeOptions {
        dedup_sort: Some(DedupSort {
            column: "value".to_owned(),
            order: SortOrder::Desc,
        }),
        ..MergeOptions::default()
    };
    // Keys come again in other batches, the old dataset has some of them.
    let load = [rows(0..7, 2), rows(5..9, 3), rows(0..2, 1), rows(30..32, 4)].concat();
    let cases = [
        (
            with(Append, MergeOptions::default()),
            sorted([rows(0..12, 1), load.clone()].concat()),
        ),
        (with(Replace, MergeOptions::default()), sorted(load.clone())),
        (
            with(Merge, MergeOptions::default()),
            sorted(
                [
                    rows(0..2, 1),
                    rows(2..5, 2),
                    rows(5..9, 3),
                    rows(9..12, 1),
                    rows(30..32, 4),
                ]
                .concat(),
            ),
        ),
        (
            {
                let mut options = with(Merge, MergeOptions::default());
                arrange(&mut options, 3);
                options
            },
            sorted(
                [
                    rows(0..2, 1),
                    rows(2..5, 2),
                    rows(5..9, 3),
                    rows(9..12, 1),
                    rows(30..32, 4),
                ]
                .concat(),
            ),
        ),
        (
            with(Merge, by_value),
            sorted(
                [
                    rows(0..5, 2),
                    rows(5..9, 3),
                    rows(9..12, 1),
                    rows(30..32, 4),
                ]
                .concat(),
            ),
        ),
        (
            with(Merge, strategy(MergeStrategy::InsertOnly)),
            sorted([rows(0..12, 1), rows(30..32, 4)].concat()),
        ),
    ];
    for (number, (options, expect)) in cases.into_iter().enumerate() {
        let mut dies_at = number % 3;
        let mut resumed = 0;
        loop {
            let out = folder();
            let begun = load_with(
                out.path(),
                store_options(),
                LoadOptions {
                    full_refresh: true,
                    ..options.clone()
                },
                &rows(0..12, 1),
                None,
            );
            begun.unwrap();
            let (fail_point, steps) = dying(dies_at);
            let dying = StoreOptions {
                fail_point: Some(fail_point),
                ..store_options()
            };
            let died = go_on(out.path(), dying, options.clone(), &load).is_err();
            if steps.load(Ordering::SeqCst) <= dies_at {
                assert!(!died, "nothing has failed");
                assert_eq!(read(out.path()), expect);
                break;
            }
            let old = sorted(rows(0..12, 1));
            assert!(
                [&old, &expect].contains(&&read(out.path())),
                "step {dies_at}"
            );
            // What was committed is published by whoever opens the store.
            let is_there = || {
                drop(Store::open(out.path(), store_options()).unwrap());
                read(out.path()) == expect
            };
            // Once more in the middle, then to the end.
            if !is_there() {
                let (fail_point, _) = crate::support::dying(dies_at / 2);
                let dying = StoreOptions {
                    fail_point: Some(fail_point),
                    ..store_options()
                };
                let _ = go_on(out.path(), dying, options.clone(), &load);
            }
            if !is_there() {
                resumed += go_on(out.path(), store_options(), options.clone(), &load).unwrap();
            }
            assert_eq!(read(out.path()), expect, "step {dies_at}");
            assert_tidy(out.path());
            // Each strategy meets every third step, all of them together every one.
            dies_at += 3;
        }
        assert!(dies_at > 50, "{dies_at} steps");
        assert!(resumed > 0, "nothing was gone on with");
    }
}

/// What was kept where there are links, and lies where there are none now.
#[test]
fn without_links_what_is_kept_is_copied_and_stays() {
    let load = [rows(0..7, 2), rows(30..32, 4)].concat();
    for dies_at in 0.. {
        let out = folder();
        {
            let store = Store::open(out.path(), store_options()).unwrap();
            let mut load = store.begin(options(Append, false)).unwrap();
            write(&mut load, &rows(0..6, 2)).unwrap();
            assert!(load.checkpoint(6.into()).unwrap());
        }
        let steps = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&steps);
        let fail_point = FailPoint::new(move |step, _| {
            if counter.fetch_add(1, Ordering::SeqCst) >= dies_at {
                return Err(io::Error::other("the process has ended"));
            }
            match step {
                Step::Link => Err(io::ErrorKind::Unsupported.into()),
                _ => Ok(()),
            }
        });
        let without_links = StoreOptions {
            fail_point: Some(fail_point),
            ..store_options()
        };
        let go_on = |store: StoreOptions| {
            let store = Store::open(out.path(), store)?;
            let Kept::Usable(kept) = store.kept(RESOURCE)? else {
                panic!("{dies_at}: nothing is kept");
            };
            assert_eq!((kept.rows, &kept.position), (6, &6.into()));
            let mut rest = store.begin(LoadOptions {
                resume: Some(*kept),
                ..options(Append, false)
            })?;
            write(&mut rest, &load[6..])?;
            // It cannot keep more, and what there is is no worse for it.
            if let Ok(is_kept) = rest.checkpoint(9.into()) {
                assert!(!is_kept);
                assert!(matches!(store.kept(RESOURCE)?, Kept::Usable(_)));
            }
            commit(rest)
        };
        let result = go_on(without_links);
        // Whoever opens the store publishes what was committed.
        drop(Store::open(out.path(), store_options()).unwrap());
        if read(out.path()).is_empty() {
            result.unwrap_err();
            go_on(StoreOptions {
                fail_point: Some(FailPoint::new(|step, _| match step {
                    Step::Link => Err(io::ErrorKind::Unsupported.into()),
                    _ => Ok(()),
                })),
                ..store_options()
            })
            .unwrap();
        }
        assert_eq!(read(out.path()), sorted(load.clone()), "step {dies_at}");
        assert_tidy(out.path());
        if steps.load(Ordering::SeqCst) <= dies_at {
            assert!(dies_at > 20, "{dies_at} steps");
            break;
        }
    }
}

#[test]
fn versions_of_a_load_that_was_gone_on_with_begin_together() {
    let out = folder();
    let history = |retire_absent| History {
        valid_from: "from".to_owned(),
        valid_to: "to".to_owned(),
        row_hash: "hash".to_owned(),
        retire_absent,
    };
    let options = with(Merge, strategy(MergeStrategy::Scd2(history(true))));
    let first = rows(0..6, 1);
    load_with(out.path(), store_options(), options.clone(), &first, None).unwrap();
    let second = [rows(0..3, 1), rows(3..5, 2)].concat();
    {
        let store = Store::open(out.path(), store_options()).unwrap();
        let mut load = store.begin(options.clone()).unwrap();
        load.write(&batch(&second[..4], false)).unwrap();
        assert!(load.checkpoint(4.into()).unwrap());
    }
    assert_eq!(
        go_on(out.path(), store_options(), options, &second).unwrap(),
        4
    );
    // 0..3 have not changed, 3..5 have a second version, 5 is retired.
    assert_eq!(
        read(out.path()),
        sorted([rows(0..6, 1), rows(3..5, 2)].concat())
    );
}

#[test]
fn what_is_kept_belongs_to_one_load() {
    let out = folder();
    load(out.path(), Append, &rows(0..3, 1));
    let kept = |store: &StoreOptions| {
        let store = Store::open(out.path(), store.clone()).unwrap();
        store.kept(RESOURCE).unwrap()
    };
    let keep = |text: &str| {
        let store = Store::open(out.path(), store_options()).unwrap();
        let mut load = store.begin(options(Append, false)).unwrap();
        load.write(&batch(&rows(3..5, 1), false)).unwrap();
        assert!(load.checkpoint(text.into()).unwrap());
        // Its rows are told, those of the dataset are not.
        let told: usize = load
            .rows_kept()
            .unwrap()
            .map(|batch| batch.unwrap().num_rows())
            .sum();
        assert_eq!(told, 2);
    };
    assert_eq!(kept(&store_options()), Kept::Nothing);
    keep("first");
    keep("second");
    let Kept::Usable(found) = kept(&store_options()) else {
        panic!("nothing is kept");
    };
    assert_eq!(found.position, "second");
    let folder = control(out.path()).join("resume").join(RESOURCE);
    assert_eq!(names(&folder).len(), 2, "the files of the first are gone");
    let unusable = |store: &StoreOptions, says: &str| match kept(store) {
        Kept::Unusable(reason) => assert!(reason.contains(says), "{reason}"),
        other => panic!("{other:?}"),
    };
    let other_spec = StoreOptions::new(CONNECTOR, origin(), "other");
    unusable(&other_spec, "spec");
    let other_origin = connector_dataset::SourceId::origin("https://b.example.com");
    unusable(
        &StoreOptions::new(CONNECTOR, other_origin, "spec"),
        "server",
    );
    let never = StoreOptions {
        keep_checkpoints: std::time::Duration::ZERO,
        ..store_options()
    };
    unusable(&never, "old");
    // Another load is not gone on with it.
    let store = Store::open(out.path(), store_options()).unwrap();
    let other = LoadOptions {
        resume: Some((*found).clone()),
        ..options(Merge, false)
    };
    let error = store.begin(other).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("not of this load"), "{error}");
    assert_eq!(store.discard_expired().unwrap(), [""; 0]);
    drop(store);
    let expired = Store::open(out.path(), never.clone()).unwrap();
    assert_eq!(expired.discard_expired().unwrap(), [RESOURCE]);
    drop(expired);
    assert_eq!(kept(&store_options()), Kept::Nothing);
    // When the dataset has changed, or a file is not what it was.
    keep("third");
    load(out.path(), Append, &rows(9..10, 1));
    assert_eq!(
        kept(&store_options()),
        Kept::Nothing,
        "the load was another's"
    );
    keep("fourth");
    for name in names(&folder).iter().filter(|name| name.ends_with(".kept")) {
        fs::write(folder.join(name), "PAR1").unwrap();
    }
    unusable(&store_options(), "damaged");
    fs::write(folder.join("checkpoint.json"), "{").unwrap();
    unusable(&store_options(), "cannot be read");
}
