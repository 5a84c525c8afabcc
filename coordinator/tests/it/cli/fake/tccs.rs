//! The pretended TCCs.

use amends_proto::v1::available_action::Action;
use amends_proto::v1::*;

use super::transactions::{action, base, record, step};
use super::{at, failure, json, transactions};

pub(super) fn summary(gid: &str, state: TransactionState) -> TransactionSummary {
    TransactionSummary {
        kind: TransactionKind::Tcc.into(),
        definition: "shop.pay".to_owned(),
        version: 0,
        ..transactions::summary(gid, state)
    }
}

/// One confirm was refused, one is done, one goes to a child.
pub(super) fn stuck() -> Transaction {
    let confirmed = Step {
        output: json(r#"{"frozen":100}"#),
        undo_attempts: 1,
        ..step("balance", StepState::Confirmed)
    };
    let refused = Step {
        undo_attempts: 1,
        stuck_reason: "NO_ACCOUNT: closed meanwhile".to_owned(),
        last_failure: failure("NO_ACCOUNT", "closed meanwhile"),
        ..step("coupon", StepState::Stuck)
    };
    let nested = Step {
        target: String::new(),
        attempts: 0,
        undo_attempts: 2,
        child_gid: "pay-points".to_owned(),
        next_attempt_time: at(60, 0),
        ..step("points", StepState::ConfirmWaiting)
    };
    Transaction {
        summary: Some(summary("pay", TransactionState::Stuck)),
        definition_hash: String::new(),
        input: None,
        steps: vec![confirmed, refused, nested],
        deadline: at(60, 0),
        decision: TccDecision::Confirm.into(),
        available_actions: vec![
            action(
                Action::Cancel,
                "",
                "the transaction is being confirmed already",
            ),
            action(Action::Retry, "", ""),
            action(Action::Force, "", ""),
            action(Action::MarkDone, "coupon", ""),
        ],
        ..base("pay", TransactionState::Stuck)
    }
}

/// The child of its third branch.
pub(super) fn nested() -> Transaction {
    Transaction {
        summary: Some(summary("pay-points", TransactionState::Prepared)),
        definition_hash: String::new(),
        input: None,
        steps: vec![step("points", StepState::Succeeded)],
        parent: Some(TccParent {
            gid: "pay".to_owned(),
            branch: "points".to_owned(),
        }),
        ..base("pay-points", TransactionState::Prepared)
    }
}

pub(super) fn records() -> Vec<TransactionRecord> {
    vec![
        record(
            1,
            0,
            "TCC_BEGAN",
            "",
            "accepted; cancelled unless confirmed within 60s",
        ),
        record(2, 3, "REGISTERED", "balance", "balance registered"),
        record(3, 9, "TRY_SUCCEEDED", "balance", "try balance succeeded"),
        record(4, 12, "CONFIRM_DECIDED", "", ""),
    ]
}
