//! How the walk sees a world: what is possible, whether it was here before, how it ended.

use std::hash::{Hash, Hasher};

use amends_core::saga::{Saga, replay_live};

use super::caller::Knows;
use super::moves::Move;
use super::state::{World, number};
use crate::world::explore::Explorable;
use crate::world::participant::Participant;
use crate::world::rare::Rare;
use crate::world::view::{hash_future, remembered};

impl Explorable for World {
    type Move = Move;

    fn moves(&self) -> Vec<Move> {
        self.all_moves()
    }

    fn make(&mut self, what: Move, rare: &mut Rare) -> Result<bool, String> {
        if !self.happens(what, rare)? {
            return Ok(false);
        }
        self.forget_what_cannot_matter();
        self.judge_end()?;
        Ok(true)
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        self.hash_saga(&self.saga, &mut hasher);
        if self.left.crashes > 0 {
            for cut in &self.cuts {
                self.hash_saga(cut, &mut hasher);
            }
        }
        for flight in &self.calls {
            let call = &flight.call;
            (number(call), call.phase, call.attempt, flight.heard).hash(&mut hasher);
            flight.after.saturating_sub(self.durable).hash(&mut hasher);
            let expires = flight.expires.map(|at| at.since(self.now).0);
            expires.hash(&mut hasher);
        }
        let later = |number: u64| number.saturating_sub(self.durable);
        self.audit.turned_back.map(later).hash(&mut hasher);
        self.audit
            .end
            .map(|(end, n)| (end, later(n)))
            .hash(&mut hasher);
        (&self.participants, &self.caller, self.left).hash(&mut hasher);
        hasher.finish()
    }

    fn note(&self, rare: &mut Rare) -> Result<(), String> {
        let mut add = |what| *rare.entry(what).or_default() += 1;
        if self.participants.iter().any(Participant::is_fenced_off) {
            add("undone before it arrived");
        }
        let asked = |step: usize| self.caller.knows[step] == Knows::Asked;
        let forgotten = |step: usize| self.run_of(step).is_none();
        if (0..self.participants.len()).any(|step| asked(step) && forgotten(step)) {
            add("asked for and forgotten in a crash, or too late");
        }
        let cause = self.saga.cause().map(|cause| cause.failure.code.as_str());
        match cause {
            Some("CALLER_LOST") => add("the caller was lost"),
            Some("CANCELLED") => add("cancelled"),
            Some("FAILED") => add("failed by its caller"),
            Some("LOST") => add("a step proved nothing"),
            _ => {}
        }
        Ok(())
    }

    fn judge_last(&self) -> Result<(), String> {
        if self.audit.end.is_none() {
            return Err("nothing can happen, but it has not ended".into());
        }
        if self.bug.is_some() {
            return Ok(());
        }
        let log = self.log.iter().map(|record| record.as_ref().clone());
        let told = replay_live(&log.collect::<Vec<_>>());
        let told = told.map_err(|corrupt| format!("its own log is refused: {corrupt}"))?;
        match remembered(&told) == remembered(&self.saga) {
            true => Ok(()),
            false => Err(format!("its log tells of {told:?}")),
        }
    }
}

impl World {
    fn hash_saga(&self, saga: &Saga, hasher: &mut impl Hasher) {
        hash_future(saga, self.now, self.durable, hasher);
        let lease = saga.live().map(|live| live.lease_until().since(self.now).0);
        let resumed = saga.live().map(|live| live.steps_when_resumed());
        (lease, resumed).hash(hasher);
        for (ix, step) in saga.definition().steps().iter().enumerate() {
            (step.name.as_str(), saga.definition().dag().before(ix)).hash(hasher);
        }
    }
}
