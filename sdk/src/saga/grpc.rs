//! Plain unary gRPC methods as steps: no SDK on the other side.

use amends_proto::v1::{CompensateVia as Via, Fencing, Payload, StepDefinition, StepKind};
use bytes::Bytes;
use serde_json::Value;

use super::builder::{NextStep, StepHandle};
use super::convert;
use super::expr::Expr;
use super::val::Val;
use super::via::CompensateVia;

/// What a plain gRPC method is sent, byte for byte.
#[derive(Clone, Debug)]
pub struct GrpcPayload(Body);

#[derive(Clone, Debug)]
enum Body {
    Bytes { content_type: String, data: Bytes },
    Json(Expr),
}

/// The answer of a plain gRPC method: bytes that the saga does not look into.
pub type Opaque = Value;

/// A plain gRPC step; it is added once it is said how it is undone.
#[derive(Debug)]
#[must_use = "say how it is undone: `.compensate_with(..)`, `.no_compensation()`, `.pivot()` or `.retriable()`"]
pub struct GrpcStep<'s> {
    next: NextStep<'s>,
    name: String,
    target: String,
    payload: GrpcPayload,
    kind: StepKind,
    fencing: Fencing,
}

impl GrpcPayload {
    /// An encoded protobuf message.
    pub fn protobuf(message: impl Into<Bytes>) -> Self {
        Self::bytes("application/protobuf", message)
    }

    /// Bytes with their media type.
    pub fn bytes(content_type: impl Into<String>, data: impl Into<Bytes>) -> Self {
        Self(Body::Bytes {
            content_type: content_type.into(),
            data: data.into(),
        })
    }
}

impl<T> From<Val<T>> for GrpcPayload {
    /// JSON, with references resolved when the step is called.
    fn from(value: Val<T>) -> Self {
        Self(Body::Json(value.expr().clone()))
    }
}

impl<'s> GrpcStep<'s> {
    pub(crate) fn new(next: NextStep<'s>, name: &str, target: &str, payload: GrpcPayload) -> Self {
        Self {
            next,
            name: name.to_owned(),
            target: target.to_owned(),
            payload,
            kind: StepKind::Compensable,
            fencing: Fencing::None,
        }
    }

    /// The method refuses a call that comes after its undo, so that the undo
    /// need not wait until no call can be under way.
    pub fn refuses_late_calls(mut self) -> Self {
        self.fencing = Fencing::ConsumerLog;
        self
    }

    /// Adds it; `target` undoes it and is sent the same payload.
    #[allow(clippy::must_use_candidate, reason = "a step need not be referred to")]
    pub fn compensate_with(self, target: &str) -> StepHandle<Opaque> {
        self.add(target)
    }

    /// Adds it; there is nothing to undo.
    #[allow(clippy::must_use_candidate, reason = "a step need not be referred to")]
    pub fn no_compensation(self) -> StepHandle<Opaque> {
        self.add("")
    }

    /// Adds it as the point of no return, which is never undone.
    #[allow(clippy::must_use_candidate, reason = "a step need not be referred to")]
    pub fn pivot(mut self) -> StepHandle<Opaque> {
        self.kind = StepKind::Pivot;
        self.add("")
    }

    /// Adds it behind the point of no return: retried without end, never undone.
    #[allow(clippy::must_use_candidate, reason = "a step need not be referred to")]
    pub fn retriable(mut self) -> StepHandle<Opaque> {
        self.kind = StepKind::Retriable;
        self.add("")
    }

    fn add(mut self, compensation: &str) -> StepHandle<Opaque> {
        let none = Expr::Value(Value::Null);
        let (input, after) = match self.payload.0 {
            Body::Bytes { content_type, data } => (
                Payload { content_type, data },
                self.next.predecessors(&none),
            ),
            Body::Json(expr) => {
                let place = format!("the payload of step `{}`", self.name);
                let data = self.next.saga.render(&place, &expr);
                (convert::json_payload(data), self.next.predecessors(&expr))
            }
        };
        let definition = StepDefinition {
            name: self.name,
            target: self.target,
            compensation: compensation.to_owned(),
            after,
            kind: self.kind.into(),
            input: Some(input),
            timeout: self.next.timeout.and_then(convert::duration),
            retry: self.next.retry.map(convert::retry),
            undo_retry: self.next.undo_retry.map(convert::retry),
            fencing: self.fencing.into(),
            compensate_via: self
                .next
                .via
                .map_or(Via::Unspecified, CompensateVia::to_proto)
                .into(),
        };
        self.next.saga.add(definition)
    }
}
