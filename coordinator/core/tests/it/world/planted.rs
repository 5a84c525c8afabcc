//! Bugs that are put in between the machine and the world, to see them caught.

use amends_core::answer::Answer;
use amends_core::id::RecordNo;
use amends_core::saga::{Call, Decision, Effect, Event, Phase};

use super::case::Case;

/// A way in which the machine could be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Turning back does not tell which steps may have run.
    DropInDoubt,
    /// Effects do not wait for what must be durable.
    AfterZero,
    /// Effects wait only for the beginning.
    AfterBegin,
    /// An undo counts as done without a call.
    SkipUndo,
    /// Undos go to the steps in the order in which they ran.
    UndoForwards,
    /// Turning back calls a step that had not been called.
    DoAfterTurnBack,
    /// A lost answer counts as a refusal.
    LostIsRefused,
    /// A participant without a consumer log is treated as if it had one.
    NoFence,
    /// Once it has turned back nothing more is called.
    NoUndo,
    /// A step runs before the ones it comes after.
    DoTooEarly,
}

impl Bug {
    /// Seen in the very first decision.
    pub(crate) fn shows_at_once(self) -> bool {
        matches!(self, Self::AfterZero | Self::DoTooEarly)
    }

    /// Changes what the machine decided.
    pub(crate) fn spoil(self, case: &Case, decision: &mut Decision) {
        for record in &mut decision.records {
            if let (Self::DropInDoubt, Event::TurnedBack { in_doubt, .. }) =
                (self, &mut record.event)
            {
                in_doubt.clear();
            }
        }
        if self == Self::NoUndo {
            let is_undo = |effect: &Effect| matches!(effect, Effect::Call { call, .. } if call.phase == Phase::Undo);
            decision.effects.retain(|effect| !is_undo(effect));
        }
        let turned_back =
            |record: &amends_core::saga::Record| matches!(record.event, Event::TurnedBack { .. });
        let turns_back = decision.records.iter().any(turned_back);
        let mut more = Vec::new();
        for effect in &mut decision.effects {
            let Effect::Call { after, call } = effect else {
                continue;
            };
            match self {
                Self::AfterZero => *after = RecordNo(0),
                Self::AfterBegin => *after = RecordNo(1),
                Self::DoAfterTurnBack if turns_back => more.push(misled(call, call.step)),
                Self::DoTooEarly if call.phase == Phase::Do && call.step + 1 < case.steps.len() => {
                    more.push(misled(call, call.step + 1));
                }
                _ => {}
            }
        }
        decision.effects.extend(more);
    }

    /// Where a call really goes.
    pub(crate) fn reroute(self, case: &Case, call: &Call) -> usize {
        match self {
            Self::UndoForwards if call.phase == Phase::Undo => case.steps.len() - 1 - call.step,
            _ => call.step,
        }
    }

    /// Whether the participant is spared an undo.
    pub(crate) fn skips(self, call: &Call) -> bool {
        self == Self::SkipUndo && call.phase == Phase::Undo && call.step == 0
    }

    /// What becomes of an answer on its way to the machine.
    pub(crate) fn distort(self, answer: Answer) -> Answer {
        match answer {
            Answer::Unknown(failure) if self == Self::LostIsRefused => Answer::Refused(failure),
            other => other,
        }
    }
}

fn misled(call: &Call, step: usize) -> Effect {
    let call = Call {
        step,
        phase: Phase::Do,
        ..call.clone()
    };
    Effect::Call {
        after: RecordNo(u64::MAX),
        call,
    }
}
