//! One run at a time in an object store, and the commit point of its loads.
//!
//! A store has no locks, and a lease alone is not safe: a run that was stopped for longer than its
//! lease lasts would go on as if it still held it. So the lease and the journals of its loads are
//! one object, `_connector/lease.json`, of which every change is a conditional put: whoever takes
//! over changes it, and from then on nothing that the earlier holder commits can succeed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::failed;
use super::objects::{Condition, Objects, Tag};
use crate::journal::Journal;
use crate::state::json;
use crate::{Error, ErrorKind, RunId};

/// The version of the object's own format.
const VERSION: u32 = 1;
/// How long a lease lasts that is not renewed.
const LASTS: Duration = Duration::from_secs(120);
const RENEWED_EVERY: Duration = Duration::from_secs(30);
const RETRIED_AFTER: Duration = Duration::from_secs(5);
/// What is left of a lease when something is changed: no request takes longer, retries included.
const MARGIN: Duration = Duration::from_secs(60);
/// How often others may be faster before this run gives up.
const TRIES: usize = 4;

/// What the object says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Control {
    version: u32,
    /// Grows with every change, so that no two of them have the same tag.
    revision: u64,
    /// The run that holds the folder; null when none does.
    holder: Option<Holder>,
    /// The loads that are being published, by resource.
    journals: BTreeMap<String, Journal>,
}

/// The run that holds the folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Holder {
    run: RunId,
    /// The process, for people.
    process: String,
    /// The name of its working folder, which has a lock of its own.
    place: String,
    since: DateTime<Utc>,
    expires: DateTime<Utc>,
}

impl Control {
    fn parse(content: &[u8], path: &Path) -> Result<Self, Error> {
        let damaged = || {
            Error::conflict(format!("the lease `{}` is damaged", path.display())).with_hint(
                "when no other run is under way, delete this object and read every resource again \
                 with `--full-refresh`",
            )
        };
        let control: Self =
            serde_json::from_slice(content).map_err(|source| damaged().with_source(source))?;
        let are_sound =
            |(name, journal): (&String, &Journal)| *name == journal.resource && journal.is_sound();
        if control.version == VERSION && control.journals.iter().all(are_sound) {
            Ok(control)
        } else {
            Err(damaged())
        }
    }
}

/// Whether the content of a lease says that a load is being published.
pub(super) fn is_publishing(content: &[u8]) -> bool {
    let control: Result<Control, _> = serde_json::from_slice(content);
    control.is_ok_and(|control| !control.journals.is_empty())
}

/// Holds the folder until it is dropped, or somebody takes over when it has not been renewed.
#[derive(Debug)]
pub(super) struct Lease {
    held: Arc<Held>,
    renewal: Option<(Sender<()>, JoinHandle<()>)>,
}

/// Where a lease lies, and what is known of it.
#[derive(Debug)]
struct Held {
    objects: Arc<dyn Objects>,
    key: String,
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    control: Control,
    tag: Tag,
    renewed: (Instant, SystemTime),
    /// What may have been written since, on the condition of this tag.
    unclear: Vec<(Bytes, Control)>,
    /// Why nothing can be changed any more.
    lost: Option<String>,
}

/// Who asks for a lease.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) run: RunId,
    pub(super) place: String,
    pub(super) host: Option<String>,
}

impl Lease {
    /// Takes the lease, from another run only when that has not renewed it in time or was on this
    /// machine, in the same working folder, and is dead.
    pub(super) fn take(
        objects: &Arc<dyn Objects>,
        key: &str,
        path: &Path,
        asker: &Asker,
    ) -> Result<Self, Error> {
        let process = match &asker.host {
            Some(host) => format!("process {} on {host}", std::process::id()),
            None => format!("process {}", std::process::id()),
        };
        let failed = |source| failed("take the lease", path, source);
        for _ in 0..TRIES {
            let renewed = (Instant::now(), SystemTime::now());
            let now = Utc::now();
            let (mut control, condition) = match objects.get(key).map_err(failed)? {
                None => {
                    let journals = BTreeMap::new();
                    let control = Control {
                        version: VERSION,
                        revision: 0,
                        holder: None,
                        journals,
                    };
                    (control, Condition::Absent)
                }
                Some((content, tag)) => (Control::parse(&content, path)?, Condition::Matches(tag)),
            };
            if let Some(holder) = &control.holder
                && holder.place != asker.place
                && holder.expires > now
            {
                return Err(is_held(holder, path, now));
            }
            if let Some(holder) = &control.holder {
                tracing::warn!(run = %holder.run, "taking over from a run that has ended without a word");
            }
            control.revision += 1;
            control.holder = Some(Holder {
                run: asker.run,
                process: process.clone(),
                place: asker.place.clone(),
                since: now,
                expires: now + TimeDelta::from_std(LASTS).unwrap_or_default(),
            });
            let content = Bytes::from(json(&control)?);
            let Some(tag) = objects
                .put(key, content.clone(), &condition)
                .map_err(failed)?
            else {
                continue;
            };
            let held = Arc::new(Held {
                objects: Arc::clone(objects),
                key: key.to_owned(),
                path: path.to_owned(),
                known: Mutex::new(Known {
                    control,
                    tag: tag.clone(),
                    renewed,
                    unclear: Vec::new(),
                    lost: None,
                }),
            });
            held.change(|_| ())?;
            held.check_conditions(content, tag)?;
            let mut lease = Self {
                held: Arc::clone(&held),
                renewal: None,
            };
            lease.renewal = Some(held.renew_always()?);
            return Ok(lease);
        }
        Err(Error::conflict(format!(
            "other runs are taking the lease `{}` all the time",
            path.display()
        ))
        .with_hint("wait until they have ended"))
    }

    /// Whether a run holds the folder at this moment.
    pub(super) fn is_held(objects: &dyn Objects, key: &str, path: &Path) -> Result<bool, Error> {
        let found = objects.get(key);
        let found = found.map_err(|source| failed("read", path, source))?;
        let Some((content, _)) = found else {
            return Ok(false);
        };
        let holder = Control::parse(&content, path)?.holder;
        Ok(holder.is_some_and(|holder| holder.expires > Utc::now()))
    }

    /// The loads that are being published.
    pub(super) fn journals(&self) -> Result<Vec<Journal>, Error> {
        let is_clear = self.held.known().unclear.is_empty();
        if !is_clear {
            self.held.change(|_| ())?;
        }
        let known = self.held.known();
        Ok(known.control.journals.values().cloned().collect())
    }

    /// Whether a load of this resource has been committed, or may have been.
    pub(super) fn may_hold(&self, resource: &str) -> bool {
        let known = self.held.known();
        let unclear = known.unclear.iter().map(|(_, control)| control);
        let mut possible = unclear.chain([&known.control]);
        known.lost.is_none() && possible.any(|control| control.journals.contains_key(resource))
    }

    /// Makes sure that what is changed next is changed while the lease holds.
    pub(super) fn guard(&self) -> Result<(), Error> {
        let is_fresh = {
            let known = self.held.known();
            known.lost.is_none() && known.is_fresh()
        };
        if is_fresh {
            return Ok(());
        }
        self.held.change(|_| ())
    }

    /// The commit point of a load.
    pub(super) fn commit(&self, journal: &Journal) -> Result<(), Error> {
        self.held.change(|control| {
            let name = journal.resource.clone();
            control.journals.insert(name, journal.clone());
        })
    }

    /// Forgets a journal that has been carried out.
    pub(super) fn forget(&self, resource: &str) -> Result<(), Error> {
        self.held.change(|control| {
            control.journals.remove(resource);
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some((stop, renewal)) = self.renewal.take() {
            drop(stop);
            let _ = renewal.join();
        }
        let is_lost = self.held.known().lost.is_some();
        if !is_lost && let Err(error) = self.held.change(|control| control.holder = None) {
            tracing::warn!("{error}; the next run may have to wait until the lease has expired");
        }
    }
}

impl Known {
    fn settle(&mut self, control: Control, tag: Tag, renewed: (Instant, SystemTime)) {
        self.control = control;
        self.tag = tag;
        self.renewed = renewed;
        self.unclear.clear();
    }

    /// Whether enough is left of the lease. A machine that slept stops one clock or the other.
    fn is_fresh(&self) -> bool {
        let enough = LASTS.saturating_sub(MARGIN);
        let (instant, time) = self.renewed;
        let slept = time.elapsed().unwrap_or(Duration::MAX);
        instant.elapsed() < enough && slept < enough
    }
}

impl Held {
    fn known(&self) -> MutexGuard<'_, Known> {
        // It is replaced as a whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the object, and renews the lease with it. A change that nobody can tell the outcome
    /// of is remembered: all that follow are made on the same condition, so that the next one which
    /// succeeds, or is refused, tells it.
    fn change(&self, change: impl Fn(&mut Control)) -> Result<(), Error> {
        let mut known = self.known();
        if let Some(reason) = &known.lost {
            return Err(self.is_lost(reason));
        }
        let mut error = None;
        for _ in 0..TRIES {
            let renewed = (Instant::now(), SystemTime::now());
            let mut control = known.control.clone();
            change(&mut control);
            control.revision += 1 + known.unclear.len() as u64;
            if let Some(holder) = &mut control.holder {
                holder.expires = Utc::now() + TimeDelta::from_std(LASTS).unwrap_or_default();
            }
            let content = Bytes::from(json(&control)?);
            let condition = Condition::Matches(known.tag.clone());
            match self.put(&content, &condition) {
                Ok(Put::Done(tag)) => {
                    known.settle(control, tag, renewed);
                    return Ok(());
                }
                // Refused though nothing has changed, as stores do that are busy with another put of
                // the same object: perhaps an earlier attempt of this one.
                Ok(Put::Refused(Some((_, tag)))) if tag == known.tag => {
                    known.unclear.push((content, control));
                }
                Ok(Put::Refused(Some((found, tag)))) => {
                    let mut unclear = known.unclear.iter();
                    let Some((_, earlier)) = unclear.find(|(content, _)| *content == found) else {
                        let by = Control::parse(&found, &self.path).ok();
                        let by = by.and_then(|control| control.holder).map_or_else(
                            || "another run has held it since".to_owned(),
                            |holder| format!("{} has taken over", holder.process),
                        );
                        return Err(self.lose(&mut known, by));
                    };
                    let earlier = earlier.clone();
                    known.settle(earlier, tag, renewed);
                }
                Ok(Put::Refused(None)) => {
                    return Err(self.lose(&mut known, "it has been deleted".to_owned()));
                }
                Err(source) => {
                    known.unclear.push((content, control));
                    error = Some(source);
                }
            }
        }
        let error = error.unwrap_or_else(|| io::ErrorKind::TimedOut.into());
        Err(failed("write", &self.path, error))
    }

    /// One conditional put, and if it is refused what is there. A put that was sent twice is refused
    /// the second time: then what is there is what was to be written.
    fn put(&self, content: &Bytes, condition: &Condition) -> io::Result<Put> {
        if let Some(tag) = self.objects.put(&self.key, content.clone(), condition)? {
            return Ok(Put::Done(tag));
        }
        Ok(match self.objects.get(&self.key)? {
            Some((found, tag)) if found == *content => Put::Done(tag),
            found => Put::Refused(found),
        })
    }

    /// Some stores take a conditional put for a plain one: there nothing would be safe.
    fn check_conditions(&self, first: Bytes, first_tag: Tag) -> Result<(), Error> {
        let now = {
            let known = self.known();
            Bytes::from(json(&known.control)?)
        };
        for (content, condition) in [
            (now, Condition::Absent),
            (first, Condition::Matches(first_tag)),
        ] {
            let put = self.objects.put(&self.key, content, &condition);
            if put
                .map_err(|source| failed("write", &self.path, source))?
                .is_some()
            {
                let mut known = self.known();
                known.lost = Some("the store ignores conditions".to_owned());
                return Err(Error::new(
                    ErrorKind::Destination,
                    format!(
                        "the store of `{}` ignores the conditions of conditional puts \
                         (`If-Match`, `If-None-Match`), without which two runs would destroy each \
                         other's data",
                        self.path.display()
                    ),
                )
                .with_hint(
                    "use a store that has them, as S3, Google Cloud Storage, Azure, Cloudflare R2 and \
                     newer versions of MinIO do, or write to a folder and copy it",
                ));
            }
        }
        Ok(())
    }

    fn lose(&self, known: &mut Known, reason: String) -> Error {
        let error = self.is_lost(&reason);
        known.lost = Some(reason);
        error
    }

    fn is_lost(&self, reason: &str) -> Error {
        Error::conflict(format!(
            "this run does not hold the lease `{}` any more: {reason}",
            self.path.display()
        ))
        .with_hint(
            "what it had not committed is lost; run again when no other run is under way: this one \
             did not renew its lease in time, perhaps because its machine slept or had no network",
        )
    }

    /// Renews the lease until the sender is dropped.
    fn renew_always(self: &Arc<Self>) -> Result<(Sender<()>, JoinHandle<()>), Error> {
        let (stop, stopped) = mpsc::channel();
        let held = Arc::clone(self);
        let renew = move || {
            let mut pause = RENEWED_EVERY;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                pause = match held.change(|_| ()) {
                    Ok(()) => RENEWED_EVERY,
                    Err(error) => {
                        tracing::warn!("{error}");
                        if held.known().lost.is_some() {
                            return;
                        }
                        RETRIED_AFTER
                    }
                };
            }
        };
        let thread = thread::Builder::new().name("lease".to_owned()).spawn(renew);
        let thread = thread.map_err(|source| failed("renew", &self.path, source))?;
        Ok((stop, thread))
    }
}

/// What became of a conditional put.
enum Put {
    Done(Tag),
    /// What is there instead.
    Refused(Option<(Bytes, Tag)>),
}

fn is_held(holder: &Holder, path: &Path, now: DateTime<Utc>) -> Error {
    let since = holder.since.to_rfc3339_opts(SecondsFormat::Secs, true);
    let left = (holder.expires - now).num_seconds().max(1);
    let folder = path.parent().and_then(Path::parent).unwrap_or(path);
    Error::conflict(format!(
        "another run is writing to `{}` ({} since {since})",
        folder.display(),
        holder.process
    ))
    .with_hint(format!(
        "wait until it has ended, or choose another place with `--out`; if it is dead, its lease ends \
         in {left} s"
    ))
}
