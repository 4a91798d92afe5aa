//! Random runs against a simple model.

use std::collections::BTreeMap;

use connector_dataset::Store;
use connector_plan::WriteDisposition::{self, Append, Merge, Replace};
use proptest::prelude::*;

use crate::arranged::{arrange, check_arranged};
use crate::support::*;

/// One run.
#[derive(Clone, Debug)]
struct Run {
    disposition: WriteDisposition,
    full_refresh: bool,
    /// Numbers and values; the region follows from the number's sign.
    rows: Vec<(i8, i64)>,
    has_extra: bool,
    /// Files of one row group or of many, joined or not.
    file_bytes: u64,
    compaction_bytes: u64,
    /// Whether rows take the places of those they update.
    in_place: bool,
    /// The step at which the process ends, if it does.
    dies_at: Option<usize>,
}

type Model = BTreeMap<(String, i64), Vec<Row>>;

impl Run {
    fn rows(&self) -> Vec<Row> {
        self.rows
            .iter()
            .map(|(number, value)| {
                let region = if *number < 0 { "eu" } else { "us" };
                let mut row = row(region, i64::from(number.unsigned_abs() % 24), *value);
                row.value = Some(*value).filter(|value| value % 5 != 0);
                row.extra = self.has_extra.then(|| format!("extra {value}"));
                row
            })
            .collect()
    }

    fn apply(&self, model: &Model) -> Model {
        let mut model = model.clone();
        if self.full_refresh || self.disposition == Replace {
            model.clear();
        }
        for row in self.rows() {
            let key = (row.region.clone(), row.number);
            match self.disposition {
                Merge => drop(model.insert(key, vec![row])),
                Append | Replace => model.entry(key).or_default().push(row),
            }
        }
        model
    }
}

fn flat(model: &Model) -> Vec<Row> {
    sorted(model.values().flatten().cloned().collect())
}

fn run() -> impl Strategy<Value = Run> {
    let disposition = prop_oneof![6 => Just(Merge), 2 => Just(Append), 1 => Just(Replace)];
    (
        disposition,
        prop::bool::weighted(0.05),
        prop::collection::vec((any::<i8>(), 0..1000_i64), 0..40),
        any::<bool>(),
        prop::sample::select(vec![
            (400, 256 << 20),
            (5000, 0),
            (5000, 300),
            (5000, 256 << 20),
        ]),
        any::<bool>(),
        prop::option::weighted(0.4, 0..120_usize),
    )
        .prop_map(
            |(
                disposition,
                full_refresh,
                rows,
                has_extra,
                (file_bytes, compaction_bytes),
                in_place,
                dies_at,
            )| Run {
                in_place,
                file_bytes,
                compaction_bytes,
                disposition,
                full_refresh,
                rows,
                has_extra,
                dies_at,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_runs_agrees_with_the_model(
        runs in prop::collection::vec(run(), 1..10),
        arranged in prop_oneof![2 => Just(0), 1 => 1..4_usize],
    ) {
        let out = folder();
        let mut model = Model::new();
        let mut cursor = None;
        for (index, run) in runs.iter().enumerate() {
            let mut store = store_options();
            store.fail_point = run.dies_at.map(|step| dying(step).0);
            let mut options = options(run.disposition, run.has_extra);
            options.full_refresh = run.full_refresh;
            options.writer.file_bytes = run.file_bytes;
            arrange(&mut options, arranged);
            options.writer.compaction_bytes = run.compaction_bytes;
            options.writer.update_bytes = if run.in_place { 1 << 20 } else { 0 };
            let next = Some(serde_json::json!(index));
            let result = load_with(out.path(), store, options, &run.rows(), next.clone());
            let after = run.apply(&model);
            match &result {
                Ok(report) => {
                    prop_assert_eq!(report.rows_written as usize, flat(&after).len());
                    prop_assert_eq!(report.rows_read as usize, run.rows.len());
                }
                Err(_) => prop_assert!(run.dies_at.is_some(), "{:?}", result),
            }
            // What a reader sees before anybody cleans up.
            let found = read(out.path());
            prop_assert!(found == flat(&model) || found == flat(&after));
            let state = Store::open(out.path(), store_options()).unwrap().state();
            let is_new = state.resource(RESOURCE).and_then(|state| state.cursor.clone()) == next;
            prop_assert!(is_new || result.is_err());
            if is_new {
                (model, cursor) = (after, next);
            }
            prop_assert_eq!(read(out.path()), flat(&model));
            check_arranged(out.path(), arranged);
            if let Some(state) = state.resource(RESOURCE) {
                prop_assert_eq!(&state.cursor, &cursor);
                prop_assert_eq!(state.rows as usize, flat(&model).len());
                let names = state.files.iter().map(|file| file.name.clone()).collect();
                prop_assert_eq!(files(out.path()), names);
            }
            assert_tidy(out.path());
        }
    }
}
