//! Why something about messages was not done.

use std::time::Duration;

use amends_core::message::half::Verdict;

use crate::broker::BrokerError;
use crate::store::StoreError;

/// By what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum MessagesError {
    /// What was asked for breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// The id is taken by a message with other content. Nothing of the call was kept.
    #[error("message {id} exists already with another {difference}")]
    AlreadyExists {
        /// The id.
        id: String,
        /// What differs: `topic`, `tag`, `key`, `order_key`, `headers`, `payload` or `deliver_time`.
        difference: &'static str,
    },
    /// No such message.
    #[error("there is no message {0}")]
    NotFound(String),
    /// No such subscription.
    #[error("group {group} does not subscribe to topic {topic}")]
    NoSubscription {
        /// The group.
        group: String,
        /// The topic.
        topic: String,
    },
    /// No such dead letter.
    #[error("there is no dead letter {0}")]
    NoDeadLetter(String),
    /// The half id is taken, with other messages. Nothing of the call was kept.
    #[error("half {half} was prepared before with another {difference}")]
    HalfExists {
        /// The half id.
        half: String,
        /// What differs.
        difference: String,
    },
    /// No such half.
    #[error("there is no half {0}")]
    NoHalf(String),
    /// The opposite verdict stands.
    #[error("half {half} was decided before: {}", .verdict.state().as_str())]
    HalfDecided {
        /// The half id.
        half: String,
        /// What was decided.
        verdict: Verdict,
    },
    /// It was prepared for another producer group.
    #[error("half {half} belongs to another producer group than {producer}")]
    AnotherProducer {
        /// The half id.
        half: String,
        /// The group that asked.
        producer: String,
    },
    /// Another coordinator delivers to this group.
    #[error("the coordinator at {address} delivers to this group")]
    NotGroupOwner {
        /// Its address.
        address: String,
    },
    /// The subscription was ended while a consumer was there.
    #[error("the subscription was ended")]
    Unsubscribed,
    /// Too much at once: come back later.
    #[error("the coordinator has as many messages under way as it takes")]
    Overloaded {
        /// When to come back.
        retry_after: Duration,
    },
    /// The broker did not do its part.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The coordinator is stopping.
    #[error("the coordinator is stopping")]
    Stopping,
}

impl MessagesError {
    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "INVALID_MESSAGE",
            Self::AlreadyExists { .. } => "MESSAGE_ID_REUSED",
            Self::NotFound(_) => "MESSAGE_NOT_FOUND",
            Self::NoSubscription { .. } => "SUBSCRIPTION_NOT_FOUND",
            Self::NoDeadLetter(_) => "DEAD_LETTER_NOT_FOUND",
            Self::HalfExists { .. } => "HALF_ID_REUSED",
            Self::NoHalf(_) => "HALF_NOT_FOUND",
            Self::HalfDecided { .. } => "HALF_DECIDED",
            Self::AnotherProducer { .. } => "HALF_OF_ANOTHER_PRODUCER",
            Self::NotGroupOwner { .. } => "NOT_GROUP_OWNER",
            Self::Unsubscribed => "UNSUBSCRIBED",
            Self::Overloaded { .. } => "OVERLOADED",
            Self::Broker(BrokerError::Unavailable(_)) => "BROKER_UNAVAILABLE",
            Self::Broker(BrokerError::Unusable { code, .. }) => code,
            Self::Store(error) => error.code(),
            Self::Stopping => "STOPPING",
        }
    }
}
