//! One shard: owns its live transactions and runs them, one event at a time.
//!
//! Everything that happens to a transaction happens here, in one task, without
//! locks. The shard never waits for the store or for a participant: both come
//! back as events.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amends_core::id::{Gid, RecordNo};
use amends_core::saga::{Call, Command, Effect, Rejected, begin, decide};
use amends_core::time::Timestamp;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::clock::{Clock, runtime_now};
use crate::crash;
use crate::participant::Caller;
use crate::store::Appended;

use super::committer::Commit;
use super::error::EngineError;
use super::handle::{Start, Started, difference};
use super::lanes::{CommitSender, Lane};
use super::live::{Live, View, Waiter};
use super::message::{
    CallDone, CommandFailed, CommitDone, Loaded, Message, Reply, StartFailed, Until,
};
use super::options::EngineOptions;
use super::reads::{Departed, Reads};
use super::timers::Timers;

/// Wait when nothing is planned; any event ends it.
const IDLE: Duration = Duration::from_secs(3_600);

/// What a shard works with.
pub(super) struct ShardParts {
    pub(super) options: EngineOptions,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) caller: Arc<dyn Caller>,
    pub(super) commits: CommitSender,
    /// Live transactions of all shards.
    pub(super) live_count: Arc<AtomicUsize>,
    pub(super) reads: Arc<Reads>,
    /// Calls are made only while this is true: while ownership is certain.
    pub(super) may_call: watch::Receiver<bool>,
}

pub(super) struct Shard {
    parts: ShardParts,
    live: HashMap<Gid, Live>,
    calls: FuturesUnordered<BoxFuture<'static, CallDone>>,
    timers: Timers,
    departed: Departed,
    /// Transactions with unwritten records that nobody waits for, by the time they must be written.
    dirty: VecDeque<(Instant, Gid)>,
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
            parts,
            live: HashMap::new(),
            calls: FuturesUnordered::new(),
            timers: Timers::default(),
            dirty: VecDeque::new(),
            committed,
            committed_sender,
            stays: 0,
            stopping: None,
        }
    }

    /// Runs until it is told to stop or every handle is gone.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        loop {
            let flush_at = self.dirty.front().map(|(at, _)| *at);
            let wake_in = self
                .timers
                .next()
                .map_or(IDLE, |at| at.since(self.parts.clock.now()).into());
            tokio::select! {
                Some(done) = self.committed.recv() => self.committed(&done),
                Some(done) = self.calls.next(), if !self.calls.is_empty() && self.stopping.is_none() => self.answered(done),
                message = inbox.recv(), if self.stopping.is_none() => match message {
                    Some(message) => self.message(message),
                    None => return,
                },
                () = tokio::time::sleep(wake_in), if self.stopping.is_none() => self.wake_due(),
                () = tokio::time::sleep_until(flush_at.unwrap_or_else(|| runtime_now() + IDLE)) => self.flush_due(),
            }
            if self.is_stopped() {
                return;
            }
        }
    }

    fn message(&mut self, message: Message) {
        match message {
            Message::Start { start, reply } => self.start(start, reply),
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

    fn start(&mut self, start: Start, reply: Reply<Result<Started, StartFailed>>) {
        if let Some(live) = self.live.get_mut(&start.gid) {
            match difference(&live.saga, &start) {
                None => {
                    live.when_durable(Waiter::Start {
                        reply,
                        created: false,
                    });
                    self.write_if_needed(&start.gid);
                }
                Some(difference) => {
                    let gid = start.gid.to_string();
                    let _ = reply.send(Err(StartFailed::Error(EngineError::AlreadyExists {
                        gid,
                        difference,
                    })));
                }
            }
            return;
        }
        let Start {
            gid,
            definition,
            input,
            deadline,
        } = start;
        let (saga, decision) = begin(
            gid.clone(),
            definition,
            input,
            deadline,
            self.parts.clock.now(),
        );
        let mut live = Live::new(saga, self.next_stay(), RecordNo(0));
        let ready = live.take_applied(decision);
        live.when_durable(Waiter::Start {
            reply,
            created: true,
        });
        self.insert(gid.clone(), live);
        self.perform(&gid, ready);
    }

    fn command(&mut self, gid: &Gid, command: Command, reply: Reply<Result<View, CommandFailed>>) {
        let now = self.parts.clock.now();
        let Some(live) = self.live.get_mut(gid) else {
            let _ = reply.send(Err(CommandFailed::NotLive(command)));
            return;
        };
        match decide(&live.saga, command, now) {
            Ok(decision) => {
                let ready = live.take(decision);
                live.when_durable(Waiter::Command(reply));
                self.perform(gid, ready);
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
        let gid = loaded.saga.gid().clone();
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
        let durable = loaded.saga.last_record();
        let mut live = Live::new(loaded.saga, self.next_stay(), durable);
        live.marked = loaded.marked;
        self.insert(gid.clone(), live);
        self.decide(&gid, loaded.resume.unwrap_or(Command::Wake));
    }

    fn answered(&mut self, done: CallDone) {
        crash::point("step-answered");
        let still_here = self
            .live
            .get(&done.gid)
            .is_some_and(|live| live.stay == done.stay);
        if still_here {
            let CallDone {
                gid,
                step,
                phase,
                attempt,
                answer,
                ..
            } = done;
            self.decide(
                &gid,
                Command::Answered {
                    step,
                    phase,
                    attempt,
                    answer,
                },
            );
        }
    }

    fn wake_due(&mut self) {
        let now = self.parts.clock.now();
        while let Some(gid) = self.timers.pop(now) {
            if let Some(live) = self.live.get_mut(&gid) {
                live.timer = None;
            }
            self.decide(&gid, Command::Wake);
        }
    }

    fn decide(&mut self, gid: &Gid, command: Command) {
        let now = self.parts.clock.now();
        let Some(live) = self.live.get_mut(gid) else {
            return;
        };
        match decide(&live.saga, command, now) {
            Ok(decision) => {
                let ready = live.take(decision);
                self.perform(gid, ready);
            }
            // An answer to a call that was given up.
            Err(Rejected::Stale) => {}
            Err(rejected) => tracing::debug!(%gid, %rejected, "an event changed nothing"),
        }
    }

    /// Runs effects whose time has come, then sees to writing and leaving.
    fn perform(&mut self, gid: &Gid, effects: Vec<Effect>) {
        let Some(live) = self.live.get_mut(gid) else {
            return;
        };
        let stay = live.stay;
        self.timers.change(gid, live.timer, live.wake);
        live.timer = live.wake;
        for effect in effects {
            match effect {
                Effect::Call { call, .. } => self.call(gid.clone(), stay, call),
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

    fn call(&mut self, gid: Gid, stay: u64, call: Call) {
        let caller = self.parts.caller.clone();
        let mut may_call = self.parts.may_call.clone();
        self.calls.push(Box::pin(async move {
            if !*may_call.borrow() {
                // Its sender lives as long as the engine.
                let _ = may_call.wait_for(|may| *may).await;
            }
            let answer = caller.call(&gid, &call).await;
            CallDone {
                gid,
                stay,
                step: call.step,
                phase: call.phase,
                attempt: call.attempt,
                answer,
            }
        }));
    }

    fn write_if_needed(&mut self, gid: &Gid) {
        let evict_from = self.parts.clock.now() + self.parts.options.evict_after;
        let Some(live) = self.live.get_mut(gid) else {
            return;
        };
        if live.writing.is_some() {
            return;
        }
        let leaving = live
            .wake
            .filter(|wake| *wake >= evict_from && live.is_idle());
        if live.needs_write() || leaving.is_some() {
            self.write(gid, leaving);
        } else if live.has_unwritten() && !live.dirty {
            live.dirty = true;
            self.dirty
                .push_back((runtime_now() + self.parts.options.flush_after, gid.clone()));
        }
    }

    fn write(&mut self, gid: &Gid, leaving: Option<Timestamp>) {
        let Some(live) = self.live.get_mut(gid) else {
            return;
        };
        let lane = if live.needs_write() {
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
        let now = runtime_now();
        while self
            .dirty
            .front()
            .is_some_and(|(at, _)| *at <= now || self.stopping.is_some())
        {
            let Some((_, gid)) = self.dirty.pop_front() else {
                return;
            };
            let Some(live) = self.live.get_mut(&gid) else {
                continue;
            };
            live.dirty = false;
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
                if live.leaving && !live.has_unwritten() && live.is_idle() {
                    if let Some(live) = self.remove(&done.gid) {
                        live.left();
                    }
                } else {
                    self.perform(&done.gid, ready);
                }
            }
            Appended::Conflict => self.conflict(&done.gid),
        }
    }

    /// The id was taken before, or somebody else owns the transaction now.
    fn conflict(&mut self, gid: &Gid) {
        let Some(mut live) = self.remove(gid) else {
            return;
        };
        let stored = live.stored.take();
        if live.durable > RecordNo(0) {
            tracing::warn!(%gid, "another coordinator has taken this transaction over; dropping it here");
            live.left();
            return;
        }
        let saga = &live.saga;
        let deadline = saga.deadline().map(|at| at.since(saga.began_at()));
        let start = Start {
            gid: gid.clone(),
            definition: saga.definition().clone(),
            input: saga.input().clone(),
            deadline,
        };
        for waiter in live.into_waiters() {
            match waiter {
                Waiter::Start { reply, .. } => {
                    drop(reply.send(Err(StartFailed::Exists(start.clone()))));
                }
                waiter @ Waiter::Command(_) => waiter.fail(EngineError::NotOwned(gid.to_string())),
            }
        }
        if let Some(stored) = stored {
            self.load(stored);
        }
    }

    fn finish(&mut self, gid: &Gid) {
        crash::point("final-durable");
        if let Some(mut live) = self.remove(gid) {
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
        self.parts.live_count.fetch_add(1, Ordering::Relaxed);
        self.live.insert(gid, live);
    }

    fn remove(&mut self, gid: &Gid) -> Option<Live> {
        let removed = self.live.remove(gid)?;
        self.parts.live_count.fetch_sub(1, Ordering::Relaxed);
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
