//! Processes that are killed, as `kill -9` does, at an exactly known point.

use std::time::Duration;

use axum::http::Method;

use crate::domain::{Cents, PlaceOrder};
use crate::holds;
use crate::role::Role;
use crate::runner::RunnerError;
use crate::runner::stage::{Stage, expect, expect_answer, in_time, joined};
use crate::runner::story::Tone;
use crate::samples::{COUPON_PRICE, USER};
use crate::services::user::table::{self, MoneyLogType};

/// A step that nobody holds is done by then.
const MAX_STEP: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(2);

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
    logged(stage, &order, MoneyLogType::Payment).await?;
    stage.story.tell(
        "meanwhile",
        "the user service commits; its answer reaches nobody",
    );
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

/// The order is cancelled while a service that must undo its part is away, and
/// the coordinator dies before that one is back: the undo finds it all the same.
pub(super) async fn undo_waits(stage: &mut Stage) -> Result<(), RunnerError> {
    let mut order = stage.order();
    order.coupon_id = Some(stage.coupon(USER).await?);
    order.coupon_paid = COUPON_PRICE;
    order.money_paid = Cents::units(50);
    stage.tell_asked(&order);
    let hold = stage.hold(holds::USER_DEDUCT)?;
    let placing = stage.begin(&order);
    expect(hold.reached().await, "the balance to be charged")?;
    let goods = stage.world.service(Role::Goods)?;
    let id = goods.id();
    goods.kill().await?;
    let text = format!("goods (process {id}): the stock is taken");
    stage.story.tell_as(Tone::Bad, "kill -9", text);
    let path = format!("/orders/{}/cancel", order.order_id);
    let cancelled = stage.send(Method::POST, &path).await?;
    expect_answer(&cancelled, 204, "")?;
    stage.story.tell("meanwhile", "the customer cancels");
    hold.lift();
    logged(stage, &order, MoneyLogType::Refund).await?;
    stage.story.tell(
        "meanwhile",
        "the user service has paid back; goods cannot know",
    );
    let id = stage.world.coordinator.id();
    stage.world.coordinator.kill().await?;
    let text = format!("coordinator (process {id}): the undo of goods is under way");
    stage.story.tell_as(Tone::Bad, "kill -9", text);
    stage.world.coordinator.restart().await?;
    stage.world.service(Role::Goods)?.restart().await?;
    stage
        .story
        .tell("restart", "the coordinator is back, then goods");
    let answer = joined(placing).await?;
    stage.tell_end(&order, &answer).await?;
    expect_answer(&answer, 409, "ORDER_CANCELLED")
}

/// Waits until the user service has committed this movement of the order's money.
async fn logged(
    stage: &Stage,
    order: &PlaceOrder,
    movement: MoneyLogType,
) -> Result<(), RunnerError> {
    let database = &stage.world.databases.user;
    let (user, id) = (order.user_id, &order.order_id);
    let committed = async {
        let look = async |conn: &mut amends::Conn| table::is_logged(conn, user, id, movement).await;
        while !database.transaction(look).await? {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok::<(), RunnerError>(())
    };
    in_time(MAX_STEP, "the movement of money to be committed", committed).await
}
