//! Half messages: prepared and decided together, asked about until then.

use amends_coordinator::store::Incarnation;
use amends_coordinator::store::messages::{
    Bodies, ChecksDue, HalfEnd, HalfFilter, HalfMessage, MessageStore, MessageWrite,
    ProducerBacklog, StoredHalf, StoredMessage, Written,
};
use amends_core::id::Generation;
use amends_core::message::half::{
    Check, CheckLog, DecidedBy, HalfId, HalfState, MAX_CHECK_LOG, Verdict,
};
use amends_core::message::{Message, MessageState};
use amends_core::time::{Millis, Timestamp};

use super::super::place::Place;
use super::samples::{
    NOW, cancel, claim, committed, conflict, group, id, load, message, plain, ready, state, write,
    write_all,
};

pub(super) fn half(text: &str) -> HalfId {
    HalfId::new(text).unwrap()
}

/// A half of this name with one message of the same name.
pub(super) fn prepared(text: &str, check_at: i64) -> MessageWrite {
    prepare(text, &[text], check_at)
}

fn prepare(of: &str, messages: &[&str], check_at: i64) -> MessageWrite {
    let one = |text: &&str| HalfMessage {
        message: message(text),
        delay: None,
    };
    MessageWrite::Prepare {
        half: half(of),
        producer: group("shop"),
        check_at: Timestamp(check_at),
        messages: messages.iter().map(one).collect(),
    }
}

fn ends(of: &str, verdict: Verdict, ends: Vec<(&str, HalfEnd)>) -> MessageWrite {
    MessageWrite::Decide {
        half: half(of),
        verdict,
        messages: ends.into_iter().map(|(it, end)| (id(it), end)).collect(),
        by: DecidedBy::Producer,
        reason: "it is paid".to_owned(),
        checks: None,
        generation: Generation(7),
        now: NOW,
    }
}

fn given_to(groups: &[&str]) -> HalfEnd {
    match groups {
        [] => HalfEnd::Committed(NOW),
        groups => HalfEnd::Published(groups.iter().map(|name| group(name)).collect()),
    }
}

/// Of a half with one message.
pub(super) fn decide(text: &str, verdict: Verdict, groups: &[&str]) -> MessageWrite {
    let end = match verdict {
        Verdict::Commit => given_to(groups),
        Verdict::Rollback => HalfEnd::RolledBack,
    };
    ends(text, verdict, vec![(text, end)])
}

fn log(length: u32) -> CheckLog {
    let mut log = CheckLog::default();
    for n in 0..length {
        log.note(Check {
            at: Timestamp(i64::from(n)),
            instance: "i".to_owned(),
            verdict: None,
            error: "not yet".to_owned(),
            counted: true,
        });
    }
    log
}

fn checked(text: &str, checks: u32, next: Option<i64>) -> MessageWrite {
    MessageWrite::Checked {
        half: half(text),
        generation: Generation::FIRST,
        checks,
        log: log(checks),
        next_check_at: next.map(Timestamp),
        now: NOW,
    }
}

fn ask_now(text: &str) -> MessageWrite {
    MessageWrite::AskNow {
        half: half(text),
        now: NOW,
    }
}

/// The halves of the group `shop` that are due.
pub(super) async fn due(store: &dyn MessageStore, until: i64) -> Vec<String> {
    let which = ChecksDue {
        producer: group("shop"),
        until: Timestamp(until),
        after: None,
        limit: 10,
    };
    let found = store.checks_due(&which).await.unwrap();
    found.into_iter().map(|it| half_of(it).id.into()).collect()
}

fn half_of(stored: StoredMessage) -> StoredHalf {
    *stored.half.unwrap()
}

async fn of_half(store: &dyn MessageStore, text: &str) -> Vec<(String, MessageState)> {
    let found = store.halves(&[half(text)], Bodies::Read).await.unwrap();
    let found = found.into_iter();
    found
        .map(|it| (it.message.id.to_string(), it.state))
        .collect()
}

pub(super) async fn a_half_is_prepared_once_and_whole(place: &Place) {
    let store = place.messages("a").await;
    write_all(&*store, &[committed(&message("taken"))]).await;
    let three = prepare("h", &["x", "y", "z"], 5_000);
    write_all(&*store, std::slice::from_ref(&three)).await;
    let expected = ["x", "y", "z"].map(|it| (it.to_owned(), MessageState::Prepared));
    assert_eq!(of_half(&*store, "h").await, expected);
    assert_eq!(due(&*store, i64::MAX).await, ["h"], "it is asked once");

    // Alone and in a batch with others.
    for beside in [None, Some("one"), Some("two")] {
        let again = prepare("h", &["other"], 9_000);
        let tried = match beside {
            None => store.write(&[again]).await.unwrap().remove(0),
            Some(other) => {
                let mut written = store.write(&[prepared(other, 5_000), again]).await.unwrap();
                assert_eq!(written.remove(0), Written::Done);
                written.remove(0)
            }
        };
        let Written::HalfExists(found) = tried else {
            panic!("{tried:?}");
        };
        let ids: Vec<_> = found.iter().map(|it| it.message.id.as_str()).collect();
        assert_eq!(ids, ["x", "y", "z"]);
        assert!(load(&*store, "other").await.is_none());
    }
    for taken in ["taken", "x"] {
        let partly = prepare("partly", &["new", taken, "newer"], 5_000);
        let Written::Exists(found) = write(&*store, partly).await else {
            panic!("{taken} was free");
        };
        assert_eq!(found.message.id, id(taken));
        assert!(of_half(&*store, "partly").await.is_empty(), "all or none");
        assert!(load(&*store, "new").await.is_none());
    }
    assert_eq!(of_half(&*store, "h").await, expected);
}

pub(super) async fn a_half_is_decided_once(place: &Place) {
    let store = place.messages("a").await;
    let all: Vec<_> = ["c", "f", "r"].map(|it| prepared(it, 5_000)).into();
    write_all(&*store, &all).await;
    let decisions = [
        (decide("c", Verdict::Commit, &[]), "COMMITTED"),
        (decide("f", Verdict::Commit, &["g"]), "PUBLISHED"),
        (decide("r", Verdict::Rollback, &["g"]), "ROLLED_BACK"),
    ];
    for (decision, end) in &decisions {
        write_all(&*store, std::slice::from_ref(decision)).await;
        write_all(&*store, std::slice::from_ref(decision)).await; // The same once more.
        let MessageWrite::Decide { half, verdict, .. } = decision else {
            panic!("no decision");
        };
        for late in [Verdict::Commit, Verdict::Rollback] {
            let mut late = decide(half.as_str(), late, &["g"]);
            // At the same moment; only the number tells it from the one that stands.
            if let MessageWrite::Decide { generation, .. } = &mut late {
                generation.0 += 1;
            }
            assert_eq!(write(&*store, late).await, Written::Decided(*verdict));
        }
        for late in [checked(half.as_str(), 1, None), ask_now(half.as_str())] {
            assert_eq!(write(&*store, late).await, Written::Decided(*verdict));
        }
        assert_eq!(state(&*store, half.as_str()).await, *end);
        let stored = half_of(load(&*store, half.as_str()).await.unwrap());
        let decision = stored.decision.unwrap();
        assert_eq!(
            (decision.verdict, decision.by, decision.at),
            (*verdict, DecidedBy::Producer, NOW)
        );
        assert_eq!(
            (decision.reason.as_str(), stored.check_at),
            ("it is paid", None)
        );
    }
    assert_eq!(ready(&*store, "g").await, ["f"]);
    assert!(due(&*store, i64::MAX).await.is_empty());
    let outbox = store.outbox(Timestamp(i64::MAX), None, 10).await.unwrap();
    assert_eq!(outbox.len(), 1);
    assert_eq!(outbox[0].message.id, id("c"));
    assert_eq!(
        outbox[0].message.deliver_at,
        Some(NOW),
        "from its commit on"
    );
    // Nobody takes a message back that way and makes the verdict another one.
    write_all(&*store, &[cancel("c")]).await;
    let late = decide("c", Verdict::Rollback, &[]);
    assert_eq!(
        write(&*store, late).await,
        Written::Decided(Verdict::Commit)
    );
}

/// Each message has an end of its own, and all come with the verdict.
pub(super) async fn a_verdict_is_about_all_messages(place: &Place) {
    let store = place.messages("a").await;
    for (name, beside) in [("h", None), ("i", Some("j"))] {
        let names = ["x", "y", "z"].map(|it| format!("{name}-{it}"));
        let names = names.each_ref().map(String::as_str);
        write_all(&*store, &[prepare(name, &names, 5_000)]).await;
        let later = HalfEnd::Committed(Timestamp(9_000));
        let messages = names.into_iter();
        let messages = messages.zip([given_to(&["g", "k"]), later, given_to(&["g"])]);
        let mut batch = vec![ends(name, Verdict::Commit, messages.collect())];
        batch.extend(beside.map(|it| prepared(it, 5_000)));
        write_all(&*store, &batch).await;
        let states = of_half(&*store, name).await;
        let states: Vec<_> = states.into_iter().map(|(_, state)| state).collect();
        assert_eq!(
            states,
            [
                MessageState::Published,
                MessageState::Committed,
                MessageState::Published
            ]
        );
    }
    assert_eq!(ready(&*store, "g").await, ["h-x", "h-z", "i-x", "i-z"]);
    assert_eq!(ready(&*store, "k").await, ["h-x", "i-x"]);
    let outbox = store.outbox(Timestamp(i64::MAX), None, 10).await.unwrap();
    let outbox: Vec<_> = outbox.iter().map(|it| it.message.id.as_str()).collect();
    assert_eq!(outbox, ["h-y", "i-y"]);
}

pub(super) async fn only_halves_are_decided(place: &Place) {
    let store = place.messages("a").await;
    write_all(&*store, &[committed(&message("m")), prepared("h", 5_000)]).await;
    for nothing in ["m", "nothing"] {
        let late = decide(nothing, Verdict::Commit, &[]);
        assert_eq!(
            write(&*store, late).await,
            Written::Conflict { state: None }
        );
    }
    // And nothing else happens to them before.
    for change in [claim("h"), cancel("h")] {
        assert_eq!(write(&*store, change).await, conflict("PREPARED"));
    }
    assert!(ready(&*store, "g").await.is_empty());
}

pub(super) async fn checks_are_noted_until_it_is_stuck(place: &Place) {
    let store = place.messages("a").await;
    let all = [
        prepared("late", 7_000),
        prepare("h", &["h", "h2"], 5_000),
        prepared("i", 6_000),
    ];
    write_all(&*store, &all).await;
    assert_eq!(due(&*store, 6_000).await, ["h", "i"]);
    write_all(&*store, &[checked("h", 1, Some(8_000))]).await;
    write_all(&*store, &[checked("h", 1, Some(8_000))]).await;
    assert_eq!(due(&*store, 9_000).await, ["i", "late", "h"]);
    let stored = half_of(load(&*store, "h").await.unwrap());
    assert_eq!(
        (stored.checks, stored.check_at),
        (1, Some(Timestamp(8_000)))
    );
    assert_eq!(stored.log, log(1));
    let mut wrong = checked("h", 2, None);
    if let MessageWrite::Checked { generation, .. } = &mut wrong {
        *generation = Generation(2);
    }
    assert_eq!(write(&*store, wrong).await, conflict("PREPARED"));

    write_all(&*store, &[checked("h", 40, None)]).await;
    write_all(&*store, &[checked("h", 40, None)]).await;
    assert_eq!(due(&*store, i64::MAX).await, ["i", "late"]);
    for stuck in ["h", "h2"] {
        assert_eq!(state(&*store, stuck).await, "STUCK");
    }
    let stored = half_of(load(&*store, "h").await.unwrap());
    assert_eq!(
        (stored.checks, stored.log.checks().len()),
        (40, MAX_CHECK_LOG)
    );
    // A person wants it to be asked once more.
    write_all(&*store, &[ask_now("h"), ask_now("i")]).await;
    assert_eq!(due(&*store, NOW.0).await, ["h", "i"]);
    assert_eq!(state(&*store, "h2").await, "PREPARED");
    let late = checked("h", 41, None);
    assert_eq!(
        write(&*store, late).await,
        conflict("PREPARED"),
        "another generation"
    );
    // A person decides.
    let end = || given_to(&["g"]);
    let decided = ends("h", Verdict::Commit, vec![("h", end()), ("h2", end())]);
    write_all(&*store, &[decided]).await;
    assert_eq!(ready(&*store, "g").await, ["h", "h2"]);
    assert_eq!(half_of(load(&*store, "h").await.unwrap()).checks, 40);
}

pub(super) async fn a_verdict_comes_with_its_check(place: &Place) {
    let store = place.messages("a").await;
    for beside in [vec![], vec![prepared("other", 5_000)]] {
        let name = format!("h{}", beside.len());
        write_all(&*store, &[prepare(&name, &[&name, "m"], 5_000)]).await;
        let names = vec![(name.as_str(), given_to(&[])), ("m", HalfEnd::RolledBack)];
        let mut decided = ends(&name, Verdict::Rollback, names);
        if let MessageWrite::Decide { checks, .. } = &mut decided {
            *checks = Some((3, log(3)));
        }
        let batch: Vec<_> = beside.into_iter().chain([decided]).collect();
        write_all(&*store, &batch).await;
        let stored = half_of(load(&*store, &name).await.unwrap());
        assert_eq!((stored.checks, stored.log), (3, log(3)));
        let second = half_of(load(&*store, "m").await.unwrap());
        assert_eq!((second.checks, second.log), (0, CheckLog::default()));
        store
            .remove_messages(Timestamp(NOW.0 + 1), 10)
            .await
            .unwrap();
    }
}

/// Four halves: two PREPARED, one ROLLED_BACK, one STUCK.
async fn four_halves(store: &dyn MessageStore) {
    let mut batch = Vec::new();
    for (n, (name, producer)) in [("a", "shop"), ("b", "mail"), ("c", "shop"), ("d", "shop")]
        .into_iter()
        .enumerate()
    {
        let one = |text: String| HalfMessage {
            message: std::sync::Arc::new(Message {
                created_at: Timestamp(1_000 + i64::try_from(n).unwrap()),
                ..plain(&text)
            }),
            delay: Some(Millis(7)),
        };
        batch.push(MessageWrite::Prepare {
            half: half(name),
            producer: group(producer),
            check_at: Timestamp(5_000 + i64::try_from(n).unwrap()),
            messages: vec![one(format!("{name}1")), one(format!("{name}2"))],
        });
    }
    write_all(store, &batch).await;
    let decided = vec![("c1", HalfEnd::RolledBack), ("c2", HalfEnd::RolledBack)];
    write_all(store, &[ends("c", Verdict::Rollback, decided)]).await;
    write_all(store, &[checked("d", 1, None)]).await;
}

pub(super) async fn halves_are_listed_and_counted(place: &Place) {
    let store = place.messages("a").await;
    four_halves(&*store).await;
    let awaited = store.awaited_producers().await.unwrap();
    let expected = [("mail", 5_001), ("shop", 5_000)];
    assert_eq!(
        awaited,
        expected.map(|(name, at)| (group(name), Timestamp(at)))
    );
    let backlog = |producer, stuck, oldest| ProducerBacklog {
        producer: group(producer),
        prepared: 1,
        stuck,
        oldest: Some(Timestamp(oldest)),
    };
    let backlogs = store.producer_backlogs().await.unwrap();
    assert_eq!(
        backlogs,
        [backlog("mail", 0, 1_001), backlog("shop", 1, 1_000)]
    );

    let list = async |filter: HalfFilter| {
        let found = store.list_halves(&filter).await.unwrap();
        found
            .into_iter()
            .map(half_of)
            .map(|it| it.id.to_string())
            .collect::<Vec<_>>()
    };
    let all = HalfFilter {
        limit: 10,
        ..HalfFilter::default()
    };
    assert_eq!(list(all.clone()).await, ["d", "c", "b", "a"]);
    for (states, expected) in [
        (vec![HalfState::Prepared], vec!["b", "a"]),
        (
            vec![HalfState::Stuck, HalfState::RolledBack],
            vec!["d", "c"],
        ),
        (vec![HalfState::Committed], vec![]),
    ] {
        let filter = HalfFilter {
            states,
            ..all.clone()
        };
        assert_eq!(list(filter).await, expected);
    }
    let of_shop = HalfFilter {
        producer: Some(group("shop")),
        after: Some((Timestamp(1_003), id("d1"))),
        ..all
    };
    assert_eq!(list(of_shop).await, ["c", "a"]);
    let stored = half_of(load(&*store, "a2").await.unwrap());
    assert_eq!(
        (stored.no, stored.delay, stored.producer),
        (1, Some(Millis(7)), group("shop"))
    );
}

/// A verdict takes over; what was known of its publishing begins anew.
pub(super) async fn whoever_decides_owns_it(place: &Place) {
    let Place::Postgres(_) = place else { return };
    let (first, second) = (place.messages("a").await, place.messages("b").await);
    write_all(&*first, &[prepared("h", 5_000), prepared("i", 5_000)]).await;
    assert!(due(&*second, i64::MAX).await.is_empty());
    write_all(&*second, &[ask_now("i")]).await;
    assert_eq!(due(&*second, i64::MAX).await, ["i"]);
    assert_eq!(due(&*first, i64::MAX).await, ["h"]);
    write_all(&*second, &[decide("h", Verdict::Commit, &[])]).await;
    let stored = load(&*first, "h").await.unwrap();
    assert_eq!(
        (stored.owner, stored.generation),
        (Incarnation("b".to_owned()), Generation(7))
    );
    assert_eq!(second.outbox(NOW, None, 10).await.unwrap().len(), 1);
    assert_eq!(write(&*first, claim("h")).await, conflict("COMMITTED"));
}
