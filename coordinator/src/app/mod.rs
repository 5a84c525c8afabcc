//! Puts the house together: the only place that names concrete stores.
//!
//! Start: open the store, take up the lease, restore participants, start the
//! engine and its workers, listen. Stop: refuse new work, write everything,
//! give up the lease; bounded by `server.shutdown_grace`.
//! Not here: anything that happens to a transaction.

mod build;
mod error;
mod metrics;
mod running;
mod server;

use std::net::SocketAddr;

use amends_core::time::Timestamp;

use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::store::open::{DryRun, MigrationReport};

pub use error::ServeError;
pub use running::Coordinator;

/// Runs a coordinator until SIGINT or SIGTERM. `ready` is called with the
/// address once it takes calls. Blocks; builds its own runtime.
///
/// # Errors
/// Says what kept it from starting, or which part of it ended.
pub fn serve(config: Config, ready: impl FnOnce(SocketAddr)) -> Result<(), ServeError> {
    runtime()?.block_on(async {
        let mut stop = std::pin::pin!(running::stop_signal()?);
        let coordinator = tokio::select! {
            started = Coordinator::start(config) => started?,
            // A database that keeps us waiting must not keep anybody from stopping us.
            () = &mut stop => return Ok(()),
        };
        ready(coordinator.address());
        coordinator.run_until(stop).await
    })
}

/// Tells about the migrations of the configured store, or applies them. Blocks.
///
/// # Errors
/// The store's.
pub fn migrate(config: &Config, dry_run: DryRun) -> Result<MigrationReport, ServeError> {
    let options = build::store_options(config);
    Ok(runtime()?.block_on(crate::store::open::migrate(&options, dry_run))?)
}

fn runtime() -> Result<tokio::runtime::Runtime, ServeError> {
    // What sagas need runs on the cores; this thread is for the rest.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)
}

fn now() -> Timestamp {
    SystemClock.now()
}
