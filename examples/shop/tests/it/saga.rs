//! The saga that places an order: what is called with what, and what is
//! undone when something fails. No server, no services.

use amends::testing::{SagaTest, saga};
use serde_json::json;
use shop::domain::{Cents, PlaceOrder, Receipt};
use shop::saga::place_order;
use shop::services::coupon::CouponUsed;
use shop::services::goods::Reserved;
use shop::services::order::Created;
use shop::services::user::Deducted;

use crate::shop::{confirm, deduct, full_order, reserve, use_coupon};

fn scripted() -> SagaTest<PlaceOrder, Receipt> {
    let order = full_order("a");
    saga(place_order())
        .answer(
            "create-order",
            Created {
                order_id: order.order_id.clone(),
                pay_amount: Cents::units(880),
            },
        )
        .answer(
            "reserve-stock",
            Reserved {
                price: order.goods_price,
                number: 1,
            },
        )
        .answer(
            "use-coupon",
            CouponUsed {
                paid: order.coupon_paid,
            },
        )
        .answer(
            "deduct-balance",
            Deducted {
                paid: order.money_paid,
            },
        )
        .answer(
            "confirm-order",
            Receipt {
                order_id: order.order_id.clone(),
                pay_amount: Cents::units(880),
                confirm_time: 1,
            },
        )
        .input(order)
}

#[test]
fn every_service_is_asked_for_its_part_in_turn() {
    let order = full_order("a");
    let report = scripted().expect_completed();
    assert_eq!(
        report.called(),
        [
            "create-order",
            "reserve-stock",
            "use-coupon",
            "deduct-balance",
            "confirm-order"
        ]
    );
    report
        .expect_input("create-order", &order)
        .expect_input("reserve-stock", reserve(&order))
        .expect_input("use-coupon", use_coupon(&order))
        .expect_input("deduct-balance", deduct(&order))
        .expect_input("confirm-order", confirm(&order));
}

#[test]
fn a_refusal_undoes_what_was_done_before_in_reverse() {
    let fail_at = |step: &str| scripted().fail_at(step, "NO").run();
    fail_at("create-order").expect_undone_in_order([]);
    fail_at("reserve-stock").expect_undone_in_order(["create-order"]);
    fail_at("use-coupon").expect_undone_in_order(["reserve-stock", "create-order"]);
    fail_at("deduct-balance").expect_undone_in_order([
        "use-coupon",
        "reserve-stock",
        "create-order",
    ]);
    fail_at("confirm-order").expect_undone_in_order([
        "deduct-balance",
        "use-coupon",
        "reserve-stock",
        "create-order",
    ]);
}

#[test]
fn what_may_have_run_is_undone_too() {
    let unknown_at = |step: &str| scripted().unknown_at(step).run();
    unknown_at("create-order").expect_undone_in_order(["create-order"]);
    unknown_at("reserve-stock").expect_undone_in_order(["reserve-stock", "create-order"]);
    unknown_at("confirm-order").expect_undone_in_order([
        "confirm-order",
        "deduct-balance",
        "use-coupon",
        "reserve-stock",
        "create-order",
    ]);
}

#[test]
fn a_stuck_undo_does_not_hold_up_what_can_go_on() {
    let report = scripted()
        .fail_at("confirm-order", "NO")
        .undo_fails_at("use-coupon")
        .run();
    assert!(report.undone().contains(&"deduct-balance"));
    assert!(matches!(report.outcome(), amends::Outcome::Stuck { .. }));
}

#[test]
fn the_definition_is_data_that_tools_can_read() {
    let saga = place_order();
    let definition = saga.definition().unwrap();
    let confirm = &definition.steps[4];
    assert_eq!(confirm.target, "order/confirm");
    let input: serde_json::Value =
        serde_json::from_slice(&confirm.input.as_ref().unwrap().data).unwrap();
    assert_eq!(
        input["coupon_paid"],
        json!({"$ref": "$.steps.use-coupon.paid"})
    );
}
