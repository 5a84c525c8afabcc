//! A half in a store that compares, its producer, coordinators that crash and are
//! taken over from, an operator, and a clock. The auditor knows nothing of the machine:
//! it sees what is stored, what is visible, and what callers were told.

use std::hash::{DefaultHasher, Hash, Hasher};

use amends_core::message::half::{
    AfterLastCheck, Check, CheckPolicy, Command, DecidedBy, Half, HalfState, Nothing, Record,
    Standing, Verdict,
};
use amends_core::time::{Millis, Timestamp};

use crate::world::explore::Explorable;
use crate::world::rare::Rare;

pub(super) const MAX_CHECKS: u32 = 2;
const FIRST_CHECK: Timestamp = Timestamp(6);

/// Taken away on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Bug {
    None,
    /// A verdict that was given before makes the messages visible once more.
    SecondCommitDelivers,
    /// A verdict does not compare what is there.
    LastVerdictWins,
    /// A check without a verdict does not compare what is there.
    ChecksGoOn,
    /// A check that nobody could be asked is counted.
    CountsUnasked,
    /// Verdict and visibility are two writes.
    TwoWrites,
    /// A coordinator that was taken over from still notes its checks.
    NoGeneration,
}

/// What may go wrong in one history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Case {
    /// What the local transaction came to; none: nobody ever knows.
    pub(super) truth: Option<Verdict>,
    pub(super) after_last: AfterLastCheck,
    /// Verdicts that the producer sends by itself.
    pub(super) verdicts: u8,
    /// Verdicts by people, and questions that they want asked.
    pub(super) operators: u8,
    pub(super) crashes: u8,
    /// Questions that do not arrive, and times without a live instance.
    pub(super) faults: u8,
    pub(super) bug: Bug,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Move {
    /// Somebody decides.
    Send(Verdict, DecidedBy),
    /// A person wants the producer to be asked.
    AskNow,
    /// The coordinator asks.
    Ask,
    /// What the question comes to.
    Answer(Answer),
    /// A write arrives at the store.
    Land(usize),
    /// The second part of a verdict, where there are two.
    Show,
    /// The coordinator dies, with all that it has not written.
    Crash,
    /// Another one takes over from one that only stalls.
    Adopt,
    Leave,
    Return,
    /// Time passes until the next check.
    Wait,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Truth,
    Unknown,
    NotSent,
}

/// On its way to the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Write {
    what: What,
    generation: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum What {
    Verdict(Verdict, DecidedBy),
    /// With the half as it was when the question was asked.
    Checked(Half, Check),
    AskNow,
}

#[derive(Debug, Clone, Hash)]
pub(super) struct World {
    left: Case,
    now: Timestamp,
    stored: Half,
    generation: u8,
    /// How often the messages became visible.
    visible: u8,
    /// Decided, but not visible yet: only where that is two writes.
    half_done: bool,
    /// By generation of who asked.
    asked: Vec<(u8, Half)>,
    /// Questions that arrived.
    arrived: u32,
    writes: Vec<Write>,
    is_live: bool,
}

impl World {
    pub(super) fn begin(case: Case) -> Result<Self, String> {
        Ok(Self {
            left: case,
            now: Timestamp(0),
            stored: Half::prepared(FIRST_CHECK),
            generation: 1,
            visible: 0,
            half_done: false,
            asked: Vec::new(),
            arrived: 0,
            writes: Vec::new(),
            is_live: true,
        })
    }

    fn policy(&self) -> CheckPolicy {
        CheckPolicy {
            interval: Millis(30),
            max_checks: MAX_CHECKS,
            after_last: self.left.after_last,
        }
    }

    fn has(&self, bug: Bug) -> bool {
        self.left.bug == bug
    }

    fn send(&mut self, what: What) {
        let generation = self.generation;
        self.writes.push(Write { what, generation });
    }

    fn answer(&mut self, answer: Answer) {
        let (generation, base) = self.asked.remove(0);
        if answer == Answer::NotSent {
            self.left.faults -= 1;
        } else {
            self.arrived += 1;
        }
        let check = Check {
            at: self.now,
            instance: String::new(),
            verdict: self.left.truth.filter(|_| answer == Answer::Truth),
            error: String::new(),
            counted: answer != Answer::NotSent || self.has(Bug::CountsUnasked),
        };
        let what = What::Checked(base, check);
        self.writes.push(Write { what, generation });
    }

    /// What the store does, and what the caller is told.
    fn land(&mut self, write: Write, rare: &mut Rare) -> Result<(), String> {
        let before = self.stored.clone();
        match write.what {
            What::Verdict(verdict, by) => self.verdict(verdict, by, rare)?,
            What::AskNow => {
                if let Ok(record) = self.stored.take(Command::AskNow, self.now, &self.policy()) {
                    self.generation += 1;
                    self.stored.apply(record);
                }
            }
            What::Checked(base, check) => self.checked(base, check, write.generation, rare),
        }
        self.compare(&before)
    }

    fn verdict(&mut self, verdict: Verdict, by: DecidedBy, rare: &mut Rare) -> Result<(), String> {
        let command = Command::Decide(verdict, by);
        let told = match self.stored.take(command, self.now, &self.policy()) {
            Ok(record) => {
                self.decided(record);
                verdict
            }
            Err(Nothing::Known) => {
                *rare.entry("a verdict was repeated").or_default() += 1;
                if self.has(Bug::SecondCommitDelivers) && verdict == Verdict::Commit {
                    self.visible += 1;
                }
                verdict
            }
            Err(Nothing::Opposite(_)) if self.has(Bug::LastVerdictWins) => {
                let check = None;
                self.decided(Record::Decided { verdict, by, check });
                verdict
            }
            Err(Nothing::Opposite(stands)) => {
                *rare.entry("the opposite was refused").or_default() += 1;
                stands
            }
            Err(Nothing::Late) => return Err("a verdict is never late".into()),
        };
        match self.stored.standing {
            Standing::Decided { verdict, .. } if verdict == told => Ok(()),
            _ => Err(format!("the caller was told {told:?}, which is not stored")),
        }
    }

    fn checked(&mut self, base: Half, check: Check, generation: u8, rare: &mut Rare) {
        let Ok(record) = base.take(Command::Checked(check), self.now, &self.policy()) else {
            return;
        };
        let mut after = base;
        after.apply(record.clone());
        let is_open = !matches!(self.stored.standing, Standing::Decided { .. });
        match record {
            Record::Decided { .. } if is_open => self.decided(record),
            Record::Decided { .. } => {
                *rare.entry("a check came after the verdict").or_default() += 1;
            }
            Record::Checked { .. } | Record::AskAt(_) => {
                let is_prepared = matches!(self.stored.standing, Standing::Prepared { .. });
                let is_own = generation == self.generation || self.has(Bug::NoGeneration);
                let compares = !self.has(Bug::ChecksGoOn) && !self.has(Bug::NoGeneration);
                if is_own && (is_prepared || !compares && (is_open || self.has(Bug::ChecksGoOn))) {
                    self.stored = after;
                } else {
                    *rare.entry("a check came too late").or_default() += 1;
                }
            }
        }
    }

    fn decided(&mut self, record: Record) {
        if let Record::Decided { verdict, .. } = &record
            && *verdict == Verdict::Commit
        {
            match self.has(Bug::TwoWrites) {
                true => self.half_done = true,
                false => self.visible += 1,
            }
        }
        self.stored.apply(record);
    }

    /// What one write may change.
    fn compare(&self, before: &Half) -> Result<(), String> {
        if let Standing::Decided { verdict, .. } = before.standing {
            match self.stored.standing {
                Standing::Decided { verdict: now, .. } if now == verdict => {}
                _ => return Err(format!("{verdict:?} did not stand")),
            }
        }
        if self.stored.checks < before.checks && self.stored.state() == HalfState::Prepared {
            return Err("a check was forgotten".into());
        }
        if self.stored.checks > self.arrived {
            return Err("a check counts that nobody was asked".into());
        }
        Ok(())
    }
}

impl Explorable for World {
    type Move = Move;

    fn moves(&self) -> Vec<Move> {
        let left = &self.left;
        let mut moves = Vec::new();
        if left.verdicts > 0 {
            // A producer that contradicts itself is none that may be believed twice.
            moves.extend(
                [Verdict::Commit, Verdict::Rollback].map(|it| Move::Send(it, DecidedBy::Producer)),
            );
        }
        if left.operators > 0 {
            moves.extend(
                [Verdict::Commit, Verdict::Rollback].map(|it| Move::Send(it, DecidedBy::Operator)),
            );
            moves.push(Move::AskNow);
        }
        let is_asking = self.asked.iter().any(|(by, _)| *by == self.generation);
        let is_noting = self.writes.iter().any(|write| {
            write.generation == self.generation && matches!(write.what, What::Checked(..))
        });
        if let Standing::Prepared { check_at } = self.stored.standing {
            if self.now < check_at {
                moves.push(Move::Wait);
            } else if self.is_live && !is_asking && !is_noting {
                moves.push(Move::Ask);
            }
        }
        if !self.asked.is_empty() {
            moves.push(Move::Answer(Answer::Unknown));
            moves.extend(left.truth.map(|_| Move::Answer(Answer::Truth)));
            moves.extend((left.faults > 0).then_some(Move::Answer(Answer::NotSent)));
        }
        moves.extend((0..self.writes.len()).map(Move::Land));
        moves.extend(self.half_done.then_some(Move::Show));
        if left.crashes > 0 {
            moves.extend([Move::Crash, Move::Adopt]);
        }
        match self.is_live {
            true => moves.extend((left.faults > 0).then_some(Move::Leave)),
            false => moves.push(Move::Return),
        }
        moves
    }

    fn make(&mut self, what: Move, rare: &mut Rare) -> Result<bool, String> {
        match what {
            Move::Send(verdict, by) => {
                match by {
                    DecidedBy::Operator => self.left.operators -= 1,
                    _ => self.left.verdicts -= 1,
                }
                self.send(What::Verdict(verdict, by));
            }
            Move::AskNow => {
                self.left.operators -= 1;
                self.send(What::AskNow);
            }
            Move::Ask => self.asked.push((self.generation, self.stored.clone())),
            Move::Answer(answer) => self.answer(answer),
            Move::Land(at) => {
                let write = self.writes.remove(at);
                self.land(write, rare)?;
            }
            Move::Show => {
                self.half_done = false;
                self.visible += 1;
            }
            Move::Crash => {
                self.left.crashes -= 1;
                self.generation += 1;
                self.half_done = false;
                self.writes.clear();
                self.asked.clear();
            }
            Move::Adopt => {
                self.left.crashes -= 1;
                self.generation += 1;
            }
            Move::Leave => {
                self.left.faults -= 1;
                self.is_live = false;
            }
            Move::Return => self.is_live = true,
            Move::Wait => {
                if let Standing::Prepared { check_at } = self.stored.standing {
                    self.now = check_at;
                }
            }
        }
        Ok(true)
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    fn note(&self, rare: &mut Rare) -> Result<(), String> {
        let is_committed = self.stored.state() == HalfState::Committed;
        let expected = u8::from(is_committed && !self.half_done);
        let may_miss = self.has(Bug::TwoWrites);
        if self.visible > 1 {
            return Err("the messages are visible twice".into());
        }
        if self.visible != expected && !may_miss {
            let state = self.stored.state();
            return Err(format!("{state:?}, and visible {} times", self.visible));
        }
        if self.stored.state() == HalfState::Stuck {
            *rare.entry("stuck").or_default() += 1;
            if self.stored.checks < MAX_CHECKS {
                return Err("it is stuck before its checks are used up".into());
            }
            if self.left.after_last == AfterLastCheck::Discard {
                return Err("it is stuck where it should be discarded".into());
            }
        }
        if matches!(
            self.stored.standing,
            Standing::Decided {
                by: DecidedBy::Discarded,
                ..
            }
        ) {
            *rare.entry("discarded").or_default() += 1;
            if self.left.after_last == AfterLastCheck::Keep {
                return Err("it was discarded".into());
            }
        }
        Ok(())
    }

    fn judge_last(&self) -> Result<(), String> {
        match self.stored.state() {
            HalfState::Prepared => Err("nothing can happen, but it is PREPARED".into()),
            HalfState::Committed if self.visible == 0 => Err("committed, and never visible".into()),
            _ => Ok(()),
        }
    }
}
