//! Payments while somebody is dead.

use super::{LOOK_EVERY, MAX_SETTLE, all_in, begin, new_order, pay};
use crate::domain::{PayId, PaymentState};
use crate::holds;
use crate::provider::PayRequest;
use crate::role::Role;
use crate::runner::RunnerError;
use crate::runner::stage::{Stage, expect, in_time};
use crate::runner::story::Tone;
use crate::services::pay::table;

const ORDERS: usize = 3;

/// The payment is committed, and the message about it is not: whoever comes
/// after finds what the database says.
pub(crate) async fn pay_dies(stage: &mut Stage) -> Result<(), RunnerError> {
    let order = new_order(stage).await?;
    let id = begin(stage, &order).await?;
    let hold = stage.hold(holds::PAY_SETTLE)?;
    pay(stage, &id, &PayRequest::default()).await?;
    expect(hold.reached().await, "the payment to be settled")?;
    // Without a coordinator nobody can hear of the commit.
    let coordinator = stage.world.coordinator.id();
    stage.world.coordinator.kill().await?;
    let text = format!("coordinator (process {coordinator}): the payment is not committed yet");
    stage.story.tell_as(Tone::Bad, "kill -9", text);
    hold.lift();
    committed(stage, &id).await?;
    let service = stage.world.service(Role::Pay)?;
    let process = service.id();
    service.kill().await?;
    let text = format!("pay (process {process}): it is committed, nobody has been told");
    stage.story.tell_as(Tone::Bad, "kill -9", text);
    stage.world.coordinator.restart().await?;
    stage.world.service(Role::Pay)?.restart().await?;
    stage
        .story
        .tell("restart", "the coordinator is back, then pay");
    all_in(stage, &[id], PaymentState::Paid).await?;
    stage
        .story
        .tell("end", "order, points and payment log know that it is paid");
    Ok(())
}

/// Two of the three hear of it at once, the third one later.
pub(crate) async fn points_away(stage: &mut Stage) -> Result<(), RunnerError> {
    let mut pays = Vec::new();
    for _ in 0..ORDERS {
        let order = new_order(stage).await?;
        pays.push(begin(stage, &order).await?);
    }
    let user = stage.world.service(Role::User)?;
    let process = user.id();
    user.kill().await?;
    stage
        .story
        .tell_as(Tone::Bad, "kill -9", format!("user (process {process})"));
    for id in &pays {
        pay(stage, id, &PayRequest::default()).await?;
    }
    in_time(
        MAX_SETTLE,
        "the payments to be logged",
        logged(stage, &pays),
    )
    .await?;
    let text = format!("{ORDERS} payments are made and logged, points have to wait");
    stage.story.tell("meanwhile", text);
    stage.world.service(Role::User)?.restart().await?;
    stage.story.tell("restart", "user is back");
    all_in(stage, &pays, PaymentState::Paid).await?;
    stage.story.tell("end", "the points are there, once");
    Ok(())
}

/// Waits until the pay service has committed the payment.
async fn committed(stage: &Stage, pay: &PayId) -> Result<(), RunnerError> {
    let find = async |conn: &mut amends::Conn| table::find(conn, pay).await;
    let committed = async {
        loop {
            let row = stage.world.databases.pay.transaction(find).await?;
            if row.is_some_and(|row| row.is_paid == PaymentState::Paid) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    in_time(MAX_SETTLE, "the payment to be committed", committed).await
}

/// Waits until there is a row about each of them.
async fn logged(stage: &Stage, pays: &[PayId]) -> Result<(), RunnerError> {
    loop {
        let (books, _) = crate::role::reconcile::look(&stage.world.databases).await?;
        let is_logged = |pay: &PayId| books.pay_log.iter().any(|row| row.pay == pay.as_str());
        if pays.iter().all(is_logged) {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
