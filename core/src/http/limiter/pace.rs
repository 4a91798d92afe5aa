//! The arithmetic of a [`Limiter`](super::Limiter): no clock, no waiting.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use connector_plan::RateLimit;

/// The requests at once that a reading begins with.
const BEGIN: usize = 4;
/// The answers after which a limit that was refused is tried again; twice as many each time.
const PATIENCE: u64 = 64;
/// The most of them.
const MOST_PATIENCE: u64 = 1 << 12;
/// Levels of load that are told apart: the n-th has from 2ⁿ to 2ⁿ⁺¹ - 1 requests at once.
const LEVELS: usize = 9;
/// The answers that make a level known.
const KNOWN: u32 = 4;

/// How many requests there may be at once, and how many there are.
#[derive(Debug)]
pub(super) struct Pace {
    maximum: usize,
    limit: usize,
    under_way: usize,
    /// How often the limit has shrunk.
    epoch: u64,
    /// What did not do: it is tried again only now and then.
    ceiling: Option<Ceiling>,
    /// The answers since the limit last changed, when it was made use of.
    answers: u64,
    patience: u64,
    /// Nobody sends anything before.
    not_before: Option<Instant>,
    rate: Option<Rate>,
    levels: [Level; LEVELS],
}

/// A number of requests at once that did not do.
#[derive(Clone, Copy, Debug)]
struct Ceiling {
    at: usize,
    why: Why,
}

/// Why it did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// The API refused as many at once.
    Refused,
    /// The API asked for a wait: it counts requests in a time, so that more at once may go well for
    /// a while, and tell nothing.
    Quota,
    /// Answers only took longer.
    Useless,
}

/// Whether there is room for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    /// Not before this.
    At(Instant),
    /// Not before another one has ended.
    Full,
}

/// So many requests in so much time.
///
/// A request counts from its beginning until so long after its answer: the API has counted it
/// somewhere between, so that whatever window it looks at holds no more than it allows.
#[derive(Debug)]
struct Rate {
    requests: usize,
    window: Duration,
    ended: VecDeque<Instant>,
}

/// How long answers take under a load.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    answers: u32,
    /// Means over the last answers: the requests at once, and seconds.
    among: f64,
    time: f64,
}

impl Level {
    fn add(&mut self, among: usize, time: Duration) {
        self.answers = (self.answers + 1).min(4 * KNOWN);
        let weight = f64::from(self.answers);
        #[expect(clippy::cast_precision_loss, reason = "at most a few hundred")]
        let among = among as f64;
        self.among += (among - self.among) / weight;
        self.time += (time.as_secs_f64() - self.time) / weight;
    }

    fn is_known(&self) -> bool {
        self.answers >= KNOWN
    }

    /// Answers per second (Little's law).
    fn throughput(&self) -> f64 {
        self.among / self.time.max(1e-9)
    }
}

impl Pace {
    pub(super) fn new(maximum: u32, rate: Option<RateLimit>) -> Self {
        let maximum = usize::try_from(maximum).unwrap_or(usize::MAX).max(1);
        Self {
            maximum,
            limit: maximum.min(BEGIN),
            under_way: 0,
            epoch: 0,
            ceiling: None,
            answers: 0,
            patience: PATIENCE,
            not_before: None,
            rate: rate.map(|rate| Rate {
                requests: usize::try_from(rate.requests).unwrap_or(usize::MAX).max(1),
                window: Duration::from_secs(u64::from(rate.seconds)),
                ended: VecDeque::new(),
            }),
            levels: [Level::default(); LEVELS],
        }
    }

    pub(super) fn maximum(&self) -> usize {
        self.maximum
    }

    /// How long the API has asked not to be sent anything.
    pub(super) fn held(&self, now: Instant) -> Option<Duration> {
        let left = self.not_before?.saturating_duration_since(now);
        Some(left).filter(|left| !left.is_zero())
    }

    /// Whether a request may be sent now.
    pub(super) fn room(&mut self, now: Instant) -> Room {
        if let Some(until) = self.not_before {
            if now < until {
                return Room::At(until);
            }
            self.not_before = None;
        }
        if self.under_way >= self.limit {
            return Room::Full;
        }
        match &mut self.rate {
            Some(rate) => rate.room(now, self.under_way),
            None => Room::Free,
        }
    }

    /// A request is sent; gives how many there are with it, and the epoch.
    pub(super) fn begin(&mut self) -> (usize, u64) {
        self.under_way += 1;
        (self.under_way, self.epoch)
    }

    /// A request has ended, whatever came of it.
    pub(super) fn end(&mut self, now: Instant) {
        self.under_way = self.under_way.saturating_sub(1);
        if let Some(rate) = &mut self.rate {
            rate.ended.push_back(now);
        }
    }

    /// The API has answered one of `among` requests after this time.
    pub(super) fn answered(&mut self, among: usize, epoch: u64, time: Duration) {
        let level = among.max(1).ilog2() as usize;
        if let Some(known) = self.levels.get_mut(level) {
            known.add(among, time);
        }
        // It tells about a limit that is gone, or that nobody made use of.
        if epoch != self.epoch || 4 * among < self.limit {
            return;
        }
        self.answers += 1;
        if self.is_useless(level) {
            // Further answers of this level are those of the next try.
            self.levels[level] = Level::default();
            self.shrink((1 << level) - 1);
            self.ceiling = Some(Ceiling {
                at: 1 << level,
                why: Why::Useless,
            });
            return;
        }
        let due = match self.ceiling {
            None => 1,
            Some(ceiling) if self.limit + 1 < ceiling.at => self.limit as u64,
            Some(ceiling) if self.limit < ceiling.at => self.patience,
            Some(_) => 2 * self.limit as u64,
        };
        if self.answers < due {
            return;
        }
        self.answers = 0;
        match &mut self.ceiling {
            Some(ceiling) if self.limit >= ceiling.at => match ceiling.why {
                Why::Quota => ceiling.at = self.limit + 1,
                // It does after all.
                Why::Refused | Why::Useless => {
                    self.ceiling = None;
                    self.patience = (self.patience / 2).max(PATIENCE);
                }
            },
            // One more would show no difference.
            Some(Ceiling {
                at,
                why: Why::Useless,
            }) if self.limit + 1 == *at => self.limit = (2 * *at - 1).min(self.maximum),
            _ => self.limit = (self.limit + 1).min(self.maximum),
        }
    }

    /// The API has refused one of `among` requests for there being too many.
    pub(super) fn refused(&mut self, among: usize, epoch: u64, until: Option<Instant>) {
        self.not_before = self.not_before.max(until);
        // Of one alone there were not too many at once.
        if among <= 1 {
            return;
        }
        if epoch == self.epoch {
            self.shrink(self.limit / 2);
        }
        let (at, why) = match until {
            Some(_) => (self.limit + 1, Why::Quota),
            None => (among.max(self.limit + 1), Why::Refused),
        };
        self.ceiling = Some(match self.ceiling {
            Some(known) => Ceiling {
                at: at.min(known.at),
                why: if known.why == Why::Quota {
                    known.why
                } else {
                    why
                },
            },
            None => Ceiling { at, why },
        });
    }

    fn shrink(&mut self, limit: usize) {
        // What has been tried again, and did not do again.
        if self.ceiling.is_some_and(|ceiling| self.limit >= ceiling.at) {
            self.patience = (2 * self.patience).min(MOST_PATIENCE);
        }
        self.limit = limit.max(1);
        self.epoch += 1;
        self.answers = 0;
    }

    /// Whether more at once has brought next to nothing: less than a quarter of what as many more
    /// would if answers took no longer.
    fn is_useless(&self, level: usize) -> bool {
        let Some(below) = level
            .checked_sub(1)
            .and_then(|below| self.levels.get(below))
        else {
            return false;
        };
        let Some(here) = self.levels.get(level) else {
            return false;
        };
        // A few at once tell too little.
        let is_clear = 1 << level >= 2 * BEGIN && here.among >= 1.5 * below.among;
        let gain = here.throughput() / below.throughput() - 1.0;
        is_clear
            && here.is_known()
            && below.is_known()
            && gain < 0.25 * (here.among / below.among - 1.0)
    }
}

impl Rate {
    fn room(&mut self, now: Instant, under_way: usize) -> Room {
        while let Some(first) = self.ended.front()
            && now.saturating_duration_since(*first) >= self.window
        {
            self.ended.pop_front();
        }
        if self.ended.len() + under_way < self.requests {
            return Room::Free;
        }
        match self.ended.front() {
            Some(first) => Room::At(*first + self.window),
            None => Room::Full,
        }
    }
}

#[cfg(test)]
mod tests;
