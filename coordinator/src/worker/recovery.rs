//! Takes up what coordinators before this one left unfinished.
//!
//! At start, as fast as memory allows; afterwards now and then, for rows of
//! other coordinators whose lease ran out.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;

use crate::engine::{Engine, EngineError};

use super::{Next, Worker};

/// Transactions taken over in one database transaction.
const BATCH: u32 = 500;
/// Logs replayed at the same time.
const PARALLEL: usize = 32;
/// Wait while memory is full.
const WHILE_FULL: Duration = Duration::from_millis(100);
/// How often to look for abandoned transactions once there are none.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The worker.
pub struct Recovery {
    engine: Engine,
    recovered: watch::Sender<bool>,
    taken: usize,
}

impl Recovery {
    /// `recovered` turns true once nothing is left over.
    #[must_use]
    pub fn new(engine: Engine, recovered: watch::Sender<bool>) -> Self {
        Self {
            engine,
            recovered,
            taken: 0,
        }
    }

    async fn adopt(&mut self) -> Result<Next, EngineError> {
        if self.engine.live_count() >= self.engine.options().max_live {
            return Ok(Next::After(WHILE_FULL));
        }
        let due = self.engine.clock().now() + self.engine.options().evict_after;
        let (stored, taken) = self.engine.store().adopt(due, BATCH).await?;
        let loads = stream::iter(stored)
            .map(|stored| self.engine.load(stored))
            .buffer_unordered(PARALLEL);
        loads
            .for_each(|loaded| async {
                // A parked one was reported; what could not be read now is found again as asleep.
                if let Err(error) = loaded {
                    tracing::warn!(%error, "a transaction could not be taken up");
                }
            })
            .await;
        self.taken += taken;
        if taken > 0 {
            return Ok(Next::AtOnce);
        }
        if !*self.recovered.borrow() {
            tracing::info!(
                transactions = self.taken,
                "took up everything that was left unfinished"
            );
            self.recovered.send_replace(true);
        }
        Ok(Next::After(LOOK_AGAIN))
    }
}

impl Worker for Recovery {
    fn name(&self) -> &'static str {
        "recovery"
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Next, EngineError>> {
        Box::pin(self.adopt())
    }
}
