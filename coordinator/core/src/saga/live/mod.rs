//! A live saga: code in the caller decides, while it runs, which step comes next.
//!
//! It is a saga whose definition grows. Each step is recorded before it is called; from
//! then on it is a step like any other, so everything that holds on the way back holds here too.
//! What differs on the way forward:
//!
//! - A step comes after the steps that had succeeded when it was asked for; what is under way
//!   at that time is parallel to it. That order is for the way back, which goes in the reverse of
//!   what happened; forward, the step is called at once.
//! - A refused step does not turn the saga back: the caller hears of it and decides.
//! - It ends well when the caller says so, and turns back when the caller says so or is not
//!   heard for as long as its lease.
//! - There is no point of no return: only the caller knows what would come behind it.

mod fold;
mod said;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::answer::Failure;
use crate::id::{Gid, StepName, check_name};
use crate::payload::Payload;
use crate::retry::RetryPolicy;
use crate::target::Target;
use crate::time::{Millis, Timestamp};

use super::definition::{Body, CompensateVia, CompiledStep, Fencing, StepDefinition, StepKind};
use super::state::Saga;
use super::validate::{MAX_DEADLINE, MAX_TIMEOUT, Violation};

pub use fold::begin_live;
pub(super) use fold::{add, blank_live, heard, resumed, why_not};
pub(super) use said::{lease_lost, said, said_after_end};

/// Shortest time that a caller may be silent.
pub const MIN_LEASE: Millis = Millis(100);
/// Longest time that a caller may be silent.
pub const MAX_LEASE: Millis = Millis::from_secs(3_600);
/// Longest key, and longest name of a caller, in bytes.
const MAX_LABEL_BYTES: usize = 128;

/// A live saga to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveStart {
    /// Its id.
    pub gid: Gid,
    /// What it does, as in lists.
    pub name: String,
    /// What it is about, for people; may be empty.
    pub key: String,
    /// Who runs its code: a start that is repeated by somebody else is no repetition.
    pub caller: String,
    /// How long the caller may be silent before everything is undone.
    pub lease: Millis,
    /// Time until it turns back if it has not ended.
    pub deadline: Option<Millis>,
}

/// What a live saga is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveAbout {
    /// What it does.
    pub name: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Who runs its code.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub caller: String,
}

/// What a live saga has beside what every saga has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    pub(super) about: LiveAbout,
    pub(super) lease: Millis,
    pub(super) lease_until: Timestamp,
    /// So many steps were there when the saga was taken up last.
    pub(super) resumed: usize,
}

/// A step as its caller asks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveStep {
    /// Where it is sent.
    pub target: Target,
    /// Where its compensation is sent, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensation: Option<Target>,
    /// What it is sent, as it is: nothing in it is a reference.
    pub input: Payload,
    /// Bound of one call.
    pub timeout: Millis,
    /// Retries of the step.
    pub retry: RetryPolicy,
    /// Retries of its compensation.
    pub undo_retry: RetryPolicy,
    /// What its participant promises.
    pub fencing: Fencing,
    /// How its compensation travels.
    pub compensate_via: CompensateVia,
}

/// What the caller of a live saga says.
#[derive(Debug, Clone, PartialEq)]
pub enum LiveCommand {
    /// It wants a step, or wants to know what became of one that it asked for before.
    Step {
        /// Unique in the saga.
        name: StepName,
        /// What to do.
        step: LiveStep,
    },
    /// It is still there.
    Heartbeat,
    /// Its code has come to a good end.
    Complete {
        /// What that answered.
        output: Payload,
    },
    /// Everything is to be undone.
    Fail {
        /// The step that was the reason, if one was.
        step: Option<StepName>,
        /// Why.
        failure: Failure,
    },
}

impl LiveStart {
    /// Every rule that it breaks, with the field at fault.
    #[must_use]
    pub fn check(&self) -> Vec<Violation> {
        let mut wrong = Vec::new();
        if let Err(bad) = check_name(&self.name) {
            wrong.push(Violation::new("name", "NAME_INVALID", bad.to_string()));
        }
        for (field, text) in [("key", &self.key), ("caller", &self.caller)] {
            if text.len() > MAX_LABEL_BYTES || text.chars().any(char::is_control) {
                let message = format!("must be at most {MAX_LABEL_BYTES} bytes of plain text");
                wrong.push(Violation::new(field, "TEXT_INVALID", message));
            }
        }
        if self.lease < MIN_LEASE || self.lease > MAX_LEASE {
            let message = format!("is {}, must be {MIN_LEASE} to {MAX_LEASE}", self.lease);
            wrong.push(Violation::new("lease", "DURATION_INVALID", message));
        }
        if let Some(span) = self.deadline
            && (span.0 == 0 || span > MAX_DEADLINE)
        {
            let message = format!("is {span}, must be 1ms to 366 days");
            wrong.push(Violation::new("deadline", "DURATION_INVALID", message));
        }
        wrong
    }

    /// What differs between a saga and a start with the same id. Who calls is
    /// not compared: see [`Live::caller`].
    #[must_use]
    pub fn difference(&self, saga: &Saga) -> Option<&'static str> {
        let Some(live) = saga.live() else {
            return Some("kind");
        };
        let deadline = saga.deadline().map(|at| at.since(saga.began_at()));
        let parts = [
            (saga.definition().definition().name == self.name, "name"),
            (live.key() == self.key, "key"),
            (live.lease == self.lease, "lease"),
            (deadline == self.deadline, "deadline"),
        ];
        let found = parts.into_iter().find(|(same, _)| !same);
        found.map(|(_, what)| what)
    }
}

impl Live {
    /// What it is about, for people.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.about.key
    }
    /// Who runs its code.
    #[must_use]
    pub fn caller(&self) -> &str {
        &self.about.caller
    }
    /// How long the caller may be silent.
    #[must_use]
    pub fn lease(&self) -> Millis {
        self.lease
    }
    /// Until when it may be silent this time.
    #[must_use]
    pub fn lease_until(&self) -> Timestamp {
        self.lease_until
    }
    /// So many steps were there when it was taken up last.
    #[must_use]
    pub fn steps_when_resumed(&self) -> usize {
        self.resumed
    }
}

impl LiveStep {
    /// Every rule that it breaks, with the field at fault.
    #[must_use]
    pub fn check(&self) -> Vec<Violation> {
        let mut wrong = Vec::new();
        if self.timeout.0 == 0 || self.timeout > MAX_TIMEOUT {
            let message = format!("is {}, must be 1ms to 24h", self.timeout);
            wrong.push(Violation::new("timeout", "DURATION_INVALID", message));
        }
        for (policy, field) in [(&self.retry, "retry"), (&self.undo_retry, "undo_retry")] {
            for (part, message) in policy.check() {
                let field = format!("{field}.{part}");
                wrong.push(Violation::new(field, "RETRY_INVALID", message));
            }
        }
        let to_plain = matches!(self.compensation, Some(Target::Grpc { .. }));
        let problem = match self.compensate_via {
            CompensateVia::Call => None,
            CompensateVia::Queue if to_plain => {
                Some("a message reaches a registered service only, not a plain gRPC method")
            }
            CompensateVia::Queue => None,
            CompensateVia::Broadcast => Some("a live saga has no cancel message to broadcast"),
        };
        if let Some(problem) = problem {
            let code = "COMPENSATE_VIA_INVALID";
            wrong.push(Violation::new("compensate_via", code, problem));
        }
        wrong
    }

    /// What differs from a step of the same name that was asked for before.
    fn difference(&self, step: &CompiledStep) -> Option<&'static str> {
        let input = matches!(&step.input, Body::Fixed(input) if *input == self.input);
        let parts = [
            (*step.target == self.target, "target"),
            (
                step.compensation.as_deref() == self.compensation.as_ref(),
                "compensation",
            ),
            (input, "input"),
            (step.timeout == self.timeout, "timeout"),
            (step.retry == self.retry, "retry"),
            (step.undo_retry == self.undo_retry, "undo_retry"),
            (step.fencing == self.fencing, "fencing"),
            (step.compensate_via == self.compensate_via, "compensate_via"),
        ];
        let found = parts.into_iter().find(|(same, _)| !same);
        found.map(|(_, what)| what)
    }

    fn compiled(&self, name: &StepName) -> CompiledStep {
        CompiledStep {
            name: name.clone(),
            target: Arc::new(self.target.clone()),
            compensation: self.compensation.clone().map(Arc::new),
            kind: StepKind::Compensable,
            fencing: self.fencing,
            timeout: self.timeout,
            retry: self.retry,
            undo_retry: self.undo_retry,
            compensate_via: self.compensate_via,
            input: Body::Fixed(self.input.clone()),
            consumes: Vec::new(),
        }
    }

    fn definition(&self, name: &StepName, after: &[StepName]) -> StepDefinition {
        StepDefinition {
            name: name.to_string(),
            target: self.target.to_string(),
            compensation: self.compensation.as_ref().map(ToString::to_string),
            after: after.iter().map(ToString::to_string).collect(),
            kind: StepKind::Compensable,
            input: Some(self.input.clone()),
            timeout: self.timeout,
            retry: self.retry,
            undo_retry: self.undo_retry,
            fencing: self.fencing,
            compensate_via: Some(self.compensate_via),
        }
    }
}
