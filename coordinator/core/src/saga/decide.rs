//! One command in, records and effects out.

use std::sync::Arc;

use crate::answer::{Answer, Failure};
use crate::dag::StepIx;
use crate::id::{Generation, Gid, RecordNo, StepName};
use crate::payload::Payload;
use crate::time::{Millis, Timestamp};
use crate::took::Took;

use super::actions;
use super::apply::apply;
use super::definition::CompiledSaga;
use super::effect::{Effect, next_wake};
use super::live::{self, LiveCommand};
use super::record::{Cause, Event, Phase, Record, Settlement};
use super::state::{Direction, Saga, StepRun};
use super::validate::MAX_STEPS;
use super::{forward, unwind};

/// What can happen to a saga.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A coordinator takes it up from its log.
    Resume {
        /// The generation from here on.
        generation: Generation,
    },
    /// A call came back.
    Answered {
        /// Which step.
        step: StepIx,
        /// Which call.
        phase: Phase,
        /// Which attempt.
        attempt: u32,
        /// With what.
        answer: Answer,
        /// Where its time went, where that was measured; goes into the record.
        took: Option<Took>,
    },
    /// A time that it wanted to be woken at has come.
    Wake,
    /// The caller wants it to turn back.
    Cancel {
        /// Why.
        reason: String,
    },
    /// An operator wants attempts now.
    Retry,
    /// An operator has undone a step by hand.
    MarkUndone {
        /// The step.
        step: String,
        /// Who.
        operator: String,
        /// Why.
        reason: String,
    },
    /// An operator ends it.
    Force {
        /// Who.
        operator: String,
        /// Why.
        reason: String,
    },
    /// What the caller of a live saga says.
    Live(Box<LiveCommand>),
}

/// The consequences of a command. The state after it is the state before it
/// with `records` applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// What happened, in order; [`Record::is_stored`] tells which belong in the log.
    pub records: Vec<Record>,
    /// What to do outside.
    pub effects: Vec<Effect>,
}

/// Why a command changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Nothing will ever happen again.
    #[error("the transaction has ended")]
    Ended,
    /// An answer to a call that is not under way (any more).
    #[error("no such call is under way")]
    Stale,
    /// It is turning back already.
    #[error("the transaction is turning back already")]
    AlreadyTurnedBack,
    /// A step that cannot be undone may have run.
    #[error(
        "step {0:?} cannot be undone and may have run; from here the transaction only goes forward"
    )]
    PastReturn(String),
    /// There is nothing that waits for another attempt.
    #[error("no step waits for another attempt")]
    NothingWaits,
    /// The definition has no such step.
    #[error("there is no step {0:?}")]
    UnknownStep(String),
    /// The step has no undo that is under way.
    #[error("step {0:?} is not being undone")]
    NotBeingUndone(String),
    /// An operator must say why.
    #[error("a reason is required")]
    ReasonMissing,
    /// No code in a caller decides about this saga.
    #[error("the transaction is no live saga")]
    NotLive,
    /// Somebody else runs the code of this live saga.
    #[error("the live saga is running already, for another caller")]
    AlreadyRunning,
    /// Too late: the live saga is being undone, or was.
    #[error("the live saga has turned back: {} {}", .0.code, .0.message)]
    TurnedBack(Failure),
    /// Too late, though nothing was recorded yet.
    #[error("the deadline has passed")]
    DeadlinePassed,
    /// A step of this name was asked for with other content.
    #[error("step {step:?} was asked for before with another {difference}")]
    StepDiffers {
        /// The step.
        step: String,
        /// What differs.
        difference: &'static str,
    },
    /// There are as many steps as there can be.
    #[error("a live saga has at most {MAX_STEPS} steps")]
    TooManySteps,
    /// The step breaks a rule.
    #[error("the step cannot be recorded: {0}")]
    StepInvalid(String),
    /// It is not known what came of these steps.
    #[error("it cannot complete: the outcome of {} is not known", listed(.0))]
    StepsOpen(Vec<StepName>),
}

fn listed(steps: &[StepName]) -> String {
    let names: Vec<_> = steps
        .iter()
        .map(|step| format!("{:?}", step.as_str()))
        .collect();
    names.join(", ")
}

impl Rejected {
    /// Its stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Ended => "TRANSACTION_ENDED",
            Self::Stale => "ANSWER_STALE",
            Self::AlreadyTurnedBack => "ALREADY_COMPENSATING",
            Self::PastReturn(_) => "PAST_POINT_OF_NO_RETURN",
            Self::NothingWaits => "NOTHING_WAITS",
            Self::UnknownStep(_) => "STEP_UNKNOWN",
            Self::NotBeingUndone(_) => "STEP_NOT_BEING_UNDONE",
            Self::ReasonMissing => "REASON_MISSING",
            Self::NotLive => "NOT_A_LIVE_SAGA",
            Self::AlreadyRunning => "ALREADY_RUNNING",
            Self::TurnedBack(_) => "LIVE_SAGA_TURNED_BACK",
            Self::DeadlinePassed => "DEADLINE_PASSED",
            Self::StepDiffers { .. } => "STEP_DIFFERS",
            Self::TooManySteps => "TOO_MANY_STEPS",
            Self::StepInvalid(_) => "STEP_INVALID",
            Self::StepsOpen(_) => "STEPS_OPEN",
        }
    }
}

/// Begins a saga. `deadline` overrides the definition's.
#[must_use]
pub fn begin(
    gid: Gid,
    definition: Arc<CompiledSaga>,
    input: Payload,
    deadline: Option<Millis>,
    now: Timestamp,
) -> (Saga, Decision) {
    let deadline = deadline
        .or(definition.definition().deadline)
        .map(|span| now + span);
    let began = Event::Began {
        gid: gid.clone(),
        definition: definition.hash().clone(),
        input: input.clone(),
        deadline,
    };
    let mut saga = blank(gid, definition, input, deadline, now);
    let mut draft = Draft::new(&mut saga, now);
    draft.record(began);
    draft.effects.push(Effect::Accept { after: RecordNo(1) });
    advance(&mut draft);
    let decision = draft.decided();
    (saga, decision)
}

/// Works out what a command leads to.
///
/// # Errors
/// Says why it changes nothing.
pub fn decide(saga: &Saga, command: Command, now: Timestamp) -> Result<Decision, Rejected> {
    decide_in_place(&mut saga.clone(), command, now)
}

/// The same for a saga that goes over into the state after it: the decision's
/// records are applied already. Spares a copy of the saga, and applying twice.
///
/// # Errors
/// Says why it changes nothing; the saga is as it was.
pub fn decide_in_place(
    saga: &mut Saga,
    command: Command,
    now: Timestamp,
) -> Result<Decision, Rejected> {
    if saga.is_ended() {
        return match &command {
            Command::Live(said) => live::said_after_end(saga, said),
            _ => Err(Rejected::Ended),
        };
    }
    let mut draft = Draft::new(saga, now);
    match command {
        Command::Resume { generation } => draft.record(Event::Resumed { generation }),
        Command::Wake => {}
        Command::Answered {
            step,
            phase,
            attempt,
            answer,
            took,
        } => {
            draft.took = took;
            answered(&mut draft, step, phase, attempt, answer)?;
        }
        Command::Cancel { reason } => {
            actions::may_cancel(draft.saga)?;
            draft.turn_back(None, Failure::new("CANCELLED", reason));
        }
        Command::Retry => {
            actions::may_retry(draft.saga)?;
            draft.record(Event::RetryRequested);
        }
        Command::MarkUndone {
            step,
            operator,
            reason,
        } => {
            let step = actions::may_mark_undone(draft.saga, &step)?;
            actions::needs_reason(&reason)?;
            let calls = draft.saga.definition.position(step.as_str());
            let calls = calls.map_or(0, |ix| draft.saga.steps[ix].undo_attempts);
            draft.record(Event::Undone {
                step,
                calls,
                settlement: Settlement::ByHand { operator, reason },
            });
        }
        Command::Force { operator, reason } => {
            actions::needs_reason(&reason)?;
            draft.record(Event::Forced { operator, reason });
            draft.finish();
        }
        Command::Live(said) => live::said(&mut draft, *said)?,
    }
    advance(&mut draft);
    Ok(draft.decided())
}

/// A saga before its first record.
pub(super) fn blank(
    gid: Gid,
    definition: Arc<CompiledSaga>,
    input: Payload,
    deadline: Option<Timestamp>,
    now: Timestamp,
) -> Saga {
    let steps = vec![StepRun::new(); definition.steps().len()];
    Saga {
        gid,
        definition,
        input,
        began_at: now,
        updated_at: now,
        deadline,
        generation: Generation::FIRST,
        last_record: RecordNo(0),
        direction: Direction::Forward,
        steps,
        live: None,
    }
}

/// The state as it becomes, with what led there.
pub(super) struct Draft<'s> {
    pub(super) saga: &'s mut Saga,
    pub(super) now: Timestamp,
    /// For the first record: it tells of the answer.
    took: Option<Took>,
    pub(super) records: Vec<Record>,
    pub(super) effects: Vec<Effect>,
}

impl<'s> Draft<'s> {
    pub(super) fn new(saga: &'s mut Saga, now: Timestamp) -> Self {
        Self {
            saga,
            now,
            took: None,
            records: Vec::new(),
            effects: Vec::new(),
        }
    }

    pub(super) fn record(&mut self, event: Event) {
        let record = Record {
            took: self.took.take(),
            ..Record::new(self.now, event)
        };
        apply(self.saga, &record);
        self.records.push(record);
    }

    /// Decides to undo everything.
    pub(super) fn turn_back(&mut self, step: Option<StepName>, failure: Failure) {
        let compiled = self.saga.definition.clone();
        let open = compiled
            .steps()
            .iter()
            .zip(&self.saga.steps)
            .filter(|(_, run)| run.is_in_doubt());
        let in_doubt = open.map(|(step, _)| step.name.clone()).collect();
        self.record(Event::TurnedBack {
            cause: Cause { step, failure },
            in_doubt,
        });
    }

    pub(super) fn finish(&mut self) {
        self.effects.push(Effect::Finish {
            after: self.saga.last_record,
        });
    }

    pub(super) fn decided(mut self) -> Decision {
        let wake = next_wake(self.saga).map(|at| Effect::Wake { at });
        self.effects.extend(wake);
        Decision {
            records: self.records,
            effects: self.effects,
        }
    }
}

/// Does everything that is due now.
pub(super) fn advance(draft: &mut Draft<'_>) {
    forward::advance(draft);
    unwind::advance(draft);
}

fn answered(
    draft: &mut Draft<'_>,
    ix: StepIx,
    phase: Phase,
    attempt: u32,
    answer: Answer,
) -> Result<(), Rejected> {
    if ix >= draft.saga.steps.len() {
        return Err(Rejected::UnknownStep(ix.to_string()));
    }
    match phase {
        Phase::Do => forward::answered(draft, ix, attempt, answer),
        Phase::Undo => unwind::answered(draft, ix, attempt, answer),
    }
}
