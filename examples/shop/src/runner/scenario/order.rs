//! Orders that go through.

use axum::http::Method;

use crate::domain::Cents;
use crate::runner::RunnerError;
use crate::runner::stage::{Stage, expect, expect_answer, joined};
use crate::samples::{COUPON_PRICE, USER};

pub(super) async fn succeeds(stage: &mut Stage) -> Result<(), RunnerError> {
    let mut order = stage.order();
    order.coupon_id = Some(stage.coupon(USER).await?);
    order.coupon_paid = COUPON_PRICE;
    order.money_paid = Cents::units(100);
    let answer = stage.place(&order).await?;
    stage.tell_end(&order, &answer).await?;
    expect_answer(&answer, 201, "")?;
    let shown = stage
        .send(Method::GET, &format!("/orders/{}", order.order_id))
        .await?;
    let good = shown.text("order_status") == "confirmed" && shown.body["pay_amount"] == 88_000;
    expect(
        good,
        format!("a confirmed order with 880.00 to pay, found {}", shown.body),
    )
}

pub(super) async fn twice(stage: &mut Stage) -> Result<(), RunnerError> {
    let mut order = stage.order();
    order.money_paid = Cents::new(1234);
    stage.tell_asked(&order);
    let (first, second) = (stage.begin(&order), stage.begin(&order));
    let (first, second) = (joined(first).await?, joined(second).await?);
    stage.tell_end(&order, &second).await?;
    expect_answer(&first, 201, "")?;
    expect(first == second, "the same answer to both")?;
    // The id is taken now, whatever else would be ordered under it.
    order.money_paid = Cents::new(1235);
    stage
        .story
        .tell("asked", "the same id again, with another amount");
    let other = joined(stage.begin(&order)).await?;
    stage
        .story
        .tell("answer", format!("{} {}", other.status, other.code()));
    expect_answer(&other, 409, "ORDER_ID_TAKEN")
}
