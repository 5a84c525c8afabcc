//! Messages of one order key: one after the other, the first one holds up the others.
//!
//! A lane keeps few messages in memory. The others are in the store (an external
//! broker's are put there first, all of the lane, so that the store has them in
//! order) and are read from there when those in memory have ended.

use std::collections::VecDeque;

use amends_core::message::{MessageId, OrderKey};
use amends_core::time::Timestamp;

use super::entry::{Ack, Offer, PendingKind, State, What};
use super::group::{Group, Timer};
use super::time::Now;
use crate::store::messages::Waiting;

/// Most messages of a key in memory.
pub(super) const LANE_MEMORY: usize = 32;

/// The messages of a key.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Those in memory; the first one is handed out, or being retried, or being written.
    queue: VecDeque<MessageId>,
    /// When they become due, for those that wait for their time; beside `queue`.
    not_before: VecDeque<Option<Timestamp>>,
    /// There may be more in the store.
    rest: Option<Rest>,
    /// Writes under way that put messages of the lane into the store.
    keeping: usize,
    /// A read of the rest is asked for or under way.
    reading: bool,
}

/// What of a lane is in the store.
#[derive(Debug, Default)]
struct Rest {
    /// Messages up to this position are in memory, or were.
    after: i64,
    /// Grows with each message that goes there, so that a page tells whether it is the last.
    version: u64,
    /// The first one is not due before.
    wake: Option<Timestamp>,
}

impl Group {
    pub(super) fn admit_to_lane(&mut self, offer: Offer, ack: Option<Ack>, now: Now) {
        let Some(key) = offer.message.order_key.clone() else {
            return;
        };
        let crowded = self.counts.behind >= self.limits.buffer / 2;
        let lane = self.lanes.entry(key.clone()).or_default();
        let full = lane.queue.len() >= LANE_MEMORY || (crowded && !lane.queue.is_empty());
        if lane.rest.is_none() && full {
            self.spill(&key);
        }
        let Some(lane) = self.lanes.get_mut(&key) else {
            return;
        };
        let id = offer.message.id.clone();
        if let Some(rest) = &mut lane.rest {
            rest.version += 1;
            match ack {
                Some(_) => {
                    self.insert(offer.message, offer.attempts, ack, State::Keeping);
                    self.keep(&id, &key);
                }
                None => self.read_key_when_possible(&key, now),
            }
            return;
        }
        lane.queue.push_back(id.clone());
        lane.not_before.push_back(offer.at);
        let first = lane.queue.len() == 1;
        self.insert(offer.message, offer.attempts, ack, State::Behind);
        if first {
            self.begin_first(&key, now);
        }
    }

    /// From here on the messages of this key go by the store.
    fn spill(&mut self, key: &OrderKey) {
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        lane.rest = Some(Rest::default());
        let in_memory: Vec<MessageId> = lane.queue.iter().cloned().collect();
        for id in in_memory {
            let entry = self.entries.get(&id);
            let at_broker =
                entry.is_some_and(|entry| entry.ack.is_some() && entry.state != State::Writing);
            if at_broker {
                self.keep(&id, key);
            }
        }
    }

    /// Drops a lane from memory, whose first message sleeps in the store until then.
    pub(super) fn collapse(&mut self, key: &OrderKey, until: Timestamp) {
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        let version = lane.rest.as_ref().map_or(0, |rest| rest.version) + 1;
        lane.rest = Some(Rest {
            after: 0,
            version,
            wake: Some(until),
        });
        lane.not_before.clear();
        let in_memory = std::mem::take(&mut lane.queue);
        for id in in_memory {
            let at_broker = self
                .entries
                .get(&id)
                .is_some_and(|entry| entry.ack.is_some());
            if at_broker {
                self.set_state(&id, State::Keeping);
                self.keep(&id, key);
            } else {
                self.forget(&id);
            }
        }
        self.timers.add(until, Timer::Key(key.clone()));
    }

    fn keep(&mut self, id: &MessageId, key: &OrderKey) {
        let kind = PendingKind::Keep(key.clone());
        if let Some(note) = self.note(id, What::Keep, kind, None) {
            self.out.notes.push(note);
            if let Some(lane) = self.lanes.get_mut(key) {
                lane.keeping += 1;
            }
        }
    }

    /// It is in the store now, and need not stay with the broker.
    pub(super) fn kept(&mut self, id: &MessageId, key: &OrderKey, now: Now) {
        self.acknowledge(id);
        if self.state_of(id) == Some(State::Keeping) {
            self.leave_to_store(id);
        }
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.keeping = lane.keeping.saturating_sub(1);
        }
        self.read_key_when_possible(key, now);
    }

    /// The first message of its key has ended: the next one's turn.
    pub(super) fn release_key_of(&mut self, id: &MessageId, now: Now) {
        let key = self
            .entries
            .get(id)
            .and_then(|it| it.message.order_key.clone());
        let Some(key) = key else { return };
        let Some(lane) = self.lanes.get_mut(&key) else {
            return;
        };
        if lane.queue.front() != Some(id) {
            return;
        }
        lane.queue.pop_front();
        lane.not_before.pop_front();
        self.begin_first(&key, now);
    }

    fn begin_first(&mut self, key: &OrderKey, now: Now) {
        let Some(lane) = self.lanes.get(key) else {
            return;
        };
        let Some(id) = lane.queue.front().cloned() else {
            return match lane.rest {
                Some(_) => self.read_key_when_possible(key, now),
                None if lane.keeping == 0 => drop(self.lanes.remove(key)),
                None => {}
            };
        };
        let at = lane.not_before.front().copied().flatten();
        match at.filter(|at| *at > now.wall) {
            Some(at) => self.sleep_until(&id, at),
            None => self.make_ready(&id),
        }
    }

    pub(super) fn key_is_due(&mut self, key: &OrderKey, now: Now) {
        if let Some(rest) = self.lanes.get_mut(key).and_then(|it| it.rest.as_mut())
            && rest.wake.is_some_and(|wake| wake <= now.wall)
        {
            rest.wake = None;
            self.read_key_when_possible(key, now);
        }
    }

    /// Asks for the rest of a lane that has nothing left in memory.
    fn read_key_when_possible(&mut self, key: &OrderKey, now: Now) {
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        let Some(rest) = &lane.rest else {
            return self.drop_if_empty(key);
        };
        let asleep = rest.wake.is_some_and(|wake| wake > now.wall);
        if lane.queue.is_empty() && lane.keeping == 0 && !lane.reading && !asleep {
            lane.reading = true;
            self.sources.want_key(key.clone());
        }
    }

    fn drop_if_empty(&mut self, key: &OrderKey) {
        if self
            .lanes
            .get(key)
            .is_some_and(|lane| lane.queue.is_empty() && lane.keeping == 0 && lane.rest.is_none())
        {
            self.lanes.remove(key);
        }
    }

    /// From where to read the rest of a lane, and its version.
    pub(super) fn key_cursor(&self, key: &OrderKey) -> Option<(i64, u64)> {
        let rest = self.lanes.get(key)?.rest.as_ref()?;
        Some((rest.after, rest.version))
    }

    /// A key has messages in the store that memory knows nothing of.
    pub(super) fn key_waits_in_store(&mut self, key: &OrderKey, wake: Option<Timestamp>, now: Now) {
        let lane = self.lanes.entry(key.clone()).or_default();
        if lane.rest.is_none() {
            self.spill(key);
        }
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        let rest = lane.rest.get_or_insert_default();
        rest.version += 1;
        rest.after = 0;
        if lane.queue.is_empty()
            && let Some(wake) = wake.filter(|wake| *wake > now.wall)
        {
            rest.wake = Some(wake);
            self.timers.add(wake, Timer::Key(key.clone()));
        }
        self.read_key_when_possible(key, now);
    }

    /// The store has one more message of a key that goes by the store.
    pub(super) fn more_in_store(&mut self, key: &OrderKey, now: Now) {
        if let Some(rest) = self.lanes.get_mut(key).and_then(|it| it.rest.as_mut()) {
            rest.version += 1;
        }
        self.read_key_when_possible(key, now);
    }

    /// A read that was asked for is not begun.
    pub(super) fn key_read_dropped(&mut self, key: &OrderKey) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.reading = false;
        }
    }

    pub(super) fn key_is_in_store(&self, key: &OrderKey) -> bool {
        self.lanes.get(key).is_some_and(|lane| lane.rest.is_some())
    }

    /// A page of a lane's rest, read when it had this version.
    pub(super) fn key_page(
        &mut self,
        key: &OrderKey,
        version: u64,
        page: Vec<Waiting>,
        is_last: bool,
        now: Now,
    ) {
        for row in page {
            let id = row.message.id.clone();
            let state = self.state_of(&id);
            let skipped = self.sources.was_forgotten(&id)
                || state.is_some_and(|state| state != State::Keeping);
            let Some(lane) = self.lanes.get_mut(key) else {
                return;
            };
            if let Some(rest) = &mut lane.rest {
                rest.after = row.position;
            }
            if skipped {
                continue;
            }
            lane.queue.push_back(id.clone());
            lane.not_before.push_back(row.next_at);
            if state.is_some() {
                // Its acknowledgement follows when the write is known to be durable.
                self.set_state(&id, State::Behind);
            } else {
                self.insert(row.message, row.attempts, None, State::Behind);
            }
        }
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        lane.reading = false;
        let unchanged = lane
            .rest
            .as_ref()
            .is_some_and(|rest| rest.version == version);
        if is_last && unchanged && lane.keeping == 0 {
            lane.rest = None;
        }
        self.begin_first(key, now);
    }

    pub(super) fn key_read_failed(&mut self, key: &OrderKey, now: Now) {
        self.key_read_dropped(key);
        self.read_key_when_possible(key, now);
    }
}
