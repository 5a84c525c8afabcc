//! Which of the messages at hand may run now.
//!
//! One runs per order key, the others behind it in the order in which they
//! came; messages without an order key run side by side. Pure bookkeeping.

use std::collections::{HashSet, VecDeque};

use amends_proto::v1;

/// The messages that wait, and the keys that are busy.
#[derive(Debug)]
pub(super) struct Lanes {
    waiting: VecDeque<v1::Delivered>,
    busy: HashSet<String>,
    running: usize,
    most: usize,
}

impl Lanes {
    /// At most this many run at a time.
    pub(super) fn new(most: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            busy: HashSet::new(),
            running: 0,
            most,
        }
    }

    /// Messages that wait or run.
    pub(super) fn at_hand(&self) -> usize {
        self.waiting.len() + self.running
    }

    /// Messages that run.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    pub(super) fn arrive(&mut self, delivered: v1::Delivered) {
        self.waiting.push_back(delivered);
    }

    /// The next message that may run; it counts as running from now on.
    pub(super) fn next(&mut self) -> Option<v1::Delivered> {
        if self.running >= self.most {
            return None;
        }
        let is_free = |delivered: &v1::Delivered| !self.busy.contains(order_key(delivered));
        let at = self.waiting.iter().position(is_free)?;
        let next = self.waiting.remove(at)?;
        self.running += 1;
        if !order_key(&next).is_empty() {
            self.busy.insert(order_key(&next).to_owned());
        }
        Some(next)
    }

    /// A running message has ended.
    pub(super) fn ended(&mut self, order_key: &str) {
        self.running = self.running.saturating_sub(1);
        self.busy.remove(order_key);
    }

    /// Takes out those that wait behind a message that is to be tried again:
    /// they must not overtake it.
    pub(super) fn behind(&mut self, key: &str) -> Vec<v1::Delivered> {
        if key.is_empty() {
            return Vec::new();
        }
        let all = std::mem::take(&mut self.waiting);
        let (behind, rest): (VecDeque<_>, VecDeque<_>) = all
            .into_iter()
            .partition(|delivered| order_key(delivered) == key);
        self.waiting = rest;
        behind.into()
    }

    /// Forgets those that wait: the connection they came by is gone. Those
    /// that run keep their places.
    pub(super) fn forget_waiting(&mut self) {
        self.waiting.clear();
    }
}

/// Empty where there is no order; that key is never busy.
pub(super) fn order_key(delivered: &v1::Delivered) -> &str {
    delivered
        .message
        .as_ref()
        .map_or("", |message| &message.order_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(token: u64, order_key: &str) -> v1::Delivered {
        let message = v1::Message {
            order_key: order_key.to_owned(),
            ..v1::Message::default()
        };
        v1::Delivered {
            token,
            message: Some(message),
            attempt: 1,
        }
    }

    fn lanes(most: usize, at_hand: &[(u64, &str)]) -> Lanes {
        let mut lanes = Lanes::new(most);
        for (token, key) in at_hand {
            lanes.arrive(delivered(*token, key));
        }
        lanes
    }

    fn next(lanes: &mut Lanes) -> Vec<u64> {
        std::iter::from_fn(|| lanes.next())
            .map(|delivered| delivered.token)
            .collect()
    }

    #[test]
    fn one_per_order_key_and_no_more_than_allowed() {
        let mut lanes = lanes(3, &[(1, "a"), (2, "a"), (3, ""), (4, "b"), (5, "")]);
        assert_eq!(next(&mut lanes), [1, 3, 4]);
        lanes.ended("b");
        assert_eq!(next(&mut lanes), [5]);
        lanes.ended("a");
        assert_eq!(next(&mut lanes), [2]);
        assert_eq!((lanes.running(), lanes.at_hand()), (3, 3));
    }

    #[test]
    fn nothing_overtakes_a_message_that_is_tried_again() {
        let mut lanes = lanes(9, &[(1, "a"), (2, "a"), (3, "b"), (4, "a"), (5, "b")]);
        assert_eq!(next(&mut lanes), [1, 3]);
        let behind: Vec<u64> = lanes
            .behind("a")
            .iter()
            .map(|delivered| delivered.token)
            .collect();
        assert_eq!(behind, [2, 4]);
        assert!(lanes.behind("").is_empty());
        lanes.ended("a");
        lanes.ended("b");
        assert_eq!(next(&mut lanes), [5]);
    }

    #[test]
    fn a_key_stays_busy_over_a_lost_connection() {
        let mut lanes = lanes(9, &[(1, "a"), (2, "a"), (3, "b")]);
        assert_eq!(next(&mut lanes), [1, 3]);
        lanes.forget_waiting();
        lanes.arrive(delivered(1, "a"));
        assert_eq!(next(&mut lanes), [0; 0]);
        lanes.ended("a");
        assert_eq!(next(&mut lanes), [1]);
    }
}
