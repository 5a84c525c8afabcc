//! [`Relay`]: publishes what the outbox holds.
//!
//! One step: take or extend the lease and read a batch (one transaction),
//! publish it (no transaction is open), note the outcome (one transaction,
//! which extends the lease or, if that went elsewhere, changes nothing). A crash
//! in between publishes the batch again under the same ids.

use std::sync::Arc;
use std::time::Duration;

use amends_proto::v1::PublishMessage;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::lease::{self, LEASE, Token};
use super::rows::{self, MAX_BATCH, Outgoing};
use super::{DEFAULT_MAX_AGE, DEFAULT_MAX_ATTEMPTS};
use crate::backoff::Backoff;
use crate::{Client, ClientError, Database, DatabaseError};

/// How long one publication may take, its repetitions included.
const PUBLISH_TIME: Duration = Duration::from_secs(5);
/// From one look at an empty outbox to the next: doubles from the first to the last.
const FIRST_IDLE: Duration = Duration::from_millis(50);
const LAST_IDLE: Duration = Duration::from_secs(2);
/// From one attempt at a message to the next.
const RETRY: Backoff = Backoff {
    first: Duration::from_millis(200),
    most: Duration::from_secs(60),
};
/// How long the end waits for a step under way.
const MAX_DRAIN: Duration = Duration::from_secs(10);

/// Publishes the outbox of one database. Any number of them may run: one at a
/// time works, the others wait until its lease is over.
#[derive(Debug)]
#[must_use = "call `start` or `run`"]
pub struct Relay {
    database: Database,
    client: Client,
    max_attempts: u32,
    max_age: Duration,
}

/// A relay that runs. Dropping it stops it after the step under way.
#[derive(Debug)]
pub struct RunningRelay {
    task: JoinHandle<()>,
    stop: DropGuard,
}

/// What a step found.
enum Step {
    /// There was something to publish: look again at once.
    Worked,
    /// Nothing is due, or another relay works.
    Idle,
    /// The coordinator cannot be reached.
    Away(u32),
}

impl Relay {
    /// A relay from this database to the client's coordinator.
    pub fn new(database: Database, client: Client) -> Self {
        Self {
            database,
            client: client.with_patience(PUBLISH_TIME),
            max_attempts: DEFAULT_MAX_ATTEMPTS,
            max_age: DEFAULT_MAX_AGE,
        }
    }

    /// Attempts after which a message counts as failed.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// How long after its first attempt a message is tried.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Runs until the future is dropped, which is safe at any time.
    pub async fn run(self) {
        Work::new(self).run(CancellationToken::new()).await;
    }

    /// Runs in the background until it is told to stop.
    pub fn start(self) -> RunningRelay {
        let stop = CancellationToken::new();
        let task = tokio::spawn(Work::new(self).run(stop.clone()));
        RunningRelay {
            task,
            stop: stop.drop_guard(),
        }
    }
}

impl RunningRelay {
    /// Finishes the step under way, gives the lease back, and ends.
    pub async fn shutdown(self) {
        drop(self.stop);
        let end = self.task.abort_handle();
        tokio::time::timeout(MAX_DRAIN, self.task).await.ok();
        end.abort();
    }
}

struct Work {
    relay: Relay,
    holder: String,
    token: Option<Token>,
    wake: Arc<Notify>,
}

impl Work {
    fn new(relay: Relay) -> Self {
        Self {
            wake: relay.database.outbox_notify(),
            holder: uuid::Uuid::now_v7().to_string(),
            token: None,
            relay,
        }
    }

    async fn run(mut self, stop: CancellationToken) {
        let (mut idle, mut failed) = (FIRST_IDLE, 0_u32);
        while !stop.is_cancelled() {
            let wait = match self.step().await {
                Ok(Step::Worked) => {
                    (idle, failed) = (FIRST_IDLE, 0);
                    continue;
                }
                Ok(Step::Idle) => {
                    failed = 0;
                    let wait = idle;
                    idle = (idle * 2).min(LAST_IDLE);
                    wait
                }
                Ok(Step::Away(attempts)) => RETRY.wait(attempts),
                Err(error) => {
                    tracing::warn!(%error, "the outbox cannot be read or written; trying again");
                    failed = failed.saturating_add(1);
                    RETRY.wait(failed)
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                // Another message does not bring an absent coordinator back, but may be due.
                () = self.wake.notified() => idle = FIRST_IDLE,
                () = tokio::time::sleep(wait) => {}
            }
        }
        if let Err(error) = self.give_back().await {
            tracing::debug!(%error, "the lease of the outbox runs out by itself");
        }
    }

    async fn step(&mut self) -> Result<Step, DatabaseError> {
        let batch = self.claim().await?;
        if batch.is_empty() {
            return Ok(Step::Idle);
        }
        let (outcomes, away) = self.publish(batch).await;
        self.settle(&outcomes).await?;
        Ok(away.map_or(Step::Worked, Step::Away))
    }

    /// The next batch, if there is one and it is ours to publish.
    async fn claim(&mut self) -> Result<Vec<Outgoing>, DatabaseError> {
        let mut conn = self.relay.database.begin().await?;
        if !rows::any_due(&mut conn).await? {
            conn.rollback().await?;
            return Ok(Vec::new());
        }
        if let Some(token) = self.token
            && !lease::keep(&mut conn, &self.holder, token, LEASE).await?
        {
            self.token = None;
        }
        if self.token.is_none() {
            self.token = lease::take(&mut conn, &self.holder).await?;
        }
        if self.token.is_none() {
            conn.rollback().await?;
            return Ok(Vec::new());
        }
        let batch = rows::next_batch(&mut conn).await?;
        conn.commit().await?;
        debug_assert!(batch.len() <= MAX_BATCH);
        Ok(batch)
    }

    /// Publishes a batch; one by one where it is refused as a whole. Says how
    /// often the first message was tried before, if the coordinator is away:
    /// what comes behind it is then not tried.
    async fn publish(&self, batch: Vec<Outgoing>) -> (Vec<Outcome>, Option<u32>) {
        let all = batch.iter().map(wanted).collect();
        let refused = match self.relay.client.publish_checked(all).await {
            Ok(_) => return (batch.iter().map(Outcome::sent).collect(), None),
            Err(error) => error,
        };
        if !is_final(&refused) {
            let away = batch.first().map(|first| first.try_count + 1);
            let outcomes = batch.iter().map(|message| self.failed(message, &refused));
            return (outcomes.collect(), away);
        }
        if let [only] = batch.as_slice() {
            return (vec![self.failed(only, &refused)], None);
        }
        let mut outcomes = Vec::new();
        for message in &batch {
            match self
                .relay
                .client
                .publish_checked(vec![wanted(message)])
                .await
            {
                Ok(_) => outcomes.push(Outcome::sent(message)),
                Err(error) => {
                    outcomes.push(self.failed(message, &error));
                    if !is_final(&error) {
                        return (outcomes, Some(message.try_count + 1));
                    }
                }
            }
        }
        (outcomes, None)
    }

    fn failed(&self, message: &Outgoing, error: &ClientError) -> Outcome {
        let tries = message.try_count.saturating_add(1);
        let used_up = tries >= self.relay.max_attempts || message.age >= self.relay.max_age;
        let next = (!is_final(error) && !used_up).then(|| RETRY.wait(tries));
        let id = &message.message.id;
        match next {
            Some(_) => {
                tracing::warn!(id, tries, %error, "a message was not published; it is tried again");
            }
            None => {
                tracing::error!(id, tries, %error, "a message was not published; it has failed");
            }
        }
        Outcome {
            seq: message.seq,
            failure: Some((next, error.to_string())),
        }
    }

    /// Notes the outcomes, if the lease is still ours.
    async fn settle(&mut self, outcomes: &[Outcome]) -> Result<(), DatabaseError> {
        let Some(token) = self.token else {
            return Ok(());
        };
        let mut conn = self.relay.database.begin().await?;
        if !lease::keep(&mut conn, &self.holder, token, LEASE).await? {
            self.token = None;
            tracing::warn!("another relay took the outbox over meanwhile");
            return conn.rollback().await;
        }
        let sent: Vec<i64> = outcomes
            .iter()
            .filter(|outcome| outcome.failure.is_none())
            .map(|outcome| outcome.seq)
            .collect();
        rows::mark_sent(&mut conn, &sent).await?;
        for outcome in outcomes {
            if let Some((next, error)) = &outcome.failure {
                rows::mark_failed(&mut conn, outcome.seq, *next, error).await?;
            }
        }
        conn.commit().await
    }

    async fn give_back(&self) -> Result<(), DatabaseError> {
        let Some(token) = self.token else {
            return Ok(());
        };
        let mut conn = self.relay.database.begin().await?;
        lease::keep(&mut conn, &self.holder, token, Duration::ZERO).await?;
        conn.commit().await
    }
}

/// What became of one message.
struct Outcome {
    seq: i64,
    /// When the next attempt is, and why the last one failed.
    failure: Option<(Option<Duration>, String)>,
}

impl Outcome {
    fn sent(message: &Outgoing) -> Self {
        Self {
            seq: message.seq,
            failure: None,
        }
    }
}

fn wanted(outgoing: &Outgoing) -> PublishMessage {
    PublishMessage {
        message: Some(outgoing.message.clone()),
        delay: None,
    }
}

/// What asking again cannot change. A token that is refused can be replaced.
fn is_final(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Invalid { .. } | ClientError::Conflict { .. } | ClientError::Data { .. }
    )
}
