//! [`TccOutcome`]: how a TCC stands.

use amends_proto::v1::{StepState, Transaction, TransactionState};

use super::TccError;
use crate::ClientError;

/// How a TCC stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TccOutcome {
    /// Nothing is decided yet.
    Open,
    /// Its caller has confirmed; its parent decides.
    Prepared,
    /// It is decided that everything is confirmed, and that goes on.
    Confirming,
    /// Everything is confirmed.
    Confirmed,
    /// It is decided that everything is cancelled, and that goes on.
    Cancelling,
    /// Everything is cancelled.
    Cancelled,
    /// A branch needs a person. What was decided stays so, and the others go on.
    Stuck {
        /// Which branch and why.
        reason: String,
    },
    /// An operator ended it by hand.
    Forced,
}

impl TccOutcome {
    pub(super) fn of(transaction: &Transaction) -> Result<Self, ClientError> {
        let Some(summary) = &transaction.summary else {
            return Err(ClientError::unexpected("a TCC without its summary"));
        };
        Ok(match summary.state() {
            TransactionState::Running => Self::Open,
            TransactionState::Prepared => Self::Prepared,
            TransactionState::Confirming => Self::Confirming,
            TransactionState::Succeeded => Self::Confirmed,
            TransactionState::Compensating => Self::Cancelling,
            TransactionState::Compensated => Self::Cancelled,
            TransactionState::Forced => Self::Forced,
            TransactionState::Stuck => Self::Stuck {
                reason: stuck(transaction),
            },
            TransactionState::Unspecified => {
                let text = format!("a TCC in state {}", summary.state);
                return Err(ClientError::unexpected(text));
            }
        })
    }
}

fn stuck(transaction: &Transaction) -> String {
    let stuck = transaction.steps.iter();
    let stuck = stuck.filter(|step| step.state() == StepState::Stuck);
    let lines = stuck.map(|step| format!("branch `{}`: {}", step.name, step.stuck_reason));
    lines.collect::<Vec<_>>().join("; ")
}

/// Why it was cancelled.
pub(super) fn cancelled(gid: &str, transaction: &Transaction) -> TccError {
    let cause = transaction
        .summary
        .as_ref()
        .and_then(|summary| summary.cause.clone())
        .unwrap_or_default();
    let failure = cause.failure.unwrap_or_default();
    TccError::Cancelled {
        gid: gid.to_owned(),
        code: failure.code,
        message: failure.message,
    }
}
