//! Orders that wait for their payment.

use std::time::Duration;

use super::{all_in, at_rest, begin, pay, placed};
use crate::domain::{Cents, OrderStatus, PaymentState, PlaceOrder};
use crate::invariants::{self, Books};
use crate::provider::PayRequest;
use crate::role::Role;
use crate::runner::RunnerError;
use crate::runner::stage::{Stage, expect, expect_answer};
use crate::samples::{COUPON_PRICE, USER};

/// How long orders wait here.
const PATIENCE: Duration = Duration::from_secs(1);
/// By then the message about an order has come, if anybody takes it.
const OVER: Duration = Duration::from_millis(1500);
/// How long they wait otherwise.
const LONG: &str = "30m";

/// Nobody pays, somebody pays, and somebody paid and the shop did not hear of it.
pub(crate) async fn unpaid(stage: &mut Stage) -> Result<(), RunnerError> {
    let before = invariants::check(&stage.world.databases).await?.books;
    patience(stage, &format!("{}ms", PATIENCE.as_millis())).await?;
    let nobody = full_order(stage).await?;
    let unheard = stage.order();
    placed(stage, &unheard).await?;
    let paid = stage.order();
    placed(stage, &paid).await?;
    let (unheard_pay, paid_pay) = (begin(stage, &unheard).await?, begin(stage, &paid).await?);
    pay(stage, &paid_pay, &PayRequest::default()).await?;
    let silent = PayRequest {
        callbacks: Vec::new(),
        ..PayRequest::default()
    };
    pay(stage, &unheard_pay, &silent).await?;
    all_in_order(stage, &paid, "paid").await?;
    stage.story.tell(
        "paid",
        "one of three orders, a second one without a callback",
    );

    stage.world.service(Role::Pay)?.end().await;
    stage.story.tell("stopped", "pay");
    tokio::time::sleep(OVER).await;
    let books = invariants::check(&stage.world.databases).await?.books;
    expect(
        status(&books, &nobody) == Some(OrderStatus::Confirmed),
        "no order to be given up while nobody knows whether it is paid",
    )?;
    stage.story.tell(
        "meanwhile",
        "the time to pay is over; nothing is given up without pay",
    );
    stage.world.service(Role::Pay)?.restart().await?;
    stage
        .story
        .tell("restart", "pay is back, and closes what is not paid");

    let what = "one order to be given up and two to be paid";
    let books = at_rest(stage, what, |books| {
        status(books, &nobody) == Some(OrderStatus::Cancelled)
            && books.settled().number == before.settled().number + 2
            && books.balance() == before.balance()
    })
    .await?;
    patience(stage, LONG).await?;
    expect(
        books.sold() == before.sold() + 2,
        "two goods sold, and one back on sale",
    )?;
    let answer = super::ask_to_pay(stage, &nobody).await?;
    stage.story.tell("asked", "to pay for it now");
    stage
        .story
        .tell("answer", format!("{} {}", answer.status, answer.code()));
    expect_answer(&answer, 409, "PAY_CLOSED")
}

/// The payment was closed at the provider, and the money comes all the same.
pub(crate) async fn late(stage: &mut Stage) -> Result<(), RunnerError> {
    patience(stage, &format!("{}ms", PATIENCE.as_millis())).await?;
    let order = full_order(stage).await?;
    let id = begin(stage, &order).await?;
    stage.story.tell("meanwhile", "the time to pay goes by");
    let pays = [id];
    all_in(stage, &pays, PaymentState::Closed).await?;
    stage.story.tell(
        "closed",
        "the payment first, then the order; stock, coupon and balance are back",
    );
    patience(stage, LONG).await?;
    let [id] = &pays;
    let late = PayRequest {
        even_if_closed: true,
        ..PayRequest::default()
    };
    pay(stage, id, &late).await?;
    stage
        .story
        .tell("provider", "the money has come all the same");
    let what = "the money to be paid back";
    at_rest(stage, what, |books| {
        let payment = books.payments.get(id.as_str()).map(|payment| payment.state);
        let order = status(books, &order);
        (payment, order) == (Some(PaymentState::Refunded), Some(OrderStatus::Refunded))
    })
    .await?;
    stage
        .story
        .tell("end", "it is paid back, and the order is refunded");
    Ok(())
}

/// How long orders wait from now on.
async fn patience(stage: &mut Stage, time: &str) -> Result<(), RunnerError> {
    let order = stage.world.service(Role::Order)?;
    order.set_arg("--unpaid-after", time);
    order.end().await;
    order.restart().await?;
    stage.story.tell(
        "restart",
        format!("order: it lets orders wait {time} for their payment"),
    );
    Ok(())
}

/// An order that holds stock, a coupon and money.
async fn full_order(stage: &mut Stage) -> Result<PlaceOrder, RunnerError> {
    let mut order = stage.order();
    order.coupon_id = Some(stage.coupon(USER).await?);
    order.coupon_paid = COUPON_PRICE;
    order.money_paid = Cents::units(10);
    placed(stage, &order).await?;
    Ok(order)
}

/// Waits until an order is shown like this.
async fn all_in_order(stage: &Stage, order: &PlaceOrder, paid: &str) -> Result<(), RunnerError> {
    let path = format!("/orders/{}", order.order_id);
    let shown = async {
        loop {
            let shown = stage.send(axum::http::Method::GET, &path).await?;
            if shown.text("pay_status") == paid {
                return Ok(());
            }
            tokio::time::sleep(super::LOOK_EVERY).await;
        }
    };
    crate::runner::stage::in_time(super::MAX_SETTLE, "the order to be paid", shown).await
}

fn status(books: &Books, order: &PlaceOrder) -> Option<OrderStatus> {
    let order = books.orders.get(order.order_id.as_str());
    order.map(|order| order.status)
}
