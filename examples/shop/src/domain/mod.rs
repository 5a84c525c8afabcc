//! What the shop is about: ids, money, orders, and the rules with their codes.
//!
//! Everything here is pure: no database, no network, no clock.

mod code;
mod id;
mod money;
mod order;
mod payment;
mod purchase;
mod rules;

pub use code::Code;
pub use id::{CouponId, GoodsId, IdError, MAX_ORDER_ID, OrderId, PayId, PurchaseId, UserId};
pub use money::{Cents, MoneyError};
pub use order::{OrderStatus, PayStatus, PlaceOrder, Receipt, ShippingStatus, UnknownStatus};
pub use payment::{ChargeState, PaymentState};
pub use purchase::{HeldState, PRICE_IN_MONEY, PRICE_IN_POINTS};
pub use rules::{Coupon, FREE_SHIPPING_FROM, MAX_NUMBER, SHIPPING_FEE, Violation};
pub use rules::{check_coupon, check_goods, check_order, pay_amount, shipping_fee};
