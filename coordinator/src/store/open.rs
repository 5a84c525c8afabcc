//! From an address to a store.

use std::sync::Arc;

use super::memory::MemoryStore;
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
) -> Result<Arc<dyn Store>, StoreError> {
    let connections = options.max_connections;
    Ok(match &options.url {
        StoreUrl::Memory => Arc::new(MemoryStore::new(incarnation)),
        StoreUrl::Sqlite { path } => {
            Arc::new(sqlite::open(path, connections, incarnation, mode).await?)
        }
        StoreUrl::Postgres { url } => {
            Arc::new(postgres::open(url.expose(), connections, incarnation, mode).await?)
        }
    })
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
