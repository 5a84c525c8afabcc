//! One writer for messages: whatever is waiting goes into one database transaction.
//!
//! No artificial delay: while one commit is under way the next batch collects. A
//! batch whose outcome is not known is repeated until it is. Jobs are told in the order in
//! which they were committed, before the next batch is written.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use amends_core::message::MessageId;
use tokio::sync::{mpsc, oneshot, watch};

use crate::store::StoreError;
use crate::store::messages::{
    MAX_MESSAGE_WRITES, MessageStore, MessageWrite, Resolution, StoredMessage, Written,
};

use super::error::MessagesError;

/// Jobs that may wait, by lane.
const QUEUE: usize = 4_096;
/// While writes wait that somebody waits for, they may fill this much of a batch
/// before those that nobody waits for have their share.
const FIRST_SHARE: usize = MAX_MESSAGE_WRITES / 2;
/// Waits between tries while the store is not available.
const RETRY_WAITS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

/// Writes that happen together, and who is told.
pub(super) struct Job {
    /// At most half of [`MAX_MESSAGE_WRITES`].
    pub(super) writes: Vec<MessageWrite>,
    /// Looked at before; when it refuses, nothing is written.
    pub(super) guard: Option<Guard>,
    /// Called once; must not wait.
    pub(super) done: Done,
}

/// Called with what became of a job.
pub(super) type Done = Box<dyn FnOnce(JobOutcome) + Send>;

/// Looks at what is there.
type Refuses = Box<dyn Fn(&[StoredMessage]) -> bool + Send>;

/// Keeps a job from happening in part.
pub(super) struct Guard {
    /// Messages to look up.
    pub(super) ids: Vec<MessageId>,
    /// Whether what is there forbids the job.
    pub(super) refuses: Refuses,
}

/// What became of a job.
pub(super) enum JobOutcome {
    /// One for each write.
    Written(Vec<Written>),
    /// The guard refused because of these.
    Refused(Vec<StoredMessage>),
}

impl JobOutcome {
    /// What was written; nothing, when the guard refused.
    pub(super) fn written(self) -> Vec<Written> {
        match self {
            Self::Written(written) => written,
            Self::Refused(_) => Vec::new(),
        }
    }
}

/// The way to the writer. Cheap to clone.
#[derive(Clone)]
pub(super) struct Writer {
    awaited: mpsc::Sender<Job>,
    unawaited: mpsc::Sender<Job>,
    healthy: watch::Receiver<bool>,
}

impl Writer {
    /// Hands over a job that somebody waits for.
    pub(super) async fn send(&self, job: Job) -> Result<(), MessagesError> {
        self.awaited
            .send(job)
            .await
            .map_err(|_| MessagesError::Stopping)
    }

    /// The same, for one that nobody waits for.
    pub(super) async fn send_unawaited(&self, job: Job) -> Result<(), MessagesError> {
        self.unawaited
            .send(job)
            .await
            .map_err(|_| MessagesError::Stopping)
    }

    /// Writes and waits. Dropped, it may have been written.
    pub(super) async fn write(
        &self,
        writes: Vec<MessageWrite>,
    ) -> Result<Vec<Written>, MessagesError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job {
            writes,
            guard: None,
            done: Box::new(move |outcome| {
                let _ = reply.send(outcome.written());
            }),
        })
        .await?;
        self.when_written(answer).await
    }

    /// Waits for an answer that comes with a write; while writes fail, not for long.
    pub(super) async fn when_written<T>(
        &self,
        mut answer: oneshot::Receiver<T>,
    ) -> Result<T, MessagesError> {
        const PATIENCE: Duration = Duration::from_secs(2);
        let mut healthy = self.healthy.clone();
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer.map_err(|_| MessagesError::Stopping),
                _ = healthy.wait_for(|healthy| !healthy) => {}
            }
            tokio::select! {
                biased;
                answer = &mut answer => return answer.map_err(|_| MessagesError::Stopping),
                () = tokio::time::sleep(PATIENCE) => {}
            }
            if !*healthy.borrow() {
                return Err(failing());
            }
        }
    }

    /// An error while writes fail.
    pub(super) fn check_health(&self) -> Result<(), MessagesError> {
        if *self.healthy.borrow() {
            Ok(())
        } else {
            Err(failing())
        }
    }

    pub(super) fn is_healthy(&self) -> bool {
        *self.healthy.borrow()
    }
}

fn failing() -> MessagesError {
    let why = "writes fail at the moment; repeat the call with the same ids";
    StoreError::Unavailable(why.into()).into()
}

/// The writer's end.
pub(super) struct Queue {
    awaited: mpsc::Receiver<Job>,
    unawaited: mpsc::Receiver<Job>,
    /// Taken out of its lane, but not fitting into the batch before.
    held: [Option<Job>; 2],
    healthy: watch::Sender<bool>,
}

pub(super) fn writer() -> (Writer, Queue) {
    let (awaited, awaited_queue) = mpsc::channel(QUEUE);
    let (unawaited, unawaited_queue) = mpsc::channel(QUEUE);
    let (healthy, healthy_receiver) = watch::channel(true);
    let writer = Writer {
        awaited,
        unawaited,
        healthy: healthy_receiver,
    };
    let queue = Queue {
        awaited: awaited_queue,
        unawaited: unawaited_queue,
        held: [None, None],
        healthy,
    };
    (writer, queue)
}

impl Queue {
    /// Writes until every sender is gone.
    pub(super) async fn run(mut self, store: Arc<dyn MessageStore>) {
        while let Some(mut jobs) = self.next_batch().await {
            self.refuse(store.as_ref(), &mut jobs).await;
            let (writes, told): (Vec<_>, Vec<_>) = jobs
                .into_iter()
                .map(|job| {
                    let count = job.writes.len();
                    (job.writes, (count, job.done))
                })
                .unzip();
            let writes: Vec<MessageWrite> = writes.into_iter().flatten().collect();
            let mut written = self.write(store.as_ref(), &writes).await.into_iter();
            for (count, done) in told {
                done(JobOutcome::Written(written.by_ref().take(count).collect()));
            }
        }
    }

    /// Takes out the jobs whose guards refuse, and tells them. Nothing happens between this look and the
    /// writes: nobody else makes such messages, and no job before in the batch does.
    async fn refuse(&mut self, store: &dyn MessageStore, jobs: &mut Vec<Job>) {
        let guards = jobs.iter().filter_map(|job| job.guard.as_ref());
        let ids: Vec<MessageId> = guards.flat_map(|guard| guard.ids.clone()).collect();
        if ids.is_empty() {
            return;
        }
        let found = self.found(store, &ids).await;
        for job in std::mem::take(jobs) {
            if let Some(guard) = &job.guard {
                let its = found.iter().filter(|it| guard.ids.contains(&it.message.id));
                let its: Vec<StoredMessage> = its.cloned().collect();
                if (guard.refuses)(&its) {
                    (job.done)(JobOutcome::Refused(its));
                    continue;
                }
            }
            jobs.push(job);
        }
    }

    /// Waits for at least one job and takes what fits.
    async fn next_batch(&mut self) -> Option<Vec<Job>> {
        if self.held.iter().all(Option::is_none) {
            tokio::select! {
                biased;
                Some(job) = self.awaited.recv() => self.held[0] = Some(job),
                Some(job) = self.unawaited.recv() => self.held[1] = Some(job),
                else => return None,
            }
        }
        let mut batch = Batch::default();
        batch.fill(&mut self.held[0], &mut self.awaited, FIRST_SHARE);
        batch.fill(&mut self.held[1], &mut self.unawaited, MAX_MESSAGE_WRITES);
        batch.fill(&mut self.held[0], &mut self.awaited, MAX_MESSAGE_WRITES);
        Some(batch.jobs)
    }

    async fn found(&mut self, store: &dyn MessageStore, ids: &[MessageId]) -> Vec<StoredMessage> {
        let mut wait = RETRY_WAITS.0;
        loop {
            match store.messages(ids).await {
                Ok(found) => {
                    self.works();
                    return found;
                }
                Err(error) => self.failed(&error, ids.len(), &mut wait).await,
            }
        }
    }

    /// Repeats until the outcome is known. What the store can never take does not
    /// hold up the others: a batch with such a write is written one by one.
    async fn write(&mut self, store: &dyn MessageStore, writes: &[MessageWrite]) -> Vec<Written> {
        if writes.is_empty() {
            return Vec::new();
        }
        if let Some(written) = self.write_whole(store, writes).await {
            return written;
        }
        let mut written = Vec::with_capacity(writes.len());
        for one in writes.chunks(1) {
            let refused = || vec![Written::Conflict { state: None }];
            let one = self.write_whole(store, one).await;
            written.extend(one.unwrap_or_else(refused));
        }
        written
    }

    /// `None` when the store can never take this batch.
    async fn write_whole(
        &mut self,
        store: &dyn MessageStore,
        writes: &[MessageWrite],
    ) -> Option<Vec<Written>> {
        let mut wait = RETRY_WAITS.0;
        loop {
            match store.write(writes).await {
                Ok(written) => {
                    self.works();
                    return Some(written);
                }
                Err(error @ StoreError::Corrupt(_)) => {
                    tracing::error!(%error, writes = writes.len(), "the store cannot take what was written about messages; this is a bug");
                    return None;
                }
                Err(error) => self.failed(&error, writes.len(), &mut wait).await,
            }
        }
    }

    fn works(&self) {
        self.healthy
            .send_if_modified(|was| !std::mem::replace(was, true));
    }

    async fn failed(&mut self, error: &StoreError, items: usize, wait: &mut Duration) {
        self.healthy
            .send_if_modified(|was| std::mem::replace(was, false));
        let cause = std::error::Error::source(error)
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(items, %error, cause, "cannot write messages to the store; trying again, nothing is lost");
        tokio::time::sleep(*wait).await;
        *wait = (*wait * 2).min(RETRY_WAITS.1);
    }
}

#[derive(Default)]
struct Batch {
    jobs: Vec<Job>,
    writes: usize,
    /// Messages that it may make.
    made: HashSet<MessageId>,
}

impl Batch {
    /// Takes jobs of one lane while the batch has fewer than `most` writes.
    fn fill(&mut self, held: &mut Option<Job>, lane: &mut mpsc::Receiver<Job>, most: usize) {
        while self.writes < most {
            let Some(job) = held.take().or_else(|| lane.try_recv().ok()) else {
                return;
            };
            let size: usize = job.writes.iter().map(MessageWrite::size).sum();
            if self.writes + size > MAX_MESSAGE_WRITES || !self.can_guard(&job) {
                *held = Some(job);
                return;
            }
            self.made.extend(job.writes.iter().filter_map(made));
            self.writes += size;
            self.jobs.push(job);
        }
    }

    /// Whether the job's guard sees all that is there before its own writes.
    fn can_guard(&self, job: &Job) -> bool {
        let mut ids = job.guard.iter().flat_map(|guard| &guard.ids);
        ids.all(|id| !self.made.contains(id))
    }
}

/// The message that may be new by this.
fn made(write: &MessageWrite) -> Option<MessageId> {
    match write {
        MessageWrite::Accept { message, .. } | MessageWrite::Settle { message, .. } => {
            Some(message.id.clone())
        }
        MessageWrite::Resolve {
            resolution:
                Resolution::Resend {
                    edited: Some(edited),
                    ..
                },
            ..
        } => Some(edited.id.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_core::message::{Headers, Message, MessageKey, Tag, Topic};
    use amends_core::payload::Payload;
    use amends_core::time::Timestamp;

    use crate::store::messages::Birth;

    fn job(ids: &[&str], guarded: bool) -> Job {
        let ids: Vec<MessageId> = ids.iter().map(|id| MessageId::new(id).unwrap()).collect();
        let message = |id: &MessageId| Message {
            id: id.clone(),
            topic: Topic::new("t").unwrap(),
            tag: Tag::new("").unwrap(),
            key: MessageKey::default(),
            order_key: None,
            headers: Headers::default(),
            payload: Payload::null(),
            deliver_at: None,
            created_at: Timestamp(0),
        };
        let accept = |id| MessageWrite::Accept {
            message: Arc::new(message(id)),
            birth: Birth::Committed,
        };
        Job {
            writes: ids.iter().map(accept).collect(),
            guard: guarded.then(|| Guard {
                ids,
                refuses: Box::new(|_| false),
            }),
            done: Box::new(|_| {}),
        }
    }

    #[test]
    fn a_guard_waits_for_the_batch_in_which_it_sees_everything() {
        let (sender, mut lane) = mpsc::channel(9);
        for job in [
            job(&["a"], false),
            job(&["b", "c"], true),
            job(&["b"], false),
            job(&["d", "e"], true),
            job(&["f", "b"], true),
            job(&["g"], false),
        ] {
            sender.try_send(job).map_err(drop).unwrap();
        }
        let mut held = None;
        let mut sizes = Vec::new();
        for _ in 0..2 {
            let mut batch = Batch::default();
            batch.fill(&mut held, &mut lane, MAX_MESSAGE_WRITES);
            sizes.push(batch.jobs.len());
        }
        assert_eq!(sizes, [4, 2]);
    }
}
