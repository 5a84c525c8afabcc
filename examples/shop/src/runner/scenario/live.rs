//! Orders placed by live sagas, whose callers are processes of their own.

use std::process::Stdio;
use std::time::Duration;

use amends::Outcome;
use axum::http::Method;
use tokio::process::{Child, Command};

use crate::domain::{Cents, PlaceOrder, Receipt, UserId};
use crate::holds;
use crate::runner::RunnerError;
use crate::runner::stage::{Stage, expect, in_time};
use crate::runner::story::Tone;
use crate::runner::world::url;
use crate::samples::{COUPON_PRICE, USER};

/// Somebody else.
const OTHER_USER: UserId = UserId::new(345_963_634_385_633_281);
/// A caller that was killed is missed after so many seconds …
const SHORT_LEASE: u32 = 1;
/// … and one that is not killed is not.
const LEASE: u32 = 30;
/// Whatever is to happen to an order has happened by then.
const MAX_SETTLE: Duration = Duration::from_secs(30);

/// A process that buys.
struct Buyer(Child);

impl Buyer {
    fn start(stage: &Stage, order: &PlaceOrder, lease: u32) -> Result<Self, RunnerError> {
        let order = serde_json::to_string(order).unwrap_or_default();
        let coordinator = url(stage.world.coordinator.address);
        let lease = lease.to_string();
        let child = Command::new(std::env::current_exe()?)
            .args(["buy", "--until-stdin-ends", "--coordinator", &coordinator])
            .args(["--lease", &lease, "--order", &order])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0) // Ctrl-C is for the runner.
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self(child))
    }

    /// What it says in the end.
    async fn said(mut self) -> Result<String, RunnerError> {
        // Its end would end the buyer.
        let stdin = self.0.stdin.take();
        let output = in_time(MAX_SETTLE, "the buyer's answer", async {
            Ok(self.0.wait_with_output().await?)
        });
        let output = output.await?;
        drop(stdin);
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// As `kill -9` does.
    async fn kill(mut self) -> Result<u32, RunnerError> {
        let id = self.0.id().unwrap_or_default();
        self.0.kill().await?;
        Ok(id)
    }
}

fn full_order(stage: &mut Stage, coupon: crate::domain::CouponId) -> PlaceOrder {
    PlaceOrder {
        coupon_id: Some(coupon),
        coupon_paid: COUPON_PRICE,
        money_paid: Cents::units(50),
        ..stage.order()
    }
}

/// The code decides: without somebody else's coupon the order goes through. The same id again
/// gives the same answer, and an operator can stop a buyer in the middle.
pub(super) async fn decides(stage: &mut Stage) -> Result<(), RunnerError> {
    let coupon = stage.coupon(OTHER_USER).await?;
    let order = full_order(stage, coupon);
    stage.tell_asked(&order);
    let first = Buyer::start(stage, &order, LEASE)?.said().await?;
    tell_steps(stage, &order, &first).await?;
    expect(
        first == "confirmed, 950.00 left to pay",
        format!("an order without the coupon, got {first}"),
    )?;
    let again = Buyer::start(stage, &order, LEASE)?.said().await?;
    stage.story.tell("again", format!("the same id: {again}"));
    expect(first == again, "the same answer")?;

    let coupon = stage.coupon(USER).await?;
    let order = full_order(stage, coupon);
    stage.tell_asked(&order);
    let hold = stage.hold(holds::USER_DEDUCT)?;
    let buyer = Buyer::start(stage, &order, LEASE)?;
    expect(hold.reached().await, "the balance to be charged")?;
    let cancelled = stage
        .world
        .client
        .cancel(order.order_id.as_str(), "out of season");
    cancelled.await?;
    stage
        .story
        .tell("meanwhile", "an operator cancels the order");
    hold.lift();
    let said = buyer.said().await?;
    tell_steps(stage, &order, &said).await?;
    expect(
        said == "CANCELLED: out of season",
        format!("a cancelled order, got {said}"),
    )
}

/// The buyer is killed in the middle of each of its steps: whatever was done is undone.
pub(super) async fn caller_dies(stage: &mut Stage) -> Result<(), RunnerError> {
    for place in [
        holds::GOODS_RESERVE,
        holds::COUPON_USE,
        holds::USER_DEDUCT,
        holds::ORDER_CONFIRM,
    ] {
        let coupon = stage.coupon(USER).await?;
        let order = full_order(stage, coupon);
        stage.tell_asked(&order);
        let hold = stage.hold(place)?;
        let buyer = Buyer::start(stage, &order, SHORT_LEASE)?;
        expect(hold.reached().await, format!("the step {place}"))?;
        let id = buyer.kill().await?;
        let text = format!("the buyer (process {id}), in {place}");
        stage.story.tell_as(Tone::Bad, "kill -9", text);
        hold.lift();
        let run = stage.world.client.run::<Receipt>(order.order_id.as_str());
        let outcome = run.wait(MAX_SETTLE).await?;
        let Outcome::Compensated { code, .. } = outcome else {
            return expect(false, format!("the order undone, got {outcome:?}"));
        };
        tell_steps(stage, &order, &code).await?;
        expect(code == "CALLER_LOST", "the coordinator to miss the buyer")?;
        let path = format!("/orders/{}", order.order_id);
        let shown = stage.send(Method::GET, &path).await?;
        expect(
            shown.text("order_status") != "confirmed",
            format!("no confirmed order, found {}", shown.body),
        )?;
    }
    Ok(())
}

/// The coordinator is killed in a step: the buyer goes on with the next one.
pub(super) async fn coordinator_dies(stage: &mut Stage) -> Result<(), RunnerError> {
    let coupon = stage.coupon(USER).await?;
    let order = full_order(stage, coupon);
    stage.tell_asked(&order);
    let hold = stage.hold(holds::USER_DEDUCT)?;
    let buyer = Buyer::start(stage, &order, LEASE)?;
    expect(hold.reached().await, "the balance to be charged")?;
    let id = stage.world.coordinator.id();
    stage.world.coordinator.kill().await?;
    let text = format!("coordinator (process {id}): the balance is being charged");
    stage.story.tell_as(Tone::Bad, "kill -9", text);
    hold.lift();
    stage.world.coordinator.restart().await?;
    let id = stage.world.coordinator.id();
    let text = format!("coordinator is back as process {id}");
    stage.story.tell("restart", text);
    let said = buyer.said().await?;
    tell_steps(stage, &order, &said).await?;
    expect(
        said == "confirmed, 930.00 left to pay",
        format!("a confirmed order, got {said}"),
    )
}

async fn tell_steps(stage: &Stage, order: &PlaceOrder, said: &str) -> Result<(), RunnerError> {
    let transaction = stage.world.client.get(order.order_id.as_str()).await?;
    stage.story.steps(&transaction);
    stage.story.tell("answer", said);
    Ok(())
}
