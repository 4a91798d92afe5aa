//! Listings that several resources are made from: every page is fetched once for all of them.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::Result;
use crate::http::{Request, Response};
use crate::lock::lock;
use crate::partition::Partition;

/// How many pages the fastest reader may be ahead of the slowest: what is kept in memory.
const AHEAD: usize = 2;

/// How many partitions the fastest member may have begun before the slowest does.
const PARTITIONS_AHEAD: usize = 32;

/// The part of one resource in listings that several are made from: one for each partition.
///
/// The members read the same partitions in the same order, several at once, and pass over none.
/// Nobody waits for ever: of the first partition that somebody has not ended, the slower reader can
/// always go on.
#[derive(Debug)]
pub(crate) struct Member {
    group: Arc<Group>,
    number: usize,
}

#[derive(Debug)]
struct Group {
    begun: Mutex<Begun>,
    changed: Notify,
}

#[derive(Debug)]
struct Begun {
    /// Who still reads.
    present: Vec<bool>,
    /// The readers of the partitions that not every member has begun, by the values.
    partitions: HashMap<u128, Vec<Option<Reader>>>,
}

/// The pages of one listing, read by several at once.
#[derive(Debug)]
struct Listing {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// How many pages each reader has taken; none when it reads no more.
    taken: Vec<Option<usize>>,
    /// The pages that some reader still needs.
    pages: VecDeque<Page>,
}

#[derive(Debug)]
struct Page {
    number: usize,
    request: Request,
    /// The answer, or who is fetching it.
    answer: Result<Arc<Response>, usize>,
}

/// One reader of a listing; the others no longer wait for it when it is dropped.
#[derive(Debug)]
pub(super) struct Reader {
    listing: Arc<Listing>,
    number: usize,
}

impl Member {
    /// The members of a new group.
    pub(crate) fn group(count: usize) -> Vec<Self> {
        let group = Arc::new(Group {
            begun: Mutex::new(Begun {
                present: vec![true; count],
                partitions: HashMap::new(),
            }),
            changed: Notify::new(),
        });
        (0..count)
            .map(|number| Self {
                group: Arc::clone(&group),
                number,
            })
            .collect()
    }

    /// The reader of the listing of a partition; waits while others are far behind.
    pub(super) async fn begin(&self, partition: &Partition) -> Reader {
        loop {
            // Created before the look, so that no change between the two is missed.
            let changed = self.group.changed.notified();
            let reader = lock(&self.group.begun).begin(self.number, partition.key());
            match reader {
                Some(reader) => {
                    self.group.changed.notify_waiters();
                    return reader;
                }
                None => changed.await,
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        lock(&self.group.begun).leave(self.number);
        self.group.changed.notify_waiters();
    }
}

impl Begun {
    /// The reader of a partition; none while there are too many that others have not begun.
    fn begin(&mut self, member: usize, key: u128) -> Option<Reader> {
        if self.partitions.len() >= PARTITIONS_AHEAD && !self.partitions.contains_key(&key) {
            return None;
        }
        let present = &self.present;
        let readers = self.partitions.entry(key).or_insert_with(|| {
            let readers = Listing::readers(present.len()).into_iter();
            let here = readers
                .zip(present)
                .map(|(reader, here)| here.then_some(reader));
            here.collect()
        });
        let reader = readers.get_mut(member).and_then(Option::take);
        self.forget();
        reader
    }

    fn leave(&mut self, member: usize) {
        if let Some(here) = self.present.get_mut(member) {
            *here = false;
        }
        for readers in self.partitions.values_mut() {
            if let Some(reader) = readers.get_mut(member) {
                *reader = None;
            }
        }
        self.forget();
    }

    /// Drops the partitions that everybody has begun.
    fn forget(&mut self) {
        self.partitions
            .retain(|_, readers| readers.iter().any(Option::is_some));
    }
}

/// What a reader is to do.
enum Step {
    Take(Arc<Response>),
    Fetch { kept: bool },
    Wait,
}

impl Listing {
    /// The readers of a new listing.
    fn readers(count: usize) -> Vec<Reader> {
        let listing = Arc::new(Self {
            state: Mutex::new(State {
                taken: vec![Some(0); count],
                pages: VecDeque::new(),
            }),
            changed: Notify::new(),
        });
        (0..count)
            .map(|number| Reader {
                listing: Arc::clone(&listing),
                number,
            })
            .collect()
    }
}

impl Reader {
    /// The next page: another reader's answer to the same request, or that of `fetch`.
    pub(super) async fn next(
        &self,
        request: &Request,
        fetch: impl Future<Output = Result<Response>>,
    ) -> Result<Arc<Response>> {
        let kept = loop {
            // Created before the look, so that no change between the two is missed.
            let changed = self.listing.changed.notified();
            let step = lock(&self.listing.state).step(self.number, request);
            match step {
                Step::Take(response) => {
                    self.listing.changed.notify_waiters();
                    return Ok(response);
                }
                Step::Fetch { kept } => break kept,
                Step::Wait => changed.await,
            }
        };
        let outcome = fetch.await.map(Arc::new);
        if kept {
            lock(&self.listing.state).fetched(self.number, &outcome);
            self.listing.changed.notify_waiters();
        }
        outcome
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        lock(&self.listing.state).leave(self.number);
        self.listing.changed.notify_waiters();
    }
}

impl State {
    fn step(&mut self, reader: usize, request: &Request) -> Step {
        let Some(number) = self.taken.get(reader).copied().flatten() else {
            return Step::Fetch { kept: false };
        };
        if let Some(page) = self.pages.iter().find(|page| page.number == number) {
            let same = page.request == *request;
            match &page.answer {
                Err(_) if same => return Step::Wait,
                Ok(response) if same => {
                    let response = Arc::clone(response);
                    self.advance(reader);
                    return Step::Take(response);
                }
                // Readers that went different ways have nothing in common any more.
                _ => {
                    self.leave(reader);
                    return Step::Fetch { kept: false };
                }
            }
        }
        let slowest = self.taken.iter().flatten().min().copied().unwrap_or(number);
        if number >= slowest + AHEAD {
            return Step::Wait;
        }
        self.pages.push_back(Page {
            number,
            request: request.clone(),
            answer: Err(reader),
        });
        Step::Fetch { kept: true }
    }

    fn fetched(&mut self, reader: usize, outcome: &Result<Arc<Response>>) {
        let own = |page: &Page| matches!(page.answer, Err(by) if by == reader);
        match outcome {
            Ok(response) => {
                if let Some(page) = self.pages.iter_mut().find(|page| own(page)) {
                    page.answer = Ok(Arc::clone(response));
                }
            }
            // Whoever comes next tries for itself.
            Err(_) => self.pages.retain(|page| !own(page)),
        }
        self.advance(reader);
    }

    fn advance(&mut self, reader: usize) {
        if let Some(Some(taken)) = self.taken.get_mut(reader) {
            *taken += 1;
        }
        self.forget();
    }

    fn leave(&mut self, reader: usize) {
        if let Some(taken) = self.taken.get_mut(reader) {
            *taken = None;
        }
        self.pages
            .retain(|page| !matches!(page.answer, Err(by) if by == reader));
        self.forget();
    }

    /// Drops the pages that everybody has taken.
    fn forget(&mut self) {
        let slowest = self.taken.iter().flatten().min().copied();
        self.pages
            .retain(|page| slowest.is_some_and(|slowest| page.number >= slowest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            taken: vec![Some(0); 2],
            pages: VecDeque::new(),
        }
    }

    fn request(path: &str) -> Request {
        Request {
            method: http::Method::GET,
            url: format!("https://a{path}").parse().unwrap(),
            headers: http::HeaderMap::new(),
            body: None,
        }
    }

    #[test]
    fn the_fastest_waits_for_the_slowest_and_nobody_for_those_who_left() {
        let mut state = state();
        for number in 0..AHEAD {
            let page = request(&format!("/{number}"));
            assert!(matches!(state.step(0, &page), Step::Fetch { kept: true }));
            assert!(matches!(state.step(1, &request("/0")), Step::Wait));
            state.advance(0);
        }
        assert!(matches!(state.step(0, &request("/9")), Step::Wait));
        state.leave(1);
        assert!(matches!(
            state.step(0, &request("/9")),
            Step::Fetch { kept: true }
        ));
    }

    #[test]
    fn other_requests_are_no_longer_shared() {
        let mut state = state();
        assert!(matches!(
            state.step(0, &request("/a")),
            Step::Fetch { kept: true }
        ));
        assert!(matches!(
            state.step(1, &request("/b")),
            Step::Fetch { kept: false }
        ));
        assert!(matches!(
            state.step(1, &request("/a")),
            Step::Fetch { kept: false }
        ));
    }
    #[test]
    fn a_member_is_not_far_ahead_of_those_who_are_still_there() {
        let mut begun = Begun {
            present: vec![true; 2],
            partitions: HashMap::new(),
        };
        let ahead = PARTITIONS_AHEAD as u128;
        for key in 0..ahead {
            assert!(begun.begin(0, key).is_some());
        }
        assert!(begun.begin(0, ahead).is_none());
        assert!(begun.begin(1, 0).is_some());
        assert!(begun.begin(0, ahead).is_some());
        begun.leave(1);
        assert!(begun.partitions.is_empty());
        for key in ahead..3 * ahead {
            assert!(begun.begin(0, key).is_some());
        }
    }
}
