//! Orders.
//!
//! Every change of a status names the status it comes from: whoever comes
//! late changes nothing, and no cancelled order comes back to life.

mod payment;
mod query;
mod steps;
pub mod table;

use std::time::Duration;

use amends::Wire;
use serde::{Deserialize, Serialize};

use crate::domain::{Cents, CouponId, GoodsId, OrderId, OrderStatus, UserId};
use crate::holds::Holds;
use crate::services::pay::UNPAID_AFTER;

pub use query::OrderQueries;

/// Where confirmed orders go that were given up. The services name it as a text.
pub const CLOSED_TOPIC: &str = "orderClosedTopic";
/// One that was not paid in time.
pub const NOT_PAID: &str = "order_not_paid";

/// The service.
#[derive(Clone, Debug)]
pub struct Orders {
    /// How long a confirmed order waits for its payment.
    pub unpaid_after: Duration,
    /// Where scenarios can make it wait.
    pub holds: Holds,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            unpaid_after: UNPAID_AFTER,
            holds: Holds::none(),
        }
    }
}

/// An order that was given up after it was confirmed, and what it held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderClosed {
    /// The order.
    pub order_id: OrderId,
    /// Whose.
    pub user_id: UserId,
    /// Which goods.
    pub goods_id: GoodsId,
    /// How many of them.
    pub goods_number: i64,
    /// Its coupon.
    pub coupon_id: Option<CouponId>,
    /// What the balance paid.
    pub money_paid: Cents,
}

/// An order that exists, unconfirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Wire)]
pub struct Created {
    /// The order.
    pub order_id: OrderId,
    /// What will be left to pay.
    pub pay_amount: Cents,
}

/// Asks to confirm an order, with what the other services did for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Wire)]
pub struct Confirm {
    /// The order.
    pub order_id: OrderId,
    /// How many goods are reserved.
    pub number: i64,
    /// At which price.
    pub price: Cents,
    /// What the coupon paid.
    pub coupon_paid: Cents,
    /// What the balance paid.
    pub money_paid: Cents,
}

/// Gives up an order that is still being placed; the saga that places it
/// then finds it cancelled and makes everything good. Returns the status that
/// the order has now, `None` when there is no such order.
///
/// # Errors
/// As the database says.
pub async fn cancel(
    database: &amends::Database,
    order: &OrderId,
) -> Result<Option<OrderStatus>, amends::DatabaseError> {
    database
        .transaction(async |conn| {
            table::change_status(
                conn,
                order,
                OrderStatus::Unconfirmed,
                OrderStatus::Cancelled,
            )
            .await?;
            Ok(table::find(conn, order)
                .await?
                .map(|order| order.order_status))
        })
        .await
}
