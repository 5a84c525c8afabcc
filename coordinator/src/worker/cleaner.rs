//! Removes what has been over for long, in small batches.

use std::time::Duration;

use amends_core::time::{Millis, Timestamp};
use futures_util::future::BoxFuture;

use crate::engine::{Engine, EngineError};
use crate::store::DEFINITION_KEPT_FOR;

use super::{Next, Worker};

/// What is kept and how it is removed.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// How long finished transactions stay.
    pub finished: Millis,
    /// Rows removed in one database transaction.
    pub batch: u32,
    /// How often to look.
    pub interval: Duration,
}

/// The worker.
pub struct Cleaner {
    engine: Engine,
    retention: Retention,
}

impl Cleaner {
    /// Over an engine's store.
    #[must_use]
    pub fn new(engine: Engine, retention: Retention) -> Self {
        Self { engine, retention }
    }

    async fn clean(&self) -> Result<Next, EngineError> {
        let Retention {
            finished,
            batch,
            interval,
        } = self.retention;
        let now = self.engine.clock().now();
        let removed = self
            .engine
            .store()
            .remove_finished(before(now, finished), batch)
            .await?;
        if removed >= u64::from(batch) {
            return Ok(Next::AtOnce);
        }
        // They stay longer than transactions; the engine keeps those in use anew.
        self.engine
            .store()
            .remove_definitions(before(now, finished + DEFINITION_KEPT_FOR), batch)
            .await?;
        Ok(Next::After(interval))
    }
}

impl Worker for Cleaner {
    fn name(&self) -> &'static str {
        "cleaner"
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Next, EngineError>> {
        Box::pin(self.clean())
    }
}

pub(super) fn before(now: Timestamp, span: Millis) -> Timestamp {
    Timestamp(
        now.0
            .saturating_sub(i64::try_from(span.0).unwrap_or(i64::MAX)),
    )
}
