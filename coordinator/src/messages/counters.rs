//! What happened to messages since this coordinator was started, for metrics. Numbers only, for people:
//! nothing is ever decided by them.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts. Anybody may add and read at any time.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Durable for the first time.
    pub(super) accepted: Counter,
    /// Given to the broker, or to every group that wants it.
    pub(super) published: Counter,
    /// Attempts to publish that found nobody who wants it.
    pub(super) returned: Counter,
    /// Attempts that the broker refused.
    pub(super) nacked: Counter,
    /// Attempts without an answer, those that were never sent included.
    pub(super) unanswered: Counter,
    /// Handled by a group.
    pub(super) handled: Counter,
    /// Attempts of a group that failed and are repeated.
    pub(super) failed: Counter,
    /// Dead letters made.
    pub(super) dead: Counter,
}

/// One number.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The numbers, with their names and what they mean.
pub type Counted = Vec<(&'static str, &'static str, u64)>;

impl Counters {
    pub(super) fn read(&self) -> Counted {
        vec![
            (
                "messages_accepted",
                "Messages that became durable by being published",
                self.accepted.get(),
            ),
            (
                "messages_published",
                "Messages given to the broker, or to every group that wants them",
                self.published.get(),
            ),
            (
                "publish_returned",
                "Attempts to publish that found no group",
                self.returned.get(),
            ),
            (
                "publish_nacked",
                "Attempts to publish that the broker refused",
                self.nacked.get(),
            ),
            (
                "publish_unanswered",
                "Attempts to publish without an answer, those never sent included",
                self.unanswered.get(),
            ),
            (
                "deliveries_handled",
                "Messages handled by a group",
                self.handled.get(),
            ),
            (
                "deliveries_failed",
                "Attempts of a group that failed and are repeated",
                self.failed.get(),
            ),
            (
                "dead_letters_made",
                "Messages that became dead letters",
                self.dead.get(),
            ),
        ]
    }
}
