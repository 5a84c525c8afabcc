//! Renews this coordinator's lease, and holds calls back while it is in doubt.
//!
//! The holder counts the lease from before it asked for it, on its own
//! monotonic clock: it stops making calls before the database lets others
//! adopt. Writes are fenced by the generation in any case.

use std::time::{Duration, Instant};

use amends_core::time::Millis;
use futures_util::future::BoxFuture;

use crate::clock::monotonic;
use crate::engine::{Engine, EngineError, Ownership};

use super::{Next, Worker};

/// How long a lease lasts by database time.
pub const LEASE: Millis = Millis(3_000);
/// How often it is renewed.
const RENEW_EVERY: Duration = Duration::from_millis(800);
/// The holder believes in it only this long.
const TRUST: Duration = Duration::from_millis(2_500);
/// Wait after a failed try.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// The worker.
pub struct Lease {
    engine: Engine,
    address: String,
    renewed_at: Instant,
}

impl Lease {
    /// `address` is where this coordinator is reached.
    #[must_use]
    pub fn new(engine: Engine, address: String) -> Self {
        Self {
            engine,
            address,
            renewed_at: monotonic(),
        }
    }

    async fn renew(&mut self) -> Result<Next, EngineError> {
        let asked_at = monotonic();
        let trusted = TRUST.saturating_sub(asked_at.duration_since(self.renewed_at));
        let renewed = tokio::time::timeout(
            trusted.max(TRY_AGAIN),
            self.engine.store().renew_lease(&self.address, LEASE),
        )
        .await;
        if matches!(renewed, Ok(Ok(()))) {
            self.renewed_at = asked_at;
            self.engine.allow_calls(Ownership::Certain);
            return Ok(Next::After(RENEW_EVERY));
        }
        if monotonic().duration_since(self.renewed_at) >= TRUST {
            tracing::warn!("the lease could not be renewed in time; making no calls until it is");
            self.engine.allow_calls(Ownership::InDoubt);
        }
        Ok(Next::After(TRY_AGAIN))
    }
}

impl Worker for Lease {
    fn name(&self) -> &'static str {
        "lease"
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Next, EngineError>> {
        Box::pin(self.renew())
    }
}
