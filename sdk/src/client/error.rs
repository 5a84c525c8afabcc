//! [`ClientError`]: what went wrong, sorted by what the caller can do.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::access::AccessError;
use crate::message::MessageError;
use crate::saga::DefinitionError;

/// Why a call of the coordinator did not succeed.
///
/// `reason` is the coordinator's stable code, for example `GID_CONFLICT`;
/// empty where it gave none. Messages are for people and may change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The saga is not well defined: change the code.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The request can never be accepted as it is: change it.
    #[error("the request is invalid: {}{message}", prefix(reason))]
    Invalid {
        /// Stable code.
        reason: String,
        /// For people.
        message: String,
        /// The fields at fault, where they are known.
        fields: Vec<FieldViolation>,
    },
    /// It exists with other content: use another id, or find out who used this one.
    #[error("it exists with other content: {}{message}", prefix(reason))]
    Conflict {
        /// Stable code.
        reason: String,
        /// What differs.
        message: String,
    },
    /// There is no such transaction or definition.
    #[error("not found: {}{message}", prefix(reason))]
    NotFound {
        /// Stable code.
        reason: String,
        /// For people.
        message: String,
    },
    /// Its state does not allow this, or no longer.
    #[error("not possible now: {}{message}", prefix(reason))]
    Refused {
        /// Stable code.
        reason: String,
        /// For people.
        message: String,
    },
    /// The coordinator does not let this caller do that.
    #[error("not allowed: {}{message}", prefix(reason))]
    Denied {
        /// Stable code.
        reason: String,
        /// For people.
        message: String,
    },
    /// The coordinator could not be reached, or was too busy, for as long as
    /// the caller wanted to try. What was asked may have happened; asking
    /// again with the same id is safe.
    #[error("the coordinator is not available: {}{message}", prefix(reason))]
    Unavailable {
        /// Stable code.
        reason: String,
        /// For people.
        message: String,
        /// When to try again, where the coordinator said so.
        retry_after: Option<Duration>,
    },
    /// Data does not fit its type: the input has no JSON form, or the output
    /// is none of the type that was asked for.
    #[error("{what} does not fit")]
    Data {
        /// Which data, and for which type.
        what: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// No connection can be made with this address, token and certificates:
    /// change the configuration.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// An answer that this client does not understand: report it.
    #[error("unexpected answer: {message}")]
    Unexpected {
        /// For people.
        message: String,
    },
}

/// A field that made a request invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

impl ClientError {
    /// The coordinator's stable code; empty where there is none.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Invalid { reason, .. }
            | Self::Conflict { reason, .. }
            | Self::NotFound { reason, .. }
            | Self::Refused { reason, .. }
            | Self::Denied { reason, .. }
            | Self::Unavailable { reason, .. } => reason,
            Self::Definition(_) | Self::Data { .. } | Self::Access(_) | Self::Unexpected { .. } => {
                ""
            }
        }
    }

    /// Whether the same call, made again later, may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    pub(crate) fn unexpected(message: impl Into<String>) -> Self {
        Self::Unexpected {
            message: message.into(),
        }
    }
}

impl From<MessageError> for ClientError {
    fn from(error: MessageError) -> Self {
        let message = error.to_string();
        match error {
            MessageError::Body { body, source } => Self::Data {
                what: format!("the body, a `{body}`,"),
                source,
            },
            MessageError::Field { field, rule } => Self::Invalid {
                reason: "MESSAGE_INVALID".to_owned(),
                message,
                fields: vec![FieldViolation {
                    field: field.replace(' ', "_"),
                    description: rule,
                }],
            },
        }
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let reason = details
            .error_info()
            .map(|info| info.reason.clone())
            .unwrap_or_default();
        let message = status.message().to_owned();
        if is_transient(&status) {
            return Self::Unavailable {
                reason,
                message,
                retry_after: retry_after(&status),
            };
        }
        match status.code() {
            Code::InvalidArgument | Code::OutOfRange => {
                let fields = details.bad_request().map(|bad| &bad.field_violations);
                let fields = fields
                    .into_iter()
                    .flatten()
                    .map(|violation| FieldViolation {
                        field: violation.field.clone(),
                        description: violation.description.clone(),
                    });
                Self::Invalid {
                    reason,
                    message,
                    fields: fields.collect(),
                }
            }
            Code::AlreadyExists => Self::Conflict { reason, message },
            Code::NotFound => Self::NotFound { reason, message },
            Code::FailedPrecondition | Code::Aborted => Self::Refused { reason, message },
            Code::PermissionDenied | Code::Unauthenticated => Self::Denied { reason, message },
            code => Self::Unexpected {
                message: format!("{code:?}: {message}"),
            },
        }
    }
}

/// Whether trying again soon is likely to help.
///
/// A status with a source was made on this side of the connection, out of a
/// transport error, whatever its code says.
pub(crate) fn is_transient(status: &Status) -> bool {
    use std::error::Error;
    match status.code() {
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Cancelled => {
            true
        }
        Code::Unknown | Code::Internal => status.source().is_some(),
        _ => false,
    }
}

/// The wait that the server asks for.
pub(crate) fn retry_after(status: &Status) -> Option<Duration> {
    status
        .get_details_retry_info()
        .and_then(|info| info.retry_delay)
}

fn prefix(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!("{reason}: ")
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn sorted_by_what_to_do() {
        let check = |code: Code, expected: &str| {
            let mut details = ErrorDetails::new();
            details.set_error_info("THE_REASON", "amends", std::collections::HashMap::new());
            let status = Status::with_error_details(code, "text", details);
            let error = ClientError::from(status);
            assert_eq!(error.to_string(), expected);
        };
        check(
            Code::InvalidArgument,
            "the request is invalid: THE_REASON: text",
        );
        check(
            Code::AlreadyExists,
            "it exists with other content: THE_REASON: text",
        );
        check(Code::NotFound, "not found: THE_REASON: text");
        check(
            Code::FailedPrecondition,
            "not possible now: THE_REASON: text",
        );
        check(Code::PermissionDenied, "not allowed: THE_REASON: text");
        check(
            Code::Unavailable,
            "the coordinator is not available: THE_REASON: text",
        );
        check(Code::DataLoss, "unexpected answer: DataLoss: text");
    }

    #[test]
    fn garbage_details_are_no_panic() {
        let status = Status::with_details(
            Code::NotFound,
            "gone",
            bytes::Bytes::from_static(b"\xff\xff"),
        );
        assert_eq!(ClientError::from(status).to_string(), "not found: gone");
    }
}
