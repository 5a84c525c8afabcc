//! The tables that the SDK keeps in the service's own database:
//! `consumer_log`, `consumer_failure`, `message_outbox` and its lease.
//!
//! Take them in whichever way the service manages its tables: as text
//! ([`SQLITE`], [`POSTGRES`], [`MYSQL`]), as a [`sqlx::migrate::Migrator`]
//! ([`migrator`]), or created where missing
//! ([`Database::create_tables_if_missing`]).

use sqlx::migrate::Migrator;

use crate::conn::Dialect;
use crate::{Database, DatabaseError};

/// The tables for SQLite.
#[cfg(feature = "sqlite")]
pub const SQLITE: &str = concat!(
    include_str!("../../migrations/participant/sqlite/0001_consumer_log.sql"),
    include_str!("../../migrations/participant/sqlite/0002_message_outbox.sql"),
);

/// The tables for PostgreSQL.
#[cfg(feature = "postgres")]
pub const POSTGRES: &str = concat!(
    include_str!("../../migrations/participant/postgres/0001_consumer_log.sql"),
    include_str!("../../migrations/participant/postgres/0002_message_outbox.sql"),
);

/// The tables for MySQL and MariaDB.
#[cfg(feature = "mysql")]
pub const MYSQL: &str = concat!(
    include_str!("../../migrations/participant/mysql/0001_consumer_log.sql"),
    include_str!("../../migrations/participant/mysql/0002_message_outbox.sql"),
);

/// Where [`migrator`] notes what was applied. Not the usual table of sqlx, so
/// that it does not meet the service's own migrations there.
pub const MIGRATIONS_TABLE: &str = "_amends_migrations";

/// The tables as text.
#[must_use]
pub fn text(dialect: Dialect) -> &'static str {
    match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => SQLITE,
        #[cfg(feature = "postgres")]
        Dialect::Postgres => POSTGRES,
        #[cfg(feature = "mysql")]
        Dialect::MySql => MYSQL,
    }
}

/// The tables as migrations of sqlx: `migrator(database.dialect()).run(pool)`.
#[must_use]
pub fn migrator(dialect: Dialect) -> Migrator {
    let mut migrator = match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => sqlx::migrate!("../migrations/participant/sqlite"),
        #[cfg(feature = "postgres")]
        Dialect::Postgres => sqlx::migrate!("../migrations/participant/postgres"),
        #[cfg(feature = "mysql")]
        Dialect::MySql => sqlx::migrate!("../migrations/participant/mysql"),
    };
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    migrator
}

/// Two instances that create the tables at the same moment can meet in
/// PostgreSQL's catalogue, where `if not exists` does not help the slower one.
const MAX_CREATE_ATTEMPTS: u32 = 3;

/// Besides a unique row of the catalogue it can be the type or the table that
/// the other one has just made.
fn is_made_by_another(error: &DatabaseError) -> bool {
    const DUPLICATE_OBJECT: &str = "42710";
    const DUPLICATE_TABLE: &str = "42P07";
    match error {
        DatabaseError::Duplicate(_) | DatabaseError::Conflict(_) => true,
        DatabaseError::Query(sqlx::Error::Database(error)) => error
            .code()
            .is_some_and(|code| code == DUPLICATE_OBJECT || code == DUPLICATE_TABLE),
        _ => false,
    }
}

impl Database {
    /// Creates the SDK's tables where they are missing; what exists stays as
    /// it is. Safe to call at every start, from several instances at once.
    ///
    /// # Errors
    /// As the database says, for example without the right to create tables.
    pub async fn create_tables_if_missing(&self) -> Result<(), DatabaseError> {
        let mut attempt = 1;
        loop {
            match self.create_tables().await {
                Err(error) if is_made_by_another(&error) && attempt < MAX_CREATE_ATTEMPTS => {
                    attempt += 1;
                }
                created => return created,
            }
        }
    }

    async fn create_tables(&self) -> Result<(), DatabaseError> {
        let mut conn = self.begin().await?;
        conn.execute_text(text(conn.dialect())).await?;
        conn.commit().await
    }
}
