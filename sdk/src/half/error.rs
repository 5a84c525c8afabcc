//! [`HalfError`]: why a half message was not sent.

use crate::{BoxError, ClientError, StepError};

/// Why the messages are not, or may not be, on their way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HalfError {
    /// The local work refused, with [`reject!`](crate::reject). Nothing
    /// happened, and nothing will be delivered.
    #[error("refused: {code}: {message}")]
    Refused {
        /// Stable code.
        code: String,
        /// For people.
        message: String,
    },
    /// The local work or its transaction failed. Nothing happened, and nothing
    /// will be delivered. Trying again takes another half id.
    #[error("the local transaction failed")]
    Failed(#[source] BoxError),
    /// The messages could not be prepared. Nothing happened here. Where the
    /// coordinator may have prepared them, it finds that out.
    #[error("the messages cannot be prepared")]
    NotPrepared(#[source] ClientError),
    /// The same half id has committed before, or a person decided so, and its
    /// messages are on their way. This call changed nothing.
    #[error("the local transaction of half id `{half_id}` has committed before")]
    Repeated {
        /// The half id.
        half_id: String,
    },
    /// It was decided before that the half id is rolled back: a check came
    /// first, an attempt before had failed, or a person decided. Nothing
    /// happened; trying again takes another half id.
    #[error("half id `{half_id}` was rolled back before its local transaction")]
    RolledBack {
        /// The half id.
        half_id: String,
    },
    /// The local transaction has committed, but the messages will not be
    /// delivered: a person, or a check of the service's own, had decided otherwise.
    #[error("half id `{half_id}` committed here, but was decided otherwise: {source}")]
    DecidedOtherwise {
        /// The half id.
        half_id: String,
        /// What the coordinator says.
        source: ClientError,
    },
    /// Whether it happened is not known: the connection was lost during the
    /// commit and did not come back, or the work outside of the database gave
    /// no answer. A check will find out, and deliver accordingly.
    #[error("the outcome of half id `{half_id}` is not known yet")]
    Unknown {
        /// The half id.
        half_id: String,
        /// What went wrong.
        #[source]
        source: BoxError,
    },
}

impl HalfError {
    /// What local work answered when it did not succeed.
    pub(super) fn of_work(error: StepError) -> Self {
        match error {
            StepError::Refused { code, message } => Self::Refused { code, message },
            StepError::Unknown(error) => Self::Failed(error),
            StepError::InProgress { .. } => Self::Failed(error.to_string().into()),
        }
    }

    pub(super) fn unknown(half_id: &str, error: StepError) -> Self {
        let half_id = half_id.to_owned();
        let source = match error {
            StepError::Unknown(source) => source,
            other => other.to_string().into(),
        };
        Self::Unknown { half_id, source }
    }
}
