//! Before the decision: register branches, call tries or hear of them, watch the deadline.

use crate::answer::{Answer, Failure};
use crate::retry::postponement;

use super::decide::{Draft, Rejected};
use super::effect::call;
use super::record::{Event, Phase};
use super::registration::{MAX_BRANCHES, Registration, TriedBy};
use super::state::{Branch, BranchIx, Stage, Tcc, Tried};

/// Does everything that is due before the decision.
pub(super) fn advance(draft: &mut Draft<'_>) {
    if draft.tcc.stage != Stage::Trying {
        return;
    }
    if draft.tcc.deadline <= draft.now {
        let span = draft.tcc.deadline.since(draft.tcc.began_at);
        draft.cancel(Failure::new(
            "DEADLINE_EXCEEDED",
            format!("not confirmed within {span}"),
        ));
        return;
    }
    for ix in 0..draft.tcc.branches.len() {
        let branch = &draft.tcc.branches[ix];
        let due = match branch.tried {
            Tried::Pending => true,
            Tried::Waiting { until } => until <= draft.now,
            _ => false,
        };
        if due && branch.registration.tried_by() == Some(TriedBy::Coordinator) {
            let attempt = branch.attempts.saturating_add(1);
            draft.record(Event::Called {
                branch: draft.tcc.branches[ix].registration.name.clone(),
                phase: Phase::Try,
                attempt,
            });
            draft.effects.extend(call(draft.tcc, ix));
        }
    }
}

/// Adds a branch, unless it is there.
pub(super) fn register(
    draft: &mut Draft<'_>,
    registration: Box<Registration>,
) -> Result<(), Rejected> {
    // After the decision also a repeated one is refused: its try must not be called any more.
    must_be_trying(draft.tcc)?;
    if draft.tcc.deadline <= draft.now {
        return Err(Rejected::DeadlinePassed);
    }
    if let Some(ix) = draft.tcc.position(registration.name.as_str()) {
        let known = &draft.tcc.branches[ix].registration;
        return match known.difference(&registration) {
            None => Ok(()),
            Some(difference) => Err(Rejected::BranchDiffers {
                branch: registration.name.to_string(),
                difference,
            }),
        };
    }
    if draft.tcc.branches.len() >= MAX_BRANCHES {
        return Err(Rejected::TooManyBranches);
    }
    if let Some(problem) = problem_of(draft.tcc, &registration) {
        return Err(Rejected::BranchInvalid(problem));
    }
    draft.record(Event::Registered(registration));
    Ok(())
}

/// Why a registration is no good, if it is not.
pub(super) fn problem_of(tcc: &Tcc, registration: &Registration) -> Option<String> {
    if registration.child() == Some(&tcc.gid) {
        return Some("a transaction cannot be a branch of itself".into());
    }
    let wrong = registration.check();
    let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

/// Hears from the caller what came of a try.
pub(super) fn report(draft: &mut Draft<'_>, name: &str, answer: Answer) -> Result<(), Rejected> {
    let ix = draft
        .tcc
        .position(name)
        .ok_or_else(|| Rejected::UnknownBranch(name.to_owned()))?;
    let run = &draft.tcc.branches[ix];
    if run.registration.tried_by() != Some(TriedBy::Caller) {
        return Err(Rejected::NotReportable(name.to_owned()));
    }
    if is_known(&run.tried, &answer) {
        return Ok(());
    }
    if !run.is_open() {
        return Err(Rejected::TryKnown(name.to_owned()));
    }
    must_be_trying(draft.tcc)?;
    let (branch, calls) = named(run);
    draft.record(match answer {
        Answer::Succeeded(output) => Event::TrySucceeded {
            branch,
            calls,
            output,
        },
        Answer::Refused(failure) => Event::TryRefused {
            branch,
            calls,
            failure,
        },
        Answer::Unknown(failure) => gave_up(draft, ix, calls, failure),
        Answer::InProgress { .. } => return Ok(()),
    });
    Ok(())
}

/// The report tells nothing new.
fn is_known(tried: &Tried, answer: &Answer) -> bool {
    match (tried, answer) {
        (Tried::Succeeded { output }, Answer::Succeeded(told)) => output == told,
        (Tried::Refused, Answer::Refused(_)) => true,
        (Tried::Pending, Answer::Unknown(_)) => false,
        // Who does not know cannot make unknown what is known.
        (_, Answer::Unknown(_) | Answer::InProgress { .. }) => true,
        _ => false,
    }
}

/// Takes the answer to a call of a try.
pub(super) fn answered(
    draft: &mut Draft<'_>,
    ix: BranchIx,
    attempt: u32,
    answer: Answer,
) -> Result<(), Rejected> {
    let run = &draft.tcc.branches[ix];
    let expected =
        draft.tcc.stage == Stage::Trying && run.tried == Tried::Calling && run.attempts == attempt;
    if !expected {
        return Err(Rejected::Stale);
    }
    let (branch, _) = named(run);
    let times = run.postponed.saturating_add(1);
    draft.record(match answer {
        Answer::Succeeded(output) => Event::TrySucceeded {
            branch,
            calls: attempt,
            output,
        },
        Answer::Refused(failure) => Event::TryRefused {
            branch,
            calls: attempt,
            failure,
        },
        Answer::Unknown(failure) => failed(draft, ix, attempt, failure),
        Answer::InProgress { retry_after } => Event::Postponed {
            branch,
            phase: Phase::Try,
            attempt,
            times,
            until: draft.now + postponement(retry_after),
        },
    });
    Ok(())
}

fn failed(draft: &Draft<'_>, ix: BranchIx, attempt: u32, failure: Failure) -> Event {
    let run = &draft.tcc.branches[ix];
    let retry = run.registration.retry;
    let counted = attempt.saturating_sub(run.forgiven);
    if counted >= retry.max_attempts {
        return gave_up(draft, ix, attempt, failure);
    }
    let who = (
        draft.tcc.gid.as_str(),
        run.registration.name.as_str(),
        Phase::Try,
    );
    Event::AttemptFailed {
        branch: run.registration.name.clone(),
        phase: Phase::Try,
        attempt,
        failure,
        retry_at: Some(draft.now + retry.backoff(counted, who)),
        stuck: false,
    }
}

/// The try stays unknown; the caller decides what that means.
fn gave_up(draft: &Draft<'_>, ix: BranchIx, attempt: u32, failure: Failure) -> Event {
    Event::AttemptFailed {
        branch: draft.tcc.branches[ix].registration.name.clone(),
        phase: Phase::Try,
        attempt,
        failure,
        retry_at: None,
        stuck: false,
    }
}

fn named(run: &Branch) -> (crate::id::StepName, u32) {
    (
        run.registration.name.clone(),
        run.attempts.saturating_add(1),
    )
}

pub(super) fn must_be_trying(tcc: &Tcc) -> Result<(), Rejected> {
    match (&tcc.stage, tcc.verdict()) {
        (Stage::Trying, _) => Ok(()),
        (_, Some(verdict)) => Err(Rejected::AlreadyDecided(verdict)),
        (Stage::Prepared { .. }, None) => Err(Rejected::DecidedByParent),
        (_, None) => Err(Rejected::Ended),
    }
}
