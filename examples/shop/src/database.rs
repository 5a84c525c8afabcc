//! How a service creates its tables, on any of the three databases.

use amends::conn::Dialect;
use amends::{Database, DatabaseError};

/// Texts are compared byte by byte, as the other two do.
const MYSQL_OPTIONS: &str = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

/// Runs each `CREATE TABLE IF NOT EXISTS`.
///
/// # Errors
/// As the database says.
pub async fn create_tables(database: &Database, tables: &[&str]) -> Result<(), DatabaseError> {
    let mut conn = database.begin().await?;
    for table in tables {
        let options = match database.dialect() {
            Dialect::MySql => MYSQL_OPTIONS,
            _ => "",
        };
        conn.execute_text(&format!("{table}{options}")).await?;
    }
    conn.commit().await
}
