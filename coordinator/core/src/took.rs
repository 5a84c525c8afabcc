//! Where the time of one call went. For people: nothing is ever decided by it.

use serde::{Deserialize, Serialize};

/// The parts of the time from when a call was due until its answer was dealt
/// with, in whole microseconds. Stored as a list of the four numbers in this order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "[u64; 4]", into = "[u64; 4]")]
pub struct Took {
    /// Waited for a place: a start for its shard, a call among those of its target.
    pub queue: u64,
    /// Held until the records that it rests on were durable.
    pub commit: u64,
    /// On the wire and in the participant.
    pub call: u64,
    /// The rest: waited for the coordinator itself.
    pub scheduling: u64,
}

impl Took {
    /// All of it.
    #[must_use]
    pub const fn whole(self) -> u64 {
        self.queue
            .saturating_add(self.commit)
            .saturating_add(self.call)
            .saturating_add(self.scheduling)
    }
}

impl From<[u64; 4]> for Took {
    fn from([queue, commit, call, scheduling]: [u64; 4]) -> Self {
        Self {
            queue,
            commit,
            call,
            scheduling,
        }
    }
}

impl From<Took> for [u64; 4] {
    fn from(took: Took) -> Self {
        [took.queue, took.commit, took.call, took.scheduling]
    }
}
