//! The exit code that tells how a transaction ended.

use amends_proto::v1::{Transaction, TransactionState};

use crate::admin::exit::Exit;

/// How it ended. `None`: it has not.
pub(super) fn ended(transaction: &Transaction) -> Option<Exit> {
    match transaction.summary.as_ref()?.state() {
        TransactionState::Succeeded => Some(Exit::Done),
        TransactionState::Compensated => Some(Exit::Refused),
        TransactionState::Forced => Some(Exit::Failed),
        _ => None,
    }
}
