//! Subscriptions, who delivers to a group, and whose messages are whose.

use amends_coordinator::store::Incarnation;
use amends_coordinator::store::messages::{GroupOwnership, Outcome, Written};
use amends_core::id::Generation;
use amends_core::message::{Filter, Mode, RetrySchedule};
use amends_core::time::{Millis, Timestamp};

use super::super::place::Place;
use super::halves::{due, prepared};
use super::samples::{
    cancel, claim, committed, conflict, delivery, done, given, group, load, message, publish,
    ready, retry, settle, subscription, topic, write, write_all,
};

const LEASE: Millis = Millis::from_secs(60);

pub(super) async fn subscriptions_come_change_and_go(place: &Place) {
    let store = place.messages("a").await;
    let (g, h) = (subscription("g"), subscription("h@1"));
    for one in [&h, &g] {
        assert!(store.put_subscription(one).await.unwrap());
        assert!(!store.put_subscription(one).await.unwrap());
    }
    assert_eq!(store.subscriptions().await.unwrap(), [g.clone(), h.clone()]);
    let mut changed = g.clone();
    changed.subscription.filter = Filter::sql("amount > 5 AND kind = 'x''y'").unwrap();
    changed.subscription.mode = Mode::Broadcasting;
    changed.subscription.retry = RetrySchedule::new(3, vec![Millis(10), Millis(20)]).unwrap();
    let mut later = changed.clone();
    later.created_at = Timestamp(9_000);
    assert!(!store.put_subscription(&later).await.unwrap());
    assert_eq!(store.subscriptions().await.unwrap(), [changed, h.clone()]);

    // What waits goes with it; what happened stays as a trace.
    let (m, n, o) = (message("m"), message("n"), message("o"));
    let batch = [
        given(&m, &["g", "h@1"]),
        given(&n, &["g"]),
        given(&o, &["g"]),
        settle("g", &m, 1, done()),
        settle("g", &o, 1, retry(9_000, "no")),
    ];
    write_all(&*store, &batch).await;
    assert!(
        store
            .remove_subscription(&group("g"), &topic())
            .await
            .unwrap()
    );
    assert!(
        !store
            .remove_subscription(&group("g"), &topic())
            .await
            .unwrap()
    );
    assert_eq!(store.subscriptions().await.unwrap(), [h]);
    assert!(delivery(&*store, "g", "m").await.is_some());
    for gone in ["n", "o"] {
        assert!(delivery(&*store, "g", gone).await.is_none());
    }
    assert_eq!(ready(&*store, "h@1").await, ["m"]);
    assert!(ready(&*store, "g").await.is_empty());
}

pub(super) async fn messages_of_the_gone_are_adopted(place: &Place) {
    let store = place.stores("a").await;
    store.transactions.renew_lease("a:1", LEASE).await.unwrap();
    let all: Vec<_> = (0..7).map(|i| message(&format!("m{i}"))).collect();
    let mut batch: Vec<_> = all.iter().map(committed).collect();
    batch.push(prepared("h", 5_000));
    batch.push(given(&message("p"), &["g"]));
    write_all(&*store.messages, &batch).await;
    write_all(&*store.messages, &[cancel("m6")]).await;
    assert_eq!(store.messages.adopt_messages(10).await.unwrap(), 0);
    store.transactions.release_lease().await.unwrap();
    drop(store);

    let next = place.stores("b").await;
    next.transactions.renew_lease("b:1", LEASE).await.unwrap();
    let store = next.messages;
    let mut adopted = Vec::new();
    loop {
        match store.adopt_messages(3).await.unwrap() {
            0 => break,
            some => adopted.push(some),
        }
    }
    assert_eq!(adopted.iter().sum::<u64>(), 7, "{adopted:?}");
    assert!(adopted.iter().all(|some| *some <= 3));
    let m = load(&*store, "m0").await.unwrap();
    assert_eq!(
        (m.owner, m.generation),
        (Incarnation("b".to_owned()), Generation(2))
    );
    let untouched = load(&*store, "p").await.unwrap();
    assert_eq!(untouched.generation, Generation::FIRST);
    let outbox = store.outbox(Timestamp(i64::MAX), None, 10).await.unwrap();
    assert_eq!(outbox.len(), 6);
    assert_eq!(due(&*store, 5_000).await, ["h"]);
    // The generation of before.
    for late in [claim("m0"), publish("m0", &["g"])] {
        assert_eq!(write(&*store, late).await, conflict("COMMITTED"));
    }
}

pub(super) async fn a_group_belongs_to_one_that_lives(place: &Place) {
    let first = place.stores("a").await;
    first.transactions.renew_lease("a:1", LEASE).await.unwrap();
    let (g, t) = (group("g"), topic());
    let owned = first.messages.own_group(&g, &t).await.unwrap();
    assert_eq!(owned, GroupOwnership::Own, "nothing to deliver");
    first
        .messages
        .put_subscription(&subscription("g"))
        .await
        .unwrap();
    for _ in 0..2 {
        let owned = first.messages.own_group(&g, &t).await.unwrap();
        assert_eq!(owned, GroupOwnership::Own);
    }
    if let Place::Postgres(_) = place {
        // Both live: it stays with the first, and its messages too.
        let second = place.stores("b").await;
        second.transactions.renew_lease("b:1", LEASE).await.unwrap();
        write_all(&*first.messages, &[committed(&message("m"))]).await;
        assert_eq!(second.messages.adopt_messages(10).await.unwrap(), 0);
        let address = "a:1".to_owned();
        let owned = second.messages.own_group(&g, &t).await.unwrap();
        assert_eq!(owned, GroupOwnership::Other { address });
        // A lease that has run out protects nothing.
        first
            .transactions
            .renew_lease("a:1", Millis(0))
            .await
            .unwrap();
        let owned = second.messages.own_group(&g, &t).await.unwrap();
        assert_eq!(owned, GroupOwnership::Own);
        assert_eq!(second.messages.adopt_messages(10).await.unwrap(), 1);
        let address = "b:1".to_owned();
        let owned = first.messages.own_group(&g, &t).await.unwrap();
        assert_eq!(owned, GroupOwnership::Other { address });
        second.transactions.release_lease().await.unwrap();
        let owned = first.messages.own_group(&g, &t).await.unwrap();
        assert_eq!(owned, GroupOwnership::Own);
    }
    first.transactions.release_lease().await.unwrap();
    drop(first);
    let next = place.stores("c").await;
    next.transactions.renew_lease("c:1", LEASE).await.unwrap();
    let owned = next.messages.own_group(&g, &t).await.unwrap();
    assert_eq!(owned, GroupOwnership::Own);
    let kept = settle("g", &message("k"), 0, Outcome::Keep);
    assert_eq!(write(&*next.messages, kept).await, Written::Done);
}
