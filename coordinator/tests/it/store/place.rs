//! Where a store is for the time of one test.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;

use amends_coordinator::config::{Migrate, StoreUrl};
use amends_coordinator::store::memory::MemoryStore;
use amends_coordinator::store::messages::MessageStore;
use amends_coordinator::store::open::{StoreOptions, Stores, open};
use amends_coordinator::store::{Incarnation, Store, StoreError};
use futures_util::FutureExt;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;

/// Data that stores can be opened over, one after the other.
pub(crate) enum Place {
    Memory(MemoryStore),
    Sqlite(TempDir),
    Postgres(StoreUrl),
}

impl Place {
    /// The URL of a database on a server, with everything in it.
    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Postgres(StoreUrl::Postgres { url }) => url.expose(),
            _ => panic!("not a database on a server"),
        }
    }

    /// A store for an incarnation. A SQLite file takes one at a time.
    pub(crate) async fn open(&self, incarnation: &str) -> Arc<dyn Store> {
        self.stores(incarnation).await.transactions
    }

    /// The messages of a store for an incarnation.
    pub(crate) async fn messages(&self, incarnation: &str) -> Arc<dyn MessageStore> {
        self.stores(incarnation).await.messages
    }

    /// Both halves of a store for an incarnation.
    pub(crate) async fn stores(&self, incarnation: &str) -> Stores {
        self.try_open(incarnation, Migrate::Auto).await.unwrap()
    }

    pub(crate) async fn try_open(
        &self,
        incarnation: &str,
        migrate: Migrate,
    ) -> Result<Stores, StoreError> {
        let incarnation = Incarnation(incarnation.to_owned());
        match self {
            Self::Memory(first) => {
                let store = first.reopen(incarnation);
                Ok(Stores {
                    messages: Arc::new(store.messages()),
                    transactions: Arc::new(store),
                })
            }
            Self::Sqlite(_) | Self::Postgres(_) => {
                open(&self.options(), incarnation, migrate).await
            }
        }
    }

    /// Rows of messages, deliveries and dead letters; zero for memory.
    pub(crate) async fn rows_of_messages(&self) -> i64 {
        match self {
            Self::Memory(_) => 0,
            Self::Sqlite(folder) => {
                let url = format!("sqlite:{}", folder.path().join("amends.db").display());
                let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
                sqlx::query_scalar(ROWS)
                    .fetch_one(&mut connection)
                    .await
                    .unwrap()
            }
            Self::Postgres(url) => {
                let StoreUrl::Postgres { url } = url else {
                    panic!("{url} is no server");
                };
                let mut connection = PgConnection::connect(url.expose()).await.unwrap();
                sqlx::query_scalar(ROWS)
                    .fetch_one(&mut connection)
                    .await
                    .unwrap()
            }
        }
    }

    /// What leads to the place; not for memory.
    pub(crate) fn options(&self) -> StoreOptions {
        let url = match self {
            Self::Memory(_) => panic!("each store in memory is a new one"),
            Self::Sqlite(folder) => {
                let path = folder.path().join("amends.db");
                format!("sqlite:{}", path.display()).parse().unwrap()
            }
            Self::Postgres(url) => url.clone(),
        };
        StoreOptions {
            url,
            max_connections: 4,
        }
    }
}

/// How many rows there are in all tables about messages, but those of subscriptions.
const ROWS: &str = "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM deliveries) \
    + (SELECT count(*) FROM dead_letters)";

pub(crate) async fn memory(case: impl AsyncFnOnce(&Place)) {
    let first = MemoryStore::new(Incarnation("nobody".to_owned()));
    case(&Place::Memory(first)).await;
}

pub(crate) async fn sqlite(case: impl AsyncFnOnce(&Place)) {
    case(&Place::Sqlite(TempDir::new().unwrap())).await;
}

/// Runs a case on a database of its own, which is dropped however the case ends.
pub(crate) async fn postgres(case: impl AsyncFnOnce(&Place)) {
    let name = format!("amends_test_{}", uuid::Uuid::new_v4().simple());
    administer(format!("CREATE DATABASE {name}")).await;
    let place = Place::Postgres(server_url(&name).parse().unwrap());
    let result = AssertUnwindSafe(case(&place)).catch_unwind().await;
    administer(format!("DROP DATABASE {name} WITH (FORCE)")).await;
    result.unwrap_or_else(|panic| resume_unwind(panic));
}

/// The URL of a database on the server for tests.
pub(crate) fn server_url(database: &str) -> String {
    let url = server();
    let (start, query) = url.split_once('?').unwrap_or((&url, ""));
    let after_scheme = start.find("://").unwrap() + 3;
    let slash = start[after_scheme..].find('/');
    let host = slash.map_or(start, |at| &start[..after_scheme + at]);
    match query {
        "" => format!("{host}/{database}"),
        query => format!("{host}/{database}?{query}"),
    }
}

/// One statement outside of the store.
pub(crate) async fn administer(statement: String) {
    let mut connection = PgConnection::connect(&server()).await.unwrap();
    connection.execute(AssertSqlSafe(statement)).await.unwrap();
    connection.close().await.unwrap();
}

fn server() -> String {
    std::env::var("AMENDS_TEST_POSTGRES_URL")
        .expect("AMENDS_TEST_POSTGRES_URL is not set: run the tests with ./test")
}
