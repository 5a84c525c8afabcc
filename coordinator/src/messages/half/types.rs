//! What callers say to [`Halves`](super::Halves) and hear from it.

use amends_core::message::half::{Half, HalfId, HalfState, Standing, Verdict};
use amends_core::message::{GroupName, MessageId};
use amends_core::time::{Millis, Timestamp};

use crate::messages::{Accepted, NewMessage};
use crate::store::messages::{StoredHalf, StoredMessage};

/// The messages of a local transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHalf {
    /// Its id; none: one is made up, and a repeated call prepares another one.
    pub id: Option<HalfId>,
    /// Whom to ask.
    pub producer: GroupName,
    /// They, 1 to [`MAX_PUBLISH`](crate::messages::MAX_PUBLISH). Delays count from the commit.
    pub messages: Vec<NewMessage>,
    /// When to ask first, after now; none: as configured.
    pub check_after: Option<Millis>,
}

/// They are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The half.
    pub id: HalfId,
    /// Its messages, in order.
    pub messages: Vec<Accepted>,
    /// Where it stands.
    pub state: HalfState,
}

/// Who decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// This producer group, which it has to belong to.
    Producer(GroupName),
    /// A person.
    Operator,
}

/// A verdict to be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecideHalf {
    /// The half.
    pub id: HalfId,
    /// Which way.
    pub verdict: Verdict,
    /// Who.
    pub who: Who,
    /// Why; kept. May be empty for a producer.
    pub reason: String,
}

/// A half with what is known of it.
#[derive(Debug, Clone)]
pub struct HalfView {
    /// Its first message that is still there.
    pub first: StoredMessage,
    /// What it says of the half.
    pub half: StoredHalf,
    /// Its messages, in order; of a list, only the first one.
    pub message_ids: Vec<MessageId>,
}

impl HalfView {
    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> HalfState {
        standing(&self.half).state()
    }

    /// When it was prepared.
    #[must_use]
    pub fn prepared_at(&self) -> Timestamp {
        self.first.message.created_at
    }
}

/// A stored half as the machine sees it.
pub(super) fn standing(stored: &StoredHalf) -> Half {
    let standing = match (&stored.decision, stored.check_at) {
        (Some(decision), _) => Standing::Decided {
            verdict: decision.verdict,
            by: decision.by,
        },
        (None, Some(check_at)) => Standing::Prepared { check_at },
        (None, None) => Standing::Stuck,
    };
    Half {
        standing,
        checks: stored.checks,
        log: stored.log.clone(),
    }
}
