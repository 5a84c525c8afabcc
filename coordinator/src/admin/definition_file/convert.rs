//! A definition file to and from the API's messages.

use std::time::Duration;

use amends_proto::v1::{
    self as api, CancelMessage, CompensateVia, Fencing, RetryPolicy, SagaDefinition,
    StepDefinition, StepKind,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{
    CancelFile, DefinitionFile, FencingFile, KindFile, RetryFile, Span, StepFile, ViaFile,
};
use crate::admin::show::is_json;

/// The API's defaults for the parts of a retry policy that a file leaves out.
const STEP_RETRY: RetryDefaults = RetryDefaults {
    max_attempts: 8,
    max_backoff: Duration::from_secs(10),
};
const UNDO_RETRY: RetryDefaults = RetryDefaults {
    max_attempts: 16,
    max_backoff: Duration::from_secs(60),
};
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);
const MULTIPLIER: f64 = 2.0;

/// A body that is not JSON is written as an object with these two keys.
const CONTENT_TYPE_KEY: &str = "$content_type";
const BASE64_KEY: &str = "$base64";

struct RetryDefaults {
    max_attempts: u32,
    max_backoff: Duration,
}

impl DefinitionFile {
    /// As the API sends it.
    #[must_use]
    pub fn to_proto(&self) -> SagaDefinition {
        SagaDefinition {
            name: self.name.clone(),
            version: self.version,
            steps: self.steps.iter().map(StepFile::to_proto).collect(),
            deadline: self.deadline.map(Span::to_proto),
            output: self.output.as_ref().map(payload),
            description: self.description.clone(),
            cancel_message: self.cancel_message.as_ref().map(CancelFile::to_proto),
        }
    }

    /// As people read it.
    #[must_use]
    pub fn from_proto(saga: &SagaDefinition) -> Self {
        Self {
            name: saga.name.clone(),
            version: saga.version,
            description: saga.description.clone(),
            deadline: saga.deadline.as_ref().map(Span::from_proto),
            steps: saga.steps.iter().map(StepFile::from_proto).collect(),
            output: saga.output.as_ref().map(value),
            cancel_message: saga.cancel_message.as_ref().map(CancelFile::from_proto),
        }
    }
}

impl StepFile {
    fn to_proto(&self) -> StepDefinition {
        let kind = match self.kind {
            None => StepKind::Unspecified,
            Some(KindFile::Compensable) => StepKind::Compensable,
            Some(KindFile::Pivot) => StepKind::Pivot,
            Some(KindFile::Retriable) => StepKind::Retriable,
        };
        let fencing = match self.fencing {
            None => Fencing::Unspecified,
            Some(FencingFile::ConsumerLog) => Fencing::ConsumerLog,
            Some(FencingFile::None) => Fencing::None,
        };
        let via = match self.compensate_via {
            None => CompensateVia::Unspecified,
            Some(ViaFile::Queue) => CompensateVia::Queue,
            Some(ViaFile::Call) => CompensateVia::Call,
            Some(ViaFile::Broadcast) => CompensateVia::Broadcast,
        };
        StepDefinition {
            name: self.name.clone(),
            target: self.target.clone(),
            compensation: self.compensation.clone(),
            after: self.after.clone(),
            kind: kind.into(),
            input: self.input.as_ref().map(payload),
            timeout: self.timeout.map(Span::to_proto),
            retry: self.retry.as_ref().map(|retry| retry.to_proto(&STEP_RETRY)),
            undo_retry: self
                .undo_retry
                .as_ref()
                .map(|retry| retry.to_proto(&UNDO_RETRY)),
            fencing: fencing.into(),
            compensate_via: via.into(),
        }
    }

    fn from_proto(step: &StepDefinition) -> Self {
        Self {
            name: step.name.clone(),
            target: step.target.clone(),
            compensation: step.compensation.clone(),
            after: step.after.clone(),
            kind: match step.kind() {
                StepKind::Unspecified => None,
                StepKind::Compensable => Some(KindFile::Compensable),
                StepKind::Pivot => Some(KindFile::Pivot),
                StepKind::Retriable => Some(KindFile::Retriable),
            },
            input: step.input.as_ref().map(value),
            timeout: step.timeout.as_ref().map(Span::from_proto),
            retry: step.retry.as_ref().map(RetryFile::from_proto),
            undo_retry: step.undo_retry.as_ref().map(RetryFile::from_proto),
            fencing: match step.fencing() {
                Fencing::Unspecified => None,
                Fencing::ConsumerLog => Some(FencingFile::ConsumerLog),
                Fencing::None => Some(FencingFile::None),
            },
            compensate_via: match step.compensate_via() {
                CompensateVia::Unspecified => None,
                CompensateVia::Queue => Some(ViaFile::Queue),
                CompensateVia::Call => Some(ViaFile::Call),
                CompensateVia::Broadcast => Some(ViaFile::Broadcast),
            },
        }
    }
}

impl CancelFile {
    fn to_proto(&self) -> CancelMessage {
        CancelMessage {
            topic: self.topic.clone(),
            tag: self.tag.clone(),
            key: self.key.as_ref().map(payload),
        }
    }

    fn from_proto(cancel: &CancelMessage) -> Self {
        Self {
            topic: cancel.topic.clone(),
            tag: cancel.tag.clone(),
            key: cancel.key.as_ref().map(value),
        }
    }
}

impl RetryFile {
    fn to_proto(&self, defaults: &RetryDefaults) -> RetryPolicy {
        let span = |span: Option<Span>, default| Some(span.unwrap_or(Span(default)).to_proto());
        RetryPolicy {
            max_attempts: self.max_attempts.unwrap_or(defaults.max_attempts),
            initial_backoff: span(self.initial_backoff, INITIAL_BACKOFF),
            max_backoff: span(self.max_backoff, defaults.max_backoff),
            multiplier: self.multiplier.unwrap_or(MULTIPLIER),
        }
    }

    fn from_proto(policy: &RetryPolicy) -> Self {
        Self {
            max_attempts: Some(policy.max_attempts),
            initial_backoff: policy.initial_backoff.as_ref().map(Span::from_proto),
            max_backoff: policy.max_backoff.as_ref().map(Span::from_proto),
            multiplier: Some(policy.multiplier),
        }
    }
}

impl Span {
    /// A time too long for the API becomes its longest.
    pub(in crate::admin) fn to_proto(self) -> prost_types::Duration {
        const MAX_SECONDS: i64 = 315_576_000_000;
        prost_types::Duration::try_from(self.0).unwrap_or(prost_types::Duration {
            seconds: MAX_SECONDS,
            nanos: 0,
        })
    }

    /// A negative time, which no coordinator stores, becomes zero.
    fn from_proto(time: &prost_types::Duration) -> Self {
        Self(Duration::try_from(*time).unwrap_or_default())
    }
}

fn payload(value: &Value) -> api::Payload {
    let field = |key| value.get(key).and_then(Value::as_str);
    if let (Some(content_type), Some(data)) = (field(CONTENT_TYPE_KEY), field(BASE64_KEY))
        && let Ok(data) = STANDARD.decode(data)
    {
        return api::Payload {
            content_type: content_type.to_owned(),
            data: data.into(),
        };
    }
    api::Payload {
        content_type: "application/json".to_owned(),
        data: value.to_string().into(),
    }
}

fn value(payload: &api::Payload) -> Value {
    if is_json(payload) {
        let text = if payload.data.is_empty() {
            &b"null"[..]
        } else {
            &payload.data[..]
        };
        if let Ok(value) = serde_json::from_slice(text) {
            return value;
        }
    }
    serde_json::json!({ CONTENT_TYPE_KEY: payload.content_type, BASE64_KEY: STANDARD.encode(&payload.data) })
}
