//! Orders that one of the services refuses: everything done before is made good.

use axum::http::Method;

use crate::domain::{Cents, PlaceOrder, UserId, shipping_fee};
use crate::holds;
use crate::runner::RunnerError;
use crate::runner::stage::{Stage, expect, expect_answer, joined};
use crate::samples::{BALANCE, COUPON_PRICE, NUMBER, PRICE, USER};

/// Somebody else.
const OTHER_USER: UserId = UserId::new(345_963_634_385_633_281);

pub(super) async fn no_stock(stage: &mut Stage) -> Result<(), RunnerError> {
    let mut order = stage.order();
    order.goods_number = NUMBER + 1;
    let amount = PRICE.times(order.goods_number).unwrap_or_default();
    order.shipping_fee = shipping_fee(amount);
    order.order_amount = amount.plus(order.shipping_fee).unwrap_or_default();
    refused(stage, &order, "GOODS_NUM_NOT_ENOUGH").await
}

pub(super) async fn no_coupon(stage: &mut Stage) -> Result<(), RunnerError> {
    let mut order = stage.order();
    order.coupon_id = Some(stage.coupon(OTHER_USER).await?);
    order.coupon_paid = COUPON_PRICE;
    refused(stage, &order, "COUPON_INVALID").await
}

pub(super) async fn no_money(stage: &mut Stage) -> Result<(), RunnerError> {
    let mut order = stage.order();
    order.coupon_id = Some(stage.coupon(USER).await?);
    order.coupon_paid = COUPON_PRICE;
    order.money_paid = BALANCE.plus(Cents::new(1)).unwrap_or_default();
    refused(stage, &order, "MONEY_PAID_INVALID").await
}

pub(super) async fn cancelled(stage: &mut Stage) -> Result<(), RunnerError> {
    let mut order = stage.order();
    order.coupon_id = Some(stage.coupon(USER).await?);
    order.coupon_paid = COUPON_PRICE;
    order.money_paid = Cents::units(10);
    stage.tell_asked(&order);
    let hold = stage.hold(holds::USER_DEDUCT)?;
    let placing = stage.begin(&order);
    expect(hold.reached().await, "the balance to be charged")?;
    let path = format!("/orders/{}/cancel", order.order_id);
    let cancelled = stage.send(Method::POST, &path).await?;
    stage.story.tell(
        "meanwhile",
        format!("the customer cancels: {}", cancelled.status),
    );
    expect_answer(&cancelled, 204, "")?;
    hold.lift();
    let answer = joined(placing).await?;
    stage.tell_end(&order, &answer).await?;
    expect_answer(&answer, 409, "ORDER_CANCELLED")
}

async fn refused(stage: &Stage, order: &PlaceOrder, code: &str) -> Result<(), RunnerError> {
    let answer = stage.place(order).await?;
    stage.tell_end(order, &answer).await?;
    expect_answer(&answer, 409, code)?;
    let shown = stage
        .send(Method::GET, &format!("/orders/{}", order.order_id))
        .await?;
    expect(
        shown.text("order_status") == "cancelled",
        format!("a cancelled order, found {}", shown.body),
    )
}
