//! The records of a TCC: the only thing about it that is stored.

use serde::{Deserialize, Serialize};

use crate::answer::Failure;
use crate::id::{Generation, Gid, StepName};
use crate::log::{self, Logged, Settlement, is_recorded_attempt};
use crate::payload::Payload;
use crate::time::Timestamp;

use super::registration::Registration;

/// A record of a TCC.
pub type Record = log::Record<Event>;

/// Which call of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Hold what is needed.
    Try,
    /// Take what is held.
    Confirm,
    /// Let go of what is held.
    Cancel,
}

/// What is decided once, for all branches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Confirm all.
    Confirm,
    /// Cancel all.
    Cancel,
}

impl Verdict {
    /// The call that carries it out.
    #[must_use]
    pub const fn phase(self) -> Phase {
        match self {
            Self::Confirm => Phase::Confirm,
            Self::Cancel => Phase::Cancel,
        }
    }

    pub(super) const fn past(self) -> &'static str {
        match self {
            Self::Confirm => "confirmed",
            Self::Cancel => "cancelled",
        }
    }
}

/// The TCC that one was begun under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// Its id.
    pub gid: Gid,
    /// Which of its branches this is.
    pub branch: StepName,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Accepted. Always the first record; its name tells a TCC's log from a saga's.
    TccBegan {
        /// The transaction.
        gid: Gid,
        /// What it is for, as in lists.
        name: String,
        /// When it is cancelled unless it was confirmed.
        deadline: Timestamp,
        /// Who decides, if not its caller.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<Parent>,
    },
    /// Taken up again by a coordinator that does not know what the one before had called.
    Resumed {
        /// The generation from here on.
        generation: Generation,
    },
    /// A branch: from here on its try may run.
    Registered(Box<Registration>),
    /// A call was made. Never stored: it is in flight only as long as the process lives.
    Called {
        /// The branch.
        branch: StepName,
        /// Which call.
        phase: Phase,
        /// Which attempt.
        attempt: u32,
    },
    /// The try is done.
    TrySucceeded {
        /// The branch.
        branch: StepName,
        /// Calls it took, as far as known.
        calls: u32,
        /// What it answered.
        output: Payload,
    },
    /// The try will never be done, and nothing of it remains.
    TryRefused {
        /// The branch.
        branch: StepName,
        /// Calls it took, as far as known.
        calls: u32,
        /// Why.
        failure: Failure,
    },
    /// A call ended without a proof, or confirm or cancel was refused.
    AttemptFailed {
        /// The branch.
        branch: StepName,
        /// Which call.
        phase: Phase,
        /// Which attempt.
        attempt: u32,
        /// What was seen.
        failure: Failure,
        /// When the next attempt is due; none: there will be no other unless somebody asks for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
        /// Whether this is what makes the branch need a person.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        stuck: bool,
    },
    /// The participant asked to be called again later.
    Postponed {
        /// The branch.
        branch: StepName,
        /// Which call.
        phase: Phase,
        /// Which attempt.
        attempt: u32,
        /// How often it has asked so far.
        times: u32,
        /// When the next attempt is due.
        until: Timestamp,
    },
    /// The caller confirmed what a parent decides on.
    Prepared,
    /// The parent was asked. Never stored.
    ParentAsked {
        /// Which time.
        attempt: u32,
    },
    /// The parent has not decided, or could not be reached. Never stored.
    ParentUndecided {
        /// Whether the parent knows that this one is prepared.
        heard: bool,
        /// When it is asked again.
        until: Timestamp,
    },
    /// From here on everything is confirmed.
    ConfirmDecided,
    /// From here on everything is cancelled.
    CancelDecided {
        /// Why.
        cause: Failure,
    },
    /// The branch is confirmed or cancelled, as was decided.
    Settled {
        /// The branch.
        branch: StepName,
        /// Calls it took.
        calls: u32,
        /// How.
        #[serde(flatten)]
        settlement: Settlement,
    },
    /// An operator asked for attempts now.
    RetryRequested,
    /// Final: everything is confirmed.
    Succeeded,
    /// Final: everything is cancelled.
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
            Self::TccBegan { .. } => "tcc_began",
            Self::Resumed { .. } => "resumed",
            Self::Registered(_) => "registered",
            Self::Called { .. } => "called",
            Self::TrySucceeded { .. } => "try_succeeded",
            Self::TryRefused { .. } => "try_refused",
            Self::AttemptFailed { .. } => "attempt_failed",
            Self::Postponed { .. } => "postponed",
            Self::Prepared => "prepared",
            Self::ParentAsked { .. } => "parent_asked",
            Self::ParentUndecided { .. } => "parent_undecided",
            Self::ConfirmDecided => "confirm_decided",
            Self::CancelDecided { .. } => "cancel_decided",
            Self::Settled { .. } => "settled",
            Self::RetryRequested => "retry_requested",
            Self::Succeeded => "succeeded",
            Self::Compensated => "compensated",
            Self::Forced { .. } => "forced",
        }
    }

    /// The branch it is about.
    #[must_use]
    pub fn branch(&self) -> Option<&StepName> {
        match self {
            Self::Registered(registration) => Some(&registration.name),
            Self::Called { branch, .. }
            | Self::TrySucceeded { branch, .. }
            | Self::TryRefused { branch, .. }
            | Self::AttemptFailed { branch, .. }
            | Self::Postponed { branch, .. }
            | Self::Settled { branch, .. } => Some(branch),
            _ => None,
        }
    }
}

impl Logged for Event {
    fn is_stored(&self) -> bool {
        match self {
            Self::Called { .. } | Self::ParentAsked { .. } | Self::ParentUndecided { .. } => false,
            Self::AttemptFailed {
                attempt,
                retry_at,
                stuck,
                ..
            } => retry_at.is_none() || *stuck || is_recorded_attempt(*attempt),
            Self::Postponed { times, .. } => is_recorded_attempt(*times),
            _ => true,
        }
    }
}
