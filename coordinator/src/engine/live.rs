//! One transaction in memory: its state, what of it is durable, who waits for what.

use std::sync::Arc;
use std::time::Instant;

use amends_core::id::RecordNo;
use amends_core::saga::Direction;
use amends_core::tcc::Stage;
use amends_core::time::{Millis, Timestamp};

use crate::store::{Append, Incarnation};

use super::error::EngineError;
use super::message::{Accepted, CommandFailed, Loaded, Reply, StartFailed, Until};
use super::seat::Seat;
use super::stopwatch::Stopwatch;
use super::transaction::{Decision, Effect, Record, Rejected, Transaction};
use super::unawaited::{Listed, Worth};

/// A transaction as it stands, for readers.
#[derive(Debug, Clone)]
pub struct View {
    /// Its state.
    pub transaction: Arc<Transaction>,
    /// Everything up to this record is durable.
    pub durable: RecordNo,
    /// Grows with every change while it is in memory.
    pub changes: u64,
    /// Who runs it, where that is not this coordinator.
    pub foreign_owner: Option<Incarnation>,
}

/// Room for the changes of one stay in memory: later stays count on above it.
const CHANGES_PER_STAY: u32 = 32;
/// How long a TCC sleeps that only an operator can wake.
const HELD_UP: Millis = Millis::from_secs(24 * 3_600);

/// Somebody who waits for records to be durable.
pub(super) enum Waiter {
    /// Started it, or asked for the same start again.
    Start {
        /// Where the reply goes.
        reply: Reply<Result<Accepted, StartFailed>>,
        /// Whether it was this start that began it.
        created: bool,
        /// Whether the reply shows the transaction.
        looks: bool,
    },
    /// Put a command to it.
    Command(Reply<Result<View, CommandFailed>>),
    /// Put a command to a TCC in vain. The reason may be what is not durable yet:
    /// told before, it could turn out otherwise after a crash.
    Rejected(Reply<Result<View, CommandFailed>>, Rejected),
}

/// An effect, and when it was decided.
pub(super) type Due = (Instant, Effect);

pub(super) struct Live {
    pub(super) transaction: Transaction,
    _seat: Seat,
    pub(super) watch: Stopwatch,
    /// Tells this stay in memory from others of the same transaction.
    pub(super) stay: u64,
    /// Everything up to here is durable.
    pub(super) durable: RecordNo,
    /// A write is under way, up to this record.
    pub(super) writing: Option<RecordNo>,
    /// Records that were not handed to the committer yet.
    unwritten: Vec<Record>,
    /// Effects that wait for records to be durable.
    held: Vec<(RecordNo, Due)>,
    waiters: Vec<(RecordNo, Waiter)>,
    observers: Vec<(Until, Reply<Option<View>>)>,
    changes: u64,
    /// The wake-up that is wanted.
    pub(super) wake: Option<Timestamp>,
    /// The wake-up that stands among the shard's timers.
    pub(super) timer: Option<Timestamp>,
    /// Its row says when it has to be loaded, though it is here.
    pub(super) marked: bool,
    /// On which lists of those with unwritten records that nobody waits for.
    pub(super) listed: Listed,
    /// The write under way is meant to be the last before it leaves memory.
    pub(super) leaving: bool,
    /// The stored transaction of this id, where it was loaded while a start
    /// of the same id did not know yet that the id is taken.
    pub(super) stored: Option<Loaded>,
}

impl Live {
    pub(super) fn new(
        transaction: Transaction,
        seat: Seat,
        stay: u64,
        durable: RecordNo,
        watch: Stopwatch,
    ) -> Self {
        Self {
            transaction,
            _seat: seat,
            watch,
            stay,
            durable,
            writing: None,
            unwritten: Vec::new(),
            held: Vec::new(),
            waiters: Vec::new(),
            observers: Vec::new(),
            changes: stay << CHANGES_PER_STAY,
            wake: None,
            timer: None,
            marked: false,
            listed: Listed::default(),
            leaving: false,
            stored: None,
        }
    }

    pub(super) fn view(&self) -> View {
        View {
            transaction: Arc::new(self.transaction.clone()),
            durable: self.durable,
            changes: self.changes,
            foreign_owner: None,
        }
    }

    /// Takes in a decision that has led to the present state; returns the
    /// effects that may run at once.
    pub(super) fn take(&mut self, decision: Decision) -> Vec<Due> {
        match decision {
            Decision::Saga(decision) => {
                let records = decision.records.into_iter();
                let stored = records.map(|it| it.is_stored().then_some(Record::Saga(it)));
                self.take_in(stored, decision.effects)
            }
            Decision::Tcc(decision) => {
                let records = decision.records.into_iter();
                let stored = records.map(|it| it.is_stored().then_some(Record::Tcc(it)));
                self.take_in(stored, decision.effects)
            }
        }
    }

    /// `records` tells of each record, and gives those that are to be stored.
    fn take_in<E: Into<Effect>>(
        &mut self,
        records: impl ExactSizeIterator<Item = Option<Record>>,
        effects: Vec<E>,
    ) -> Vec<Due> {
        if records.len() > 0 {
            self.changes += 1;
            self.leaving = false;
        }
        self.unwritten.extend(records.flatten());
        self.wake = None;
        if self.transaction.is_ended() {
            // What was decided before the end and has not begun is not wanted any more.
            self.held.retain(|(_, (_, effect))| {
                matches!(effect, Effect::Accept { .. } | Effect::Finish { .. })
            });
        }
        let mut ready = Vec::new();
        let now = self.watch.since();
        for effect in effects {
            match effect.into() {
                Effect::Wake { at } => self.wake = Some(at),
                effect => match effect.after() {
                    Some(after) if after > self.durable => self.held.push((after, (now, effect))),
                    _ => ready.push((now, effect)),
                },
            }
        }
        self.tell_observers(false);
        ready
    }

    /// Notes what became durable; returns the effects that may run now.
    pub(super) fn written(&mut self, last: RecordNo) -> Vec<Due> {
        self.durable = last;
        self.writing = None;
        let (ready, held): (Vec<_>, Vec<_>) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|(after, _)| *after <= last);
        self.held = held;
        let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiters)
            .into_iter()
            .partition(|(after, _)| *after <= last);
        self.waiters = later;
        let looked = now.iter().any(|(_, waiter)| waiter.looks());
        let view = looked.then(|| self.view());
        for (_, waiter) in now {
            waiter.succeed(view.as_ref());
        }
        ready.into_iter().map(|(_, due)| due).collect()
    }

    /// Answers once everything up to now is durable.
    pub(super) fn when_durable(&mut self, waiter: Waiter) {
        let after = self.transaction.last_record();
        if after <= self.durable {
            let view = waiter.looks().then(|| self.view());
            waiter.succeed(view.as_ref());
        } else {
            self.waiters.push((after, waiter));
        }
    }

    pub(super) fn observe(&mut self, until: Until, reply: Reply<Option<View>>) {
        let ends = self.transaction.is_ended();
        // Its end counts once it is durable. Who does not want to wait for that
        // looks at the store.
        if ends && until == Until::Now {
            let _ = reply.send(None);
            return;
        }
        let at_once = match until {
            Until::Now => true,
            Until::Change(seen) => self.changes > seen && !ends,
            Until::End => false,
        };
        if at_once {
            let _ = reply.send(Some(self.view()));
        } else {
            self.observers.retain(|(_, reply)| !reply.is_closed());
            self.observers
                .push((if ends { Until::End } else { until }, reply));
        }
    }

    /// Says to everybody who waits that it has ended, durably.
    pub(super) fn ended(&mut self) {
        self.tell_observers(true);
    }

    /// Somebody waits for a record that no write covers yet, or the row says
    /// that this transaction sleeps: it would crowd out those that do.
    pub(super) fn needs_write(&self) -> bool {
        let covered = self.durable;
        let awaited = !self.unwritten.is_empty()
            && (self.held.iter().any(|(after, _)| *after > covered)
                || self.waiters.iter().any(|(after, _)| *after > covered));
        awaited || self.marked
    }

    pub(super) fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// What the unwritten records are worth.
    pub(super) fn worth(&self) -> Worth {
        Worth::of(&self.unwritten)
    }

    /// Nothing is under way, nobody waits for it here, and nothing will happen before `wake`.
    pub(super) fn is_idle(&self) -> bool {
        self.held.is_empty()
            && self.waiters.is_empty()
            && !self.transaction.is_ended()
            && !self.transaction.is_in_flight()
    }

    /// When it has to come back, if it may leave memory now: nothing happens for
    /// `evict_after`, or before an operator acts. A TCC whose caller is still at
    /// it stays for as long after its last change.
    pub(super) fn may_leave(&self, now: Timestamp, evict_after: Millis) -> Option<Timestamp> {
        let back = match (self.wake, self.transaction.tcc()) {
            // Its caller is at it, or lost soon; when it was heard last is known in memory only.
            _ if self.is_driven() => return None,
            (Some(wake), _) => wake,
            (None, Some(_)) => now + HELD_UP,
            (None, None) => return None,
        };
        let rested = self.rests_until(evict_after).is_none_or(|at| at <= now);
        (back >= now + evict_after && rested && self.is_idle()).then_some(back)
    }

    /// A live saga that goes forward.
    fn is_driven(&self) -> bool {
        let saga = self.transaction.saga();
        saga.is_some_and(|saga| saga.live().is_some() && *saga.direction() == Direction::Forward)
    }

    /// When its shard has to look at it: as it wants, or to see whether it may leave.
    pub(super) fn next_look(&self, now: Timestamp, evict_after: Millis) -> Option<Timestamp> {
        let rest = self.rests_until(evict_after).filter(|at| *at > now);
        self.wake.into_iter().chain(rest).min()
    }

    fn rests_until(&self, evict_after: Millis) -> Option<Timestamp> {
        let tcc = self.transaction.tcc()?;
        (*tcc.stage() == Stage::Trying).then(|| tcc.updated_at() + evict_after)
    }

    /// Hands out everything unwritten as one append. `leaving` tells when the
    /// transaction has to come back, if it is about to leave memory.
    pub(super) fn append(&mut self, leaving: Option<Timestamp>) -> Append {
        let last = self.transaction.last_record();
        // Taken with its memory: most transactions write nothing more for a while.
        let unwritten = std::mem::take(&mut self.unwritten);
        let records = if unwritten.is_empty() {
            String::new()
        } else {
            // Texts, numbers and JSON that was read before: writing them cannot fail.
            serde_json::to_string(&unwritten).unwrap_or_default()
        };
        self.writing = Some(last);
        self.leaving = leaving.is_some();
        self.marked = self.leaving;
        Append {
            gid: self.transaction.gid().clone(),
            generation: self.transaction.generation(),
            previous: self.durable,
            last,
            records,
            summary: self.transaction.summary(leaving),
        }
    }

    /// Tells everybody who waits that it is not here any more: asleep, or
    /// taken over by somebody else.
    pub(super) fn left(self) {
        let gid = self.transaction.gid().to_string();
        for (_, waiter) in self.waiters {
            waiter.fail(EngineError::NotOwned(gid.clone()));
        }
        for (_, reply) in self.observers {
            let _ = reply.send(None);
        }
    }

    /// Takes the waiters of a start whose id turned out to be taken.
    pub(super) fn into_waiters(self) -> Vec<Waiter> {
        for (_, reply) in self.observers {
            let _ = reply.send(None);
        }
        self.waiters.into_iter().map(|(_, waiter)| waiter).collect()
    }

    fn tell_observers(&mut self, ended: bool) {
        let wanted = |until: &Until| ended || matches!(until, Until::Change(_));
        if !self.observers.iter().any(|(until, _)| wanted(until))
            || (self.transaction.is_ended() && !ended)
        {
            return;
        }
        let view = self.view();
        let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.observers)
            .into_iter()
            .partition(|(until, _)| wanted(until));
        self.observers = later;
        for (_, reply) in now {
            let _ = reply.send(Some(view.clone()));
        }
    }
}

impl Waiter {
    fn looks(&self) -> bool {
        match self {
            Self::Start { looks, .. } => *looks,
            Self::Command(_) => true,
            Self::Rejected(..) => false,
        }
    }

    /// `view` is there for all that look.
    fn succeed(self, view: Option<&View>) {
        match (self, view.cloned()) {
            (Self::Start { reply, created, .. }, view) => {
                drop(reply.send(Ok(Accepted { created, view })));
            }
            (Self::Command(reply), Some(view)) => drop(reply.send(Ok(view))),
            (Self::Command(_), None) => {}
            (Self::Rejected(reply, rejected), _) => {
                drop(reply.send(Err(CommandFailed::Error(rejected.into()))));
            }
        }
    }

    pub(super) fn fail(self, error: EngineError) {
        match self {
            Self::Start { reply, .. } => drop(reply.send(Err(StartFailed::Error(error)))),
            Self::Command(reply) | Self::Rejected(reply, _) => {
                drop(reply.send(Err(CommandFailed::Error(error))));
            }
        }
    }
}
