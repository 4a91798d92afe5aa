//! The floors: a run's parts, each alone in a process of its own.

use std::path::Path;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::compute::sum;
use arrow::datatypes::Int64Type;
use connector_codegen::{LowerOptions, Source, lower};
use connector_dataset::{LoadOptions, SourceId, Store, StoreOptions};
use connector_decode::{Decoder, DecoderOptions, RecordSchema};
use connector_plan::{RESCUED_COLUMN, Resource};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Result;
use super::sample::{Records, Shape, Total};
use super::usage::Measurement;

/// The spec of the connector that is measured.
pub(crate) const SPEC: &str = include_str!("../../bench/spec.yaml");
/// Like the connector, a batch is taken at this many rows.
const BATCH_ROWS: usize = 32 * 1024;

/// What a part works on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work<'a> {
    pub(crate) resource: &'a str,
    pub(crate) shape: Shape,
    pub(crate) rows: u64,
    pub(crate) page: u64,
}

/// Asks for every page and drops the bodies.
pub(crate) fn fetch(work: Work<'_>, url: &str) -> Result<Measurement> {
    let mut measurement = Measurement::default();
    let bytes = measurement.of(|| -> Result<u64> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(fetch_all(work, url))
    })?;
    let mut expected = 0;
    pages(work, |body, _| {
        expected += body.len() as u64;
        Ok(())
    })?;
    // The empty page behind the last one.
    expected += b"{\"records\":[]}".len() as u64;
    if bytes != expected {
        return Err(format!("{bytes} bytes came in, expected {expected}").into());
    }
    measurement.bytes = bytes;
    Ok(measurement)
}

async fn fetch_all(work: Work<'_>, url: &str) -> Result<u64> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut bytes = 0;
    for page in 0..=work.rows.div_ceil(work.page) {
        let offset = page * work.page;
        let url = format!("{url}/records?offset={offset}&limit={}", work.page);
        let mut response = client.get(url).send().await?.error_for_status()?;
        while let Some(chunk) = response.chunk().await? {
            bytes += chunk.len() as u64;
        }
    }
    Ok(bytes)
}

/// Decodes pages that are in memory and drops the batches.
pub(crate) fn decode(work: Work<'_>) -> Result<Measurement> {
    let (mut measurement, mut total) = (Measurement::default(), Total::default());
    measurement.bytes = batches(work, &mut measurement, |batch| total.add(&batch))?;
    total.check(Total::of(work.rows))?;
    Ok(measurement)
}

/// Writes batches that are in memory to a dataset.
pub(crate) fn encode(work: Work<'_>, folder: &Path) -> Result<Measurement> {
    let resource = resource(work.resource)?;
    let mut measurement = Measurement::default();
    let (store, mut load) = measurement.of(|| -> Result<_> {
        let store = Store::open(
            folder,
            StoreOptions::new("bench", SourceId::origin("http://127.0.0.1"), ""),
        )?;
        let schema = RecordSchema::new(&resource.fields).arrow();
        let options = LoadOptions::new(&resource.name, schema, resource.write_disposition);
        let load = store.begin(options)?;
        Ok((store, load))
    })?;
    batches(work, &mut Measurement::default(), |batch| {
        measurement.of(|| {
            load.write(&batch)?;
            drop(batch);
            Ok(())
        })
    })?;
    let report = measurement.of(|| {
        let report = load.commit(None);
        drop(store);
        report
    })?;
    measurement.bytes = report.bytes;
    Ok(measurement)
}

/// Decodes every page, measures just that, and hands the batches on; returns the bytes of the pages.
fn batches(
    work: Work<'_>,
    measurement: &mut Measurement,
    mut take: impl FnMut(RecordBatch) -> Result<()>,
) -> Result<u64> {
    let resource = resource(work.resource)?;
    let mut decoder = Decoder::new(
        RecordSchema::new(&resource.fields),
        DecoderOptions {
            selector: resource.endpoint.data_selector,
            ..DecoderOptions::default()
        },
    )?;
    let mut bytes = 0;
    pages(work, |body, is_last| {
        bytes += body.len() as u64;
        let batch = measurement.of(|| -> Result<_> {
            decoder.decode_page(body)?;
            let full = decoder.rows() >= BATCH_ROWS || is_last;
            Ok(if full {
                Some(decoder.take_batch()?)
            } else {
                None
            })
        })?;
        batch.map_or(Ok(()), &mut take)
    })?;
    Ok(bytes)
}

/// Renders every page and tells of the last one that it is.
fn pages(work: Work<'_>, mut take: impl FnMut(&[u8], bool) -> Result<()>) -> Result<()> {
    let records = Records::new(work.shape, work.rows);
    let mut body = Vec::new();
    let count = work.rows.div_ceil(work.page);
    for page in 0..count {
        body.clear();
        let first = page * work.page;
        let rows = first..work.rows.min(first + work.page);
        records.page(rows, work.rows, &mut body);
        take(&body, page + 1 == count)?;
    }
    Ok(())
}

fn resource(name: &str) -> Result<Resource> {
    match lower(&Source::new("spec.yaml", SPEC), &LowerOptions::new("bench")) {
        Ok((ir, _)) => Ok(ir.plan.resource(name).ok_or("no such resource")?.clone()),
        Err(diagnostics) => Err(diagnostics.to_string().into()),
    }
}

/// Reads all Parquet files below a folder and compares them with what the API has; returns their bytes.
pub(crate) fn check_files(folder: &Path, expect: Total) -> Result<u64> {
    let (mut total, mut bytes) = (Total::default(), 0);
    read_files(folder, &mut total, &mut bytes)?;
    total.check(expect)?;
    Ok(bytes)
}

fn read_files(folder: &Path, total: &mut Total, bytes: &mut u64) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read_files(&path, total, bytes)?;
        } else if path.extension().is_some_and(|end| end == "parquet") {
            let file = std::fs::File::open(path)?;
            *bytes += file.metadata()?.len();
            let reader = ParquetRecordBatchReaderBuilder::try_new(file)?;
            let names = ["number", RESCUED_COLUMN];
            let columns = ProjectionMask::columns(reader.parquet_schema(), names);
            for batch in reader.with_projection(columns).build()? {
                total.add(&batch?)?;
            }
        }
    }
    Ok(())
}

impl Total {
    /// Adds rows, none of which may have lost a value to `_rescued`.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let column = batch.column_by_name("number").ok_or("no column `number`")?;
        let numbers = column
            .as_primitive_opt::<Int64Type>()
            .ok_or("the column `number` has no integers")?;
        let rescued = batch.column_by_name(RESCUED_COLUMN);
        if numbers.null_count() > 0 || rescued.is_some_and(|it| it.null_count() < it.len()) {
            return Err("values are missing or rescued".into());
        }
        self.rows += batch.num_rows() as u64;
        self.sum += sum(numbers).map_or(0, i128::from);
        Ok(())
    }

    /// Compares it with what it has to be.
    pub(crate) fn check(self, expect: Self) -> Result<()> {
        if self == expect {
            return Ok(());
        }
        Err(format!(
            "{} rows whose numbers sum up to {}, expected {} and {}",
            self.rows, self.sum, expect.rows, expect.sum
        )
        .into())
    }
}
