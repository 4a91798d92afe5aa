//! What is measured: workloads, and who does them.

use super::peers::Peer;
use super::sample::{Shape, Total};

/// A piece of work that contestants do in turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) shape: Shape,
    /// The resource of our spec, and what it is for the peers.
    pub(crate) resource: &'static str,
    pub(crate) rows: u64,
    /// Records per page.
    pub(crate) page: u64,
    /// Milliseconds before each answer.
    pub(crate) delay: u64,
    pub(crate) contestants: &'static [Contestant],
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// A part alone, for the floor.
    Part(Part),
    /// The compiled connector.
    Ours,
    /// The same with so many requests at once.
    OursAt(u32),
    Peer(Peer),
}

/// A part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Fetch,
    Decode,
    Encode,
}

impl Part {
    pub(crate) const ALL: [Self; 3] = [Self::Fetch, Self::Decode, Self::Encode];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Decode => "decode",
            Self::Encode => "encode",
        }
    }
}

impl Contestant {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Part(part) => part.name().to_owned(),
            Self::Ours => "**ours**".to_owned(),
            Self::OursAt(1) => "**ours**, one request at a time".to_owned(),
            Self::OursAt(number) => format!("**ours**, {number} requests at once"),
            Self::Peer(peer) => peer.name().to_owned(),
        }
    }
}

const ALL: &[Contestant] = &[
    Contestant::Part(Part::Fetch),
    Contestant::Part(Part::Decode),
    Contestant::Part(Part::Encode),
    Contestant::Ours,
    Contestant::Peer(Peer::Expert),
    Contestant::Peer(Peer::Airbyte),
    Contestant::Peer(Peer::Dlt),
];
const LATE: &[Contestant] = &[
    Contestant::OursAt(1),
    Contestant::OursAt(16),
    Contestant::Peer(Peer::Expert),
    Contestant::Peer(Peer::Airbyte),
    Contestant::Peer(Peer::Dlt),
];

/// All workloads, in the order in which they are measured.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "flat",
        title: "flat records of 12 fields (310 bytes of JSON), 1,000 per page",
        shape: Shape::Flat,
        resource: "flat",
        rows: 1_000_000,
        page: 1_000,
        delay: 0,
        contestants: ALL,
    },
    Workload {
        name: "flat_100",
        title: "the same records, 100 per page",
        shape: Shape::Flat,
        resource: "flat_100",
        rows: 1_000_000,
        page: 100,
        delay: 0,
        contestants: ALL,
    },
    Workload {
        name: "nested",
        title: "nested records of about 40 leaves (1.5 KB of JSON), 1,000 per page",
        shape: Shape::Nested,
        resource: "nested",
        rows: 200_000,
        page: 1_000,
        delay: 0,
        contestants: ALL,
    },
    Workload {
        name: "latency",
        title: "flat records, 100 per page, each answer after 50 ms",
        shape: Shape::Flat,
        resource: "slow",
        rows: 20_000,
        page: 100,
        delay: 50,
        contestants: LATE,
    },
    Workload {
        name: "fan_out",
        title: "a request for each of so many parents, each answer after 20 ms",
        shape: Shape::Flat,
        resource: "children",
        rows: 2_000,
        page: 100,
        delay: 20,
        contestants: LATE,
    },
    Workload {
        name: "merge",
        title: "10 % changed and 10 % new records merged into so many",
        shape: Shape::Changed,
        resource: "merge",
        rows: 1_000_000,
        page: 1_000,
        delay: 0,
        contestants: &[
            Contestant::Ours,
            Contestant::Peer(Peer::Expert),
            Contestant::Peer(Peer::Dlt),
        ],
    },
];

impl Workload {
    /// The workload with its size divided, but two pages at the least.
    pub(crate) fn scaled(mut self, divisor: u64) -> Self {
        // Merging needs tenths.
        let least = (2 * self.page).min(self.rows);
        self.rows = (self.rows / divisor).max(least) / 10 * 10;
        self
    }

    /// Whether it is about changes of a table that is there.
    pub(crate) fn is_merge(&self) -> bool {
        self.shape == Shape::Changed
    }

    /// The records that are read when it is measured.
    pub(crate) fn read(&self) -> u64 {
        if self.is_merge() {
            self.rows / 5
        } else {
            self.rows
        }
    }

    /// What the dataset has to hold then.
    pub(crate) fn expect(&self) -> Total {
        if self.is_merge() {
            Total::merged(self.rows)
        } else {
            Total::of(self.rows)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_sizes_keep_two_pages_and_tenths() {
        #[track_caller]
        fn check(name: &str, divisor: u64, rows: u64, read: u64) {
            let workload = WORKLOADS.iter().find(|it| it.name == name).unwrap();
            let workload = workload.scaled(divisor);
            assert_eq!((workload.rows, workload.read()), (rows, read));
        }
        check("flat", 1, 1_000_000, 1_000_000);
        check("flat", 50, 20_000, 20_000);
        check("flat_100", 1_000_000, 200, 200);
        check("latency", 1_000, 200, 200);
        check("merge", 77, 12_980, 2_596);
    }
}
