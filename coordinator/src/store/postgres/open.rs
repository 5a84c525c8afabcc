//! Connecting to PostgreSQL, or to what speaks its protocol.

use std::str::FromStr;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::sync::Mutex;

use super::PostgresStore;
use super::process::Process;
use crate::config::Migrate;
use crate::store::messages::Swept;
use crate::store::migrate::{DryRun, MigrationReport, inspect};
use crate::store::{Incarnation, StoreError};

static MIGRATOR: Migrator = sqlx::migrate!("../migrations/coordinator/postgres");

/// How long a caller waits for a connection.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// What holds for every connection of the pool. Times in milliseconds: no
/// statement of a store is a long one, and none waits long for another. Each
/// looks up a few rows by an index; a plan made while the tables were empty
/// would scan them, and stay in use while they grow. So one plan does for all
/// parameters, and making it anew would cost more than most statements do.
const SESSION: [(&str, &str); 9] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("default_transaction_isolation", "read committed"),
    ("statement_timeout", "30000"),
    ("lock_timeout", "10000"),
    ("idle_in_transaction_session_timeout", "30000"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    // For long statements. A table without an index would cost "more than all", and so be compiled.
    ("jit", "off"),
];

/// Forgets coordinators whose lease ended a day ago: nothing of theirs is left.
const FORGET_LONG_GONE: &str = "DELETE FROM coordinators \
    WHERE lease_until < (extract(epoch FROM clock_timestamp()) * 1000)::bigint - 86400000";

/// Opens the store at `url`.
pub(in crate::store) async fn open(
    url: &str,
    max_connections: u32,
    incarnation: Incarnation,
    mode: Migrate,
) -> Result<PostgresStore, StoreError> {
    let options = options(url)?;
    let mut first = options.connect().await?;
    match mode {
        Migrate::Auto => {
            apply(&mut first).await?;
        }
        Migrate::Check => inspect(&mut first, &MIGRATOR).await?.demand_complete()?,
        Migrate::Off => {}
    }
    if mode != Migrate::Off {
        sqlx::query(FORGET_LONG_GONE).execute(&mut first).await?;
    }
    first.close().await?;
    let pool = PgPoolOptions::new()
        .max_connections(max_connections.max(1))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A dead connection shows soon enough, and repeating is safe.
        .test_before_acquire(false)
        .connect_lazy_with(options.options(SESSION));
    Ok(PostgresStore {
        incarnation,
        process: Process::current(),
        knows_gone: AtomicBool::new(false),
        swept: Swept::default(),
        pool,
        appender: Mutex::new(None),
        adoption: Mutex::new(1),
    })
}

/// Tells about the migrations of a database, or applies them.
pub(in crate::store) async fn migrate(
    url: &str,
    dry_run: DryRun,
) -> Result<MigrationReport, StoreError> {
    let mut connection = options(url)?.connect().await?;
    let report = match dry_run {
        DryRun::Yes => inspect(&mut connection, &MIGRATOR).await?,
        DryRun::No => apply(&mut connection).await?,
    };
    connection.close().await?;
    Ok(report)
}

/// Several may do so at once: one applies, the others wait for it.
async fn apply(connection: &mut PgConnection) -> Result<MigrationReport, StoreError> {
    let mut report = inspect(connection, &MIGRATOR).await?;
    if !report.pending.is_empty() {
        MIGRATOR.run(&mut *connection).await?;
        report.applied_now = std::mem::take(&mut report.pending);
    }
    Ok(report)
}

fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(url)?;
    Ok(options
        .application_name("amends")
        .disable_statement_logging())
}
