//! What our choice of encodings costs and saves beside the Parquet library's default settings.
//!
//! `cargo bench -p connector-dataset --bench encode -- [ROWS]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

#[expect(dead_code, reason = "another benchmark uses the rest")]
#[path = "sample/records.rs"]
mod records;

use std::io::sink;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use connector_dataset::{LoadOptions, SourceId, Store, StoreOptions, WriterOptions};
use connector_plan::WriteDisposition;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use records::{PAGE, cpu, page};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows: u64 = std::env::args()
        .skip(1)
        .find_map(|word| word.parse().ok())
        .unwrap_or(1_000_000);
    let pages: Vec<_> = (0..rows.div_ceil(PAGE))
        .map(|number| page(number, 0))
        .collect();
    let schema: SchemaRef = pages.first().ok_or("no rows")?.schema();
    println!("{rows} rows of {} columns", schema.fields().len());
    for (name, dictionary) in [
        ("library default, zstd 1", true),
        ("no dictionary, zstd 1", false),
    ] {
        let start = cpu();
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_dictionary_enabled(dictionary)
            .build();
        let mut writer = ArrowWriter::try_new(sink(), Arc::clone(&schema), Some(properties))?;
        for page in &pages {
            writer.write(page)?;
        }
        writer.finish()?;
        println!(
            "{name:24} {:6.2} CPU s {:7.1} MB",
            cpu() - start,
            megabytes(writer.bytes_written() as u64)
        );
    }
    for (name, primary_key) in [
        ("ours", vec![]),
        ("ours, bloom filter on id", vec!["id".to_owned()]),
    ] {
        let out = tempfile::tempdir()?;
        let start = cpu();
        let store = Store::open(
            out.path(),
            StoreOptions::new("bench", SourceId::Sandbox, ""),
        )?;
        let mut load = store.begin(LoadOptions {
            resource: "rows".to_owned(),
            schema: Arc::clone(&schema),
            primary_key,
            disposition: WriteDisposition::Append,
            merge: connector_plan::Merge::default(),
            identity: String::new(),
            full_refresh: false,
            writer: WriterOptions::default(),
            metadata: Vec::new(),
            inferred: None,
            resume: None,
            evolved: Vec::new(),
        })?;
        for page in &pages {
            load.write(page)?;
        }
        let report = load.commit(None)?;
        println!(
            "{name:24} {:6.2} CPU s {:7.1} MB (with files, SHA-256 and fsync)",
            cpu() - start,
            megabytes(report.bytes)
        );
    }
    Ok(())
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
