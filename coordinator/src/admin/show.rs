//! How times, states and payloads of the API are written for people.

use std::time::Duration;

use amends_proto::v1::{Cause, Failure, Payload};
use prost_types::Timestamp;

/// UTC in ISO form, always with milliseconds so that columns align; empty where there is none.
pub(super) fn time(time: Option<&Timestamp>) -> String {
    const NANOS_PER_MILLI: i32 = 1_000_000;
    time.map_or_else(String::new, |time| {
        let whole = Timestamp {
            seconds: time.seconds,
            nanos: 0,
        }
        .to_string();
        format!(
            "{}.{:03}Z",
            whole.trim_end_matches('Z'),
            time.nanos / NANOS_PER_MILLI
        )
    })
}

/// A length of time of the API; zero where there is none.
pub(super) fn length(time: Option<&prost_types::Duration>) -> Duration {
    time.and_then(|time| Duration::try_from(*time).ok())
        .unwrap_or_default()
}

/// Milliseconds, to the microsecond.
pub(super) fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// `340us`, `1.25ms`, `2.50s`: three digits are enough to compare by eye.
pub(super) fn span(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 999.5 {
        format!("{micros:.0}us")
    } else if micros < 999_995.0 {
        format!("{:.2}ms", micros / 1e3)
    } else {
        format!("{:.2}s", micros / 1e6)
    }
}

/// `TRANSACTION_STATE_RUNNING` as `RUNNING`.
pub(super) fn short(name: &'static str, prefix: &str) -> &'static str {
    name.strip_prefix(prefix).unwrap_or(name)
}

/// `shop.order v1`; a TCC has a name only.
pub(super) fn definition(name: &str, version: u32) -> String {
    match version {
        0 => name.to_owned(),
        version => format!("{name} v{version}"),
    }
}

/// `CODE: message`.
pub(super) fn failure(failure: &Failure) -> String {
    coded(&failure.code, &failure.message)
}

/// `CODE: message`, or the one that there is.
pub(super) fn coded(code: &str, message: &str) -> String {
    match (code, message) {
        ("", message) => message.to_owned(),
        (code, "") => code.to_owned(),
        (code, message) => format!("{code}: {message}"),
    }
}

/// `step: CODE: message`.
pub(super) fn cause(cause: &Cause) -> String {
    at_step(
        &cause.step,
        cause.failure.as_ref().map(failure).unwrap_or_default(),
    )
}

/// `step: text`; not every cause has a step.
pub(super) fn at_step(step: &str, text: String) -> String {
    if step.is_empty() {
        text
    } else {
        format!("{step}: {text}")
    }
}

/// JSON as it is; of anything else its type and size.
pub(super) fn payload(payload: &Payload) -> String {
    if is_json(payload) {
        return match payload.data.is_empty() {
            true => "null".to_owned(),
            false => String::from_utf8_lossy(&payload.data).into_owned(),
        };
    }
    format!("{} bytes of {}", payload.data.len(), payload.content_type)
}

/// Whether the body is JSON: the type says so, or says nothing.
pub(super) fn is_json(payload: &Payload) -> bool {
    let media_type = payload
        .content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    media_type.is_empty()
        || media_type.eq_ignore_ascii_case("application/json")
        || media_type.ends_with("+json")
}
