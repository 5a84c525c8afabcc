//! The coordinator dies, and another takes over what the logs tell.

use amends_core::id::Generation;
use amends_core::tcc::{Command, Effect, Event, Phase, Tcc, decide, pending_effects};

use super::case::MAX_NODES;
use super::state::{Sent, World};
use crate::world::rare::Rare;

impl World {
    /// Of each log so many records survive.
    pub(crate) fn crash(&mut self, keep: [u64; MAX_NODES], rare: &mut Rare) -> Result<(), String> {
        self.left.crashes -= 1;
        self.calls
            .retain(|flight| flight.after <= keep[flight.node]);
        self.calls.iter_mut().for_each(|flight| {
            flight.heard = false;
            flight.delivered = false;
        });
        for (node, keep) in keep.iter().enumerate().take(self.nodes.len()) {
            if self.nodes[node].is_some() {
                self.cut(node, *keep, rare);
            }
        }
        for node in 0..self.nodes.len() {
            if self.nodes[node]
                .as_ref()
                .is_some_and(|here| !here.tcc.is_ended())
            {
                self.resume(node)?;
            }
        }
        Ok(())
    }

    fn cut(&mut self, node: usize, keep: u64, rare: &mut Rare) {
        let here = self.node_mut(node);
        let lost = usize::try_from(keep).unwrap_or(usize::MAX);
        if let (Some(last), Some(next)) = (here.log.get(lost.wrapping_sub(1)), here.log.get(lost)) {
            let cut = match (&last.event, &next.event) {
                (_, Event::Registered(_)) => "cut before a registration",
                (_, Event::ConfirmDecided) => "cut before the confirm",
                (_, Event::CancelDecided { .. }) => "cut before the cancel",
                (_, Event::Prepared) => "cut before prepared",
                (_, Event::Succeeded | Event::Compensated) => "cut before the end",
                (Event::ConfirmDecided | Event::CancelDecided { .. }, _) => {
                    "cut after the decision"
                }
                _ => "cut elsewhere",
            };
            *rare.entry(cut).or_default() += 1;
        }
        let at = usize::try_from(keep - here.durable).unwrap_or(0);
        here.tcc = here.cuts[at].as_ref().clone();
        here.force(keep);
        here.log.truncate(lost);
        here.cuts.truncate(1);
        here.audit.forget_after(keep);
    }

    fn resume(&mut self, node: usize) -> Result<(), String> {
        let generation = Generation(self.node(node).tcc.generation().0 + 1);
        let decision = decide(
            &self.node(node).tcc,
            Command::Resume { generation },
            self.now,
        );
        let decision = decision.map_err(|no| no.to_string())?;
        let expected = calls_in(&decision.effects);
        self.take(node, decision)?;
        let pending = calls_in(&pending_effects(&self.node(node).tcc));
        if self.case.bug.is_none() && pending != expected {
            return Err(format!(
                "after a restart {pending:?} is pending, called was {expected:?}"
            ));
        }
        Ok(())
    }

    /// Late calls that can change nothing are let go, which keeps worlds few.
    pub(crate) fn forget_what_cannot_matter(&mut self, rare: &mut Rare) {
        let mut kept: Vec<super::state::InFlight> = Vec::with_capacity(self.calls.len());
        for flight in std::mem::take(&mut self.calls) {
            let twin = |other: &super::state::InFlight| {
                !other.heard && key(other) == key(&flight) && other.after <= flight.after
            };
            if !flight.heard && (self.is_pointless(&flight, rare) || kept.iter().any(twin)) {
                continue;
            }
            kept.push(flight);
        }
        // Histories that differ only in the order of calls meet again.
        kept.sort_by_key(|flight| (key(flight), flight.heard, flight.delivered, flight.after));
        self.calls = kept;
    }

    fn is_pointless(&self, flight: &super::state::InFlight, rare: &mut Rare) -> bool {
        let decided = |tcc: &Tcc| tcc.decided().is_some() || tcc.is_ended();
        match &flight.sent {
            Sent::Call(call) => {
                let there = &self.participants[flight.node][call.branch];
                if call.phase == Phase::Try && there.is_fenced_off() {
                    *rare.entry("late try refused").or_default() += 1;
                }
                match call.phase {
                    Phase::Try => !there.is_open(),
                    Phase::Confirm => there.was_confirmed(),
                    Phase::Cancel => there.was_cancelled(),
                }
            }
            Sent::Tell(tell) => {
                let child = self.is_nested(flight.node, tell.branch);
                let child = child.and_then(|child| self.nodes[child].as_ref());
                child.is_some_and(|child| decided(&child.tcc))
            }
            Sent::Ask => {
                let parent = self.case.parent_of(flight.node);
                parent.is_none_or(|(parent, branch)| {
                    let parent = self.node(parent);
                    decided(&parent.tcc) || parent.audit.has_tried(branch)
                })
            }
        }
    }
}

/// Who sent what kind of call about which branch.
pub(crate) fn key(flight: &super::state::InFlight) -> (usize, usize, u8) {
    let (branch, kind) = match &flight.sent {
        Sent::Call(call) => (call.branch, call.phase as u8),
        Sent::Tell(tell) => (tell.branch, 10 + tell.verdict as u8),
        Sent::Ask => (0, 20),
    };
    (flight.node, branch, kind)
}

/// Calls as sorted pairs of branch and kind.
fn calls_in(effects: &[Effect]) -> Vec<(usize, String)> {
    let calls = effects.iter().filter_map(|effect| match effect {
        Effect::Call { call, .. } => Some((call.branch, format!("{:?}", call.phase))),
        Effect::Tell { tell, .. } => Some((tell.branch, format!("tell {:?}", tell.verdict))),
        Effect::AskParent { .. } => Some((0, "ask".to_owned())),
        _ => None,
    });
    let mut calls: Vec<_> = calls.collect();
    calls.sort_unstable();
    calls
}
