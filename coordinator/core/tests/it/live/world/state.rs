//! The world between two moves, and how a move changes it. Durability is lazy, as in
//! [`crate::world::state`].

use std::rc::Rc;

use amends_core::answer::{Answer, Failure};
use amends_core::id::Generation;
use amends_core::payload::Payload;
use amends_core::retry::RetryPolicy;
use amends_core::saga::{
    Call, Command, Decision, Direction, Effect, Fencing, Forward, LiveCommand, LiveStart, LiveStep,
    Phase, Record, Rejected, Saga, StepRun, apply, begin_live, decide, next_wake, replay_live,
};
use amends_core::time::{Millis, Timestamp};

use super::caller::{Caller, Knows, Program, Told};
use super::judge::Audit;
use super::moves::Move;
use crate::live::sketch::{live_step, named, said, start};
use crate::world::participant::{Participant, Verdict};
use crate::world::rare::Rare;
use crate::world::view::remembered;

/// Bound of every call, shorter than the lease.
const TIMEOUT: Millis = Millis(1_000);

/// How much may go wrong in one history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Budget {
    /// Crashes of the coordinator.
    pub(crate) crashes: u8,
    /// Lost calls and answers.
    pub(crate) faults: u8,
    /// A cancellation, or a lease that passes.
    pub(crate) commands: u8,
    /// Deaths of the caller.
    pub(crate) deaths: u8,
}

/// A defence that is taken away, to see that the world notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Calls wait for the beginning only.
    AfterBegin,
    /// Steps are taken to be parallel, whatever happened before.
    NoOrder,
    /// Turning back does not tell which steps may have run.
    DropInDoubt,
    /// The end is told before it is durable.
    EndTooEarly,
    /// Nobody minds a silent caller.
    NoLease,
}

/// A call on its way.
#[derive(Debug, Clone)]
pub(crate) struct InFlight {
    pub(crate) call: Rc<Call>,
    pub(crate) after: u64,
    pub(crate) heard: bool,
    pub(crate) expires: Option<Timestamp>,
}

/// A live saga with everything around it.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) program: Rc<Program>,
    pub(crate) bug: Option<Bug>,
    pub(crate) now: Timestamp,
    pub(crate) saga: Saga,
    pub(crate) log: Vec<Rc<Record>>,
    pub(crate) durable: u64,
    /// The saga as each longer part of the log tells of it, from `durable` on.
    pub(crate) cuts: Vec<Rc<Saga>>,
    pub(crate) calls: Vec<InFlight>,
    pub(crate) participants: Vec<Participant>,
    pub(crate) caller: Caller,
    pub(crate) audit: Audit,
    pub(crate) left: Budget,
}

impl World {
    pub(crate) fn begin(
        program: &Rc<Program>,
        budget: Budget,
        bug: Option<Bug>,
    ) -> Result<Self, String> {
        let now = Timestamp(1_000_000);
        let (saga, decision) =
            begin_live(LiveStart { ..start() }, now).map_err(|wrong| format!("{wrong:?}"))?;
        let first = decision.records.first().ok_or("nothing began")?.clone();
        let cut = replay_live(&[first]).map_err(|corrupt| corrupt.to_string())?;
        let fencing = |step| match program.unfenced.contains(&step) {
            true => Fencing::None,
            false => Fencing::ConsumerLog,
        };
        let steps = program.steps();
        let participants = (0..steps).map(|step| Participant::new(fencing(step)));
        let mut world = Self {
            bug,
            now,
            saga,
            log: Vec::new(),
            durable: 1,
            cuts: vec![Rc::new(cut)],
            calls: Vec::new(),
            participants: participants.collect(),
            caller: Caller::new(steps),
            audit: Audit::default(),
            left: budget,
            program: program.clone(),
        };
        world.take(decision)?;
        Ok(world)
    }

    pub(crate) fn last(&self) -> u64 {
        self.log.len() as u64
    }

    pub(crate) fn run_of(&self, step: usize) -> Option<&StepRun> {
        let ix = self.saga.definition().position(&name(step))?;
        self.saga.steps().get(ix)
    }

    pub(crate) fn participant(&self, flight: &InFlight) -> &Participant {
        &self.participants[number(&flight.call)]
    }

    pub(crate) fn happens(&mut self, what: Move, rare: &mut Rare) -> Result<bool, String> {
        match what {
            Move::Answer { call, verdict } => self.answered(call, Some(verdict), true)?,
            Move::LostAfter { call, verdict } => {
                self.left.faults -= 1;
                self.answered(call, Some(verdict), false)?;
            }
            Move::LostBefore { call } => {
                self.left.faults -= 1;
                self.answered(call, None, false)?;
            }
            Move::Late { call, verdict } => {
                let flight = self.calls.remove(call);
                self.run(&flight, verdict)?;
            }
            Move::Sleep => return self.sleep(),
            Move::Crash { keep } => self.crash(keep)?,
            Move::Cancel => {
                self.left.commands -= 1;
                let reason = "by hand".to_owned();
                return self.command(Command::Cancel { reason });
            }
            Move::PassLease => {
                self.left.commands -= 1;
                let live = self.saga.live().ok_or("it is not live")?;
                self.now = live.lease_until();
            }
            Move::Die => {
                self.left.deaths -= 1;
                self.caller.alive = false;
            }
            Move::Ask { step } => return self.ask(step),
            Move::Hear { step } => self.hear(step, rare)?,
            Move::End { told } => return self.end(told),
            Move::HearEnd => self.hear_end(rare)?,
        }
        Ok(true)
    }

    fn ask(&mut self, step: usize) -> Result<bool, String> {
        let again = self.caller.knows[step] == Knows::Asked;
        self.caller.asks(step);
        let asked = LiveCommand::Step {
            name: named(&name(step)),
            step: self.asked(step),
        };
        let changed = self.command(said(asked))?;
        // Too late: it will hear of that.
        Ok(changed || !again)
    }

    fn asked(&self, step: usize) -> LiveStep {
        let retry = RetryPolicy {
            max_attempts: 2,
            initial_backoff: Millis(1),
            max_backoff: Millis(1),
            multiplier: 1.0,
        };
        LiveStep {
            timeout: TIMEOUT,
            retry,
            undo_retry: retry,
            fencing: match self.program.unfenced.contains(&step) {
                true => Fencing::None,
                false => Fencing::ConsumerLog,
            },
            ..live_step(&name(step))
        }
    }

    fn hear(&mut self, step: usize, rare: &mut Rare) -> Result<(), String> {
        let run = self.run_of(step).ok_or("nothing to hear of")?;
        let (knows, recorded) = match run.forward {
            Forward::Succeeded { .. } => (Knows::Yes, run.recorded.0),
            _ => (Knows::No, run.recorded.0),
        };
        if self.program.unfenced.contains(&step) {
            // As the engine has it: called again, it might answer otherwise.
            self.force(recorded);
        } else if recorded > self.durable {
            *rare.entry("heard before it was durable").or_default() += 1;
        }
        let program = self.program.clone();
        self.caller.hears(step, &program, knows);
        Ok(())
    }

    fn end(&mut self, told: Told) -> Result<bool, String> {
        let again = self.caller.wants.is_some();
        self.caller.wants = Some(told);
        let command = match told {
            Told::Good => LiveCommand::Complete {
                output: Payload::null(),
            },
            Told::Bad => LiveCommand::Fail {
                step: None,
                failure: Failure::new("FAILED", "does not want it any more"),
            },
        };
        let changed = self.command(said(command))?;
        Ok(changed || !again)
    }

    fn hear_end(&mut self, rare: &mut Rare) -> Result<(), String> {
        if self.bug != Some(Bug::EndTooEarly) {
            self.force(self.last());
        }
        let ended_well = self.audit.end.is_some_and(|(end, _)| end == "succeeded");
        let told = if ended_well { Told::Good } else { Told::Bad };
        if self.caller.wants == Some(Told::Good) && told == Told::Bad {
            *rare.entry("wanted to complete too late").or_default() += 1;
        }
        self.caller.told = Some(told);
        Ok(())
    }

    fn command(&mut self, command: Command) -> Result<bool, String> {
        match decide(&self.saga, command, self.now) {
            Ok(decision) if decision.records.is_empty() => Ok(false),
            Ok(decision) => self.take(decision).map(|()| true),
            Err(Rejected::StepDiffers { .. } | Rejected::StepInvalid(_)) => {
                Err("the same step is not the same".into())
            }
            Err(_) => Ok(false),
        }
    }

    fn answered(&mut self, at: usize, ran: Option<Verdict>, heard: bool) -> Result<(), String> {
        let mut flight = self.calls.remove(at);
        self.force(flight.after);
        let mut answer = Answer::Unknown(Failure::new("LOST", "no answer"));
        match ran {
            Some(verdict) => {
                let said = self.run(&flight, verdict)?;
                if heard {
                    answer = said;
                }
            }
            None => {
                self.nobody_waits_for(&mut flight);
                self.calls.push(flight.clone());
            }
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
            Err(Rejected::Stale) => Ok(()),
            Err(other) => Err(format!("an answer was rejected: {other}")),
        }
    }

    /// The call reaches its participant.
    fn run(&mut self, flight: &InFlight, verdict: Verdict) -> Result<Answer, String> {
        self.force(flight.after);
        let step = number(&flight.call);
        if flight.call.phase == Phase::Undo {
            self.may_run_undo(step)?;
            self.participants[step].run_undo();
            return Ok(Answer::Succeeded(Payload::null()));
        }
        let before = self.participants[step].times();
        let said = self.participants[step].run_do(verdict)?;
        if self.participants[step].times() > before {
            self.may_take_effect(step)?;
        }
        Ok(match said {
            Verdict::Yes => Answer::Succeeded(Payload::null()),
            Verdict::No => Answer::Refused(Failure::new("NO", "refused")),
        })
    }

    fn sleep(&mut self) -> Result<bool, String> {
        let wake = next_wake(&self.saga).ok_or("it does not want to be woken")?;
        if self.bug == Some(Bug::NoLease) && wake == self.lease_until() {
            return Ok(false);
        }
        // Who is there makes itself heard in time.
        if self.caller.is_at_it() && wake == self.lease_until() && wake > self.now {
            return Ok(false);
        }
        let slept = wake > self.now;
        self.now = self.now.max(wake);
        let decision = decide(&self.saga, Command::Wake, self.now).map_err(|no| no.to_string())?;
        if decision.records.is_empty() && !slept {
            return Err("it wants to be woken again and again for nothing".into());
        }
        self.take(decision)?;
        Ok(true)
    }

    fn lease_until(&self) -> Timestamp {
        let forward = *self.saga.direction() == Direction::Forward;
        let live = self.saga.live().filter(|_| forward);
        live.map_or(Timestamp(i64::MAX), |live| live.lease_until())
    }

    fn crash(&mut self, keep: u64) -> Result<(), String> {
        self.left.crashes -= 1;
        self.calls.retain(|flight| flight.after <= keep);
        self.give_up_all();
        let cut = usize::try_from(keep - self.durable).unwrap_or(0);
        self.saga = self.cuts[cut].as_ref().clone();
        self.force(keep);
        self.log
            .truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        self.cuts.truncate(1);
        self.audit.forget_after(keep);
        if self.saga.is_ended() {
            return Ok(());
        }
        let generation = Generation(self.saga.generation().0 + 1);
        let resume = Command::Resume { generation };
        let decision = decide(&self.saga, resume, self.now).map_err(|no| no.to_string())?;
        self.take(decision)
    }

    /// Takes over a decision: records, then effects.
    fn take(&mut self, mut decision: Decision) -> Result<(), String> {
        self.spoil(&mut decision);
        let began = self.log.is_empty();
        for record in &decision.records {
            if !began {
                apply(&mut self.saga, record);
            }
            if !record.is_stored() {
                continue;
            }
            self.log.push(Rc::new(record.clone()));
            self.audit.saw(self.last(), &record.event)?;
            if let (Some(cut), false) = (self.cuts.last(), began) {
                let mut longer = cut.as_ref().clone();
                apply(&mut longer, record);
                self.cuts.push(Rc::new(longer));
            }
        }
        for effect in decision.effects {
            match effect {
                Effect::Call { after, call } => self.start(after.0, call)?,
                Effect::Finish { after } if after.0 != self.last() => {
                    return Err("the end is told before it is durable".into());
                }
                _ => {}
            }
        }
        let told = self.cuts.last().map(|cut| remembered(cut));
        let live = Some(remembered(&self.saga));
        if self.bug.is_none() && live != told {
            return Err(format!("the log tells of {told:#?}, but it is {live:#?}"));
        }
        if self.saga.is_ended() {
            self.give_up_all();
        }
        Ok(())
    }

    fn spoil(&self, decision: &mut Decision) {
        use amends_core::saga::Event;
        for record in &mut decision.records {
            match (self.bug, &mut record.event) {
                (Some(Bug::DropInDoubt), Event::TurnedBack { in_doubt, .. }) => in_doubt.clear(),
                (Some(Bug::NoOrder), Event::StepAdded { after, .. }) => after.clear(),
                _ => {}
            }
        }
        for effect in &mut decision.effects {
            if let (Some(Bug::AfterBegin), Effect::Call { after, .. }) = (self.bug, effect) {
                *after = amends_core::id::RecordNo(1);
            }
        }
    }

    fn start(&mut self, after: u64, call: Call) -> Result<(), String> {
        self.audit.may_call(&call, after)?;
        let step = number(&call);
        let same = |flight: &&InFlight| flight.heard && number(&flight.call) == step;
        if let Some(twin) = self.calls.iter().find(same)
            && (twin.call.phase == call.phase || self.program.unfenced.contains(&step))
        {
            return Err(format!("s{step} is called while a call is under way"));
        }
        self.calls.push(InFlight {
            call: Rc::new(call),
            after: after.min(self.last()),
            heard: true,
            expires: None,
        });
        Ok(())
    }

    fn force(&mut self, number: u64) {
        if number > self.durable {
            let more = usize::try_from(number - self.durable).unwrap_or(0);
            self.cuts.drain(..more.min(self.cuts.len() - 1));
            self.durable = number;
        }
    }

    fn give_up_all(&mut self) {
        let mut flights = std::mem::take(&mut self.calls);
        for flight in &mut flights {
            self.nobody_waits_for(flight);
        }
        self.calls = flights;
    }

    fn nobody_waits_for(&self, flight: &mut InFlight) {
        if flight.heard && self.program.unfenced.contains(&number(&flight.call)) {
            flight.expires = Some(self.now + TIMEOUT);
        }
        flight.heard = false;
    }

    /// Late calls that can change nothing are let go, which keeps worlds few.
    pub(crate) fn forget_what_cannot_matter(&mut self) {
        let mut kept: Vec<InFlight> = Vec::with_capacity(self.calls.len());
        for flight in std::mem::take(&mut self.calls) {
            let there = self.participant(&flight);
            let pointless = match flight.call.phase {
                Phase::Do => there.ignores_do(),
                Phase::Undo => there.was_undone(),
            };
            let expired = flight.expires.is_some_and(|at| at <= self.now);
            let twin = |other: &InFlight| {
                !other.heard
                    && (number(&other.call), other.call.phase)
                        == (number(&flight.call), flight.call.phase)
                    && other.expires >= flight.expires
                    && other.after <= flight.after
            };
            if flight.heard || !(pointless || expired || kept.iter().any(twin)) {
                kept.push(flight);
            }
        }
        let place = |flight: &InFlight| {
            let undo = flight.call.phase == Phase::Undo;
            (number(&flight.call), undo, flight.heard, flight.after)
        };
        kept.sort_by_key(place);
        self.calls = kept;
    }
}

fn name(step: usize) -> String {
    format!("s{step}")
}

/// Steps are called `s0`, `s1` ...
pub(crate) fn number(call: &Call) -> usize {
    call.name.as_str()[1..].parse().unwrap_or(usize::MAX)
}
