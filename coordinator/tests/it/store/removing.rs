//! Retention: what goes, what stays.

use amends_core::saga::PublicState;
use amends_core::time::Timestamp;

use super::place::Place;
use super::samples::{begin, definition, load, write, write_ended};

pub(super) async fn only_ended_ones_are_removed_oldest_first(place: &Place) {
    let store = place.open("a").await;
    write(store.as_ref(), &[begin("open")]).await;
    write_ended(store.as_ref(), "third", PublicState::Forced, 30).await;
    write_ended(store.as_ref(), "first", PublicState::Succeeded, 10).await;
    write_ended(store.as_ref(), "second", PublicState::Compensated, 20).await;
    write_ended(store.as_ref(), "young", PublicState::Succeeded, 40).await;

    let check = async |before, limit, removed, left: &[&str]| {
        let count = store
            .remove_finished(Timestamp(before), limit)
            .await
            .unwrap();
        assert_eq!(count, removed, "before {before}, {limit} at most");
        for id in ["open", "first", "second", "third", "young"] {
            let found = load(store.as_ref(), id).await;
            assert_eq!(found.is_some(), left.contains(&id), "{id}");
        }
    };
    check(10, 9, 0, &["open", "first", "second", "third", "young"]).await;
    check(40, 2, 2, &["open", "third", "young"]).await;
    check(40, 2, 1, &["open", "young"]).await;
    check(40, 2, 0, &["open", "young"]).await;
}

/// Which also shows that the log went with the transaction.
pub(super) async fn an_id_is_free_after_removal(place: &Place) {
    let store = place.open("a").await;
    write_ended(store.as_ref(), "t", PublicState::Succeeded, 10).await;
    assert_eq!(store.remove_finished(Timestamp(11), 9).await.unwrap(), 1);
    let mut again = begin("t");
    again.records = r#"["again"]"#.to_owned();
    write(store.as_ref(), std::slice::from_ref(&again)).await;
    let found = load(store.as_ref(), "t").await.unwrap();
    assert_eq!(found.log.len(), 1);
    assert_eq!(found.log[0].1, again.records);
}

pub(super) async fn definitions_go_when_nothing_refers_to_them(place: &Place) {
    let store = place.open("a").await;
    for (hash, at) in [
        ("hash-1", 10),
        ("unused", 20),
        ("also-unused", 30),
        ("young", 99),
    ] {
        let kept = definition(hash, hash, 1, at);
        store.keep_definition(&kept).await.unwrap();
    }
    let registered = definition("registered", "registered", 1, 10);
    store.register_definition(&registered).await.unwrap();
    write_ended(store.as_ref(), "t", PublicState::Succeeded, 50).await;

    let check = async |limit, removed, left: &[&str]| {
        let count = store.remove_definitions(Timestamp(99), limit).await;
        assert_eq!(count.unwrap(), removed);
        for hash in ["hash-1", "unused", "also-unused", "young", "registered"] {
            let wanted = definition(hash, hash, 1, 0).hash;
            let found = store.definition(&wanted).await.unwrap();
            assert_eq!(found.is_some(), left.contains(&hash), "{hash}");
        }
    };
    check(1, 1, &["hash-1", "also-unused", "young", "registered"]).await;
    check(9, 1, &["hash-1", "young", "registered"]).await;
    check(9, 0, &["hash-1", "young", "registered"]).await;
    store.remove_finished(Timestamp(99), 9).await.unwrap();
    check(9, 1, &["young", "registered"]).await;
}

pub(super) async fn keeping_again_keeps_for_longer(place: &Place) {
    let store = place.open("a").await;
    let first = definition("h", "n", 1, 10);
    let again = definition("h", "n", 1, 60);
    store.keep_definition(&first).await.unwrap();
    store.keep_definition(&again).await.unwrap();
    store.keep_definition(&first).await.unwrap();
    assert_eq!(store.remove_definitions(Timestamp(60), 9).await.unwrap(), 0);
    let found = store.definition(&first.hash).await.unwrap();
    assert_eq!(found, Some(first));
    assert_eq!(store.remove_definitions(Timestamp(61), 9).await.unwrap(), 1);
}
