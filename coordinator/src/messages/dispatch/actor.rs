//! Does what [`Group`] decides: reads the store, hands messages over, writes what became of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amends_core::message::{DeliveryState, MessageId, Subscription};
use amends_core::time::Millis;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use super::consumers::ConsumerId;
use super::entry::{Offer, ReplyId, WriteId};
use super::feed::{Came, Feeder};
use super::group::{Group, Limits};
use super::registry::{Live, Place, steady};
use super::sources::Read;
use super::time::Now;
use crate::broker::ExternalBroker;
use crate::clock::Clock;
use crate::messages::consumer::{End, EndNote};
use crate::messages::counters::Counters;
use crate::messages::hints::Hinted;
use crate::messages::types::{Handed, Settled, Settlement};
use crate::messages::writer::Writer;
use crate::store::StoreError;
use crate::store::messages::{GroupOwnership, MessageStore, Waiting};

/// How long a dispatcher without consumers stays, for those that come back.
const LINGER: Duration = Duration::from_secs(2);
/// Commands handled before messages are handed out.
const COMMANDS_AT_ONCE: usize = 64;
/// Every so many looks, it is asked whether the group is still this coordinator's.
const LOOKS_PER_OWNER: u32 = 2;

/// What a dispatcher is told.
pub(in crate::messages) enum Command {
    Join {
        consumer: ConsumerId,
        credit: u32,
        deliveries: mpsc::Sender<Vec<Handed>>,
        end: EndNote,
        subscription: Subscription,
    },
    AddCredit {
        consumer: ConsumerId,
        credit: u32,
        reply: oneshot::Sender<bool>,
    },
    Settle {
        consumer: ConsumerId,
        settlements: Vec<Settlement>,
        reply: oneshot::Sender<Settled>,
    },
    KeepAlive {
        consumer: ConsumerId,
    },
    Leased {
        ids: Vec<MessageId>,
        reply: oneshot::Sender<Vec<MessageId>>,
    },
    Look,
    End(End),
}

pub(super) struct ActorParts {
    pub(super) place: Place,
    pub(super) subscription: Subscription,
    pub(super) limits: Limits,
    pub(super) poll: Duration,
    pub(super) store: Arc<dyn MessageStore>,
    pub(super) broker: Option<Arc<dyn ExternalBroker>>,
    pub(super) writer: Writer,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) live: Arc<Live>,
    pub(super) counters: Arc<Counters>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) offers: Hinted<Vec<Offer>>,
}

pub(super) struct Stream {
    pub(super) deliveries: mpsc::Sender<Vec<Handed>>,
    end: EndNote,
}

/// An answer that waits for writes.
pub(super) struct Reply {
    pub(super) writes: usize,
    pub(super) settled: Settled,
    pub(super) to: oneshot::Sender<Settled>,
}

pub(super) type ReadDone = (Read, u32, Result<Vec<Waiting>, StoreError>);
/// Writes that are durable, and whether each took effect.
pub(super) type Durable = Vec<(WriteId, bool)>;

pub(super) struct Actor {
    pub(super) parts: ActorParts,
    pub(super) group: Group,
    pub(super) feeder: Feeder,
    origin: Instant,
    pub(super) streams: HashMap<ConsumerId, Stream>,
    gone: FuturesUnordered<BoxFuture<'static, ConsumerId>>,
    pub(super) reads: FuturesUnordered<BoxFuture<'static, ReadDone>>,
    owner: Option<BoxFuture<'static, Result<GroupOwnership, StoreError>>>,
    looks: u32,
    pub(super) replies: HashMap<ReplyId, Reply>,
    last_reply: ReplyId,
    pub(super) durable: (
        mpsc::UnboundedSender<Durable>,
        mpsc::UnboundedReceiver<Durable>,
    ),
    pub(super) ending: bool,
}

enum Event {
    Offers(Vec<Vec<Offer>>),
    Commands(Vec<Command>),
    Durable(Durable),
    Read(ReadDone),
    Came(Vec<Came>),
    Gone(ConsumerId),
    Owner(Result<GroupOwnership, StoreError>),
    Look,
    Time,
    Linger,
}

impl Actor {
    #[expect(
        clippy::disallowed_methods,
        reason = "bounded by Limits::writes: each write is told of once"
    )]
    pub(super) fn new(parts: ActorParts) -> Self {
        let (group, topic) = parts.place.clone();
        Self {
            group: Group::new(parts.limits, parts.subscription.retry.clone()),
            feeder: Feeder::new(parts.broker.clone(), parts.store.clone(), group, topic),
            origin: parts.clock.monotonic(),
            streams: HashMap::new(),
            gone: FuturesUnordered::new(),
            reads: FuturesUnordered::new(),
            owner: None,
            looks: 0,
            replies: HashMap::new(),
            last_reply: ReplyId(0),
            durable: mpsc::unbounded_channel(),
            ending: false,
            parts,
        }
    }

    /// Runs until it has had no consumers for a while and `retire` agrees, or until it is ended.
    pub(super) async fn run(mut self, retire: impl Fn(bool) -> bool) {
        let mut look = tokio::time::interval(self.parts.poll);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let event = self.next(&mut look).await;
            if matches!(event, Event::Linger) && self.group.is_idle() && retire(false) {
                return;
            }
            self.handle(event);
            self.act().await;
            if self.ending && self.group.is_idle() {
                retire(true);
                return self.refuse_the_rest();
            }
        }
    }

    async fn next(&mut self, look: &mut tokio::time::Interval) -> Event {
        let nap = self.nap();
        let idle = self.streams.is_empty() && !self.ending;
        let fed = self.group.sources.caught_up() && !self.streams.is_empty();
        let mut commands = Vec::new();
        let owner = async {
            match &mut self.owner {
                Some(owner) => owner.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            offers = self.parts.offers.next() => Event::Offers(offers),
            Some(durable) = self.durable.1.recv() => Event::Durable(durable),
            count = self.parts.commands.recv_many(&mut commands, COMMANDS_AT_ONCE), if !self.ending => {
                if count == 0 {
                    commands.push(Command::End(End::Stopping));
                }
                Event::Commands(commands)
            }
            Some(read) = self.reads.next() => Event::Read(read),
            came = self.feeder.next(), if fed => Event::Came(came),
            Some(gone) = self.gone.next() => Event::Gone(gone),
            owner = owner => Event::Owner(owner),
            _ = look.tick() => Event::Look,
            () = tokio::time::sleep(nap) => Event::Time,
            () = tokio::time::sleep(LINGER), if idle => Event::Linger,
        }
    }

    fn handle(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Offers(batches) => {
                for offers in batches {
                    self.group.offered(offers, now);
                }
            }
            Event::Commands(commands) => {
                for command in commands {
                    self.command(command, now);
                }
            }
            Event::Durable(durable) => {
                // What was committed before is taken in before.
                while let Some(offers) = self.parts.offers.try_next() {
                    self.group.offered(offers, now);
                }
                for (write, took_effect) in durable {
                    self.group.written(write, took_effect, now);
                }
            }
            Event::Read((read, most, page)) => {
                if let Err(error) = &page {
                    let (group, topic) = &self.parts.place;
                    tracing::warn!(%group, %topic, %error, "cannot read waiting messages; trying again");
                }
                self.group.read(read, page.ok(), most, now);
            }
            Event::Came(came) => {
                for came in came {
                    self.came(came, now);
                }
            }
            Event::Gone(consumer) => self.leave(consumer),
            Event::Owner(owner) => {
                self.owner = None;
                if let Ok(GroupOwnership::Other { address }) = owner {
                    self.end(&End::NotOwner(address));
                }
            }
            Event::Look => self.look(),
            Event::Time | Event::Linger => {}
        }
        if self.parts.offers.take_lost() {
            self.group.offers_lost();
        }
        self.group.tick(now);
        if !self.ending {
            self.group.hand(now);
        }
    }

    fn command(&mut self, command: Command, now: Now) {
        match command {
            Command::Join {
                consumer,
                credit,
                deliveries,
                end,
                subscription,
            } => {
                let closed = deliveries.clone();
                self.gone.push(Box::pin(async move {
                    closed.closed().await;
                    consumer
                }));
                self.group.set_retry(subscription.retry.clone());
                self.parts.subscription = subscription;
                self.streams.insert(consumer, Stream { deliveries, end });
                self.group.consumers.join(consumer, credit);
            }
            Command::AddCredit {
                consumer,
                credit,
                reply,
            } => {
                let _ = reply.send(self.group.consumers.add_credit(consumer, credit));
            }
            Command::Settle {
                consumer,
                settlements,
                reply,
            } => self.settle(consumer, settlements, reply, now),
            Command::KeepAlive { consumer } => {
                let until = now.steady + self.parts.limits.lease;
                self.group.consumers.keep_alive(consumer, until);
            }
            Command::Leased { mut ids, reply } => {
                ids.retain(|id| self.group.is_leased(id));
                let _ = reply.send(ids);
            }
            Command::Look => self.look(),
            Command::End(why) => self.end(&why),
        }
    }

    fn settle(
        &mut self,
        consumer: ConsumerId,
        settlements: Vec<Settlement>,
        to: oneshot::Sender<Settled>,
        now: Now,
    ) {
        self.last_reply.0 += 1;
        let reply = self.last_reply;
        let (settled, writes) = self.group.settle(consumer, settlements, reply, now);
        if writes == 0 {
            let _ = to.send(settled);
            return;
        }
        let waiting = Reply {
            writes,
            settled,
            to,
        };
        self.replies.insert(reply, waiting);
    }

    /// A message of an external broker.
    fn came(&mut self, came: Came, now: Now) {
        let Came {
            incoming,
            ack,
            known,
        } = came;
        match (incoming.message, known) {
            (Ok(_) | Err(_), Some(DeliveryState::Done | DeliveryState::Dead)) => {
                self.group.out.acks.push(ack);
            }
            (Ok(message) | Err((message, _)), Some(_)) => {
                self.group.incoming_stored(&message, ack, now);
            }
            (Ok(message), None) if !self.parts.subscription.filter.matches(&message) => {
                self.group.out.acks.push(ack);
            }
            (Ok(message), None) => self.group.incoming(message, ack, now),
            (Err((message, why)), None) => self.group.unreadable(message, why, ack),
        }
    }

    fn look(&mut self) {
        self.group.look();
        self.show_held();
        self.looks += 1;
        if self.owner.is_none() && self.looks.is_multiple_of(LOOKS_PER_OWNER) {
            let store = self.parts.store.clone();
            let (group, topic) = self.parts.place.clone();
            self.owner = Some(Box::pin(
                async move { store.own_group(&group, &topic).await },
            ));
        }
    }

    fn leave(&mut self, consumer: ConsumerId) {
        self.streams.remove(&consumer);
        self.group.leave(consumer);
    }

    fn end(&mut self, why: &End) {
        for (consumer, stream) in std::mem::take(&mut self.streams) {
            let _ = stream.end.set(why.clone());
            self.group.leave(consumer);
        }
        self.ending = true;
    }

    /// Who came too late.
    fn refuse_the_rest(mut self) {
        self.parts.commands.close();
        while let Ok(command) = self.parts.commands.try_recv() {
            if let Command::Join { end, .. } = command {
                let _ = end.set(End::Stopping);
            }
        }
    }

    /// Until something is due.
    fn nap(&self) -> Duration {
        const LONGEST: Duration = Duration::from_secs(3_600);
        let now = self.now();
        let timer = self.group.timers.next().map(|at| at.since(now.wall));
        let expiry = self.group.consumers.next_expiry();
        let expiry = expiry.map(|at| Millis(at.0.saturating_sub(now.steady.0)));
        let first = [timer, expiry].into_iter().flatten().min();
        first.map_or(LONGEST, Duration::from).min(LONGEST)
    }

    pub(super) fn now(&self) -> Now {
        Now {
            wall: self.parts.clock.now(),
            steady: steady(self.parts.clock.as_ref(), self.origin),
        }
    }
}
