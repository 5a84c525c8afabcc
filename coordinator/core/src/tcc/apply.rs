//! Folding one record into the state. Total: any record fits any state.
//! Whether it makes sense there is [`super::decide`]'s and the replay's concern.

use crate::answer::Failure;
use crate::time::Timestamp;

use super::record::{Event, Phase, Record, Verdict};
use super::state::{Ask, Branch, Decided, Outcome, Settle, Stage, Tcc, Tried};

/// Folds a record into the TCC.
pub fn apply(tcc: &mut Tcc, record: &Record) {
    if record.is_stored() {
        tcc.last_record = tcc.last_record.next();
    }
    let at = record.at;
    tcc.updated_at = at;
    match &record.event {
        Event::TccBegan { .. } => {}
        Event::Resumed { generation } => {
            tcc.generation = *generation;
            nothing_is_under_way(tcc);
        }
        Event::Registered(registration) => {
            let branch = Branch::new(registration, tcc.last_record);
            tcc.branches.push(branch);
        }
        Event::Prepared => {
            tcc.stage = Stage::Prepared {
                record: tcc.last_record,
                ask: Ask::Pending,
                asked: 0,
                heard: false,
            };
        }
        Event::ParentAsked { attempt } => {
            if let Stage::Prepared { ask, asked, .. } = &mut tcc.stage {
                *ask = Ask::Calling;
                *asked = *attempt;
            }
        }
        Event::ParentUndecided {
            heard: knows,
            until,
        } => {
            if let Stage::Prepared { ask, heard, .. } = &mut tcc.stage {
                *ask = Ask::Waiting { until: *until };
                *heard |= knows;
            }
        }
        Event::ConfirmDecided => decided(tcc, Verdict::Confirm, None),
        Event::CancelDecided { cause } => decided(tcc, Verdict::Cancel, Some(cause.clone())),
        Event::RetryRequested => forget_waits(tcc, at),
        Event::Succeeded => end(tcc, Outcome::Succeeded, at),
        Event::Compensated => end(tcc, Outcome::Compensated, at),
        Event::Forced { operator, reason } => {
            let (operator, reason) = (operator.clone(), reason.clone());
            end(tcc, Outcome::Forced { operator, reason }, at);
        }
        event => {
            let named = event.branch().map(|branch| tcc.position(branch.as_str()));
            if let Some(ix) = named.flatten() {
                apply_to_branch(&mut tcc.branches[ix], event);
            }
        }
    }
}

fn apply_to_branch(branch: &mut Branch, event: &Event) {
    match event {
        Event::Called { phase, attempt, .. } => match phase {
            Phase::Try => {
                branch.tried = Tried::Calling;
                branch.attempts = *attempt;
            }
            Phase::Confirm | Phase::Cancel => {
                branch.settle = Settle::Calling;
                branch.settle_attempts = *attempt;
            }
        },
        Event::TrySucceeded { calls, output, .. } => {
            branch.attempts = *calls;
            branch.tried = Tried::Succeeded {
                output: output.clone(),
            };
        }
        Event::TryRefused { calls, failure, .. } => {
            branch.attempts = *calls;
            branch.tried = Tried::Refused;
            branch.last_failure = Some(failure.clone());
        }
        Event::AttemptFailed {
            phase,
            attempt,
            failure,
            retry_at,
            stuck,
            ..
        } => {
            branch.last_failure = Some(failure.clone());
            if *stuck {
                branch.stuck = Some(failure.clone());
            }
            wait(branch, *phase, *attempt, *retry_at);
        }
        Event::Postponed {
            phase,
            attempt,
            times,
            until,
            ..
        } => {
            branch.postponed = *times;
            // It does not count as an attempt.
            wait(branch, *phase, attempt.saturating_sub(1), Some(*until));
        }
        Event::Settled {
            calls, settlement, ..
        } => {
            branch.settle_attempts = *calls;
            branch.settle = Settle::Done(settlement.clone());
            branch.stuck = None;
        }
        _ => {}
    }
}

fn wait(branch: &mut Branch, phase: Phase, attempts: u32, until: Option<Timestamp>) {
    match phase {
        Phase::Try => {
            branch.attempts = attempts;
            branch.tried = until.map_or(Tried::Unknown, |until| Tried::Waiting { until });
        }
        Phase::Confirm | Phase::Cancel => {
            branch.settle_attempts = attempts;
            branch.settle = until.map_or(Settle::Held, |until| Settle::Waiting { until });
        }
    }
}

fn decided(tcc: &mut Tcc, verdict: Verdict, cause: Option<Failure>) {
    for branch in &mut tcc.branches {
        // Its answer is not heard any more.
        if matches!(
            branch.tried,
            Tried::Pending | Tried::Calling | Tried::Waiting { .. }
        ) {
            branch.tried = Tried::Unknown;
        }
        if branch.tried != Tried::Refused {
            branch.settle = Settle::Pending;
        }
    }
    tcc.stage = Stage::Settling(Decided {
        verdict,
        cause,
        record: tcc.last_record,
    });
}

/// An operator's retry: what waits or is held is due, with a fresh budget.
fn forget_waits(tcc: &mut Tcc, at: Timestamp) {
    for branch in &mut tcc.branches {
        if let Tried::Waiting { until } = &mut branch.tried {
            *until = at;
            branch.forgiven = branch.attempts;
        }
        if matches!(branch.settle, Settle::Waiting { .. } | Settle::Held) {
            branch.settle = Settle::Waiting { until: at };
            branch.settle_forgiven = branch.settle_attempts;
        }
    }
    if let Stage::Prepared { ask, .. } = &mut tcc.stage {
        *ask = match *ask {
            Ask::Waiting { .. } => Ask::Pending,
            other => other,
        };
    }
}

fn end(tcc: &mut Tcc, outcome: Outcome, at: Timestamp) {
    let decided = tcc.decided().cloned();
    nothing_is_under_way(tcc);
    tcc.stage = Stage::Ended {
        outcome,
        decided,
        at,
    };
}

/// What was under way is to be called, or never will be: an answer that still
/// comes is not heard.
fn nothing_is_under_way(tcc: &mut Tcc) {
    for branch in &mut tcc.branches {
        if branch.tried == Tried::Calling {
            branch.tried = Tried::Pending;
        }
        if branch.settle == Settle::Calling {
            branch.settle = Settle::Pending;
        }
    }
    if let Stage::Prepared { ask, .. } = &mut tcc.stage {
        *ask = Ask::Pending;
    }
}
