//! Looking at halves.

use amends_core::message::half::HalfId;

use super::Halves;
use super::types::HalfView;
use crate::messages::MessagesError;
use crate::store::messages::{HalfFilter, ProducerBacklog, StoredMessage};

impl Halves {
    /// One half.
    ///
    /// # Errors
    /// [`MessagesError::NoHalf`], the store's.
    pub async fn get(&self, id: &HalfId) -> Result<HalfView, MessagesError> {
        let found = self.of_half(id).await?;
        view(found).ok_or_else(|| MessagesError::NoHalf(id.to_string()))
    }

    /// One page of halves, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, filter: &HalfFilter) -> Result<Vec<HalfView>, MessagesError> {
        let found = self.messages.inner.store.list_halves(filter).await?;
        Ok(found.into_iter().filter_map(|it| view(vec![it])).collect())
    }

    /// What waits for producer groups, by name.
    ///
    /// # Errors
    /// The store's.
    pub async fn backlogs(&self) -> Result<Vec<ProducerBacklog>, MessagesError> {
        Ok(self.messages.inner.store.producer_backlogs().await?)
    }

    /// The messages of a half, in order.
    pub(super) async fn of_half(&self, id: &HalfId) -> Result<Vec<StoredMessage>, MessagesError> {
        let ids = std::slice::from_ref(id);
        Ok(self.messages.inner.store.halves(ids).await?)
    }
}

/// A half from its messages, in order.
pub(super) fn view(messages: Vec<StoredMessage>) -> Option<HalfView> {
    let ids = messages.iter().map(|it| it.message.id.clone());
    let message_ids = ids.collect();
    let first = messages.into_iter().next()?;
    let half = first.half.as_deref()?.clone();
    Some(HalfView {
        first,
        half,
        message_ids,
    })
}
