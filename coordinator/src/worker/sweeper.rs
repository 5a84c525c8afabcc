//! Forgets participants that have been silent for long.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::engine::EngineError;
use crate::participant::Registry;
use crate::store::Store;

use super::{Next, Worker};

/// How often to look.
const INTERVAL: Duration = Duration::from_secs(30);

/// The worker.
pub struct Sweeper {
    registry: Arc<Registry>,
    store: Arc<dyn Store>,
}

impl Sweeper {
    /// Over a registry and the store that keeps registrations.
    #[must_use]
    pub fn new(registry: Arc<Registry>, store: Arc<dyn Store>) -> Self {
        Self { registry, store }
    }

    async fn sweep(&self) -> Result<Next, EngineError> {
        for gone in self.registry.sweep() {
            self.store
                .remove_participant(&gone.service, &gone.instance_id)
                .await?;
        }
        Ok(Next::After(INTERVAL))
    }
}

impl Worker for Sweeper {
    fn name(&self) -> &'static str {
        "sweeper"
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Next, EngineError>> {
        Box::pin(self.sweep())
    }
}
