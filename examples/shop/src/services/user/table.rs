//! `trade_user`, `trade_user_money_log` and `trade_user_score_log`.

use amends::{Conn, Database, DatabaseError, Value, args};
use uuid::Uuid;

use crate::clock;
use crate::database::create_tables;
use crate::domain::{Cents, OrderId, PayId, UserId};

const TABLES: [&str; 4] = [
    super::frozen::TABLE,
    "CREATE TABLE IF NOT EXISTS trade_user (
        user_id BIGINT NOT NULL PRIMARY KEY,
        user_name VARCHAR(100) NOT NULL,
        user_password VARCHAR(200) NOT NULL,
        user_mobile VARCHAR(40) NOT NULL,
        user_score BIGINT NOT NULL CHECK (user_score >= 0),
        user_reg_time BIGINT NOT NULL,
        user_money BIGINT NOT NULL CHECK (user_money >= 0)
    )",
    "CREATE TABLE IF NOT EXISTS trade_user_money_log (
        user_id BIGINT NOT NULL,
        order_id VARCHAR(64) NOT NULL,
        money_log_type INTEGER NOT NULL CHECK (money_log_type IN (0, 1, 2)),
        use_money BIGINT NOT NULL CHECK (use_money >= 0),
        create_time BIGINT NOT NULL,
        PRIMARY KEY (user_id, order_id, money_log_type)
    )",
    "CREATE TABLE IF NOT EXISTS trade_user_score_log (
        log_id VARCHAR(36) NOT NULL PRIMARY KEY,
        user_id BIGINT NOT NULL,
        pay_id VARCHAR(64) NOT NULL,
        score BIGINT NOT NULL,
        create_time BIGINT NOT NULL
    )",
];

/// The log's row of the first balance belongs to no order.
const NO_ORDER: &str = "";
/// That of the first points to no payment.
const NO_PAYMENT: &str = "";

/// A hash that no password has: nobody logs in to the example.
const NO_PASSWORD: &str = "!";

/// `money_log_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoneyLogType {
    /// The first balance.
    Open = 0,
    /// Paid for an order.
    Payment = 1,
    /// Paid back.
    Refund = 2,
}

/// A user as the shop knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// The id.
    pub user_id: UserId,
    /// The name.
    pub name: String,
    /// The telephone.
    pub mobile: String,
    /// The balance.
    pub money: Cents,
    /// The points.
    pub score: i64,
}

impl From<MoneyLogType> for Value {
    fn from(kind: MoneyLogType) -> Self {
        Self::Int(kind as i64)
    }
}

/// Creates the tables where they are missing.
///
/// # Errors
/// As the database says; so for everything below.
pub async fn create(database: &Database) -> Result<(), DatabaseError> {
    create_tables(database, &TABLES).await
}

/// Adds a user with a first balance, unless there is such a user already.
pub async fn add(conn: &mut Conn, user: &UserRow) -> Result<(), DatabaseError> {
    if find(conn, user.user_id).await?.is_some() {
        return Ok(());
    }
    conn.execute(
        "INSERT INTO trade_user
            (user_id, user_name, user_password, user_mobile, user_score, user_reg_time, user_money)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        args![
            user.user_id,
            &user.name,
            NO_PASSWORD,
            &user.mobile,
            user.score,
            clock::now(),
            user.money,
        ],
    )
    .await?;
    insert_log(conn, user.user_id, NO_ORDER, MoneyLogType::Open, user.money).await?;
    if user.score != 0 {
        insert_score(conn, user.user_id, NO_PAYMENT, user.score).await?;
    }
    Ok(())
}

/// One user.
pub async fn find(conn: &mut Conn, user: UserId) -> Result<Option<UserRow>, DatabaseError> {
    let row = conn
        .fetch_optional(
            "SELECT user_id, user_name, user_mobile, user_money, user_score
             FROM trade_user WHERE user_id = ?",
            args![user],
        )
        .await?;
    row.as_ref().map(read).transpose()
}

/// Takes money from the balance if there is enough; `false` if not.
pub async fn take(conn: &mut Conn, user: UserId, amount: Cents) -> Result<bool, DatabaseError> {
    let taken = conn
        .execute(
            "UPDATE trade_user SET user_money = user_money - ?
             WHERE user_id = ? AND user_money >= ?",
            args![amount, user, amount],
        )
        .await?;
    Ok(taken == 1)
}

/// Puts money back.
pub async fn put_back(conn: &mut Conn, user: UserId, amount: Cents) -> Result<(), DatabaseError> {
    conn.execute(
        "UPDATE trade_user SET user_money = user_money + ? WHERE user_id = ?",
        args![amount, user],
    )
    .await?;
    Ok(())
}

/// The points that a payment has earned and not lost again.
pub async fn earned(conn: &mut Conn, pay: &PayId) -> Result<i64, DatabaseError> {
    let sql = "SELECT COALESCE(SUM(score), 0) FROM trade_user_score_log WHERE pay_id = ?";
    conn.fetch_one(sql, args![pay]).await?.at(0)
}

/// Adds points for a payment, or takes them back; `false` when there is no such user.
pub async fn add_points(
    conn: &mut Conn,
    user: UserId,
    pay: &PayId,
    score: i64,
) -> Result<bool, DatabaseError> {
    insert_score(conn, user, pay.as_str(), score).await?;
    let sql = "UPDATE trade_user SET user_score = user_score + ? WHERE user_id = ?";
    Ok(conn.execute(sql, args![score, user]).await? == 1)
}

async fn insert_score(
    conn: &mut Conn,
    user: UserId,
    pay: &str,
    score: i64,
) -> Result<(), DatabaseError> {
    conn.execute(
        "INSERT INTO trade_user_score_log (log_id, user_id, pay_id, score, create_time)
         VALUES (?, ?, ?, ?, ?)",
        args![Uuid::now_v7().to_string(), user, pay, score, clock::now()],
    )
    .await?;
    Ok(())
}

/// Whether the log has this row.
pub async fn is_logged(
    conn: &mut Conn,
    user: UserId,
    order: &OrderId,
    kind: MoneyLogType,
) -> Result<bool, DatabaseError> {
    let row = conn
        .fetch_optional(
            "SELECT 1 FROM trade_user_money_log
             WHERE user_id = ? AND order_id = ? AND money_log_type = ?",
            args![user, order, kind],
        )
        .await?;
    Ok(row.is_some())
}

/// Writes down what an order paid or got back.
pub async fn log(
    conn: &mut Conn,
    user: UserId,
    order: &OrderId,
    kind: MoneyLogType,
    amount: Cents,
) -> Result<(), DatabaseError> {
    insert_log(conn, user, order.as_str(), kind, amount).await
}

async fn insert_log(
    conn: &mut Conn,
    user: UserId,
    order: &str,
    kind: MoneyLogType,
    amount: Cents,
) -> Result<(), DatabaseError> {
    conn.execute(
        "INSERT INTO trade_user_money_log
            (user_id, order_id, money_log_type, use_money, create_time)
         VALUES (?, ?, ?, ?, ?)",
        args![user, order, kind, amount, clock::now()],
    )
    .await?;
    Ok(())
}

fn read(row: &amends::Row) -> Result<UserRow, DatabaseError> {
    Ok(UserRow {
        user_id: UserId::new(row.get("user_id")?),
        name: row.get("user_name")?,
        mobile: row.get("user_mobile")?,
        money: row.get("user_money")?,
        score: row.get("user_score")?,
    })
}
