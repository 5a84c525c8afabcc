//! From the wire to the core, every field checked.

use std::time::Duration;

use amends_core::id::{Gid, check_name};
use amends_core::payload::Payload;
use amends_core::public_state::{Kind, PublicState};
use amends_core::retry::RetryPolicy;
use amends_core::saga::{
    CancelMessage, CompensateVia, CompiledSaga, Fencing, SagaDefinition, StepDefinition, StepKind,
};
use amends_core::time::{Millis, Timestamp};
use amends_proto::v1;
use tonic::Status;

use super::status::{invalid, violations};

/// Bound of one call where the definition names none.
pub(super) const DEFAULT_TIMEOUT: Millis = Millis::from_secs(10);
/// Rows of a page where the request names none.
const DEFAULT_PAGE: u32 = 100;
/// Longest text an operator can leave, in bytes.
const MAX_REASON_BYTES: usize = 2_048;

pub(super) fn gid(text: &str) -> Result<Gid, Status> {
    Gid::new(text).map_err(|bad| invalid("gid", "GID_INVALID", bad.to_string()))
}

/// Several ids, each once in a result, bounded.
pub(super) fn gids(texts: &[String]) -> Result<Vec<Gid>, Status> {
    const MAX_GIDS: usize = 1_000;
    if texts.is_empty() || texts.len() > MAX_GIDS {
        return Err(invalid(
            "gids",
            "COUNT_INVALID",
            format!("are {}, must be 1 to {MAX_GIDS}", texts.len()),
        ));
    }
    texts.iter().map(|text| gid(text)).collect()
}

pub(super) fn name(field: &str, text: &str) -> Result<(), Status> {
    check_name(text).map_err(|bad| invalid(field, "NAME_INVALID", bad.to_string()))
}

pub(super) fn reason(field: &str, text: &str) -> Result<String, Status> {
    if text.len() > MAX_REASON_BYTES {
        return Err(invalid(
            field,
            "TOO_LONG",
            format!(
                "is {} bytes long, at most {MAX_REASON_BYTES} are allowed",
                text.len()
            ),
        ));
    }
    Ok(text.to_owned())
}

pub(super) fn payload(
    field: &str,
    payload: Option<v1::Payload>,
    max_bytes: u64,
) -> Result<Option<Payload>, Status> {
    let Some(payload) = payload else {
        return Ok(None);
    };
    let size = payload.data.len() as u64;
    if size > max_bytes {
        return Err(invalid(
            field,
            "BODY_TOO_LARGE",
            format!("has {size} bytes, at most {max_bytes} are allowed"),
        ));
    }
    if payload.content_type.len() > 256 || !payload.content_type.is_ascii() {
        return Err(invalid(
            field,
            "CONTENT_TYPE_INVALID",
            "has a content type that is not ASCII or over 256 bytes long",
        ));
    }
    let payload = Payload::new(&payload.content_type, payload.data);
    if payload.is_json() && payload.to_value().is_none() {
        return Err(invalid(
            field,
            "BODY_INVALID",
            "is not well-formed JSON, though its content type says so",
        ));
    }
    Ok(Some(payload))
}

/// A span of time: not negative, rounded up to whole milliseconds.
pub(super) fn span(
    field: &str,
    duration: Option<prost_types::Duration>,
) -> Result<Option<Millis>, Status> {
    let Some(duration) = duration else {
        return Ok(None);
    };
    let duration = Duration::try_from(duration)
        .map_err(|_| invalid(field, "DURATION_INVALID", "must not be negative"))?;
    let millis = duration.as_nanos().div_ceil(1_000_000);
    Ok(Some(Millis(u64::try_from(millis).unwrap_or(u64::MAX))))
}

pub(super) fn timestamp(
    field: &str,
    time: Option<prost_types::Timestamp>,
) -> Result<Option<Timestamp>, Status> {
    let Some(time) = time else { return Ok(None) };
    let millis = time
        .seconds
        .checked_mul(1_000)
        .and_then(|ms| ms.checked_add(i64::from(time.nanos) / 1_000_000));
    millis
        .map(|ms| Some(Timestamp(ms)))
        .ok_or_else(|| invalid(field, "TIME_INVALID", "is out of range"))
}

pub(super) fn page_size(asked: u32) -> u32 {
    if asked == 0 {
        DEFAULT_PAGE
    } else {
        asked.min(crate::store::MAX_PAGE)
    }
}

pub(super) fn kind(kind: v1::TransactionKind) -> Option<Kind> {
    match kind {
        v1::TransactionKind::Saga => Some(Kind::Saga),
        v1::TransactionKind::Tcc => Some(Kind::Tcc),
        v1::TransactionKind::Live => Some(Kind::Live),
        v1::TransactionKind::Unspecified => None,
    }
}

pub(super) fn state(state: v1::TransactionState) -> Option<PublicState> {
    match state {
        v1::TransactionState::Running => Some(PublicState::Running),
        v1::TransactionState::Compensating => Some(PublicState::Compensating),
        v1::TransactionState::Succeeded => Some(PublicState::Succeeded),
        v1::TransactionState::Compensated => Some(PublicState::Compensated),
        v1::TransactionState::Stuck => Some(PublicState::Stuck),
        v1::TransactionState::Forced => Some(PublicState::Forced),
        v1::TransactionState::Prepared => Some(PublicState::Prepared),
        v1::TransactionState::Confirming => Some(PublicState::Confirming),
        v1::TransactionState::Unspecified => None,
    }
}

/// A definition, checked as a whole.
pub(super) fn definition(saga: v1::SagaDefinition, max_bytes: u64) -> Result<CompiledSaga, Status> {
    let mut steps = Vec::with_capacity(saga.steps.len());
    for (ix, step) in saga.steps.into_iter().enumerate() {
        steps.push(step_definition(ix, step, max_bytes)?);
    }
    let definition = SagaDefinition {
        name: saga.name,
        version: saga.version,
        description: saga.description,
        steps,
        deadline: span("deadline", saga.deadline)?,
        output: payload("output", saga.output, max_bytes)?,
        cancel_message: saga
            .cancel_message
            .map(|cancel| cancel_message(cancel, max_bytes))
            .transpose()?,
    };
    let compiled = CompiledSaga::compile(definition).map_err(|found| violations(&found))?;
    let size = compiled.json().len() as u64;
    if size > max_bytes {
        return Err(invalid(
            "definition",
            "BODY_TOO_LARGE",
            format!("has {size} bytes, at most {max_bytes} are allowed"),
        ));
    }
    Ok(compiled)
}

fn step_definition(
    ix: usize,
    step: v1::StepDefinition,
    max_bytes: u64,
) -> Result<StepDefinition, Status> {
    let field = |name: &str| format!("steps[{ix}].{name}");
    let kind = v1::StepKind::try_from(step.kind).map_err(|_| {
        invalid(
            &field("kind"),
            "ENUM_UNKNOWN",
            format!("{} is not a kind of step", step.kind),
        )
    })?;
    Ok(StepDefinition {
        name: step.name,
        compensation: (!step.compensation.is_empty()).then_some(step.compensation),
        after: step.after,
        kind: match kind {
            v1::StepKind::Unspecified | v1::StepKind::Compensable => StepKind::Compensable,
            v1::StepKind::Pivot => StepKind::Pivot,
            v1::StepKind::Retriable => StepKind::Retriable,
        },
        input: payload(&field("input"), step.input, max_bytes)?,
        timeout: span(&field("timeout"), step.timeout)?.unwrap_or(DEFAULT_TIMEOUT),
        retry: retry(&field("retry"), step.retry, RetryPolicy::STEP)?,
        undo_retry: retry(&field("undo_retry"), step.undo_retry, RetryPolicy::UNDO)?,
        fencing: fencing(&field("fencing"), step.fencing, &step.target)?,
        compensate_via: compensate_via(&field("compensate_via"), step.compensate_via)?,
        target: step.target,
    })
}

/// What a participant promises; where nothing is said, that goes by its kind.
pub(super) fn fencing(field: &str, number: i32, target: &str) -> Result<Fencing, Status> {
    let fencing = v1::Fencing::try_from(number).map_err(|_| {
        let message = format!("{number} is not a kind of fencing");
        invalid(field, "ENUM_UNKNOWN", message)
    })?;
    let has_no_log = target.starts_with("grpc://");
    Ok(match fencing {
        v1::Fencing::Unspecified if has_no_log => Fencing::None,
        v1::Fencing::Unspecified | v1::Fencing::ConsumerLog => Fencing::ConsumerLog,
        v1::Fencing::None => Fencing::None,
    })
}

/// How a compensation travels, where that is said.
pub(super) fn compensate_via(field: &str, number: i32) -> Result<Option<CompensateVia>, Status> {
    let via = v1::CompensateVia::try_from(number).map_err(|_| {
        let message = format!("{number} is not a way to compensate");
        invalid(field, "ENUM_UNKNOWN", message)
    })?;
    Ok(match via {
        v1::CompensateVia::Unspecified => None,
        v1::CompensateVia::Queue => Some(CompensateVia::Queue),
        v1::CompensateVia::Call => Some(CompensateVia::Call),
        v1::CompensateVia::Broadcast => Some(CompensateVia::Broadcast),
    })
}

fn cancel_message(cancel: v1::CancelMessage, max_bytes: u64) -> Result<CancelMessage, Status> {
    Ok(CancelMessage {
        topic: cancel.topic,
        tag: cancel.tag,
        key: payload("cancel_message.key", cancel.key, max_bytes)?,
    })
}

/// A retry policy; what is not set comes from `default`.
pub(super) fn retry(
    field: &str,
    policy: Option<v1::RetryPolicy>,
    default: RetryPolicy,
) -> Result<RetryPolicy, Status> {
    let Some(policy) = policy else {
        return Ok(default);
    };
    let initial = span(&format!("{field}.initial_backoff"), policy.initial_backoff)?
        .unwrap_or(default.initial_backoff);
    Ok(RetryPolicy {
        max_attempts: if policy.max_attempts == 0 {
            default.max_attempts
        } else {
            policy.max_attempts
        },
        initial_backoff: initial,
        max_backoff: span(&format!("{field}.max_backoff"), policy.max_backoff)?
            .unwrap_or(default.max_backoff.max(initial)),
        // Unset is zero on the wire; anything else must pass the definition's checks.
        multiplier: if policy.multiplier == 0.0 {
            default.multiplier
        } else {
            policy.multiplier
        },
    })
}
