//! `trade_order`.

use amends::{Conn, Database, DatabaseError, Row, args};

use crate::clock;
use crate::database::create_tables;
use crate::domain::{
    Cents, CouponId, GoodsId, OrderId, OrderStatus, PayStatus, PlaceOrder, ShippingStatus, UserId,
};

const TABLES: [&str; 1] = ["CREATE TABLE IF NOT EXISTS trade_order (
        order_id VARCHAR(64) NOT NULL PRIMARY KEY,
        user_id BIGINT NOT NULL,
        order_status INTEGER NOT NULL CHECK (order_status BETWEEN 0 AND 4),
        pay_status INTEGER NOT NULL CHECK (pay_status BETWEEN 0 AND 2),
        shipping_status INTEGER NOT NULL CHECK (shipping_status BETWEEN 0 AND 2),
        address VARCHAR(200) NOT NULL,
        consignee VARCHAR(60) NOT NULL,
        goods_id BIGINT NOT NULL,
        goods_number BIGINT NOT NULL CHECK (goods_number > 0),
        goods_price BIGINT NOT NULL CHECK (goods_price > 0),
        goods_amount BIGINT NOT NULL,
        shipping_fee BIGINT NOT NULL CHECK (shipping_fee >= 0),
        order_amount BIGINT NOT NULL,
        coupon_id BIGINT,
        coupon_paid BIGINT NOT NULL CHECK (coupon_paid >= 0),
        money_paid BIGINT NOT NULL CHECK (money_paid >= 0),
        pay_amount BIGINT NOT NULL CHECK (pay_amount >= 0),
        add_time BIGINT NOT NULL,
        confirm_time BIGINT,
        pay_time BIGINT,
        CHECK (goods_amount = goods_price * goods_number),
        CHECK (order_amount = goods_amount + shipping_fee),
        CHECK (pay_amount = order_amount - coupon_paid - money_paid)
    )"];

/// An order as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// Its id.
    pub order_id: OrderId,
    /// Who bought.
    pub user_id: UserId,
    /// How far it is.
    pub order_status: OrderStatus,
    /// Whether it is paid.
    pub pay_status: PayStatus,
    /// Whether it is shipped.
    pub shipping_status: ShippingStatus,
    /// To whom.
    pub consignee: String,
    /// What.
    pub goods_id: GoodsId,
    /// How many.
    pub goods_number: i64,
    /// The price of one.
    pub goods_price: Cents,
    /// The fee for shipping.
    pub shipping_fee: Cents,
    /// Goods and shipping.
    pub order_amount: Cents,
    /// The coupon, if one was used.
    pub coupon_id: Option<CouponId>,
    /// Paid with the coupon.
    pub coupon_paid: Cents,
    /// Paid from the balance.
    pub money_paid: Cents,
    /// Left to pay.
    pub pay_amount: Cents,
    /// When it was confirmed, in milliseconds since 1970.
    pub confirm_time: Option<i64>,
}

/// Creates the table where it is missing.
///
/// # Errors
/// As the database says; so for everything below.
pub async fn create(database: &Database) -> Result<(), DatabaseError> {
    create_tables(database, &TABLES).await
}

/// Writes a new, unconfirmed order, of which `pay_amount` is left to pay.
pub async fn insert(
    conn: &mut Conn,
    order: &PlaceOrder,
    pay_amount: Cents,
) -> Result<(), DatabaseError> {
    conn.execute(
        "INSERT INTO trade_order
            (order_id, user_id, order_status, pay_status, shipping_status, address, consignee,
             goods_id, goods_number, goods_price, goods_amount, shipping_fee, order_amount,
             coupon_id, coupon_paid, money_paid, pay_amount, add_time)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        args![
            &order.order_id,
            order.user_id,
            OrderStatus::Unconfirmed,
            PayStatus::Unpaid,
            ShippingStatus::NotShipped,
            &order.address,
            &order.consignee,
            order.goods_id,
            order.goods_number,
            order.goods_price,
            // The table's own check rejects whatever does not add up.
            order
                .order_amount
                .minus(order.shipping_fee)
                .unwrap_or_default(),
            order.shipping_fee,
            order.order_amount,
            order.coupon_id,
            order.coupon_paid,
            order.money_paid,
            pay_amount,
            clock::now(),
        ],
    )
    .await?;
    Ok(())
}

/// One order.
pub async fn find(conn: &mut Conn, order: &OrderId) -> Result<Option<OrderRow>, DatabaseError> {
    let row = conn
        .fetch_optional("SELECT * FROM trade_order WHERE order_id = ?", args![order])
        .await?;
    row.as_ref().map(read).transpose()
}

/// Moves the order from one status to the other; `false` when it is not in `from`.
pub async fn change_status(
    conn: &mut Conn,
    order: &OrderId,
    from: OrderStatus,
    to: OrderStatus,
) -> Result<bool, DatabaseError> {
    let changed = conn
        .execute(
            "UPDATE trade_order SET order_status = ? WHERE order_id = ? AND order_status = ?",
            args![to, order, from],
        )
        .await?;
    Ok(changed == 1)
}

/// Confirms an unconfirmed order; `false` when it is not unconfirmed.
pub async fn confirm(conn: &mut Conn, order: &OrderId, now: i64) -> Result<bool, DatabaseError> {
    let changed = conn
        .execute(
            "UPDATE trade_order SET order_status = ?, confirm_time = ?
             WHERE order_id = ? AND order_status = ?",
            args![OrderStatus::Confirmed, now, order, OrderStatus::Unconfirmed],
        )
        .await?;
    Ok(changed == 1)
}

/// A confirmed order that is not paid becomes a paid one; `false` when it is none.
pub async fn pay(conn: &mut Conn, order: &OrderId, now: i64) -> Result<bool, DatabaseError> {
    let changed = conn
        .execute(
            "UPDATE trade_order SET pay_status = ?, pay_time = ?
             WHERE order_id = ? AND order_status = ? AND pay_status IN (?, ?)",
            args![
                PayStatus::Paid,
                now,
                order,
                OrderStatus::Confirmed,
                PayStatus::Unpaid,
                PayStatus::Paying
            ],
        )
        .await?;
    Ok(changed == 1)
}

/// Takes a confirmation back as long as nobody pays; `false` otherwise.
pub async fn unconfirm(conn: &mut Conn, order: &OrderId) -> Result<bool, DatabaseError> {
    let changed = conn
        .execute(
            "UPDATE trade_order SET order_status = ?
             WHERE order_id = ? AND order_status = ? AND pay_status = ?",
            args![
                OrderStatus::Cancelled,
                order,
                OrderStatus::Confirmed,
                PayStatus::Unpaid
            ],
        )
        .await?;
    Ok(changed == 1)
}

fn read(row: &Row) -> Result<OrderRow, DatabaseError> {
    let order_id: String = row.get("order_id")?;
    let coupon_id: Option<i64> = row.get("coupon_id")?;
    Ok(OrderRow {
        order_id: order_id
            .parse()
            .map_err(|error: crate::domain::IdError| DatabaseError::Column(error.to_string()))?,
        user_id: UserId::new(row.get("user_id")?),
        order_status: row.get("order_status")?,
        pay_status: row.get("pay_status")?,
        shipping_status: row.get("shipping_status")?,
        consignee: row.get("consignee")?,
        goods_id: GoodsId::new(row.get("goods_id")?),
        goods_number: row.get("goods_number")?,
        goods_price: row.get("goods_price")?,
        shipping_fee: row.get("shipping_fee")?,
        order_amount: row.get("order_amount")?,
        coupon_id: coupon_id.map(CouponId::new),
        coupon_paid: row.get("coupon_paid")?,
        money_paid: row.get("money_paid")?,
        pay_amount: row.get("pay_amount")?,
        confirm_time: row.get("confirm_time")?,
    })
}
