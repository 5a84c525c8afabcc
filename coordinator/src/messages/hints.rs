//! A queue of what the store has too: it never waits, and what does not fit is
//! dropped, with all that follows, until the other end has noticed and reads the
//! store instead. So its receiver sees everything in order, or knows that it did not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

/// Batches that may wait.
const QUEUE: usize = 4_096;

/// Batches taken at a time.
const AT_ONCE: usize = 256;

/// The end that offers. One task at a time may use it.
#[derive(Debug)]
pub(super) struct Hints<T> {
    sender: mpsc::Sender<T>,
    lost: Arc<AtomicBool>,
}

/// The end that takes.
#[derive(Debug)]
pub(super) struct Hinted<T> {
    receiver: mpsc::Receiver<T>,
    lost: Arc<AtomicBool>,
}

pub(super) fn hints<T>() -> (Hints<T>, Hinted<T>) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let lost = Arc::new(AtomicBool::new(false));
    let hints = Hints {
        sender,
        lost: lost.clone(),
    };
    (hints, Hinted { receiver, lost })
}

impl<T> Hints<T> {
    pub(super) fn offer(&self, what: T) {
        if self.lost.load(Ordering::SeqCst) {
            return;
        }
        if let Err(mpsc::error::TrySendError::Full(_)) = self.sender.try_send(what) {
            self.lost.store(true, Ordering::SeqCst);
        }
    }
}

impl<T> Clone for Hints<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            lost: self.lost.clone(),
        }
    }
}

impl<T> Hinted<T> {
    /// The next ones, at least one; none when the other end is gone. Dropping it loses nothing.
    pub(super) async fn next(&mut self) -> Vec<T> {
        let mut batch = Vec::new();
        self.receiver.recv_many(&mut batch, AT_ONCE).await;
        batch
    }

    /// One that is here already.
    pub(super) fn try_next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }

    /// Whether some were dropped. Then those that are here are dropped too, and
    /// from now on the queue is whole again: read the store after this.
    pub(super) fn take_lost(&mut self) -> bool {
        if !self.lost.load(Ordering::SeqCst) {
            return false;
        }
        while self.receiver.try_recv().is_ok() {}
        self.lost.store(false, Ordering::SeqCst);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn after_a_loss_nothing_comes_until_it_was_noticed() {
        let (offers, mut taken) = hints();
        for n in 0..=QUEUE {
            offers.offer(n);
        }
        assert_eq!(taken.try_next(), Some(0));
        offers.offer(QUEUE + 1);
        assert!(taken.take_lost());
        assert!(!taken.take_lost());
        offers.offer(QUEUE + 2);
        assert_eq!(taken.next().await, [QUEUE + 2]);
    }
}
