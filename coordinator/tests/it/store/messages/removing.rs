//! What is over for long goes; what somebody waits for stays.

use amends_coordinator::store::messages::{MessageStore, Outcome, Resolution};
use amends_core::time::Timestamp;

use super::super::place::Place;
use super::halves::prepared;
use super::letters::resolve;
use super::samples::{
    NOW, cancel, committed, dead, dead_letter, delivery, done, given, group, load, message,
    publish, retry, settle, subscription, topic, write_all,
};

const LATER: Timestamp = Timestamp(NOW.0 + 1);

pub(super) async fn only_what_is_over_is_removed(place: &Place) {
    let store = place.messages("a").await;
    store.put_subscription(&subscription("g")).await.unwrap();
    let all: Vec<_> = ["done", "ready", "again", "dead", "gave-up"]
        .map(message)
        .into();
    let mut batch: Vec<_> = all.iter().map(|it| given(it, &["g"])).collect();
    batch.push(committed(&message("open")));
    batch.push(committed(&message("late")));
    batch.push(committed(&message("cancelled")));
    batch.push(prepared("half", 5_000));
    write_all(&*store, &batch).await;
    let batch = [
        settle("g", &all[0], 1, done()),
        settle("g", &all[2], 1, retry(9_000, "no")),
        settle("g", &all[3], 1, dead("d", "no")),
        settle("g", &all[4], 1, dead("e", "no")),
        cancel("cancelled"),
        publish("late", &[]),
    ];
    write_all(&*store, &batch).await;
    write_all(&*store, &[resolve("e", "eve", Resolution::Discard)]).await;

    // Those that ended at 2000 are not over before 2000.
    assert_eq!(store.remove_messages(NOW, 100).await.unwrap(), 2);
    for gone in ["done", "gave-up"] {
        assert!(load(&*store, gone).await.is_none(), "{gone}");
        assert!(delivery(&*store, "g", gone).await.is_none(), "{gone}");
    }
    assert!(dead_letter(&*store, "e").await.is_none());
    assert_eq!(store.remove_messages(LATER, 100).await.unwrap(), 2);
    assert_eq!(store.remove_messages(LATER, 100).await.unwrap(), 0);
    for stays in ["ready", "again", "dead", "open", "half"] {
        assert!(load(&*store, stays).await.is_some(), "{stays}");
    }
    assert!(dead_letter(&*store, "d").await.is_some());

    // An id is free again.
    write_all(&*store, &[committed(&message("done"))]).await;
    // What waits for nobody does not stay for ever.
    store
        .remove_subscription(&group("g"), &topic())
        .await
        .unwrap();
    write_all(&*store, &[given(&message("orphan"), &["g"])]).await;
    assert_eq!(store.remove_messages(LATER, 100).await.unwrap(), 3);
    assert!(load(&*store, "orphan").await.is_none());
    assert!(load(&*store, "dead").await.is_some());
}

/// Those that have to stay are in the way of nobody, and are looked at again.
pub(super) async fn removal_goes_on_past_what_stays(place: &Place) {
    let store = place.messages("a").await;
    store.put_subscription(&subscription("g")).await.unwrap();
    let all: Vec<_> = (0..40).map(|i| message(&format!("m{i:02}"))).collect();
    let batch: Vec<_> = all.iter().map(|it| given(it, &["g"])).collect();
    write_all(&*store, &batch).await;
    let over = all.iter().skip(30).map(|it| settle("g", it, 1, done()));
    write_all(&*store, &over.collect::<Vec<_>>()).await;
    assert_eq!(remove_all(&*store, 4).await, 10);
    let batch: Vec<_> = all
        .iter()
        .take(30)
        .map(|it| settle("g", it, 1, done()))
        .collect();
    write_all(&*store, &batch).await;
    assert_eq!(remove_all(&*store, 4).await, 30);
    let kept = settle("g", &all[0], 0, Outcome::Keep);
    write_all(&*store, &[kept]).await;
}

async fn remove_all(store: &dyn MessageStore, limit: u32) -> u64 {
    let mut removed = 0;
    loop {
        let some = store.remove_messages(LATER, limit).await.unwrap();
        assert!(some <= u64::from(limit));
        removed += some;
        if some < u64::from(limit) {
            return removed;
        }
    }
}
