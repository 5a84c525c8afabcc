//! Removing old rows.

use std::time::Duration;

use crate::conn::Dialect;
use crate::{Database, DatabaseError, args};

/// How long rows are kept unless the service says otherwise. It must exceed
/// the longest time after which a call can be repeated: a step whose rows are
/// gone would run again.
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Rows removed in one transaction, so that nobody waits for the cleaning.
pub const MAX_REMOVED_AT_ONCE: u32 = 500;

/// Removes the rows of the log that were last changed longer ago than `age`,
/// in small transactions, and returns how many there were. Rows of external
/// steps that never got an answer stay: they may still have to be undone.
///
/// Cancel-safe: what was removed stays removed, the rest is left for the next call.
///
/// # Errors
/// As the database says.
pub async fn remove_older_than(database: &Database, age: Duration) -> Result<u64, DatabaseError> {
    let tables = [
        (
            "consumer_log",
            " and status in ('succeeded', 'refused', 'void')",
        ),
        ("consumer_failure", ""),
    ];
    let mut removed = 0;
    for (table, and) in tables {
        removed += remove_in_batches(database, table, and, age).await?;
    }
    Ok(removed)
}

/// Removes the rows of a table that were last changed longer ago than `age`
/// and meet this condition.
pub(crate) async fn remove_in_batches(
    database: &Database,
    table: &str,
    and: &str,
    age: Duration,
) -> Result<u64, DatabaseError> {
    let sql = removal(database.dialect(), table, and);
    let mut removed = 0;
    loop {
        let mut conn = database.begin().await?;
        let rows = conn
            .execute(&sql, args![age.as_secs_f64(), MAX_REMOVED_AT_ONCE])
            .await?;
        conn.commit().await?;
        removed += rows;
        if rows < u64::from(MAX_REMOVED_AT_ONCE) {
            return Ok(removed);
        }
    }
}

fn removal(dialect: Dialect, table: &str, and: &str) -> String {
    match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => format!(
            "delete from {table} where rowid in (select rowid from {table} where updated_at < \
             strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || ? || ' seconds'){and} limit ?)"
        ),
        #[cfg(feature = "postgres")]
        Dialect::Postgres => format!(
            "delete from {table} where ctid = any(array(select ctid from {table} where updated_at \
             < clock_timestamp() - make_interval(secs => ?){and} limit ? for update skip locked))"
        ),
        #[cfg(feature = "mysql")]
        Dialect::MySql => format!(
            "delete from {table} where updated_at \
             < current_timestamp(3) - interval (? * 1000000) microsecond{and} limit ?"
        ),
    }
}
