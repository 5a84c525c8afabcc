//! What callers say to [`Messages`](super::Messages) and hear from it.

use amends_core::message::{
    GroupName, Headers, MessageId, MessageKey, OrderKey, SharedMessage, Tag, Topic,
};
use amends_core::payload::Payload;
use amends_core::time::{Millis, Timestamp};

use crate::broker::BrokerStatus;
use crate::store::messages::{
    Backlog, DeadLetterFilter, DeadLetterId, StoredDelivery, StoredMessage, StoredSubscription,
};

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Its id; none: one is made up, and a repeated call publishes another message.
    pub id: Option<MessageId>,
    /// Its topic.
    pub topic: Topic,
    /// Its kind within the topic.
    pub tag: Tag,
    /// What it is about.
    pub key: MessageKey,
    /// Messages of one topic with the same order key come one after the other.
    pub order_key: Option<OrderKey>,
    /// For filters and people.
    pub headers: Headers,
    /// Its body.
    pub payload: Payload,
    /// When it is to be delivered.
    pub deliver: Deliver,
}

/// When a message is to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deliver {
    /// As soon as it is durable.
    AtOnce,
    /// Not before this time.
    At(Timestamp),
    /// Not before so long after it was accepted.
    After(Millis),
}

/// A message is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub id: MessageId,
    /// False when it was published before.
    pub created: bool,
}

/// A message with what became of it in each group.
#[derive(Debug, Clone)]
pub struct MessageView {
    /// The message as stored.
    pub stored: StoredMessage,
    /// Its deliveries; those that a consumer has now are LEASED.
    pub deliveries: Vec<StoredDelivery>,
}

/// What became of one item of a call about many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemResult {
    /// The item.
    pub id: String,
    /// What became of it.
    pub outcome: ItemOutcome,
}

/// What became of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemOutcome {
    /// It was done.
    Done {
        /// The id of the message that it became, where it became another one.
        new_id: Option<MessageId>,
    },
    /// It was not done, and nothing was changed.
    Refused {
        /// Stable code.
        code: &'static str,
        /// Why, for people.
        message: String,
    },
}

/// A subscription as it stands.
#[derive(Debug, Clone)]
pub struct SubscriptionView {
    /// As stored.
    pub stored: StoredSubscription,
    /// Consumers connected to this coordinator now.
    pub consumers: u32,
    /// Messages that they have.
    pub leased: u32,
    /// What waits in the store.
    pub backlog: Backlog,
    /// Messages that an external broker has for the group and that are not handled; those that this
    /// coordinator was given are counted every now and then. `None`: there is no such broker, or it
    /// cannot be asked.
    pub at_broker: Option<u64>,
}

/// Dead letters to act on.
#[derive(Debug, Clone)]
pub enum DeadSelection {
    /// These.
    Ids(Vec<DeadLetterId>),
    /// All that match, at most the filter's `limit`.
    Filter(DeadLetterFilter),
}

/// Dead letters to deliver again.
#[derive(Debug, Clone)]
pub struct Resend {
    /// Which.
    pub selection: DeadSelection,
    /// What to deliver instead; for exactly one id.
    pub edited: Option<Edit>,
    /// Deliveries per second; zero: all at once.
    pub per_second: u32,
    /// Who; kept.
    pub actor: String,
    /// Why; kept.
    pub reason: String,
}

/// What a dead letter is replaced by; topic, tag, key and order key stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The new headers.
    pub headers: Headers,
    /// The new body.
    pub payload: Payload,
}

/// How it stands with publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagesHealth {
    /// `embedded`, or what the broker is.
    pub broker: &'static str,
    /// How it stands with the broker; the embedded one is up while the store takes writes.
    pub status: BrokerStatus,
    /// Accepted messages in memory that the broker does not have yet.
    pub unpublished: usize,
    /// Whether more of them wait in the store.
    pub more_unpublished: bool,
}

/// A consumer that wants to join.
#[derive(Debug, Clone)]
pub struct Join {
    /// What its group wants.
    pub subscription: amends_core::message::Subscription,
    /// Its name, the same after its restart; names the copy of a broadcasting group.
    pub instance_id: String,
    /// Deliveries it takes before it settles some: 1 to [`MAX_CREDIT`](super::MAX_CREDIT).
    pub credit: u32,
}

/// A message in the hands of a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// Names this delivery; unique for the consumer.
    pub token: u64,
    /// From 1 on.
    pub attempt: u32,
    /// The message.
    pub message: SharedMessage,
}

/// What a consumer says about a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The delivery.
    pub token: u64,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a delivery, as its consumer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Handled.
    Done,
    /// Not now.
    Again {
        /// After this time; none: as the retry schedule says.
        after: Option<Millis>,
        /// Why, for people.
        error: String,
    },
    /// Never.
    Dead {
        /// Why, for people.
        error: String,
    },
}

/// What was made of settlements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Those that count; durable where the verdict was not "done".
    pub counted: Vec<u64>,
    /// Those that came too late and changed nothing.
    pub stale: Vec<u64>,
}

/// Which subscriptions to list, by group and topic.
#[derive(Debug, Clone, Default)]
pub struct SubscriptionFilter {
    /// Only this group, with the copies of its instances.
    pub group: Option<GroupName>,
    /// Only this topic.
    pub topic: Option<Topic>,
    /// Only those after this one.
    pub after: Option<(GroupName, Topic)>,
    /// Most rows.
    pub limit: u32,
}
