//! Which messages of a lane go to the broker together. Pure.
//!
//! Of each order key at most one is under way, so that a refused one is not
//! overtaken; a key whose message was refused waits until that one is through.

use std::collections::{HashMap, HashSet, VecDeque};

use amends_core::message::{OrderKey, Topic};
use amends_core::time::Timestamp;

use super::due::Due;
use crate::messages::dispatch::Timers;

/// What must keep its order.
type Key = (Topic, OrderKey);

/// Messages passed over while a batch is put together.
const MAX_PASSED: usize = 1_024;

fn key_of(due: &Due) -> Option<Key> {
    let message = &due.message;
    let key = message.order_key.clone()?;
    Some((message.topic.clone(), key))
}

/// Messages of a lane.
pub(super) struct Carrying {
    queue: VecDeque<Due>,
    /// Keys with a refused message, which is the first.
    refused: HashMap<Key, VecDeque<Due>>,
    timers: Timers<Key>,
}

impl Carrying {
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            refused: HashMap::new(),
            timers: Timers::new(),
        }
    }

    pub(super) fn add(&mut self, due: Due) {
        self.queue.push_back(due);
    }

    /// Takes the next messages out, at most `most`.
    pub(super) fn batch(&mut self, most: usize, now: Timestamp) -> Vec<Due> {
        let mut batch = Vec::new();
        let mut keys = HashSet::new();
        while batch.len() < most
            && let Some((_, key)) = self.timers.due(now)
        {
            if let Some(first) = self.refused.get_mut(&key).and_then(VecDeque::pop_front) {
                keys.insert(key);
                batch.push(first);
            }
        }
        let mut passed = VecDeque::new();
        while batch.len() < most
            && passed.len() < MAX_PASSED
            && let Some(due) = self.queue.pop_front()
        {
            match key_of(&due) {
                None => batch.push(due),
                Some(key) => {
                    if let Some(waiting) = self.refused.get_mut(&key) {
                        waiting.push_back(due);
                    } else if keys.insert(key) {
                        batch.push(due);
                    } else {
                        passed.push_back(due);
                    }
                }
            }
        }
        while let Some(due) = passed.pop_back() {
            self.queue.push_front(due);
        }
        batch
    }

    /// It is through, or needs nobody to wait for it: its key goes on.
    pub(super) fn released(&mut self, due: &Due) {
        let Some(mut waiting) = key_of(due).and_then(|key| self.refused.remove(&key)) else {
            return;
        };
        while let Some(due) = waiting.pop_back() {
            self.queue.push_front(due);
        }
    }

    /// Refused: comes again at its time. Given back when nothing waits behind it.
    pub(super) fn refused(&mut self, due: Due) -> Option<Due> {
        let Some(key) = key_of(&due) else {
            return Some(due);
        };
        self.timers.add(due.at, key.clone());
        self.refused.entry(key).or_default().push_front(due);
        None
    }

    /// No answer: these come first again, in their order.
    pub(super) fn again(&mut self, batch: Vec<Due>) {
        for due in batch.into_iter().rev() {
            match key_of(&due).and_then(|key| self.refused.get_mut(&key).map(|it| (key, it))) {
                Some((key, waiting)) => {
                    self.timers.add(due.at, key);
                    waiting.push_front(due);
                }
                None => self.queue.push_front(due),
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// When a refused message comes again.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.timers.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::relay::due::Due;
    use amends_core::id::Generation;
    use amends_core::message::{Headers, Message, MessageId, MessageKey, Tag};
    use amends_core::payload::Payload;
    use std::sync::Arc;

    fn due(id: &str, key: &str) -> Due {
        let message = Message {
            id: MessageId::new(id).unwrap(),
            topic: Topic::new("t").unwrap(),
            tag: Tag::new("").unwrap(),
            key: MessageKey::new("").unwrap(),
            order_key: (!key.is_empty()).then(|| OrderKey::new(key).unwrap()),
            headers: Headers::default(),
            payload: Payload::null(),
            deliver_at: None,
            created_at: Timestamp(0),
        };
        Due {
            message: Arc::new(message),
            generation: Generation::FIRST,
            tries: 0,
            at: Timestamp(0),
        }
    }

    fn lane(messages: &[(&str, &str)]) -> Carrying {
        let mut lane = Carrying::new();
        for (id, key) in messages {
            lane.add(due(id, key));
        }
        lane
    }

    fn ids(batch: &[Due]) -> Vec<&str> {
        batch.iter().map(|due| due.message.id.as_str()).collect()
    }

    #[test]
    fn one_of_each_key_is_under_way() {
        let mut lane = lane(&[
            ("a1", "a"),
            ("a2", "a"),
            ("x", ""),
            ("b1", "b"),
            ("a3", "a"),
        ]);
        assert_eq!(ids(&lane.batch(9, Timestamp(0))), ["a1", "x", "b1"]);
        assert_eq!(ids(&lane.batch(9, Timestamp(0))), ["a2"]);
        assert_eq!(ids(&lane.batch(9, Timestamp(0))), ["a3"]);
        assert!(lane.is_empty());
    }

    #[test]
    fn a_refused_one_holds_up_its_key_only() {
        let mut lane = lane(&[("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b")]);
        let mut first = lane.batch(9, Timestamp(0));
        first[0].at = Timestamp(50);
        assert!(lane.refused(first.remove(0)).is_none());
        assert_eq!(ids(&lane.batch(9, Timestamp(10))), ["b2"]);
        lane.add(due("a3", "a"));
        assert!(lane.batch(9, Timestamp(49)).is_empty());
        let again = lane.batch(9, Timestamp(50));
        assert_eq!(ids(&again), ["a1"]);
        assert!(lane.batch(9, Timestamp(60)).is_empty(), "a1 is under way");
        lane.released(&again[0]);
        assert_eq!(ids(&lane.batch(9, Timestamp(60))), ["a2"]);
        assert_eq!(ids(&lane.batch(9, Timestamp(60))), ["a3"]);
    }

    #[test]
    fn without_an_answer_the_order_stays() {
        let mut lane = lane(&[("a1", "a"), ("x", ""), ("a2", "a"), ("y", "")]);
        let batch = lane.batch(2, Timestamp(0));
        lane.again(batch);
        assert_eq!(ids(&lane.batch(9, Timestamp(0))), ["a1", "x", "y"]);
        assert_eq!(ids(&lane.batch(9, Timestamp(0))), ["a2"]);
        assert!(lane.refused(due("z", "")).is_some(), "nothing waits for it");
    }
}
