//! Wake-ups of live transactions, earliest first.

use std::collections::BTreeSet;

use amends_core::id::Gid;
use amends_core::time::Timestamp;

/// At most one for each live transaction, so that what has ended leaves nothing behind.
#[derive(Default)]
pub(super) struct Timers(BTreeSet<(Timestamp, Gid)>);

impl Timers {
    /// Replaces the wake-up of a transaction.
    pub(super) fn change(&mut self, gid: &Gid, from: Option<Timestamp>, to: Option<Timestamp>) {
        if from == to {
            return;
        }
        if let Some(at) = from {
            self.0.remove(&(at, gid.clone()));
        }
        if let Some(at) = to {
            self.0.insert((at, gid.clone()));
        }
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.0.first().map(|(at, _)| *at)
    }

    /// The next one that is due.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<Gid> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, gid)| gid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Option<Timestamp> {
        Some(Timestamp(millis))
    }

    #[test]
    fn come_due_in_order() {
        let mut timers = Timers::default();
        for millis in [30, 10, 20] {
            let gid = Gid::new(&millis.to_string()).unwrap();
            timers.change(&gid, None, at(millis));
        }
        let mut due = |now| timers.pop(Timestamp(now)).map(|gid| gid.to_string());
        assert_eq!(due(9), None);
        assert_eq!(due(25).as_deref(), Some("10"));
        assert_eq!(due(25).as_deref(), Some("20"));
        assert_eq!(due(25), None);
        assert_eq!(timers.next(), at(30));
    }

    #[test]
    fn one_that_is_replaced_or_taken_back_leaves_nothing_behind() {
        let mut timers = Timers::default();
        let gid = Gid::new("g").unwrap();
        timers.change(&gid, None, at(10));
        timers.change(&gid, at(10), at(20));
        timers.change(&gid, at(20), at(20));
        assert_eq!((timers.0.len(), timers.next()), (1, at(20)));
        timers.change(&gid, at(20), None);
        assert!(timers.0.is_empty());
    }
}
