//! [`Books`]: everything that the services wrote down, read at rest.

use std::collections::BTreeMap;

use amends::{Database, DatabaseError, Row, args};

use super::Databases;
use super::purchases::{self, FrozenEntry, PurchaseEntry};
use crate::domain::{Cents, ChargeState, OrderStatus, PayStatus, PaymentState};

/// The books of all services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Orders by id.
    pub orders: BTreeMap<String, OrderEntry>,
    /// How many of each kind of goods are left.
    pub stock: BTreeMap<i64, i64>,
    /// What changed the stock.
    pub stock_log: Vec<StockEntry>,
    /// Coupons by id.
    pub coupons: BTreeMap<i64, CouponEntry>,
    /// The balance of each user.
    pub balances: BTreeMap<i64, Cents>,
    /// What changed the balances.
    pub money_log: Vec<MoneyEntry>,
    /// Payments by id.
    pub payments: BTreeMap<String, PaymentEntry>,
    /// What the provider says about them.
    pub charges: BTreeMap<String, ChargeEntry>,
    /// What became of payments.
    pub pay_log: Vec<PayLogEntry>,
    /// The points of each user.
    pub scores: BTreeMap<i64, i64>,
    /// What changed the points.
    pub score_log: Vec<ScoreEntry>,
    /// Coupons that were set aside for buyers, by purchase.
    pub purchases: BTreeMap<String, PurchaseEntry>,
    /// Money and points that were held for purchases.
    pub frozen: Vec<FrozenEntry>,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderEntry {
    /// Who bought.
    pub user: i64,
    /// How far it is.
    pub status: OrderStatus,
    /// What.
    pub goods: i64,
    /// How many.
    pub number: i64,
    /// The coupon, if one was asked for.
    pub coupon: Option<i64>,
    /// What the balance was to pay.
    pub money_paid: Cents,
    /// What was left to pay.
    pub pay_amount: Cents,
    /// Whether that is paid.
    pub pay_status: PayStatus,
}

/// A payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentEntry {
    /// For which order.
    pub order: String,
    /// Whose.
    pub user: i64,
    /// How much.
    pub amount: Cents,
    /// How far it is.
    pub state: PaymentState,
}

/// A payment as the provider has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeEntry {
    /// How much.
    pub amount: Cents,
    /// How far it is.
    pub state: ChargeState,
}

/// A row of the payment log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayLogEntry {
    /// Which payment.
    pub pay: String,
    /// What became of it.
    pub result: String,
    /// How much it was.
    pub amount: Cents,
}

/// A row of the score log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoreEntry {
    /// Whose points.
    pub user: i64,
    /// For which payment.
    pub pay: String,
    /// How many came; negative is taken back.
    pub change: i64,
}

/// A row of the stock log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockEntry {
    /// Which goods.
    pub goods: i64,
    /// For which order; empty for the first stock.
    pub order: String,
    /// How many came; negative is taken.
    pub change: i64,
}

/// A coupon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CouponEntry {
    /// Whose it is.
    pub user: i64,
    /// The order that has it.
    pub order: Option<String>,
}

/// A row of the money log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoneyEntry {
    /// Whose balance.
    pub user: i64,
    /// For which order; empty for the first balance.
    pub order: String,
    /// How much came; negative is paid.
    pub change: Cents,
}

impl Books {
    /// How many goods were sold.
    #[must_use]
    pub fn sold(&self) -> i64 {
        self.confirmed().map(|order| order.number).sum()
    }

    /// What was paid from balances.
    #[must_use]
    pub fn paid(&self) -> Cents {
        self.confirmed().map(|order| order.money_paid).sum()
    }

    /// The confirmed orders.
    pub fn confirmed(&self) -> impl Iterator<Item = &OrderEntry> {
        self.orders
            .values()
            .filter(|order| order.status == OrderStatus::Confirmed)
    }

    /// How many goods are left.
    #[must_use]
    pub fn left(&self) -> i64 {
        self.stock.values().sum()
    }

    /// What is in all balances.
    #[must_use]
    pub fn balance(&self) -> Cents {
        self.balances.values().copied().sum()
    }
}

pub(super) async fn read(databases: &Databases) -> Result<Books, DatabaseError> {
    let orders =
        "SELECT order_id, user_id, order_status, goods_id, goods_number, coupon_id, money_paid,
            pay_amount, pay_status
         FROM trade_order";
    let stock = "SELECT goods_id, goods_number FROM trade_goods";
    let stock_log = "SELECT goods_id, order_id, goods_number FROM trade_goods_number_log";
    let coupons = "SELECT coupon_id, user_id, order_id FROM trade_coupon";
    let balances = "SELECT user_id, user_money FROM trade_user";
    let money_log = "SELECT user_id, order_id,
            CASE money_log_type WHEN 1 THEN -use_money ELSE use_money END AS money
         FROM trade_user_money_log";
    let payments = "SELECT pay_id, order_id, user_id, pay_amount, is_paid FROM trade_pay";
    let charges = "SELECT pay_id, amount, state FROM provider_charge";
    let pay_log = "SELECT pay_id, result, pay_amount FROM trade_pay_log";
    let scores = "SELECT user_id, user_score FROM trade_user";
    let score_log = "SELECT user_id, pay_id, score FROM trade_user_score_log";
    Ok(Books {
        purchases: purchases::read_sales(databases).await?,
        frozen: purchases::read_frozen(databases).await?,
        payments: rows(&databases.pay, payments, payment).await?,
        charges: rows(&databases.provider, charges, charge).await?,
        pay_log: rows(&databases.paylog, pay_log, pay_log_entry).await?,
        scores: rows(&databases.user, scores, pair).await?,
        score_log: rows(&databases.user, score_log, score_entry).await?,
        orders: rows(&databases.order, orders, order).await?,
        stock: rows(&databases.goods, stock, pair).await?,
        stock_log: rows(&databases.goods, stock_log, stock_entry).await?,
        coupons: rows(&databases.coupon, coupons, coupon).await?,
        balances: rows(&databases.user, balances, pair).await?,
        money_log: rows(&databases.user, money_log, money_entry).await?,
    })
}

pub(super) async fn rows<T, C: FromIterator<T>>(
    database: &Database,
    sql: &str,
    read: fn(&Row) -> Result<T, DatabaseError>,
) -> Result<C, DatabaseError> {
    let rows = database.transaction(async |conn| conn.fetch_all(sql, args![]).await);
    Box::pin(rows).await?.iter().map(read).collect()
}

fn order(row: &Row) -> Result<(String, OrderEntry), DatabaseError> {
    let entry = OrderEntry {
        user: row.get("user_id")?,
        status: row.get("order_status")?,
        goods: row.get("goods_id")?,
        number: row.get("goods_number")?,
        coupon: row.get("coupon_id")?,
        money_paid: row.get("money_paid")?,
        pay_amount: row.get("pay_amount")?,
        pay_status: row.get("pay_status")?,
    };
    Ok((row.get("order_id")?, entry))
}

fn coupon(row: &Row) -> Result<(i64, CouponEntry), DatabaseError> {
    let entry = CouponEntry {
        user: row.get("user_id")?,
        order: row.get("order_id")?,
    };
    Ok((row.get("coupon_id")?, entry))
}

fn stock_entry(row: &Row) -> Result<StockEntry, DatabaseError> {
    Ok(StockEntry {
        goods: row.at(0)?,
        order: row.at(1)?,
        change: row.at(2)?,
    })
}

fn money_entry(row: &Row) -> Result<MoneyEntry, DatabaseError> {
    Ok(MoneyEntry {
        user: row.at(0)?,
        order: row.at(1)?,
        change: row.at(2)?,
    })
}

fn payment(row: &Row) -> Result<(String, PaymentEntry), DatabaseError> {
    let entry = PaymentEntry {
        order: row.at(1)?,
        user: row.at(2)?,
        amount: row.at(3)?,
        state: row.at(4)?,
    };
    Ok((row.at(0)?, entry))
}

fn charge(row: &Row) -> Result<(String, ChargeEntry), DatabaseError> {
    let entry = ChargeEntry {
        amount: row.at(1)?,
        state: row.at(2)?,
    };
    Ok((row.at(0)?, entry))
}

fn pay_log_entry(row: &Row) -> Result<PayLogEntry, DatabaseError> {
    Ok(PayLogEntry {
        pay: row.at(0)?,
        result: row.at(1)?,
        amount: row.at(2)?,
    })
}

fn score_entry(row: &Row) -> Result<ScoreEntry, DatabaseError> {
    Ok(ScoreEntry {
        user: row.at(0)?,
        pay: row.at(1)?,
        change: row.at(2)?,
    })
}

fn pair<T: amends::conn::FromValue>(row: &Row) -> Result<(i64, T), DatabaseError> {
    Ok((row.at(0)?, row.at(1)?))
}
