//! Messages are taken in: once each, all of a batch or none, and as they were.

use std::collections::BTreeMap;
use std::sync::Arc;

use amends_coordinator::store::Incarnation;
use amends_coordinator::store::messages::{MAX_MESSAGE_WRITES, MessageWrite, Outcome, Written};
use amends_core::id::Generation;
use amends_core::message::{Headers, Message, MessageKey, OrderKey, Tag};
use amends_core::payload::Payload;
use amends_core::time::Timestamp;
use bytes::Bytes;

use super::super::place::Place;
use super::halves::prepared;
use super::samples::{
    cancel, claim, committed, conflict, dead, dead_letter, delivery, done, given, group, load,
    message, plain, publish, ready, retry, settle, state, subscription, topic, write, write_all,
};

pub(super) async fn a_message_is_kept_as_it_was(place: &Place) {
    let store = place.messages("a").await;
    let later = Arc::new(Message {
        deliver_at: Some(Timestamp(9_000)),
        ..plain("later")
    });
    let batch = [
        committed(&message("m")),
        committed(&later),
        given(&message("p"), &["billing", "stock"]),
        prepared("h", 7_000),
    ];
    write_all(&*store, &batch).await;

    let m = load(&*store, "m").await.unwrap();
    assert_eq!((&m.message, m.state.as_str()), (&message("m"), "COMMITTED"));
    assert_eq!(
        (m.owner, m.generation),
        (Incarnation("a".to_owned()), Generation::FIRST)
    );
    assert_eq!((m.try_count, m.next_try_at, m.last_error), (0, None, None));
    assert_eq!(
        (m.published_at, m.updated_at, m.half),
        (None, Timestamp(1_000), None)
    );

    assert_eq!(load(&*store, "later").await.unwrap().message, later);
    let p = load(&*store, "p").await.unwrap();
    assert_eq!(
        (p.state.as_str(), p.published_at),
        ("PUBLISHED", Some(Timestamp(1_000)))
    );
    for name in ["billing", "stock"] {
        assert_eq!(ready(&*store, name).await, ["p"]);
        let row = delivery(&*store, name, "p").await.unwrap();
        assert_eq!(
            (row.state.as_str(), row.attempts, row.topic),
            ("READY", 0, topic())
        );
    }
    let h = load(&*store, "h").await.unwrap();
    let half = h.half.unwrap();
    assert_eq!(
        (h.state.as_str(), half.producer),
        ("PREPARED", group("shop"))
    );
    assert_eq!((half.checks, half.check_at), (0, Some(Timestamp(7_000))));
    assert!(load(&*store, "nothing").await.is_none());
}

pub(super) async fn an_id_is_taken_once(place: &Place) {
    let store = place.messages("a").await;
    let first = message("m");
    write_all(&*store, &[given(&first, &["billing"])]).await;
    let stored = load(&*store, "m").await.unwrap();

    // The same, other content, and among others in a batch: the first one stays.
    let other = Arc::new(Message {
        payload: Payload::new("", Bytes::from_static(b"{}")),
        ..plain("m")
    });
    let exists = Written::Exists(Box::new(stored.clone()));
    assert_eq!(write(&*store, given(&first, &["billing"])).await, exists);
    assert_eq!(write(&*store, committed(&other)).await, exists);
    let batch = [
        committed(&message("n")),
        given(&other, &["stock"]),
        committed(&message("o")),
    ];
    let written = store.write(&batch).await.unwrap();
    assert_eq!(written, [Written::Done, exists, Written::Done]);
    assert_eq!(load(&*store, "m").await.unwrap(), stored);
    assert_eq!(ready(&*store, "billing").await, ["m"]);
    assert!(ready(&*store, "stock").await.is_empty());
}

pub(super) async fn odd_texts_and_bytes_come_back(place: &Place) {
    let store = place.messages("a").await;
    let bytes: Vec<u8> = (0..=255).chain([0, 0xC3, 0x28, 0xFF]).collect();
    let odd = Arc::new(Message {
        tag: Tag::new("").unwrap(),
        key: MessageKey::new("").unwrap(),
        order_key: Some(OrderKey::new("ключ '\"%_\\ 🐙").unwrap()),
        headers: Headers::trusted(BTreeMap::from([
            ("a".to_owned(), "with \0 inside".to_owned()),
            ("ö".to_owned(), "{\"json\": [1]}'--".to_owned()),
        ])),
        payload: Payload::new("application/octet-stream", Bytes::from(bytes)),
        ..plain("odd")
    });
    let empty = Arc::new(Message {
        payload: Payload::new("text/plain", Bytes::new()),
        ..plain("empty")
    });
    let long = Arc::new(Message {
        payload: Payload::new("text/plain", Bytes::from(vec![b'x'; 300_000])),
        ..plain("long")
    });
    let nul = Arc::new(Message {
        payload: Payload::new("text/\0plain", Bytes::from_static(b"x")),
        ..plain("nul")
    });
    let all = [&odd, &empty, &long, &nul];
    write_all(&*store, &all.map(|it| given(it, &["g"]))).await;
    for kept in [&odd, &empty, &long] {
        assert_eq!(
            load(&*store, kept.id.as_str()).await.unwrap().message,
            *kept
        );
    }
    // No database keeps a NUL in a text: it is replaced, not refused for ever.
    let nul = load(&*store, "nul").await.unwrap();
    assert_eq!(nul.message.payload.content_type(), "text/\u{FFFD}plain");
    let error = "it said \0";
    write_all(&*store, &[settle("g", &odd, 1, dead("d", error))]).await;
    let kept = dead_letter(&*store, "d").await.unwrap();
    assert_eq!(
        (kept.message, kept.last_error.as_str()),
        (odd, "it said \u{FFFD}")
    );
}

pub(super) async fn a_full_batch_is_accepted(place: &Place) {
    let store = place.messages("a").await;
    for size in [1, 2, 63, 64, 65, MAX_MESSAGE_WRITES] {
        let all: Vec<_> = (0..size).map(|i| message(&format!("{size}-{i}"))).collect();
        let group = format!("g{size}");
        let batch: Vec<_> = all.iter().map(|it| given(it, &[&group])).collect();
        write_all(&*store, &batch).await;
        let batch: Vec<_> = all.iter().map(|it| settle(&group, it, 1, done())).collect();
        write_all(&*store, &batch).await;
        let last = format!("{size}-{}", size - 1);
        assert_eq!(
            delivery(&*store, &group, &last)
                .await
                .unwrap()
                .state
                .as_str(),
            "DONE"
        );
        assert!(ready(&*store, &group).await.is_empty());
    }
    assert!(store.write(&[]).await.unwrap().is_empty());
}

pub(super) async fn kinds_may_be_mixed_and_ids_repeated(place: &Place) {
    let store = place.messages("a").await;
    let (m, n) = (message("m"), message("n"));
    let batch = [
        given(&m, &["g"]),
        committed(&n),
        settle("g", &m, 1, done()),
        claim("n"),
        cancel("n"),
        publish("n", &["g"]),
        settle("g", &n, 1, retry(9_000, "later")),
        settle("g", &n, 2, done()),
        claim("nothing"),
    ];
    let written = store.write(&batch).await.unwrap();
    let mut expected = vec![Written::Done; batch.len()];
    expected[4] = conflict("COMMITTED");
    expected[8] = Written::Conflict { state: None };
    assert_eq!(written, expected);

    // Where ids differ, order makes no difference, and a conflict only concerns its own.
    let batch: Vec<MessageWrite> = (0..40)
        .map(|i| match i % 4 {
            0 => given(&message(&format!("x{i}")), &["g"]),
            1 => committed(&message(&format!("x{i}"))),
            2 => claim("m"),
            _ => settle("h", &message(&format!("y{i}")), 1, Outcome::Keep),
        })
        .collect();
    let written = store.write(&batch).await.unwrap();
    for (i, answer) in written.iter().enumerate() {
        match i % 4 {
            2 => assert_eq!(*answer, conflict("PUBLISHED")),
            _ => assert_eq!(*answer, Written::Done),
        }
    }
    let ready_in_g: Vec<_> = (0..10).map(|i| format!("x{}", 4 * i)).collect();
    assert_eq!(ready(&*store, "g").await, ready_in_g);
}

pub(super) async fn everything_is_there_after_reopening(place: &Place) {
    let store = place.messages("a").await;
    let m = message("m");
    write_all(&*store, &[given(&m, &["g", "h"]), committed(&message("n"))]).await;
    write_all(&*store, &[settle("h", &m, 1, dead("d", "broken"))]).await;
    store.put_subscription(&subscription("g")).await.unwrap();
    let before = load(&*store, "m").await.unwrap();
    // Without a word: nothing is left to be written when the process ends.
    drop(store);

    let store = place.messages("b").await;
    assert_eq!(load(&*store, "m").await.unwrap(), before);
    assert_eq!(state(&*store, "n").await, "COMMITTED");
    assert_eq!(ready(&*store, "g").await, ["m"]);
    assert_eq!(dead_letter(&*store, "d").await.unwrap().message, m);
    assert_eq!(store.subscriptions().await.unwrap(), [subscription("g")]);
}
