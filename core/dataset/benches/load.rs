//! What loads cost: CPU seconds, peak memory and bytes of append, merge and merge again.
//!
//! `cargo bench -p connector-dataset --bench load -- [ROWS]`; making the sample records is measured
//! alone and taken off.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

#[path = "sample/records.rs"]
mod records;

use std::path::Path;

use connector_dataset::{Error, LoadOptions, SourceId, Store, StoreOptions};
use connector_plan::WriteDisposition::{self, Append, Merge};
use records::{PAGE, cpu, forget_peak, page, peak};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows: u64 = std::env::args()
        .skip(1)
        .find_map(|word| word.parse().ok())
        .unwrap_or(1_000_000);
    let pages = rows.div_ceil(PAGE);
    let start = cpu();
    (0..pages).for_each(|number| drop(std::hint::black_box(page(number, 0))));
    let making = (cpu() - start) / pages as f64;
    println!(
        "{rows} rows; making them takes {:.2} CPU s; base memory {} MiB",
        making * pages as f64,
        peak()
    );
    let out = tempfile::tempdir()?;
    let all: Vec<u64> = (0..pages).collect();
    let spread: Vec<u64> = (0..pages).step_by(100).collect();
    let at_end: Vec<u64> = (pages - pages.div_ceil(100)..pages).collect();
    measure(
        out.path(),
        "append to nothing",
        "appended",
        Append,
        (&all, 0),
        making,
    )?;
    measure(
        out.path(),
        "merge into nothing",
        "merged",
        Merge,
        (&all, 0),
        making,
    )?;
    measure(
        out.path(),
        "merge again, unchanged",
        "merged",
        Merge,
        (&all, 0),
        making,
    )?;
    measure(
        out.path(),
        "merge 1 %, newest",
        "merged",
        Merge,
        (&at_end, 1),
        making,
    )?;
    measure(
        out.path(),
        "merge 1 %, everywhere",
        "merged",
        Merge,
        (&spread, 2),
        making,
    )?;
    Ok(())
}

fn measure(
    out: &Path,
    name: &str,
    resource: &str,
    disposition: WriteDisposition,
    (pages, version): (&[u64], u64),
    making: f64,
) -> Result<(), Error> {
    forget_peak();
    let (start, clock) = (cpu(), std::time::Instant::now());
    let store = Store::open(out, StoreOptions::new("bench", SourceId::Sandbox, ""))?;
    let mut load = store.begin(LoadOptions {
        primary_key: vec!["id".to_owned()],
        ..LoadOptions::new(resource, page(0, 0).schema(), disposition)
    })?;
    for number in pages {
        load.write(&page(*number, version))?;
    }
    let staged = cpu() - start;
    let report = load.commit(None)?;
    let making = making * pages.len() as f64;
    println!(
        "{name:24} {:6.2} CPU s ({:.2} of it in commit) {:6.2} s wall {:4} MiB peak {:7.1} MB dataset \
         in {} files, {} rows, {} updated",
        cpu() - start - making,
        cpu() - start - staged,
        clock.elapsed().as_secs_f64(),
        peak(),
        report.bytes as f64 / 1e6,
        store
            .state()
            .resources
            .get(resource)
            .map_or(0, |resource| resource.files.len()),
        report.rows_written,
        report.updated,
    );
    Ok(())
}
