//! Row groups that a merge does not touch are copied as they are.

use std::fs::File;
use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use connector_dataset::{LoadOptions, LoadReport, WriterOptions};
use connector_plan::WriteDisposition::{Append, Merge};
use connector_plan::{History, Merge as MergeOptions, MergeStrategy};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelector,
};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};
use parquet::file::reader::ChunkReader;

use crate::support::*;

/// One file of row groups of four rows, all of which count as large.
fn one_file() -> WriterOptions {
    WriterOptions {
        file_bytes: 1 << 20,
        row_group_rows: 4,
        compaction_bytes: 0,
        ..WriterOptions::default()
    }
}

#[track_caller]
fn merge(out: &Path, writer: &WriterOptions, rows: &[Row]) -> LoadReport {
    let has_extra = rows.iter().any(|row| row.extra.is_some());
    let options = LoadOptions {
        writer: writer.clone(),
        ..options(Merge, has_extra)
    };
    let report = load_with(out, store_options(), options, rows, None).unwrap();
    assert_tidy(out);
    report
}

/// Removes the rows of these numbers, whose values are the same; adds as many others.
#[track_caller]
fn exchange(out: &Path, writer: &WriterOptions, numbers: &[i64]) -> LoadReport {
    let merge = MergeOptions {
        strategy: MergeStrategy::DeleteInsert,
        merge_key: vec!["value".to_owned()],
        ..MergeOptions::default()
    };
    let options = LoadOptions {
        writer: writer.clone(),
        merge,
        ..options(Merge, false)
    };
    let new = numbers
        .iter()
        .map(|number| row("eu", number + 1000, *number));
    let new: Vec<Row> = new.collect();
    let report = load_with(out, store_options(), options, &new, None).unwrap();
    assert_eq!(report.deleted, numbers.len() as u64);
    assert_tidy(out);
    report
}

/// Rows whose values are their numbers.
fn numbered(numbers: std::ops::Range<i64>) -> Vec<Row> {
    numbers.map(|number| row("eu", number, number)).collect()
}

/// What became of the row groups: left alone, copied, rewritten.
fn fate(report: &LoadReport) -> [u64; 3] {
    [
        report.row_groups_left,
        report.row_groups_copied,
        report.row_groups_rewritten,
    ]
}

/// The numbers of the rows of each row group of each file, in order.
fn numbers(out: &Path) -> Vec<Vec<Vec<i64>>> {
    let groups = |name: String| {
        let path = live(out).join(name);
        let builder =
            || ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
        let count = builder().metadata().num_row_groups();
        let group = |group| {
            let reader = builder().with_row_groups(vec![group]).build().unwrap();
            let batches = reader.map(Result::unwrap);
            let numbers = batches.flat_map(|batch| {
                let number = batch.column_by_name("number").unwrap();
                number.as_primitive::<Int64Type>().values().to_vec()
            });
            numbers.collect()
        };
        (0..count).map(group).collect()
    };
    files(out).into_iter().map(groups).collect()
}

fn open(out: &Path, index: usize) -> (File, ArrowReaderMetadata) {
    let name = files(out).into_iter().nth(index).unwrap();
    let file = File::open(live(out).join(name)).unwrap();
    let options = ArrowReaderOptions::new()
        .with_page_index_policy(PageIndexPolicy::Required)
        .with_encoding_stats_as_mask(false);
    let metadata = ArrowReaderMetadata::load(&file, options).unwrap();
    (file, metadata)
}

/// All that a reader knows of a row group, apart from where it lies: its bytes, statistics, page
/// indexes and bloom filters.
fn content((file, metadata): &(File, ArrowReaderMetadata), group: usize) -> Vec<String> {
    let metadata = metadata.metadata();
    let columns = metadata.row_group(group).columns().iter().enumerate();
    columns
        .map(|(column, chunk)| {
            let (start, length) = chunk.byte_range();
            let bytes = file.get_bytes(start, length as usize).unwrap();
            let pages = &metadata.offset_index().unwrap()[group][column].page_locations;
            let pages: Vec<_> = pages
                .iter()
                .map(|page| {
                    let offset = page.offset - start as i64;
                    (offset, page.compressed_page_size, page.first_row_index)
                })
                .collect();
            let index = &metadata.column_index().unwrap()[group][column];
            let mut filter = Vec::new();
            if let Some(bloom) = Sbbf::read_from_column_chunk(chunk, file).unwrap() {
                bloom.write(&mut filter).unwrap();
            }
            format!(
                "{:?} {:?} {:?} {:?} {:?} {pages:?} {index:?} {filter:?} {bytes:?}",
                chunk.column_path(),
                chunk.statistics(),
                chunk.encodings().collect::<Vec<_>>(),
                chunk.page_encoding_stats(),
                (chunk.num_values(), chunk.uncompressed_size()),
            )
        })
        .collect()
}

#[test]
fn untouched_row_groups_of_a_touched_file_are_copied_as_they_are() {
    let out = folder();
    merge(out.path(), &one_file(), &numbered(0..22));
    let before = open(out.path(), 0);
    assert_eq!(before.1.metadata().num_row_groups(), 6);
    let report = exchange(out.path(), &one_file(), &[9, 16, 17, 18, 19]);
    assert_eq!(fate(&report), [0, 4, 2]);
    let sizes = before.1.metadata().row_groups().iter();
    let sizes: Vec<u64> = sizes.map(|group| group.compressed_size() as u64).collect();
    assert_eq!(report.bytes_rewritten, sizes[2] + sizes[4]);
    assert_eq!(
        report.bytes_copied + report.bytes_rewritten,
        sizes.iter().sum::<u64>()
    );
    // The rows that stay are in their old order, those of the load in a file of their own.
    let expect = [
        vec![vec![1009, 1016, 1017, 1018], vec![1019]],
        vec![
            vec![0, 1, 2, 3],
            vec![4, 5, 6, 7],
            vec![8, 10, 11],
            vec![12, 13, 14, 15],
            vec![20, 21],
        ],
    ];
    assert_eq!(numbers(out.path()), expect);
    let after = open(out.path(), 1);
    for (old, new) in [(0, 0), (1, 1), (3, 3), (5, 4)] {
        assert_eq!(content(&after, new), content(&before, old), "{old}");
    }
    // The page index leads to the right bytes.
    let (file, metadata) = after;
    let selection = vec![RowSelector::skip(12), RowSelector::select(2)];
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
        .with_row_selection(RowSelection::from(selection))
        .build()
        .unwrap();
    let found: Vec<i64> = reader
        .flat_map(|batch| {
            let batch = batch.unwrap();
            let number = batch.column_by_name("number").unwrap().clone();
            number.as_primitive::<Int64Type>().values().to_vec()
        })
        .collect();
    assert_eq!(found, [13, 14]);
}

#[test]
fn updates_rewrite_the_columns_that_they_change() {
    let out = folder();
    merge(out.path(), &one_file(), &rows(0..22, 1));
    let before = open(out.path(), 0);
    // One that changes nothing, two that do, and one that is new.
    let changes = [rows(5..6, 1), rows(9..11, 2), rows(30..31, 2)].concat();
    let report = merge(out.path(), &one_file(), &changes);
    assert_eq!((report.updated, report.inserted), (3, 1));
    assert_eq!(fate(&report), [0, 5, 1]);
    let sizes: Vec<u64> = before
        .1
        .metadata()
        .row_group(2)
        .columns()
        .iter()
        .map(|column| column.compressed_size() as u64)
        .collect();
    assert_eq!(report.bytes_rewritten, sizes[2]);
    let whole: i64 = before
        .1
        .metadata()
        .row_groups()
        .iter()
        .map(RowGroupMetaData::compressed_size)
        .sum();
    assert_eq!(report.bytes_copied + report.bytes_rewritten, whole as u64);
    // Every row is where it was, the new one behind them.
    let before_it = (0..22).collect::<Vec<i64>>();
    let groups = before_it.chunks(4).chain([&[30_i64][..]]);
    let groups: Vec<Vec<i64>> = groups.map(<[i64]>::to_vec).collect();
    assert_eq!(numbers(out.path()), [groups]);
    let after = open(out.path(), 0);
    for group in 0..6 {
        let (old, new) = (content(&before, group), content(&after, group));
        assert_eq!(old[..2], new[..2], "{group}");
        assert_eq!(old[2] == new[2], group != 2, "{group}");
    }
    let expect = [
        rows(0..9, 1),
        rows(9..11, 2),
        rows(11..22, 1),
        rows(30..31, 2),
    ]
    .concat();
    assert_eq!(read(out.path()), expect);
}

#[test]
fn updates_that_change_nothing_leave_files_alone() {
    let out = folder();
    merge(out.path(), &one_file(), &rows(0..22, 1));
    let before = files(out.path());
    let report = merge(out.path(), &one_file(), &rows(3..22, 1));
    assert_eq!((report.updated, report.bytes_added), (19, 0));
    assert_eq!(fate(&report), [6, 0, 0]);
    assert_eq!(files(out.path()), before);
}

#[test]
fn the_end_of_a_version_rewrites_one_column() {
    let out = folder();
    let load = |rows: &[Row]| {
        let merge = MergeOptions {
            strategy: MergeStrategy::Scd2(History::default()),
            ..MergeOptions::default()
        };
        let options = LoadOptions {
            writer: one_file(),
            merge,
            ..options(Merge, false)
        };
        load_with(out.path(), store_options(), options, rows, None).unwrap()
    };
    load(&rows(0..12, 1));
    let before = open(out.path(), 0);
    let report = load(&rows(5..7, 2));
    assert_eq!((report.retired, fate(&report)), (2, [0, 2, 1]));
    let after = files(out.path()).into_iter().position(|name| {
        report
            .files_added
            .iter()
            .any(|file| file.name == name && file.rows == 12)
    });
    let after = open(out.path(), after.unwrap());
    let columns = before.1.parquet_schema().columns();
    for group in 0..3 {
        let (old, new) = (content(&before, group), content(&after, group));
        for (index, column) in columns.iter().enumerate() {
            let is_same = group != 1 || column.name() != "_valid_to";
            assert_eq!(
                old[index] == new[index],
                is_same,
                "{group} {}",
                column.name()
            );
        }
    }
}

#[test]
fn untouched_files_are_left_alone() {
    let out = folder();
    merge(out.path(), &one_file(), &rows(0..10, 1));
    merge(out.path(), &one_file(), &rows(10..20, 1));
    let report = merge(out.path(), &one_file(), &rows(0..1, 2));
    assert_eq!(fate(&report), [3, 2, 1]);
    let report = merge(out.path(), &one_file(), &rows(0..20, 1));
    assert_eq!(fate(&report), [3, 2, 1]);
    let options = LoadOptions {
        writer: one_file(),
        ..options(Append, false)
    };
    let rows = rows(20..21, 1);
    let report = load_with(out.path(), store_options(), options, &rows, None).unwrap();
    assert_eq!(fate(&report), [6, 0, 0]);
}

#[test]
fn row_groups_of_fewer_columns_are_decoded() {
    let out = folder();
    merge(out.path(), &one_file(), &rows(0..12, 1));
    let mut wider = rows(3..4, 2);
    wider[0].extra = Some("new".to_owned());
    let report = merge(out.path(), &one_file(), &wider);
    assert_eq!(fate(&report), [0, 0, 3]);
    let expect = [rows(0..3, 1), wider, rows(4..12, 1)].concat();
    assert_eq!(read(out.path()), expect);
    // Those of as many columns are copied again.
    let mut wider = rows(5..6, 3);
    wider[0].extra = Some("newer".to_owned());
    let report = merge(out.path(), &one_file(), &wider);
    assert_eq!(fate(&report), [0, 2, 1]);
}

#[test]
fn small_row_groups_are_joined_within_the_budget() {
    #[track_caller]
    fn check(compaction_bytes: u64, expect: &[&[i64]]) {
        let out = folder();
        let writer = WriterOptions {
            compaction_bytes,
            ..one_file()
        };
        merge(out.path(), &writer, &numbered(0..16));
        // Of the first two row groups one row stays each.
        for gone in [&[0, 1, 2][..], &[5, 6, 7], &[12]] {
            exchange(out.path(), &writer, gone);
        }
        let found = numbers(out.path());
        let found = found.iter().find(|groups| groups.concat().contains(&3));
        assert_eq!(found.unwrap().as_slice(), expect, "{compaction_bytes}");
    }
    check(0, &[&[3], &[4], &[8, 9, 10, 11], &[13, 14, 15]]);
    check(1 << 20, &[&[3, 4], &[8, 9, 10, 11], &[13, 14, 15]]);
}
