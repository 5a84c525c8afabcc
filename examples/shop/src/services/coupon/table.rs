//! `trade_coupon`.

use amends::{Conn, Database, DatabaseError, args};

use crate::clock;
use crate::database::create_tables;
use crate::domain::{Coupon, CouponId, OrderId, UserId};

const TABLES: [&str; 2] = [
    super::sale::TABLE,
    "CREATE TABLE IF NOT EXISTS trade_coupon (
        coupon_id BIGINT NOT NULL PRIMARY KEY,
        coupon_price BIGINT NOT NULL CHECK (coupon_price > 0),
        user_id BIGINT NOT NULL,
        order_id VARCHAR(64),
        is_used INTEGER NOT NULL CHECK (is_used IN (0, 1)),
        used_time BIGINT,
        valid_from BIGINT NOT NULL,
        valid_until BIGINT NOT NULL,
        CHECK ((is_used = 0 AND order_id IS NULL) OR (is_used = 1 AND order_id IS NOT NULL)),
        CHECK (valid_from < valid_until)
    )",
];

/// Creates the table where it is missing.
///
/// # Errors
/// As the database says; so for everything below.
pub async fn create(database: &Database) -> Result<(), DatabaseError> {
    create_tables(database, &TABLES).await
}

/// Gives a user a fresh coupon, unless there is such a coupon already.
pub async fn add(conn: &mut Conn, coupon: &Coupon) -> Result<(), DatabaseError> {
    if find(conn, coupon.coupon_id).await?.is_some() {
        return Ok(());
    }
    conn.execute(
        "INSERT INTO trade_coupon
            (coupon_id, coupon_price, user_id, is_used, valid_from, valid_until)
         VALUES (?, ?, ?, 0, ?, ?)",
        args![
            coupon.coupon_id,
            coupon.coupon_price,
            coupon.user_id,
            coupon.valid_from,
            coupon.valid_until,
        ],
    )
    .await?;
    Ok(())
}

/// One coupon.
pub async fn find(conn: &mut Conn, coupon: CouponId) -> Result<Option<Coupon>, DatabaseError> {
    let row = conn
        .fetch_optional(
            "SELECT coupon_id, coupon_price, user_id, is_used, valid_from, valid_until
             FROM trade_coupon WHERE coupon_id = ?",
            args![coupon],
        )
        .await?;
    row.as_ref().map(read).transpose()
}

/// The coupons of a user by id.
pub async fn list(conn: &mut Conn, user: UserId) -> Result<Vec<Coupon>, DatabaseError> {
    let rows = conn
        .fetch_all(
            "SELECT coupon_id, coupon_price, user_id, is_used, valid_from, valid_until
             FROM trade_coupon WHERE user_id = ? ORDER BY coupon_id",
            args![user],
        )
        .await?;
    rows.iter().map(read).collect()
}

/// Takes the coupon for an order, if it is still free and this user's and
/// valid at `now`; `false` if not.
pub async fn take(
    conn: &mut Conn,
    coupon: CouponId,
    user: UserId,
    order: &OrderId,
    now: i64,
) -> Result<bool, DatabaseError> {
    let taken = conn
        .execute(
            "UPDATE trade_coupon SET is_used = 1, order_id = ?, used_time = ?
             WHERE coupon_id = ? AND is_used = 0 AND user_id = ?
               AND valid_from <= ? AND valid_until > ?",
            args![order, clock::now(), coupon, user, now, now],
        )
        .await?;
    Ok(taken == 1)
}

/// Gives the coupon back, if it is this order that has it; `false` if not.
pub async fn give_back(
    conn: &mut Conn,
    coupon: CouponId,
    order: &OrderId,
) -> Result<bool, DatabaseError> {
    let given = conn
        .execute(
            "UPDATE trade_coupon SET is_used = 0, order_id = NULL, used_time = NULL
             WHERE coupon_id = ? AND is_used = 1 AND order_id = ?",
            args![coupon, order],
        )
        .await?;
    Ok(given == 1)
}

fn read(row: &amends::Row) -> Result<Coupon, DatabaseError> {
    Ok(Coupon {
        coupon_id: CouponId::new(row.get("coupon_id")?),
        user_id: UserId::new(row.get("user_id")?),
        coupon_price: row.get("coupon_price")?,
        is_used: row.get("is_used")?,
        valid_from: row.get("valid_from")?,
        valid_until: row.get("valid_until")?,
    })
}
