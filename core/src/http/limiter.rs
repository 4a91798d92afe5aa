//! How many requests are under way at once: one limit for all that a client asks of its API.

mod pace;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use connector_plan::RateLimit;
use tokio::sync::Notify;

use self::pace::{Pace, Room};
use crate::lock::lock;

/// Lets as many requests pass as the API bears: the pages ahead of all resources, their partitions
/// and what is sent again share it.
///
/// It begins with a few, lets one more pass for each that is answered, and halves when the API
/// refuses one for there being too many (`429`, `503`). From then on it comes back one by one, and
/// goes where it was refused ever more rarely: of `n` requests, about log₂ `n` meet with another
/// refusal. Where more at once only makes all of them slower, it goes no further either. A wait that
/// the API asks for is everybody's.
#[derive(Debug)]
pub(crate) struct Limiter(Mutex<State>);

#[derive(Debug)]
struct State {
    pace: Pace,
    /// Who waits, the first one in front.
    queue: VecDeque<Waiter>,
    tickets: u64,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    called: Arc<Notify>,
}

/// A request under way, until it is dropped.
#[derive(Debug)]
#[must_use = "the request is under way as long as this lives"]
pub(crate) struct Permit {
    limiter: Arc<Limiter>,
    /// How many were under way when it began, itself included.
    among: usize,
    /// How often the limit had shrunk by then.
    epoch: u64,
    since: Instant,
}

impl Limiter {
    /// At most so many at once, and no more than the API allows in a time.
    pub(crate) fn new(maximum: u32, rate: Option<RateLimit>) -> Self {
        Self(Mutex::new(State {
            pace: Pace::new(maximum, rate),
            queue: VecDeque::new(),
            tickets: 0,
        }))
    }

    /// The most requests at once, however well the API bears them.
    pub(crate) fn maximum(&self) -> usize {
        lock(&self.0).pace.maximum()
    }

    /// How long the API has asked not to be sent anything.
    pub(crate) fn held(&self) -> Option<Duration> {
        lock(&self.0).pace.held(Instant::now())
    }

    /// Waits until a request may be sent; who tries `again` goes first.
    pub(crate) async fn enter(self: &Arc<Self>, again: bool) -> Permit {
        let mut place: Option<Place<'_>> = None;
        loop {
            let until = {
                let mut state = lock(&self.0);
                let now = Instant::now();
                let is_first = match &place {
                    Some(place) => {
                        state.queue.front().map(|first| first.ticket) == Some(place.ticket)
                    }
                    None => state.queue.is_empty(),
                };
                match state.pace.room(now) {
                    Room::Free if is_first => {
                        let (among, epoch) = state.pace.begin();
                        drop(state);
                        return Permit {
                            limiter: Arc::clone(self),
                            among,
                            epoch,
                            since: now,
                        };
                    }
                    room => {
                        if place.is_none() {
                            place = Some(Place::new(self, &mut state, again));
                        }
                        match room {
                            // Whoever is first watches the clock for all.
                            Room::At(until) if is_first => Some(until),
                            _ => None,
                        }
                    }
                }
            };
            let Some(place) = &place else { continue };
            let called = place.called.notified();
            match until {
                None => called.await,
                Some(until) => {
                    let clock = tokio::time::sleep_until(until.into());
                    tokio::select! {
                        () = called => {}
                        () = clock => {}
                    }
                }
            }
        }
    }

    /// The same without waiting: nothing when others wait, or there is no room.
    pub(crate) fn try_enter(self: &Arc<Self>) -> Option<Permit> {
        let mut state = lock(&self.0);
        let now = Instant::now();
        if !state.queue.is_empty() || !matches!(state.pace.room(now), Room::Free) {
            return None;
        }
        let (among, epoch) = state.pace.begin();
        Some(Permit {
            limiter: Arc::clone(self),
            among,
            epoch,
            since: now,
        })
    }
}

/// A place in the queue, until it is dropped.
struct Place<'a> {
    limiter: &'a Limiter,
    ticket: u64,
    called: Arc<Notify>,
}

impl<'a> Place<'a> {
    fn new(limiter: &'a Limiter, state: &mut State, again: bool) -> Self {
        state.tickets += 1;
        let called = Arc::new(Notify::new());
        let waiter = Waiter {
            ticket: state.tickets,
            called: Arc::clone(&called),
        };
        if again {
            state.queue.push_front(waiter);
            // It was not the first to be told before.
            called.notify_one();
        } else {
            state.queue.push_back(waiter);
        }
        Self {
            limiter,
            ticket: state.tickets,
            called,
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.limiter.0);
        state.queue.retain(|waiter| waiter.ticket != self.ticket);
        state.call();
    }
}

impl State {
    /// Tells the first in the queue to look again.
    fn call(&self) {
        if let Some(first) = self.queue.front() {
            first.called.notify_one();
        }
    }
}

impl Permit {
    /// The API has answered.
    pub(crate) fn answered(self) {
        let time = self.since.elapsed();
        lock(&self.limiter.0)
            .pace
            .answered(self.among, self.epoch, time);
    }

    /// The API has refused the request for there being too many, and asks for this wait, if any;
    /// whether fewer at once may help.
    pub(crate) fn refused(self, wait: Option<Duration>) -> bool {
        let until = wait.and_then(|wait| Instant::now().checked_add(wait));
        lock(&self.limiter.0)
            .pace
            .refused(self.among, self.epoch, until);
        self.among > 1
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = lock(&self.limiter.0);
        state.pace.end(Instant::now());
        state.call();
    }
}
