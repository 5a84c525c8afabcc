//! Which dispatchers run, and the ways to them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amends_core::message::{GroupName, MessageId, Subscription, Topic};
use amends_core::time::Millis;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::actor::{Actor, ActorParts, Command};
use super::consumers::ConsumerId;
use super::entry::Offer;
use super::group::Limits;
use crate::broker::ExternalBroker;
use crate::clock::Clock;
use crate::messages::consumer::{ConsumerHandle, Deliveries, End};
use crate::messages::counters::Counters;
use crate::messages::error::MessagesError;
use crate::messages::hints::{Hints, hints};
use crate::messages::options::{MAX_CREDIT, MessageOptions};
use crate::messages::writer::Writer;
use crate::store::messages::MessageStore;

/// Commands that may wait for one dispatcher.
const COMMANDS: usize = 1_024;
/// Messages of one group that wait in memory for their time.
const SLEEPERS: usize = 8_192;
/// Writes of one group under way.
const WRITES: usize = 8_192;

pub(super) type Place = (GroupName, Topic);

/// How a dispatcher stands.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) consumers: AtomicU32,
    pub(super) leased: AtomicU32,
    /// Messages in memory that an external broker keeps until they are acknowledged; counted now and then.
    pub(super) held: AtomicU32,
}

/// The same, as it was at one moment.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::messages) struct LiveView {
    pub(in crate::messages) consumers: u32,
    pub(in crate::messages) leased: u32,
    pub(in crate::messages) held: u32,
}

struct Running {
    number: u64,
    commands: mpsc::Sender<Command>,
    offers: Hints<Vec<Offer>>,
    live: Arc<Live>,
}

/// All dispatchers. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub(in crate::messages) struct Dispatchers {
    inner: Arc<Inner>,
}

struct Inner {
    running: Mutex<HashMap<Place, Running>>,
    store: Arc<dyn MessageStore>,
    broker: Option<Arc<dyn ExternalBroker>>,
    writer: Writer,
    clock: Arc<dyn Clock>,
    options: MessageOptions,
    counters: Arc<Counters>,
    numbers: AtomicU64,
    tasks: TaskTracker,
    /// Ends all at once, as a crash would.
    kill: CancellationToken,
}

impl Dispatchers {
    pub(in crate::messages) fn new(
        store: Arc<dyn MessageStore>,
        broker: Option<Arc<dyn ExternalBroker>>,
        writer: Writer,
        clock: Arc<dyn Clock>,
        options: MessageOptions,
        kill: CancellationToken,
    ) -> Self {
        let inner = Inner {
            running: Mutex::new(HashMap::new()),
            store,
            broker,
            writer,
            clock,
            options,
            counters: Arc::default(),
            numbers: AtomicU64::new(1),
            tasks: TaskTracker::new(),
            kill,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// What happened to messages so far; one for all parts.
    pub(in crate::messages) fn counters(&self) -> &Arc<Counters> {
        &self.inner.counters
    }

    /// Tells a group's dispatcher, if there is one, what was just committed for
    /// it. To be called in the order of the commits.
    pub(in crate::messages) fn offer(&self, group: &GroupName, topic: &Topic, offers: Vec<Offer>) {
        let place = (group.clone(), topic.clone());
        let running = self.running();
        if let Some(dispatcher) = running.get(&place) {
            dispatcher.offers.offer(offers);
        }
    }

    /// Lets a consumer join; starts the dispatcher where there is none.
    pub(in crate::messages) fn join(
        &self,
        subscription: &Subscription,
        credit: u32,
    ) -> Result<(ConsumerHandle, Deliveries), MessagesError> {
        let consumer = ConsumerId(self.number());
        let credit = credit.min(MAX_CREDIT);
        // Each batch has a message, so there are at most as many as credit.
        let (deliveries, incoming) = mpsc::channel(MAX_CREDIT as usize);
        let end = crate::messages::consumer::EndNote::default();
        let command = Command::Join {
            consumer,
            credit,
            deliveries,
            end: end.clone(),
            subscription: subscription.clone(),
        };
        let place = (subscription.group.clone(), subscription.topic.clone());
        let mut running = self.running();
        if self.inner.tasks.is_closed() {
            return Err(MessagesError::Stopping);
        }
        let dispatcher = running
            .entry(place.clone())
            .or_insert_with(|| self.start(place, subscription));
        let options = &self.inner.options;
        let retry_after = options.poll;
        dispatcher
            .commands
            .try_send(command)
            .map_err(|_| MessagesError::Overloaded { retry_after })?;
        let handle = ConsumerHandle {
            id: consumer,
            commands: dispatcher.commands.clone(),
            end: end.clone(),
            lease: options.lease,
            keepalive_interval: options.keepalive_interval(),
        };
        Ok((handle, Deliveries { incoming, end }))
    }

    /// Which of these messages consumers have now.
    pub(in crate::messages) async fn leased(
        &self,
        group: &GroupName,
        topic: &Topic,
        ids: Vec<MessageId>,
    ) -> Vec<MessageId> {
        let (reply, answer) = oneshot::channel();
        let Some(commands) = self.commands(group, topic) else {
            return Vec::new();
        };
        if commands.send(Command::Leased { ids, reply }).await.is_err() {
            return Vec::new();
        }
        answer.await.unwrap_or_default()
    }

    /// Consumers of a group, and messages that they have.
    pub(in crate::messages) fn live(&self, group: &GroupName, topic: &Topic) -> LiveView {
        let running = self.running();
        let Some(dispatcher) = running.get(&(group.clone(), topic.clone())) else {
            return LiveView::default();
        };
        let live = &dispatcher.live;
        LiveView {
            consumers: live.consumers.load(Ordering::Relaxed),
            leased: live.leased.load(Ordering::Relaxed),
            held: live.held.load(Ordering::Relaxed),
        }
    }

    /// Ends a group's consumers, and its dispatcher with them.
    pub(in crate::messages) async fn end(&self, group: &GroupName, topic: &Topic, why: End) {
        if let Some(commands) = self.commands(group, topic) {
            let _ = commands.send(Command::End(why)).await;
            commands.closed().await;
        }
    }

    /// Lets every dispatcher look at the clock and into the store.
    pub(in crate::messages) async fn look(&self) {
        let all: Vec<_> = self
            .running()
            .values()
            .map(|it| it.commands.clone())
            .collect();
        for commands in all {
            let _ = commands.send(Command::Look).await;
        }
    }

    /// Ends all consumers, and waits until what they said is written.
    pub(in crate::messages) async fn stop(&self) {
        let all: Vec<_> = {
            let running = self.running();
            self.inner.tasks.close();
            running.values().map(|it| it.commands.clone()).collect()
        };
        for commands in all {
            let _ = commands.send(Command::End(End::Stopping)).await;
        }
        self.inner.tasks.wait().await;
    }

    fn commands(&self, group: &GroupName, topic: &Topic) -> Option<mpsc::Sender<Command>> {
        let place = (group.clone(), topic.clone());
        self.running().get(&place).map(|it| it.commands.clone())
    }

    fn start(&self, place: Place, subscription: &Subscription) -> Running {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (offers, offered) = hints();
        let live = Arc::new(Live::default());
        let number = self.number();
        let inner = &self.inner;
        let limits = Limits {
            lease: inner.options.lease,
            buffer: inner.options.buffer,
            sleepers: SLEEPERS,
            writes: WRITES,
        };
        let actor = Actor::new(ActorParts {
            place: place.clone(),
            subscription: subscription.clone(),
            limits,
            poll: inner.options.poll,
            store: inner.store.clone(),
            broker: inner.broker.clone(),
            writer: inner.writer.clone(),
            clock: inner.clock.clone(),
            live: live.clone(),
            counters: inner.counters.clone(),
            commands: inbox,
            offers: offered,
        });
        let dispatchers = self.clone();
        let kill = self.inner.kill.clone();
        self.inner.tasks.spawn(async move {
            let run = actor.run(|at_once| dispatchers.retire(&place, number, at_once));
            kill.run_until_cancelled(run).await;
        });
        Running {
            number,
            commands,
            offers,
            live,
        }
    }

    /// Takes a dispatcher out of the list, unless somebody wants something of it:
    /// who wants something says so while the list is locked.
    fn retire(&self, place: &Place, number: u64, at_once: bool) -> bool {
        let mut running = self.running();
        let Some(dispatcher) = running.get(place).filter(|it| it.number == number) else {
            return true;
        };
        let unread = dispatcher.commands.max_capacity() - dispatcher.commands.capacity();
        let retires = at_once || unread == 0;
        if retires {
            running.remove(place);
        }
        retires
    }

    fn number(&self) -> u64 {
        self.inner.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Place, Running>> {
        self.inner
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long ago something happened, for clocks that only go forward.
pub(super) fn steady(clock: &dyn Clock, origin: std::time::Instant) -> Millis {
    Millis::from(clock.monotonic().duration_since(origin))
}
