//! Every rule that needs no other service, with the code of its refusal.

use shop::domain::{
    Cents, Coupon, FREE_SHIPPING_FROM, MAX_NUMBER, PlaceOrder, SHIPPING_FEE, Violation,
    check_coupon, check_goods, check_order, pay_amount, shipping_fee,
};
use shop::samples::{COUPON, COUPON_PRICE, PRICE, USER};

use crate::shop::{NOBODY, full_order, order};

const GOOD: &str = "good";

fn verdict(result: Result<(), Violation>) -> &'static str {
    result.map_or_else(|violation| violation.code.as_str(), |()| GOOD)
}

#[test]
fn an_order_is_checked_field_by_field() {
    let check = |change: fn(&mut PlaceOrder), expected: &str| {
        let mut order = full_order("a");
        change(&mut order);
        assert_eq!(verdict(check_order(&order)), expected, "{order:?}");
    };
    check(|_| {}, GOOD);
    check(|order| order.goods_number = 0, "ORDER_INVALID");
    check(|order| order.goods_number = -1, "ORDER_INVALID");
    check(|order| order.goods_number = MAX_NUMBER + 1, "ORDER_INVALID");
    check(|order| order.goods_price = Cents::ZERO, "ORDER_INVALID");
    check(|order| order.goods_price = Cents::new(-1), "ORDER_INVALID");
    check(
        |order| order.goods_price = Cents::new(i64::MAX),
        "ORDERAMOUNT_INVALID",
    );
    check(|order| order.address = " ".to_owned(), "ORDER_INVALID");
    check(|order| order.address = "x".repeat(201), "ORDER_INVALID");
    check(|order| order.address = "ä".repeat(200), GOOD);
    check(|order| order.consignee = String::new(), "ORDER_INVALID");
    check(|order| order.coupon_id = None, "ORDER_INVALID");
    check(|order| order.coupon_paid = Cents::new(-1), "ORDER_INVALID");
    check(
        |order| order.shipping_fee = SHIPPING_FEE,
        "ORDER_SHIPPINGFEE_INVALID",
    );
    check(
        |order| order.order_amount = Cents::new(99_999),
        "ORDERAMOUNT_INVALID",
    );
    check(
        |order| order.order_amount = Cents::new(-1),
        "ORDERAMOUNT_INVALID",
    );
    check(
        |order| order.money_paid = Cents::new(-1),
        "MONEY_PAID_LESS_ZERO",
    );
    check(|order| order.money_paid = Cents::units(980), GOOD);
    check(
        |order| order.money_paid = Cents::new(98_001),
        "MONEY_PAID_INVALID",
    );
    check(
        |order| order.money_paid = Cents::new(i64::MAX),
        "MONEY_PAID_INVALID",
    );
    check(
        |order| order.coupon_paid = Cents::new(100_001),
        "COUPON_INVALID",
    );
}

#[test]
fn the_shipping_fee_is_computed_and_the_result_is_used() {
    let check = |amount: Cents, expected: Cents| assert_eq!(shipping_fee(amount), expected);
    check(Cents::ZERO, SHIPPING_FEE);
    check(Cents::new(9_999), SHIPPING_FEE);
    check(FREE_SHIPPING_FROM, Cents::ZERO);
    // 99.99 and 10.00 for shipping: the fee is part of what is paid.
    let mut cheap = order("a");
    cheap.goods_price = Cents::new(9_999);
    cheap.order_amount = Cents::new(9_999);
    assert_eq!(verdict(check_order(&cheap)), "ORDER_SHIPPINGFEE_INVALID");
    cheap.shipping_fee = SHIPPING_FEE;
    assert_eq!(verdict(check_order(&cheap)), "ORDERAMOUNT_INVALID");
    cheap.order_amount = Cents::new(10_999);
    assert_eq!(verdict(check_order(&cheap)), GOOD);
    assert_eq!(pay_amount(&cheap), Some(Cents::new(10_999)));
}

#[test]
fn what_is_left_to_pay_is_exact() {
    let mut order = full_order("a");
    order.money_paid = Cents::new(1);
    assert_eq!(pay_amount(&order), Some(Cents::new(97_999)));
}

#[test]
fn the_price_is_the_one_that_was_shown() {
    assert_eq!(verdict(check_goods(PRICE, PRICE)), GOOD);
    let check = |seen: i64| {
        assert_eq!(
            verdict(check_goods(Cents::new(seen), PRICE)),
            "GOODS_PRICE_INVALID"
        );
    };
    check(PRICE.get() - 1);
    check(PRICE.get() + 1);
}

#[test]
fn a_coupon_is_its_owners_within_its_validity_once() {
    let coupon = Coupon {
        coupon_id: COUPON,
        user_id: USER,
        coupon_price: COUPON_PRICE,
        is_used: false,
        valid_from: 100,
        valid_until: 200,
    };
    let check = |change: fn(&mut Coupon), now: i64, expected: &str| {
        let mut coupon = coupon.clone();
        change(&mut coupon);
        let found = verdict(check_coupon(&coupon, USER, COUPON_PRICE, now));
        assert_eq!(found, expected, "{coupon:?} at {now}");
    };
    check(|_| {}, 100, GOOD);
    check(|_| {}, 199, GOOD);
    check(|_| {}, 99, "COUPON_INVALID");
    check(|_| {}, 200, "COUPON_INVALID");
    check(|coupon| coupon.user_id = NOBODY, 150, "COUPON_INVALID");
    check(|coupon| coupon.is_used = true, 150, "COUPON_INVALID");
    check(
        |coupon| coupon.coupon_price = Cents::units(19),
        150,
        "COUPON_INVALID",
    );
}
