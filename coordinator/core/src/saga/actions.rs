//! What an operator may do to a saga now, and why not.

use crate::id::StepName;

use super::decide::Rejected;
use super::state::{Direction, Forward, Saga, Undo};

/// An operator's action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Turn back.
    Cancel,
    /// Try again now.
    Retry,
    /// Declare a step undone.
    MarkUndone,
    /// End it by hand.
    Force,
}

/// An action with the reason why it is disabled, if it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailableAction {
    /// The action.
    pub action: Action,
    /// The step that it applies to, if to one.
    pub step: Option<StepName>,
    /// Why it would be rejected now.
    pub disabled: Option<Rejected>,
}

/// Every action with its reason. Marking undone is listed for the steps that
/// are being undone.
#[must_use]
pub fn available_actions(saga: &Saga) -> Vec<AvailableAction> {
    let whole = |action, check: Result<(), Rejected>| AvailableAction {
        action,
        step: None,
        disabled: check.err(),
    };
    let mut actions = vec![
        whole(Action::Cancel, may_cancel(saga)),
        whole(Action::Retry, may_retry(saga)),
        whole(Action::Force, may_force(saga)),
    ];
    for step in saga.definition.steps() {
        if may_mark_undone(saga, step.name.as_str()).is_ok() {
            actions.push(AvailableAction {
                action: Action::MarkUndone,
                step: Some(step.name.clone()),
                disabled: None,
            });
        }
    }
    actions
}

pub(super) fn may_cancel(saga: &Saga) -> Result<(), Rejected> {
    match saga.direction {
        Direction::Ended { .. } => return Err(Rejected::Ended),
        Direction::Back { .. } => return Err(Rejected::AlreadyTurnedBack),
        Direction::Forward => {}
    }
    if let Some(step) = saga.step_past_return() {
        return Err(Rejected::PastReturn(step.name.to_string()));
    }
    Ok(())
}

pub(super) fn may_retry(saga: &Saga) -> Result<(), Rejected> {
    may_force(saga)?;
    let waits = saga.steps.iter().any(|run| {
        matches!(run.forward, Forward::Waiting { .. }) || matches!(run.undo, Undo::Waiting { .. })
    });
    if waits {
        Ok(())
    } else {
        Err(Rejected::NothingWaits)
    }
}

pub(super) fn may_force(saga: &Saga) -> Result<(), Rejected> {
    if saga.is_ended() {
        Err(Rejected::Ended)
    } else {
        Ok(())
    }
}

pub(super) fn may_mark_undone(saga: &Saga, name: &str) -> Result<StepName, Rejected> {
    may_force(saga)?;
    let ix = saga
        .definition
        .position(name)
        .ok_or_else(|| Rejected::UnknownStep(name.to_owned()))?;
    match saga.steps[ix].undo {
        Undo::Calling | Undo::Waiting { .. } => Ok(saga.definition.steps()[ix].name.clone()),
        _ => Err(Rejected::NotBeingUndone(name.to_owned())),
    }
}

pub(super) fn needs_reason(reason: &str) -> Result<(), Rejected> {
    if reason.trim().is_empty() {
        Err(Rejected::ReasonMissing)
    } else {
        Ok(())
    }
}
