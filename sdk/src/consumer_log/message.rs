//! Messages that a handler consumes: the row that says so and what the
//! handler writes are one local transaction.
//!
//! The same message delivered twice at the same time, here or to another
//! instance, meets on the unique key: the later one waits, and finds it done.
//! A refusal and every failure leave nothing, the row included, so that the
//! message can be delivered again, also after it was a dead letter.

use std::time::Duration;

use amends_proto::v1;

use super::local::{self, Mine};
use super::rows::{self, Key, Status, WrittenBy};
use super::{Fault, Races, Seen, barrier, count_failure};
use crate::message::{Dedupe, ExternalHandler, LocalHandler, MessageCx, MessageHandler};
use crate::{Database, DatabaseError, StepError, StepResult};

/// A message that came for a handler.
#[derive(Clone, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) group: &'a str,
    pub(crate) message: &'a v1::Message,
    pub(crate) attempt: u32,
    pub(crate) dedupe: Dedupe,
    /// How long the handler may take.
    pub(crate) timeout: Duration,
}

/// Runs the handler, unless the message was handled before. When the future is
/// dropped, it has happened entirely or not at all (external effects: unknown).
///
/// # Errors
/// Those of the handler; a key that the log cannot hold is a refusal.
pub(crate) async fn consume(
    database: &Database,
    handler: &MessageHandler,
    arrival: &Arrival<'_>,
    fault: Fault,
) -> StepResult<Seen> {
    let key = arrival.key()?;
    let done = match handler {
        MessageHandler::Local(handler) => {
            let mut races = Races::new();
            loop {
                let done = local(database, handler, arrival, &key, fault).await;
                match races.wait_after(&done) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => break done,
                }
            }
        }
        MessageHandler::External(handler) => external(database, handler, arrival, &key).await,
    };
    if let Err(failure @ StepError::Unknown(_)) = &done {
        count_failure(database, &key, &failure.to_string()).await;
    }
    done
}

impl Arrival<'_> {
    fn key(&self) -> StepResult<Key> {
        let message = self.message;
        let key = match self.dedupe {
            Dedupe::Key if !message.key.is_empty() => &message.key,
            Dedupe::Key | Dedupe::Id => &message.id,
        };
        let named = Key::message(self.group, &message.topic, &message.tag, key);
        named.map_err(|error| StepError::refused("KEY_INVALID", error.to_string()))
    }

    /// The handler's code, behind the barrier and within its time.
    async fn bounded(&self, work: impl Future<Output = StepResult<()>>) -> StepResult<()> {
        let bounded = tokio::time::timeout(self.timeout, barrier(work)).await;
        bounded.unwrap_or_else(|_| Err(StepError::unknown("the handler took longer than its time")))
    }
}

async fn local(
    database: &Database,
    handler: &LocalHandler,
    arrival: &Arrival<'_>,
    key: &Key,
    fault: Fault,
) -> StepResult<Seen> {
    let id = &arrival.message.id;
    let mine = Mine {
        key,
        id,
        by: WrittenBy::Message,
    };
    let mut conn = database.begin().await?;
    if !mine.enter(&mut conn).await? {
        conn.rollback().await?;
        return Ok(Seen::Before);
    }
    let work = handler(&mut conn, (arrival.message.clone(), arrival.attempt));
    let mut done = arrival.bounded(work).await;
    if fault == Fault::AfterTheWork && done.is_ok() {
        done = Err(StepError::unknown("this attempt was made to fail"));
    }
    if let Err(error) = done {
        // A rollback that fails ends with the connection; the answer says more.
        conn.rollback().await.ok();
        return Err(error);
    }
    local::finish(conn, &mine, Status::Succeeded, &[]).await?;
    Ok(Seen::First)
}

/// The row is written after the effect: between the two the process may die.
async fn external(
    database: &Database,
    handler: &ExternalHandler,
    arrival: &Arrival<'_>,
    key: &Key,
) -> StepResult<Seen> {
    let mut conn = database.begin().await?;
    let seen = rows::read(&mut conn, key).await?;
    conn.rollback().await?;
    if seen.is_some() {
        return Ok(Seen::Before);
    }
    let cx = MessageCx::new(arrival.group, &arrival.message.id, arrival.attempt);
    let work = handler(&cx, (arrival.message.clone(), arrival.attempt));
    arrival.bounded(work).await?;
    // The effect has happened: a trace that cannot be kept costs at most a repetition.
    if let Err(error) = note(database, arrival, key).await {
        tracing::warn!(%error, key = ?key, "a handled message could not be noted");
    }
    Ok(Seen::First)
}

async fn note(database: &Database, arrival: &Arrival<'_>, key: &Key) -> Result<(), DatabaseError> {
    let id = &arrival.message.id;
    let mut conn = database.begin().await?;
    rows::insert(
        &mut conn,
        key,
        id,
        WrittenBy::Message,
        Status::Succeeded,
        None,
    )
    .await?;
    conn.commit().await
}
