//! Payments: what scenarios about them have in common.

pub(super) mod callbacks;
pub(super) mod crash;
pub(super) mod crowd;
pub(super) mod paid;
pub(super) mod reconcile;
pub(super) mod unpaid;

use std::time::Duration;

use axum::http::Method;

use crate::domain::{PayId, PaymentState, PlaceOrder};
use crate::http::Answer;
use crate::invariants::Books;
use crate::provider::{PayRequest, ProviderClient};
use crate::role::reconcile::look;
use crate::runner::RunnerError;
use crate::runner::stage::{Stage, expect_answer, in_time, joined};
use crate::runner::world::url;

/// Whatever is to happen to payments has happened by then.
const MAX_SETTLE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How many divergences are told when they do not go away.
const MAX_TOLD: usize = 3;

/// The provider, as a customer sees it.
fn provider(stage: &Stage) -> ProviderClient {
    ProviderClient::new(url(stage.world.provider.address))
}

/// Places an order that is confirmed and has something left to pay.
async fn placed(stage: &Stage, order: &PlaceOrder) -> Result<(), RunnerError> {
    let answer = joined(stage.begin(order)).await?;
    expect_answer(&answer, 201, "")
}

/// A fresh order, placed.
async fn new_order(stage: &mut Stage) -> Result<PlaceOrder, RunnerError> {
    let order = stage.order();
    placed(stage, &order).await?;
    Ok(order)
}

/// What the front answers to a customer who wants to pay.
async fn ask_to_pay(stage: &Stage, order: &PlaceOrder) -> Result<Answer, RunnerError> {
    let path = format!("/orders/{}/pay", order.order_id);
    stage.send(Method::POST, &path).await
}

/// Begins the payment of an order.
async fn begin(stage: &Stage, order: &PlaceOrder) -> Result<PayId, RunnerError> {
    let answer = ask_to_pay(stage, order).await?;
    expect_answer(&answer, 201, "")?;
    let id = answer.text("pay_id").parse();
    id.map_err(|_| RunnerError::Expected("the id of a payment".into()))
}

/// The customer pays, and the provider tells the shop like this.
async fn pay(stage: &Stage, pay: &PayId, request: &PayRequest) -> Result<(), RunnerError> {
    provider(stage).pay(pay, request).await?;
    Ok(())
}

/// Waits until all books agree and the payments are as they should be.
async fn at_rest(
    stage: &Stage,
    what: &str,
    so: impl Fn(&Books) -> bool,
) -> Result<Books, RunnerError> {
    let databases = &stage.world.databases;
    let resting = async {
        loop {
            let (books, found) = look(databases).await?;
            if found.is_empty() && so(&books) {
                return Ok(books);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    match in_time(MAX_SETTLE, what, resting).await {
        Err(RunnerError::Expected(what)) => {
            let (_, found) = look(databases).await?;
            let texts: Vec<_> = found
                .into_iter()
                .take(MAX_TOLD)
                .map(|found| found.text)
                .collect();
            Err(RunnerError::Expected(format!(
                "{what}; {}",
                texts.join("; ")
            )))
        }
        done => done,
    }
}

/// Waits until these payments are in this state, and everybody agrees.
async fn all_in(stage: &Stage, pays: &[PayId], state: PaymentState) -> Result<Books, RunnerError> {
    let what = format!("{} payments to be {}", pays.len(), state.as_str());
    at_rest(stage, &what, |books| {
        let is_so = |pay: &PayId| books.payments.get(pay.as_str()).map(|found| found.state);
        pays.iter().all(|pay| is_so(pay) == Some(state))
    })
    .await
}
