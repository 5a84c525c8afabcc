//! Why the engine did not do what was asked.

use std::time::Duration;

use amends_core::saga::Violation;

use crate::store::StoreError;

use super::transaction::Rejected;

/// By what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Too much at once: come back later.
    #[error("the coordinator has as many transactions under way as it takes")]
    Overloaded {
        /// When to come back.
        retry_after: Duration,
    },
    /// The id is taken by a transaction with other content.
    #[error("transaction {gid} exists already with another {difference}")]
    AlreadyExists {
        /// The id.
        gid: String,
        /// What differs, for example `definition`, `input` or `deadline`.
        difference: &'static str,
    },
    /// No such transaction.
    #[error("there is no transaction {0}")]
    NotFound(String),
    /// What is to begin breaks rules.
    #[error("it cannot begin: {}", listed(.0))]
    Invalid(Vec<Violation>),
    /// The transaction's state does not allow it.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// Its log cannot be replayed: a person has to look.
    #[error("the log of transaction {gid} cannot be replayed: {reason}")]
    Parked {
        /// The id.
        gid: String,
        /// Why.
        reason: String,
    },
    /// It belongs to another coordinator, or to one that just died: come back later.
    #[error("transaction {0} is not in the hands of this coordinator (yet)")]
    NotOwned(String),
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The coordinator is stopping.
    #[error("the coordinator is stopping")]
    Stopping,
}

fn listed(found: &[Violation]) -> String {
    let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

impl EngineError {
    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Overloaded { .. } => "OVERLOADED",
            Self::AlreadyExists { .. } => "GID_REUSED",
            Self::NotFound(_) => "TRANSACTION_NOT_FOUND",
            Self::Invalid(found) => found.first().map_or("INVALID", |first| first.code),
            Self::Rejected(rejected) => rejected.code(),
            Self::Parked { .. } => "LOG_CORRUPT",
            Self::NotOwned(_) => "NOT_OWNED",
            Self::Store(error) => error.code(),
            Self::Stopping => "STOPPING",
        }
    }
}
