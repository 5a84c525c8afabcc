//! The messages of a store in memory: a SQLite database that has no file.
//!
//! One connection, which is the database; it is made at the first use and
//! shared by all incarnations over the same data.

use std::sync::Arc;

use sqlx::SqliteConnection;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::{Faults, MemoryStore};
use crate::store::messages::Swept;
use crate::store::{Incarnation, StoreError, sqlite};

/// The messages of a [`MemoryStore`], for one incarnation.
#[derive(Debug)]
pub struct MemoryMessages {
    pub(in crate::store) incarnation: Incarnation,
    pub(in crate::store) swept: Swept,
    shared: Arc<SharedMessages>,
}

/// What incarnations share.
#[derive(Debug, Default)]
pub(super) struct SharedMessages {
    connection: OnceCell<Mutex<SqliteConnection>>,
    faults: Faults,
}

impl MemoryStore {
    /// Its messages.
    #[must_use]
    pub fn messages(&self) -> MemoryMessages {
        MemoryMessages {
            incarnation: self.incarnation.clone(),
            swept: Swept::default(),
            shared: Arc::clone(&self.shared.messages),
        }
    }
}

impl MemoryMessages {
    /// What is to go wrong with the next writes of messages.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// The connection. What an abandoned write has begun is rolled back by the
    /// driver before the next statement.
    pub(in crate::store) async fn write(
        &self,
    ) -> Result<MutexGuard<'_, SqliteConnection>, StoreError> {
        let open = async || sqlite::open_in_memory().await.map(Mutex::new);
        let connection = self.shared.connection.get_or_try_init(open).await?;
        Ok(connection.lock().await)
    }

    pub(in crate::store) async fn read(
        &self,
    ) -> Result<MutexGuard<'_, SqliteConnection>, StoreError> {
        self.write().await
    }
}
