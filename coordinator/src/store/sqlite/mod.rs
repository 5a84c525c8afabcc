//! The embedded store: one SQLite file, one coordinator.
//!
//! Every commit is synced before it is reported (`synchronous = FULL`, WAL).
//! One connection writes, a few read; a lock file keeps other coordinators off
//! ([`lock`]), so every other incarnation is a dead one and leases do nothing.

mod append;
mod doubtful;
mod lock;
mod open;

use std::sync::atomic::{AtomicBool, Ordering};

use amends_core::id::{Generation, Gid};
use amends_core::public_state::PublicState;
use amends_core::saga::DefinitionHash;
use amends_core::time::{Millis, Timestamp};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection, Sqlite, SqliteConnection, SqlitePool};
use tokio::sync::{Mutex, MutexGuard};

use self::lock::FileLock;
use self::open::writer_options;
pub(super) use self::open::{migrate, open, open_in_memory};
use super::messages::Swept;
use super::shared::shared_methods;
use super::text::{above_prefix, without_nul};
use super::{
    Append, Appended, DEFINITION_KEPT_FOR, Incarnation, ListFilter, Listed, MAX_PAGE, Registered,
    Store, StoreError, StoreResult, Stored, StoredDefinition, StoredParticipant, rows,
};

/// What [`shared_methods`] speaks to.
type Db = Sqlite;

/// A store in a SQLite file.
#[derive(Debug)]
pub(super) struct SqliteStore {
    pub(super) incarnation: Incarnation,
    pub(super) swept: Swept,
    /// Not a pool: that would ask the connection for a sign of life after each use.
    writer: Mutex<SqliteConnection>,
    /// Still true where an append was dropped: its transaction may be open, of
    /// which the driver knows nothing.
    appending: AtomicBool,
    readers: SqlitePool,
    /// Number of the next adoption; one at a time.
    adoption: Mutex<i64>,
    _lock: FileLock,
}

const LOAD: &str = concat!(
    "SELECT ",
    rows::summary_columns!(),
    ", owner, generation, last_record, parked FROM transactions \
     WHERE gid IN (SELECT value FROM json_each($1))"
);

const LOAD_LOG: &str = "SELECT gid, seq, records FROM transaction_log \
    WHERE gid IN (SELECT value FROM json_each($1)) ORDER BY gid, seq";

/// Any other owner is gone. Two ranges, because "differs" uses no index.
const ADOPT: &str = "UPDATE transactions \
    SET owner = $1, generation = generation + 1, adoption = $2 \
    WHERE gid IN ( \
        SELECT gid FROM transactions WHERE finished_at IS NULL AND owner < $1 \
        UNION ALL \
        SELECT gid FROM transactions WHERE finished_at IS NULL AND owner > $1 LIMIT $3)";

const ADOPTED: &str = "SELECT gid, wake_at FROM transactions \
    WHERE finished_at IS NULL AND owner = $1 AND adoption = $2";

const REMOVE_FINISHED: &str = "DELETE FROM transactions WHERE gid IN \
    (SELECT gid FROM transactions WHERE finished_at IS NOT NULL AND finished_at < $1 \
     ORDER BY finished_at LIMIT $2) RETURNING gid";

const REMOVE_LOGS: &str =
    "DELETE FROM transaction_log WHERE gid IN (SELECT value FROM json_each($1))";

impl SqliteStore {
    pub(super) async fn read(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        Ok(self.readers.acquire().await?)
    }

    /// The connection that writes. One on which a transaction was left open is
    /// replaced: when the disk is full, SQLite itself rolls back, and the
    /// driver's own rollback then fails without end.
    pub(super) async fn write(&self) -> Result<MutexGuard<'_, SqliteConnection>, StoreError> {
        let mut writer = self.writer.lock().await;
        if self.appending.swap(false, Ordering::Relaxed) {
            // Fails where it is not open.
            let _ = sqlx::query(append::ROLLBACK).execute(&mut *writer).await;
        }
        if writer.is_in_transaction() {
            let options = SqliteConnectOptions::clone(&self.readers.connect_options());
            *writer = writer_options(options).connect().await?;
        }
        Ok(writer)
    }

    /// Rows and logs from one snapshot.
    async fn load_all(&self, gids: &[&str]) -> Result<Vec<Stored>, StoreError> {
        let gids = sqlx::types::Json(gids);
        let mut connection = self.read().await?;
        let mut snapshot = connection.begin().await?;
        let found = sqlx::query_as(LOAD).bind(gids);
        let found = found.fetch_all(&mut *snapshot).await?;
        let log = sqlx::query_as(LOAD_LOG).bind(gids);
        let log = log.fetch_all(&mut *snapshot).await?;
        snapshot.commit().await?;
        rows::with_logs(found, log)
    }

    /// What adoption `number` has brought; empty before it took place.
    async fn adopted(&self, number: i64) -> Result<Vec<(String, Option<i64>)>, StoreError> {
        let adopted = sqlx::query_as(ADOPTED)
            .bind(&self.incarnation.0)
            .bind(number);
        Ok(adopted.fetch_all(&mut *self.write().await?).await?)
    }

    async fn remove_ended(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut writer = self.write().await?;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        let removed: Vec<String> = sqlx::query_scalar(REMOVE_FINISHED)
            .bind(before.0)
            .bind(i64::from(limit))
            .fetch_all(&mut *transaction)
            .await?;
        let logs = sqlx::query(REMOVE_LOGS).bind(sqlx::types::Json(&removed));
        logs.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(removed.len() as u64)
    }
}

impl Store for SqliteStore {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn append<'a>(&'a self, batch: &'a [Append]) -> StoreResult<'a, Vec<Appended>> {
        Box::pin(async move {
            let mut writer = self.write().await?;
            self.appending.store(true, Ordering::Relaxed);
            let outcomes = append::append(&mut writer, &self.incarnation, batch).await;
            self.appending.store(false, Ordering::Relaxed);
            outcomes
        })
    }

    fn load<'a>(&'a self, gids: &'a [Gid]) -> StoreResult<'a, Vec<Stored>> {
        Box::pin(async move {
            let gids: Vec<&str> = gids.iter().map(Gid::as_str).collect();
            self.load_all(&gids).await
        })
    }

    fn adopt(&self, due: Timestamp, limit: u32) -> StoreResult<'_, (Vec<Stored>, usize)> {
        Box::pin(async move {
            // The number grows only when the answer is complete: a repetition
            // after an error returns what the first try has taken over.
            let mut number = self.adoption.lock().await;
            let mut adopted = self.adopted(*number).await?;
            if adopted.is_empty() {
                sqlx::query(ADOPT)
                    .bind(&self.incarnation.0)
                    .bind(*number)
                    .bind(i64::from(limit))
                    .execute(&mut *self.write().await?)
                    .await?;
                adopted = self.adopted(*number).await?;
            }
            let in_memory = adopted
                .iter()
                .filter(|row| row.1.is_none_or(|at| at <= due.0));
            let in_memory: Vec<&str> = in_memory.map(|row| row.0.as_str()).collect();
            let stored = self.load_all(&in_memory).await?;
            *number += 1;
            Ok((stored, adopted.len()))
        })
    }

    fn remove_finished(&self, before: Timestamp, limit: u32) -> StoreResult<'_, u64> {
        Box::pin(self.remove_ended(before, limit))
    }

    fn renew_lease<'a>(&'a self, _address: &'a str, _lease: Millis) -> StoreResult<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    /// There is no lease; a clean stop folds the write-ahead log into the
    /// file, so that the file alone is the whole store.
    fn release_lease(&self) -> StoreResult<'_, ()> {
        Box::pin(async {
            let mut writer = self.write().await?;
            self.readers.close().await;
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
                .execute(&mut *writer)
                .await?;
            Ok(())
        })
    }

    shared_methods!();
}
