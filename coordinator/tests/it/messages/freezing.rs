//! Two relays, of which one is frozen while the other takes over what it had.

use std::collections::BTreeSet;
use std::sync::Arc;

use amends_coordinator::broker::{BrokerError, BrokerStatus, Carried, ExternalBroker, Feed};
use amends_coordinator::store::messages::StoredMessage;
use amends_core::message::{
    GroupName, MessageId, MessageState, SharedMessage, Subscription, Topic,
};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::place::Place;
use super::world::{Run, World, message, patiently, subscription};

const MESSAGES: usize = 20;

/// RabbitMQ, whose confirms reach the relay only while the gate is open: between confirm and mark
/// the relay stands still.
struct Frozen {
    broker: Arc<dyn ExternalBroker>,
    gate: watch::Receiver<bool>,
    /// Messages that were confirmed.
    confirmed: watch::Sender<usize>,
}

impl ExternalBroker for Frozen {
    fn kind(&self) -> &'static str {
        self.broker.kind()
    }

    fn status(&self) -> watch::Receiver<BrokerStatus> {
        self.broker.status()
    }

    fn lanes(&self) -> usize {
        self.broker.lanes()
    }

    fn declare<'a>(&'a self, what: &'a Subscription) -> BoxFuture<'a, Result<(), BrokerError>> {
        self.broker.declare(what)
    }

    fn remove<'a>(
        &'a self,
        group: &'a GroupName,
        topic: &'a Topic,
    ) -> BoxFuture<'a, Result<(), BrokerError>> {
        self.broker.remove(group, topic)
    }

    fn publish<'a>(
        &'a self,
        lane: usize,
        batch: &'a [SharedMessage],
    ) -> BoxFuture<'a, Vec<Carried>> {
        Box::pin(async move {
            let carried = self.broker.publish(lane, batch).await;
            self.confirmed.send_modify(|count| *count += carried.len());
            let _ = self.gate.clone().wait_for(|open| *open).await;
            carried
        })
    }

    fn depths<'a>(
        &'a self,
        groups: &'a [(GroupName, Topic)],
    ) -> BoxFuture<'a, Result<Vec<Option<u32>>, BrokerError>> {
        self.broker.depths(groups)
    }

    fn consume<'a>(
        &'a self,
        group: &'a GroupName,
        topic: &'a Topic,
        window: u16,
    ) -> BoxFuture<'a, Result<Feed, BrokerError>> {
        self.broker.consume(group, topic, window)
    }
}

/// A relay with its gate, and how much its broker has confirmed.
async fn frozen(
    world: &World<'_>,
    place: &Place<'_>,
    name: &str,
) -> (Run, watch::Sender<bool>, watch::Receiver<usize>) {
    let (gate, closed) = watch::channel(false);
    let (confirmed, count) = watch::channel(0);
    let broker = Frozen {
        broker: place.broker(1).await.unwrap(),
        gate: closed,
        confirmed,
    };
    (world.run_with(name, Arc::new(broker)).await, gate, count)
}

async fn rows(run: &Run, ids: &[MessageId]) -> Vec<StoredMessage> {
    let mut rows = Vec::new();
    for id in ids {
        rows.push(run.messages.get(id).await.unwrap().stored);
    }
    rows
}

pub(super) async fn of_two_relays(place: &Place<'_>) {
    let world = World::new(place);
    let (one, wake_one, mut of_one) = frozen(&world, place, "a").await;
    let (two, wake_two, mut of_two) = frozen(&world, place, "b").await;
    let mut consumer = two.consumer(&subscription("g", "t"), 5).await;
    let mut ids = Vec::new();
    for n in 0..MESSAGES {
        ids.push(one.publish(message("t", &n.to_string())).await);
    }
    patiently(of_one.wait_for(|count| *count > 0))
        .await
        .unwrap();

    // The first one has no lease, as one that was frozen beyond it.
    let adopted = two.messages.adopt(500).await.unwrap();
    assert_eq!(adopted, MESSAGES as u64);
    patiently(of_two.wait_for(|count| *count > 0))
        .await
        .unwrap();
    let before = rows(&two, &ids).await;
    assert!(
        before
            .iter()
            .all(|row| row.state == MessageState::Committed)
    );

    wake_one.send_replace(true);
    let awake = async {
        while one.messages.health().unpublished > 0 {
            tokio::task::yield_now().await;
        }
    };
    patiently(awake).await;
    assert_eq!(
        rows(&two, &ids).await,
        before,
        "it is not the first one's any more"
    );

    wake_two.send_replace(true);
    for id in &ids {
        two.until_state(id, MessageState::Published).await;
    }
    let mut seen = BTreeSet::new();
    while seen.len() < MESSAGES {
        let handed = consumer.next().await;
        consumer.done(&handed).await;
        seen.insert(handed.message.id.clone());
    }
    assert_eq!(seen, ids.into_iter().collect());
}
