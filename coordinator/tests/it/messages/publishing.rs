//! What publishing promises.

use std::time::Duration;

use amends_coordinator::messages::{ItemOutcome, MessagesError, SubscriptionFilter, Verdict};
use amends_core::message::{DeliveryState, Filter, MessageState, Subscription, Tag};
use amends_core::time::Millis;

use super::place::Place;
use super::world::{
    World, body, delayed, group, id, message, named, patiently, subscription, topic,
};

pub(super) async fn what_is_published_is_delivered_and_acknowledged(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 10).await;
    let id = run.publish(message("t", "hello")).await;
    let handed = consumer.next().await;
    assert_eq!((body(&handed), handed.attempt), ("hello".to_owned(), 1));
    assert_eq!(handed.message.id, id);
    let leased = run.delivery(&id, "g").await.map(|row| row.state);
    assert_eq!(leased, place.leased());
    consumer.done(&handed).await;
    let row = run
        .until(&id, "g", |row| row.state == DeliveryState::Done)
        .await;
    assert_eq!(row.attempts, 1);
    run.until_state(&id, MessageState::Published).await;
    // A token is good once.
    let twice = consumer.settle(&handed, Verdict::Done).await;
    assert_eq!((twice.counted.len(), twice.stale), (0, vec![handed.token]));
    run.stop().await;
    // Nobody gets it again.
    let next = world.run("b").await;
    let mut consumer = next.consumer(&subscription("g", "t"), 10).await;
    next.publish(message("t", "second")).await;
    assert_eq!(body(&consumer.next().await), "second");
}

pub(super) async fn a_batch_is_kept_whole_or_not_at_all(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 10).await;
    run.publish(named("m2", "t", "first")).await;
    assert_eq!(body(&consumer.next().await), "first");
    let batch = vec![
        named("m1", "t", "x"),
        named("m2", "t", "other"),
        named("m3", "t", "x"),
    ];
    let refused = run.messages.publish(batch).await.unwrap_err();
    assert!(
        matches!(&refused, MessagesError::AlreadyExists { id, difference: "payload" } if id == "m2"),
        "{refused:?}"
    );
    for gone in ["m1", "m3"] {
        let found = run.messages.get(&id(gone)).await;
        assert!(matches!(found, Err(MessagesError::NotFound(_))), "{gone}");
    }
    let batch = vec![
        named("m1", "t", "1"),
        named("m2", "t", "first"),
        named("m3", "t", "3"),
    ];
    let accepted = run.messages.publish(batch).await.unwrap();
    let created: Vec<bool> = accepted.iter().map(|it| it.created).collect();
    assert_eq!(created, [true, false, true]);
    assert_eq!(
        [body(&consumer.next().await), body(&consumer.next().await)],
        ["1", "3"]
    );
    let twice = vec![named("m9", "t", "1"), named("m9", "t", "1")];
    let refused = run.messages.publish(twice).await.unwrap_err();
    assert_eq!(refused.code(), "INVALID_MESSAGE");
    let none = run.messages.publish(Vec::new()).await.unwrap_err();
    assert_eq!(none.code(), "INVALID_MESSAGE");
}

pub(super) async fn an_id_is_published_once(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 10).await;
    let publish = |body: &'static str| run.messages.publish(vec![named("m", "t", body)]);
    let (one, two) = tokio::join!(publish("same"), publish("same"));
    let created = [one, two].map(|accepted| accepted.unwrap()[0].created);
    assert_eq!(created.iter().filter(|created| **created).count(), 1);
    assert_eq!(
        publish("other").await.unwrap_err().code(),
        "MESSAGE_ID_REUSED"
    );
    let handed = consumer.next().await;
    consumer.done(&handed).await;
    // A relative delay has another time in each call.
    let later = |after| {
        let mut new = delayed("t", "x", Millis(after));
        new.id = Some(id("later"));
        run.messages.publish(vec![new])
    };
    assert!(later(60_000).await.unwrap()[0].created);
    run.pass(Duration::from_millis(5)).await;
    assert!(!later(60_000).await.unwrap()[0].created);
    let mut again = delayed("t", "x", Millis(60_000));
    again.id = Some(id("later"));
    let beside = named("beside", "t", "y");
    let accepted = run.messages.publish(vec![again, beside]).await.unwrap();
    let created: Vec<bool> = accepted.iter().map(|it| it.created).collect();
    assert_eq!(created, [false, true], "in a batch too");
    assert_eq!(body(&consumer.next().await), "y");
    assert_eq!(publish("same").await.unwrap()[0].id, id("m"));
    assert!(consumer.has_nothing());
}

pub(super) async fn without_a_subscription_it_waits_for_one(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let id = run.publish(message("t", "early")).await;
    let unroutable = async {
        loop {
            let stored = run.messages.get(&id).await.unwrap().stored;
            if let Some(error) = stored.last_error {
                return (stored.state, error, stored.try_count);
            }
            tokio::task::yield_now().await;
        }
    };
    let (state, error, tries) = patiently(unroutable).await;
    assert_eq!((state, tries), (MessageState::Committed, 1));
    assert!(error.starts_with("unroutable: no "), "{error}");
    assert!(error.ends_with("t tag \"\""), "{error}");
    // Its next try is far away; the subscription brings it at once.
    let mut consumer = run.consumer(&subscription("g", "t"), 10).await;
    assert_eq!(consumer.next().await.message.id, id);
}

pub(super) async fn filters_and_groups_share_nothing(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let paid = Subscription {
        filter: Filter::tags("paid || refunded").unwrap(),
        ..subscription("paid", "t")
    };
    let mut paid = run.consumer(&paid, 10).await;
    let mut all = run.consumer(&subscription("all", "t"), 10).await;
    let mut other = run.consumer(&subscription("all", "other"), 10).await;
    for tag in ["paid", "shipped", "refunded"] {
        let mut new = message("t", tag);
        new.tag = Tag::new(tag).unwrap();
        run.publish(new).await;
    }
    for expected in ["paid", "refunded"] {
        let handed = paid.next().await;
        assert_eq!(body(&handed), expected);
        paid.again(&handed, "not now").await;
    }
    let got: Vec<String> = all.drain(3).await.iter().map(body).collect();
    assert_eq!(got, ["paid", "shipped", "refunded"]);
    assert!(other.has_nothing());
    assert!(all.has_nothing());
}

pub(super) async fn a_message_that_waits_can_be_taken_back(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 10).await;
    let soon = run.publish(delayed("t", "soon", Millis(1_000))).await;
    let late = run.publish(delayed("t", "late", Millis(3_600_000))).await;
    let gone = id("gone");
    let ids = [soon.clone(), late.clone(), gone];
    let results = run.messages.cancel(&ids, "changed my mind").await.unwrap();
    assert_eq!(results[0].outcome, ItemOutcome::Done { new_id: None });
    assert_eq!(results[1].outcome, ItemOutcome::Done { new_id: None });
    let code = |ix: usize, results: &[amends_coordinator::messages::ItemResult]| match &results[ix]
        .outcome
    {
        ItemOutcome::Refused { code, .. } => *code,
        ItemOutcome::Done { .. } => "done",
    };
    assert_eq!(code(2, &results), "MESSAGE_NOT_FOUND");
    let view = run.messages.get(&late).await.unwrap();
    assert_eq!(view.stored.state, MessageState::RolledBack);
    assert_eq!(view.stored.last_error.as_deref(), Some("changed my mind"));
    run.pass(Duration::from_secs(7_200)).await;
    let sent = run.publish(message("t", "sent")).await;
    assert_eq!(consumer.next().await.message.id, sent);
    let results = run.messages.cancel(&[sent], "too late").await.unwrap();
    assert_eq!(code(0, &results), "MESSAGE_STATE");
    assert!(consumer.has_nothing());
}

pub(super) async fn subscriptions_can_be_seen_and_ended(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    assert!(
        run.messages
            .subscribe(subscription("g", "t"))
            .await
            .unwrap()
    );
    assert!(
        !run.messages
            .subscribe(subscription("g", "t"))
            .await
            .unwrap()
    );
    run.messages
        .subscribe(subscription("h", "t"))
        .await
        .unwrap();
    for n in 0..3 {
        run.publish(message("t", &n.to_string())).await;
    }
    let mut consumer = run.consumer(&subscription("g", "t"), 1).await;
    let first = consumer.next().await;
    let all = SubscriptionFilter {
        limit: 10,
        ..SubscriptionFilter::default()
    };
    let views = run.messages.subscriptions(&all).await.unwrap();
    let of = |ix: usize| {
        (
            views[ix].consumers,
            views[ix].leased,
            views[ix].backlog.ready,
        )
    };
    // What waits at another broker is counted there.
    let waiting = if place.is_external() { 0 } else { 3 };
    assert_eq!((of(0), of(1)), ((1, 1, waiting), (0, 0, waiting)));
    let at_broker = place.is_external().then_some(3);
    let counted = async {
        loop {
            // What this coordinator was given is counted when it looks.
            run.messages.look().await;
            let views = run.messages.subscriptions(&all).await.unwrap();
            if views.iter().all(|view| view.at_broker == at_broker) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    patiently(counted).await;
    let rest = SubscriptionFilter {
        after: Some((group("g"), topic("t"))),
        ..all
    };
    assert_eq!(run.messages.subscriptions(&rest).await.unwrap().len(), 1);
    run.messages
        .unsubscribe(&group("g"), &topic("t"), "moved")
        .await
        .unwrap();
    let ended = patiently(consumer.handle.keep_alive()).await;
    assert!(
        matches!(ended, Err(MessagesError::Unsubscribed)),
        "{ended:?}"
    );
    assert!(run.delivery(&first.message.id, "g").await.is_none());
    let (g, t) = (group("g"), topic("t"));
    let again = run.messages.unsubscribe(&g, &t, "moved").await;
    assert_eq!(again.unwrap_err().code(), "SUBSCRIPTION_NOT_FOUND");
}
