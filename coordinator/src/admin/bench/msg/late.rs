//! How late delayed messages are when many are due within one second.

use std::sync::Arc;
use std::time::Duration;

use amends_core::time::Timestamp;
use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};

use super::book::Book;
use super::publisher::Publishers;
use super::{CommandError, Tally};
use crate::clock::{Clock as _, SystemClock};

/// From now until the first one is due: for all of them to be accepted.
const LEAD: Duration = Duration::from_secs(5);
/// Messages of a publish call, and calls under way.
const BATCH: usize = 256;
const CALLS: usize = 8;
/// After the last one was due.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn run(
    publishers: &Arc<Publishers>,
    book: &Book,
    count: usize,
) -> Result<Tally, CommandError> {
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let first = SystemClock.now().0 + millis(LEAD);
    let due: Vec<_> = (0..count)
        .map(|ix| i64::try_from(ix * 1_000 / count).unwrap_or(0))
        .map(|after| Some(Timestamp(first + after)))
        .collect();
    let calls = iter(due.chunks(BATCH)).map(|some| publishers.publish(some));
    calls
        .buffer_unordered(CALLS)
        .try_collect::<Vec<_>>()
        .await?;
    if SystemClock.now().0 > first {
        let why = format!("{count} delayed messages were not accepted within {LEAD:?}");
        return Err(CommandError::Failed(why));
    }
    Ok(book.lateness(LEAD + PATIENCE).await)
}
