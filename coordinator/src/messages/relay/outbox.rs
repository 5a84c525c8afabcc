//! What is to be published now or soon.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use amends_core::message::{Message, MessageId};
use amends_core::time::{Millis, Timestamp};
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::due::{Due, Finished};
use crate::clock::Clock;
use crate::messages::dispatch::Timers;
use crate::messages::hints::Hinted;
use crate::store::StoreError;
use crate::store::messages::{MessageStore, StoredMessage};

/// Most messages in memory: waiting for their time soon, or in a lane.
const WINDOW: usize = 16_384;
/// Rows of one read.
const PAGE: u32 = 512;
/// How far ahead delayed messages are taken into memory: [`EARLY`], and what time brings near from
/// one poll to the next.
const AHEAD: Millis = Millis(4_000);
/// How long before their time many messages go to an external broker: at their time it could carry them
/// only one after the other. Whoever delivers them keeps them until then.
const EARLY: Millis = Millis(1_500);
/// Delayed messages in memory beyond which they are many. Fewer stay until their time, because what has gone
/// to the broker can no longer be taken back.
const CROWD: usize = 256;
/// Accepted messages kept while the last page is being read.
const MAX_BESIDE: usize = 4_096;
/// Every so many polls the store is read from its beginning, not from where the last round ended.
const FULL_LOOK: u32 = 30;
/// Wait after a read that failed.
const READ_AGAIN: Duration = Duration::from_millis(200);

/// How it stands, for the health report.
#[derive(Debug, Default)]
pub(in crate::messages) struct OutboxLive {
    pub(in crate::messages) in_memory: AtomicUsize,
    pub(in crate::messages) behind: AtomicBool,
}

/// What the outbox is told.
pub(in crate::messages) enum OutboxCommand {
    /// Something may have come into the store by other ways; or time has passed.
    Look,
    /// Try these at once.
    Now(Vec<Due>),
}

pub(in crate::messages) struct OutboxParts {
    pub(in crate::messages) store: Arc<dyn MessageStore>,
    pub(in crate::messages) clock: Arc<dyn Clock>,
    pub(in crate::messages) poll: Duration,
    /// What was accepted, in the order of the commits.
    pub(in crate::messages) accepted: Hinted<Vec<Due>>,
    pub(in crate::messages) commands: mpsc::Receiver<OutboxCommand>,
    pub(in crate::messages) lanes: Vec<mpsc::UnboundedSender<Due>>,
    /// From the lanes.
    pub(in crate::messages) finished: mpsc::UnboundedReceiver<Vec<Finished>>,
    pub(in crate::messages) live: Arc<OutboxLive>,
    /// Whether the lanes lead to an external broker.
    pub(in crate::messages) external: bool,
}

type Page = Result<Vec<StoredMessage>, StoreError>;
/// Where a message stands in the outbox: its time, and its id.
type Place = (Timestamp, MessageId);

/// The actor.
pub(in crate::messages) struct Outbox {
    parts: OutboxParts,
    /// In memory, here or in a lane.
    held: HashSet<MessageId>,
    sleeping: HashMap<MessageId, Due>,
    timers: Timers<MessageId>,
    /// Those of `timers` that may go before their time: what has an order key may not, or it could arrive
    /// before what is published meanwhile, and hold it up.
    early: Timers<MessageId>,
    /// The store has due messages that memory was not told of in time: what is
    /// accepted is taken in after them.
    behind: bool,
    /// The store is to be looked through, or is being.
    looking: bool,
    /// The round is to begin.
    fresh: bool,
    /// When the round is over, another one begins at the beginning.
    again: bool,
    /// Rows up to here were read in this round.
    cursor: Option<Place>,
    /// Rows up to here are in memory, or over.
    low: Option<Place>,
    polls: u32,
    reading: Option<BoxFuture<'static, Page>>,
    /// Accepted while a page was being read, and whether there were too many.
    beside: Vec<Due>,
    missed: bool,
    /// Finished while a page was being read.
    forgotten: HashSet<MessageId>,
}

enum Event {
    Accepted(Vec<Vec<Due>>),
    Command(Option<OutboxCommand>),
    Finished(Vec<Finished>),
    Page(Page),
    Poll,
    Time,
}

impl Outbox {
    pub(in crate::messages) fn new(parts: OutboxParts) -> Self {
        Self {
            parts,
            held: HashSet::new(),
            sleeping: HashMap::new(),
            timers: Timers::new(),
            early: Timers::new(),
            behind: true,
            looking: true,
            fresh: true,
            again: false,
            cursor: None,
            low: None,
            polls: 0,
            reading: None,
            beside: Vec::new(),
            missed: false,
            forgotten: HashSet::new(),
        }
    }

    /// Runs until nobody can tell it anything any more.
    pub(in crate::messages) async fn run(mut self) {
        let mut poll = tokio::time::interval(self.parts.poll);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.begin_read();
            let event = self.next(&mut poll).await;
            match event {
                Event::Command(None) => return,
                Event::Command(Some(OutboxCommand::Look)) => self.look_at_all(),
                Event::Poll => self.poll(),
                Event::Command(Some(OutboxCommand::Now(due))) => self.now(due),
                Event::Accepted(batches) => {
                    for accepted in batches {
                        self.accepted(accepted);
                    }
                }
                Event::Finished(finished) => self.finished(finished),
                Event::Page(page) => self.page(page),
                Event::Time => {}
            }
            if self.parts.accepted.take_lost() {
                self.fall_behind();
            }
            self.wake();
            let live = &self.parts.live;
            live.in_memory.store(self.held.len(), Ordering::Relaxed);
            live.behind.store(self.behind, Ordering::Relaxed);
        }
    }

    async fn next(&mut self, poll: &mut tokio::time::Interval) -> Event {
        const LONGEST: Duration = Duration::from_secs(3_600);
        let now = self.parts.clock.now();
        let timer = self.timers.next().map(|at| at.since(now));
        let early = self.early.next().filter(|_| self.is_crowded());
        let early = early.map(|at| at.since(now + EARLY));
        let nap = [timer, early].into_iter().flatten().min();
        let nap = nap.map_or(LONGEST, |nap| Duration::from(nap).min(LONGEST));
        let page = async {
            match &mut self.reading {
                Some(reading) => reading.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = self.parts.accepted.next() => Event::Accepted(accepted),
            command = self.parts.commands.recv() => Event::Command(command),
            Some(finished) = self.parts.finished.recv() => Event::Finished(finished),
            page = page => Event::Page(page),
            _ = poll.tick() => Event::Poll,
            () = tokio::time::sleep(nap) => Event::Time,
        }
    }

    fn accepted(&mut self, accepted: Vec<Due>) {
        for due in accepted {
            if self.behind {
                if self.reading.is_some() && self.beside.len() < MAX_BESIDE {
                    self.beside.push(due);
                } else {
                    self.missed = true;
                }
            } else if !self.take(due) {
                self.fall_behind();
            }
        }
    }

    /// False when there is no room.
    fn take(&mut self, due: Due) -> bool {
        let now = self.parts.clock.now();
        let id = due.message.id.clone();
        if self.held.contains(&id) || self.forgotten.contains(&id) || due.at > now + AHEAD {
            return true;
        }
        if self.held.len() >= WINDOW {
            return false;
        }
        self.held.insert(id.clone());
        if due.at <= now {
            self.publish(due);
        } else {
            self.timers.add(due.at, id.clone());
            if self.parts.external && due.message.order_key.is_none() && due.tries == 0 {
                self.early.add(due.at, id.clone());
            }
            self.sleeping.insert(id, due);
        }
        true
    }

    fn publish(&self, due: Due) {
        let lanes = &self.parts.lanes;
        if let Some(lane) = lanes.get(lane_of(&due.message, lanes.len())) {
            // The lanes end after the outbox.
            let _ = lane.send(due);
        }
    }

    fn now(&mut self, all: Vec<Due>) {
        let now = self.parts.clock.now();
        for mut due in all {
            if let Some(sleeping) = self.sleeping.remove(&due.message.id) {
                self.publish(sleeping);
                continue;
            }
            due.at = due.at.min(now);
            if !self.take(due) {
                self.fall_behind();
            }
        }
    }

    fn finished(&mut self, finished: Vec<Finished>) {
        // What was accepted before is taken in before.
        while let Some(accepted) = self.parts.accepted.try_next() {
            self.accepted(accepted);
        }
        for Finished { id, again } in finished {
            self.held.remove(&id);
            match again {
                Some(due) if self.take(due.clone()) => {}
                Some(_) => self.fall_behind(),
                None if self.reading.is_some() => drop(self.forgotten.insert(id)),
                None => {}
            }
        }
    }

    fn wake(&mut self) {
        let now = self.parts.clock.now();
        while let Some((at, id)) = self.timers.due(now) {
            self.wake_up(at, &id);
        }
        while self.is_crowded()
            && let Some((at, id)) = self.early.due(now + EARLY)
        {
            self.wake_up(at, &id);
        }
        while self.early.due(now).is_some() {}
    }

    fn wake_up(&mut self, at: Timestamp, id: &MessageId) {
        if self.sleeping.get(id).is_some_and(|due| due.at == at)
            && let Some(due) = self.sleeping.remove(id)
        {
            self.publish(due);
        }
    }

    fn is_crowded(&self) -> bool {
        self.sleeping.len() > CROWD
    }

    /// Takes in what time has brought near: the rows behind those that were there before.
    fn poll(&mut self) {
        self.polls = self.polls.wrapping_add(1);
        if self.polls.is_multiple_of(FULL_LOOK) {
            self.look_at_all();
        } else if !self.looking {
            self.begin_round();
        }
    }

    /// Looks through the store from its beginning.
    fn look_at_all(&mut self) {
        self.low = None;
        if self.looking {
            self.again = true;
        } else {
            self.begin_round();
        }
    }

    fn begin_round(&mut self) {
        self.looking = true;
        self.fresh = true;
        self.again = false;
        self.cursor = self.low.clone();
    }

    fn fall_behind(&mut self) {
        self.behind = true;
        self.missed = true;
        self.look_at_all();
    }

    fn begin_read(&mut self) {
        let room = WINDOW.saturating_sub(self.held.len());
        if !self.looking || self.reading.is_some() || room < PAGE as usize {
            return;
        }
        self.forgotten.clear();
        self.missed |= !self.beside.is_empty();
        self.beside.clear();
        if std::mem::take(&mut self.fresh) {
            self.missed = false;
        }
        let store = self.parts.store.clone();
        let cursor = self.cursor.clone();
        let until = self.parts.clock.now() + AHEAD;
        self.reading = Some(Box::pin(async move {
            let page = store.outbox(until, cursor.as_ref(), PAGE).await;
            if page.is_err() {
                tokio::time::sleep(READ_AGAIN).await;
            }
            page
        }));
    }

    fn page(&mut self, page: Page) {
        self.reading = None;
        let rows = match page {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(%error, "cannot read messages to publish; trying again");
                self.missed = true;
                return;
            }
        };
        let is_last = rows.len() < PAGE as usize;
        for row in rows {
            let due = Due::stored(row);
            let place = (due.at, due.message.id.clone());
            if !self.take(due) {
                return; // From here on again, when there is room.
            }
            self.cursor = Some(place);
        }
        if !is_last {
            return;
        }
        self.low = self.cursor.take();
        self.behind = self.missed;
        self.looking = false;
        if self.missed || self.again {
            self.look_at_all();
        }
        for due in std::mem::take(&mut self.beside) {
            if !self.take(due) {
                self.fall_behind();
            }
        }
    }
}

/// Messages that must keep their order have the same lane.
fn lane_of(message: &Message, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    match &message.order_key {
        Some(key) => (&message.topic, key).hash(&mut hasher),
        None => message.id.hash(&mut hasher),
    }
    #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash do")]
    let hash = hasher.finish() as usize;
    hash % lanes.max(1)
}
