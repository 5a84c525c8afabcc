//! Takes up what coordinators before this one left unfinished.
//!
//! At start, as fast as memory allows; afterwards now and then, for rows of
//! other coordinators whose lease ran out.

use std::time::Duration;

use amends_core::id::Gid;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;

use crate::crash;
use crate::engine::{Engine, EngineError, Reading};
use crate::store::Stored;

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
    /// Taken over, but not in memory, because the store failed in between.
    left_over: Vec<Gid>,
}

impl Recovery {
    /// `recovered` turns true once nothing is left over.
    #[must_use]
    pub fn new(engine: Engine, recovered: watch::Sender<bool>) -> Self {
        Self {
            engine,
            recovered,
            taken: 0,
            left_over: Vec::new(),
        }
    }

    async fn adopt(&mut self) -> Result<Next, EngineError> {
        if self.engine.live_count() >= self.engine.options().max_live {
            return Ok(Next::After(WHILE_FULL));
        }
        let reading = self.engine.reading();
        if !self.left_over.is_empty() {
            let stored = self.engine.store().load(&self.left_over).await?;
            self.left_over.clear();
            self.load(stored, &reading).await?;
        }
        let due = self.engine.clock().now() + self.engine.options().evict_after;
        let (stored, taken) = self.engine.store().adopt(due, BATCH).await?;
        self.taken += taken;
        if taken > 0 {
            crash::point("adopted");
        }
        self.load(stored, &reading).await?;
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

    /// A log that cannot be replayed is parked and reported; what the store
    /// failed to bring is kept for the next tick.
    async fn load(&mut self, stored: Vec<Stored>, reading: &Reading) -> Result<(), EngineError> {
        let engine = &self.engine;
        let mut loads = stream::iter(stored)
            .map(|stored| async move {
                let gid = stored.gid.clone();
                (gid, engine.load(stored, reading).await)
            })
            .buffer_unordered(PARALLEL);
        let mut failed = Ok(());
        while let Some((gid, loaded)) = loads.next().await {
            match loaded {
                Ok(()) | Err(EngineError::Parked { .. }) => {}
                Err(error) => {
                    self.left_over.push(gid);
                    failed = Err(error);
                }
            }
        }
        failed
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
