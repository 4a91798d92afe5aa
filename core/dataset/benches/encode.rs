//! What our choice of encodings costs beside the best one for each column, and beside the Parquet
//! library's default.
//!
//! `cargo bench -p connector-dataset --bench encode -- [ROWS]`
//!
//! The best are found by trying: every column is written alone with each encoding there is for it, and
//! the one with the smallest product of CPU time and bytes is taken. All are written by the same
//! writer, ours with the encodings that a file of ours has.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

#[path = "sample/pages.rs"]
mod pages;
#[expect(dead_code, reason = "another benchmark uses the rest")]
#[path = "sample/records.rs"]
mod records;
#[expect(
    dead_code,
    reason = "the tool that measures with a clock uses the rest"
)]
#[path = "../../../build-tools/src/bench/sample.rs"]
mod sample;

use std::collections::BTreeMap;
use std::io::sink;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use connector_dataset::{LoadOptions, SourceId, Store, StoreOptions};
use connector_plan::WriteDisposition;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::schema::types::ColumnPath;
use records::{cpu, scramble};
use sample::Shape;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
/// The encoding of each leaf column; none is a dictionary.
type Choice = BTreeMap<String, Option<Encoding>>;

/// How often a column is written to find its best encoding.
const TRIES: usize = 3;
/// How often everything is written with the best, with ours and with the library's.
const ROUNDS: usize = 7;

fn main() -> Result<()> {
    let rows: u64 = std::env::args()
        .skip(1)
        .find_map(|word| word.parse().ok())
        .unwrap_or(200_000);
    println!(
        "| {rows} rows | columns | encodings | CPU s | MB | CPU × best | MB × best |\n|---|--:|---|--:|--:|--:|--:|"
    );
    for (name, (schema, batches)) in [
        ("flat", pages::batches(Shape::Flat, rows)),
        ("nested", pages::batches(Shape::Nested, rows)),
        ("all different", different(rows)?),
    ] {
        let (ours, types) = ours(&schema, &batches)?;
        let best = best(&schema, &batches, &ours, &types)?;
        let default: Choice = ours.keys().map(|path| (path.clone(), None)).collect();
        let choices = [("best", &best), ("ours", &ours), ("library's", &default)];
        let mut least = [(f64::MAX, 0); 3];
        // In turn, so that what slows one down slows down the others, too.
        for _ in 0..ROUNDS {
            for (least, (_, choice)) in least.iter_mut().zip(choices) {
                let (cpu, bytes) = write(&schema, &batches, choice)?;
                *least = (least.0.min(cpu), bytes);
            }
        }
        let mut base = None;
        for ((cpu, bytes), (which, _)) in least.into_iter().zip(choices) {
            let bytes = bytes as f64;
            let (best_cpu, best_bytes) = *base.get_or_insert((cpu, bytes));
            println!(
                "| {name} | {} | {which} | {cpu:.2} | {:.1} | {:.2} | {:.2} |",
                ours.len(),
                bytes / 1e6,
                cpu / best_cpu,
                bytes / best_bytes,
            );
        }
        for (path, encoding) in &best {
            if ours[path] != *encoding {
                println!("{name}: {path}: ours {:?}, best {encoding:?}", ours[path]);
            }
        }
    }
    Ok(())
}

/// Columns in which no value comes twice, or hardly any.
fn different(rows: u64) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let batch = |first: u64| {
        let numbers = || first..rows.min(first + 32_768);
        let text = |of: &dyn Fn(u64) -> String| {
            Arc::new(StringArray::from_iter_values(numbers().map(of))) as ArrayRef
        };
        let columns: Vec<(&str, ArrayRef)> = vec![
            (
                "uuid",
                text(&|n| {
                    let (a, b) = (scramble(n), scramble(n ^ 1 << 60));
                    let (c, d) = (a & 0xffff_ffff_ffff, b >> 48);
                    format!("{:08x}-{:04x}-{d:04x}-8000-{c:012x}", a >> 32, b & 0xffff)
                }),
            ),
            (
                "checksum",
                text(&|n| format!("{:032x}", u128::from(scramble(n)).pow(2))),
            ),
            (
                "url",
                text(&|n| format!("https://example.com/files/{n}/versions/{:x}", scramble(n))),
            ),
            (
                "random",
                Arc::new(
                    numbers()
                        .map(|n| scramble(n) as i64)
                        .collect::<Int64Array>(),
                ),
            ),
            (
                "share",
                Arc::new(
                    numbers()
                        .map(|n| scramble(n) as f64 / u64::MAX as f64)
                        .collect::<Float64Array>(),
                ),
            ),
        ];
        RecordBatch::try_from_iter(columns)
    };
    let batches: Vec<RecordBatch> = (0..rows)
        .step_by(32_768)
        .map(batch)
        .collect::<std::result::Result<_, _>>()?;
    Ok((batches.first().ok_or("no rows")?.schema(), batches))
}

/// The encodings of a file of ours, and the physical types of its columns.
fn ours(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<(Choice, BTreeMap<String, Type>)> {
    let out = tempfile::tempdir()?;
    let store = Store::open(
        out.path(),
        StoreOptions::new("bench", SourceId::Sandbox, ""),
    )?;
    let options = LoadOptions::new("rows", Arc::clone(schema), WriteDisposition::Append);
    let mut load = store.begin(options)?;
    for batch in batches {
        load.write(batch)?;
    }
    load.commit(None)?;
    let file = std::fs::read_dir(out.path().join("bench/rows"))?
        .next()
        .ok_or("no file")??;
    let reader = SerializedFileReader::new(std::fs::File::open(file.path())?)?;
    let (mut choice, mut types) = (Choice::new(), BTreeMap::new());
    for column in reader.metadata().row_group(0).columns() {
        let encodings: Vec<Encoding> = column.encodings().collect();
        let of_values = |encoding: &&Encoding| !matches!(encoding, Encoding::RLE | Encoding::PLAIN);
        let encoding = if column.dictionary_page_offset().is_some() {
            None
        } else {
            Some(*encodings.iter().find(of_values).unwrap_or(&Encoding::PLAIN))
        };
        let path = column.column_path().string();
        choice.insert(path.clone(), encoding);
        types.insert(path, column.column_type());
    }
    Ok((choice, types))
}

/// Tries each encoding for each column.
fn best(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    ours: &Choice,
    types: &BTreeMap<String, Type>,
) -> Result<Choice> {
    let mut best = ours.clone();
    for (path, kind) in types {
        let candidates: &[Option<Encoding>] = match kind {
            Type::BOOLEAN => continue,
            Type::BYTE_ARRAY => &[
                None,
                Some(Encoding::PLAIN),
                Some(Encoding::DELTA_LENGTH_BYTE_ARRAY),
                Some(Encoding::DELTA_BYTE_ARRAY),
            ],
            Type::DOUBLE | Type::FLOAT => &[
                None,
                Some(Encoding::PLAIN),
                Some(Encoding::BYTE_STREAM_SPLIT),
            ],
            _ => &[
                None,
                Some(Encoding::PLAIN),
                Some(Encoding::DELTA_BINARY_PACKED),
            ],
        };
        // A column of objects is written whole.
        let name = path.split('.').next().unwrap_or(path);
        let index = schema.index_of(name)?;
        let alone = Arc::new(schema.project(&[index])?);
        let columns: Vec<RecordBatch> = batches
            .iter()
            .map(|batch| batch.project(&[index]))
            .collect::<std::result::Result<_, _>>()?;
        let mut least = f64::MAX;
        for candidate in candidates {
            let mut choice = best.clone();
            choice.insert(path.clone(), *candidate);
            let tries = (0..TRIES)
                .map(|_| write(&alone, &columns, &choice))
                .collect::<Result<Vec<_>>>()?;
            let cpu = tries.iter().map(|it| it.0).fold(f64::MAX, f64::min);
            let product = cpu * tries[0].1 as f64;
            if product < least {
                least = product;
                best.insert(path.clone(), *candidate);
            }
        }
    }
    Ok(best)
}

/// CPU seconds and bytes of writing everything with these encodings.
fn write(schema: &SchemaRef, batches: &[RecordBatch], choice: &Choice) -> Result<(f64, u64)> {
    let start = cpu();
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_dictionary_enabled(false);
    for (path, encoding) in choice {
        properties = encoded(properties, path, *encoding);
    }
    let mut writer = ArrowWriter::try_new(sink(), Arc::clone(schema), Some(properties.build()))?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    Ok((cpu() - start, writer.bytes_written() as u64))
}

fn encoded(
    properties: WriterPropertiesBuilder,
    path: &str,
    encoding: Option<Encoding>,
) -> WriterPropertiesBuilder {
    let path = ColumnPath::new(path.split('.').map(str::to_owned).collect());
    match encoding {
        None => properties.set_column_dictionary_enabled(path, true),
        Some(encoding) => properties.set_column_encoding(path, encoding),
    }
}
