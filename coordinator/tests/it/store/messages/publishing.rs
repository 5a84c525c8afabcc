//! From COMMITTED to PUBLISHED, or back.

use std::sync::Arc;

use amends_coordinator::store::messages::{MessageStore, MessageWrite, Written};
use amends_core::id::Generation;
use amends_core::message::{Message, SharedMessage};
use amends_core::time::Timestamp;

use super::super::place::Place;
use super::samples::{
    NOW, cancel, claim, committed, conflict, delivery, done, id, load, message, plain, publish,
    ready, settle, state, write, write_all,
};

fn fail(text: &str, next_try_at: i64) -> MessageWrite {
    MessageWrite::Fail {
        id: id(text),
        generation: Generation::FIRST,
        error: "the broker is away".to_owned(),
        next_try_at: Timestamp(next_try_at),
        now: NOW,
    }
}

fn retry_now(text: &str, now: i64) -> MessageWrite {
    MessageWrite::RetryNow {
        id: id(text),
        now: Timestamp(now),
    }
}

/// With an outside broker both are noted at about the same time, in either order.
pub(super) async fn what_is_carried_and_what_is_handled_may_come_together(place: &Place) {
    let store = place.messages("a").await;
    let (m, n) = (message("m"), message("n"));
    write_all(&*store, &[committed(&m), committed(&n)]).await;
    let batch = [
        publish("m", &[]),
        settle("g", &m, 1, done()),
        settle("g", &n, 1, done()),
        publish("n", &[]),
    ];
    for _ in 0..2 {
        write_all(&*store, &batch).await;
        for text in ["m", "n"] {
            assert_eq!(state(&*store, text).await, "PUBLISHED");
            let delivery = delivery(&*store, "g", text).await.unwrap();
            assert_eq!(delivery.state.as_str(), "DONE");
        }
    }
}

pub(super) async fn publishing_fans_out_once(place: &Place) {
    let store = place.messages("a").await;
    let all: Vec<_> = ["m", "n", "o"].map(message).into();
    write_all(&*store, &all.iter().map(committed).collect::<Vec<_>>()).await;
    let batch = [
        publish("m", &["g", "h"]),
        publish("n", &["g"]),
        publish("o", &[]),
    ];
    write_all(&*store, &batch).await;
    let m = load(&*store, "m").await.unwrap();
    assert_eq!((m.state.as_str(), m.published_at), ("PUBLISHED", Some(NOW)));
    assert_eq!(ready(&*store, "g").await, ["m", "n"]);
    assert_eq!(ready(&*store, "h").await, ["m"]);

    // Once more, as one whose first answer was lost: alone and in a batch.
    write_all(&*store, &batch).await;
    write_all(&*store, &batch[..1]).await;
    assert_eq!(ready(&*store, "g").await, ["m", "n"]);
    assert_eq!(write(&*store, claim("m")).await, conflict("PUBLISHED"));
    assert_eq!(write(&*store, cancel("m")).await, conflict("PUBLISHED"));
    assert_eq!(
        write(&*store, fail("m", 9_000)).await,
        conflict("PUBLISHED")
    );
    assert_eq!(
        write(&*store, publish("x", &["g"])).await,
        Written::Conflict { state: None }
    );
}

pub(super) async fn a_wrong_owner_or_generation_changes_nothing(place: &Place) {
    let store = place.messages("a").await;
    write_all(
        &*store,
        &[committed(&message("m")), committed(&message("n"))],
    )
    .await;
    let before = load(&*store, "m").await.unwrap();
    let wrong = |mut write: MessageWrite| {
        match &mut write {
            MessageWrite::Claim { generation, .. }
            | MessageWrite::Publish { generation, .. }
            | MessageWrite::Fail { generation, .. } => *generation = Generation(2),
            other => panic!("{other:?} has no generation"),
        }
        write
    };
    for change in [claim("m"), publish("m", &["g"]), fail("m", 9_000)] {
        let change = wrong(change);
        assert_eq!(write(&*store, change.clone()).await, conflict("COMMITTED"));
        let written = store.write(&[claim("n"), change]).await.unwrap();
        assert_eq!(written, [Written::Done, conflict("COMMITTED")]);
    }
    assert_eq!(load(&*store, "m").await.unwrap(), before);
    assert!(ready(&*store, "g").await.is_empty());
    drop(store);

    let other = place.messages("b").await;
    for change in [claim("m"), publish("m", &["g"]), fail("m", 9_000)] {
        assert_eq!(write(&*other, change).await, conflict("COMMITTED"));
    }
    assert_eq!(load(&*other, "m").await.unwrap(), before);
}

pub(super) async fn failed_attempts_are_counted_and_wait(place: &Place) {
    let store = place.messages("a").await;
    write_all(&*store, &[committed(&message("m"))]).await;
    assert_eq!(
        write(&*store, retry_now("m", 3_000)).await,
        conflict("COMMITTED")
    );
    write_all(&*store, &[fail("m", 8_000)]).await;
    write_all(&*store, &[fail("m", 9_000)]).await;
    let m = load(&*store, "m").await.unwrap();
    assert_eq!((m.try_count, m.next_try_at), (2, Some(Timestamp(9_000))));
    assert_eq!(m.last_error.as_deref(), Some("the broker is away"));
    assert!(outbox(&*store, 8_999).await.is_empty());
    assert_eq!(outbox(&*store, 9_000).await, ["m"]);

    write_all(&*store, &[retry_now("m", 3_000)]).await;
    write_all(&*store, &[retry_now("m", 3_000)]).await;
    assert_eq!(outbox(&*store, 3_000).await, ["m"]);
    assert_eq!(write(&*store, cancel("m")).await, conflict("COMMITTED"));
    write_all(&*store, &[publish("m", &[])]).await;
    let m = load(&*store, "m").await.unwrap();
    assert_eq!((m.try_count, m.next_try_at, m.last_error), (2, None, None));
    assert!(outbox(&*store, i64::MAX).await.is_empty());
}

pub(super) async fn a_claimed_message_cannot_be_taken_back(place: &Place) {
    let store = place.messages("a").await;
    write_all(
        &*store,
        &[committed(&message("m")), committed(&message("n"))],
    )
    .await;
    write_all(&*store, &[claim("m"), claim("n")]).await;
    assert_eq!(load(&*store, "m").await.unwrap().try_count, 1);
    assert_eq!(write(&*store, cancel("m")).await, conflict("COMMITTED"));
    write_all(&*store, &[publish("m", &["g"])]).await;
    assert_eq!(ready(&*store, "g").await, ["m"]);
}

pub(super) async fn a_cancelled_message_is_not_published(place: &Place) {
    let store = place.messages("a").await;
    write_all(&*store, &[committed(&message("m"))]).await;
    write_all(&*store, &[cancel("m")]).await;
    write_all(&*store, &[cancel("m")]).await; // The same once more.
    let m = load(&*store, "m").await.unwrap();
    assert_eq!(m.last_error.as_deref(), Some("not wanted any more"));
    assert_eq!(state(&*store, "m").await, "ROLLED_BACK");
    for change in [
        claim("m"),
        publish("m", &["g"]),
        fail("m", 9_000),
        retry_now("m", 9_000),
    ] {
        assert_eq!(write(&*store, change).await, conflict("ROLLED_BACK"));
    }
    let later = MessageWrite::Cancel {
        id: id("m"),
        reason: String::new(),
        now: Timestamp(NOW.0 + 1),
    };
    assert_eq!(write(&*store, later).await, conflict("ROLLED_BACK"));
    assert!(outbox(&*store, i64::MAX).await.is_empty());
    assert!(ready(&*store, "g").await.is_empty());
}

pub(super) async fn the_outbox_is_by_time(place: &Place) {
    let store = place.messages("a").await;
    let at = |text: &str, created: i64, deliver: Option<i64>| -> SharedMessage {
        Arc::new(Message {
            created_at: Timestamp(created),
            deliver_at: deliver.map(Timestamp),
            ..plain(text)
        })
    };
    let all = [
        at("c", 30, None),
        at("a", 10, Some(50)),
        at("b", 20, None),
        at("d", 10, Some(20)),
        at("e", 5, None),
    ];
    write_all(&*store, &all.each_ref().map(committed)).await;
    write_all(&*store, &[fail("e", 60)]).await;
    assert_eq!(outbox(&*store, 100).await, ["b", "d", "c", "a", "e"]);
    assert_eq!(outbox(&*store, 49).await, ["b", "d", "c"]);
    let after = (Timestamp(20), id("b"));
    let page = store.outbox(Timestamp(100), Some(&after), 2).await.unwrap();
    let page: Vec<_> = page.iter().map(|it| it.message.id.as_str()).collect();
    assert_eq!(page, ["d", "c"]);
    drop(store);
    let other = place.messages("b").await;
    assert!(outbox(&*other, 100).await.is_empty());
}

async fn outbox(store: &dyn MessageStore, until: i64) -> Vec<String> {
    let found = store.outbox(Timestamp(until), None, 100).await.unwrap();
    found.iter().map(|it| it.message.id.to_string()).collect()
}
