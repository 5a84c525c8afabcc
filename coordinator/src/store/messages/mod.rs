//! What the coordinator asks of a store about messages.
//!
//! A store keeps each message once (`messages`), one row per message and
//! consumer group where the coordinator delivers it or had to note something
//! about it (`deliveries`), the subscriptions, and the dead letters.
//!
//! Guarantees that every implementation gives (one conformance suite checks them):
//! - one [`MessageStore::write`] is one database transaction; what it reported survives `kill -9`;
//! - every change compares what its writer believes (state, owner, generation); a write that
//!   comes too late changes nothing and says so; repeating a write reports what is there;
//! - positions of a group's deliveries grow in the order in which the writes were committed.
//!
//! Not here: when to publish, which group wants what, leases of consumers (they
//! live in memory, because they do not outlive the coordinator that gave them).

mod half;
mod plan;
mod postgres;
mod rows;
mod shared;
mod sqlite;
mod stored;
mod stores;
mod write;

use amends_core::message::half::HalfId;
use amends_core::message::{GroupName, MessageId, Topic};
use amends_core::time::Timestamp;

use super::StoreResult;

pub(super) use shared::Swept;

pub use stored::{
    Backlog, Bodies, ChecksDue, DeadLetter, DeadLetterFilter, DeadLetterId, DeadLetterState,
    Decision, DeliveryFilter, GroupOwnership, HalfFilter, MessageFilter, ProducerBacklog,
    StoredDelivery, StoredHalf, StoredMessage, StoredSubscription, Waiting, WaitingFilter,
};
pub use write::{Birth, HalfEnd, HalfMessage, MessageWrite, Outcome, Resolution, Written};

/// Most writes of one [`MessageStore::write`].
pub const MAX_MESSAGE_WRITES: usize = 512;

/// Where messages are kept. All methods may be dropped at any await point: a
/// write then took place or not, and repeating it is safe.
pub trait MessageStore: Send + Sync + 'static {
    /// Makes up to [`MAX_MESSAGE_WRITES`] changes in one database transaction,
    /// in order; one result per change. A change that finds something else
    /// than it needs changes nothing, and does not keep the others from happening.
    fn write<'a>(&'a self, batch: &'a [MessageWrite]) -> StoreResult<'a, Vec<Written>>;

    /// Messages by id; those that do not exist are left out.
    fn messages<'a>(&'a self, ids: &'a [MessageId]) -> StoreResult<'a, Vec<StoredMessage>>;

    /// One page of messages, by creation time and id, newest first; without their bodies.
    fn list_messages<'a>(
        &'a self,
        filter: &'a MessageFilter,
    ) -> StoreResult<'a, Vec<StoredMessage>>;

    /// Own COMMITTED messages whose time (`next_try_at`, else `deliver_at`, else
    /// creation) is not after `until`, by that time and id, after the given one.
    fn outbox<'a>(
        &'a self,
        until: Timestamp,
        after: Option<&'a (Timestamp, MessageId)>,
        limit: u32,
    ) -> StoreResult<'a, Vec<StoredMessage>>;

    /// The messages of halves, by half and place; those that do not exist are left out.
    fn halves<'a>(
        &'a self,
        ids: &'a [HalfId],
        bodies: Bodies,
    ) -> StoreResult<'a, Vec<StoredMessage>>;

    /// One page of halves: the first message of each, newest first; without bodies.
    fn list_halves<'a>(&'a self, filter: &'a HalfFilter) -> StoreResult<'a, Vec<StoredMessage>>;

    /// The first messages of halves whose check is due, without bodies.
    fn checks_due<'a>(&'a self, which: &'a ChecksDue) -> StoreResult<'a, Vec<StoredMessage>>;

    /// Producer groups that own PREPARED halves wait for, by name, with the time of
    /// the earliest check.
    fn awaited_producers(&self) -> StoreResult<'_, Vec<(GroupName, Timestamp)>>;

    /// What waits for producer groups, by name.
    fn producer_backlogs(&self) -> StoreResult<'_, Vec<ProducerBacklog>>;

    /// Takes over up to `limit` PREPARED or COMMITTED messages whose owner is
    /// gone, raising their generation. How many there were; zero: no others.
    fn adopt_messages(&self, limit: u32) -> StoreResult<'_, u64>;

    /// Waiting deliveries of a group and topic, at most `limit`.
    fn waiting<'a>(
        &'a self,
        group: &'a GroupName,
        topic: &'a Topic,
        filter: &'a WaitingFilter,
        limit: u32,
    ) -> StoreResult<'a, Vec<Waiting>>;

    /// Looks up deliveries, by message and group.
    fn deliveries<'a>(&'a self, filter: &'a DeliveryFilter)
    -> StoreResult<'a, Vec<StoredDelivery>>;

    /// Makes a subscription, or changes its settings. True when it is new.
    fn put_subscription<'a>(
        &'a self,
        subscription: &'a StoredSubscription,
    ) -> StoreResult<'a, bool>;

    /// Ends a subscription and removes what waits for it; traces of what happened
    /// go with their messages. False when there is none. Dropped halfway, it has
    /// ended, and what still waits holds no message back from removal.
    fn remove_subscription<'a>(
        &'a self,
        group: &'a GroupName,
        topic: &'a Topic,
    ) -> StoreResult<'a, bool>;

    /// All subscriptions, by group and topic.
    fn subscriptions(&self) -> StoreResult<'_, Vec<StoredSubscription>>;

    /// Takes over the delivery to a group, unless another live coordinator has it.
    /// Where there is no such subscription, there is nobody to be in the way of.
    fn own_group<'a>(
        &'a self,
        group: &'a GroupName,
        topic: &'a Topic,
    ) -> StoreResult<'a, GroupOwnership>;

    /// How much waits in a group.
    fn backlog<'a>(&'a self, group: &'a GroupName, topic: &'a Topic) -> StoreResult<'a, Backlog>;

    /// One page of dead letters, newest first; without their bodies.
    fn list_dead_letters<'a>(
        &'a self,
        filter: &'a DeadLetterFilter,
    ) -> StoreResult<'a, Vec<DeadLetter>>;

    /// Dead letters by id; those that do not exist are left out.
    fn dead_letters<'a>(&'a self, ids: &'a [DeadLetterId]) -> StoreResult<'a, Vec<DeadLetter>>;

    /// Removes up to `limit` messages that ended before `before` (PUBLISHED or
    /// ROLLED_BACK, no delivery waiting in a subscription that exists, no dead letter
    /// open), with their deliveries and dead letters. Fewer than `limit`: there are
    /// no others for now.
    fn remove_messages(&self, before: Timestamp, limit: u32) -> StoreResult<'_, u64>;
}
