//! A transaction of any kind: the only place that knows which machine runs which.

use amends_core::answer::Answer;
use amends_core::id::{Generation, Gid, RecordNo};
use amends_core::public_state::{Kind, PublicState};
use amends_core::saga::{self, Direction, Forward, Saga, Undo};
use amends_core::tcc::{self, Ask, Settle, Stage, Tcc, Tried};
use amends_core::time::Timestamp;
use amends_core::took::Took;
use serde::Serialize;

use crate::store::{Summary, SummaryCause};

/// A transaction as its records have made it.
#[derive(Debug, Clone)]
pub enum Transaction {
    /// A saga, run from a definition or live.
    Saga(Saga),
    /// A TCC.
    Tcc(Tcc),
}

/// What can happen to a transaction.
#[derive(Debug, Clone)]
pub enum Command {
    /// A coordinator takes it up from its log.
    Resume {
        /// The generation from here on.
        generation: Generation,
    },
    /// A time that it wanted to be woken at has come.
    Wake,
    /// A call came back.
    Answered(Answered),
    /// The caller wants it undone or cancelled.
    Cancel {
        /// Why.
        reason: String,
    },
    /// An operator wants attempts now.
    Retry,
    /// An operator has done by hand what a step or branch is stuck in: its
    /// compensation, or its confirm or cancel.
    MarkDone {
        /// The step or branch.
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
    /// Anything that only a TCC understands.
    Tcc(tcc::Command),
    /// Anything that only a live saga understands.
    Live(Box<saga::LiveCommand>),
}

/// The answer to a call.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Position of the step or branch.
    pub(super) ix: usize,
    /// Which call.
    pub(super) phase: Phase,
    /// Which attempt.
    pub(super) attempt: u32,
    /// With what.
    pub(super) answer: Answer,
    /// Where its time went, where that was measured.
    pub(super) took: Option<Took>,
}

/// Which call of a step or branch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Phase {
    Saga(saga::Phase),
    Tcc(tcc::Phase),
}

/// Why a command changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The saga's state does not allow it.
    #[error(transparent)]
    Saga(#[from] saga::Rejected),
    /// The TCC's state does not allow it.
    #[error(transparent)]
    Tcc(#[from] tcc::Rejected),
    /// It means nothing to a saga.
    #[error("the transaction is a saga, not a TCC")]
    NotATcc,
}

impl Rejected {
    /// Its stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Saga(rejected) => rejected.code(),
            Self::Tcc(rejected) => rejected.code(),
            Self::NotATcc => "NOT_A_TCC",
        }
    }

    pub(super) const fn is_stale(&self) -> bool {
        matches!(
            self,
            Self::Saga(saga::Rejected::Stale) | Self::Tcc(tcc::Rejected::Stale)
        )
    }
}

/// What came of a command: the transaction has it in it already.
pub(super) enum Decision {
    Saga(saga::Decision),
    Tcc(tcc::Decision),
}

impl Decision {
    /// Nothing happened.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Saga(decision) => decision.records.is_empty(),
            Self::Tcc(decision) => decision.records.is_empty(),
        }
    }
}

/// A record that is to be stored.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Record {
    Saga(saga::Record),
    Tcc(tcc::Record),
}

impl Record {
    /// It only tells that a call will be made again.
    pub(super) fn is_failed_attempt(&self) -> bool {
        match self {
            Self::Saga(record) => matches!(
                &record.event,
                saga::Event::AttemptFailed {
                    retry_at: Some(_),
                    ..
                } | saga::Event::Postponed { .. }
            ),
            Self::Tcc(record) => matches!(
                &record.event,
                tcc::Event::AttemptFailed {
                    retry_at: Some(_),
                    stuck: false,
                    ..
                } | tcc::Event::Postponed { .. }
            ),
        }
    }
}

/// One call of a participant.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Saga(saga::Call),
    Tcc(tcc::Call),
}

/// Something to do outside, once the log is durable up to `after`.
#[derive(Debug, Clone)]
pub(super) enum Effect {
    Accept {
        after: RecordNo,
    },
    Call {
        after: RecordNo,
        call: Call,
    },
    /// Put a decision to a child.
    Tell {
        after: RecordNo,
        tell: tcc::Tell,
    },
    /// Tell the parent that it is prepared, and ask what to do.
    AskParent {
        after: RecordNo,
        parent: tcc::Parent,
    },
    Wake {
        at: Timestamp,
    },
    Finish {
        after: RecordNo,
    },
}

impl Effect {
    /// What has to be durable first.
    pub(super) const fn after(&self) -> Option<RecordNo> {
        match self {
            Self::Accept { after }
            | Self::Call { after, .. }
            | Self::Tell { after, .. }
            | Self::AskParent { after, .. }
            | Self::Finish { after } => Some(*after),
            Self::Wake { .. } => None,
        }
    }
}

impl From<saga::Effect> for Effect {
    fn from(effect: saga::Effect) -> Self {
        match effect {
            saga::Effect::Accept { after } => Self::Accept { after },
            saga::Effect::Call { after, call } => Self::Call {
                after,
                call: Call::Saga(call),
            },
            saga::Effect::Wake { at } => Self::Wake { at },
            saga::Effect::Finish { after } => Self::Finish { after },
        }
    }
}

impl From<tcc::Effect> for Effect {
    fn from(effect: tcc::Effect) -> Self {
        match effect {
            tcc::Effect::Accept { after } => Self::Accept { after },
            tcc::Effect::Call { after, call } => Self::Call {
                after,
                call: Call::Tcc(call),
            },
            tcc::Effect::Tell { after, tell } => Self::Tell { after, tell },
            tcc::Effect::AskParent { after, parent } => Self::AskParent { after, parent },
            tcc::Effect::Wake { at } => Self::Wake { at },
            tcc::Effect::Finish { after } => Self::Finish { after },
        }
    }
}

impl Transaction {
    /// The saga, if it is one.
    #[must_use]
    pub fn saga(&self) -> Option<&Saga> {
        match self {
            Self::Saga(saga) => Some(saga),
            Self::Tcc(_) => None,
        }
    }

    /// The TCC, if it is one.
    #[must_use]
    pub fn tcc(&self) -> Option<&Tcc> {
        match self {
            Self::Saga(_) => None,
            Self::Tcc(tcc) => Some(tcc),
        }
    }

    /// Its id.
    #[must_use]
    pub fn gid(&self) -> &Gid {
        match self {
            Self::Saga(saga) => saga.gid(),
            Self::Tcc(tcc) => tcc.gid(),
        }
    }

    /// How often it was taken over, plus one.
    #[must_use]
    pub fn generation(&self) -> Generation {
        match self {
            Self::Saga(saga) => saga.generation(),
            Self::Tcc(tcc) => tcc.generation(),
        }
    }

    /// Number of its last stored record.
    #[must_use]
    pub fn last_record(&self) -> RecordNo {
        match self {
            Self::Saga(saga) => saga.last_record(),
            Self::Tcc(tcc) => tcc.last_record(),
        }
    }

    /// Whether nothing will ever happen again.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        match self {
            Self::Saga(saga) => saga.is_ended(),
            Self::Tcc(tcc) => tcc.is_ended(),
        }
    }

    /// What the world sees of it.
    #[must_use]
    pub fn public_state(&self) -> PublicState {
        match self {
            Self::Saga(saga) => saga.public_state(),
            Self::Tcc(tcc) => tcc.public_state(),
        }
    }

    /// Works out what a command leads to, and takes that in.
    pub(super) fn decide(
        &mut self,
        command: Command,
        now: Timestamp,
    ) -> Result<Decision, Rejected> {
        match self {
            Self::Saga(saga) => {
                let decision = saga::decide_in_place(saga, command.for_saga()?, now)?;
                Ok(Decision::Saga(decision))
            }
            Self::Tcc(tcc) => {
                let decision = tcc::decide_in_place(tcc, command.for_tcc()?, now)?;
                Ok(Decision::Tcc(decision))
            }
        }
    }

    /// A call or a question is under way.
    pub(super) fn is_in_flight(&self) -> bool {
        match self {
            Self::Saga(saga) => saga
                .steps()
                .iter()
                .any(|run| run.forward == Forward::Calling || run.undo == Undo::Calling),
            Self::Tcc(tcc) => {
                let asks = matches!(
                    tcc.stage(),
                    Stage::Prepared {
                        ask: Ask::Calling,
                        ..
                    }
                );
                let calls = tcc
                    .branches()
                    .iter()
                    .any(|run| run.tried == Tried::Calling || run.settle == Settle::Calling);
                asks || calls
            }
        }
    }

    /// The summary row.
    pub(super) fn summary(&self, wake_at: Option<Timestamp>) -> Summary {
        match self {
            Self::Saga(saga) => saga_summary(saga, wake_at),
            Self::Tcc(tcc) => tcc_summary(tcc, wake_at),
        }
    }
}

impl Command {
    fn for_saga(self) -> Result<saga::Command, Rejected> {
        Ok(match self {
            Self::Answered(Answered {
                ix,
                phase: Phase::Saga(phase),
                attempt,
                answer,
                took,
            }) => saga::Command::Answered {
                step: ix,
                phase,
                attempt,
                answer,
                took,
            },
            Self::Answered(_) => return Err(saga::Rejected::Stale.into()),
            Self::Resume { generation } => saga::Command::Resume { generation },
            Self::Wake => saga::Command::Wake,
            Self::Cancel { reason } => saga::Command::Cancel { reason },
            Self::Retry => saga::Command::Retry,
            Self::MarkDone {
                branch,
                operator,
                reason,
            } => saga::Command::MarkUndone {
                step: branch,
                operator,
                reason,
            },
            Self::Force { operator, reason } => saga::Command::Force { operator, reason },
            Self::Live(command) => saga::Command::Live(command),
            Self::Tcc(_) => return Err(Rejected::NotATcc),
        })
    }

    fn for_tcc(self) -> Result<tcc::Command, Rejected> {
        Ok(match self {
            Self::Answered(Answered {
                ix,
                phase: Phase::Tcc(phase),
                attempt,
                answer,
                took,
            }) => tcc::Command::Answered {
                branch: ix,
                phase,
                attempt,
                answer,
                took,
            },
            Self::Answered(_) => return Err(tcc::Rejected::Stale.into()),
            Self::Resume { generation } => tcc::Command::Resume { generation },
            Self::Wake => tcc::Command::Wake,
            Self::Cancel { reason } => tcc::Command::Cancel { reason },
            Self::Retry => tcc::Command::Retry,
            Self::MarkDone {
                branch,
                operator,
                reason,
            } => tcc::Command::MarkDone {
                branch,
                operator,
                reason,
            },
            Self::Force { operator, reason } => tcc::Command::Force { operator, reason },
            Self::Tcc(command) => command,
            Self::Live(_) => return Err(saga::Rejected::NotLive.into()),
        })
    }
}

fn saga_summary(saga: &Saga, wake_at: Option<Timestamp>) -> Summary {
    let definition = saga.definition().definition();
    let (kind, hash) = match saga.live() {
        None => (Kind::Saga, Some(saga.definition().hash().clone())),
        Some(_) => (Kind::Live, None),
    };
    Summary {
        kind,
        state: saga.public_state(),
        definition: hash,
        definition_name: definition.name.clone(),
        definition_version: definition.version,
        cause: saga.cause().map(|cause| SummaryCause {
            step: cause.step.as_ref().map(ToString::to_string),
            code: cause.failure.code.clone(),
            message: cause.failure.message.clone(),
        }),
        created_at: saga.began_at(),
        updated_at: saga.updated_at(),
        finished_at: match saga.direction() {
            Direction::Ended { at, .. } => Some(*at),
            _ => None,
        },
        wake_at,
    }
}

fn tcc_summary(tcc: &Tcc, wake_at: Option<Timestamp>) -> Summary {
    Summary {
        kind: Kind::Tcc,
        state: tcc.public_state(),
        definition: None,
        definition_name: tcc.name().to_owned(),
        definition_version: 0,
        cause: tcc.cause().map(|cause| SummaryCause {
            step: None,
            code: cause.code.clone(),
            message: cause.message.clone(),
        }),
        created_at: tcc.began_at(),
        updated_at: tcc.updated_at(),
        finished_at: match tcc.stage() {
            Stage::Ended { at, .. } => Some(*at),
            _ => None,
        },
        wake_at,
    }
}
