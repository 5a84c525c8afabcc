//! The engine's front: cheap to clone, finds the shard, loads what is not in memory.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};
use std::time::Duration;

use amends_core::id::Gid;
use amends_core::public_state::Kind;
use amends_core::saga;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::clock::{Clock, runtime_now};
use crate::participant::Caller;
use crate::store::{Incarnation, Store, StoreError, Stored};

use super::calling::Ways;
use super::committer;
use super::definitions::Definitions;
use super::error::EngineError;
use super::lanes::lanes;
use super::live::View;
use super::message::{CommandFailed, Loaded, Message, Until};
use super::options::{EngineOptions, Ownership};
use super::profile::{self, Profile, ShardProfile};
use super::reads::{Reading, Reads};
use super::replay::replay;
use super::seat::Seats;
use super::shard::{Shard, ShardParts};
use super::transaction::{Command, Rejected, Transaction};

/// How often a transaction that is not in memory is looked up while somebody waits for it.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How long a caller waits for a write while writes fail.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);
/// How often a command follows a transaction that leaves memory at that moment.
const MAX_LOAD_TRIES: usize = 8;

/// What an engine is made of.
pub struct EngineParts {
    /// Where transactions are kept.
    pub store: Arc<dyn Store>,
    /// Who this is.
    pub incarnation: Incarnation,
    /// Who calls participants.
    pub caller: Arc<dyn Caller>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Bounds.
    pub options: EngineOptions,
}

/// The running engine.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    shards: Vec<mpsc::Sender<Message>>,
    store: Arc<dyn Store>,
    incarnation: Incarnation,
    definitions: Definitions,
    clock: Arc<dyn Clock>,
    options: EngineOptions,
    seats: Seats,
    profiles: Vec<Arc<ShardProfile>>,
    reads: Arc<Reads>,
    may_call: watch::Sender<bool>,
    store_healthy: watch::Receiver<bool>,
}

impl Engine {
    /// Starts shards and committer on the present runtime. The set ends when
    /// the engine has stopped; a task that ends before is a bug.
    #[must_use]
    pub fn start_tasks(parts: EngineParts) -> (Self, JoinSet<()>) {
        Self::start_tasks_on(parts, &[Handle::current()])
    }

    /// The same with the shards, and the calls they make, on `cores` in turn;
    /// on the present runtime when there are none.
    #[must_use]
    pub fn start_tasks_on(parts: EngineParts, cores: &[Handle]) -> (Self, JoinSet<()>) {
        let here = [Handle::current()];
        let cores = if cores.is_empty() { &here } else { cores };
        let EngineParts {
            store,
            incarnation,
            caller,
            clock,
            options,
        } = parts;
        let mut tasks = JoinSet::new();
        let (commits, queue) = lanes();
        let (healthy, store_healthy) = watch::channel(true);
        tasks.spawn(committer::run(store.clone(), queue, healthy));
        let seats = Seats::default();
        let reads = Arc::new(Reads::default());
        let (may_call, may_call_receiver) = watch::channel(true);
        let mut shards = Vec::new();
        let mut profiles = Vec::new();
        // Shards reach each other through the engine, and do not keep it running.
        let inner = Arc::new_cyclic(|engine| {
            for core in cores.iter().cycle().take(options.shards.max(1)) {
                let (sender, inbox) = mpsc::channel(options.queue);
                let profile = Arc::new(ShardProfile::default());
                profiles.push(profile.clone());
                let shard = Shard::new(ShardParts {
                    options: options.clone(),
                    clock: clock.clone(),
                    ways: Ways {
                        caller: caller.clone(),
                        engine: engine.clone(),
                        may_call: may_call_receiver.clone(),
                    },
                    commits: commits.clone(),
                    seats: seats.clone(),
                    profile,
                    reads: reads.clone(),
                });
                tasks.spawn_on(shard.run(inbox), core);
                shards.push(sender);
            }
            Inner {
                shards,
                definitions: Definitions::new(store.clone()),
                store,
                incarnation,
                clock,
                options,
                seats,
                profiles,
                reads,
                may_call,
                store_healthy,
            }
        });
        (Self { inner }, tasks)
    }

    pub(super) fn upgrade(inner: &Weak<Inner>) -> Option<Self> {
        inner.upgrade().map(|inner| Self { inner })
    }

    /// Puts a command to a transaction; returns once its consequences are durable.
    ///
    /// # Errors
    /// [`EngineError::Rejected`], [`EngineError::NotFound`], [`EngineError::NotOwned`], the store's.
    pub async fn command(&self, gid: &Gid, mut command: Command) -> Result<View, EngineError> {
        let mut loaded = None;
        for _ in 0..MAX_LOAD_TRIES {
            let (reply, answer) = oneshot::channel();
            let message = Message::Command {
                gid: gid.clone(),
                command,
                loaded: loaded.take(),
                reply,
            };
            self.send(gid, message).await?;
            command = match self.when_written(answer).await? {
                Ok(view) => return Ok(view),
                Err(CommandFailed::Error(error)) => return Err(error),
                Err(CommandFailed::NotLive(command)) => command,
            };
            let reading = self.reading();
            let stored = self.stored(gid).await?;
            if stored.summary.state.is_final() {
                return self.repeat(&stored, command).await;
            }
            if stored.owner != self.inner.incarnation {
                return Err(EngineError::NotOwned(gid.to_string()));
            }
            loaded = Some(self.prepare(&stored, &reading).await?);
        }
        Err(EngineError::NotOwned(gid.to_string()))
    }

    /// A command to what has ended changes nothing, but one that asks for what
    /// was decided is right.
    async fn repeat(&self, stored: &Stored, command: Command) -> Result<View, EngineError> {
        let for_live = matches!(command, Command::Live(_));
        if stored.summary.kind == Kind::Saga && !for_live {
            // Whatever it is, and without reading its log.
            let is_for_tcc = matches!(command, Command::Tcc(_));
            let ended = Rejected::Saga(saga::Rejected::Ended);
            return Err(if is_for_tcc { Rejected::NotATcc } else { ended }.into());
        }
        let mut transaction = replay(&self.inner.definitions, stored).await?;
        transaction.decide(command, self.inner.clock.now())?;
        Ok(self.view_of(stored, transaction))
    }

    /// A transaction as it stands, from memory or from the store.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Parked`], the store's.
    pub async fn get(&self, gid: &Gid) -> Result<View, EngineError> {
        if let Some(view) = self.observe(gid, Until::Now).await? {
            return Ok(view);
        }
        self.view_of_stored(&self.stored(gid).await?).await
    }

    /// Waits for the end of a transaction, at most until `deadline`; returns it as it stands then.
    ///
    /// # Errors
    /// As for [`Self::get`]. Dropping it loses nothing.
    pub async fn wait(&self, gid: &Gid, deadline: Instant) -> Result<View, EngineError> {
        loop {
            let view = match tokio::time::timeout_at(deadline, self.observe(gid, Until::End)).await
            {
                Ok(Ok(Some(view))) => return Ok(view),
                Ok(Ok(None)) => self.view_of_stored(&self.stored(gid).await?).await?,
                Ok(Err(error)) => return Err(error),
                Err(_elapsed) => return self.get(gid).await,
            };
            if view.transaction.is_ended() || runtime_now() + LOOK_AGAIN > deadline {
                return Ok(view);
            }
            // Asleep, or not taken up yet.
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// The next state of a transaction after the one seen last; `None`: not in memory.
    ///
    /// # Errors
    /// [`EngineError::Stopping`].
    pub async fn next_change(&self, gid: &Gid, seen: u64) -> Result<Option<View>, EngineError> {
        self.observe(gid, Until::Change(seen)).await
    }

    /// To be held from before rows are read until [`Self::load`] has taken them in.
    #[must_use]
    pub fn reading(&self) -> Reading {
        Reading::begin(&self.inner.reads)
    }

    /// Takes a stored transaction into memory, unless it is there or has been
    /// since `reading` began; parks it when its log is corrupt.
    ///
    /// # Errors
    /// [`EngineError::Parked`], the store's.
    pub async fn load(&self, stored: Stored, reading: &Reading) -> Result<(), EngineError> {
        let loaded = self.prepare(&stored, reading).await?;
        let (reply, answer) = oneshot::channel();
        self.send(&stored.gid, Message::Load { loaded, reply })
            .await?;
        answer.await.map_err(|_| EngineError::Stopping)
    }

    /// Transactions in memory, those included that are just being started.
    #[must_use]
    pub fn live_count(&self) -> usize {
        self.inner.seats.taken()
    }

    pub(super) fn seats(&self) -> &Seats {
        &self.inner.seats
    }

    /// Where the time of sagas went since the engine started.
    #[must_use]
    pub fn profile(&self) -> Profile {
        profile::read(&self.inner.profiles)
    }

    /// Its bounds.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.inner.options
    }

    /// Its compiled definitions.
    #[must_use]
    pub fn definitions(&self) -> &Definitions {
        &self.inner.definitions
    }

    /// Its store, for lists and registrations.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// Whose transactions it runs.
    #[must_use]
    pub fn incarnation(&self) -> &Incarnation {
        &self.inner.incarnation
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Whether the last write to the store went well.
    #[must_use]
    pub fn store_healthy(&self) -> watch::Receiver<bool> {
        self.inner.store_healthy.clone()
    }

    /// Holds calls back while it is not certain that this coordinator still
    /// owns its transactions, and lets them go again.
    pub fn allow_calls(&self, ownership: Ownership) {
        let certain = ownership == Ownership::Certain;
        self.inner
            .may_call
            .send_if_modified(|may| std::mem::replace(may, certain) != certain);
    }

    /// Writes everything and ends the shards. Calls in flight are given up;
    /// the next run takes them as "may have run".
    pub async fn stop(&self) {
        for shard in &self.inner.shards {
            let (reply, answer) = oneshot::channel();
            if shard.send(Message::Stop { reply }).await.is_ok() {
                let _ = answer.await;
            }
        }
    }

    /// Replays a log; parks the transaction when that cannot be done.
    async fn prepare(
        &self,
        stored: &Stored,
        reading: &Reading,
    ) -> Result<Box<Loaded>, EngineError> {
        let transaction = match replay(&self.inner.definitions, stored).await {
            Ok(transaction) => transaction,
            Err(EngineError::Parked { gid, reason }) => {
                tracing::error!(
                    gid,
                    reason,
                    "parked: this log cannot be replayed; everything else goes on"
                );
                let now = self.inner.clock.now();
                self.inner
                    .store
                    .park(&stored.gid, stored.generation, &reason, now)
                    .await?;
                return Err(EngineError::Parked { gid, reason });
            }
            Err(error) => return Err(error),
        };
        let taken_over = transaction.generation() != stored.generation;
        let resume = taken_over.then_some(Command::Resume {
            generation: stored.generation,
        });
        Ok(Box::new(Loaded {
            transaction,
            resume,
            marked: stored.summary.wake_at.is_some(),
            reading: reading.clone(),
        }))
    }

    /// A transaction as the store has it.
    pub(super) async fn stored(&self, gid: &Gid) -> Result<Stored, EngineError> {
        let found = self.inner.store.load(std::slice::from_ref(gid)).await?;
        found
            .into_iter()
            .next()
            .ok_or_else(|| EngineError::NotFound(gid.to_string()))
    }

    pub(super) async fn view_of_stored(&self, stored: &Stored) -> Result<View, EngineError> {
        let transaction = replay(&self.inner.definitions, stored).await?;
        Ok(self.view_of(stored, transaction))
    }

    fn view_of(&self, stored: &Stored, transaction: Transaction) -> View {
        View {
            durable: transaction.last_record(),
            transaction: Arc::new(transaction),
            changes: 0,
            foreign_owner: (stored.owner != self.inner.incarnation).then(|| stored.owner.clone()),
        }
    }

    /// Waits for a reply that comes once something is durable. While writes
    /// fail nobody knows for how long, so the caller is told; what it asked
    /// for is kept and written as soon as that is possible.
    pub(super) async fn when_written<T>(
        &self,
        mut answer: oneshot::Receiver<T>,
    ) -> Result<T, EngineError> {
        let mut healthy = self.inner.store_healthy.clone();
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer.map_err(|_| EngineError::Stopping),
                _ = healthy.wait_for(|healthy| !healthy) => {}
            }
            tokio::select! {
                biased;
                answer = &mut answer => return answer.map_err(|_| EngineError::Stopping),
                () = tokio::time::sleep(WRITE_PATIENCE) => {}
            }
            if !*healthy.borrow() {
                let why = "writes fail at the moment; repeat the call with the same id";
                return Err(StoreError::Unavailable(why.into()).into());
            }
        }
    }

    async fn observe(&self, gid: &Gid, until: Until) -> Result<Option<View>, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.send(
            gid,
            Message::Observe {
                gid: gid.clone(),
                until,
                reply,
            },
        )
        .await?;
        answer.await.map_err(|_| EngineError::Stopping)
    }

    async fn send(&self, gid: &Gid, message: Message) -> Result<(), EngineError> {
        self.shard(gid)
            .send(message)
            .await
            .map_err(|_| EngineError::Stopping)
    }

    pub(super) fn shard(&self, gid: &Gid) -> &mpsc::Sender<Message> {
        let mut hasher = DefaultHasher::new();
        gid.hash(&mut hasher);
        let shards = &self.inner.shards;
        #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash do")]
        &shards[hasher.finish() as usize % shards.len()]
    }
}
