//! What becomes of calls: they arrive, are answered, get lost.

use amends_core::answer::{Answer, Failure};
use amends_core::id::RecordNo;
use amends_core::payload::Payload;
use amends_core::tcc::{Command, Decision, Phase, Standing, Verdict as Decided, begin_cancelled};

use super::case::{gid, name, output};
use super::moves::Reply;
use super::participant::Verdict;
use super::state::{InFlight, Sent, World};
use crate::world::rare::Rare;

impl World {
    pub(crate) fn answer(
        &mut self,
        at: usize,
        reply: Reply,
        rare: &mut Rare,
    ) -> Result<(), String> {
        let mut flight = self.calls.remove(at);
        self.left.faults -= u8::from(!matches!(reply, Reply::Says(_)));
        // A call is sent only when what it waits for is durable.
        self.node_mut(flight.node).force(flight.after);
        let answer = match reply {
            Reply::Says(verdict) => self.deliver(&flight, verdict)?,
            Reply::LostAfter(verdict) => {
                self.deliver(&flight, verdict)?;
                Some(lost())
            }
            Reply::LostBefore => {
                self.calls.push(InFlight {
                    heard: false,
                    ..flight.clone()
                });
                Some(lost())
            }
            Reply::RefusesNow => {
                if let Sent::Call(call) = &flight.sent {
                    self.node_mut(flight.node).audit.said_no[call.branch] = true;
                }
                let failure = Failure::new("NOT_NOW", "cannot be done now");
                Some(Answer::Refused(failure))
            }
            Reply::Busy => Some(Answer::InProgress { retry_after: None }),
        };
        match answer {
            Some(answer) => self.came(&flight, answer, rare),
            // The child was told; its end will be the answer.
            None => {
                flight.delivered = true;
                self.calls.push(flight);
                Ok(())
            }
        }
    }

    /// Brings an answer to whoever asked.
    fn came(&mut self, flight: &InFlight, answer: Answer, rare: &mut Rare) -> Result<(), String> {
        let answer = self
            .case
            .bug
            .map_or(answer.clone(), |bug| bug.distort(flight, answer));
        let command = match &flight.sent {
            Sent::Call(call) => Command::Answered {
                branch: call.branch,
                phase: call.phase,
                attempt: call.attempt,
                answer,
                took: None,
            },
            Sent::Tell(tell) => Command::Answered {
                branch: tell.branch,
                phase: tell.verdict.phase(),
                attempt: tell.attempt,
                answer,
                took: None,
            },
            Sent::Ask => Command::ParentSaid(match answer {
                Answer::Unknown(_) => Standing::Unreachable,
                _ => self.standing_for(flight.node)?,
            }),
        };
        self.answer_came(flight.node, command, rare)
    }

    /// Whether the child that was told has come to its end.
    pub(crate) fn has_child_ended(&self, flight: &InFlight) -> bool {
        self.is_told(flight)
            .and_then(|child| self.nodes[child].as_ref())
            .is_some_and(|child| child.tcc.is_ended())
    }

    fn is_told(&self, flight: &InFlight) -> Option<usize> {
        match &flight.sent {
            Sent::Tell(tell) => self.is_nested(flight.node, tell.branch),
            Sent::Call(_) | Sent::Ask => None,
        }
    }

    /// The end of a child is told to its parent once it is durable.
    pub(crate) fn child_ended(&mut self, at: usize, rare: &mut Rare) -> Result<(), String> {
        let flight = self.calls.remove(at);
        let child = self.is_told(&flight).ok_or("nobody was told")?;
        let last = self.node(child).last();
        self.node_mut(child).force(last);
        let verdict = match &flight.sent {
            Sent::Tell(tell) => tell.verdict,
            Sent::Call(_) | Sent::Ask => return Err("it is no decision".into()),
        };
        let answer = self
            .node(child)
            .tcc
            .answer_to_parent(verdict, RecordNo(last));
        if matches!(answer, Answer::InProgress { .. }) {
            return Err("a child that has ended says that it goes on".into());
        }
        self.came(&flight, answer, rare)
    }

    /// The call arrives. `None`: the answer comes later.
    pub(crate) fn deliver(
        &mut self,
        flight: &InFlight,
        verdict: Verdict,
    ) -> Result<Option<Answer>, String> {
        self.node_mut(flight.node).force(flight.after);
        match &flight.sent {
            Sent::Call(call) => {
                if self.case.bug.is_some_and(|bug| bug.skips(self, flight)) {
                    return Ok(Some(Answer::Succeeded(Payload::null())));
                }
                let phase = self.case.bug.map_or(call.phase, |bug| bug.reroute(call));
                self.run(flight.node, call.branch, phase, verdict).map(Some)
            }
            Sent::Tell(tell) => {
                let child = self.is_told(flight).ok_or("it has no child")?;
                self.tell(child, tell.verdict)?;
                Ok(None)
            }
            Sent::Ask => {
                self.vote(flight.node)?;
                Ok(Some(Answer::InProgress { retry_after: None }))
            }
        }
    }

    fn run(
        &mut self,
        node: usize,
        branch: usize,
        phase: Phase,
        verdict: Verdict,
    ) -> Result<Answer, String> {
        let participant = &mut self.participants[node][branch];
        match phase {
            Phase::Try => Ok(match participant.run_try(verdict) {
                Verdict::Yes => Answer::Succeeded(output(branch)),
                Verdict::No => Answer::Refused(Failure::new("NO", "refused")),
            }),
            Phase::Confirm => {
                let ran = participant.run_confirm();
                ran.map(|()| Answer::Succeeded(Payload::null()))
                    .map_err(|what| format!("b{branch} was {what}"))
            }
            Phase::Cancel => {
                let ran = participant.run_cancel();
                ran.map(|()| Answer::Succeeded(Payload::null()))
                    .map_err(|what| format!("b{branch} was {what}"))
            }
        }
    }

    /// The caller calls a try itself; it was told before that the branch is registered.
    pub(crate) fn try_by_caller(
        &mut self,
        node: usize,
        branch: usize,
        reply: Reply,
        rare: &mut Rare,
    ) -> Result<(), String> {
        let registered = self.node(node).audit.registered[branch].ok_or("it is not registered")?;
        self.node_mut(node).force(registered);
        self.left.faults -= u8::from(!matches!(reply, Reply::Says(_)));
        if self.node(node).audit.is_decided() {
            *rare
                .entry("tried by the caller after the decision")
                .or_default() += 1;
        }
        let answer = match reply {
            Reply::Says(verdict) => self.run(node, branch, Phase::Try, verdict)?,
            Reply::LostAfter(verdict) => {
                self.run(node, branch, Phase::Try, verdict)?;
                lost()
            }
            _ => lost(),
        };
        let answer = self
            .case
            .bug
            .map_or(answer.clone(), |bug| bug.misreport(answer));
        let branch = name(branch).to_string();
        self.put(node, Command::Report { branch, answer })?;
        Ok(())
    }

    /// A child is told its parent's decision.
    fn tell(&mut self, child: usize, verdict: Decided) -> Result<(), String> {
        if self.nodes[child].is_none() {
            if verdict == Decided::Confirm {
                return Err(format!("t{child} is confirmed, but never began"));
            }
            let parent = self.case.start(child).parent.ok_or("it has no parent")?;
            return self.add(child, begin_cancelled(gid(child), parent, self.now));
        }
        let standing = match verdict {
            Decided::Confirm => Standing::Confirm,
            Decided::Cancel => Standing::Cancel,
        };
        self.put(child, Command::ParentSaid(standing)).map(drop)
    }

    /// A child asks its parent, which takes that for its vote. Who is not
    /// rejected is answered once everything so far is durable.
    fn vote(&mut self, child: usize) -> Result<(), String> {
        let (parent, branch) = self.case.parent_of(child).ok_or("it has no parent")?;
        let vote = Command::Vote {
            branch: name(branch).to_string(),
            child: gid(child),
        };
        let tcc = &self.node(parent).tcc;
        let decided: Result<Decision, _> = amends_core::tcc::decide(tcc, vote, self.now);
        if let Ok(decision) = decided {
            self.take(parent, decision)?;
            let last = self.node(parent).last();
            self.node_mut(parent).force(last);
        }
        Ok(())
    }

    fn standing_for(&self, child: usize) -> Result<Standing, String> {
        let (parent, branch) = self.case.parent_of(child).ok_or("it has no parent")?;
        let here = self.node(parent);
        let durable = match self.case.bug {
            Some(bug) if bug.tells_too_early() => u64::MAX,
            _ => here.durable,
        };
        let branch = name(branch);
        Ok(here
            .tcc
            .standing(branch.as_str(), &gid(child), RecordNo(durable)))
    }
}

fn lost() -> Answer {
    Answer::Unknown(Failure::new("LOST", "no answer"))
}
