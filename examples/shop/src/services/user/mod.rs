//! Users and their balances.
//!
//! A balance changes together with a row of the money log, in one
//! transaction, and the log's key (user, order, type) lets every order take
//! and give back once. Points change in the same way, beside the score log.

mod query;
mod steps;
pub mod table;

use amends::Wire;
use serde::{Deserialize, Serialize};

use crate::domain::{Cents, OrderId, UserId};
use crate::holds::Holds;

pub use query::UserQueries;

/// The service.
#[derive(Clone, Debug, Default)]
pub struct Users {
    /// Where scenarios can make it wait.
    pub holds: Holds,
}

/// Asks to charge a balance for an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Wire)]
pub struct Deduct {
    /// For which order.
    pub order_id: OrderId,
    /// Whose balance.
    pub user_id: UserId,
    /// How much; zero charges nothing.
    pub amount: Cents,
}

/// What was paid from the balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Wire)]
pub struct Deducted {
    /// How much.
    pub paid: Cents,
}
