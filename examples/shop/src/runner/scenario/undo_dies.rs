//! Orders that fail, and whoever makes them good is killed while doing so: each service, the
//! coordinator, and the broker where it is the runner's own.
//!
//! Whatever dies, an undo is a durable message: it is still on its way, or comes again, and takes
//! effect once.

use std::time::Duration;

use axum::http::Method;

use crate::domain::{Cents, PlaceOrder};
use crate::holds::{self, Hold};
use crate::role::Role;
use crate::runner::RunnerError;
use crate::runner::stage::{Placing, Stage, expect, expect_answer, in_time, joined};
use crate::runner::story::Tone;
use crate::samples::{COUPON_PRICE, USER};

/// Orders that fail at once. One of them is held in its undo; where the others are is left to chance.
const ORDERS: usize = 4;
/// An order whose making good is interrupted has ended by then.
const MAX_END: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Whom to kill.
#[derive(Clone, Copy)]
enum Victim {
    Service(Role),
    Coordinator,
    Broker,
}

/// The victims, the place at which an undo is then, and in words.
const ROUNDS: [(Victim, &str, &str); 6] = [
    (
        Victim::Service(Role::Goods),
        holds::GOODS_RELEASE,
        "its stock is put back, not committed",
    ),
    (
        Victim::Service(Role::Coupon),
        holds::COUPON_GIVE_BACK,
        "its coupon is given back, not committed",
    ),
    (
        Victim::Service(Role::User),
        holds::USER_REFUND,
        "its balance is paid back, not committed",
    ),
    (
        Victim::Service(Role::Order),
        holds::ORDER_ABANDON,
        "its order is cancelled, not committed",
    ),
    (
        Victim::Coordinator,
        holds::USER_REFUND,
        "the balance is being paid back",
    ),
    // Last, seconds after its queues were made: RabbitMQ 3.10 forgets queues that are younger than
    // half a second when it is killed.
    (
        Victim::Broker,
        holds::GOODS_RELEASE,
        "stock is being put back",
    ),
];

pub(super) async fn each_in_turn(stage: &mut Stage) -> Result<(), RunnerError> {
    for (victim, place, doing) in ROUNDS {
        if matches!(victim, Victim::Broker) && stage.world.broker.own().is_none() {
            continue; // It is not the runner's to kill.
        }
        let charging = stage.hold(holds::USER_DEDUCT)?;
        let mut placing = Vec::new();
        for _ in 0..ORDERS {
            placing.push(begin(stage).await?);
        }
        for (order, _) in &placing {
            give_up(stage, order).await?;
        }
        stage
            .story
            .tell("asked", format!("{ORDERS} orders, and cancelled meanwhile"));
        let undoing = stage.hold(place)?;
        charging.lift();
        expect(undoing.reached().await, format!("an undo at {place}"))?;
        interrupt(stage, victim, doing, undoing).await?;
        for (order, placing) in placing {
            compensated(stage, &order, placing).await?;
        }
        stage
            .story
            .tell("answer", format!("{ORDERS} x 409 ORDER_CANCELLED"));
    }
    Ok(())
}

/// An order that takes something from each service.
async fn begin(stage: &mut Stage) -> Result<(PlaceOrder, Placing), RunnerError> {
    let mut order = stage.order();
    order.coupon_id = Some(stage.coupon(USER).await?);
    order.coupon_paid = COUPON_PRICE;
    order.money_paid = Cents::units(10);
    let placing = stage.begin(&order);
    Ok((order, placing))
}

/// The customer cancels the order as soon as it can be seen.
async fn give_up(stage: &Stage, order: &PlaceOrder) -> Result<(), RunnerError> {
    let path = format!("/orders/{}", order.order_id);
    let visible = async {
        while stage.send(Method::GET, &path).await?.status != 200 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok::<(), RunnerError>(())
    };
    in_time(MAX_END, "the order to be written", visible).await?;
    let cancelled = stage.send(Method::POST, &format!("{path}/cancel")).await?;
    expect_answer(&cancelled, 204, "")
}

async fn interrupt(
    stage: &mut Stage,
    victim: Victim,
    doing: &str,
    undoing: Hold,
) -> Result<(), RunnerError> {
    let story = stage.story;
    let killed = |name: &str, id: u32| {
        story.tell_as(
            Tone::Bad,
            "kill -9",
            format!("{name} (process {id}): {doing}"),
        );
    };
    let back = |name: &str, id: u32| {
        story.tell("restart", format!("{name} is back as process {id}"));
    };
    match victim {
        Victim::Service(role) => {
            let service = stage.world.service(role)?;
            killed(role.as_str(), service.id());
            service.kill().await?;
            undoing.lift();
            service.restart().await?;
            back(role.as_str(), service.id());
        }
        Victim::Coordinator => {
            let coordinator = &mut stage.world.coordinator;
            killed("coordinator", coordinator.id());
            coordinator.kill().await?;
            undoing.lift();
            coordinator.restart().await?;
            back("coordinator", coordinator.id());
        }
        Victim::Broker => broker(stage, doing, undoing).await?,
    }
    Ok(())
}

/// While it is away orders go on, and fail: their undos wait.
async fn broker(stage: &mut Stage, doing: &str, undoing: Hold) -> Result<(), RunnerError> {
    let none = || RunnerError::Expected("a broker of one's own".to_owned());
    stage.world.broker.own().ok_or_else(none)?.kill().await?;
    let text = format!("rabbitmq: {doing}");
    stage.story.tell_as(Tone::Bad, "kill -9", text);
    undoing.lift();
    let charging = stage.hold(holds::USER_DEDUCT)?;
    let (order, placing) = begin(stage).await?;
    give_up(stage, &order).await?;
    charging.lift();
    stage
        .story
        .tell("meanwhile", "one more order is placed and cancelled");
    stage.world.broker.own().ok_or_else(none)?.restart().await?;
    stage.story.tell("restart", "rabbitmq is back");
    compensated(stage, &order, placing).await
}

/// Waits until everything about the order is made good. The front does not wait as long as
/// that may take; asked again, it tells of the same order.
async fn compensated(
    stage: &Stage,
    order: &PlaceOrder,
    placing: Placing,
) -> Result<(), RunnerError> {
    let ended = async {
        let mut answer = joined(placing).await?;
        while answer.status == 202 {
            answer = joined(stage.begin(order)).await?;
        }
        Ok(answer)
    };
    let answer = in_time(MAX_END, "the order to be made good", ended).await?;
    expect_answer(&answer, 409, "ORDER_CANCELLED")
}
