//! Publishing a resource whose columns may follow its records: what is beyond them is known at the
//! end.
//!
//! Records are decoded as ever; those with something that may become a column are also kept whole.
//! Batches wait on disk until all are there. Then the fields are grown by the shape of those
//! records, which are decoded again with the new fields, and everything is loaded.

use chrono::Utc;
use std::io::Cursor;
use std::path::PathBuf;
use std::slice::from_ref;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::interleave;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use connector_dataset::{Load, LoadOptions, Store, widen};
use connector_decode::{Decoder, DecoderOptions, RAW_COLUMN, RecordSchema, Report, Shape, regrow};
use connector_plan::{BodyFormat, Contract, ContractMode, Field, Resource, Step};
use tokio::sync::mpsc;

use super::{Reading, ResourceRecord, blocking, publish, timed};
use crate::extract::{Extract, Member};
use crate::infer::Spool;
use crate::meter::Stage;
use crate::secret::Redactor;
use crate::{Error, ErrorKind, Meter, Result, convert};

/// A resource with the fields that earlier runs have added to its dataset.
pub(crate) fn with_evolved(resource: &Resource, evolved: &[Field]) -> Resource {
    Resource {
        fields: regrow(&resource.fields, evolved),
        ..resource.clone()
    }
}

/// The fields that are not declared, or not as they are.
pub(super) fn evolved(declared: &[Field], fields: &[Field]) -> Vec<Field> {
    let is_new = |field: &&Field| !declared.contains(field);
    fields.iter().filter(is_new).cloned().collect()
}

impl Reading<'_> {
    /// Reads the resource, and publishes its dataset with the columns that its records have beyond
    /// those that are known.
    pub(super) async fn publish_evolving(
        &self,
        entry: &mut ResourceRecord,
        shared: Option<Member>,
        options: LoadOptions,
    ) -> Result<()> {
        let with_resource = |error: Error| error.with("resource", &self.resource.name);
        // What stands in the way is told before anything is read.
        let load = self
            .store
            .begin(options.clone())
            .map_err(convert::dataset_error)
            .map_err(with_resource)?;
        let cursors = self
            .cursors(&load, self.context.arguments.full_refresh, Utc::now())
            .map_err(with_resource)?
            .map(Arc::new);
        let path = self
            .store
            .aside(&self.resource.name)
            .map_err(convert::dataset_error)
            .map_err(with_resource)?
            .join("batches.zst");
        let (sender, receiver) = mpsc::channel(2);
        let redactor = self.api.client.0.redactor.clone();
        let joining = {
            let redactor = redactor.clone();
            let meter = Arc::clone(&self.meter);
            tokio::task::spawn_blocking(move || put_aside(path, receiver, &redactor, &meter))
        };
        let limit = self.context.arguments.limit;
        let extracted = {
            // It ends here: nobody who reads the same pages waits for what is written.
            let extract = Extract {
                keeps_whole: true,
                ..self.extract(limit, shared, cursors.clone())
            };
            self.interrupt.or(extract.run(sender)).await
        };
        let aside = joining.await.map_err(|error| {
            Error::new(ErrorKind::Internal, "the records cannot be put aside").caused_by(error)
        })?;
        let aside = aside.map_err(with_resource)?;
        let mut extracted = extracted?;
        self.check_whole().map_err(with_resource)?;
        let sample = limit.is_some() && extracted.stopped;
        let state = self.next_cursor(&load, cursors.as_deref(), sample);
        entry.cursor = cursors.map(|cursors| cursors.record(!sample, state.as_ref()));
        let work = Growth {
            resource: self.resource.clone(),
            declared: self.declared.to_vec(),
            store: self.store.clone(),
            options,
            redactor,
            meter: Arc::clone(&self.meter),
        };
        let (load, mut report) = blocking(move || work.load(load, aside))
            .await?
            .map_err(with_resource)?;
        // The first pass knows where in its page something was.
        for field in &mut report.rescued {
            let mut pending = extracted.report.pending.iter();
            if let Some(first) = pending.find(|first| first.path == field.path) {
                field.sample.clone_from(&first.sample);
                field.record = first.record;
            }
        }
        extracted.add_report(report);
        let meter = Arc::clone(&self.meter);
        let report = blocking(move || timed(&meter, Stage::Publish, || load.commit(state)))
            .await?
            .map_err(convert::dataset_error)
            .map_err(with_resource)?;
        publish(entry, extracted, report);
        Ok(())
    }
}

/// Batches on disk, and the shape of the records that may give columns.
struct Aside {
    spool: Spool,
    shape: Shape,
}

fn put_aside(
    path: PathBuf,
    mut batches: mpsc::Receiver<RecordBatch>,
    redactor: &Redactor,
    meter: &Meter,
) -> Result<Aside> {
    let mut spool = Spool::create(path)?;
    let mut shape = Shape::default();
    while let Some(batch) = batches.blocking_recv() {
        timed(meter, Stage::Decode, || {
            for record in whole(&batch)?.iter().flatten() {
                shape
                    .add_record(record.as_bytes())
                    .map_err(|error| convert::decode_error(error, redactor))?;
            }
            spool.write(&to_bytes(&batch).map_err(internal)?)
        })?;
    }
    Ok(Aside { spool, shape })
}

/// What is needed to load batches whose columns are known now.
struct Growth {
    resource: Resource,
    declared: Vec<Field>,
    store: Store,
    options: LoadOptions,
    redactor: Redactor,
    meter: Arc<Meter>,
}

impl Growth {
    /// Writes everything to a load: the one that has begun, or, where columns have grown, another.
    fn load(mut self, load: Load, mut aside: Aside) -> Result<(Load, Report)> {
        let fields = self.grow(&mut aside, load.keeps_rows())?;
        let mut load = if fields == self.resource.fields {
            load
        } else {
            drop(load);
            self.options.schema = RecordSchema::new(&fields).arrow();
            self.options.evolved = evolved(&self.declared, &fields);
            let begun = self.store.begin(self.options.clone());
            begun.map_err(convert::dataset_error)?
        };
        let mut again = Again::new(&self.resource, &fields, &self.redactor)?;
        aside.spool.read(|block| {
            let batch = timed(&self.meter, Stage::Decode, || {
                again.complete(&from_bytes(block).map_err(internal)?)
            })?;
            timed(&self.meter, Stage::Encode, || load.write(&batch)).map_err(convert::dataset_error)
        })?;
        // What was dropped has been counted when it was read.
        let mut report = again.decoder.report();
        report.discarded_values.clear();
        report.discarded_values_other = 0;
        Ok((load, report))
    }

    /// The fields with what the records have beyond them.
    fn grow(&self, aside: &mut Aside, keeps_rows: bool) -> Result<Vec<Field>> {
        let resource = &self.resource;
        let mut contract = resource.contract.clone();
        for name in fixed(resource) {
            hold(&mut contract, name);
        }
        let mut grown = aside.shape.grow(&resource.fields, &contract);
        // Integers become numbers only when all that are there stay exact.
        for field in &resource.fields {
            let same = |other: &&Field| other.name == field.name;
            if grown.iter().find(same).is_none_or(|other| other == field) {
                continue;
            }
            let in_dataset = !keeps_rows || self.has_exact_integers(field)?;
            if !in_dataset || !stays_exact(&mut aside.spool, field, &grown)? {
                hold(&mut contract, &field.name);
            }
        }
        grown = aside.shape.grow(&resource.fields, &contract);
        if let Some(history) = resource.merge.history() {
            let own = [&history.valid_from, &history.valid_to, &history.row_hash];
            grown.retain(|field| {
                resource.fields.contains(field)
                    || !own
                        .iter()
                        .any(|name| name.eq_ignore_ascii_case(&field.name))
            });
        }
        Ok(apart(resource, grown))
    }

    /// Whether the integers that the dataset holds of a field are all equalled by doubles.
    fn has_exact_integers(&self, field: &Field) -> Result<bool> {
        let resource = &self.resource;
        let columns = match &resource.layout.flatten {
            Some(flatten) => flatten.columns(from_ref(field)),
            None => return self.are_exact(&field.name),
        };
        for column in columns {
            if !self.are_exact(&column.field.name)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn are_exact(&self, column: &str) -> Result<bool> {
        self.store
            .has_exact_integers(&self.resource.name, column)
            .map_err(convert::dataset_error)
    }
}

/// The fields without those whose columns would meet others, or the names of folders: what is in
/// them stays beside the columns.
fn apart(resource: &Resource, grown: Vec<Field>) -> Vec<Field> {
    let mut taken = flat_names(resource, &resource.fields);
    let is_folder = |name: &String| {
        let mut folders = resource.layout.partition_by.iter();
        folders.any(|folder| folder.name.eq_ignore_ascii_case(name))
    };
    let mut kept = Vec::with_capacity(grown.len());
    for field in grown {
        let known = resource
            .fields
            .iter()
            .find(|known| known.name == field.name);
        let own = known.map_or_else(Vec::new, |known| flat_names(resource, from_ref(known)));
        let mut added = flat_names(resource, from_ref(&field));
        added.retain(|name| !own.contains(name));
        let is_double = |(index, name): (usize, &String)| {
            let others = added.iter().take(index).chain(&taken);
            others.into_iter().any(|other| other == name)
        };
        let meets = added.iter().any(is_folder) || added.iter().enumerate().any(is_double);
        if meets {
            kept.extend(known.cloned());
        } else {
            taken.append(&mut added);
            kept.push(field);
        }
    }
    kept
}

/// The names of the columns that fields become.
fn flat_names(resource: &Resource, fields: &[Field]) -> Vec<String> {
    match &resource.layout.flatten {
        Some(flatten) => {
            let columns = flatten.columns(fields).into_iter();
            columns.map(|column| column.field.name).collect()
        }
        None => fields.iter().map(|field| field.name.clone()).collect(),
    }
}

/// The fields by which rows are found, compared and read on, and those that parents give: their
/// types stay.
fn fixed(resource: &Resource) -> Vec<&str> {
    let merge = &resource.merge;
    let sort = merge.dedup_sort.as_ref().map(|sort| &sort.column);
    let names = resource.primary_key.iter().chain(&merge.merge_key);
    let names = names.chain(&merge.hard_delete).chain(sort);
    let mut names: Vec<&str> = names.map(String::as_str).collect();
    if let Some(incremental) = &resource.incremental
        && let Some(Step::Key(name)) = incremental.cursor.first()
    {
        names.push(name);
    }
    names.extend(included(resource));
    names.extend(arranging(resource));
    names
}

/// The fields whose values name folders, and the objects whose members order the rows: another type
/// might not name folders, and has no such members.
fn arranging(resource: &Resource) -> impl Iterator<Item = &str> {
    let layout = &resource.layout;
    let arranges = |field: &&Field| {
        let columns = flat_names(resource, from_ref(field));
        let folders = layout.partition_by.iter().map(|folder| &folder.column);
        let mut folders = folders.filter(|column| columns.contains(column));
        let sorted = layout.sort_by.iter().map(|sort| &sort.column);
        let mut lifted = sorted.filter(|column| **column != field.name && columns.contains(column));
        folders.next().is_some() || lifted.next().is_some()
    };
    let fields = resource.fields.iter().filter(arranges);
    fields.map(|field| field.name.as_str())
}

/// The columns that parents give.
fn included(resource: &Resource) -> impl Iterator<Item = &str> {
    let parents = resource.relations.parents.iter();
    parents
        .flat_map(|parent| &parent.include)
        .map(|include| include.column.as_str())
}

/// The type of a field, and of all its parts, stays.
fn hold(contract: &mut Contract, name: &str) {
    let mut own = contract.field(name);
    hold_all(&mut own);
    contract.fields.insert(name.to_owned(), own);
}

fn hold_all(contract: &mut Contract) {
    contract.data_type = ContractMode::Rescue;
    contract.fields.values_mut().for_each(hold_all);
}

/// Whether the values of a field that wait on disk are all told in its new type.
fn stays_exact(spool: &mut Spool, field: &Field, grown: &[Field]) -> Result<bool> {
    let wider: Vec<Field> = grown
        .iter()
        .filter(|other| other.name == field.name)
        .cloned()
        .collect();
    let schema = RecordSchema::new(&wider).arrow();
    let mut exact = true;
    spool.read(|block| {
        let batch = from_bytes(block).map_err(internal)?;
        let schema_of = batch.schema();
        let index = schema_of.index_of(&field.name).map_err(internal)?;
        let alone = batch.project(&[index]).map_err(internal)?;
        exact &= widen(&alone, &schema).is_ok();
        Ok(())
    })?;
    Ok(exact)
}

/// Decodes whole records again, with all fields.
struct Again<'a> {
    decoder: Decoder,
    schema: SchemaRef,
    /// The columns that are not in the records.
    included: Vec<&'a str>,
    redactor: &'a Redactor,
}

impl<'a> Again<'a> {
    fn new(resource: &'a Resource, fields: &[Field], redactor: &'a Redactor) -> Result<Self> {
        let schema = RecordSchema::new(fields);
        let format = &resource.endpoint.response.format;
        let options = DecoderOptions {
            contract: settled(&resource.contract),
            texts: matches!(format, BodyFormat::Csv(_) | BodyFormat::Xml),
            ..DecoderOptions::default()
        };
        Ok(Self {
            schema: schema.arrow(),
            decoder: Decoder::new(schema, options)
                .map_err(|error| convert::decode_error(error, redactor))?,
            included: included(resource).collect(),
            redactor,
        })
    }

    /// A batch with all columns.
    fn complete(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let whole = whole(batch)?;
        let known: Vec<usize> = (0..batch.num_columns().saturating_sub(1)).collect();
        let plain = batch.project(&known).map_err(internal)?;
        let first = widen(&plain, &self.schema).map_err(convert::dataset_error)?;
        if whole.null_count() == whole.len() {
            return Ok(first);
        }
        let mut page = Vec::new();
        let mut rows = Vec::with_capacity(whole.len());
        let mut count = 0;
        for (row, record) in whole.iter().enumerate() {
            let Some(record) = record else {
                rows.push((0, row));
                continue;
            };
            page.push(if count == 0 { b'[' } else { b',' });
            page.extend_from_slice(record.as_bytes());
            rows.push((1, count));
            count += 1;
        }
        page.push(b']');
        let decode_error = |error| convert::decode_error(error, self.redactor);
        self.decoder.decode_page(&page).map_err(decode_error)?;
        let second = self.decoder.take_batch().map_err(decode_error)?;
        let columns = first.columns().iter().zip(second.columns());
        let columns = columns.zip(self.schema.fields());
        let columns: Vec<ArrayRef> = columns
            .map(|((first, second), field)| {
                if self.included.contains(&field.name().as_str()) {
                    return Ok(Arc::clone(first));
                }
                interleave(&[&**first, &**second], &rows).map_err(internal)
            })
            .collect::<Result<_>>()?;
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(internal)
    }
}

/// A contract for records that have met theirs already: nothing of them is refused now.
fn settled(contract: &Contract) -> Contract {
    let mode = |mode| match mode {
        ContractMode::DiscardValue => ContractMode::DiscardValue,
        _ => ContractMode::Rescue,
    };
    let fields = contract.fields.iter();
    Contract {
        columns: mode(contract.columns),
        data_type: mode(contract.data_type),
        fields: fields
            .map(|(name, contract)| (name.clone(), settled(contract)))
            .collect(),
    }
}

/// The records of a batch that are kept whole.
fn whole(batch: &RecordBatch) -> Result<&arrow::array::StringArray> {
    batch
        .column_by_name(RAW_COLUMN)
        .and_then(|column| column.as_string_opt::<i32>())
        .ok_or_else(|| Error::new(ErrorKind::Internal, "a batch holds no whole records"))
}

fn to_bytes(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref())?;
    writer.write(batch)?;
    writer.into_inner()
}

fn from_bytes(bytes: &[u8]) -> Result<RecordBatch, ArrowError> {
    let mut reader = StreamReader::try_new(Cursor::new(bytes), None)?;
    let missing = || ArrowError::IpcError("a block holds no batch".to_owned());
    reader.next().ok_or_else(missing)?
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the form that `map_err` takes"
)]
fn internal(error: ArrowError) -> Error {
    Error::new(ErrorKind::Internal, "the columns do not form a batch").caused_by(error.to_string())
}
