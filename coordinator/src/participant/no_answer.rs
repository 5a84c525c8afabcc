//! Why a call brought no answer: each reason with a stable code.

use std::error::Error as _;
use std::time::Duration;

use amends_core::answer::{Answer, Failure};
use tonic::{Code, Status};

use super::allow::AddressError;
use super::pool::MAX_INLINE_TARGETS;
use super::unary::TOO_LARGE;

/// What tonic's server says when its own timer of the call was first.
const TIMER_OF_THE_SERVER: &str = "Timeout expired";

/// Nothing came back, or something that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("no live instance of service {0:?} is registered")]
    NoInstance(String),
    #[error("{0} gave no answers lately and is left alone for a moment")]
    CircuitOpen(String),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("more than {MAX_INLINE_TARGETS} addresses are called directly")]
    TooManyTargets,
    #[error("{address} was busy for {timeout:?}: the call was not made")]
    Queue { address: String, timeout: Duration },
    #[error("{address} gave no answer within {timeout:?}")]
    Timeout { address: String, timeout: Duration },
    #[error("the answer of {address} is larger than {limit} bytes")]
    TooLarge { address: String, limit: usize },
    #[error("the answer is neither succeeded nor refused nor in progress")]
    Protocol,
    #[error("{0:?} cannot be sent as a content type")]
    ContentType(String),
    #[error("{0:?} cannot be sent as a method path")]
    Path(String),
    #[error("{address}: {message}")]
    Status {
        address: String,
        code: Code,
        message: String,
    },
}

/// The settings of the call that a gRPC status came back from.
pub(super) struct Sent<'a> {
    pub(super) address: &'a str,
    pub(super) timeout: Duration,
    pub(super) max_response_bytes: usize,
}

impl NoAnswer {
    /// What a gRPC error stands for.
    pub(super) fn of_status(status: &Status, sent: &Sent<'_>) -> Self {
        let address = sent.address.to_owned();
        if is_timeout(status) {
            let timeout = sent.timeout;
            return Self::Timeout { address, timeout };
        }
        if status.code() == Code::OutOfRange && status.message() == TOO_LARGE {
            let limit = sent.max_response_bytes;
            return Self::TooLarge { address, limit };
        }
        Self::Status {
            address,
            code: status.code(),
            message: with_sources(status),
        }
    }

    /// Stable code.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NoInstance(_) => "NO_INSTANCE",
            Self::CircuitOpen(_) => "CIRCUIT_OPEN",
            Self::Address(error) => error.code(),
            Self::TooManyTargets => "TOO_MANY_TARGETS",
            Self::Queue { .. } | Self::Timeout { .. } => "TIMEOUT",
            Self::TooLarge { .. } => "RESPONSE_TOO_LARGE",
            Self::Protocol => "PROTOCOL",
            Self::ContentType(_) => "CONTENT_TYPE_INVALID",
            Self::Path(_) => "PATH_INVALID",
            Self::Status { code, .. } => name_of(*code),
        }
    }
}

impl From<NoAnswer> for Answer {
    fn from(reason: NoAnswer) -> Self {
        Self::Unknown(Failure::new(reason.code(), reason.to_string()))
    }
}

/// Whether a gRPC error says that the target itself cannot be reached, as
/// opposed to: it answered with an error.
pub(super) fn is_silence(status: &Status) -> bool {
    // Only what this side made of a broken connection has a source.
    status.source().is_some() || status.code() == Code::Unavailable || is_timeout(status)
}

/// Two timers watch one call: the participant's and our own. Which is first is
/// chance, so both mean the same.
fn is_timeout(status: &Status) -> bool {
    let expired_there = status.code() == Code::Cancelled && status.message() == TIMER_OF_THE_SERVER;
    expired_there || status.code() == Code::DeadlineExceeded
}

fn sources(status: &Status) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(status.source(), |&error| error.source())
}

/// The message with everything behind it, without repetitions.
fn with_sources(status: &Status) -> String {
    let mut text = status.message().to_owned();
    for source in sources(status) {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
    }
    text
}

/// The name of a code as the gRPC specification writes it.
fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
