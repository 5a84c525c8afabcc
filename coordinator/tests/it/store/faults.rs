//! The memory store's faults on order do what they say.

use amends_coordinator::store::memory::{Fault, MemoryStore};
use amends_coordinator::store::{Incarnation, Store, StoreError};

use super::samples::{begin, load, write};

fn store() -> MemoryStore {
    MemoryStore::new(Incarnation("a".to_owned()))
}

#[tokio::test]
async fn a_failed_append_was_written_or_not() {
    let store = store();
    store.faults().next_append(Fault::FailBefore);
    store.faults().next_append(Fault::FailAfterCommit);
    for written in [false, true] {
        let result = store.append(&[begin("t")]).await;
        assert!(
            matches!(result, Err(StoreError::Unavailable(_))),
            "{result:?}"
        );
        assert_eq!(load(&store, "t").await.is_some(), written);
    }
    // Repeating after either is safe.
    write(&store, &[begin("t")]).await;
    assert_eq!(load(&store, "t").await.unwrap().log.len(), 1);
    assert_eq!(store.written(), (2, 2));
}

#[tokio::test]
async fn faults_are_used_up_in_order() {
    let store = store();
    store.faults().next_appends(2, || Fault::FailBefore);
    store.faults().next_append(Fault::Unusable);
    assert_eq!(store.faults().pending(), 3);
    for _ in 0..2 {
        let result = store.append(&[begin("t")]).await;
        assert!(matches!(result, Err(StoreError::Unavailable(_))));
    }
    let result = store.append(&[begin("t")]).await;
    assert!(matches!(
        result,
        Err(StoreError::Unusable {
            code: "READ_ONLY",
            ..
        })
    ));
    write(&store, &[begin("t")]).await;
    store.faults().next_append(Fault::FailBefore);
    store.faults().clear();
    write(&store, &[begin("u")]).await;
}

#[tokio::test]
async fn a_hanging_append_waits_for_its_release() {
    let store = store();
    let (fault, mut hold) = Fault::hang();
    store.faults().next_append(fault);
    let again = store.reopen(Incarnation("a".to_owned()));
    let appending = tokio::spawn(async move { again.append(&[begin("t")]).await });
    assert!(hold.reached().await);
    assert!(load(&store, "t").await.is_none());
    assert!(!appending.is_finished());
    hold.release();
    appending.await.unwrap().unwrap();
    assert!(load(&store, "t").await.is_some());
}
