//! What only PostgreSQL has: several coordinators at once.

use std::collections::BTreeSet;

use amends_coordinator::store::{Appended, Registered, Store};
use amends_core::id::Generation;
use amends_core::time::{Millis, Timestamp};
use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::place;
use super::samples::{begin, definition, next, sorted_ids, write};

/// Longer than any test.
const LONG: Millis = Millis(600_000);

#[tokio::test]
async fn a_lease_keeps_others_from_adopting() {
    place::postgres(async |place| {
        let (a, b) = (place.open("a").await, place.open("b").await);
        a.renew_lease("127.0.0.1:1", LONG).await.unwrap();
        a.renew_lease("127.0.0.1:1", LONG).await.unwrap();
        write(a.as_ref(), &[begin("t")]).await;
        assert_eq!(b.adopt(Timestamp(0), 10).await.unwrap(), (vec![], 0));
        a.release_lease().await.unwrap();
        let (adopted, _) = b.adopt(Timestamp(0), 10).await.unwrap();
        assert_eq!(sorted_ids(&adopted), ["t"]);
        // The old one is still there, and changes nothing.
        let result = a.append(&[next(&begin("t")), begin("u")]).await.unwrap();
        assert_eq!(result, [Appended::Conflict, Appended::Written]);
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_has_run_out_protects_nothing() {
    place::postgres(async |place| {
        let (a, b) = (place.open("a").await, place.open("b").await);
        a.renew_lease("127.0.0.1:1", Millis(0)).await.unwrap();
        write(a.as_ref(), &[begin("t")]).await;
        let (adopted, count) = b.adopt(Timestamp(0), 10).await.unwrap();
        assert_eq!((sorted_ids(&adopted), count), (vec!["t"], 1));
    })
    .await;
}

#[tokio::test]
async fn a_process_that_is_gone_has_no_lease() {
    /// Beyond the numbers that Linux gives out.
    const NOBODY_HAS_THIS: &str = "'2147483646-1'";
    place::postgres(async |place| {
        let set = async |column: &str, value: &str| {
            let mut connection = PgConnection::connect(place.url()).await.unwrap();
            let statement = format!("UPDATE coordinators SET {column} = {value}");
            connection.execute(AssertSqlSafe(statement)).await.unwrap();
        };
        let adopted = async |by: &str| {
            let store = place.open(by).await;
            store.renew_lease("127.0.0.1:2", Millis(0)).await.unwrap();
            let (_, count) = store.adopt(Timestamp(0), 10).await.unwrap();
            count
        };
        let a = place.open("a").await;
        a.renew_lease("127.0.0.1:1", LONG).await.unwrap();
        write(a.as_ref(), &[begin("t")]).await;
        assert_eq!(adopted("b").await, 0, "it is this very process");
        set("process", "NULL").await;
        assert_eq!(adopted("c").await, 0, "nothing is known of it");
        set("process", NOBODY_HAS_THIS).await;
        set("machine", "'another'").await;
        assert_eq!(adopted("d").await, 0, "who can tell from here?");
        a.release_lease().await.unwrap();
        a.renew_lease("127.0.0.1:1", LONG).await.unwrap();
        set("process", NOBODY_HAS_THIS).await;
        assert_eq!(adopted("e").await, 1);
    })
    .await;
}

#[tokio::test]
async fn adopters_share_what_there_is() {
    place::postgres(async |place| {
        // Two that are gone, and one that lives, by name in their middle.
        for (owner, range) in [("a", 0..100), ("z", 100..200)] {
            let gone = place.open(owner).await;
            let batch: Vec<_> = range.map(|n| begin(&format!("t{n}"))).collect();
            write(gone.as_ref(), &batch).await;
        }
        let alive = place.open("m").await;
        alive.renew_lease("127.0.0.1:1", LONG).await.unwrap();
        write(alive.as_ref(), &[begin("not-this-one")]).await;

        let names = ["n1", "n2", "n3"];
        let adopters = join_all(names.map(|name| place.open(name))).await;
        for store in &adopters {
            store.renew_lease("127.0.0.1:2", LONG).await.unwrap();
        }
        let shares = adopters.iter().map(async |store| {
            let mut share = Vec::new();
            loop {
                let (adopted, count) = store.adopt(Timestamp(0), 7).await.unwrap();
                if count == 0 {
                    return share;
                }
                assert!(adopted.iter().all(|row| row.generation == Generation(2)));
                share.extend(adopted.into_iter().map(|row| row.gid.as_str().to_owned()));
            }
        });
        let mut all: Vec<String> = join_all(shares).await.concat();
        // Skipped by one because another had them locked: they are the other's.
        assert_eq!(all.len(), 200);
        all.sort_unstable();
        let distinct: BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), 200);
        assert!(all.iter().all(|id| id.starts_with('t')));
    })
    .await;
}

#[tokio::test]
async fn one_of_many_creates_an_id_or_a_definition() {
    place::postgres(async |place| {
        let names = ["a", "b", "c", "d"];
        let stores = join_all(names.map(|name| place.open(name))).await;
        let append = async |store: &dyn Store| store.append(&[begin("t")]).await.unwrap();
        let results = join_all(stores.iter().map(|store| append(store.as_ref()))).await;
        let written = results.iter().filter(|it| **it == [Appended::Written]);
        assert_eq!(written.count(), 1, "{results:?}");

        let wanted: Vec<_> = names.map(|hash| definition(hash, "n", 1, 10)).into();
        let registering = stores.iter().zip(&wanted);
        let results = join_all(registering.map(|(s, wanted)| s.register_definition(wanted))).await;
        let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
        let created = |it: &&Registered| matches!(it, Registered::Created(_));
        let different = |it: &&Registered| matches!(it, Registered::Different(_));
        assert_eq!(results.iter().filter(created).count(), 1, "{results:?}");
        assert_eq!(results.iter().filter(different).count(), 3, "{results:?}");
    })
    .await;
}

#[tokio::test]
async fn many_may_migrate_at_once() {
    place::postgres(async |place| {
        let names = ["a", "b", "c", "d"];
        join_all(names.map(|name| place.open(name))).await;
    })
    .await;
}
