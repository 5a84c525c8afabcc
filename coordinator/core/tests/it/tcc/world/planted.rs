//! Bugs that are put in between the machine and the world, to see them caught.

use amends_core::answer::Answer;
use amends_core::id::RecordNo;
use amends_core::payload::Payload;
use amends_core::tcc::{Call, Decision, Effect, Event, Phase};

use super::state::{InFlight, Sent, World};

/// A way in which the machine could be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Effects wait only for the beginning.
    AfterBegin,
    /// Tries whose outcome is not known are not cancelled.
    ForgetUnknown,
    /// A lost answer counts as a refusal.
    LostIsRefused,
    /// A lost answer of a try counts as a success.
    LostIsSuccess,
    /// The caller reports a try that it does not know of as done.
    CallerGuesses,
    /// A confirm counts as done without a call.
    SkipConfirm,
    /// One branch is cancelled while the others are confirmed.
    MixUp,
    /// Once decided nothing more is called.
    NoSettle,
    /// A refused confirm or cancel is quietly called again.
    RetryRefused,
    /// The parent tells a child what is not durable yet.
    TellTooEarly,
    /// A prepared child cancels by itself.
    CancelPrepared,
    /// The deadline counts also after the confirm.
    DeadlineAfterConfirm,
}

impl Bug {
    /// Changes what the machine decided.
    pub(crate) fn spoil(self, decision: &mut Decision) {
        if self == Self::NoSettle {
            let settles = |effect: &Effect| matches!(effect, Effect::Call { call, .. } if call.phase != Phase::Try);
            decision.effects.retain(|effect| !settles(effect));
        }
        for effect in &mut decision.effects {
            if let (
                Self::AfterBegin,
                Effect::Call { after, .. } | Effect::AskParent { after, .. },
            ) = (self, effect)
            {
                *after = RecordNo(1);
            }
        }
        let spoilt = |event: &Event| match self {
            Self::CancelPrepared => matches!(event, Event::Prepared),
            Self::DeadlineAfterConfirm => matches!(event, Event::ConfirmDecided),
            _ => false,
        };
        if let Some(at) = decision.records.iter().position(|one| spoilt(&one.event)) {
            let cause = amends_core::answer::Failure::new("LATE", "the deadline passed");
            let mut cancel = decision.records[at].clone();
            cancel.event = Event::CancelDecided { cause };
            decision.records.insert(at + 1, cancel);
        }
    }

    /// Which phase really runs.
    pub(crate) fn reroute(self, call: &Call) -> Phase {
        match (self, call.phase) {
            (Self::MixUp, Phase::Confirm) if call.branch == 1 => Phase::Cancel,
            (_, phase) => phase,
        }
    }

    /// Whether the participant is spared a call.
    pub(crate) fn skips(self, world: &World, flight: &InFlight) -> bool {
        let Sent::Call(call) = &flight.sent else {
            return false;
        };
        match self {
            Self::SkipConfirm => call.phase == Phase::Confirm && call.branch == 0,
            Self::ForgetUnknown => {
                let known = world.node(flight.node).audit.has_tried(call.branch);
                call.phase == Phase::Cancel && !known
            }
            _ => false,
        }
    }

    /// What becomes of an answer on its way to the machine.
    pub(crate) fn distort(self, flight: &InFlight, answer: Answer) -> Answer {
        let Sent::Call(call) = &flight.sent else {
            return answer;
        };
        match answer {
            Answer::Unknown(failure) if self == Self::LostIsRefused => Answer::Refused(failure),
            Answer::Unknown(_) if self == Self::LostIsSuccess && call.phase == Phase::Try => {
                Answer::Succeeded(Payload::null())
            }
            Answer::Refused(failure) if self == Self::RetryRefused && call.phase != Phase::Try => {
                Answer::Unknown(failure)
            }
            other => other,
        }
    }

    /// What the caller says of a try.
    pub(crate) fn misreport(self, answer: Answer) -> Answer {
        match answer {
            Answer::Unknown(_) if self == Self::CallerGuesses => Answer::Succeeded(Payload::null()),
            other => other,
        }
    }

    pub(crate) fn tells_too_early(self) -> bool {
        self == Self::TellTooEarly
    }
}
