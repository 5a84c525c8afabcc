//! Messages: what they are made of and which states they have.
//!
//! Pure data and its rules; who stores, publishes and delivers them is the
//! coordinator's matter.

pub mod filter;
pub mod half;
mod headers;
mod names;
mod subscription;

use std::sync::Arc;

use crate::payload::Payload;
use crate::time::Timestamp;

pub use filter::{BadFilter, BadSql, Filter, FilterKind, SqlFilter};
pub use headers::{BadHeaders, Headers, MAX_HEADERS, MAX_HEADERS_BYTES, RESERVED_HEADER_PREFIX};
pub use names::{GroupName, MAX_KEY_CHARS, MessageId, MessageKey, OrderKey, Tag, Topic};
pub use subscription::{Mode, RetrySchedule, ScheduleError, Subscription};

/// A message as it was recorded. Shared, never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Unique, stable from the first recording on.
    pub id: MessageId,
    /// Its topic.
    pub topic: Topic,
    /// Its kind within the topic; may be empty.
    pub tag: Tag,
    /// What it is about; may be empty.
    pub key: MessageKey,
    /// Messages of one topic with the same order key come one after the other.
    pub order_key: Option<OrderKey>,
    /// For filters and people.
    pub headers: Headers,
    /// Its body.
    pub payload: Payload,
    /// Not before this time.
    pub deliver_at: Option<Timestamp>,
    /// When it was recorded.
    pub created_at: Timestamp,
}

/// The states of a message, and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MessageState {
    /// A half message: invisible until its local transaction is known to have committed.
    Prepared,
    /// Will be published.
    Committed,
    /// The broker has it.
    Published,
    /// Taken back: delivered to nobody.
    RolledBack,
    /// Needs a person.
    Stuck,
}

/// What became of a message in one consumer group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeliveryState {
    /// Waits for a consumer.
    Ready,
    /// A consumer has it. Never stored: a lease does not outlive the coordinator that gave it.
    Leased,
    /// Handled.
    Done,
    /// Waits for its next attempt.
    Retrying,
    /// Used up its attempts, or could not be read.
    Dead,
}

macro_rules! state_names {
    ($State:ident { $($variant:ident = $name:literal),* $(,)? }) => {
        impl $State {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// As it is stored and shown.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// Reads what [`Self::as_str`] wrote.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|state| state.as_str() == text)
            }
        }
    };
}

state_names!(MessageState {
    Prepared = "PREPARED",
    Committed = "COMMITTED",
    Published = "PUBLISHED",
    RolledBack = "ROLLED_BACK",
    Stuck = "STUCK",
});
state_names!(DeliveryState {
    Ready = "READY",
    Leased = "LEASED",
    Done = "DONE",
    Retrying = "RETRYING",
    Dead = "DEAD",
});

/// A message that several places share.
pub type SharedMessage = Arc<Message>;
