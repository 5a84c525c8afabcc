//! The records of a saga: the only thing about it that is stored.

use serde::{Deserialize, Serialize};

use crate::answer::Failure;
use crate::id::{Generation, Gid, StepName};
use crate::log::{self, Logged, is_recorded_attempt};
use crate::payload::Payload;
use crate::time::{Millis, Timestamp};

use super::definition::DefinitionHash;
use super::live::{LiveAbout, LiveStep};

pub use crate::log::Settlement;

/// A record of a saga.
pub type Record = log::Record<Event>;

/// Which call of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The step itself.
    Do,
    /// Its compensation.
    Undo,
}

/// Why a saga turned back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The step that failed, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// The first failure.
    #[serde(flatten)]
    pub failure: Failure,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Accepted. Always the first record.
    Began {
        /// The transaction.
        gid: Gid,
        /// What it runs.
        definition: DefinitionHash,
        /// What it was started with.
        input: Payload,
        /// When it turns back if it has not ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Timestamp>,
    },
    /// A live saga is accepted. Always its first record.
    LiveBegan {
        /// The transaction.
        gid: Gid,
        /// What it is; in a box, because it would make every event larger.
        about: Box<LiveAbout>,
        /// How long the caller may be silent.
        lease: Millis,
        /// When it turns back if it has not ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Timestamp>,
    },
    /// A live saga has another step. It is called once this is durable.
    StepAdded {
        /// The step.
        step: StepName,
        /// The steps that it comes after.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        after: Vec<StepName>,
        /// What to do.
        asked: Box<LiveStep>,
    },
    /// The caller of a live saga was heard. Never stored: after a restart it is given its lease anew.
    Heard,
    /// Taken up again by a coordinator that does not know what the one before
    /// had called: whatever could have been called may have run.
    Resumed {
        /// The generation from here on.
        generation: Generation,
    },
    /// A call was made. Never stored: it is in flight only as long as the process lives.
    Called {
        /// The step.
        step: StepName,
        /// Which call.
        phase: Phase,
        /// Which attempt.
        attempt: u32,
    },
    /// The step is done.
    StepSucceeded {
        /// The step.
        step: StepName,
        /// Calls it took.
        calls: u32,
        /// What it answered.
        output: Payload,
    },
    /// The step will never be done, and nothing of it remains.
    StepRefused {
        /// The step.
        step: StepName,
        /// Calls it took; none when its input named nothing.
        calls: u32,
        /// Why.
        failure: Failure,
    },
    /// A call ended without a proof.
    AttemptFailed {
        /// The step.
        step: StepName,
        /// Which call.
        phase: Phase,
        /// Which attempt.
        attempt: u32,
        /// What was seen.
        failure: Failure,
        /// When the next attempt is due; none: there will be no other.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
    },
    /// The participant asked to be called again later.
    Postponed {
        /// The step.
        step: StepName,
        /// Which call.
        phase: Phase,
        /// Which attempt.
        attempt: u32,
        /// How often it has asked so far.
        times: u32,
        /// Until when.
        until: Timestamp,
    },
    /// The branch needs a person. Cleared once its outcome is known.
    BranchStuck {
        /// The step.
        step: StepName,
        /// Which call.
        phase: Phase,
        /// Why.
        failure: Failure,
    },
    /// From here on everything is undone.
    TurnedBack {
        /// The first failure.
        cause: Cause,
        /// Steps without a known result that had been called: calls leave no
        /// record of their own, so this one tells of them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        in_doubt: Vec<StepName>,
    },
    /// The step is undone.
    Undone {
        /// The step.
        step: StepName,
        /// Calls of its compensation it took.
        calls: u32,
        /// How.
        #[serde(flatten)]
        settlement: Settlement,
    },
    /// An operator asked for attempts now.
    RetryRequested,
    /// Final: everything happened.
    Succeeded {
        /// The saga's answer.
        output: Payload,
    },
    /// Final: everything was made good.
    Compensated,
    /// Final: an operator ended it.
    Forced {
        /// Who.
        operator: String,
        /// Why.
        reason: String,
    },
}

impl Event {
    /// Its stable name, as stored.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Began { .. } => "began",
            Self::LiveBegan { .. } => "live_began",
            Self::StepAdded { .. } => "step_added",
            Self::Heard => "heard",
            Self::Resumed { .. } => "resumed",
            Self::Called { .. } => "called",
            Self::StepSucceeded { .. } => "step_succeeded",
            Self::StepRefused { .. } => "step_refused",
            Self::AttemptFailed { .. } => "attempt_failed",
            Self::Postponed { .. } => "postponed",
            Self::BranchStuck { .. } => "branch_stuck",
            Self::TurnedBack { .. } => "turned_back",
            Self::Undone { .. } => "undone",
            Self::RetryRequested => "retry_requested",
            Self::Succeeded { .. } => "succeeded",
            Self::Compensated => "compensated",
            Self::Forced { .. } => "forced",
        }
    }

    /// The step it is about.
    #[must_use]
    pub fn step(&self) -> Option<&StepName> {
        match self {
            Self::StepAdded { step, .. }
            | Self::Called { step, .. }
            | Self::StepSucceeded { step, .. }
            | Self::StepRefused { step, .. }
            | Self::AttemptFailed { step, .. }
            | Self::Postponed { step, .. }
            | Self::BranchStuck { step, .. }
            | Self::Undone { step, .. } => Some(step),
            Self::TurnedBack { cause, .. } => cause.step.as_ref(),
            _ => None,
        }
    }
}

impl Logged for Event {
    fn is_stored(&self) -> bool {
        match self {
            Self::Called { .. } | Self::Heard => false,
            Self::AttemptFailed {
                attempt, retry_at, ..
            } => retry_at.is_none() || is_recorded_attempt(*attempt),
            Self::Postponed { times, .. } => is_recorded_attempt(*times),
            _ => true,
        }
    }
}
