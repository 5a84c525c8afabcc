//! Beginning a transaction, and waiting for its end in the same breath.

use std::sync::Arc;
use std::time::Duration;

use amends_core::id::Gid;
use amends_core::payload::Payload;
use amends_core::saga::{self, CompiledSaga, LiveStart, Saga, Violation, begin, begin_live};
use amends_core::tcc::{self, Parent};
use amends_core::time::{Millis, Timestamp};
use amends_core::took::Took;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::store::StoreError;

use super::error::EngineError;
use super::handle::Engine;
use super::live::View;
use super::message::{Accepted, Message, Reply, StartFailed};
use super::transaction::{Decision, Transaction};

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
        self.born(Birth::Saga(start)).await
    }

    /// The same for any kind.
    pub(super) async fn born(&self, start: Birth) -> Result<Started, EngineError> {
        let gid = start.gid().clone();
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
        let accepting = self.begin(Birth::Saga(start), Some(end)).await?;
        let ended = tokio::select! {
            biased;
            ended = ended => ended.ok().flatten(),
            // It may not be accepted for long.
            _ = healthy.wait_for(|healthy| !healthy) => None,
            () = tokio::time::sleep_until(deadline) => None,
        };
        let (created, stored) = self.accepted(accepting).await?;
        let view = match ended.or(stored.filter(|view| view.transaction.is_ended())) {
            Some(view) => view,
            None => self.wait(&gid, deadline).await?,
        };
        Ok(Started { view, created })
    }

    async fn begin(
        &self,
        start: Birth,
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
        if let Birth::Saga(start) = &start {
            let now = self.clock().now();
            self.definitions().keep(&start.definition, now).await?;
        }
        let (reply, accepting) = oneshot::channel();
        let shard = self.shard(start.gid());
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
                let stored = self.stored(start.gid()).await?;
                let view = self.view_of_stored(&stored).await?;
                let started = start.compared(view)?;
                Ok((started.created, Some(started.view)))
            }
        }
    }
}

/// What is to begin.
#[derive(Clone)]
pub(super) enum Birth {
    /// A saga.
    Saga(Start),
    /// A live saga.
    Live(LiveStart),
    /// A TCC.
    Tcc(tcc::Start),
    /// A TCC that its parent cancelled before it began.
    CancelledChild {
        /// Its id.
        gid: Gid,
        /// Where it would have belonged.
        parent: Parent,
    },
}

impl Birth {
    /// What a transaction that could not be stored had begun with.
    pub(super) fn of(transaction: &Transaction) -> Self {
        match transaction {
            Transaction::Saga(saga) => Self::of_saga(saga),
            Transaction::Tcc(tcc) => Self::Tcc(tcc::Start {
                gid: tcc.gid().clone(),
                name: tcc.name().to_owned(),
                deadline: tcc.deadline().since(tcc.began_at()),
                parent: tcc.parent().cloned(),
            }),
        }
    }

    fn of_saga(saga: &Saga) -> Self {
        let gid = saga.gid().clone();
        let deadline = saga.deadline().map(|at| at.since(saga.began_at()));
        match saga.live() {
            None => Self::Saga(Start {
                gid,
                definition: saga.definition().clone(),
                input: saga.input().clone(),
                deadline,
            }),
            Some(live) => Self::Live(LiveStart {
                gid,
                name: saga.definition().definition().name.clone(),
                key: live.key().to_owned(),
                caller: live.caller().to_owned(),
                lease: live.lease(),
                deadline,
            }),
        }
    }

    pub(super) fn gid(&self) -> &Gid {
        match self {
            Self::Saga(start) => &start.gid,
            Self::Live(start) => &start.gid,
            Self::Tcc(start) => &start.gid,
            Self::CancelledChild { gid, .. } => gid,
        }
    }

    /// Begins it. `took` goes into its first record.
    pub(super) fn begin(
        self,
        now: Timestamp,
        took: Took,
    ) -> Result<(Transaction, Decision), Vec<Violation>> {
        let (tcc, mut decision) = match self {
            Self::Saga(start) => {
                let Start {
                    gid,
                    definition,
                    input,
                    deadline,
                } = start;
                let begun = begin(gid, definition, input.compact(), deadline, now);
                return Ok(begun_saga(begun, took));
            }
            Self::Live(start) => return Ok(begun_saga(begin_live(start, now)?, took)),
            Self::Tcc(start) => tcc::begin(start, now)?,
            Self::CancelledChild { gid, parent } => tcc::begin_cancelled(gid, parent, now),
        };
        if let Some(began) = decision.records.first_mut() {
            began.took = Some(took);
        }
        Ok((Transaction::Tcc(tcc), Decision::Tcc(decision)))
    }

    /// What differs between a transaction and a start with the same id.
    pub(super) fn difference(&self, transaction: &Transaction) -> Option<&'static str> {
        match (self, transaction) {
            (Self::Saga(start), Transaction::Saga(saga)) => saga_difference(saga, start),
            (Self::Live(start), Transaction::Saga(saga)) => start.difference(saga),
            (Self::Tcc(start), Transaction::Tcc(tcc)) => tcc::difference(tcc, start),
            // Whatever has this id: the child cannot begin any more.
            (Self::CancelledChild { .. }, _) => None,
            (Self::Saga(_) | Self::Live(_) | Self::Tcc(_), _) => Some("kind"),
        }
    }

    /// The transaction that has the id, if it was begun with the same.
    pub(super) fn compared(&self, view: View) -> Result<Started, EngineError> {
        match self.difference(&view.transaction) {
            None => Ok(Started {
                view,
                created: false,
            }),
            Some(difference) => Err(EngineError::AlreadyExists {
                gid: self.gid().to_string(),
                difference,
            }),
        }
    }
}

/// A saga that has begun, with `took` in its first record.
fn begun_saga(begun: (Saga, saga::Decision), took: Took) -> (Transaction, Decision) {
    let (saga, mut decision) = begun;
    if let Some(began) = decision.records.first_mut() {
        began.took = Some(took);
    }
    (Transaction::Saga(saga), Decision::Saga(decision))
}

fn saga_difference(saga: &Saga, start: &Start) -> Option<&'static str> {
    let deadline = saga.deadline().map(|at| at.since(saga.began_at()));
    if saga.live().is_some() {
        Some("kind")
    } else if saga.definition().hash() != start.definition.hash() {
        Some("definition")
    } else if saga.input() != &start.input {
        Some("input")
    } else if deadline != start.deadline.or(start.definition.definition().deadline) {
        Some("deadline")
    } else {
        None
    }
}
