//! Lists: every filter, and pages that meet.

use std::sync::Arc;

use amends_coordinator::store::messages::{
    DeadLetterFilter, DeadLetterState, DeliveryFilter, MessageFilter, MessageStore, MessageWrite,
    Resolution,
};
use amends_core::message::{Message, MessageKey, MessageState, SharedMessage, Tag, Topic};
use amends_core::time::Timestamp;

use super::super::place::Place;
use super::letters::resolve;
use super::samples::{
    cancel, committed, dead, given, group, id, letter, message, plain, settle, topic, write_all,
};

fn at(text: &str, created_at: i64, change: impl FnOnce(&mut Message)) -> SharedMessage {
    let mut message = plain(text);
    message.created_at = Timestamp(created_at);
    change(&mut message);
    Arc::new(message)
}

async fn listed(store: &dyn MessageStore, filter: MessageFilter) -> Vec<String> {
    let filter = MessageFilter {
        limit: 10,
        ..filter
    };
    let found = store.list_messages(&filter).await.unwrap();
    found.iter().map(|it| it.message.id.to_string()).collect()
}

pub(super) async fn messages_are_filtered(place: &Place) {
    let store = place.messages("a").await;
    let all = [
        at("a", 10, |_| {}),
        at("b", 20, |m| m.topic = Topic::new("stock").unwrap()),
        at("c", 20, |m| m.tag = Tag::new("").unwrap()),
        at("d", 30, |m| m.key = MessageKey::new("").unwrap()),
        at("e", 40, |m| m.deliver_at = Some(Timestamp(500))),
    ];
    write_all(&*store, &all.each_ref().map(committed)).await;
    write_all(&*store, &[given(&at("p", 50, |_| {}), &["g"]), cancel("a")]).await;

    let none = MessageFilter::default;
    assert_eq!(
        listed(&*store, none()).await,
        ["p", "e", "d", "c", "b", "a"]
    );
    let states = |states: &[MessageState]| MessageFilter {
        states: states.to_vec(),
        ..none()
    };
    let found = listed(&*store, states(&[MessageState::Committed])).await;
    assert_eq!(found, ["e", "d", "c", "b"]);
    let two = [MessageState::Published, MessageState::RolledBack];
    assert_eq!(listed(&*store, states(&two)).await, ["p", "a"]);
    let by_topic = MessageFilter {
        topic: Some(Topic::new("stock").unwrap()),
        ..none()
    };
    assert_eq!(listed(&*store, by_topic).await, ["b"]);
    let by_tag = |tag: &str| MessageFilter {
        tag: Some(Tag::new(tag).unwrap()),
        ..none()
    };
    assert_eq!(listed(&*store, by_tag("")).await, ["c"]);
    assert_eq!(
        listed(&*store, by_tag("paid")).await,
        ["p", "e", "d", "b", "a"]
    );
    let by_key = |key: &str| MessageFilter {
        key: Some(MessageKey::new(key).unwrap()),
        ..none()
    };
    assert_eq!(listed(&*store, by_key("")).await, ["d"]);
    assert_eq!(
        listed(&*store, by_key("order-7")).await,
        ["p", "e", "c", "b", "a"]
    );
    let between = MessageFilter {
        created_from: Some(Timestamp(20)),
        created_before: Some(Timestamp(40)),
        ..none()
    };
    assert_eq!(listed(&*store, between).await, ["d", "c", "b"]);
    let delayed = |now| MessageFilter {
        delayed_after: Some(Timestamp(now)),
        ..none()
    };
    assert_eq!(listed(&*store, delayed(499)).await, ["e"]);
    assert!(listed(&*store, delayed(500)).await.is_empty());

    // Bodies stay where they are.
    let found = store
        .list_messages(&MessageFilter { limit: 1, ..none() })
        .await
        .unwrap();
    assert!(found[0].message.payload.data().is_empty());
    assert_eq!(found[0].message.headers, plain("p").headers);
}

pub(super) async fn pages_of_messages_meet(place: &Place) {
    let store = place.messages("a").await;
    let all: Vec<_> = (0..25)
        .map(|i| at(&format!("m{i:02}"), 10 + i / 10, |_| {}))
        .collect();
    write_all(&*store, &all.iter().map(committed).collect::<Vec<_>>()).await;
    let mut filter = MessageFilter {
        limit: 4,
        ..MessageFilter::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = store.list_messages(&filter).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.after = Some((last.message.created_at, last.message.id.clone()));
        seen.extend(page.iter().map(|it| it.message.id.to_string()));
    }
    let expected: Vec<_> = (0..25).rev().map(|i| format!("m{i:02}")).collect();
    assert_eq!(seen, expected);
}

pub(super) async fn deliveries_are_looked_up(place: &Place) {
    let store = place.messages("a").await;
    let other_key = at("z", 10, |m| m.key = MessageKey::new("order-8").unwrap());
    let batch = [
        given(&message("m"), &["g@1", "g@2", "g", "gA", "h"]),
        given(&message("n"), &["g", "h"]),
        given(&other_key, &["g"]),
    ];
    write_all(&*store, &batch).await;
    let none = || DeliveryFilter {
        limit: 3,
        ..DeliveryFilter::default()
    };
    let look_up = async |mut filter: DeliveryFilter| {
        let mut seen = Vec::new();
        loop {
            let page = store.deliveries(&filter).await.unwrap();
            let Some(last) = page.last() else {
                return seen.join(" ");
            };
            filter.after = Some((last.id.clone(), last.group.clone()));
            seen.extend(page.iter().map(|it| format!("{}:{}", it.id, it.group)));
        }
    };
    let all = "m:g m:g@1 m:g@2 m:gA m:h n:g n:h z:g";
    assert_eq!(look_up(none()).await, all);
    let by_id = DeliveryFilter {
        id: Some(id("n")),
        ..none()
    };
    assert_eq!(look_up(by_id).await, "n:g n:h");
    let by_key = |key: &str| DeliveryFilter {
        key: Some(MessageKey::new(key).unwrap()),
        ..none()
    };
    assert_eq!(look_up(by_key("order-8")).await, "z:g");
    // A group and its copies.
    let by_group = DeliveryFilter {
        group: Some(group("g")),
        ..by_key("order-7")
    };
    assert_eq!(look_up(by_group).await, "m:g m:g@1 m:g@2 n:g");
    let of_copy = DeliveryFilter {
        group: Some(group("g@2")),
        ..none()
    };
    assert_eq!(look_up(of_copy).await, "m:g@2");
}

fn die(group: &str, message: &SharedMessage, letter: &str, now: i64) -> MessageWrite {
    let mut write = settle(group, message, 1, dead(letter, "no"));
    if let MessageWrite::Settle { now: at, .. } = &mut write {
        *at = Timestamp(now);
    }
    write
}

pub(super) async fn dead_letters_are_filtered(place: &Place) {
    let store = place.messages("a").await;
    let other_key = at("o", 10, |m| m.key = MessageKey::new("order-8").unwrap());
    let other_topic = at("t", 10, |m| m.topic = Topic::new("stock").unwrap());
    let batch = [
        die("g", &message("m"), "d1", 10),
        die("g@1", &message("m"), "d2", 20),
        die("h", &other_key, "d3", 20),
        die("g", &other_topic, "d4", 30),
    ];
    write_all(&*store, &batch).await;
    write_all(&*store, &[resolve("d4", "eve", Resolution::Discard)]).await;

    let none = || DeadLetterFilter {
        limit: 1,
        ..DeadLetterFilter::default()
    };
    let listed = async |mut filter: DeadLetterFilter| {
        let mut seen = Vec::new();
        loop {
            let page = store.list_dead_letters(&filter).await.unwrap();
            let Some(last) = page.last() else {
                return seen.join(" ");
            };
            filter.after = Some((last.created_at, last.id.clone()));
            assert!(last.message.payload.data().is_empty());
            seen.extend(page.iter().map(|it| it.id.0.clone()));
        }
    };
    assert_eq!(listed(none()).await, "d4 d3 d2 d1");
    let by_state = |state| DeadLetterFilter {
        state: Some(state),
        ..none()
    };
    assert_eq!(listed(by_state(DeadLetterState::Open)).await, "d3 d2 d1");
    assert_eq!(listed(by_state(DeadLetterState::Discarded)).await, "d4");
    let by_group = DeadLetterFilter {
        group: Some(group("g")),
        ..none()
    };
    assert_eq!(listed(by_group.clone()).await, "d4 d2 d1");
    let by_topic = DeadLetterFilter {
        topic: Some(topic()),
        ..by_group
    };
    assert_eq!(listed(by_topic).await, "d2 d1");
    let by_key = DeadLetterFilter {
        key: Some(MessageKey::new("order-8").unwrap()),
        ..none()
    };
    assert_eq!(listed(by_key).await, "d3");
    let between = DeadLetterFilter {
        created_from: Some(Timestamp(20)),
        created_before: Some(Timestamp(30)),
        ..none()
    };
    assert_eq!(listed(between).await, "d3 d2");
    assert!(
        store
            .dead_letters(&[letter("with \0")])
            .await
            .unwrap()
            .is_empty()
    );
}
