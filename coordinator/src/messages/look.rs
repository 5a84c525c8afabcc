//! Looking at messages, and acting on those that are not published yet.

use std::collections::HashMap;

use amends_core::message::{DeliveryState, GroupName, MessageId, MessageState, Topic};

use super::error::MessagesError;
use super::handle::Messages;
use super::options::MAX_ITEMS;
use super::relay::{Due, OutboxCommand};
use super::types::{ItemOutcome, ItemResult, MessageView};
use crate::store::messages::{
    DeliveryFilter, MessageFilter, MessageWrite, StoredDelivery, StoredMessage, Written,
};

/// Writes of one job, and ids of one look-up.
const BATCH: usize = 100;
/// Most groups shown for one message.
const MAX_GROUPS: u32 = 1_000;

impl Messages {
    /// One message with its deliveries.
    ///
    /// # Errors
    /// [`MessagesError::NotFound`], the store's.
    pub async fn get(&self, id: &MessageId) -> Result<MessageView, MessagesError> {
        let found = self.inner.store.messages(std::slice::from_ref(id)).await?;
        let stored = found
            .into_iter()
            .next()
            .ok_or_else(|| MessagesError::NotFound(id.to_string()))?;
        let filter = DeliveryFilter {
            id: Some(id.clone()),
            limit: MAX_GROUPS,
            ..DeliveryFilter::default()
        };
        let deliveries = self.lookup(&filter).await?;
        Ok(MessageView { stored, deliveries })
    }

    /// One page of messages, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, filter: &MessageFilter) -> Result<Vec<StoredMessage>, MessagesError> {
        Ok(self.inner.store.list_messages(filter).await?)
    }

    /// What became of messages in groups, by message and group; those that a consumer of this
    /// coordinator has now are LEASED.
    ///
    /// # Errors
    /// The store's.
    pub async fn lookup(
        &self,
        filter: &DeliveryFilter,
    ) -> Result<Vec<StoredDelivery>, MessagesError> {
        let mut rows = self.inner.store.deliveries(filter).await?;
        let mut waiting: HashMap<(GroupName, Topic), Vec<MessageId>> = HashMap::new();
        let open = |row: &&StoredDelivery| {
            matches!(row.state, DeliveryState::Ready | DeliveryState::Retrying)
        };
        for row in rows.iter().filter(open) {
            let place = (row.group.clone(), row.topic.clone());
            waiting.entry(place).or_default().push(row.id.clone());
        }
        for ((group, topic), ids) in waiting {
            let leased = self.inner.dispatchers.leased(&group, &topic, ids).await;
            for row in rows.iter_mut().filter(|row| row.group == group) {
                if leased.contains(&row.id) {
                    row.state = DeliveryState::Leased;
                }
            }
        }
        Ok(rows)
    }

    /// Takes back messages that nothing was done for yet; one result for each.
    ///
    /// # Errors
    /// [`MessagesError::Invalid`], the store's.
    pub async fn cancel(
        &self,
        ids: &[MessageId],
        reason: &str,
    ) -> Result<Vec<ItemResult>, MessagesError> {
        let now = self.inner.clock.now();
        self.act(ids, |stored| {
            // What is to be published at once may be on its way already.
            let on_its_way = self.inner.is_external() && stored.message.deliver_at.is_none();
            (!on_its_way).then(|| MessageWrite::Cancel {
                id: stored.message.id.clone(),
                reason: reason.to_owned(),
                now,
            })
        })
        .await
    }

    /// Makes messages that wait for another attempt to publish try at once; one result for each.
    ///
    /// # Errors
    /// [`MessagesError::Invalid`], the store's.
    pub async fn retry_now(&self, ids: &[MessageId]) -> Result<Vec<ItemResult>, MessagesError> {
        let now = self.inner.clock.now();
        let retry = |stored: &StoredMessage| {
            Some(MessageWrite::RetryNow {
                id: stored.message.id.clone(),
                now,
            })
        };
        let results = self.act(ids, retry).await?;
        let done = ids.iter().zip(&results);
        let done = done.filter(|(_, it)| matches!(it.outcome, ItemOutcome::Done { .. }));
        let done: Vec<MessageId> = done.map(|(id, _)| id.clone()).collect();
        for some in done.chunks(BATCH) {
            let found = self.inner.store.messages(some).await?;
            let committed = |it: &StoredMessage| it.state == MessageState::Committed;
            let mut due: Vec<Due> = found
                .into_iter()
                .filter(committed)
                .map(Due::stored)
                .collect();
            due.iter_mut().for_each(|due| due.at = due.at.min(now));
            let _ = self.inner.outbox.send(OutboxCommand::Now(due)).await;
        }
        Ok(results)
    }

    /// Makes one change to each message; those that there are not, or that get none, are refused.
    async fn act(
        &self,
        ids: &[MessageId],
        change: impl Fn(&StoredMessage) -> Option<MessageWrite>,
    ) -> Result<Vec<ItemResult>, MessagesError> {
        if ids.is_empty() || ids.len() > MAX_ITEMS {
            return Err(MessagesError::Invalid(format!(
                "{} messages in one call, 1 to {MAX_ITEMS} are allowed",
                ids.len()
            )));
        }
        let mut results = Vec::with_capacity(ids.len());
        for some in ids.chunks(BATCH) {
            let found = self.inner.store.messages(some).await?;
            let of = |id: &MessageId| found.iter().find(|it| it.message.id == *id);
            let changes: Vec<_> = some.iter().map(|id| of(id).and_then(&change)).collect();
            let writes: Vec<MessageWrite> = changes.iter().flatten().cloned().collect();
            let mut written = self.inner.writer.write(writes).await?.into_iter();
            for (id, change) in some.iter().zip(changes) {
                let outcome = match (change, of(id)) {
                    (Some(_), _) => outcome(written.next()),
                    (None, Some(stored)) => refused(stored.state.as_str()),
                    (None, None) => ItemOutcome::Refused {
                        code: "MESSAGE_NOT_FOUND",
                        message: "there is no such message".to_owned(),
                    },
                };
                results.push(ItemResult {
                    id: id.to_string(),
                    outcome,
                });
            }
        }
        Ok(results)
    }
}

fn outcome(written: Option<Written>) -> ItemOutcome {
    match written {
        Some(Written::Done) => ItemOutcome::Done { new_id: None },
        Some(Written::Conflict { state: Some(state) }) => refused(&state),
        _ => refused("gone"),
    }
}

fn refused(state: &str) -> ItemOutcome {
    ItemOutcome::Refused {
        code: "MESSAGE_STATE",
        message: format!("it is {state}, and publishing has begun or ended"),
    }
}
