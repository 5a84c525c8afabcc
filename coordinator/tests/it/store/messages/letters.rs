//! Dead letters are delivered again or given up, once.

use std::sync::Arc;

use amends_coordinator::store::messages::{
    DeadLetterState, MessageStore, MessageWrite, Resolution, WaitingFilter, Written,
};
use amends_core::message::{Message, SharedMessage};
use amends_core::payload::Payload;
use amends_core::time::Timestamp;
use bytes::Bytes;

use super::super::place::Place;
use super::samples::{
    NOW, conflict, dead, dead_letter, delivery, done, given, group, id, keyed, letter, load,
    message, names, plain, ready, retry, settle, topic, waiting, write, write_all,
};

pub(super) fn resolve(text: &str, actor: &str, resolution: Resolution) -> MessageWrite {
    MessageWrite::Resolve {
        id: letter(text),
        resolution,
        actor: actor.to_owned(),
        reason: "repaired".to_owned(),
        now: NOW,
    }
}

fn resend(at: Option<i64>) -> Resolution {
    Resolution::Resend {
        edited: None,
        at: at.map(Timestamp),
    }
}

fn edited(message: &SharedMessage, at: Option<i64>) -> Resolution {
    Resolution::Resend {
        edited: Some(Arc::clone(message)),
        at: at.map(Timestamp),
    }
}

/// Message `m` dead in group `g`, as letter `d`; it is READY in `h`.
async fn with_dead_letter(place: &Place) -> Arc<dyn MessageStore> {
    let store = place.messages("a").await;
    let m = keyed("m", "k");
    write_all(&*store, &[given(&m, &["g", "h"])]).await;
    write_all(&*store, &[settle("g", &m, 1, retry(5_000, "first"))]).await;
    write_all(&*store, &[settle("g", &m, 2, dead("d", "last"))]).await;
    store
}

pub(super) async fn it_is_resent_as_it_was(place: &Place) {
    let store = with_dead_letter(place).await;
    write_all(&*store, &[given(&keyed("n", "k"), &["g"])]).await;
    let again = resolve("d", "eve", resend(None));
    write_all(&*store, std::slice::from_ref(&again)).await;
    write_all(&*store, &[again]).await; // The same once more.
    // Behind those that came meanwhile: who reads on after the last place finds it.
    assert_eq!(ready(&*store, "g").await, ["n", "m"]);
    let row = delivery(&*store, "g", "m").await.unwrap();
    assert_eq!(
        (row.attempts, row.first_error, row.last_error),
        (0, None, None)
    );
    assert_eq!(ready(&*store, "h").await, ["m"]);

    let resolved = dead_letter(&*store, "d").await.unwrap();
    assert_eq!(resolved.state, DeadLetterState::Resent);
    assert_eq!(
        (resolved.resolved_at, resolved.resent_as),
        (Some(NOW), Some(id("m")))
    );
    assert_eq!(resolved.actor.as_deref(), Some("eve"));
    assert_eq!(resolved.reason.as_deref(), Some("repaired"));
    for late in [resend(None), Resolution::Discard] {
        let late = resolve("d", "bob", late);
        assert_eq!(write(&*store, late).await, conflict("RESENT"));
    }
    // It may die once more, as another letter.
    write_all(
        &*store,
        &[settle("g", &keyed("m", "k"), 1, dead("e", "again"))],
    )
    .await;
    let second = dead_letter(&*store, "e").await.unwrap();
    assert_eq!((second.first_error.as_str(), second.attempts), ("again", 1));
    write_all(&*store, &[resolve("e", "eve", resend(None))]).await;
    assert_eq!(ready(&*store, "g").await, ["n", "m"]);
}

pub(super) async fn it_is_resent_later(place: &Place) {
    let store = with_dead_letter(place).await;
    write_all(&*store, &[resolve("d", "eve", resend(Some(9_000)))]).await;
    assert!(ready(&*store, "g").await.is_empty());
    let due = WaitingFilter::Due {
        until: Timestamp(9_000),
    };
    let found = waiting(&*store, "g", due).await;
    assert_eq!(names(&found), ["m"]);
    assert_eq!(
        (found[0].attempts, found[0].next_at),
        (0, Some(Timestamp(9_000)))
    );
    let m = keyed("m", "k");
    assert_eq!(found[0].message, m);
    write_all(&*store, &[settle("g", &m, 1, done())]).await;
}

pub(super) async fn an_edited_one_is_another_message(place: &Place) {
    let store = with_dead_letter(place).await;
    let repaired = Arc::new(Message {
        payload: Payload::new("", Bytes::from_static(b"{\"repaired\":true}")),
        ..plain("repaired")
    });
    // An id that is taken is not overwritten, and the letter stays as it is.
    let taken = resolve("d", "eve", edited(&message("m"), None));
    assert_eq!(write(&*store, taken).await, conflict("PUBLISHED"));
    let before = dead_letter(&*store, "d").await.unwrap();
    assert_eq!(before.state, DeadLetterState::Open);

    let again = resolve("d", "eve", edited(&repaired, None));
    write_all(&*store, std::slice::from_ref(&again)).await;
    write_all(&*store, &[again]).await;
    assert_eq!(ready(&*store, "g").await, ["repaired"]);
    assert_eq!(ready(&*store, "h").await, ["m"]);
    assert_eq!(load(&*store, "repaired").await.unwrap().message, repaired);
    let resolved = dead_letter(&*store, "d").await.unwrap();
    assert_eq!(resolved.resent_as, Some(id("repaired")));
    assert_eq!(resolved.message, before.message);
    let row = delivery(&*store, "g", "m").await.unwrap();
    assert_eq!(row.state.as_str(), "DEAD");
}

pub(super) async fn it_is_given_up(place: &Place) {
    let store = with_dead_letter(place).await;
    let backlog = store.backlog(&group("g"), &topic()).await.unwrap();
    assert_eq!((backlog.ready, backlog.retrying, backlog.dead), (0, 0, 1));
    let discard = resolve("d", "eve", Resolution::Discard);
    write_all(&*store, std::slice::from_ref(&discard)).await;
    write_all(&*store, &[discard]).await;
    let resolved = dead_letter(&*store, "d").await.unwrap();
    assert_eq!(resolved.state, DeadLetterState::Discarded);
    assert_eq!(resolved.resent_as, None);
    assert!(ready(&*store, "g").await.is_empty());
    let late = resolve("d", "bob", resend(None));
    assert_eq!(write(&*store, late).await, conflict("DISCARDED"));
    let nothing = resolve("nothing", "bob", resend(None));
    assert_eq!(
        write(&*store, nothing).await,
        Written::Conflict { state: None }
    );
    let backlog = store.backlog(&group("g"), &topic()).await.unwrap();
    assert_eq!(backlog.dead, 0);
}

pub(super) async fn two_at_once_do_not_both_win(place: &Place) {
    let store = place.messages("a").await;
    let all: Vec<_> = (0..100).map(|i| message(&format!("m{i}"))).collect();
    let batch = all.iter().enumerate();
    let batch = batch.map(|(i, it)| settle("g", it, 3, dead(&format!("d{i}"), "no")));
    write_all(&*store, &batch.collect::<Vec<_>>()).await;
    for i in 0..all.len() {
        let text = format!("d{i}");
        let (first, second) = tokio::join!(
            write(&*store, resolve(&text, "eve", resend(None))),
            write(&*store, resolve(&text, "bob", Resolution::Discard)),
        );
        let state = dead_letter(&*store, &text).await.unwrap().state;
        let expected = match state {
            DeadLetterState::Resent => (Written::Done, conflict("RESENT")),
            DeadLetterState::Discarded => (conflict("DISCARDED"), Written::Done),
            DeadLetterState::Open => panic!("nobody won"),
        };
        assert_eq!((first, second), expected);
    }
}
