//! Messages, deliveries, subscriptions and dead letters as they are stored, and
//! which of them to read.

use amends_core::id::Generation;
use amends_core::message::half::{CheckLog, DecidedBy, HalfId, HalfState, Verdict};
use amends_core::message::{
    DeliveryState, GroupName, MessageId, MessageKey, MessageState, OrderKey, SharedMessage,
    Subscription, Tag, Topic,
};
use amends_core::time::{Millis, Timestamp};

use crate::store::Incarnation;

/// Id of a dead letter: a `UUIDv7` text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeadLetterId(pub String);

/// A message as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// The message.
    pub message: SharedMessage,
    /// Its state.
    pub state: MessageState,
    /// Who owns it.
    pub owner: Incarnation,
    /// How often it was taken over, plus one.
    pub generation: Generation,
    /// Attempts to publish it.
    pub try_count: u32,
    /// When the next attempt is due.
    pub next_try_at: Option<Timestamp>,
    /// Why the last one failed; or why it was taken back or is stuck.
    pub last_error: Option<String>,
    /// When the broker had it.
    pub published_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// For a half message.
    pub half: Option<Box<StoredHalf>>,
}

/// What is known of a half message and its local transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHalf {
    /// Its local transaction.
    pub id: HalfId,
    /// Its place there, from zero on.
    pub no: u32,
    /// Whom to ask.
    pub producer: GroupName,
    /// To be delivered so long after the commit.
    pub delay: Option<Millis>,
    /// When to ask next; of the first message only, as all about checks.
    pub check_at: Option<Timestamp>,
    /// Checks that count.
    pub checks: u32,
    /// The latest checks.
    pub log: CheckLog,
    /// What was decided.
    pub decision: Option<Decision>,
}

/// A verdict as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Which.
    pub verdict: Verdict,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: DecidedBy,
    /// Why, for people; may be empty.
    pub reason: String,
}

/// Whether messages are read with their bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bodies {
    /// They are.
    Read,
    /// They are not: bodies are empty.
    LeftOut,
}

/// Which halves to list, by the first message of each, newest first. Everything
/// that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HalfFilter {
    /// Only these states; empty means all.
    pub states: Vec<HalfState>,
    /// Only of this producer group.
    pub producer: Option<GroupName>,
    /// Only those after this one in the order of the list.
    pub after: Option<(Timestamp, MessageId)>,
    /// Most rows.
    pub limit: u32,
}

/// Which checks to read: those of own PREPARED halves of one group that are due, earliest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChecksDue {
    /// The group.
    pub producer: GroupName,
    /// Due until then.
    pub until: Timestamp,
    /// Only those after this one.
    pub after: Option<(Timestamp, MessageId)>,
    /// Most rows.
    pub limit: u32,
}

/// What waits for a producer group, own or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerBacklog {
    /// The group.
    pub producer: GroupName,
    /// Its PREPARED halves.
    pub prepared: u64,
    /// Its STUCK ones.
    pub stuck: u64,
    /// When the oldest PREPARED one was prepared.
    pub oldest: Option<Timestamp>,
}

/// A message in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDelivery {
    /// The group.
    pub group: GroupName,
    /// Its place in the group.
    pub position: i64,
    /// The message.
    pub id: MessageId,
    /// Its topic.
    pub topic: Topic,
    /// What became of it.
    pub state: DeliveryState,
    /// Attempts that have ended.
    pub attempts: u32,
    /// When it is due again.
    pub next_at: Option<Timestamp>,
    /// Why the first attempt failed.
    pub first_error: Option<String>,
    /// Why the last one failed.
    pub last_error: Option<String>,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A delivery that waits, with its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its place in the group.
    pub position: i64,
    /// Attempts that have ended.
    pub attempts: u32,
    /// When it is due; `None`: at once.
    pub next_at: Option<Timestamp>,
    /// The message.
    pub message: SharedMessage,
}

/// Which waiting deliveries of a group and topic to read, by position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitingFilter {
    /// READY ones after this position.
    Ready {
        /// The last position seen.
        after: i64,
    },
    /// RETRYING ones due until then, earliest first.
    Due {
        /// Until when.
        until: Timestamp,
    },
    /// READY and RETRYING ones of one order key after this position.
    OfKey {
        /// The key.
        key: OrderKey,
        /// The last position seen.
        after: i64,
    },
    /// RETRYING ones that have an order key, after this position: what blocks its key after a restart.
    Blocking {
        /// The last position seen.
        after: i64,
    },
}

/// Which messages to list, newest first. Everything that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// Only these states; empty means all.
    pub states: Vec<MessageState>,
    /// Only this topic.
    pub topic: Option<Topic>,
    /// Only this tag.
    pub tag: Option<Tag>,
    /// Only this key.
    pub key: Option<MessageKey>,
    /// Only those created at or after.
    pub created_from: Option<Timestamp>,
    /// Only those created before.
    pub created_before: Option<Timestamp>,
    /// Only COMMITTED ones whose time has not come.
    pub delayed_after: Option<Timestamp>,
    /// Only those after this one in the order of the list (keyset paging).
    pub after: Option<(Timestamp, MessageId)>,
    /// Most rows.
    pub limit: u32,
}

/// Which deliveries to look up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Only of this message.
    pub id: Option<MessageId>,
    /// Only of messages with this key.
    pub key: Option<MessageKey>,
    /// Only in this group (of a broadcasting group: in any of its copies).
    pub group: Option<GroupName>,
    /// Only those after this message and group.
    pub after: Option<(MessageId, GroupName)>,
    /// Most rows.
    pub limit: u32,
}

/// What became of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadLetterState {
    /// Nobody has dealt with it.
    Open,
    /// It was delivered again.
    Resent,
    /// It was given up.
    Discarded,
}

/// A dead letter as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id.
    pub id: DeadLetterId,
    /// The group.
    pub group: GroupName,
    /// The message as it was.
    pub message: SharedMessage,
    /// Attempts made.
    pub attempts: u32,
    /// Why the first one failed.
    pub first_error: String,
    /// Why the last one failed.
    pub last_error: String,
    /// When it became a dead letter.
    pub created_at: Timestamp,
    /// What became of it.
    pub state: DeadLetterState,
    /// When that was.
    pub resolved_at: Option<Timestamp>,
    /// Who did it.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What it was resent as.
    pub resent_as: Option<MessageId>,
}

/// Which dead letters to list, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// Only of this group (of a broadcasting group: of any of its copies).
    pub group: Option<GroupName>,
    /// Only of this topic.
    pub topic: Option<Topic>,
    /// Only with this key.
    pub key: Option<MessageKey>,
    /// Only in this state.
    pub state: Option<DeadLetterState>,
    /// Only those at or after.
    pub created_from: Option<Timestamp>,
    /// Only those before.
    pub created_before: Option<Timestamp>,
    /// Only those after this one in the order of the list.
    pub after: Option<(Timestamp, DeadLetterId)>,
    /// Most rows.
    pub limit: u32,
}

/// A subscription as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSubscription {
    /// The subscription; its group may be the copy of one instance.
    pub subscription: Subscription,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Whether this coordinator may deliver to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupOwnership {
    /// It may.
    Own,
    /// Another live one does, at this address.
    Other {
        /// Its address.
        address: String,
    },
}

/// How much waits in a group. Each is counted up to a bound, then the bound is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// READY.
    pub ready: u32,
    /// RETRYING.
    pub retrying: u32,
    /// Dead letters that are OPEN.
    pub dead: u32,
}
