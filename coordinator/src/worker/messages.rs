//! Takes up messages that coordinators before this one did not publish, and
//! removes those that have been over for long.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::engine::EngineError;
use crate::messages::Messages;

use super::cleaner::{Retention, before};
use super::{Next, Worker};

/// Messages taken over in one database transaction.
const BATCH: u32 = 500;
/// How often to look for abandoned messages once there are none.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Takes over what a coordinator that is gone had accepted.
pub struct Outbox {
    messages: Messages,
}

impl Outbox {
    /// Over the messages of this coordinator.
    #[must_use]
    pub fn new(messages: Messages) -> Self {
        Self { messages }
    }

    async fn adopt(&self) -> Result<Next, EngineError> {
        Ok(match self.messages.adopt(BATCH).await? {
            0 => Next::After(LOOK_AGAIN),
            _ => Next::AtOnce,
        })
    }
}

impl Worker for Outbox {
    fn name(&self) -> &'static str {
        "outbox"
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Next, EngineError>> {
        Box::pin(self.adopt())
    }
}

/// Removes messages, with what became of them, once nobody waits for them any more.
pub struct MessageCleaner {
    messages: Messages,
    retention: Retention,
}

impl MessageCleaner {
    /// Over the messages of this coordinator.
    #[must_use]
    pub fn new(messages: Messages, retention: Retention) -> Self {
        Self {
            messages,
            retention,
        }
    }

    async fn clean(&self) -> Result<Next, EngineError> {
        let Retention {
            finished,
            batch,
            interval,
        } = self.retention;
        let before = before(self.messages.clock().now(), finished);
        let removed = self.messages.remove(before, batch).await?;
        Ok(if removed >= u64::from(batch) {
            Next::AtOnce
        } else {
            Next::After(interval)
        })
    }
}

impl Worker for MessageCleaner {
    fn name(&self) -> &'static str {
        "message cleaner"
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Next, EngineError>> {
        Box::pin(self.clean())
    }
}
