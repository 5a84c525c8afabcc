//! Everything that can happen next in the world of a live saga.

use amends_core::saga::{Direction, Forward, Phase, next_wake};

use super::caller::{Knows, Told};
use super::state::World;
use crate::world::participant::Verdict;

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// The caller asks for a step, for the first time or again.
    Ask { step: usize },
    /// The caller hears what became of a step.
    Hear { step: usize },
    /// The caller completes, or says that it failed.
    End { told: Told },
    /// The caller hears that it has ended, or cannot go on.
    HearEnd,
    /// The caller dies.
    Die,
    /// Nobody hears the caller until its lease is over; the wake-up is late.
    PassLease,
    /// An operator cancels.
    Cancel,
    /// A call is answered.
    Answer { call: usize, verdict: Verdict },
    /// A call reaches its participant, but the answer is lost.
    LostAfter { call: usize, verdict: Verdict },
    /// A call is given up before it arrives.
    LostBefore { call: usize },
    /// A call that nobody waits for any more reaches the participant.
    Late { call: usize, verdict: Verdict },
    /// Nothing happens until the saga wants to be woken.
    Sleep,
    /// The coordinator dies, this many records survive, another takes over.
    Crash { keep: u64 },
}

impl World {
    /// Every move that is possible now.
    pub(crate) fn all_moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for (call, flight) in self.calls.iter().enumerate() {
            let open = flight.call.phase == Phase::Do && self.participant(flight).is_open();
            let verdicts: &[Verdict] = match open {
                true => &[Verdict::Yes, Verdict::No],
                false => &[Verdict::Yes],
            };
            for &verdict in verdicts {
                if flight.heard {
                    moves.push(Move::Answer { call, verdict });
                } else {
                    moves.push(Move::Late { call, verdict });
                }
                if flight.heard && self.left.faults > 0 {
                    moves.push(Move::LostAfter { call, verdict });
                }
            }
            if flight.heard && self.left.faults > 0 {
                moves.push(Move::LostBefore { call });
            }
        }
        if self.left.crashes > 0 {
            let cuts = self.durable..=self.last();
            moves.extend(cuts.map(|keep| Move::Crash { keep }));
        }
        if next_wake(&self.saga).is_some() {
            moves.push(Move::Sleep);
        }
        let forward = *self.saga.direction() == Direction::Forward;
        if forward && self.left.commands > 0 {
            moves.push(Move::Cancel);
            if self
                .saga
                .live()
                .is_some_and(|live| live.lease_until() > self.now)
            {
                moves.push(Move::PassLease);
            }
        }
        self.add_caller_moves(&mut moves);
        moves
    }

    fn add_caller_moves(&self, moves: &mut Vec<Move>) {
        let caller = &self.caller;
        if !caller.is_at_it() {
            return;
        }
        if self.left.deaths > 0 {
            moves.push(Move::Die);
        }
        if !matches!(self.saga.direction(), Direction::Forward) {
            moves.push(Move::HearEnd);
        }
        if let Some(told) = caller.wants {
            // What it asked for may have been lost with a crash.
            moves.push(Move::End { told });
            return;
        }
        moves.push(Move::End { told: Told::Bad });
        let Some(wave) = self.program.waves.get(caller.wave) else {
            moves.push(Move::End { told: Told::Good });
            return;
        };
        for &step in wave {
            match caller.knows[step] {
                Knows::Nothing => moves.push(Move::Ask { step }),
                Knows::Asked if self.run_of(step).is_none() => moves.push(Move::Ask { step }),
                Knows::Asked if self.is_known(step) => moves.push(Move::Hear { step }),
                _ => {}
            }
        }
    }

    fn is_known(&self, step: usize) -> bool {
        let run = self.run_of(step);
        run.is_some_and(|run| matches!(run.forward, Forward::Succeeded { .. } | Forward::Refused))
    }
}
