//! Brings back transactions that left memory to wait for a timer, shortly before it is due.

use std::time::Duration;

use amends_core::time::Millis;
use futures_util::future::BoxFuture;

use crate::engine::{Engine, EngineError};

use super::{Next, Worker};

/// Transactions brought back at a time.
const BATCH: u32 = 500;
/// How long before its time a transaction comes back.
const AHEAD: Millis = Millis(1_500);
/// How often to look.
const INTERVAL: Duration = Duration::from_millis(1_000);
/// Wait while memory is full, and while there are more to bring back.
const WHILE_FULL: Duration = Duration::from_millis(100);

/// The worker.
pub struct Sleepers {
    engine: Engine,
}

impl Sleepers {
    /// Over an engine.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn wake(&self) -> Result<Next, EngineError> {
        if self.engine.live_count() >= self.engine.options().max_live {
            return Ok(Next::After(WHILE_FULL));
        }
        let reading = self.engine.reading();
        let until = self.engine.clock().now() + AHEAD;
        let due = self.engine.store().due(until, BATCH).await?;
        let mut failed = None;
        for stored in self.engine.store().load(&due).await? {
            match self.engine.load(stored, &reading).await {
                Ok(()) | Err(EngineError::Parked { .. }) => {}
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => Err(error),
            // Those that are back have lost their mark as soon as that is durable.
            None if due.len() >= BATCH as usize => Ok(Next::After(WHILE_FULL)),
            None => Ok(Next::After(INTERVAL)),
        }
    }
}

impl Worker for Sleepers {
    fn name(&self) -> &'static str {
        "sleepers"
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Next, EngineError>> {
        Box::pin(self.wake())
    }
}
