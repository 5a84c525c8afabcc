//! Goods and stock.
//!
//! Stock never goes below zero and never gets lost: it changes by relative,
//! conditional updates only, each beside a row of the stock log whose key
//! contains the operation, so that giving back does not collide with taking.

mod query;
mod steps;
pub mod table;

use amends::Wire;
use serde::{Deserialize, Serialize};

use crate::domain::{Cents, GoodsId, OrderId};
use crate::holds::Holds;

pub use query::GoodsQueries;

/// The service.
#[derive(Clone, Debug, Default)]
pub struct Goods {
    /// Where scenarios can make it wait.
    pub holds: Holds,
}

/// Asks to take goods out of sale for an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Wire)]
pub struct Reserve {
    /// For which order.
    pub order_id: OrderId,
    /// Which goods.
    pub goods_id: GoodsId,
    /// How many.
    pub number: i64,
    /// The price that the customer saw.
    pub price: Cents,
}

/// Goods that are out of sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Wire)]
pub struct Reserved {
    /// The price of one, as the shop has it.
    pub price: Cents,
    /// How many.
    pub number: i64,
}
