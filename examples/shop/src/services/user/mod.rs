//! Users and their balances.
//!
//! A balance changes together with a row of the money log, in one
//! transaction, and the log's key (user, order, type) lets every order take
//! and give back once. Points change in the same way, beside the score log.
//!
//! For a purchase money and points are frozen first: out of the balance, and in a
//! row of their own until it is decided.

pub mod frozen;
mod query;
mod steps;
pub mod table;

use amends::Wire;
use serde::{Deserialize, Serialize};

use crate::domain::{Cents, OrderId, PurchaseId, UserId};
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

/// Asks to hold money, in cents, or points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// For which purchase.
    pub purchase_id: PurchaseId,
    /// Whose.
    pub user_id: UserId,
    /// How much; above zero.
    pub amount: i64,
}

/// What is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// Money or points.
    pub kind: frozen::Kind,
    /// How much.
    pub amount: i64,
}

/// What was paid from the balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Wire)]
pub struct Deducted {
    /// How much.
    pub paid: Cents,
}
