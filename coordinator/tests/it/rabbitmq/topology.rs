//! What exists at the broker, and what is done about what should not.

use amends_coordinator::broker::{BrokerError, Carried, ExternalBroker as _};
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use tokio::time::timeout;

use super::place::{PATIENCE, Place, delete_exchange, shared_url, take};

#[tokio::test]
async fn a_queue_with_other_settings_is_refused_with_an_explanation() {
    let place = Place::at(&shared_url(), |_| {}).await;
    let (_connection, channel) = place.beside().await;
    let theirs = QueueDeclareOptions::durable();
    let declared = channel.queue_declare(place.queue().into(), theirs, FieldTable::default());
    declared.await.unwrap();

    let subscription = place.subscription("*");
    let error = place.broker.declare(&subscription).await.unwrap_err();
    let BrokerError::Unusable { code, message } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*code, "TOPOLOGY_MISMATCH");
    for part in [
        place.queue().as_str(),
        "x-dead-letter-exchange",
        "current is none",
        "delete it",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let consumed = place.broker.consume(&place.group, &place.topic, 8).await;
    assert_eq!(consumed.err(), Some(error));

    // Other groups are not touched by it, and it goes away with its cause.
    let publish = place.broker.publish(0, &place.messages("m", "", 1)).await;
    assert!(matches!(publish[0], Carried::Unroutable(_)));
    let options = QueueDeleteOptions::default();
    channel
        .queue_delete(place.queue().into(), options)
        .await
        .unwrap();
    place.declare("*").await;
    place.publish(&place.messages("n", "", 1)).await;
    assert_eq!(take(&mut place.feed(8).await, 1).await, ["n-0"]);
    place.clear().await;
}

#[tokio::test]
async fn declaring_and_removing_again_is_fine() {
    let place = Place::new().await;
    place.declare("*").await;
    place
        .broker
        .remove(&place.group, &place.topic)
        .await
        .unwrap();
    place
        .broker
        .remove(&place.group, &place.topic)
        .await
        .unwrap();
    let publish = place.broker.publish(0, &place.messages("m", "", 1)).await;
    assert!(matches!(publish[0], Carried::Unroutable(_)));
    let consumed = place.broker.consume(&place.group, &place.topic, 8).await;
    assert!(matches!(consumed.err(), Some(BrokerError::Unavailable(_))));
    place.declare("*").await;
    place.publish(&place.messages("n", "", 1)).await;
    place.clear().await;
}

/// Two stores on one vhost with the same topic and group: each gets what is its own, and knows how much waits.
#[tokio::test]
async fn a_prefix_keeps_two_stores_apart() {
    let one = Place::at(&shared_url(), |_| {}).await;
    let mut two = Place::at(&shared_url(), |options| {
        options.prefix = "test-two".to_owned();
    })
    .await;
    two.topic = one.topic.clone();
    let key = (one.group.clone(), one.topic.clone());
    let key = std::slice::from_ref(&key);
    one.declare("*").await;
    assert_eq!(two.broker.depths(key).await.unwrap(), [None], "not its own");
    two.declare("*").await;
    one.publish(&one.messages("one", "", 3)).await;
    two.publish(&two.messages("two", "", 2)).await;
    // A quorum queue counts what it has a moment after it confirmed it.
    for (place, count) in [(&one, 3), (&two, 2)] {
        let counted = async {
            while place.broker.depths(key).await.unwrap() != [Some(count)] {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, counted).await.unwrap();
    }
    let mut feed = two.feed(10).await;
    assert_eq!(take(&mut feed, 2).await, ["two-0", "two-1"]);
    drop(feed);
    let mut feed = one.feed(10).await;
    assert_eq!(take(&mut feed, 3).await.len(), 3);
    drop(feed);
    let url = two.url.clone();
    two.broker.remove(&two.group, &two.topic).await.unwrap();
    two.broker.stop().await;
    delete_exchange(&url, &format!("test-two/amends.{}", one.topic)).await;
    delete_exchange(&url, "test-two/amends-dead-letters").await;
    one.clear().await;
}
