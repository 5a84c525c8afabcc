//! Lists: filters and pages.

use amends_coordinator::store::{ListFilter, Store};
use amends_core::public_state::{Kind, PublicState};
use amends_core::time::Timestamp;

use super::place::Place;
use super::samples::{asleep, begin, begin_at, begin_tcc, end, gid, with_cause, write};

async fn list(store: &dyn Store, filter: &ListFilter) -> Vec<String> {
    let listed = store.list(filter).await.unwrap();
    let ids = listed.into_iter().map(|it| it.gid.as_str().to_owned());
    ids.collect()
}

fn all() -> ListFilter {
    ListFilter {
        limit: 100,
        ..ListFilter::default()
    }
}

pub(super) async fn every_filter_filters(place: &Place) {
    use PublicState::{Compensating, Forced, Running, Stuck, Succeeded};
    let store = place.open("a").await;
    let mut refund = begin_at("refund-1", 20);
    refund.summary.definition_name = "shop.refund".to_owned();
    let stuck = asleep(
        with_cause(begin_at("order-2", 30), Some("pay"), "no answer"),
        99,
    );
    let mut stuck = stuck;
    stuck.summary.state = Stuck;
    let done = begin_at("order-3", 40);
    let batch = [begin_at("order-1", 10), refund, stuck.clone(), done.clone()];
    write(store.as_ref(), &batch).await;
    write(store.as_ref(), &[end(&done, Succeeded, 50)]).await;

    let check = async |filter: ListFilter, expected: &[&str]| {
        assert_eq!(list(store.as_ref(), &filter).await, expected, "{filter:?}");
    };
    let states = |states: &[PublicState]| ListFilter {
        states: states.to_vec(),
        ..all()
    };
    let named = |name: &str| ListFilter {
        definition_name: Some(name.to_owned()),
        ..all()
    };
    check(all(), &["order-3", "order-2", "refund-1", "order-1"]).await;
    check(states(&[Stuck]), &["order-2"]).await;
    check(
        states(&[Stuck, Running]),
        &["order-2", "refund-1", "order-1"],
    )
    .await;
    check(states(&[Stuck, Succeeded]), &["order-3", "order-2"]).await;
    check(states(&[Forced, Compensating]), &[]).await;
    check(named("shop.refund"), &["refund-1"]).await;
    check(named("shop.re%"), &[]).await;
    let kinds = |kinds: &[Kind]| ListFilter {
        kinds: kinds.to_vec(),
        ..all()
    };
    let mut prepared = begin_tcc("pay-1", 60);
    prepared.summary.state = PublicState::Prepared;
    let mut confirming = begin_tcc("pay-2", 70);
    confirming.summary.state = PublicState::Confirming;
    write(store.as_ref(), &[prepared, confirming]).await;
    check(kinds(&[Kind::Tcc]), &["pay-2", "pay-1"]).await;
    check(states(&[PublicState::Confirming]), &["pay-2"]).await;
    let sagas = ["order-3", "order-2", "refund-1", "order-1"];
    check(kinds(&[Kind::Saga]), &sagas).await;
    check(named("a\0"), &[]).await;
    let between = ListFilter {
        created_from: Some(Timestamp(20)),
        created_before: Some(Timestamp(40)),
        ..all()
    };
    check(between.clone(), &["order-2", "refund-1"]).await;
    let everything = ListFilter {
        states: vec![Running, Stuck],
        definition_name: Some("shop.order".to_owned()),
        gid_prefix: Some("order-".to_owned()),
        after: Some((Timestamp(40), gid("order-3"))),
        ..between
    };
    check(everything, &["order-2"]).await;
    check(ListFilter { limit: 0, ..all() }, &[]).await;

    let found = store.list(&states(&[Stuck])).await.unwrap();
    assert_eq!(found[0].summary, stuck.summary);
}

pub(super) async fn pages_meet_over_equal_times(place: &Place) {
    let store = place.open("a").await;
    let mut batch = Vec::new();
    for at in [10, 20, 30] {
        batch.extend((0..7).map(|n| begin_at(&format!("t{at}-{n}"), at)));
    }
    write(store.as_ref(), &batch).await;
    let mut expected = list(store.as_ref(), &all()).await;
    assert_eq!(expected.len(), 21);
    assert_eq!(
        (expected[0].as_str(), expected[20].as_str()),
        ("t30-6", "t10-0")
    );

    for limit in [1, 2, 4, 7, 21, 100] {
        let mut filter = ListFilter { limit, ..all() };
        let mut found = Vec::new();
        loop {
            let page = store.list(&filter).await.unwrap();
            assert!(page.len() <= limit as usize);
            let Some(last) = page.last() else { break };
            filter.after = Some((last.summary.created_at, last.gid.clone()));
            found.extend(page.iter().map(|it| it.gid.as_str().to_owned()));
        }
        assert_eq!(found, expected, "by {limit}");
    }
    // What is new comes before the page, and moves nothing.
    let filter = ListFilter {
        after: Some((Timestamp(30), gid("t30-6"))),
        ..all()
    };
    write(store.as_ref(), &[begin_at("newer", 99)]).await;
    expected.remove(0);
    assert_eq!(list(store.as_ref(), &filter).await, expected);
}

pub(super) async fn a_prefix_has_no_special_characters(place: &Place) {
    let store = place.open("a").await;
    let ids = [
        "a%b", "a_b", "axb", "a", "A", "a~", "a~~", "b", "a\\b", "a*", "[a]",
    ];
    write(store.as_ref(), &ids.map(begin)).await;
    for prefix in [
        "a", "a%", "a_", "A", "a~", "~", "a\\", "a*", "[", "", "ab", "ü", "\0",
    ] {
        let filter = ListFilter {
            gid_prefix: Some(prefix.to_owned()),
            ..all()
        };
        let mut found = list(store.as_ref(), &filter).await;
        found.sort_unstable();
        let mut expected: Vec<_> = ids.iter().filter(|id| id.starts_with(prefix)).collect();
        expected.sort_unstable();
        assert!(
            found.iter().eq(expected.iter().copied()),
            "{prefix:?}: {found:?}"
        );
    }
}
