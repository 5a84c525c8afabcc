//! Faults on order: what the next appends of a [`super::MemoryStore`] do wrong.
//!
//! A fault is used up by one append; without faults every append succeeds.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::store::StoreError;

/// What one append does wrong.
#[derive(Debug)]
pub enum Fault {
    /// Nothing is written; the store is not available.
    FailBefore,
    /// Everything is written, but the caller is told that the store is not available.
    FailAfterCommit,
    /// Nothing is written; the store needs a person.
    Unusable,
    /// Nothing happens until the other end of [`Fault::hang`] lets go; then it succeeds.
    Hang(Hanging),
}

/// The store's end of a hanging append.
#[derive(Debug)]
pub struct Hanging {
    reached: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
}

/// The test's end of a hanging append. Dropping it releases the append.
#[derive(Debug)]
pub struct Hold {
    reached: oneshot::Receiver<()>,
    release: oneshot::Sender<()>,
}

impl Fault {
    /// An append that hangs until it is released.
    #[must_use]
    pub fn hang() -> (Self, Hold) {
        let (reached, was_reached) = oneshot::channel();
        let (release, released) = oneshot::channel();
        let hold = Hold {
            reached: was_reached,
            release,
        };
        (Self::Hang(Hanging { reached, released }), hold)
    }
}

impl Hold {
    /// Waits until the append has begun. False when it never will, because the
    /// fault was cleared.
    pub async fn reached(&mut self) -> bool {
        (&mut self.reached).await.is_ok()
    }

    /// Lets the append go on.
    pub fn release(self) {
        // Nobody listens any more when the append was given up.
        let _ = self.release.send(());
    }
}

/// The faults that are still to come, shared by all incarnations over the same data.
#[derive(Debug, Default)]
pub struct Faults(Mutex<VecDeque<Fault>>);

impl Faults {
    /// Makes the next append without a fault so far go wrong.
    pub fn next_append(&self, fault: Fault) {
        self.queue().push_back(fault);
    }

    /// Makes the next `count` appends go wrong in the same way.
    pub fn next_appends(&self, count: usize, fault: fn() -> Fault) {
        self.queue().extend((0..count).map(|_| fault()));
    }

    /// Drops all faults that are still to come.
    pub fn clear(&self) {
        self.queue().clear();
    }

    /// How many faults are still to come.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.queue().len()
    }

    /// Suffers the next fault up to the point of writing. `Ok(Some(error))`:
    /// write, then fail with it.
    pub(in crate::store) async fn before_write(&self) -> Result<Option<StoreError>, StoreError> {
        let fault = self.queue().pop_front();
        match fault {
            None => Ok(None),
            Some(Fault::FailBefore) => Err(unavailable()),
            Some(Fault::FailAfterCommit) => Ok(Some(unavailable())),
            Some(Fault::Unusable) => Err(StoreError::Unusable {
                code: "READ_ONLY",
                message: "the store is read-only (a fault on order)".to_owned(),
            }),
            Some(Fault::Hang(hanging)) => {
                let _ = hanging.reached.send(());
                let _ = hanging.released.await;
                Ok(None)
            }
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("a fault on order".into())
}
