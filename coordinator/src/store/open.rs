//! From an address to a store.

use std::sync::Arc;

use super::memory::MemoryStore;
use super::messages::MessageStore;
pub use super::migrate::{DryRun, Migration, MigrationReport};
use super::{Incarnation, Store, StoreError, postgres, sqlite};
use crate::config::{Migrate, StoreUrl};

/// Where a store is and how much of it to use.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Its address.
    pub url: StoreUrl,
    /// Most connections to it.
    pub max_connections: u32,
}

/// One store, by what is asked of it.
#[derive(Clone)]
pub struct Stores {
    /// Keeps transactions.
    pub transactions: Arc<dyn Store>,
    /// Keeps messages.
    pub messages: Arc<dyn MessageStore>,
}

/// Opens a store for one run of a coordinator.
///
/// # Errors
/// [`StoreError::Unusable`] says what a person has to do: `STORE_LOCKED`,
/// `SCHEMA_TOO_NEW` and so on. [`StoreError::Unavailable`] may pass. No message
/// contains a password.
pub async fn open(
    options: &StoreOptions,
    incarnation: Incarnation,
    mode: Migrate,
) -> Result<Stores, StoreError> {
    let connections = options.max_connections;
    Ok(match &options.url {
        StoreUrl::Memory => {
            let store = MemoryStore::new(incarnation);
            let messages = Arc::new(store.messages());
            Stores {
                transactions: Arc::new(store),
                messages,
            }
        }
        StoreUrl::Sqlite { path } => {
            both(sqlite::open(path, connections, incarnation, mode).await?)
        }
        StoreUrl::Postgres { url } => {
            both(postgres::open(url.expose(), connections, incarnation, mode).await?)
        }
    })
}

fn both(store: impl Store + MessageStore) -> Stores {
    let store = Arc::new(store);
    Stores {
        transactions: Arc::clone(&store) as Arc<dyn Store>,
        messages: store,
    }
}

/// Tells about a store's migrations, or applies them. A store in memory has none.
///
/// # Errors
/// As [`open`].
pub async fn migrate(
    options: &StoreOptions,
    dry_run: DryRun,
) -> Result<MigrationReport, StoreError> {
    match &options.url {
        StoreUrl::Memory => Ok(MigrationReport::default()),
        StoreUrl::Sqlite { path } => sqlite::migrate(path, dry_run).await,
        StoreUrl::Postgres { url } => postgres::migrate(url.expose(), dry_run).await,
    }
}
