//! A message in the dispatcher's memory, and what the dispatcher wants done.

use amends_core::message::{MessageId, OrderKey, SharedMessage};
use amends_core::time::Timestamp;

use super::consumers::ConsumerId;
use crate::messages::types::Handed;

/// Names a message at an external broker, for its acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ack {
    /// Which feed it came by; an ended one takes no acknowledgements.
    pub(super) feed: u64,
    /// Its name there.
    pub(super) token: u64,
}

/// A message for a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::messages) struct Offer {
    pub(in crate::messages) message: SharedMessage,
    /// Attempts that have ended.
    pub(in crate::messages) attempts: u32,
    /// Not before.
    pub(in crate::messages) at: Option<Timestamp>,
}

impl Offer {
    /// One that nobody has tried yet.
    pub(in crate::messages) fn fresh(message: SharedMessage) -> Self {
        Self {
            message,
            attempts: 0,
            at: None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) message: SharedMessage,
    pub(super) attempts: u32,
    /// Still to be acknowledged at the broker.
    pub(super) ack: Option<Ack>,
    pub(super) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Waits for others of its key.
    Behind,
    /// Waits for a consumer.
    Ready,
    /// A consumer has it.
    Leased,
    /// Waits for its time.
    Sleeping(Timestamp),
    /// What became of it is being written.
    Writing,
    /// It is being written to the store, to be read from there later.
    Keeping,
}

/// Names a write until it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct WriteId(pub(super) u64);

/// What is to be recorded about a message in the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) write: WriteId,
    pub(super) message: SharedMessage,
    pub(super) attempts: u32,
    pub(super) what: What,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Done,
    Retry { at: Timestamp, error: String },
    Dead { error: String },
    Keep,
}

/// A write that is under way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) id: MessageId,
    pub(super) kind: PendingKind,
    /// Whose answer waits for it.
    pub(super) reply: Option<ReplyId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PendingKind {
    Done,
    Dead,
    Retry(Timestamp),
    Keep(OrderKey),
}

/// Names the answer to a call that settles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ReplyId(pub(super) u64);

/// What is to be done, in this order.
#[derive(Debug, Default)]
pub(super) struct Actions {
    pub(super) hands: Vec<(ConsumerId, Vec<Handed>)>,
    /// Somebody waits for these.
    pub(super) notes: Vec<Note>,
    /// Nobody waits for these.
    pub(super) traces: Vec<Note>,
    pub(super) acks: Vec<Ack>,
    /// Writes for these answers are durable; one entry for each write.
    pub(super) replies: Vec<ReplyId>,
}
