//! Errors as clients see them: a gRPC code, a message, and typed details with a stable reason.

use std::time::Duration;

use amends_core::saga::Violation;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::engine::EngineError;
use crate::store::StoreError;

/// The domain of every reason.
pub(super) const DOMAIN: &str = "amends";
/// When to come back after a passing trouble.
pub(super) const RETRY_SOON: Duration = Duration::from_millis(500);
/// Most violations listed in one answer.
const MAX_VIOLATIONS: usize = 100;

/// An error with a stable reason.
pub(super) fn status(code: Code, reason: &str, message: impl Into<String>) -> Status {
    with_details(code, reason, message, ErrorDetails::new())
}

/// One wrong field of a request.
pub(super) fn invalid(field: &str, reason: &str, message: impl Into<String>) -> Status {
    let message = message.into();
    let mut details = ErrorDetails::new();
    details.add_bad_request_violation(field, &message);
    with_details(
        Code::InvalidArgument,
        reason,
        format!("{field} {message}"),
        details,
    )
}

/// Every broken rule of a definition.
pub(super) fn violations(found: &[Violation]) -> Status {
    let listed = found.iter().take(MAX_VIOLATIONS);
    let fields =
        listed.map(|v| FieldViolation::new(v.field.clone(), format!("{} [{}]", v.message, v.code)));
    let mut details = ErrorDetails::new();
    details.set_bad_request(fields.collect::<Vec<_>>());
    let reason = found.first().map_or("INVALID", |first| first.code);
    let texts: Vec<_> = found
        .iter()
        .take(MAX_VIOLATIONS)
        .map(ToString::to_string)
        .collect();
    with_details(
        Code::InvalidArgument,
        reason,
        format!("the request is not valid: {}", texts.join("; ")),
        details,
    )
}

impl From<EngineError> for Status {
    fn from(error: EngineError) -> Self {
        let reason = error.code();
        let message = error.to_string();
        let (code, retry) = match error {
            EngineError::Overloaded { retry_after } => (Code::ResourceExhausted, Some(retry_after)),
            EngineError::AlreadyExists { .. } => (Code::AlreadyExists, None),
            EngineError::NotFound(_) => (Code::NotFound, None),
            EngineError::Invalid(found) => return violations(&found),
            EngineError::Rejected(_) => (Code::FailedPrecondition, None),
            EngineError::Parked { .. } => (Code::DataLoss, None),
            EngineError::NotOwned(_) | EngineError::Stopping => {
                (Code::Unavailable, Some(RETRY_SOON))
            }
            EngineError::Store(error) => return store_error(&error),
        };
        let mut details = ErrorDetails::new();
        if let Some(delay) = retry {
            details.set_retry_info(Some(delay));
        }
        with_details(code, reason, message, details)
    }
}

/// An error of the store. What the driver says goes to the log, not to the client.
pub(super) fn store_error(error: &StoreError) -> Status {
    let mut details = ErrorDetails::new();
    let (code, reason) = match error {
        StoreError::Unavailable(source) => {
            tracing::error!(%source, "the store is not available");
            details.set_retry_info(Some(RETRY_SOON));
            (Code::Unavailable, "STORE_UNAVAILABLE")
        }
        StoreError::Unusable { code, .. } => (Code::Internal, *code),
        StoreError::Corrupt(_) => (Code::DataLoss, "STORE_CORRUPT"),
    };
    with_details(code, reason, error.to_string(), details)
}

pub(super) fn with_details(
    code: Code,
    reason: &str,
    message: impl Into<String>,
    mut details: ErrorDetails,
) -> Status {
    details.set_error_info(
        reason,
        DOMAIN,
        std::collections::HashMap::<String, String>::new(),
    );
    Status::with_error_details(code, message, details)
}
