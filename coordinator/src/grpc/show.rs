//! From the core to the wire.

use amends_core::answer::Failure;
use amends_core::payload::Payload;
use amends_core::public_state::{Kind, PublicState};
use amends_core::retry::RetryPolicy;
use amends_core::saga::{
    Action, Cause, CompensateVia, CompiledSaga, Direction, Fencing, Forward, Live, Outcome, Saga,
    SagaDefinition, StepDefinition, StepKind, StepRun, Undo, available_actions,
};
use amends_core::time::Millis;
use amends_proto::v1;

use crate::engine::{Transaction, View};
pub(super) use crate::messages::timestamp;
use crate::store::{Incarnation, Listed, Stored, StoredDefinition, Summary};

use super::show_tcc;

pub(super) fn span(span: Millis) -> prost_types::Duration {
    let nanos = span.0 % 1_000 * 1_000_000;
    prost_types::Duration {
        seconds: i64::try_from(span.0 / 1_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(nanos).unwrap_or(0),
    }
}

pub(super) fn payload(payload: &Payload) -> v1::Payload {
    v1::Payload {
        content_type: payload.content_type().to_owned(),
        data: payload.data().clone(),
    }
}

pub(super) fn failure(failure: &Failure) -> v1::Failure {
    v1::Failure {
        code: failure.code.clone(),
        message: failure.message.clone(),
    }
}

fn kind(kind: Kind) -> v1::TransactionKind {
    match kind {
        Kind::Saga => v1::TransactionKind::Saga,
        Kind::Tcc => v1::TransactionKind::Tcc,
        Kind::Live => v1::TransactionKind::Live,
    }
}

pub(super) fn state(state: PublicState) -> v1::TransactionState {
    match state {
        PublicState::Prepared => v1::TransactionState::Prepared,
        PublicState::Confirming => v1::TransactionState::Confirming,
        PublicState::Running => v1::TransactionState::Running,
        PublicState::Compensating => v1::TransactionState::Compensating,
        PublicState::Succeeded => v1::TransactionState::Succeeded,
        PublicState::Compensated => v1::TransactionState::Compensated,
        PublicState::Stuck => v1::TransactionState::Stuck,
        PublicState::Forced => v1::TransactionState::Forced,
    }
}

/// A transaction with everything known about it.
pub(super) fn transaction(view: &View, here: &Incarnation) -> v1::Transaction {
    let shown = match view.transaction.as_ref() {
        Transaction::Saga(saga) => saga_transaction(saga),
        Transaction::Tcc(tcc) => show_tcc::transaction(tcc),
    };
    v1::Transaction {
        owner: view.foreign_owner.as_ref().unwrap_or(here).0.clone(),
        ..shown
    }
}

fn saga_transaction(saga: &Saga) -> v1::Transaction {
    let definition = saga.definition().definition();
    let (finish_time, output) = match saga.direction() {
        Direction::Ended { at, outcome, .. } => (Some(timestamp(*at)), succeeded_output(outcome)),
        _ => (None, None),
    };
    v1::Transaction {
        summary: Some(v1::TransactionSummary {
            gid: saga.gid().to_string(),
            kind: kind(saga.live().map_or(Kind::Saga, |_| Kind::Live)).into(),
            state: state(saga.public_state()).into(),
            definition: definition.name.clone(),
            version: definition.version,
            create_time: Some(timestamp(saga.began_at())),
            update_time: Some(timestamp(saga.updated_at())),
            finish_time,
            cause: saga.cause().map(cause),
        }),
        definition_hash: saga.definition().hash().0.to_string(),
        input: saga.live().is_none().then(|| payload(saga.input())),
        output,
        steps: steps(saga),
        deadline: saga.deadline().map(timestamp),
        available_actions: actions(saga),
        record_count: saga.last_record().0,
        generation: saga.generation().0,
        live: saga.live().map(live),
        ..v1::Transaction::default()
    }
}

fn live(live: &Live) -> v1::LiveSaga {
    v1::LiveSaga {
        key: live.key().to_owned(),
        caller: live.caller().to_owned(),
        lease: Some(span(live.lease())),
        lease_expire_time: Some(timestamp(live.lease_until())),
    }
}

/// One step of a saga; `None`: there is none of this name.
pub(super) fn step_of(saga: &Saga, name: &str) -> Option<v1::Step> {
    let ix = saga.definition().position(name)?;
    let definition = &saga.definition().definition().steps[ix];
    Some(step(definition, &saga.steps()[ix]))
}

/// A transaction of which only the summary can be read.
pub(super) fn parked(stored: &Stored, reason: &str) -> v1::Transaction {
    let mut summary = summary(&Listed {
        gid: stored.gid.clone(),
        summary: stored.summary.clone(),
    });
    summary.state = v1::TransactionState::Stuck.into();
    summary.cause = Some(v1::Cause {
        step: String::new(),
        failure: Some(v1::Failure {
            code: "LOG_CORRUPT".into(),
            message: reason.into(),
        }),
    });
    v1::Transaction {
        summary: Some(summary),
        definition_hash: stored
            .summary
            .definition
            .as_ref()
            .map(|hash| hash.0.to_string())
            .unwrap_or_default(),
        record_count: stored.last.0,
        owner: stored.owner.0.clone(),
        generation: stored.generation.0,
        ..v1::Transaction::default()
    }
}

pub(super) fn summary(listed: &Listed) -> v1::TransactionSummary {
    let Summary {
        kind: what,
        state: public,
        definition_name,
        definition_version,
        cause,
        created_at,
        updated_at,
        finished_at,
        ..
    } = &listed.summary;
    v1::TransactionSummary {
        gid: listed.gid.to_string(),
        kind: kind(*what).into(),
        state: state(*public).into(),
        definition: definition_name.clone(),
        version: *definition_version,
        create_time: Some(timestamp(*created_at)),
        update_time: Some(timestamp(*updated_at)),
        finish_time: finished_at.map(timestamp),
        cause: cause.as_ref().map(|cause| v1::Cause {
            step: cause.step.clone().unwrap_or_default(),
            failure: Some(v1::Failure {
                code: cause.code.clone(),
                message: cause.message.clone(),
            }),
        }),
    }
}

pub(super) fn definition(stored: &StoredDefinition, compiled: &CompiledSaga) -> v1::Definition {
    v1::Definition {
        saga: Some(saga_definition(compiled.definition())),
        hash: stored.hash.0.to_string(),
        create_time: Some(timestamp(stored.registered_at.unwrap_or(stored.created_at))),
    }
}

fn succeeded_output(outcome: &Outcome) -> Option<v1::Payload> {
    match outcome {
        Outcome::Succeeded { output } => Some(payload(output)),
        _ => None,
    }
}

fn cause(cause: &Cause) -> v1::Cause {
    v1::Cause {
        step: cause
            .step
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        failure: Some(failure(&cause.failure)),
    }
}

fn steps(saga: &Saga) -> Vec<v1::Step> {
    let written = &saga.definition().definition().steps;
    written
        .iter()
        .zip(saga.steps())
        .map(|(definition, run)| step(definition, run))
        .collect()
}

fn step(definition: &StepDefinition, run: &StepRun) -> v1::Step {
    let next_attempt = match (&run.forward, &run.undo) {
        (_, Undo::Waiting { until }) | (Forward::Waiting { until }, _) => Some(timestamp(*until)),
        _ => None,
    };
    v1::Step {
        name: definition.name.clone(),
        state: step_state(run).into(),
        attempts: run.attempts,
        undo_attempts: run.undo_attempts,
        output: match &run.forward {
            Forward::Succeeded { output } => Some(payload(output)),
            _ => None,
        },
        last_failure: run.last_failure.as_ref().map(failure),
        next_attempt_time: next_attempt,
        stuck_reason: run
            .stuck
            .as_ref()
            .map(|why| format!("{}: {}", why.code, why.message))
            .unwrap_or_default(),
        after: definition.after.clone(),
        target: definition.target.clone(),
        child_gid: String::new(),
    }
}

fn step_state(run: &StepRun) -> v1::StepState {
    if run.stuck.is_some() {
        return v1::StepState::Stuck;
    }
    match (&run.undo, &run.forward) {
        (Undo::Pending, _) => v1::StepState::UndoPending,
        (Undo::Calling, _) => v1::StepState::Undoing,
        (Undo::Waiting { .. }, _) => v1::StepState::UndoWaiting,
        (Undo::Done(_), _) => v1::StepState::Undone,
        (Undo::NotNeeded, Forward::Pending) => v1::StepState::Pending,
        (Undo::NotNeeded, Forward::Calling) => v1::StepState::Running,
        (Undo::NotNeeded, Forward::Waiting { .. }) => v1::StepState::Waiting,
        (Undo::NotNeeded, Forward::Succeeded { .. }) => v1::StepState::Succeeded,
        (Undo::NotNeeded, Forward::Refused) => v1::StepState::Refused,
        (Undo::NotNeeded, Forward::Unknown) => v1::StepState::Unknown,
        (Undo::NotNeeded, Forward::Skipped) => v1::StepState::Skipped,
    }
}

fn actions(saga: &Saga) -> Vec<v1::AvailableAction> {
    let actions = available_actions(saga).into_iter();
    let shown = actions.map(|available| v1::AvailableAction {
        action: match available.action {
            Action::Cancel => v1::available_action::Action::Cancel,
            Action::Retry => v1::available_action::Action::Retry,
            Action::MarkUndone => v1::available_action::Action::MarkUndone,
            Action::Force => v1::available_action::Action::Force,
        }
        .into(),
        step: available
            .step
            .map(|step| step.to_string())
            .unwrap_or_default(),
        enabled: available.disabled.is_none(),
        disabled_reason: available
            .disabled
            .map(|why| why.to_string())
            .unwrap_or_default(),
    });
    shown.collect()
}

fn saga_definition(definition: &SagaDefinition) -> v1::SagaDefinition {
    v1::SagaDefinition {
        name: definition.name.clone(),
        version: definition.version,
        steps: definition.steps.iter().map(step_definition).collect(),
        deadline: definition.deadline.map(span),
        output: definition.output.as_ref().map(payload),
        description: definition.description.clone(),
        cancel_message: definition
            .cancel_message
            .as_ref()
            .map(|cancel| v1::CancelMessage {
                topic: cancel.topic.clone(),
                tag: cancel.tag.clone(),
                key: cancel.key.as_ref().map(payload),
            }),
    }
}

fn step_definition(step: &StepDefinition) -> v1::StepDefinition {
    v1::StepDefinition {
        name: step.name.clone(),
        target: step.target.clone(),
        compensation: step.compensation.clone().unwrap_or_default(),
        after: step.after.clone(),
        kind: match step.kind {
            StepKind::Compensable => v1::StepKind::Compensable,
            StepKind::Pivot => v1::StepKind::Pivot,
            StepKind::Retriable => v1::StepKind::Retriable,
        }
        .into(),
        input: step.input.as_ref().map(payload),
        timeout: Some(span(step.timeout)),
        retry: Some(retry(&step.retry)),
        undo_retry: Some(retry(&step.undo_retry)),
        fencing: match step.fencing {
            Fencing::ConsumerLog => v1::Fencing::ConsumerLog,
            Fencing::None => v1::Fencing::None,
        }
        .into(),
        compensate_via: match step.compensate_via {
            None => v1::CompensateVia::Unspecified,
            Some(CompensateVia::Queue) => v1::CompensateVia::Queue,
            Some(CompensateVia::Call) => v1::CompensateVia::Call,
            Some(CompensateVia::Broadcast) => v1::CompensateVia::Broadcast,
        }
        .into(),
    }
}

fn retry(policy: &RetryPolicy) -> v1::RetryPolicy {
    v1::RetryPolicy {
        max_attempts: policy.max_attempts,
        initial_backoff: Some(span(policy.initial_backoff)),
        max_backoff: Some(span(policy.max_backoff)),
        multiplier: policy.multiplier,
    }
}
