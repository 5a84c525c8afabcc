//! Mails about confirmed orders, by message.

use std::collections::BTreeMap;
use std::time::Duration;

use amends::outbox::{self, State};

use crate::domain::Cents;
use crate::invariants;
use crate::role::Role;
use crate::runner::RunnerError;
use crate::runner::stage::{Stage, expect, expect_answer, in_time};
use crate::runner::story::Tone;
use crate::services::mail::table;

/// What waits is delivered by then. An order service that was killed holds the lease of its
/// outbox for 15 s.
const MAX_DELIVERY: Duration = Duration::from_secs(45);
const LOOK_EVERY: Duration = Duration::from_millis(5);
const ORDERS: usize = 3;

/// Orders do not wait for mails, and mails wait for their service.
pub(super) async fn mail_is_away(stage: &mut Stage) -> Result<(), RunnerError> {
    let mail = stage.world.service(Role::Mail)?;
    let id = mail.id();
    mail.kill().await?;
    stage
        .story
        .tell_as(Tone::Bad, "kill -9", format!("mail (process {id})"));
    for _ in 0..ORDERS {
        let mut order = stage.order();
        order.money_paid = Cents::units(1);
        let answer = stage.place(&order).await?;
        stage.tell_end(&order, &answer).await?;
        expect_answer(&answer, 201, "")?;
    }
    in_time(MAX_DELIVERY, "the messages to be sent", all_sent(stage)).await?;
    stage
        .story
        .tell("meanwhile", "the messages about them are sent and wait");
    stage.world.service(Role::Mail)?.restart().await?;
    stage.story.tell("restart", "mail is back");
    in_time(
        MAX_DELIVERY,
        "a mail about each confirmed order",
        all_written(stage),
    )
    .await?;
    let (confirmed, mails) = (confirmed(stage).await?, mails(stage).await?);
    let text = format!(
        "{} confirmed orders, {} mails",
        confirmed.len(),
        mails.len()
    );
    stage.story.tell("mails", text);
    let once = mails.values().all(|number| *number == 1);
    expect(
        once && mails.len() == confirmed.len(),
        format!("one mail about each of {confirmed:?}, found {mails:?}"),
    )
}

async fn confirmed(stage: &Stage) -> Result<Vec<String>, RunnerError> {
    let books = invariants::check(&stage.world.databases).await?.books;
    let confirmed = books
        .orders
        .into_iter()
        .filter(|(_, order)| order.status == crate::domain::OrderStatus::Confirmed);
    Ok(confirmed.map(|(id, _)| id).collect())
}

async fn mails(stage: &Stage) -> Result<BTreeMap<String, i64>, RunnerError> {
    let count = async |conn: &mut amends::Conn| table::count(conn).await;
    Ok(stage.world.databases.mail.transaction(count).await?)
}

/// Waits until the order service has sent all its messages.
async fn all_sent(stage: &Stage) -> Result<(), RunnerError> {
    let order = &stage.world.databases.order;
    while !outbox::list(order, State::Sending, 1).await?.is_empty() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Waits until there is a mail about each confirmed order.
async fn all_written(stage: &Stage) -> Result<(), RunnerError> {
    let confirmed = confirmed(stage).await?;
    loop {
        let mails = mails(stage).await?;
        if confirmed.iter().all(|order| mails.contains_key(order)) {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
