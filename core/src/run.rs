//! A run: every selected resource read, decoded, written aside and published.

mod dead;
mod evolving;
mod history;
mod inferred;
mod instant;
mod interrupt;
mod record;
mod resume;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use chrono::{DateTime, Utc};
use connector_dataset::{
    Load, LoadOptions, LoadReport, SourceId, Store, StoreOptions, WriterOptions,
};
use connector_decode::RecordSchema;
use connector_plan::{ContractMode, Field, Resource, WriteDisposition};
use futures_util::future::join_all;
use tokio::sync::mpsc;

pub(crate) use self::evolving::with_evolved;
pub(crate) use self::history::History;
use self::interrupt::Interrupt;
pub use self::record::{
    ErrorRecord, RECORD_VERSION, ReadingRecord, RescuedRecord, ResourceRecord, RunRecord,
    RunStatus, StageSeconds, Status, WaitRecord,
};
pub use self::resume::ResumedRecord;
use self::resume::{Keeper, Resumption, Staged};
use crate::cli::context::{Api, Context, interrupt as interrupt_error};
use crate::cli::progress::Progress;
use crate::cli::summary;
use crate::cursor::{Asked, Before, Cursors, no_cursor};
use crate::extract::{Delivery, Extract, Extracted, Lazy, Member, Supply};
use crate::meter::Stage;
use crate::partition::Family;
use crate::{Error, ErrorKind, Json, Meter, Result, convert};

/// The memory that a run takes whatever it reads, in bytes: connections, buffers, what the allocator
/// does not give back. A debug build was measured with 56 MiB.
const PROCESS_BYTES: usize = 64 << 20;

/// The records that are kept; a run deletes the oldest beyond them.
pub(crate) const RECORDS_KEPT: usize = 1_000;

/// The command that runs without a subcommand.
pub(crate) async fn command(context: &Context<'_>) -> Result<ExitCode> {
    let selected = context.selected()?;
    if context.arguments.dry_run {
        return dry_run(context, &selected);
    }
    let interrupt = Interrupt::listen();
    let api = context.api()?;
    let source = match &api.sandbox {
        Some(_) => SourceId::Sandbox,
        None => SourceId::origin(api.client.0.site.base().as_str()),
    };
    let mut options =
        StoreOptions::new(&context.plan.name, source.clone(), &context.plan.spec_hash);
    // Everything is read again: a state that cannot be trusted is set aside, not trusted.
    options.repair = context.arguments.full_refresh && context.arguments.resources.is_empty();
    options.keep_checkpoints = context.arguments.resume_within;
    options.work.clone_from(&context.arguments.work_dir);
    let out = api.out.clone();
    let store = interrupt
        .or(blocking(move || Store::open(&out, options)))
        .await?
        .map_err(convert::dataset_error)?;
    let asked = asked(context, &selected)?;
    dead::settle(&store)?;
    let mut record = RunRecord::start(context, &source, store.run());
    // Should the process be killed, this tells that it was there.
    store
        .write_run_record(&record)
        .map_err(convert::dataset_error)?;
    let mut first_error = resources(
        context,
        &api,
        &store,
        &selected,
        &asked,
        &interrupt,
        &mut record,
    )
    .await;
    context.console.attach(None);
    for entry in &mut record.resources {
        let warnings = summary::warnings(entry, &selected);
        entry.warnings.extend(warnings);
    }
    let mut code = record.finish(first_error);
    // The file that was asked for comes first: when it cannot be written, the kept record says so.
    if let Some(path) = &context.arguments.report
        && let Err(error) = write_report(path, &record.to_json()?)
    {
        context.console.error(&error);
        record.error = Some(ErrorRecord::new(&error));
        first_error.get_or_insert(error.kind());
        code = record.finish(first_error);
    }
    store
        .write_run_record(&record)
        .map_err(convert::dataset_error)?;
    match store.discard_expired() {
        Ok(names) => {
            for name in names {
                tracing::info!(resource = name, "what an earlier run had kept is too old");
            }
        }
        Err(error) => tracing::warn!("{error}; what earlier runs had kept is left"),
    }
    if let Err(error) = store.prune_run_records(RECORDS_KEPT) {
        tracing::warn!("{error}; old run records are left");
    }
    context.console.result(&summary::table(&record))?;
    summary::notes(&record, &selected, &api, &context.console);
    Ok(ExitCode::from(code))
}

/// Reads and publishes the resources, and notes each in the record; gives the first error.
async fn resources(
    context: &Context<'_>,
    api: &Api,
    store: &Store,
    selected: &[Resource],
    asked: &Asked,
    interrupt: &Interrupt,
    record: &mut RunRecord,
) -> Option<ErrorKind> {
    let progress = Progress::new(context.arguments.progress, &context.console);
    let mut first_error: Option<ErrorKind> = None;
    let mut interrupted = None;
    let full_refresh = context.arguments.full_refresh;
    let evolved: Vec<Resource> = selected
        .iter()
        .map(|resource| {
            let evolved = store.evolved(&resource.name, full_refresh);
            with_evolved(resource, &evolved)
        })
        .collect();
    let names = selected.iter().map(|resource| resource.name.as_str());
    let family = Family::new(&context.plan, names);
    // With a limit, what only children need is read as far as they need it.
    let is_lazy = |resource: &Resource| {
        context.arguments.limit.is_some()
            && !selected.iter().any(|known| known.name == resource.name)
    };
    let memory = context.arguments.memory.saturating_sub(PROCESS_BYTES);
    let supply = Supply::new(&api.client.0, &family, is_lazy, Arc::default);
    for group in groups(&family, is_lazy) {
        let readings =
            Member::group(group.len())
                .into_iter()
                .zip(&group)
                .map(|(member, resource)| {
                    let same = |known: &&Resource| known.name == resource.name;
                    let reading = Reading {
                        context,
                        api,
                        store,
                        family: &family,
                        lazy: supply.of(resource),
                        declared: &resource.fields,
                        resource: evolved.iter().find(same).unwrap_or(resource),
                        asked,
                        wanted: selected.iter().any(|known| known.name == resource.name),
                        meter: Arc::new(Meter::default()),
                        interrupt,
                        // The other half is for pages and batches on their way.
                        memory_bytes: memory / 2 / group.len(),
                    };
                    let shared = (group.len() > 1).then_some(member);
                    reading.run(&progress, shared)
                });
        for (entry, outcome) in join_all(readings).await {
            if let Err(error) = outcome {
                family.fail(&entry.name, &error);
                if entry.status == Status::Interrupted {
                    // Told once, for all of them.
                    interrupted = Some(error.kind());
                } else {
                    context.console.error(&error);
                    first_error.get_or_insert(error.kind());
                }
            }
            record.resources.push(entry);
        }
        if let Some(kind) = interrupted {
            context.console.error(&interrupt_error(kind));
            first_error = interrupted;
            break;
        }
        // Nobody gets in with these credentials: asking again for every resource helps nobody.
        if first_error == Some(ErrorKind::Authentication) {
            break;
        }
    }
    for supplied in supply.finish() {
        let mut entry = ResourceRecord::new(supplied.resource);
        entry.supplied(&supplied.meter, supplied.outcome);
        record.resources.push(entry);
    }
    let read: Vec<String> = record
        .resources
        .iter()
        .map(|entry| entry.name.clone())
        .collect();
    let left = family.order().iter();
    for resource in left.filter(|resource| !read.contains(&resource.name)) {
        record.resources.push(ResourceRecord::new(resource));
    }
    first_error
}

/// The reading of one resource in a run.
struct Reading<'a> {
    context: &'a Context<'a>,
    api: &'a Api,
    store: &'a Store,
    family: &'a Family<'a>,
    lazy: Lazy<'a>,
    /// With the fields that its dataset has beyond those that are declared.
    resource: &'a Resource,
    declared: &'a [Field],
    asked: &'a Asked,
    /// Whether its dataset is published, or only its children need it.
    wanted: bool,
    meter: Arc<Meter>,
    interrupt: &'a Interrupt,
    /// The memory that its load may take, and its pages and batches once more.
    memory_bytes: usize,
}

/// Resources that are made from the same listings stand together: their pages are fetched once.
fn groups<'p>(family: &Family<'p>, is_lazy: impl Fn(&Resource) -> bool) -> Vec<Vec<&'p Resource>> {
    // What is read only as far as it is needed is needed at different times.
    let by_itself = |resource: &Resource| {
        let mut parents = resource.relations.parents.iter();
        parents.any(|parent| {
            let mut order = family.order().iter();
            order.any(|other| other.name == parent.resource && is_lazy(other))
        })
    };
    let mut groups: Vec<Vec<&Resource>> = Vec::new();
    for resource in family.order().iter().copied() {
        if is_lazy(resource) {
            continue;
        }
        let same = groups.iter_mut().find(|group| {
            group
                .iter()
                .all(|other| resource.shares_requests(other) && !by_itself(resource))
        });
        match same {
            Some(group) => group.push(resource),
            None => groups.push(vec![resource]),
        }
    }
    groups
}

impl<'a> Reading<'a> {
    async fn run(
        self,
        progress: &Progress,
        shared: Option<Member>,
    ) -> (ResourceRecord, Result<()>) {
        let shown = progress.start(&self.resource.name, &self.meter);
        let started = Instant::now();
        let mut entry = ResourceRecord::new(self.resource);
        let outcome = if self.wanted {
            self.publish(&mut entry, shared).await
        } else {
            self.for_children(&mut entry, shared).await
        };
        match &outcome {
            Ok(()) => shown.finish(if self.wanted { "published" } else { "read" }),
            Err(error) => {
                shown.finish("failed");
                entry.fail(error);
            }
        }
        entry.finish(&self.meter, started.elapsed());
        (entry, outcome)
    }

    /// Reads the resource and publishes its dataset.
    async fn publish(&self, entry: &mut ResourceRecord, shared: Option<Member>) -> Result<()> {
        let resource = self.resource;
        let with_resource = |error: Error| error.with("resource", &resource.name);
        let arguments = &self.context.arguments;
        check_limit(arguments.limit, self.store, resource)?;
        let options = self.load_options(arguments.full_refresh);
        if resource.inferred {
            return self.publish_inferred(entry, shared, options).await;
        }
        if resource.contract.has(ContractMode::Evolve) {
            return self.publish_evolving(entry, shared, options).await;
        }
        let mut resumption = self.resumption().await.map_err(with_resource)?;
        // Who passes over partitions would let those wait who read them.
        let skips = resumption.is_some() && !resource.relations.is_empty();
        let mut shared = shared.filter(|_| !skips);
        // A refresh remains one when it has to begin again.
        let kept = resumption.as_ref().map(|resumption| &resumption.kept);
        let anew = arguments.full_refresh || kept.is_some_and(|kept| kept.full_refresh);
        let staged = loop {
            entry.resumed = resumption.as_ref().map(Resumption::record);
            match self.stage(shared.take(), resumption.take(), anew).await {
                Ok(staged) => break staged,
                Err(unread) if unread.is_rejected => {
                    let name = &resource.name;
                    let reason = unread.error;
                    let warning = format!(
                        "the API does not go on where the earlier run had come to ({reason}): reading from the beginning"
                    );
                    self.context.console.note(&format!("{name}: {warning}"));
                    entry.warnings.push(warning);
                    self.family.forget(name);
                }
                Err(unread) => return Err(unread.error),
            }
        };
        let Staged {
            load,
            extracted,
            cursors,
        } = staged;
        if let Err(error) = self.check_whole() {
            // What was passed over would be passed over again.
            let (store, name) = (self.store.clone(), resource.name.clone());
            blocking(move || store.discard_kept(&name))
                .await?
                .map_err(convert::dataset_error)?;
            return Err(with_resource(error));
        }
        // A sample says nothing about where to go on.
        let sample = arguments.limit.is_some() && extracted.stopped;
        let state = self.next_cursor(&load, cursors.as_deref(), sample);
        entry.cursor = cursors.map(|cursors| cursors.record(!sample, state.as_ref()));
        let meter = Arc::clone(&self.meter);
        let report = blocking(move || timed(&meter, Stage::Publish, || load.commit(state)))
            .await?
            .map_err(convert::dataset_error)
            .map_err(with_resource)?;
        publish(entry, extracted, report);
        Ok(())
    }

    /// Where the next run goes on; a sample changes nothing of it.
    fn next_cursor(&self, load: &Load, cursors: Option<&Cursors>, sample: bool) -> Option<Json> {
        match cursors {
            _ if self.resource.write_disposition == WriteDisposition::Replace => None,
            Some(_) if sample => load.cursor().cloned(),
            Some(cursors) => cursors.state(),
            None => None,
        }
    }

    /// What was passed over must not look like what the API no longer has.
    ///
    /// # Errors
    /// When rows would be retired because of it.
    fn check_whole(&self) -> Result<()> {
        let resource = self.resource;
        let history = resource.merge.history();
        let retires = history.is_some_and(|history| history.retire_absent);
        if !retires || rows(self.store, resource) == 0 {
            return Ok(());
        }
        let Some(passed_over) = self.family.passed_over(resource) else {
            return Ok(());
        };
        Err(Error::new(
            ErrorKind::Source,
            format!("{passed_over}: `retire_absent` would retire the rows of what was not read"),
        )
        .hint("have all of it read: no action `ignore`, `on_parent_error: skip` or `new_only`; or remove `retire_absent`"))
    }

    /// Where the resource goes on, when it has a cursor.
    fn cursors(
        &self,
        load: &Load,
        full_refresh: bool,
        began: DateTime<Utc>,
    ) -> Result<Option<Cursors>> {
        let resource = self.resource;
        let arguments = &self.context.arguments;
        let existing = self.store.resource(&resource.name);
        let anew = full_refresh || load.replaces_sample_data();
        let children = self.family.order().iter();
        let mut parents = children.flat_map(|child| &child.relations.parents);
        let before = Before {
            state: load.cursor(),
            rows: existing.filter(|_| !anew).map_or(0, |state| state.rows),
            whole: parents.any(|parent| parent.resource == resource.name && !parent.new_only),
            limited: arguments.limit.is_some(),
            published: true,
            began: Some(began),
        };
        let none = Asked::default();
        let asked = match &resource.incremental {
            Some(_) => self.asked,
            None => &none,
        };
        Cursors::new(resource, &self.api.client.0, asked, anew, before)
    }

    /// Reads the resource for the values that its children need; nothing is written.
    async fn for_children(&self, entry: &mut ResourceRecord, shared: Option<Member>) -> Result<()> {
        let client = &self.api.client.0;
        let cursors = Cursors::by_itself(self.resource, client, &Asked::default())?;
        let extract = self.extract(None, shared, cursors);
        let extracted = self.interrupt.or(extract.run_for_children()).await?;
        entry.status = Status::Read;
        entry.read(extracted);
        Ok(())
    }

    fn load_options(&self, full_refresh: bool) -> LoadOptions {
        let mut options = load_options(self.resource, self.declared, full_refresh);
        options.writer.memory_bytes = self.memory_bytes;
        options
    }

    fn extract(
        &self,
        limit: Option<u64>,
        shared: Option<Member>,
        cursors: Option<Arc<Cursors>>,
    ) -> Extract<'a> {
        Extract {
            client: &self.api.client.0,
            resource: self.resource,
            family: self.family,
            shared,
            limit,
            cursors,
            meter: Arc::clone(&self.meter),
            lazy: self.lazy.clone(),
            tracking: None,
            keeps_whole: false,
            memory_bytes: self.memory_bytes,
        }
    }
}

/// How a resource is loaded, whose fields are more or wider than those that are declared.
pub(crate) fn load_options(
    resource: &Resource,
    declared: &[Field],
    full_refresh: bool,
) -> LoadOptions {
    let schema = RecordSchema::new(&resource.fields).arrow();
    LoadOptions {
        primary_key: resource.primary_key.clone(),
        merge: resource.merge.clone(),
        identity: resource.identity.clone(),
        full_refresh,
        writer: WriterOptions::from(&resource.layout),
        evolved: evolving::evolved(declared, &resource.fields),
        ..LoadOptions::new(&resource.name, schema, resource.write_disposition)
    }
}

fn publish(entry: &mut ResourceRecord, extracted: Extracted, report: LoadReport) {
    entry.status = Status::Published;
    entry.read(extracted);
    entry.load = Some(report);
}

/// The part that `--since` and `--until` ask for.
///
/// # Errors
/// When none of the resources has a cursor.
fn asked(context: &Context<'_>, selected: &[Resource]) -> Result<Asked> {
    let input = |text: &Option<String>| text.as_deref().map(Into::into);
    let asked = Asked {
        since: input(&context.arguments.since),
        until: input(&context.arguments.until),
    };
    if asked.is_all() {
        return Ok(asked);
    }
    if let Some(first) = selected.first()
        && selected
            .iter()
            .all(|resource| resource.incremental.is_none())
    {
        return Err(no_cursor(&first.name));
    }
    for resource in selected {
        if resource.incremental.is_none() {
            context.console.note(&format!(
                "note: {}: has no incremental cursor and is read in full",
                resource.name
            ));
        }
    }
    Ok(asked)
}

/// The rows of the dataset that a resource has.
fn rows(store: &Store, resource: &Resource) -> u64 {
    store.resource(&resource.name).map_or(0, |state| state.rows)
}

/// A sample may add to a dataset, but never take its place.
fn check_limit(limit: Option<u64>, store: &Store, resource: &Resource) -> Result<()> {
    let existing = rows(store, resource);
    let retires = resource.merge.history();
    let retires = retires.is_some_and(|history| history.retire_absent);
    let harm = if resource.write_disposition == WriteDisposition::Replace {
        format!("`--limit` would replace the {existing} records of the dataset by fewer")
    } else if retires {
        "`--limit` would retire the rows of all records that it leaves out".to_owned()
    } else {
        return Ok(());
    };
    if limit.is_none() || existing == 0 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Configuration, harm)
        .with("resource", &resource.name)
        .hint("write the sample elsewhere with `--out`, or look at it with `preview`"))
}

/// Encodes batches on a thread of its own.
#[derive(Debug)]
struct Writer(Option<WriterThread>);

type WriterThread = thread::JoinHandle<Result<(Load, Keeper), connector_dataset::Error>>;

impl Writer {
    fn start(
        mut load: Load,
        mut deliveries: mpsc::Receiver<Delivery>,
        mut keeper: Keeper,
        meter: &Arc<Meter>,
    ) -> Result<Self> {
        let meter = Arc::clone(meter);
        thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                while let Some(delivery) = deliveries.blocking_recv() {
                    timed(&meter, Stage::Encode, || keeper.take(&mut load, delivery))?;
                }
                Ok((load, keeper))
            })
            .map(|thread| Self(Some(thread)))
            .map_err(|error| {
                Error::new(ErrorKind::Internal, "the writer thread cannot be started")
                    .caused_by(error)
            })
    }

    /// Waits for the last batch. Every sender is gone by now, so the thread ends.
    async fn finish(mut self) -> Result<(Load, Keeper)> {
        let thread = self.0.take();
        match blocking(|| thread.map(WriterThread::join)).await? {
            Some(Ok(written)) => written.map_err(convert::dataset_error),
            // A panic of the writer is a defect: it goes on to the caller instead of being hidden.
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Err(Error::new(
                ErrorKind::Internal,
                "the writer has already ended",
            )),
        }
    }
}

impl Drop for Writer {
    /// An interrupted run waits for its writer, and keeps what has been written.
    fn drop(&mut self) {
        if let Some(thread) = self.0.take()
            && let Ok(Ok((mut load, mut keeper))) = thread.join()
        {
            keeper.end(&mut load);
        }
    }
}

/// Does work of a stage, and adds the time it takes.
fn timed<T>(meter: &Meter, stage: Stage, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    meter.spend(stage, started.elapsed());
    result
}

/// Runs file work beside the runtime's own threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(ErrorKind::Internal, "file work failed").caused_by(error))
}

fn write_report(path: &PathBuf, json: &serde_json::Value) -> Result<()> {
    std::fs::write(path, format!("{json:#}\n")).map_err(|error| {
        Error::new(ErrorKind::Destination, "the report cannot be written")
            .with("file", path.display())
            .caused_by(error)
    })
}

/// Prints what a run would do.
fn dry_run(context: &Context<'_>, selected: &[Resource]) -> Result<ExitCode> {
    let configured = context.configured()?;
    let out = context.out(&configured);
    let base = if configured.any {
        let client = context.client(configured.settings, None)?;
        client.0.redactor.url(client.0.site.base())
    } else {
        "the built-in sandbox (nothing is configured)".to_owned()
    };
    let mut text = format!("reads {base}\n");
    for resource in selected {
        let folder = out.join(&context.plan.name).join(&resource.name);
        let disposition = if context.arguments.full_refresh {
            "full refresh"
        } else {
            resource.write_disposition.as_str()
        };
        text.push_str(&format!(
            "  {} ─► {} ({disposition})\n",
            resource.name,
            display_folder(&folder)
        ));
    }
    text.push_str("dry run: nothing was sent, nothing was written\n");
    context.console.result(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn display_folder(folder: &Path) -> String {
    format!("{}/", folder.display())
}
