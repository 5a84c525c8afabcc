//! Before a lane to an external broker: notes that delayed messages are going to be published, because until
//! then they can be taken back. Those that were are left out.
//!
//! Beside the lane, so that the next ones are claimed while it waits for its confirms.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::due::{Due, Finished};
use crate::clock::Clock;
use crate::messages::writer::{Job, JobOutcome, Writer};
use crate::store::messages::{MessageWrite, Written};

/// Messages claimed at a time.
const BATCH: usize = 256;

pub(in crate::messages) struct Claim {
    pub(in crate::messages) due: mpsc::UnboundedReceiver<Due>,
    /// To the lane, in the order in which they came.
    pub(in crate::messages) claimed: mpsc::UnboundedSender<Due>,
    pub(in crate::messages) finished: mpsc::UnboundedSender<Vec<Finished>>,
    pub(in crate::messages) writer: Writer,
    pub(in crate::messages) clock: Arc<dyn Clock>,
}

impl Claim {
    /// Runs until the outbox has ended.
    pub(in crate::messages) async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.due.recv_many(&mut batch, BATCH).await > 0 {
            let Some(claimed) = self.claim(&batch).await else {
                return;
            };
            let mut claimed = claimed.into_iter();
            let mut gone = Vec::new();
            for mut due in batch.drain(..) {
                if needs_claim(&due) {
                    if claimed.next() != Some(Written::Done) {
                        gone.push(Finished::done(&due));
                        continue;
                    }
                    due.tries = 1;
                }
                // A lane ends after this.
                let _ = self.claimed.send(due);
            }
            let _ = self.finished.send(gone);
        }
    }

    /// What became of those that need it; `None` when the coordinator stops.
    async fn claim(&self, batch: &[Due]) -> Option<Vec<Written>> {
        let now = self.clock.now();
        let claim = |due: &Due| MessageWrite::Claim {
            id: due.message.id.clone(),
            generation: due.generation,
            now,
        };
        let writes: Vec<_> = batch
            .iter()
            .filter(|due| needs_claim(due))
            .map(claim)
            .collect();
        if writes.is_empty() {
            return Some(Vec::new());
        }
        let (reply, answer) = oneshot::channel();
        let job = Job {
            writes,
            guard: None,
            done: Box::new(move |outcome: JobOutcome| {
                let _ = reply.send(outcome.written());
            }),
        };
        self.writer.send(job).await.ok()?;
        answer.await.ok()
    }
}

fn needs_claim(due: &Due) -> bool {
    due.tries == 0 && due.message.deliver_at.is_some()
}
