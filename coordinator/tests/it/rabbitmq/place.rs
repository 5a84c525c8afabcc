//! A topic of a test's own at the broker, and what tests do with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amends_coordinator::broker::rabbitmq::{RabbitMq, RabbitOptions};
use amends_coordinator::broker::{BrokerStatus, Carried, ExternalBroker, Feed, Incoming};
use amends_coordinator::clock::SystemClock;
use amends_coordinator::config::Secret;
use amends_core::message::{
    Filter, GroupName, Headers, Message, MessageId, MessageKey, Mode, RetrySchedule, SharedMessage,
    Subscription, Tag, Topic,
};
use amends_core::payload::Payload;
use amends_core::time::Timestamp;
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::time::timeout;

/// What has not happened by then does not happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(40);

pub(super) const GROUP: &str = "mail";

/// The server that tests share.
pub(crate) fn shared_url() -> String {
    std::env::var("AMENDS_TEST_RABBITMQ_URL")
        .expect("AMENDS_TEST_RABBITMQ_URL is not set: see scripts/test-servers")
}

pub(super) struct Place {
    pub(super) url: String,
    pub(super) topic: Topic,
    pub(super) group: GroupName,
    pub(super) broker: Arc<RabbitMq>,
}

impl Place {
    /// On the shared server, with one group that wants everything.
    pub(super) async fn new() -> Self {
        let place = Self::at(&shared_url(), |_| {}).await;
        place.declare("*").await;
        place
    }

    /// On some server, connected; nothing declared.
    pub(super) async fn at(url: &str, set: impl FnOnce(&mut RabbitOptions)) -> Self {
        let mut options = RabbitOptions::new(Secret::new(url));
        set(&mut options);
        let broker = RabbitMq::start(&options, Arc::new(SystemClock)).unwrap();
        let place = Self {
            url: url.to_owned(),
            topic: Topic::new(&format!("test.{}", uuid::Uuid::new_v4().simple())).unwrap(),
            group: GroupName::new(GROUP).unwrap(),
            broker: Arc::new(broker),
        };
        place.until(|status| *status == BrokerStatus::Up).await;
        place
    }

    /// Waits for a status.
    pub(super) async fn until(&self, wanted: impl Fn(&BrokerStatus) -> bool) -> BrokerStatus {
        let mut status = self.broker.status();
        let seen = timeout(PATIENCE, status.wait_for(|status| wanted(status))).await;
        match seen {
            Ok(seen) => seen.unwrap().clone(),
            Err(_) => panic!("it stays {:?}", *self.broker.status().borrow()),
        }
    }

    pub(super) fn subscription(&self, filter: &str) -> Subscription {
        Subscription {
            group: self.group.clone(),
            topic: self.topic.clone(),
            filter: Filter::tags(filter).unwrap(),
            mode: Mode::Clustering,
            retry: RetrySchedule::default(),
        }
    }

    pub(super) async fn declare(&self, filter: &str) {
        let subscription = self.subscription(filter);
        self.broker.declare(&subscription).await.unwrap();
    }

    pub(super) async fn feed(&self, window: u16) -> Feed {
        let feed = self.broker.consume(&self.group, &self.topic, window).await;
        feed.unwrap()
    }

    /// So many messages named `<name>-0`, `<name>-1`, ...
    pub(super) fn messages(&self, name: &str, tag: &str, count: usize) -> Vec<SharedMessage> {
        let message = |n| Message {
            id: MessageId::new(&format!("{name}-{n}")).unwrap(),
            topic: self.topic.clone(),
            tag: Tag::new(tag).unwrap(),
            key: MessageKey::new("").unwrap(),
            order_key: None,
            headers: Headers::trusted(BTreeMap::new()),
            payload: Payload::new("text/plain", vec![b'x'; 512].into()),
            deliver_at: None,
            created_at: Timestamp(1_763_000_000_000),
        };
        (0..count).map(|n| Arc::new(message(n))).collect()
    }

    /// Publishes on lane 0 and expects all to be confirmed.
    pub(super) async fn publish(&self, messages: &[SharedMessage]) {
        let carried = self.broker.publish(0, messages).await;
        assert_eq!(carried, vec![Carried::Confirmed; messages.len()]);
    }

    /// A channel beside the broker's own, as another client has it.
    pub(super) async fn beside(&self) -> (Connection, Channel) {
        let connection = Connection::connect(&self.url, ConnectionProperties::default());
        let connection = connection.await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        (connection, channel)
    }

    pub(super) fn exchange(&self) -> String {
        format!("amends.{}", self.topic)
    }

    pub(super) fn queue(&self) -> String {
        format!("amends.{}:{}", self.topic, self.group)
    }

    pub(super) fn dead_queue(&self) -> String {
        format!("dead.{}:{}", self.group, self.topic)
    }

    /// Takes away what the test made.
    pub(super) async fn clear(self) {
        self.broker.remove(&self.group, &self.topic).await.unwrap();
        delete_exchange(&self.url, &self.exchange()).await;
        self.broker.stop().await;
    }
}

/// Takes a topic's exchange off a server.
pub(crate) async fn delete_exchange(url: &str, exchange: &str) {
    let connection = Connection::connect(url, ConnectionProperties::default());
    let connection = connection.await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let options = lapin::options::ExchangeDeleteOptions::default();
    let deleted = timeout(PATIENCE, channel.exchange_delete(exchange.into(), options)).await;
    deleted.unwrap().unwrap();
}

/// The next of a feed.
pub(super) async fn next(feed: &mut Feed) -> Incoming {
    let next = timeout(PATIENCE, feed.incoming.recv()).await;
    next.expect("nothing comes in").expect("the feed ended")
}

/// The id of what came in readable.
pub(super) fn id(incoming: &Incoming) -> &str {
    incoming.message.as_ref().unwrap().id.as_str()
}

/// Receives so many and acknowledges them, in batches; their ids in the order of arrival.
pub(super) async fn take(feed: &mut Feed, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let mut tokens = Vec::new();
        let first = next(feed).await;
        ids.push(id(&first).to_owned());
        tokens.push(first.token);
        while ids.len() < count
            && let Ok(more) = feed.incoming.try_recv()
        {
            ids.push(id(&more).to_owned());
            tokens.push(more.token);
        }
        feed.acks.ack(&tokens).await;
    }
    ids
}
