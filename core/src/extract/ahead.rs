//! Pages that are requested before the ones in front of them have come.
//!
//! Reading a resource stays a loop over its pages, one after the other: it alone decides which
//! request comes next, and what becomes of an answer. What is asked for here is a guess at its
//! requests. An answer counts when the loop comes to exactly the same request; otherwise it is
//! thrown away together with all behind it. Only a page is an answer: a guess that fails, or that an
//! action of the spec would pass over, is asked again when its turn comes and nothing else is under
//! way ahead: many at once may have been what was wrong with it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::task::{JoinError, JoinHandle};

use crate::http::{Errand, Permit, Request, Response, Session};
use crate::paging::{Paginator, Turn};
use crate::{Error, ErrorKind, Meter, Result};

/// The bytes that the bodies of pages may take which wait for their turn, in all readings of a
/// client together. What is not here yet counts as much as the largest page before it.
const WAITING: u64 = 32 << 20;

/// The pages ahead of a reading that never waits for one.
const LEAST: u64 = 3;
/// The bytes of bodies ahead that one page which was waited for is reason enough for; of larger ones
/// it takes two in a row.
const LIGHT: u64 = 4 << 20;
/// The pages in a row after which one wrong guess is forgotten.
const FORGIVING: u64 = 32;

/// The requests ahead of one sequence of pages.
#[derive(Debug)]
pub(super) struct Ahead<'a> {
    session: &'a Arc<Session>,
    meter: &'a Arc<Meter>,
    waiting: &'a Arc<Waiting>,
    /// In their order.
    pages: VecDeque<Page>,
    /// The most of them: none where requests come one after the other.
    most: u64,
    /// As many as it takes that no page is waited for.
    enough: u64,
    /// The pages since one was waited for.
    unwaited: u64,
    /// The pages since a guess was last wrong.
    streak: u64,
    /// How often one was, but for those that are forgotten.
    misses: u32,
    /// The largest body so far.
    largest: u64,
}

#[derive(Debug)]
struct Page {
    request: Request,
    answer: Fetching,
}

/// A request under way in a task of its own, whether anybody looks or not; given up when dropped.
///
/// Somebody who waits for something else would otherwise hold the place of a request for as long.
#[derive(Debug)]
pub(super) struct Fetching {
    task: Option<JoinHandle<Fetched>>,
    /// What came of it.
    ended: Option<std::result::Result<Fetched, JoinError>>,
    errand: Arc<Errand>,
}

type Fetched = (Result<Response>, Option<Space>);

/// The bodies of pages that wait for their turn.
#[derive(Debug, Default)]
pub(crate) struct Waiting(AtomicU64);

/// Room for one body, until it is dropped.
#[derive(Debug)]
struct Space {
    waiting: Arc<Waiting>,
    bytes: u64,
}

impl<'a> Ahead<'a> {
    pub(super) fn new(
        session: &'a Arc<Session>,
        meter: &'a Arc<Meter>,
        waiting: &'a Arc<Waiting>,
        allowed: bool,
    ) -> Self {
        let most = match allowed {
            true => session.limiter.maximum().saturating_sub(1),
            false => 0,
        };
        Self {
            session,
            meter,
            waiting,
            pages: VecDeque::new(),
            most: most as u64,
            enough: LEAST.min(most as u64),
            // The first guesses are always waited for.
            unwaited: 1,
            streak: 0,
            misses: 0,
            largest: 0,
        }
    }

    /// The answer to the request that comes next, if it was guessed.
    pub(super) fn take(&mut self, request: &Request) -> Option<Fetching> {
        match self.pages.pop_front() {
            Some(page) if page.request == *request => {
                self.adapt(page.answer.has_come());
                Some(page.answer)
            }
            Some(page) => {
                self.pages.push_front(page);
                self.give_up();
                self.misses += 1;
                self.streak = 0;
                None
            }
            None => None,
        }
    }

    /// A page is taken up. When it has to be waited for, twice as many are asked for from now on;
    /// where none was in so many as there are ahead, fewer do: bodies that wait take memory, and
    /// requests at once a place.
    fn adapt(&mut self, has_come: bool) {
        if !has_come {
            let more = (2 * self.enough + 1).min(self.most);
            // One page alone may only have come late.
            if self.unwaited == 0 || more.saturating_mul(self.largest) <= LIGHT {
                self.enough = more;
            }
            self.unwaited = 0;
            return;
        }
        self.unwaited += 1;
        if self.unwaited > self.enough {
            self.unwaited = 0;
            self.enough = (self.enough - self.enough / 4).max(LEAST.min(self.most));
        }
    }

    /// The answer to a request that may have been guessed.
    ///
    /// A guess that failed is sent again. So is a request that the API refused, or that the spec
    /// passes over, while others were under way ahead.
    pub(super) async fn answer(
        &mut self,
        fetch: Option<Fetching>,
        request: &Request,
    ) -> Result<Response> {
        let now = || Fetching::now(self.session, self.meter, request);
        let fetch = fetch.unwrap_or_else(now);
        let errand = Arc::clone(&fetch.errand);
        let is_guess = errand.is_guess();
        let answer = fetch.answer().await;
        let is_final = match &answer {
            Ok(response) => !response.ignored,
            Err(error) => !is_guess && !matches!(error.answer(), Some(400..500)),
        };
        if is_final || !is_guess && self.is_alone() {
            return answer;
        }
        let is_busy = matches!(&answer, Err(error) if !is_refusal(error));
        self.meter.unneeded(u64::from(errand.abandon()));
        self.alone(is_busy).await;
        Fetching::now(self.session, self.meter, request)
            .answer()
            .await
    }

    /// Whether nothing is under way ahead.
    pub(super) fn is_alone(&self) -> bool {
        self.pages.iter().all(|page| page.answer.ended.is_some())
    }

    /// An answer was of no use, perhaps because there were many at once: waits for those that are
    /// under way, and keeps the pages that came before the next one of no use. Where the API was
    /// merely busy, the limit of requests has seen to it; otherwise there are fewer from now on.
    pub(super) async fn alone(&mut self, is_busy: bool) {
        tracing::debug!("a request is sent again by itself, it was one of many");
        for page in &mut self.pages {
            page.answer.settle().await;
        }
        let good = self.pages.iter().take_while(|page| page.answer.is_page());
        let behind = self.pages.split_off(good.count());
        self.throw_away(behind);
        if !is_busy {
            self.misses += 1;
            self.streak = 0;
        }
    }

    /// A page with a body of so many bytes has come.
    pub(super) fn came(&mut self, bytes: usize) {
        self.streak += 1;
        // What went wrong once in a while is forgotten.
        if self.streak.is_multiple_of(FORGIVING) {
            self.misses = self.misses.saturating_sub(1);
        }
        self.largest = self.largest.max(bytes as u64);
    }

    /// Requests what comes behind the next request, as far as it can be told, is not more than
    /// `needed` pages, and there is room.
    ///
    /// At first there are two pages ahead, and with every page that comes two more, up to those that
    /// it takes; after each wrong guess half as many, until so many pages have come that it is
    /// forgotten.
    pub(super) fn fill(
        &mut self,
        paginator: &dyn Paginator,
        needed: u64,
        request: impl Fn(&Turn) -> Result<Request>,
    ) {
        let window = (2 * self.streak).checked_shr(self.misses).unwrap_or(0);
        let window = window.min(self.enough).min(needed);
        while (self.pages.len() as u64) < window {
            let nth = self.pages.len() as u64 + 1;
            let Some(turn) = paginator.ahead(nth) else {
                return;
            };
            // What is wrong with it will be told when its turn comes.
            let Ok(request) = request(&turn) else {
                return;
            };
            let Some(space) = self.waiting.take(self.largest) else {
                return;
            };
            let Some(permit) = self.session.limiter.try_enter() else {
                return;
            };
            let (session, meter) = (self.session, self.meter);
            let (permit, space) = (Some(permit), Some(space));
            let answer = Fetching::start(session, meter, &request, permit, space, Errand::guess());
            self.pages.push_back(Page { request, answer });
        }
    }

    /// Throws away what is there.
    ///
    /// What is under way is answered all the same, and keeps its place until then: the API works on
    /// it whether anybody listens or not.
    fn give_up(&mut self) {
        let pages = std::mem::take(&mut self.pages);
        self.throw_away(pages);
    }

    fn throw_away(&self, pages: VecDeque<Page>) {
        let mut sent = 0;
        for page in pages {
            sent += u64::from(page.answer.errand.abandon());
            page.answer.detach();
        }
        self.meter.unneeded(sent);
    }
}

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl Fetching {
    /// Sends a request, as soon as there is room for it.
    pub(super) fn now(session: &Arc<Session>, meter: &Arc<Meter>, request: &Request) -> Self {
        let permit = session.limiter.try_enter();
        Self::start(session, meter, request, permit, None, Errand::default())
    }

    fn start(
        session: &Arc<Session>,
        meter: &Arc<Meter>,
        request: &Request,
        permit: Option<Permit>,
        mut space: Option<Space>,
        errand: Errand,
    ) -> Self {
        let (session, meter, request) = (Arc::clone(session), Arc::clone(meter), request.clone());
        let errand = Arc::new(errand);
        let own = Arc::clone(&errand);
        let task = tokio::spawn(async move {
            let answer = session.fetch(&request, permit, &own, &meter).await;
            if let (Some(space), Ok(answer)) = (&mut space, &answer) {
                space.is(answer.body.len() as u64);
            }
            (answer, space)
        });
        Self {
            task: Some(task),
            ended: None,
            errand,
        }
    }

    pub(super) fn is_guess(&self) -> bool {
        self.errand.is_guess()
    }

    /// Whether nobody would have to wait for it.
    fn has_come(&self) -> bool {
        self.task.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Whether it has come to an end, and that was a page.
    fn is_page(&self) -> bool {
        matches!(&self.ended, Some(Ok((Ok(_), _))))
    }

    /// Waits for its end.
    async fn settle(&mut self) {
        if let Some(task) = &mut self.task {
            self.ended = Some(task.await);
            self.task = None;
        }
    }

    async fn answer(mut self) -> Result<Response> {
        self.settle().await;
        let given_up = || Error::new(ErrorKind::Internal, "a request was given up");
        match self.ended.take() {
            None => Err(given_up()),
            Some(Ok((answer, _))) => answer,
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(given_up().caused_by(error)),
            },
        }
    }

    /// Lets it go on by itself.
    fn detach(mut self) {
        self.task = None;
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Whether the API refused the request itself, and is not merely busy or in need of a new token.
fn is_refusal(error: &Error) -> bool {
    matches!(error.answer(), Some(400..500)) && !matches!(error.answer(), Some(401 | 429))
}

impl Waiting {
    /// Room for so many bytes, if there is any.
    fn take(self: &Arc<Self>, bytes: u64) -> Option<Space> {
        let taken = |taken: u64| Some(taken + bytes).filter(|taken| *taken <= WAITING);
        self.0.fetch_update(Relaxed, Relaxed, taken).ok()?;
        Some(Space {
            waiting: Arc::clone(self),
            bytes,
        })
    }
}

impl Space {
    /// The body is here, and takes this.
    fn is(&mut self, bytes: u64) {
        self.waiting.0.fetch_add(bytes, Relaxed);
        self.waiting.0.fetch_sub(self.bytes, Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.waiting.0.fetch_sub(self.bytes, Relaxed);
    }
}
