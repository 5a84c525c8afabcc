//! Publishing: what is said of each message is true.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use amends_coordinator::broker::{BrokerStatus, Carried, ExternalBroker as _, MAX_UNCONFIRMED};
use amends_core::message::{Message, SharedMessage, Tag};
use futures_util::future::join_all;
use lapin::options::ExchangeDeleteOptions;
use tokio::time::timeout;

use super::place::{PATIENCE, Place, shared_url, take};
use super::proxy::{Proxy, Traffic};

const PUBLISHERS: usize = 32;
const EACH: usize = 300;
/// Publishing again until all is confirmed takes a few attempts, or never ends.
const MAX_ATTEMPTS: usize = 100;

/// 9,600 messages of which every tenth has a tag that nobody wants.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_publishers_exactly_the_unroutable_messages_are_flagged() {
    let place = Place::new().await;
    place.declare("wanted").await;
    let lanes = place.broker.lanes();
    let publishers = (0..PUBLISHERS).map(|publisher| {
        let messages = place.messages(&format!("p{publisher}"), "wanted", EACH);
        let messages: Vec<SharedMessage> = messages
            .iter()
            .enumerate()
            .map(|(n, message)| match (n + publisher) % 10 {
                0 => Arc::new(Message {
                    tag: Tag::new("unwanted").unwrap(),
                    ..message.as_ref().clone()
                }),
                _ => Arc::clone(message),
            })
            .collect();
        let broker = Arc::clone(&place.broker);
        tokio::spawn(async move {
            let mut wrong = Vec::new();
            // Batches of many sizes, so that returns and confirms interleave differently.
            for batch in messages.chunks(1 + publisher * 3 % MAX_UNCONFIRMED) {
                let carried = broker.publish(publisher % lanes, batch).await;
                for (message, carried) in batch.iter().zip(carried) {
                    let right = match message.tag.as_str() {
                        "wanted" => carried == Carried::Confirmed,
                        _ => matches!(carried, Carried::Unroutable(_)),
                    };
                    if !right {
                        wrong.push(format!("{:?} {}: {carried:?}", message.id, message.tag));
                    }
                }
            }
            wrong
        })
    });
    let wrong: Vec<String> = join_all(publishers)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    assert!(
        wrong.is_empty(),
        "{} wrong: {:?}",
        wrong.len(),
        &wrong[..wrong.len().min(5)]
    );

    let mut feed = place.feed(1_000).await;
    let arrived = take(&mut feed, PUBLISHERS * EACH * 9 / 10).await;
    let distinct: BTreeSet<_> = arrived.iter().collect();
    assert_eq!(distinct.len(), arrived.len());
    drop(feed);
    place.clear().await;
}

/// The exchange is deleted while 100 messages are under way; each is published until it is
/// confirmed. Whatever was confirmed, in whichever attempt, must arrive.
#[tokio::test]
async fn a_deleted_exchange_is_made_again_and_nothing_is_taken_for_confirmed() {
    let place = Place::new().await;
    let (_connection, channel) = place.beside().await;
    let mut confirmed = BTreeSet::new();
    let mut disturbed = 0;
    let mut attempts = 0;
    for round in 0..5 {
        let mut open = place.messages(&format!("r{round}"), "", 100);
        let delete = async {
            let options = ExchangeDeleteOptions::default();
            let deleted = channel.exchange_delete(place.exchange().into(), options);
            timeout(PATIENCE, deleted).await.unwrap().unwrap();
        };
        let (mut carried, ()) = tokio::join!(place.broker.publish(0, &open), delete);
        loop {
            disturbed += carried
                .iter()
                .filter(|one| **one != Carried::Confirmed)
                .count();
            let settled = open.iter().zip(&carried);
            let (done, again): (Vec<_>, Vec<_>) =
                settled.partition(|(_, carried)| **carried == Carried::Confirmed);
            confirmed.extend(done.iter().map(|(message, _)| message.id.to_string()));
            open = again
                .into_iter()
                .map(|(message, _)| Arc::clone(message))
                .collect();
            if open.is_empty() {
                break;
            }
            attempts += 1;
            assert!(attempts < MAX_ATTEMPTS, "{:?}", carried[0]);
            carried = timeout(PATIENCE, place.broker.publish(0, &open))
                .await
                .unwrap();
        }
    }
    assert!(
        disturbed > 0,
        "the exchange was always deleted too late to matter"
    );
    assert_eq!(confirmed.len(), 500);
    let mut feed = place.feed(500).await;
    let mut arrived = BTreeSet::new();
    while !confirmed.is_subset(&arrived) {
        arrived.extend(take(&mut feed, 1).await);
    }
    drop(feed);
    place.clear().await;
}

/// The exchange is deleted before this process has published anything to it: it is made again with
/// what hangs on it, not alone.
#[tokio::test]
async fn an_exchange_deleted_before_the_first_message_comes_back_with_its_bindings() {
    let place = Place::new().await;
    let (_connection, channel) = place.beside().await;
    let options = ExchangeDeleteOptions::default();
    let deleted = channel.exchange_delete(place.exchange().into(), options);
    timeout(PATIENCE, deleted).await.unwrap().unwrap();
    let mut open = place.messages("m", "", 10);
    for _ in 0..MAX_ATTEMPTS {
        let carried = place.broker.publish(0, &open).await;
        let mut carried = carried.iter();
        open.retain(|_| carried.next() != Some(&Carried::Confirmed));
        if open.is_empty() {
            break;
        }
    }
    assert!(open.is_empty());
    let mut feed = place.feed(10).await;
    assert_eq!(take(&mut feed, 10).await.len(), 10);
    drop(feed);
    place.clear().await;
}

#[tokio::test]
async fn confirms_that_do_not_come_are_unknown_within_the_deadline() {
    let (proxy, url) = Proxy::before(&shared_url()).await;
    let place = Place::at(&url, |options| {
        options.confirm_deadline = Duration::from_millis(300);
    })
    .await;
    place.declare("*").await;
    place.publish(&place.messages("before", "", 10)).await;

    proxy.set(Traffic::AnswersHeld);
    let held = place.messages("held", "", 100);
    let carried = timeout(PATIENCE, place.broker.publish(0, &held))
        .await
        .unwrap();
    assert_eq!(carried.len(), 100);
    let unknown = |carried: &Carried| matches!(carried, Carried::Unknown(why) if why.contains("no confirm in time"));
    assert!(carried.iter().all(unknown), "{carried:?}");
    // The connection is given up, not waited for.
    place
        .until(|status| matches!(status, BrokerStatus::Down(_)))
        .await;

    proxy.cut();
    proxy.set(Traffic::Flows);
    place.until(|status| *status == BrokerStatus::Up).await;
    place.publish(&held).await;
    // Unknown was right: they had arrived the first time, and are there twice.
    let mut feed = place.feed(300).await;
    let arrived = take(&mut feed, 210).await;
    assert_eq!(arrived.iter().collect::<BTreeSet<_>>().len(), 110);
    drop(feed);
    place.clear().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_down_and_nothing_is_sent() {
    let (proxy, url) = Proxy::before("amqp://nobody:geheim@127.0.0.1:1/%2f").await;
    let options = amends_coordinator::broker::rabbitmq::RabbitOptions::new(
        amends_coordinator::config::Secret::new(url),
    );
    let clock = Arc::new(amends_coordinator::clock::SystemClock);
    let broker = amends_coordinator::broker::rabbitmq::RabbitMq::start(&options, clock).unwrap();
    let elsewhere = Place::new().await;
    let carried = broker.publish(0, &elsewhere.messages("m", "", 2)).await;
    assert!(matches!(
        &carried[..],
        [Carried::Unknown(_), Carried::Unknown(_)]
    ));
    let subscription = elsewhere.subscription("*");
    let error = broker.declare(&subscription).await.unwrap_err();
    assert!(!format!("{carried:?} {error} {error:?} {options:?}").contains("geheim"));
    broker.stop().await;
    broker.stop().await;
    drop(proxy);
    elsewhere.clear().await;
}

#[tokio::test]
async fn a_wrong_password_is_told_without_showing_it() {
    let mut url: url::Url = shared_url().parse().unwrap();
    url.set_password(Some("not-it-geheim")).unwrap();
    let options = amends_coordinator::broker::rabbitmq::RabbitOptions::new(
        amends_coordinator::config::Secret::new(url.as_str()),
    );
    let clock = Arc::new(amends_coordinator::clock::SystemClock);
    let broker = amends_coordinator::broker::rabbitmq::RabbitMq::start(&options, clock).unwrap();
    let mut status = broker.status();
    let refused =
        |status: &BrokerStatus| matches!(status, BrokerStatus::Down(why) if why.contains("refuse"));
    let seen = timeout(PATIENCE, status.wait_for(refused)).await;
    let seen = seen.map(|seen| format!("{:?}", *seen.unwrap()));
    let seen = seen.unwrap_or_else(|_| panic!("it stays {:?}", *broker.status().borrow()));
    assert!(!seen.contains("geheim"));
}
