//! What a consumer's stream holds.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use amends_core::time::Millis;
use tokio::sync::{mpsc, oneshot};

use super::dispatch::{Command, ConsumerId};
use super::error::MessagesError;
use super::types::{Handed, Settled, Settlement};

/// Why a consumer was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Unsubscribed,
    NotOwner(String),
    Stopping,
}

/// Where the reason stands once there is one.
pub(super) type EndNote = Arc<OnceLock<End>>;

fn why(end: &EndNote) -> MessagesError {
    match end.get() {
        Some(End::Unsubscribed) => MessagesError::Unsubscribed,
        Some(End::NotOwner(address)) => MessagesError::NotGroupOwner {
            address: address.clone(),
        },
        Some(End::Stopping) | None => MessagesError::Stopping,
    }
}

/// Where a consumer's messages come out. Dropping it ends the consumer: what it
/// has not settled is delivered again, at once.
pub struct Deliveries {
    pub(super) incoming: mpsc::Receiver<Vec<Handed>>,
    pub(super) end: EndNote,
}

impl Deliveries {
    /// The next messages. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Why no more will come: [`MessagesError::Unsubscribed`], [`MessagesError::NotGroupOwner`],
    /// [`MessagesError::Stopping`].
    pub async fn next(&mut self) -> Result<Vec<Handed>, MessagesError> {
        match self.incoming.recv().await {
            Some(handed) => Ok(handed),
            None => Err(why(&self.end)),
        }
    }
}

/// Speaks for a consumer. Cheap to clone.
#[derive(Clone)]
pub struct ConsumerHandle {
    pub(super) id: ConsumerId,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) end: EndNote,
    pub(super) lease: Millis,
    pub(super) keepalive_interval: Duration,
}

impl ConsumerHandle {
    /// How long a delivery may stay unsettled.
    #[must_use]
    pub fn lease(&self) -> Millis {
        self.lease
    }

    /// How often to call [`Self::keep_alive`].
    #[must_use]
    pub fn keepalive_interval(&self) -> Duration {
        self.keepalive_interval
    }

    /// Allows more deliveries.
    ///
    /// # Errors
    /// [`MessagesError::Invalid`] when the consumer would have more than
    /// [`MAX_CREDIT`](super::MAX_CREDIT); those of [`Deliveries::next`].
    pub async fn add_credit(&self, credit: u32) -> Result<(), MessagesError> {
        let (reply, answer) = oneshot::channel();
        let consumer = self.id;
        self.say(Command::AddCredit {
            consumer,
            credit,
            reply,
        })
        .await?;
        if answer.await.map_err(|_| why(&self.end))? {
            return Ok(());
        }
        let most = super::MAX_CREDIT;
        Err(MessagesError::Invalid(format!(
            "a consumer takes at most {most} deliveries at a time"
        )))
    }

    /// Says what became of deliveries; returns once verdicts other than "done" are
    /// durable. Each settled one is worth one credit. Dropped, it may have counted.
    ///
    /// # Errors
    /// Those of [`Deliveries::next`].
    pub async fn settle(&self, settlements: Vec<Settlement>) -> Result<Settled, MessagesError> {
        let (reply, answer) = oneshot::channel();
        let consumer = self.id;
        self.say(Command::Settle {
            consumer,
            settlements,
            reply,
        })
        .await?;
        answer.await.map_err(|_| why(&self.end))
    }

    /// Extends the lease of everything the consumer has.
    ///
    /// # Errors
    /// Those of [`Deliveries::next`].
    pub async fn keep_alive(&self) -> Result<(), MessagesError> {
        let consumer = self.id;
        self.say(Command::KeepAlive { consumer }).await
    }

    async fn say(&self, command: Command) -> Result<(), MessagesError> {
        if self.end.get().is_some() {
            return Err(why(&self.end));
        }
        let sent = self.commands.send(command).await;
        sent.map_err(|_| why(&self.end))
    }
}
