//! Where a store is for the time of one test.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;

use amends_coordinator::config::{Migrate, StoreUrl};
use amends_coordinator::store::memory::MemoryStore;
use amends_coordinator::store::open::{StoreOptions, open};
use amends_coordinator::store::{Incarnation, Store, StoreError};
use futures_util::FutureExt;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;

/// Data that stores can be opened over, one after the other.
pub(super) enum Place {
    Memory(MemoryStore),
    Sqlite(TempDir),
    Postgres(StoreUrl),
}

impl Place {
    /// A store for an incarnation. A SQLite file takes one at a time.
    pub(super) async fn open(&self, incarnation: &str) -> Arc<dyn Store> {
        self.try_open(incarnation, Migrate::Auto).await.unwrap()
    }

    pub(super) async fn try_open(
        &self,
        incarnation: &str,
        migrate: Migrate,
    ) -> Result<Arc<dyn Store>, StoreError> {
        let incarnation = Incarnation(incarnation.to_owned());
        match self {
            Self::Memory(first) => Ok(Arc::new(first.reopen(incarnation))),
            Self::Sqlite(_) | Self::Postgres(_) => {
                open(&self.options(), incarnation, migrate).await
            }
        }
    }

    /// What leads to the place; not for memory.
    pub(super) fn options(&self) -> StoreOptions {
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

pub(super) async fn memory(case: impl AsyncFnOnce(&Place)) {
    let first = MemoryStore::new(Incarnation("nobody".to_owned()));
    case(&Place::Memory(first)).await;
}

pub(super) async fn sqlite(case: impl AsyncFnOnce(&Place)) {
    case(&Place::Sqlite(TempDir::new().unwrap())).await;
}

/// Runs a case on a database of its own, which is dropped however the case ends.
pub(super) async fn postgres(case: impl AsyncFnOnce(&Place)) {
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
