//! Time as the dispatcher sees it: passed in, and two kinds of it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use amends_core::time::{Millis, Timestamp};

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Now {
    /// For retries and what people see.
    pub(super) wall: Timestamp,
    /// For leases, which a change of the wall clock must not end. Since any fixed moment.
    pub(super) steady: Millis,
}

/// Things that are due at a time, earliest first. What has become meaningless
/// meanwhile is for the caller to see when it comes out.
#[derive(Debug)]
pub(in crate::messages) struct Timers<T: Ord>(BinaryHeap<Reverse<(Timestamp, T)>>);

impl<T: Ord> Timers<T> {
    pub(in crate::messages) fn new() -> Self {
        Self(BinaryHeap::new())
    }

    pub(in crate::messages) fn add(&mut self, at: Timestamp, what: T) {
        self.0.push(Reverse((at, what)));
    }

    /// Takes out one that is due.
    pub(in crate::messages) fn due(&mut self, now: Timestamp) -> Option<(Timestamp, T)> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse(timer)| timer)
    }

    pub(in crate::messages) fn next(&self) -> Option<Timestamp> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }
}
