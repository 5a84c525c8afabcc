//! Coupons.
//!
//! A coupon belongs to one user, is valid for a time, and is taken by
//! compare-and-set: at most one order has it, and only that order gives it back.
//! One that is bought becomes the buyer's when the purchase is confirmed.

mod query;
pub mod sale;
mod steps;
pub mod table;

use amends::Wire;
use serde::{Deserialize, Serialize};

use crate::domain::{Cents, CouponId, OrderId, PurchaseId, UserId};
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

/// Asks for a coupon to buy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// For which purchase.
    pub purchase_id: PurchaseId,
    /// Who buys.
    pub user_id: UserId,
}

/// A coupon that is set aside, and what it costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// Which one.
    pub coupon_id: CouponId,
    /// What it is worth.
    pub value: Cents,
    /// What it costs in money.
    pub money: Cents,
    /// What it costs in points besides.
    pub points: i64,
}
