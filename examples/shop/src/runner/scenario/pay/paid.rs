//! A payment as it should be.

use axum::http::Method;

use super::{all_in, ask_to_pay, begin, new_order, pay};
use crate::domain::{Cents, PaymentState};
use crate::provider::PayRequest;
use crate::runner::RunnerError;
use crate::runner::stage::{Stage, expect, expect_answer};
use crate::samples::USER;

pub(crate) async fn paid(stage: &mut Stage) -> Result<(), RunnerError> {
    let mut order = stage.order();
    let too_early = ask_to_pay(stage, &order).await?;
    stage
        .story
        .tell("asked", "to pay for an order that nobody placed");
    stage.story.tell(
        "answer",
        format!("{} {}", too_early.status, too_early.code()),
    );
    expect_answer(&too_early, 404, "ORDER_NO_EXIST")?;

    order = new_order(stage).await?;
    stage.story.tell(
        "asked",
        format!(
            "to pay for an order with {} left to pay",
            order.order_amount
        ),
    );
    let first = begin(stage, &order).await?;
    let second = begin(stage, &order).await?;
    expect(first == second, "one payment, however often it is begun")?;
    pay(stage, &first, &PayRequest::default()).await?;
    stage.story.tell(
        "provider",
        "the customer pays; it tells the shop: paying, then paid",
    );

    let books = all_in(stage, std::slice::from_ref(&first), PaymentState::Paid).await?;
    let shown = stage
        .send(Method::GET, &format!("/orders/{}", order.order_id))
        .await?;
    let user = stage.send(Method::GET, &format!("/users/{USER}")).await?;
    let (status, points) = (shown.text("pay_status"), &user.body["user_score"]);
    let logged = books
        .pay_log
        .iter()
        .filter(|row| row.pay == first.as_str())
        .count();
    stage.story.tell(
        "end",
        format!("the order is {status}, the customer has {points} points, {logged} row in the log"),
    );
    expect(status == "paid", "a paid order")?;
    expect(
        *points == Cents::get(order.order_amount) / 100,
        "a point for each unit",
    )?;

    let again = ask_to_pay(stage, &order).await?;
    stage.story.tell("asked", "to pay once more");
    stage
        .story
        .tell("answer", format!("{} {}", again.status, again.code()));
    expect_answer(&again, 409, "ORDER_PAY_STATUS_IS_PAY")
}
