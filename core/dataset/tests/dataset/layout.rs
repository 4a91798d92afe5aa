//! What is asked for of the data files' shape is what is in their footers.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;

use connector_dataset::{ErrorKind, LoadOptions, LoadReport, Store, WriterOptions};
use connector_plan::WriteDisposition::{self, Append, Merge, Replace};
use connector_plan::{Compression, Layout};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression as Codec;
use parquet::file::metadata::RowGroupMetaData;

use crate::support::*;

const ZSTD: Compression = Compression::Zstd { level: 1 };

/// Row groups of four rows in one file, which are never joined.
fn compressed(compression: Compression) -> WriterOptions {
    WriterOptions {
        compression,
        row_group_rows: 4,
        compaction_bytes: 0,
        ..WriterOptions::default()
    }
}

fn run(
    out: &Path,
    disposition: WriteDisposition,
    writer: WriterOptions,
    rows: &[Row],
) -> LoadReport {
    let has_extra = rows.iter().any(|row| row.extra.is_some());
    let options = LoadOptions {
        writer,
        ..options(disposition, has_extra)
    };
    let report = load_with(out, store_options(), options, rows, None).unwrap();
    assert_tidy(out);
    report
}

/// The row groups of all files, file by file.
fn groups(out: &Path) -> Vec<Vec<RowGroupMetaData>> {
    let open = |name: &String| {
        let file = File::open(live(out).join(name)).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        builder.metadata().row_groups().to_vec()
    };
    files(out).iter().map(open).collect()
}

/// What the columns of each row group are compressed with.
fn codecs(out: &Path) -> Vec<BTreeSet<&'static str>> {
    let word = |codec| match codec {
        Codec::ZSTD(_) => "zstd",
        Codec::SNAPPY => "snappy",
        Codec::UNCOMPRESSED => "none",
        _ => "another",
    };
    let columns = |group: &RowGroupMetaData| {
        let columns = group.columns().iter();
        columns.map(|column| word(column.compression())).collect()
    };
    groups(out).iter().flatten().map(columns).collect()
}

#[test]
fn files_have_the_codec_that_is_asked_for() {
    #[track_caller]
    fn check(compression: Compression, expect: &'static str) {
        let out = folder();
        run(out.path(), Append, compressed(compression), &rows(0..10, 1));
        assert_eq!(codecs(out.path()), vec![BTreeSet::from([expect]); 3]);
        assert_eq!(read(out.path()), rows(0..10, 1));
    }
    check(Compression::default(), "zstd");
    check(Compression::Zstd { level: 9 }, "zstd");
    check(Compression::Zstd { level: 22 }, "zstd");
    check(Compression::Snappy, "snappy");
    check(Compression::None, "none");
}

#[test]
fn a_higher_level_makes_smaller_files() {
    let length = |compression| {
        let out = folder();
        let mut rows = rows(0..3000, 1);
        for row in &mut rows {
            row.extra = Some(format!("{:x} of {}", row.number * 7919, row.number % 97));
        }
        let writer = WriterOptions {
            compression,
            ..WriterOptions::default()
        };
        run(out.path(), Append, writer, &rows).bytes
    };
    let lengths = [
        length(Compression::Zstd { level: 19 }),
        length(ZSTD),
        length(Compression::None),
    ];
    assert!(lengths.is_sorted_by(|a, b| a < b), "{lengths:?}");
}

#[test]
fn there_are_levels_from_1_to_22() {
    let out = folder();
    let store = Store::open(out.path(), store_options()).unwrap();
    for level in [0, 23] {
        let options = LoadOptions {
            writer: compressed(Compression::Zstd { level }),
            ..options(Append, false)
        };
        let error = store.begin(options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!(error.to_string(), format!("there is no zstd level {level}"));
    }
}

#[test]
fn row_groups_keep_their_codec_until_they_are_written_again() {
    let out = folder();
    let path = out.path();
    let one = |codec| BTreeSet::from([codec]);
    run(
        path,
        Merge,
        compressed(Compression::Snappy),
        &rows(0..12, 1),
    );
    assert_eq!(codecs(path), vec![one("snappy"); 3]);
    // Files of another codec stand beside the old ones.
    run(path, Merge, compressed(ZSTD), &rows(12..16, 1));
    assert_eq!(
        codecs(path),
        [one("snappy"), one("snappy"), one("snappy"), one("zstd")]
    );
    // One row changes: its row group has its column again, the two others are copied as bytes.
    let report = run(
        path,
        Merge,
        compressed(Compression::None),
        &[row("eu", 5, 2)],
    );
    assert_eq!((report.updated, report.row_groups_copied), (1, 2));
    let found = codecs(path);
    let count = |expect: &BTreeSet<&str>| found.iter().filter(|found| *found == expect).count();
    assert_eq!(count(&one("snappy")), 2, "{found:?}");
    assert_eq!(count(&one("zstd")), 1, "{found:?}");
    assert_eq!(count(&BTreeSet::from(["none", "snappy"])), 1, "{found:?}");
    let mut expect = rows(0..16, 1);
    expect[5].value = Some(2);
    assert_eq!(read(path), expect);
    // A replaced dataset has nothing of the old codecs.
    run(path, Replace, compressed(ZSTD), &rows(0..4, 3));
    assert_eq!(codecs(path), [one("zstd")]);
    assert_eq!(read(path), rows(0..4, 3));
}

/// Rows that neither an encoding nor a codec makes much smaller: values of SplitMix64.
fn noise(count: i64) -> Vec<Row> {
    let value = |number: i64| {
        let mut z = number.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).cast_signed()
    };
    (0..count)
        .map(|number| row("eu", number, value(number)))
        .collect()
}

/// Loads rows in large batches.
fn large(out: &Path, layout: &Layout, rows: &[Row]) {
    let store = Store::open(out, store_options()).unwrap();
    let options = LoadOptions {
        writer: WriterOptions::from(layout),
        ..options(Append, false)
    };
    let mut load = store.begin(options).unwrap();
    for rows in rows.chunks(1000) {
        load.write(&batch(rows, false)).unwrap();
    }
    load.commit(None).unwrap();
}

#[test]
fn sizes_are_respected() {
    let rows = noise(50_000);
    let out = folder();
    large(out.path(), &Layout::default(), &rows);
    let counts: Vec<usize> = groups(out.path()).iter().map(Vec::len).collect();
    assert_eq!(counts, [1]);

    let out = folder();
    let layout = Layout {
        row_group_rows: 15_000,
        ..Layout::default()
    };
    large(out.path(), &layout, &rows);
    let found = groups(out.path());
    let counts: Vec<i64> = found
        .iter()
        .flatten()
        .map(RowGroupMetaData::num_rows)
        .collect();
    assert_eq!(
        (found.len(), counts),
        (1, vec![15_000, 15_000, 15_000, 5_000])
    );

    let out = folder();
    let layout = Layout {
        file_bytes: 64 << 10,
        ..Layout::default()
    };
    large(out.path(), &layout, &rows);
    let lengths: Vec<u64> = files(out.path())
        .iter()
        .map(|name| fs::metadata(live(out.path()).join(name)).unwrap().len())
        .collect();
    assert!(lengths.len() > 3, "{lengths:?}");
    for length in lengths.split_last().unwrap().1 {
        assert!((48 << 10..128 << 10).contains(length), "{lengths:?}");
    }

    let out = folder();
    let layout = Layout {
        row_group_bytes: 64 << 10,
        compression: Compression::None,
        ..Layout::default()
    };
    large(out.path(), &layout, &rows);
    let found = groups(out.path());
    let bytes: Vec<i64> = found
        .iter()
        .flatten()
        .map(RowGroupMetaData::total_byte_size)
        .collect();
    assert!((3..20).contains(&bytes.len()), "{bytes:?}");
    assert!(bytes.iter().all(|bytes| *bytes < 256 << 10), "{bytes:?}");
    assert_eq!(read(out.path()), sorted(rows));
}
