//! The world between two moves, and how a move changes it.
//!
//! Durability is lazy: of the records after the last one that some performed
//! effect demanded, a crash keeps any part, of each log by itself. A call whose record of
//! durability was lost with the crash had not been sent; any other may still arrive.

use std::rc::Rc;

use amends_core::tcc::{
    Command, Decision, Effect, Event, Parent, Rejected, Tcc, Tell, apply, begin, decide, next_wake,
};
use amends_core::time::{Millis, Timestamp};

use super::auditor::Audit;
use super::case::{Budget, Case, Kind, name};
use super::moves::Move;
use super::participant::Participant;
use super::view::remembered;
use crate::world::rare::Rare;

/// Within so long whatever is unwritten is written, and whatever is under way comes to something.
pub(crate) const LONG: Millis = Millis(10_000);

/// A call on its way.
#[derive(Debug, Clone)]
pub(crate) struct InFlight {
    /// Who sent it.
    pub(crate) node: usize,
    pub(crate) sent: Sent,
    /// Durable before it could be sent.
    pub(crate) after: u64,
    /// Whether the coordinator still waits for its answer.
    pub(crate) heard: bool,
    /// The child was told; its end is the answer.
    pub(crate) delivered: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Sent {
    Call(Rc<amends_core::tcc::Call>),
    Tell(Rc<Tell>),
    Ask,
}

/// One TCC with its log.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) tcc: Tcc,
    pub(crate) log: Vec<Rc<amends_core::tcc::Record>>,
    /// At least so many records would survive a crash.
    pub(crate) durable: u64,
    /// The TCC as each longer part of the log tells of it, from `durable` on.
    pub(crate) cuts: Vec<Rc<Tcc>>,
    pub(crate) audit: Audit,
}

impl Node {
    /// Number of the last record.
    pub(crate) fn last(&self) -> u64 {
        self.log.len() as u64
    }

    /// Everything up to `number` is durable.
    pub(crate) fn force(&mut self, number: u64) {
        if number > self.durable {
            let more = usize::try_from(number - self.durable).unwrap_or(0);
            self.cuts.drain(..more.min(self.cuts.len() - 1));
            self.durable = number;
        }
    }
}

/// A family with everything around it.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) case: Rc<Case>,
    pub(crate) now: Timestamp,
    /// `None`: it has not begun.
    pub(crate) nodes: Vec<Option<Node>>,
    pub(crate) calls: Vec<InFlight>,
    pub(crate) participants: Vec<Vec<Participant>>,
    pub(crate) left: Budget,
}

impl World {
    /// The root has just begun.
    pub(crate) fn begin(case: &Rc<Case>) -> Result<Self, String> {
        let participants = case.nodes.iter();
        let participants =
            participants.map(|kinds| kinds.iter().map(|_| Participant::new()).collect());
        let mut world = Self {
            now: Timestamp(1_000_000),
            nodes: vec![None; case.nodes.len()],
            calls: Vec::new(),
            participants: participants.collect(),
            left: case.budget,
            case: case.clone(),
        };
        let begun = begin(case.start(0), world.now).map_err(|wrong| format!("{wrong:?}"))?;
        world.add(0, begun)?;
        Ok(world)
    }

    /// Takes in a TCC that has begun.
    pub(crate) fn add(
        &mut self,
        node: usize,
        (tcc, decision): (Tcc, Decision),
    ) -> Result<(), String> {
        let first = decision.records.first().ok_or("nothing began")?.clone();
        let cut = amends_core::tcc::replay(&[first]).map_err(|corrupt| corrupt.to_string())?;
        self.nodes[node] = Some(Node {
            tcc,
            log: Vec::new(),
            durable: 1,
            cuts: vec![Rc::new(cut)],
            audit: Audit::new(self.case.nodes[node].len()),
        });
        self.take(node, decision)
    }

    pub(crate) fn node(&self, node: usize) -> &Node {
        self.nodes[node].as_ref().expect("it has begun")
    }
    pub(crate) fn node_mut(&mut self, node: usize) -> &mut Node {
        self.nodes[node].as_mut().expect("it has begun")
    }

    /// Lets a move happen. `Ok(false)`: nothing came of it.
    pub(crate) fn happen(&mut self, what: Move, rare: &mut Rare) -> Result<bool, String> {
        match what {
            Move::Begin { node } => self.begin_child(node)?,
            Move::Register { node, branch } => {
                let registration = Box::new(self.case.registration(node, branch));
                if !self.put(node, Command::Register(registration))? {
                    return Ok(false);
                }
            }
            Move::Confirm { node } => {
                if self.now >= self.node(node).tcc.deadline() {
                    *rare.entry("confirm after the deadline").or_default() += 1;
                }
                if !self.put(node, Command::Confirm)? {
                    return Ok(false);
                }
            }
            Move::Cancel { node } => {
                let reason = "why".to_owned();
                if !self.put(node, Command::Cancel { reason })? {
                    return Ok(false);
                }
            }
            Move::TryByCaller {
                node,
                branch,
                reply,
            } => self.try_by_caller(node, branch, reply, rare)?,
            Move::Answer { call, reply } => self.answer(call, reply, rare)?,
            Move::ChildEnded { call } => self.child_ended(call, rare)?,
            Move::Late { call, verdict } => {
                let flight = self.calls.remove(call);
                *rare.entry("late call").or_default() += 1;
                self.deliver(&flight, verdict)?;
            }
            Move::Sleep { node } => self.sleep(node)?,
            Move::PassDeadline { node } => self.now = self.node(node).tcc.deadline(),
            Move::Crash { keep } => self.crash(keep, rare)?,
            Move::Retry { node } => {
                let held = self.node(node).audit.said_no.iter().any(|no| *no);
                self.left.commands -= u8::from(!held && self.left.commands > 0);
                if !self.put(node, Command::Retry)? {
                    return Ok(false);
                }
            }
            Move::MarkDone { node, branch } => self.mark_done(node, branch, rare)?,
            Move::Force { node } => {
                self.left.commands -= 1;
                let (operator, reason) = ("kim".to_owned(), "by hand".to_owned());
                self.put(node, Command::Force { operator, reason })?;
            }
        }
        self.forget_what_cannot_matter(rare);
        self.judge_ends()?;
        Ok(true)
    }

    fn begin_child(&mut self, node: usize) -> Result<(), String> {
        let (parent, branch) = self.case.parent_of(node).ok_or("it has no parent")?;
        // The caller was told that the branch is registered.
        let registered = self.node(parent).audit.registered[branch].ok_or("it is not")?;
        self.node_mut(parent).force(registered);
        let begun = begin(self.case.start(node), self.now).map_err(|wrong| format!("{wrong:?}"))?;
        self.add(node, begun)
    }

    /// Puts a command to a TCC. `Ok(false)`: it was rejected, or it changes nothing.
    pub(crate) fn put(&mut self, node: usize, command: Command) -> Result<bool, String> {
        if matches!(command, Command::Retry) {
            self.node_mut(node).audit.said_no.fill(false);
        }
        match decide(&self.node(node).tcc, command, self.now) {
            Ok(decision) => {
                let changes = !decision.records.is_empty();
                self.take(node, decision)?;
                Ok(changes)
            }
            Err(_) => Ok(false),
        }
    }

    fn sleep(&mut self, node: usize) -> Result<(), String> {
        let wake = next_wake(&self.node(node).tcc).ok_or("it does not want to be woken")?;
        let slept = wake > self.now;
        if wake.since(self.now) >= LONG {
            let begun = self.nodes.iter_mut().flatten();
            begun.for_each(|here| here.force(here.last()));
        }
        self.now = self.now.max(wake);
        let decision = decide(&self.node(node).tcc, Command::Wake, self.now);
        let decision = decision.map_err(|no| no.to_string())?;
        if decision.records.is_empty() && !slept {
            return Err("it wants to be woken again and again for nothing".into());
        }
        self.take(node, decision)
    }

    fn mark_done(&mut self, node: usize, branch: usize, rare: &mut Rare) -> Result<(), String> {
        // People are shown only what is durable.
        let last = self.node(node).last();
        self.node_mut(node).force(last);
        if self.is_nested(node, branch).is_none() {
            self.left.commands -= 1;
            if self.node(node).audit.confirmed.is_some() {
                self.participants[node][branch].run_confirm()?;
            } else {
                self.participants[node][branch].run_cancel()?;
            }
        }
        *rare.entry("done by hand").or_default() += 1;
        let (operator, reason) = ("kim".to_owned(), "by hand".to_owned());
        let done = self.put(
            node,
            Command::MarkDone {
                branch: name(branch).to_string(),
                operator,
                reason,
            },
        )?;
        self.node_mut(node).audit.said_no[branch] = false;
        done.then_some(()).ok_or("it cannot be marked done".into())
    }

    /// Takes over a decision: records, then effects.
    pub(crate) fn take(&mut self, node: usize, mut decision: Decision) -> Result<(), String> {
        if let Some(bug) = self.case.bug {
            bug.spoil(&mut decision);
        }
        let began = self.node(node).log.is_empty();
        for record in &decision.records {
            if !began {
                apply(&mut self.node_mut(node).tcc, record);
            }
            if record.is_stored() {
                self.store(node, record)?;
            }
        }
        for effect in decision.effects {
            self.start(node, effect)?;
        }
        let here = self.node(node);
        let live = Some(remembered(&here.tcc));
        let told = here.cuts.last().map(|cut| remembered(cut));
        if self.case.bug.is_none() && live != told {
            return Err(format!("the log tells of {told:#?}, but it is {live:#?}"));
        }
        if here.tcc.is_ended() {
            let mine = self.calls.iter_mut().filter(|flight| flight.node == node);
            mine.for_each(|flight| flight.heard = false);
        }
        Ok(())
    }

    fn store(&mut self, node: usize, record: &amends_core::tcc::Record) -> Result<(), String> {
        self.judge_family(node, &record.event)?;
        let here = self.node_mut(node);
        here.log.push(Rc::new(record.clone()));
        let number = here.last();
        here.audit.saw(number, &record.event)?;
        if let (Some(cut), false) = (
            here.cuts.last(),
            matches!(record.event, Event::TccBegan { .. }),
        ) {
            let mut longer = cut.as_ref().clone();
            apply(&mut longer, record);
            here.cuts.push(Rc::new(longer));
        }
        Ok(())
    }

    fn start(&mut self, node: usize, effect: Effect) -> Result<(), String> {
        let here = self.node(node);
        let (after, sent) = match effect {
            Effect::Call { after, call } => {
                here.audit.may_call(call.branch, call.phase, after.0)?;
                (after, Sent::Call(Rc::new(call)))
            }
            Effect::Tell { after, tell } => {
                here.audit
                    .may_call(tell.branch, tell.verdict.phase(), after.0)?;
                (after, Sent::Tell(Rc::new(tell)))
            }
            Effect::AskParent { after, parent } => {
                if here.audit.prepared.is_none_or(|number| number > after.0) {
                    return Err("it asks its parent before it is durably prepared".into());
                }
                self.check_parent(node, &parent)?;
                (after, Sent::Ask)
            }
            Effect::Finish { after } if after.0 != here.last() => {
                return Err("the end is told before it is durable".into());
            }
            Effect::Wake { at } if Some(at) != next_wake(&here.tcc) && self.case.bug.is_none() => {
                return Err("it asks for another wake-up than it wants".into());
            }
            _ => return Ok(()),
        };
        if after.0 > here.last() {
            return Err("a call waits for a record that does not exist".into());
        }
        self.calls.push(InFlight {
            node,
            sent,
            after: after.0,
            heard: true,
            delivered: false,
        });
        Ok(())
    }

    fn check_parent(&self, node: usize, asked: &Parent) -> Result<(), String> {
        let parent = self.case.start(node).parent;
        (parent.as_ref() == Some(asked))
            .then_some(())
            .ok_or("it asks somebody else".into())
    }

    pub(crate) fn is_nested(&self, node: usize, branch: usize) -> Option<usize> {
        match self.case.nodes[node][branch] {
            Kind::Nested(child) => Some(child),
            Kind::Coordinator | Kind::Caller => None,
        }
    }

    /// Whether a rejected answer was merely late.
    pub(crate) fn answer_came(
        &mut self,
        node: usize,
        command: Command,
        rare: &mut Rare,
    ) -> Result<(), String> {
        match decide(&self.node(node).tcc, command, self.now) {
            Ok(decision) => self.take(node, decision),
            Err(Rejected::Stale | Rejected::Ended) => {
                *rare.entry("answer came too late").or_default() += 1;
                Ok(())
            }
            Err(other) => Err(format!("an answer was rejected: {other}")),
        }
    }
}
