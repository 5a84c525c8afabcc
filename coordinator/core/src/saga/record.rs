//! The records of a saga: the only thing about it that is stored.

use serde::{Deserialize, Serialize};

use crate::answer::Failure;
use crate::id::{Generation, Gid, StepName};
use crate::payload::Payload;
use crate::time::Timestamp;

use super::definition::DefinitionHash;

/// Version of the stored form. A reader refuses what it does not know.
pub const RECORD_VERSION: u32 = 1;

/// Failed attempts and postponements up to this number are all recorded, later
/// ones only now and then, so that a branch that is retried for weeks keeps a bounded log.
const ALWAYS_RECORDED_ATTEMPTS: u32 = 32;
/// Of the later ones, one in so many is recorded.
const RECORDED_ATTEMPT_STRIDE: u32 = 64;

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of the stored form.
    #[serde(rename = "v")]
    pub version: u32,
    /// When it was decided.
    pub at: Timestamp,
    /// What happened. Tagged from outside, because an inner tag would make the
    /// reader buffer payloads and so lose their exact bytes.
    pub event: Event,
}

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

/// How an undo was settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum Settlement {
    /// The participant undid it.
    Called,
    /// An operator said so.
    ByHand {
        /// Who.
        operator: String,
        /// Why.
        reason: String,
    },
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

impl Record {
    /// A record in the present version.
    #[must_use]
    pub fn new(at: Timestamp, event: Event) -> Self {
        Self {
            version: RECORD_VERSION,
            at,
            event,
        }
    }

    /// Whether it belongs in the log. What does not is noise: forgetting it
    /// costs at most a repeated call.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        match &self.event {
            Event::Called { .. } => false,
            Event::AttemptFailed {
                attempt, retry_at, ..
            } => retry_at.is_none() || is_recorded_attempt(*attempt),
            Event::Postponed { times, .. } => is_recorded_attempt(*times),
            _ => true,
        }
    }
}

impl Event {
    /// Its stable name, as stored.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Began { .. } => "began",
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
            Self::Called { step, .. }
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

fn is_recorded_attempt(attempt: u32) -> bool {
    attempt <= ALWAYS_RECORDED_ATTEMPTS || attempt.is_multiple_of(RECORDED_ATTEMPT_STRIDE)
}
