//! Work that comes by the clock: each worker is a `tick`, the loop is here, once.
//!
//! A tick does a bounded piece of work and says when it wants to come again.
//! A tick that fails is logged and repeated after a while; it never ends the
//! process. Dropping a worker at any await point loses nothing.

mod cleaner;
mod lease;
mod messages;
mod recovery;
mod sleepers;
mod sweeper;

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::engine::EngineError;

pub use cleaner::{Cleaner, Retention};
pub use lease::{LEASE, Lease};
pub use messages::{MessageCleaner, Outbox};
pub use recovery::Recovery;
pub use sleepers::Sleepers;
pub use sweeper::Sweeper;

/// Wait after a tick that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// When a worker wants to come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// There is more to do.
    AtOnce,
    /// After this time.
    After(Duration),
    /// Never: its work is done.
    Done,
}

/// Something done by the clock.
pub trait Worker: Send {
    /// For the log.
    fn name(&self) -> &'static str;
    /// Does a bounded piece of work.
    fn tick(&mut self) -> BoxFuture<'_, Result<Next, EngineError>>;
}

/// Ticks until the work is done or the token is cancelled.
pub async fn run(mut worker: impl Worker, stop: CancellationToken) {
    loop {
        let next = tokio::select! {
            () = stop.cancelled() => return,
            next = worker.tick() => next,
        };
        let wait = match next {
            Ok(Next::AtOnce) => continue,
            Ok(Next::After(wait)) => wait,
            Ok(Next::Done) => return,
            Err(error) => {
                tracing::warn!(worker = worker.name(), %error, "a worker failed; it goes on in a moment");
                AFTER_FAILURE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}
