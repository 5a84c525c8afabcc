//! Opening a SQLite file: what can be wrong with it is said before it is used.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::Mutex;

use super::{FileLock, SqliteStore};
use crate::config::Migrate;
use crate::store::failure::{
    DATABASE_MISSING, FILE_NOT_WRITABLE, READ_ONLY, URL_INVALID, unusable,
};
use crate::store::messages::Swept;
use crate::store::migrate::{DryRun, MigrationReport, inspect};
use crate::store::{Incarnation, StoreError};

static MIGRATOR: Migrator = sqlx::migrate!("../migrations/coordinator/sqlite");

/// How long a statement waits for somebody else's, a backup's for example.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Most statements that a connection keeps prepared: all that writing batches
/// makes, of all sizes, and the others.
const MAX_PREPARED: usize = 240;
/// Memory for pages that are written again and again, in KiB (hence negative).
const WRITER_CACHE: &str = "-8192";
/// Pages of the write-ahead log after which it is folded into the file: 16 MiB.
/// Most are pages written many times; each is folded once.
const CHECKPOINT_AFTER: &str = "4000";
/// Most connections that read.
const MAX_READERS: u32 = 4;

/// Opens the store in `file`, which is created where [`Migrate::Auto`] allows it.
pub(in crate::store) async fn open(
    file: &str,
    max_connections: u32,
    incarnation: Incarnation,
    mode: Migrate,
) -> Result<SqliteStore, StoreError> {
    let path = check_path(file, mode == Migrate::Auto)?;
    let lock = FileLock::take(&path)?;
    let options = options(&path).create_if_missing(mode == Migrate::Auto);
    let mut writer = writer_options(options.clone()).connect().await?;
    match mode {
        Migrate::Auto => {
            apply(&mut writer).await?;
        }
        Migrate::Check => inspect(&mut writer, &MIGRATOR).await?.demand_complete()?,
        Migrate::Off => {}
    }
    let readers = SqlitePoolOptions::new()
        .max_connections(max_connections.clamp(1, MAX_READERS))
        .test_before_acquire(false)
        .connect_lazy_with(options.create_if_missing(false));
    Ok(SqliteStore {
        incarnation,
        swept: Swept::default(),
        writer: Mutex::new(writer),
        appending: AtomicBool::new(false),
        readers,
        adoption: Mutex::new(1),
        _lock: lock,
    })
}

/// Those of the one connection that writes.
pub(super) fn writer_options(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .pragma("cache_size", WRITER_CACHE)
        .pragma("wal_autocheckpoint", CHECKPOINT_AFTER)
}

/// A database that is its connection, with all tables.
pub(in crate::store) async fn open_in_memory() -> Result<SqliteConnection, StoreError> {
    let options = SqliteConnectOptions::new()
        .in_memory(true)
        .statement_cache_capacity(MAX_PREPARED)
        .disable_statement_logging();
    let mut connection = options.connect().await?;
    // Nobody will ask which ones were applied.
    for migration in MIGRATOR.iter() {
        let tables = sqlx::raw_sql(migration.sql.clone());
        tables.execute(&mut connection).await?;
    }
    Ok(connection)
}

/// Tells about the migrations of a file, or applies them.
pub(in crate::store) async fn migrate(
    file: &str,
    dry_run: DryRun,
) -> Result<MigrationReport, StoreError> {
    match dry_run {
        DryRun::Yes => {
            let path = check_path(file, false)?;
            let mut connection = options(&path).connect().await?;
            let report = inspect(&mut connection, &MIGRATOR).await?;
            connection.close().await?;
            Ok(report)
        }
        DryRun::No => {
            let path = check_path(file, true)?;
            let _lock = FileLock::take(&path)?;
            let options = options(&path).create_if_missing(true);
            let mut connection = options.connect().await?;
            let report = apply(&mut connection).await?;
            connection.close().await?;
            Ok(report)
        }
    }
}

async fn apply(connection: &mut SqliteConnection) -> Result<MigrationReport, StoreError> {
    let mut report = inspect(connection, &MIGRATOR).await?;
    MIGRATOR.run(&mut *connection).await?;
    report.applied_now = std::mem::take(&mut report.pending);
    Ok(report)
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(MAX_PREPARED)
        .disable_statement_logging()
}

fn check_path(file: &str, may_create: bool) -> Result<PathBuf, StoreError> {
    if file.contains('?') {
        let message = format!("sqlite:{file}: a SQLite store takes no parameters");
        return Err(unusable(URL_INVALID, message));
    }
    let path = PathBuf::from(file);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        let message = format!("the folder {} does not exist: create it", folder.display());
        return Err(unusable("DIRECTORY_MISSING", message));
    }
    match path.metadata() {
        Ok(found) if !found.is_file() => {
            let message = format!("{} is not a file", path.display());
            Err(unusable(FILE_NOT_WRITABLE, message))
        }
        // Asked of the file, not of SQLite: root may write what nobody else may.
        Ok(found) if found.permissions().readonly() => {
            let message = format!("{} is read-only", path.display());
            Err(unusable(READ_ONLY, message))
        }
        Ok(_) => Ok(path),
        Err(_) if may_create => Ok(path),
        Err(_) => {
            let message = format!("{} does not exist: run `amends migrate`", path.display());
            Err(unusable(DATABASE_MISSING, message))
        }
    }
}
