//! TCCs from the core to the wire.

use amends_core::tcc::{
    Action, Branch, Settle, Stage, Tcc, Tried, Verdict, Work, available_actions,
};
use amends_proto::v1;
use v1::StepState;

use super::show::{failure, payload, state, timestamp};

/// A TCC with everything known about it, except who runs it.
pub(super) fn transaction(tcc: &Tcc) -> v1::Transaction {
    let finished = match tcc.stage() {
        Stage::Ended { at, .. } => Some(timestamp(*at)),
        _ => None,
    };
    v1::Transaction {
        summary: Some(v1::TransactionSummary {
            gid: tcc.gid().to_string(),
            kind: v1::TransactionKind::Tcc.into(),
            state: state(tcc.public_state()).into(),
            definition: tcc.name().to_owned(),
            version: 0,
            create_time: Some(timestamp(tcc.began_at())),
            update_time: Some(timestamp(tcc.updated_at())),
            finish_time: finished,
            cause: tcc.cause().map(|cause| v1::Cause {
                step: String::new(),
                failure: Some(failure(cause)),
            }),
        }),
        steps: branches(tcc),
        deadline: Some(timestamp(tcc.deadline())),
        available_actions: actions(tcc),
        record_count: tcc.last_record().0,
        generation: tcc.generation().0,
        decision: match verdict(tcc) {
            None => v1::TccDecision::Unspecified,
            Some(Verdict::Confirm) => v1::TccDecision::Confirm,
            Some(Verdict::Cancel) => v1::TccDecision::Cancel,
        }
        .into(),
        parent: tcc.parent().map(|parent| v1::TccParent {
            gid: parent.gid.to_string(),
            branch: parent.branch.to_string(),
        }),
        ..v1::Transaction::default()
    }
}

/// One branch; `None`: there is none of this name.
pub(super) fn branch(tcc: &Tcc, name: &str) -> Option<v1::Step> {
    let ix = tcc.position(name)?;
    Some(shown(&tcc.branches()[ix], verdict(tcc)))
}

fn branches(tcc: &Tcc) -> Vec<v1::Step> {
    let verdict = verdict(tcc);
    let branches = tcc.branches().iter();
    branches.map(|branch| shown(branch, verdict)).collect()
}

fn verdict(tcc: &Tcc) -> Option<Verdict> {
    tcc.decided().map(|decided| decided.verdict)
}

fn shown(branch: &Branch, verdict: Option<Verdict>) -> v1::Step {
    let registration = &branch.registration;
    let next_attempt = match (&branch.tried, &branch.settle) {
        (_, Settle::Waiting { until }) | (Tried::Waiting { until }, _) => Some(timestamp(*until)),
        _ => None,
    };
    let (target, child_gid) = match &registration.work {
        Work::Participant { r#try, .. } => (r#try.to_string(), String::new()),
        Work::Nested { gid } => (String::new(), gid.to_string()),
    };
    v1::Step {
        name: registration.name.to_string(),
        state: branch_state(branch, verdict).into(),
        attempts: branch.attempts,
        undo_attempts: branch.settle_attempts,
        output: match &branch.tried {
            Tried::Succeeded { output } => Some(payload(output)),
            _ => None,
        },
        last_failure: branch.last_failure.as_ref().map(failure),
        next_attempt_time: next_attempt,
        stuck_reason: branch
            .stuck
            .as_ref()
            .map(|why| format!("{}: {}", why.code, why.message))
            .unwrap_or_default(),
        after: Vec::new(),
        target,
        child_gid,
    }
}

fn branch_state(branch: &Branch, verdict: Option<Verdict>) -> StepState {
    if branch.stuck.is_some() {
        return StepState::Stuck;
    }
    let confirms = verdict == Some(Verdict::Confirm);
    let either = |confirm, cancel| if confirms { confirm } else { cancel };
    match (&branch.settle, &branch.tried) {
        (Settle::Pending | Settle::Calling, _) => {
            either(StepState::Confirming, StepState::Cancelling)
        }
        (Settle::Waiting { .. } | Settle::Held, _) => {
            either(StepState::ConfirmWaiting, StepState::CancelWaiting)
        }
        (Settle::Done(_), _) => either(StepState::Confirmed, StepState::Cancelled),
        (Settle::NotNeeded, Tried::Pending) => StepState::Pending,
        (Settle::NotNeeded, Tried::Calling) => StepState::Running,
        (Settle::NotNeeded, Tried::Waiting { .. }) => StepState::Waiting,
        (Settle::NotNeeded, Tried::Succeeded { .. }) => StepState::Succeeded,
        (Settle::NotNeeded, Tried::Refused) => StepState::Refused,
        (Settle::NotNeeded, Tried::Unknown) => StepState::Unknown,
    }
}

fn actions(tcc: &Tcc) -> Vec<v1::AvailableAction> {
    let actions = available_actions(tcc).into_iter();
    let shown = actions.map(|available| v1::AvailableAction {
        action: match available.action {
            Action::Cancel => v1::available_action::Action::Cancel,
            Action::Retry => v1::available_action::Action::Retry,
            Action::MarkDone => v1::available_action::Action::MarkDone,
            Action::Force => v1::available_action::Action::Force,
        }
        .into(),
        step: available
            .branch
            .map(|branch| branch.to_string())
            .unwrap_or_default(),
        enabled: available.disabled.is_none(),
        disabled_reason: available
            .disabled
            .map(|why| why.to_string())
            .unwrap_or_default(),
    });
    shown.collect()
}
