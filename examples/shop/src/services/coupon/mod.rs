//! Coupons.
//!
//! A coupon belongs to one user, is valid for a time, and is taken by
//! compare-and-set: at most one order has it, and only that order gives it back.

mod query;
mod steps;
pub mod table;

use amends::Wire;
use serde::{Deserialize, Serialize};

use crate::domain::{Cents, CouponId, OrderId, UserId};
use crate::holds::Holds;

pub use query::CouponQueries;

/// The service.
#[derive(Clone, Debug, Default)]
pub struct Coupons {
    /// Where scenarios can make it wait.
    pub holds: Holds,
}

/// Asks to use a coupon for an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Wire)]
pub struct UseCoupon {
    /// For which order.
    pub order_id: OrderId,
    /// Whose order.
    pub user_id: UserId,
    /// Which coupon; none is used where there is none.
    pub coupon_id: Option<CouponId>,
    /// What the customer saw that it is worth.
    pub value: Cents,
}

/// What was paid with a coupon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Wire)]
pub struct CouponUsed {
    /// Zero without a coupon.
    pub paid: Cents,
}
