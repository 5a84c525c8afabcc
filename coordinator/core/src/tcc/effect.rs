//! What has to happen outside, and what must be durable before it may.

use crate::id::{Gid, RecordNo, StepName};
use crate::payload::Payload;
use crate::target::Target;
use crate::time::{Millis, Timestamp};

use super::nested::ask_parent;
use super::record::{Parent, Phase, Verdict};
use super::registration::Work;
use super::state::{Ask, BranchIx, Settle, Stage, Tcc, Tried};

/// Something to do outside, once the log is durable up to `after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Tell the caller that the TCC is accepted.
    Accept {
        /// Durable first.
        after: RecordNo,
    },
    /// Call a participant and bring back its answer.
    Call {
        /// Durable first.
        after: RecordNo,
        /// The call.
        call: Call,
    },
    /// Put a decision to a child as [`super::Command::ParentSaid`], and bring back
    /// [`Tcc::answer_to_parent`] as the answer of the branch.
    Tell {
        /// Durable first.
        after: RecordNo,
        /// What to tell whom.
        tell: Tell,
    },
    /// Put a [`super::Command::Vote`] to the parent, and bring back [`Tcc::standing`]
    /// as [`super::Command::ParentSaid`].
    AskParent {
        /// Durable first.
        after: RecordNo,
        /// Whom to ask.
        parent: Parent,
    },
    /// Come back with a wake-up at this time; replaces any earlier one.
    Wake {
        /// When.
        at: Timestamp,
    },
    /// Tell everybody who waits that the TCC has ended, and forget it.
    Finish {
        /// Durable first.
        after: RecordNo,
    },
}

/// One call of a participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Position of the branch.
    pub branch: BranchIx,
    /// Its name.
    pub name: StepName,
    /// Which call.
    pub phase: Phase,
    /// Which attempt, from 1 on.
    pub attempt: u32,
    /// Where to.
    pub target: Target,
    /// Bound of the call.
    pub timeout: Millis,
    /// The branch's input.
    pub input: Payload,
    /// For confirm and cancel: what the try had answered, where that is known.
    pub output: Option<Payload>,
}

/// A decision for a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tell {
    /// Position of the branch that the child is.
    pub branch: BranchIx,
    /// Its name.
    pub name: StepName,
    /// Which attempt, from 1 on.
    pub attempt: u32,
    /// The child.
    pub child: Gid,
    /// What was decided.
    pub verdict: Verdict,
}

/// Everything that must be in flight in this state.
#[must_use]
pub fn pending_effects(tcc: &Tcc) -> Vec<Effect> {
    if tcc.is_ended() {
        return vec![Effect::Finish {
            after: tcc.last_record,
        }];
    }
    let calls = (0..tcc.branches.len()).filter_map(|ix| call(tcc, ix));
    let wake = next_wake(tcc).map(|at| Effect::Wake { at });
    calls.chain(ask_parent(tcc)).chain(wake).collect()
}

/// When the TCC wants to be woken if nothing happens before.
#[must_use]
pub fn next_wake(tcc: &Tcc) -> Option<Timestamp> {
    match &tcc.stage {
        Stage::Trying => {
            let waits = tcc.branches.iter().filter_map(|run| match run.tried {
                Tried::Waiting { until } => Some(until),
                _ => None,
            });
            waits.chain([tcc.deadline]).min()
        }
        Stage::Prepared {
            ask: Ask::Waiting { until },
            ..
        } => Some(*until),
        Stage::Settling(_) => {
            let waits = tcc.branches.iter().filter_map(|run| match run.settle {
                Settle::Waiting { until } => Some(until),
                _ => None,
            });
            waits.min()
        }
        Stage::Prepared { .. } | Stage::Ended { .. } => None,
    }
}

/// The call that a branch in flight stands for, if it is.
pub(super) fn call(tcc: &Tcc, ix: BranchIx) -> Option<Effect> {
    let run = &tcc.branches[ix];
    let name = run.registration.name.clone();
    let (phase, attempt, after) = match &tcc.stage {
        Stage::Trying if run.tried == Tried::Calling => (Phase::Try, run.attempts, run.registered),
        Stage::Settling(decided) if run.settle == Settle::Calling => {
            let phase = decided.verdict.phase();
            (phase, run.settle_attempts, decided.record)
        }
        _ => return None,
    };
    let (target, input) = match (&run.registration.work, phase) {
        (Work::Participant { r#try, input, .. }, Phase::Try) => (r#try, input),
        (Work::Participant { confirm, input, .. }, Phase::Confirm) => (confirm, input),
        (Work::Participant { cancel, input, .. }, Phase::Cancel) => (cancel, input),
        (Work::Nested { gid }, _) => {
            let tell = Tell {
                branch: ix,
                name,
                attempt,
                child: gid.clone(),
                verdict: tcc.verdict()?,
            };
            return Some(Effect::Tell { after, tell });
        }
    };
    let output = match &run.tried {
        Tried::Succeeded { output } => Some(output.clone()),
        _ => None,
    };
    let call = Call {
        branch: ix,
        name,
        phase,
        attempt,
        target: target.clone(),
        timeout: run.registration.timeout,
        input: input.clone(),
        output,
    };
    Some(Effect::Call { after, call })
}
