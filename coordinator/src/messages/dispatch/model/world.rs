//! Everything around the dispatcher, and what must always hold.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use amends_core::message::{
    Headers, Message, MessageId, MessageKey, OrderKey, RetrySchedule, SharedMessage, Tag, Topic,
};
use amends_core::payload::Payload;
use amends_core::time::{Millis, Timestamp};

use super::super::consumers::ConsumerId;
use super::super::entry::{Ack, Actions, Note, Offer, ReplyId, What, WriteId};
use super::super::group::{Group, Limits};
use super::super::sources::Read;
use super::super::time::Now;
use super::Bug;
use super::store::{RowState, Rows};
use crate::messages::types::{Settlement, Verdict};
use crate::store::messages::Waiting;

pub(super) const LEASE: Millis = Millis(100);
const BUFFER: usize = 4;
const SLEEPERS: usize = 2;
const WRITES: usize = 8;
/// Unacknowledged messages of the broker.
const WINDOW: usize = 6;

pub(super) struct Setting {
    pub(super) external: bool,
    /// Order keys in use; zero: none.
    pub(super) keys: usize,
    pub(super) planted: Option<Bug>,
}

/// A message in a consumer's hands, as the consumer sees it.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) token: u64,
    pub(super) id: MessageId,
    /// Its lease is over.
    pub(super) late: bool,
    until: Millis,
}

pub(super) struct World {
    setting: Setting,
    pub(super) group: Group,
    pub(super) now: Now,
    rows: Rows,
    pub(super) messages: Vec<SharedMessage>,
    /// Committed and not yet told.
    pub(super) offers: VecDeque<Offer>,
    /// At the broker, and whether it may have been given out before.
    queue: VecDeque<(SharedMessage, bool)>,
    unacknowledged: BTreeMap<u64, SharedMessage>,
    feed: u64,
    last_tag: u64,
    pub(super) consumers: BTreeMap<ConsumerId, Vec<Held>>,
    last_consumer: u64,
    pub(super) notes: VecDeque<Note>,
    pub(super) traces: VecDeque<Note>,
    pub(super) reads: Vec<(Read, u32, Vec<Waiting>)>,
    /// Whose consumer said so; or whose dead letter is durable.
    pub(super) ended: BTreeSet<MessageId>,
    /// Done since the last crash.
    done: BTreeSet<MessageId>,
    replies: BTreeMap<ReplyId, usize>,
    last_reply: u64,
    /// What happened, for people.
    pub(super) history: Vec<String>,
}

fn retry() -> RetrySchedule {
    RetrySchedule::new(4, vec![Millis(30), Millis(3_000)]).unwrap()
}

fn group(planted: Option<Bug>) -> Group {
    let limits = Limits {
        lease: LEASE,
        buffer: BUFFER,
        sleepers: SLEEPERS,
        writes: WRITES,
    };
    let mut group = Group::new(limits, retry());
    group.planted = planted;
    group.consumers.planted = planted;
    group
}

type Checked = Result<(), String>;

impl World {
    pub(super) fn new(setting: Setting) -> Self {
        Self {
            group: group(setting.planted),
            setting,
            now: Now {
                wall: Timestamp(1_000),
                steady: Millis(0),
            },
            rows: Rows::default(),
            messages: Vec::new(),
            offers: VecDeque::new(),
            queue: VecDeque::new(),
            unacknowledged: BTreeMap::new(),
            feed: 1,
            last_tag: 0,
            consumers: BTreeMap::new(),
            last_consumer: 0,
            notes: VecDeque::new(),
            traces: VecDeque::new(),
            reads: Vec::new(),
            ended: BTreeSet::new(),
            done: BTreeSet::new(),
            replies: BTreeMap::new(),
            last_reply: 0,
            history: Vec::new(),
        }
    }

    pub(super) fn publish(&mut self, key: usize) {
        let number = self.messages.len();
        let key = (self.setting.keys > 0)
            .then(|| OrderKey::new(&format!("k{}", key % self.setting.keys)).unwrap());
        let message = Arc::new(Message {
            id: MessageId::new(&format!("m{number}")).unwrap(),
            topic: Topic::new("t").unwrap(),
            tag: Tag::new("").unwrap(),
            key: MessageKey::new("").unwrap(),
            order_key: key,
            headers: Headers::default(),
            payload: Payload::null(),
            deliver_at: None,
            created_at: self.now.wall,
        });
        self.messages.push(message.clone());
        if self.setting.external {
            self.queue.push_back((message, false));
        } else {
            self.rows.insert(message.clone(), 0, RowState::Ready);
            self.offers.push_back(Offer::fresh(message));
        }
    }

    pub(super) fn tell_offers(&mut self) {
        let offers = self.offers.drain(..).collect();
        self.group.offered(offers, self.now);
    }

    pub(super) fn lose_offers(&mut self) {
        self.history.push("offers are lost".to_owned());
        self.offers.clear();
        self.group.offers_lost();
    }

    /// The broker gives out a few.
    pub(super) fn feed(&mut self, most: usize) {
        if !self.group.sources.caught_up() {
            return;
        }
        for _ in 0..most {
            if self.unacknowledged.len() >= WINDOW {
                return;
            }
            let Some((message, redelivered)) = self.queue.pop_front() else {
                return;
            };
            self.last_tag += 1;
            let ack = Ack {
                feed: self.feed,
                token: self.last_tag,
            };
            self.history.push(format!(
                "{} comes in, redelivered: {redelivered}",
                message.id
            ));
            self.unacknowledged.insert(self.last_tag, message.clone());
            let known = redelivered.then(|| self.rows.of(&message.id)).flatten();
            match known.map(|row| row.state) {
                Some(RowState::Done | RowState::Dead) => self.group.out.acks.push(ack),
                Some(_) => self.group.incoming_stored(&message, ack, self.now),
                None => self.group.incoming(message, ack, self.now),
            }
        }
    }

    /// What was not acknowledged comes again, in its order and before all others.
    pub(super) fn lose_feed(&mut self) {
        self.history.push("the feed is lost".to_owned());
        self.feed += 1;
        while let Some((_, message)) = self.unacknowledged.pop_last() {
            self.queue.push_front((message, true));
        }
    }

    pub(super) fn join(&mut self, credit: u32) {
        self.last_consumer += 1;
        let id = ConsumerId(self.last_consumer);
        self.consumers.insert(id, Vec::new());
        self.group.consumers.join(id, credit);
    }

    pub(super) fn leave(&mut self, id: ConsumerId) {
        self.history.push(format!("{id:?} leaves"));
        self.consumers.remove(&id);
        self.group.leave(id);
    }

    pub(super) fn keep_alive(&mut self, id: ConsumerId) {
        let until = self.now.steady + LEASE;
        self.group.consumers.keep_alive(id, until);
        for held in self.consumers.get_mut(&id).into_iter().flatten() {
            held.until = held.until.max(until);
        }
    }

    pub(super) fn settle(&mut self, by: ConsumerId, ix: usize, verdict: Verdict) -> Checked {
        let held = self.consumers.get_mut(&by).unwrap().remove(ix);
        self.last_reply += 1;
        let reply = ReplyId(self.last_reply);
        let done = verdict == Verdict::Done;
        let settlement = Settlement {
            token: held.token,
            verdict,
        };
        let (settled, writes) = self.group.settle(by, vec![settlement], reply, self.now);
        self.replies.insert(reply, writes);
        let Held { id, late, .. } = &held;
        self.history
            .push(format!("{by:?} settles {id}, late: {late}, done: {done}"));
        match (held.late, settled.counted.is_empty()) {
            (true, false) => {
                return Err(format!("{} counted, although its lease was over", held.id));
            }
            (false, true) => return Err(format!("{} did not count", held.id)),
            (false, false) if done => {
                self.done.insert(held.id.clone());
                self.ended.insert(held.id);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn pass(&mut self, span: Millis) {
        self.now.wall = self.now.wall + span;
        self.now.steady = self.now.steady + span;
        for held in self.consumers.values_mut().flatten() {
            held.late |= held.until <= self.now.steady;
        }
    }

    /// A write becomes durable, and that is told.
    pub(super) fn commit(&mut self, trace: bool) {
        let queue = if trace {
            &mut self.traces
        } else {
            &mut self.notes
        };
        let Some(note) = queue.pop_front() else {
            return;
        };
        let took_effect = self.write(&note);
        self.tell_offers();
        self.group.written(note.write, took_effect, self.now);
    }

    fn write(&mut self, note: &Note) -> bool {
        let took_effect = self.rows.write(note);
        let (id, what) = (&note.message.id, &note.what);
        self.history
            .push(format!("{id} {what:?} is written: {took_effect}"));
        if took_effect && matches!(note.what, What::Dead { .. }) {
            self.ended.insert(note.message.id.clone());
        }
        took_effect
    }

    /// A read ends, with what was there when it began or with what is there now.
    pub(super) fn finish_read(&mut self, ix: usize, outcome: Option<bool>) {
        let (read, most, at_begin) = self.reads.swap_remove(ix);
        let page = outcome.map(|now| match now {
            true => self.rows.waiting(&read.filter(), most),
            false => at_begin,
        });
        let id = |row: &Waiting| row.message.id.to_string();
        let ids = |page: &Vec<Waiting>| page.iter().map(id).collect::<Vec<_>>();
        let found = page.as_ref().map(ids);
        self.history.push(format!("{read:?} brings {found:?}"));
        self.group.read(read, page, most, self.now);
    }

    /// The coordinator dies. Of the writes under way, so many took place.
    pub(super) fn crash(&mut self, notes: usize, traces: usize) {
        self.history.push("crash".to_owned());
        for _ in 0..notes {
            if let Some(note) = self.notes.pop_front() {
                self.write(&note);
            }
        }
        for _ in 0..traces {
            if let Some(note) = self.traces.pop_front() {
                self.write(&note);
            }
        }
        self.notes.clear();
        self.traces.clear();
        self.reads.clear();
        self.offers.clear();
        self.consumers.clear();
        self.done.clear();
        self.replies.clear();
        self.group = group(self.setting.planted);
        self.lose_feed();
    }

    /// What the actor does after each event.
    pub(super) fn act(&mut self) -> Checked {
        self.group.tick(self.now);
        self.group.hand(self.now);
        let Actions {
            hands,
            notes,
            traces,
            acks,
            replies,
        } = std::mem::take(&mut self.group.out);
        for (consumer, batch) in hands {
            for handed in batch {
                let id = &handed.message.id;
                let key = &handed.message.order_key;
                self.history
                    .push(format!("{id} of {key:?} is handed to {consumer:?}"));
                self.check_handed(&handed.message)?;
                let held = Held {
                    token: handed.token,
                    id: handed.message.id.clone(),
                    late: false,
                    until: self.now.steady + LEASE,
                };
                self.consumers.get_mut(&consumer).unwrap().push(held);
            }
        }
        self.notes.extend(notes);
        self.traces.extend(traces);
        let feed = self.feed;
        for ack in acks.into_iter().filter(|ack| ack.feed == feed) {
            self.acknowledge(ack)?;
        }
        for reply in replies {
            if let Some(writes) = self.replies.get_mut(&reply) {
                *writes = writes
                    .checked_sub(1)
                    .ok_or("an answer waits for less than it gets")?;
            }
        }
        while let Some((read, most)) = self.group.next_read(self.now) {
            let page = self.rows.waiting(&read.filter(), most);
            self.reads.push((read, most, page));
        }
        self.check_bounds()
    }

    fn check_handed(&self, message: &Message) -> Checked {
        let id = &message.id;
        if self.done.contains(id) {
            return Err(format!("{id} is handed out after it was done"));
        }
        let held = |held: &&Held| !held.late;
        for other in self.consumers.values().flatten().filter(held) {
            if other.id == *id {
                return Err(format!("{id} is handed out twice at once"));
            }
            let key = |id: &MessageId| {
                let of = |it: &&SharedMessage| it.id == *id;
                self.messages.iter().find(of).unwrap().order_key.clone()
            };
            if message.order_key.is_some() && key(&other.id) == message.order_key {
                return Err(format!("{id} is handed out beside {} of its key", other.id));
            }
        }
        let before = self.messages.iter().take_while(|it| it.id != *id);
        let open = |it: &&SharedMessage| {
            it.order_key.is_some()
                && it.order_key == message.order_key
                && !self.ended.contains(&it.id)
        };
        match before.into_iter().find(open) {
            Some(earlier) => Err(format!(
                "{id} is handed out before {} has ended",
                earlier.id
            )),
            None => Ok(()),
        }
    }

    fn acknowledge(&mut self, ack: Ack) -> Checked {
        let Some(message) = self.unacknowledged.remove(&ack.token) else {
            return Err("acknowledged twice".to_owned());
        };
        let id = &message.id;
        if self.ended.contains(id) || self.rows.of(id).is_some() {
            return Ok(());
        }
        Err(format!(
            "{id} is acknowledged, although the store does not have it"
        ))
    }

    fn check_bounds(&self) -> Checked {
        let leased: usize = self.consumers.values().map(Vec::len).sum();
        // A page may fill the buffer to the brim; each lease of the past may have come back.
        let bound = 2 * BUFFER + 2 * SLEEPERS + 2 * WRITES + 2 * WINDOW + 2 * leased + 16;
        let found = self.group.entries.len();
        if found > bound {
            return Err(format!("{found} messages in memory, the bound is {bound}"));
        }
        Ok(())
    }

    pub(super) fn write_of(&self, trace: bool) -> Option<WriteId> {
        let queue = if trace { &self.traces } else { &self.notes };
        queue.front().map(|note| note.write)
    }

    pub(super) fn broker_is_empty(&self) -> bool {
        self.queue.is_empty() && self.unacknowledged.is_empty()
    }
}
