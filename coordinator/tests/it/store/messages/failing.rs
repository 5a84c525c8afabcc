//! A batch is written or not, whatever goes wrong in the middle of it.

use amends_coordinator::config::StoreUrl;
use amends_coordinator::store::memory::{Fault, MemoryStore};
use amends_coordinator::store::messages::{MessageStore, MessageWrite, Written};
use amends_coordinator::store::{Incarnation, StoreError};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

use super::super::place::Place;
use super::samples::{claim, committed, done, given, id, load, message, settle, state, write_all};

/// Makes the message `poison` one that the database refuses, or does so no more.
async fn poison(place: &Place, refused: bool) {
    let statement = match (place, refused) {
        (Place::Memory(_), _) => return,
        (Place::Sqlite(_), true) => {
            "CREATE TRIGGER stop BEFORE INSERT ON messages WHEN NEW.id = 'poison' \
             BEGIN SELECT RAISE(ABORT, 'stopped'); END"
        }
        (Place::Sqlite(_), false) => "DROP TRIGGER stop",
        (Place::Postgres(_), true) => {
            "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF NEW.id = 'poison' THEN RAISE EXCEPTION 'stopped'; END IF; RETURN NEW; \
             END $$; \
             CREATE TRIGGER stop BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION stop()"
        }
        (Place::Postgres(_), false) => "DROP FUNCTION stop() CASCADE",
    };
    let statement = sqlx::raw_sql(AssertSqlSafe(statement));
    match place {
        Place::Memory(_) => {}
        Place::Sqlite(folder) => {
            let path = folder.path().join("amends.db");
            let url = format!("sqlite:{}", path.display());
            let mut connection = SqliteConnection::connect(&url).await.unwrap();
            connection.execute(statement).await.unwrap();
        }
        Place::Postgres(url) => {
            let StoreUrl::Postgres { url } = url else {
                panic!("{url} is no PostgreSQL database");
            };
            let mut connection = PgConnection::connect(url.expose()).await.unwrap();
            connection.execute(statement).await.unwrap();
        }
    }
}

/// The next write fails in the middle.
async fn fail_next(place: &Place) {
    if let Place::Memory(first) = place {
        first.messages().faults().next_append(Fault::FailBefore);
    }
    poison(place, true).await;
}

async fn fails(store: &dyn MessageStore, batch: &[MessageWrite]) {
    let result = store.write(batch).await;
    assert!(
        matches!(result, Err(StoreError::Unavailable(_))),
        "{result:?}"
    );
}

pub(super) async fn a_batch_is_written_whole_or_not(place: &Place) {
    let store = place.messages("a").await;
    write_all(&*store, &[committed(&message("m"))]).await;
    let many = [
        claim("m"),
        given(&message("n"), &["g"]),
        committed(&message("poison")),
        given(&message("o"), &["g"]),
    ];
    // The same message twice: one by one.
    let mut one_by_one = many.to_vec();
    one_by_one.insert(0, settle("g", &message("x"), 1, done()));
    one_by_one.insert(1, settle("g", &message("x"), 1, done()));
    for batch in [&many[..], &one_by_one[..]] {
        fail_next(place).await;
        fails(&*store, batch).await;
        for text in ["n", "o", "x", "poison"] {
            assert!(load(&*store, text).await.is_none(), "{text}");
        }
        assert_eq!(load(&*store, "m").await.unwrap().try_count, 0);
        poison(place, false).await;
    }
    write_all(&*store, &one_by_one).await;
    for text in ["n", "o", "x", "poison"] {
        assert!(load(&*store, text).await.is_some(), "{text}");
    }
}

/// Dropped anywhere, a write took place or not, and others can write after it.
pub(super) async fn an_abandoned_write_leaves_nothing_half_done(place: &Place) {
    let store = place.messages("a").await;
    for polls in 0..40 {
        let ids = [0, 1, 2].map(|i| format!("m{polls}-{i}"));
        let [first, second, third] = ids.each_ref().map(|text| message(text));
        // Each kind of statement, many at a time and alone.
        let mut batch = vec![
            given(&first, &["g"]),
            committed(&second),
            given(&third, &["g"]),
        ];
        if polls % 2 == 1 {
            batch.push(settle("g", &third, 1, done()));
        }
        let some_polls = async || {
            for _ in 0..polls {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            written = store.write(&batch) => {
                written.unwrap();
            }
            () = some_polls() => {}
        }
        write_all(&*store, &[committed(&message(&format!("after-{polls}")))]).await;
        let all = ids.each_ref().map(|text| id(text));
        let found = store.messages(&all).await.unwrap().len();
        assert!(found == 0 || found == 3, "{found} of 3 after {polls} polls");
        for answer in store.write(&batch).await.unwrap() {
            assert!(matches!(answer, Written::Done | Written::Exists(_)));
        }
        assert_eq!(state(&*store, &ids[1]).await, "COMMITTED");
    }
}

#[tokio::test]
async fn a_lost_answer_is_found_out_by_repeating() {
    let store = MemoryStore::new(Incarnation("a".to_owned())).messages();
    store.faults().next_append(Fault::FailAfterCommit);
    let batch = [committed(&message("m"))];
    fails(&store, &batch).await;
    let stored = load(&store, "m").await.unwrap();
    let again = store.write(&batch).await.unwrap();
    assert_eq!(again, [Written::Exists(Box::new(stored))]);
}
