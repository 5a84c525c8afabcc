//! Removes old rows of the consumer log while a participant runs.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Database;
use crate::consumer_log::remove_older_than;

/// From one cleaning to the next.
const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Cleans now and then once per interval, until told to stop. A cleaning that
/// fails is made up for by the next one.
pub(super) async fn run(database: Database, age: Duration, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            removed = remove_older_than(&database, age) => match removed {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "old rows of the consumer log were removed"),
                Err(error) => tracing::warn!(%error, "the consumer log could not be cleaned"),
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}
