//! What can go wrong with the database.

/// An error of the service's database, by what the caller can do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The URL cannot be used; the text says why.
    #[error("the database URL cannot be used: {0}")]
    Url(String),
    /// The transaction lost a race with another one (serialisation failure,
    /// deadlock, lock not granted in time). Run the whole transaction again;
    /// around steps the SDK does so itself.
    #[error("the transaction lost a race with another one")]
    Conflict(#[source] sqlx::Error),
    /// The one writer of a SQLite database was busy for too long. As `Conflict`.
    #[error("the database's writer was busy for {0:?}")]
    WriterBusy(std::time::Duration),
    /// A unique key was violated.
    #[error("there is such a row already")]
    Duplicate(#[source] sqlx::Error),
    /// The database cannot be reached, or no connection came free in time.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// The database refused the statement.
    #[error("the database refused the statement")]
    Query(#[source] sqlx::Error),
    /// A column is missing or holds something else than was asked for.
    #[error("{0}")]
    Column(String),
    /// The transaction was ended half way, by the database after an earlier
    /// error or by the step itself, and takes no more statements.
    #[error("the transaction was ended before its time")]
    Broken,
}

impl DatabaseError {
    /// Whether running the same transaction again can help at once.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_) | Self::WriterBusy(_))
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            _ if is_conflict(&error) => Self::Conflict(error),
            sqlx::Error::Database(database) if database.is_unique_violation() => {
                Self::Duplicate(error)
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::ColumnNotFound(name) => {
                Self::Column(format!("there is no column `{name}`"))
            }
            _ => Self::Query(error),
        }
    }
}

/// Serialisation failure, deadlock, lock wait timeout, busy.
pub(crate) fn is_conflict(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        const LOCK_WAIT_TIMEOUT: u16 = 1205;
        const DEADLOCK: u16 = 1213;
        return matches!(error.number(), LOCK_WAIT_TIMEOUT | DEADLOCK);
    }
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
        // serialization_failure, deadlock_detected, lock_not_available
        return matches!(error.code(), "40001" | "40P01" | "55P03");
    }
    #[cfg(feature = "sqlite")]
    if error
        .try_downcast_ref::<sqlx::sqlite::SqliteError>()
        .is_some()
    {
        const BUSY: i32 = 5;
        const LOCKED: i32 = 6;
        // The low byte of an extended code is the primary code.
        let code: Option<i32> = error.code().and_then(|code| code.parse().ok());
        return code.is_some_and(|code| matches!(code & 0xff, BUSY | LOCKED));
    }
    let _ = error;
    false
}
