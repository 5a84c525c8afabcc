//! Looking at halves.

use amends_core::message::half::{HalfId, HalfState};

use super::Halves;
use super::types::HalfView;
use crate::messages::MessagesError;
use crate::store::messages::{Bodies, HalfFilter, ProducerBacklog, StoredMessage};

impl Halves {
    /// One half.
    ///
    /// # Errors
    /// [`MessagesError::NoHalf`], the store's.
    pub async fn get(&self, id: &HalfId) -> Result<HalfView, MessagesError> {
        let found = self.of_half(id, Bodies::LeftOut).await?;
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

    /// What waits for producer groups, and those that wait to be asked over a stream, by name.
    ///
    /// # Errors
    /// The store's.
    pub async fn backlogs(&self) -> Result<Vec<ProducerBacklog>, MessagesError> {
        let mut backlogs = self.messages.inner.store.producer_backlogs().await?;
        let mut idle = self.shared.members.groups();
        for waited_for in &backlogs {
            idle.remove(&waited_for.producer);
        }
        backlogs.extend(idle.into_iter().map(|producer| ProducerBacklog {
            producer,
            prepared: 0,
            stuck: 0,
            oldest: None,
        }));
        backlogs.sort_by(|a, b| a.producer.cmp(&b.producer));
        Ok(backlogs)
    }

    /// Why a half waits or is stuck, for people; empty where there is nothing to say.
    #[must_use]
    pub fn note(&self, view: &HalfView) -> String {
        let half = &view.half;
        let last = half.log.checks().last();
        let last = last
            .map(|check| check.error.as_str())
            .filter(|text| !text.is_empty());
        match view.state() {
            HalfState::Stuck => format!(
                "{} checks brought no verdict; check it again, or decide by hand",
                half.checks
            ),
            HalfState::Prepared => {
                let now = self.messages.inner.clock.now();
                let is_due = half.check_at.is_some_and(|at| at <= now);
                if is_due && self.instances(&half.producer).is_empty() {
                    let producer = &half.producer;
                    return format!(
                        "producer group {producer} has no live instance; it is asked when one comes"
                    );
                }
                last.unwrap_or_default().to_owned()
            }
            HalfState::Committed | HalfState::RolledBack => String::new(),
        }
    }

    /// The messages of a half, in order.
    pub(super) async fn of_half(
        &self,
        id: &HalfId,
        bodies: Bodies,
    ) -> Result<Vec<StoredMessage>, MessagesError> {
        let ids = std::slice::from_ref(id);
        Ok(self.messages.inner.store.halves(ids, bodies).await?)
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
