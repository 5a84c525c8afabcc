//! What a payment goes through, for the shop and for the provider.

use amends::conn::FromValue;
use amends::{DatabaseError, Value};

use super::order::{UnknownStatus, statuses};

statuses! {
    /// `is_paid`. It only ever grows: 0 → 1 → 2, 0 or 1 → 3, 2 or 3 → 4 → 5.
    PaymentState {
        /// The provider knows of it, the customer has done nothing.
        Unpaid = 0 "unpaid",
        /// The customer is paying.
        Paying = 1 "paying",
        /// Paid.
        Paid = 2 "paid",
        /// Closed before it was paid.
        Closed = 3 "closed",
        /// Paid all the same, for an order that is no more: to be paid back.
        Refunding = 4 "refunding",
        /// Paid back.
        Refunded = 5 "refunded",
    }
    /// How the provider calls it.
    ChargeState {
        /// Can be paid.
        Open = 0 "open",
        /// Paid.
        Paid = 1 "paid",
        /// Cannot be paid any more.
        Closed = 2 "closed",
        /// Paid back.
        Refunded = 3 "refunded",
    }
}

impl PaymentState {
    /// The customer may still pay.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Unpaid | Self::Paying)
    }
}
