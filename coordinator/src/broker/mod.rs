//! Brokers outside the coordinator, which carry messages to consumer groups.
//!
//! The coordinator's outbox, its retries, its dead letters and the consumers'
//! streams are the same with and without one (`messages/`): an external broker only
//! carries what is published to the groups. The embedded broker is the store itself.
//!
//! Guarantees of every implementation:
//! - [`Carried::Confirmed`] is said only of a message that every queue it belongs in has durably;
//! - messages of one lane are carried in the order of the calls;
//! - an incoming message stays with the broker until it is acknowledged, and comes again after
//!   any loss of the connection;
//! - a publish call ends within its own deadline, whatever the broker does.
//!
//! Not here: when to try again, what a group has handled, filters beyond tags.

pub mod rabbitmq;

use std::sync::Arc;
use std::time::Duration;

use amends_core::message::{GroupName, SharedMessage, Subscription, Topic};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

/// Most messages of one [`ExternalBroker::publish`]: the confirms under way on one lane.
pub const MAX_UNCONFIRMED: usize = 100;
/// How long a publish waits for its confirms.
pub const CONFIRM_DEADLINE: Duration = Duration::from_secs(10);

/// What became of one published message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// Every queue that it belongs in has it durably.
    Confirmed,
    /// No queue wants it; the reason names topic and tag.
    Unroutable(String),
    /// The broker refused it, a full queue for example.
    Rejected(String),
    /// No answer: it may be there or not. To be published again.
    Unknown(String),
}

/// How it stands with a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerStatus {
    /// Connected, takes messages.
    Up,
    /// Connected, but it takes none for now; the reason is the broker's own.
    Blocked(String),
    /// Not connected, since what happened.
    Down(String),
}

/// Why a broker could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// It may work later.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// It will not work without a person, for example a queue that exists with other settings.
    #[error("{message}")]
    Unusable {
        /// Stable code, for example `TOPOLOGY_MISMATCH`.
        code: &'static str,
        /// What is wrong and what helps.
        message: String,
    },
}

/// A message that came in for a group.
#[derive(Debug)]
pub struct Incoming {
    /// The message; `Err` holds one whose envelope could not be read, with
    /// what could be made of it and why.
    pub message: Result<SharedMessage, (SharedMessage, String)>,
    /// Names it when it is acknowledged. Valid for this feed only.
    pub token: u64,
    /// Whether the broker may have given it to somebody before: the store may
    /// know more about it then.
    pub redelivered: bool,
}

/// Acknowledges messages of one feed.
pub trait Acks: Send + Sync + 'static {
    /// Acknowledges messages. Those of a feed that has ended come again, and nothing is
    /// said about it: whoever gets them again finds them in the consumer log.
    fn ack<'a>(&'a self, tokens: &'a [u64]) -> BoxFuture<'a, ()>;
}

/// The messages of one group, from now until the connection is lost.
pub struct Feed {
    /// They come here; its end means that the feed is lost and another one is needed.
    pub incoming: mpsc::Receiver<Incoming>,
    /// Takes them off the broker.
    pub acks: Arc<dyn Acks>,
}

/// A broker outside the coordinator.
pub trait ExternalBroker: Send + Sync + 'static {
    /// What it is, for people: `rabbitmq`.
    fn kind(&self) -> &'static str;

    /// How it stands, now and with each change.
    fn status(&self) -> watch::Receiver<BrokerStatus>;

    /// Lanes on which messages can be published independently, at least one.
    fn lanes(&self) -> usize;

    /// Makes the topic, the group's queue and its bindings exist and remembers
    /// them: they are made again after a loss. Repeating it is safe.
    ///
    /// # Errors
    /// `TOPOLOGY_MISMATCH` when something of the same name exists with other settings.
    fn declare<'a>(
        &'a self,
        subscription: &'a Subscription,
    ) -> BoxFuture<'a, Result<(), BrokerError>>;

    /// Removes the group's queue.
    fn remove<'a>(
        &'a self,
        group: &'a GroupName,
        topic: &'a Topic,
    ) -> BoxFuture<'a, Result<(), BrokerError>>;

    /// Publishes up to [`MAX_UNCONFIRMED`] messages on a lane and waits for all
    /// confirms, at most [`CONFIRM_DEADLINE`]; one answer per message, in
    /// order. Dropping it leaves the outcome unknown.
    fn publish<'a>(
        &'a self,
        lane: usize,
        batch: &'a [SharedMessage],
    ) -> BoxFuture<'a, Vec<Carried>>;

    /// How many messages wait for each group and were given out to nobody, one answer for each;
    /// `None` where the broker knows of no such group.
    ///
    /// # Errors
    /// The broker cannot be asked.
    fn depths<'a>(
        &'a self,
        groups: &'a [(GroupName, Topic)],
    ) -> BoxFuture<'a, Result<Vec<Option<u32>>, BrokerError>>;

    /// Begins to receive a group's messages, at most `window` unacknowledged.
    fn consume<'a>(
        &'a self,
        group: &'a GroupName,
        topic: &'a Topic,
        window: u16,
    ) -> BoxFuture<'a, Result<Feed, BrokerError>>;
}
