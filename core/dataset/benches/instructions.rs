//! Decodes or encodes rows, for counting the instructions that each takes: see `.ci/instructions`.
//!
//! `instructions decode|encode flat|nested ROWS`

#[path = "sample/pages.rs"]
mod pages;
#[expect(
    dead_code,
    reason = "the tool that measures with a clock uses the rest"
)]
#[path = "../../../build-tools/src/bench/sample.rs"]
mod sample;

use std::hint::black_box;

use connector_dataset::{LoadOptions, SourceId, Store, StoreOptions};
use connector_plan::WriteDisposition;
use sample::Shape;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let [work, shape, rows] = words.as_slice() else {
        // Started with the other benchmarks.
        return Ok(());
    };
    let (shape, rows): (Shape, u64) = (shape.parse()?, rows.parse()?);
    match work.as_str() {
        "pages" => drop(black_box(pages::bodies(shape, rows).collect::<Vec<_>>())),
        "decode" => drop(black_box(pages::batches(shape, rows))),
        "encode" => encode(shape, rows)?,
        _ => return Err(format!("no work `{work}`").into()),
    }
    Ok(())
}

fn encode(shape: Shape, rows: u64) -> Result<(), Box<dyn std::error::Error>> {
    let (schema, batches) = pages::batches(shape, rows);
    let out = tempfile::tempdir()?;
    let store = Store::open(
        out.path(),
        StoreOptions::new("bench", SourceId::Sandbox, ""),
    )?;
    let options = LoadOptions::new("rows", schema, WriteDisposition::Append);
    let mut load = store.begin(options)?;
    for batch in &batches {
        load.write(batch)?;
    }
    assert_eq!(load.commit(None)?.rows_written, rows);
    Ok(())
}
