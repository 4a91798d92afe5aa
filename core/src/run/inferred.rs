//! Publishing a resource without a schema: read aside, join what it looks like, then load.

use std::sync::Arc;

use connector_dataset::{Inferred, Load, LoadOptions, LoadReport, Store};
use connector_decode::{RecordSchema, Report, Shape};
use connector_plan::Resource;
use tokio::sync::mpsc;

use super::{Reading, ResourceRecord, blocking, publish, timed};
use crate::extract::Member;
use crate::infer::{self, Blocks, Inference, Spool};
use crate::meter::Stage;
use crate::secret::Redactor;
use crate::{Error, ErrorKind, Meter, Result, convert};

impl Reading<'_> {
    /// Reads the resource, and publishes its dataset with the columns that its records need.
    pub(super) async fn publish_inferred(
        &self,
        entry: &mut ResourceRecord,
        shared: Option<Member>,
        options: LoadOptions,
    ) -> Result<()> {
        let resource = self.resource.clone();
        let name = resource.name.clone();
        let with_resource = |error: Error| error.with("resource", &name);
        let store = self.store.clone();
        // What stands in the way is told before anything is read.
        let prior = store
            .prior(&options)
            .map_err(convert::dataset_error)
            .map_err(with_resource)?;
        let known = prior.shape.as_ref().and_then(Shape::from_json);
        let path = store
            .aside(&name)
            .map_err(convert::dataset_error)
            .map_err(with_resource)?
            .join("records.zst");
        let redactor = self.api.client.0.redactor.clone();
        let (sender, mut receiver) = mpsc::channel(2);
        // Encoding waits for nobody's network: it has a thread of its own.
        let joining = {
            let (resource, redactor) = (resource.clone(), redactor.clone());
            let meter = Arc::clone(&self.meter);
            tokio::task::spawn_blocking(move || -> Result<(Shape, Spool)> {
                let mut spool = Spool::create(path)?;
                let mut inference = Inference::new(&resource, &redactor);
                while let Some(batch) = receiver.blocking_recv() {
                    timed(&meter, Stage::Decode, || {
                        inference.add(&batch, |block| spool.write(block))
                    })?;
                }
                let shape = inference.finish(|block| spool.write(block))?;
                Ok((shape, spool))
            })
        };
        let limit = self.context.arguments.limit;
        let extracted = {
            // It ends here: nobody who reads the same pages waits for what is written.
            let extract = self.extract(limit, shared, None);
            self.interrupt.or(extract.run(sender)).await
        };
        let joined = joining.await.map_err(|error| {
            Error::new(ErrorKind::Internal, "the records cannot be put aside").caused_by(error)
        })?;
        // Records that could not be put aside end the reading too: theirs is the cause.
        let (mut shape, spool) = joined.map_err(with_resource)?;
        let mut extracted = extracted?;
        self.check_whole().map_err(with_resource)?;
        let meter = Arc::clone(&self.meter);
        let (report, rescued) = blocking(move || {
            let inferred = columns(&resource, &mut shape, known.as_ref())?;
            load(
                &resource, &store, options, inferred, spool, &redactor, &meter,
            )
        })
        .await?
        .map_err(with_resource)?;
        extracted.add_report(rescued);
        publish(entry, extracted, report);
        Ok(())
    }
}

/// What the dataset's columns are to be made of, now that all records are known.
fn columns(resource: &Resource, shape: &mut Shape, known: Option<&Shape>) -> Result<Inferred> {
    let mut inferred = Inferred::default();
    if let Some(known) = known {
        let old = infer::fields(resource, known)?;
        shape.join(known);
        let new = infer::fields(resource, shape)?;
        inferred.conversions = infer::conversions(resource, &old, &new)?;
    }
    inferred.shape = shape.to_json();
    Ok(inferred)
}

fn load(
    resource: &Resource,
    store: &Store,
    mut options: LoadOptions,
    inferred: Inferred,
    mut spool: Spool,
    redactor: &Redactor,
    meter: &Meter,
) -> Result<(LoadReport, Report)> {
    let shape = Shape::from_json(&inferred.shape).unwrap_or_default();
    let fields = infer::fields(resource, &shape)?;
    options.schema = RecordSchema::new(&fields).arrow();
    options.inferred = Some(inferred);
    let mut load: Load = store.begin(options).map_err(convert::dataset_error)?;
    let mut blocks = Blocks::new(&fields, redactor)?;
    let mut write =
        |batch| timed(meter, Stage::Encode, || load.write(&batch)).map_err(convert::dataset_error);
    spool.read(
        |block| match timed(meter, Stage::Decode, || blocks.add(block))? {
            Some(batch) => write(batch),
            None => Ok(()),
        },
    )?;
    let (last, report) = blocks.finish()?;
    if let Some(batch) = last {
        write(batch)?;
    }
    let commit = || load.commit(None);
    let loaded = timed(meter, Stage::Publish, commit).map_err(convert::dataset_error)?;
    Ok((loaded, report))
}
