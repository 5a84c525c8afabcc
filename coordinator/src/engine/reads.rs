//! Keeps what was read from the store from being taken for the present.
//!
//! A row is read, then its transaction is taken into memory. In between, the
//! transaction may have been in memory already, gone on and left again. Taking
//! the old row in would repeat calls whose undo may be done by now. So whoever
//! reads in order to load holds a [`Reading`], and the shards remember what
//! left memory since it began.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use amends_core::id::Gid;

/// Shared by all shards and readers of an engine.
#[derive(Debug, Default)]
pub(super) struct Reads {
    open: AtomicUsize,
    departures: AtomicU64,
}

/// Held from before the store is read until what was read is in memory. A
/// clone travels with what was read.
#[derive(Debug, Clone)]
pub struct Reading(Arc<Open>);

#[derive(Debug)]
struct Open {
    reads: Arc<Reads>,
    since: u64,
}

impl Reading {
    pub(super) fn begin(reads: &Arc<Reads>) -> Self {
        reads.open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::new(Open {
            reads: reads.clone(),
            since: reads.departures.load(Ordering::SeqCst),
        }))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.reads.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What left one shard while somebody was reading.
pub(super) struct Departed {
    reads: Arc<Reads>,
    numbers: HashMap<Gid, u64>,
}

impl Departed {
    pub(super) fn new(reads: Arc<Reads>) -> Self {
        Self {
            reads,
            numbers: HashMap::new(),
        }
    }

    /// Called after what the transaction had written is durable.
    pub(super) fn note(&mut self, gid: &Gid) {
        let number = self.reads.departures.fetch_add(1, Ordering::SeqCst);
        if self.reads.open.load(Ordering::SeqCst) > 0 {
            self.numbers.insert(gid.clone(), number);
        } else {
            // Whoever begins to read from here on sees everything.
            self.numbers.clear();
        }
    }

    /// Whether it left after a reading began.
    pub(super) fn after(&self, reading: &Reading, gid: &Gid) -> bool {
        let left = self.numbers.get(gid);
        left.is_some_and(|number| *number >= reading.0.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_left_during_a_reading_is_outdated() {
        let reads = Arc::new(Reads::default());
        let mut departed = Departed::new(reads.clone());
        let gid = Gid::new("g").unwrap();
        departed.note(&gid);
        let early = Reading::begin(&reads);
        assert!(!departed.after(&early, &gid));
        departed.note(&gid);
        let late = Reading::begin(&reads);
        assert!(departed.after(&early, &gid));
        assert!(!departed.after(&late, &gid));
        drop((early, late));
        departed.note(&Gid::new("other").unwrap());
        assert!(
            departed.numbers.is_empty(),
            "kept only while somebody reads"
        );
    }
}
