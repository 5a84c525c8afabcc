//! Going forward: call what is ready, take its answers, turn back at the first failure.

use crate::answer::{Answer, Failure};
use crate::dag::StepIx;
use crate::retry::postponement;
use crate::time::Timestamp;

use super::decide::{Draft, Rejected};
use super::definition::StepKind;
use super::effect::{call_do, resolve};
use super::live;
use super::record::{Event, Phase};
use super::state::{Direction, Forward, Saga, Undo};

/// Does everything that is due on the way forward.
pub(super) fn advance(draft: &mut Draft<'_>) {
    if draft.saga.direction != Direction::Forward {
        return;
    }
    // A step whose input leads nowhere fails without a call, which can turn the saga back.
    let steps = draft.saga.steps.len();
    for ix in 0..steps {
        if turn_back_if_failed(draft) {
            return;
        }
        if is_due(draft.saga, ix, draft.now) {
            call(draft, ix);
        }
    }
    if turn_back_if_failed(draft) {
        return;
    }
    // What comes next, and whether anything does, is for the caller of a live saga to say.
    if draft.saga.live.is_none()
        && draft
            .saga
            .steps
            .iter()
            .all(|run| matches!(run.forward, Forward::Succeeded { .. }))
    {
        succeed(draft);
    }
}

/// Takes the answer to a call of a step, also while the saga turns back: it
/// tells what there is to undo.
pub(super) fn answered(
    draft: &mut Draft<'_>,
    ix: StepIx,
    attempt: u32,
    answer: Answer,
) -> Result<(), Rejected> {
    let run = &draft.saga.steps[ix];
    let back = draft.saga.direction != Direction::Forward;
    let undo_has_begun = !matches!(run.undo, Undo::NotNeeded | Undo::Pending);
    if run.forward != Forward::Calling || run.attempts != attempt || undo_has_begun {
        return Err(Rejected::Stale);
    }
    let compiled = draft.saga.definition.clone();
    let step = &compiled.steps()[ix];
    let name = step.name.clone();
    match answer {
        Answer::Succeeded(output) => draft.record(Event::StepSucceeded {
            step: name,
            calls: attempt,
            output,
        }),
        Answer::Refused(failure) if step.kind == StepKind::Retriable => {
            failed(draft, ix, attempt, failure, Patience::None);
        }
        Answer::Refused(failure) => draft.record(Event::StepRefused {
            step: name,
            calls: attempt,
            failure,
        }),
        Answer::Unknown(failure) if back => {
            draft.record(Event::AttemptFailed {
                step: name,
                phase: Phase::Do,
                attempt,
                failure,
                retry_at: None,
            });
        }
        Answer::InProgress { .. } if back => {
            let failure = Failure::new(
                "IN_PROGRESS",
                "was still in progress when the saga had turned back",
            );
            draft.record(Event::AttemptFailed {
                step: name,
                phase: Phase::Do,
                attempt,
                failure,
                retry_at: None,
            });
        }
        Answer::Unknown(failure) => failed(draft, ix, attempt, failure, Patience::Budget),
        Answer::InProgress { retry_after } => {
            let until = draft.now + postponement(retry_after);
            let times = draft.saga.steps[ix].postponed.saturating_add(1);
            draft.record(Event::Postponed {
                step: name,
                phase: Phase::Do,
                attempt,
                times,
                until,
            });
        }
    }
    Ok(())
}

/// How many failed attempts are put up with before the branch counts as failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    Budget,
    None,
}

fn failed(draft: &mut Draft<'_>, ix: StepIx, attempt: u32, failure: Failure, patience: Patience) {
    let compiled = draft.saga.definition.clone();
    let step = &compiled.steps()[ix];
    let who = (draft.saga.gid.as_str(), step.name.as_str(), Phase::Do);
    let counted = attempt.saturating_sub(draft.saga.steps[ix].forgiven);
    let budget_left = patience == Patience::Budget && counted < step.retry.max_attempts;
    let wait = match step.kind {
        _ if budget_left => Some(step.retry.backoff(counted, who)),
        StepKind::Compensable => None,
        // Its outcome must become known, or it must be done: slow retries go on.
        StepKind::Pivot | StepKind::Retriable => Some(step.retry.slow_backoff(attempt, who)),
    };
    let retry_at = wait.map(|wait| draft.now + wait);
    let name = step.name.clone();
    draft.record(Event::AttemptFailed {
        step: name.clone(),
        phase: Phase::Do,
        attempt,
        failure: failure.clone(),
        retry_at,
    });
    if !budget_left && step.kind != StepKind::Compensable && draft.saga.steps[ix].stuck.is_none() {
        draft.record(Event::BranchStuck {
            step: name,
            phase: Phase::Do,
            failure,
        });
    }
}

fn is_due(saga: &Saga, ix: StepIx, now: Timestamp) -> bool {
    match saga.steps[ix].forward {
        Forward::Pending => {
            if saga.live.is_some() {
                return true;
            }
            let before = saga.definition.dag().before(ix);
            before
                .iter()
                .all(|&earlier| matches!(saga.steps[earlier].forward, Forward::Succeeded { .. }))
        }
        Forward::Waiting { until } => until <= now,
        _ => false,
    }
}

fn call(draft: &mut Draft<'_>, ix: StepIx) {
    let compiled = draft.saga.definition.clone();
    let step = &compiled.steps()[ix];
    let attempt = draft.saga.steps[ix].attempts.saturating_add(1);
    if let Err(failure) = resolve(draft.saga, &step.input) {
        if step.kind == StepKind::Retriable {
            failed(draft, ix, attempt, failure, Patience::None);
        } else {
            draft.record(Event::StepRefused {
                step: step.name.clone(),
                calls: attempt - 1,
                failure,
            });
        }
        return;
    }
    draft.record(Event::Called {
        step: step.name.clone(),
        phase: Phase::Do,
        attempt,
    });
    draft.effects.extend(call_do(draft.saga, ix).ok());
}

/// Turns back when a step failed or the deadline passed. Answers whether it did.
fn turn_back_if_failed(draft: &mut Draft<'_>) -> bool {
    let compiled = draft.saga.definition.clone();
    let failed = draft.saga.steps.iter().position(|run| match run.forward {
        Forward::Refused => draft.saga.live.is_none(),
        Forward::Unknown => true,
        _ => false,
    });
    if let Some(ix) = failed {
        let failure = draft.saga.steps[ix].last_failure.clone();
        let failure = failure.unwrap_or_else(|| Failure::new("UNKNOWN", "the step failed"));
        draft.turn_back(Some(compiled.steps()[ix].name.clone()), failure);
        return true;
    }
    let late = draft
        .saga
        .deadline
        .filter(|deadline| *deadline <= draft.now && !draft.saga.is_past_return());
    if let Some(deadline) = late {
        let span = deadline.since(draft.saga.began_at);
        draft.turn_back(
            None,
            Failure::new("DEADLINE_EXCEEDED", format!("not finished within {span}")),
        );
    }
    if late.is_some() {
        return true;
    }
    let lost = live::lease_lost(draft.saga, draft.now);
    let is_lost = lost.is_some();
    if let Some(failure) = lost {
        draft.turn_back(None, failure);
    }
    is_lost
}

fn succeed(draft: &mut Draft<'_>) {
    let compiled = draft.saga.definition.clone();
    // Everything has happened, so an answer that leads nowhere cannot fail the saga any more.
    let output =
        resolve(draft.saga, compiled.output()).unwrap_or_else(|_| crate::payload::Payload::null());
    draft.record(Event::Succeeded { output });
    draft.finish();
}
