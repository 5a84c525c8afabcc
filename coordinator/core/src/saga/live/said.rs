//! What comes of what the caller of a live saga says, or of its silence.

use crate::answer::Failure;
use crate::dag::StepIx;
use crate::id::StepName;
use crate::payload::Payload;
use crate::time::Timestamp;

use super::super::decide::{Decision, Draft, Rejected};
use super::super::record::Event;
use super::super::state::{Direction, Forward, Outcome, Saga, StepRun};
use super::super::validate::MAX_STEPS;
use super::{LiveCommand, LiveStep};

/// Takes in what the caller says.
pub(in crate::saga) fn said(draft: &mut Draft<'_>, command: LiveCommand) -> Result<(), Rejected> {
    if draft.saga.live.is_none() {
        return Err(Rejected::NotLive);
    }
    if let LiveCommand::Fail { step, failure } = command {
        // Whoever repeats it was heard the first time.
        if draft.saga.direction == Direction::Forward {
            let known = |step: &StepName| draft.saga.definition.position(step.as_str()).is_some();
            let step = step.filter(known);
            draft.turn_back(step, failure);
        }
        return Ok(());
    }
    if let Some(cause) = draft.saga.cause() {
        return Err(Rejected::TurnedBack(cause.failure.clone()));
    }
    if draft.saga.deadline.is_some_and(|at| at <= draft.now) {
        return Err(Rejected::DeadlinePassed);
    }
    match command {
        LiveCommand::Step { name, step } => return add_or_find(draft, name, step),
        LiveCommand::Complete { output } => return complete(draft, output),
        LiveCommand::Heartbeat | LiveCommand::Fail { .. } => {}
    }
    draft.record(Event::Heard);
    Ok(())
}

/// What a caller hears that says something after the end: what it asks for was
/// decided, or it is too late.
pub(in crate::saga) fn said_after_end(
    saga: &Saga,
    command: &LiveCommand,
) -> Result<Decision, Rejected> {
    if saga.live.is_none() {
        return Err(Rejected::NotLive);
    }
    let Direction::Ended { outcome, cause, .. } = &saga.direction else {
        return Err(Rejected::Stale);
    };
    match (command, outcome, cause) {
        (LiveCommand::Complete { .. }, Outcome::Succeeded { .. }, _)
        | (LiveCommand::Fail { .. }, Outcome::Compensated, _) => Ok(Decision::default()),
        (_, Outcome::Compensated, Some(cause)) => Err(Rejected::TurnedBack(cause.failure.clone())),
        _ => Err(Rejected::Ended),
    }
}

fn add_or_find(draft: &mut Draft<'_>, name: StepName, step: LiveStep) -> Result<(), Rejected> {
    if let Some(ix) = draft.saga.definition.position(name.as_str()) {
        return match step.difference(&draft.saga.definition.steps()[ix]) {
            None => {
                draft.record(Event::Heard);
                Ok(())
            }
            Some(difference) => Err(Rejected::StepDiffers {
                step: name.to_string(),
                difference,
            }),
        };
    }
    if draft.saga.steps.len() >= MAX_STEPS {
        return Err(Rejected::TooManySteps);
    }
    if let Some(wrong) = step.check().first() {
        return Err(Rejected::StepInvalid(wrong.to_string()));
    }
    let after = steps_before_a_new_one(draft.saga);
    draft.record(Event::StepAdded {
        step: name,
        after,
        asked: Box::new(step),
    });
    Ok(())
}

/// The steps of which the caller may know that they succeeded, without those that
/// others of them come after. An answer may have been told before it was durable, and
/// forgotten in a crash: what was open at a restart counts too.
fn steps_before_a_new_one(saga: &Saga) -> Vec<StepName> {
    let resumed = saga.live.as_ref().map_or(0, |live| live.resumed);
    let may_be_known = |ix: &StepIx| match saga.steps[*ix].forward {
        Forward::Succeeded { .. } => true,
        Forward::Refused => false,
        _ => *ix < resumed,
    };
    let dag = saga.definition.dag();
    let all: Vec<StepIx> = (0..saga.steps.len()).filter(may_be_known).collect();
    let last = all
        .iter()
        .filter(|&&ix| !all.iter().any(|&later| dag.is_ancestor(ix, later)));
    last.map(|&ix| saga.definition.steps()[ix].name.clone())
        .collect()
}

fn complete(draft: &mut Draft<'_>, output: Payload) -> Result<(), Rejected> {
    let steps = draft.saga.definition.steps();
    let runs = steps.iter().zip(&draft.saga.steps);
    let open = runs.filter(|(_, run)| !is_known(run));
    let open: Vec<StepName> = open.map(|(step, _)| step.name.clone()).collect();
    if !open.is_empty() {
        return Err(Rejected::StepsOpen(open));
    }
    draft.record(Event::Succeeded { output });
    draft.finish();
    Ok(())
}

/// It has succeeded, or nothing of it remains.
pub(in crate::saga) fn is_known(run: &StepRun) -> bool {
    matches!(run.forward, Forward::Succeeded { .. } | Forward::Refused)
}

/// Why a live saga turns back that has not been heard of, if it has to.
pub(in crate::saga) fn lease_lost(saga: &Saga, now: Timestamp) -> Option<Failure> {
    let live = saga.live.as_deref()?;
    (live.lease_until <= now).then(|| {
        let message = format!("nothing was heard of the caller for {}", live.lease);
        Failure::new("CALLER_LOST", message)
    })
}
