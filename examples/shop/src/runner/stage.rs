//! [`Stage`]: what a scenario plays on, and how it is judged.

use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::Value;

use super::scenario::Scenario;
use super::story::{Story, Tone};
use super::world::World;
use super::{HttpError, RunnerError};
use crate::domain::{Cents, CouponId, OrderId, PlaceOrder, UserId, shipping_fee};
use crate::front::OrderRequest;
use crate::holds::Hold;
use crate::http::{Answer, send};
use crate::invariants::{self, Report};
use crate::samples;

/// Where scenarios are played.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) story: Story,
    orders: u32,
    coupons: i64,
}

/// An order under way: its end can be awaited while other things happen.
pub(super) type Placing = tokio::task::JoinHandle<Result<Answer, HttpError>>;

impl Stage {
    pub(super) fn new(world: World, story: Story) -> Self {
        Self {
            world,
            story,
            orders: 0,
            coupons: 0,
        }
    }

    /// Plays a scenario, tells it, and judges it and the books after it.
    pub(super) async fn play(
        &mut self,
        number: usize,
        scenario: &Scenario,
    ) -> (&'static str, bool, Duration) {
        let start = Instant::now();
        self.story.heading(number, scenario.title);
        let played = (scenario.play)(self).await;
        if let Err(error) = &played {
            self.story.tell_as(Tone::Bad, "FAILED", chain(error));
        }
        let checked = self.check_books().await;
        let good = played.is_ok() && matches!(checked, Ok(true));
        if let Err(error) = checked {
            self.story.tell_as(Tone::Bad, "FAILED", chain(&error));
        }
        (scenario.title, good, start.elapsed())
    }

    /// An order for one course by the sample user, paid in no way yet.
    pub(super) fn order(&mut self) -> PlaceOrder {
        self.orders += 1;
        let unique = OrderId::unique();
        let unique = unique.as_str();
        let short = &unique[unique.len().saturating_sub(8)..];
        let id = format!("order-{}-{short}", self.orders);
        PlaceOrder {
            order_id: id.parse().unwrap_or_else(|_| OrderId::unique()),
            ..sample_order()
        }
    }

    /// A coupon worth 20.00 of a user's, fresh.
    pub(super) async fn coupon(&mut self, user: UserId) -> Result<CouponId, RunnerError> {
        self.coupons += 1;
        let id = CouponId::new(samples::COUPON.get() + self.coupons);
        samples::add_coupon(&self.world.databases, &samples::fresh_coupon(id, user)).await?;
        Ok(id)
    }

    /// An order as `curl` would send it.
    pub(super) fn sample_request(&self) -> OrderRequest {
        OrderRequest {
            order_id: None,
            ..OrderRequest::from(sample_order())
        }
    }

    /// Says what is asked for.
    pub(super) fn tell_asked(&self, order: &PlaceOrder) {
        let mut text = format!("{} x {}", order.goods_number, order.goods_price);
        if order.coupon_id.is_some() {
            text.push_str(&format!(", coupon {}", order.coupon_paid));
        }
        if order.money_paid != Cents::ZERO {
            text.push_str(&format!(", {} from the balance", order.money_paid));
        }
        self.story.tell("asked", text);
    }

    /// Places an order and waits for the answer.
    pub(super) async fn place(&self, order: &PlaceOrder) -> Result<Answer, RunnerError> {
        self.tell_asked(order);
        joined(self.begin(order)).await
    }

    /// Places an order without waiting.
    pub(super) fn begin(&self, order: &PlaceOrder) -> Placing {
        let front = self.world.front();
        let body = serde_json::to_value(OrderRequest::from(order.clone()));
        tokio::spawn(async move {
            let body = body.unwrap_or_default();
            send(front, Method::POST, "/orders", Some(&body)).await
        })
    }

    /// Any other request to the front.
    pub(super) async fn send(&self, method: Method, path: &str) -> Result<Answer, RunnerError> {
        Ok(send(self.world.front(), method, path, None).await?)
    }

    /// Holds a place in a service's step.
    pub(super) fn hold(&self, place: &str) -> Result<Hold, RunnerError> {
        Ok(Hold::set(&self.world.setting.holds(), place)?)
    }

    /// Tells what each service did, and what the customer was answered.
    pub(super) async fn tell_end(
        &self,
        order: &PlaceOrder,
        answer: &Answer,
    ) -> Result<(), RunnerError> {
        let transaction = self.world.client.get(order.order_id.as_str()).await?;
        self.story.steps(&transaction);
        let text = match (answer.code(), &answer.body["pay_amount"]) {
            ("", Value::Number(pay)) => {
                let left = Cents::new(pay.as_i64().unwrap_or_default());
                format!("{}, {left} left to pay", answer.text("order_status"))
            }
            ("", _) => answer.text("order_status").to_owned(),
            (code, _) => code.to_owned(),
        };
        self.story
            .tell("answer", format!("{} {text}", answer.status));
        Ok(())
    }

    /// Reads the databases and judges them; tells both.
    async fn check_books(&self) -> Result<bool, RunnerError> {
        let Report { breaches, books } = invariants::check(&self.world.databases).await?;
        let (left, sold) = (books.left(), books.sold());
        let (balance, paid) = (books.balance(), books.paid());
        let first = left + sold;
        let spent: Cents = books.bought().map(|purchase| purchase.money).sum();
        let all: Cents = [balance, paid, spent].into_iter().sum();
        let stock = format!("stock {first} = {left} left + {sold} sold");
        let mut money = format!("balances {all} = {balance} + {paid} paid");
        if spent != Cents::ZERO {
            money.push_str(&format!(" + {spent} for coupons"));
        }
        self.story.tell("books", format!("{stock}; {money}"));
        let (charged, back) = (books.charged(), books.charged_back());
        if charged.number + back.number > 0 {
            let text = format!(
                "payments {} of {}, {} of {} paid back; {} points",
                charged.number,
                charged.amount,
                back.number,
                back.amount,
                books.points()
            );
            self.story.tell("", text);
        }
        let bought = books.bought().count();
        if bought > 0 {
            let points: i64 = books.bought().map(|purchase| purchase.points).sum();
            let text = format!("coupons sold: {bought}, for {spent} and {points} points");
            self.story.tell("", text);
        }
        for breach in &breaches {
            self.story.tell_as(Tone::Bad, "BREACH", breach);
        }
        Ok(breaches.is_empty())
    }
}

/// The answer to an order under way.
pub(super) async fn joined(placing: Placing) -> Result<Answer, RunnerError> {
    let answer = placing.await.map_err(std::io::Error::other)?;
    Ok(answer?)
}

/// Bounds a wait; `what` completes "expected ..".
pub(super) async fn in_time<T>(
    limit: Duration,
    what: &str,
    waiting: impl Future<Output = Result<T, RunnerError>>,
) -> Result<T, RunnerError> {
    let waited = tokio::time::timeout(limit, waiting).await;
    waited.unwrap_or_else(|_| Err(RunnerError::Expected(what.to_owned())))
}

/// What a scenario relies on; `what` completes "expected ..".
pub(super) fn expect(is_so: bool, what: impl Into<String>) -> Result<(), RunnerError> {
    if is_so {
        return Ok(());
    }
    Err(RunnerError::Expected(what.into()))
}

/// The answer that a scenario relies on.
pub(super) fn expect_answer(answer: &Answer, status: u16, code: &str) -> Result<(), RunnerError> {
    let good = answer.status == status && answer.code() == code;
    expect(
        good,
        format!(
            "an answer {status} {code}, got {} {}",
            answer.status, answer.body
        ),
    )
}

fn sample_order() -> PlaceOrder {
    let fee = shipping_fee(samples::PRICE);
    PlaceOrder {
        order_id: OrderId::unique(),
        user_id: samples::USER,
        goods_id: samples::GOODS,
        goods_number: 1,
        goods_price: samples::PRICE,
        shipping_fee: fee,
        order_amount: samples::PRICE.plus(fee).unwrap_or_default(),
        coupon_id: None,
        coupon_paid: Cents::ZERO,
        money_paid: Cents::ZERO,
        address: "1 Main Street".to_owned(),
        consignee: "Ada".to_owned(),
    }
}

/// An error with everything that led to it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
