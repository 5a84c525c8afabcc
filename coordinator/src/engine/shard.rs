//! One shard: owns its live transactions and runs them, one event at a time.
//!
//! Everything that happens to a transaction happens here, in one task, without
//! locks. The shard never waits for the store or for a participant: both come
//! back as events.

mod birth;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use amends_core::id::{Gid, RecordNo};
use amends_core::time::Timestamp;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use crate::clock::{Clock, runtime_now};
use crate::crash;
use crate::store::Appended;

use super::calling::{Going, Ways, ask, tell};
use super::committer::Commit;
use super::lanes::{CommitSender, Lane};
use super::live::{Due, Live, View, Waiter};
use super::message::{CallDone, CommandFailed, CommitDone, Loaded, Message, Reply, Until};
use super::options::EngineOptions;
use super::profile::ShardProfile;
use super::reads::{Departed, Reads};
use super::seat::Seats;
use super::stopwatch::{CallTimes, Stopwatch};
use super::timers::Timers;
use super::transaction::{Command, Effect};
use super::unawaited::Unawaited;

/// Wait when nothing is planned; any event ends it.
const IDLE: Duration = Duration::from_secs(3_600);
/// Most transactions that are woken, or written because it is time, before
/// other events have their turn: after a participant hung, thousands are due at once.
const MAX_DUE_AT_ONCE: usize = 64;

/// What a shard works with.
pub(super) struct ShardParts {
    pub(super) options: EngineOptions,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ways: Ways,
    pub(super) commits: CommitSender,
    /// Places of live transactions, of all shards.
    pub(super) seats: Seats,
    pub(super) profile: Arc<ShardProfile>,
    pub(super) reads: Arc<Reads>,
}

pub(super) struct Shard {
    parts: ShardParts,
    live: HashMap<Gid, Box<Live>>,
    calls: FuturesUnordered<BoxFuture<'static, CallDone>>,
    timers: Timers,
    departed: Departed,
    unawaited: Unawaited,
    committed: mpsc::UnboundedReceiver<CommitDone>,
    committed_sender: mpsc::UnboundedSender<CommitDone>,
    stays: u64,
    stopping: Option<Reply<()>>,
}

impl Shard {
    pub(super) fn new(parts: ShardParts) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "bounded by max_live: at most one append per live transaction"
        )]
        let (committed_sender, committed) = mpsc::unbounded_channel();
        Self {
            departed: Departed::new(parts.reads.clone()),
            unawaited: Unawaited::new(parts.options.flush_after),
            parts,
            live: HashMap::new(),
            calls: FuturesUnordered::new(),
            timers: Timers::default(),
            committed,
            committed_sender,
            stays: 0,
            stopping: None,
        }
    }

    /// Runs until it is told to stop or every handle is gone.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut flush = pin!(tokio::time::sleep(IDLE));
        let mut wake = pin!(tokio::time::sleep(IDLE));
        let mut next_wake = None;
        loop {
            let flush_at = self.unawaited.next();
            if let Some(at) = flush_at
                && at != flush.deadline()
            {
                flush.as_mut().reset(at);
            }
            let planned = self.timers.next();
            let is_due = planned.is_some_and(|at| at <= self.parts.clock.now());
            if planned != next_wake || is_due || wake.is_elapsed() {
                next_wake = planned;
                let wait = planned.map_or(IDLE, |at| at.since(self.parts.clock.now()).into());
                wake.as_mut().reset(runtime_now() + wait);
            }
            tokio::select! {
                Some(done) = self.committed.recv() => self.committed(&done),
                Some(done) = self.calls.next(), if !self.calls.is_empty() && self.stopping.is_none() => self.answered(done),
                message = inbox.recv(), if self.stopping.is_none() => match message {
                    Some(message) => self.message(message),
                    None => return,
                },
                () = &mut wake, if self.stopping.is_none() => self.wake_due(),
                () = &mut flush, if flush_at.is_some() => self.flush_due(),
            }
            if self.is_stopped() {
                return;
            }
        }
    }

    fn message(&mut self, message: Message) {
        match message {
            Message::Start {
                start,
                seat,
                end,
                asked,
                reply,
            } => self.start(start, seat, end, asked, reply),
            Message::Command {
                gid,
                command,
                loaded,
                reply,
            } => {
                if let Some(loaded) = loaded {
                    self.load(*loaded);
                }
                self.command(&gid, command, reply);
            }
            Message::Observe { gid, until, reply } => self.observe(&gid, until, reply),
            Message::Load { loaded, reply } => {
                self.load(*loaded);
                let _ = reply.send(());
            }
            Message::Stop { reply } => self.stop(reply),
        }
    }

    fn command(&mut self, gid: &Gid, command: Command, reply: Reply<Result<View, CommandFailed>>) {
        let now = self.parts.clock.now();
        let moment = self.parts.clock.monotonic();
        let Some(live) = self.live.get_mut(gid) else {
            let _ = reply.send(Err(CommandFailed::NotLive(command)));
            return;
        };
        match live.transaction.decide(command, now) {
            Ok(decision) => {
                live.watch.woken(moment);
                let ready = live.take(decision);
                live.when_durable(Waiter::Command(reply));
                self.perform(gid, ready, moment);
            }
            // Callers of a TCC rest on what they are told of its decision.
            Err(rejected) if live.transaction.tcc().is_some() => {
                live.when_durable(Waiter::Rejected(reply, rejected));
                self.perform(gid, Vec::new(), moment);
            }
            Err(rejected) => drop(reply.send(Err(CommandFailed::Error(rejected.into())))),
        }
    }

    fn observe(&mut self, gid: &Gid, until: Until, reply: Reply<Option<View>>) {
        match self.live.get_mut(gid) {
            Some(live) => live.observe(until, reply),
            None => drop(reply.send(None)),
        }
    }

    fn load(&mut self, loaded: Loaded) {
        let gid = loaded.transaction.gid().clone();
        if let Some(live) = self.live.get_mut(&gid) {
            // A start that is about to find the id taken must not hide the one that took it.
            if live.durable == RecordNo(0) {
                live.stored = Some(loaded);
            }
            return;
        }
        if self.departed.after(&loaded.reading, &gid) {
            return;
        }
        let durable = loaded.transaction.last_record();
        let watch = Stopwatch::resume(self.parts.clock.monotonic());
        let seat = self.parts.seats.take_anyway();
        let stay = self.next_stay();
        let mut live = Live::new(loaded.transaction, seat, stay, durable, watch);
        live.marked = loaded.marked;
        self.insert(gid.clone(), live);
        self.decide(&gid, loaded.resume.unwrap_or(Command::Wake), None);
    }

    fn answered(&mut self, mut done: CallDone) {
        crash::point("step-answered");
        let still_here = self
            .live
            .get(&done.gid)
            .is_some_and(|live| live.stay == done.stay);
        if still_here {
            if let Some(times) = &done.times {
                let parts = times.parts(self.parts.clock.monotonic());
                self.parts.profile.call_ended(&parts);
                done.took(parts.took());
            }
            self.decide(&done.gid, done.command, done.times);
        }
    }

    fn wake_due(&mut self) {
        let now = self.parts.clock.now();
        for _ in 0..MAX_DUE_AT_ONCE {
            let Some(gid) = self.timers.pop(now) else {
                return;
            };
            if let Some(live) = self.live.get_mut(&gid) {
                live.timer = None;
            }
            self.decide(&gid, Command::Wake, None);
        }
    }

    /// `answered` has the times of the call, where an answer led to this.
    fn decide(&mut self, gid: &Gid, command: Command, answered: Option<CallTimes>) {
        let now = self.parts.clock.now();
        let moment = self.parts.clock.monotonic();
        let Some(live) = self.live.get_mut(gid) else {
            return;
        };
        match live.transaction.decide(command, now) {
            Ok(decision) => {
                match answered {
                    Some(times) => live.watch.answered(&times, moment),
                    None if decision.is_empty() => {}
                    None => live.watch.woken(moment),
                }
                let ready = live.take(decision);
                self.perform(gid, ready, moment);
            }
            // An answer to a call that was given up.
            Err(rejected) if rejected.is_stale() => {}
            Err(rejected) => tracing::debug!(%gid, %rejected, "an event changed nothing"),
        }
    }

    /// Runs effects that nothing has held back since `free`, then sees to writing and leaving.
    fn perform(&mut self, gid: &Gid, effects: Vec<Due>, free: Moment) {
        let Some(live) = self.live.get_mut(gid) else {
            return;
        };
        let stay = live.stay;
        let look = live.next_look(self.parts.clock.now(), self.parts.options.evict_after);
        self.timers.change(gid, live.timer, look);
        live.timer = look;
        for (due, effect) in effects {
            match effect {
                Effect::Call { call, .. } => {
                    let gid = gid.clone();
                    let going = Going {
                        gid,
                        stay,
                        call,
                        due,
                        free,
                    };
                    self.calls.push(going.make(self.parts.ways.clone()));
                }
                Effect::Tell { tell: what, .. } => {
                    let ways = self.parts.ways.clone();
                    self.calls.push(tell(gid.clone(), stay, what, ways));
                }
                Effect::AskParent { parent, .. } => {
                    let ways = self.parts.ways.clone();
                    self.calls.push(ask(gid.clone(), stay, parent, ways));
                }
                Effect::Finish { .. } => {
                    self.finish(gid);
                    return;
                }
                // The waiters of the start are told when its record is durable.
                Effect::Accept { .. } | Effect::Wake { .. } => {}
            }
        }
        self.write_if_needed(gid);
    }

    fn write_if_needed(&mut self, gid: &Gid) {
        let now = self.parts.clock.now();
        let Some(live) = self.live.get_mut(gid) else {
            return;
        };
        if live.writing.is_some() {
            return;
        }
        let leaving = live.may_leave(now, self.parts.options.evict_after);
        if live.needs_write() || leaving.is_some() {
            self.write(gid, leaving);
        } else if live.has_unwritten() {
            let worth = live.worth();
            self.unawaited
                .add(gid, &mut live.listed, worth, runtime_now());
        }
    }

    fn write(&mut self, gid: &Gid, leaving: Option<Timestamp>) {
        let Some(live) = self.live.get_mut(gid) else {
            return;
        };
        // One that leaves holds its memory until then: were it to queue behind
        // the starts of others, they would pile up.
        let lane = if live.needs_write() || leaving.is_some() {
            Lane::Awaited
        } else {
            Lane::Unawaited
        };
        let commit = Commit {
            append: live.append(leaving),
            stay: live.stay,
            done: self.committed_sender.clone(),
        };
        self.parts.commits.send(lane, commit);
    }

    fn flush_due(&mut self) {
        let (until, most) = match self.stopping {
            None => (Some(runtime_now()), MAX_DUE_AT_ONCE),
            Some(_) => (None, usize::MAX),
        };
        for _ in 0..most {
            let Some((gid, worth)) = self.unawaited.pop(until) else {
                return;
            };
            let Some(live) = self.live.get_mut(&gid) else {
                continue;
            };
            live.listed.took(worth);
            if live.has_unwritten() && live.writing.is_none() {
                self.write(&gid, None);
            }
        }
    }

    fn committed(&mut self, done: &CommitDone) {
        let Some(live) = self
            .live
            .get_mut(&done.gid)
            .filter(|live| live.stay == done.stay)
        else {
            return;
        };
        match done.outcome {
            Appended::Written => {
                let first = live.durable == RecordNo(0);
                crash::point(if first {
                    "begin-durable"
                } else {
                    "progress-durable"
                });
                let ready = live.written(done.last);
                if !ready.is_empty() {
                    live.watch.written(done.at, self.parts.clock.monotonic());
                }
                if live.leaving && !live.has_unwritten() && live.is_idle() {
                    if let Some(live) = self.remove(&done.gid) {
                        live.left();
                    }
                } else {
                    self.perform(&done.gid, ready, done.at);
                }
            }
            Appended::Conflict => self.conflict(&done.gid),
        }
    }

    fn finish(&mut self, gid: &Gid) {
        crash::point("final-durable");
        if let Some(mut live) = self.remove(gid) {
            let is_saga = live.transaction.saga().is_some();
            if let Some(parts) = live.watch.whole_life().filter(|_| is_saga) {
                self.parts.profile.saga_ended(&parts);
            }
            live.ended();
        }
    }

    fn stop(&mut self, reply: Reply<()>) {
        self.stopping = Some(reply);
        // What is in flight may have run; resuming takes it so.
        self.calls = FuturesUnordered::new();
        self.timers = Timers::default();
        self.flush_due();
    }

    fn is_stopped(&mut self) -> bool {
        if self.stopping.is_none()
            || self
                .live
                .values()
                .any(|live| live.writing.is_some() || live.has_unwritten())
        {
            return false;
        }
        if let Some(reply) = self.stopping.take() {
            let _ = reply.send(());
        }
        true
    }

    fn insert(&mut self, gid: Gid, live: Live) {
        self.live.insert(gid, Box::new(live));
    }

    fn remove(&mut self, gid: &Gid) -> Option<Box<Live>> {
        let removed = self.live.remove(gid)?;
        self.timers.change(gid, removed.timer, None);
        // A start whose id was taken is no part of the transaction's story.
        if removed.durable > RecordNo(0) {
            self.departed.note(gid);
        }
        Some(removed)
    }

    fn next_stay(&mut self) -> u64 {
        self.stays += 1;
        self.stays
    }
}
