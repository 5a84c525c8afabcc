//! What became of messages in their groups.

use amends_coordinator::store::messages::{MessageStore, Outcome, WaitingFilter, Written};
use amends_core::message::OrderKey;
use amends_core::time::Timestamp;

use super::super::place::Place;
use super::samples::{
    NOW, conflict, dead, dead_letter, delivery, done, given, group, keyed, load, message, names,
    ready, retry, settle, topic, waiting, write, write_all,
};

pub(super) async fn done_is_done(place: &Place) {
    let store = place.messages("a").await;
    let (m, n) = (message("m"), message("n"));
    write_all(&*store, &[given(&m, &["g", "h"]), given(&n, &["g"])]).await;
    let both = [settle("g", &m, 1, done()), settle("g", &n, 2, done())];
    write_all(&*store, &both).await;
    write_all(&*store, &both).await; // The same once more.
    let row = delivery(&*store, "g", "n").await.unwrap();
    assert_eq!(
        (row.state.as_str(), row.attempts, row.updated_at),
        ("DONE", 2, NOW)
    );
    assert_eq!(ready(&*store, "h").await, ["m"]);
    for late in [retry(9_000, "late"), dead("d", "late"), Outcome::Keep] {
        let late = settle("g", &m, 5, late);
        assert_eq!(write(&*store, late).await, conflict("DONE"));
    }
    assert!(dead_letter(&*store, "d").await.is_none());
}

pub(super) async fn retries_wait_and_keep_their_place(place: &Place) {
    let store = place.messages("a").await;
    let m = message("m");
    write_all(&*store, &[given(&m, &["g"])]).await;
    let place_before = delivery(&*store, "g", "m").await.unwrap().position;
    write_all(&*store, &[settle("g", &m, 1, retry(5_000, "first"))]).await;
    write_all(&*store, &[settle("g", &m, 2, retry(6_000, "second"))]).await;
    write_all(&*store, &[settle("g", &m, 2, retry(6_000, "second"))]).await;
    let row = delivery(&*store, "g", "m").await.unwrap();
    assert_eq!((row.state.as_str(), row.attempts), ("RETRYING", 2));
    assert_eq!(
        (row.next_at, row.position),
        (Some(Timestamp(6_000)), place_before)
    );
    assert_eq!(row.first_error.as_deref(), Some("first"));
    assert_eq!(row.last_error.as_deref(), Some("second"));
    assert!(ready(&*store, "g").await.is_empty());
    // From one who does not know of the second attempt.
    let late = settle("g", &m, 1, retry(9_000, "late"));
    assert_eq!(write(&*store, late).await, conflict("RETRYING"));
    let late = settle("g", &m, 1, dead("d", "late"));
    assert_eq!(write(&*store, late).await, conflict("RETRYING"));
    write_all(&*store, &[settle("g", &m, 3, done())]).await;
    let row = delivery(&*store, "g", "m").await.unwrap();
    assert_eq!(
        (row.state.as_str(), row.attempts, row.next_at),
        ("DONE", 3, None)
    );
}

pub(super) async fn dead_ones_are_kept_whole(place: &Place) {
    let store = place.messages("a").await;
    let m = keyed("m", "k");
    write_all(&*store, &[given(&m, &["g"])]).await;
    write_all(&*store, &[settle("g", &m, 1, retry(5_000, "first"))]).await;
    write_all(&*store, &[settle("g", &m, 2, dead("d", "last"))]).await;
    write_all(&*store, &[settle("g", &m, 2, dead("d", "last"))]).await;
    let other = settle("g", &m, 2, dead("e", "last"));
    assert_eq!(write(&*store, other).await, conflict("DEAD"));
    assert_eq!(
        write(&*store, settle("g", &m, 3, done())).await,
        conflict("DEAD")
    );

    let letter = dead_letter(&*store, "d").await.unwrap();
    assert_eq!((&letter.message, letter.group.clone()), (&m, group("g")));
    assert_eq!((letter.attempts, letter.created_at), (2, NOW));
    assert_eq!(
        (letter.first_error.as_str(), letter.last_error.as_str()),
        ("first", "last")
    );
    assert_eq!((letter.resolved_at, letter.resent_as), (None, None));
    let row = delivery(&*store, "g", "m").await.unwrap();
    assert_eq!((row.state.as_str(), row.next_at), ("DEAD", None));
}

pub(super) async fn an_unknown_message_is_recorded(place: &Place) {
    let store = place.messages("a").await;
    let all = ["a", "b", "c", "d"].map(message);
    let batch = [
        settle("g", &all[0], 1, done()),
        settle("h", &all[0], 1, done()),
        settle("g", &all[1], 1, retry(5_000, "no")),
        settle("g", &all[2], 3, dead("letter", "no")),
        settle("g", &all[3], 0, Outcome::Keep),
    ];
    write_all(&*store, &batch).await;
    write_all(&*store, &batch).await;
    for (text, expected) in [
        ("a", "DONE"),
        ("b", "RETRYING"),
        ("c", "DEAD"),
        ("d", "READY"),
    ] {
        let stored = load(&*store, text).await.unwrap();
        assert_eq!(
            (stored.message, stored.published_at),
            (message(text), Some(NOW))
        );
        let row = delivery(&*store, "g", text).await.unwrap();
        assert_eq!(row.state.as_str(), expected, "{text}");
    }
    let letter = dead_letter(&*store, "letter").await.unwrap();
    assert_eq!(
        (letter.message, letter.first_error.as_str()),
        (message("c"), "no")
    );

    // Known messages that an outside broker carried to a group: many at once.
    let carried: Vec<_> = (0..70).map(|i| message(&format!("m{i}"))).collect();
    let batch: Vec<_> = carried.iter().map(|it| given(it, &[])).collect();
    write_all(&*store, &batch).await;
    let batch: Vec<_> = carried
        .iter()
        .map(|it| settle("g", it, 1, done()))
        .collect();
    write_all(&*store, &batch).await;
    assert_eq!(
        delivery(&*store, "g", "m69").await.unwrap().state.as_str(),
        "DONE"
    );
}

pub(super) async fn keeping_makes_ready_once(place: &Place) {
    let store = place.messages("a").await;
    let m = keyed("m", "k");
    write_all(&*store, &[settle("g", &m, 1, Outcome::Keep)]).await;
    let before = delivery(&*store, "g", "m").await.unwrap();
    assert_eq!((before.state.as_str(), before.attempts), ("READY", 1));
    write_all(&*store, &[settle("g", &m, 1, Outcome::Keep)]).await;
    assert_eq!(delivery(&*store, "g", "m").await.unwrap(), before);
    // One that waits for its time goes on waiting.
    write_all(&*store, &[settle("g", &m, 2, retry(5_000, "no"))]).await;
    write_all(&*store, &[settle("g", &m, 2, Outcome::Keep)]).await;
    let row = delivery(&*store, "g", "m").await.unwrap();
    assert_eq!(
        (row.state.as_str(), row.next_at),
        ("RETRYING", Some(Timestamp(5_000)))
    );
}

pub(super) async fn waiting_ones_are_found(place: &Place) {
    let store = place.messages("a").await;
    let all = [
        keyed("a", "k"),
        message("b"),
        keyed("c", "other"),
        keyed("d", "k"),
        message("e"),
        keyed("f", "k"),
    ];
    write_all(&*store, &all.each_ref().map(|it| given(it, &["g", "h"]))).await;
    let batch = [
        settle("g", &all[0], 1, retry(6_000, "no")),
        settle("g", &all[1], 1, retry(5_000, "no")),
        settle("g", &all[2], 1, retry(7_000, "no")),
        settle("g", &all[5], 1, done()),
    ];
    write_all(&*store, &batch).await;

    assert_eq!(ready(&*store, "g").await, ["d", "e"]);
    let until = |at| WaitingFilter::Due {
        until: Timestamp(at),
    };
    assert_eq!(
        names(&waiting(&*store, "g", until(6_000)).await),
        ["b", "a"]
    );
    assert!(waiting(&*store, "g", until(4_999)).await.is_empty());
    let of_key = |after| WaitingFilter::OfKey {
        key: OrderKey::new("k").unwrap(),
        after,
    };
    let found = waiting(&*store, "g", of_key(0)).await;
    assert_eq!(names(&found), ["a", "d"]);
    assert_eq!(
        (found[0].attempts, found[0].next_at),
        (1, Some(Timestamp(6_000)))
    );
    assert_eq!((found[1].attempts, found[1].next_at), (0, None));
    assert_eq!(
        names(&waiting(&*store, "g", of_key(found[0].position)).await),
        ["d"]
    );
    let blocking = |after| WaitingFilter::Blocking { after };
    let found = waiting(&*store, "g", blocking(0)).await;
    assert_eq!(names(&found), ["a", "c"]);
    assert_eq!(
        names(&waiting(&*store, "g", blocking(found[0].position)).await),
        ["c"]
    );

    // Pages of READY ones meet.
    let mut after = 0;
    let mut seen = Vec::new();
    while let [first, second] = &page(&*store, after).await[..] {
        after = second.0;
        seen.extend([first.1.clone(), second.1.clone()]);
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(
        write(&*store, settle("h", &all[0], 1, done())).await,
        Written::Done
    );
    let backlog = store.backlog(&group("g"), &topic()).await.unwrap();
    assert_eq!((backlog.ready, backlog.retrying, backlog.dead), (2, 3, 0));
}

/// Two READY ones of group `h`: place and id.
async fn page(store: &dyn MessageStore, after: i64) -> Vec<(i64, String)> {
    let filter = WaitingFilter::Ready { after };
    let found = store.waiting(&group("h"), &topic(), &filter, 2).await;
    let found = found.unwrap();
    let rows = found
        .iter()
        .map(|row| (row.position, row.message.id.to_string()));
    rows.collect()
}
