//! The way to the committer: two lanes, so that writes somebody waits for do
//! not queue behind writes nobody waits for.
//!
//! Both lanes together hold at most one append for each live transaction, so
//! their bound is the engine's `max_live`.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::store::MAX_APPEND_BATCH;

use super::committer::Commit;

/// Most appends that nobody waits for in one batch: what they add to the wait
/// of the others stays small, and yet they always get on.
const MAX_UNAWAITED: usize = 64;

/// Whether somebody waits for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// An effect or a caller waits for it.
    Awaited,
    /// It only saves work after a crash.
    Unawaited,
}

/// The shards' end.
#[derive(Clone)]
pub(super) struct CommitSender {
    awaited: UnboundedSender<Commit>,
    unawaited: UnboundedSender<Commit>,
}

/// The committer's end.
pub(super) struct CommitQueue {
    awaited: UnboundedReceiver<Commit>,
    unawaited: UnboundedReceiver<Commit>,
}

/// Both ends.
#[expect(
    clippy::disallowed_methods,
    reason = "bounded by max_live: at most one append per live transaction"
)]
pub(super) fn lanes() -> (CommitSender, CommitQueue) {
    let (awaited, awaited_queue) = unbounded_channel();
    let (unawaited, unawaited_queue) = unbounded_channel();
    let sender = CommitSender { awaited, unawaited };
    let queue = CommitQueue {
        awaited: awaited_queue,
        unawaited: unawaited_queue,
    };
    (sender, queue)
}

impl CommitSender {
    /// Hands an append over. The committer ends after the shards.
    pub(super) fn send(&self, lane: Lane, commit: Commit) {
        let sender = match lane {
            Lane::Awaited => &self.awaited,
            Lane::Unawaited => &self.unawaited,
        };
        let _ = sender.send(commit);
    }
}

impl CommitQueue {
    /// Waits for at least one append and takes what fits into one batch.
    /// False once every sender is gone and nothing is left.
    pub(super) async fn next_batch(&mut self, batch: &mut Vec<Commit>) -> bool {
        let first = tokio::select! {
            biased;
            Some(commit) = self.awaited.recv() => commit,
            Some(commit) = self.unawaited.recv() => commit,
            else => return false,
        };
        batch.push(first);
        take(&mut self.awaited, batch, MAX_APPEND_BATCH - MAX_UNAWAITED);
        let room = (batch.len() + MAX_UNAWAITED).min(MAX_APPEND_BATCH);
        take(&mut self.unawaited, batch, room);
        true
    }
}

/// Takes what is there until the batch has `most` items.
fn take(queue: &mut UnboundedReceiver<Commit>, batch: &mut Vec<Commit>, most: usize) {
    while batch.len() < most
        && let Ok(commit) = queue.try_recv()
    {
        batch.push(commit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Append, Summary};
    use amends_core::id::{Generation, Gid, RecordNo};
    use amends_core::public_state::{Kind, PublicState};
    use amends_core::time::Timestamp;

    fn commit(stay: u64) -> Commit {
        let summary = Summary {
            kind: Kind::Tcc,
            state: PublicState::Running,
            definition: None,
            definition_name: String::new(),
            definition_version: 1,
            cause: None,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            finished_at: None,
            wake_at: None,
        };
        let append = Append {
            gid: Gid::new("g").unwrap(),
            generation: Generation::FIRST,
            previous: RecordNo(0),
            last: RecordNo(1),
            records: String::new(),
            summary,
        };
        #[expect(clippy::disallowed_methods, reason = "nothing is ever sent")]
        let (done, _) = unbounded_channel();
        Commit { append, stay, done }
    }

    #[tokio::test]
    async fn what_somebody_waits_for_comes_first_and_the_rest_gets_on() {
        const UNAWAITED: u64 = 1_000;
        let (sender, mut queue) = lanes();
        for stay in 0..UNAWAITED {
            sender.send(Lane::Unawaited, commit(stay));
        }
        sender.send(Lane::Awaited, commit(UNAWAITED));
        drop(sender);
        let mut batch = Vec::new();
        assert!(queue.next_batch(&mut batch).await);
        assert_eq!(batch[0].stay, UNAWAITED);
        assert_eq!(batch.len(), 1 + MAX_UNAWAITED);
        let mut stays: Vec<u64> = batch.drain(1..).map(|commit| commit.stay).collect();
        batch.clear();
        while queue.next_batch(&mut batch).await {
            stays.extend(batch.drain(..).map(|commit| commit.stay));
        }
        assert!(
            stays.into_iter().eq(0..UNAWAITED),
            "in order, none left out"
        );
    }
}
