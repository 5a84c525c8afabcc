//! One command in, records and effects out.

use crate::answer::{Answer, Failure};
use crate::id::{Generation, Gid, StepName};
use crate::log::Settlement;
use crate::time::Timestamp;
use crate::took::Took;

use super::actions;
use super::apply::apply;
use super::effect::{Effect, next_wake};
use super::nested::{self, Standing};
use super::record::{Event, Phase, Record, Verdict};
use super::registration::{MAX_BRANCHES, Registration};
use super::state::{BranchIx, Outcome, Stage, Tcc};
use super::{settling, trying};

/// What can happen to a TCC.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A coordinator takes it up from its log.
    Resume {
        /// The generation from here on.
        generation: Generation,
    },
    /// The caller adds a branch.
    Register(Box<Registration>),
    /// A call came back.
    Answered {
        /// Which branch.
        branch: BranchIx,
        /// Which call.
        phase: Phase,
        /// Which attempt.
        attempt: u32,
        /// With what.
        answer: Answer,
        /// Where its time went, where that was measured; goes into the record.
        took: Option<Took>,
    },
    /// The caller called a try itself and says what came of it.
    Report {
        /// Which branch.
        branch: String,
        /// What came of it.
        answer: Answer,
    },
    /// A child is prepared, and asks what to do. Answered by [`Tcc::standing`],
    /// whether this is rejected or not.
    Vote {
        /// Which branch.
        branch: String,
        /// The child.
        child: Gid,
    },
    /// The parent told, or answered when it was asked.
    ParentSaid(Standing),
    /// The caller wants everything confirmed.
    Confirm,
    /// The caller wants everything cancelled.
    Cancel {
        /// Why.
        reason: String,
    },
    /// A time that it wanted to be woken at has come.
    Wake,
    /// An operator wants attempts now.
    Retry,
    /// An operator has confirmed or cancelled a branch by hand, as was decided.
    MarkDone {
        /// The branch.
        branch: String,
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
    /// Too late: this was decided before.
    #[error("the transaction is being {} already", .0.past())]
    AlreadyDecided(Verdict),
    /// Too late: everything is held and waits for the parent.
    #[error("the transaction is prepared, and only its parent decides")]
    DecidedByParent,
    /// Too late, though nothing was recorded yet.
    #[error("the deadline has passed")]
    DeadlinePassed,
    /// Nobody but its caller decides.
    #[error("the transaction has no parent")]
    NoParent,
    /// The parent confirms what is not prepared.
    #[error("the transaction is not prepared")]
    NotPrepared,
    /// These tries are not known to have succeeded.
    #[error("it cannot be confirmed: the try of {} is not known to have succeeded", listed(.0))]
    TriesOpen(Vec<StepName>),
    /// There is nothing that waits for another attempt.
    #[error("no branch waits for another attempt")]
    NothingWaits,
    /// No such branch was registered.
    #[error("there is no branch {0:?}")]
    UnknownBranch(String),
    /// A branch of this name was registered with other content.
    #[error("branch {branch:?} was registered with another {difference}")]
    BranchDiffers {
        /// The branch.
        branch: String,
        /// What differs.
        difference: &'static str,
    },
    /// There are as many branches as there can be.
    #[error("a transaction has at most {MAX_BRANCHES} branches")]
    TooManyBranches,
    /// The registration breaks a rule.
    #[error("the branch cannot be registered: {0}")]
    BranchInvalid(String),
    /// The outcome of this try is not for the caller to report.
    #[error("the try of branch {0:?} is not called by the caller")]
    NotReportable(String),
    /// Something else is known of the try.
    #[error("the try of branch {0:?} is known to have ended otherwise")]
    TryKnown(String),
    /// The branch is not this child.
    #[error("branch {0:?} is not that transaction")]
    NotThisChild(String),
    /// The branch has no confirm or cancel that is under way.
    #[error("branch {0:?} is not being confirmed or cancelled")]
    NotBeingSettled(String),
    /// An operator must say why.
    #[error("a reason is required")]
    ReasonMissing,
}

impl Rejected {
    /// Its stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Ended => "TRANSACTION_ENDED",
            Self::Stale => "ANSWER_STALE",
            Self::AlreadyDecided(Verdict::Confirm) => "ALREADY_CONFIRMED",
            Self::AlreadyDecided(Verdict::Cancel) => "ALREADY_CANCELLED",
            Self::DecidedByParent => "DECIDED_BY_PARENT",
            Self::DeadlinePassed => "DEADLINE_PASSED",
            Self::NoParent => "NO_PARENT",
            Self::NotPrepared => "NOT_PREPARED",
            Self::TriesOpen(_) => "TRIES_OPEN",
            Self::NothingWaits => "NOTHING_WAITS",
            Self::UnknownBranch(_) => "BRANCH_UNKNOWN",
            Self::BranchDiffers { .. } => "BRANCH_DIFFERS",
            Self::TooManyBranches => "TOO_MANY_BRANCHES",
            Self::BranchInvalid(_) => "BRANCH_INVALID",
            Self::NotReportable(_) => "TRY_NOT_REPORTABLE",
            Self::TryKnown(_) => "TRY_KNOWN",
            Self::NotThisChild(_) => "NOT_THIS_CHILD",
            Self::NotBeingSettled(_) => "BRANCH_NOT_BEING_SETTLED",
            Self::ReasonMissing => "REASON_MISSING",
        }
    }
}

fn listed(names: &[StepName]) -> String {
    let names: Vec<&str> = names.iter().map(StepName::as_str).collect();
    names.join(", ")
}

/// Works out what a command leads to.
///
/// # Errors
/// Says why it changes nothing.
pub fn decide(tcc: &Tcc, command: Command, now: Timestamp) -> Result<Decision, Rejected> {
    decide_in_place(&mut tcc.clone(), command, now)
}

/// The same for a TCC that goes over into the state after it: the decision's
/// records are applied already. Spares a copy of the TCC, and applying twice.
///
/// # Errors
/// Says why it changes nothing; the TCC is as it was.
pub fn decide_in_place(
    tcc: &mut Tcc,
    command: Command,
    now: Timestamp,
) -> Result<Decision, Rejected> {
    if let Some(verdict) = wanted(&command).filter(|_| tcc.decided().is_some()) {
        repeats(tcc, verdict)?;
    } else if tcc.is_ended() {
        return Err(Rejected::Ended);
    }
    let mut draft = Draft::new(tcc, now);
    match command {
        Command::Resume { generation } => draft.record(Event::Resumed { generation }),
        Command::Wake => {}
        Command::Register(registration) => trying::register(&mut draft, registration)?,
        Command::Answered {
            branch,
            phase,
            attempt,
            answer,
            took,
        } => {
            draft.took = took;
            answered(&mut draft, branch, phase, attempt, answer)?;
        }
        Command::Report { branch, answer } => trying::report(&mut draft, &branch, answer)?,
        Command::Vote { branch, child } => nested::vote(&mut draft, &branch, &child)?,
        Command::ParentSaid(standing) => nested::parent_said(&mut draft, standing)?,
        Command::Confirm => confirm(&mut draft)?,
        Command::Cancel { reason } => {
            if draft.tcc.decided().is_none() {
                actions::may_cancel(draft.tcc)?;
                draft.cancel(Failure::new("CANCELLED", reason));
            }
        }
        Command::Retry => {
            actions::may_retry(draft.tcc)?;
            draft.record(Event::RetryRequested);
        }
        Command::MarkDone {
            branch,
            operator,
            reason,
        } => {
            let ix = actions::may_mark_done(draft.tcc, &branch)?;
            actions::needs_reason(&reason)?;
            let run = &draft.tcc.branches[ix];
            let (branch, calls) = (run.registration.name.clone(), run.settle_attempts);
            draft.record(Event::Settled {
                branch,
                calls,
                settlement: Settlement::ByHand { operator, reason },
            });
        }
        Command::Force { operator, reason } => {
            actions::needs_reason(&reason)?;
            draft.record(Event::Forced { operator, reason });
            draft.finish();
        }
    }
    advance(&mut draft);
    Ok(draft.decided())
}

/// The decision that a command asks for.
fn wanted(command: &Command) -> Option<Verdict> {
    match command {
        Command::Confirm | Command::ParentSaid(Standing::Confirm) => Some(Verdict::Confirm),
        Command::Cancel { .. } | Command::ParentSaid(Standing::Cancel) => Some(Verdict::Cancel),
        _ => None,
    }
}

/// Asking again for what was decided is right, and changes nothing.
fn repeats(tcc: &Tcc, wanted: Verdict) -> Result<(), Rejected> {
    match (tcc.verdict(), &tcc.stage) {
        (
            _,
            Stage::Ended {
                outcome: Outcome::Forced { .. },
                ..
            },
        ) => Err(Rejected::Ended),
        (Some(verdict), _) if verdict != wanted => Err(Rejected::AlreadyDecided(verdict)),
        _ => Ok(()),
    }
}

fn confirm(draft: &mut Draft<'_>) -> Result<(), Rejected> {
    if draft.tcc.stage != Stage::Trying {
        return Ok(());
    }
    let open = draft.tcc.open_tries();
    if !open.is_empty() {
        return Err(Rejected::TriesOpen(open));
    }
    // A deadline that has passed without a record has not decided anything.
    draft.record(match draft.tcc.parent {
        Some(_) => Event::Prepared,
        None => Event::ConfirmDecided,
    });
    Ok(())
}

/// The state as it becomes, with what led there.
pub(super) struct Draft<'t> {
    pub(super) tcc: &'t mut Tcc,
    pub(super) now: Timestamp,
    /// For the first record: it tells of the answer.
    took: Option<Took>,
    pub(super) records: Vec<Record>,
    pub(super) effects: Vec<Effect>,
}

impl<'t> Draft<'t> {
    pub(super) fn new(tcc: &'t mut Tcc, now: Timestamp) -> Self {
        Self {
            tcc,
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
        apply(self.tcc, &record);
        self.records.push(record);
    }

    /// Decides to cancel everything.
    pub(super) fn cancel(&mut self, cause: Failure) {
        self.record(Event::CancelDecided { cause });
    }

    pub(super) fn finish(&mut self) {
        self.effects.push(Effect::Finish {
            after: self.tcc.last_record,
        });
    }

    pub(super) fn decided(mut self) -> Decision {
        let wake = next_wake(self.tcc).map(|at| Effect::Wake { at });
        self.effects.extend(wake);
        Decision {
            records: self.records,
            effects: self.effects,
        }
    }
}

/// Does everything that is due now.
pub(super) fn advance(draft: &mut Draft<'_>) {
    trying::advance(draft);
    nested::advance(draft);
    settling::advance(draft);
}

fn answered(
    draft: &mut Draft<'_>,
    ix: BranchIx,
    phase: Phase,
    attempt: u32,
    answer: Answer,
) -> Result<(), Rejected> {
    if ix >= draft.tcc.branches.len() {
        return Err(Rejected::UnknownBranch(ix.to_string()));
    }
    match phase {
        Phase::Try => trying::answered(draft, ix, attempt, answer),
        Phase::Confirm | Phase::Cancel => settling::answered(draft, ix, phase, attempt, answer),
    }
}
