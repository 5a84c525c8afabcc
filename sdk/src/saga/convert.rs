//! Small conversions from the SDK's types to those of the API.

use std::time::Duration;

use amends_proto::v1::{Payload, RetryPolicy};

use crate::step_ref::Retry;

/// The media type of everything the SDK writes itself.
pub(crate) const JSON: &str = "application/json";

pub(crate) fn json_payload(data: Vec<u8>) -> Payload {
    Payload {
        content_type: JSON.to_owned(),
        data: data.into(),
    }
}

/// `None` for a duration beyond what the API can say, which is longer than
/// any clock will run.
pub(crate) fn duration(duration: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(duration).ok()
}

pub(crate) fn retry(retry: Retry) -> RetryPolicy {
    RetryPolicy {
        max_attempts: retry.max_attempts,
        initial_backoff: duration(retry.initial_backoff),
        max_backoff: duration(retry.max_backoff),
        multiplier: retry.multiplier,
    }
}
