//! Where the time of sagas goes, counted while they run.
//!
//! Each shard counts on its own, so that counting costs a few additions to
//! memory that no other core writes; a reader adds them up. Only whole lives
//! count: a saga that was loaded from its log has a part that nobody measured.

use std::sync::Arc;
use std::time::Duration;

use super::histogram::{Counted, Histogram};
use super::stopwatch::Parts;

/// What a part of the time was spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// Waited for a place: a start for its shard, a call among those of its target.
    Queue,
    /// Waited for records to be durable.
    Commit,
    /// On the wire and in participants.
    Call,
    /// Waited for the coordinator itself.
    Scheduling,
    /// Waited as planned: between two attempts, or for a time.
    Backoff,
}

const PARTS: [Part; 6] = [
    Part::Whole,
    Part::Queue,
    Part::Commit,
    Part::Call,
    Part::Scheduling,
    Part::Backoff,
];

/// What was measured since the engine started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Of each saga that ended: from its start until its end was durable.
    pub sagas: Vec<(Part, Counted)>,
    /// Of each call: from when it was due until its answer was dealt with.
    pub calls: Vec<(Part, Counted)>,
}

/// What one shard has counted.
#[derive(Debug, Default)]
pub(super) struct ShardProfile {
    sagas: [Histogram; PARTS.len()],
    calls: [Histogram; PARTS.len()],
}

impl ShardProfile {
    pub(super) fn saga_ended(&self, parts: &Parts) {
        count(&self.sagas, parts);
    }

    pub(super) fn call_ended(&self, parts: &Parts) {
        count(&self.calls, parts);
    }
}

fn count(histograms: &[Histogram; PARTS.len()], parts: &Parts) {
    for (part, histogram) in PARTS.into_iter().zip(histograms) {
        histogram.add(of(parts, part));
    }
}

fn of(parts: &Parts, part: Part) -> Duration {
    match part {
        Part::Whole => parts.whole(),
        Part::Queue => parts.queue,
        Part::Commit => parts.commit,
        Part::Call => parts.call,
        Part::Scheduling => parts.scheduling,
        Part::Backoff => parts.backoff,
    }
}

/// Adds up what the shards have counted so far.
pub(super) fn read(shards: &[Arc<ShardProfile>]) -> Profile {
    let sum = |of: fn(&ShardProfile) -> &[Histogram; PARTS.len()]| {
        let parts = PARTS.into_iter().enumerate();
        let summed = parts.map(|(ix, part)| {
            let mut counted = Counted::default();
            for shard in shards {
                of(shard)[ix].add_to(&mut counted);
            }
            (part, counted)
        });
        summed.collect()
    };
    Profile {
        sagas: sum(|shard| &shard.sagas),
        calls: sum(|shard| &shard.calls),
    }
}
