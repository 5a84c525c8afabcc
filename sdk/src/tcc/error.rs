//! [`TccError`]: why a TCC was not confirmed.

use crate::{BoxError, ClientError, StepError};

/// Why a TCC is not, or may not be, confirmed.
///
/// Returned by [`NewTcc::run`](super::NewTcc::run), all but `Confirmed`, `Forced` and
/// `Undecided` mean that everything is cancelled, or will be: by this call, or
/// by the deadline where the coordinator could not be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TccError {
    /// A try said no, or the closure did with [`reject!`](crate::reject).
    #[error("refused{}: {code}: {message}", by(branch))]
    Refused {
        /// The branch whose try it was; empty for the closure's own.
        branch: String,
        /// Stable code.
        code: String,
        /// For people.
        message: String,
    },
    /// Whether a try holds something is not known: all its attempts failed, or
    /// its answer did not come before the deadline.
    #[error("the try of branch `{branch}` has no known outcome: {message}")]
    Unknown {
        /// The branch.
        branch: String,
        /// What went wrong last.
        message: String,
    },
    /// The closure failed.
    #[error("the work within the TCC failed")]
    Failed(#[source] BoxError),
    /// It was cancelled by somebody else: the deadline, an operator, the
    /// parent, or another call with the same key.
    #[error("TCC `{gid}` was cancelled: {code}: {message}")]
    Cancelled {
        /// Which one.
        gid: String,
        /// Stable code, for example `DEADLINE_EXCEEDED`.
        code: String,
        /// For people.
        message: String,
    },
    /// An operator ended it by hand: what its branches hold, or have done, is for
    /// people to look at.
    #[error("TCC `{gid}` was ended by an operator")]
    Forced {
        /// Which one.
        gid: String,
    },
    /// It is confirmed, but not by this call: another one with the same key
    /// came first. What this call did changed nothing.
    #[error("TCC `{gid}` was confirmed before")]
    Confirmed {
        /// Which one.
        gid: String,
    },
    /// The coordinator was asked to confirm, and did not answer in time. It is
    /// confirmed or will be cancelled by its deadline; the same key again tells which.
    #[error("whether TCC `{gid}` is confirmed is not known yet")]
    Undecided {
        /// Which one.
        gid: String,
        /// Why there is no answer.
        #[source]
        source: ClientError,
    },
    /// The coordinator said no, or could not be reached.
    #[error(transparent)]
    Coordinator(#[from] ClientError),
}

impl TccError {
    /// What a closure answered when it did not succeed. Errors of this type
    /// come back as they went in.
    pub(super) fn of_work(error: StepError) -> Self {
        match error {
            StepError::Refused { code, message } => Self::Refused {
                branch: String::new(),
                code,
                message,
            },
            StepError::Unknown(error) => match error.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => Self::Failed(other),
            },
            StepError::InProgress { .. } => Self::Failed(error.to_string().into()),
        }
    }

    /// What the coordinator says of a TCC that was decided by somebody else. One
    /// that has ended may have ended either way: [`Tcc`](super::Tcc) looks.
    pub(super) fn of_client(gid: &str, error: ClientError) -> Self {
        let gid = gid.to_owned();
        match (error.reason(), &error) {
            ("ALREADY_CONFIRMED", _) => Self::Confirmed { gid },
            (
                code @ ("ALREADY_CANCELLED" | "DEADLINE_PASSED" | "TRANSACTION_ENDED"),
                ClientError::Refused { message, .. },
            ) => Self::Cancelled {
                gid,
                code: code.to_owned(),
                message: message.clone(),
            },
            _ => Self::Coordinator(error),
        }
    }
}

fn by(branch: &str) -> String {
    match branch {
        "" => String::new(),
        branch => format!(" by branch `{branch}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StepResult;

    #[test]
    fn errors_of_a_closure_come_back_as_they_went_in() {
        let check = |done: StepResult<()>, expected: &str| {
            let error = done.map_err(TccError::of_work).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        let lost = || -> Result<(), TccError> {
            Err(TccError::Refused {
                branch: "payer".into(),
                code: "NO_MONEY".into(),
                message: "none".into(),
            })
        };
        check(
            (|| Ok(lost()?))(),
            "refused by branch `payer`: NO_MONEY: none",
        );
        check((|| crate::reject!("NO", "{}", 1))(), "refused: NO: 1");
        check(
            Err(StepError::unknown("broken")),
            "the work within the TCC failed",
        );
    }

    #[test]
    fn decisions_of_others_are_told_apart() {
        let check = |reason: &str, expected: &str| {
            let refused = ClientError::Refused {
                reason: reason.into(),
                message: "text".into(),
            };
            assert_eq!(TccError::of_client("g", refused).to_string(), expected);
        };
        check("ALREADY_CONFIRMED", "TCC `g` was confirmed before");
        check(
            "ALREADY_CANCELLED",
            "TCC `g` was cancelled: ALREADY_CANCELLED: text",
        );
        check("TRIES_OPEN", "not possible now: TRIES_OPEN: text");
    }
}
