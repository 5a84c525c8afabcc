//! Everything that can happen next in a world.

use amends_core::saga::{Phase, StepKind, Undo, next_wake};

use super::participant::Verdict;
use super::state::{InFlight, World};

/// What becomes of a call that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The participant runs it and its answer arrives.
    Says(Verdict),
    /// It refuses for now, and may do otherwise next time.
    RefusesNow,
    /// The participant runs it, but the answer is lost.
    LostAfter(Verdict),
    /// It is given up before it arrives; it may still arrive later.
    LostBefore,
    /// It asks to be called again later.
    Busy,
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Answer {
        call: usize,
        reply: Reply,
    },
    /// A call that nobody waits for any more reaches the participant.
    Late {
        call: usize,
        verdict: Verdict,
    },
    /// Nothing happens until the saga wants to be woken.
    Sleep,
    /// The deadline passes and the wake-up is late.
    PassDeadline,
    Cancel,
    Retry,
    /// A person undoes a step and says so.
    MarkUndone {
        step: usize,
    },
    Force,
    /// The coordinator dies, this many records survive, another takes over.
    Crash {
        keep: u64,
    },
}

impl World {
    /// Every move that is possible now.
    pub(crate) fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for (at, flight) in self.calls.iter().enumerate() {
            if flight.heard {
                let answers = self.replies(flight);
                moves.extend(
                    answers
                        .into_iter()
                        .map(|reply| Move::Answer { call: at, reply }),
                );
            } else {
                let verdicts = self.verdicts(flight).into_iter();
                moves.extend(verdicts.map(|verdict| Move::Late { call: at, verdict }));
            }
        }
        if self.left.crashes > 0 {
            moves.extend((self.durable..=self.last()).map(|keep| Move::Crash { keep }));
        }
        if !self.saga.is_ended() {
            self.add_own_moves(&mut moves);
        }
        moves
    }

    fn add_own_moves(&self, moves: &mut Vec<Move>) {
        if next_wake(&self.saga).is_some() {
            moves.push(Move::Sleep);
        }
        let going = !self.audit.has_turned_back();
        if going && self.saga.deadline().is_some_and(|at| at > self.now) {
            moves.push(Move::PassDeadline);
        }
        if self.left.commands > 0 {
            moves.extend([Move::Cancel, Move::Retry, Move::Force]);
            let undoing = self.saga.steps().iter().enumerate();
            moves.extend(
                undoing
                    .filter(|(_, run)| matches!(run.undo, Undo::Waiting { .. } | Undo::Calling))
                    .map(|(step, _)| Move::MarkUndone { step }),
            );
        }
    }

    fn verdicts(&self, flight: &InFlight) -> Vec<Verdict> {
        let step = flight.call.step;
        let open = flight.call.phase == Phase::Do && self.participants[step].is_open();
        // What never refuses for good: a step past the point of no return.
        if open && self.case.steps[step].kind != StepKind::Retriable {
            vec![Verdict::Yes, Verdict::No]
        } else {
            vec![Verdict::Yes]
        }
    }

    fn replies(&self, flight: &InFlight) -> Vec<Reply> {
        let verdicts = self.verdicts(flight);
        let mut replies: Vec<_> = verdicts
            .iter()
            .map(|&verdict| Reply::Says(verdict))
            .collect();
        if self.left.faults > 0 {
            replies.extend(verdicts.into_iter().map(Reply::LostAfter));
            replies.extend([Reply::LostBefore, Reply::Busy]);
            let is_retriable = self.case.steps[flight.call.step].kind == StepKind::Retriable;
            if flight.call.phase == Phase::Undo || is_retriable {
                replies.push(Reply::RefusesNow);
            }
        }
        replies
    }
}
