//! What has to happen outside, and what must be durable before it may.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::answer::Failure;
use crate::dag::StepIx;
use crate::id::{RecordNo, StepName};
use crate::message::{Tag, Topic};
use crate::payload::Payload;
use crate::reference::Root;
use crate::target::Target;
use crate::time::{Millis, Timestamp};

use super::definition::{Body, CompensateVia, Fencing, StepKind};
use super::record::Phase;
use super::state::{Direction, Forward, Saga, Undo};

/// Something to do outside, once the log is durable up to `after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Tell the caller that the saga is accepted.
    Accept {
        /// Durable first.
        after: RecordNo,
    },
    /// Call a participant and bring back its answer.
    Call {
        /// Durable first.
        after: RecordNo,
        /// The call.
        call: Call,
    },
    /// Come back with a wake-up at this time; replaces any earlier one.
    Wake {
        /// When.
        at: Timestamp,
    },
    /// Tell everybody who waits that the saga has ended, and forget it.
    Finish {
        /// Durable first.
        after: RecordNo,
    },
}

/// One call of a participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Position of the step.
    pub step: StepIx,
    /// Its name, which is also the branch.
    pub name: StepName,
    /// Which call.
    pub phase: Phase,
    /// Which attempt, from 1 on.
    pub attempt: u32,
    /// Where to.
    pub target: Arc<Target>,
    /// Bound of the call.
    pub timeout: Millis,
    /// The step's input, references resolved.
    pub input: Payload,
    /// For undo: what the step had answered, where that is known.
    pub output: Option<Payload>,
    /// How it travels.
    pub via: Via,
}

/// How a call travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// As a call.
    Call,
    /// As a message to the service.
    Queue,
    /// As part of this message to all services.
    Broadcast(Arc<Broadcast>),
}

/// A message that carries several calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broadcast {
    /// Its topic.
    pub topic: Topic,
    /// Its tag.
    pub tag: Tag,
    /// Its key.
    pub key: String,
    /// All calls that travel with it; each of them says [`Via::Call`].
    pub calls: Vec<Call>,
}

/// Shortest bound of a call that travels as a message: not reported within it,
/// the message is published again.
pub const REPORT_TIMEOUT: Millis = Millis::from_secs(30);

/// Everything that must be in flight in this state.
#[must_use]
pub fn pending_effects(saga: &Saga) -> Vec<Effect> {
    if saga.is_ended() {
        return vec![Effect::Finish {
            after: saga.last_record,
        }];
    }
    let mut effects = Vec::new();
    for ix in 0..saga.steps.len() {
        let run = &saga.steps[ix];
        match run.undo {
            Undo::Calling => effects.extend(call_undo(saga, ix)),
            // Once the undo has begun, the answer of the step is not heard.
            Undo::Waiting { .. } | Undo::Done(_) => {}
            Undo::NotNeeded | Undo::Pending if run.forward == Forward::Calling => {
                effects.extend(call_do(saga, ix).ok());
            }
            Undo::NotNeeded | Undo::Pending => {}
        }
    }
    broadcast(saga, &mut effects);
    effects.extend(next_wake(saga).map(|at| Effect::Wake { at }));
    effects
}

/// When the saga wants to be woken if nothing happens before.
#[must_use]
pub fn next_wake(saga: &Saga) -> Option<Timestamp> {
    let waits = match saga.direction {
        Direction::Forward => forward_waits(saga),
        Direction::Back { .. } => undo_waits(saga),
        Direction::Ended { .. } => Vec::new(),
    };
    waits.into_iter().min()
}

fn forward_waits(saga: &Saga) -> Vec<Timestamp> {
    let deadline = saga.deadline.filter(|_| !saga.is_past_return());
    let waits = saga.steps.iter().filter_map(|run| match run.forward {
        Forward::Waiting { until } => Some(until),
        _ => None,
    });
    let lease = saga.live.as_ref().map(|live| live.lease_until);
    waits.chain(deadline).chain(lease).collect()
}

fn undo_waits(saga: &Saga) -> Vec<Timestamp> {
    let waits = saga
        .steps
        .iter()
        .enumerate()
        .filter_map(|(ix, run)| match run.undo {
            Undo::Waiting { until } => Some(until),
            Undo::Pending if is_undo_in_order(saga, ix) && must_be_quiet(saga, ix) => {
                Some(run.quiet_at)
            }
            _ => None,
        });
    waits.collect()
}

/// All later steps are undone or need no undo. The whole way down: a step
/// that needs no undo may have others behind it that do. What is compensated by
/// broadcast knows no order.
pub(super) fn is_undo_in_order(saga: &Saga, ix: StepIx) -> bool {
    if saga.definition.steps()[ix].compensate_via == CompensateVia::Broadcast {
        return true; // One message tells all at once.
    }
    let dag = saga.definition.dag();
    let mut steps = saga.steps.iter().enumerate();
    steps.all(|(later, run)| run.is_settled() || !dag.is_ancestor(ix, later))
}

/// A call that nobody waits for any more may still be under way, and the
/// participant would not refuse it after the undo. A later success of the step
/// does not change that: it was another call.
pub(super) fn must_be_quiet(saga: &Saga, ix: StepIx) -> bool {
    let run = &saga.steps[ix];
    saga.definition.steps()[ix].fencing == Fencing::None
        && run.forward != Forward::Calling
        && run.quiet_at > Timestamp::default()
}

/// The call that a step in flight stands for.
pub(super) fn call_do(saga: &Saga, ix: StepIx) -> Result<Effect, Failure> {
    let step = &saga.definition.steps()[ix];
    let input = resolve(saga, &step.input)?;
    let consumed = step
        .consumes
        .iter()
        .map(|&earlier| saga.steps[earlier].recorded)
        .max()
        .unwrap_or_default();
    let after = match step.kind {
        // Until it has a result, the step of a live saga names the record that brought it.
        StepKind::Compensable => consumed.max(saga.steps[ix].recorded).max(RecordNo(1)),
        // What cannot be taken back must not rest on what could be forgotten.
        StepKind::Pivot | StepKind::Retriable => saga.last_record,
    };
    let call = Call {
        step: ix,
        name: step.name.clone(),
        phase: Phase::Do,
        attempt: saga.steps[ix].attempts,
        target: step.target.clone(),
        timeout: step.timeout,
        input,
        output: None,
        via: Via::Call,
    };
    Ok(Effect::Call { after, call })
}

/// The call that an undo in flight stands for.
pub(super) fn call_undo(saga: &Saga, ix: StepIx) -> Option<Effect> {
    let step = &saga.definition.steps()[ix];
    let run = &saga.steps[ix];
    let Direction::Back { decided, .. } = saga.direction else {
        return None;
    };
    let output = match &run.forward {
        Forward::Succeeded { output } => Some(output.clone()),
        _ => None,
    };
    let call = Call {
        step: ix,
        name: step.name.clone(),
        phase: Phase::Undo,
        attempt: run.undo_attempts,
        target: step.compensation.clone()?,
        timeout: match step.compensate_via {
            CompensateVia::Call => step.timeout,
            CompensateVia::Queue | CompensateVia::Broadcast => step.timeout.max(REPORT_TIMEOUT),
        },
        // A step whose input names nothing was never called, so it is never undone.
        input: resolve(saga, &step.input).unwrap_or_else(|_| Payload::null()),
        output,
        via: match step.compensate_via {
            // What is broadcast is put together by `broadcast`.
            CompensateVia::Call | CompensateVia::Broadcast => Via::Call,
            CompensateVia::Queue => Via::Queue,
        },
    };
    Some(Effect::Call {
        after: decided.max(run.recorded),
        call,
    })
}

/// Puts the undo calls that are broadcast into one message.
pub(super) fn broadcast(saga: &Saga, effects: &mut [Effect]) {
    let Some(cancel) = saga.definition.cancel() else {
        return;
    };
    let is_broadcast = |call: &Call| {
        call.phase == Phase::Undo
            && saga.definition.steps()[call.step].compensate_via == CompensateVia::Broadcast
    };
    let calls = effects.iter().filter_map(|effect| match effect {
        Effect::Call { call, .. } if is_broadcast(call) => Some(call.clone()),
        _ => None,
    });
    let calls: Vec<Call> = calls.collect();
    if calls.is_empty() {
        return;
    }
    let key = cancel.key.as_ref().and_then(|key| resolve(saga, key).ok());
    let key = key.and_then(|key| match key.to_value() {
        Some(Value::String(text)) => Some(text),
        Some(Value::Null) | None => None,
        Some(value) => Some(value.to_string()),
    });
    let message = Arc::new(Broadcast {
        topic: cancel.topic.clone(),
        tag: cancel.tag.clone(),
        key: key.unwrap_or_else(|| saga.gid.as_str().to_owned()),
        calls,
    });
    for effect in effects {
        if let Effect::Call { call, .. } = effect
            && is_broadcast(call)
        {
            call.via = Via::Broadcast(Arc::clone(&message));
        }
    }
}

/// Puts values where references stand.
pub(super) fn resolve(saga: &Saga, body: &Body) -> Result<Payload, Failure> {
    let template = match body {
        Body::SagaInput => return Ok(saga.input.clone()),
        Body::Fixed(payload) => return Ok(payload.clone()),
        Body::Template(template) => template,
    };
    let value = template
        .resolve(&|root| json_of(saga, root))
        .map_err(|error| Failure::new("REFERENCE_UNRESOLVED", error.to_string()))?;
    Ok(Payload::json(&value))
}

/// The JSON text that paths of this root begin at.
fn json_of(saga: &Saga, root: &Root) -> Option<Bytes> {
    let payload = match root {
        Root::Input => &saga.input,
        Root::Gid => return Some(Value::from(saga.gid.as_str()).to_string().into()),
        Root::Step(name) => match &saga.steps[saga.definition.position(name)?].forward {
            Forward::Succeeded { output } => output,
            _ => return None,
        },
    };
    payload.is_json().then(|| payload.data().clone())
}
