//! What an order is: what the customer asks for, and what it goes through.

use amends::conn::FromValue;
use amends::{DatabaseError, Value, Wire};
use serde::{Deserialize, Serialize};

use super::{Cents, CouponId, GoodsId, OrderId, UserId};

/// An order as the customer sees it before it is placed. Every figure that
/// the customer saw is part of it, and is compared with what the shop
/// computes: nobody pays another amount than the one that was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Wire)]
pub struct PlaceOrder {
    /// The order's id, chosen by the caller: placing it again is the same order.
    pub order_id: OrderId,
    /// Who buys.
    pub user_id: UserId,
    /// What.
    pub goods_id: GoodsId,
    /// How many.
    pub goods_number: i64,
    /// Price of one.
    pub goods_price: Cents,
    /// Fee for shipping.
    pub shipping_fee: Cents,
    /// Goods and shipping.
    pub order_amount: Cents,
    /// A coupon to use.
    pub coupon_id: Option<CouponId>,
    /// What the coupon is worth; zero without one.
    pub coupon_paid: Cents,
    /// What is paid from the balance.
    pub money_paid: Cents,
    /// Where it goes.
    pub address: String,
    /// To whom.
    pub consignee: String,
}

/// What the customer gets for a confirmed order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Wire)]
pub struct Receipt {
    /// The order.
    pub order_id: OrderId,
    /// What is still to be paid.
    pub pay_amount: Cents,
    /// When it was confirmed, in milliseconds since 1970.
    pub confirm_time: i64,
}

/// A number in a status column that means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no such status")]
pub struct UnknownStatus(pub i64);

/// Enums that are numbers in a status column and words for people.
macro_rules! statuses {
    ($($(#[$docs:meta])+ $name:ident { $($(#[$variant_docs:meta])+ $variant:ident = $number:literal $text:literal,)+ })+) => {$(
        $(#[$docs])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_docs])+ $variant = $number,)+
        }

        impl $name {
            /// As it is shown.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl TryFrom<i64> for $name {
            type Error = UnknownStatus;

            fn try_from(number: i64) -> Result<Self, UnknownStatus> {
                match number {
                    $($number => Ok(Self::$variant),)+
                    other => Err(UnknownStatus(other)),
                }
            }
        }

        impl From<$name> for Value {
            fn from(status: $name) -> Self {
                Self::Int(status as i64)
            }
        }

        impl FromValue for $name {
            fn from_value(value: &Value) -> Result<Self, DatabaseError> {
                let number = i64::from_value(value)?;
                Self::try_from(number).map_err(|error| DatabaseError::Column(error.to_string()))
            }
        }
    )+};
}

pub(super) use statuses;

statuses! {
    /// `order_status`.
    OrderStatus {
        /// Being placed, and invisible to the customer.
        Unconfirmed = 0 "unconfirmed",
        /// Placed.
        Confirmed = 1 "confirmed",
        /// Given up; it holds nothing.
        Cancelled = 2 "cancelled",
        /// Found to be wrong.
        Invalid = 3 "invalid",
        /// Paid back.
        Refunded = 4 "refunded",
    }
    /// `pay_status`.
    PayStatus {
        /// Nothing paid yet beyond coupon and balance.
        Unpaid = 0 "unpaid",
        /// A payment is under way.
        Paying = 1 "paying",
        /// Paid.
        Paid = 2 "paid",
    }
    /// `shipping_status`.
    ShippingStatus {
        /// Still here.
        NotShipped = 0 "not shipped",
        /// On its way.
        Shipped = 1 "shipped",
        /// There.
        Received = 2 "received",
    }
}
