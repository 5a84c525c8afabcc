//! `trade_pay`, and `trade_pay_callback`: what the provider said, as it came.

use amends::{Conn, Database, DatabaseError, Row, args};

use super::PaymentEvent;
use crate::clock;
use crate::database::create_tables;
use crate::domain::{Cents, OrderId, PayId, PaymentState, UserId};

/// The longest callback that is read.
pub const MAX_CALLBACK_BYTES: usize = 4000;

const TABLES: [&str; 2] = [
    // One payment per order: a closed one stands for an order that is given up.
    "CREATE TABLE IF NOT EXISTS trade_pay (
        pay_id VARCHAR(64) NOT NULL PRIMARY KEY,
        order_id VARCHAR(64) NOT NULL UNIQUE,
        user_id BIGINT NOT NULL,
        pay_amount BIGINT NOT NULL CHECK (pay_amount >= 0),
        is_paid INTEGER NOT NULL CHECK (is_paid BETWEEN 0 AND 5),
        provider_ref VARCHAR(64) UNIQUE,
        add_time BIGINT NOT NULL,
        pay_time BIGINT
    )",
    "CREATE TABLE IF NOT EXISTS trade_pay_callback (
        callback_id VARCHAR(64) NOT NULL PRIMARY KEY,
        pay_id VARCHAR(64) NOT NULL,
        raw_body VARCHAR(4000) NOT NULL,
        verdict VARCHAR(40) NOT NULL,
        add_time BIGINT NOT NULL
    )",
];

/// A payment as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayRow {
    /// Its id.
    pub pay_id: PayId,
    /// For which order.
    pub order_id: OrderId,
    /// Whose.
    pub user_id: UserId,
    /// How much.
    pub pay_amount: Cents,
    /// How far it is.
    pub is_paid: PaymentState,
    /// The provider's name for it, once it knows of it.
    pub provider_ref: Option<String>,
}

impl PayRow {
    /// What is told about it.
    #[must_use]
    pub fn event(&self) -> PaymentEvent {
        PaymentEvent {
            pay_id: self.pay_id.clone(),
            order_id: self.order_id.clone(),
            user_id: self.user_id,
            amount: self.pay_amount,
        }
    }
}

/// Creates the tables where they are missing.
///
/// # Errors
/// As the database says; so for everything below.
pub async fn create(database: &Database) -> Result<(), DatabaseError> {
    create_tables(database, &TABLES).await
}

/// Writes a new payment. The second one of an order is an error.
pub async fn insert(conn: &mut Conn, row: &PayRow) -> Result<(), DatabaseError> {
    conn.execute(
        "INSERT INTO trade_pay
            (pay_id, order_id, user_id, pay_amount, is_paid, provider_ref, add_time)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        args![
            &row.pay_id,
            &row.order_id,
            row.user_id,
            row.pay_amount,
            row.is_paid,
            row.provider_ref.as_ref(),
            clock::now(),
        ],
    )
    .await?;
    Ok(())
}

/// One payment.
pub async fn find(conn: &mut Conn, pay: &PayId) -> Result<Option<PayRow>, DatabaseError> {
    let sql = "SELECT * FROM trade_pay WHERE pay_id = ?";
    let row = conn.fetch_optional(sql, args![pay]).await?;
    row.as_ref().map(read).transpose()
}

/// The payment of an order.
pub async fn find_of(conn: &mut Conn, order: &OrderId) -> Result<Option<PayRow>, DatabaseError> {
    let sql = "SELECT * FROM trade_pay WHERE order_id = ?";
    let row = conn.fetch_optional(sql, args![order]).await?;
    row.as_ref().map(read).transpose()
}

/// Notes the provider's name for a payment.
pub async fn note_ref(
    conn: &mut Conn,
    pay: &PayId,
    provider_ref: &str,
) -> Result<(), DatabaseError> {
    conn.execute(
        "UPDATE trade_pay SET provider_ref = ? WHERE pay_id = ? AND provider_ref IS NULL",
        args![provider_ref, pay],
    )
    .await?;
    Ok(())
}

/// Moves a payment from one state to the other; `false` when it is not in `from`.
pub async fn change(
    conn: &mut Conn,
    pay: &PayId,
    from: PaymentState,
    to: PaymentState,
) -> Result<bool, DatabaseError> {
    let changed = conn
        .execute(
            "UPDATE trade_pay SET is_paid = ? WHERE pay_id = ? AND is_paid = ?",
            args![to, pay, from],
        )
        .await?;
    Ok(changed == 1)
}

/// Moves an open payment to `to`; `false` when it is not open.
pub async fn end(conn: &mut Conn, pay: &PayId, to: PaymentState) -> Result<bool, DatabaseError> {
    let time = (to == PaymentState::Paid).then(clock::now);
    let changed = conn
        .execute(
            "UPDATE trade_pay SET is_paid = ?, pay_time = ? WHERE pay_id = ? AND is_paid IN (?, ?)",
            args![to, time, pay, PaymentState::Unpaid, PaymentState::Paying],
        )
        .await?;
    Ok(changed == 1)
}

/// Keeps a callback as it came; `false` when it is there already.
pub async fn keep_callback(
    conn: &mut Conn,
    id: &str,
    pay: &PayId,
    raw: &str,
    verdict: &str,
) -> Result<bool, DatabaseError> {
    if is_kept(conn, id).await? {
        return Ok(false);
    }
    conn.execute(
        "INSERT INTO trade_pay_callback (callback_id, pay_id, raw_body, verdict, add_time)
         VALUES (?, ?, ?, ?, ?)",
        args![id, pay, raw, verdict, clock::now()],
    )
    .await?;
    Ok(true)
}

/// Whether a callback came before.
pub async fn is_kept(conn: &mut Conn, id: &str) -> Result<bool, DatabaseError> {
    let sql = "SELECT 1 FROM trade_pay_callback WHERE callback_id = ?";
    Ok(conn.fetch_optional(sql, args![id]).await?.is_some())
}

/// What was made of the callbacks about a payment.
pub async fn verdicts(conn: &mut Conn, pay: &PayId) -> Result<Vec<String>, DatabaseError> {
    let rows = conn
        .fetch_all(
            "SELECT verdict FROM trade_pay_callback WHERE pay_id = ? ORDER BY verdict",
            args![pay],
        )
        .await?;
    rows.iter().map(|row| row.get("verdict")).collect()
}

fn read(row: &Row) -> Result<PayRow, DatabaseError> {
    Ok(PayRow {
        pay_id: row.get("pay_id")?,
        order_id: row.get("order_id")?,
        user_id: UserId::new(row.get("user_id")?),
        pay_amount: row.get("pay_amount")?,
        is_paid: row.get("is_paid")?,
        provider_ref: row.get("provider_ref")?,
    })
}
