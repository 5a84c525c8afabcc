//! Beginning a transaction, and waiting for its end in the same breath.

use std::sync::Arc;
use std::time::Duration;

use amends_core::id::Gid;
use amends_core::payload::Payload;
use amends_core::saga::{CompiledSaga, Saga};
use amends_core::time::Millis;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::store::StoreError;

use super::error::EngineError;
use super::handle::Engine;
use super::live::View;
use super::message::{Accepted, Message, Reply, StartFailed};

/// What callers are told to wait when there is too much at once.
const OVERLOAD_RETRY: Duration = Duration::from_millis(500);

/// A saga to begin.
#[derive(Clone)]
pub struct Start {
    /// Its id.
    pub gid: Gid,
    /// What to run.
    pub definition: Arc<CompiledSaga>,
    /// Its input.
    pub input: Payload,
    /// Overrides the definition's deadline.
    pub deadline: Option<Millis>,
}

/// An accepted start.
#[derive(Debug, Clone)]
pub struct Started {
    /// The transaction.
    pub view: View,
    /// False when the same start was accepted before.
    pub created: bool,
}

type Accepting = oneshot::Receiver<Result<Accepted, StartFailed>>;

impl Engine {
    /// Begins a transaction; returns once that is durable.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`], [`EngineError::AlreadyExists`], the store's;
    /// at once, while writes fail.
    ///
    /// Dropped, it may have begun; asking again with the same id is safe.
    pub async fn start(&self, start: Start) -> Result<Started, EngineError> {
        let gid = start.gid.clone();
        let accepting = self.begin(start, None).await?;
        match self.accepted(accepting).await? {
            (created, Some(view)) => Ok(Started { view, created }),
            (created, None) => {
                let view = self.get(&gid).await?;
                Ok(Started { view, created })
            }
        }
    }

    /// Begins a transaction and waits for its end, at most until `deadline`;
    /// returns it as it stands then, but not before it is durable. One message
    /// to the shard and one wake-up, where a start and a wait take two.
    ///
    /// # Errors
    /// As for [`Self::start`] and [`Self::wait`].
    ///
    /// Dropped, it may have begun; asking again with the same id is safe.
    pub async fn start_and_wait(
        &self,
        start: Start,
        deadline: Instant,
    ) -> Result<Started, EngineError> {
        let gid = start.gid.clone();
        let mut healthy = self.store_healthy();
        let (end, ended) = oneshot::channel();
        let accepting = self.begin(start, Some(end)).await?;
        let ended = tokio::select! {
            biased;
            ended = ended => ended.ok().flatten(),
            // It may not be accepted for long.
            _ = healthy.wait_for(|healthy| !healthy) => None,
            () = tokio::time::sleep_until(deadline) => None,
        };
        let (created, stored) = self.accepted(accepting).await?;
        let view = match ended.or(stored.filter(|view| view.saga.is_ended())) {
            Some(view) => view,
            None => self.wait(&gid, deadline).await?,
        };
        Ok(Started { view, created })
    }

    async fn begin(
        &self,
        start: Start,
        end: Option<Reply<Option<View>>>,
    ) -> Result<Accepting, EngineError> {
        let overloaded = || EngineError::Overloaded {
            retry_after: OVERLOAD_RETRY,
        };
        let seat = self.seats().take(self.options().max_live);
        let seat = seat.ok_or_else(overloaded)?;
        if !*self.store_healthy().borrow() {
            // It could only wait; the caller can better decide for how long.
            let why = "the last write failed and is being tried again";
            return Err(StoreError::Unavailable(why.into()).into());
        }
        self.definitions()
            .keep(&start.definition, self.clock().now())
            .await?;
        let (reply, accepting) = oneshot::channel();
        let shard = self.shard(&start.gid);
        let message = Message::Start {
            start,
            seat,
            end,
            asked: self.clock().monotonic(),
            reply,
        };
        shard.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => overloaded(),
            TrySendError::Closed(_) => EngineError::Stopping,
        })?;
        Ok(accepting)
    }

    /// Waits until the start is durable: whether this start made it so, and the
    /// transaction, where it was looked at.
    async fn accepted(&self, accepting: Accepting) -> Result<(bool, Option<View>), EngineError> {
        match self.when_written(accepting).await? {
            Ok(Accepted { created, view }) => Ok((created, view)),
            Err(StartFailed::Error(error)) => Err(error),
            Err(StartFailed::Exists(start)) => {
                let view = self.compare_with_stored(&start).await?;
                Ok((false, Some(view)))
            }
        }
    }

    /// The stored transaction, which must have been started with the same.
    async fn compare_with_stored(&self, start: &Start) -> Result<View, EngineError> {
        let stored = self.stored(&start.gid).await?;
        let view = self.view_of_stored(&stored).await?;
        match difference(&view.saga, start) {
            None => Ok(view),
            Some(difference) => Err(EngineError::AlreadyExists {
                gid: start.gid.to_string(),
                difference,
            }),
        }
    }
}

/// What differs between a transaction and a start with the same id.
pub(super) fn difference(saga: &Saga, start: &Start) -> Option<&'static str> {
    let deadline = saga.deadline().map(|at| at.since(saga.began_at()));
    if saga.definition().hash() != start.definition.hash() {
        Some("definition")
    } else if saga.input() != &start.input {
        Some("input")
    } else if deadline != start.deadline.or(start.definition.definition().deadline) {
        Some("deadline")
    } else {
        None
    }
}
