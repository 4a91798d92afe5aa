//! Row groups without a key of the load are known by their statistics and bloom filters.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int8Array,
    Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
    UInt64Array,
};
use connector_dataset::{LoadOptions, LoadReport, Store, WriterOptions};
use connector_plan::WriteDisposition;

use crate::support::*;

/// Every number below 127 once, in no order.
fn scrambled() -> Vec<i64> {
    (0..127).map(|n| n * 57 % 127).collect()
}

/// Loads rows identified by `key`; ten rows are a row group.
#[track_caller]
fn merge(out: &Path, key: &ArrayRef, value: i64) -> LoadReport {
    let values: ArrayRef = Arc::new(Int64Array::from(vec![value; key.len()]));
    let batch = RecordBatch::try_from_iter([("key", Arc::clone(key)), ("value", values)]).unwrap();
    let options = LoadOptions {
        schema: batch.schema(),
        primary_key: vec!["key".to_owned()],
        writer: WriterOptions {
            row_group_rows: 10,
            ..WriterOptions::default()
        },
        ..options(WriteDisposition::Merge, false)
    };
    let store = Store::open(out, store_options()).unwrap();
    let mut load = store.begin(options).unwrap();
    load.write(&batch).unwrap();
    load.commit(None).unwrap()
}

fn integers(numbers: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(numbers.to_vec()))
}

#[test]
fn keys_of_every_type_are_found() {
    #[track_caller]
    fn check(are_few_searched: bool, keys: impl Fn(&[i64]) -> ArrayRef) {
        let out = folder();
        let numbers = scrambled();
        let report = merge(out.path(), &keys(&numbers), 0);
        assert_eq!((report.inserted, report.row_groups_searched), (127, 0));
        let mut searched = 0;
        for chunk in numbers.chunks(16) {
            let report = merge(out.path(), &keys(&chunk[..1]), 1);
            assert_eq!((report.inserted, report.updated), (0, 1));
            searched += report.row_groups_searched;
        }
        let all = 8 * 13;
        assert!(
            if are_few_searched {
                searched < all / 2
            } else {
                searched > all / 2
            },
            "{searched} of {all}"
        );
        let report = merge(out.path(), &keys(&numbers), 2);
        assert_eq!((report.inserted, report.updated), (0, 127));
        // A value that no row has, but statistics allow.
        let report = merge(out.path(), &keys(&[1000]), 3);
        assert_eq!(report.inserted, 1);
    }
    fn each<T, A: arrow::array::Array + From<Vec<T>> + 'static>(
        of: impl Fn(i64) -> T,
    ) -> impl Fn(&[i64]) -> ArrayRef {
        move |numbers| Arc::new(A::from(numbers.iter().map(|n| of(*n)).collect()))
    }
    check(true, each::<_, Int64Array>(|n| n - 60));
    check(true, each::<_, Int32Array>(|n| n as i32 - 60));
    check(true, each::<_, Int8Array>(|n| (n - 60) as i8));
    check(true, each::<_, Date32Array>(|n| n as i32 - 60));
    check(
        true,
        each::<_, TimestampMicrosecondArray>(|n| n * 1_000_003),
    );
    check(true, each::<_, StringArray>(|n| format!("{n:x}")));
    check(
        true,
        each::<_, StringArray>(|n| format!("a long prefix of them all {n}")),
    );
    check(true, |numbers| {
        let values = numbers.iter().map(|n| n.to_le_bytes());
        Arc::new(BinaryArray::from_iter_values(values))
    });
    check(false, each::<_, UInt32Array>(|n| u32::MAX - n as u32));
    check(false, each::<_, UInt64Array>(|n| u64::MAX - n as u64));
    check(false, each::<_, Float64Array>(|n| n as f64 / 7.0));
    check(false, |numbers| {
        let values = numbers.iter().map(|n| i128::from(*n) << 80);
        let values = Decimal128Array::from_iter_values(values);
        Arc::new(values.with_precision_and_scale(38, 2).unwrap())
    });
    let out = folder();
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true, false]));
    merge(out.path(), &flags, 1);
    assert_eq!(merge(out.path(), &flags, 2).updated, 2);
}

#[test]
fn keys_far_apart_leave_what_is_between_them_alone() {
    let out = folder();
    let numbers: Vec<i64> = (0..127).collect();
    merge(out.path(), &integers(&numbers), 0);
    let report = merge(out.path(), &integers(&[3, 118, 4, 400]), 1);
    assert_eq!((report.updated, report.inserted), (3, 1));
    let groups = (
        report.row_groups_searched,
        report.row_groups_copied,
        report.row_groups_rewritten,
    );
    assert_eq!(groups, (2, 11, 2));
}

#[test]
fn filters_are_made_where_keys_are_in_no_order() {
    #[track_caller]
    fn check(numbers: &[i64], searched: u64) {
        // What is in no row, but between the smallest and the largest of all row groups.
        let twice: Vec<i64> = numbers.iter().map(|n| n * 2).collect();
        let out = folder();
        merge(out.path(), &integers(&twice), 0);
        let report = merge(out.path(), &integers(&[63]), 1);
        assert_eq!((report.inserted, report.row_groups_searched), (1, searched));
    }
    let ordered: Vec<i64> = (0..127).collect();
    check(&ordered, 1);
    check(&scrambled(), 0);
}
