//! The datasets of one connector below one output folder, held by one run.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connector_plan::Field;
use serde_json::Value;

use crate::checkpoint::{self, Checkpoint, Kept};
use crate::disk::{self, Disk, FailPoint};
use crate::journal::Journal;
use crate::layout::{Layout, check_name};
use crate::load::{Load, Prior};
use crate::load_options::LoadOptions;
use crate::lock::Lock;
use crate::publish::{Origin, publish};
use crate::remote::{self, Objects, Remote, work_folder};
use crate::state::{ReadError, ResourceState, State};
use crate::{Error, RunId, SourceId};

/// Who writes.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The connector's name: a folder below the output folder.
    pub connector: String,
    /// Where the rows come from.
    pub source: SourceId,
    /// The run's name; new by default.
    pub run: RunId,
    /// The hash of the specification.
    pub spec_hash: String,
    /// Whether a damaged state file is set aside and begun anew, false by default. For runs that
    /// read every resource with [`LoadOptions::full_refresh`] only: whatever else the folder holds
    /// is no longer known.
    pub repair: bool,
    /// How long a load that did not come to its end can be gone on with; 24 hours by default.
    pub keep_checkpoints: Duration,
    /// The folder in which runs work whose datasets are in an object store; see [`work_folder`].
    pub work: Option<PathBuf>,
    /// The object store itself, in place of the one that the output folder is the address of.
    pub objects: Option<Arc<dyn Objects>>,
    /// Called before every change to the file system; for tests.
    pub fail_point: Option<FailPoint>,
}

impl StoreOptions {
    /// A new run of this connector.
    #[must_use]
    pub fn new(connector: &str, source: SourceId, spec_hash: &str) -> Self {
        Self {
            connector: connector.to_owned(),
            source,
            run: RunId::new(),
            spec_hash: spec_hash.to_owned(),
            repair: false,
            keep_checkpoints: Duration::from_secs(24 * 60 * 60),
            work: None,
            objects: None,
            fail_point: None,
        }
    }
}

/// The datasets of one connector below one output folder, held by one run.
///
/// While it or a [`Load`] of it lives, no other process can open the same folder.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// Opens the folder `out`, creating what is missing: takes the lock, finishes what an
    /// interrupted run had committed, deletes what it had not, and reads the state.
    ///
    /// # Errors
    /// `Conflict` when another run holds the folder, the state or a journal is damaged or newer than
    /// this program, or the folder holds data of a server and the source is the sandbox;
    /// `Destination` when the folder cannot be written; `Configuration` for an unusable name.
    pub fn open(out: &Path, options: StoreOptions) -> Result<Self, Error> {
        let options = StoreOptions {
            source: match options.source {
                SourceId::Origin(url) => SourceId::origin(&url),
                SourceId::Sandbox => SourceId::Sandbox,
            },
            ..options
        };
        let layout = Layout::new(out, &options.connector)?;
        let remote = match options.objects.clone() {
            Some(objects) => Some(Arc::new(Remote::new(out, objects))),
            None => Remote::find(out, &options.connector)?,
        };
        let work = work_folder(out, &options.connector, options.work.as_deref());
        let layout = match &remote {
            Some(_) => layout.with_work(&work),
            None => layout,
        };
        let disk = Disk::new(options.fail_point.clone()).with_remote(remote);
        for folder in [
            layout.control(),
            layout.journals(),
            layout.temporary(),
            layout.runs(),
        ] {
            disk.create_directory(&folder)?;
        }
        let lock = match disk.remote() {
            Some(remote) => remote.take(&layout.lease(), &work, options.run)?,
            None => Lock::take(&layout.lock())?,
        };
        for folder in [&layout.control(), layout.connector(), out] {
            disk.sync_directory(folder)?;
        }
        remote::check_copied(&disk, &layout)?;
        // Without its state nobody knows whether the folder holds real data.
        let may_repair = options.repair && options.source != SourceId::Sandbox;
        let read = State::read(&disk, &layout.state(), &options.connector);
        let (state, is_damaged) = match read {
            Ok(state) => (
                state.unwrap_or_else(|| State::new(&options.connector)),
                false,
            ),
            Err(ReadError::Damaged(_)) if may_repair => (State::new(&options.connector), true),
            Err(error) => return Err(error.into()),
        };
        let shared = Shared {
            layout,
            disk,
            options,
            inner: Mutex::new(Inner {
                state,
                loading: BTreeSet::new(),
                unfinished: BTreeSet::new(),
            }),
            _lock: lock,
        };
        shared.prepare(is_damaged)?;
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The state of a connector below `out`, without taking the lock; `None` when there is none.
    ///
    /// # Errors
    /// When the file is damaged, of a newer version, or cannot be read.
    pub fn read_state(out: &Path, connector: &str) -> Result<Option<State>, Error> {
        let (disk, layout) = disk::reach(out, connector)?;
        State::read(&disk, &layout.state(), connector).map_err(Error::from)
    }

    /// What the connector remembers, as of now.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.inner().state.clone()
    }

    /// What it remembers of one resource; nothing before its first load.
    #[must_use]
    pub fn resource(&self, name: &str) -> Option<ResourceState> {
        self.shared.inner().state.resource(name).cloned()
    }

    /// The run's name.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.shared.options.run
    }

    /// Begins to load a resource. Nothing of the dataset changes before [`Load::commit`].
    ///
    /// # Errors
    /// `Conflict` when the dataset belongs to another source or another specification, or its files
    /// are not those that the state knows; `SchemaContract` when a column has changed its type or
    /// cannot be held by Parquet; `Configuration` when the primary key cannot be used.
    pub fn begin(&self, options: LoadOptions) -> Result<Load, Error> {
        Load::begin(Arc::clone(&self.shared), options)
    }

    /// What a load with these options would add to, for those who know its columns only when they
    /// have read it all. Nothing changes.
    ///
    /// # Errors
    /// As [`Self::begin`], as far as the columns do not matter.
    pub fn prior(&self, options: &LoadOptions) -> Result<Prior, Error> {
        Load::prior(&self.shared, options)
    }

    /// What is kept of a load of this resource that did not come to its end.
    ///
    /// # Errors
    /// `Destination` when it cannot be read; `Configuration` for an unusable name.
    pub fn kept(&self, resource: &str) -> Result<Kept, Error> {
        check_name("resource", resource)?;
        let shared = &self.shared;
        let base = self.resource(resource).map(|known| known.run);
        Checkpoint::find(
            (&shared.disk, &shared.layout),
            &shared.options,
            base,
            resource,
        )
    }

    /// Deletes what is kept of a load of this resource.
    ///
    /// # Errors
    /// `Destination` when it cannot be deleted; `Configuration` for an unusable name.
    pub fn discard_kept(&self, resource: &str) -> Result<(), Error> {
        check_name("resource", resource)?;
        checkpoint::discard(&self.shared.disk, &self.shared.layout, resource)
    }

    /// Deletes what is kept of loads of any resource and has become too old; returns their names.
    ///
    /// # Errors
    /// `Destination` when something cannot be deleted.
    pub fn discard_expired(&self) -> Result<Vec<String>, Error> {
        let shared = &self.shared;
        let keep = shared.options.keep_checkpoints;
        checkpoint::discard_expired(&shared.disk, &shared.layout, keep)
    }

    /// The fields that a resource's dataset has beyond those of the specification, or in wider types;
    /// none when this load begins anew, with `full_refresh` or in place of sample data.
    #[must_use]
    pub fn evolved(&self, resource: &str, full_refresh: bool) -> Vec<Field> {
        let inner = self.shared.inner();
        let known = inner
            .state
            .resource(resource)
            .filter(|known| !full_refresh && known.source.is_same(&self.shared.options.source));
        known.map_or_else(Vec::new, |known| known.evolved.clone())
    }

    /// The folder of a resource's dataset.
    #[must_use]
    pub(crate) fn folder(&self, resource: &str) -> PathBuf {
        self.shared.layout.live(resource)
    }

    /// A folder for what a resource puts aside in this run; it is gone afterwards.
    ///
    /// # Errors
    /// `Destination` when it cannot be made; `Configuration` for an unusable name.
    pub fn aside(&self, resource: &str) -> Result<PathBuf, Error> {
        check_name("resource", resource)?;
        let shared = &self.shared;
        let folder = shared.layout.aside(shared.options.run, resource);
        shared.disk.create_directory(&folder)?;
        Ok(folder)
    }

    /// Forgets where these resources go on, or all of them when none is named, so that the next run
    /// reads from the beginning; the rows stay. Returns the names of those that had such a place.
    ///
    /// # Errors
    /// `Configuration` when nothing is known of a resource; `Destination` when the state cannot be
    /// written. Then nothing has changed.
    pub fn reset(&self, resources: &[&str]) -> Result<Vec<String>, Error> {
        let mut inner = self.shared.inner();
        let mut state = inner.state.clone();
        for name in resources {
            known(&mut state, name)?;
        }
        let mut names = Vec::new();
        for (name, entry) in &mut state.resources {
            let is_meant = resources.is_empty() || resources.contains(&name.as_str());
            if is_meant && entry.cursor.take().is_some() {
                names.push(name.clone());
            }
        }
        if !names.is_empty() {
            self.shared.write_state(&state)?;
        }
        inner.state = state;
        Ok(names)
    }

    /// Sets where the next run of a resource goes on.
    ///
    /// # Errors
    /// As [`Self::reset`].
    pub fn set_cursor(&self, resource: &str, cursor: Option<Value>) -> Result<(), Error> {
        let mut inner = self.shared.inner();
        let mut state = inner.state.clone();
        known(&mut state, resource)?.cursor = cursor;
        self.shared.write_state(&state)?;
        inner.state = state;
        Ok(())
    }

    /// Where it writes, and how.
    pub(crate) fn place(&self) -> (&Disk, &Layout) {
        (&self.shared.disk, &self.shared.layout)
    }
}

fn known<'a>(state: &'a mut State, name: &str) -> Result<&'a mut ResourceState, Error> {
    let names: Vec<String> = state
        .resources
        .keys()
        .map(|name| format!("`{name}`"))
        .collect();
    state.resources.get_mut(name).ok_or_else(|| {
        let error = Error::configuration(format!("the state knows no resource `{name}`"));
        if names.is_empty() {
            error.with_hint("nothing has been loaded yet")
        } else {
            error.with_hint(format!("it knows {}", names.join(", ")))
        }
    })
}

/// What a store and its loads share.
pub(crate) struct Shared {
    pub(crate) layout: Layout,
    pub(crate) disk: Disk,
    pub(crate) options: StoreOptions,
    inner: Mutex<Inner>,
    _lock: Lock,
}

pub(crate) struct Inner {
    pub(crate) state: State,
    /// Resources with a living [`Load`].
    pub(crate) loading: BTreeSet<String>,
    /// Resources with a journal that could not be carried out yet.
    pub(crate) unfinished: BTreeSet<String>,
}

impl Shared {
    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        // The state is replaced as a whole, so it is sound even after a panic elsewhere.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prepare(&self, is_damaged: bool) -> Result<(), Error> {
        let journals = Journal::read_all(&self.disk, &self.layout)?;
        self.disk
            .create_directory(&self.layout.run(self.options.run))?;
        if is_damaged {
            let name = format!("state.damaged-{}.json", self.options.run);
            self.disk
                .rename(&self.layout.state(), &self.layout.control().join(name))?;
        }
        let mut inner = self.inner();
        for journal in &journals {
            tracing::info!(
                resource = journal.resource,
                run = %journal.run,
                "finishing the publication of an interrupted run"
            );
            self.finish(&mut inner, journal, Origin::Found)?;
        }
        if self.options.source == SourceId::Sandbox
            && let Some((name, real)) = inner
                .state
                .resources
                .iter()
                .find(|(_, resource)| resource.source != SourceId::Sandbox)
        {
            return Err(Error::conflict(format!(
                "`{}` holds data of {} (`{name}`), which sample data would replace",
                self.layout.connector().display(),
                real.source
            ))
            .with_hint(
                "configure the server to read from it again, or choose another folder for sample \
                 data with `--out`",
            ));
        }
        if self.disk.remote().is_some() {
            self.disk.remove_directory(&self.layout.all_uploaded())?;
        }
        // The lock is ours, so all that lies here is of runs that ended.
        let own = self.options.run.to_string();
        for name in disk::list(&self.layout.temporary())? {
            if name != own.as_str() {
                self.disk
                    .remove_directory(&self.layout.temporary().join(name))?;
            }
        }
        Ok(())
    }

    /// Carries out a journal to its end.
    pub(crate) fn finish(
        &self,
        inner: &mut Inner,
        journal: &Journal,
        origin: Origin,
    ) -> Result<(), Error> {
        match self.disk.remote() {
            Some(remote) => remote::publish(&self.disk, remote, &self.layout, journal)?,
            None => publish(&self.disk, &self.layout, journal, origin)?,
        }
        let (name, state) = (&journal.resource, journal.state.clone());
        let before = inner.state.resources.insert(name.clone(), state);
        if let Err(error) = self.write_state(&inner.state) {
            // What it says is what is on the disk.
            match before {
                Some(before) => inner.state.resources.insert(name.clone(), before),
                None => inner.state.resources.remove(name),
            };
            return Err(error);
        }
        journal.remove(&self.disk, &self.layout)?;
        inner.unfinished.remove(&journal.resource);
        Ok(())
    }

    fn write_state(&self, state: &State) -> Result<(), Error> {
        let temporary = self.layout.run(self.options.run).join("state.json");
        self.disk
            .replace_file(&self.layout.state(), &temporary, &state.to_json()?)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.inner().unfinished.is_empty() {
            // What stays is deleted by the next run.
            let _ = self
                .disk
                .remove_directory(&self.layout.run(self.options.run));
        }
    }
}
