//! The sample data: one customer, one course to buy, one coupon.

use amends::DatabaseError;

use crate::clock;
use crate::domain::{Cents, Coupon, CouponId, GoodsId, UserId};
use crate::invariants::Databases;
use crate::provider;
use crate::services::goods::table::GoodsRow;
use crate::services::user::table::UserRow;
use crate::services::{coupon, goods, mail, order, pay, paylog, user};

/// The customer, with 900.00.
pub const USER: UserId = UserId::new(345_963_634_385_633_280);
/// The Java course, 999 at 1000.00.
pub const GOODS: GoodsId = GoodsId::new(345_959_443_973_935_104);
/// The customer's coupon, worth 20.00.
pub const COUPON: CouponId = CouponId::new(345_988_230_098_857_984);

/// What the course costs.
pub const PRICE: Cents = Cents::units(1000);
/// How many there are at first.
pub const NUMBER: i64 = 999;
/// What is in the customer's balance at first.
pub const BALANCE: Cents = Cents::units(900);
/// What the coupon is worth.
pub const COUPON_PRICE: Cents = Cents::units(20);

/// From an hour ago, so that clocks need not agree, for a year.
const COUPON_SINCE: i64 = 60 * 60 * 1000;
const COUPON_FOR: i64 = 365 * 24 * 60 * 60 * 1000;

/// Creates the tables of all services and adds the sample data, where they
/// are missing.
///
/// # Errors
/// As the databases say.
pub async fn fill(databases: &Databases) -> Result<(), DatabaseError> {
    order::table::create(&databases.order).await?;
    goods::table::create(&databases.goods).await?;
    coupon::table::create(&databases.coupon).await?;
    user::table::create(&databases.user).await?;
    mail::table::create(&databases.mail).await?;
    pay::table::create(&databases.pay).await?;
    paylog::table::create(&databases.paylog).await?;
    provider::table::create(&databases.provider).await?;
    add_goods(databases, &course()).await?;
    add_user(databases, &customer()).await?;
    add_coupon(databases, &fresh_coupon(COUPON, USER)).await
}

/// Puts goods on sale.
///
/// # Errors
/// As the database says.
pub async fn add_goods(databases: &Databases, goods: &GoodsRow) -> Result<(), DatabaseError> {
    let add = async |conn: &mut amends::Conn| goods::table::add(conn, goods).await;
    databases.goods.transaction(add).await
}

/// Adds a user.
///
/// # Errors
/// As the database says.
pub async fn add_user(databases: &Databases, user: &UserRow) -> Result<(), DatabaseError> {
    let add = async |conn: &mut amends::Conn| user::table::add(conn, user).await;
    databases.user.transaction(add).await
}

/// Hands out a coupon.
///
/// # Errors
/// As the database says.
pub async fn add_coupon(databases: &Databases, coupon: &Coupon) -> Result<(), DatabaseError> {
    let add = async |conn: &mut amends::Conn| coupon::table::add(conn, coupon).await;
    databases.coupon.transaction(add).await
}

/// A coupon worth 20.00 that is valid now.
#[must_use]
pub fn fresh_coupon(coupon_id: CouponId, user_id: UserId) -> Coupon {
    let now = clock::now();
    Coupon {
        coupon_id,
        user_id,
        coupon_price: COUPON_PRICE,
        is_used: false,
        valid_from: now - COUPON_SINCE,
        valid_until: now + COUPON_FOR,
    }
}

/// The goods of the sample.
#[must_use]
pub fn course() -> GoodsRow {
    GoodsRow {
        goods_id: GOODS,
        name: "Java course".to_owned(),
        number: NUMBER,
        price: PRICE,
        description: "Everything about Java, in print".to_owned(),
    }
}

/// The user of the sample.
#[must_use]
pub fn customer() -> UserRow {
    UserRow {
        user_id: USER,
        name: "Ada".to_owned(),
        mobile: "555 0100".to_owned(),
        money: BALANCE,
        score: 0,
    }
}
