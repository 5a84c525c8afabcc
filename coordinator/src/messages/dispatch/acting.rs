//! Carries out what the dispatcher's [`Group`](super::group::Group) wants done.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::actor::{Actor, Reply};
use super::entry::{Actions, Note, ReplyId, What};
use super::sources::Read;
use super::time::Now;
use crate::crash;
use crate::messages::writer::Job;
use crate::store::messages::{DeadLetterId, MessageWrite, Outcome, Written};

/// Wait after a read that failed.
const READ_AGAIN: Duration = Duration::from_millis(200);
/// Writes of one job.
const JOB: usize = 256;

impl Actor {
    pub(super) async fn act(&mut self) {
        let now = self.now();
        let Actions {
            hands,
            notes,
            traces,
            acks,
            replies,
        } = std::mem::take(&mut self.group.out);
        self.show();
        for (consumer, batch) in hands {
            if let Some(stream) = self.streams.get(&consumer) {
                // One that is gone says so by itself.
                let _ = stream.deliveries.try_send(batch);
            }
        }
        if !traces.is_empty() {
            crash::point("message-settled");
        }
        self.count(&notes);
        self.count(&traces);
        for job in self.jobs(notes, now) {
            let _ = self.parts.writer.send(job).await;
        }
        for job in self.jobs(traces, now) {
            let _ = self.parts.writer.send_unawaited(job).await;
        }
        self.feeder.acknowledge(acks);
        for reply in replies {
            self.written(reply);
        }
        while !self.ending
            && let Some((read, most)) = self.group.next_read(now)
        {
            self.begin_read(read, most);
        }
    }

    fn show(&self) {
        let live = &self.parts.live;
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let consumers = &self.group.consumers;
        live.consumers
            .store(count(consumers.len()), Ordering::Relaxed);
        live.leased
            .store(count(consumers.leased()), Ordering::Relaxed);
    }

    pub(super) fn show_held(&self) {
        let held = self.group.entries.values();
        let held = held.filter(|entry| entry.ack.is_some()).count();
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        self.parts.live.held.store(held, Ordering::Relaxed);
    }

    fn count(&self, notes: &[Note]) {
        let counters = &self.parts.counters;
        for note in notes {
            match note.what {
                What::Done => counters.handled.add(1),
                What::Retry { .. } => counters.failed.add(1),
                What::Dead { .. } => counters.dead.add(1),
                What::Keep => {}
            }
        }
    }

    fn written(&mut self, reply: ReplyId) {
        let Some(waiting) = self.replies.get_mut(&reply) else {
            return;
        };
        waiting.writes = waiting.writes.saturating_sub(1);
        if waiting.writes == 0
            && let Some(Reply { settled, to, .. }) = self.replies.remove(&reply)
        {
            let _ = to.send(settled);
        }
    }

    fn begin_read(&mut self, read: Read, most: u32) {
        let store = self.parts.store.clone();
        let (group, topic) = self.parts.place.clone();
        self.reads.push(Box::pin(async move {
            let filter = read.filter();
            let page = store.waiting(&group, &topic, &filter, most).await;
            if page.is_err() {
                tokio::time::sleep(READ_AGAIN).await;
            }
            (read, most, page)
        }));
    }

    fn jobs(&self, notes: Vec<Note>, now: Now) -> Vec<Job> {
        let mut jobs = Vec::new();
        let mut notes = notes.into_iter().peekable();
        while notes.peek().is_some() {
            let (ids, writes): (Vec<_>, Vec<_>) = notes
                .by_ref()
                .take(JOB)
                .map(|note| (note.write, self.write(note, now)))
                .unzip();
            let durable = self.durable.0.clone();
            jobs.push(Job {
                writes,
                guard: None,
                done: Box::new(move |outcome| {
                    let took_effect =
                        |written: Written| !matches!(written, Written::Conflict { .. });
                    let written = outcome.written().into_iter().map(took_effect);
                    // A dispatcher that is gone needs no news.
                    let _ = durable.send(ids.into_iter().zip(written).collect());
                }),
            });
        }
        jobs
    }

    fn write(&self, note: Note, now: Now) -> MessageWrite {
        let outcome = match note.what {
            What::Done => Outcome::Done,
            What::Retry { at, error } => Outcome::Retry { at, error },
            What::Dead { error } => Outcome::Dead {
                id: DeadLetterId(uuid::Uuid::now_v7().to_string()),
                error,
            },
            What::Keep => Outcome::Keep,
        };
        MessageWrite::Settle {
            group: self.parts.place.0.clone(),
            message: note.message,
            attempts: note.attempts,
            outcome,
            now: now.wall,
        }
    }
}
