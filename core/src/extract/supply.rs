//! Parents that are read page by page, only as far as their children need.
//!
//! A reading with a limit mostly needs few partitions. Its parents then wait at a [`Gate`] before
//! each page, and go on when a child has used up the values of the pages so far. All children of
//! a parent share one reading of it.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Poll;

use connector_plan::Resource;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, Semaphore};

use super::{Extract, Extracted, MEMORY_BYTES};
use crate::client::Inner;
use crate::cursor::{Asked, Cursors};
use crate::partition::Family;
use crate::{Meter, Result};

/// What lets a reading be read by others as far as they need, and read its parents so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lazy<'a> {
    /// The parents that are read so far only.
    parents: Vec<Arc<Source<'a>>>,
    /// Where the reading itself waits before each page.
    gate: Option<Arc<Gate>>,
}

/// All the resources of a family that are read only for their children.
#[derive(Debug, Default)]
pub(crate) struct Supply<'a>(Vec<Arc<Source<'a>>>);

/// A resource that is read as far as its children need.
pub(crate) struct Source<'a> {
    resource: &'a Resource,
    meter: Arc<Meter>,
    gate: Arc<Gate>,
    reading: Mutex<Reading<'a>>,
}

/// How far the reading of a source is.
enum Reading<'a> {
    Open(BoxFuture<'a, Result<Extracted>>),
    Ended(Box<Result<Extracted>>),
}

/// What became of a source.
#[derive(Debug)]
pub(crate) struct Supplied<'a> {
    pub resource: &'a Resource,
    pub meter: Arc<Meter>,
    /// Nothing when its children did not need all of it.
    pub outcome: Option<Result<Extracted>>,
}

/// Lets one page pass at a time.
#[derive(Debug)]
struct Gate {
    pages: Semaphore,
    /// Whether the reading waits here.
    idle: AtomicBool,
}

impl<'a> Supply<'a> {
    /// The resources of the family that `lazy` names, none of which is read yet.
    pub(crate) fn new(
        client: &'a Inner,
        family: &'a Family<'a>,
        lazy: impl Fn(&Resource) -> bool,
        meter: impl Fn() -> Arc<Meter>,
    ) -> Self {
        let mut supply = Self::default();
        for resource in family.order().iter().copied().filter(|other| lazy(other)) {
            let gate = Arc::new(Gate {
                pages: Semaphore::new(0),
                idle: AtomicBool::new(false),
            });
            let meter = meter();
            let lazy = Lazy {
                gate: Some(Arc::clone(&gate)),
                ..supply.of(resource)
            };
            let counted = Arc::clone(&meter);
            let reading = Box::pin(async move {
                let extract = Extract {
                    client,
                    resource,
                    family,
                    shared: None,
                    // No limit that any resource reaches: partitions are read one after the other.
                    limit: Some(u64::MAX),
                    cursors: Cursors::by_itself(resource, client, &Asked::default())?,
                    meter: counted,
                    lazy,
                    tracking: None,
                    keeps_whole: false,
                    memory_bytes: MEMORY_BYTES,
                };
                extract.run_for_children().await
            });
            supply.0.push(Arc::new(Source {
                resource,
                meter,
                gate,
                reading: Mutex::new(Reading::Open(reading)),
            }));
        }
        supply
    }

    /// What a resource needs of it.
    pub(crate) fn of(&self, resource: &Resource) -> Lazy<'a> {
        let names = |source: &&Arc<Source<'a>>| {
            let mut parents = resource.relations.parents.iter();
            parents.any(|parent| parent.resource == source.resource.name)
        };
        Lazy {
            parents: self.0.iter().filter(names).cloned().collect(),
            gate: None,
        }
    }

    /// What became of the sources; those that nobody asked for are left out.
    pub(crate) fn finish(self) -> Vec<Supplied<'a>> {
        let asked = |source: &Arc<Source<'_>>| source.meter.read().requests > 0;
        let mut supplied = Vec::new();
        for source in self.0.into_iter().filter(asked) {
            let outcome = match source.reading.try_lock() {
                Ok(mut reading) => match &mut *reading {
                    Reading::Ended(outcome) => {
                        Some(std::mem::replace(&mut **outcome, Ok(Extracted::default())))
                    }
                    Reading::Open(_) => None,
                },
                Err(_) => None,
            };
            supplied.push(Supplied {
                resource: source.resource,
                meter: Arc::clone(&source.meter),
                outcome,
            });
        }
        supplied
    }
}

impl Lazy<'_> {
    /// Whether batches are to be handed over page by page.
    pub(super) fn by_page(&self) -> bool {
        self.gate.is_some()
    }

    /// Waits until a page may be read.
    pub(super) async fn page(&self) {
        if let Some(gate) = &self.gate {
            gate.pass().await;
        }
    }

    /// Whether the only parent of a resource is read as far as it needs.
    pub(super) fn is_single(&self, resource: &Resource) -> bool {
        self.parents.len() == 1 && resource.relations.parents.len() == 1
    }

    /// Reads one more page of each parent; false when none has another one.
    pub(super) async fn more(&self, family: &Family<'_>) -> bool {
        let mut more = false;
        for parent in &self.parents {
            more |= parent.more(family).await;
        }
        more
    }
}

impl Source<'_> {
    async fn more(&self, family: &Family<'_>) -> bool {
        let mut reading = self.reading.lock().await;
        let Reading::Open(future) = &mut *reading else {
            return false;
        };
        self.gate.open();
        let ended = poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if self.gate.is_idle() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await;
        let Some(outcome) = ended else {
            return true;
        };
        if let Err(error) = &outcome {
            family.fail(&self.resource.name, error);
        }
        *reading = Reading::Ended(Box::new(outcome));
        // Its last values are there even so.
        false
    }
}

impl std::fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("resource", &self.resource.name)
            .finish_non_exhaustive()
    }
}

impl Gate {
    async fn pass(&self) {
        if self.pages.available_permits() == 0 {
            self.idle.store(true, SeqCst);
        }
        // The semaphore is never closed.
        if let Ok(permit) = self.pages.acquire().await {
            permit.forget();
        }
    }

    fn open(&self) {
        self.idle.store(false, SeqCst);
        self.pages.add_permits(1);
    }

    fn is_idle(&self) -> bool {
        self.idle.load(SeqCst)
    }
}
