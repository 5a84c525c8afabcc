//! Buying a coupon with money and points.

use amends::conn::FromValue;
use amends::{DatabaseError, Value};

use super::Cents;
use super::order::{UnknownStatus, statuses};

/// What a coupon costs in money, taken from the balance.
pub const PRICE_IN_MONEY: Cents = Cents::units(10);
/// What it costs in points besides.
pub const PRICE_IN_POINTS: i64 = 500;

statuses! {
    /// `state` of what is held for a purchase.
    HeldState {
        /// Held: neither here nor there.
        Held = 0 "held",
        /// Confirmed: spent, or handed over.
        Taken = 1 "taken",
        /// Cancelled: back where it was.
        LetGo = 2 "let go",
    }
}
