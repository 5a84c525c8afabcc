//! One lane to an external broker: publishes, waits for all confirms of a batch, records.
//!
//! Nothing is recorded as published before its confirm. A message without an answer is published
//! again, with everything behind it still behind it; a returned or refused one is
//! tried again by itself.

use std::sync::Arc;
use std::time::Duration;

use amends_core::message::SharedMessage;
use amends_core::time::Timestamp;
use tokio::sync::{mpsc, watch};

use super::backoff::wait_after;
use super::carrying::Carrying;
use super::due::{Due, Finished, NextTry};
use crate::broker::{BrokerStatus, Carried, ExternalBroker, MAX_UNCONFIRMED};
use crate::clock::Clock;
use crate::crash;
use crate::messages::counters::Counters;
use crate::messages::options::MessageOptions;
use crate::messages::writer::{Job, Writer};
use crate::store::messages::MessageWrite;

/// Messages taken from the outbox at a time.
const TAKE: usize = 1_024;

/// A lane.
pub(in crate::messages) struct Lane {
    pub(in crate::messages) number: usize,
    /// Those with a delay are claimed.
    pub(in crate::messages) due: mpsc::UnboundedReceiver<Due>,
    pub(in crate::messages) finished: mpsc::UnboundedSender<Vec<Finished>>,
    pub(in crate::messages) broker: Arc<dyn ExternalBroker>,
    pub(in crate::messages) writer: Writer,
    pub(in crate::messages) clock: Arc<dyn Clock>,
    pub(in crate::messages) options: MessageOptions,
    pub(in crate::messages) counters: Arc<Counters>,
}

/// What became of a batch, sorted.
#[derive(Default)]
struct Sorted {
    confirmed: Vec<Due>,
    /// To be tried again by themselves, with the records of why.
    alone: Vec<Due>,
    failures: Vec<MessageWrite>,
    unknown: Vec<Due>,
}

impl Lane {
    /// Runs until the outbox has ended.
    pub(in crate::messages) async fn run(mut self) {
        let mut carrying = Carrying::new();
        let mut status = self.broker.status();
        let mut losses = 0;
        while self.wait(&mut carrying).await {
            let batch = carrying.batch(MAX_UNCONFIRMED, self.clock.now());
            if batch.is_empty() {
                continue;
            }
            let carried = self.publish(&batch, &mut status).await;
            let sorted = self.sort(batch, carried, &mut carrying);
            let lost = !sorted.unknown.is_empty();
            self.record(sorted, &mut carrying).await;
            if lost {
                losses += 1;
                let wait = Duration::from(wait_after(losses, &self.options));
                let is_up = *status.borrow() == BrokerStatus::Up;
                if is_up {
                    tokio::time::sleep(wait).await;
                } else {
                    let up = status.wait_for(|status| *status == BrokerStatus::Up);
                    let _ = tokio::time::timeout(wait, up).await;
                }
            } else {
                losses = 0;
            }
        }
    }

    /// Waits until there is something to publish. False once the outbox has ended.
    async fn wait(&mut self, carrying: &mut Carrying) -> bool {
        loop {
            while let Ok(due) = self.due.try_recv() {
                carrying.add(due);
            }
            let now = self.clock.now();
            let next = carrying.next();
            if !carrying.is_empty() || next.is_some_and(|at| at <= now) {
                return true;
            }
            const LONGEST: Duration = Duration::from_secs(3_600);
            let nap = next.map_or(LONGEST, |at| Duration::from(at.since(now)));
            let mut more = Vec::new();
            tokio::select! {
                count = self.due.recv_many(&mut more, TAKE) => {
                    if count == 0 {
                        return false;
                    }
                    for due in more {
                        carrying.add(due);
                    }
                }
                () = tokio::time::sleep(nap.min(LONGEST)) => {}
            }
        }
    }

    async fn publish(
        &self,
        batch: &[Due],
        status: &mut watch::Receiver<BrokerStatus>,
    ) -> Vec<Carried> {
        let reason = match &*status.borrow_and_update() {
            BrokerStatus::Up => None,
            BrokerStatus::Blocked(why) => Some(format!("the broker takes no messages: {why}")),
            BrokerStatus::Down(why) => Some(format!("the broker is not connected: {why}")),
        };
        if let Some(reason) = reason {
            return vec![Carried::Unknown(reason); batch.len()];
        }
        crash::point("message-publish");
        let messages: Vec<SharedMessage> = batch.iter().map(|due| due.message.clone()).collect();
        let mut carried = self.broker.publish(self.number, &messages).await;
        crash::point("message-confirmed");
        carried.resize_with(batch.len(), || Carried::Unknown("no answer".to_owned()));
        carried
    }

    fn sort(&self, batch: Vec<Due>, carried: Vec<Carried>, carrying: &mut Carrying) -> Sorted {
        let now = self.clock.now();
        let mut sorted = Sorted::default();
        for (mut due, carried) in batch.into_iter().zip(carried) {
            self.count(&carried);
            if carried == Carried::Confirmed {
                carrying.released(&due);
                sorted.confirmed.push(due);
                continue;
            }
            due.tries = due.tries.saturating_add(1);
            due.at = now + wait_after(due.tries, &self.options);
            match carried {
                Carried::Confirmed => {}
                Carried::Unroutable(why) => {
                    carrying.released(&due);
                    let why = format!("unroutable: {why}");
                    let failure = due.failed(why, NextTry::AtItsTime, now);
                    sorted.failures.push(failure);
                    sorted.alone.push(due);
                }
                Carried::Rejected(why) => {
                    sorted.failures.push(due.failed(why, NextTry::InOrder, now));
                    sorted.alone.extend(carrying.refused(due));
                }
                Carried::Unknown(why) => {
                    sorted.failures.push(due.failed(why, NextTry::InOrder, now));
                    sorted.unknown.push(due);
                }
            }
        }
        sorted
    }

    fn count(&self, carried: &Carried) {
        let counter = match carried {
            Carried::Confirmed => &self.counters.published,
            Carried::Unroutable(_) => &self.counters.returned,
            Carried::Rejected(_) => &self.counters.nacked,
            Carried::Unknown(_) => &self.counters.unanswered,
        };
        counter.add(1);
    }

    async fn record(&self, sorted: Sorted, carrying: &mut Carrying) {
        let now: Timestamp = self.clock.now();
        carrying.again(sorted.unknown);
        let marks = sorted
            .confirmed
            .iter()
            .map(|due| due.published(Vec::new(), now));
        let writes: Vec<MessageWrite> = marks.chain(sorted.failures).collect();
        let mut news: Vec<Finished> = sorted.confirmed.iter().map(Finished::done).collect();
        news.extend(sorted.alone.into_iter().map(Finished::again));
        let finished = self.finished.clone();
        let job = Job {
            writes,
            guard: None,
            done: Box::new(move |_| {
                // The outbox may read these rows until they are written.
                let _ = finished.send(news);
            }),
        };
        let _ = self.writer.send_unawaited(job).await;
    }
}
