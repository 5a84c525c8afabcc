//! A server that is killed, restarted, short of memory, full.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use amends_coordinator::broker::{BrokerStatus, Carried, ExternalBroker as _};
use amends_core::message::SharedMessage;
use tokio::sync::watch;
use tokio::time::timeout;

use super::place::{PATIENCE, Place, take};
use super::server::Node;

/// A batch of the load.
const BATCH: usize = 50;
/// Confirmed messages after which the server is disturbed, and after which the load ends.
const DISTURB_AFTER: usize = 1_000;
const END_AFTER: usize = 3_000;
/// Whole test, restarts of the server included.
const LIMIT: Duration = Duration::from_secs(150);

/// Publishes until so many are confirmed, each until it is; their ids.
async fn publish_under_load(
    place: Arc<Place>,
    confirmed: watch::Sender<usize>,
) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for round in 0.. {
        if ids.len() >= END_AFTER {
            break;
        }
        let mut open = place.messages(&format!("r{round}"), "", BATCH);
        while !open.is_empty() {
            place.until(|status| *status == BrokerStatus::Up).await;
            let carried = place.broker.publish(round % 4, &open).await;
            let settled = open.iter().zip(&carried);
            let (done, again): (Vec<_>, Vec<_>) =
                settled.partition(|(_, carried)| **carried == Carried::Confirmed);
            ids.extend(done.into_iter().map(|(message, _)| message.id.to_string()));
            open = again
                .into_iter()
                .map(|(message, _)| Arc::clone(message))
                .collect();
        }
        confirmed.send_replace(ids.len());
    }
    ids
}

/// Receives and acknowledges, on one feed after the other, for as long as it is awaited.
async fn receive_under_load(place: Arc<Place>, seen: watch::Sender<BTreeSet<String>>) {
    loop {
        place.until(|status| *status == BrokerStatus::Up).await;
        let feed = place.broker.consume(&place.group, &place.topic, 64).await;
        let Ok(mut feed) = feed else { continue };
        while let Some(incoming) = feed.incoming.recv().await {
            let id = incoming.message.unwrap().id.to_string();
            seen.send_modify(|seen| {
                seen.insert(id);
            });
            feed.acks.ack(&[incoming.token]).await;
        }
    }
}

/// Load before, while and after a server is disturbed: whatever was confirmed arrives.
async fn nothing_confirmed_is_lost(disturb: impl AsyncFnOnce(&mut Node)) {
    let mut node = Node::start().await;
    let place = Place::at(&node.url, |options| {
        options.confirm_deadline = Duration::from_secs(2);
    });
    let place = Arc::new(place.await);
    place.declare("*").await;
    // RabbitMQ 3.10 knows a queue after a kill only when it was made half a second before: the register
    // of queues is written that much later. A clean stop writes it.
    node.stop().await;
    node.start_again().await;
    place.until(|status| *status == BrokerStatus::Up).await;
    let confirmed = watch::Sender::new(0);
    let seen = watch::Sender::new(BTreeSet::new());
    let (mut so_many, mut all_seen) = (confirmed.subscribe(), seen.subscribe());
    let (progress, watched) = (so_many.clone(), all_seen.clone());
    let publisher = tokio::spawn(publish_under_load(Arc::clone(&place), confirmed));
    let receiver = tokio::spawn(receive_under_load(Arc::clone(&place), seen));
    let story = async {
        so_many
            .wait_for(|count| *count >= DISTURB_AFTER)
            .await
            .unwrap();
        disturb(&mut node).await;
        let confirmed = publisher.await.unwrap();
        assert!(confirmed.len() >= END_AFTER);
        let arrived = all_seen.wait_for(|seen| confirmed.is_subset(seen)).await;
        arrived.unwrap().len()
    };
    let arrived = timeout(LIMIT, story).await;
    receiver.abort();
    let Ok(arrived) = arrived else {
        let (confirmed, status) = (*progress.borrow(), place.broker.status().borrow().clone());
        let arrived = watched.borrow().len();
        panic!("it stands still: {confirmed} confirmed, {arrived} arrived, {status:?}");
    };
    assert!(arrived >= END_AFTER);
    place.broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing_that_was_confirmed() {
    nothing_confirmed_is_lost(async |node| {
        node.kill().await;
        node.start_again().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_server_loses_nothing_that_was_confirmed() {
    nothing_confirmed_is_lost(async |node| {
        node.stop().await;
        node.start_again().await;
    })
    .await;
}

#[tokio::test]
async fn a_server_short_of_memory_is_blocked_consuming_goes_on_and_nothing_is_lost() {
    let node = Node::start().await;
    let place = Place::at(&node.url, |options| {
        options.confirm_deadline = Duration::from_secs(1);
    })
    .await;
    place.declare("*").await;
    place.publish(&place.messages("before", "", 20)).await;

    node.control(&["set_vm_memory_high_watermark", "absolute", "1"])
        .await;
    let mut open: Vec<SharedMessage> = Vec::new();
    let blocked = |status: &BrokerStatus| matches!(status, BrokerStatus::Blocked(_));
    let mut round = 0;
    // The server blocks a connection when something is published on it.
    while !blocked(&place.broker.status().borrow()) {
        let messages = place.messages(&format!("during{round}"), "", 10);
        let carried = timeout(PATIENCE, place.broker.publish(0, &messages)).await;
        let carried = carried.expect("publishing does not end");
        let pairs = messages.into_iter().zip(carried);
        open.extend(
            pairs.filter_map(|(message, carried)| {
                (carried != Carried::Confirmed).then_some(message)
            }),
        );
        round += 1;
    }
    let why = format!("{:?}", place.until(blocked).await);
    assert!(why.contains("memory"), "{why}");

    // Refused at once, on every lane.
    let messages = place.messages("blocked", "", 100);
    for lane in 0..place.broker.lanes() {
        let carried = place.broker.publish(lane, &messages).await;
        let told = |carried: &Carried| matches!(carried, Carried::Unknown(why) if why.contains("not sent") && why.contains("memory"));
        assert!(carried.iter().all(told), "{carried:?}");
    }
    open.extend(messages);

    // Consuming goes on, acknowledgements included: more than the window comes in.
    let mut feed = place.feed(5).await;
    let before = take(&mut feed, 20).await;
    assert_eq!(before[19], "before-19");

    node.control(&["set_vm_memory_high_watermark", "0.6"]).await;
    place.until(|status| *status == BrokerStatus::Up).await;
    for part in open.chunks(100) {
        place.publish(part).await;
    }
    let expected: BTreeSet<String> = open.iter().map(|message| message.id.to_string()).collect();
    let mut arrived = BTreeSet::new();
    while !expected.is_subset(&arrived) {
        arrived.extend(take(&mut feed, 1).await);
    }
    assert!(!arrived.contains("before-0"), "it was acknowledged");
    drop(feed);
    place.clear().await;
}

#[tokio::test]
async fn a_full_queue_rejects_and_takes_again_when_there_is_room() {
    const LENGTH: usize = 10;
    let node = Node::start().await;
    let place = Place::at(&node.url, |_| {}).await;
    place.declare("*").await;
    let policy = format!(r#"{{"max-length":{LENGTH}}}"#);
    node.control(&[
        "set_policy",
        "short",
        "^amends[.]",
        &policy,
        "--apply-to",
        "queues",
    ])
    .await;

    let mut open = place.messages("m", "", 100);
    let mut confirmed = BTreeSet::new();
    let mut rejected = 0;
    while rejected == 0 {
        let carried = place.broker.publish(0, &open).await;
        for (message, carried) in open.iter().zip(&carried) {
            match carried {
                Carried::Confirmed => {
                    confirmed.insert(message.id.to_string());
                }
                Carried::Rejected(why) => {
                    assert!(why.contains("full"), "{why}");
                    rejected += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        open.retain(|message| !confirmed.contains(message.id.as_str()));
        if open.is_empty() {
            // The policy was not yet in force.
            open = place.messages("more", "", 100);
            confirmed.clear();
        }
    }
    let mut feed = place.feed(20).await;
    let receiver = tokio::spawn(async move {
        let mut arrived = BTreeSet::new();
        loop {
            let incoming = feed.incoming.recv().await.unwrap();
            arrived.insert(incoming.message.unwrap().id.to_string());
            feed.acks.ack(&[incoming.token]).await;
            if arrived.contains("last-0") {
                return arrived;
            }
        }
    });
    let expected: Vec<String> = open.iter().map(|message| message.id.to_string()).collect();
    let all_taken = async {
        while !open.is_empty() {
            let carried = place.broker.publish(0, &open).await;
            let mut carried = carried.into_iter();
            open.retain(|_| carried.next() != Some(Carried::Confirmed));
        }
        let last = place.messages("last", "", 1);
        while place.broker.publish(0, &last).await != [Carried::Confirmed] {}
    };
    timeout(PATIENCE, all_taken).await.expect("it stays full");
    let arrived = timeout(PATIENCE, receiver).await.unwrap().unwrap();
    assert!(expected.iter().all(|id| arrived.contains(id)));
    place.clear().await;
}
