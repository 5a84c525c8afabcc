//! Where a group's messages come from, and in which order that is put together.
//!
//! A message that was just accepted is offered in memory. What there is no room for
//! stays in the store: the group is *behind* and reads there, by position, until a page shows
//! that nothing is left. What is read is compared with what is in memory, because
//! a row says READY until the trace of its end is written.

use std::collections::{HashSet, VecDeque};

use amends_core::message::{MessageId, OrderKey, SharedMessage};
use amends_core::time::{Millis, Timestamp};

use super::entry::{Ack, Offer, State};
use super::group::Group;
use super::lanes::LANE_MEMORY;
use super::time::Now;
use crate::store::messages::{Waiting, WaitingFilter};

/// Rows of one read.
const PAGE: usize = 256;
/// Reads under way.
const MAX_READS: usize = 4;
/// Offers kept while the last page is being read.
const MAX_BESIDE: usize = 1_024;
/// How far ahead retries are read.
const AHEAD: Millis = Millis(2_000);
/// Every so many looks into the store begin at its beginning.
const FULL_LOOK: u32 = 30;

/// A read of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Read {
    /// What blocks its key; before anything else.
    Blocking { after: i64 },
    /// What waits for a consumer.
    Ready { after: i64 },
    /// What waits for its time.
    Due { until: Timestamp },
    /// The rest of a lane.
    OfKey {
        key: OrderKey,
        after: i64,
        version: u64,
    },
}

impl Read {
    pub(super) fn filter(&self) -> WaitingFilter {
        match self {
            Self::Blocking { after } => WaitingFilter::Blocking { after: *after },
            Self::Ready { after } => WaitingFilter::Ready { after: *after },
            Self::Due { until } => WaitingFilter::Due { until: *until },
            Self::OfKey { key, after, .. } => WaitingFilter::OfKey {
                key: key.clone(),
                after: *after,
            },
        }
    }
}

/// What is to be read.
#[derive(Debug)]
pub(super) struct Sources {
    /// How far the blocking ones are read; `None`: to the end.
    blocking: Option<i64>,
    /// The store has READY rows that memory was not told of in time: what is
    /// offered is taken in after them.
    behind: bool,
    /// The store is to be looked through, or is being.
    looking: bool,
    /// READY rows up to here are known.
    position: i64,
    /// From where to look again.
    low: i64,
    looks: u32,
    /// The store was looked through to its end at least once.
    caught_up: bool,
    /// Offers that came while the last page was being read, and whether there were too many.
    beside: Vec<Offer>,
    missed: bool,
    due_wanted: bool,
    keys: VecDeque<OrderKey>,
    /// Reads under way: of blocking or ready ones, of due ones, in all.
    reading_ready: bool,
    reading_due: bool,
    reading: usize,
    /// Forgotten while something was being read.
    forgotten: HashSet<MessageId>,
}

impl Sources {
    pub(super) fn new() -> Self {
        Self {
            blocking: Some(0),
            behind: true,
            looking: true,
            position: 0,
            low: 0,
            looks: 0,
            caught_up: false,
            beside: Vec::new(),
            missed: false,
            due_wanted: true,
            keys: VecDeque::new(),
            reading_ready: false,
            reading_due: false,
            reading: 0,
            forgotten: HashSet::new(),
        }
    }

    /// Whether it is known which keys are blocked.
    pub(super) fn started(&self) -> bool {
        self.blocking.is_none()
    }

    /// Whether messages of a broker may be taken in: those in the store are older, and
    /// those of one key must not be overtaken.
    pub(super) fn caught_up(&self) -> bool {
        self.caught_up
    }

    pub(super) fn want_key(&mut self, key: OrderKey) {
        self.keys.push_back(key);
    }

    pub(super) fn forgotten(&mut self, id: &MessageId) {
        if self.reading > 0 {
            self.forgotten.insert(id.clone());
        }
    }

    pub(super) fn was_forgotten(&self, id: &MessageId) -> bool {
        self.forgotten.contains(id)
    }

    fn fall_behind(&mut self) {
        self.behind = true;
        self.missed = true;
        self.look();
    }

    /// Looks through the store, unless that is under way.
    fn look(&mut self) {
        if !self.looking {
            self.looking = true;
            self.position = self.low;
        }
    }
}

impl Group {
    /// Just accepted, in the order of the commits.
    pub(super) fn offered(&mut self, offers: Vec<Offer>, now: Now) {
        for offer in offers {
            let message = &offer.message;
            if self.entries.contains_key(&message.id) {
                continue;
            }
            if let Some(key) = message.order_key.clone()
                && self.key_is_in_store(&key)
            {
                self.more_in_store(&key, now);
                continue;
            }
            let room = self.room() > 0;
            let sources = &mut self.sources;
            if !sources.behind && room {
                self.admit(offer, None, now);
            } else if !sources.behind {
                sources.fall_behind();
            } else if sources.reading_ready && sources.beside.len() < MAX_BESIDE {
                sources.beside.push(offer);
            } else {
                sources.missed = true;
            }
        }
    }

    /// Delivered by an external broker.
    pub(super) fn incoming(&mut self, message: SharedMessage, ack: Ack, now: Now) {
        if self.entries.contains_key(&message.id) {
            self.known_again(&message.id, ack);
        } else {
            // Many that are due together were published before their time.
            let at = message.deliver_at.filter(|_| message.order_key.is_none());
            let offer = Offer {
                at,
                ..Offer::fresh(message)
            };
            self.admit(offer, Some(ack), now);
        }
    }

    /// The feed by which it came before is lost.
    pub(super) fn known_again(&mut self, id: &MessageId, ack: Ack) {
        match self.entries.get_mut(id) {
            Some(entry) if entry.ack.is_some() => entry.ack = Some(ack),
            _ => self.out.acks.push(ack),
        }
    }

    /// Delivered by an external broker once more, although the store knows about it.
    pub(super) fn incoming_stored(&mut self, message: &SharedMessage, ack: Ack, now: Now) {
        self.out.acks.push(ack);
        if self.entries.contains_key(&message.id) {
            self.acknowledge(&message.id);
            return;
        }
        match &message.order_key {
            Some(key) => self.key_waits_in_store(key, None, now),
            None => self.look(),
        }
    }

    /// Something may have come into the store by other ways.
    pub(super) fn look(&mut self) {
        let sources = &mut self.sources;
        sources.due_wanted = true;
        sources.looks += 1;
        if sources.looks.is_multiple_of(FULL_LOOK) {
            sources.low = 0;
        }
        sources.look();
    }

    /// Offers were lost on the way; they are in the store.
    pub(super) fn offers_lost(&mut self) {
        self.sources.fall_behind();
    }

    /// Waiting messages that there is room for.
    fn room(&self) -> usize {
        let waiting = self.counts.ready + self.counts.behind;
        self.limits.buffer.saturating_sub(waiting)
    }

    fn page_size(&self) -> usize {
        PAGE.min(self.limits.buffer / 2).max(1)
    }

    /// The next read to begin, with the most rows it may bring.
    pub(super) fn next_read(&mut self, now: Now) -> Option<(Read, u32)> {
        if self.sources.reading >= MAX_READS {
            return None;
        }
        let (page, room) = (self.page_size(), self.room());
        let (read, rows) = if let Some(after) = self.sources.blocking {
            if self.sources.reading_ready {
                return None;
            }
            self.sources.reading_ready = true;
            (Read::Blocking { after }, page)
        } else if let Some(key) = self.next_key() {
            let (after, version) = self.key_cursor(&key)?;
            let read = Read::OfKey {
                key,
                after,
                version,
            };
            (read, LANE_MEMORY.min(page))
        } else if self.sources.due_wanted && !self.sources.reading_due && room >= page {
            self.sources.due_wanted = false;
            self.sources.reading_due = true;
            let until = now.wall + AHEAD;
            // Those that are in memory come along.
            (
                Read::Due { until },
                page + self.entries.len() + self.lanes.len(),
            )
        } else if self.sources.looking && !self.sources.reading_ready && room >= page {
            self.sources.reading_ready = true;
            self.sources.missed = false;
            self.sources.beside.clear();
            let after = self.sources.position;
            (Read::Ready { after }, page)
        } else {
            return None;
        };
        self.sources.reading += 1;
        Some((read, u32::try_from(rows).unwrap_or(u32::MAX)))
    }

    fn next_key(&mut self) -> Option<OrderKey> {
        while let Some(key) = self.sources.keys.pop_front() {
            if self.key_cursor(&key).is_some() {
                return Some(key);
            }
            self.key_read_dropped(&key);
        }
        None
    }

    /// A read has ended; `None`: it failed and is to be done again.
    pub(super) fn read(&mut self, read: Read, page: Option<Vec<Waiting>>, most: u32, now: Now) {
        self.sources.reading -= 1;
        let is_last = page.as_ref().is_some_and(|page| page.len() < most as usize);
        match read {
            Read::Blocking { after } => {
                self.sources.reading_ready = false;
                if let Some(page) = page {
                    let last = page.last().map_or(after, |row| row.position);
                    self.blocking_page(&page, now);
                    self.sources.blocking = (!is_last).then_some(last);
                }
            }
            Read::Ready { .. } => {
                self.sources.reading_ready = false;
                if let Some(page) = page {
                    self.ready_page(page, is_last, now);
                }
            }
            Read::Due { .. } => {
                self.sources.reading_due = false;
                match page {
                    Some(page) => self.due_page(page, is_last, now),
                    None => self.sources.due_wanted = true,
                }
            }
            Read::OfKey { key, version, .. } => match page {
                Some(page) => self.key_page(&key, version, page, is_last, now),
                None => self.key_read_failed(&key, now),
            },
        }
        if self.sources.reading == 0 {
            self.sources.forgotten.clear();
        }
    }

    fn blocking_page(&mut self, page: &[Waiting], now: Now) {
        for row in page {
            if let Some(key) = &row.message.order_key {
                self.key_waits_in_store(key, row.next_at, now);
            }
        }
    }

    fn ready_page(&mut self, page: Vec<Waiting>, is_last: bool, now: Now) {
        for row in page {
            self.sources.position = row.position;
            let id = &row.message.id;
            if self.entries.contains_key(id) || self.sources.was_forgotten(id) {
                continue;
            }
            match &row.message.order_key {
                Some(key) if self.key_is_in_store(key) => self.more_in_store(&key.clone(), now),
                _ => self.admit(offer(row), None, now),
            }
        }
        if is_last && !self.sources.missed {
            self.sources.behind = false;
            self.sources.looking = false;
            self.sources.caught_up = true;
            self.sources.low = self.sources.position;
            let beside = std::mem::take(&mut self.sources.beside);
            self.offered(beside, now);
        }
    }

    fn due_page(&mut self, page: Vec<Waiting>, is_last: bool, now: Now) {
        let mut is_news = false;
        for row in page {
            let id = &row.message.id;
            if self.entries.contains_key(id) || self.sources.was_forgotten(id) {
                continue;
            }
            match row.message.order_key.clone() {
                Some(key) if self.key_is_in_store(&key) => continue,
                Some(key) => self.key_waits_in_store(&key, row.next_at, now),
                None if self.room() > 0 => self.admit(offer(row), None, now),
                None => {
                    self.sources.due_wanted = true;
                    return;
                }
            }
            is_news = true;
        }
        self.sources.due_wanted |= is_news && !is_last;
    }

    /// Messages whose state is known in memory better than in the store.
    pub(super) fn is_leased(&self, id: &MessageId) -> bool {
        self.state_of(id) == Some(State::Leased) && self.consumers.holds(id)
    }
}

fn offer(row: Waiting) -> Offer {
    Offer {
        message: row.message,
        attempts: row.attempts,
        at: row.next_at,
    }
}
