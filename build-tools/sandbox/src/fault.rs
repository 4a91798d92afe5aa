//! When something goes wrong on purpose.

use std::collections::HashSet;

use connector_plan::sandbox::{Fault, FaultKind};

use crate::random::{combine, hash_text};

/// Which data requests fail, and which have failed.
pub(crate) struct Schedule {
    faults: Vec<(Fault, u64)>,
    /// Data requests so far, repeats of failed ones left out.
    count: u64,
    /// Failed requests that have not been repeated yet.
    failed: HashSet<u64>,
    /// How often each kind has happened.
    happened: [u64; 3],
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accident {
    /// `429`; whether `Retry-After` is a date.
    RateLimited { date: bool },
    /// `503`.
    Unavailable,
    /// Held back for so many milliseconds.
    Slow(u64),
    /// The body is cut; whether it is chunked.
    CutBody { chunked: bool },
}

impl Schedule {
    pub(crate) fn new(faults: &[Fault], seed: u64) -> Self {
        let phase = |(i, fault): (usize, &Fault)| {
            let random = combine(seed, hash_text("faults") ^ i as u64);
            (*fault, random % u64::from(fault.every.max(1)))
        };
        Self {
            faults: faults.iter().enumerate().map(phase).collect(),
            count: 0,
            failed: HashSet::new(),
            happened: [0; 3],
        }
    }

    /// What happens to a request with this fingerprint; the repeat of one that failed succeeds.
    pub(crate) fn next(&mut self, fingerprint: u64) -> Option<Accident> {
        if self.faults.is_empty() || self.failed.remove(&fingerprint) {
            return None;
        }
        self.count += 1;
        let (fault, _) = self.faults.iter().find(|(fault, phase)| {
            (self.count + phase).is_multiple_of(fault.every.max(2).into())
        })?;
        let mut alternate = |kind: usize| {
            self.failed.insert(fingerprint);
            self.happened[kind] += 1;
            self.happened[kind].is_multiple_of(2)
        };
        Some(match fault.kind {
            FaultKind::RateLimited => Accident::RateLimited { date: alternate(0) },
            FaultKind::Unavailable => {
                alternate(1);
                Accident::Unavailable
            }
            FaultKind::CutBody => Accident::CutBody {
                chunked: alternate(2),
            },
            FaultKind::Slow(milliseconds) => Accident::Slow(milliseconds),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Accident, Schedule};

    #[test]
    fn every_third_new_request_fails_and_its_repeat_does_not() {
        let mut schedule = Schedule::new(&["cut:3".parse().unwrap()], 7);
        let mut dates = Vec::new();
        for request in 0..30 {
            if let Some(accident) = schedule.next(request) {
                assert_eq!(schedule.next(request), None);
                dates.push(accident);
            }
        }
        assert_eq!(dates.len(), 10);
        assert_eq!(dates[0], Accident::CutBody { chunked: false });
        assert_eq!(dates[1], Accident::CutBody { chunked: true });
    }

    #[test]
    fn faults_of_several_kinds_do_not_hide_one_another() {
        let faults: Vec<_> = ["429:4", "503:5", "slow:6"]
            .map(|f| f.parse().unwrap())
            .into();
        let mut schedule = Schedule::new(&faults, 1);
        let seen: Vec<_> = (0..60)
            .filter_map(|request| schedule.next(request))
            .collect();
        for wanted in [Accident::Unavailable, Accident::RateLimited { date: true }] {
            assert!(seen.contains(&wanted), "{wanted:?}");
        }
        assert!(seen.contains(&Accident::Slow(200)));
    }
}
