//! After the decision: confirm all or cancel all, together, until it is done.

use crate::answer::{Answer, Failure};
use crate::log::Settlement;
use crate::retry::postponement;

use super::decide::{Draft, Rejected};
use super::effect::call;
use super::record::{Event, Phase, Verdict};
use super::state::{Branch, BranchIx, Settle, Stage};

/// Does everything that is due after the decision.
pub(super) fn advance(draft: &mut Draft<'_>) {
    let Stage::Settling(decided) = &draft.tcc.stage else {
        return;
    };
    let verdict = decided.verdict;
    for ix in 0..draft.tcc.branches.len() {
        let branch = &draft.tcc.branches[ix];
        let due = match branch.settle {
            Settle::Pending => true,
            Settle::Waiting { until } => until <= draft.now,
            _ => false,
        };
        if due {
            let attempt = branch.settle_attempts.saturating_add(1);
            draft.record(Event::Called {
                branch: draft.tcc.branches[ix].registration.name.clone(),
                phase: verdict.phase(),
                attempt,
            });
            draft.effects.extend(call(draft.tcc, ix));
        }
    }
    if draft.tcc.branches.iter().all(Branch::is_settled) {
        draft.record(match verdict {
            Verdict::Confirm => Event::Succeeded,
            Verdict::Cancel => Event::Compensated,
        });
        draft.finish();
    }
}

/// Takes the answer to a confirm or a cancel.
pub(super) fn answered(
    draft: &mut Draft<'_>,
    ix: BranchIx,
    phase: Phase,
    attempt: u32,
    answer: Answer,
) -> Result<(), Rejected> {
    let run = &draft.tcc.branches[ix];
    let expected = draft.tcc.verdict().map(Verdict::phase) == Some(phase)
        && run.settle == Settle::Calling
        && run.settle_attempts == attempt;
    if !expected {
        return Err(Rejected::Stale);
    }
    let branch = run.registration.name.clone();
    let times = run.postponed.saturating_add(1);
    draft.record(match answer {
        Answer::Succeeded(_) => Event::Settled {
            branch,
            calls: attempt,
            settlement: Settlement::Called,
        },
        // It had promised. Calling again would hide that; somebody has to look.
        Answer::Refused(failure) => Event::AttemptFailed {
            branch,
            phase,
            attempt,
            failure,
            retry_at: None,
            stuck: true,
        },
        Answer::Unknown(failure) => failed(draft, ix, phase, attempt, failure),
        Answer::InProgress { retry_after } => Event::Postponed {
            branch,
            phase,
            attempt,
            times,
            until: draft.now + postponement(retry_after),
        },
    });
    Ok(())
}

/// Never given up: once the budget is used up, slow retries go on.
fn failed(draft: &Draft<'_>, ix: BranchIx, phase: Phase, attempt: u32, failure: Failure) -> Event {
    let run = &draft.tcc.branches[ix];
    let retry = run.registration.settle_retry;
    let who = (
        draft.tcc.gid.as_str(),
        run.registration.name.as_str(),
        phase,
    );
    let counted = attempt.saturating_sub(run.settle_forgiven);
    let in_budget = counted < retry.max_attempts;
    let wait = if in_budget {
        retry.backoff(counted, who)
    } else {
        retry.slow_backoff(attempt, who)
    };
    Event::AttemptFailed {
        branch: run.registration.name.clone(),
        phase,
        attempt,
        failure,
        retry_at: Some(draft.now + wait),
        stuck: !in_budget && run.stuck.is_none(),
    }
}
