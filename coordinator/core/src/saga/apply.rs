//! Folding one record into the state. Total: any record fits any state.
//! Whether it makes sense there is [`super::decide`]'s and the replay's concern.

use crate::id::StepName;
use crate::time::{Millis, Timestamp};

use super::definition::{Fencing, StepKind};
use super::live;
use super::record::{Cause, Event, Phase, Record, Settlement};
use super::state::{Direction, Forward, Outcome, Saga, StepRun, Undo};

/// Folds a record into the saga.
pub fn apply(saga: &mut Saga, record: &Record) {
    if record.is_stored() {
        saga.last_record = saga.last_record.next();
    }
    saga.updated_at = record.at;
    match &record.event {
        Event::Began { .. } | Event::LiveBegan { .. } => {}
        Event::StepAdded { step, after, asked } => {
            live::heard(saga, record.at);
            live::add(saga, step, after, asked);
        }
        Event::Heard => live::heard(saga, record.at),
        Event::Resumed { generation } => {
            saga.generation = *generation;
            live::resumed(saga, record.at);
            resume(saga, record.at);
        }
        Event::TurnedBack { cause, in_doubt } => turn_back(saga, cause, in_doubt),
        Event::RetryRequested => forget_waits(saga, record.at),
        Event::Succeeded { output } => end(
            saga,
            Outcome::Succeeded {
                output: output.clone(),
            },
            record.at,
        ),
        Event::Compensated => end(saga, Outcome::Compensated, record.at),
        Event::Forced { operator, reason } => {
            end(
                saga,
                Outcome::Forced {
                    operator: operator.clone(),
                    reason: reason.clone(),
                },
                record.at,
            );
        }
        event => apply_to_step(saga, event, record.at),
    }
}

fn apply_to_step(saga: &mut Saga, event: &Event, at: Timestamp) {
    let recorded = saga.last_record;
    let back = matches!(saga.direction, Direction::Back { .. });
    let Some((step, timeout)) = event.step().and_then(|name| find(saga, name)) else {
        return;
    };
    match event {
        Event::Called { phase, attempt, .. } => called(step, *phase, *attempt),
        Event::StepSucceeded { calls, output, .. } => {
            step.attempts = *calls;
            step.forward = Forward::Succeeded {
                output: output.clone(),
            };
            step.stuck = None;
            step.recorded = recorded;
        }
        Event::StepRefused { calls, failure, .. } => {
            step.attempts = *calls;
            step.forward = Forward::Refused;
            step.last_failure = Some(failure.clone());
            step.may_have_run = false;
            step.stuck = None;
            step.recorded = recorded;
            if back && step.undo == Undo::Pending {
                step.undo = Undo::NotNeeded;
            }
        }
        Event::AttemptFailed {
            phase,
            attempt,
            failure,
            retry_at,
            ..
        } => {
            step.last_failure = Some(failure.clone());
            if *phase == Phase::Do {
                // A lost connection ends the call here, but not there.
                step.quiet_at = step.quiet_at.max(at + timeout);
            }
            failed(step, *phase, *attempt, *retry_at, at);
        }
        Event::Postponed {
            phase,
            attempt,
            times,
            until,
            ..
        } => {
            step.postponed = *times;
            // The call did take place, but it does not count as an attempt.
            match phase {
                Phase::Do => {
                    step.may_have_run = true;
                    step.attempts = attempt.saturating_sub(1);
                    step.forward = Forward::Waiting { until: *until };
                }
                Phase::Undo => {
                    step.undo_attempts = attempt.saturating_sub(1);
                    step.undo = Undo::Waiting { until: *until };
                }
            }
        }
        Event::BranchStuck { failure, .. } => step.stuck = Some(failure.clone()),
        Event::Undone {
            calls, settlement, ..
        } => {
            step.undo_attempts = *calls;
            settle(step, settlement);
        }
        _ => {}
    }
}

fn called(step: &mut StepRun, phase: Phase, attempt: u32) {
    match phase {
        Phase::Do => {
            step.forward = Forward::Calling;
            step.attempts = attempt;
            step.may_have_run = true;
        }
        Phase::Undo => {
            step.undo = Undo::Calling;
            step.undo_attempts = attempt;
        }
    }
}

fn failed(
    step: &mut StepRun,
    phase: Phase,
    attempt: u32,
    retry_at: Option<Timestamp>,
    at: Timestamp,
) {
    match phase {
        Phase::Do => {
            step.attempts = attempt;
            step.may_have_run = true;
            step.forward = retry_at.map_or(Forward::Unknown, |until| Forward::Waiting { until });
        }
        Phase::Undo => {
            step.undo_attempts = attempt;
            // An undo is never given up.
            step.undo = Undo::Waiting {
                until: retry_at.unwrap_or(at),
            };
        }
    }
}

fn settle(step: &mut StepRun, settlement: &Settlement) {
    step.undo = Undo::Done(settlement.clone());
    step.stuck = None;
}

/// After a restart: what could have been called may have run, and for
/// participants without a consumer log an earlier call may be under way.
fn resume(saga: &mut Saga, at: Timestamp) {
    let definition = saga.definition.clone();
    let forward = saga.direction == Direction::Forward;
    // Each pass carries the mark one step further along the graph.
    let mut changed = forward;
    while changed {
        changed = false;
        for ix in 0..saga.steps.len() {
            if !saga.steps[ix].may_have_run && could_have_been_called(saga, ix) {
                saga.steps[ix].may_have_run = true;
                changed = true;
            }
        }
    }
    for (step, run) in definition.steps().iter().zip(&mut saga.steps) {
        // Of a step that has succeeded, an earlier attempt may be under way.
        if !run.is_harmless() && step.fencing == Fencing::None {
            run.quiet_at = run.quiet_at.max(at + step.timeout);
        }
    }
}

/// Whether the coordinator before may have called a step that the log shows as
/// pending: the steps before it had succeeded, in its memory if not in the
/// log; where their results had to be durable first, in the log.
fn could_have_been_called(saga: &Saga, ix: usize) -> bool {
    let step = &saga.definition.steps()[ix];
    let succeeded =
        |earlier: usize| matches!(saga.steps[earlier].forward, Forward::Succeeded { .. });
    let runs_before = saga.definition.dag().before(ix);
    let all_recorded = runs_before.iter().all(|&earlier| succeeded(earlier));
    let seemingly_done = runs_before
        .iter()
        .all(|&earlier| succeeded(earlier) || may_have_succeeded(&saga.steps[earlier]));
    let waits_for_log = step.kind != StepKind::Compensable;
    // The caller of a live saga has decided when.
    let may_go = saga.live.is_some() || seemingly_done && (all_recorded || !waits_for_log);
    saga.steps[ix].forward == Forward::Pending
        && may_go
        && step.consumes.iter().all(|&earlier| succeeded(earlier))
}

fn may_have_succeeded(run: &StepRun) -> bool {
    run.may_have_run
        && !matches!(
            run.forward,
            Forward::Refused | Forward::Unknown | Forward::Skipped
        )
}

fn turn_back(saga: &mut Saga, cause: &Cause, in_doubt: &[StepName]) {
    let definition = saga.definition.clone();
    for (step, run) in definition.steps().iter().zip(&mut saga.steps) {
        run.may_have_run |= in_doubt.contains(&step.name);
        match run.forward {
            Forward::Pending if !run.may_have_run => run.forward = Forward::Skipped,
            Forward::Pending | Forward::Waiting { .. } => run.forward = Forward::Unknown,
            _ => {}
        }
        if !run.is_harmless() && step.compensation.is_some() {
            run.undo = Undo::Pending;
        }
    }
    saga.direction = Direction::Back {
        cause: cause.clone(),
        decided: saga.last_record,
    };
}

/// An operator's retry: what waits is due, with a fresh budget.
fn forget_waits(saga: &mut Saga, at: Timestamp) {
    for step in &mut saga.steps {
        if let Forward::Waiting { until } = &mut step.forward {
            *until = at;
            step.forgiven = step.attempts;
        }
        if let Undo::Waiting { until } = &mut step.undo {
            *until = at;
            step.undo_forgiven = step.undo_attempts;
        }
    }
}

fn end(saga: &mut Saga, outcome: Outcome, at: Timestamp) {
    let cause = saga.cause().cloned();
    saga.direction = Direction::Ended { outcome, cause, at };
    // Nothing is in flight any more: an answer that still comes is not heard.
    for step in &mut saga.steps {
        if matches!(step.forward, Forward::Calling | Forward::Waiting { .. }) {
            step.forward = Forward::Unknown;
        }
        if matches!(step.undo, Undo::Calling | Undo::Waiting { .. }) {
            step.undo = Undo::Pending;
        }
    }
}

/// A step, with the bound of one call of it.
fn find<'s>(saga: &'s mut Saga, name: &StepName) -> Option<(&'s mut StepRun, Millis)> {
    let ix = saga.definition.position(name.as_str())?;
    let timeout = saga.definition.steps()[ix].timeout;
    Some((saga.steps.get_mut(ix)?, timeout))
}
