//! The world between two moves, and how a move changes it.
//!
//! Durability is lazy: of the records after the last one that some performed
//! effect demanded, a crash keeps any part. A call whose record of durability
//! was lost with the crash had not been sent; any other may still arrive.

use std::hash::{Hash, Hasher};
use std::rc::Rc;

use amends_core::answer::{Answer, Failure};
use amends_core::id::{Generation, Gid, RecordNo};
use amends_core::payload::Payload;
use amends_core::saga::{
    Call, Command, Decision, Effect, Event, Fencing, Phase, Record, Rejected, Saga, apply, begin,
    decide, next_wake, pending_effects,
};
use amends_core::time::Timestamp;

use super::auditor::{self, Audit, End};
use super::case::{Case, TIMEOUT, output};
use super::moves::{Move, Reply};
use super::participant::{Participant, Verdict};
use super::rare::{Rare, note_cut};
use super::view::{hash_future, remembered};

/// A call on its way.
#[derive(Debug, Clone)]
pub(crate) struct InFlight {
    pub(crate) call: Rc<Call>,
    /// Durable before it could be sent.
    after: u64,
    /// Whether the coordinator still waits for its answer.
    pub(crate) heard: bool,
    /// When it can no longer arrive; only without a consumer log is there such a time.
    expires: Option<Timestamp>,
}

/// A saga with everything around it.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) case: Rc<Case>,
    pub(crate) now: Timestamp,
    pub(crate) saga: Saga,
    pub(crate) log: Vec<Rc<Record>>,
    /// At least so many records would survive a crash.
    pub(crate) durable: u64,
    /// The saga as each longer part of the log tells of it, from `durable` on.
    cuts: Vec<Rc<Saga>>,
    pub(crate) calls: Vec<InFlight>,
    pub(crate) participants: Vec<Participant>,
    pub(crate) audit: Audit,
    pub(crate) left: super::case::Budget,
}

impl World {
    /// A saga that has just begun.
    pub(crate) fn begin(case: &Rc<Case>) -> Result<Self, String> {
        let now = Timestamp(1_000_000);
        let gid = Gid::new("g").map_err(|bad| bad.to_string())?;
        let definition = case.compiled.clone();
        let (saga, decision) = begin(gid, definition.clone(), Payload::null(), None, now);
        let first = decision.records.first().ok_or("nothing began")?.clone();
        let replayed = amends_core::saga::replay(&definition, &[first]);
        let cut = Rc::new(replayed.map_err(|corrupt| corrupt.to_string())?);
        let participants = case.steps.iter().map(|step| Participant::new(step.fencing));
        let mut world = Self {
            now,
            saga,
            log: Vec::new(),
            durable: 1,
            cuts: vec![cut],
            calls: Vec::new(),
            participants: participants.collect(),
            audit: Audit::new(case.steps.len()),
            left: case.budget,
            case: case.clone(),
        };
        if !matches!(
            decision.effects.first(),
            Some(Effect::Accept { after: RecordNo(1) })
        ) {
            return Err("the caller is not told, or too early".into());
        }
        world.take(decision)?;
        Ok(world)
    }

    /// Number of the last record.
    pub(crate) fn last(&self) -> u64 {
        self.log.len() as u64
    }

    /// Lets a move happen. `Ok(false)`: nothing came of it.
    pub(crate) fn make(&mut self, what: Move, rare: &mut Rare) -> Result<bool, String> {
        match what {
            Move::Answer { call, reply } => self.answer(call, reply, rare)?,
            Move::Late { call, verdict } => {
                let flight = self.calls.remove(call);
                self.run(&flight, verdict)?;
            }
            Move::Sleep => self.sleep()?,
            Move::PassDeadline => {
                self.now = self.saga.deadline().ok_or("there is no deadline")?;
            }
            Move::Crash { keep } => self.crash(keep, rare)?,
            by_hand => {
                self.left.commands -= 1;
                if !self.operate(by_hand, rare)? {
                    return Ok(false);
                }
            }
        }
        self.forget_what_cannot_matter(rare);
        self.judge_end()?;
        Ok(true)
    }

    fn answer(&mut self, at: usize, reply: Reply, rare: &mut Rare) -> Result<(), String> {
        let mut flight = self.calls.remove(at);
        if !matches!(reply, Reply::Says(_)) {
            self.left.faults -= 1;
        }
        let lost = || Answer::Unknown(Failure::new("LOST", "no answer"));
        let mut answer = match reply {
            Reply::Says(verdict) => self.run(&flight, verdict)?,
            Reply::LostAfter(verdict) => {
                self.run(&flight, verdict)?;
                lost()
            }
            Reply::LostBefore => {
                self.nobody_waits_for(&mut flight);
                self.calls.push(flight.clone());
                lost()
            }
            Reply::RefusesNow => Answer::Refused(Failure::new("NOT_NOW", "cannot be done now")),
            Reply::Busy => Answer::InProgress { retry_after: None },
        };
        // A call is sent only when what it waits for is durable.
        self.force(flight.after);
        if let Some(bug) = self.case.bug {
            answer = bug.distort(answer);
        }
        let command = Command::Answered {
            step: flight.call.step,
            phase: flight.call.phase,
            attempt: flight.call.attempt,
            answer,
            took: None,
        };
        match decide(&self.saga, command, self.now) {
            Ok(decision) => self.take(decision),
            Err(Rejected::Stale) => {
                *rare.entry("answer came too late").or_default() += 1;
                Ok(())
            }
            Err(other) => Err(format!("an answer was rejected: {other}")),
        }
    }

    /// The call reaches its participant.
    fn run(&mut self, flight: &InFlight, verdict: Verdict) -> Result<Answer, String> {
        self.force(flight.after);
        let call = &flight.call;
        let ix = self
            .case
            .bug
            .map_or(call.step, |bug| bug.reroute(&self.case, call));
        if self.case.bug.is_some_and(|bug| bug.skips(call)) {
            return Ok(Answer::Succeeded(Payload::null()));
        }
        let before = self.participants[ix].times();
        match call.phase {
            Phase::Do => {
                let said = self.participants[ix].run_do(verdict)?;
                if self.participants[ix].times() > before {
                    auditor::may_take_effect(&self.case, &self.participants, ix)?;
                }
                Ok(match said {
                    Verdict::Yes => Answer::Succeeded(output(ix)),
                    Verdict::No => Answer::Refused(Failure::new("NO", "refused")),
                })
            }
            Phase::Undo => {
                auditor::may_run_undo(&self.case, &self.participants, ix)?;
                let open = self.calls.iter().any(|other| {
                    other.call.step == ix
                        && other.call.phase == Phase::Do
                        && other.after <= self.durable
                });
                if open && self.case.steps[ix].fencing == Fencing::None {
                    return Err(format!("s{ix} is undone while it may still be running"));
                }
                self.participants[ix].run_undo();
                Ok(Answer::Succeeded(Payload::null()))
            }
        }
    }

    fn sleep(&mut self) -> Result<(), String> {
        let wake = next_wake(&self.saga).ok_or("it does not want to be woken")?;
        let slept = wake > self.now;
        self.now = self.now.max(wake);
        let decision = decide(&self.saga, Command::Wake, self.now).map_err(|no| no.to_string())?;
        if decision.records.is_empty() && !slept {
            return Err("it wants to be woken again and again for nothing".into());
        }
        self.take(decision)
    }

    fn operate(&mut self, what: Move, rare: &mut Rare) -> Result<bool, String> {
        let (operator, reason) = ("kim".to_owned(), "by hand".to_owned());
        let command = match what {
            Move::Cancel => Command::Cancel { reason },
            Move::Retry => Command::Retry,
            Move::Force => Command::Force { operator, reason },
            Move::MarkUndone { step } => {
                // People are shown only what is durable.
                self.force(self.last());
                auditor::may_run_undo(&self.case, &self.participants, step)?;
                self.participants[step].run_undo();
                *rare.entry("undone by hand").or_default() += 1;
                Command::MarkUndone {
                    step: super::case::name(step),
                    operator,
                    reason,
                }
            }
            other => return Err(format!("{other:?} is no command")),
        };
        match decide(&self.saga, command, self.now) {
            Ok(decision) => self.take(decision).map(|()| true),
            Err(Rejected::PastReturn(step)) if step.is_empty() => {
                Err("the step that cannot be undone has no name".into())
            }
            Err(_) => Ok(false),
        }
    }

    fn crash(&mut self, keep: u64, rare: &mut Rare) -> Result<(), String> {
        self.left.crashes -= 1;
        note_cut(&self.log, keep, rare);
        self.calls.retain(|flight| flight.after <= keep);
        let mut flights = std::mem::take(&mut self.calls);
        flights
            .iter_mut()
            .for_each(|flight| self.nobody_waits_for(flight));
        self.calls = flights;
        self.saga = self.cuts[usize::try_from(keep - self.durable).unwrap_or(0)]
            .as_ref()
            .clone();
        self.force(keep);
        self.log
            .truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        self.cuts.truncate(1);
        self.audit.forget_after(keep);
        if self.saga.is_ended() {
            return Ok(());
        }
        let generation = Generation(self.saga.generation().0 + 1);
        let decision = decide(&self.saga, Command::Resume { generation }, self.now)
            .map_err(|no| no.to_string())?;
        let expected = calls_in(&decision.effects);
        self.take(decision)?;
        let pending = calls_in(&pending_effects(&self.saga));
        if self.case.bug.is_none() && pending != expected {
            return Err(format!(
                "after a restart {pending:?} is pending, called was {expected:?}"
            ));
        }
        Ok(())
    }

    /// Takes over a decision: records, then effects.
    fn take(&mut self, mut decision: Decision) -> Result<(), String> {
        if let Some(bug) = self.case.bug {
            bug.spoil(&self.case, &mut decision);
        }
        let began = self.log.is_empty();
        for record in &decision.records {
            if !began {
                apply(&mut self.saga, record);
            }
            if record.is_stored() {
                self.store(record)?;
            }
        }
        for effect in decision.effects {
            match effect {
                Effect::Call { after, call } => self.start(after.0, call)?,
                Effect::Finish { after } if after.0 != self.last() => {
                    return Err("the end is told before it is durable".into());
                }
                Effect::Wake { at } if Some(at) != next_wake(&self.saga) => {
                    return Err("it asks for another wake-up than it wants".into());
                }
                _ => {}
            }
        }
        let live = Some(remembered(&self.saga));
        let told = self.cuts.last().map(|cut| remembered(cut));
        if self.case.bug.is_none() && live != told {
            return Err(format!("the log tells of {told:#?}, but it is {live:#?}"));
        }
        if self.saga.is_ended() {
            let mut flights = std::mem::take(&mut self.calls);
            flights
                .iter_mut()
                .for_each(|flight| self.nobody_waits_for(flight));
            self.calls = flights;
        }
        Ok(())
    }

    fn store(&mut self, record: &Record) -> Result<(), String> {
        self.log.push(Rc::new(record.clone()));
        self.audit.saw(self.last(), &record.event)?;
        if let (Some(cut), false) = (
            self.cuts.last(),
            matches!(record.event, Event::Began { .. }),
        ) {
            let mut longer = cut.as_ref().clone();
            apply(&mut longer, record);
            self.cuts.push(Rc::new(longer));
        }
        Ok(())
    }

    fn start(&mut self, after: u64, call: Call) -> Result<(), String> {
        if after > self.last() && self.case.bug.is_none() {
            return Err(format!(
                "{} waits for a record that does not exist",
                call.name
            ));
        }
        self.audit
            .may_call(&self.case, &self.participants, &call, after)?;
        self.calls.push(InFlight {
            call: Rc::new(call),
            after: after.min(self.last()),
            heard: true,
            expires: None,
        });
        Ok(())
    }

    /// Everything up to `number` is durable.
    fn force(&mut self, number: u64) {
        if number > self.durable {
            let more = usize::try_from(number - self.durable).unwrap_or(0);
            self.cuts.drain(..more.min(self.cuts.len() - 1));
            self.durable = number;
        }
    }

    fn nobody_waits_for(&self, flight: &mut InFlight) {
        let unfenced = self.case.steps[flight.call.step].fencing == Fencing::None;
        if flight.heard && unfenced {
            flight.expires = Some(self.now + TIMEOUT);
        }
        flight.heard = false;
    }

    /// Late calls that can change nothing are let go, which keeps worlds few.
    fn forget_what_cannot_matter(&mut self, rare: &mut Rare) {
        let now = self.now;
        let participants = &self.participants;
        let mut kept: Vec<InFlight> = Vec::with_capacity(self.calls.len());
        for flight in self.calls.drain(..) {
            let there = &participants[flight.call.step];
            let pointless = match flight.call.phase {
                Phase::Do => there.ignores_do(),
                Phase::Undo => there.was_undone(),
            };
            let expired = flight.expires.is_some_and(|at| at <= now);
            let twin = |other: &InFlight| {
                !other.heard
                    && (other.call.step, other.call.phase) == (flight.call.step, flight.call.phase)
                    && other.expires >= flight.expires
                    && other.after <= flight.after
            };
            if !flight.heard && (pointless || expired || kept.iter().any(twin)) {
                if flight.call.phase == Phase::Do && there.is_fenced_off() {
                    *rare.entry("late do refused").or_default() += 1;
                }
                continue;
            }
            kept.push(flight);
        }
        // Histories that differ only in the order of calls meet again.
        kept.sort_by_key(|flight| {
            let call = &flight.call;
            (
                call.step,
                call.phase == Phase::Undo,
                flight.heard,
                flight.after,
            )
        });
        self.calls = kept;
    }

    fn judge_end(&self) -> Result<(), String> {
        match self.audit.end() {
            Some(end) => auditor::at_the_end(&self.case, &self.participants, end),
            None => Ok(()),
        }
    }

    /// The same number for worlds with the same future.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        hash_future(&self.saga, self.now, self.durable, &mut hasher);
        if self.left.crashes > 0 {
            for cut in &self.cuts {
                hash_future(cut, self.now, self.durable, &mut hasher);
            }
        }
        for flight in &self.calls {
            let call = &flight.call;
            (call.step, call.phase, call.attempt, flight.heard).hash(&mut hasher);
            flight.after.saturating_sub(self.durable).hash(&mut hasher);
            flight
                .expires
                .map(|at| at.since(self.now).0)
                .hash(&mut hasher);
        }
        for number in self.audit.numbers() {
            number
                .map(|n| n.saturating_sub(self.durable))
                .hash(&mut hasher);
        }
        (&self.participants, self.left).hash(&mut hasher);
        hasher.finish()
    }

    /// The log, read from the beginning, tells of the same saga.
    pub(crate) fn judge_log(&self) -> Result<(), String> {
        // A planted bug must be caught without the reader's help.
        if self.case.bug.is_some() {
            return Ok(());
        }
        let log: Vec<Record> = self
            .log
            .iter()
            .map(|record| record.as_ref().clone())
            .collect();
        let told = amends_core::saga::replay(&self.case.compiled, &log);
        let told = told.map_err(|corrupt| format!("its own log is refused: {corrupt}"))?;
        let same = remembered(&told) == remembered(&self.saga);
        same.then_some(())
            .ok_or_else(|| format!("its log tells of {told:?}"))
    }

    /// Whether the log says that it ended, and how.
    pub(crate) fn end(&self) -> Option<End> {
        self.audit.end()
    }
}

/// Calls as sorted pairs of step and phase.
fn calls_in(effects: &[Effect]) -> Vec<(usize, &'static str)> {
    let calls = effects.iter().filter_map(|effect| match effect {
        Effect::Call { call, .. } if call.phase == Phase::Do => Some((call.step, "do")),
        Effect::Call { call, .. } => Some((call.step, "undo")),
        _ => None,
    });
    let mut calls: Vec<_> = calls.collect();
    calls.sort_unstable();
    calls
}
