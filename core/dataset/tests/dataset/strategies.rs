//! What each merge strategy does to rows that meet, against a model of a few lines.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use connector_dataset::{Error, ErrorKind, LoadOptions, LoadReport, RunId, Store, WriterOptions};
use connector_plan::{
    DedupSort, History, Merge, MergeStrategy, Nulls, PartitionBy, PartitionColumn, SortColumn,
    SortOrder, WriteDisposition,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

use crate::arranged::check_folders;
use crate::support::{
    RESOURCE, assert_tidy, dying, files, folder, live, options, small_files, store_options,
};

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Record {
    id: i64,
    day: i64,
    rank: Option<i64>,
    gone: Option<bool>,
    value: Option<i64>,
}

/// A row of the dataset: a record, and in which load its version began and ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    record: Record,
    from: Option<i64>,
    to: Option<i64>,
}

fn record(id: i64, value: i64) -> Record {
    Record {
        id,
        day: id / 10,
        rank: None,
        gone: None,
        value: Some(value),
    }
}

fn deleted(id: i64) -> Record {
    Record {
        gone: Some(true),
        ..record(id, 0)
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("day", DataType::Int64, true),
        Field::new("rank", DataType::Int64, true),
        Field::new("gone", DataType::Boolean, true),
        Field::new("value", DataType::Int64, true),
    ]))
}

fn batch(records: &[Record]) -> RecordBatch {
    let integers = |of: &dyn Fn(&Record) -> Option<i64>| -> ArrayRef {
        Arc::new(records.iter().map(of).collect::<Int64Array>())
    };
    let gone: BooleanArray = records.iter().map(|record| record.gone).collect();
    let columns = vec![
        integers(&|record| Some(record.id)),
        integers(&|record| Some(record.day)),
        integers(&|record| record.rank),
        Arc::new(gone),
        integers(&|record| record.value),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

/// How a dataset is merged.
#[derive(Clone, Debug, Default)]
struct Config {
    has_key: bool,
    merge: Merge,
    /// Whether files have many row groups.
    large_files: bool,
    /// Whether rows do not take the places of those they update.
    behind: bool,
    /// Whether rows are in folders by rank, and sorted by value.
    arranged: bool,
}

impl Config {
    fn new(strategy: MergeStrategy) -> Self {
        Self {
            has_key: true,
            merge: Merge {
                strategy,
                ..Merge::default()
            },
            large_files: false,
            behind: false,
            arranged: false,
        }
    }

    fn by_day(has_key: bool) -> Self {
        let mut config = Self::new(MergeStrategy::DeleteInsert);
        config.has_key = has_key;
        config.merge.merge_key = vec!["day".to_owned()];
        config
    }

    fn history(has_key: bool, retire_absent: bool) -> Self {
        let mut config = Self::new(MergeStrategy::Scd2(History {
            retire_absent,
            ..History::default()
        }));
        config.has_key = has_key;
        config
    }

    fn marked(mut self) -> Self {
        self.merge.hard_delete = Some("gone".to_owned());
        self
    }

    fn sorted(mut self, order: SortOrder) -> Self {
        self.merge.dedup_sort = Some(DedupSort {
            column: "rank".to_owned(),
            order,
        });
        self
    }

    fn options(&self) -> LoadOptions {
        let (by_rank, by_value) = (
            PartitionColumn::new("rank", PartitionBy::Value),
            SortColumn {
                column: "value".to_owned(),
                order: SortOrder::Desc,
                nulls: Nulls::First,
            },
        );
        LoadOptions {
            schema: schema(),
            primary_key: self.has_key.then(|| "id".to_owned()).into_iter().collect(),
            merge: self.merge.clone(),
            writer: WriterOptions {
                file_bytes: if self.large_files { 1 << 20 } else { 400 },
                update_bytes: if self.behind { 0 } else { 1 << 20 },
                partition_by: self.arranged.then_some(by_rank).into_iter().collect(),
                sort_by: self.arranged.then_some(by_value).into_iter().collect(),
                ..small_files()
            },
            ..options(WriteDisposition::Merge, false)
        }
    }

    /// Loads records as the run that began at this second, until the step at which the process ends.
    fn try_load(
        &self,
        out: &Path,
        second: i64,
        records: &[Record],
        dies_at: Option<usize>,
    ) -> Result<LoadReport, Error> {
        let mut store = store_options();
        store.run = run_at(second);
        store.fail_point = dies_at.map(|step| dying(step).0);
        let store = Store::open(out, store)?;
        let mut load = store.begin(self.options())?;
        for records in records.chunks(3) {
            load.write(&batch(records))?;
        }
        load.commit(Some(second.into()))
    }

    #[track_caller]
    fn load(&self, out: &Path, second: i64, records: &[Record]) -> LoadReport {
        let report = self.try_load(out, second, records, None).unwrap();
        assert_tidy(out);
        report
    }
}

/// The name of a run that began so many seconds after 1970.
fn run_at(second: i64) -> RunId {
    let millis = second * 1000;
    let text = format!(
        "{:08x}-{:04x}-7000-8000-{second:012x}",
        millis >> 16,
        millis & 0xFFFF
    );
    text.parse().unwrap()
}

fn read(out: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    for name in files(out) {
        let file = File::open(live(out).join(name)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let integer = |name: &str, row: usize| {
                let array = batch.column_by_name(name)?.as_primitive::<Int64Type>();
                array.is_valid(row).then(|| array.value(row))
            };
            let second = |name: &str, row: usize| {
                let column = batch.column_by_name(name)?;
                let array = column.as_primitive::<TimestampMicrosecondType>();
                array.is_valid(row).then(|| array.value(row) / 1_000_000)
            };
            let gone = batch.column_by_name("gone").unwrap().as_boolean();
            for row in 0..batch.num_rows() {
                let record = Record {
                    id: integer("id", row).unwrap(),
                    day: integer("day", row).unwrap(),
                    rank: integer("rank", row),
                    gone: gone.is_valid(row).then(|| gone.value(row)),
                    value: integer("value", row),
                };
                rows.push(Row {
                    record,
                    from: second("_valid_from", row),
                    to: second("_valid_to", row),
                });
            }
        }
    }
    rows.sort();
    rows
}

/// What a load came to: inserted, updated, unchanged, deleted, retired, duplicates.
type Counts = [u64; 6];

fn counts(report: &LoadReport) -> Counts {
    [
        report.inserted,
        report.updated,
        report.unchanged,
        report.deleted,
        report.retired,
        report.duplicates_in_load,
    ]
}

/// Applies a load to rows, one record after the other.
fn apply(config: &Config, rows: &mut Vec<Row>, second: i64, load: &[Record]) -> Counts {
    let merge = &config.merge;
    let is_history = merge.history().is_some();
    let is_marked = |record: &Record| merge.hard_delete.is_some() && record.gone == Some(true);
    let is_same_key = |one: &Record, two: &Record| match (config.has_key, is_history) {
        (true, _) => one.id == two.id,
        (false, true) => one == two,
        (false, false) => false,
    };
    let mut winners: Vec<Record> = Vec::new();
    for record in load {
        let Some(other) = winners.iter_mut().find(|other| is_same_key(other, record)) else {
            winners.push(*record);
            continue;
        };
        let order = merge.dedup_sort.as_ref().map(|sort| sort.order);
        let later_wins = merge.strategy != MergeStrategy::InsertOnly;
        let wins = match (order, other.rank, record.rank) {
            (Some(SortOrder::Asc), Some(old), Some(new)) if old != new => new < old,
            (Some(SortOrder::Desc), Some(old), Some(new)) if old != new => new > old,
            (Some(_), Some(_), None) => false,
            (Some(_), None, Some(_)) => true,
            _ => later_wins,
        };
        if wins {
            *other = *record;
        }
    }
    let [
        mut inserted,
        mut updated,
        mut unchanged,
        mut gone,
        mut retired,
    ] = [0; 5];
    let before = rows.clone();
    let mut new = Vec::new();
    let active = |row: &Row| row.to.is_none();
    for winner in &winners {
        let meets = |row: &Row| active(row) && is_same_key(&row.record, winner);
        let exists = before.iter().any(meets);
        let row = Row {
            record: *winner,
            from: is_history.then_some(second),
            to: None,
        };
        if is_history {
            let is_kept = before.iter().any(|row| meets(row) && row.record == *winner);
            if is_kept && !is_marked(winner) {
                unchanged += 1;
                continue;
            }
            for row in rows.iter_mut().filter(|row| meets(row)) {
                row.to = Some(second);
                retired += 1;
            }
        } else if merge.strategy == MergeStrategy::InsertOnly && exists {
            unchanged += 1;
            continue;
        } else {
            let count = rows.len();
            rows.retain(|row| !meets(row));
            if is_marked(winner) {
                gone += (count - rows.len()) as u64;
            }
        }
        if is_marked(winner) {
            continue;
        }
        if exists {
            updated += 1;
        } else {
            inserted += 1;
        }
        new.push(row);
    }
    if !merge.merge_key.is_empty() {
        let count = rows.len();
        rows.retain(|row| load.iter().all(|record| record.day != row.record.day));
        gone += (count - rows.len()) as u64;
    }
    if merge.history().is_some_and(|history| history.retire_absent) {
        let absent = |row: &Row| {
            !winners
                .iter()
                .any(|winner| is_same_key(winner, &row.record))
        };
        for row in rows.iter_mut().filter(|row| active(row) && absent(row)) {
            row.to = Some(second);
            retired += 1;
        }
    }
    rows.append(&mut new);
    rows.sort();
    let duplicates = (load.len() - winners.len()) as u64;
    [inserted, updated, unchanged, gone, retired, duplicates]
}

/// Each load in turn: the rows and the counts are those of the model.
#[track_caller]
fn check(config: &Config, loads: &[(&[Record], Counts)]) {
    let out = folder();
    let mut model = Vec::new();
    for (index, (records, expect)) in loads.iter().enumerate() {
        let second = 100 + index as i64;
        let report = config.load(out.path(), second, records);
        assert_eq!(counts(&report), *expect, "load {index}");
        let modelled = apply(config, &mut model, second, records);
        assert_eq!(modelled, *expect, "the model of load {index}");
        assert_eq!(read(out.path()), model, "load {index}");
    }
}

#[test]
fn insert_only_keeps_what_exists_and_the_first_of_a_load() {
    check(
        &Config::new(MergeStrategy::InsertOnly),
        &[
            (
                &[record(1, 1), record(2, 1), record(1, 2)],
                [2, 0, 0, 0, 0, 1],
            ),
            (&[record(1, 3), record(3, 3)], [1, 0, 1, 0, 0, 0]),
        ],
    );
}

#[test]
fn delete_insert_replaces_whole_groups() {
    let loads: &[(&[Record], Counts)] = &[
        (
            &[record(1, 1), record(2, 1), record(11, 1), record(21, 1)],
            [4, 0, 0, 0, 0, 0],
        ),
        (&[record(2, 2), record(3, 2)], [1, 1, 0, 1, 0, 0]),
        // A row that moves to another group leaves its old one.
        (
            &[Record {
                day: 2,
                ..record(11, 3)
            }],
            [0, 1, 0, 1, 0, 0],
        ),
    ];
    check(&Config::by_day(true), loads);
    // Without a primary key no row is another's successor.
    check(
        &Config::by_day(false),
        &[
            (
                &[record(1, 1), record(1, 1), record(11, 1)],
                [3, 0, 0, 0, 0, 0],
            ),
            (&[record(2, 2), record(2, 2)], [2, 0, 0, 2, 0, 0]),
        ],
    );
}

#[test]
fn delete_insert_without_a_merge_key_goes_by_the_primary_key() {
    check(
        &Config::new(MergeStrategy::DeleteInsert),
        &[
            (&[record(1, 1), record(2, 1)], [2, 0, 0, 0, 0, 0]),
            (
                &[record(2, 2), record(3, 2), record(3, 3)],
                [1, 1, 0, 0, 0, 1],
            ),
        ],
    );
}

#[test]
fn a_marked_record_deletes_its_row() {
    for config in [
        Config::default(),
        Config::new(MergeStrategy::Upsert),
        Config::new(MergeStrategy::DeleteInsert),
    ] {
        let config = Config {
            has_key: true,
            ..config.marked()
        };
        check(
            &config,
            &[
                (
                    &[
                        record(1, 1),
                        deleted(1),
                        record(2, 1),
                        record(3, 1),
                        deleted(9),
                    ],
                    [2, 0, 0, 0, 0, 1],
                ),
                // The last record of a key decides.
                (
                    &[deleted(2), deleted(3), record(3, 2), record(4, 2)],
                    [1, 1, 0, 1, 0, 1],
                ),
            ],
        );
    }
}

#[test]
fn a_marker_of_another_type_counts_when_it_is_not_null() {
    let out = folder();
    let fields = vec![
        Field::new("id", DataType::Int64, false),
        Field::new("deleted_at", DataType::Utf8, true),
    ];
    let schema = Arc::new(Schema::new(fields));
    let load = |ids: Vec<i64>, deleted_at: Vec<Option<&str>>| {
        let store = Store::open(out.path(), store_options()).unwrap();
        let merge = Merge {
            hard_delete: Some("deleted_at".to_owned()),
            ..Merge::default()
        };
        let mut load = store
            .begin(LoadOptions {
                schema: Arc::clone(&schema),
                primary_key: vec!["id".to_owned()],
                merge,
                ..options(WriteDisposition::Merge, false)
            })
            .unwrap();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(ids)),
            Arc::new(StringArray::from(deleted_at)),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        load.write(&batch).unwrap();
        load.commit(None).unwrap()
    };
    assert_eq!(load(vec![1, 2], vec![None, Some("")]).rows_written, 1);
    let report = load(vec![1, 3], vec![Some("2026-01-01"), None]);
    assert_eq!(
        (report.deleted, report.inserted, report.rows_written),
        (1, 1, 1)
    );
}

#[test]
fn dedup_sort_decides_between_duplicates() {
    let ranked = |rank: Option<i64>, value| Record {
        rank,
        ..record(1, value)
    };
    let load = [
        ranked(Some(5), 1),
        ranked(Some(7), 2),
        ranked(Some(7), 3),
        ranked(Some(-2), 4),
        ranked(None, 5),
    ];
    let kept = |config: &Config| {
        let out = folder();
        config.load(out.path(), 1, &load);
        check(config, &[(&load, [1, 0, 0, 0, 0, 4])]);
        read(out.path())[0].record.value
    };
    let upsert = || Config::new(MergeStrategy::Upsert);
    assert_eq!(kept(&upsert().sorted(SortOrder::Desc)), Some(3));
    assert_eq!(kept(&upsert().sorted(SortOrder::Asc)), Some(4));
    assert_eq!(kept(&upsert()), Some(5));
    let first = Config::new(MergeStrategy::InsertOnly);
    assert_eq!(kept(&first.clone().sorted(SortOrder::Desc)), Some(2));
    assert_eq!(kept(&first), Some(1));
}

#[test]
fn scd2_keeps_every_version() {
    let config = Config::history(true, false).marked();
    check(
        &config,
        &[
            (
                &[record(1, 1), record(2, 1), record(3, 1)],
                [3, 0, 0, 0, 0, 0],
            ),
            // Nothing has changed.
            (&[record(1, 1), record(2, 1)], [0, 0, 2, 0, 0, 0]),
            (
                &[record(1, 2), record(2, 1), record(4, 2)],
                [1, 1, 1, 0, 1, 0],
            ),
            // It comes back to an earlier value, which is a version of its own.
            (&[record(1, 1), deleted(2)], [0, 1, 0, 0, 2, 0]),
            (&[record(2, 1), record(2, 1)], [1, 0, 0, 0, 0, 1]),
            (&[], [0; 6]),
        ],
    );
}

#[test]
fn scd2_retires_what_is_absent_when_it_is_asked_to() {
    check(
        &Config::history(true, true),
        &[
            (
                &[record(1, 1), record(2, 1), record(50, 1)],
                [3, 0, 0, 0, 0, 0],
            ),
            (&[record(2, 1)], [0, 0, 1, 0, 2, 0]),
            (&[record(1, 1), record(2, 2)], [1, 1, 0, 0, 1, 0]),
            (&[], [0, 0, 0, 0, 2, 0]),
        ],
    );
}

#[test]
fn without_a_key_a_row_is_what_it_holds() {
    check(
        &Config::history(false, true),
        &[
            (
                &[record(1, 1), record(1, 2), record(1, 1)],
                [2, 0, 0, 0, 0, 1],
            ),
            (&[record(1, 1), record(1, 3)], [1, 0, 1, 0, 1, 0]),
        ],
    );
}

#[test]
fn a_load_without_changes_leaves_every_file_alone() {
    let records: Vec<Record> = (0..60).map(|id| record(id, 1)).collect();
    for config in [
        Config::history(true, true),
        Config::history(false, false),
        Config::new(MergeStrategy::InsertOnly),
    ] {
        let out = folder();
        config.load(out.path(), 1, &records);
        let before = files(out.path());
        assert!(before.len() > 2);
        let report = config.load(out.path(), 2, &records);
        assert_eq!(files(out.path()), before);
        assert_eq!((report.unchanged, report.bytes_added), (60, 0));
    }
}

#[test]
fn a_clock_that_was_set_back_ends_no_version_before_it_begins() {
    let config = Config::history(true, false);
    let out = folder();
    config.load(out.path(), 100, &[record(1, 1)]);
    config.load(out.path(), 200, &[record(1, 2)]);
    config.load(out.path(), 50, &[record(1, 3)]);
    let rows = read(out.path());
    let times: Vec<_> = rows.iter().map(|row| (row.from, row.to)).collect();
    // A microsecond after the latest.
    assert_eq!(
        times,
        [
            (Some(100), Some(200)),
            (Some(200), Some(200)),
            (Some(200), None)
        ]
    );
}

#[track_caller]
fn refused(config: &Config, out: &Path, records: &[Record], kind: ErrorKind, texts: &[&str]) {
    let error = config.try_load(out, 900, records, None).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    let text = format!("{error}; {}", error.hint().unwrap_or_default());
    for expect in texts {
        assert!(text.contains(expect), "no `{expect}` in {text}");
    }
}

#[test]
fn a_dataset_without_a_history_does_not_become_one() {
    let out = folder();
    Config::new(MergeStrategy::Upsert).load(out.path(), 1, &[record(1, 1)]);
    let before = read(out.path());
    let texts = ["`orders`", "`_valid_from`", "--full-refresh"];
    let config = Config::history(true, false);
    refused(&config, out.path(), &[], ErrorKind::Conflict, &texts);
    assert_eq!(read(out.path()), before);
}

#[test]
fn a_null_key_names_its_record() {
    let store = folder();
    let config = Config::by_day(false);
    let store = Store::open(store.path(), store_options()).unwrap();
    let mut load = store.begin(config.options()).unwrap();
    load.write(&batch(&[record(1, 1), record(2, 1)])).unwrap();
    let integers = |values: Vec<Option<i64>>| Arc::new(Int64Array::from(values)) as ArrayRef;
    let columns = vec![
        integers(vec![Some(1), Some(2)]),
        integers(vec![Some(1), None]),
        integers(vec![None, None]),
        Arc::new(BooleanArray::from(vec![None, None])),
        integers(vec![None, None]),
    ];
    let nulls = RecordBatch::try_new(schema(), columns).unwrap();
    let error = load.write(&nulls).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaContract);
    let text = error.to_string();
    assert!(
        text.contains("record 4 has no value for the merge key `day`"),
        "{text}"
    );
}

#[test]
fn columns_that_a_merge_needs_have_to_be_there() {
    let out = folder();
    let configuration = ErrorKind::Configuration;
    let mut config = Config::by_day(true);
    config.merge.merge_key = vec!["month".to_owned()];
    let texts = ["the merge key `month` is not a column"];
    refused(&config, out.path(), &[], configuration, &texts);
    let mut config = Config::new(MergeStrategy::Upsert);
    config.merge.hard_delete = Some("removed".to_owned());
    let texts = ["the `hard_delete` `removed` is not a column"];
    refused(&config, out.path(), &[], configuration, &texts);
    let mut config = Config::new(MergeStrategy::Upsert).sorted(SortOrder::Asc);
    if let Some(sort) = &mut config.merge.dedup_sort {
        sort.column = "at".to_owned();
    }
    let texts = ["the `dedup_sort` `at` is not a column"];
    refused(&config, out.path(), &[], configuration, &texts);
    let mut config = Config::history(true, false);
    if let MergeStrategy::Scd2(history) = &mut config.merge.strategy {
        history.valid_to = "value".to_owned();
    }
    let texts = ["the column `value` is declared twice"];
    refused(&config, out.path(), &[], ErrorKind::SchemaContract, &texts);
}

fn config() -> impl Strategy<Value = Config> {
    let strategy = prop_oneof![
        Just(Config::new(MergeStrategy::Upsert)),
        Just(Config::new(MergeStrategy::DeleteInsert)),
        Just(Config::new(MergeStrategy::InsertOnly)),
        any::<bool>().prop_map(Config::by_day),
        (any::<bool>(), any::<bool>()).prop_map(|(key, absent)| Config::history(key, absent)),
    ];
    let order = prop_oneof![Just(SortOrder::Asc), Just(SortOrder::Desc)];
    let choices = (
        strategy,
        any::<bool>(),
        prop::option::of(order),
        any::<(bool, bool, bool)>(),
    );
    choices.prop_map(
        |(config, is_marked, order, (large_files, behind, arranged))| {
            let config = Config {
                large_files,
                behind,
                arranged,
                ..config
            };
            let may_mark = config.has_key && config.merge.strategy != MergeStrategy::InsertOnly;
            let config = if is_marked && may_mark {
                config.marked()
            } else {
                config
            };
            match order {
                Some(order) if config.has_key => config.sorted(order),
                _ => config,
            }
        },
    )
}

fn any_record() -> impl Strategy<Value = Record> {
    (
        0..24_i64,
        0..4_i64,
        prop::option::of(0..3_i64),
        prop::option::weighted(0.3, any::<bool>()),
        prop::option::weighted(0.9, 0..3_i64),
    )
        .prop_map(|(id, day, rank, gone, value)| Record {
            id,
            day,
            rank,
            gone,
            value,
        })
}

fn load() -> impl Strategy<Value = (Vec<Record>, Option<usize>)> {
    let records = prop::collection::vec(any_record(), 0..24);
    (records, prop::option::weighted(0.2, 0..90_usize))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_loads_agrees_with_the_model(
        config in config(),
        loads in prop::collection::vec(load(), 1..6),
    ) {
        let out = folder();
        let mut model: Vec<Row> = Vec::new();
        for (index, (records, dies_at)) in loads.iter().enumerate() {
            let second = 100 + index as i64;
            let result = config.try_load(out.path(), second, records, *dies_at);
            let mut after = model.clone();
            let expect = apply(&config, &mut after, second, records);
            match &result {
                Ok(report) => prop_assert_eq!(counts(report), expect),
                Err(_) => prop_assert!(dies_at.is_some(), "{:?}", result),
            }
            let found = read(out.path());
            prop_assert!(found == model || found == after);
            let state = Store::open(out.path(), store_options()).unwrap().state();
            let state = state.resource(RESOURCE);
            let cursor = state.and_then(|state| state.cursor.clone());
            if cursor == Some(second.into()) {
                model = after;
            } else {
                prop_assert!(result.is_err());
            }
            prop_assert_eq!(read(out.path()), model.clone());
            if config.arranged {
                check_folders(out.path(), "rank");
            }
            assert_tidy(out.path());
        }
    }
}
