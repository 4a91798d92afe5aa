//! A listing that several resources are made from: every page is fetched once for all of them.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::Result;
use crate::http::{Request, Response};

/// How many pages the fastest reader may be ahead of the slowest: what is kept in memory.
const AHEAD: usize = 2;

/// The pages of one listing, read by several at once.
#[derive(Debug)]
pub(crate) struct Listing {
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
pub(crate) struct Reader {
    listing: Arc<Listing>,
    number: usize,
}

/// What a reader is to do.
enum Step {
    Take(Arc<Response>),
    Fetch { kept: bool },
    Wait,
}

impl Listing {
    /// The readers of a new listing.
    pub(crate) fn readers(count: usize) -> Vec<Reader> {
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
            let step = self.listing.lock().step(self.number, request);
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
            self.listing.lock().fetched(self.number, &outcome);
            self.listing.changed.notify_waiters();
        }
        outcome
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.listing.lock().leave(self.number);
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
}
