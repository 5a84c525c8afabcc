//! Changes of messages, deliveries and dead letters, and what became of them.

use amends_core::id::Generation;
use amends_core::message::half::{CheckLog, DecidedBy, HalfId, Verdict};
use amends_core::message::{GroupName, MessageId, SharedMessage};
use amends_core::time::{Millis, Timestamp};

use super::{DeadLetterId, StoredMessage};

/// One change. Those of one call happen all or none, except that each reports
/// for itself whether it found what it believed; see [`MessageStore::write`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageWrite {
    /// Records a message, if its id is free. Own from then on, in the first generation.
    Accept {
        /// The message.
        message: SharedMessage,
        /// Its first state.
        birth: Birth,
    },
    /// Notes that publishing begins: from here on it cannot be taken back. Counts
    /// one try (repeated after a lost answer, two).
    Claim {
        /// The message; own, COMMITTED and of this generation.
        id: MessageId,
        /// Compared.
        generation: Generation,
        /// When.
        now: Timestamp,
    },
    /// It is published: the broker has it, or these groups have their rows.
    Publish {
        /// The message; own, COMMITTED and of this generation.
        id: MessageId,
        /// Compared.
        generation: Generation,
        /// Groups that get a READY row (embedded broker).
        fanout: Vec<GroupName>,
        /// When.
        now: Timestamp,
    },
    /// An attempt to publish failed. Counts one try (repeated after a lost answer, two).
    Fail {
        /// The message; own, COMMITTED and of this generation.
        id: MessageId,
        /// Compared.
        generation: Generation,
        /// Why, for people.
        error: String,
        /// When to try again.
        next_try_at: Timestamp,
        /// When.
        now: Timestamp,
    },
    /// Takes back a COMMITTED message that no try was made for.
    Cancel {
        /// The message.
        id: MessageId,
        /// Why; kept as its last error.
        reason: String,
        /// When.
        now: Timestamp,
    },
    /// Makes a COMMITTED message that waits for another attempt due at once.
    RetryNow {
        /// The message.
        id: MessageId,
        /// When.
        now: Timestamp,
    },
    /// Records half messages, all or none, if their half id and their ids are free.
    Prepare {
        /// Their local transaction.
        half: HalfId,
        /// Whom to ask.
        producer: GroupName,
        /// When to ask first.
        check_at: Timestamp,
        /// They, in order; at least one.
        messages: Vec<HalfMessage>,
    },
    /// Decides a half that waits for its verdict: all its messages, in this write.
    /// They are own from then on, and of this generation: nobody could publish
    /// them before.
    Decide {
        /// The half.
        half: HalfId,
        /// Which way.
        verdict: Verdict,
        /// Its messages, all and in order, with what becomes of them.
        messages: Vec<(MessageId, HalfEnd)>,
        /// Who.
        by: DecidedBy,
        /// Why, for people; may be empty.
        reason: String,
        /// Checks up to here, where the verdict came with one.
        checks: Option<(u32, CheckLog)>,
        /// One that this incarnation gives no other verdict: by it a repeated write
        /// knows its own earlier try from another verdict of the same moment.
        generation: Generation,
        /// When.
        now: Timestamp,
    },
    /// Notes what a check-back brought that was no verdict.
    Checked {
        /// The half; PREPARED, its first message own and of this generation.
        half: HalfId,
        /// Compared.
        generation: Generation,
        /// Checks that count.
        checks: u32,
        /// The latest checks.
        log: CheckLog,
        /// When to ask again; none: it is STUCK.
        next_check_at: Option<Timestamp>,
        /// When.
        now: Timestamp,
    },
    /// Makes a check of a half that waits for its verdict due: a STUCK one is
    /// PREPARED again. Takes it over.
    AskNow {
        /// The half.
        half: HalfId,
        /// When.
        now: Timestamp,
    },
    /// Notes what became of a message in a group. Changes a READY or RETRYING row
    /// that knows of no more attempts than this, or makes one.
    Settle {
        /// The group.
        group: GroupName,
        /// The message. Recorded as PUBLISHED when the store does not have it
        /// (it came from elsewhere), and so is its row in the group.
        message: SharedMessage,
        /// Attempts that have ended.
        attempts: u32,
        /// What became of it.
        outcome: Outcome,
        /// When.
        now: Timestamp,
    },
    /// Ends an OPEN dead letter: compares its state, so that of two who try at once one wins.
    Resolve {
        /// The dead letter.
        id: DeadLetterId,
        /// How.
        resolution: Resolution,
        /// Who; kept.
        actor: String,
        /// Why; kept.
        reason: String,
        /// When.
        now: Timestamp,
    },
}

impl MessageWrite {
    /// How many messages it is about; counts for [`MAX_MESSAGE_WRITES`](super::MAX_MESSAGE_WRITES).
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Prepare { messages, .. } => messages.len(),
            Self::Decide { messages, .. } => messages.len(),
            _ => 1,
        }
    }
}

/// How a message begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Birth {
    /// To be published: at once, or at the message's time.
    Committed,
    /// Published in the same moment: these groups get READY rows.
    Published {
        /// The groups.
        fanout: Vec<GroupName>,
    },
}

/// A message that waits for the verdict on its local transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HalfMessage {
    /// The message.
    pub message: SharedMessage,
    /// To be delivered so long after the commit.
    pub delay: Option<Millis>,
}

/// What a verdict makes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HalfEnd {
    /// ROLLED_BACK.
    RolledBack,
    /// COMMITTED, to be delivered from then on.
    Committed(Timestamp),
    /// PUBLISHED: these groups get a READY row at once.
    Published(Vec<GroupName>),
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Handled; counts even if more attempts are known.
    Done,
    /// To be delivered again.
    Retry {
        /// When.
        at: Timestamp,
        /// Why.
        error: String,
    },
    /// A dead letter. The row becomes DEAD, and a dead letter is made of the message.
    Dead {
        /// Id of the dead letter.
        id: DeadLetterId,
        /// Why.
        error: String,
    },
    /// A message that has to wait behind others of its key, or for room: READY
    /// in the store. One that waits there already stays as it is.
    Keep,
}

/// How a dead letter ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// Delivered to its group again: as it was (its row becomes READY with no
    /// attempts, or RETRYING until `at`; at a new place, behind those that are there), or as another message that goes to this group only.
    Resend {
        /// The edited message, with an id of its own.
        edited: Option<SharedMessage>,
        /// Not before.
        at: Option<Timestamp>,
    },
    /// Given up.
    Discard,
}

/// What became of one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is durable: now, or since an earlier try of the same write. What is
    /// known by: the same outcome at the same time; for [`MessageWrite::Settle`], the
    /// same outcome.
    Done,
    /// Nothing was changed: [`MessageWrite::Accept`] found a message of this id,
    /// the same one or another.
    Exists(Box<StoredMessage>),
    /// Nothing was changed: [`MessageWrite::Prepare`] found this half, the same one or another.
    HalfExists(Vec<StoredMessage>),
    /// Nothing was changed: [`MessageWrite::Decide`], [`MessageWrite::Checked`] or
    /// [`MessageWrite::AskNow`] found that this was decided.
    Decided(Verdict),
    /// Nothing was changed: the message, the delivery, the half or the dead letter is in
    /// another state than the write needs, has another owner or another generation.
    Conflict {
        /// The state it is in; `None`: there is no such thing.
        state: Option<String>,
    },
}
