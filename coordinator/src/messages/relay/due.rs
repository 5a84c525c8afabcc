//! A message that is to be published, and what the lanes tell about it.

use amends_core::id::Generation;
use amends_core::message::{GroupName, MessageId, SharedMessage};
use amends_core::time::Timestamp;

use crate::store::messages::{MessageWrite, StoredMessage};

/// A message to be published.
#[derive(Debug, Clone)]
pub(in crate::messages) struct Due {
    pub(in crate::messages) message: SharedMessage,
    pub(in crate::messages) generation: Generation,
    /// Tries so far.
    pub(in crate::messages) tries: u32,
    /// Not before.
    pub(in crate::messages) at: Timestamp,
}

impl Due {
    /// One that was just accepted.
    pub(in crate::messages) fn accepted(message: SharedMessage) -> Self {
        Self {
            generation: Generation::FIRST,
            tries: 0,
            at: message.deliver_at.unwrap_or(message.created_at),
            message,
        }
    }

    pub(in crate::messages) fn stored(stored: StoredMessage) -> Self {
        let message = stored.message;
        let first = message.deliver_at.unwrap_or(message.created_at);
        Self {
            generation: stored.generation,
            tries: stored.try_count,
            at: stored.next_try_at.unwrap_or(first),
            message,
        }
    }

    pub(super) fn published(&self, fanout: Vec<GroupName>, now: Timestamp) -> MessageWrite {
        MessageWrite::Publish {
            id: self.message.id.clone(),
            generation: self.generation,
            fanout,
            now,
        }
    }

    pub(super) fn failed(&self, error: String, next: NextTry, now: Timestamp) -> MessageWrite {
        let message = &self.message;
        let next_try_at = match (next, &message.order_key) {
            (NextTry::InOrder, Some(_)) => message.deliver_at.unwrap_or(message.created_at),
            _ => self.at,
        };
        MessageWrite::Fail {
            id: message.id.clone(),
            generation: self.generation,
            error,
            next_try_at,
            now,
        }
    }
}

/// What is recorded about the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextTry {
    /// Its time.
    AtItsTime,
    /// For a message with an order key, its first time: the outbox is read by time after a
    /// restart, and a later one of its key must not overtake it.
    InOrder,
}

/// A lane has done with a message.
#[derive(Debug)]
pub(in crate::messages) struct Finished {
    pub(super) id: MessageId,
    /// To be tried again.
    pub(super) again: Option<Due>,
}

impl Finished {
    pub(super) fn done(due: &Due) -> Self {
        Self {
            id: due.message.id.clone(),
            again: None,
        }
    }

    pub(super) fn again(due: Due) -> Self {
        Self {
            id: due.message.id.clone(),
            again: Some(due),
        }
    }
}
