//! The rules of placing an order, each with the code of its refusal.

use std::fmt;

use amends::StepError;

use super::{Cents, Code, CouponId, PlaceOrder, UserId};

/// Shipping is free from this amount of goods on.
pub const FREE_SHIPPING_FROM: Cents = Cents::units(100);

/// What shipping costs below it.
pub const SHIPPING_FEE: Cents = Cents::units(10);

/// The most of one kind of goods in an order.
pub const MAX_NUMBER: i64 = 1_000_000;

const MAX_ADDRESS: usize = 200;
const MAX_CONSIGNEE: usize = 60;

/// A rule that an order breaks.
///
/// It is no [`std::error::Error`], so that `?` in a step makes a refusal of
/// it, and never an unknown outcome that is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Stable code.
    pub code: Code,
    /// For people.
    pub message: String,
}

/// A coupon as the shop knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coupon {
    /// Its id.
    pub coupon_id: CouponId,
    /// To whom it was given.
    pub user_id: UserId,
    /// What it is worth.
    pub coupon_price: Cents,
    /// Whether an order has it.
    pub is_used: bool,
    /// The first moment of its validity, in milliseconds since 1970.
    pub valid_from: i64,
    /// The first moment after its validity.
    pub valid_until: i64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl From<Violation> for StepError {
    fn from(violation: Violation) -> Self {
        Self::refused(violation.code, violation.message)
    }
}

/// What shipping costs for goods of this amount.
#[must_use]
pub fn shipping_fee(goods_amount: Cents) -> Cents {
    if goods_amount >= FREE_SHIPPING_FROM {
        Cents::ZERO
    } else {
        SHIPPING_FEE
    }
}

/// What is left to pay for an order.
#[must_use]
pub fn pay_amount(order: &PlaceOrder) -> Option<Cents> {
    order
        .order_amount
        .minus(order.coupon_paid)?
        .minus(order.money_paid)
}

/// Everything about an order that can be said without asking another service.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_order(order: &PlaceOrder) -> Result<(), Violation> {
    check_shape(order)?;
    let goods_amount = order.goods_price.times(order.goods_number);
    let Some(goods_amount) = goods_amount else {
        return violation(Code::OrderAmountInvalid, "the amount is too large");
    };
    let fee = shipping_fee(goods_amount);
    if order.shipping_fee != fee {
        let text = format!("shipping costs {fee}, not {}", order.shipping_fee);
        return violation(Code::OrderShippingFeeInvalid, text);
    }
    if Some(order.order_amount) != goods_amount.plus(fee) {
        let text = format!(
            "{} x {} and {fee} for shipping are not {}",
            order.goods_number, order.goods_price, order.order_amount
        );
        return violation(Code::OrderAmountInvalid, text);
    }
    check_payments(order)
}

/// Whether the goods are what the customer saw. How many are left is decided
/// by the update that takes them, not here.
///
/// # Errors
/// [`Code::GoodsPriceInvalid`].
pub fn check_goods(seen: Cents, price: Cents) -> Result<(), Violation> {
    if seen != price {
        let text = format!("the price is {price}, not {seen}");
        return violation(Code::GoodsPriceInvalid, text);
    }
    Ok(())
}

/// Whether a coupon is good for this user, this value and this moment.
///
/// # Errors
/// [`Code::CouponInvalid`].
pub fn check_coupon(
    coupon: &Coupon,
    user: UserId,
    value: Cents,
    now: i64,
) -> Result<(), Violation> {
    let id = coupon.coupon_id;
    let text = if coupon.user_id != user {
        format!("coupon {id} belongs to somebody else")
    } else if coupon.is_used {
        format!("coupon {id} is used")
    } else if now < coupon.valid_from {
        format!("coupon {id} is not valid yet")
    } else if now >= coupon.valid_until {
        format!("coupon {id} is not valid any more")
    } else if coupon.coupon_price != value {
        format!("coupon {id} is worth {}, not {value}", coupon.coupon_price)
    } else {
        return Ok(());
    };
    violation(Code::CouponInvalid, text)
}

fn check_shape(order: &PlaceOrder) -> Result<(), Violation> {
    let text = if order.goods_number <= 0 || order.goods_number > MAX_NUMBER {
        format!(
            "{} is no number of goods: 1 to {MAX_NUMBER}",
            order.goods_number
        )
    } else if order.goods_price <= Cents::ZERO {
        format!("{} is no price", order.goods_price)
    } else if order.coupon_paid.is_negative() {
        format!("{} is no value of a coupon", order.coupon_paid)
    } else if order.coupon_id.is_none() && order.coupon_paid != Cents::ZERO {
        "a coupon's value without a coupon".to_owned()
    } else if !is_text(&order.address, MAX_ADDRESS) {
        format!("the address must have 1 to {MAX_ADDRESS} characters")
    } else if !is_text(&order.consignee, MAX_CONSIGNEE) {
        format!("the consignee must have 1 to {MAX_CONSIGNEE} characters")
    } else {
        return Ok(());
    };
    violation(Code::OrderInvalid, text)
}

fn check_payments(order: &PlaceOrder) -> Result<(), Violation> {
    if order.money_paid.is_negative() {
        let text = format!("{} cannot be paid from a balance", order.money_paid);
        return violation(Code::MoneyPaidLessZero, text);
    }
    // An amount below zero and an overflow mean the same: too much.
    if pay_amount(order).is_none_or(Cents::is_negative) {
        let text = format!(
            "coupon {} and balance {} are more than the order's {}",
            order.coupon_paid, order.money_paid, order.order_amount
        );
        let coupon_alone = order.coupon_paid > order.order_amount;
        let code = if coupon_alone {
            Code::CouponInvalid
        } else {
            Code::MoneyPaidInvalid
        };
        return violation(code, text);
    }
    Ok(())
}

fn is_text(text: &str, max: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= max
}

fn violation(code: Code, message: impl Into<String>) -> Result<(), Violation> {
    Err(Violation {
        code,
        message: message.into(),
    })
}
