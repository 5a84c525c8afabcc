//! `provider_charge`, and `provider_callback`: what is still to be told.

use amends::{Conn, Database, DatabaseError, Row, args};
use uuid::Uuid;

use super::api::{CallbackBody, CallbackPlan, Charge, NewCharge};
use super::signature::Key;
use crate::clock;
use crate::database::create_tables;
use crate::domain::{Cents, ChargeState, PayId};

const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS provider_charge (
        pay_id VARCHAR(64) NOT NULL PRIMARY KEY,
        provider_ref VARCHAR(64) NOT NULL UNIQUE,
        amount BIGINT NOT NULL CHECK (amount >= 0),
        state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),
        notify_url VARCHAR(300) NOT NULL,
        add_time BIGINT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS provider_callback (
        batch VARCHAR(36) NOT NULL,
        seq INTEGER NOT NULL,
        notify_url VARCHAR(300) NOT NULL,
        body VARCHAR(2000) NOT NULL,
        signature VARCHAR(200) NOT NULL,
        after_ms BIGINT NOT NULL,
        times INTEGER NOT NULL,
        answer INTEGER,
        PRIMARY KEY (batch, seq)
    )",
];

/// Signs what is forged: nobody's key.
const FORGER: &str = "the key of somebody else";

/// A callback that has not been answered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its number within its batch.
    pub seq: i64,
    /// Where it goes.
    pub notify_url: String,
    /// What it says, as it is signed.
    pub body: String,
    /// The signature, right or wrong.
    pub signature: String,
    /// How long to wait before it.
    pub after_ms: u32,
    /// How often to send it.
    pub times: u8,
}

/// Creates the tables where they are missing.
///
/// # Errors
/// As the database says; so for everything below.
pub async fn create(database: &Database) -> Result<(), DatabaseError> {
    create_tables(database, &TABLES).await
}

/// One charge.
pub async fn find(conn: &mut Conn, pay: &PayId) -> Result<Option<Charge>, DatabaseError> {
    let row = conn
        .fetch_optional("SELECT * FROM provider_charge WHERE pay_id = ?", args![pay])
        .await?;
    row.as_ref().map(read).transpose()
}

/// A new charge, in the state that it begins with.
pub async fn add(
    conn: &mut Conn,
    new: &NewCharge,
    state: ChargeState,
) -> Result<(), DatabaseError> {
    conn.execute(
        "INSERT INTO provider_charge
            (pay_id, provider_ref, amount, state, notify_url, add_time)
         VALUES (?, ?, ?, ?, ?, ?)",
        args![
            &new.pay_id,
            format!("ch-{}", Uuid::now_v7().simple()),
            new.amount,
            state,
            &new.notify_url,
            clock::now(),
        ],
    )
    .await?;
    Ok(())
}

/// Moves a charge from one state to the other; `false` when it is not in `from`.
pub async fn change(
    conn: &mut Conn,
    pay: &PayId,
    from: ChargeState,
    to: ChargeState,
) -> Result<bool, DatabaseError> {
    let changed = conn
        .execute(
            "UPDATE provider_charge SET state = ? WHERE pay_id = ? AND state = ?",
            args![to, pay, from],
        )
        .await?;
    Ok(changed == 1)
}

/// Keeps callbacks to send as one batch, and returns its name.
pub async fn keep_callbacks(
    conn: &mut Conn,
    charge: &Charge,
    plans: &[CallbackPlan],
    key: &Key,
) -> Result<String, DatabaseError> {
    let batch = Uuid::now_v7().to_string();
    let row = conn
        .fetch_one(
            "SELECT notify_url FROM provider_charge WHERE pay_id = ?",
            args![&charge.pay_id],
        )
        .await?;
    let notify_url: String = row.get("notify_url")?;
    for (seq, plan) in (0_i64..).zip(plans) {
        let body = body(charge, plan);
        let signature = match Key::new(FORGER) {
            Ok(forger) if plan.forged => forger.sign(body.as_bytes()),
            _ => key.sign(body.as_bytes()),
        };
        conn.execute(
            "INSERT INTO provider_callback
                (batch, seq, notify_url, body, signature, after_ms, times)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
            args![
                &batch,
                seq,
                &notify_url,
                body,
                signature,
                plan.after_ms,
                plan.times
            ],
        )
        .await?;
    }
    Ok(batch)
}

fn body(charge: &Charge, plan: &CallbackPlan) -> String {
    let body = CallbackBody {
        callback_id: Uuid::now_v7().to_string(),
        pay_id: charge.pay_id.clone(),
        provider_ref: charge.provider_ref.clone(),
        amount: plan.amount.unwrap_or(charge.amount),
        status: plan.status,
    };
    serde_json::to_string(&body).unwrap_or_default()
}

/// The first callback of a batch that has no answer.
pub async fn next_due(conn: &mut Conn, batch: &str) -> Result<Option<Due>, DatabaseError> {
    let row = conn
        .fetch_optional(
            "SELECT * FROM provider_callback WHERE batch = ? AND answer IS NULL
             ORDER BY seq LIMIT 1",
            args![batch],
        )
        .await?;
    row.as_ref().map(read_due).transpose()
}

/// Notes the final answer to a callback.
pub async fn answered(
    conn: &mut Conn,
    batch: &str,
    seq: i64,
    answer: u16,
) -> Result<(), DatabaseError> {
    conn.execute(
        "UPDATE provider_callback SET answer = ? WHERE batch = ? AND seq = ?",
        args![answer, batch, seq],
    )
    .await?;
    Ok(())
}

/// Batches with callbacks that have no answer.
pub async fn unanswered(conn: &mut Conn) -> Result<Vec<String>, DatabaseError> {
    let rows = conn
        .fetch_all(
            "SELECT DISTINCT batch FROM provider_callback WHERE answer IS NULL",
            args![],
        )
        .await?;
    rows.iter().map(|row| row.get("batch")).collect()
}

/// The answers that the callbacks about a charge got, in the order of the batches.
pub async fn answers(conn: &mut Conn, pay: &PayId) -> Result<Vec<Option<u16>>, DatabaseError> {
    let rows = conn
        .fetch_all(
            "SELECT answer FROM provider_callback WHERE body LIKE ? ORDER BY batch, seq",
            args![format!("%\"{pay}\"%")],
        )
        .await?;
    rows.iter().map(|row| row.get("answer")).collect()
}

fn read(row: &Row) -> Result<Charge, DatabaseError> {
    Ok(Charge {
        pay_id: row.get("pay_id")?,
        provider_ref: row.get("provider_ref")?,
        amount: Cents::new(row.get("amount")?),
        state: row.get("state")?,
    })
}

fn read_due(row: &Row) -> Result<Due, DatabaseError> {
    Ok(Due {
        seq: row.get("seq")?,
        notify_url: row.get("notify_url")?,
        body: row.get("body")?,
        signature: row.get("signature")?,
        after_ms: row.get("after_ms")?,
        times: row.get("times")?,
    })
}
