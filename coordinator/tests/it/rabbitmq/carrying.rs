//! A message through the broker: what goes in comes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use amends_coordinator::broker::ExternalBroker as _;
use amends_core::message::{Headers, Message, MessageKey, OrderKey, Tag};
use amends_core::payload::Payload;
use amends_core::time::Timestamp;
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};

use super::place::{Place, next};

#[tokio::test]
async fn every_property_comes_out_as_it_went_in() {
    let place = Place::new().await;
    let bare = place.messages("bare", "", 1)[0].clone();
    let headers = [
        ("colour", "blue"),
        ("CC", "no address"),
        ("x-death", "ours"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let full = Arc::new(Message {
        tag: Tag::new("paid.v2").unwrap(),
        key: MessageKey::new("Bestellung 7").unwrap(),
        order_key: Some(OrderKey::new("Kundin ö").unwrap()),
        headers: Headers::trusted(BTreeMap::from(headers)),
        payload: Payload::new("application/json", "{\"a\": 1.50}".into()),
        deliver_at: Some(Timestamp(1_763_000_000_123)),
        ..place.messages("full", "", 1)[0].as_ref().clone()
    });
    // More than one frame of the protocol.
    let large = Arc::new(Message {
        payload: Payload::new("application/octet-stream", vec![7; 400_000].into()),
        ..place.messages("large", "big", 1)[0].as_ref().clone()
    });
    let sent = [bare, full, large];
    place.publish(&sent).await;
    let mut feed = place.feed(8).await;
    for message in &sent {
        let incoming = next(&mut feed).await;
        assert_eq!(incoming.message.as_ref().unwrap(), message);
        feed.acks.ack(&[incoming.token]).await;
    }
    place.clear().await;
}

#[tokio::test]
async fn what_others_publish_to_the_exchange_comes_in_too() {
    let place = Place::new().await;
    let (_connection, channel) = place.beside().await;
    let mut headers = FieldTable::default();
    headers.insert("count".into(), AMQPValue::LongInt(7));
    let publish = async |tag: &str, properties: BasicProperties| {
        let options = BasicPublishOptions::default();
        let exchange = place.exchange().into();
        let sent = channel.basic_publish(exchange, tag.into(), options, b"{}", properties);
        sent.await.unwrap();
    };
    let named = BasicProperties::default().with_message_id("theirs".into());
    publish("paid", named.with_headers(headers)).await;
    publish("", BasicProperties::default()).await;
    publish("no tag", BasicProperties::default()).await;

    let mut feed = place.feed(8).await;
    let first = next(&mut feed).await.message.unwrap();
    assert_eq!((first.id.as_str(), first.tag.as_str()), ("theirs", "paid"));
    assert_eq!(first.headers.get("count"), Some("7"));
    assert!(first.payload.is_json());
    let second = next(&mut feed).await.message.unwrap();
    assert!(!second.id.as_str().is_empty());
    let (third, why) = next(&mut feed).await.message.unwrap_err();
    assert!(why.contains("its tag"), "{why}");
    assert_eq!(third.payload.data().as_ref(), b"{}");
    drop(feed);
    place.clear().await;
}

#[tokio::test]
async fn a_group_gets_the_tags_that_it_wants_now() {
    let place = Place::new().await;
    place.declare("paid || refunded").await;
    let mut feed = place.feed(8).await;
    let send = async |name: &str, tag: &str| {
        let messages = place.messages(name, tag, 1);
        place.broker.publish(0, &messages).await.remove(0)
    };
    use amends_coordinator::broker::Carried;
    assert_eq!(send("a", "paid").await, Carried::Confirmed);
    let refused = send("b", "cancelled").await;
    let Carried::Unroutable(why) = refused else {
        panic!("{refused:?}")
    };
    assert!(
        why.contains(place.topic.as_str()) && why.contains("cancelled"),
        "{why}"
    );

    place.declare("cancelled").await;
    assert!(matches!(send("c", "paid").await, Carried::Unroutable(_)));
    assert_eq!(send("d", "cancelled").await, Carried::Confirmed);
    assert_eq!(super::place::take(&mut feed, 2).await, ["a-0", "d-0"]);
    place.clear().await;
}
