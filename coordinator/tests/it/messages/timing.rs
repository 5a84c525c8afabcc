//! Delayed messages.

use std::collections::BTreeSet;
use std::time::Duration;

use amends_coordinator::messages::{ItemOutcome, NewMessage};
use amends_core::message::{MessageState, OrderKey};
use amends_core::time::Millis;

use super::place::Place;
use super::world::{World, body, delayed, message, patiently, subscription};

pub(super) async fn delays_arrive_in_the_order_of_time(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 10).await;
    for (name, after) in [("5", 5_000), ("0.5", 500), ("1", 1_000), ("0", 0)] {
        run.publish(delayed("t", name, Millis(after))).await;
    }
    let mut passed = 0;
    for (name, after) in [("0", 0), ("0.5", 500), ("1", 1_000), ("5", 5_000)] {
        while passed < after {
            consumer.handle.add_credit(1).await.unwrap();
            assert!(
                consumer.has_nothing(),
                "{name} is due at {after}, not at {passed}"
            );
            passed += 250;
            run.pass(Duration::from_millis(250)).await;
        }
        assert_eq!(body(&consumer.next().await), name);
    }
}

/// Cancelling races with the moment at which a message becomes due.
pub(super) async fn taken_back_or_delivered_but_not_both(place: &Place<'_>) {
    const RUNS: usize = 1_000;
    const AT_ONCE: usize = 50;
    let world = World::new(place);
    let run = world.run("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 100).await;
    let mut outcomes = [0, 0];
    for _ in 0..RUNS / AT_ONCE {
        let new = (0..AT_ONCE).map(|_| delayed("t", "x", Millis(100)));
        let accepted = run.messages.publish(new.collect()).await.unwrap();
        let ids: Vec<_> = accepted.into_iter().map(|it| it.id).collect();
        let cancels = async {
            let mut cancelled = Vec::new();
            for id in &ids {
                let results = run.messages.cancel(std::slice::from_ref(id), "x").await;
                let outcome = &results.unwrap()[0].outcome;
                cancelled.push(matches!(outcome, ItemOutcome::Done { .. }));
            }
            cancelled
        };
        let (cancelled, ()) = tokio::join!(cancels, run.pass(Duration::from_millis(100)));
        let expected = cancelled.iter().filter(|cancelled| !**cancelled).count();
        let mut delivered = Vec::new();
        for handed in consumer.drain(expected).await {
            delivered.push(handed.message.id.clone());
        }
        for (id, cancelled) in ids.iter().zip(cancelled) {
            assert_ne!(cancelled, delivered.contains(id), "{id}");
            let expected =
                [MessageState::Published, MessageState::RolledBack][usize::from(cancelled)];
            run.until_state(id, expected).await;
            outcomes[usize::from(cancelled)] += 1;
        }
        assert!(consumer.has_nothing());
    }
    assert!(
        outcomes.iter().all(|count| *count > 0),
        "both must happen: {outcomes:?}"
    );
}

pub(super) async fn overdue_messages_come_after_a_restart(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    run.messages
        .subscribe(subscription("g", "t"))
        .await
        .unwrap();
    let mut ordered = delayed("t", "2", Millis(2_000));
    ordered.order_key = Some(OrderKey::new("k").unwrap());
    run.publish(ordered).await;
    run.publish(delayed("t", "1", Millis(1_000))).await;
    run.publish(delayed("t", "3600", Millis(3_600_000))).await;
    run.crash().await;
    let next = world.run("b").await;
    next.pass(Duration::from_secs(60)).await;
    let mut consumer = next.consumer(&subscription("g", "t"), 10).await;
    let mut came: Vec<String> = consumer.drain(2).await.iter().map(body).collect();
    came.sort();
    assert_eq!(came, ["1", "2"]);
    next.publish(message("t", "now")).await;
    assert_eq!(body(&consumer.next().await), "now");
    assert!(consumer.has_nothing());
}

/// More than can be carried at one moment: they leave early, nobody has them early, and what has left can
/// no longer be taken back.
pub(super) async fn a_crowd_is_carried_before_its_time(place: &Place<'_>) {
    const CROWD: usize = 1_000;
    let world = World::new(place);
    let run = world.run("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 1_000).await;
    let alone = run.publish(delayed("t", "alone", Millis(10_000))).await;
    run.pass(Duration::from_millis(9_000)).await;
    let mut crowd = Vec::new();
    for part in 0..CROWD / 250 {
        let new = (0..250).map(|n| delayed("t", &format!("{part}-{n}"), Millis(3_000)));
        crowd.extend(run.messages.publish(new.collect()).await.unwrap());
    }
    let keyed = NewMessage {
        order_key: Some(OrderKey::new("k").unwrap()),
        ..delayed("t", "keyed", Millis(3_000))
    };
    let keyed = run.publish(keyed).await;
    // All but a few of those that are due in a second have left; one in order waits.
    run.pass(Duration::from_millis(2_000)).await;
    run.until_state(&alone, MessageState::Published).await;
    assert_eq!(body(&consumer.next().await), "alone");
    let health = async {
        while run.messages.health().unpublished > CROWD / 2 {
            tokio::task::yield_now().await;
        }
    };
    patiently(health).await;
    run.until_state(&keyed, MessageState::Committed).await;
    let mut has_left = None;
    for accepted in &crowd {
        let view = run.messages.get(&accepted.id).await.unwrap();
        if view.stored.state == MessageState::Published {
            has_left = Some(accepted.id.clone());
        }
    }
    let cancelled = run.messages.cancel(&[has_left.unwrap()], "x").await;
    let outcome = &cancelled.unwrap()[0].outcome;
    assert!(
        matches!(outcome, ItemOutcome::Refused { .. }),
        "{outcome:?}"
    );
    assert!(consumer.has_nothing(), "nobody has them before their time");
    run.pass(Duration::from_millis(999)).await;
    assert!(consumer.has_nothing(), "a millisecond is left");
    run.pass(Duration::from_millis(1)).await;
    let mut came = BTreeSet::new();
    for handed in consumer.drain(CROWD + 1).await {
        assert!(came.insert(handed.message.id.clone()), "came twice");
    }
    assert!(came.contains(&keyed));
    assert!(consumer.has_nothing());
}
