//! What consumers may rely on: shares, credit, leases, copies.

use std::collections::BTreeSet;
use std::time::Duration;

use amends_coordinator::messages::{Handed, Settlement, Verdict};
use amends_core::message::{DeliveryState, Mode, Subscription};

use super::place::Place;
use super::world::{World, body, message, subscription};

pub(super) async fn two_consumers_share_the_messages(place: &Place<'_>) {
    const MESSAGES: usize = 200;
    let world = World::new(place);
    let run = world.run("a").await;
    let mut one = run.consumer(&subscription("g", "t"), 5).await;
    let mut two = run.consumer(&subscription("g", "t"), 5).await;
    for n in 0..MESSAGES {
        run.publish(message("t", &n.to_string())).await;
    }
    let mut seen = BTreeSet::new();
    let mut shares = [0, 0];
    while seen.len() < MESSAGES {
        let (who, consumer, handed) = tokio::select! {
            handed = one.next() => (0, &one, handed),
            handed = two.next() => (1, &two, handed),
        };
        assert!(seen.insert(body(&handed)), "{} came twice", body(&handed));
        shares[who] += 1;
        consumer.done(&handed).await;
    }
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
    assert!(one.has_nothing() && two.has_nothing());
}

pub(super) async fn credit_bounds_what_a_consumer_has(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 2).await;
    for n in 0..5 {
        run.publish(message("t", &n.to_string())).await;
    }
    let first = consumer.next().await;
    assert_eq!(body(&consumer.next().await), "1");
    // An answer shows that everything before it was dealt with.
    consumer.handle.add_credit(1).await.unwrap();
    assert_eq!(body(&consumer.next().await), "2");
    assert!(consumer.has_nothing());
    consumer.done(&first).await;
    assert_eq!(body(&consumer.next().await), "3");
    assert!(consumer.has_nothing());
    let too_much = consumer.handle.add_credit(1_000).await.unwrap_err();
    assert_eq!(too_much.code(), "INVALID_MESSAGE");
}

pub(super) async fn a_lease_that_ends_gives_the_message_to_another(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let mut slow = run.consumer(&subscription("g", "t"), 1).await;
    let id = run.publish(message("t", "x")).await;
    let late = slow.next().await;
    run.pass(Duration::from_secs(29)).await;
    let leased = run.delivery(&id, "g").await.map(|row| row.state);
    assert_eq!(leased, place.leased());
    run.pass(Duration::from_secs(1)).await;
    run.until(&id, "g", |row| row.attempts == 1).await;
    run.messages.look().await;
    assert!(slow.has_nothing(), "who is late has no credit left");
    let mut other = run.consumer(&subscription("g", "t"), 1).await;
    let second = other.next().await;
    assert_eq!((second.attempt, &second.message.id), (2, &id));
    for verdict in [Verdict::Done, super::world::again("late")] {
        let settled = slow.settle(&late, verdict).await;
        assert_eq!(
            (settled.counted.len(), settled.stale),
            (0, vec![late.token])
        );
    }
    let row = run.delivery(&id, "g").await.unwrap();
    assert_eq!((row.state, row.attempts), (DeliveryState::Leased, 1));
    assert_eq!(
        row.last_error.as_deref(),
        Some("not settled within its lease")
    );
    other.done(&second).await;
    run.until(&id, "g", |row| row.state == DeliveryState::Done)
        .await;
    // Having spoken, the slow one is given messages again.
    run.publish(message("t", "y")).await;
    run.publish(message("t", "z")).await;
    let (one, two) = tokio::join!(slow.next(), other.next());
    assert_ne!(body(&one), body(&two));
}

/// 1,000 messages, each with two instances that work on it at once and report at once: the report of one
/// counts, and it is the one that has the message by right.
pub(super) async fn of_two_instances_with_one_message_one_counts(place: &Place<'_>) {
    const MESSAGES: usize = 1_000;
    let world = World::new(place);
    let run = world.run("a").await;
    let mut frozen = run.consumer(&subscription("g", "t"), 1_000).await;
    for part in 0..MESSAGES / 250 {
        let new = (0..250).map(|n| message("t", &format!("{part}-{n}")));
        run.messages.publish(new.collect()).await.unwrap();
    }
    let mut late = Vec::new();
    while late.len() < MESSAGES {
        late.push(frozen.next().await);
    }
    run.pass(Duration::from_secs(30)).await;
    let mut other = run.consumer(&subscription("g", "t"), 1_000).await;
    let mut right = Vec::new();
    while right.len() < MESSAGES {
        right.push(other.next().await);
    }
    let ids = |all: &[Handed]| -> BTreeSet<String> {
        all.iter().map(|it| it.message.id.to_string()).collect()
    };
    assert_eq!(ids(&late), ids(&right));
    let settlements = |all: &[Handed]| -> Vec<Settlement> {
        let done = |handed: &Handed| Settlement {
            token: handed.token,
            verdict: Verdict::Done,
        };
        all.iter().map(done).collect()
    };
    let (mut stale, mut counted) = (0, 0);
    for (late, right) in late.chunks(10).zip(right.chunks(10)) {
        let (late, right) = tokio::join!(
            frozen.handle.settle(settlements(late)),
            other.handle.settle(settlements(right))
        );
        let (late, right) = (late.unwrap(), right.unwrap());
        assert!(late.counted.is_empty() && right.stale.is_empty());
        stale += late.stale.len();
        counted += right.counted.len();
    }
    assert_eq!((stale, counted), (MESSAGES, MESSAGES));
    for handed in &right {
        let row = run
            .until(&handed.message.id, "g", |row| {
                row.state == DeliveryState::Done
            })
            .await;
        assert_eq!(row.attempts, 2, "one that ran out of time, one that counts");
    }
    assert!(other.has_nothing());
}

pub(super) async fn a_sign_of_life_keeps_the_lease(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 1).await;
    let id = run.publish(message("t", "x")).await;
    let handed = consumer.next().await;
    for _ in 0..5 {
        run.pass(consumer.handle.keepalive_interval()).await;
        consumer.handle.keep_alive().await.unwrap();
        // Nothing answers a sign of life; an answer to what comes after it shows that it was heard.
        consumer.handle.settle(Vec::new()).await.unwrap();
    }
    run.pass(Duration::from_secs(29)).await;
    let row = run.delivery(&id, "g").await;
    let leased = row.map(|row| (row.state, row.attempts));
    assert_eq!(leased, place.leased().map(|leased| (leased, 0)));
    consumer.done(&handed).await;
}

pub(super) async fn what_a_vanished_consumer_had_is_delivered_again(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let mut gone = run.consumer(&subscription("g", "t"), 10).await;
    for n in 0..3 {
        run.publish(message("t", &n.to_string())).await;
    }
    for _ in 0..3 {
        gone.next().await;
    }
    drop(gone);
    let mut other = run.consumer(&subscription("g", "t"), 10).await;
    let again = other.drain(3).await;
    let got: Vec<_> = again.iter().map(|it| (body(it), it.attempt)).collect();
    assert_eq!(got, [("0".into(), 1), ("1".into(), 1), ("2".into(), 1)]);
}

pub(super) async fn every_instance_of_a_broadcast_gets_it_also_after_a_restart(place: &Place<'_>) {
    let world = World::new(place);
    let all = Subscription {
        mode: Mode::Broadcasting,
        ..subscription("g", "t")
    };
    let run = world.run("a").await;
    let mut one = run.instance(&all, "one", 10).await;
    let mut two = run.instance(&all, "two", 10).await;
    let id = run.publish(message("t", "first")).await;
    assert_eq!(body(&one.drain(1).await[0]), "first");
    assert_eq!(body(&two.drain(1).await[0]), "first");
    run.until(&id, "g@two", |row| row.state == DeliveryState::Done)
        .await;
    drop(two);
    run.publish(message("t", "second")).await;
    assert_eq!(body(&one.drain(1).await[0]), "second");
    run.stop().await;
    let next = world.run("b").await;
    next.publish(message("t", "third")).await;
    let mut two = next.instance(&all, "two", 10).await;
    let got: Vec<String> = two.drain(2).await.iter().map(body).collect();
    assert_eq!(got, ["second", "third"]);
    let mut one = next.instance(&all, "one", 10).await;
    assert_eq!(body(&one.next().await), "third");
    let refused = next.messages.subscribe(all).await.unwrap_err();
    assert_eq!(refused.code(), "INVALID_MESSAGE");
}
