//! Rare situations, counted: a walk that never meets them proves nothing about them.

use std::collections::BTreeMap;
use std::rc::Rc;

use amends_core::id::RecordNo;
use amends_core::saga::{Event, Record, StepKind};

use super::state::World;

/// How often something rare happened.
pub(crate) type Rare = BTreeMap<&'static str, u64>;

impl World {
    /// Notes what is rare about this world.
    pub(crate) fn note(&self, rare: &mut Rare) {
        for (ix, run) in self.saga.steps().iter().enumerate() {
            if run.stuck.is_some() {
                *rare.entry("stuck").or_default() += 1;
            }
            let is_pivot = self.case.steps[ix].kind == StepKind::Pivot;
            let late = self.saga.deadline().is_some_and(|at| at <= self.now);
            if is_pivot && late && run.may_have_run && !self.saga.is_ended() {
                *rare.entry("deadline passed during the pivot").or_default() += 1;
            }
            let unrecorded = run.recorded == RecordNo(0);
            if self.participants[ix].was_undone() && self.participants[ix].times() > 0 && unrecorded
            {
                *rare
                    .entry("undone although its success was never recorded")
                    .or_default() += 1;
            }
            if self.participants[ix].is_fenced_off() {
                *rare.entry("undone before it arrived").or_default() += 1;
            }
        }
    }
}

/// Notes where a crash cuts the log.
pub(crate) fn note_cut(log: &[Rc<Record>], keep: u64, rare: &mut Rare) {
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    let (Some(last), Some(next)) = (log.get(keep.wrapping_sub(1)), log.get(keep)) else {
        return;
    };
    let cut = match (&last.event, &next.event) {
        (Event::AttemptFailed { .. }, Event::TurnedBack { .. }) => {
            "cut between failure and turning back"
        }
        (Event::StepRefused { .. }, Event::TurnedBack { .. }) => {
            "cut between refusal and turning back"
        }
        (Event::AttemptFailed { .. }, Event::BranchStuck { .. }) => "cut between failure and stuck",
        (_, Event::Compensated | Event::Succeeded { .. }) => "cut before the end",
        (Event::TurnedBack { .. }, _) => "cut after turning back",
        _ => "cut elsewhere",
    };
    *rare.entry(cut).or_default() += 1;
}
