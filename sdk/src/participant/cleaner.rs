//! Removes old rows of the consumer log and of the outbox while a participant runs.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::consumer_log::remove_older_than;
use crate::outbox;
use crate::{Database, DatabaseError};

/// From one cleaning to the next.
const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// How long sent messages are kept, for people; at most as long as the log.
const SENT_RETENTION: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// Cleans now and then once per interval, until told to stop. A cleaning that
/// fails is made up for by the next one.
pub(super) async fn run(database: Database, age: Duration, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            removed = clean(&database, age) => match removed {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "old rows of the consumer log and the outbox were removed"),
                Err(error) => tracing::warn!(%error, "the consumer log and the outbox could not be cleaned"),
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

async fn clean(database: &Database, age: Duration) -> Result<u64, DatabaseError> {
    let of_log = remove_older_than(database, age).await?;
    Ok(of_log + outbox::remove_sent_before(database, SENT_RETENTION.min(age)).await?)
}
