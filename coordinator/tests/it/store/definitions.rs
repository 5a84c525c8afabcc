//! Definitions and participants.

use amends_coordinator::store::{Registered, StoredDefinition, StoredParticipant};
use amends_core::time::Timestamp;

use super::place::Place;
use super::samples::definition;

fn registered(definition: &StoredDefinition, at: i64) -> StoredDefinition {
    StoredDefinition {
        registered_at: Some(Timestamp(at)),
        ..definition.clone()
    }
}

pub(super) async fn registering_creates_once(place: &Place) {
    let store = place.open("a").await;
    let mut wanted = registered(&definition("h", "shop.order", 1, 10), 10);
    wanted.json = r#"{"text":"'ü🦀\u0000\""}"#.to_owned();
    let created = store.register_definition(&wanted).await.unwrap();
    assert_eq!(created, Registered::Created(wanted.clone()));
    let later = registered(&definition("h", "shop.order", 1, 20), 20);
    let existed = store.register_definition(&later).await.unwrap();
    assert_eq!(existed, Registered::Existed(wanted.clone()));
    let found = store.definition(&wanted.hash).await.unwrap();
    assert_eq!(found, Some(wanted));
}

pub(super) async fn other_content_under_a_name_and_version_is_told(place: &Place) {
    let store = place.open("a").await;
    let first = registered(&definition("h1", "shop.order", 1, 10), 10);
    store.register_definition(&first).await.unwrap();
    let other = definition("h2", "shop.order", 1, 20);
    let different = Registered::Different(first);
    let result = store.register_definition(&other).await.unwrap();
    assert_eq!(result, different);
    assert_eq!(store.definition(&other.hash).await.unwrap(), None);
    // Also when its content is known from a transaction.
    store.keep_definition(&other).await.unwrap();
    let result = store.register_definition(&other).await.unwrap();
    assert_eq!(result, different);
    let kept = store.definition(&other.hash).await.unwrap();
    assert_eq!(kept, Some(other));
}

pub(super) async fn a_kept_definition_can_be_registered(place: &Place) {
    let store = place.open("a").await;
    let kept = definition("h", "shop.order", 1, 10);
    store.keep_definition(&kept).await.unwrap();
    let result = store.register_definition(&registered(&kept, 20)).await;
    let expected = registered(&kept, 20);
    assert_eq!(result.unwrap(), Registered::Created(expected.clone()));
    store.keep_definition(&kept).await.unwrap();
    let found = store.registered_definition("shop.order", 1).await.unwrap();
    assert_eq!(found, Some(expected));
}

pub(super) async fn keeping_does_not_register(place: &Place) {
    let store = place.open("a").await;
    let kept = registered(&definition("h", "shop.order", 1, 10), 10);
    store.keep_definition(&kept).await.unwrap();
    let found = store.registered_definition("shop.order", 0).await.unwrap();
    assert_eq!(found, None);
    assert_eq!(store.list_definitions("", None, 9).await.unwrap(), []);
}

pub(super) async fn versions_are_found(place: &Place) {
    let store = place.open("a").await;
    for version in [2, 10, 9] {
        let hash = format!("h{version}");
        let wanted = definition(&hash, "shop.order", version, 10);
        store.register_definition(&wanted).await.unwrap();
    }
    let kept = definition("h11", "shop.order", 11, 10);
    store.keep_definition(&kept).await.unwrap();
    for (name, version, expected) in [
        ("shop.order", 9, Some(9)),
        ("shop.order", 0, Some(10)),
        ("shop.order", 11, None),
        ("shop.orde", 0, None),
        ("shop.order\0", 0, None),
        ("", 0, None),
    ] {
        let found = store.registered_definition(name, version).await.unwrap();
        let found = found.map(|it| it.version);
        assert_eq!(found, expected, "{name:?} {version}");
    }
}

pub(super) async fn definitions_are_listed_in_pages(place: &Place) {
    let store = place.open("a").await;
    let expected = [
        ("a", 1),
        ("a_b", 1),
        ("aa", 2),
        ("aa", 10),
        ("axb", 1),
        ("b", 1),
    ];
    for (name, version) in expected {
        let wanted = definition(&format!("{name}{version}"), name, version, 10);
        store.register_definition(&wanted).await.unwrap();
    }
    let list = async |prefix: &str, limit| {
        let mut found: Vec<(String, u32)> = Vec::new();
        loop {
            let last = found.last().cloned();
            let after = last
                .as_ref()
                .map(|(name, version)| (name.as_str(), *version));
            let page = store.list_definitions(prefix, after, limit).await.unwrap();
            if page.is_empty() {
                return found;
            }
            found.extend(page.into_iter().map(|it| (it.name, it.version)));
        }
    };
    for limit in [1, 2, 100] {
        for prefix in ["", "a", "a_", "aa", "b", "c", "%", "ü"] {
            let found = list(prefix, limit).await;
            let expected = expected.iter().filter(|it| it.0.starts_with(prefix));
            let expected = expected.map(|(name, version)| ((*name).to_owned(), *version));
            assert_eq!(found, expected.collect::<Vec<_>>(), "{prefix:?}");
        }
    }
}

pub(super) async fn participants_come_and_go(place: &Place) {
    let instance = |service: &str, id: &str, port: u16| StoredParticipant {
        service: service.to_owned(),
        instance_id: id.to_owned(),
        address: format!("127.0.0.1:{port}"),
        offers: format!(r#"{{"steps":["it's {port}"]}}"#),
        registered_at: Timestamp(i64::from(port)),
    };
    let store = place.open("a").await;
    assert_eq!(store.participants().await.unwrap(), []);
    let (a1, a2, b) = (
        instance("a", "1", 1),
        instance("a", "2", 2),
        instance("b", "1", 3),
    );
    for it in [&b, &a1, &a2] {
        store.put_participant(it).await.unwrap();
    }
    let moved = instance("a", "1", 4);
    store.put_participant(&moved).await.unwrap();
    assert_eq!(store.participants().await.unwrap(), [moved, a2.clone(), b]);
    store.remove_participant("a", "1").await.unwrap();
    store.remove_participant("a", "1").await.unwrap();
    store.remove_participant("b", "1").await.unwrap();
    drop(store);
    let store = place.open("b").await;
    assert_eq!(store.participants().await.unwrap(), [a2]);
}
