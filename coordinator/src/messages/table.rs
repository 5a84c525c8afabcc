//! All subscriptions in memory, by topic: which groups want a message.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use amends_core::message::{GroupName, Message, Subscription, Topic};

use crate::store::messages::StoredSubscription;

/// Subscriptions by topic.
type ByTopic = HashMap<Topic, Vec<StoredSubscription>>;

/// The table. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    inner: Arc<RwLock<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    by_topic: ByTopic,
    /// Grows with each change from here, so that an older reading does not undo it.
    changes: u64,
}

impl Table {
    /// How often it was changed from here; to be asked before the store is read.
    pub(super) fn changes(&self) -> u64 {
        self.read(|inner| inner.changes)
    }

    /// Takes over what the store had when `changes` was asked, unless it was changed since.
    pub(super) fn refresh(&self, stored: Vec<StoredSubscription>, changes: u64) {
        let mut by_topic = ByTopic::new();
        for one in stored {
            let topic = one.subscription.topic.clone();
            by_topic.entry(topic).or_default().push(one);
        }
        self.write(|inner| {
            if inner.changes == changes {
                inner.by_topic = by_topic;
            }
        });
    }

    pub(super) fn put(&self, stored: StoredSubscription) {
        self.write(|inner| {
            inner.changes += 1;
            let topic = stored.subscription.topic.clone();
            let of_topic = inner.by_topic.entry(topic).or_default();
            of_topic.retain(|it| it.subscription.group != stored.subscription.group);
            of_topic.push(stored);
        });
    }

    pub(super) fn remove(&self, group: &GroupName, topic: &Topic) {
        self.write(|inner| {
            inner.changes += 1;
            if let Some(of_topic) = inner.by_topic.get_mut(topic) {
                of_topic.retain(|it| it.subscription.group != *group);
            }
        });
    }

    pub(super) fn get(&self, group: &GroupName, topic: &Topic) -> Option<StoredSubscription> {
        self.read(|inner| {
            let of_topic = inner.by_topic.get(topic)?;
            let mine = |it: &&StoredSubscription| it.subscription.group == *group;
            of_topic.iter().find(mine).cloned()
        })
    }

    /// Groups that want a message.
    pub(super) fn groups_for(&self, message: &Message) -> Vec<GroupName> {
        let wants = |it: &&StoredSubscription| it.subscription.filter.matches(message);
        self.read(|inner| match inner.by_topic.get(&message.topic) {
            Some(of_topic) => of_topic
                .iter()
                .filter(wants)
                .map(|it| it.subscription.group.clone())
                .collect(),
            None => Vec::new(),
        })
    }

    /// All, by group and topic.
    pub(super) fn all(&self) -> Vec<StoredSubscription> {
        let mut all: Vec<_> =
            self.read(|inner| inner.by_topic.values().flatten().cloned().collect());
        all.sort_by(|a, b| place(&a.subscription).cmp(&place(&b.subscription)));
        all
    }

    fn read<T>(&self, look: impl FnOnce(&Inner) -> T) -> T {
        look(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.inner.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The order of lists.
pub(super) fn place(subscription: &Subscription) -> (&GroupName, &Topic) {
    (&subscription.group, &subscription.topic)
}
