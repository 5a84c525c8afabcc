//! A TCC under a parent, and a parent with children: who asks, who tells, who
//! answers what. The protocol is described in [`super`].

use crate::answer::{Answer, Failure};
use crate::id::{Gid, RecordNo};
use crate::payload::Payload;
use crate::retry::RetryPolicy;
use crate::time::Millis;

use super::decide::{Draft, Rejected};
use super::effect::Effect;
use super::record::{Event, Verdict};
use super::state::{Ask, Decided, Outcome, Stage, Tcc};
use super::trying::must_be_trying;

/// How a parent that cannot be reached is asked again.
const ASK_RETRY: RetryPolicy = RetryPolicy {
    max_attempts: u32::MAX,
    initial_backoff: Millis(200),
    max_backoff: Millis(30_000),
    multiplier: 2.0,
};

/// What a parent says to a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has the vote, and has not decided.
    Undecided,
    /// It confirms.
    Confirm,
    /// It cancels, or it is not known at all.
    Cancel,
    /// It could not be asked.
    Unreachable,
}

impl Tcc {
    /// What to say to a child that asks. Only what is durable counts: a child
    /// that acted on a decision that is forgotten later would end otherwise
    /// than its parent.
    #[must_use]
    pub fn standing(&self, branch: &str, child: &Gid, durable: RecordNo) -> Standing {
        let decided = self.decided().filter(|decided| decided.record <= durable);
        let ended = self.is_ended() && self.last_record <= durable;
        match decided.map(|decided| decided.verdict) {
            Some(Verdict::Confirm) if self.is_child(branch, child) => Standing::Confirm,
            Some(_) => Standing::Cancel,
            None if ended => Standing::Cancel,
            None => Standing::Undecided,
        }
    }

    /// What to answer to a parent that told its decision: that this child has ended so,
    /// as soon as that is durable.
    #[must_use]
    pub fn answer_to_parent(&self, verdict: Verdict, durable: RecordNo) -> Answer {
        let refused = |code: &str, message: &str| Answer::Refused(Failure::new(code, message));
        match &self.stage {
            Stage::Ended { .. } if self.last_record > durable => {
                Answer::InProgress { retry_after: None }
            }
            Stage::Ended {
                outcome: Outcome::Forced { .. },
                ..
            } => refused("NESTED_FORCED", "an operator ended it by hand"),
            Stage::Settling(Decided { verdict: other, .. })
            | Stage::Ended {
                decided: Some(Decided { verdict: other, .. }),
                ..
            } if *other != verdict => match other {
                Verdict::Confirm => refused("NESTED_CONFIRMED", "it was confirmed"),
                Verdict::Cancel => refused("NESTED_CANCELLED", "it was cancelled"),
            },
            Stage::Ended { .. } => Answer::Succeeded(Payload::null()),
            Stage::Trying if verdict == Verdict::Confirm => {
                refused("NESTED_NOT_PREPARED", "it was never prepared")
            }
            Stage::Trying | Stage::Prepared { .. } | Stage::Settling(_) => {
                Answer::InProgress { retry_after: None }
            }
        }
    }

    fn is_child(&self, branch: &str, child: &Gid) -> bool {
        self.position(branch)
            .is_some_and(|ix| self.branches[ix].registration.child() == Some(child))
    }
}

/// Asks the parent when that is due.
pub(super) fn advance(draft: &mut Draft<'_>) {
    let Stage::Prepared { ask, asked, .. } = draft.tcc.stage else {
        return;
    };
    let due = match ask {
        Ask::Pending => true,
        Ask::Waiting { until } => until <= draft.now,
        Ask::Calling => false,
    };
    if due {
        draft.record(Event::ParentAsked {
            attempt: asked.saturating_add(1),
        });
        draft.effects.extend(ask_parent(draft.tcc));
    }
}

/// The question that is under way.
pub(super) fn ask_parent(tcc: &Tcc) -> Option<Effect> {
    match (&tcc.stage, &tcc.parent) {
        (
            Stage::Prepared {
                record,
                ask: Ask::Calling,
                ..
            },
            Some(parent),
        ) => Some(Effect::AskParent {
            after: *record,
            parent: parent.clone(),
        }),
        _ => None,
    }
}

/// A child says that it is prepared.
pub(super) fn vote(draft: &mut Draft<'_>, branch: &str, child: &Gid) -> Result<(), Rejected> {
    let ix = draft
        .tcc
        .position(branch)
        .ok_or_else(|| Rejected::UnknownBranch(branch.to_owned()))?;
    if !draft.tcc.is_child(branch, child) {
        return Err(Rejected::NotThisChild(branch.to_owned()));
    }
    if draft.tcc.branches[ix].is_tried() {
        return Ok(());
    }
    must_be_trying(draft.tcc)?;
    draft.record(Event::TrySucceeded {
        branch: draft.tcc.branches[ix].registration.name.clone(),
        calls: 0,
        output: Payload::null(),
    });
    Ok(())
}

/// The parent told, or answered.
pub(super) fn parent_said(draft: &mut Draft<'_>, standing: Standing) -> Result<(), Rejected> {
    if draft.tcc.parent.is_none() {
        return Err(Rejected::NoParent);
    }
    if draft.tcc.decided().is_some() {
        return Ok(());
    }
    let heard = match standing {
        Standing::Confirm => {
            return match draft.tcc.stage {
                Stage::Prepared { .. } => {
                    draft.record(Event::ConfirmDecided);
                    Ok(())
                }
                _ => Err(Rejected::NotPrepared),
            };
        }
        Standing::Cancel => {
            draft.cancel(Failure::new("PARENT_CANCELLED", "its parent is cancelled"));
            return Ok(());
        }
        Standing::Undecided => true,
        Standing::Unreachable => false,
    };
    // Answers to questions, which may come late.
    let Stage::Prepared {
        ask: Ask::Calling,
        asked,
        ..
    } = draft.tcc.stage
    else {
        return Err(Rejected::Stale);
    };
    let who = draft.tcc.gid.as_str();
    let wait = if heard {
        ASK_RETRY.slow_backoff(asked, who)
    } else {
        ASK_RETRY.backoff(asked, who)
    };
    let until = draft.now + wait;
    draft.record(Event::ParentUndecided { heard, until });
    Ok(())
}
