//! Where a store is for the time of one test.

use std::sync::Arc;

use amends_coordinator::config::Migrate;
use amends_coordinator::store::memory::MemoryStore;
use amends_coordinator::store::open::{StoreOptions, open};
use amends_coordinator::store::{Incarnation, Store, StoreError};
use tempfile::TempDir;

/// Data that stores can be opened over, one after the other.
pub(super) enum Place {
    Memory(MemoryStore),
    Sqlite(TempDir),
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
            Self::Sqlite(_) => open(&self.options(), incarnation, migrate).await,
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
