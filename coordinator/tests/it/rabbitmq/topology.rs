//! What exists at the broker, and what is done about what should not.

use amends_coordinator::broker::{BrokerError, Carried, ExternalBroker as _};
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;

use super::place::{Place, shared_url, take};

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
