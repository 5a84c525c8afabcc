//! The one place that makes exchanges, queues and bindings, and knows which there should be.
//!
//! - A durable topic exchange for each topic; the routing key is the tag.
//! - A quorum queue for each (topic, group), bound by the group's tags, or by `#` where the
//!   filter is more than tags: the coordinator looks at each message again.
//! - Beside it a quorum queue `dead.…` as a safety net: what the server gives up (its limit of
//!   deliveries) is moved there, and stays in the queue until it has arrived.
//!
//! The limit of deliveries is a net only, never a schedule: versions differ in what they
//! count. One consumer at a time is active on a queue, so that a coordinator which takes over
//! from a silent one does not overtake what that one still holds.
//! Nothing here limits lengths: that is for policies, which can be changed in place.
//!
//! Works on RabbitMQ from 3.10 on. What a group was bound to is remembered while the process lives. A filter
//! that changed while no coordinator ran leaves the old bindings behind; what comes by them is
//! filtered out by the coordinator.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use amends_core::message::{Filter, GroupName, Subscription, Tag, Topic};
use lapin::options::{
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};

use super::connection::{Live, within};
use super::fault::{self, Fault};
use super::names::{self, Names};
use crate::broker::BrokerError;

/// Deliveries without an acknowledgement after which the server moves a message to the net:
/// it probably brings down whoever receives it.
const DELIVERY_LIMIT: i64 = 100;
/// The same on the net itself, where 4.0 would have one of its own and lose the message.
const NET_DELIVERY_LIMIT: i64 = 1_000_000_000;
/// The binding of a group that sees every message of a topic.
const EVERY_TAG: &str = "#";
/// Most topics whose exchanges are remembered as made.
const MAX_KNOWN_TOPICS: usize = 10_000;

type Key = (GroupName, Topic);

/// What there should be at the broker, and what was made of it.
#[derive(Default)]
pub(super) struct Topology {
    pub(super) names: Names,
    groups: Mutex<BTreeMap<Key, Group>>,
    /// Topics whose exchange was made on the present connection.
    topics: Mutex<BTreeSet<Topic>>,
    /// Held while something is made: two changes of one group must not mix.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Default)]
struct Group {
    wanted: BTreeSet<String>,
    /// Those that may exist, wanted or not.
    bound: BTreeSet<String>,
}

impl Topology {
    pub(super) fn new(names: Names) -> Self {
        Self {
            names,
            ..Self::default()
        }
    }

    /// Notes what a group wants; [`Self::make`] makes it so.
    pub(super) fn remember(&self, subscription: &Subscription) {
        let key = (subscription.group.clone(), subscription.topic.clone());
        let wanted = binding_keys(&subscription.filter);
        self.groups().entry(key).or_default().wanted = wanted;
    }

    /// Whether a group's queue should get messages of this topic and tag.
    pub(super) fn wanted(&self, topic: &Topic, tag: &Tag) -> bool {
        let groups = self.groups();
        let mut on_topic = groups.iter().filter(|(key, _)| key.1 == *topic);
        on_topic.any(|(_, group)| {
            group.wanted.contains(EVERY_TAG) || group.wanted.contains(tag.as_str())
        })
    }

    /// Makes what was remembered of one group.
    ///
    /// # Errors
    /// `TOPOLOGY_MISMATCH`; not known; the connection failed.
    pub(super) async fn make(&self, live: &Live, key: &Key) -> Result<(), BrokerError> {
        let _turn = self.turn.lock().await;
        let Some(group) = self.groups().get(key).cloned() else {
            let message = format!("group {} has no queue on topic {}", key.0, key.1);
            return Err(BrokerError::Unavailable(message));
        };
        let channel = live.channel().await?;
        let made = make_group(&channel, &self.names, key, &group).await;
        if let Some(known) = self.groups().get_mut(key) {
            known.bound = match &made {
                Ok(()) => group.wanted,
                Err(_) => &group.bound | &group.wanted,
            };
        }
        Ok(made?)
    }

    /// Makes everything again, on a new connection. What exists with other settings is
    /// left alone: its group gets the error when it wants to consume.
    ///
    /// # Errors
    /// The connection failed.
    pub(super) async fn make_all(&self, live: &Live) -> Result<(), BrokerError> {
        self.topics().clear();
        let keys: Vec<Key> = self.groups().keys().cloned().collect();
        self.make_those(live, &keys).await
    }

    /// Makes a topic's exchange and everything on it again, after it was found missing.
    ///
    /// # Errors
    /// As [`Self::make_all`].
    pub(super) async fn repair(&self, live: &Live, topic: &Topic) -> Result<(), BrokerError> {
        self.topics().remove(topic);
        let keys: Vec<Key> = self.groups().keys().cloned().collect();
        let keys: Vec<Key> = keys.into_iter().filter(|key| key.1 == *topic).collect();
        self.make_those(live, &keys).await?;
        self.ensure_topic(live, topic).await
    }

    async fn make_those(&self, live: &Live, keys: &[Key]) -> Result<(), BrokerError> {
        for key in keys {
            match self.make(live, key).await {
                Ok(()) => {}
                Err(BrokerError::Unusable { code, message }) => {
                    tracing::error!(group = %key.0, topic = %key.1, code, "{message}");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes a topic's exchange unless that was done on this connection: publishing to
    /// one that does not exist would take its channel down.
    ///
    /// # Errors
    /// `TOPOLOGY_MISMATCH`; the connection failed.
    pub(super) async fn ensure_topic(&self, live: &Live, topic: &Topic) -> Result<(), BrokerError> {
        if self.topics().contains(topic) {
            return Ok(());
        }
        let channel = live.channel().await?;
        declare_topic(&channel, &self.names, topic).await?;
        close(&channel).await;
        let mut topics = self.topics();
        if topics.len() >= MAX_KNOWN_TOPICS {
            topics.clear();
        }
        topics.insert(topic.clone());
        Ok(())
    }

    /// Removes a group's queue and its net, with what is in them.
    ///
    /// # Errors
    /// The connection failed.
    pub(super) async fn remove(&self, live: &Live, key: &Key) -> Result<(), BrokerError> {
        let _turn = self.turn.lock().await;
        self.groups().remove(key);
        let channel = live.channel().await?;
        for queue in [
            self.names.queue(&key.0, &key.1),
            self.names.dead_queue(&key.0, &key.1),
        ] {
            within(channel.queue_delete(queue, QueueDeleteOptions::default())).await?;
        }
        close(&channel).await;
        Ok(())
    }

    /// How many messages wait in each group's queue, and are given out to nobody.
    /// `None`: there is no such queue.
    ///
    /// # Errors
    /// The connection failed.
    pub(super) async fn depths(
        &self,
        live: &Live,
        keys: &[Key],
    ) -> Result<Vec<Option<u32>>, BrokerError> {
        let mut channel = live.channel().await?;
        let mut depths = Vec::with_capacity(keys.len());
        for (group, topic) in keys {
            let options = QueueDeclareOptions {
                passive: true,
                ..QueueDeclareOptions::default()
            };
            let queue = self.names.queue(group, topic);
            let asked = within(channel.queue_declare(queue, options, FieldTable::default())).await;
            depths.push(match asked {
                Ok(queue) => Some(queue.message_count()),
                Err(fault) if fault.kind == fault::Kind::Missing => {
                    // The server has closed the channel.
                    channel = live.channel().await?;
                    None
                }
                Err(fault) => return Err(fault.into()),
            });
        }
        close(&channel).await;
        Ok(depths)
    }

    /// Forgets a group while the broker cannot be reached.
    pub(super) fn forget(&self, key: &Key) {
        self.groups().remove(key);
    }

    fn groups(&self) -> MutexGuard<'_, BTreeMap<Key, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn topics(&self) -> MutexGuard<'_, BTreeSet<Topic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tags by which a group's queue is bound to its topic.
fn binding_keys(filter: &Filter) -> BTreeSet<String> {
    match filter {
        Filter::Tags(tags) => tags.iter().map(Tag::as_str).map(str::to_owned).collect(),
        _ => BTreeSet::from([EVERY_TAG.to_owned()]),
    }
}

async fn make_group(
    channel: &Channel,
    names: &Names,
    (name, topic): &Key,
    group: &Group,
) -> Result<(), Fault> {
    declare_topic(channel, names, topic).await?;
    declare_exchange(channel, names.dead_exchange(), ExchangeKind::Direct).await?;

    let net = names.dead_queue(name, topic);
    let arguments = [(
        "x-delivery-limit",
        AMQPValue::LongLongInt(NET_DELIVERY_LIMIT),
    )];
    declare_queue(channel, net.clone(), &arguments).await?;
    bind(channel, &net, names.dead_exchange(), net.as_str()).await?;

    let queue = names.queue(name, topic);
    let text = |text: &str| AMQPValue::LongString(text.into());
    let arguments = [
        (
            "x-dead-letter-exchange",
            text(names.dead_exchange().as_str()),
        ),
        ("x-dead-letter-routing-key", text(net.as_str())),
        ("x-dead-letter-strategy", text("at-least-once")),
        // What at-least-once needs: with drop-head the server would still lose messages.
        ("x-overflow", text("reject-publish")),
        ("x-delivery-limit", AMQPValue::LongLongInt(DELIVERY_LIMIT)),
        ("x-single-active-consumer", AMQPValue::Boolean(true)),
    ];
    declare_queue(channel, queue.clone(), &arguments).await?;
    for key in &group.wanted {
        bind(channel, &queue, names.exchange(topic), key).await?;
    }
    // Last, so that a message which both want finds one of them at any time.
    for key in group.bound.difference(&group.wanted) {
        unbind(channel, &queue, names.exchange(topic), key).await?;
    }
    close(channel).await;
    Ok(())
}

async fn declare_topic(channel: &Channel, names: &Names, topic: &Topic) -> Result<(), Fault> {
    declare_exchange(channel, names.exchange(topic), ExchangeKind::Topic).await
}

async fn declare_exchange(
    channel: &Channel,
    name: ShortString,
    kind: ExchangeKind,
) -> Result<(), Fault> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    within(channel.exchange_declare(name, kind, options, FieldTable::default())).await
}

async fn declare_queue(
    channel: &Channel,
    name: ShortString,
    arguments: &[(&str, AMQPValue)],
) -> Result<(), Fault> {
    let mut table = FieldTable::default();
    table.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    for (argument, value) in arguments {
        table.insert((*argument).into(), value.clone());
    }
    let declare = channel.queue_declare(name, QueueDeclareOptions::durable(), table);
    within(declare).await.map(drop)
}

async fn bind(
    channel: &Channel,
    queue: &ShortString,
    exchange: ShortString,
    key: &str,
) -> Result<(), Fault> {
    let key = names::fitting(key.to_owned());
    let options = QueueBindOptions::default();
    within(channel.queue_bind(queue.clone(), exchange, key, options, FieldTable::default())).await
}

async fn unbind(
    channel: &Channel,
    queue: &ShortString,
    exchange: ShortString,
    key: &str,
) -> Result<(), Fault> {
    let key = names::fitting(key.to_owned());
    within(channel.queue_unbind(queue.clone(), exchange, key, FieldTable::default())).await
}

/// Closes a channel that did its work; one that failed was closed by the server.
pub(super) async fn close(channel: &Channel) {
    let _ = within(channel.close(200, "OK".into())).await;
}
