//! One writer per store: whatever is waiting goes into one database transaction.
//!
//! No artificial delay: while one commit is under way the next batch collects.
//! A batch whose outcome is not known is repeated until it is; the store
//! recognises its own earlier write.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::clock::monotonic;
use crate::crash;
use crate::store::{Append, Appended, MAX_APPEND_BATCH, Store, StoreError};

use super::lanes::CommitQueue;
use super::message::CommitDone;

/// Waits between tries while the store is not available.
const RETRY_WAITS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

/// Most ids named in one line of the log.
const LOGGED_GIDS: usize = 4;

/// An append with the way back to its shard.
pub(super) struct Commit {
    pub(super) append: Append,
    pub(super) stay: u64,
    pub(super) done: mpsc::UnboundedSender<CommitDone>,
}

/// Runs until every sender is gone.
pub(super) async fn run(
    store: Arc<dyn Store>,
    mut queue: CommitQueue,
    healthy: watch::Sender<bool>,
) {
    let mut waiting = Vec::with_capacity(MAX_APPEND_BATCH);
    while queue.next_batch(&mut waiting).await {
        let (batch, ways): (Vec<_>, Vec<_>) = waiting
            .drain(..)
            .map(|commit| (commit.append, (commit.stay, commit.done)))
            .unzip();
        crash::point("before-append");
        let outcomes = write(store.as_ref(), &batch, &healthy).await;
        crash::point("after-append");
        let at = monotonic();
        for ((append, (stay, done)), outcome) in batch.into_iter().zip(ways).zip(outcomes) {
            // A shard that is gone needs no news.
            let _ = done.send(CommitDone {
                gid: append.gid,
                stay,
                last: append.last,
                outcome,
                at,
            });
        }
    }
}

/// Repeats until the outcome is known. What the store can never take does not
/// hold up the others: a batch with such an item is written one by one, and
/// the item alone is given back as a conflict.
async fn write(
    store: &dyn Store,
    batch: &[Append],
    healthy: &watch::Sender<bool>,
) -> Vec<Appended> {
    match write_whole(store, batch, healthy).await {
        Some(outcomes) => outcomes,
        None if batch.len() == 1 => vec![Appended::Conflict],
        None => {
            let mut outcomes = Vec::with_capacity(batch.len());
            for item in batch.chunks(1) {
                let alone = write_whole(store, item, healthy).await;
                outcomes.push(alone.map_or(Appended::Conflict, |outcomes| outcomes[0]));
            }
            outcomes
        }
    }
}

/// `None` when the store can never take this batch.
async fn write_whole(
    store: &dyn Store,
    batch: &[Append],
    healthy: &watch::Sender<bool>,
) -> Option<Vec<Appended>> {
    let mut wait = RETRY_WAITS.0;
    loop {
        match store.append(batch).await {
            Ok(outcomes) => {
                healthy.send_if_modified(|was| !std::mem::replace(was, true));
                return Some(outcomes);
            }
            Err(error @ StoreError::Corrupt(_)) => {
                let gids: Vec<&str> = batch
                    .iter()
                    .map(|append| append.gid.as_str())
                    .take(LOGGED_GIDS)
                    .collect();
                tracing::error!(%error, ?gids, "the store cannot take what was written; this is a bug");
                return None;
            }
            Err(error) => {
                healthy.send_if_modified(|was| std::mem::replace(was, false));
                report(&error, batch.len());
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_WAITS.1);
            }
        }
    }
}

fn report(error: &StoreError, items: usize) {
    let cause = std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default();
    tracing::error!(items, %error, cause, "cannot write to the store; trying again, nothing is lost");
}
