//! Going on with a run that did not come to its end: what is kept of it, and who uses it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::compute::cast;
use chrono::{DateTime, Utc};
use connector_dataset::{Checkpoint, Kept, Load};
use connector_decode::RecordSchema;
use connector_plan::{Resource, SettingRole};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Reading, Writer, blocking};
use crate::cli::console::Console;
use crate::cli::table::count;
use crate::cursor::Cursors;
use crate::extract::{Delivery, Extracted, Member, Position, Tracking};
use crate::secret::Redactor;
use crate::settings::SettingValue;
use crate::{Error, ErrorKind, Json, Result, convert};

/// How much of a run's time may lie between two checkpoints, as a fraction: a long run has few
/// files more than a short one.
const SPACING: u32 = 20;

/// What a run did not have to read again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ResumedRecord {
    /// The run that has kept it.
    pub run: String,
    /// When.
    pub saved_at: DateTime<Utc>,
    /// Its pages.
    pub pages: u64,
    /// Its records.
    pub rows: u64,
}

/// A load that an earlier run has kept, and where its reading goes on.
#[derive(Debug)]
pub(super) struct Resumption {
    pub kept: Checkpoint,
    pub position: Position,
}

impl Resumption {
    pub(super) fn record(&self) -> ResumedRecord {
        ResumedRecord {
            run: self.kept.run.to_string(),
            saved_at: self.kept.saved_at,
            pages: self.position.read().0,
            rows: self.kept.rows,
        }
    }
}

/// All records of a resource, written aside.
pub(super) struct Staged {
    pub load: Load,
    pub extracted: Extracted,
    pub cursors: Option<Arc<Cursors>>,
}

/// Why a resource could not be read.
pub(super) struct Unread {
    pub error: Error,
    /// Whether the API does not go on where the earlier run has come to.
    pub is_rejected: bool,
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Self {
            error,
            is_rejected: false,
        }
    }
}

impl Reading<'_> {
    /// Whether what is read is kept, should the run not come to its end.
    fn is_kept(&self) -> bool {
        let arguments = &self.context.arguments;
        // A sample ends on purpose.
        arguments.limit.is_none() && !arguments.resume_within.is_zero()
    }

    /// What there is to go on with; a note says why something that is kept is not used.
    pub(super) async fn resumption(&self) -> Result<Option<Resumption>> {
        let name = &self.resource.name;
        if !self.is_kept() {
            return Ok(None);
        }
        let (store, resource) = (self.store.clone(), name.clone());
        if self.context.arguments.full_refresh {
            blocking(move || store.discard_kept(&resource))
                .await?
                .map_err(convert::dataset_error)?;
            return Ok(None);
        }
        let kept = blocking(move || store.kept(&resource))
            .await?
            .map_err(convert::dataset_error)?;
        let reason = match kept {
            Kept::Nothing => return Ok(None),
            Kept::Unusable(reason) => reason,
            Kept::Usable(kept) => match Position::deserialize(&kept.position) {
                Err(_) => "it cannot be read".to_owned(),
                Ok(position) if position.asked != self.asked(&position.salt) => {
                    "the settings, the range or the cursor are other ones now".to_owned()
                }
                Ok(position) => {
                    let kept = *kept;
                    let resumption = Resumption { kept, position };
                    self.announce(&resumption);
                    return Ok(Some(resumption));
                }
            },
        };
        self.context.console.note(&format!(
            "{name}: what an earlier run has kept is not used ({reason}): reading from the beginning"
        ));
        Ok(None)
    }

    fn announce(&self, resumption: &Resumption) {
        let Resumption { kept, .. } = resumption;
        let (pages, _) = resumption.position.read();
        let refresh = if kept.full_refresh {
            ", a full refresh"
        } else {
            ""
        };
        self.context.console.note(&format!(
            "{}: going on where run {}{refresh} has come to at {}: {} records of {} pages are not read again",
            self.resource.name,
            kept.run,
            kept.saved_at.format("%Y-%m-%d %H:%M:%S UTC"),
            count(kept.rows),
            count(pages),
        ));
    }

    /// A salted SHA-256 of what is asked for beside the spec, in hexadecimal. Credentials are part
    /// of it: with other ones the API may show the records of another account.
    fn asked(&self, salt: &str) -> String {
        let client = &self.api.client.0;
        let inputs = client.plan.settings.iter();
        let settings: Vec<(&str, Option<Json>)> = inputs
            .filter(|setting| setting.role == SettingRole::Input)
            .map(|setting| {
                let value = client.settings.get(&setting.name);
                (setting.name.as_str(), value.map(SettingValue::to_json))
            })
            .collect();
        let before = self.store.resource(&self.resource.name);
        let text = format!(
            "{salt} {} {settings:?} {:?} {:?}",
            client.site.base().path(),
            self.asked,
            before.as_ref().and_then(|before| before.cursor.as_ref()),
        );
        let hash = Sha256::digest(text.as_bytes());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads the resource and writes its records aside.
    pub(super) async fn stage(
        &self,
        shared: Option<Member>,
        resumption: Option<Resumption>,
        anew: bool,
    ) -> Result<Staged, Unread> {
        let resource = self.resource;
        let with_resource = |error: Error| error.with("resource", &resource.name);
        let arguments = &self.context.arguments;
        let mut options = self.load_options(anew);
        let salt = Uuid::new_v4().simple().to_string();
        let mut position = Position {
            asked: self.asked(&salt),
            salt,
            began: Utc::now(),
            ..Position::default()
        };
        let resumes = resumption.is_some();
        if let Some(resumption) = resumption {
            options.full_refresh = resumption.kept.full_refresh;
            options.resume = Some(resumption.kept);
            position = resumption.position;
        }
        let anew = options.full_refresh;
        let store = self.store.clone();
        let mut load = blocking(move || store.begin(options))
            .await?
            .map_err(|error| Unread {
                error: with_resource(convert::dataset_error(error)),
                // Without what is kept it may begin.
                is_rejected: resumes,
            })?;
        let began = position.began;
        let cursors = self.cursors(&load, anew, began).map_err(with_resource)?;
        let cursors = cursors.map(Arc::new);
        if resumes && self.has_children() {
            load = self.tell_children(load).await.map_err(|error| Unread {
                error,
                is_rejected: true,
            })?;
        }
        let interval = arguments.checkpoint_interval;
        let resume = resumes.then(|| position.clone());
        let keeper = Keeper {
            position,
            interval,
            is_on: self.is_kept(),
            is_whole: true,
            is_new: false,
            has_kept: false,
            began: Instant::now(),
            last: Instant::now(),
            resource: resource.name.clone(),
            redactor: self.api.client.0.redactor.clone(),
            console: self.context.console.clone(),
        };
        // Two batches wait at most; the encoder works on its own core.
        let (sender, receiver) = mpsc::channel(2);
        let writer = Writer::start(load, receiver, keeper, &self.meter)?;
        let (extracted, is_rejected) = {
            // It ends here: nobody who reads the same pages waits for what is written.
            let mut extract = self.extract(arguments.limit, shared, cursors.clone());
            extract.tracking = self.is_kept().then(|| Tracking::new(interval, resume));
            let extracted = self.interrupt.or(extract.run_tracked(sender)).await;
            let tracking = extract.tracking.as_ref();
            (extracted, tracking.is_some_and(Tracking::is_rejected))
        };
        // A writer that failed ends the reading too: its error is the cause.
        let (mut load, mut keeper) = writer.finish().await.map_err(with_resource)?;
        match extracted {
            Ok(extracted) => {
                // Publishing may take long, too.
                if keeper.is_due() {
                    load = blocking(move || keeper.keep(&mut load).map(|_| load))
                        .await?
                        .map_err(convert::dataset_error)
                        .map_err(with_resource)?;
                }
                Ok(Staged {
                    load,
                    extracted,
                    cursors,
                })
            }
            Err(error) => {
                if !is_rejected {
                    blocking(move || keeper.end(&mut load)).await?;
                }
                Err(Unread { error, is_rejected })
            }
        }
    }

    fn has_children(&self) -> bool {
        let mut children = self.family.order().iter();
        children.any(|child| {
            let mut parents = child.relations.parents.iter();
            parents.any(|parent| parent.resource == self.resource.name)
        })
    }

    /// Takes what children need from the records that an earlier run has read.
    async fn tell_children(&self, mut load: Load) -> Result<Load> {
        let (sender, mut receiver) = mpsc::channel(1);
        let reading = blocking(move || -> Result<Load> {
            for batch in load.rows_kept().map_err(convert::dataset_error)? {
                let batch = batch.map_err(convert::dataset_error)?;
                if sender.blocking_send(batch).is_err() {
                    break;
                }
            }
            Ok(load)
        });
        let telling = async {
            while let Some(batch) = receiver.recv().await {
                let batch = as_read(&batch, self.resource)?;
                self.family.collect(&self.resource.name, &batch);
            }
            Ok::<_, Error>(())
        };
        let (load, told) = tokio::join!(reading, telling);
        told?;
        load?
    }
}

/// Rows of a dataset with the columns that they were read with.
fn as_read(batch: &RecordBatch, resource: &Resource) -> Result<RecordBatch> {
    let internal = |error| {
        Error::new(
            ErrorKind::Internal,
            "records that were kept cannot be read back",
        )
        .caused_by(error)
    };
    let schema = RecordSchema::new(&resource.fields).arrow();
    let columns = schema.fields().iter().map(|field| {
        let index = batch.schema_ref().index_of(field.name())?;
        cast(batch.column(index), field.data_type())
    });
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(internal)?;
    RecordBatch::try_new(schema, columns).map_err(internal)
}

/// Keeps what a load has, beside its writer, so that another run can go on with it.
#[derive(Debug)]
pub(super) struct Keeper {
    position: Position,
    interval: Duration,
    is_on: bool,
    /// Whether the position tells of every record that has been written.
    is_whole: bool,
    /// Whether there is anything that is not kept yet.
    is_new: bool,
    /// Whether this run has kept anything.
    has_kept: bool,
    began: Instant,
    last: Instant,
    resource: String,
    redactor: Redactor,
    console: Console,
}

impl Keeper {
    /// Writes what has been delivered, and keeps it now and then.
    pub(super) fn take(
        &mut self,
        load: &mut Load,
        delivery: Delivery,
    ) -> Result<(), connector_dataset::Error> {
        let Delivery { batch, event } = delivery;
        if let Some(batch) = &batch {
            load.write(batch)?;
        }
        self.is_whole = event.is_some() || (self.is_whole && batch.is_none());
        self.is_new |= event.is_some();
        if let Some(event) = event {
            self.position.apply(event);
        }
        if self.is_due() {
            self.keep(load)?;
        }
        Ok(())
    }

    fn is_due(&self) -> bool {
        let spacing = if self.interval.is_zero() {
            Duration::ZERO
        } else {
            self.interval.max(self.began.elapsed() / SPACING)
        };
        self.is_on && self.is_whole && self.is_new && self.last.elapsed() >= spacing
    }

    /// Keeps what has been written so far, where that can be.
    fn keep(&mut self, load: &mut Load) -> Result<(), connector_dataset::Error> {
        self.last = Instant::now();
        let Some(position) = self.position.to_json(&self.redactor) else {
            tracing::info!(
                resource = self.resource,
                "what has been read cannot be kept: the next request holds what may be a secret, or its paginator cannot say where it is"
            );
            return Ok(());
        };
        let kept = load.checkpoint(position);
        self.settle(kept)
    }

    /// Nothing is lost by a store that cannot be reached for a while: the next time everything is
    /// kept that has been read until then.
    fn settle(
        &mut self,
        kept: Result<bool, connector_dataset::Error>,
    ) -> Result<(), connector_dataset::Error> {
        match kept {
            Ok(is_on) => {
                self.is_on = is_on;
                self.is_new = false;
                self.has_kept = is_on;
                Ok(())
            }
            Err(error) if error.is_transient() => {
                tracing::warn!(
                    resource = self.resource,
                    "what has been read is not kept yet, which is tried again: {error}"
                );
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Keeps what has been written by a run that does not come to its end, and says so.
    pub(super) fn end(&mut self, load: &mut Load) {
        let (pages, rows) = self.position.read();
        if self.is_on && self.is_whole && self.is_new && rows > 0 {
            // The run has failed already: that is what is told.
            let _ = self.keep(load);
        }
        if self.has_kept && !self.is_new {
            self.console.note(&format!(
                "{}: {} records of {} pages are kept: the next run goes on from there",
                self.resource,
                count(rows),
                count(pages),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::ops::Range;
    use std::path::Path;

    use bytes::Bytes;
    use connector_dataset::{Condition, Found, Objects, SourceId, Store, StoreOptions, Tag};

    use super::*;

    /// A store whose lease cannot be read, or is damaged.
    #[derive(Debug)]
    struct Broken(Result<&'static str, io::ErrorKind>);

    impl Broken {
        fn fail<T>(&self) -> io::Result<T> {
            Err(self.0.err().unwrap_or(io::ErrorKind::TimedOut).into())
        }
    }

    impl Objects for Broken {
        fn list(&self, _: &str) -> io::Result<Vec<Found>> {
            self.fail()
        }

        fn length(&self, _: &str) -> io::Result<Option<u64>> {
            self.fail()
        }

        fn get(&self, _: &str) -> io::Result<Option<(Bytes, Tag)>> {
            let content = self.0.or_else(|_| self.fail())?;
            Ok(Some((Bytes::from(content), Tag::default())))
        }

        fn get_range(&self, _: &str, _: Range<u64>) -> io::Result<Bytes> {
            self.fail()
        }

        fn put(&self, _: &str, _: Bytes, _: &Condition) -> io::Result<Option<Tag>> {
            self.fail()
        }

        fn upload(&self, _: &Path, _: &str) -> io::Result<()> {
            self.fail()
        }

        fn copy(&self, _: &str, _: &str) -> io::Result<()> {
            self.fail()
        }

        fn delete(&self, _: &[String]) -> io::Result<()> {
            self.fail()
        }
    }

    fn error(objects: Broken) -> connector_dataset::Error {
        let work = tempfile::tempdir().unwrap();
        let source = SourceId::origin("https://api.example/v1");
        let options = StoreOptions {
            work: Some(work.path().to_owned()),
            objects: Some(Arc::new(objects)),
            ..StoreOptions::new("shop", source, "hash")
        };
        Store::open(Path::new("s3://bucket/x"), options).unwrap_err()
    }

    #[test]
    fn a_store_that_cannot_be_reached_for_a_while_ends_no_reading() {
        #[track_caller]
        fn check(broken: Result<&'static str, io::ErrorKind>, goes_on: bool) {
            let mut keeper = Keeper {
                position: Position::default(),
                interval: Duration::ZERO,
                is_on: true,
                is_whole: true,
                is_new: true,
                has_kept: false,
                began: Instant::now(),
                last: Instant::now(),
                resource: "items".to_owned(),
                redactor: Redactor::default(),
                console: Console::new(false),
            };
            let settled = keeper.settle(Err(error(Broken(broken))));
            assert_eq!(settled.is_ok(), goes_on, "{settled:?}");
            // It is due again.
            assert!(keeper.is_due() && !keeper.has_kept);
            keeper.settle(Ok(true)).unwrap();
            assert!(!keeper.is_due() && keeper.has_kept);
        }
        check(Err(io::ErrorKind::TimedOut), true);
        check(Err(io::ErrorKind::Other), true);
        check(Err(io::ErrorKind::PermissionDenied), false);
        // Whose lease it is, nobody knows.
        check(Ok("{}"), false);
    }
}
