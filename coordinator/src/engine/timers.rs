//! Wake-ups of live transactions, earliest first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use amends_core::id::Gid;
use amends_core::time::Timestamp;

/// A heap in which outdated entries stay until their time; the owner of a
/// transaction knows whether a wake-up is still wanted.
#[derive(Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Timestamp, Gid)>>);

impl Timers {
    pub(super) fn set(&mut self, at: Timestamp, gid: Gid) {
        self.0.push(Reverse((at, gid)));
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// The next entry that is due.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<(Timestamp, Gid)> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_due_in_order() {
        let mut timers = Timers::default();
        for at in [30, 10, 20] {
            timers.set(Timestamp(at), Gid::new(&at.to_string()).unwrap());
        }
        assert_eq!(timers.pop(Timestamp(9)), None);
        assert_eq!(
            timers.pop(Timestamp(25)).map(|(at, _)| at),
            Some(Timestamp(10))
        );
        assert_eq!(
            timers.pop(Timestamp(25)).map(|(at, _)| at),
            Some(Timestamp(20))
        );
        assert_eq!(timers.next(), Some(Timestamp(30)));
    }
}
