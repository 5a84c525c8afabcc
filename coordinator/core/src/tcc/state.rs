//! A TCC as its records have made it.

use std::sync::Arc;

use crate::answer::Failure;
use crate::id::{Generation, Gid, RecordNo, StepName};
use crate::log::Settlement;
use crate::payload::Payload;
use crate::public_state::PublicState;
use crate::time::Timestamp;

use super::record::{Parent, Verdict};
use super::registration::{Registration, TriedBy};

/// Position of a branch, in the order of registration.
pub type BranchIx = usize;

/// A TCC. Only [`super::apply`] changes it.
#[derive(Debug, Clone)]
pub struct Tcc {
    pub(super) gid: Gid,
    pub(super) name: Arc<str>,
    pub(super) parent: Option<Parent>,
    pub(super) began_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) deadline: Timestamp,
    pub(super) generation: Generation,
    pub(super) last_record: RecordNo,
    pub(super) stage: Stage,
    pub(super) branches: Vec<Branch>,
}

/// How far it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Branches are registered and tried.
    Trying,
    /// Everything is held, and the parent decides.
    Prepared {
        /// The record that says so: the parent is not asked before it is durable.
        record: RecordNo,
        /// How far asking it got.
        ask: Ask,
        /// How often it was asked.
        asked: u32,
        /// Whether the parent knows.
        heard: bool,
    },
    /// Everything is being confirmed or cancelled.
    Settling(Decided),
    /// It has ended.
    Ended {
        /// How.
        outcome: Outcome,
        /// What had been decided before, if anything.
        decided: Option<Decided>,
        /// When.
        at: Timestamp,
    },
}

/// How far asking the parent got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// It is to be asked.
    Pending,
    /// It is being asked.
    Calling,
    /// It has not decided; asked again later.
    Waiting {
        /// When.
        until: Timestamp,
    },
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// What was decided.
    pub verdict: Verdict,
    /// Why, where it is cancelled.
    pub cause: Option<Failure>,
    /// The record that says so: no confirm and no cancel before it is durable.
    pub record: RecordNo,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is confirmed.
    Succeeded,
    /// Everything is cancelled.
    Compensated,
    /// An operator ended it.
    Forced {
        /// Who.
        operator: String,
        /// Why.
        reason: String,
    },
}

/// One branch.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// As it was registered.
    pub registration: Arc<Registration>,
    /// The record that registered it: no try before it is durable.
    pub registered: RecordNo,
    /// How far its try got.
    pub tried: Tried,
    /// How far its confirm or cancel got.
    pub settle: Settle,
    /// Attempts of the try so far.
    pub attempts: u32,
    /// Attempts of confirm or cancel so far.
    pub settle_attempts: u32,
    /// Attempts of the try that an operator's retry has forgiven.
    pub forgiven: u32,
    /// The same for confirm or cancel.
    pub settle_forgiven: u32,
    /// How often its participant has asked to be called again later.
    pub postponed: u32,
    /// The last failure of any call.
    pub last_failure: Option<Failure>,
    /// Why the branch needs a person, while it does.
    pub stuck: Option<Failure>,
}

/// How far a try got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// To be called, or to be reported by whoever calls it.
    Pending,
    /// A call is under way.
    Calling,
    /// Waits for its next attempt.
    Waiting {
        /// When that is due.
        until: Timestamp,
    },
    /// Done.
    Succeeded {
        /// What it answered.
        output: Payload,
    },
    /// The final "no": nothing is held.
    Refused,
    /// It may have run.
    Unknown,
}

/// How far a confirm or cancel got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settle {
    /// Nothing is to be done (yet).
    NotNeeded,
    /// To be called.
    Pending,
    /// A call is under way.
    Calling,
    /// Waits for its next attempt.
    Waiting {
        /// When that is due.
        until: Timestamp,
    },
    /// It was refused: called again only when an operator says so.
    Held,
    /// Done.
    Done(Settlement),
}

impl Tcc {
    /// Its id.
    #[must_use]
    pub fn gid(&self) -> &Gid {
        &self.gid
    }
    /// What it is for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Who decides, if not its caller.
    #[must_use]
    pub fn parent(&self) -> Option<&Parent> {
        self.parent.as_ref()
    }
    /// When it was accepted.
    #[must_use]
    pub fn began_at(&self) -> Timestamp {
        self.began_at
    }
    /// When it last changed.
    #[must_use]
    pub fn updated_at(&self) -> Timestamp {
        self.updated_at
    }
    /// When it is cancelled unless it was confirmed.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }
    /// How often it was taken over, plus one.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }
    /// Number of its last stored record.
    #[must_use]
    pub fn last_record(&self) -> RecordNo {
        self.last_record
    }
    /// How far it got.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }
    /// Its branches in the order of registration.
    #[must_use]
    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }

    /// What was decided, if anything.
    #[must_use]
    pub fn decided(&self) -> Option<&Decided> {
        match &self.stage {
            Stage::Trying | Stage::Prepared { .. } => None,
            Stage::Settling(decided) => Some(decided),
            Stage::Ended { decided, .. } => decided.as_ref(),
        }
    }

    /// Why it was cancelled, if it was.
    #[must_use]
    pub fn cause(&self) -> Option<&Failure> {
        self.decided().and_then(|decided| decided.cause.as_ref())
    }

    /// Whether nothing will ever happen again.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended { .. })
    }

    /// The branches whose try is not known to have succeeded: while there are
    /// any, it cannot be confirmed.
    #[must_use]
    pub fn open_tries(&self) -> Vec<StepName> {
        let open = self.branches.iter().filter(|branch| !branch.is_tried());
        open.map(|branch| branch.registration.name.clone())
            .collect()
    }

    /// The position of a branch.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<BranchIx> {
        self.branches
            .iter()
            .position(|branch| branch.registration.name.as_str() == name)
    }

    /// What the world sees of it.
    #[must_use]
    pub fn public_state(&self) -> PublicState {
        match &self.stage {
            Stage::Ended { outcome, .. } => match outcome {
                Outcome::Succeeded => PublicState::Succeeded,
                Outcome::Compensated => PublicState::Compensated,
                Outcome::Forced { .. } => PublicState::Forced,
            },
            _ if self.branches.iter().any(|branch| branch.stuck.is_some()) => PublicState::Stuck,
            Stage::Trying => PublicState::Running,
            Stage::Prepared { .. } => PublicState::Prepared,
            Stage::Settling(decided) => match decided.verdict {
                Verdict::Confirm => PublicState::Confirming,
                Verdict::Cancel => PublicState::Compensating,
            },
        }
    }

    pub(super) fn verdict(&self) -> Option<Verdict> {
        self.decided().map(|decided| decided.verdict)
    }
}

impl Branch {
    pub(super) fn new(registration: &Registration, registered: RecordNo) -> Self {
        Self {
            registration: Arc::new(registration.clone()),
            registered,
            tried: Tried::Pending,
            settle: Settle::NotNeeded,
            attempts: 0,
            settle_attempts: 0,
            forgiven: 0,
            settle_forgiven: 0,
            postponed: 0,
            last_failure: None,
            stuck: None,
        }
    }

    /// Its try is known to have succeeded.
    #[must_use]
    pub fn is_tried(&self) -> bool {
        matches!(self.tried, Tried::Succeeded { .. })
    }

    /// Nothing is left to confirm or to cancel.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.settle, Settle::NotNeeded | Settle::Done(_))
    }

    /// The outcome of its try can still become known.
    pub(super) fn is_open(&self) -> bool {
        let by_caller = self.registration.tried_by() == Some(TriedBy::Caller);
        match self.tried {
            Tried::Pending | Tried::Calling | Tried::Waiting { .. } => true,
            Tried::Unknown => by_caller,
            Tried::Succeeded { .. } | Tried::Refused => false,
        }
    }
}
