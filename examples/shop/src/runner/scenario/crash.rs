//! Processes that are killed, as `kill -9` does, at an exactly known point.

use crate::domain::Cents;
use crate::holds;
use crate::role::Role;
use crate::runner::RunnerError;
use crate::runner::stage::{Stage, expect, expect_answer, joined};
use crate::runner::story::Tone;
use crate::samples::{COUPON_PRICE, USER};

/// The step has written, but not committed: its work dies with it, and is
/// done again by the process that comes after it.
pub(super) async fn service_dies(stage: &mut Stage) -> Result<(), RunnerError> {
    let mut order = stage.order();
    order.coupon_id = Some(stage.coupon(USER).await?);
    order.coupon_paid = COUPON_PRICE;
    order.money_paid = Cents::units(50);
    stage.tell_asked(&order);
    let hold = stage.hold(holds::GOODS_RESERVE)?;
    let placing = stage.begin(&order);
    expect(hold.reached().await, "stock to be reserved")?;
    let goods = stage.world.service(Role::Goods)?;
    let id = goods.id();
    goods.kill().await?;
    let text = format!("goods (process {id}): its stock is taken, not committed");
    stage.story.tell_as(Tone::Bad, "kill -9", text);
    hold.lift();
    let goods = stage.world.service(Role::Goods)?;
    goods.restart().await?;
    let text = format!("goods is back as process {}", goods.id());
    stage.story.tell("restart", text);
    let answer = joined(placing).await?;
    stage.tell_end(&order, &answer).await?;
    expect_answer(&answer, 201, "")
}

/// The balance is charged while nobody listens: the coordinator that comes
/// after asks again, and gets the first answer.
pub(super) async fn coordinator_dies(stage: &mut Stage) -> Result<(), RunnerError> {
    let mut order = stage.order();
    order.coupon_id = Some(stage.coupon(USER).await?);
    order.coupon_paid = COUPON_PRICE;
    order.money_paid = Cents::units(50);
    stage.tell_asked(&order);
    let hold = stage.hold(holds::USER_DEDUCT)?;
    let placing = stage.begin(&order);
    expect(hold.reached().await, "the balance to be charged")?;
    let id = stage.world.coordinator.id();
    stage.world.coordinator.kill().await?;
    let text = format!("coordinator (process {id}): the balance is being charged");
    stage.story.tell_as(Tone::Bad, "kill -9", text);
    hold.lift();
    stage.world.coordinator.restart().await?;
    let text = format!(
        "coordinator is back as process {}",
        stage.world.coordinator.id()
    );
    stage.story.tell("restart", text);
    let answer = joined(placing).await?;
    stage.tell_end(&order, &answer).await?;
    expect_answer(&answer, 201, "")
}
