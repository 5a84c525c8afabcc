//! What an operator may do to a TCC now, and why not.

use crate::id::StepName;

use super::decide::Rejected;
use super::state::{Ask, BranchIx, Settle, Stage, Tcc, Tried};
use super::trying::must_be_trying;

/// An operator's action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Cancel all.
    Cancel,
    /// Try again now.
    Retry,
    /// Declare a branch confirmed or cancelled, as was decided.
    MarkDone,
    /// End it by hand.
    Force,
}

/// An action with the reason why it is disabled, if it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailableAction {
    /// The action.
    pub action: Action,
    /// The branch that it applies to, if to one.
    pub branch: Option<StepName>,
    /// Why it would be rejected now.
    pub disabled: Option<Rejected>,
}

/// Every action with its reason. Marking done is listed for the branches that
/// are being confirmed or cancelled.
#[must_use]
pub fn available_actions(tcc: &Tcc) -> Vec<AvailableAction> {
    let whole = |action, check: Result<(), Rejected>| AvailableAction {
        action,
        branch: None,
        disabled: check.err(),
    };
    let mut actions = vec![
        whole(Action::Cancel, may_cancel(tcc)),
        whole(Action::Retry, may_retry(tcc)),
        whole(Action::Force, may_force(tcc)),
    ];
    for branch in &tcc.branches {
        let name = &branch.registration.name;
        if may_mark_done(tcc, name.as_str()).is_ok() {
            actions.push(AvailableAction {
                action: Action::MarkDone,
                branch: Some(name.clone()),
                disabled: None,
            });
        }
    }
    actions
}

pub(super) fn may_cancel(tcc: &Tcc) -> Result<(), Rejected> {
    may_force(tcc)?;
    must_be_trying(tcc)
}

pub(super) fn may_retry(tcc: &Tcc) -> Result<(), Rejected> {
    may_force(tcc)?;
    let asks = matches!(
        tcc.stage,
        Stage::Prepared {
            ask: Ask::Waiting { .. },
            ..
        }
    );
    let waits = tcc.branches.iter().any(|branch| {
        matches!(branch.tried, Tried::Waiting { .. })
            || matches!(branch.settle, Settle::Waiting { .. } | Settle::Held)
    });
    if waits || asks {
        Ok(())
    } else {
        Err(Rejected::NothingWaits)
    }
}

pub(super) fn may_force(tcc: &Tcc) -> Result<(), Rejected> {
    if tcc.is_ended() {
        Err(Rejected::Ended)
    } else {
        Ok(())
    }
}

pub(super) fn may_mark_done(tcc: &Tcc, name: &str) -> Result<BranchIx, Rejected> {
    may_force(tcc)?;
    let ix = tcc
        .position(name)
        .ok_or_else(|| Rejected::UnknownBranch(name.to_owned()))?;
    match tcc.branches[ix].settle {
        Settle::Calling | Settle::Waiting { .. } | Settle::Held => Ok(ix),
        Settle::NotNeeded | Settle::Pending | Settle::Done(_) => {
            Err(Rejected::NotBeingSettled(name.to_owned()))
        }
    }
}

pub(super) fn needs_reason(reason: &str) -> Result<(), Rejected> {
    if reason.trim().is_empty() {
        Err(Rejected::ReasonMissing)
    } else {
        Ok(())
    }
}
