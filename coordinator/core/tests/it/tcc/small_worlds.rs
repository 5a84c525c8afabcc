//! Small TCCs in every world: up to three branches, each with all answers, all
//! orders of whatever can happen, and a crash that leaves any part of the log.

use std::rc::Rc;

use super::world::case::{Budget, Case, Kind};
use super::world::state::World;
use crate::small_worlds::report;
use crate::world::explore::{Explored, walk_from};
use crate::world::shapes::lists;

pub(crate) const fn budget(crashes: u8, faults: u8, commands: u8) -> Budget {
    Budget {
        crashes,
        faults,
        commands,
    }
}

pub(crate) fn must_hold(case: &Case, explored: &mut Explored) {
    let case = Rc::new(case.clone());
    if let Err(wrong) = walk_from(World::begin(&case), explored) {
        panic!(
            "{}\nnodes: {:?}\nhistory: {:#?}",
            wrong.problem, case.nodes, wrong.history
        );
    }
}

/// Every list of `len` branches out of `kinds`.
fn family(kinds: &[Kind], len: usize, budget: Budget, explored: &mut Explored) {
    for branches in lists(kinds, len) {
        must_hold(&Case::new(vec![branches], budget), explored);
    }
}

const BOTH: [Kind; 2] = [Kind::Coordinator, Kind::Caller];

const SEEN: [&str; 10] = [
    "answer came too late",
    "cancelled before it was tried",
    "confirm after the deadline",
    "cut after the decision",
    "cut before a registration",
    "cut before the cancel",
    "cut before the confirm",
    "late try refused",
    "stuck",
    "tried by the caller after the decision",
];

#[test]
fn up_to_two_branches() {
    let mut explored = Explored::default();
    for len in 0..=2 {
        for budget in [budget(0, 2, 0), budget(1, 1, 0)] {
            family(&BOTH, len, budget, &mut explored);
        }
    }
    report("TCC, up to two branches", &explored, 100_000, &SEEN);
}

#[test]
fn one_branch_with_more_mishaps() {
    let mut explored = Explored::default();
    for len in 0..=1 {
        for budget in [budget(1, 2, 2), budget(2, 2, 1), budget(2, 4, 0)] {
            family(&BOTH, len, budget, &mut explored);
        }
    }
    report("TCC, one branch", &explored, 10_000, &["done by hand"]);
}

#[test]
fn three_branches() {
    let mut explored = Explored::default();
    for len in 2..=3 {
        for budget in [budget(1, 0, 0), budget(0, 1, 0)] {
            family(&BOTH, len, budget, &mut explored);
        }
    }
    report("TCC, three branches", &explored, 100_000, &SEEN[..2]);
}

#[test]
fn two_branches_with_operators() {
    let mut explored = Explored::default();
    for budget in [budget(0, 1, 1), budget(1, 0, 1)] {
        family(&BOTH, 2, budget, &mut explored);
    }
    report("TCC, with operators", &explored, 50_000, &["done by hand"]);
}

#[test]
fn three_branches_with_a_crash_and_a_fault() {
    use Kind::{Caller, Coordinator};
    let mut explored = Explored::default();
    let branches = vec![Coordinator, Caller, Coordinator];
    must_hold(&Case::new(vec![branches], budget(1, 1, 0)), &mut explored);
    report(
        "TCC, three branches, crash and fault",
        &explored,
        100_000,
        &SEEN,
    );
}
