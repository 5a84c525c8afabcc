//! Everything that can happen next in a world.

use amends_core::tcc::{Phase, Settle, Tcc, next_wake};
use amends_core::time::Timestamp;

use super::case::{Kind, MAX_NODES};
use super::participant::Verdict;
use super::state::{InFlight, LONG, Sent, World};

/// What becomes of a call that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It is run and its answer arrives.
    Says(Verdict),
    /// It refuses for now, and may do otherwise next time.
    RefusesNow,
    /// It is run, but the answer is lost.
    LostAfter(Verdict),
    /// It is given up before it arrives; it may still arrive later.
    LostBefore,
    /// It asks to be called again later.
    Busy,
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// The caller begins a TCC under its parent.
    Begin { node: usize },
    /// The caller registers a branch.
    Register { node: usize, branch: usize },
    /// The caller calls a try itself and reports what came of it.
    TryByCaller {
        node: usize,
        branch: usize,
        reply: Reply,
    },
    /// The caller confirms.
    Confirm { node: usize },
    /// The caller cancels.
    Cancel { node: usize },
    /// What becomes of a call.
    Answer { call: usize, reply: Reply },
    /// A child that was told its parent's decision has ended.
    ChildEnded { call: usize },
    /// A call that nobody waits for any more arrives.
    Late { call: usize, verdict: Verdict },
    /// Nothing happens until the TCC wants to be woken.
    Sleep { node: usize },
    /// The deadline passes and the wake-up is late.
    PassDeadline { node: usize },
    /// An operator wants attempts now.
    Retry { node: usize },
    /// A person confirms or cancels a branch and says so.
    MarkDone { node: usize, branch: usize },
    /// An operator ends it.
    Force { node: usize },
    /// The coordinator dies, so many records of each survive, another takes over.
    Crash { keep: [u64; MAX_NODES] },
}

impl World {
    /// Every move that is possible now.
    pub(crate) fn possible(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for (call, flight) in self.calls.iter().enumerate() {
            if !flight.heard {
                let verdicts = self.verdicts(flight).into_iter();
                moves.extend(verdicts.map(|verdict| Move::Late { call, verdict }));
            } else if flight.delivered {
                if self.has_child_ended(flight) {
                    moves.push(Move::ChildEnded { call });
                }
            } else {
                let replies = self.replies(flight).into_iter();
                moves.extend(replies.map(|reply| Move::Answer { call, reply }));
            }
        }
        if self.left.crashes > 0 {
            self.add_crashes(&mut moves);
        }
        for node in 0..self.case.nodes.len() {
            self.add_own_moves(node, &mut moves);
        }
        moves
    }

    fn add_own_moves(&self, node: usize, moves: &mut Vec<Move>) {
        let Some(tcc) = self.nodes[node].as_ref().map(|here| &here.tcc) else {
            let parent = self.case.parent_of(node);
            let registered = parent.is_some_and(|(parent, branch)| {
                let parent = self.nodes[parent].as_ref();
                parent.is_some_and(|parent| parent.audit.registered[branch].is_some())
            });
            if registered {
                moves.push(Move::Begin { node });
            }
            return;
        };
        self.add_tries_by_caller(node, moves);
        let audit = &self.node(node).audit;
        if tcc.is_ended() {
            return;
        }
        if next_wake(tcc).is_some_and(|wake| self.may_sleep_until(wake)) {
            moves.push(Move::Sleep { node });
        }
        if !audit.is_decided() && audit.prepared.is_none() {
            let next = audit.registered.iter().position(Option::is_none);
            moves.extend(next.map(|branch| Move::Register { node, branch }));
            moves.extend([Move::Confirm { node }, Move::Cancel { node }]);
            if tcc.deadline() > self.now {
                moves.push(Move::PassDeadline { node });
            }
        }
        self.add_operators_moves(node, tcc, moves);
    }

    /// Any order of wake-ups is possible, but within a long time everybody is
    /// woken and every call comes to something.
    fn may_sleep_until(&self, wake: Timestamp) -> bool {
        let mut others = self.nodes.iter().flatten();
        let first = others.all(|here| next_wake(&here.tcc).is_none_or(|other| other >= wake));
        let answered = |flight: &InFlight| !flight.heard || flight.delivered;
        wake.since(self.now) < LONG || first && self.calls.iter().all(answered)
    }

    /// What was refused waits for a person, however few commands are left.
    fn add_operators_moves(&self, node: usize, tcc: &Tcc, moves: &mut Vec<Move>) {
        let nested = |branch: usize| matches!(self.case.nodes[node][branch], Kind::Nested(_));
        let mut runs = tcc.branches().iter().enumerate();
        let held = runs.any(|(branch, run)| run.settle == Settle::Held && !nested(branch));
        if held || self.left.commands > 0 {
            moves.push(Move::Retry { node });
        }
        if self.left.commands > 0 {
            moves.push(Move::Force { node });
        }
        for (branch, run) in tcc.branches().iter().enumerate() {
            let possible = match run.settle {
                // Its child was ended by hand: asking again leads nowhere.
                Settle::Held if nested(branch) => true,
                Settle::Held | Settle::Calling | Settle::Waiting { .. } => {
                    self.left.commands > 0 && !nested(branch)
                }
                _ => false,
            };
            if possible {
                moves.push(Move::MarkDone { node, branch });
            }
        }
    }

    /// Who was told that the branch is registered may try it at any time, even too late.
    fn add_tries_by_caller(&self, node: usize, moves: &mut Vec<Move>) {
        let audit = &self.node(node).audit;
        for (branch, kind) in self.case.nodes[node].iter().enumerate() {
            let participant = &self.participants[node][branch];
            let pointless =
                !participant.is_open() && (audit.is_decided() || audit.is_try_known(branch));
            let over = audit.end().is_some() && !participant.is_open();
            let registered = audit.registered[branch].is_some();
            if *kind != Kind::Caller || !registered || pointless || over {
                continue;
            }
            let verdicts = if participant.is_open() {
                vec![Verdict::Yes, Verdict::No]
            } else {
                vec![Verdict::Yes]
            };
            let mut replies: Vec<_> = verdicts.iter().map(|&one| Reply::Says(one)).collect();
            if self.left.faults > 0 {
                replies.extend(verdicts.into_iter().map(Reply::LostAfter));
                replies.push(Reply::LostBefore);
            }
            moves.extend(replies.into_iter().map(|reply| Move::TryByCaller {
                node,
                branch,
                reply,
            }));
        }
    }

    /// Every part of each log that can survive.
    fn add_crashes(&self, moves: &mut Vec<Move>) {
        let mut keeps = vec![[0; MAX_NODES]];
        for (node, here) in self.nodes.iter().enumerate() {
            let Some(here) = here else { continue };
            let longer = |keep: [u64; MAX_NODES]| {
                (here.durable..=here.last()).map(move |number| {
                    let mut keep = keep;
                    keep[node] = number;
                    keep
                })
            };
            keeps = keeps.into_iter().flat_map(longer).collect();
        }
        moves.extend(keeps.into_iter().map(|keep| Move::Crash { keep }));
    }

    fn verdicts(&self, flight: &InFlight) -> Vec<Verdict> {
        let open = match &flight.sent {
            Sent::Call(call) => {
                call.phase == Phase::Try && self.participants[flight.node][call.branch].is_open()
            }
            Sent::Tell(_) | Sent::Ask => false,
        };
        if open {
            vec![Verdict::Yes, Verdict::No]
        } else {
            vec![Verdict::Yes]
        }
    }

    fn replies(&self, flight: &InFlight) -> Vec<Reply> {
        let verdicts = self.verdicts(flight);
        let mut replies: Vec<_> = verdicts.iter().map(|&one| Reply::Says(one)).collect();
        if self.left.faults > 0 {
            replies.extend(verdicts.into_iter().map(Reply::LostAfter));
            replies.push(Reply::LostBefore);
            match &flight.sent {
                Sent::Call(call) => {
                    replies.push(Reply::Busy);
                    if call.phase != Phase::Try {
                        replies.push(Reply::RefusesNow);
                    }
                }
                Sent::Tell(_) => replies.push(Reply::Busy),
                Sent::Ask => {}
            }
        }
        replies
    }
}
