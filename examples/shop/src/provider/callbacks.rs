//! Tells the shop what happened, until it answers.

use std::time::Duration;

use amends::DatabaseError;
use axum::http::Method;
use tokio::task::JoinSet;

use super::signature::SIGNATURE_HEADER;
use super::table::{self, Due};
use super::{Inner, Provider};
use crate::http::send_to;

/// The shop has to answer fast.
const MAX_ANSWER: Duration = Duration::from_secs(5);

/// A callback without an answer is sent again after this, and after twice as
/// long each time.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const MAX_WAIT: Duration = Duration::from_secs(2);

/// After so many attempts the provider gives up; the shop's reconciliation has to notice.
const MAX_ATTEMPTS: u32 = 10_000;

/// Sends the callbacks of a batch, each when the one before it is answered.
pub(super) async fn deliver(provider: Provider, batch: String) {
    if let Err(error) = deliver_all(&provider, &batch).await {
        tracing::error!(%error, batch, "callbacks wait for the next start of the provider");
    }
}

async fn deliver_all(provider: &Provider, batch: &str) -> Result<(), DatabaseError> {
    while let Some(due) = provider
        .with(async |conn| table::next_due(conn, batch).await)
        .await?
    {
        tokio::time::sleep(Duration::from_millis(due.after_ms.into())).await;
        let answer = until_answered(&provider.inner, &due).await;
        provider
            .with(async |conn| table::answered(conn, batch, due.seq, answer).await)
            .await?;
    }
    Ok(())
}

/// The final answer: everything but silence and errors of the server's own.
async fn until_answered(provider: &Inner, due: &Due) -> u16 {
    let mut wait = FIRST_WAIT;
    let mut last = 0;
    for _ in 0..MAX_ATTEMPTS {
        if let Some(answer) = send_at_once(provider, due).await {
            last = answer;
            if answer < 500 {
                break;
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(MAX_WAIT);
    }
    last
}

/// Sends it as often as it is to be sent, all at the same time. Returns the
/// worst answer, `None` when there was silence.
async fn send_at_once(provider: &Inner, due: &Due) -> Option<u16> {
    let _place = provider.places.acquire().await.ok()?;
    let mut sending = JoinSet::new();
    for _ in 0..due.times {
        let due = due.clone();
        sending.spawn(async move {
            let headers = [(SIGNATURE_HEADER, due.signature.as_str())];
            let sent = send_to(
                &due.notify_url,
                Method::POST,
                &headers,
                due.body,
                MAX_ANSWER,
            );
            sent.await.ok().map(|answer| answer.status)
        });
    }
    let answers = sending.join_all().await;
    let worst = answers.iter().copied().max().flatten();
    if answers.contains(&None) { None } else { worst }
}
