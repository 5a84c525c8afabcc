//! What went wrong without anybody being told.

use super::{all_in, begin, new_order, pay};
use crate::domain::PaymentState;
use crate::provider::PayRequest;
use crate::role::Role;
use crate::role::reconcile::{look, repair, report};
use crate::runner::RunnerError;
use crate::runner::stage::{Stage, expect};
use crate::runner::world::url;

pub(crate) async fn reconcile(stage: &mut Stage) -> Result<(), RunnerError> {
    let order = new_order(stage).await?;
    let id = begin(stage, &order).await?;
    let silent = PayRequest {
        callbacks: Vec::new(),
        ..PayRequest::default()
    };
    pay(stage, &id, &silent).await?;
    stage
        .story
        .tell("provider", "the customer pays; the provider tells nobody");
    let (books, found) = look(&stage.world.databases).await?;
    for line in report(&books, &found) {
        stage.story.tell("report", line);
    }
    let pays: Vec<_> = found
        .iter()
        .filter_map(|found| found.pay.as_deref())
        .collect();
    expect(pays == [id.as_str()], "the report to name one payment")?;
    let service = stage.world.service(Role::Pay)?;
    let queries = url(service.queries.unwrap_or(service.address));
    for line in repair(&queries, &found).await? {
        stage.story.tell("report", line);
    }
    all_in(stage, &[id], PaymentState::Paid).await?;
    let (books, found) = look(&stage.world.databases).await?;
    for line in report(&books, &found) {
        stage.story.tell("report", line);
    }
    expect(found.is_empty(), "nothing that differs")
}
