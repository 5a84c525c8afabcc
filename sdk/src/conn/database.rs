//! [`Database`]: the service's own database.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Conn, DatabaseError};
#[cfg(feature = "sqlite")]
use {
    sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions},
    tokio::sync::Semaphore,
};

/// How long a statement waits for a lock that another transaction holds.
/// Beyond it the step's outcome is unknown and the coordinator calls again.
pub const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Connections per database, unless the pool is the caller's own.
pub const MAX_CONNECTIONS: u32 = 16;

const SCHEMES: [&str; 5] = ["sqlite", "postgres", "postgresql", "mysql", "mariadb"];

/// The service's own database: a pool of connections to SQLite, PostgreSQL,
/// MySQL or MariaDB. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pub(super) pool: Pool,
    /// Told when a transaction that published something has committed.
    pub(super) outbox: Arc<Notify>,
}

/// Which language a database speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// SQLite.
    #[cfg(feature = "sqlite")]
    Sqlite,
    /// PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres,
    /// MySQL and MariaDB.
    #[cfg(feature = "mysql")]
    MySql,
}

#[derive(Clone)]
pub(super) enum Pool {
    #[cfg(feature = "sqlite")]
    Sqlite {
        pool: SqlitePool,
        /// SQLite has one writer at a time and lets the others poll; here they queue.
        writer: Arc<Semaphore>,
    },
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
    #[cfg(feature = "mysql")]
    MySql(sqlx::MySqlPool),
}

impl Database {
    /// Opens a database by its URL: `sqlite:path` (created when missing),
    /// `postgres://..`, `mysql://..`.
    ///
    /// SQLite gets WAL, foreign keys and full sync; PostgreSQL and MySQL
    /// sessions are READ COMMITTED; everywhere a wait for a lock ends after
    /// [`LOCK_WAIT`].
    ///
    /// # Errors
    /// [`DatabaseError::Url`] for a URL that is none or whose feature is off,
    /// [`DatabaseError::Unavailable`] when the database cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, DatabaseError> {
        match url.split_once(':').map_or("", |(scheme, _)| scheme) {
            #[cfg(feature = "sqlite")]
            "sqlite" => Self::connect_sqlite(url).await,
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => Self::connect_postgres(url).await,
            #[cfg(feature = "mysql")]
            "mysql" | "mariadb" => Self::connect_mysql(url).await,
            scheme if SCHEMES.contains(&scheme) => Err(DatabaseError::Url(format!(
                "the feature for `{scheme}` is not enabled"
            ))),
            _ => Err(DatabaseError::Url(format!(
                "it begins with none of {SCHEMES:?}"
            ))),
        }
    }

    fn over(pool: Pool) -> Self {
        Self {
            pool,
            outbox: Arc::default(),
        }
    }

    /// Which language it speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match &self.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite { .. } => Dialect::Sqlite,
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => Dialect::Postgres,
            #[cfg(feature = "mysql")]
            Pool::MySql(_) => Dialect::MySql,
        }
    }

    /// Wakes when something was published through this `Database` or a clone.
    pub(crate) fn outbox_notify(&self) -> Arc<Notify> {
        Arc::clone(&self.outbox)
    }

    /// Opens a transaction; end it with [`Conn::commit`]. Dropping it rolls back.
    ///
    /// On SQLite it is a writing one (`BEGIN IMMEDIATE`), and the callers
    /// queue for it, at most [`LOCK_WAIT`].
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`], and on SQLite the conflicts.
    pub async fn begin(&self) -> Result<Conn, DatabaseError> {
        Conn::begin(self).await
    }

    /// Runs `work` in a transaction: `Ok` commits, `Err` rolls back.
    ///
    /// Nothing is repeated here; see [`DatabaseError::is_conflict`]. When the
    /// future is dropped, nothing was done, unless the commit was under way.
    ///
    /// # Errors
    /// Those of `work`, and those of beginning and committing.
    pub async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Conn) -> Result<T, E>,
        E: From<DatabaseError>,
    {
        let mut conn = self.begin().await?;
        let done = work(&mut conn).await;
        match done {
            Ok(value) => {
                conn.commit().await?;
                Ok(value)
            }
            Err(error) => {
                // The connection is closed by its pool if this fails; the work's own error says more.
                conn.rollback().await.ok();
                Err(error)
            }
        }
    }

    /// Closes all connections; waits for those in use.
    pub async fn close(&self) {
        match &self.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite { pool, .. } => pool.close().await,
            #[cfg(feature = "postgres")]
            Pool::Postgres(pool) => pool.close().await,
            #[cfg(feature = "mysql")]
            Pool::MySql(pool) => pool.close().await,
        }
    }
}

#[cfg(feature = "sqlite")]
impl Database {
    /// Takes a pool of the caller's. Use one `Database` and its clones per
    /// pool: writers queue per `Database`.
    #[must_use]
    pub fn from_sqlite(pool: SqlitePool) -> Self {
        Self::over(Pool::Sqlite {
            pool,
            writer: Arc::new(Semaphore::new(1)),
        })
    }

    /// The pool, if this is SQLite.
    #[must_use]
    pub fn sqlite(&self) -> Option<&SqlitePool> {
        match &self.pool {
            Pool::Sqlite { pool, .. } => Some(pool),
            #[allow(unreachable_patterns)] // with this feature alone
            _ => None,
        }
    }

    async fn connect_sqlite(url: &str) -> Result<Self, DatabaseError> {
        let options: SqliteConnectOptions = url.parse().map_err(|error| url_error(&error))?;
        let options = options
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(LOCK_WAIT);
        // Every connection to an in-memory database has a database of its own.
        let in_memory = url.contains(":memory:") || url.contains("mode=memory");
        let connections = if in_memory { 1 } else { MAX_CONNECTIONS };
        let mut pool = SqlitePoolOptions::new().max_connections(connections);
        if in_memory {
            pool = pool
                .min_connections(1)
                .idle_timeout(None)
                .max_lifetime(None);
        }
        Ok(Self::from_sqlite(pool.connect_with(options).await?))
    }
}

#[cfg(feature = "postgres")]
impl Database {
    /// Takes a pool of the caller's; set a `lock_timeout` on its sessions.
    #[must_use]
    pub fn from_postgres(pool: sqlx::PgPool) -> Self {
        Self::over(Pool::Postgres(pool))
    }

    /// The pool, if this is PostgreSQL.
    #[must_use]
    pub fn postgres(&self) -> Option<&sqlx::PgPool> {
        match &self.pool {
            Pool::Postgres(pool) => Some(pool),
            #[allow(unreachable_patterns)] // with this feature alone
            _ => None,
        }
    }

    async fn connect_postgres(url: &str) -> Result<Self, DatabaseError> {
        let options: sqlx::postgres::PgConnectOptions =
            url.parse().map_err(|error| url_error(&error))?;
        let lock_timeout = format!("{}ms", LOCK_WAIT.as_millis());
        let options = options.options([
            ("lock_timeout", lock_timeout.as_str()),
            ("default_transaction_isolation", "read committed"),
        ]);
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(MAX_CONNECTIONS);
        Ok(Self::from_postgres(pool.connect_with(options).await?))
    }
}

#[cfg(feature = "mysql")]
impl Database {
    /// Takes a pool of the caller's; set READ COMMITTED and an
    /// `innodb_lock_wait_timeout` on its sessions.
    #[must_use]
    pub fn from_mysql(pool: sqlx::MySqlPool) -> Self {
        Self::over(Pool::MySql(pool))
    }

    /// The pool, if this is MySQL or MariaDB.
    #[must_use]
    pub fn mysql(&self) -> Option<&sqlx::MySqlPool> {
        match &self.pool {
            Pool::MySql(pool) => Some(pool),
            #[allow(unreachable_patterns)] // with this feature alone
            _ => None,
        }
    }

    async fn connect_mysql(url: &str) -> Result<Self, DatabaseError> {
        let options: sqlx::mysql::MySqlConnectOptions =
            url.parse().map_err(|error| url_error(&error))?;
        let session = format!(
            "set session transaction isolation level read committed; \
             set session innodb_lock_wait_timeout = {}",
            LOCK_WAIT.as_secs()
        );
        let pool = sqlx::mysql::MySqlPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .after_connect(move |conn, _| {
                let session = session.clone();
                Box::pin(async move {
                    sqlx::raw_sql(sqlx::AssertSqlSafe(session))
                        .execute(conn)
                        .await
                        .map(drop)
                })
            });
        Ok(Self::from_mysql(pool.connect_with(options).await?))
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({:?})", self.dialect())
    }
}

// The URL itself may hold a password and is not repeated.
fn url_error(error: &sqlx::Error) -> DatabaseError {
    DatabaseError::Url(error.to_string())
}
