//! Decides which message of a group goes to which consumer next, and what a
//! settlement means. Pure: no IO, no clock; what is to be done comes out as [`Actions`].
//!
//! Guarantees, which `model` checks by playing many short histories:
//! - a message is with one consumer at most, and so is a key;
//! - messages of a key are handed out in the order in which they came; one that has not ended
//!   holds up its key and nothing else;
//! - a token whose lease is over changes nothing;
//! - a message of an external broker is acknowledged only when what became of it is in the store;
//! - memory is bounded: what there is no room for waits in the store or at the broker.
//!
//! Not here: reading and writing (`actor`), which group wants what, publishing.

use std::collections::{BTreeMap, HashMap, VecDeque};

use amends_core::message::{MessageId, OrderKey, RetrySchedule, SharedMessage};
use amends_core::time::{Millis, Timestamp};

use super::consumers::{ConsumerId, Consumers, Token};
use super::entry::{
    Ack, Actions, Entry, Note, Offer, Pending, PendingKind, ReplyId, State, What, WriteId,
};
use super::lanes::Lane;
use super::sources::Sources;
use super::time::{Now, Timers};
use crate::messages::types::{Handed, Settled, Settlement, Verdict};

/// Most messages handed out in one batch, and the bytes after which a batch is full.
const MAX_HAND: (usize, usize) = (256, 1 << 20);
/// Most characters kept of an error.
const MAX_ERROR_CHARS: usize = 2_000;
/// What is recorded when nobody said anything in time.
const NOT_SETTLED: &str = "not settled within its lease";

/// What a group may use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) lease: Millis,
    /// Messages that wait in memory for a consumer or for others of their key.
    pub(super) buffer: usize,
    /// Messages that wait in memory for their time.
    pub(super) sleepers: usize,
    /// Writes under way; beyond it nothing is handed out.
    pub(super) writes: usize,
}

/// What is due at a time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Message(MessageId),
    Key(OrderKey),
}

/// How many messages are in which state.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) behind: usize,
    pub(super) ready: usize,
    pub(super) sleeping: usize,
}

/// One group and topic.
pub(super) struct Group {
    pub(super) limits: Limits,
    retry: RetrySchedule,
    pub(super) entries: HashMap<MessageId, Entry>,
    pub(super) counts: Counts,
    ready: VecDeque<MessageId>,
    pub(super) lanes: HashMap<OrderKey, Lane>,
    pub(super) consumers: Consumers,
    pub(super) timers: Timers<Timer>,
    pub(super) sources: Sources,
    pending: BTreeMap<WriteId, Pending>,
    last_write: WriteId,
    pub(super) out: Actions,
    #[cfg(test)]
    pub(super) planted: Option<super::model::Bug>,
}

impl Group {
    pub(super) fn new(limits: Limits, retry: RetrySchedule) -> Self {
        Self {
            limits,
            retry,
            entries: HashMap::new(),
            counts: Counts::default(),
            ready: VecDeque::new(),
            lanes: HashMap::new(),
            consumers: Consumers::default(),
            timers: Timers::new(),
            sources: Sources::new(),
            pending: BTreeMap::new(),
            last_write: WriteId(0),
            out: Actions::default(),
            #[cfg(test)]
            planted: None,
        }
    }

    pub(super) fn set_retry(&mut self, retry: RetrySchedule) {
        self.retry = retry;
    }

    /// A consumer is gone; what it had is handed out again at once and costs no attempt.
    pub(super) fn leave(&mut self, consumer: ConsumerId) {
        for id in self.consumers.leave(consumer).into_iter().rev() {
            if self.state_of(&id) == Some(State::Leased) {
                self.set_state(&id, State::Ready);
                self.ready.push_front(id);
            }
        }
    }

    /// What a consumer says of its deliveries. The answer may be given once the writes
    /// that bear `reply` are durable; their number comes with it.
    pub(super) fn settle(
        &mut self,
        consumer: ConsumerId,
        settlements: Vec<Settlement>,
        reply: ReplyId,
        now: Now,
    ) -> (Settled, usize) {
        let mut settled = Settled::default();
        let mut writes = 0;
        for Settlement { token, verdict } in settlements {
            let Token::Holds(id) = self.consumers.settle(consumer, token) else {
                settled.stale.push(token);
                continue;
            };
            settled.counted.push(token);
            match verdict {
                Verdict::Done => self.done(&id, now),
                Verdict::Again { after, error } => {
                    writes += self.failed(&id, after, error, Some(reply), now);
                }
                Verdict::Dead { error } => {
                    writes += self.attempted(&id);
                    self.dead(&id, error, Some(reply));
                }
            }
        }
        (settled, writes)
    }

    /// Lets time pass: leases end, messages and keys wake up.
    pub(super) fn tick(&mut self, now: Now) {
        for id in self.consumers.expire(now.steady) {
            self.failed(&id, Some(Millis(0)), NOT_SETTLED.to_owned(), None, now);
        }
        while let Some((at, timer)) = self.timers.due(now.wall) {
            match timer {
                Timer::Message(id) => {
                    if self.state_of(&id) == Some(State::Sleeping(at)) {
                        self.make_ready(&id);
                    }
                }
                Timer::Key(key) => self.key_is_due(&key, now),
            }
        }
    }

    /// A write is durable; or it changed nothing, because the row is not as it was
    /// believed to be (its subscription is gone, for example).
    pub(super) fn written(&mut self, write: WriteId, took_effect: bool, now: Now) {
        let Some(Pending { id, kind, reply }) = self.pending.remove(&write) else {
            return;
        };
        self.out.replies.extend(reply);
        match kind {
            PendingKind::Done => {
                self.acknowledge(&id);
                self.forget(&id);
            }
            PendingKind::Retry(at) if took_effect => {
                self.acknowledge(&id);
                self.sleep(&id, at, now);
            }
            PendingKind::Dead | PendingKind::Retry(_) => {
                self.acknowledge(&id);
                self.release_key_of(&id, now);
                self.forget(&id);
            }
            PendingKind::Keep(key) => self.kept(&id, &key, now),
        }
    }

    /// Gives out what can be given out.
    pub(super) fn hand(&mut self, now: Now) {
        if !self.sources.started() {
            return;
        }
        let until = now.steady + self.limits.lease;
        while !self.ready.is_empty() && self.pending.len() < self.limits.writes {
            let Some((consumer, credit, takers)) = self.consumers.next() else {
                return;
            };
            let share = self.ready.len().div_ceil(takers).min(MAX_HAND.0);
            let share = share.min(usize::try_from(credit).unwrap_or(usize::MAX));
            let mut batch = Vec::with_capacity(share);
            let mut bytes = 0;
            while batch.len() < share
                && bytes < MAX_HAND.1
                && let Some(id) = self.ready.pop_front()
            {
                let Some(token) = self.consumers.lease(consumer, &id, until) else {
                    self.ready.push_front(id);
                    break;
                };
                self.set_state(&id, State::Leased);
                if let Some(entry) = self.entries.get(&id) {
                    bytes += entry.message.payload.data().len();
                    batch.push(Handed {
                        token,
                        attempt: entry.attempts + 1,
                        message: entry.message.clone(),
                    });
                }
            }
            if batch.is_empty() {
                return;
            }
            self.out.hands.push((consumer, batch));
        }
    }

    /// Whether it has nothing to wait for.
    pub(super) fn is_idle(&self) -> bool {
        self.consumers.len() == 0 && self.pending.is_empty()
    }

    /// Takes in a message that is not known yet.
    pub(super) fn admit(&mut self, offer: Offer, ack: Option<Ack>, now: Now) {
        if offer.message.order_key.is_some() {
            return self.admit_to_lane(offer, ack, now);
        }
        let id = offer.message.id.clone();
        let at = offer.at.filter(|at| *at > now.wall);
        if at.is_some() && self.counts.sleeping >= self.limits.sleepers && ack.is_none() {
            return; // It is found in the store when it is due.
        }
        self.insert(offer.message, offer.attempts, ack, State::Behind);
        match at {
            Some(at) => self.sleep_until(&id, at),
            None => self.make_ready(&id),
        }
    }

    pub(super) fn insert(
        &mut self,
        message: SharedMessage,
        attempts: u32,
        ack: Option<Ack>,
        state: State,
    ) {
        self.count(state, 1);
        let id = message.id.clone();
        let entry = Entry {
            message,
            attempts,
            ack,
            state,
        };
        self.entries.insert(id, entry);
    }

    pub(super) fn make_ready(&mut self, id: &MessageId) {
        self.set_state(id, State::Ready);
        self.ready.push_back(id.clone());
    }

    pub(super) fn sleep_until(&mut self, id: &MessageId, at: Timestamp) {
        self.set_state(id, State::Sleeping(at));
        self.timers.add(at, Timer::Message(id.clone()));
    }

    pub(super) fn state_of(&self, id: &MessageId) -> Option<State> {
        self.entries.get(id).map(|entry| entry.state)
    }

    pub(super) fn set_state(&mut self, id: &MessageId, state: State) {
        if let Some(entry) = self.entries.get_mut(id) {
            let before = std::mem::replace(&mut entry.state, state);
            self.count(before, -1);
            self.count(state, 1);
        }
    }

    fn count(&mut self, state: State, by: isize) {
        let counter = match state {
            State::Behind => &mut self.counts.behind,
            State::Ready => &mut self.counts.ready,
            State::Sleeping(_) => &mut self.counts.sleeping,
            State::Leased | State::Writing | State::Keeping => return,
        };
        *counter = counter.saturating_add_signed(by);
    }

    /// Drops a message from memory. Pages that are being read may still show it
    /// as it was, and must not bring it back.
    pub(super) fn forget(&mut self, id: &MessageId) {
        self.leave_to_store(id);
        self.sources.forgotten(id);
    }

    /// Drops a message from memory whose row tells how it stands.
    pub(super) fn leave_to_store(&mut self, id: &MessageId) {
        if let Some(entry) = self.entries.remove(id) {
            self.count(entry.state, -1);
        }
    }

    pub(super) fn acknowledge(&mut self, id: &MessageId) {
        if let Some(entry) = self.entries.get_mut(id) {
            self.out.acks.extend(entry.ack.take());
        }
    }

    /// Its business transaction has committed: the key goes on. Losing the trace means one more
    /// delivery, which the consumer log absorbs; so a broker keeps its copy until the trace is durable.
    fn done(&mut self, id: &MessageId, now: Now) {
        self.attempted(id);
        let note = self.note(id, What::Done, PendingKind::Done, None);
        self.out.traces.extend(note);
        self.release_key_of(id, now);
    }

    /// An attempt has failed; how many writes that makes.
    fn failed(
        &mut self,
        id: &MessageId,
        after: Option<Millis>,
        error: String,
        reply: Option<ReplyId>,
        now: Now,
    ) -> usize {
        let writes = self.attempted(id);
        let attempts = self.entries.get(id).map_or(0, |entry| entry.attempts);
        let scheduled = self.retry.wait_after(attempts);
        match scheduled.map(|wait| after.unwrap_or(wait)) {
            None => self.dead(id, error, reply),
            Some(wait) => {
                let at = now.wall + wait;
                let error = bounded(error);
                #[cfg(test)]
                if self.planted == Some(super::model::Bug::AcknowledgedBeforeDurable) {
                    self.acknowledge(id);
                }
                let note = self.note(id, What::Retry { at, error }, PendingKind::Retry(at), reply);
                self.out.notes.extend(note);
            }
        }
        writes
    }

    fn dead(&mut self, id: &MessageId, error: String, reply: Option<ReplyId>) {
        let error = bounded(error);
        let note = self.note(id, What::Dead { error }, PendingKind::Dead, reply);
        self.out.notes.extend(note);
    }

    /// Counts an attempt that has ended; how many messages that are.
    fn attempted(&mut self, id: &MessageId) -> usize {
        let Some(entry) = self.entries.get_mut(id) else {
            return 0;
        };
        entry.attempts = entry.attempts.saturating_add(1);
        self.set_state(id, State::Writing);
        1
    }

    /// A message that no consumer can read; kept as a dead letter.
    pub(super) fn unreadable(&mut self, message: SharedMessage, why: String, ack: Ack) {
        let id = message.id.clone();
        if self.entries.contains_key(&id) {
            return self.known_again(&id, ack);
        }
        self.insert(message, 0, Some(ack), State::Writing);
        self.dead(&id, why, None);
    }

    pub(super) fn note(
        &mut self,
        id: &MessageId,
        what: What,
        kind: PendingKind,
        reply: Option<ReplyId>,
    ) -> Option<Note> {
        let entry = self.entries.get(id)?;
        self.last_write.0 += 1;
        let write = self.last_write;
        let pending = Pending {
            id: id.clone(),
            kind,
            reply,
        };
        self.pending.insert(write, pending);
        Some(Note {
            write,
            message: entry.message.clone(),
            attempts: entry.attempts,
            what,
        })
    }

    /// Its retry is in the store; it sleeps in memory where there is room.
    fn sleep(&mut self, id: &MessageId, at: Timestamp, now: Now) {
        let Some(entry) = self.entries.get(id) else {
            return;
        };
        let crowded = self.counts.sleeping >= self.limits.sleepers;
        match entry.message.order_key.clone() {
            Some(key) if crowded => self.collapse(&key, at),
            None if crowded => self.forget(id),
            Some(_) | None if at <= now.wall => self.make_ready(id),
            Some(_) | None => self.sleep_until(id, at),
        }
    }
}

fn bounded(mut error: String) -> String {
    if let Some((end, _)) = error.char_indices().nth(MAX_ERROR_CHARS) {
        error.truncate(end);
    }
    error
}
