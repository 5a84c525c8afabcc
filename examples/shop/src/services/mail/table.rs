//! `trade_mail`: one row per mail, and nothing in it that keeps a second one
//! about the same order out. That is what the consumer log is for, and what
//! the invariants look at.

use std::collections::BTreeMap;

use amends::{Conn, Database, DatabaseError, args};
use uuid::Uuid;

use crate::clock;
use crate::database::create_tables;
use crate::domain::{OrderId, UserId};

const TABLES: [&str; 1] = ["CREATE TABLE IF NOT EXISTS trade_mail (
        mail_id VARCHAR(36) NOT NULL PRIMARY KEY,
        order_id VARCHAR(64) NOT NULL,
        user_id BIGINT NOT NULL,
        mail_text VARCHAR(1000) NOT NULL,
        add_time BIGINT NOT NULL
    )"];

/// Creates the table where it is missing.
///
/// # Errors
/// As the database says; so for everything below.
pub async fn create(database: &Database) -> Result<(), DatabaseError> {
    create_tables(database, &TABLES).await
}

/// Writes a mail.
pub async fn add(
    conn: &mut Conn,
    order: &OrderId,
    user: UserId,
    text: &str,
) -> Result<(), DatabaseError> {
    let id = Uuid::now_v7().to_string();
    conn.execute(
        "INSERT INTO trade_mail (mail_id, order_id, user_id, mail_text, add_time)
         VALUES (?, ?, ?, ?, ?)",
        args![id, order, user, text, clock::now()],
    )
    .await?;
    Ok(())
}

/// How many mails there are about each order.
pub async fn count(conn: &mut Conn) -> Result<BTreeMap<String, i64>, DatabaseError> {
    let rows = conn
        .fetch_all(
            "SELECT order_id, COUNT(*) AS mails FROM trade_mail GROUP BY order_id",
            args![],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((row.get("order_id")?, row.get("mails")?)))
        .collect()
}
