//! Messages to try stores with, and short ways to write them.

use std::collections::BTreeMap;
use std::sync::Arc;

use amends_coordinator::store::messages::{
    Birth, DeadLetter, DeadLetterId, DeliveryFilter, MessageStore, MessageWrite, Outcome,
    StoredDelivery, StoredMessage, StoredSubscription, Waiting, WaitingFilter, Written,
};
use amends_core::id::Generation;
use amends_core::message::{
    Filter, GroupName, Headers, Message, MessageId, MessageKey, Mode, OrderKey, RetrySchedule,
    SharedMessage, Subscription, Tag, Topic,
};
use amends_core::payload::Payload;
use amends_core::time::Timestamp;
use bytes::Bytes;

pub(super) const TOPIC: &str = "orders";
pub(super) const NOW: Timestamp = Timestamp(2_000);

pub(super) fn group(name: &str) -> GroupName {
    GroupName::new(name).unwrap()
}

pub(super) fn topic() -> Topic {
    Topic::new(TOPIC).unwrap()
}

pub(super) fn id(text: &str) -> MessageId {
    MessageId::new(text).unwrap()
}

/// A message, created at 1000.
pub(super) fn plain(text: &str) -> Message {
    Message {
        id: id(text),
        topic: topic(),
        tag: Tag::new("paid").unwrap(),
        key: MessageKey::new("order-7").unwrap(),
        order_key: None,
        headers: Headers::trusted(BTreeMap::from([("amount".to_owned(), "7".to_owned())])),
        payload: Payload::new("text/plain", Bytes::from(format!("body of {text}"))),
        deliver_at: None,
        created_at: Timestamp(1_000),
    }
}

pub(super) fn message(text: &str) -> SharedMessage {
    Arc::new(plain(text))
}

pub(super) fn keyed(text: &str, key: &str) -> SharedMessage {
    Arc::new(Message {
        order_key: Some(OrderKey::new(key).unwrap()),
        ..plain(text)
    })
}

pub(super) fn accept(message: &SharedMessage, birth: Birth) -> MessageWrite {
    MessageWrite::Accept {
        message: Arc::clone(message),
        birth,
    }
}

pub(super) fn committed(message: &SharedMessage) -> MessageWrite {
    accept(message, Birth::Committed)
}

/// Accepted and READY for these groups at once.
pub(super) fn given(message: &SharedMessage, groups: &[&str]) -> MessageWrite {
    let fanout = groups.iter().map(|name| group(name)).collect();
    accept(message, Birth::Published { fanout })
}

pub(super) fn claim(text: &str) -> MessageWrite {
    MessageWrite::Claim {
        id: id(text),
        generation: Generation::FIRST,
        now: NOW,
    }
}

pub(super) fn publish(text: &str, groups: &[&str]) -> MessageWrite {
    MessageWrite::Publish {
        id: id(text),
        generation: Generation::FIRST,
        fanout: groups.iter().map(|name| group(name)).collect(),
        now: NOW,
    }
}

pub(super) fn cancel(text: &str) -> MessageWrite {
    MessageWrite::Cancel {
        id: id(text),
        reason: "not wanted any more".to_owned(),
        now: NOW,
    }
}

pub(super) fn settle(
    name: &str,
    message: &SharedMessage,
    attempts: u32,
    outcome: Outcome,
) -> MessageWrite {
    MessageWrite::Settle {
        group: group(name),
        message: Arc::clone(message),
        attempts,
        outcome,
        now: NOW,
    }
}

pub(super) fn retry(at: i64, error: &str) -> Outcome {
    Outcome::Retry {
        at: Timestamp(at),
        error: error.to_owned(),
    }
}

pub(super) fn letter(text: &str) -> DeadLetterId {
    DeadLetterId(text.to_owned())
}

pub(super) fn dead(text: &str, error: &str) -> Outcome {
    Outcome::Dead {
        id: letter(text),
        error: error.to_owned(),
    }
}

pub(super) fn subscription(name: &str) -> StoredSubscription {
    StoredSubscription {
        subscription: Subscription {
            group: group(name),
            topic: topic(),
            filter: Filter::tags("paid || refunded").unwrap(),
            mode: Mode::Clustering,
            retry: RetrySchedule::default(),
        },
        created_at: Timestamp(500),
    }
}

pub(super) fn conflict(state: &str) -> Written {
    let state = Some(state.to_owned());
    Written::Conflict { state }
}

/// Writes one change.
pub(super) async fn write(store: &dyn MessageStore, one: MessageWrite) -> Written {
    let mut written = store.write(std::slice::from_ref(&one)).await.unwrap();
    assert_eq!(written.len(), 1);
    written.pop().unwrap()
}

/// Writes changes and demands that each was made.
pub(super) async fn write_all(store: &dyn MessageStore, batch: &[MessageWrite]) {
    let written = store.write(batch).await.unwrap();
    assert_eq!(written, vec![Written::Done; batch.len()], "{batch:?}");
}

pub(super) async fn load(store: &dyn MessageStore, text: &str) -> Option<StoredMessage> {
    let mut found = store.messages(&[id(text)]).await.unwrap();
    assert!(found.len() <= 1, "{found:?}");
    found.pop()
}

pub(super) async fn state(store: &dyn MessageStore, text: &str) -> &'static str {
    load(store, text).await.unwrap().state.as_str()
}

/// The row of a message in a group.
pub(super) async fn delivery(
    store: &dyn MessageStore,
    name: &str,
    text: &str,
) -> Option<StoredDelivery> {
    let filter = DeliveryFilter {
        id: Some(id(text)),
        group: Some(group(name)),
        limit: 10,
        ..DeliveryFilter::default()
    };
    let mut found = store.deliveries(&filter).await.unwrap();
    assert!(found.len() <= 1, "{found:?}");
    found.pop()
}

pub(super) async fn dead_letter(store: &dyn MessageStore, text: &str) -> Option<DeadLetter> {
    store.dead_letters(&[letter(text)]).await.unwrap().pop()
}

pub(super) async fn waiting(
    store: &dyn MessageStore,
    name: &str,
    filter: WaitingFilter,
) -> Vec<Waiting> {
    let found = store.waiting(&group(name), &topic(), &filter, 100).await;
    found.unwrap()
}

pub(super) async fn ready(store: &dyn MessageStore, name: &str) -> Vec<String> {
    let found = waiting(store, name, WaitingFilter::Ready { after: 0 }).await;
    names(&found)
}

/// Ids as text.
pub(super) fn names(waiting: &[Waiting]) -> Vec<String> {
    let ids = waiting.iter().map(|row| row.message.id.to_string());
    ids.collect()
}

pub(super) fn done() -> Outcome {
    Outcome::Done
}
