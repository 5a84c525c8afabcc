//! A group's messages from an external broker: the connection, and what the store
//! knows of messages that the broker may have given out before.

use std::sync::Arc;
use std::time::Duration;

use amends_core::message::{DeliveryState, GroupName, MessageId, Topic};
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::entry::Ack;
use crate::broker::{Acks, ExternalBroker, Feed, Incoming};
use crate::store::messages::{DeliveryFilter, MessageStore};

/// Most unacknowledged messages of one group: also those that came before their time and wait for it.
const WINDOW: u16 = 8_192;
/// Messages taken from a feed at a time.
const BATCH: usize = 256;
/// Wait after a feed could not be had, or the store not be asked.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// A message from a feed, with what the store says of it.
pub(super) struct Came {
    pub(super) incoming: Incoming,
    pub(super) ack: Ack,
    /// Its row in the group, where the store was asked and has one.
    pub(super) known: Option<DeliveryState>,
}

enum State {
    Connecting(BoxFuture<'static, Feed>),
    Open(Feed),
    Asking(Feed, BoxFuture<'static, Vec<Came>>),
    /// There is no external broker.
    None,
}

/// The feed, connected again whenever it is lost.
pub(super) struct Feeder {
    broker: Option<Arc<dyn ExternalBroker>>,
    store: Arc<dyn MessageStore>,
    group: GroupName,
    topic: Topic,
    state: State,
    number: u64,
    acks: Option<mpsc::UnboundedSender<Vec<u64>>>,
}

impl Feeder {
    pub(super) fn new(
        broker: Option<Arc<dyn ExternalBroker>>,
        store: Arc<dyn MessageStore>,
        group: GroupName,
        topic: Topic,
    ) -> Self {
        let mut feeder = Self {
            broker,
            store,
            group,
            topic,
            state: State::None,
            number: 0,
            acks: None,
        };
        feeder.state = feeder.connect();
        feeder
    }

    /// The next messages, in order. Dropping it loses nothing. Never returns
    /// without an external broker.
    pub(super) async fn next(&mut self) -> Vec<Came> {
        loop {
            let came = match &mut self.state {
                State::None => std::future::pending().await,
                State::Connecting(feed) => {
                    let feed = feed.await;
                    self.opened(feed);
                    continue;
                }
                State::Open(feed) => {
                    let mut batch = Vec::with_capacity(BATCH);
                    match feed.incoming.recv_many(&mut batch, BATCH).await {
                        0 => None,
                        _ => Some(batch),
                    }
                }
                State::Asking(_, asking) => {
                    let came = asking.await;
                    if let State::Asking(feed, _) = std::mem::replace(&mut self.state, State::None)
                    {
                        self.state = State::Open(feed);
                    }
                    return came;
                }
            };
            let Some(batch) = came else {
                tracing::info!(group = %self.group, topic = %self.topic, "the feed was lost; asking for another one");
                self.acks = None;
                self.state = self.connect();
                continue;
            };
            let batch = self.numbered(batch);
            if batch.iter().all(|came| !came.incoming.redelivered) {
                return batch;
            }
            let asking = ask(self.store.clone(), self.group.clone(), batch);
            if let State::Open(feed) = std::mem::replace(&mut self.state, State::None) {
                self.state = State::Asking(feed, Box::pin(asking));
            }
        }
    }

    /// Takes messages off the broker; those of a lost feed come again.
    pub(super) fn acknowledge(&self, acks: Vec<Ack>) {
        let tokens = acks
            .into_iter()
            .filter(|ack| ack.feed == self.number)
            .map(|ack| ack.token);
        let tokens: Vec<u64> = tokens.collect();
        if let Some(acks) = self.acks.as_ref().filter(|_| !tokens.is_empty()) {
            let _ = acks.send(tokens);
        }
    }

    fn numbered(&self, batch: Vec<Incoming>) -> Vec<Came> {
        let feed = self.number;
        let numbered = batch.into_iter().map(|incoming| Came {
            ack: Ack {
                feed,
                token: incoming.token,
            },
            incoming,
            known: None,
        });
        numbered.collect()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "bounded by WINDOW: each token is sent once"
    )]
    fn opened(&mut self, feed: Feed) {
        self.number += 1;
        let (acks, queue) = mpsc::unbounded_channel();
        tokio::spawn(acknowledge(feed.acks.clone(), queue));
        self.acks = Some(acks);
        self.state = State::Open(feed);
    }

    fn connect(&self) -> State {
        let Some(broker) = self.broker.clone() else {
            return State::None;
        };
        let (group, topic) = (self.group.clone(), self.topic.clone());
        State::Connecting(Box::pin(async move {
            loop {
                match broker.consume(&group, &topic, WINDOW).await {
                    Ok(feed) => return feed,
                    Err(error) => {
                        tracing::warn!(%group, %topic, %error, "no feed from the broker; trying again");
                        tokio::time::sleep(TRY_AGAIN).await;
                    }
                }
            }
        }))
    }
}

/// Acknowledges in the background, whatever waits at once.
async fn acknowledge(acks: Arc<dyn Acks>, mut queue: mpsc::UnboundedReceiver<Vec<u64>>) {
    while let Some(mut tokens) = queue.recv().await {
        while let Ok(more) = queue.try_recv() {
            tokens.extend(more);
        }
        acks.ack(&tokens).await;
    }
}

/// What the store knows of messages that the broker may have given out before.
async fn ask(store: Arc<dyn MessageStore>, group: GroupName, mut batch: Vec<Came>) -> Vec<Came> {
    for came in &mut batch {
        if !came.incoming.redelivered {
            continue;
        }
        let (Ok(message) | Err((message, _))) = &came.incoming.message;
        came.known = row_of(store.as_ref(), &group, &message.id).await;
    }
    batch
}

async fn row_of(
    store: &dyn MessageStore,
    group: &GroupName,
    id: &MessageId,
) -> Option<DeliveryState> {
    let filter = DeliveryFilter {
        id: Some(id.clone()),
        group: Some(group.clone()),
        limit: 1,
        ..DeliveryFilter::default()
    };
    loop {
        match store.deliveries(&filter).await {
            Ok(rows) => return rows.first().map(|row| row.state),
            Err(error) => {
                tracing::warn!(%group, %id, %error, "cannot look up a delivery; trying again");
                tokio::time::sleep(TRY_AGAIN).await;
            }
        }
    }
}
