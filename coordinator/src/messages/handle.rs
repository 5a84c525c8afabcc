//! The front of it all: cheap to clone; starts and stops the parts.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use amends_core::time::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::counters::Counted;
use super::dispatch::Dispatchers;
use super::error::MessagesError;
use super::hints::{Hints, hints};
use super::options::MessageOptions;
use super::relay::{Claim, Due, Embedded, Lane, Outbox, OutboxCommand, OutboxLive, OutboxParts};
use super::table::Table;
use super::types::MessagesHealth;
use super::writer::{Writer, writer};
use crate::broker::{BrokerStatus, ExternalBroker};
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::messages::MessageStore;

/// Commands that may wait for the outbox.
const OUTBOX_COMMANDS: usize = 64;
/// Wait after an external broker did not take a subscription.
const DECLARE_AGAIN: Duration = Duration::from_secs(1);

/// What it is made of.
pub struct MessageParts {
    /// Where messages are kept.
    pub store: Arc<dyn MessageStore>,
    /// What carries them; none: the store itself is the broker.
    pub broker: Option<Arc<dyn ExternalBroker>>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Bounds.
    pub options: MessageOptions,
}

/// Publishes and delivers messages. Cheap to clone.
#[derive(Clone)]
pub struct Messages {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) store: Arc<dyn MessageStore>,
    pub(super) broker: Option<Arc<dyn ExternalBroker>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) writer: Writer,
    pub(super) table: Table,
    pub(super) dispatchers: Dispatchers,
    /// What was accepted and is to be published.
    pub(super) accepted: Hints<Vec<Due>>,
    pub(super) outbox: mpsc::Sender<OutboxCommand>,
    outbox_live: Arc<OutboxLive>,
    /// One change of a subscription at a time.
    pub(super) changing: tokio::sync::Mutex<()>,
}

impl Inner {
    pub(super) fn is_external(&self) -> bool {
        self.broker.is_some()
    }
}

impl Messages {
    /// Reads the subscriptions and starts all parts on the present runtime. The set ends when
    /// every handle is gone; a task that ends before is a bug. Dropping the set ends
    /// everything at once, as a crash would.
    ///
    /// # Errors
    /// The store's.
    pub async fn start(parts: MessageParts) -> Result<(Self, JoinSet<()>), MessagesError> {
        let MessageParts {
            store,
            broker,
            clock,
            options,
        } = parts;
        let table = Table::default();
        table.refresh(store.subscriptions().await?, 0);
        let mut tasks = JoinSet::new();
        let (writer, queue) = writer();
        tasks.spawn(queue.run(store.clone()));
        let kill = CancellationToken::new();
        let dispatchers = Dispatchers::new(
            store.clone(),
            broker.clone(),
            writer.clone(),
            clock.clone(),
            options.clone(),
            kill.clone(),
        );
        let (accepted, hinted) = hints();
        let (outbox, commands) = mpsc::channel(OUTBOX_COMMANDS);
        let outbox_live = Arc::new(OutboxLive::default());
        let relay = RelayParts {
            store: store.clone(),
            broker: broker.clone(),
            clock: clock.clone(),
            options: options.clone(),
            writer: writer.clone(),
            table: table.clone(),
            dispatchers: dispatchers.clone(),
        };
        relay.spawn(hinted, commands, outbox_live.clone(), &mut tasks);
        let inner = Arc::new(Inner {
            store,
            broker,
            clock,
            writer,
            table,
            dispatchers,
            accepted,
            outbox,
            outbox_live,
            changing: tokio::sync::Mutex::new(()),
        });
        let keeper = Keeper {
            inner: Arc::downgrade(&inner),
            poll: options.poll,
            _kill: kill.drop_guard(),
        };
        tasks.spawn(keeper.run());
        Ok((Self { inner }, tasks))
    }

    /// Ends every consumer and writes what is known of their deliveries. What is not published
    /// yet is published by the next run.
    pub async fn stop(&self) {
        self.inner.dispatchers.stop().await;
        // What was handed to the writer before is written before this is.
        let _ = self.inner.writer.write(Vec::new()).await;
    }

    /// Looks at the clock and into the store now: for whoever knows that something has changed there.
    pub async fn look(&self) {
        let _ = self.inner.outbox.send(OutboxCommand::Look).await;
        self.inner.dispatchers.look().await;
    }

    /// Takes over up to `limit` messages whose coordinator is gone. How many; zero: no others.
    ///
    /// # Errors
    /// The store's.
    pub async fn adopt(&self, limit: u32) -> Result<u64, StoreError> {
        let adopted = self.inner.store.adopt_messages(limit).await?;
        if adopted > 0 {
            let _ = self.inner.outbox.send(OutboxCommand::Look).await;
        }
        Ok(adopted)
    }

    /// Removes up to `limit` messages that ended before; how many there were.
    ///
    /// # Errors
    /// The store's.
    pub async fn remove(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.inner.store.remove_messages(before, limit).await
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// What happened to messages since this was started.
    #[must_use]
    pub fn counted(&self) -> Counted {
        self.inner.dispatchers.counters().read()
    }

    /// How it stands with publishing.
    #[must_use]
    pub fn health(&self) -> MessagesHealth {
        let inner = &self.inner;
        let (broker, status) = match &inner.broker {
            Some(broker) => (broker.kind(), broker.status().borrow().clone()),
            None if inner.writer.is_healthy() => ("embedded", BrokerStatus::Up),
            None => {
                let why = "the store takes no writes";
                ("embedded", BrokerStatus::Down(why.to_owned()))
            }
        };
        MessagesHealth {
            broker,
            status,
            unpublished: inner.outbox_live.in_memory.load(Ordering::Relaxed),
            more_unpublished: inner.outbox_live.behind.load(Ordering::Relaxed),
        }
    }
}

/// What the way to the broker is made of.
struct RelayParts {
    store: Arc<dyn MessageStore>,
    broker: Option<Arc<dyn ExternalBroker>>,
    clock: Arc<dyn Clock>,
    options: MessageOptions,
    writer: Writer,
    table: Table,
    dispatchers: Dispatchers,
}

impl RelayParts {
    #[expect(
        clippy::disallowed_methods,
        reason = "bounded by the outbox's window: it holds what the lanes have"
    )]
    fn spawn(
        self,
        accepted: super::hints::Hinted<Vec<Due>>,
        commands: mpsc::Receiver<OutboxCommand>,
        live: Arc<OutboxLive>,
        tasks: &mut JoinSet<()>,
    ) {
        let (finished, finished_queue) = mpsc::unbounded_channel();
        let mut lanes = Vec::new();
        let count = self.broker.as_ref().map_or(1, |broker| broker.lanes());
        for number in 0..count.max(1) {
            let (lane, due) = mpsc::unbounded_channel();
            lanes.push(lane);
            match &self.broker {
                Some(broker) => {
                    let (sender, claimed) = mpsc::unbounded_channel();
                    let claim = Claim {
                        due,
                        claimed: sender,
                        finished: finished.clone(),
                        writer: self.writer.clone(),
                        clock: self.clock.clone(),
                    };
                    tasks.spawn(claim.run());
                    let lane = Lane {
                        number,
                        due: claimed,
                        finished: finished.clone(),
                        broker: broker.clone(),
                        writer: self.writer.clone(),
                        clock: self.clock.clone(),
                        options: self.options.clone(),
                        counters: self.dispatchers.counters().clone(),
                    };
                    tasks.spawn(lane.run());
                }
                None => {
                    let lane = Embedded {
                        due,
                        finished: finished.clone(),
                        writer: self.writer.clone(),
                        table: self.table.clone(),
                        dispatchers: self.dispatchers.clone(),
                        clock: self.clock.clone(),
                        options: self.options.clone(),
                    };
                    tasks.spawn(lane.run());
                }
            }
        }
        let outbox = Outbox::new(OutboxParts {
            external: self.broker.is_some(),
            store: self.store,
            clock: self.clock,
            poll: self.options.poll,
            accepted,
            commands,
            lanes,
            finished: finished_queue,
            live,
        });
        tasks.spawn(outbox.run());
    }
}

/// Keeps the table of subscriptions up to date, and the external broker told of them.
struct Keeper {
    inner: std::sync::Weak<Inner>,
    poll: Duration,
    /// Ends the dispatchers with the set of tasks.
    _kill: DropGuard,
}

impl Keeper {
    async fn run(self) {
        self.declare().await;
        loop {
            tokio::time::sleep(self.poll).await;
            let Some(inner) = self.inner.upgrade() else {
                return;
            };
            let changes = inner.table.changes();
            match inner.store.subscriptions().await {
                Ok(stored) => inner.table.refresh(stored, changes),
                Err(error) => tracing::warn!(%error, "cannot read the subscriptions"),
            }
        }
    }

    /// Tells an external broker what there is; it remembers that itself.
    async fn declare(&self) {
        let mut left = match self.inner.upgrade() {
            Some(inner) if inner.is_external() => inner.table.all(),
            _ => return,
        };
        while let Some(stored) = left.pop() {
            let Some(inner) = self.inner.upgrade() else {
                return;
            };
            let Some(broker) = inner.broker.clone() else {
                return;
            };
            drop(inner);
            let subscription = &stored.subscription;
            match broker.declare(subscription).await {
                Ok(()) => {}
                Err(error @ crate::broker::BrokerError::Unusable { .. }) => {
                    tracing::error!(group = %subscription.group, topic = %subscription.topic, %error, "the broker cannot serve a subscription");
                }
                Err(error) => {
                    tracing::warn!(group = %subscription.group, topic = %subscription.topic, %error, "the broker did not take a subscription; trying again");
                    left.push(stored);
                    tokio::time::sleep(DECLARE_AGAIN).await;
                }
            }
        }
    }
}
