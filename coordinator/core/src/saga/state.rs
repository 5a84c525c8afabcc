//! A saga as its records have made it.

use std::sync::Arc;

use crate::answer::Failure;
use crate::id::{Generation, Gid, RecordNo};
use crate::payload::Payload;
use crate::public_state::PublicState;
use crate::time::Timestamp;

use super::definition::{CompiledSaga, CompiledStep, StepKind};
use super::live::Live;
use super::record::{Cause, Settlement};

/// A saga instance. Only [`super::apply`] changes it.
#[derive(Debug, Clone)]
pub struct Saga {
    pub(super) gid: Gid,
    pub(super) definition: Arc<CompiledSaga>,
    pub(super) input: Payload,
    pub(super) began_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) deadline: Option<Timestamp>,
    pub(super) generation: Generation,
    pub(super) last_record: RecordNo,
    pub(super) direction: Direction,
    pub(super) steps: Vec<StepRun>,
    /// What only a live saga has.
    pub(super) live: Option<Box<Live>>,
}

/// Which way a saga goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Direction {
    /// Towards success.
    Forward,
    /// Everything is being undone.
    Back {
        /// The first failure.
        cause: Cause,
        /// The record that decided it: no undo before it is durable.
        decided: RecordNo,
    },
    /// It has ended.
    Ended {
        /// How.
        outcome: Outcome,
        /// The first failure, if it had turned back.
        cause: Option<Cause>,
        /// When.
        at: Timestamp,
    },
}

/// How a saga ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything happened.
    Succeeded {
        /// The saga's answer.
        output: Payload,
    },
    /// Everything was made good.
    Compensated,
    /// An operator ended it.
    Forced {
        /// Who.
        operator: String,
        /// Why.
        reason: String,
    },
}

/// One step of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRun {
    /// How far the step itself got.
    pub forward: Forward,
    /// How far its compensation got.
    pub undo: Undo,
    /// Attempts of the step so far.
    pub attempts: u32,
    /// Attempts of its compensation so far.
    pub undo_attempts: u32,
    /// Attempts of the step that an operator's retry has forgiven: they do not
    /// count against the budget.
    pub forgiven: u32,
    /// The same for its compensation.
    pub undo_forgiven: u32,
    /// How often its participant has asked to be called again later.
    pub postponed: u32,
    /// The last failure of any call.
    pub last_failure: Option<Failure>,
    /// Why the branch needs a person, while it does.
    pub stuck: Option<Failure>,
    /// Whether a call may have taken effect that the log does not tell of.
    pub may_have_run: bool,
    /// From then on no call can still be under way that was given up or made
    /// before a restart. Counts only without a consumer log.
    pub quiet_at: Timestamp,
    /// The record that holds the step's result.
    pub recorded: RecordNo,
}

/// How far a step got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forward {
    /// Waits for the steps before it, or to be called.
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
    /// The final "no".
    Refused,
    /// Every attempt ended without a proof.
    Unknown,
    /// Never called, because the saga had turned back.
    Skipped,
}

/// How far a compensation got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// There is nothing to undo (yet).
    NotNeeded,
    /// Waits for later steps to be undone, or to be called.
    Pending,
    /// A call is under way.
    Calling,
    /// Waits for its next attempt.
    Waiting {
        /// When that is due.
        until: Timestamp,
    },
    /// Undone.
    Done(Settlement),
}

impl Saga {
    /// Its id.
    #[must_use]
    pub fn gid(&self) -> &Gid {
        &self.gid
    }
    /// What it runs.
    #[must_use]
    pub fn definition(&self) -> &Arc<CompiledSaga> {
        &self.definition
    }
    /// What it was started with.
    #[must_use]
    pub fn input(&self) -> &Payload {
        &self.input
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
    /// When it turns back if it has not ended.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
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
    /// Which way it goes.
    #[must_use]
    pub fn direction(&self) -> &Direction {
        &self.direction
    }
    /// Its steps in the order of the definition.
    #[must_use]
    pub fn steps(&self) -> &[StepRun] {
        &self.steps
    }

    /// What a live saga has beside; `None`: it runs from a definition.
    #[must_use]
    pub fn live(&self) -> Option<&Live> {
        self.live.as_deref()
    }

    /// The first failure, if it turned back.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        match &self.direction {
            Direction::Forward => None,
            Direction::Back { cause, .. } => Some(cause),
            Direction::Ended { cause, .. } => cause.as_ref(),
        }
    }

    /// Whether nothing will ever happen again.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.direction, Direction::Ended { .. })
    }

    /// What the world sees of it.
    #[must_use]
    pub fn public_state(&self) -> PublicState {
        match &self.direction {
            Direction::Ended {
                outcome: Outcome::Succeeded { .. },
                ..
            } => PublicState::Succeeded,
            Direction::Ended {
                outcome: Outcome::Compensated,
                ..
            } => PublicState::Compensated,
            Direction::Ended {
                outcome: Outcome::Forced { .. },
                ..
            } => PublicState::Forced,
            _ if self.steps.iter().any(|step| step.stuck.is_some()) => PublicState::Stuck,
            Direction::Forward => PublicState::Running,
            Direction::Back { .. } => PublicState::Compensating,
        }
    }

    /// Whether a step that cannot be undone may have run: from here on the
    /// saga only goes forward, unless that step turns out to be refused.
    #[must_use]
    pub fn is_past_return(&self) -> bool {
        self.step_past_return().is_some()
    }

    /// The first step that cannot be undone and may have run.
    pub(super) fn step_past_return(&self) -> Option<&CompiledStep> {
        let compiled = self.definition.steps();
        let mut runs = compiled.iter().zip(&self.steps);
        let found = runs.find(|(step, run)| {
            step.kind != StepKind::Compensable
                && (run.may_have_run || matches!(run.forward, Forward::Succeeded { .. }))
        });
        found.map(|(step, _)| step)
    }
}

impl StepRun {
    pub(super) fn new() -> Self {
        Self {
            forward: Forward::Pending,
            undo: Undo::NotNeeded,
            attempts: 0,
            undo_attempts: 0,
            forgiven: 0,
            undo_forgiven: 0,
            postponed: 0,
            last_failure: None,
            stuck: None,
            may_have_run: false,
            quiet_at: Timestamp::default(),
            recorded: RecordNo(0),
        }
    }

    /// Whether a later step stands in the way of undoing an earlier one.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.undo, Undo::NotNeeded | Undo::Done(_))
    }

    /// It was called, or may have been, and its result is not known.
    pub(super) fn is_in_doubt(&self) -> bool {
        let known = matches!(
            self.forward,
            Forward::Succeeded { .. } | Forward::Refused | Forward::Skipped
        );
        self.may_have_run && !known
    }

    /// Nothing of the step can be in effect.
    pub(super) fn is_harmless(&self) -> bool {
        matches!(self.forward, Forward::Refused | Forward::Skipped)
            || (self.forward == Forward::Pending && !self.may_have_run)
    }
}
