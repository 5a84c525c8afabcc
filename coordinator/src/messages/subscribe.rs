//! Subscriptions: making, changing and ending them, and joining a group.

use std::sync::Arc;

use amends_core::message::{GroupName, MessageState, Mode, Subscription, Topic};
use tokio::sync::MutexGuard;

use super::consumer::{ConsumerHandle, Deliveries, End};
use super::error::MessagesError;
use super::handle::{Inner, Messages};
use super::options::MAX_CREDIT;
use super::relay::{Due, OutboxCommand};
use super::table::place;
use super::types::{Join, SubscriptionFilter, SubscriptionView};
use crate::store::StoreError;
use crate::store::messages::{GroupOwnership, MessageFilter, StoredSubscription};

/// What stands between a broadcasting group and the instance that a copy of it is for.
const COPY: char = '@';
/// Messages looked through at a time for a new subscription.
const PAGE: u32 = 500;

impl Messages {
    /// Makes a subscription, or changes its settings. True when it is new. Messages that nobody
    /// wanted so far are tried again.
    ///
    /// # Errors
    /// [`MessagesError::Invalid`] for a broadcasting group without an instance; the store's and
    /// the broker's. After a broker's it exists; repeating it tells the broker again.
    pub async fn subscribe(&self, subscription: Subscription) -> Result<bool, MessagesError> {
        let copy = subscription.group.as_str().contains(COPY);
        match subscription.mode {
            Mode::Broadcasting if !copy => Err(MessagesError::Invalid(
                "a broadcasting group has a subscription for each instance, made when it comes: group@instance".to_owned(),
            )),
            Mode::Clustering if copy => Err(MessagesError::Invalid(format!(
                "{COPY:?} is for the copies of broadcasting groups"
            ))),
            _ => self.put(subscription).await,
        }
    }

    /// Ends a subscription; what it has not handled is gone with it.
    ///
    /// # Errors
    /// [`MessagesError::NoSubscription`]; the store's and the broker's.
    pub async fn unsubscribe(
        &self,
        group: &GroupName,
        topic: &Topic,
        reason: &str,
    ) -> Result<(), MessagesError> {
        let inner = &self.inner;
        let _changing = inner.changing.lock().await;
        inner.table.remove(group, topic);
        let why = End::Unsubscribed;
        inner.dispatchers.end(group, topic, why).await;
        // What was accepted for the group until now is written, and so removed with the rest.
        inner.writer.write(Vec::new()).await?;
        if let Some(broker) = &inner.broker {
            broker.remove(group, topic).await?;
        }
        if !inner.store.remove_subscription(group, topic).await? {
            return Err(MessagesError::NoSubscription {
                group: group.to_string(),
                topic: topic.to_string(),
            });
        }
        tracing::info!(%group, %topic, reason, "a subscription was ended");
        Ok(())
    }

    /// Subscriptions by group and topic.
    ///
    /// # Errors
    /// The store's.
    pub async fn subscriptions(
        &self,
        filter: &SubscriptionFilter,
    ) -> Result<Vec<SubscriptionView>, MessagesError> {
        let wanted = |stored: &StoredSubscription| {
            let (group, topic) = place(&stored.subscription);
            let after = filter.after.as_ref();
            filter.group.as_ref().is_none_or(|it| is_of(group, it))
                && filter.topic.as_ref().is_none_or(|it| it == topic)
                && after.is_none_or(|(g, t)| (group, topic) > (g, t))
        };
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let all = self.inner.table.all().into_iter();
        let all: Vec<_> = all.filter(wanted).take(limit).collect();
        let depths = self.depths(&all).await;
        let mut views = Vec::with_capacity(all.len());
        for (stored, depth) in all.into_iter().zip(depths) {
            let (group, topic) = place(&stored.subscription);
            let live = self.inner.dispatchers.live(group, topic);
            let backlog = self.inner.store.backlog(group, topic).await?;
            views.push(SubscriptionView {
                consumers: live.consumers,
                leased: live.leased,
                at_broker: depth.map(|depth| u64::from(depth) + u64::from(live.held)),
                backlog,
                stored,
            });
        }
        Ok(views)
    }

    /// What waits at an external broker, as far as that can be asked.
    async fn depths(&self, all: &[StoredSubscription]) -> Vec<Option<u32>> {
        let unknown = || vec![None; all.len()];
        let Some(broker) = &self.inner.broker else {
            return unknown();
        };
        let keys = all.iter().map(|stored| place(&stored.subscription));
        let keys: Vec<_> = keys
            .map(|(group, topic)| (group.clone(), topic.clone()))
            .collect();
        match broker.depths(&keys).await {
            Ok(depths) => depths,
            Err(error) => {
                tracing::debug!(%error, "the broker does not say what waits there");
                unknown()
            }
        }
    }

    /// Joins a group; makes its subscription, or changes it, first.
    ///
    /// # Errors
    /// [`MessagesError::Invalid`], [`MessagesError::NotGroupOwner`],
    /// [`MessagesError::Overloaded`], the store's and the broker's.
    pub async fn consume(&self, join: Join) -> Result<(ConsumerHandle, Deliveries), MessagesError> {
        let Join {
            mut subscription,
            instance_id,
            credit,
        } = join;
        if !(1..=MAX_CREDIT).contains(&credit) {
            return Err(MessagesError::Invalid(format!(
                "credit {credit}: 1 to {MAX_CREDIT} are allowed"
            )));
        }
        if subscription.group.as_str().contains(COPY) {
            return Err(MessagesError::Invalid(format!(
                "a group's name has no {COPY:?}"
            )));
        }
        if subscription.mode == Mode::Broadcasting {
            let copy = format!("{}{COPY}{instance_id}", subscription.group);
            subscription.group = GroupName::new(&copy)
                .map_err(|error| MessagesError::Invalid(format!("instance_id: {error}")))?;
        }
        let (group, topic) = place(&subscription);
        let known = self.inner.table.get(group, topic);
        let is_same = known.is_some_and(|stored| stored.subscription == subscription);
        if !is_same {
            self.put(subscription.clone()).await?;
        }
        let (group, topic) = place(&subscription);
        match self.inner.store.own_group(group, topic).await? {
            GroupOwnership::Own => self.inner.dispatchers.join(&subscription, credit),
            GroupOwnership::Other { address } => Err(MessagesError::NotGroupOwner { address }),
        }
    }

    async fn put(&self, subscription: Subscription) -> Result<bool, MessagesError> {
        let inner = &self.inner;
        let changing = inner.changing.lock().await;
        let stored = StoredSubscription {
            subscription,
            created_at: inner.clock.now(),
        };
        // First of all: whoever finds it in the store or in the table relies on its queue. A
        // broker that cannot be reached makes it before it takes messages again.
        let declared = match &inner.broker {
            Some(broker) => broker.declare(&stored.subscription).await,
            None => Ok(()),
        };
        let created = inner.store.put_subscription(&stored).await?;
        let (group, topic) = place(&stored.subscription);
        let before = inner.table.get(group, topic);
        let topic = topic.clone();
        inner.table.put(StoredSubscription {
            created_at: before.map_or(stored.created_at, |it| it.created_at),
            ..stored.clone()
        });
        declared?;
        self.try_unroutable_again(topic, changing);
        Ok(created)
    }

    /// In the background: messages of a topic that nobody wanted so far.
    fn try_unroutable_again(&self, topic: Topic, _changed: MutexGuard<'_, ()>) {
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            let mut filter = MessageFilter {
                states: vec![MessageState::Committed],
                topic: Some(topic),
                limit: PAGE,
                ..MessageFilter::default()
            };
            while let Some(inner) = inner.upgrade() {
                match again(&inner, &mut filter).await {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => {
                        // They come by themselves when their wait is over.
                        tracing::warn!(%error, "cannot look for messages that wait for a subscription");
                        return;
                    }
                }
            }
        });
    }
}

/// One page of messages that failed before; false after the last one.
async fn again(inner: &Inner, filter: &mut MessageFilter) -> Result<bool, StoreError> {
    let page = inner.store.list_messages(filter).await?;
    let failed = page.iter().filter(|stored| stored.next_try_at.is_some());
    let ids: Vec<_> = failed.map(|stored| stored.message.id.clone()).collect();
    if !ids.is_empty() {
        // Lists may leave bodies out.
        let found = inner.store.messages(&ids).await?;
        let mut due: Vec<Due> = found
            .into_iter()
            .filter(|stored| stored.state == MessageState::Committed)
            .map(Due::stored)
            .collect();
        let now = inner.clock.now();
        due.iter_mut().for_each(|due| due.at = due.at.min(now));
        let _ = inner.outbox.send(OutboxCommand::Now(due)).await;
    }
    let last = page.last();
    filter.after = last.map(|it| (it.message.created_at, it.message.id.clone()));
    Ok(page.len() >= PAGE as usize)
}

/// Whether a group is this one, or the copy of this broadcasting group for an instance.
fn is_of(group: &GroupName, of: &GroupName) -> bool {
    let rest = group.as_str().strip_prefix(of.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(COPY))
}
