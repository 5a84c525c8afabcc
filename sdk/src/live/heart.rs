//! Heartbeats, from a task of their own. Code that keeps its thread busy is heard
//! too where the runtime has other threads.

use std::time::Duration;

use tokio::task::JoinHandle;

use super::api::{Api, is_over};

/// Heartbeats in a lease.
const BEATS_PER_LEASE: u32 = 3;

/// Beats until it is dropped, or nobody wants to hear it any more.
pub(super) struct Heart(JoinHandle<()>);

impl Heart {
    pub(super) fn start(api: Api, lease: Duration) -> Self {
        let pause = lease / BEATS_PER_LEASE;
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                match api.heartbeat(pause).await {
                    // The next step, or the end, tells the code.
                    Err(error) if is_over(&error) => return,
                    Err(error) => tracing::debug!(gid = api.gid, %error, "a heartbeat was lost"),
                    Ok(()) => {}
                }
            }
        }))
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.0.abort();
    }
}
