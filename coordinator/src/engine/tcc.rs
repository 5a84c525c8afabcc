//! What callers of TCCs ask for, beyond single commands.

use std::time::Duration;

use amends_core::id::Gid;
use amends_core::retry::RetryPolicy;
use amends_core::tcc::{self, Parent, Registration, Stage, Start, Tcc, Tried, TriedBy, Work};
use amends_core::time::Millis;
use tokio::time::Instant;

use crate::clock::runtime_now;
use crate::crash;

use super::error::EngineError;
use super::handle::{Engine, LOOK_AGAIN};
use super::live::View;
use super::start::{Birth, Started};
use super::transaction::{Command, Rejected, Transaction};

/// Bound of one attempt to tell a child; its machine knows no calls.
const NESTED_TIMEOUT: Millis = Millis::from_secs(10);

impl Engine {
    /// Begins a TCC; returns once that is durable. Under a parent it is
    /// registered there first.
    ///
    /// # Errors
    /// [`EngineError::Invalid`], [`EngineError::AlreadyExists`],
    /// [`EngineError::Overloaded`], those of the parent, the store's.
    ///
    /// Dropped, it may have begun; asking again with the same id is safe.
    pub async fn begin_tcc(&self, start: Start) -> Result<Started, EngineError> {
        let wrong = start.check();
        if !wrong.is_empty() {
            return Err(EngineError::Invalid(wrong));
        }
        if let Some(parent) = &start.parent
            && let Err(error) = self.register_child(parent, &start.gid).await
        {
            // A repeated begin counts also after the parent has decided.
            return match self.get(&start.gid).await {
                Ok(view) => Birth::Tcc(start).compared(view),
                Err(_) => Err(error),
            };
        }
        let begun = self.born(Birth::Tcc(start)).await;
        crash::point("tcc-begun");
        begun
    }

    async fn register_child(&self, parent: &Parent, child: &Gid) -> Result<View, EngineError> {
        let registration = Registration {
            name: parent.branch.clone(),
            work: Work::Nested { gid: child.clone() },
            timeout: NESTED_TIMEOUT,
            retry: RetryPolicy::STEP,
            settle_retry: RetryPolicy::UNDO,
        };
        let register = tcc::Command::Register(Box::new(registration));
        self.command(&parent.gid, Command::Tcc(register)).await
    }

    /// Puts a child in place that its parent cancelled before it began.
    pub(super) async fn begin_cancelled(
        &self,
        gid: Gid,
        parent: Parent,
    ) -> Result<View, EngineError> {
        let started = self.born(Birth::CancelledChild { gid, parent }).await?;
        Ok(started.view)
    }

    /// Registers a branch that the coordinator tries, and waits until the
    /// outcome of that is known, at most until `deadline`. The view may be
    /// ahead of what is durable: after a crash the try is called again.
    ///
    /// # Errors
    /// [`EngineError::Rejected`], [`EngineError::NotFound`], the store's.
    pub async fn try_branch(
        &self,
        gid: &Gid,
        registration: Registration,
        deadline: Instant,
    ) -> Result<View, EngineError> {
        let name = registration.name.clone();
        let register = tcc::Command::Register(Box::new(registration));
        self.command(gid, Command::Tcc(register)).await?;
        crash::point("tcc-registered");
        let is_known = |view: &View| {
            let Some(tcc) = view.transaction.tcc() else {
                return true;
            };
            let branch = tcc.position(name.as_str()).map(|ix| &tcc.branches()[ix]);
            *tcc.stage() != Stage::Trying || branch.is_none_or(|it| !is_open(&it.tried))
        };
        let tried = self.wait_until(gid, deadline, is_known).await;
        crash::point("tcc-tried");
        tried
    }

    /// Confirms a TCC; returns once that is durable. Tries that the coordinator
    /// is calling are waited for until `deadline`, and so is a parent's taking note.
    ///
    /// # Errors
    /// [`EngineError::Rejected`], [`EngineError::NotFound`], the store's.
    pub async fn confirm_tcc(&self, gid: &Gid, deadline: Instant) -> Result<View, EngineError> {
        crash::point("tcc-deciding");
        let confirm = || Command::Tcc(tcc::Command::Confirm);
        let view = match self.command(gid, confirm()).await {
            Err(EngineError::Rejected(Rejected::Tcc(tcc::Rejected::TriesOpen(_)))) => {
                let are_known = |view: &View| view.transaction.tcc().is_none_or(no_try_is_called);
                self.wait_until(gid, deadline, are_known).await?;
                self.command(gid, confirm()).await?
            }
            confirmed => confirmed?,
        };
        crash::point("tcc-decided");
        if is_unheard(&view) {
            let is_heard = |view: &View| !is_unheard(view);
            return self.wait_until(gid, deadline, is_heard).await;
        }
        Ok(view)
    }

    /// Cancels a TCC; returns once that is durable.
    ///
    /// # Errors
    /// [`EngineError::Rejected`], [`EngineError::NotFound`], the store's.
    pub async fn cancel_tcc(&self, gid: &Gid, reason: String) -> Result<View, EngineError> {
        crash::point("tcc-deciding");
        let cancel = Command::Tcc(tcc::Command::Cancel { reason });
        let cancelled = self.command(gid, cancel).await?;
        crash::point("tcc-decided");
        Ok(cancelled)
    }

    /// Waits until something holds of a transaction, at most until `deadline`;
    /// returns it as it stands then.
    ///
    /// # Errors
    /// As for [`Self::get`]. Dropping it loses nothing.
    pub async fn wait_until(
        &self,
        gid: &Gid,
        deadline: Instant,
        holds: impl Fn(&View) -> bool,
    ) -> Result<View, EngineError> {
        let mut view = self.get(gid).await?;
        while !holds(&view) && runtime_now() < deadline {
            let change = self.next_change(gid, view.changes);
            view = match tokio::time::timeout_at(deadline, change).await {
                Ok(Ok(Some(next))) => next,
                Ok(Ok(None)) => {
                    let next = self.get(gid).await?;
                    if !holds(&next) {
                        // Asleep, or not taken up yet.
                        tokio::time::sleep(LOOK_AGAIN.min(left(deadline))).await;
                    }
                    next
                }
                Ok(Err(error)) => return Err(error),
                Err(_elapsed) => return self.get(gid).await,
            };
        }
        Ok(view)
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(runtime_now())
}

fn is_open(tried: &Tried) -> bool {
    matches!(
        tried,
        Tried::Pending | Tried::Calling | Tried::Waiting { .. }
    )
}

fn no_try_is_called(tcc: &Tcc) -> bool {
    *tcc.stage() != Stage::Trying
        || !tcc.branches().iter().any(|branch| {
            branch.registration.tried_by() == Some(TriedBy::Coordinator) && is_open(&branch.tried)
        })
}

/// Its parent does not know yet that it is prepared.
fn is_unheard(view: &View) -> bool {
    let stage = match &*view.transaction {
        Transaction::Tcc(tcc) => tcc.stage(),
        Transaction::Saga(_) => return false,
    };
    matches!(stage, Stage::Prepared { heard: false, .. })
}
