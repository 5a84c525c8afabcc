//! Going back: undo what succeeded or may have run, in reverse order, until it is done.

use crate::answer::{Answer, Failure};
use crate::dag::StepIx;
use crate::retry::postponement;
use crate::time::Timestamp;

use super::decide::{Draft, Rejected};
use super::definition::Fencing;
use super::effect::{broadcast, call_undo, is_undo_in_order, must_be_quiet};
use super::record::{Event, Phase, Settlement};
use super::state::{Direction, Forward, Saga, StepRun, Undo};

/// Does everything that is due on the way back.
pub(super) fn advance(draft: &mut Draft<'_>) {
    if !matches!(draft.saga.direction, Direction::Back { .. }) {
        return;
    }
    for ix in 0..draft.saga.steps.len() {
        if is_due(draft.saga, ix, draft.now) {
            let attempt = draft.saga.steps[ix].undo_attempts.saturating_add(1);
            let step = draft.saga.definition.steps()[ix].name.clone();
            draft.record(Event::Called {
                step,
                phase: Phase::Undo,
                attempt,
            });
            draft.effects.extend(call_undo(draft.saga, ix));
        }
    }
    broadcast(draft.saga, &mut draft.effects);
    if draft.saga.steps.iter().all(StepRun::is_settled) {
        draft.record(Event::Compensated);
        draft.finish();
    }
}

/// Takes the answer to a call of a compensation.
pub(super) fn answered(
    draft: &mut Draft<'_>,
    ix: StepIx,
    attempt: u32,
    answer: Answer,
) -> Result<(), Rejected> {
    let run = &draft.saga.steps[ix];
    if run.undo != Undo::Calling || run.undo_attempts != attempt {
        return Err(Rejected::Stale);
    }
    let step = draft.saga.definition.steps()[ix].name.clone();
    match answer {
        Answer::Succeeded(_) => draft.record(Event::Undone {
            step,
            calls: attempt,
            settlement: Settlement::Called,
        }),
        Answer::Refused(failure) => failed(draft, ix, attempt, failure, 0),
        Answer::Unknown(failure) => {
            let budget = draft.saga.definition.steps()[ix].undo_retry.max_attempts;
            failed(draft, ix, attempt, failure, budget);
        }
        Answer::InProgress { retry_after } => {
            let until = draft.now + postponement(retry_after);
            let times = draft.saga.steps[ix].postponed.saturating_add(1);
            draft.record(Event::Postponed {
                step,
                phase: Phase::Undo,
                attempt,
                times,
                until,
            });
        }
    }
    Ok(())
}

/// An undo is never given up: once `budget` attempts failed, slow retries go on.
fn failed(draft: &mut Draft<'_>, ix: StepIx, attempt: u32, failure: Failure, budget: u32) {
    let compiled = draft.saga.definition.clone();
    let step = &compiled.steps()[ix];
    let who = (draft.saga.gid.as_str(), step.name.as_str(), Phase::Undo);
    let counted = attempt.saturating_sub(draft.saga.steps[ix].undo_forgiven);
    let in_budget = counted < budget;
    let wait = if in_budget {
        step.undo_retry.backoff(counted, who)
    } else {
        step.undo_retry.slow_backoff(attempt, who)
    };
    let retry_at = Some(draft.now + wait);
    let name = step.name.clone();
    draft.record(Event::AttemptFailed {
        step: name.clone(),
        phase: Phase::Undo,
        attempt,
        failure: failure.clone(),
        retry_at,
    });
    if !in_budget && draft.saga.steps[ix].stuck.is_none() {
        draft.record(Event::BranchStuck {
            step: name,
            phase: Phase::Undo,
            failure,
        });
    }
}

fn is_due(saga: &Saga, ix: StepIx, now: Timestamp) -> bool {
    let run = &saga.steps[ix];
    match run.undo {
        Undo::Waiting { until } => until <= now,
        Undo::Pending => {
            let under_way = run.forward == Forward::Calling
                && saga.definition.steps()[ix].fencing == Fencing::None;
            let quiet = !must_be_quiet(saga, ix) || run.quiet_at <= now;
            is_undo_in_order(saga, ix) && !under_way && quiet
        }
        _ => false,
    }
}
