//! What the messages run over: a store, with itself as the broker or with RabbitMQ.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex};

use amends_coordinator::broker::rabbitmq::{RabbitMq, RabbitOptions};
use amends_coordinator::broker::{
    BrokerError, BrokerStatus, Carried, ExternalBroker, Feed, Incoming,
};
use amends_coordinator::clock::SystemClock;
use amends_coordinator::config::Secret;
use amends_core::message::{DeliveryState, GroupName, Message, SharedMessage, Subscription, Topic};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use super::world::patiently;
use crate::rabbitmq::place::{delete_exchange, shared_url};
use crate::rabbitmq::proxy::{Proxy, Traffic};
use crate::rabbitmq::server::Node;
use crate::store::place;

pub(super) struct Place<'a> {
    pub(super) store: &'a place::Place,
    rabbitmq: Option<Scope>,
}

impl Place<'_> {
    /// Whether RabbitMQ carries the messages: then a message that nobody has tried yet has no row
    /// in its group.
    pub(super) fn is_external(&self) -> bool {
        self.rabbitmq.is_some()
    }

    /// What the store says of a message that a consumer has for the first time.
    pub(super) fn leased(&self) -> Option<DeliveryState> {
        (!self.is_external()).then_some(DeliveryState::Leased)
    }

    /// Ends every connection to RabbitMQ.
    pub(super) fn cut(&self) {
        if let Some(scope) = &self.rabbitmq {
            scope.proxy.cut();
        }
    }

    /// Whether RabbitMQ can be reached.
    pub(super) fn reachable(&self, reachable: bool) {
        if let Some(scope) = &self.rabbitmq {
            let traffic = if reachable {
                Traffic::Flows
            } else {
                Traffic::Refused
            };
            scope.proxy.set(traffic);
            scope.proxy.cut();
        }
    }

    /// A broker for one run; connected.
    pub(super) async fn broker(&self, lanes: u32) -> Option<Arc<dyn ExternalBroker>> {
        let scope = self.rabbitmq.as_ref()?;
        Some(Arc::new(scope.connect(lanes).await))
    }
}

pub(super) async fn memory(case: impl AsyncFnOnce(&Place<'_>)) {
    place::memory(async |store| embedded(store, case).await).await;
}

pub(super) async fn sqlite(case: impl AsyncFnOnce(&Place<'_>)) {
    place::sqlite(async |store| embedded(store, case).await).await;
}

pub(super) async fn postgres(case: impl AsyncFnOnce(&Place<'_>)) {
    place::postgres(async |store| embedded(store, case).await).await;
}

async fn embedded(store: &place::Place, case: impl AsyncFnOnce(&Place<'_>)) {
    let rabbitmq = None;
    case(&Place { store, rabbitmq }).await;
}

/// Over SQLite and the shared RabbitMQ server.
pub(super) async fn rabbitmq(case: impl AsyncFnOnce(&Place<'_>)) {
    place::sqlite(async |store| external(store, case).await).await;
}

/// Over PostgreSQL, which takes several coordinators at a time, and the shared RabbitMQ server.
pub(super) async fn rabbitmq_and_postgres(case: impl AsyncFnOnce(&Place<'_>)) {
    place::postgres(async |store| external(store, case).await).await;
}

/// Over SQLite and a RabbitMQ server of the case's own.
pub(super) async fn own_rabbitmq(case: impl AsyncFnOnce(&Place<'_>, &Node)) {
    let node = Node::start().await;
    place::sqlite(async |store| {
        let rabbitmq = Some(Scope::before(&node.url).await);
        case(&Place { store, rabbitmq }, &node).await;
    })
    .await;
}

/// What the case made at the server is taken away however it ends.
async fn external(store: &place::Place, case: impl AsyncFnOnce(&Place<'_>)) {
    let scope = Scope::before(&shared_url()).await;
    let rabbitmq = Some(scope.clone());
    let place = Place { store, rabbitmq };
    let result = AssertUnwindSafe(case(&place)).catch_unwind().await;
    patiently(scope.clear()).await;
    result.unwrap_or_else(|panic| resume_unwind(panic));
}

/// Topics of one test: the topic `t` has a name of its own at the server.
#[derive(Clone)]
struct Scope {
    proxy: Arc<Proxy>,
    url: String,
    prefix: String,
    made: Arc<Mutex<BTreeSet<(GroupName, Topic)>>>,
}

impl Scope {
    async fn before(server: &str) -> Self {
        let (proxy, url) = Proxy::before(server).await;
        Self {
            proxy: Arc::new(proxy),
            url,
            prefix: format!("test.{}.", uuid::Uuid::new_v4().simple()),
            made: Arc::default(),
        }
    }

    async fn connect(&self, lanes: u32) -> Scoped {
        let mut options = RabbitOptions::new(Secret::new(&self.url));
        options.lanes = NonZeroU32::new(lanes).unwrap();
        let broker = RabbitMq::start(&options, Arc::new(SystemClock)).unwrap();
        let mut status = broker.status();
        let up = status.wait_for(|status| *status == BrokerStatus::Up);
        patiently(up).await.unwrap();
        let scope = self.clone();
        Scoped { scope, broker }
    }

    async fn clear(&self) {
        self.proxy.set(Traffic::Flows);
        let broker = self.connect(1).await.broker;
        let made = std::mem::take(&mut *self.made.lock().unwrap());
        for (group, topic) in &made {
            broker.remove(group, topic).await.unwrap();
        }
        let topics: BTreeSet<&Topic> = made.iter().map(|(_, topic)| topic).collect();
        for topic in topics {
            delete_exchange(&self.url, &format!("amends.{topic}")).await;
        }
        broker.stop().await;
    }

    fn there(&self, topic: &Topic) -> Topic {
        Topic::new(&format!("{}{topic}", self.prefix)).unwrap()
    }

    fn here(&self, message: &SharedMessage) -> SharedMessage {
        let topic = message.topic.as_str().strip_prefix(&self.prefix);
        Arc::new(Message {
            topic: Topic::new(topic.unwrap()).unwrap(),
            ..message.as_ref().clone()
        })
    }
}

/// The server, as one test sees it.
struct Scoped {
    scope: Scope,
    broker: RabbitMq,
}

impl ExternalBroker for Scoped {
    fn kind(&self) -> &'static str {
        self.broker.kind()
    }

    fn status(&self) -> watch::Receiver<BrokerStatus> {
        self.broker.status()
    }

    fn lanes(&self) -> usize {
        self.broker.lanes()
    }

    fn declare<'a>(
        &'a self,
        subscription: &'a Subscription,
    ) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(async move {
            let there = Subscription {
                topic: self.scope.there(&subscription.topic),
                ..subscription.clone()
            };
            let key = (there.group.clone(), there.topic.clone());
            self.scope.made.lock().unwrap().insert(key);
            self.broker.declare(&there).await
        })
    }

    fn remove<'a>(
        &'a self,
        group: &'a GroupName,
        topic: &'a Topic,
    ) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(async move { self.broker.remove(group, &self.scope.there(topic)).await })
    }

    fn publish<'a>(
        &'a self,
        lane: usize,
        batch: &'a [SharedMessage],
    ) -> BoxFuture<'a, Vec<Carried>> {
        Box::pin(async move {
            let there = |message: &SharedMessage| {
                Arc::new(Message {
                    topic: self.scope.there(&message.topic),
                    ..message.as_ref().clone()
                })
            };
            let batch: Vec<SharedMessage> = batch.iter().map(there).collect();
            self.broker.publish(lane, &batch).await
        })
    }

    fn depths<'a>(
        &'a self,
        groups: &'a [(GroupName, Topic)],
    ) -> BoxFuture<'a, Result<Vec<Option<u32>>, BrokerError>> {
        Box::pin(async move {
            let there =
                |(group, topic): &(GroupName, Topic)| (group.clone(), self.scope.there(topic));
            let there: Vec<_> = groups.iter().map(there).collect();
            self.broker.depths(&there).await
        })
    }

    fn consume<'a>(
        &'a self,
        group: &'a GroupName,
        topic: &'a Topic,
        window: u16,
    ) -> BoxFuture<'a, Result<Feed, BrokerError>> {
        Box::pin(async move {
            let topic = self.scope.there(topic);
            let mut feed = self.broker.consume(group, &topic, window).await?;
            let (sender, incoming) = mpsc::channel(usize::from(window));
            let (scope, acks) = (self.scope.clone(), Arc::clone(&feed.acks));
            tokio::spawn(async move {
                loop {
                    let next = tokio::select! {
                        next = feed.incoming.recv() => next,
                        () = sender.closed() => None,
                    };
                    let Some(next) = next else { return };
                    let message = match &next.message {
                        Ok(message) => Ok(scope.here(message)),
                        Err((message, why)) => Err((scope.here(message), why.clone())),
                    };
                    let _ = sender.send(Incoming { message, ..next }).await;
                }
            });
            Ok(Feed { incoming, acks })
        })
    }
}
