//! One single-threaded runtime for each core, each on a thread of its own.
//!
//! What belongs together runs on one of them: a client's connection, a shard,
//! the connections to participants that it calls. A wake-up on the same thread
//! is an entry in a list, one on another thread a system call and a switch.
//!
//! Guarantees: dropping [`Cores`] ends all that runs on them, at once. Not
//! here: what runs where, and work that computes for long, which would hold up
//! everything else on its core.

mod dealer;

use std::io;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

pub use dealer::{Dealt, deal};

/// The running cores.
#[derive(Debug)]
pub struct Cores {
    handles: Vec<Handle>,
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    /// Dropped, it ends the core.
    _stop: oneshot::Sender<()>,
    /// Fails when the core has ended.
    ended: oneshot::Receiver<()>,
}

impl Cores {
    /// Starts one for each core that this process may use.
    ///
    /// # Errors
    /// The system gives no more threads or descriptors.
    pub fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let mut cores = Self {
            handles: Vec::with_capacity(count),
            running: Vec::with_capacity(count),
        };
        for number in 0..count {
            cores.add(number)?;
        }
        Ok(cores)
    }

    fn add(&mut self, number: usize) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel::<()>();
        self.handles.push(runtime.handle().clone());
        self.running.push(Running { _stop: stop, ended });
        let run = move || {
            let _ = runtime.block_on(stopped);
            // A lookup of a name may still be under way on a helper thread.
            runtime.shutdown_background();
            drop(end);
        };
        thread::Builder::new()
            .name(format!("core-{number}"))
            .spawn(run)?;
        Ok(())
    }

    /// To spawn on them; at least one.
    #[must_use]
    pub fn handles(&self) -> &[Handle] {
        &self.handles
    }

    /// Ends all that runs on them, and returns when nothing does any more.
    pub async fn stop(self) {
        let ended: Vec<_> = self
            .running
            .into_iter()
            .map(|running| running.ended)
            .collect();
        for ended in ended {
            let _ = ended.await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn what_runs_on_them_ends_with_them() {
        let cores = Cores::start().unwrap();
        let held = Arc::new(());
        for core in cores.handles() {
            let held = Arc::clone(&held);
            core.spawn(async move {
                std::future::pending::<()>().await;
                drop(held);
            });
        }
        assert_eq!(Arc::strong_count(&held), 1 + cores.handles().len());
        cores.stop().await;
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test]
    async fn dropping_them_ends_them() {
        let cores = Cores::start().unwrap();
        let (alive, ended) = oneshot::channel::<()>();
        cores.handles()[0].spawn(async move {
            std::future::pending::<()>().await;
            drop(alive);
        });
        drop(cores);
        assert!(ended.await.is_err());
    }
}
