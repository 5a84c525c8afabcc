//! Names of the API's enums without their prefix.

use amends_proto::v1::available_action::Action;
use amends_proto::v1::{StepState, TccDecision, Transaction, TransactionKind, TransactionState};

use super::show::short;

/// `RUNNING`.
pub(super) fn state(state: TransactionState) -> &'static str {
    short(state.as_str_name(), "TRANSACTION_STATE_")
}

/// `UNDO_WAITING`.
pub(super) fn step_state(state: StepState) -> &'static str {
    short(state.as_str_name(), "STEP_STATE_")
}

/// `MARK_UNDONE`.
pub(super) fn action_name(action: Action) -> &'static str {
    short(action.as_str_name(), "ACTION_")
}

/// `TCC`.
pub(super) fn kind(kind: TransactionKind) -> &'static str {
    short(kind.as_str_name(), "TRANSACTION_KIND_")
}

/// `CONFIRM`; none before a TCC's decision, and for what decides nothing.
pub(super) fn decision(transaction: &Transaction) -> Option<&'static str> {
    match transaction.decision() {
        TccDecision::Unspecified => None,
        decided => Some(short(decided.as_str_name(), "TCC_DECISION_")),
    }
}
