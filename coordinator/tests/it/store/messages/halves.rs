//! Half messages: decided once, asked about until then.

use amends_coordinator::store::messages::{
    Birth, MessageStore, MessageWrite, StoredMessage, Verdict, Written,
};
use amends_core::id::Generation;
use amends_core::time::Timestamp;

use super::super::place::Place;
use super::samples::{
    NOW, accept, cancel, claim, committed, conflict, group, id, load, message, ready, write,
    write_all,
};

pub(super) fn prepared(text: &str, check_at: i64) -> MessageWrite {
    let birth = Birth::Prepared {
        producer: group("shop"),
        check_at: Timestamp(check_at),
    };
    accept(&message(text), birth)
}

pub(super) fn decide(text: &str, verdict: Verdict, groups: &[&str]) -> MessageWrite {
    MessageWrite::Decide {
        id: id(text),
        verdict,
        fanout: groups.iter().map(|name| group(name)).collect(),
        by: "producer".to_owned(),
        now: NOW,
    }
}

fn checked(text: &str, checks: u32, next: Option<i64>) -> MessageWrite {
    MessageWrite::Checked {
        id: id(text),
        generation: Generation::FIRST,
        checks,
        outcome: "no instance is there".to_owned(),
        next_check_at: next.map(Timestamp),
        now: NOW,
    }
}

async fn due(store: &dyn MessageStore, until: i64) -> Vec<String> {
    let found = store.checks_due(Timestamp(until), 10).await.unwrap();
    let ids = found
        .iter()
        .map(|it: &StoredMessage| it.message.id.to_string());
    ids.collect()
}

pub(super) async fn a_half_message_is_decided_once(place: &Place) {
    let store = place.messages("a").await;
    let all: Vec<_> = ["c", "f", "r"].map(|it| prepared(it, 5_000)).into();
    write_all(&*store, &all).await;
    let decisions = [
        (decide("c", Verdict::Commit, &[]), "COMMITTED"),
        (decide("f", Verdict::Commit, &["g"]), "PUBLISHED"),
        (decide("r", Verdict::Rollback, &["g"]), "ROLLED_BACK"),
    ];
    for (decision, state) in &decisions {
        write_all(&*store, std::slice::from_ref(decision)).await;
        write_all(&*store, std::slice::from_ref(decision)).await; // The same once more.
        let MessageWrite::Decide { id, now, .. } = decision else {
            panic!("no decision");
        };
        for verdict in [Verdict::Commit, Verdict::Rollback] {
            let mut late = decide(id.as_str(), verdict, &["g"]);
            if let MessageWrite::Decide { now: at, .. } = &mut late {
                at.0 = now.0 + 1;
            }
            assert_eq!(write(&*store, late).await, conflict(state));
        }
        let half = load(&*store, id.as_str()).await.unwrap().half.unwrap();
        assert_eq!(
            (half.decided_by.as_deref(), half.next_check_at),
            (Some("producer"), None)
        );
    }
    assert_eq!(ready(&*store, "g").await, ["f"]);
    assert!(due(&*store, i64::MAX).await.is_empty());
    let outbox = store.outbox(Timestamp(i64::MAX), None, 10).await.unwrap();
    assert_eq!(outbox.len(), 1);
    assert_eq!(outbox[0].message.id, id("c"));
    assert_eq!(outbox[0].half.as_ref().unwrap().producer, group("shop"));
}

pub(super) async fn only_half_messages_are_decided(place: &Place) {
    let store = place.messages("a").await;
    write_all(&*store, &[committed(&message("m")), prepared("h", 5_000)]).await;
    let late = decide("m", Verdict::Rollback, &[]);
    assert_eq!(write(&*store, late).await, conflict("COMMITTED"));
    let nothing = decide("nothing", Verdict::Commit, &[]);
    assert_eq!(
        write(&*store, nothing).await,
        Written::Conflict { state: None }
    );
    // And nothing else happens to them before.
    for change in [claim("h"), cancel("h")] {
        assert_eq!(write(&*store, change).await, conflict("PREPARED"));
    }
}

pub(super) async fn checks_are_noted_until_it_is_stuck(place: &Place) {
    let store = place.messages("a").await;
    let all = [
        prepared("late", 7_000),
        prepared("h", 5_000),
        prepared("i", 6_000),
    ];
    write_all(&*store, &all).await;
    assert_eq!(due(&*store, 6_000).await, ["h", "i"]);
    write_all(&*store, &[checked("h", 1, Some(8_000))]).await;
    write_all(&*store, &[checked("h", 1, Some(8_000))]).await;
    assert_eq!(due(&*store, 9_000).await, ["i", "late", "h"]);
    let half = load(&*store, "h").await.unwrap().half.unwrap();
    assert_eq!(
        (half.checks, half.next_check_at),
        (1, Some(Timestamp(8_000)))
    );
    assert_eq!(half.last_check.as_deref(), Some("no instance is there"));
    let mut wrong = checked("h", 2, None);
    if let MessageWrite::Checked { generation, .. } = &mut wrong {
        *generation = Generation(2);
    }
    assert_eq!(write(&*store, wrong).await, conflict("PREPARED"));

    write_all(&*store, &[checked("h", 15, None)]).await;
    write_all(&*store, &[checked("h", 15, None)]).await;
    let stuck = load(&*store, "h").await.unwrap();
    assert_eq!(stuck.state.as_str(), "STUCK");
    assert_eq!(stuck.last_error.as_deref(), Some("no instance is there"));
    assert_eq!(due(&*store, i64::MAX).await, ["i", "late"]);
    // A person decides.
    write_all(&*store, &[decide("h", Verdict::Commit, &["g"])]).await;
    let published = load(&*store, "h").await.unwrap();
    assert_eq!(
        (published.state.as_str(), published.last_error),
        ("PUBLISHED", None)
    );
    assert_eq!(published.half.unwrap().checks, 15);
    let late = checked("h", 16, None);
    assert_eq!(write(&*store, late).await, conflict("PUBLISHED"));
}
