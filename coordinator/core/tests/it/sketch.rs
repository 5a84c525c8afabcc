//! Short ways to write down sagas and answers for tests.

use std::sync::Arc;

use amends_core::answer::{Answer, Failure};
use amends_core::id::{Gid, RecordNo};
use amends_core::payload::Payload;
use amends_core::retry::RetryPolicy;
use amends_core::saga::{
    Call, Command, CompiledSaga, Decision, Effect, Fencing, Phase, Rejected, Saga, SagaDefinition,
    StepDefinition, StepKind, apply, begin, decide,
};
use amends_core::time::{Millis, Timestamp};

pub(crate) const RETRY: RetryPolicy = RetryPolicy {
    max_attempts: 2,
    initial_backoff: Millis(100),
    max_backoff: Millis(1_000),
    multiplier: 2.0,
};

/// A compensable step `name` after others.
pub(crate) fn step(name: &str, after: &[&str]) -> StepDefinition {
    StepDefinition {
        name: name.into(),
        target: format!("shop/{name}"),
        compensation: Some(format!("shop/{name}")),
        after: after.iter().map(|a| (*a).to_owned()).collect(),
        kind: StepKind::Compensable,
        input: None,
        timeout: Millis(1_000),
        retry: RETRY,
        undo_retry: RETRY,
        fencing: Fencing::ConsumerLog,
        compensate_via: None,
    }
}

/// A step that cannot be undone.
pub(crate) fn step_of_kind(name: &str, after: &[&str], kind: StepKind) -> StepDefinition {
    StepDefinition {
        kind,
        compensation: None,
        ..step(name, after)
    }
}

pub(crate) fn definition(steps: Vec<StepDefinition>) -> SagaDefinition {
    SagaDefinition {
        name: "test".into(),
        version: 1,
        description: String::new(),
        steps,
        deadline: None,
        output: None,
        cancel_message: None,
    }
}

pub(crate) fn compile(steps: Vec<StepDefinition>) -> Arc<CompiledSaga> {
    Arc::new(CompiledSaga::compile(definition(steps)).expect("a valid saga"))
}

pub(crate) fn ok() -> Answer {
    Answer::Succeeded(Payload::null())
}
pub(crate) fn no() -> Answer {
    Answer::Refused(Failure::new("NO", "refused"))
}
pub(crate) fn unknown() -> Answer {
    Answer::Unknown(Failure::new("TIMEOUT", "no answer"))
}

/// A saga with the calls that are under way.
pub(crate) struct Run {
    pub(crate) saga: Saga,
    pub(crate) now: Timestamp,
    pub(crate) calls: Vec<Call>,
    pub(crate) log: Vec<amends_core::saga::Record>,
    pub(crate) last: Decision,
}

impl Run {
    pub(crate) fn begin(definition: &Arc<CompiledSaga>, input: Payload) -> Self {
        let now = Timestamp(1_000_000);
        let (saga, decision) = begin(Gid::new("g").unwrap(), definition.clone(), input, None, now);
        Self::of(saga, decision, now)
    }

    /// A saga that has just begun.
    pub(crate) fn of(saga: Saga, decision: Decision, now: Timestamp) -> Self {
        let mut run = Self {
            saga,
            now,
            calls: Vec::new(),
            log: Vec::new(),
            last: Decision::default(),
        };
        run.take(decision);
        run
    }

    pub(crate) fn command(&mut self, command: Command) -> Result<(), Rejected> {
        let decision = decide(&self.saga, command, self.now)?;
        decision
            .records
            .iter()
            .for_each(|record| apply(&mut self.saga, record));
        self.take(decision);
        Ok(())
    }

    /// Answers the call that is under way for a step.
    pub(crate) fn answer(&mut self, name: &str, answer: Answer) {
        let at = self
            .calls
            .iter()
            .position(|call| call.name.as_str() == name)
            .unwrap_or_else(|| panic!("{name} is not called: {:?}", self.calls));
        let call = self.calls.remove(at);
        self.command(Command::Answered {
            step: call.step,
            phase: call.phase,
            attempt: call.attempt,
            answer,
            took: None,
        })
        .unwrap();
    }

    /// Lets time pass until the next wake-up.
    pub(crate) fn sleep(&mut self) {
        self.now = amends_core::saga::next_wake(&self.saga)
            .expect("a wake-up")
            .max(self.now);
        self.command(Command::Wake).unwrap();
    }

    /// Calls under way, as `do a`, `undo b`.
    pub(crate) fn under_way(&self) -> Vec<String> {
        let mut calls: Vec<_> = self
            .calls
            .iter()
            .map(|c| {
                format!(
                    "{} {}",
                    if c.phase == Phase::Do { "do" } else { "undo" },
                    c.name
                )
            })
            .collect();
        calls.sort();
        calls
    }

    /// What must be durable before the latest call of a step.
    pub(crate) fn after(&self, name: &str) -> RecordNo {
        let found = self.last.effects.iter().find_map(|effect| match effect {
            Effect::Call { after, call } if call.name.as_str() == name => Some(*after),
            _ => None,
        });
        found.expect("a call")
    }

    fn take(&mut self, decision: Decision) {
        self.log
            .extend(decision.records.iter().filter(|r| r.is_stored()).cloned());
        for effect in &decision.effects {
            if let Effect::Call { call, .. } = effect {
                self.calls.retain(|other| other.step != call.step);
                self.calls.push(call.clone());
            }
        }
        self.last = decision;
    }
}
