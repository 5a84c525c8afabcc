//! What callers of live sagas ask for, beyond single commands.

use std::time::Duration;

use amends_core::id::{Gid, StepName};
use amends_core::payload::Payload;
use amends_core::saga::{
    Direction, Fencing, Forward, LiveCommand, LiveStart, LiveStep, Rejected, Saga, StepRun,
};
use tokio::time::Instant;

use crate::clock::runtime_now;

use super::error::EngineError;
use super::handle::Engine;
use super::live::View;
use super::start::{Birth, Started};
use super::transaction::Command;

/// A call that waits says so often within a lease that its caller is still there.
const SIGNS_PER_LEASE: u32 = 3;

impl Engine {
    /// Begins a live saga; returns once that is durable. Begun again by the same
    /// caller, or when it goes forward no more, it is returned as it stands.
    ///
    /// # Errors
    /// [`Rejected::AlreadyRunning`] while another caller runs it;
    /// [`EngineError::Invalid`], [`EngineError::AlreadyExists`],
    /// [`EngineError::Overloaded`], the store's.
    ///
    /// Dropped, it may have begun; asking again with the same id is safe.
    pub async fn begin_live(&self, start: LiveStart) -> Result<Started, EngineError> {
        let wrong = start.check();
        if !wrong.is_empty() {
            return Err(EngineError::Invalid(wrong));
        }
        let caller = start.caller.clone();
        let started = self.born(Birth::Live(start)).await?;
        // Who says no name is not recognised.
        let is_known = started.created || !caller.is_empty();
        let of_another = |saga: &Saga| {
            let live = saga.live();
            live.is_some_and(|live| live.caller() != caller || !is_known)
        };
        match started.view.transaction.saga() {
            Some(saga) if goes_forward(saga) && of_another(saga) => {
                Err(rejected(Rejected::AlreadyRunning))
            }
            _ => Ok(started),
        }
    }

    /// Records a step, has it called, and waits until its outcome is known, at
    /// most until `deadline`. A step that was recorded before is only waited for. While this
    /// waits, its caller counts as heard.
    ///
    /// What a participant with a consumer log has answered may be ahead of what is
    /// durable: after a crash it is called again, and answers the same.
    ///
    /// # Errors
    /// [`Rejected::TurnedBack`] and others of the state; [`EngineError::NotFound`], the store's.
    ///
    /// Dropped, the step goes on.
    pub async fn run_live_step(
        &self,
        gid: &Gid,
        name: StepName,
        step: LiveStep,
        deadline: Instant,
    ) -> Result<View, EngineError> {
        let asked = LiveCommand::Step {
            name: name.clone(),
            step,
        };
        let view = self.live(gid, asked).await?;
        let is_known = |view: &View| match saga_of(view) {
            Some(saga) => !goes_forward(saga) || step_of(saga, &name).is_none_or(is_known),
            None => true,
        };
        let view = self.wait_heard(gid, view, deadline, is_known).await?;
        let Some(saga) = saga_of(&view) else {
            return Ok(view);
        };
        if let Some(cause) = saga.cause() {
            return Err(rejected(Rejected::TurnedBack(cause.failure.clone())));
        }
        let rests_on_log = saga.definition().position(name.as_str()).is_some_and(|ix| {
            saga.definition().steps()[ix].fencing == Fencing::None
                && saga.steps()[ix].recorded > view.durable
        });
        if rests_on_log {
            // Called again, it might answer otherwise.
            return self.live(gid, LiveCommand::Heartbeat).await;
        }
        Ok(view)
    }

    /// Notes that the caller is still there.
    ///
    /// # Errors
    /// [`Rejected::TurnedBack`] and others of the state; [`EngineError::NotFound`], the store's.
    pub async fn heartbeat_live(&self, gid: &Gid) -> Result<View, EngineError> {
        self.live(gid, LiveCommand::Heartbeat).await
    }

    /// Ends a live saga well; returns once that is durable. Steps whose outcome is
    /// open are waited for until `deadline`.
    ///
    /// # Errors
    /// [`Rejected::StepsOpen`], [`Rejected::TurnedBack`] and others of the state;
    /// [`EngineError::NotFound`], the store's.
    pub async fn complete_live(
        &self,
        gid: &Gid,
        output: Payload,
        deadline: Instant,
    ) -> Result<View, EngineError> {
        let complete = || LiveCommand::Complete {
            output: output.clone(),
        };
        match self.live(gid, complete()).await {
            Err(error) if has_open_steps(&error) => {
                let view = self.get(gid).await?;
                let all_known = |view: &View| match saga_of(view) {
                    Some(saga) => !goes_forward(saga) || saga.steps().iter().all(is_known),
                    None => true,
                };
                self.wait_heard(gid, view, deadline, all_known).await?;
                self.live(gid, complete()).await
            }
            completed => completed,
        }
    }

    /// Puts what a caller says to a live saga; returns once its consequences are durable.
    ///
    /// # Errors
    /// Those of the state; [`EngineError::NotFound`], the store's.
    pub async fn live(&self, gid: &Gid, said: LiveCommand) -> Result<View, EngineError> {
        self.command(gid, Command::Live(Box::new(said))).await
    }

    /// Waits until something holds, and lets the saga know meanwhile that its
    /// caller is there: whoever has left does not wait any more.
    async fn wait_heard(
        &self,
        gid: &Gid,
        mut view: View,
        deadline: Instant,
        holds: impl Fn(&View) -> bool,
    ) -> Result<View, EngineError> {
        let lease = saga_of(&view).and_then(Saga::live).map(|live| live.lease());
        let pause = lease.map_or(Duration::from_secs(1), Duration::from) / SIGNS_PER_LEASE;
        while !holds(&view) && runtime_now() < deadline {
            let until = deadline.min(runtime_now() + pause);
            view = self.wait_until(gid, until, &holds).await?;
            if !holds(&view) {
                view = match self.live(gid, LiveCommand::Heartbeat).await {
                    // It has turned back, or ended: looked at again, that shows.
                    Err(EngineError::Rejected(_)) => self.get(gid).await?,
                    heard => heard?,
                };
            }
        }
        Ok(view)
    }
}

fn saga_of(view: &View) -> Option<&Saga> {
    view.transaction.saga()
}

fn goes_forward(saga: &Saga) -> bool {
    *saga.direction() == Direction::Forward
}

fn step_of<'s>(saga: &'s Saga, name: &StepName) -> Option<&'s StepRun> {
    let ix = saga.definition().position(name.as_str())?;
    saga.steps().get(ix)
}

fn is_known(run: &StepRun) -> bool {
    matches!(run.forward, Forward::Succeeded { .. } | Forward::Refused)
}

fn rejected(why: Rejected) -> EngineError {
    EngineError::Rejected(why.into())
}

fn has_open_steps(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::Rejected(super::transaction::Rejected::Saga(Rejected::StepsOpen(_)))
    )
}
