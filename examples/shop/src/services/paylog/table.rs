//! `trade_pay_log`.

use amends::{Conn, Database, DatabaseError, args};
use uuid::Uuid;

use crate::clock;
use crate::database::create_tables;
use crate::services::pay::PaymentEvent;

const TABLES: [&str; 1] = ["CREATE TABLE IF NOT EXISTS trade_pay_log (
        log_id VARCHAR(36) NOT NULL PRIMARY KEY,
        pay_id VARCHAR(64) NOT NULL,
        order_id VARCHAR(64) NOT NULL,
        user_id BIGINT NOT NULL,
        pay_amount BIGINT NOT NULL,
        result VARCHAR(40) NOT NULL,
        add_time BIGINT NOT NULL
    )"];

/// Creates the table where it is missing.
///
/// # Errors
/// As the database says; so for everything below.
pub async fn create(database: &Database) -> Result<(), DatabaseError> {
    create_tables(database, &TABLES).await
}

/// Writes a row.
pub async fn add(conn: &mut Conn, result: &str, event: &PaymentEvent) -> Result<(), DatabaseError> {
    conn.execute(
        "INSERT INTO trade_pay_log
            (log_id, pay_id, order_id, user_id, pay_amount, result, add_time)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        args![
            Uuid::now_v7().to_string(),
            &event.pay_id,
            &event.order_id,
            event.user_id,
            event.amount,
            result,
            clock::now(),
        ],
    )
    .await?;
    Ok(())
}
