//! Receiving: what is not acknowledged comes again, in its order.

use futures_util::StreamExt as _;
use lapin::options::{
    BasicCancelOptions, BasicConsumeOptions, BasicPublishOptions, BasicRejectOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel};
use tokio::time::timeout;

use super::place::{PATIENCE, Place, id, next, shared_url, take};
use super::proxy::Proxy;

/// Messages that a queue has, as far as the server counts those that nobody holds.
async fn waiting(channel: &Channel, queue: String) -> u32 {
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let queue = channel.queue_declare(queue.into(), options, FieldTable::default());
    queue.await.unwrap().message_count()
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_after_the_connection_was_cut() {
    let (proxy, url) = Proxy::before(&shared_url()).await;
    let place = Place::at(&url, |_| {}).await;
    place.declare("*").await;
    place.publish(&place.messages("m", "", 20)).await;
    let mut feed = place.feed(20).await;
    let mut tokens = Vec::new();
    for n in 0..20 {
        let incoming = next(&mut feed).await;
        assert_eq!(id(&incoming), format!("m-{n}"));
        tokens.push(incoming.token);
    }
    // All but five, the second and the third last among them: one frame cannot say that.
    let (kept, done): (Vec<_>, Vec<_>) = (0..20).partition(|n| [3, 4, 11, 17, 18].contains(n));
    let done: Vec<u64> = done.into_iter().map(|n| tokens[n]).collect();
    feed.acks.ack(&done).await;
    // What comes behind shows that the acknowledgements have arrived.
    let (_connection, channel) = place.beside().await;
    place.publish(&place.messages("n", "", 15)).await;
    for _ in 0..15 {
        next(&mut feed).await;
    }
    proxy.cut();
    let ended = timeout(PATIENCE, async {
        while feed.incoming.recv().await.is_some() {}
    })
    .await;
    ended.expect("the feed goes on");
    // Too late, and harmless.
    feed.acks.ack(&[tokens[3]]).await;

    place
        .until(|status| *status == amends_coordinator::broker::BrokerStatus::Up)
        .await;
    let mut feed = place.feed(50).await;
    let again = take(&mut feed, kept.len() + 15).await;
    let expected: Vec<String> = kept
        .iter()
        .map(|n| format!("m-{n}"))
        .chain((0..15).map(|n| format!("n-{n}")))
        .collect();
    assert_eq!(again, expected);
    drop(feed);
    drop(channel);
    place.clear().await;
}

#[tokio::test]
async fn a_feed_ends_when_its_queue_is_deleted_and_another_one_gets_a_new_queue() {
    let place = Place::new().await;
    let mut feed = place.feed(8).await;
    let (_connection, channel) = place.beside().await;
    let options = QueueDeleteOptions::default();
    channel
        .queue_delete(place.queue().into(), options)
        .await
        .unwrap();
    let ended = timeout(PATIENCE, feed.incoming.recv()).await;
    assert!(ended.expect("the feed goes on").is_none());
    let mut feed = place.feed(8).await;
    place.publish(&place.messages("m", "", 3)).await;
    assert_eq!(take(&mut feed, 3).await, ["m-0", "m-1", "m-2"]);
    drop(feed);
    place.clear().await;
}

#[tokio::test]
async fn no_more_than_the_window_is_held() {
    let place = Place::new().await;
    place.publish(&place.messages("m", "", 50)).await;
    let mut feed = place.feed(10).await;
    let mut tokens = Vec::new();
    for _ in 0..10 {
        tokens.push(next(&mut feed).await.token);
    }
    let (_connection, channel) = place.beside().await;
    assert_eq!(waiting(&channel, place.queue()).await, 40);
    assert!(feed.incoming.try_recv().is_err());
    feed.acks.ack(&tokens[..3]).await;
    for n in 10..13 {
        assert_eq!(id(&next(&mut feed).await), format!("m-{n}"));
    }
    drop(feed);
    place.clear().await;
}

#[tokio::test]
async fn a_second_coordinator_waits_for_the_first_and_goes_on_in_order() {
    let place = Place::new().await;
    let other = Place {
        topic: place.topic.clone(),
        ..Place::at(&place.url, |_| {}).await
    };
    other.declare("*").await;
    let mut first = place.feed(4).await;
    let mut second = other.feed(100).await;
    place.publish(&place.messages("m", "", 30)).await;
    assert_eq!(take(&mut first, 10).await.last().unwrap(), "m-9");
    for n in 10..14 {
        assert_eq!(id(&next(&mut first).await), format!("m-{n}"));
    }
    assert!(second.incoming.try_recv().is_err());
    drop(first);
    let rest = take(&mut second, 20).await;
    let expected: Vec<String> = (10..30).map(|n| format!("m-{n}")).collect();
    assert_eq!(rest, expected);
    drop(second);
    other.broker.stop().await;
    place.clear().await;
}

#[tokio::test]
async fn what_lies_in_the_safety_net_comes_in_with_the_reason() {
    let place = Place::new().await;
    place.publish(&place.messages("m", "paid", 1)).await;
    // A client that refuses it.
    let (_connection, channel) = place.beside().await;
    let tag = "beside";
    let consumer = channel.basic_consume(
        place.queue().into(),
        tag.into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let mut consumer = consumer.await.unwrap();
    let message = timeout(PATIENCE, consumer.next()).await.unwrap();
    let message = message.expect("a message").unwrap();
    message.reject(BasicRejectOptions::default()).await.unwrap();
    let cancelled = channel.basic_cancel(tag.into(), BasicCancelOptions::default());
    cancelled.await.unwrap();
    // Messages that come by other ways are told of too.
    let direct = channel.basic_publish(
        "".into(),
        place.dead_queue().into(),
        BasicPublishOptions::default(),
        b"stray",
        BasicProperties::default().with_message_id("stray".into()),
    );
    let mut feed = place.feed(8).await;
    let incoming = next(&mut feed).await;
    let (message, why) = incoming.message.unwrap_err();
    assert_eq!((message.id.as_str(), message.tag.as_str()), ("m-0", "paid"));
    assert!(why.contains("gave it up: rejected"), "{why}");
    feed.acks.ack(&[incoming.token]).await;
    direct.await.unwrap();
    let incoming = next(&mut feed).await;
    let (message, why) = incoming.message.unwrap_err();
    assert_eq!(message.id.as_str(), "stray");
    assert!(why.contains("does not say why"), "{why}");
    feed.acks.ack(&[incoming.token]).await;
    // Both kinds of tokens at once: each goes to its own queue.
    place.publish(&place.messages("n", "", 1)).await;
    assert_eq!(take(&mut feed, 1).await, ["n-0"]);
    drop(feed);
    assert_eq!(waiting(&channel, place.dead_queue()).await, 0);
    place.clear().await;
}
