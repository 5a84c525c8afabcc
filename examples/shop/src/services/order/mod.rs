//! Orders.
//!
//! Every change of a status names the status it comes from: whoever comes
//! late changes nothing, and no cancelled order comes back to life.

mod query;
mod steps;
pub mod table;

use amends::Wire;
use serde::{Deserialize, Serialize};

use crate::domain::{Cents, OrderId, OrderStatus};
use crate::holds::Holds;

pub use query::OrderQueries;

/// The service.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// Where scenarios can make it wait.
    pub holds: Holds,
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
