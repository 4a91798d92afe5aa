//! What is measured: three parts alone, and the connector that does all of them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arrow::array::{Array as _, RecordBatch};
use arrow::compute::sum;
use arrow::datatypes::Int64Type;
use connector_core::Connector;
use connector_core::cli::main_with;
use connector_dataset::{LoadOptions, SourceId, Store, StoreOptions, WriterOptions};
use connector_decode::{Decoder, DecoderOptions, RecordSchema};
use connector_plan::{RESCUED_COLUMN, Resource};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::Result;
use crate::children::Measurement;
use crate::options::Options;
use crate::sample::{NAME, Pages, plan};
use crate::server::TOKEN;
use crate::usage::{Spent, measure};

/// Like the connector, a batch is taken at this many rows.
const BATCH_ROWS: usize = 32 * 1024;
/// The resource of the parts that are measured alone.
const RESOURCE: &str = "append";

/// Asks for every page and drops the bodies.
pub fn fetch(options: &Options) -> Result<Measurement> {
    let mut spent = Spent::default();
    let bytes = measure(&mut spent, || -> Result<u64> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(fetch_all(options))
    })?;
    let pages = Pages::new(options.rows, options.page);
    let mut body = Vec::new();
    let mut expected = 0;
    for page in 0..=pages.count() {
        body.clear();
        pages.render(page, &mut body);
        expected += body.len() as u64;
    }
    if bytes != expected {
        return Err(format!("{bytes} bytes came in, expected {expected}").into());
    }
    Ok(Measurement {
        spent,
        rows: options.rows,
        bytes,
        ..Measurement::default()
    })
}

async fn fetch_all(options: &Options) -> Result<u64> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut bytes = 0;
    for page in 0..=options.rows.div_ceil(options.page) {
        let offset = page * options.page;
        let url = format!(
            "{}/v1/records?offset={offset}&limit={}",
            options.url, options.page
        );
        let request = client.get(url).bearer_auth(TOKEN);
        let mut response = request.send().await?.error_for_status()?;
        while let Some(chunk) = response.chunk().await? {
            bytes += chunk.len() as u64;
        }
    }
    Ok(bytes)
}

/// Decodes pages that are in memory and drops the batches.
pub fn decode(options: &Options) -> Result<Measurement> {
    let (mut spent, mut total) = (Spent::default(), Total::default());
    let bytes = batches(options, &mut spent, |batch| total.add(&batch))?;
    total.check(&Pages::new(options.rows, options.page))?;
    Ok(Measurement {
        spent,
        rows: total.rows,
        bytes,
        ..Measurement::default()
    })
}

/// Writes batches that are in memory to a dataset.
pub fn encode(options: &Options) -> Result<Measurement> {
    let resource = resource(options)?;
    let mut spent = Spent::default();
    let (store, mut load) = measure(&mut spent, || -> Result<_> {
        let store = Store::open(
            &options.folder,
            StoreOptions::new(NAME, SourceId::origin("http://127.0.0.1"), ""),
        )?;
        let load = store.begin(LoadOptions {
            resource: resource.name.clone(),
            schema: RecordSchema::new(&resource.fields).arrow(),
            primary_key: resource.primary_key.clone(),
            disposition: resource.write_disposition,
            merge: resource.merge.clone(),
            identity: resource.identity.clone(),
            full_refresh: false,
            writer: WriterOptions::default(),
            metadata: Vec::new(),
            inferred: None,
            resume: None,
            evolved: Vec::new(),
        })?;
        Ok((store, load))
    })?;
    batches(options, &mut Spent::default(), |batch| {
        measure(&mut spent, || {
            load.write(&batch)?;
            drop(batch);
            Ok(())
        })
    })?;
    let report = measure(&mut spent, || {
        let report = load.commit(None);
        drop(store);
        report
    })?;
    Ok(Measurement {
        spent,
        rows: report.rows_written,
        bytes: report.bytes,
        ..Measurement::default()
    })
}

/// Decodes every page, measures just that, and hands the batches on; returns the bytes of the pages.
fn batches(
    options: &Options,
    spent: &mut Spent,
    mut take: impl FnMut(RecordBatch) -> Result<()>,
) -> Result<u64> {
    let resource = resource(options)?;
    let pages = Pages::new(options.rows, options.page);
    let mut decoder = Decoder::new(
        RecordSchema::new(&resource.fields),
        DecoderOptions {
            selector: resource.endpoint.data_selector,
            ..DecoderOptions::default()
        },
    )?;
    let mut body = Vec::new();
    let mut bytes = 0;
    for page in 0..pages.count() {
        body.clear();
        pages.render(page, &mut body);
        bytes += body.len() as u64;
        let batch = measure(spent, || -> Result<_> {
            decoder.decode_page(&body)?;
            let full = decoder.rows() >= BATCH_ROWS || page + 1 == pages.count();
            Ok(if full {
                Some(decoder.take_batch()?)
            } else {
                None
            })
        })?;
        if let Some(batch) = batch {
            take(batch)?;
        }
    }
    Ok(bytes)
}

fn resource(options: &Options) -> Result<Resource> {
    let plan = plan(options.page)?;
    let resource = plan.resource(RESOURCE).ok_or("no such resource")?;
    Ok(resource.clone())
}

/// The connector as its `main` runs it.
pub fn run(resource: &str, options: &Options) -> Result<(ExitCode, Measurement)> {
    let connector = Connector {
        name: NAME,
        version: env!("CARGO_PKG_VERSION"),
        plan: plan(options.page)?.to_json()?.leak(),
    };
    let out = options.folder.clone().into_os_string();
    let words = ["connector", "--progress", "none", "--resource", resource];
    let words = words.into_iter().map(OsString::from);
    let arguments = words.chain([OsString::from("--out"), out]);
    let mut spent = Spent::default();
    let code = measure(&mut spent, || {
        main_with(
            &connector,
            |_, _| Err("the benchmark has its own server".to_owned()),
            arguments,
        )
    });
    let measurement = Measurement {
        spent,
        ..Measurement::default()
    };
    Ok((code, measurement))
}

/// Reads a dataset back and compares it with what the API has; returns its bytes.
pub fn check_dataset(folder: &Path, resource: &str, options: &Options) -> Result<u64> {
    let mut total = Total::default();
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder.join(NAME).join(resource))? {
        let path: PathBuf = entry?.path();
        let file = std::fs::File::open(path)?;
        bytes += file.metadata()?.len();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let columns = ProjectionMask::columns(reader.parquet_schema(), ["number", RESCUED_COLUMN]);
        for batch in reader.with_projection(columns).build()? {
            total.add(&batch?)?;
        }
    }
    total.check(&Pages::new(options.rows, options.page))?;
    Ok(bytes)
}

/// What batches sum up to.
#[derive(Debug, Default)]
struct Total {
    rows: u64,
    sum: i128,
}

impl Total {
    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let column = |name| batch.column_by_name(name).ok_or("a column is missing");
        let numbers = arrow::array::AsArray::as_primitive::<Int64Type>(column("number")?);
        let rescued = column(RESCUED_COLUMN)?;
        if numbers.null_count() > 0 || rescued.null_count() < rescued.len() {
            return Err("values were rescued".into());
        }
        self.rows += batch.num_rows() as u64;
        self.sum += sum(numbers).map_or(0, i128::from);
        Ok(())
    }

    fn check(&self, pages: &Pages) -> Result<()> {
        if (self.rows, self.sum) == (pages.rows(), pages.sum()) {
            return Ok(());
        }
        Err(format!(
            "{} rows whose numbers sum up to {}, expected {} and {}",
            self.rows,
            self.sum,
            pages.rows(),
            pages.sum()
        )
        .into())
    }
}
