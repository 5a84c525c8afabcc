//! The store for several coordinators: a PostgreSQL database.
//!
//! Who is alive is decided by leases, by the database's time alone. Each write
//! is one statement or one short transaction at READ COMMITTED; what keeps
//! coordinators apart is the comparison in the statement itself, not a lock.
//!
//! A coordinator must have a lease before its first append: without one it
//! counts as gone.

mod append;
mod open;
mod process;

use std::sync::atomic::{AtomicBool, Ordering};

use amends_core::id::{Generation, Gid};
use amends_core::public_state::PublicState;
use amends_core::saga::DefinitionHash;
use amends_core::time::{Millis, Timestamp};
use sqlx::pool::PoolConnection;
use sqlx::{ConnectOptions as _, PgConnection, PgPool, Postgres};
use tokio::sync::Mutex;

use self::open::ACQUIRE_TIMEOUT;
pub(super) use self::open::{migrate, open};
use self::process::{Process, is_gone};
use super::messages::Swept;
use super::shared::shared_methods;
use super::text::{above_prefix, without_nul};
use super::{
    Append, Appended, DEFINITION_KEPT_FOR, Incarnation, ListFilter, Listed, MAX_PAGE, Registered,
    Store, StoreError, StoreResult, Stored, StoredDefinition, StoredParticipant, rows,
};

/// What [`shared_methods`] speaks to.
type Db = Postgres;

/// A store in a PostgreSQL database.
#[derive(Debug)]
pub(super) struct PostgresStore {
    pub(super) incarnation: Incarnation,
    process: Option<Process>,
    /// Whether coordinators of this machine that are gone were looked for.
    knows_gone: AtomicBool,
    pub(super) swept: Swept,
    pool: PgPool,
    /// The connection that appends. Not one of the pool, which would ask it for
    /// a sign of life after each use. None: to be made when it is needed.
    appender: Mutex<Option<PgConnection>>,
    /// Number of the next adoption; one at a time.
    adoption: Mutex<i64>,
}

const LOAD: &str = concat!(
    "SELECT ",
    rows::summary_columns!(),
    ", owner, generation, last_record, parked FROM transactions WHERE gid = ANY($1)"
);

const LOAD_LOG: &str = "SELECT gid, seq, records FROM transaction_log \
    WHERE gid = ANY($1) ORDER BY gid, seq";

/// The database's time in milliseconds.
macro_rules! now {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    };
}
pub(super) use now;

/// `owners` walks the index from one owner to the next, so that the many rows of
/// coordinators that live cost nothing. Rows that another is adopting are skipped.
const ADOPT: &str = concat!(
    "WITH RECURSIVE owners AS ( \
        (SELECT owner FROM transactions WHERE finished_at IS NULL ORDER BY owner LIMIT 1) \
        UNION ALL \
        SELECT (SELECT t.owner FROM transactions t \
                WHERE t.finished_at IS NULL AND t.owner > o.owner ORDER BY t.owner LIMIT 1) \
        FROM owners o WHERE o.owner IS NOT NULL \
    ), gone AS ( \
        SELECT owner FROM owners o \
        WHERE owner IS NOT NULL AND owner <> $1 AND NOT EXISTS \
            (SELECT 1 FROM coordinators c WHERE c.incarnation = o.owner AND c.lease_until > ",
    now!(),
    ") ), claimed AS ( \
        SELECT gid FROM transactions \
        WHERE finished_at IS NULL AND owner IN (SELECT owner FROM gone) \
        LIMIT $3 FOR UPDATE SKIP LOCKED \
    ) UPDATE transactions t SET owner = $1, generation = generation + 1, adoption = $2 \
    FROM claimed WHERE t.gid = claimed.gid"
);

const ADOPTED: &str = "SELECT gid, wake_at FROM transactions \
    WHERE finished_at IS NULL AND owner = $1 AND adoption = $2";

const REMOVE_FINISHED: &str = "WITH removed AS ( \
        DELETE FROM transactions WHERE gid IN \
            (SELECT gid FROM transactions WHERE finished_at IS NOT NULL AND finished_at < $1 \
             ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING gid \
    ), logs AS (DELETE FROM transaction_log WHERE gid IN (SELECT gid FROM removed)) \
    SELECT count(*) FROM removed";

const RENEW_LEASE: &str = concat!(
    "INSERT INTO coordinators \
         (incarnation, address, machine, process, started_at, lease_until) \
     VALUES ($1, $2, $4, $5, ",
    now!(),
    ", ",
    now!(),
    " + $3) ON CONFLICT (incarnation) \
     DO UPDATE SET address = excluded.address, lease_until = excluded.lease_until"
);

const OF_MACHINE: &str = "SELECT incarnation, process FROM coordinators \
    WHERE machine = $1 AND process IS NOT NULL";

const FORGET: &str = "DELETE FROM coordinators WHERE incarnation = ANY($1)";

const RELEASE_LEASE: &str = "DELETE FROM coordinators WHERE incarnation = $1";

impl PostgresStore {
    pub(super) async fn read(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        Ok(self.pool.acquire().await?)
    }

    /// A connection of its own.
    async fn connect(&self) -> Result<PgConnection, StoreError> {
        let options = self.pool.connect_options();
        let connected = tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect()).await;
        Ok(connected.map_err(|_elapsed| sqlx::Error::PoolTimedOut)??)
    }

    pub(super) async fn write(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        self.read().await
    }

    /// Ends the leases of coordinators of this machine whose process is gone,
    /// so that one that is started again after a crash need not wait for its own.
    async fn forget_gone(&self, process: &Process) -> Result<(), StoreError> {
        let mut connection = self.write().await?;
        let known = sqlx::query_as(OF_MACHINE).bind(&process.machine);
        let mut known: Vec<(String, String)> = known.fetch_all(&mut *connection).await?;
        known.retain(|(_, id)| is_gone(id));
        if !known.is_empty() {
            let gone: Vec<String> = known.into_iter().map(|(gone, _)| gone).collect();
            let forget = sqlx::query(FORGET).bind(gone);
            forget.execute(&mut *connection).await?;
        }
        self.knows_gone.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// What adoption `number` has brought; empty before it took place.
    async fn adopted(&self, number: i64) -> Result<Vec<(String, Option<i64>)>, StoreError> {
        let adopted = sqlx::query_as(ADOPTED)
            .bind(&self.incarnation.0)
            .bind(number);
        Ok(adopted.fetch_all(&mut *self.read().await?).await?)
    }

    /// Rows and logs from one snapshot.
    async fn load_all(&self, gids: &[&str]) -> Result<Vec<Stored>, StoreError> {
        const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let mut snapshot = self.pool.begin_with(SNAPSHOT).await?;
        let found = sqlx::query_as(LOAD).bind(gids);
        let found = found.fetch_all(&mut *snapshot).await?;
        let log = sqlx::query_as(LOAD_LOG).bind(gids);
        let log = log.fetch_all(&mut *snapshot).await?;
        snapshot.commit().await?;
        rows::with_logs(found, log)
    }
}

impl Store for PostgresStore {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    fn append<'a>(&'a self, batch: &'a [Append]) -> StoreResult<'a, Vec<Appended>> {
        Box::pin(async move {
            // Taken out: what is left of it after an error, or when this is
            // dropped, is closed.
            let mut appender = self.appender.lock().await;
            let mut connection = match appender.take() {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            let outcomes = append::append(&mut connection, &self.incarnation, batch).await?;
            *appender = Some(connection);
            Ok(outcomes)
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
        Box::pin(async move {
            let removed: i64 = sqlx::query_scalar(REMOVE_FINISHED)
                .bind(before.0)
                .bind(i64::from(limit))
                .fetch_one(&mut *self.write().await?)
                .await?;
            Ok(removed.unsigned_abs())
        })
    }

    fn renew_lease<'a>(&'a self, address: &'a str, lease: Millis) -> StoreResult<'a, ()> {
        Box::pin(async move {
            if let Some(process) = &self.process
                && !self.knows_gone.load(Ordering::Relaxed)
            {
                self.forget_gone(process).await?;
            }
            sqlx::query(RENEW_LEASE)
                .bind(&self.incarnation.0)
                .bind(address)
                .bind(rows::signed(lease.0)?)
                .bind(self.process.as_ref().map(|process| &process.machine))
                .bind(self.process.as_ref().map(|process| &process.id))
                .execute(&mut *self.write().await?)
                .await?;
            Ok(())
        })
    }

    fn release_lease(&self) -> StoreResult<'_, ()> {
        Box::pin(async move {
            sqlx::query(RELEASE_LEASE)
                .bind(&self.incarnation.0)
                .execute(&mut *self.write().await?)
                .await?;
            Ok(())
        })
    }

    shared_methods!();
}
