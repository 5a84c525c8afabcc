//! Publishes without an external broker: a message is published when the groups
//! that want it have it in the store.

use std::sync::Arc;

use amends_core::message::{GroupName, Message};
use tokio::sync::{mpsc, oneshot};

use super::backoff::wait_after;
use super::due::{Due, Finished, NextTry};
use crate::clock::Clock;
use crate::crash;
use crate::messages::dispatch::{Dispatchers, Offer};
use crate::messages::options::MessageOptions;
use crate::messages::table::Table;
use crate::messages::writer::{Job, Writer};
use crate::store::messages::{MessageWrite, Written};

/// Messages published at a time.
const BATCH: usize = 256;

/// The only lane.
pub(in crate::messages) struct Embedded {
    pub(in crate::messages) due: mpsc::UnboundedReceiver<Due>,
    pub(in crate::messages) finished: mpsc::UnboundedSender<Vec<Finished>>,
    pub(in crate::messages) writer: Writer,
    pub(in crate::messages) table: Table,
    pub(in crate::messages) dispatchers: Dispatchers,
    pub(in crate::messages) clock: Arc<dyn Clock>,
    pub(in crate::messages) options: MessageOptions,
}

impl Embedded {
    /// Runs until the outbox has ended.
    pub(in crate::messages) async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.due.recv_many(&mut batch, BATCH).await > 0 {
            crash::point("message-due");
            let now = self.clock.now();
            let (writes, tried): (Vec<_>, Vec<_>) =
                batch.drain(..).map(|due| self.attempt(due, now)).unzip();
            let (written, when_written) = oneshot::channel();
            let job = Job {
                writes,
                guard: None,
                done: self.told(tried, written),
            };
            if self.writer.send(job).await.is_err() || when_written.await.is_err() {
                return;
            }
        }
    }

    fn attempt(&self, mut due: Due, now: amends_core::time::Timestamp) -> (MessageWrite, Tried) {
        let groups = self.table.groups_for(&due.message);
        if groups.is_empty() {
            due.tries = due.tries.saturating_add(1);
            due.at = now + wait_after(due.tries, &self.options);
            let write = due.failed(unroutable(&due.message), NextTry::AtItsTime, now);
            return (write, Tried::Unroutable(due));
        }
        (
            due.published(groups.clone(), now),
            Tried::Published(due, groups),
        )
    }

    /// Tells dispatchers and outbox, in the order of the commits.
    fn told(
        &self,
        tried: Vec<Tried>,
        written: oneshot::Sender<()>,
    ) -> crate::messages::writer::Done {
        let (dispatchers, finished) = (self.dispatchers.clone(), self.finished.clone());
        Box::new(move |outcome| {
            let mut news = Vec::with_capacity(tried.len());
            for (tried, written) in tried.into_iter().zip(outcome.written()) {
                let took_effect = matches!(written, Written::Done);
                news.push(match tried {
                    Tried::Published(due, groups) => {
                        let published = &dispatchers.counters().published;
                        published.add(usize::from(took_effect));
                        for group in groups.iter().filter(|_| took_effect) {
                            let offer = Offer::fresh(due.message.clone());
                            dispatchers.offer(group, &due.message.topic, vec![offer]);
                        }
                        Finished::done(&due)
                    }
                    Tried::Unroutable(due) if took_effect => {
                        dispatchers.counters().returned.add(1);
                        Finished::again(due)
                    }
                    // Taken back, or somebody else's.
                    Tried::Unroutable(due) => Finished::done(&due),
                });
            }
            let _ = finished.send(news);
            let _ = written.send(());
        })
    }
}

enum Tried {
    Published(Due, Vec<GroupName>),
    Unroutable(Due),
}

/// Why nobody gets a message.
pub(in crate::messages) fn unroutable(message: &Message) -> String {
    format!(
        "unroutable: no group subscribes to topic {} tag {:?}",
        message.topic,
        message.tag.as_str()
    )
}
