//! Publishing a resource without a schema: read aside, join what it looks like, then load.

use std::sync::Arc;

use connector_dataset::{Inferred, Load, LoadOptions, LoadReport, Store};
use connector_decode::{RecordSchema, Report, Shape};
use connector_plan::{Field, Resource};
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
        mut options: LoadOptions,
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
        let known = prior.shape.as_ref().map(infer::known).transpose();
        let known = known.map_err(with_resource)?;
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
            let (fields, inferred) = columns(&resource, &mut shape, known.as_ref())?;
            options.inferred = Some(inferred);
            load(&store, options, &fields, spool, &redactor, &meter)
        })
        .await?
        .map_err(with_resource)?;
        extracted.add_report(rescued);
        publish(entry, extracted, report);
        Ok(())
    }
}

/// The dataset's columns and what they are made of, now that all records are known.
fn columns(
    resource: &Resource,
    shape: &mut Shape,
    known: Option<&Shape>,
) -> Result<(Vec<Field>, Inferred)> {
    let mut inferred = Inferred::default();
    let old = match known {
        Some(known) => {
            shape.join(known);
            Some(infer::fields(resource, known)?)
        }
        None => None,
    };
    let fields = infer::fields(resource, shape)?;
    if let Some(old) = old {
        inferred.conversions = infer::conversions(resource, &old, &fields)?;
    }
    inferred.shape = shape.to_json();
    Ok((fields, inferred))
}

fn load(
    store: &Store,
    mut options: LoadOptions,
    fields: &[Field],
    mut spool: Spool,
    redactor: &Redactor,
    meter: &Meter,
) -> Result<(LoadReport, Report)> {
    options.schema = RecordSchema::new(fields).arrow();
    let mut load: Load = store.begin(options).map_err(convert::dataset_error)?;
    let mut blocks = Blocks::new(fields, redactor)?;
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
