//! Places in memory, of which there are `max_live`.
//!
//! A start takes its place before it is put to a shard, so that as many as
//! come at one moment cannot pass before they are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The places of an engine that are taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Seats(Arc<AtomicUsize>);

/// One place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat(Seats);

impl Seats {
    /// One of `most`, unless all are taken.
    pub(super) fn take(&self, most: usize) -> Option<Seat> {
        let one_more = |taken| (taken < most).then_some(taken + 1);
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.is_ok().then(|| Seat(self.clone()))
    }

    /// One for what is there already, and has to have one.
    pub(super) fn take_anyway(&self) -> Seat {
        self.0.fetch_add(1, Ordering::Relaxed);
        Seat(self.clone())
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_taken_than_there_are_but_for_who_has_to() {
        let seats = Seats::default();
        let first = seats.take(1);
        assert!(first.is_some() && seats.take(1).is_none());
        let loaded = seats.take_anyway();
        assert_eq!(seats.taken(), 2);
        drop(first);
        assert!(seats.take(1).is_none());
        drop(loaded);
        assert!(seats.take(1).is_some());
        assert_eq!(seats.taken(), 0);
    }
}
